//! How many wrong passwords reach the KDC: fewer than lock an account.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    net::{Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::time::{Duration, Instant};

use super::super::{Principal, challenge::Unproved};
use crate::listener::ClientAddr;

/// How many failures are let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GuardSettings {
    /// Wrong passwords of one person within the window.
    pub(crate) failures: usize,
    /// Wrong passwords from one source within the window.
    pub(crate) failures_per_source: usize,
    /// How long one counts.
    pub(crate) window: Duration,
}

impl Default for GuardSettings {
    fn default() -> Self {
        Self { failures: 3, failures_per_source: 30, window: Duration::from_secs(30 * 60) }
    }
}

/// Where passwords come from: an IPv4 address, an IPv6 network that one customer has, or a local user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// The first 64 bits of an IPv6 address.
    V6([u16; 4]),
    /// A local process' user.
    Uid(u32),
}

impl Source {
    /// The source of what a client sends.
    pub(crate) fn of(client: &ClientAddr) -> Self {
        match client {
            ClientAddr::Unix { uid, .. } => Self::Uid(*uid),
            ClientAddr::Tcp(address) => match address.ip().to_canonical() {
                std::net::IpAddr::V4(address) => Self::V4(address),
                std::net::IpAddr::V6(address) => Self::v6(address),
            },
        }
    }

    const fn v6(address: Ipv6Addr) -> Self {
        let [a, b, c, d, ..] = address.segments();
        Self::V6([a, b, c, d])
    }
}

/// Counts failures exactly: of each person, and from each source.
///
/// INVARIANT: within any window no more than [`GuardSettings::failures`] wrong passwords of one person reach the KDC. An attempt counts from before
/// it is made until it is known not to have been a failure, so attempts at the same time can't get past the bound.
#[derive(Debug)]
pub(in crate::authn) struct Guard {
    settings: GuardSettings,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    persons: HashMap<Principal, VecDeque<Instant>>,
    sources: HashMap<Source, VecDeque<Instant>>,
}

/// The permission to try one password. Dropped without a verdict, it counts for nothing.
#[must_use]
#[derive(Debug)]
pub(in crate::authn) struct Attempt<'a> {
    guard: &'a Guard,
    person: Option<&'a Principal>,
    source: Source,
    at: Instant,
    counts: bool,
}

impl Guard {
    /// A guard under `settings`, which goes on counting where `former` is under the same.
    pub(in crate::authn) fn new(settings: GuardSettings, former: Option<&Arc<Self>>) -> Arc<Self> {
        match former.filter(|former| former.settings == settings) {
            Some(former) => Arc::clone(former),
            None => Arc::new(Self::with(settings)),
        }
    }

    fn with(settings: GuardSettings) -> Self {
        Self { settings, counts: Mutex::default() }
    }

    /// Lets a password of `person` be tried, if it may be.
    pub(super) fn attempt<'a>(
        &'a self,
        person: &'a Principal,
        source: Source,
        now: Instant,
    ) -> Result<Attempt<'a>, Unproved> {
        let mut counts = self.lock();
        let Counts { persons, sources } = &mut *counts;
        let of_source = self.settings.failures_per_source;
        self.room(sources, &source, of_source, now).ok_or_else(|| locked("from this source"))?;
        self.room(persons, person, self.settings.failures, now).ok_or_else(|| locked("of this person"))?;
        persons.entry(person.clone()).or_default().push_back(now);
        sources.entry(source).or_default().push_back(now);
        Ok(Attempt { guard: self, person: Some(person), source, at: now, counts: false })
    }

    /// Lets somebody be looked at whose name is not known, or nobody's: it counts for its source alone.
    pub(in crate::authn) fn try_name(&self, source: Source, now: Instant) -> Result<Attempt<'_>, Unproved> {
        let mut counts = self.lock();
        let of_source = self.settings.failures_per_source;
        self.room(&mut counts.sources, &source, of_source, now).ok_or_else(|| locked("from this source"))?;
        counts.sources.entry(source).or_default().push_back(now);
        Ok(Attempt { guard: self, person: None, source, at: now, counts: false })
    }

    /// Why a password that is believed does not count now, if it does not. `known_there`: it was used from this source before.
    pub(super) fn is_locked(
        &self,
        person: &Principal,
        source: Source,
        known_there: bool,
        now: Instant,
    ) -> Option<Unproved> {
        let mut counts = self.lock();
        let Counts { persons, sources } = &mut *counts;
        if self.room(sources, &source, self.settings.failures_per_source, now).is_none() {
            return Some(locked("from this source"));
        }
        let open = known_there || self.room(persons, person, self.settings.failures, now).is_some();
        (!open).then(|| locked("of this person"))
    }

    /// Forgets failures that no longer count.
    pub(in crate::authn) fn sweep(&self, now: Instant) {
        let mut counts = self.lock();
        let window = self.settings.window;
        let counting = |failures: &mut VecDeque<Instant>| {
            failures.retain(|at| now.saturating_duration_since(*at) < window);
            !failures.is_empty()
        };
        counts.persons.retain(|_, failures| counting(failures));
        counts.sources.retain(|_, failures| counting(failures));
    }

    /// Whether another failure would be within the bound. Somebody new finds no room where too many are remembered: forgetting would unlock them.
    fn room<K: Eq + Hash>(
        &self,
        counted: &mut HashMap<K, VecDeque<Instant>>,
        key: &K,
        most: usize,
        now: Instant,
    ) -> Option<()> {
        let window = self.settings.window;
        let full = counted.len() >= MAX_COUNTED;
        match counted.get_mut(key) {
            Some(failures) => {
                failures.retain(|at| now.saturating_duration_since(*at) < window);
                (failures.len() < most).then_some(())
            }
            None => (!full).then_some(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Every change is whole before anything could panic.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// The password was wrong, or there is no such person.
    pub(in crate::authn) fn failed(mut self) {
        self.counts = true;
    }

    /// The password was right, and so the KDC counts this person's failures from the beginning.
    pub(super) fn succeeded(self) {
        if let Some(person) = self.person {
            self.guard.lock().persons.remove(person);
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.counts {
            return;
        }
        let mut counts = self.guard.lock();
        if let Some(failures) = self.person.and_then(|person| counts.persons.get_mut(person)) {
            take_back(failures, self.at);
        }
        if let Some(failures) = counts.sources.get_mut(&self.source) {
            take_back(failures, self.at);
        }
    }
}

fn take_back(failures: &mut VecDeque<Instant>, at: Instant) {
    if let Some(place) = failures.iter().rposition(|counted| *counted == at) {
        failures.remove(place);
    }
}

fn locked(whose: &str) -> Unproved {
    Unproved::new("guard_locked", "too many failed attempts; try again later")
        .because(format!("too many wrong passwords {whose}: the KDC is not asked"))
}

/// How many people and sources are remembered.
const MAX_COUNTED: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::super::super::{Realm, Realms};
    use super::*;

    const HERE: Source = Source::V4(Ipv4Addr::LOCALHOST);

    fn person(name: &str) -> Principal {
        Realms::new([("CORP.EXAMPLE".to_owned(), Realm::default())]).principal(name, "CORP.EXAMPLE").unwrap()
    }

    fn guard() -> Guard {
        Guard::with(GuardSettings { failures: 3, failures_per_source: 5, window: Duration::from_secs(60) })
    }

    #[test]
    fn threat_53_no_more_failures_than_the_bound_get_through_in_any_window() {
        let (guard, alice, start) = (guard(), person("alice"), Instant::now());
        let second = |n| start + Duration::from_secs(n);
        for n in [0, 20, 40] {
            guard.attempt(&alice, HERE, second(n)).expect("within the bound").failed();
        }
        assert_eq!(guard.attempt(&alice, HERE, second(59)).map(drop).unwrap_err().reason, "guard_locked");
        guard.attempt(&alice, HERE, second(60)).expect("the first one is over").failed();
        assert!(guard.attempt(&alice, HERE, second(61)).is_err(), "three within the last minute");
        guard.attempt(&person("bob"), HERE, second(61)).expect("another person").failed();
    }

    #[test]
    fn attempts_at_the_same_time_count_before_they_are_made() {
        let (guard, alice, now) = (guard(), person("alice"), Instant::now());
        let three: Vec<_> = (0..3).map(|_| guard.attempt(&alice, HERE, now).expect("within the bound")).collect();
        assert!(guard.attempt(&alice, HERE, now).is_err(), "three are under way");
        drop(three);
        guard.attempt(&alice, HERE, now).expect("nothing came of the three").failed();
    }

    #[test]
    fn a_right_password_starts_the_person_s_count_anew_and_not_the_source_s() {
        let (guard, alice, now) = (guard(), person("alice"), Instant::now());
        for _ in 0..2 {
            guard.attempt(&alice, HERE, now).expect("within the bound").failed();
        }
        guard.attempt(&alice, HERE, now).expect("within the bound").succeeded();
        for _ in 0..3 {
            guard.attempt(&alice, HERE, now).expect("the count began anew").failed();
        }
        assert!(guard.attempt(&alice, HERE, now).is_err());
        let elsewhere = Source::Uid(7);
        assert!(guard.attempt(&alice, elsewhere, now).is_err(), "it is the person that is locked");
    }

    #[test]
    fn threat_53_one_source_can_not_go_through_everybody() {
        let (guard, now) = (guard(), Instant::now());
        for n in 0..5 {
            let somebody = person(&format!("user{n}"));
            guard.attempt(&somebody, HERE, now).expect("within the bound").failed();
        }
        assert!(guard.attempt(&person("user9"), HERE, now).is_err());
        assert!(guard.try_name(HERE, now).is_err());
        guard.attempt(&person("user9"), Source::Uid(1), now).expect("from elsewhere").failed();
    }

    #[test]
    fn what_is_believed_counts_for_a_locked_person_only_where_it_was_used_before() {
        let (guard, alice, now) = (guard(), person("alice"), Instant::now());
        for _ in 0..3 {
            guard.attempt(&alice, Source::Uid(1), now).expect("within the bound").failed();
        }
        assert!(guard.is_locked(&alice, HERE, true, now).is_none());
        assert!(guard.is_locked(&alice, HERE, false, now).is_some());
        for n in 0..5 {
            guard.attempt(&person(&format!("user{n}")), HERE, now).expect("within the bound").failed();
        }
        assert!(guard.is_locked(&alice, HERE, true, now).is_some(), "the source is locked");
        guard.sweep(now + Duration::from_secs(60));
        assert!(guard.is_locked(&alice, HERE, false, now + Duration::from_secs(60)).is_none());
        assert!(guard.lock().persons.is_empty() && guard.lock().sources.is_empty());
    }

    #[test]
    fn neighbours_in_one_ipv6_network_are_one_source() {
        let of = |text: &str| Source::of(&ClientAddr::Tcp(text.parse().unwrap()));
        assert_eq!(of("[2001:db8::1]:1"), of("[2001:db8::ffff:2]:2"));
        assert_ne!(of("[2001:db8::1]:1"), of("[2001:db8:0:1::1]:1"));
        assert_eq!(of("10.0.0.1:1"), of("[::ffff:10.0.0.1]:2"));
    }
}
