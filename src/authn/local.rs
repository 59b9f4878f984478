//! Accounts that are local to the gateway, and who they are: WinRM's workgroup case.

use std::{collections::BTreeMap, fmt, sync::Arc};

use super::{Principal, Realms};
use crate::ntlm::Verifier;

/// The accounts that come in by NTLM.
pub(crate) struct LocalAccounts {
    verifier: Arc<Verifier>,
    realms: Realms,
    realm: String,
    persons: BTreeMap<String, Principal>,
}

impl LocalAccounts {
    /// The accounts of `verifier`: each is a person of the local realm `realm`, but for those that `persons` (by name in lower case) says are others.
    pub(crate) fn new(
        verifier: Verifier,
        realms: Realms,
        realm: String,
        persons: BTreeMap<String, Principal>,
    ) -> Self {
        Self { verifier: Arc::new(verifier), realms, realm, persons }
    }

    pub(super) fn verifier(&self) -> Arc<Verifier> {
        Arc::clone(&self.verifier)
    }

    /// Who the account called `name` is; nobody where it is not listed any more, or is called what no person may be.
    ///
    /// INVARIANT: an account is a person of a domain only where the operator wrote so.
    pub(super) fn person(&self, name: &str) -> Option<Principal> {
        if !self.verifier.accounts.contains(name) {
            return None;
        }
        match self.persons.get(&name.to_lowercase()) {
            Some(person) => Some(person.clone()),
            None => self.realms.principal(name, &self.realm).ok(),
        }
    }
}

impl fmt::Debug for LocalAccounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalAccounts").field("realm", &self.realm).finish_non_exhaustive()
    }
}
