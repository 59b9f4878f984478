//! From evidence to a person.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Authenticated, CertMappings, Evidence, GroupName, Principal, PrincipalError, Realms, UnmappedCertificate,
    evidence::Proof,
};
use crate::wsman::Envelope;

/// Who may be behind evidence.
#[derive(Debug, Clone, Default)]
pub(crate) struct PeopleSettings {
    /// The realms of principals.
    pub(crate) realms: Realms,
    /// From certificates to principals.
    pub(crate) cert_mappings: CertMappings,
    /// The members of groups, as the file has them.
    pub(crate) groups: BTreeMap<GroupName, BTreeSet<Principal>>,
}

/// Why evidence names nobody.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentifyError {
    /// The certificate's names map to nobody, or to several.
    #[error("the certificate stands for nobody")]
    Certificate(#[from] UnmappedCertificate),
    /// The ticket's name is nobody's any more.
    #[error("the ticket stands for nobody")]
    Ticket(#[from] PrincipalError),
    /// The proof names one person, and something else that the connection proved another.
    #[error("the request is of {one}, and its connection also proved to be of {other}")]
    TwoPeople {
        /// Whom the proof names.
        one: Principal,
        /// Whom the other names.
        other: Principal,
    },
}

impl IdentifyError {
    /// The reason in records and metrics: one of a fixed set.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Certificate(UnmappedCertificate::NoEntry) => "no_mapping",
            Self::Certificate(UnmappedCertificate::Ambiguous) => "ambiguous_mapping",
            Self::Certificate(UnmappedCertificate::SeveralNames) => "several_names",
            Self::Certificate(UnmappedCertificate::Principal(_)) => "not_a_principal",
            Self::Ticket(PrincipalError::UnknownRealm | PrincipalError::NoRealm) => "foreign_realm",
            Self::Ticket(
                PrincipalError::Empty | PrincipalError::ForbiddenCharacter | PrincipalError::TooLong,
            ) => "not_a_principal",
            Self::TwoPeople { .. } => "two_people",
        }
    }
}

/// Knows people by their evidence.
#[derive(Debug, Clone, Default)]
pub(crate) struct People {
    settings: PeopleSettings,
}

impl People {
    /// The people of `settings`.
    pub(crate) fn new(settings: PeopleSettings) -> Self {
        Self { settings }
    }

    /// The person that `evidence` names for the resource in `envelope`.
    ///
    /// # Errors
    /// When it names nobody, or more than one.
    pub(crate) fn identify(
        &self,
        evidence: &Evidence,
        envelope: &Envelope,
    ) -> Result<Authenticated, IdentifyError> {
        let principal = self.person(&evidence.proof, envelope)?;
        self.refuse_another(&principal, evidence, envelope)?;
        let groups = self
            .settings
            .groups
            .iter()
            .filter(|(_, members)| members.contains(&principal))
            .map(|(name, _)| name.clone())
            .collect();
        Ok(Authenticated {
            principal,
            groups,
            method: evidence.method(),
            evidence: evidence.describe(),
            grounds: evidence.grounds(),
        })
    }

    fn person(&self, proof: &Proof, envelope: &Envelope) -> Result<Principal, IdentifyError> {
        let PeopleSettings { cert_mappings, realms, .. } = &self.settings;
        match proof {
            Proof::Peer { principal, .. } => Ok(principal.clone()),
            Proof::Ntlm(proof) => Ok(proof.principal.clone()),
            Proof::Password(proof) => Ok(proof.principal.clone()),
            Proof::Ticket(ticket) => Ok(realms.of_ticket(&ticket.client)?),
            Proof::Certificate(certificate) => {
                // Identify addresses no resource: only a mapping for every resource holds for it.
                let resource = envelope.resource_uri().map_or("", crate::wsman::ResourceUri::without_query);
                Ok(cert_mappings.map(certificate.signer(), certificate.names(), resource, realms)?)
            }
        }
    }

    /// INVARIANT: what else a connection proved never adds to who somebody is; where it names another person, nobody is let in.
    fn refuse_another(
        &self,
        one: &Principal,
        evidence: &Evidence,
        envelope: &Envelope,
    ) -> Result<(), IdentifyError> {
        let Some(beside) = &evidence.beside else { return Ok(()) };
        match self.person(beside, envelope) {
            Ok(other) if other == *one => Ok(()),
            Ok(other) => Err(IdentifyError::TwoPeople { one: one.clone(), other }),
            // A certificate that stands for nobody here may serve another purpose.
            Err(IdentifyError::Certificate(UnmappedCertificate::NoEntry)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
