//! What a host is approached with.

use std::{sync::Arc, time::Instant};

use super::{
    account::ClientCertificate,
    held::Held,
    login::{Login, PasswordDigest},
};
use crate::{gssapi::Credential, policy::Spn};

/// As whom a host is approached, and what proves it.
///
/// INVARIANT: only this module makes one; where GSSAPI tells its name, that was compared with the one wanted.
#[derive(Debug, Clone)]
pub(crate) struct BackendCredential {
    proof: Proof,
    identity: String,
    kind: &'static str,
    evidence: Evidence,
    until: Instant,
}

#[derive(Debug, Clone)]
enum Proof {
    Ticket(Arc<Held>, Spn),
    Password(Arc<Login>),
    Certificate(Arc<ClientCertificate>),
}

/// What proves to a host who is there.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Means<'a> {
    /// A credential with a ticket for this service in it.
    Ticket {
        /// The credential.
        credential: &'a Credential,
        /// The service, which must prove that it is this one.
        spn: &'a Spn,
    },
    /// A user name and its password.
    Password(&'a Login),
    /// A TLS client certificate.
    Certificate(&'a ClientCertificate),
}

/// What stands behind a credential besides its name: two of one name with different evidence are not the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Evidence {
    /// The gateway's own keys.
    Keys,
    /// What a person brought when they logged on this time.
    Login(Credential),
    /// A password.
    Password(PasswordDigest),
    /// A certificate, by its SHA-256.
    Certificate([u8; 32]),
}

impl BackendCredential {
    pub(super) fn ticket((held, spn): (Arc<Held>, Spn), kind: &'static str, evidence: Evidence) -> Self {
        let (identity, until) = (held.credential().name().to_owned(), held.until());
        Self { proof: Proof::Ticket(held, spn), identity, kind, evidence, until }
    }

    pub(super) fn password(login: Login, kind: &'static str, digest: PasswordDigest, until: Instant) -> Self {
        let (identity, evidence) = (login.sent().to_owned(), Evidence::Password(digest));
        Self { proof: Proof::Password(Arc::new(login)), identity, kind, evidence, until }
    }

    pub(super) fn certificate(
        certificate: Arc<ClientCertificate>,
        kind: &'static str,
        until: Instant,
    ) -> Self {
        let evidence = Evidence::Certificate(certificate.fingerprint());
        let identity = certificate.name();
        Self { proof: Proof::Certificate(certificate), identity, kind, evidence, until }
    }

    /// What proves it.
    pub(crate) fn means(&self) -> Means<'_> {
        match &self.proof {
            Proof::Ticket(held, spn) => Means::Ticket { credential: held.credential(), spn },
            Proof::Password(login) => Means::Password(login),
            Proof::Certificate(certificate) => Means::Certificate(certificate),
        }
    }

    /// The name that the host will see: of a ticket as read back from it, of a password as it is sent.
    pub(crate) fn identity(&self) -> &str {
        &self.identity
    }

    /// Whose service the ticket is for, where there is one.
    pub(crate) fn spn(&self) -> Option<&Spn> {
        match &self.proof {
            Proof::Ticket(_, spn) => Some(spn),
            Proof::Password(_) | Proof::Certificate(_) => None,
        }
    }

    /// Where it comes from: `s4u`, `ticket`, `password` or `account`.
    pub(crate) fn kind(&self) -> &'static str {
        self.kind
    }

    /// What stands behind it besides its name.
    pub(crate) const fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// When it, and what was set up with it, is no longer to be used: at the end of its ticket, or when it is ten minutes old.
    pub(crate) fn expires(&self) -> Instant {
        self.until
    }

    /// The credential for GSSAPI.
    #[cfg(test)]
    pub(crate) fn gss(&self) -> &Credential {
        match self.means() {
            Means::Ticket { credential, .. } => credential,
            Means::Password(_) | Means::Certificate(_) => panic!("no ticket"),
        }
    }
}
