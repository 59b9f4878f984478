//! Who is asking: evidence from the connection, then the person it names.

mod authenticator;
mod authorization;
mod basic;
mod cert_mapping;
mod certificate;
mod challenge;
mod connection_proof;
mod context;
mod entrance;
mod error;
mod evidence;
mod handshake;
mod keys;
mod local;
mod method;
mod people;
mod principal;
#[cfg(test)]
mod tests;

pub(crate) use authenticator::{Authenticator, AuthenticatorSettings, CbtHardening, PeerRule};
pub(crate) use basic::{BasicSettings, GuardSettings};
pub(crate) use cert_mapping::{
    CertMappingRule, CertMappings, IssuerDigests, PrincipalTemplate, SubjectNames, SubjectPattern,
    Thumbprint, UnmappedCertificate, UriPattern,
};
pub(crate) use certificate::CertificateError;
#[cfg(test)]
pub(crate) use certificate::{Trust, VerifiedCertificate};
pub(crate) use challenge::{Challenge, Reply, Step};
pub(crate) use connection_proof::ConnectionProof;
pub(crate) use context::{SealError, UnsealError, Unsealed};
pub(crate) use entrance::{Entrance, Entrances};
pub(crate) use error::AuthnError;
pub(crate) use evidence::Evidence;
pub(crate) use keys::{KeySettings, is_service};
pub(crate) use local::LocalAccounts;
pub(crate) use method::{Accept, AuthMethod};
pub(crate) use people::{IdentifyError, People, PeopleSettings};
pub(crate) use principal::{NameCase, Principal, PrincipalError, Realm, Realms};

use std::{collections::BTreeSet, fmt};

use secrecy::SecretString;

use crate::gssapi::Credential;

/// The name of a group, as `groups` in the configuration spells it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GroupName(String);

impl GroupName {
    /// The group called `name`.
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name as configured.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a person brought along that a host can be shown, beyond having proved a name.
#[derive(Clone)]
pub(crate) enum Grounds {
    /// Nothing: a certificate, a local process, or a proof that goes no further.
    Nothing,
    /// A password, and the ticket-granting ticket that it was exchanged for.
    Password {
        /// The ticket, in the person's name.
        ticket: Credential,
        /// The password, for hosts that want nothing better.
        password: SecretString,
    },
    /// The ticket by which the person came in: evidence for constrained delegation (`S4U2Proxy`, [MS-SFU]).
    Ticket(Credential),
    /// A ticket-granting ticket that the person's client forwarded.
    Forwarded(Credential),
}

/// The person behind a request.
///
/// INVARIANT: only this module can make one, and only from evidence that it checked; it has neither `Default` nor a public constructor.
#[derive(Debug, Clone)]
pub(crate) struct Authenticated {
    principal: Principal,
    groups: BTreeSet<GroupName>,
    method: AuthMethod,
    evidence: String,
    grounds: Grounds,
}

impl Authenticated {
    /// The canonical identity.
    pub(crate) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The configured groups that the person belongs to.
    pub(crate) fn groups(&self) -> &BTreeSet<GroupName> {
        &self.groups
    }

    /// How the person proved it.
    pub(crate) fn method(&self) -> AuthMethod {
        self.method
    }

    /// What was proved, for the record: `certificate sha256:…`, `uid 1000`.
    pub(crate) fn evidence(&self) -> &str {
        &self.evidence
    }

    /// What the person brought along that a host can be shown.
    pub(crate) fn grounds(&self) -> &Grounds {
        &self.grounds
    }

    /// A person for tests of the stages behind this one.
    #[cfg(test)]
    pub(crate) fn for_test(principal: Principal, groups: &[&str], method: AuthMethod) -> Self {
        let groups = groups.iter().map(|name| GroupName::new(*name)).collect();
        Self { principal, groups, method, evidence: "test".to_owned(), grounds: Grounds::Nothing }
    }
}

impl fmt::Debug for Grounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Password { .. } => "Password",
            Self::Ticket(_) => "Ticket",
            Self::Forwarded(_) => "Forwarded",
        })
    }
}
