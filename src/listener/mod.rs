//! Who is at the door, and is what they send one well-formed WinRM request?
//!
//! In: sockets, certificates and limits ([`Settings`]). Out: per client one [`ClientConnection`], which hands out whole
//! [`Request`]s and takes [`Response`]s; per connection that never became usable one [`ConnectionFailure`].
//!
//! INVARIANT: nothing ambiguous gets past the [`gate`]; every refusal before a body is read closes the connection; every
//! wait and every buffer has a bound; a client certificate counts only as long as the current files accept it.
//!
//! Specification: RFC 9112 (HTTP/1.1 only), RFC 8446 and RFC 5246, RFC 5280 for client certificates.
//!
//! Why an own accept loop: the certificate that a connection was served must be known exactly, for channel bindings;
//! sessions must not be resumed; and handshakes need deadlines, caps and records. The loop runs inside a pingora service,
//! which brings signals, runtimes and the draining of connections at the end.

mod admission;
mod bind;
mod connection;
mod error;
mod gate;
mod refusal;
mod request;
mod response;
mod service;
mod settings;
mod stats;
#[cfg(test)]
pub(crate) mod tests;
mod tls;

pub(crate) use bind::{Bound, bind};
pub(crate) use connection::{ClientConnection, Gone, TlsFacts};
pub(crate) use error::ListenerError;
pub(crate) use gate::PsVersion;
pub(crate) use refusal::{FailureReason, Reason, RequestError};
pub(crate) use request::Request;
pub(crate) use response::Response;
pub(crate) use service::{Listeners, service};
pub(crate) use settings::{
    ClientCertificates, Limits, ListenAddress, Settings, TlsSettings, TlsVersion, Transport, Trust,
};
pub(crate) use stats::Stats;
pub(crate) use tls::{Tls, TlsReloader, TlsSnapshot};

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;

/// What becomes of connections.
#[async_trait]
pub(crate) trait Handler: Send + Sync + 'static {
    /// Serves one client until it is done with it; the connection ends when `client` is dropped.
    async fn connection(self: Arc<Self>, client: ClientConnection);

    /// Notes a connection that never became usable; called once for each.
    fn failed(&self, failure: ConnectionFailure);
}

/// A connection that never became usable: a failed handshake, or one too many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConnectionFailure {
    /// The listener's name.
    pub(crate) listener: Arc<str>,
    /// Who it was.
    pub(crate) peer: ClientAddr,
    /// Why.
    pub(crate) reason: FailureReason,
}

/// The other end of a client connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ClientAddr {
    /// A network client.
    Tcp(SocketAddr),
    /// A local process, as the kernel vouches for it (`SO_PEERCRED`).
    Unix {
        /// Its user.
        uid: u32,
        /// Its group.
        gid: u32,
        /// Its process, where the kernel tells.
        pid: Option<i32>,
    },
}

impl fmt::Display for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix { uid, pid: Some(pid), .. } => write!(f, "uid {uid} pid {pid}"),
            Self::Unix { uid, pid: None, .. } => write!(f, "uid {uid}"),
        }
    }
}
