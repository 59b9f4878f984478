//! What the door did, in numbers.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

/// The kinds of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// Initial ticket with the keys of a keytab.
    Keytab,
    /// Initial ticket with a password.
    Password,
    /// Keys for accepting.
    Acceptor,
    /// A leg of a handshake from the server's side.
    Accept,
    /// `S4U2Self`.
    Impersonate,
    /// The ticket for a service: `S4U2Proxy`, or a plain TGS exchange.
    Prefetch,
    /// First leg of a handshake.
    Initiate,
}

impl Call {
    /// All of them.
    pub(crate) const ALL: [Self; 7] = [
        Self::Keytab,
        Self::Password,
        Self::Acceptor,
        Self::Accept,
        Self::Impersonate,
        Self::Prefetch,
        Self::Initiate,
    ];

    /// The label in metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Keytab => "keytab",
            Self::Password => "password",
            Self::Acceptor => "acceptor",
            Self::Accept => "accept",
            Self::Impersonate => "impersonate",
            Self::Prefetch => "prefetch",
            Self::Initiate => "initiate",
        }
    }
}

/// The upper bounds of the latency histogram.
pub(crate) const LATENCY_BUCKETS_MICROS: [u64; 9] =
    [1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 2_000_000, 10_000_000];

/// One kind of call in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CallStats {
    /// Calls that ended.
    pub(crate) count: u64,
    /// Those that ended with an error.
    pub(crate) errors: u64,
    /// The time that all took together.
    pub(crate) total_micros: u64,
    /// How many took at most the bound in [`LATENCY_BUCKETS_MICROS`] and more than the one before; the last place is for slower ones.
    pub(crate) buckets: [u64; LATENCY_BUCKETS_MICROS.len() + 1],
}

/// What the door did so far.
#[derive(Debug, Clone)]
pub(crate) struct DoorStats {
    /// Each kind of call.
    pub(crate) calls: Vec<(Call, CallStats)>,
    /// The realms that are being left alone.
    pub(crate) breakers_open: Vec<String>,
    /// Callers that were refused: breaker open, or overloaded.
    pub(crate) refused: u64,
    /// Callers whose deadline passed.
    pub(crate) timed_out: u64,
    /// Calls running now.
    pub(crate) in_flight: usize,
}

/// The counters behind [`DoorStats`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    calls: [CallCounters; Call::ALL.len()],
    pub(super) refused: AtomicU64,
    pub(super) timed_out: AtomicU64,
    pub(super) in_flight: AtomicUsize,
}

#[derive(Debug, Default)]
struct CallCounters {
    errors: AtomicU64,
    total_micros: AtomicU64,
    buckets: [AtomicU64; LATENCY_BUCKETS_MICROS.len() + 1],
}

impl Counters {
    /// A call has ended.
    pub(super) fn ended(&self, call: Call, took: Duration, is_error: bool) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let Some((_, counters)) = self.iter().find(|(kind, _)| *kind == call) else { return };
        counters.total_micros.fetch_add(micros, Ordering::Relaxed);
        counters.errors.fetch_add(u64::from(is_error), Ordering::Relaxed);
        let place = LATENCY_BUCKETS_MICROS.iter().take_while(|bound| micros > **bound).count();
        if let Some(bucket) = counters.buckets.get(place) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All calls in numbers.
    pub(super) fn calls(&self) -> Vec<(Call, CallStats)> {
        self.iter().map(|(call, counters)| (call, counters.read())).collect()
    }

    fn iter(&self) -> impl Iterator<Item = (Call, &CallCounters)> {
        Call::ALL.into_iter().zip(&self.calls)
    }
}

impl CallCounters {
    fn read(&self) -> CallStats {
        let buckets = self.buckets.each_ref().map(|bucket| bucket.load(Ordering::Relaxed));
        CallStats {
            count: buckets.iter().sum(),
            errors: self.errors.load(Ordering::Relaxed),
            total_micros: self.total_micros.load(Ordering::Relaxed),
            buckets,
        }
    }
}
