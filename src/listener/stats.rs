//! What the listeners have done so far, for telemetry to pull.

use std::sync::atomic::{AtomicU64, Ordering};

use super::refusal::{FailureReason, Reason};

/// Counters since start, over all listeners of the service.
#[derive(Debug)]
pub(crate) struct Stats {
    accepted: AtomicU64,
    open: AtomicU64,
    accept_errors: AtomicU64,
    handshakes: AtomicU64,
    requests: AtomicU64,
    failed: [AtomicU64; FailureReason::ALL.len()],
    refused: [AtomicU64; Reason::ALL.len()],
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            accepted: AtomicU64::new(0),
            open: AtomicU64::new(0),
            accept_errors: AtomicU64::new(0),
            handshakes: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            failed: [const { AtomicU64::new(0) }; FailureReason::ALL.len()],
            refused: [const { AtomicU64::new(0) }; Reason::ALL.len()],
        }
    }
}

impl Stats {
    /// Connections accepted, whatever became of them.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connections open now, handshakes included.
    pub(crate) fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// Times that the system could not give a connection (no descriptors, no memory).
    pub(crate) fn accept_errors(&self) -> u64 {
        self.accept_errors.load(Ordering::Relaxed)
    }

    /// TLS handshakes completed.
    pub(crate) fn handshakes(&self) -> u64 {
        self.handshakes.load(Ordering::Relaxed)
    }

    /// Requests that passed the gate.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Connections that never became usable, by reason.
    pub(crate) fn failed(&self) -> impl Iterator<Item = (FailureReason, u64)> + '_ {
        FailureReason::ALL.into_iter().zip(self.failed.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    /// Requests that the gate refused, by reason.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        Reason::ALL.into_iter().zip(self.refused.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    pub(super) fn count_accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn count_accept_error(&self) {
        self.accept_errors.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_handshake(&self) {
        self.handshakes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_failed(&self, reason: FailureReason) {
        if let Some(count) = self.failed.get(reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn count_refused(&self, reason: Reason) {
        if let Some(count) = self.refused.get(reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}
