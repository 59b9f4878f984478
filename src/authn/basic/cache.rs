//! Verdicts on passwords, under a keyed hash: neither name nor password can be read from it, and the key is of this process alone.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::super::{Principal, evidence::PasswordProof};
use super::Source;

/// What stands for one person with one password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint([u8; 32]);

/// What is known of a password.
pub(super) enum Known {
    /// The KDC took it, and it was used from there.
    Right(Arc<PasswordProof>, Vec<Source>),
    /// The KDC refused it.
    Wrong,
}

/// All verdicts. Bounded: where there is no room, the one that ends first makes it.
pub(super) struct Verdicts {
    key: Zeroizing<[u8; 64]>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    right: HashMap<Fingerprint, (Arc<PasswordProof>, Vec<Source>)>,
    wrong: HashMap<Fingerprint, Instant>,
    flights: HashMap<Fingerprint, Weak<tokio::sync::Mutex<()>>>,
}

impl Verdicts {
    /// None yet, under a key of their own.
    pub(super) fn new() -> Self {
        let mut key = Zeroizing::new([0; 64]);
        // The kernel always has some by the time that a service is started; without them the hash would still be one, under a known key.
        if getrandom::fill(key.as_mut_slice()).is_err() {
            tracing::error!("The system gives no random bytes");
        }
        Self { key, state: Mutex::default() }
    }

    /// What stands for `principal` with `password`.
    pub(super) fn fingerprint(&self, principal: &Principal, password: &str) -> Fingerprint {
        let mut mac = Hmac::<Sha256>::new((&*self.key).into());
        let name = principal.to_string();
        mac.update(&name.len().to_be_bytes());
        mac.update(name.as_bytes());
        mac.update(password.as_bytes());
        Fingerprint(mac.finalize().into_bytes().into())
    }

    /// What is known at `now`.
    pub(super) fn known(&self, print: Fingerprint, now: Instant) -> Option<Known> {
        let mut state = self.lock();
        if let Some((proof, sources)) = state.right.get(&print) {
            if now < proof.until {
                return Some(Known::Right(Arc::clone(proof), sources.clone()));
            }
            state.right.remove(&print);
        }
        state.wrong.get(&print).filter(|until| now < **until).map(|_| Known::Wrong)
    }

    /// The KDC took it.
    pub(super) fn is_right(&self, print: Fingerprint, proof: Arc<PasswordProof>, source: Source) {
        let mut state = self.lock();
        state.wrong.remove(&print);
        make_room(&mut state.right, |(proof, _)| proof.until);
        state.right.insert(print, (proof, vec![source]));
    }

    /// It was used from `source` as well.
    pub(super) fn was_used(&self, print: Fingerprint, source: Source) {
        if let Some((_, sources)) = self.lock().right.get_mut(&print)
            && !sources.contains(&source)
            && sources.len() < MAX_SOURCES
        {
            sources.push(source);
        }
    }

    /// The KDC refused it; that is remembered until `until`.
    pub(super) fn is_wrong(&self, print: Fingerprint, until: Instant) {
        let mut state = self.lock();
        make_room(&mut state.wrong, |until| *until);
        state.wrong.insert(print, until);
    }

    /// What everybody who asks about this password waits for.
    pub(super) fn flight(&self, print: Fingerprint) -> Arc<tokio::sync::Mutex<()>> {
        let mut state = self.lock();
        if let Some(flight) = state.flights.get(&print).and_then(Weak::upgrade) {
            return flight;
        }
        let flight = Arc::default();
        state.flights.retain(|_, flight| flight.strong_count() > 0);
        state.flights.insert(print, Arc::downgrade(&flight));
        flight
    }

    /// Forgets what is over at `now`.
    pub(super) fn sweep(&self, now: Instant) {
        let mut state = self.lock();
        state.right.retain(|_, (proof, _)| now < proof.until);
        state.wrong.retain(|_, until| now < *until);
    }

    /// Forgets every password that was right.
    pub(super) fn forget_the_right_ones(&self) {
        self.lock().right.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is whole before anything could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Verdicts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verdicts").finish_non_exhaustive()
    }
}

fn make_room<V>(verdicts: &mut HashMap<Fingerprint, V>, ends: impl Fn(&V) -> Instant) {
    if verdicts.len() < MAX_VERDICTS {
        return;
    }
    let first = verdicts.iter().min_by_key(|(_, verdict)| ends(verdict)).map(|(print, _)| *print);
    if let Some(first) = first {
        verdicts.remove(&first);
    }
}

/// How many verdicts of a kind are remembered.
const MAX_VERDICTS: usize = 10_000;
/// From how many places one password is known to be used.
const MAX_SOURCES: usize = 16;

#[cfg(test)]
mod tests {
    use super::super::super::{Realm, Realms};
    use super::*;
    use std::time::Duration;

    fn person(name: &str) -> Principal {
        Realms::new([("CORP.EXAMPLE".to_owned(), Realm::default())]).principal(name, "CORP.EXAMPLE").unwrap()
    }

    #[test]
    fn a_verdict_is_of_one_person_one_password_and_one_process() {
        let verdicts = Verdicts::new();
        let print = verdicts.fingerprint(&person("alice"), "secret");
        assert_eq!(print, verdicts.fingerprint(&person("alice"), "secret"));
        assert_ne!(print, verdicts.fingerprint(&person("alice"), "Secret"));
        assert_ne!(print, verdicts.fingerprint(&person("bob"), "secret"));
        assert_ne!(print, Verdicts::new().fingerprint(&person("alice"), "secret"));
    }

    #[test]
    fn a_wrong_password_is_remembered_for_a_while_and_no_longer() {
        let (verdicts, now) = (Verdicts::new(), Instant::now());
        let print = verdicts.fingerprint(&person("alice"), "wrong");
        assert!(verdicts.known(print, now).is_none());
        verdicts.is_wrong(print, now + Duration::from_secs(60));
        assert!(matches!(verdicts.known(print, now), Some(Known::Wrong)));
        assert!(verdicts.known(print, now + Duration::from_secs(60)).is_none());
        verdicts.sweep(now + Duration::from_secs(60));
        assert!(verdicts.lock().wrong.is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (verdicts, now) = (Verdicts::new(), Instant::now());
        for n in 0..=MAX_VERDICTS {
            let print = verdicts.fingerprint(&person("alice"), &n.to_string());
            verdicts.is_wrong(print, now + Duration::from_secs(60));
        }
        assert_eq!(verdicts.lock().wrong.len(), MAX_VERDICTS);
    }

    #[test]
    fn those_who_ask_about_one_password_wait_for_each_other() {
        let verdicts = Verdicts::new();
        let print = verdicts.fingerprint(&person("alice"), "x");
        let (one, two) = (verdicts.flight(print), verdicts.flight(print));
        assert!(Arc::ptr_eq(&one, &two));
        drop((one, two));
        verdicts.flight(verdicts.fingerprint(&person("bob"), "x"));
        assert!(!verdicts.lock().flights.contains_key(&print), "nobody waits for it any more");
    }
}
