//! From evidence to a person.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Authenticated, CertMappings, Evidence, Grounds, GroupName, LogonInfo, Principal, Realms, SidGroups, Standing,
    StandingError, UnmappedCertificate,
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
    /// The groups that a ticket's PAC names by their identifiers.
    pub(crate) sid_groups: SidGroups,
}

/// Why evidence names nobody.
#[derive(Debug, thiserror::Error)]
#[error("the certificate stands for nobody")]
pub(crate) struct IdentifyError(#[from] UnmappedCertificate);

impl IdentifyError {
    /// The reason in records and metrics: one of a fixed set.
    pub(crate) fn reason(&self) -> &'static str {
        match self.0 {
            UnmappedCertificate::NoEntry => "no_mapping",
            UnmappedCertificate::Ambiguous => "ambiguous_mapping",
            UnmappedCertificate::SeveralNames => "several_names",
            UnmappedCertificate::Principal(_) => "not_a_principal",
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
        let principal = match evidence {
            Evidence::Peer { principal, .. } => principal.clone(),
            Evidence::Certificate(certificate) => {
                // Identify addresses no resource: only a mapping for every resource holds for it.
                let resource = envelope.resource_uri().map_or("", crate::wsman::ResourceUri::without_query);
                let PeopleSettings { cert_mappings, realms, .. } = &self.settings;
                cert_mappings.map(certificate.signer(), certificate.names(), resource, realms)?
            }
        };
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
            grounds: Grounds::Nothing,
            standing: Standing::default(),
        })
    }

    /// The same person, with what the realm says of them in a ticket of their own.
    ///
    /// INVARIANT: `logon` is of a ticket whose client is this person: an accepted one, or the `S4U2Self` ticket made for the person.
    ///
    /// # Errors
    /// When the person's certificate was issued for another account.
    pub(crate) fn vouched_for(
        &self,
        person: Authenticated,
        logon: Arc<LogonInfo>,
    ) -> Result<Authenticated, StandingError> {
        if let Some(issued_for) = person.standing.certificate.as_ref().and_then(|standing| standing.sid.as_ref())
            && issued_for != logon.user()
        {
            return Err(StandingError::OtherAccount { issued_for: issued_for.clone(), account: logon.user().clone() });
        }
        let Authenticated { mut groups, mut standing, .. } = person;
        groups.extend(self.settings.sid_groups.of(&logon).cloned());
        standing.logon = Some(logon);
        Ok(Authenticated { groups, standing, ..person })
    }
}
