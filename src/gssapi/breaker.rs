//! Leaves a realm alone for a while whose KDC does not answer.
//!
//! Why: a call to a silent KDC holds its thread for half a minute and can't be cancelled. Without a breaker a dead realm would take all threads,
//! and with them the realms that are well.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::error::{Class, GssError};

/// One breaker per realm. Only realms that fail are remembered.
#[derive(Debug)]
pub(super) struct Breakers {
    failures: u32,
    pause: Duration,
    realms: Mutex<HashMap<String, State>>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Failed so often in a row, and not often enough.
    Failing(u32),
    /// Left alone until then; afterwards one call may try.
    Open(Instant),
    /// One call is trying.
    Probing,
}

/// The permission to ask a realm's KDC. Dropped without a verdict, it gives up its place as the one that tries.
#[must_use]
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    breakers: &'a Breakers,
    realm: &'a str,
    is_probe: bool,
}

impl Breakers {
    /// Breakers that open after `failures` in a row, for `pause`.
    pub(super) fn new(failures: u32, pause: Duration) -> Self {
        Self { failures: failures.max(1), pause, realms: Mutex::default() }
    }

    /// Whether a call would be refused now; takes no place.
    pub(super) fn refuse_if_open(&self, realm: &str) -> Result<(), GssError> {
        let is_open = match self.lock().get(realm) {
            Some(State::Open(until)) => Instant::now() < *until,
            Some(State::Probing) => true,
            Some(State::Failing(_)) | None => false,
        };
        if is_open { Err(GssError::BreakerOpen { realm: realm.to_owned() }) } else { Ok(()) }
    }

    /// Lets a call through, as the one that tries where the realm was left alone until now.
    pub(super) fn admit<'a>(&'a self, realm: &'a str) -> Result<Attempt<'a>, GssError> {
        self.refuse_if_open(realm)?;
        let mut realms = self.lock();
        let mut is_probe = false;
        match realms.get_mut(realm) {
            Some(State::Probing) => return Err(GssError::BreakerOpen { realm: realm.to_owned() }),
            Some(state @ State::Open(_)) => {
                *state = State::Probing;
                is_probe = true;
            }
            Some(State::Failing(_)) | None => {}
        }
        Ok(Attempt { breakers: self, realm, is_probe })
    }

    /// Counts a failure of a call that was not asked for an [`Attempt`].
    pub(super) fn failed(&self, realm: &str) {
        let mut realms = self.lock();
        let state = realms.entry(realm.to_owned()).or_insert(State::Failing(0));
        *state = match *state {
            State::Failing(count) if count.saturating_add(1) < self.failures => State::Failing(count + 1),
            State::Failing(_) | State::Probing => State::Open(Instant::now() + self.pause),
            // Calls that began before it opened do not prolong the pause.
            State::Open(until) => State::Open(until),
        };
    }

    /// The realms that are being left alone.
    pub(super) fn open(&self) -> Vec<String> {
        let realms = self.lock();
        let is_open = |state: &State| matches!(state, State::Open(_) | State::Probing);
        let mut open: Vec<String> =
            realms.iter().filter(|(_, state)| is_open(state)).map(|(realm, _)| realm.clone()).collect();
        open.sort();
        open
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, State>> {
        // A poisoned map is still a map: every change to it is a single assignment.
        self.realms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// Takes note of how the call ended. What a KDC refused, it answered; what failed before the KDC was asked says nothing.
    pub(super) fn settle<T>(mut self, result: &Result<T, GssError>) {
        match result {
            Err(error) if is_failure(error) => self.fail(),
            Err(GssError::Call { .. }) | Ok(_) => {
                self.is_probe = false;
                self.breakers.lock().remove(self.realm);
            }
            Err(_) => {}
        }
    }

    /// No answer in time.
    pub(super) fn timed_out(mut self) {
        self.fail();
    }

    fn fail(&mut self) {
        self.is_probe = false;
        self.breakers.failed(self.realm);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.is_probe {
            // The next one may try at once.
            self.breakers.lock().insert(self.realm.to_owned(), State::Open(Instant::now()));
        }
    }
}

/// Whether an error says that the realm's KDC does not answer.
pub(super) fn is_failure(error: &GssError) -> bool {
    matches!(error.classify(), Class::KdcUnreachable | Class::TimedOut)
}
