//! What the connections to hosts have done so far, for telemetry to pull.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use super::error::{BackendError, REASONS};

/// A reading of the counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stats {
    /// Handshakes after which both sides had proved who they are.
    pub(crate) handshakes: u64,
    /// Handshakes that came to nothing.
    pub(crate) handshakes_failed: u64,
    /// TCP connections established.
    pub(crate) opened: u64,
    /// TCP connections open now, idle ones included.
    pub(crate) open: usize,
    /// Connections kept for the next request.
    pub(crate) idle: usize,
    /// Requests sent on a kept connection.
    pub(crate) reused: u64,
    /// Requests sent a second time, on a fresh connection.
    pub(crate) retries: u64,
    /// Requests that had to wait for a connection.
    pub(crate) waits: u64,
    /// Answers read to their end.
    pub(crate) answered: u64,
    /// Requests that failed, by [`BackendError::reason`]; every reason once.
    pub(crate) failed: Vec<(&'static str, u64)>,
}

/// The counters.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) handshakes: AtomicU64,
    pub(super) handshakes_failed: AtomicU64,
    opened: AtomicU64,
    open: AtomicUsize,
    pub(super) reused: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) waits: AtomicU64,
    pub(super) answered: AtomicU64,
    failed: [AtomicU64; REASONS.len()],
}

impl Counters {
    /// Adds one.
    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_failed(&self, error: &BackendError) {
        let place = REASONS.iter().position(|reason| *reason == error.reason());
        if let Some(counter) = place.and_then(|place| self.failed.get(place)) {
            Self::count(counter);
        }
    }

    /// Counts a connection as open until the guard is dropped.
    pub(super) fn opened(self: &Arc<Self>) -> Open {
        Self::count(&self.opened);
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(self))
    }

    pub(super) fn read(&self, idle: usize) -> Stats {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            handshakes: value(&self.handshakes),
            handshakes_failed: value(&self.handshakes_failed),
            opened: value(&self.opened),
            open: self.open.load(Ordering::Relaxed),
            idle,
            reused: value(&self.reused),
            retries: value(&self.retries),
            waits: value(&self.waits),
            answered: value(&self.answered),
            failed: REASONS.iter().copied().zip(self.failed.iter().map(value)).collect(),
        }
    }
}

/// One open connection.
#[derive(Debug)]
pub(super) struct Open(Arc<Counters>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
