//! What the realm says of a person: the account's identifier and its groups, from the person's own `S4U2Self` ticket.

use super::{
    CredentialError, Credentials,
    error::Question,
    flights::Made,
    held::Held,
    supply::{Impersonation, Supply},
};
use crate::{
    authn::{LogonInfo, Principal},
    policy::AccountName,
};
use std::sync::Arc;

impl Credentials {
    /// Who `principal` is in the realm, and in which groups, at most ten minutes old.
    ///
    /// `account` asks where it holds keys, else any account of the person's realm, else any.
    ///
    /// # Errors
    /// Where it cannot be known: the person must then be refused wherever groups decide, and is never taken to be in none.
    pub(crate) async fn logon_info(
        &self,
        principal: &Principal,
        account: Option<&AccountName>,
    ) -> Result<Arc<LogonInfo>, CredentialError> {
        self.0.logon_info(principal, account).await
    }
}

impl Supply {
    async fn logon_info(
        self: &Arc<Self>,
        principal: &Principal,
        wanted: Option<&AccountName>,
    ) -> Made<Arc<LogonInfo>> {
        let account = self.asks_for(principal, wanted).ok_or_else(|| CredentialError::GroupsUnknown {
            principal: principal.to_string(),
            why: "no account with a keytab is configured under `accounts` to ask the realm".to_owned(),
        })?;
        let whom = Impersonation { account: account.clone(), principal: principal.clone() };
        let held = self.person(&whom).await?;
        let found = held.logon.get_or_try_init(|| self.read(&held, &whom)).await;
        if !found.as_ref().is_err_and(|error| error.is_expired()) {
            return found.cloned();
        }
        self.people.forget(|key, found| *key == whom && found.is_some_and(|found| Arc::ptr_eq(found, &held)));
        let held = self.person(&whom).await?;
        held.logon.get_or_try_init(|| self.read(&held, &whom)).await.cloned()
    }

    /// The account that asks for `principal`.
    fn asks_for<'s>(
        &'s self,
        principal: &Principal,
        wanted: Option<&'s AccountName>,
    ) -> Option<&'s AccountName> {
        let accounts = &self.settings.accounts;
        let of_realm =
            |keys: &str| keys.rsplit_once('@').is_some_and(|(_, realm)| realm == principal.realm());
        wanted
            .filter(|account| accounts.contains_key(*account))
            .or_else(|| {
                accounts.iter().find(|(_, keys)| of_realm(&keys.principal)).map(|(account, _)| account)
            })
            .or_else(|| accounts.keys().next())
    }

    async fn read(self: &Arc<Self>, held: &Held, whom: &Impersonation) -> Made<Arc<LogonInfo>> {
        let principal = whom.principal.to_string();
        let unknown = |why: String| CredentialError::GroupsUnknown { principal: principal.clone(), why };
        let own = self.account(&whom.account).await?;
        let Some(keys) = self.settings.accounts.get(&whom.account) else {
            return Err(CredentialError::UnknownAccount(whom.account.clone()));
        };
        match self.door.logon_info(held.credential(), own.credential(), &keys.keytab).await {
            Ok(Some(bytes)) => match LogonInfo::parse(&bytes) {
                Ok(logon) => Ok(Arc::new(logon)),
                Err(error) => Err(unknown(error.to_string())),
            },
            Ok(None) => Err(unknown("the realm writes no PAC into its tickets".to_owned())),
            Err(error) => {
                let question = Question::Person { account: &whom.account, principal: &principal };
                Err(CredentialError::of(question, error))
            }
        }
    }
}
