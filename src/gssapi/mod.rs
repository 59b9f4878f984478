//! The only door to GSSAPI and Kerberos, and the only `unsafe` code.
//!
//! **What it answers.** In whose name can a ticket be had, is the peer who it claims to be, and what do sealed bytes say?
//!
//! **In and out.** Names, keytabs and passwords come in, a [`Credential`] goes out. A credential and the peer's tokens come in, a
//! [`SecurityContext`] goes out, by way of [`Initiator`] or [`Acceptor`], each of which a token consumes. Clear bytes come in, sealed ones go out,
//! and the reverse. What may touch the network is a method of [`Door`]; the rest costs processor time only and runs where it is called.
//!
//! **What always holds.**
//! - INVARIANT: a credential is in the name that was wanted, as GSSAPI itself reads it back. There is no default credential.
//! - INVARIANT: what a [`SecurityContext`] sends is encrypted, and what it takes was; its peer has proved its name.
//! - INVARIANT: only Kerberos is ever spoken, inside SPNEGO too, whatever mechanisms the machine has installed.
//! - Where keys and tickets are is said per call; no environment variable is read or set, but for libkrb5's own `KRB5_CONFIG`.
//!
//! **Why not libgssapi's types.** Their `unwrap` takes an integrity-only message for an encrypted one, their handles can't be passed to the functions
//! that they lack (credential store, negotiable mechanisms, name attributes), and their errors are rendered on whatever thread prints them.
//!
//! **Specifications.** RFC 2743 and 2744 (GSSAPI), 4121 (Kerberos), 4178 (SPNEGO), 5929 (channel bindings), 6680 (name attributes), `[MS-SFU]` (S4U),
//! `[MS-WSMV]` 2.2.9.1 (layout of sealed messages).
#![expect(unsafe_code, reason = "the one module that calls foreign functions")]

mod acceptor;
mod bindings;
mod breaker;
mod buffer;
mod ccache;
mod context;
mod credential;
mod door;
mod error;
mod ffi;
mod initiator;
mod keytab;
mod name;
mod own_ticket;
mod pac;
mod seal;
mod stats;
mod status;
mod store;
#[cfg(test)]
mod tests;

pub(crate) use acceptor::{Accepted, Acceptor};
pub(crate) use bindings::{BindingsError, ChannelBindings};
pub(crate) use context::SecurityContext;
pub(crate) use credential::Credential;
pub(crate) use door::{Door, DoorSettings};
pub(crate) use error::{Class, GssError};
pub(crate) use keytab::check as check_keytab;
pub(crate) use initiator::{Initiated, Initiator, Mechanism};
pub(crate) use seal::Sealed;
pub(crate) use stats::{Call, CallStats, DoorStats, LATENCY_BUCKETS_MICROS};
