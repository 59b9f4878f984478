//! What is known of a person beyond the name: by what the certificate is theirs, and what the realm says of them.

use std::{collections::HashMap, fmt, sync::Arc};

use super::{GroupName, LogonInfo, Sid};

/// By what it is settled that a certificate is the mapped person's own (KB5014754 calls it a mapping's strength).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Strength {
    /// By a name in it alone: whoever can have a certificate with that name issued is that person (CVE-2022-26923).
    Name,
    /// By the issuer and the serial number.
    IssuerAndSerial,
    /// By its SHA-256 digest.
    Pin,
}

/// A trust anchor, by the SHA-256 digest of its name and key: a renewed certificate of the same authority is the same anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct AnchorId(pub(super) [u8; 32]);

impl fmt::Display for AnchorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// How a person's certificate stands for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateStanding {
    /// Where the certificate's path ends.
    pub(crate) anchor: AnchorId,
    /// By what the mapping holds.
    pub(crate) strength: Strength,
    /// The account that the certificate was issued for, where its authority wrote so.
    pub(crate) sid: Option<Sid>,
}

/// What is known of a person beyond the name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Standing {
    /// For a person who came in by certificate.
    pub(crate) certificate: Option<CertificateStanding>,
    /// What the realm says; nothing as long as it was not asked.
    pub(crate) logon: Option<Arc<LogonInfo>>,
}

impl Standing {
    /// Whether the certificate is surely the person's own: pinned, or issued for the account that the realm says the person is.
    ///
    /// INVARIANT: an identifier in the certificate counts only where it was compared with the account's own.
    pub(crate) fn is_strong(&self) -> bool {
        self.certificate.as_ref().is_some_and(|certificate| match certificate.strength {
            Strength::IssuerAndSerial | Strength::Pin => true,
            Strength::Name => match (&certificate.sid, &self.logon) {
                (Some(issued_for), Some(logon)) => issued_for == logon.user(),
                (None, _) | (_, None) => false,
            },
        })
    }

    /// Whether the realm's word on the person would make a certificate strong that is not yet.
    pub(crate) fn could_be_strong(&self) -> bool {
        self.certificate.as_ref().is_some_and(|certificate| certificate.sid.is_some()) && self.logon.is_none()
    }
}

/// Why what the realm says is not taken for what it says of this person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StandingError {
    /// The certificate was issued for another account than the person's: somebody had a certificate with this person's name issued.
    #[error("the certificate was issued for the account {issued_for}, and the person's account is {account}")]
    OtherAccount {
        /// In the certificate.
        issued_for: Sid,
        /// The person's own.
        account: Sid,
    },
}

/// The groups that the configuration knows by security identifier.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SidGroups(HashMap<Sid, Vec<GroupName>>);

impl SidGroups {
    /// Groups by their identifiers; two groups may have the same.
    pub(crate) fn new(groups: impl IntoIterator<Item = (GroupName, Sid)>) -> Self {
        let mut by_sid: HashMap<Sid, Vec<GroupName>> = HashMap::new();
        for (name, sid) in groups {
            by_sid.entry(sid).or_default().push(name);
        }
        Self(by_sid)
    }

    /// The configured groups that `logon` names.
    pub(crate) fn of<'g>(&'g self, logon: &'g LogonInfo) -> impl Iterator<Item = &'g GroupName> {
        logon.groups().iter().filter_map(|sid| self.0.get(sid)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = "S-1-5-21-1-2-3-1104";

    fn standing(strength: Strength, issued_for: Option<&str>, account: Option<&str>) -> Standing {
        let sid = issued_for.map(|text| text.parse().unwrap());
        Standing {
            certificate: Some(CertificateStanding { anchor: AnchorId([1; 32]), strength, sid }),
            logon: account.map(|account| Arc::new(LogonInfo::for_test(account, &[]))),
        }
    }

    #[test]
    fn threat_39_a_certificate_is_strong_by_pin_serial_or_the_accounts_own_identifier_and_nothing_else() {
        let other = "S-1-5-21-1-2-3-500";
        for (strength, issued_for, account, strong) in [
            (Strength::Name, None, None, false),
            (Strength::Name, None, Some(ALICE), false),
            (Strength::Name, Some(ALICE), None, false),
            (Strength::Name, Some(ALICE), Some(other), false),
            (Strength::Name, Some("S-1-5-21-1-2-3-11041"), Some(ALICE), false),
            (Strength::Name, Some(ALICE), Some(ALICE), true),
            (Strength::Pin, None, None, true),
            (Strength::IssuerAndSerial, None, None, true),
        ] {
            let standing = standing(strength, issued_for, account);
            assert_eq!(standing.is_strong(), strong, "{standing:?}");
        }
        assert!(!Standing::default().is_strong());
    }

    #[test]
    fn only_an_identifier_that_is_not_yet_compared_is_worth_asking_the_realm_for() {
        assert!(standing(Strength::Name, Some(ALICE), None).could_be_strong());
        assert!(!standing(Strength::Name, Some(ALICE), Some(ALICE)).could_be_strong());
        assert!(!standing(Strength::Name, None, None).could_be_strong());
    }
}
