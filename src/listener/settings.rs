//! What a listener is told: where it listens, how it is protected, and what bounds every client.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

/// One listener, complete and checked by the configuration.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The operator's name for it; appears in records.
    pub(crate) name: Arc<str>,
    /// Where it accepts connections.
    pub(crate) address: ListenAddress,
    /// How the connections are protected.
    pub(crate) transport: Transport,
    /// What bounds each of its clients.
    pub(crate) limits: Limits,
}

impl Settings {
    /// What can't change while the listener serves: its name, its address, and by which files it is protected.
    pub(crate) fn identity(&self) -> (Arc<str>, ListenAddress, Transport) {
        (Arc::clone(&self.name), self.address.clone(), self.transport.clone())
    }
}

/// Where a listener accepts connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ListenAddress {
    /// An IP address and port.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl ListenAddress {
    /// Whether only processes of this machine can connect, so that plain HTTP exposes nothing on a network.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl std::fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// How connections are protected. Who may use plain `Http` where is decided by the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Transport {
    /// TLS 1.2 or 1.3.
    Https(TlsSettings),
    /// No TLS.
    Http,
}

/// The files and choices behind a TLS listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsSettings {
    /// PEM: the gateway's certificate first, then its intermediates.
    pub(crate) certificate: PathBuf,
    /// PEM: the unencrypted private key of that certificate.
    pub(crate) private_key: PathBuf,
    /// The oldest TLS version that is spoken.
    pub(crate) min_version: TlsVersion,
    /// Whether clients are asked for certificates, and which are believed.
    pub(crate) client_certificates: ClientCertificates,
}

/// A TLS protocol version; older ones are never spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

impl TlsVersion {
    /// The name for records.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Tls12 => "TLSv1.2",
            Self::Tls13 => "TLSv1.3",
        }
    }
}

/// Whether a listener asks its clients for certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ClientCertificates {
    /// None are asked for.
    Off,
    /// Asked for; a client without one may still authenticate otherwise.
    Optional(Trust),
    /// A client without one is refused in the handshake.
    Required(Trust),
}

/// Which client certificates are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trust {
    /// PEM bundle of the certification authorities.
    pub(crate) anchors: PathBuf,
    /// Revocation lists, PEM or DER. Where any is given, a certificate whose state none of them tells is refused.
    pub(crate) crls: Vec<PathBuf>,
}

/// What bounds every client of a listener, in time, size and number.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// From accepting the connection to the end of the TLS handshake.
    pub(crate) handshake: Duration,
    /// From a request's first byte to the end of its head.
    pub(crate) head: Duration,
    /// Between an answer and the next request's first byte. Sealed clients break below 130 s.
    pub(crate) idle: Duration,
    /// How long a body may take before its rate counts.
    pub(crate) body_grace: Duration,
    /// Bytes per second that a body, or the reader of an answer, must sustain.
    pub(crate) minimum_rate: u32,
    /// The whole body at most (`MaxPacketRetrievalTimeSeconds`).
    pub(crate) body: Duration,
    /// How long a client may accept no byte of an answer.
    pub(crate) write_stall: Duration,
    /// The head, request line and headers together, in bytes.
    pub(crate) head_bytes: usize,
    /// Header lines in one request.
    pub(crate) headers: usize,
    /// One request's body, in bytes.
    pub(crate) body_bytes: usize,
    /// Open client connections, over all listeners of the service.
    pub(crate) connections: usize,
    /// Open client connections from one IPv4 address, IPv6 /64 or local uid.
    pub(crate) connections_per_address: usize,
    /// Bytes of request bodies and large heads that may be held at once; shared by all listeners.
    pub(crate) buffered_bytes: Arc<Semaphore>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(180),
            body_grace: Duration::from_secs(10),
            minimum_rate: 1024,
            body: Duration::from_secs(120),
            write_stall: Duration::from_secs(30),
            head_bytes: 96 * 1024,
            headers: 100,
            body_bytes: 2 * 500 * 1024 + 64 * 1024,
            connections: 4096,
            connections_per_address: 1024,
            buffered_bytes: Arc::new(Semaphore::new(256 * 1024 * 1024)),
        }
    }
}

impl Limits {
    /// When a body that began at `start` and of which `received` bytes are here has become too slow.
    pub(super) fn body_deadline(&self, start: Instant, received: usize) -> Instant {
        (start + self.body_grace + self.time_for(received)).min(start + self.body)
    }

    /// When the reader of an answer, begun at `start` with `written` bytes taken, has become too slow.
    pub(super) fn write_deadline(&self, start: Instant, written: usize) -> Instant {
        (Instant::now() + self.write_stall).min(start + self.write_stall + self.time_for(written))
    }

    /// How long `bytes` take at the minimum rate.
    fn time_for(&self, bytes: usize) -> Duration {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        Duration::from_millis(bytes.saturating_mul(1000) / u64::from(self.minimum_rate.max(1)))
    }
}
