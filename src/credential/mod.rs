//! As whom does the gateway go to a host?
//!
//! In: an [`OperationPermit`]. Out: a [`BackendCredential`] that holds a ticket for the host's service already: the person's, by `S4U2Self` and
//! `S4U2Proxy` with the rights of a delegating account, or that of a shared account where the route says so.
//!
//! INVARIANT: the name of a credential, as read back from it, is the one wanted, or the credential is not used. Where one cannot be had the
//! answer is an error; no other identity ever takes its place.
//!
//! INVARIANT: nothing made for a person is used past the end of its ticket or longer than ten minutes, so that a person who is disabled or
//! no longer delegated is turned away then at the latest.
//!
//! INVARIANT: one `S4U2Self` per person and one `S4U2Proxy` per person and service is under way at a time, however many ask.
//!
//! Specification: [MS-SFU] (`S4U2Self`, `S4U2Proxy`), RFC 4120.
//!
//! Why one code for three causes: the KDC does not tell a sensitive person from a host that is not listed, so neither can the gateway;
//! the error names all of them.

mod error;
mod flights;
mod held;
mod logon;
mod supply;
#[cfg(test)]
mod tests;

pub(crate) use error::CredentialError;
pub(crate) use flights::CacheStats;

use self::{held::Held, supply::Supply};
use crate::{
    authn::{Authenticated, Principal},
    gssapi::{Credential, Door},
    policy::{AccountName, CredentialChoice, OperationPermit, Spn},
};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

/// Whose keys there are, and how much is kept for how long.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The identities that the gateway owns.
    pub(crate) accounts: BTreeMap<AccountName, Keys>,
    /// For so many people credentials are held at most.
    pub(crate) people: usize,
    /// So many service tickets are held at most, over all people.
    pub(crate) tickets: usize,
    /// How long what was made for a person is used at most.
    pub(crate) max_age: Duration,
    /// How long a refusal is remembered.
    pub(crate) refusals: Duration,
    /// How long it is believed that an account can log on.
    pub(crate) readiness: Duration,
}

/// The keys of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    /// `name@REALM`.
    pub(crate) principal: String,
    /// The file that they are in.
    pub(crate) keytab: PathBuf,
}

impl Settings {
    /// The keys of `accounts`, everything else at its default.
    pub(crate) fn new(accounts: BTreeMap<AccountName, Keys>) -> Self {
        Self {
            accounts,
            people: 10_000,
            tickets: 100_000,
            max_age: Duration::from_secs(600),
            refusals: Duration::from_secs(1),
            readiness: Duration::from_secs(10),
        }
    }
}

/// Makes and keeps the credentials that hosts are approached with.
pub(crate) struct Credentials(Arc<Supply>);

/// Counters since start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stats {
    /// Logons of the gateway's own accounts.
    pub(crate) logons: u64,
    /// `S4U2Self` exchanges asked for.
    pub(crate) s4u2self: u64,
    /// `S4U2Proxy` exchanges asked for.
    pub(crate) s4u2proxy: u64,
    /// Plain service tickets asked for, for shared accounts.
    pub(crate) service_tickets: u64,
    /// The cache of people's credentials.
    pub(crate) people: CacheStats,
    /// The cache of service tickets.
    pub(crate) tickets: CacheStats,
}

/// A credential with a ticket for one host's service in it.
///
/// INVARIANT: only this module makes one, and its name was compared with the one wanted.
#[derive(Debug, Clone)]
pub(crate) struct BackendCredential {
    held: Arc<Held>,
    kind: &'static str,
}

impl BackendCredential {
    /// For the handshake.
    pub(crate) fn gss(&self) -> &Credential {
        self.held.credential()
    }

    /// The name that the host will see, as read back from the credential.
    pub(crate) fn identity(&self) -> &str {
        self.held.credential().name()
    }

    /// Where it comes from: `s4u` or `account`.
    pub(crate) fn kind(&self) -> &'static str {
        self.kind
    }

    /// When it, and what was set up with it, is no longer to be used: at the end of its ticket, or when it is ten minutes old.
    pub(crate) fn expires(&self) -> Instant {
        self.held.until()
    }
}

impl Credentials {
    /// Asks nobody yet.
    pub(crate) fn new(settings: Settings, door: Arc<Door>) -> Self {
        Self(Supply::new(settings, door))
    }

    /// The credential that `permit` says to use, with a ticket for the service that it names.
    ///
    /// # Errors
    /// Where there is none; nothing else may then be used in its place.
    pub(crate) async fn translate(
        &self,
        person: &Authenticated,
        permit: &OperationPermit,
    ) -> Result<BackendCredential, CredentialError> {
        debug_assert_eq!(person.principal(), permit.principal(), "a permit is for the person it was asked for");
        self.supply(permit.credential(), permit.principal(), permit.spn()).await
    }

    /// As whom `permit` is to run on the host, before anybody is asked for a ticket; the credential's own name must turn out the same.
    pub(crate) fn identity_of(&self, permit: &OperationPermit) -> String {
        match permit.credential() {
            CredentialChoice::S4u { .. } => permit.principal().to_string(),
            CredentialChoice::Account { account } => self.0.name_of(account).unwrap_or_default().to_owned(),
        }
    }

    async fn supply(
        &self,
        choice: &CredentialChoice,
        principal: &Principal,
        spn: &Spn,
    ) -> Result<BackendCredential, CredentialError> {
        let (held, kind) = match choice {
            CredentialChoice::S4u { account } => (self.0.as_person(account, principal, spn).await?, "s4u"),
            CredentialChoice::Account { account } => (self.0.as_account(account, spn).await?, "account"),
        };
        Ok(BackendCredential { held, kind })
    }

    /// Whether every account can log on now, or could a moment ago.
    ///
    /// # Errors
    /// Why the first that cannot does not.
    pub(crate) async fn ready(&self) -> Result<(), CredentialError> {
        self.0.log_all_on().await
    }

    /// Forgets all that was made for `principal`.
    pub(crate) fn forget(&self, principal: &Principal) {
        self.0.forget(principal);
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.0.clear();
    }

    /// The counters.
    pub(crate) fn stats(&self) -> Stats {
        self.0.stats()
    }
}
