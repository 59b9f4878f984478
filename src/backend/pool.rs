//! Connections kept for the next request of the same key, and how many there may be.

use std::{
    collections::{BTreeMap, HashMap},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::{
    key::{ConnectionKey, HostKey},
    stats::Counters,
};

/// How many connections there may be, and how long they are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct PoolLimits {
    /// Connections to one host, those kept included.
    pub(super) per_host: usize,
    /// Handshakes under way at once for one key; more requests wait for a connection that is given back.
    pub(super) handshakes: usize,
    /// Connections kept in all.
    pub(super) idle: usize,
    /// How long an unused connection is kept.
    pub(super) idle_for: Duration,
}

/// The connections of one configuration.
///
/// INVARIANT (I1): a connection is only given out for the very key that it was given back under.
///
/// INVARIANT: the lock is never held while something is awaited, and nothing is closed under it.
pub(super) struct Pool<C> {
    shared: Arc<Shared<C>>,
    /// Whether a kept connection is still of use.
    is_quiet: fn(&mut C) -> bool,
    counters: Arc<Counters>,
}

/// What a request may go on with.
pub(super) enum Turn<C> {
    /// A kept connection.
    Kept(C, Slot<C>),
    /// Leave to open one.
    Fresh(Slot<C>),
}

/// Which connection a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A kept one, or else a fresh one.
    Any,
    /// A fresh one.
    Fresh,
}

struct Shared<C> {
    state: Mutex<State<C>>,
    limits: PoolLimits,
}

struct State<C> {
    hosts: HashMap<HostKey, Host>,
    idle: HashMap<Arc<ConnectionKey>, Vec<Idle<C>>>,
    /// The kept connections from the oldest to the newest.
    order: BTreeMap<u64, Arc<ConnectionKey>>,
    next: u64,
}

/// What is known of one host.
#[derive(Default)]
struct Host {
    /// Connections that are open or being opened.
    open: usize,
    handshakes: HashMap<Arc<ConnectionKey>, usize>,
    freed: Arc<Notify>,
}

struct Idle<C> {
    connection: C,
    number: u64,
    since: Instant,
    until: Instant,
}

impl<C> Pool<C> {
    pub(super) fn new(limits: PoolLimits, is_quiet: fn(&mut C) -> bool, counters: Arc<Counters>) -> Self {
        let state = State { hosts: HashMap::new(), idle: HashMap::new(), order: BTreeMap::new(), next: 0 };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), limits }), is_quiet, counters }
    }

    /// A connection of `key`, or leave to open one; none where there is neither by `deadline`.
    pub(super) async fn checkout(
        &self,
        key: &Arc<ConnectionKey>,
        wanted: Wanted,
        deadline: Instant,
    ) -> Option<Turn<C>> {
        if let Some(turn) = self.take(key, wanted) {
            return Some(turn);
        }
        Counters::count(&self.counters.waits);
        loop {
            let freed = self.shared.lock().freed(&key.host());
            let mut notified = pin!(freed.notified());
            // From here on no connection that is given back goes unnoticed.
            notified.as_mut().enable();
            if let Some(turn) = self.take(key, wanted) {
                return Some(turn);
            }
            timeout_at(deadline, notified).await.ok()?;
        }
    }

    /// How many connections are kept.
    pub(super) fn idle(&self) -> usize {
        self.shared.lock().order.len()
    }

    /// Closes what was kept for too long, has expired, or was closed by its host.
    pub(super) fn reap(&self) {
        let now = Instant::now();
        let closed = {
            let mut state = self.shared.lock();
            let mut dead = Vec::new();
            for (key, kept) in &mut state.idle {
                for idle in kept {
                    let old =
                        idle.until <= now || now.duration_since(idle.since) >= self.shared.limits.idle_for;
                    if old || !(self.is_quiet)(&mut idle.connection) {
                        dead.push((Arc::clone(key), idle.number));
                    }
                }
            }
            dead.into_iter().map(|(key, number)| state.close(&key, number)).collect::<Vec<_>>()
        };
        drop(closed);
    }

    /// A kept connection that still lives, or a place for a fresh one.
    fn take(&self, key: &Arc<ConnectionKey>, wanted: Wanted) -> Option<Turn<C>> {
        if let (Wanted::Any, Some(kept)) = (wanted, self.kept(key)) {
            return Some(kept);
        }
        let evicted = self.shared.lock().open(key, &self.shared.limits)?;
        drop(evicted);
        Some(Turn::Fresh(self.slot(key, true)))
    }

    /// The newest kept connection that still lives; those before it are closed.
    fn kept(&self, key: &Arc<ConnectionKey>) -> Option<Turn<C>> {
        loop {
            let mut idle = self.shared.lock().pop(key)?;
            let slot = self.slot(key, false);
            if idle.until > Instant::now() && (self.is_quiet)(&mut idle.connection) {
                return Some(Turn::Kept(idle.connection, slot));
            }
        }
    }

    fn slot(&self, key: &Arc<ConnectionKey>, shaking: bool) -> Slot<C> {
        let key = Some(Arc::clone(key));
        Slot { shared: Arc::downgrade(&self.shared), key, shaking }
    }
}

/// The place that one open connection takes; given back with it or freed when dropped.
pub(super) struct Slot<C> {
    shared: Weak<Shared<C>>,
    /// None once it was given back.
    key: Option<Arc<ConnectionKey>>,
    shaking: bool,
}

impl<C> Slot<C> {
    /// The handshake is over; the next may begin.
    pub(super) fn shaken(&mut self) {
        if let (true, Some(key), Some(shared)) = (self.shaking, &self.key, self.shared.upgrade()) {
            shared.lock().shaken(key);
        }
        self.shaking = false;
    }

    /// Keeps `connection` for the next request of its key, until `until` at most.
    pub(super) fn give_back(mut self, connection: C, until: Instant) {
        self.shaken();
        let Some(shared) = self.shared.upgrade() else { return };
        if until <= Instant::now() || shared.limits.idle == 0 {
            return;
        }
        let Some(key) = self.key.take() else { return };
        let evicted = shared.lock().push(key, connection, until, &shared.limits);
        drop(evicted);
    }
}

impl<C> Drop for Slot<C> {
    fn drop(&mut self) {
        self.shaken();
        if let (Some(key), Some(shared)) = (self.key.take(), self.shared.upgrade()) {
            shared.lock().closed(&key.host());
        }
    }
}

impl<C> Shared<C> {
    fn lock(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C> State<C> {
    fn freed(&mut self, host: &HostKey) -> Arc<Notify> {
        Arc::clone(&self.hosts.entry(host.clone()).or_default().freed)
    }

    /// The newest kept connection of `key`.
    fn pop(&mut self, key: &ConnectionKey) -> Option<Idle<C>> {
        let kept = self.idle.get_mut(key)?;
        let idle = kept.pop();
        if kept.is_empty() {
            self.idle.remove(key);
        }
        idle.inspect(|idle| drop(self.order.remove(&idle.number)))
    }

    fn push(
        &mut self,
        key: Arc<ConnectionKey>,
        connection: C,
        until: Instant,
        limits: &PoolLimits,
    ) -> Option<C> {
        let evicted = match self.order.first_key_value() {
            Some((number, oldest)) if self.order.len() >= limits.idle => {
                let (number, oldest) = (*number, Arc::clone(oldest));
                self.close(&oldest, number)
            }
            Some(_) | None => None,
        };
        let number = self.next;
        self.next += 1;
        if let Some(host) = self.hosts.get(&key.host()) {
            host.freed.notify_waiters();
        }
        self.order.insert(number, Arc::clone(&key));
        self.idle.entry(key).or_default().push(Idle { connection, number, since: Instant::now(), until });
        evicted
    }

    /// Takes a place for a fresh connection, at the cost of the host's oldest kept one where there is no other; none where all are in use.
    fn open(&mut self, key: &Arc<ConnectionKey>, limits: &PoolLimits) -> Option<Option<C>> {
        let host_key = key.host();
        let host = self.hosts.entry(host_key.clone()).or_default();
        if host.handshakes.get(key).is_some_and(|count| *count >= limits.handshakes) {
            return None;
        }
        let evicted = if host.open >= limits.per_host {
            let mut kept = self.order.iter();
            let (number, oldest) = kept.find(|(_, kept)| kept.host() == host_key)?;
            let (number, oldest) = (*number, Arc::clone(oldest));
            Some(self.close(&oldest, number))
        } else {
            None
        };
        let host = self.hosts.entry(host_key).or_default();
        host.open += 1;
        *host.handshakes.entry(Arc::clone(key)).or_default() += 1;
        Some(evicted.flatten())
    }

    /// Takes a kept connection out, to be closed by the caller.
    fn close(&mut self, key: &Arc<ConnectionKey>, number: u64) -> Option<C> {
        let kept = self.idle.get_mut(key)?;
        let place = kept.iter().position(|idle| idle.number == number)?;
        let idle = kept.remove(place);
        if kept.is_empty() {
            self.idle.remove(key);
        }
        self.order.remove(&number);
        self.closed(&key.host());
        Some(idle.connection)
    }

    fn closed(&mut self, key: &HostKey) {
        let Some(host) = self.hosts.get_mut(key) else { return };
        host.open = host.open.saturating_sub(1);
        host.freed.notify_waiters();
        // Whoever waits holds the other end.
        if host.open == 0 && Arc::strong_count(&host.freed) == 1 {
            self.hosts.remove(key);
        }
    }

    fn shaken(&mut self, key: &ConnectionKey) {
        let Some(host) = self.hosts.get_mut(&key.host()) else { return };
        if let Some(count) = host.handshakes.get_mut(key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                host.handshakes.remove(key);
            }
        }
        host.freed.notify_waiters();
    }
}
