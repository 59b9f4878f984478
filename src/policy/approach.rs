//! How the gateway goes to a host, and as whom: decided from the configuration, never by what the host offers.

use super::{
    endpoint::{Endpoint, Scheme},
    trusted_hosts::{TrustedHost, TrustedHosts},
};
use std::fmt;

/// As whom, and how, by the method that a person came in with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Approach {
    /// How.
    pub(crate) auth: BackendAuth,
    /// As whom.
    pub(crate) choice: CredentialChoice,
}

/// How the gateway authenticates to a host (seed document, "Authentication for Remote Connections").
///
/// `auth: negotiate` and `auth: default` are no methods: the configuration turns each into one of these before anything is dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum BackendAuth {
    /// Kerberos under the scheme `Kerberos`.
    Kerberos,
    /// Kerberos inside SPNEGO, under the scheme `Negotiate`.
    Negotiate,
    /// NTLM under the scheme `Negotiate`.
    Ntlm,
    /// User name and password with every request.
    Basic,
    /// RFC 7616; Windows hosts never take it.
    Digest,
    /// A TLS client certificate.
    Certificate,
}

impl BackendAuth {
    /// The key under `client.auth` that switches it on.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Kerberos => "kerberos",
            Self::Negotiate | Self::Ntlm => "negotiate",
            Self::Basic => "basic",
            Self::Digest => "digest",
            Self::Certificate => "certificate",
        }
    }

    /// Whether the host proves its own name by a ticket.
    pub(crate) const fn is_kerberos(self) -> bool {
        match self {
            Self::Kerberos | Self::Negotiate => true,
            Self::Ntlm | Self::Basic | Self::Digest | Self::Certificate => false,
        }
    }

    /// Whether bodies would travel in clear where there is no TLS.
    pub(crate) const fn is_clear(self) -> bool {
        match self {
            Self::Basic | Self::Digest => true,
            Self::Kerberos | Self::Negotiate | Self::Ntlm | Self::Certificate => false,
        }
    }
}

/// As whom the gateway goes to a host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum CredentialChoice {
    /// As the person, by S4U with the rights of `account` ([MS-SFU]).
    S4u {
        /// The delegating account.
        account: AccountName,
    },
    /// As the person, by the ticket that they came in with.
    Ticket {
        /// By the ticket-granting ticket that their client forwarded; else by constrained delegation.
        forwarded: bool,
    },
    /// As the person, by the password that they came in with.
    Password,
    /// As `account` itself, whoever asks: the host cannot tell people apart.
    Account {
        /// The shared account.
        account: AccountName,
    },
}

impl CredentialChoice {
    /// Whether the host sees one account whoever asks.
    pub(crate) fn is_shared(&self) -> bool {
        match self {
            Self::S4u { .. } | Self::Ticket { .. } | Self::Password => false,
            Self::Account { .. } => true,
        }
    }

    /// Whether the gateway acts as the person with rights of its own, instead of passing on what the person brought.
    pub(super) fn impersonates(&self) -> bool {
        match self {
            Self::S4u { .. } | Self::Ticket { forwarded: false } => true,
            Self::Ticket { forwarded: true } | Self::Password | Self::Account { .. } => false,
        }
    }

    /// The label in records: `s4u`, `ticket`, `password` or `account`.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::S4u { .. } => "s4u",
            Self::Ticket { .. } => "ticket",
            Self::Password => "password",
            Self::Account { .. } => "account",
        }
    }

    /// The account of the gateway's own that is used, where there is one.
    pub(crate) fn account(&self) -> Option<&AccountName> {
        match self {
            Self::S4u { account } | Self::Account { account } => Some(account),
            Self::Ticket { .. } | Self::Password => None,
        }
    }
}

/// The name of an entry of `accounts`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct AccountName(String);

impl AccountName {
    /// The account called `name`.
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name as configured.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// By what the host's identity is settled before anything is sent to it (I4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HostProof {
    /// It proves by a ticket that it is the service that was asked for.
    Ticket,
    /// It proves its name by a certificate.
    Tls,
    /// By nothing: the configuration says that this destination need not.
    Trusted(TrustedHost),
}

impl HostProof {
    /// What `auth` has to go by at `endpoint`; none where the host proves nothing and `trusted` does not list it ([MS-WSMV] 3.2.4.1.22.1).
    pub(super) fn of(auth: BackendAuth, endpoint: &Endpoint, trusted: &TrustedHosts) -> Option<Self> {
        match (auth, endpoint.scheme) {
            (BackendAuth::Kerberos | BackendAuth::Negotiate, _) => Some(Self::Ticket),
            (_, Scheme::Https) => Some(Self::Tls),
            (BackendAuth::Ntlm | BackendAuth::Basic | BackendAuth::Digest, Scheme::Http) => {
                trusted.vouch(endpoint).map(Self::Trusted)
            }
            // A certificate is shown inside TLS or not at all.
            (BackendAuth::Certificate, Scheme::Http) => None,
        }
    }
}
