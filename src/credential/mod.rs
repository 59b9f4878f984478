//! As whom does the gateway go to a host?
//!
//! In: a person and an [`OperationPermit`]. Out: a [`BackendCredential`]: the person's, by `S4U2Self` and `S4U2Proxy` with the rights of a delegating
//! account, by the ticket or the password that they came with, or that of a shared account where the route says so. Where it is a ticket, it is
//! one for the host's service already.
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

mod account;
mod brought;
mod error;
mod flights;
mod held;
mod login;
mod supplied;
mod supply;
#[cfg(test)]
mod tests;

pub(crate) use account::{Account, CertificateFiles, ClientCertificate, Keys, PasswordSource};
pub(crate) use error::CredentialError;
pub(crate) use flights::CacheStats;
pub(crate) use login::{Login, LoginName};
pub(crate) use supplied::{BackendCredential, Evidence, Means};

use self::{
    brought::{own_login, ungrounded},
    supply::Supply,
};
use crate::{
    authn::{Authenticated, Grounds, Realms},
    gssapi::Door,
    policy::{AccountName, BackendAuth, CredentialChoice, OperationPermit},
};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// Which identities there are, and how much is kept for how long.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The identities that the gateway owns.
    pub(crate) accounts: BTreeMap<AccountName, Account>,
    /// Which names are one person's.
    pub(crate) realms: Realms,
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

impl Settings {
    /// The identities in `accounts`, everything else at its default.
    pub(crate) fn new(accounts: BTreeMap<AccountName, Account>) -> Self {
        Self {
            accounts,
            realms: Realms::default(),
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

impl Credentials {
    /// Asks nobody yet.
    pub(crate) fn new(settings: Settings, door: Arc<Door>) -> Self {
        Self(Supply::new(settings, door))
    }

    /// The credential that `permit` says to use; where it is a ticket, one for a service that the permit names.
    ///
    /// # Errors
    /// Where there is none; nothing else may then be used in its place.
    pub(crate) async fn translate(
        &self,
        person: &Authenticated,
        permit: &OperationPermit,
    ) -> Result<BackendCredential, CredentialError> {
        if person.principal() != permit.principal() {
            let (permitted, person) = (permit.principal().to_string(), person.principal().to_string());
            return Err(CredentialError::OtherPerson { permitted, person });
        }
        match permit.auth() {
            BackendAuth::Kerberos | BackendAuth::Negotiate => self.ticket(person, permit).await,
            BackendAuth::Ntlm | BackendAuth::Basic | BackendAuth::Digest => self.login(person, permit).await,
            BackendAuth::Certificate => self.certificate(person, permit).await,
        }
    }

    /// As whom `permit` is to run on the host, before anybody is asked for a ticket; the credential's own name must turn out the same.
    pub(crate) fn identity_of(&self, permit: &OperationPermit) -> String {
        let Some(account) = permit.credential().account().filter(|_| permit.credential().is_shared()) else {
            return permit.principal().to_string();
        };
        match (self.0.settings.accounts.get(account), permit.auth().is_kerberos()) {
            (Some(Account::Keytab(Keys { principal, .. })), _)
            | (Some(Account::Password { principal: Some(principal), .. }), true) => principal.clone(),
            (Some(Account::Password { name, .. }), _) => {
                name.at(&permit.endpoint().host).map(|names| names.sent).unwrap_or_default()
            }
            (Some(Account::Certificate(_)), _) => format!("certificate of account {account}"),
            (None, _) => String::new(),
        }
    }

    async fn ticket(
        &self,
        person: &Authenticated,
        permit: &OperationPermit,
    ) -> Result<BackendCredential, CredentialError> {
        let (supply, principal, spns) = (&self.0, person.principal(), permit.spns());
        let choice = permit.credential();
        match (choice, person.grounds()) {
            (CredentialChoice::S4u { account }, _) => {
                let ticketed = supply.as_person(account, principal, spns).await?;
                Ok(BackendCredential::ticket(ticketed, choice.kind(), Evidence::Keys))
            }
            (CredentialChoice::Account { account }, _) => match supply.settings.accounts.get(account) {
                Some(Account::Password { principal: Some(principal), .. }) => {
                    supply.by_account_password(account, principal, spns).await
                }
                Some(Account::Keytab(_) | Account::Password { .. } | Account::Certificate(_)) | None => {
                    let ticketed = supply.as_account(account, spns).await?;
                    Ok(BackendCredential::ticket(ticketed, choice.kind(), Evidence::Keys))
                }
            },
            (CredentialChoice::Ticket { forwarded: false }, Grounds::Ticket(ticket))
            | (CredentialChoice::Ticket { forwarded: true }, Grounds::Forwarded(ticket))
            | (CredentialChoice::Password, Grounds::Password { ticket, .. }) => {
                supply.by_ticket(principal, (choice, ticket), spns).await
            }
            (CredentialChoice::Ticket { forwarded: false }, grounds) => {
                Err(ungrounded(principal, "ticket", grounds))
            }
            (CredentialChoice::Ticket { forwarded: true }, grounds) => {
                Err(ungrounded(principal, "forwarded ticket", grounds))
            }
            (CredentialChoice::Password, grounds) => Err(ungrounded(principal, "password", grounds)),
        }
    }

    async fn login(
        &self,
        person: &Authenticated,
        permit: &OperationPermit,
    ) -> Result<BackendCredential, CredentialError> {
        match permit.credential() {
            CredentialChoice::Account { account } => self.0.by_login(account, &permit.endpoint().host).await,
            // The configuration refuses the other two: they hold no password.
            CredentialChoice::Password | CredentialChoice::S4u { .. } | CredentialChoice::Ticket { .. } => {
                let until = Instant::now() + self.0.settings.max_age;
                own_login(person.principal(), person.grounds(), until)
            }
        }
    }

    async fn certificate(
        &self,
        person: &Authenticated,
        permit: &OperationPermit,
    ) -> Result<BackendCredential, CredentialError> {
        let choice = permit.credential();
        let CredentialChoice::Account { account } = choice else {
            return Err(ungrounded(person.principal(), "certificate", person.grounds()));
        };
        let certificate = self.0.certificate(account).await?;
        let until = Instant::now() + self.0.settings.max_age;
        Ok(BackendCredential::certificate(certificate, choice.kind(), until))
    }

    /// Whether every account can be used now, or could a moment ago.
    ///
    /// # Errors
    /// Why the first that cannot does not.
    pub(crate) async fn ready(&self) -> Result<(), CredentialError> {
        self.0.check_all().await
    }

    /// Forgets all that was made for `principal`.
    pub(crate) fn forget(&self, principal: &crate::authn::Principal) {
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
