//! A bounded cache in which everybody who asks for the same thing at once shares one making of it.
//!
//! INVARIANT: for one key at most one making is under way, and it goes on when those who asked have left: what it costs the KDC is
//! spent by then. Nothing is handed out past its time.

use super::error::CredentialError;
use std::{
    collections::{HashMap, VecDeque},
    fmt::Display,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// What was made, or why not.
pub(super) type Made<V> = Result<V, CredentialError>;

/// A cache of `V` by `K`.
#[derive(Debug)]
pub(super) struct Flights<K, V> {
    slots: Mutex<Slots<K, V>>,
    terms: Terms,
    counts: Arc<Counts>,
}

/// How long what was made may be handed out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// The most that are held; the oldest goes first.
    pub(super) most: usize,
    /// How long a refusal is remembered. That no KDC answers never is: the breaker knows better.
    pub(super) refusals: Duration,
}

/// The counters of one cache, or of many of one kind together.
#[derive(Debug, Default)]
pub(super) struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    negative_hits: AtomicU64,
    entries: AtomicUsize,
}

/// What a cache has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct CacheStats {
    /// Answered from memory, or by waiting for what another request had asked for.
    pub(crate) hits: u64,
    /// Asked for anew.
    pub(crate) misses: u64,
    /// Refused from memory.
    pub(crate) negative_hits: u64,
    /// Held now, refusals included.
    pub(crate) entries: usize,
}

impl Counts {
    pub(super) fn stats(&self) -> CacheStats {
        CacheStats {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            negative_hits: self.negative_hits.load(Ordering::Relaxed),
            entries: self.entries.load(Ordering::Relaxed),
        }
    }
}

#[derive(Debug)]
struct Slots<K, V> {
    by_key: HashMap<K, Slot<V>>,
    /// Landed slots, oldest first. One whose number is no longer its key's is gone already.
    order: VecDeque<(K, u64)>,
    landed: usize,
    /// How many of them `Counts::entries` has been told of.
    counted: usize,
    last: u64,
}

#[derive(Debug)]
struct Slot<V> {
    number: u64,
    state: State<V>,
}

#[derive(Debug)]
enum State<V> {
    Flying(watch::Receiver<Option<Made<V>>>),
    Landed { made: Made<V>, until: Instant },
}

/// What a look into the cache came to.
enum Found<K: Eq + Hash, V> {
    Landed(Made<V>),
    Flying(watch::Receiver<Option<Made<V>>>),
    Absent(Flight<K, V>, watch::Receiver<Option<Made<V>>>),
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Display + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// An empty cache that counts in `counts`.
    pub(super) fn new(terms: Terms, counts: Arc<Counts>) -> Arc<Self> {
        let slots = Slots { by_key: HashMap::new(), order: VecDeque::new(), landed: 0, counted: 0, last: 0 };
        Arc::new(Self { slots: Mutex::new(slots), terms, counts })
    }

    /// What is held under `key`, or what `make` comes to, together with the moment until which it may be handed out.
    pub(super) async fn get<F>(self: &Arc<Self>, key: &K, make: impl Fn() -> F) -> Made<V>
    where
        F: Future<Output = Made<(V, Instant)>> + Send + 'static,
    {
        // A second try for those whose flight ended with the runtime of the one who started it.
        for _ in 0..2 {
            let mut word = match self.find(key) {
                Found::Landed(made) => return made,
                Found::Flying(word) => word,
                Found::Absent(flight, word) => {
                    tokio::spawn(flight.fly(make()));
                    word
                }
            };
            let made = word.wait_for(Option::is_some).await.ok().and_then(|made| made.clone());
            if let Some(made) = made {
                return made;
            }
        }
        Err(CredentialError::KdcUnavailable { wanted: key.to_string(), source: None })
    }

    /// Holds `value` under `key` in place of what was there.
    pub(super) fn put(&self, key: &K, value: V, until: Instant) {
        let mut slots = self.lock();
        slots.last += 1;
        let number = slots.last;
        let state = State::Landed { made: Ok(value), until };
        slots.set(key.clone(), Slot { number, state });
        self.trim(slots);
    }

    /// Forgets what is held under keys that `unwanted` names. What is under way for them is not kept when it lands.
    pub(super) fn forget(&self, unwanted: impl Fn(&K, Option<&V>) -> bool) {
        let mut slots = self.lock();
        slots.by_key.retain(|key, slot| !unwanted(key, slot.value()));
        slots.landed = slots.by_key.values().filter(|slot| slot.is_landed()).count();
        self.trim(slots);
    }

    /// Forgets the oldest, if there is any.
    pub(super) fn forget_oldest(&self) -> bool {
        let mut slots = self.lock();
        let any = slots.landed > 0;
        slots.drop_front();
        self.trim(slots);
        any
    }

    /// What is held under `key`, made or not.
    pub(super) fn peek(&self, key: &K) -> Option<V> {
        self.lock().by_key.get(key).and_then(Slot::value).cloned()
    }

    /// How many places the order of age takes.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.lock().order.len()
    }

    fn find(self: &Arc<Self>, key: &K) -> Found<K, V> {
        let mut slots = self.lock();
        match slots.by_key.get(key).map(|slot| &slot.state) {
            Some(State::Flying(word)) => {
                self.counts.hits.fetch_add(1, Ordering::Relaxed);
                return Found::Flying(word.clone());
            }
            Some(State::Landed { made, until }) if Instant::now() < *until => {
                let count = if made.is_ok() { &self.counts.hits } else { &self.counts.negative_hits };
                count.fetch_add(1, Ordering::Relaxed);
                return Found::Landed(made.clone());
            }
            Some(State::Landed { .. }) | None => {}
        }
        self.counts.misses.fetch_add(1, Ordering::Relaxed);
        let (sender, word) = watch::channel(None);
        slots.last += 1;
        let number = slots.last;
        slots.set(key.clone(), Slot { number, state: State::Flying(word.clone()) });
        self.trim(slots);
        Found::Absent(Flight { flights: Arc::clone(self), key: key.clone(), number, sender }, word)
    }

    /// Takes in what flight `number` came to, unless its key was forgotten meanwhile.
    fn land(&self, key: &K, number: u64, made: Made<(V, Instant)>) -> Made<V> {
        let now = Instant::now();
        let (made, until) = match made {
            Ok((value, until)) => (Ok(value), until),
            Err(error) => {
                let refusals = if error.is_wrong_password() { WRONG_PASSWORDS } else { self.terms.refusals };
                let until = if error.is_lasting() { now + refusals } else { now };
                (Err(error), until)
            }
        };
        let mut slots = self.lock();
        if slots.by_key.get(key).is_some_and(|slot| slot.number == number) {
            if until > now {
                let state = State::Landed { made: made.clone(), until };
                slots.set(key.clone(), Slot { number, state });
            } else {
                slots.remove(key);
            }
        }
        self.trim(slots);
        made
    }

    /// Lets go of what is past its time or too much, and counts the rest.
    fn trim(&self, mut slots: MutexGuard<'_, Slots<K, V>>) {
        let now = Instant::now();
        while let Some((key, number)) = slots.order.front() {
            let keep = slots.by_key.get(key).is_some_and(|slot| slot.number == *number && slot.lasts(now));
            if keep && slots.landed <= self.terms.most {
                break;
            }
            slots.drop_front();
        }
        // Keys that land again and again leave their old places behind; behind a place that lasts, nothing else would clear them.
        if slots.order.len() > slots.landed.saturating_mul(2) + 16 {
            let Slots { by_key, order, .. } = &mut *slots;
            order.retain(|(key, number)| by_key.get(key).is_some_and(|slot| slot.number == *number));
        }
        let landed = slots.landed;
        let before = std::mem::replace(&mut slots.counted, landed);
        drop(slots);
        self.counts.entries.fetch_add(landed, Ordering::Relaxed);
        self.counts.entries.fetch_sub(before, Ordering::Relaxed);
    }
}

impl<K, V> Flights<K, V> {
    fn lock(&self) -> MutexGuard<'_, Slots<K, V>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, V> Drop for Flights<K, V> {
    fn drop(&mut self) {
        let counted = self.lock().counted;
        self.counts.entries.fetch_sub(counted, Ordering::Relaxed);
    }
}

impl<K: Clone + Eq + Hash, V> Slots<K, V> {
    fn set(&mut self, key: K, slot: Slot<V>) {
        if slot.is_landed() {
            self.landed += 1;
            self.order.push_back((key.clone(), slot.number));
        }
        if self.by_key.insert(key, slot).is_some_and(|before| before.is_landed()) {
            self.landed -= 1;
        }
    }

    fn remove(&mut self, key: &K) {
        if self.by_key.remove(key).is_some_and(|slot| slot.is_landed()) {
            self.landed -= 1;
        }
    }

    fn drop_front(&mut self) {
        if let Some((key, number)) = self.order.pop_front()
            && self.by_key.get(&key).is_some_and(|slot| slot.number == number)
        {
            self.remove(&key);
        }
    }
}

impl<V> Slot<V> {
    fn is_landed(&self) -> bool {
        matches!(self.state, State::Landed { .. })
    }

    fn lasts(&self, now: Instant) -> bool {
        matches!(&self.state, State::Landed { until, .. } if now < *until)
    }

    fn value(&self) -> Option<&V> {
        match &self.state {
            State::Landed { made: Ok(value), .. } => Some(value),
            State::Landed { made: Err(_), .. } | State::Flying(_) => None,
        }
    }
}

/// The one making of a value that all who asked for it wait for.
struct Flight<K: Eq + Hash, V> {
    flights: Arc<Flights<K, V>>,
    key: K,
    number: u64,
    sender: watch::Sender<Option<Made<V>>>,
}

impl<K, V> Flight<K, V>
where
    K: Clone + Eq + Hash + Display + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    async fn fly(mut self, making: impl Future<Output = Made<(V, Instant)>>) {
        let made = making.await;
        let made = self.flights.land(&self.key, self.number, made);
        let sender = std::mem::replace(&mut self.sender, watch::channel(None).0);
        // Before anybody hears of it: whoever then forgets what was made is the last to hold it.
        drop(self);
        sender.send_replace(Some(made));
    }
}

impl<K: Eq + Hash, V> Drop for Flight<K, V> {
    /// A flight that never landed, because its making panicked or its runtime ended, makes way for another.
    fn drop(&mut self) {
        let mut slots = self.flights.lock();
        let own = |slot: &Slot<V>| slot.number == self.number && !slot.is_landed();
        if slots.by_key.get(&self.key).is_some_and(own) {
            slots.by_key.remove(&self.key);
        }
    }
}

/// How long a wrong password is remembered: long enough that trying it again locks no account.
const WRONG_PASSWORDS: Duration = Duration::from_secs(600);
