//! `NTLMv2`: the client out, the verifier in. No I/O; the caller carries the tokens.
//!
//! What it answers: does this client know the password of one of the gateway's own accounts ([`Acceptor`]), and how does the gateway prove
//! the password of an account that is local to a host ([`Initiator`]). Both end in a [`SecurityContext`], which seals what follows.
//!
//! # In
//!
//! ```text
//! Acceptor::new(verifier, channel)? ── step(NEGOTIATE, now)? ──▶ Continue(acceptor, CHALLENGE)            401, Negotiate <token>
//!                            acceptor.step(AUTHENTICATE, now)? ──▶ Established(context, Option<token>)    200, with the token if there is one
//! ```
//!
//! A [`Verifier`] is made once and shared; an [`Acceptor`] belongs to one connection, and so does what it becomes. [`begins_ntlm`] tells
//! a token for NTLM from one for Kerberos. [`Channel::Tls`] takes the bindings of the certificate that this client saw.
//!
//! `context.account()` is the account as the table writes it; the domain that a client names is part of the proof and of nothing else. Without TLS
//! nothing binds a proof to this server but `context.target()`, which is what the client says it wants: the caller may compare it with its own names.
//!
//! The client hears one answer to every [`NtlmError`]; `reason()` is for the record. Only `wrong_password` and `unknown_account` mean that somebody
//! tried a password: everything that can be seen without one is refused before.
//!
//! # Out
//!
//! ```text
//! Initiator::begin(credentials, "HTTP/host", bindings, framing)? ──▶ (initiator, NEGOTIATE)      send, expect 401 with a token
//! initiator.step(CHALLENGE)? ──▶ Raw:    Established(context, Some(AUTHENTICATE))                 send, expect 200 without a token
//!                            ──▶ Spnego: Continue(initiator, AUTHENTICATE)                        send, expect 200 with a token
//! initiator.step(token)?     ──▶ Spnego: Established(context, None)
//! ```
//!
//! NTLM itself never proves the host: only its first sealed answer does.
//!
//! # What always holds
//!
//! INVARIANT: `NTLMv2` with 128-bit keys, extended session security, key exchange, signing, sealing and a MIC, or nothing.
//! INVARIANT: a failure ends the handshake or the context in which it happened; both are values, and a failed step gives none back.
//! INVARIANT: proofs, MICs, signatures and bindings are compared in constant time; an unknown account takes the way of a wrong password.
//! INVARIANT: nothing secret is `Debug`, and every key is wiped when it goes.
//!
//! Specifications: [MS-NLMP]; RFC 4178 and [MS-SPNG] for SPNEGO; RFC 5929 for channel bindings.
//!
//! Why not a library: the ones there are bring mechanisms of their own that must never be chosen here, and accept messages with parts left out.

mod acceptor;
mod accounts;
mod av;
mod bindings;
mod context;
mod crypto;
mod der;
mod error;
mod flags;
mod initiator;
mod message;
mod spnego;
#[cfg(test)]
mod tests;
mod time;
mod verify;
mod wire;

pub(crate) use acceptor::{Accepted, Acceptor, Channel, ServerNames, Verifier, begins_ntlm};
#[cfg(test)]
pub(crate) use accounts::AccountsError;
pub(crate) use accounts::{Accounts, accounts_from};
pub(crate) use bindings::ChannelBindings;
pub(crate) use context::{Sealed, SecurityContext};
pub(crate) use crypto::NtHash;
pub(crate) use error::NtlmError;
pub(crate) use initiator::{Credentials, Framing, Initiated, Initiator};
pub(crate) use time::FileTime;
