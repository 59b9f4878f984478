//! Which connections may serve one request in place of another.

use std::path::PathBuf;

use crate::{
    credential::Evidence,
    policy::{BackendAuth, CredentialChoice, Endpoint, EndpointHost, Networks, Spn},
};

/// What a connection is: where to, as whom, proved how.
///
/// INVARIANT (I1): two requests share a connection only where every one of these values is the same. They are exact values, compared whole;
/// a hash only finds the place to compare.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ConnectionKey {
    /// Where to.
    pub(super) endpoint: Endpoint,
    /// The name that the host sees: read back from the ticket, or as it is sent with a password.
    pub(super) identity: String,
    /// Whose keys stand behind that name, and whether it is impersonated.
    pub(super) credential: CredentialChoice,
    /// What stands behind it besides the name: two logons of one person with different grounds are two.
    pub(super) evidence: Evidence,
    /// Who must answer, where that is proved by a ticket.
    pub(super) spn: Option<Spn>,
    /// How the gateway authenticates.
    pub(super) auth: BackendAuth,
    /// What protects the messages.
    pub(super) protection: Protection,
    /// Where the host's name may lead: a connection that one route may not dial is none that it may use.
    pub(super) networks: Networks,
    /// The configuration under which it was opened.
    pub(super) generation: u64,
}

impl ConnectionKey {
    /// The host, for what is bounded per host.
    pub(super) fn host(&self) -> HostKey {
        HostKey { host: self.endpoint.host.clone(), port: self.endpoint.port }
    }
}

/// What protects messages on the way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Protection {
    /// The security context seals every body.
    Sealed,
    /// Nothing; the configuration says so twice, by `allow_unencrypted` and by `trusted_hosts`.
    Nothing,
    /// TLS.
    Tls {
        /// The authorities that count; the system's where there is no file.
        ca_file: Option<PathBuf>,
        /// Which content of that file: connections verified by an earlier one are not used any more.
        anchors: u64,
    },
}

/// A host, whoever goes there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct HostKey {
    host: EndpointHost,
    port: u16,
}
