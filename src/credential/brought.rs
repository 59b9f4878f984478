//! Credentials that rest on what somebody brought: a person's ticket or password, an account's password or certificate.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use secrecy::SecretString;

use super::{
    Account, CredentialError,
    account::ClientCertificate,
    error::Question,
    flights::Made,
    held::{Held, Span},
    login::{Login, Names, PasswordDigest},
    supplied::{BackendCredential, Evidence},
    supply::{Brought, Secret, Source, Supply, usable_until},
};
use crate::{
    authn::{Grounds, Principal},
    gssapi::Credential,
    policy::{AccountName, CredentialChoice, EndpointHost, Spn},
};

impl Supply {
    /// The credential of a person by the ticket that they brought, with a ticket for one of `spns`.
    pub(super) async fn by_ticket(
        self: &Arc<Self>,
        principal: &Principal,
        (choice, ticket): (&CredentialChoice, &Credential),
        spns: &[Spn],
    ) -> Made<BackendCredential> {
        self.same_person(principal, ticket)?;
        let key = Brought::Ticket { principal: principal.clone(), ticket: ticket.clone() };
        let asked = match choice {
            CredentialChoice::Ticket { forwarded: false } => &self.counts.s4u2proxy,
            CredentialChoice::Ticket { forwarded: true }
            | CredentialChoice::Password
            | CredentialChoice::S4u { .. }
            | CredentialChoice::Account { .. } => &self.counts.service_tickets,
        };
        let ticketed = self.ticketed(&Source::Brought(key, Secret::Ticket), spns, asked).await?;
        Ok(BackendCredential::ticket(ticketed, choice.kind(), Evidence::Login(ticket.clone())))
    }

    /// The credential that rests on what somebody brought.
    pub(super) async fn brought_by(self: &Arc<Self>, key: &Brought, secret: &Secret) -> Made<Arc<Held>> {
        let make = || {
            let (inner, key, secret) = (Arc::clone(self), key.clone(), secret.clone());
            async move {
                let held = match (&key, secret) {
                    (Brought::Ticket { ticket, .. }, _) => inner.copy(ticket)?,
                    (Brought::Password { account, .. }, Secret::Password { principal, password }) => {
                        inner.log_on_with(account, &principal, password).await?
                    }
                    (Brought::Password { account, .. }, Secret::Ticket) => {
                        return Err(CredentialError::UnknownAccount(account.clone()));
                    }
                };
                Ok((Arc::clone(&held), held.until()))
            }
        };
        self.brought.get(key, make).await
    }

    /// Tickets of our own from those of a person, so that what is obtained with them ends with them.
    fn copy(&self, ticket: &Credential) -> Made<Arc<Held>> {
        let (now, name) = (Instant::now(), ticket.name());
        let copy = ticket.copied().map_err(|error| {
            CredentialError::of(Question::Person { by: THE_SERVICE, principal: name }, error)
        })?;
        let until = usable_until(now, &copy).min(now + self.settings.max_age);
        Held::checked(copy, name, THE_SERVICE, Span { due: until, until }, self.ticket_terms())
    }

    /// INVARIANT (I6): a ticket in another name than the person's is not used, whoever brought it.
    fn same_person(&self, principal: &Principal, ticket: &Credential) -> Made<()> {
        let (wanted, found) = (principal.to_string(), ticket.name());
        let same = wanted == found || self.settings.realms.parse(found).as_ref() == Ok(principal);
        if same {
            return Ok(());
        }
        Err(CredentialError::OtherIdentity { wanted, found: found.to_owned(), source: None })
    }

    /// The credential of an account of a realm by its password, with a ticket for one of `spns`.
    pub(super) async fn by_account_password(
        self: &Arc<Self>,
        name: &AccountName,
        principal: &str,
        spns: &[Spn],
    ) -> Made<BackendCredential> {
        let (_, password, digest) = self.secret(name).await?;
        let key = Brought::Password { account: name.clone(), digest };
        let source = Source::Brought(key, Secret::Password { principal: principal.to_owned(), password });
        let ticketed = self.ticketed(&source, spns, &self.counts.service_tickets).await?;
        Ok(BackendCredential::ticket(ticketed, ACCOUNT, Evidence::Password(digest)))
    }

    async fn log_on_with(
        &self,
        name: &AccountName,
        principal: &str,
        password: SecretString,
    ) -> Made<Arc<Held>> {
        self.counts.logons.fetch_add(1, Ordering::Relaxed);
        let asked = Instant::now();
        let credential = match self.door.from_password(principal, password).await {
            Ok(credential) => credential,
            Err(error) => {
                let keys =
                    "its password; compare `accounts` with the realm, and look whether the account is locked";
                return Err(CredentialError::of(Question::Logon { account: name, principal, keys }, error));
            }
        };
        let until = usable_until(asked, &credential);
        Held::checked(credential, principal, name.as_str(), Span { due: until, until }, self.ticket_terms())
    }

    /// The user name and password of an account, for a host that takes nothing better.
    pub(super) async fn by_login(&self, name: &AccountName, host: &EndpointHost) -> Made<BackendCredential> {
        let (login_name, password, digest) = self.secret(name).await?;
        let local =
            matches!(self.settings.accounts.get(name), Some(Account::Password { principal: None, .. }));
        let unreadable = || CredentialError::Unreadable {
            account: name.clone(),
            cause: format!("{host} has no name that could be its computer's"),
        };
        let names = login_name.at(host).ok_or_else(unreadable)?;
        let until = Instant::now() + self.settings.max_age;
        Ok(BackendCredential::password(Login::new(names, password, local), ACCOUNT, digest, until))
    }

    async fn secret(
        &self,
        name: &AccountName,
    ) -> Made<(&super::login::LoginName, SecretString, PasswordDigest)> {
        let Some(Account::Password { name: login_name, password, .. }) = self.settings.accounts.get(name)
        else {
            return Err(CredentialError::UnknownAccount(name.clone()));
        };
        let unreadable = |cause| CredentialError::Unreadable { account: name.clone(), cause };
        let password = password.read().await.map_err(unreadable)?;
        let digest = PasswordDigest::of(&password);
        let digest = digest.ok_or_else(|| unreadable("the system gives no random bytes".to_owned()))?;
        Ok((login_name, password, digest))
    }

    /// The certificate of an account.
    pub(super) async fn certificate(&self, name: &AccountName) -> Made<Arc<ClientCertificate>> {
        let Some(Account::Certificate(files)) = self.settings.accounts.get(name) else {
            return Err(CredentialError::UnknownAccount(name.clone()));
        };
        let readiness = self.settings.readiness;
        let make = || {
            let (files, account) = (files.clone(), name.clone());
            async move {
                let read = files.read().await;
                let read = read.map_err(|cause| CredentialError::Unreadable { account, cause })?;
                Ok((Arc::new(read), Instant::now() + readiness))
            }
        };
        self.certificates.get(name, make).await
    }
}

/// The person's own name and password, for a host that takes nothing better.
///
/// The name carries its realm, so that no host can take it for an account of its own that happens to be called the same.
pub(super) fn own_login(principal: &Principal, grounds: &Grounds, until: Instant) -> Made<BackendCredential> {
    let Grounds::Password { password, .. } = grounds else {
        return Err(ungrounded(principal, "password", grounds));
    };
    let unreadable = || ungrounded(principal, "password", grounds);
    let digest = PasswordDigest::of(password).ok_or_else(unreadable)?;
    let sent = principal.to_string();
    let names = Names { user: sent.clone(), domain: String::new(), sent };
    let kind = CredentialChoice::Password.kind();
    Ok(BackendCredential::password(Login::new(names, password.clone(), false), kind, digest, until))
}

/// What the person brought is not what the route passes on.
pub(super) fn ungrounded(principal: &Principal, wanted: &'static str, grounds: &Grounds) -> CredentialError {
    let brought = match grounds {
        Grounds::Nothing => "nothing that could be passed on",
        Grounds::Password { .. } => "a password",
        Grounds::Ticket(_) => "a ticket for the gateway alone",
        Grounds::Forwarded(_) => "a forwarded ticket-granting ticket, which only `ticket: forwarded` uses",
    };
    CredentialError::Ungrounded { principal: principal.to_string(), wanted, brought }
}

/// The label of credentials of the gateway's own accounts.
const ACCOUNT: &str = "account";
/// Whose rights a person's own ticket is passed on by.
const THE_SERVICE: &str = "the account in `service.keytab`";
