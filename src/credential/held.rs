//! A credential at hand, and the service tickets that were put into it.

use super::{
    error::{CredentialError, Question},
    flights::{Counts, Flights, Made, Terms},
};
use crate::{
    authn::LogonInfo,
    gssapi::{Credential, Door},
    policy::{AccountName, Spn},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};
use tokio::sync::OnceCell;

/// A credential whose name was found to be the one wanted.
///
/// INVARIANT: only [`Held::checked`] makes one.
#[derive(Debug)]
pub(super) struct Held {
    credential: Credential,
    account: AccountName,
    /// From here on it should be made anew.
    due: Instant,
    /// From here on it must not be used.
    until: Instant,
    renewing: AtomicBool,
    /// The services that there are tickets for, all of which end with the credential.
    tickets: Arc<Flights<Spn, ()>>,
    /// What the realm says of the person, once it was asked for; it ends with the credential.
    pub(super) logon: OnceCell<Arc<LogonInfo>>,
}

/// How long a credential may be used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// From here on it should be made anew.
    pub(super) due: Instant,
    /// From here on it must not be used.
    pub(super) until: Instant,
}

impl Held {
    /// Holds `credential` if it is in the name of `wanted`.
    ///
    /// The name is what GSSAPI reads from the credential, and it is compared here although `gssapi` compares it too: whoever passes the
    /// gateway a ticket in another name, the gateway's own above all, must get past both.
    ///
    /// # Errors
    /// Where the name is another, or there is none.
    pub(super) fn checked(
        credential: Credential,
        wanted: &str,
        account: &AccountName,
        span: Span,
        tickets: (Terms, Arc<Counts>),
    ) -> Made<Arc<Self>> {
        same_name(wanted, credential.name())?;
        let Span { due, until } = span;
        let tickets = Flights::new(tickets.0, tickets.1);
        let account = account.clone();
        Ok(Arc::new(Self { credential, account, due, until, renewing: AtomicBool::new(false), tickets, logon: OnceCell::new() }))
    }

    pub(super) fn credential(&self) -> &Credential {
        &self.credential
    }

    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// Whether it should be made anew.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        now >= self.due
    }

    /// Whether it should be made anew and nobody is at it yet; who is told so is at it.
    pub(super) fn take_renewal(&self) -> bool {
        self.is_due(Instant::now()) && !self.renewing.swap(true, Ordering::AcqRel)
    }

    /// Lets the next one who asks renew it: this time it came to nothing.
    pub(super) fn give_renewal_back(&self) {
        self.renewing.store(false, Ordering::Release);
    }

    /// Makes sure that there is a ticket for `spn`; `asked` counts the questions to the KDC.
    pub(super) async fn ticket(
        self: &Arc<Self>,
        door: &Arc<Door>,
        spn: &Spn,
        asked: &Arc<AtomicU64>,
    ) -> Made<()> {
        let make = || {
            let (held, door, spn, asked) =
                (Arc::clone(self), Arc::clone(door), spn.to_string(), Arc::clone(asked));
            async move {
                asked.fetch_add(1, Ordering::Relaxed);
                match door.prefetch(&held.credential, &spn).await {
                    Ok(()) => Ok(((), held.until)),
                    Err(error) => {
                        let (account, principal) = (&held.account, held.credential.name());
                        Err(CredentialError::of(Question::Ticket { account, principal, spn: &spn }, error))
                    }
                }
            }
        };
        self.tickets.get(spn, make).await
    }
}

/// Compares the name of a credential with the one it was asked for, byte for byte.
pub(super) fn same_name(wanted: &str, found: &str) -> Made<()> {
    if !found.is_empty() && found == wanted {
        return Ok(());
    }
    Err(CredentialError::OtherIdentity { wanted: wanted.to_owned(), found: found.to_owned(), source: None })
}
