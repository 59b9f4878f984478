//! gssapi (skeleton: the signatures are final, the bodies follow)
#![allow(dead_code, clippy::unused_async, unused_variables, clippy::todo, clippy::unused_self)]

mod error;

pub(crate) use error::{Class, GssError};

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use secrecy::SecretString;

/// The one door to GSSAPI: bounded threads, a deadline for each caller, a breaker per realm.
pub(crate) struct Door(DoorSettings);

/// How patient the door is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DoorSettings {
    /// How many calls run at once.
    pub(crate) threads: usize,
    /// How long a caller waits, for a thread and for the answer together.
    pub(crate) deadline: Duration,
    /// After how many failures in a row a realm is left alone.
    pub(crate) breaker_failures: u32,
    /// For how long.
    pub(crate) breaker_pause: Duration,
}

/// What the door did so far.
#[derive(Debug, Clone)]
pub(crate) struct DoorStats {
    /// Each kind of call; see [`DoorStats::of`].
    pub(crate) calls: Vec<(Call, CallStats)>,
    /// The realms that are being left alone.
    pub(crate) breakers_open: Vec<String>,
    /// Callers that were refused: breaker open, or overloaded.
    pub(crate) refused: u64,
    /// Callers whose deadline passed.
    pub(crate) timed_out: u64,
    /// Calls running now.
    pub(crate) in_flight: usize,
}

/// The kinds of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// Initial ticket with the keys of a keytab.
    Keytab,
    /// Initial ticket with a password.
    Password,
    /// Keys for accepting.
    Acceptor,
    /// S4U2Self.
    Impersonate,
    /// The ticket for a service (S4U2Proxy, or a plain TGS exchange).
    Prefetch,
    /// First leg of a handshake.
    Initiate,
}

impl Call {
    /// All of them.
    pub(crate) const ALL: [Self; 6] =
        [Self::Keytab, Self::Password, Self::Acceptor, Self::Impersonate, Self::Prefetch, Self::Initiate];

    /// The label in metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Keytab => "keytab",
            Self::Password => "password",
            Self::Acceptor => "acceptor",
            Self::Impersonate => "impersonate",
            Self::Prefetch => "prefetch",
            Self::Initiate => "initiate",
        }
    }
}

/// One kind of call in numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CallStats {
    /// Calls that ended.
    pub(crate) count: u64,
    /// Those that ended with an error.
    pub(crate) errors: u64,
    /// The time that all took together.
    pub(crate) total_micros: u64,
    /// How many took at most [`LATENCY_BUCKETS_MICROS`] (not cumulative); the last place is for slower ones.
    pub(crate) buckets: [u64; LATENCY_BUCKETS_MICROS.len() + 1],
}

/// The upper bounds of the latency histogram.
pub(crate) const LATENCY_BUCKETS_MICROS: [u64; 9] =
    [1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 2_000_000, 10_000_000];

impl Door {
    /// A door with its own threads and breakers.
    pub(crate) fn new(settings: DoorSettings) -> Self {
        Self(settings)
    }
    /// What it did so far.
    pub(crate) fn stats(&self) -> DoorStats {
        todo!()
    }
    /// Initial credentials of `principal` (`name@REALM`) with the keys of `keytab`, for initiating and accepting.
    pub(crate) async fn from_keytab(
        &self,
        principal: &str,
        keytab: &Path,
        replay_cache: Option<&Path>,
    ) -> Result<Credential, GssError> {
        todo!()
    }
    /// Initial credentials of `principal` with a password.
    pub(crate) async fn from_password(
        &self,
        principal: &str,
        password: SecretString,
    ) -> Result<Credential, GssError> {
        todo!()
    }
    /// Keys for accepting, of any principal in `keytab`.
    pub(crate) async fn acceptor(
        &self,
        keytab: &Path,
        replay_cache: Option<&Path>,
    ) -> Result<Credential, GssError> {
        todo!()
    }
    /// S4U2Self.
    pub(crate) async fn impersonate(
        &self,
        service: &Credential,
        principal: &str,
    ) -> Result<Credential, GssError> {
        todo!()
    }
    /// S4U2Proxy.
    pub(crate) async fn prefetch(&self, credential: &Credential, spn: &str) -> Result<(), GssError> {
        todo!()
    }
    /// First leg.
    pub(crate) async fn initiate(
        &self,
        credential: &Credential,
        spn: &str,
        mechanism: Mechanism,
        bindings: Option<&ChannelBindings>,
    ) -> Result<(Initiator, Vec<u8>), GssError> {
        todo!()
    }
}

/// What the handshake speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Mechanism {
    /// Kerberos alone (`Authorization: Kerberos`).
    Krb5,
    /// Kerberos inside SPNEGO (`Authorization: Negotiate`).
    Spnego,
}

/// Keys or tickets in one name.
#[derive(Debug, Clone)]
pub(crate) struct Credential(Arc<(String, String, Instant)>);
impl Credential {
    /// The name as GSSAPI reads it back; empty for acceptors that serve every key of their keytab.
    pub(crate) fn name(&self) -> &str {
        &self.0.0
    }
    /// The realm of the name.
    pub(crate) fn realm(&self) -> &str {
        &self.0.1
    }
    /// When the tickets end.
    pub(crate) fn expires(&self) -> Instant {
        self.0.2
    }
}

/// What a TLS connection adds to the handshake: `tls-server-end-point` (RFC 5929 section 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChannelBindings(Vec<u8>);
/// The certificate can't be read, so nothing can be bound to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server's certificate can't be read, so nothing can be bound to it")]
pub(crate) struct BindingsError;
impl ChannelBindings {
    /// Binds to the certificate that the client of the TLS connection sees.
    pub(crate) fn tls_server_end_point(certificate_der: &[u8]) -> Result<Self, BindingsError> {
        todo!()
    }
}

/// The client's side of a handshake that waits for the peer's next token.
#[derive(Debug)]
pub(crate) struct Initiator(());
/// What a token led to.
#[derive(Debug)]
pub(crate) enum Initiated {
    /// Both sides have proved who they are; a last token may be left to send.
    Established(SecurityContext, Option<Vec<u8>>),
    /// Another token goes out and another is awaited.
    Continue(Initiator, Vec<u8>),
}
impl Initiator {
    /// Takes the peer's token.
    pub(crate) fn step(self, token: &[u8]) -> Result<Initiated, GssError> {
        todo!()
    }
}
/// The server's side of a handshake.
#[derive(Debug)]
pub(crate) struct Acceptor(());
/// What a token led to.
#[derive(Debug)]
pub(crate) enum Accepted {
    /// The client has proved who it is.
    Established(SecurityContext, Option<Vec<u8>>),
    /// Another token goes out and another is awaited.
    Continue(Acceptor, Vec<u8>),
}
impl Acceptor {
    /// Waits for a client's first token.
    pub(crate) fn new(credential: &Credential, bindings: Option<&ChannelBindings>) -> Self {
        todo!()
    }
    /// Takes the client's token.
    pub(crate) fn step(self, token: &[u8]) -> Result<Accepted, GssError> {
        todo!()
    }
}

/// An established context: the only thing that seals.
#[derive(Debug)]
pub(crate) struct SecurityContext(std::cell::Cell<()>);
/// A sealed message in WinRM's two parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sealed {
    /// What stands before the data.
    pub(crate) header: Vec<u8>,
    /// The encrypted message, with the padding that some ciphers add.
    pub(crate) data: Vec<u8>,
}
impl SecurityContext {
    /// Encrypts.
    pub(crate) fn seal(&mut self, plain: &[u8]) -> Result<Sealed, GssError> {
        todo!()
    }
    /// Decrypts.
    pub(crate) fn unseal(&mut self, header: &[u8], data: &[u8]) -> Result<Vec<u8>, GssError> {
        todo!()
    }
    /// Who initiated.
    pub(crate) fn initiator_name(&self) -> &str {
        todo!()
    }
    /// Who accepted.
    pub(crate) fn acceptor_name(&self) -> &str {
        todo!()
    }
    /// When the context ends.
    pub(crate) fn expires(&self) -> Instant {
        todo!()
    }
    /// Whether both sides named the same TLS channel.
    pub(crate) fn is_channel_bound(&self) -> bool {
        todo!()
    }
    /// The PAC's logon information (`[MS-PAC]` 2.5), where the ticket has one.
    pub(crate) fn pac(&self) -> Result<Option<Vec<u8>>, GssError> {
        todo!()
    }
}
