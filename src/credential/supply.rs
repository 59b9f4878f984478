//! Makes credentials, keeps them, and makes them anew when they are due.

use super::{
    Account, CredentialError, Settings, Stats,
    account::{ClientCertificate, Keys},
    error::Question,
    flights::{Counts, Flights, Made, Terms},
    held::{Held, Span},
    login::PasswordDigest,
};
use crate::{
    authn::Principal,
    gssapi::{Credential, Door},
    policy::{AccountName, Spn},
};
use secrecy::SecretString;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Everything that is at hand, and the way to what is not.
pub(super) struct Supply {
    pub(super) settings: Settings,
    pub(super) door: Arc<Door>,
    /// Trials of an account's keys, kept for a moment.
    pub(super) logons: Arc<Flights<AccountName, Arc<Held>>>,
    /// The accounts' own credentials in use.
    pub(super) accounts: Arc<Flights<AccountName, Arc<Held>>>,
    pub(super) people: Arc<Flights<Impersonation, Arc<Held>>>,
    /// Credentials that rest on what somebody brought.
    pub(super) brought: Arc<Flights<Brought, Arc<Held>>>,
    pub(super) certificates: Arc<Flights<AccountName, Arc<ClientCertificate>>>,
    pub(super) counts: AllCounts,
}

#[derive(Default)]
pub(super) struct AllCounts {
    people: Arc<Counts>,
    tickets: Arc<Counts>,
    pub(super) logons: AtomicU64,
    s4u2self: AtomicU64,
    pub(super) s4u2proxy: Arc<AtomicU64>,
    pub(super) service_tickets: Arc<AtomicU64>,
}

/// A person as whom an account acts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Impersonation {
    pub(super) account: AccountName,
    pub(super) principal: Principal,
}

impl fmt::Display for Impersonation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.principal.fmt(f)
    }
}

/// What somebody brought: the same name with something else is another key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Brought {
    /// A person's own ticket of this logon.
    Ticket { principal: Principal, ticket: Credential },
    /// An account's password.
    Password { account: AccountName, digest: PasswordDigest },
}

/// Where a credential comes from.
pub(super) enum Source {
    /// `S4U2Self`.
    Person(Impersonation),
    /// An account's keys.
    Account(AccountName),
    /// What somebody brought, and what is needed to use it.
    Brought(Brought, Secret),
}

/// What is needed to use what somebody brought.
#[derive(Clone)]
pub(super) enum Secret {
    /// Nothing more.
    Ticket,
    /// The password of this principal.
    Password { principal: String, password: SecretString },
}

impl fmt::Display for Brought {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ticket { principal, .. } => principal.fmt(f),
            Self::Password { account, .. } => account.fmt(f),
        }
    }
}

impl Supply {
    pub(super) fn new(settings: Settings, door: Arc<Door>) -> Arc<Self> {
        let counts = AllCounts::default();
        let of_accounts = Terms { most: settings.accounts.len().max(1), refusals: OWN_REFUSALS };
        let of_people = Terms { most: settings.people.max(1), refusals: settings.refusals };
        Arc::new(Self {
            logons: Flights::new(of_accounts, Arc::default()),
            accounts: Flights::new(Terms { refusals: Duration::ZERO, ..of_accounts }, Arc::default()),
            people: Flights::new(of_people, Arc::clone(&counts.people)),
            brought: Flights::new(Terms { refusals: OWN_REFUSALS, ..of_people }, Arc::clone(&counts.people)),
            certificates: Flights::new(of_accounts, Arc::default()),
            settings,
            door,
            counts,
        })
    }

    /// The credential of `principal`, by the rights of `account`, with a ticket for one of `spns`.
    pub(super) async fn as_person(
        self: &Arc<Self>,
        account: &AccountName,
        principal: &Principal,
        spns: &[Spn],
    ) -> Made<(Arc<Held>, Spn)> {
        let whom = Impersonation { account: account.clone(), principal: principal.clone() };
        self.ticketed(&Source::Person(whom), spns, &self.counts.s4u2proxy).await
    }

    /// The credential of `account` itself, with a ticket for one of `spns`.
    pub(super) async fn as_account(
        self: &Arc<Self>,
        account: &AccountName,
        spns: &[Spn],
    ) -> Made<(Arc<Held>, Spn)> {
        self.ticketed(&Source::Account(account.clone()), spns, &self.counts.service_tickets).await
    }

    /// A credential from `source`, with a ticket for one of `spns` in it. Made once more where what was at hand turns out to have expired.
    pub(super) async fn ticketed(
        self: &Arc<Self>,
        source: &Source,
        spns: &[Spn],
        asked: &Arc<AtomicU64>,
    ) -> Made<(Arc<Held>, Spn)> {
        let mut held = self.from(source).await?;
        let mut ticket = self.first_known(&held, spns, asked).await;
        if ticket.as_ref().is_err_and(CredentialError::is_expired) {
            self.forget_from(source, &held);
            held = self.from(source).await?;
            ticket = self.first_known(&held, spns, asked).await;
        }
        self.keep_within_bounds();
        ticket.map(|spn| (held, spn))
    }

    async fn from(self: &Arc<Self>, source: &Source) -> Made<Arc<Held>> {
        match source {
            Source::Person(whom) => self.person(whom).await,
            Source::Account(account) => self.account(account).await,
            Source::Brought(key, secret) => self.brought_by(key, secret).await,
        }
    }

    fn forget_from(&self, source: &Source, held: &Arc<Held>) {
        match source {
            Source::Person(whom) => self.people.forget(|key, found| key == whom && is_same(found, held)),
            Source::Account(account) => self.forget_account(account, held),
            Source::Brought(wanted, _) => {
                self.brought.forget(|key, found| key == wanted && is_same(found, held));
            }
        }
    }

    /// A ticket for the first of `spns` that the KDC knows. Any other refusal is final: what may not be reached under one name is not tried
    /// under the next.
    async fn first_known(&self, held: &Arc<Held>, spns: &[Spn], asked: &Arc<AtomicU64>) -> Made<Spn> {
        let mut last = None;
        for spn in spns {
            match held.ticket(&self.door, spn, asked).await {
                Ok(()) => return Ok(spn.clone()),
                Err(error @ CredentialError::UnknownService { .. }) => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| CredentialError::Ungrounded {
            principal: held.credential().name().to_owned(),
            wanted: "ticket",
            brought: "it to a host that has no service principal name",
        }))
    }

    fn keep_within_bounds(&self) {
        while self.counts.tickets.stats().entries > self.settings.tickets
            && (self.people.forget_oldest() || self.brought.forget_oldest())
        {}
    }

    /// Whether every account can be used now, or could a moment ago. Passwords are not tried: each trial would count towards a lockout.
    pub(super) async fn check_all(self: &Arc<Self>) -> Made<()> {
        for (name, account) in &self.settings.accounts {
            match account {
                Account::Keytab(_) => drop(self.log_on(name).await?),
                Account::Password { password, .. } => {
                    let unreadable = |cause| CredentialError::Unreadable { account: name.clone(), cause };
                    drop(password.read().await.map_err(unreadable)?);
                }
                Account::Certificate(_) => drop(self.certificate(name).await?),
            }
        }
        Ok(())
    }

    pub(super) fn forget(&self, principal: &Principal) {
        self.people.forget(|whom, _| whom.principal == *principal);
        self.brought
            .forget(|key, _| matches!(key, Brought::Ticket { principal: whose, .. } if whose == principal));
    }

    pub(super) fn clear(&self) {
        self.people.forget(|_, _| true);
        self.brought.forget(|_, _| true);
        self.accounts.forget(|_, _| true);
        self.logons.forget(|_, _| true);
        self.certificates.forget(|_, _| true);
    }

    pub(super) fn stats(&self) -> Stats {
        let counts = &self.counts;
        Stats {
            logons: counts.logons.load(Ordering::Relaxed),
            s4u2self: counts.s4u2self.load(Ordering::Relaxed),
            s4u2proxy: counts.s4u2proxy.load(Ordering::Relaxed),
            service_tickets: counts.service_tickets.load(Ordering::Relaxed),
            people: counts.people.stats(),
            tickets: counts.tickets.stats(),
        }
    }

    /// The person's credential, by `S4U2Self`.
    async fn person(self: &Arc<Self>, whom: &Impersonation) -> Made<Arc<Held>> {
        let make = || {
            let (inner, whom) = (Arc::clone(self), whom.clone());
            async move { inner.impersonate(&whom).await.map(|held| (Arc::clone(&held), held.until())) }
        };
        self.people.get(whom, make).await
    }

    async fn impersonate(self: &Arc<Self>, whom: &Impersonation) -> Made<Arc<Held>> {
        let own = self.account(&whom.account).await?;
        let made = self.impersonate_with(&own, whom).await;
        if !made.as_ref().is_err_and(CredentialError::is_expired) {
            return made;
        }
        self.forget_account(&whom.account, &own);
        let own = self.account(&whom.account).await?;
        self.impersonate_with(&own, whom).await
    }

    async fn impersonate_with(&self, own: &Held, whom: &Impersonation) -> Made<Arc<Held>> {
        let wanted = whom.principal.to_string();
        self.counts.s4u2self.fetch_add(1, Ordering::Relaxed);
        let (asked, by) = (Instant::now(), whom.account.as_str());
        let credential = match self.door.impersonate(own.credential(), &wanted).await {
            Ok(credential) => credential,
            Err(error) => {
                return Err(CredentialError::of(Question::Person { by, principal: &wanted }, error));
            }
        };
        let until = usable_until(asked, &credential).min(asked + self.settings.max_age);
        Held::checked(credential, &wanted, by, Span { due: until, until }, self.ticket_terms())
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
        let Some(Account::Keytab(Keys { principal, keytab })) = self.settings.accounts.get(name) else {
            return Err(CredentialError::UnknownAccount(name.clone()));
        };
        self.counts.logons.fetch_add(1, Ordering::Relaxed);
        let asked = Instant::now();
        let credential = match self.door.from_keytab(principal, keytab, None).await {
            Ok(credential) => credential,
            Err(error) => {
                let keytab = keytab.display();
                let keys = format!(
                    "`{keytab}`; compare the keytab's names and key version (`klist -kte {keytab}`) with the account's \
                     (`msDS-KeyVersionNumber`)"
                );
                return Err(CredentialError::of(
                    Question::Logon { account: name, principal, keys: &keys },
                    error,
                ));
            }
        };
        let until = usable_until(asked, &credential);
        let due = asked + until.saturating_duration_since(asked) / 2;
        Held::checked(credential, principal, name.as_str(), Span { due, until }, self.ticket_terms())
    }

    /// Forgets a credential of an account that the KDC no longer takes, unless it has been replaced already.
    fn forget_account(&self, account: &AccountName, held: &Arc<Held>) {
        self.accounts.forget(|key, found| key == account && is_same(found, held));
        self.logons.forget(|key, found| key == account && is_same(found, held));
    }

    pub(super) fn ticket_terms(&self) -> (Terms, Arc<Counts>) {
        let terms = Terms { most: self.settings.tickets.max(1), refusals: self.settings.refusals };
        (terms, Arc::clone(&self.counts.tickets))
    }
}

fn is_same(found: Option<&Arc<Held>>, held: &Arc<Held>) -> bool {
    found.is_some_and(|found| Arc::ptr_eq(found, held))
}

/// When a credential should not be used any more: a little before its ticket ends, so that it does not end under way.
pub(super) fn usable_until(now: Instant, credential: &Credential) -> Instant {
    let expires = credential.expires();
    let margin = (expires.saturating_duration_since(now) / 10).min(MAX_MARGIN);
    expires.checked_sub(margin).unwrap_or(expires)
}

/// How long it is remembered that an own account cannot log on. Longer than other refusals: each trial counts towards the account's lockout.
const OWN_REFUSALS: Duration = Duration::from_secs(10);
/// The most that a credential is given up before its end.
const MAX_MARGIN: Duration = Duration::from_secs(60);
