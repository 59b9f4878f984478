//! An authenticating reverse proxy for WinRM: any client in, Kerberos as that person out, all of it recorded.
//!
//! # The way of a request
//!
//! ```text
//!            listener        policy     authn       wsman          authn           policy        audit      credential     backend
//!  client ─▶ TLS, strict ─▶ which ───▶ proof? ───▶ one strict ──▶ which ────────▶ may they? ──▶ intent ──▶ as whom ────▶ connect, prove, ─▶ host
//!            HTTP/1.1       route?     Evidence    parse          person?         Operation-    Recorded   there?        seal, exchange
//!                           Destination            Envelope       Authenticated   Permit                   Credential    answers, one by one
//! ```
//!
//! One task serves one client connection; what the connection has proved is a local variable of that task and dies with it. The spine,
//! `gateway/mod.rs`, reads as this line from left to right; each stage returns a value or its own error, and only the spine makes the
//! response, the metric and the one audit record.
//!
//! # The map
//!
//! ```text
//! src/
//! ├── main.rs          arguments → Config → run → exit code; no decisions
//! ├── lib.rs           this map; exports Config, Gateway and, for benches and fuzz targets, wsman's codecs
//! ├── gssapi/          the only door to GSSAPI and krb5, the only `unsafe`                 uses: —
//! ├── ntlm/            NTLMv2: the client out, the verifier in; no I/O                     uses: —
//! ├── ntlm/            NTLMv2: the client out, the verifier in; no I/O                     uses: —
//! ├── wsman/           Envelope, Operation, Fault, sealed MIME; no I/O                     uses: —
//! ├── listener/     1  accept, TLS, the strict HTTP gate     → ClientConnection            uses: —
//! ├── policy/       2  routes, rules, TrustedHosts, quotas, ownership → Destination, OperationPermit   uses: authn wsman (types)
//! ├── authn/        3  proof of any method → Evidence → Authenticated (CertMapping)     uses: listener wsman gssapi ntlm
//! ├── audit/        4  intents and outcomes → Recorded                                     uses: policy (types)
//! ├── credential/   5  S4U, ticket, password, account        → BackendCredential           uses: authn policy gssapi ntlm
//! ├── backend/      6  dial, handshake, pool, exchange       → answers                     uses: policy credential audit wsman gssapi ntlm
//! ├── telemetry/       metrics, health, admin listener; pulls each stage's `stats()`       uses: types of the stages
//! ├── config/          the operator's file → each module's Settings                        uses: every stage's Settings
//! ├── diagnose/        asks a running gateway how it is                                    uses: —
//! └── gateway/      ★  the spine                                                           uses: all
//! config/              ready-to-use files: gateway.yaml (every key, commented), fleet, bastion, sidecar
//! deploy/              Dockerfile, systemd unit, kubernetes manifests
//! tests/               flow, refusals, isolation, wire; tests/lab/ holds the realms, the emulated Windows host and the real clients
//! benches/             criterion for the codecs; the side-by-side proxy benchmark
//! ```
//!
//! `tests/architecture.rs` enforces the last column, and which crates stay behind which door.
//!
//! # What always holds
//!
//! - **Isolation.** No byte of one principal travels on a backend connection authenticated as another: pool keys are exact typed values.
//! - **Permits.** Nothing reaches a backend without an `OperationPermit`, which only `policy` can make, from an `Authenticated`, which only
//!   `authn` can make.
//! - **Rebuild.** A backend request is built from scratch; no client header, cookie, path, query or framing is copied through.
//! - **Proof before body.** No body is sent until the backend has proved who it is.
//! - **No silent downgrade.** The mechanism is the configuration's; a Kerberos failure is a refusal.
//! - **Identity only from proof.** The name in a credential is compared with the wanted one; nothing ever becomes the gateway's own identity
//!   for want of another.
//! - **Recorded.** An intent before a host hears anything, one outcome for every request, under one id.
//! - **Bounded.** Everything read from a peer has a limit in size, count, depth and time; nothing cached about a person outlives
//!   min(its ticket, 10 minutes).
//!
//! The proofs can't be made by anybody who uses the crate, nor named:
//!
//! ```compile_fail,E0603
//! use winrm_gateway::policy::OperationPermit;
//! ```
//!
//! ```compile_fail,E0603
//! use winrm_gateway::authn::Authenticated;
//! ```
//!
//! ```compile_fail,E0603
//! use winrm_gateway::audit::Recorded;
//! ```

#![expect(dead_code, reason = "groups from tickets and the readers of shells are built up to their callers")]

mod audit;
mod authn;
mod backend;
mod config;
mod credential;
mod diagnose;
mod gateway;
mod gssapi;
mod listener;
mod ntlm;
mod policy;
mod telemetry;
pub mod wsman;

pub use config::{Config, ConfigError, ConfigErrors};
pub use diagnose::{ProbeError, probe};
pub use gateway::{Gateway, StartError};
