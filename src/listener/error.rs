//! Why a listener cannot start, or its files cannot be loaded again.

use std::io;
use std::path::PathBuf;

use rustls::pki_types::pem;

/// Why a listener cannot start or reload; every variant names the file or address and what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenerError {
    /// A file is missing or unreadable.
    #[error("cannot read {what} {}; check the path, and that the gateway's user may read it", path.display())]
    Read {
        /// What the file should be.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file is far larger than its kind can be.
    #[error("{what} {} is larger than {limit} bytes; this is some other file", path.display())]
    TooLarge {
        /// What the file should be.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The bound, in bytes.
        limit: u64,
    },
    /// A PEM file is broken.
    #[error("{what} {} is not valid PEM; write it again", path.display())]
    Pem {
        /// What the file should be.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Where it breaks.
        #[source]
        source: pem::Error,
    },
    /// A PEM file has no certificate.
    #[error("{what} {} holds no certificate; it needs at least one `-----BEGIN CERTIFICATE-----`", path.display())]
    NoCertificate {
        /// What the file should be.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// A key file has no usable key.
    #[error("private key {} holds no unencrypted PEM key; decrypt it with `openssl pkey`", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The key is of a kind that cannot serve.
    #[error("private key {} cannot be used; it must be RSA of 2048 bits or more, ECDSA P-256 or P-384, or Ed25519", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What rustls said.
        #[source]
        source: rustls::Error,
    },
    /// Key and certificate are not a pair.
    #[error("private key {} does not belong to the first certificate in {}; install the pair that was issued together", key.display(), certificate.display())]
    NotAPair {
        /// The key file.
        key: PathBuf,
        /// The certificate file.
        certificate: PathBuf,
    },
    /// A certificate cannot be read.
    #[error("{what} {}: certificate {number} cannot be read; remove or replace it", path.display())]
    Certificate {
        /// What the file should be.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Which certificate in the file, counted from 1.
        number: usize,
        /// What the parser said, where it said anything.
        #[source]
        source: Option<rustls::Error>,
    },
    /// A revocation list cannot be read.
    #[error("revocation list {} cannot be read; it must be a complete X.509 v2 list, PEM or DER", path.display())]
    Crl {
        /// The file.
        path: PathBuf,
        /// What the parser said, where it said anything.
        #[source]
        source: Option<webpki::Error>,
    },
    /// A parser panicked; what was loaded before stays.
    #[error("{what} {} made the parser fail; do not use this file", path.display())]
    Panicked {
        /// What the file should be.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Client verification or TLS cannot be set up from files that are each fine.
    #[error("client certificates cannot be verified with {} and its revocation lists", path.display())]
    Verifier {
        /// The trust anchors' file.
        path: PathBuf,
        /// What rustls said.
        #[source]
        source: rustls::server::VerifierBuilderError,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up with {}", path.display())]
    Tls {
        /// The certificate file.
        path: PathBuf,
        /// What rustls said.
        #[source]
        source: rustls::Error,
    },
    /// Another process listens there.
    #[error(
        "{address} is in use; stop the process that listens there (`ss -ltnxp`) or choose another address"
    )]
    InUse {
        /// The address.
        address: String,
    },
    /// The address is not one of this machine.
    #[error("{address} is not an address of this machine; use one that `ip address` shows, or [::]")]
    NotLocal {
        /// The address.
        address: String,
    },
    /// The operating system forbids it.
    #[error(
        "the gateway's user may not listen on {address}; grant CAP_NET_BIND_SERVICE or write access, or choose another address"
    )]
    Forbidden {
        /// The address.
        address: String,
    },
    /// Something that is no socket stands where the socket should be.
    #[error("{} exists and is not a socket; move it away or choose another path", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// Listening failed otherwise.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl ListenerError {
    /// Whether what is wrong is a file or a value of the configuration, and not the state of the machine.
    pub(crate) fn is_configuration(&self) -> bool {
        match self {
            Self::Read { .. }
            | Self::TooLarge { .. }
            | Self::Pem { .. }
            | Self::NoCertificate { .. }
            | Self::NoKey { .. }
            | Self::Key { .. }
            | Self::NotAPair { .. }
            | Self::Certificate { .. }
            | Self::Crl { .. }
            | Self::Panicked { .. }
            | Self::Verifier { .. }
            | Self::Tls { .. }
            | Self::NotLocal { .. }
            | Self::NotASocket { .. } => true,
            Self::InUse { .. } | Self::Forbidden { .. } | Self::Listen { .. } => false,
        }
    }
}
