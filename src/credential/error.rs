//! Why there is no credential, in the operator's words.

use crate::{
    gssapi::{Class, GssError},
    policy::AccountName,
};
use std::sync::Arc;

/// Why the gateway cannot go to a host as the one it should go as.
///
/// Cloned, because everybody who waited for the same ticket is told the same.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum CredentialError {
    /// The KDC has no such person.
    #[error(
        "the realm has no account `{principal}`; compare what the certificate maps to with the account's \
         sAMAccountName (`Get-ADUser`)"
    )]
    UnknownPerson {
        /// The person.
        principal: String,
        /// The KDC's answer.
        source: Arc<GssError>,
    },
    /// The KDC will not have the person delegated, or not to this host.
    #[error(
        "`{account}` may not act as `{principal}` towards {target}: the person's account is sensitive or in \
         Protected Users, the target is not in msDS-AllowedToDelegateTo of `{account}` (`Set-ADUser {account} -Add \
         @{{'msDS-AllowedToDelegateTo'='{target}'}}`), or protocol transition is off (`Set-ADAccountControl {account} \
         -TrustedToAuthForDelegation $true`); the KDC has one code for all three"
    )]
    NotDelegable {
        /// The person.
        principal: String,
        /// The delegating account.
        account: String,
        /// The service, or that it was not come to that.
        target: String,
        /// The KDC's answer.
        source: Arc<GssError>,
    },
    /// The KDC has no such service.
    #[error(
        "the realm has no service `{spn}`; register it on the host's account (`setspn -S {spn} COMPUTER`)"
    )]
    UnknownService {
        /// The service.
        spn: String,
        /// The KDC's answer.
        source: Arc<GssError>,
    },
    /// No KDC answers, or too many requests wait for one.
    #[error("no KDC answers for `{wanted}`; look at the KDCs' health, and at `kdc` in krb5.conf")]
    KdcUnavailable {
        /// Whose ticket was wanted.
        wanted: String,
        /// What happened; nothing where the question was dropped with the runtime that asked it.
        source: Option<Arc<GssError>>,
    },
    /// The ticket is in another name than the one asked for, or in none.
    #[error(
        "a ticket for `{wanted}` came back in the name `{found}`, so it is not used; a KDC that answers in the \
         account's own name does not support constrained delegation"
    )]
    OtherIdentity {
        /// The name asked for.
        wanted: String,
        /// The name read back; empty where there is none.
        found: String,
        /// What the library found, where it was the one to find it.
        source: Option<Arc<GssError>>,
    },
    /// No account of this name has what the route's method needs.
    #[error("no account `{0}` with what the route needs is configured under `accounts`")]
    UnknownAccount(AccountName),
    /// The gateway's own account cannot log on.
    #[error("the gateway's own account `{account}` ({principal}) cannot log on with {keys}")]
    OwnAccount {
        /// The account.
        account: AccountName,
        /// Its principal.
        principal: String,
        /// What it logs on with, and what to look at.
        keys: String,
        /// What happened.
        source: Arc<GssError>,
    },
    /// The secret of the gateway's own account can't be read.
    #[error("the secret of the account `{account}` can't be used: {cause}")]
    Unreadable {
        /// The account.
        account: AccountName,
        /// What the system says.
        cause: String,
    },
    /// The person did not bring what the route passes on.
    #[error(
        "the route goes to its hosts with the {wanted} of whoever asks, and `{principal}` brought {brought}; let the client authenticate otherwise, \
         or choose another `credential`"
    )]
    Ungrounded {
        /// The person.
        principal: String,
        /// What the route passes on.
        wanted: &'static str,
        /// What there is.
        brought: &'static str,
    },
    /// The permit is another person's.
    #[error("a permit of `{permitted}` was used for `{person}`")]
    OtherPerson {
        /// Whose permit it is.
        permitted: String,
        /// Who came with it.
        person: String,
    },
    /// The person's ticket is over.
    #[error("the ticket of `{principal}` has expired; the client must log on again")]
    Expired {
        /// The person.
        principal: String,
        /// The KDC's answer.
        source: Arc<GssError>,
    },
    /// The clocks are too far apart.
    #[error(
        "the clocks of this machine and the KDC differ too much for a ticket of `{principal}`; look at both machines' time"
    )]
    Skew {
        /// Whose ticket was wanted.
        principal: String,
        /// The KDC's answer.
        source: Arc<GssError>,
    },
    /// The KDC refused for another reason.
    #[error("the KDC refused a ticket for `{principal}` to {target}")]
    Refused {
        /// As whom.
        principal: String,
        /// The service, or that it was not come to that.
        target: String,
        /// The KDC's answer.
        source: Arc<GssError>,
    },
}

impl CredentialError {
    /// Every reason.
    pub(crate) const REASONS: [&'static str; 13] = [
        "unknown_person",
        "not_delegable",
        "unknown_service",
        "kdc_unavailable",
        "other_identity",
        "unknown_account",
        "own_account",
        "unreadable_secret",
        "ungrounded",
        "other_person",
        "expired",
        "clock_skew",
        "refused",
    ];

    /// The reason as a label in records and metrics, one of [`Self::REASONS`].
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::UnknownPerson { .. } => "unknown_person",
            Self::NotDelegable { .. } => "not_delegable",
            Self::UnknownService { .. } => "unknown_service",
            Self::KdcUnavailable { .. } => "kdc_unavailable",
            Self::OtherIdentity { .. } => "other_identity",
            Self::UnknownAccount(_) => "unknown_account",
            Self::OwnAccount { .. } => "own_account",
            Self::Unreadable { .. } => "unreadable_secret",
            Self::Ungrounded { .. } => "ungrounded",
            Self::OtherPerson { .. } => "other_person",
            Self::Expired { .. } => "expired",
            Self::Skew { .. } => "clock_skew",
            Self::Refused { .. } => "refused",
        }
    }

    /// Whether it is worth remembering for a moment. That no KDC answers is not: that is for the breaker to know.
    pub(super) const fn is_lasting(&self) -> bool {
        !matches!(self, Self::KdcUnavailable { .. })
    }

    /// Whether a password is wrong: asked with it again, the KDC would only count it towards the account's lockout.
    pub(super) fn is_wrong_password(&self) -> bool {
        matches!(self, Self::OwnAccount { source, .. } if source.classify() == Class::WrongPassword)
    }

    /// Whether a ticket that was still on hand had ended for the KDC already.
    pub(super) const fn is_expired(&self) -> bool {
        matches!(self, Self::Expired { .. })
    }

    /// What `error` means as the answer to `question`. Whatever has no meaning of its own is a refusal.
    pub(super) fn of(question: Question<'_>, error: GssError) -> Self {
        let class = error.classify();
        let found =
            if let GssError::OtherIdentity { found, .. } = &error { found.clone() } else { String::new() };
        let source = Arc::new(error);
        let principal = question.principal().to_owned();
        match (class, question) {
            (Class::KdcUnreachable | Class::TimedOut | Class::BreakerOpen | Class::Overloaded, _) => {
                Self::KdcUnavailable { wanted: principal, source: Some(source) }
            }
            (Class::OtherIdentity, _) => {
                Self::OtherIdentity { wanted: principal, found, source: Some(source) }
            }
            (Class::Skew, _) => Self::Skew { principal, source },
            (_, Question::Logon { account, keys, .. }) => {
                Self::OwnAccount { account: account.clone(), principal, keys: keys.to_owned(), source }
            }
            (Class::Expired, _) => Self::Expired { principal, source },
            (Class::UnknownPrincipal, _) => Self::UnknownPerson { principal, source },
            (Class::UnknownService, Question::Ticket { spn, .. }) => {
                Self::UnknownService { spn: spn.to_owned(), source }
            }
            (Class::NotDelegable, Question::Person { by, .. } | Question::Ticket { by, .. }) => {
                let target = question.target();
                Self::NotDelegable { principal, account: by.to_owned(), target, source }
            }
            (_, Question::Person { .. } | Question::Ticket { .. }) => {
                Self::Refused { principal, target: question.target(), source }
            }
        }
    }
}

/// What a KDC is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Question<'a> {
    /// The gateway's own account, with these keys.
    Logon { account: &'a AccountName, principal: &'a str, keys: &'a str },
    /// A person, by `S4U2Self` with the rights of an account.
    Person { by: &'a str, principal: &'a str },
    /// A service, by `S4U2Proxy` with somebody's rights, or as the account itself.
    Ticket { by: &'a str, principal: &'a str, spn: &'a str },
}

impl<'a> Question<'a> {
    fn principal(self) -> &'a str {
        match self {
            Self::Logon { principal, .. }
            | Self::Person { principal, .. }
            | Self::Ticket { principal, .. } => principal,
        }
    }

    fn target(self) -> String {
        match self {
            Self::Logon { account, .. } => format!("{account} itself"),
            Self::Person { by, .. } => format!("{by} itself"),
            Self::Ticket { spn, .. } => spn.to_owned(),
        }
    }
}
