//! As whom does the gateway go to a host?
//!
//! In: an [`OperationPermit`]. Out: a [`BackendCredential`] that holds a ticket for the host's service already: the person's, by S4U2Self and
//! S4U2Proxy with the rights of a delegating account, or that of a shared account where the route says so.
//!
//! INVARIANT: the name of a credential, as read back from it, is the one wanted, or the credential is not used. Where one cannot be had the
//! answer is an error; no other identity ever takes its place.
//!
//! INVARIANT: nothing made for a person is used past the end of its ticket or longer than ten minutes, so that a person who is disabled or
//! no longer delegated is turned away then at the latest.
//!
//! INVARIANT: one S4U2Self per person and one S4U2Proxy per person and service is under way at a time, however many ask.
//!
//! Specification: [MS-SFU] (S4U2Self, S4U2Proxy), RFC 4120.
//!
//! Why one code for three causes: the KDC does not tell a sensitive person from a host that is not listed, so neither can the gateway;
//! the error names all of them.

mod error;
mod flights;
mod held;
#[cfg(test)]
mod tests;

pub(crate) use error::CredentialError;
pub(crate) use flights::CacheStats;

use self::{
    flights::{Counts, Flights, Made, Terms},
    held::{Held, Span},
};
use crate::{
    authn::Principal,
    gssapi::{Class, Credential, Door, GssError},
    policy::{AccountName, CredentialChoice, OperationPermit, Spn},
};
use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
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
pub(crate) struct Credentials(Arc<Inner>);

struct Inner {
    settings: Settings,
    door: Arc<Door>,
    /// Trials of an account's keys, kept for a moment.
    logons: Arc<Flights<AccountName, Arc<Held>>>,
    /// The accounts' own credentials in use.
    accounts: Arc<Flights<AccountName, Arc<Held>>>,
    people: Arc<Flights<Impersonation, Arc<Held>>>,
    counts: AllCounts,
}

#[derive(Default)]
struct AllCounts {
    people: Arc<Counts>,
    tickets: Arc<Counts>,
    own: Arc<AtomicU64>,
    s4u2self: Arc<AtomicU64>,
    s4u2proxy: Arc<AtomicU64>,
    service_tickets: Arc<AtomicU64>,
}

/// Counters since start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stats {
    /// Logons of the gateway's own accounts.
    pub(crate) logons: u64,
    /// S4U2Self exchanges asked for.
    pub(crate) s4u2self: u64,
    /// S4U2Proxy exchanges asked for.
    pub(crate) s4u2proxy: u64,
    /// Plain service tickets asked for, for shared accounts.
    pub(crate) service_tickets: u64,
    /// The cache of people's credentials.
    pub(crate) people: CacheStats,
    /// The cache of service tickets.
    pub(crate) tickets: CacheStats,
}

/// A person as whom an account acts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Impersonation {
    account: AccountName,
    principal: Principal,
}

impl fmt::Display for Impersonation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.principal.fmt(f)
    }
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
        let counts = AllCounts::default();
        let of_accounts = Terms { most: settings.accounts.len().max(1), refusals: OWN_REFUSALS };
        let of_people = Terms { most: settings.people.max(1), refusals: settings.refusals };
        Self(Arc::new(Inner {
            logons: Flights::new(of_accounts, Arc::default()),
            accounts: Flights::new(Terms { refusals: Duration::ZERO, ..of_accounts }, Arc::default()),
            people: Flights::new(of_people, Arc::clone(&counts.people)),
            settings,
            door,
            counts,
        }))
    }

    /// The credential that `permit` says to use, with a ticket for the service that it names.
    ///
    /// # Errors
    /// Where there is none; nothing else may then be used in its place.
    pub(crate) async fn translate(&self, permit: &OperationPermit) -> Result<BackendCredential, CredentialError> {
        self.supply(permit.credential(), permit.principal(), permit.spn()).await
    }

    async fn supply(&self, choice: &CredentialChoice, principal: &Principal, spn: &Spn) -> Made<BackendCredential> {
        match choice {
            CredentialChoice::S4u { account } => {
                let whom = Impersonation { account: account.clone(), principal: principal.clone() };
                let held = self.0.with_ticket(&whom, spn).await?;
                Ok(BackendCredential { held, kind: "s4u" })
            }
            CredentialChoice::Account { account } => {
                let held = self.0.account(account).await?;
                held.ticket(&self.0.door, spn, &self.0.counts.service_tickets).await?;
                Ok(BackendCredential { held, kind: "account" })
            }
        }
    }

    /// Whether every account can log on now, or could a moment ago.
    ///
    /// # Errors
    /// Why the first that cannot does not.
    pub(crate) async fn ready(&self) -> Result<(), CredentialError> {
        for account in self.0.settings.accounts.keys() {
            self.0.log_on(account).await?;
        }
        Ok(())
    }

    /// Forgets all that was made for `principal`.
    pub(crate) fn forget(&self, principal: &Principal) {
        self.0.people.forget(|whom, _| whom.principal == *principal);
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.0.people.forget(|_, _| true);
        self.0.accounts.forget(|_, _| true);
        self.0.logons.forget(|_, _| true);
    }

    /// The counters.
    pub(crate) fn stats(&self) -> Stats {
        let counts = &self.0.counts;
        Stats {
            logons: counts.own.load(Ordering::Relaxed),
            s4u2self: counts.s4u2self.load(Ordering::Relaxed),
            s4u2proxy: counts.s4u2proxy.load(Ordering::Relaxed),
            service_tickets: counts.service_tickets.load(Ordering::Relaxed),
            people: counts.people.stats(),
            tickets: counts.tickets.stats(),
        }
    }
}

impl Inner {
    /// The person's credential with a ticket for `spn`.
    async fn with_ticket(self: &Arc<Self>, whom: &Impersonation, spn: &Spn) -> Made<Arc<Held>> {
        let held = self.person(whom).await?;
        let held = match held.ticket(&self.door, spn, &self.counts.s4u2proxy).await {
            Ok(()) => held,
            // The KDC's clock is ahead of ours, or it cut the evidence short.
            Err(error) if error.is_expired() => {
                let is_it = |key: &Impersonation, found: Option<&Arc<Held>>| {
                    key == whom && found.is_some_and(|found| Arc::ptr_eq(found, &held))
                };
                self.people.forget(is_it);
                let anew = self.person(whom).await?;
                anew.ticket(&self.door, spn, &self.counts.s4u2proxy).await?;
                anew
            }
            Err(error) => return Err(error),
        };
        while self.counts.tickets.stats().entries > self.settings.tickets && self.people.forget_oldest() {}
        Ok(held)
    }

    /// The person's credential, by S4U2Self.
    async fn person(self: &Arc<Self>, whom: &Impersonation) -> Made<Arc<Held>> {
        let make = || {
            let (inner, whom) = (Arc::clone(self), whom.clone());
            async move { inner.impersonate(&whom).await.map(|held| (Arc::clone(&held), held.until())) }
        };
        self.people.get(whom, make).await
    }

    async fn impersonate(self: &Arc<Self>, whom: &Impersonation) -> Made<Arc<Held>> {
        let own = self.account(&whom.account).await?;
        let wanted = whom.principal.to_string();
        self.counts.s4u2self.fetch_add(1, Ordering::Relaxed);
        let asked = Instant::now();
        let credential = match self.door.impersonate(own.credential(), &wanted).await {
            Ok(credential) => credential,
            Err(error) => return Err(no_person(wanted, &whom.account, error)),
        };
        let until = usable_until(asked, &credential).min(asked + self.settings.max_age);
        Held::checked(credential, &wanted, &whom.account, Span { due: until, until }, self.ticket_terms())
    }

    /// The account's own credential; renewed behind the back of those who use it, once half of its life is over.
    async fn account(self: &Arc<Self>, name: &AccountName) -> Made<Arc<Held>> {
        let make = || {
            let (inner, name) = (Arc::clone(self), name.clone());
            async move { inner.log_on(&name).await.map(|held| (Arc::clone(&held), held.until())) }
        };
        let held = self.accounts.get(name, make).await?;
        if held.take_renewal() {
            let (inner, name, held) = (Arc::clone(self), name.clone(), Arc::clone(&held));
            tokio::spawn(async move {
                if let Err(error) = inner.log_on(&name).await {
                    tracing::warn!(account = %name, %error, "Own account's ticket not renewed");
                    held.give_renewal_back();
                }
            });
        }
        Ok(held)
    }

    /// Logs the account on with its keys, unless somebody has just done so.
    async fn log_on(self: &Arc<Self>, name: &AccountName) -> Made<Arc<Held>> {
        let make = || {
            let (inner, name) = (Arc::clone(self), name.clone());
            async move {
                let held = inner.ask_for_own(&name).await?;
                inner.take_over(&name, &held);
                let until = held.until().min(Instant::now() + inner.settings.readiness);
                Ok((held, until))
            }
        };
        self.logons.get(name, make).await
    }

    /// Puts a new credential of an account in the place of one that is due.
    fn take_over(&self, name: &AccountName, held: &Arc<Held>) {
        let now = Instant::now();
        let is_due = self.accounts.peek(name).is_none_or(|found| found.is_due(now));
        if is_due {
            self.accounts.put(name, Arc::clone(held), held.until());
        }
    }

    async fn ask_for_own(&self, name: &AccountName) -> Made<Arc<Held>> {
        let Some(keys) = self.settings.accounts.get(name) else {
            return Err(CredentialError::UnknownAccount(name.clone()));
        };
        self.counts.own.fetch_add(1, Ordering::Relaxed);
        let asked = Instant::now();
        let credential = match self.door.from_keytab(&keys.principal, &keys.keytab, None).await {
            Ok(credential) => credential,
            Err(error) => return Err(no_logon(name, keys, error)),
        };
        let until = usable_until(asked, &credential);
        let due = asked + until.saturating_duration_since(asked) / 2;
        Held::checked(credential, &keys.principal, name, Span { due, until }, self.ticket_terms())
    }

    fn ticket_terms(&self) -> (Terms, Arc<Counts>) {
        let terms = Terms { most: self.settings.tickets.max(1), refusals: self.settings.refusals };
        (terms, Arc::clone(&self.counts.tickets))
    }
}

/// When a credential should not be used any more: a little before its ticket ends, so that it does not end under way.
fn usable_until(now: Instant, credential: &Credential) -> Instant {
    let expires = credential.expires();
    let margin = (expires.saturating_duration_since(now) / 10).min(MAX_MARGIN);
    expires.checked_sub(margin).unwrap_or(expires)
}

/// What the failure of an S4U2Self means.
fn no_person(principal: String, account: &AccountName, error: GssError) -> CredentialError {
    let error = match CredentialError::of_any_question(&principal, error) {
        Ok(meant) => return meant,
        Err(error) => error,
    };
    let class = error.classify();
    let (source, target) = (Arc::new(error), format!("`{account}` itself"));
    match class {
        Class::UnknownPrincipal => CredentialError::UnknownPerson { principal, source },
        Class::NotDelegable => {
            CredentialError::NotDelegable { principal, account: account.clone(), target, source }
        }
        _ => CredentialError::Refused { principal, target, source },
    }
}

/// What the failure of an own logon means.
fn no_logon(account: &AccountName, keys: &Keys, error: GssError) -> CredentialError {
    match CredentialError::of_any_question(&keys.principal, error) {
        Ok(meant) => meant,
        Err(error) => CredentialError::OwnAccount {
            account: account.clone(),
            principal: keys.principal.clone(),
            keytab: keys.keytab.display().to_string(),
            source: Arc::new(error),
        },
    }
}

/// How long it is remembered that an own account cannot log on. Longer than other refusals: each trial counts towards the account's lockout.
const OWN_REFUSALS: Duration = Duration::from_secs(10);
/// The most that a credential is given up before its end.
const MAX_MARGIN: Duration = Duration::from_secs(60);
