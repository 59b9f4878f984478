//! The door: every call that may touch the network goes through here.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use secrecy::SecretString;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinHandle, spawn_blocking},
    time::timeout_at,
};

use super::{
    bindings::ChannelBindings,
    breaker::{Breakers, is_failure},
    credential::{self, Credential},
    error::GssError,
    initiator::{self, Initiator, Mechanism},
    name::realm_of,
    stats::{Call, Counters, DoorStats},
};

/// How patient the door is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DoorSettings {
    /// How many calls run at once.
    pub(crate) threads: usize,
    /// How long a caller waits, for a thread and for the answer together.
    pub(crate) deadline: Duration,
    /// After how many failures in a row a realm is left alone.
    pub(crate) breaker_failures: u32,
    /// For how long.
    pub(crate) breaker_pause: Duration,
}

/// Bounded threads, a deadline for each caller, a breaker per realm, and counters. One per gateway.
#[derive(Debug)]
pub(crate) struct Door {
    settings: DoorSettings,
    threads: Arc<Semaphore>,
    breakers: Breakers,
    counters: Arc<Counters>,
}

#[expect(clippy::wrong_self_convention, reason = "from what a credential is made, not from what the door is")]
impl Door {
    /// A door with its own threads and breakers.
    pub(crate) fn new(settings: DoorSettings) -> Self {
        Self {
            settings,
            threads: Arc::new(Semaphore::new(settings.threads.clamp(1, Semaphore::MAX_PERMITS))),
            breakers: Breakers::new(settings.breaker_failures, settings.breaker_pause),
            counters: Arc::default(),
        }
    }

    /// What it did so far.
    pub(crate) fn stats(&self) -> DoorStats {
        DoorStats {
            calls: self.counters.calls(),
            breakers_open: self.breakers.open(),
            refused: self.counters.refused.load(Ordering::Relaxed),
            timed_out: self.counters.timed_out.load(Ordering::Relaxed),
            in_flight: self.counters.in_flight.load(Ordering::Relaxed),
        }
    }

    /// An initial ticket of `principal` (`name@REALM`) with its keys in `keytab`; the credential initiates, impersonates, and accepts.
    /// `replay_cache` is the file that remembers accepted tokens; without one it is libkrb5's default file.
    ///
    /// # Errors
    /// When the keytab can't be read or lacks the principal, or when the realm gives no ticket.
    pub(crate) async fn from_keytab(
        &self,
        principal: &str,
        keytab: &Path,
        replay_cache: Option<&Path>,
    ) -> Result<Credential, GssError> {
        let (name, keytab, cache) =
            (principal.to_owned(), keytab.to_owned(), replay_cache.map(Path::to_path_buf));
        let work = move || credential::from_keytab(&name, &keytab, cache.as_deref());
        self.ask(Call::Keytab, realm_of(principal)?, work).await
    }

    /// An initial ticket of `principal` with a password.
    ///
    /// # Errors
    /// When the realm gives no ticket for it.
    pub(crate) async fn from_password(
        &self,
        principal: &str,
        password: SecretString,
    ) -> Result<Credential, GssError> {
        let name = principal.to_owned();
        let work = move || credential::from_password(&name, &password);
        self.ask(Call::Password, realm_of(principal)?, work).await
    }

    /// The keys of `keytab`, for accepting as any of its principals; no ticket, no name, so never for initiating.
    ///
    /// # Errors
    /// When the keytab can't be read.
    pub(crate) async fn acceptor(
        &self,
        keytab: &Path,
        replay_cache: Option<&Path>,
    ) -> Result<Credential, GssError> {
        let (keytab, cache) = (keytab.to_owned(), replay_cache.map(Path::to_path_buf));
        let deadline = self.deadline();
        let work = move || credential::acceptor(&keytab, cache.as_deref());
        self.result("the keytab's realm", deadline, self.start(Call::Acceptor, deadline, work).await?).await
    }

    /// `S4U2Self`: `service` becomes `principal` towards the targets that its delegation lists.
    ///
    /// # Errors
    /// When the realm does not know the person, will not delegate, or answers in another name.
    pub(crate) async fn impersonate(
        &self,
        service: &Credential,
        principal: &str,
    ) -> Result<Credential, GssError> {
        let (service, name) = (service.clone(), principal.to_owned());
        let realm = service.realm().to_owned();
        self.ask(Call::Impersonate, &realm, move || credential::impersonate(&service, &name)).await
    }

    /// Obtains the ticket for `spn` into the credential's own cache: `S4U2Proxy`, or a plain TGS exchange.
    ///
    /// # Errors
    /// When the realm gives no such ticket.
    pub(crate) async fn prefetch(&self, credential: &Credential, spn: &str) -> Result<(), GssError> {
        let (theirs, spn) = (credential.clone(), spn.to_owned());
        self.ask(Call::Prefetch, credential.realm(), move || initiator::prefetch(&theirs, &spn)).await
    }

    /// The first leg of a handshake with `spn`: `HTTP/host[@REALM]`, or `HTTP@host`.
    ///
    /// It passes an open breaker: with the ticket in the cache it needs no KDC. Without, it counts like any call.
    ///
    /// # Errors
    /// When there is no ticket for the service and the realm gives none.
    pub(crate) async fn initiate(
        &self,
        credential: &Credential,
        spn: &str,
        mechanism: Mechanism,
        bindings: Option<&ChannelBindings>,
    ) -> Result<(Initiator, Vec<u8>), GssError> {
        let (theirs, spn, bindings) = (credential.clone(), spn.to_owned(), bindings.cloned());
        let deadline = self.deadline();
        let work = move || initiator::initiate(&theirs, &spn, mechanism, bindings);
        let running = self.start(Call::Initiate, deadline, work).await?;
        let result = self.result(credential.realm(), deadline, running).await;
        if result.as_ref().is_err_and(is_failure) {
            self.breakers.failed(credential.realm());
        }
        result
    }

    /// Makes a call that asks the KDC of `realm`.
    async fn ask<T, F>(&self, call: Call, realm: &str, work: F) -> Result<T, GssError>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, GssError> + Send + 'static,
    {
        let deadline = self.deadline();
        let refused = |_: &GssError| {
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
        };
        self.breakers.refuse_if_open(realm).inspect_err(refused)?;
        let permit = self.permit(deadline).await?;
        // Asked again: while this caller waited for a thread, others may have found the realm dead.
        let attempt = self.breakers.admit(realm).inspect_err(refused)?;
        let result = self.result(realm, deadline, self.spawn(call, permit, work)).await;
        match &result {
            Err(GssError::TimedOut { .. }) => attempt.timed_out(),
            _ => attempt.settle(&result),
        }
        result
    }

    pub(super) async fn start<T, F>(
        &self,
        call: Call,
        deadline: tokio::time::Instant,
        work: F,
    ) -> Result<JoinHandle<Result<T, GssError>>, GssError>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, GssError> + Send + 'static,
    {
        let permit = self.permit(deadline).await?;
        Ok(self.spawn(call, permit, work))
    }

    pub(super) fn deadline(&self) -> tokio::time::Instant {
        tokio::time::Instant::now() + self.settings.deadline
    }

    /// Waits for a free thread.
    async fn permit(&self, deadline: tokio::time::Instant) -> Result<OwnedSemaphorePermit, GssError> {
        match timeout_at(deadline, Arc::clone(&self.threads).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            // The semaphore is never closed, so what is left is the deadline.
            Ok(Err(_)) | Err(_) => {
                self.counters.refused.fetch_add(1, Ordering::Relaxed);
                Err(GssError::Overloaded { threads: self.settings.threads, deadline: self.settings.deadline })
            }
        }
    }

    /// Runs the call to its end on a thread of its own: nothing can stop it, whoever waits or not.
    fn spawn<T, F>(
        &self,
        call: Call,
        permit: OwnedSemaphorePermit,
        work: F,
    ) -> JoinHandle<Result<T, GssError>>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, GssError> + Send + 'static,
    {
        let thread = Thread::taken(permit, &self.counters);
        spawn_blocking(move || {
            let started = Instant::now();
            let result = work();
            thread.counters.ended(call, started.elapsed(), result.is_err());
            result
        })
    }

    /// Waits for the end of the call, but not for longer than the caller may.
    pub(super) async fn result<T>(
        &self,
        realm: &str,
        deadline: tokio::time::Instant,
        running: JoinHandle<Result<T, GssError>>,
    ) -> Result<T, GssError> {
        match timeout_at(deadline, running).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(GssError::Lost),
            Err(_) => {
                self.counters.timed_out.fetch_add(1, Ordering::Relaxed);
                Err(GssError::TimedOut { realm: realm.to_owned(), deadline: self.settings.deadline })
            }
        }
    }
}

/// A place among the threads; free again on drop, also when the call panics.
struct Thread {
    counters: Arc<Counters>,
    _permit: OwnedSemaphorePermit,
}

impl Thread {
    fn taken(permit: OwnedSemaphorePermit, counters: &Arc<Counters>) -> Self {
        counters.in_flight.fetch_add(1, Ordering::Relaxed);
        Self { counters: Arc::clone(counters), _permit: permit }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.counters.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
