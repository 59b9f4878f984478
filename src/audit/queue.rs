//! The line in which records wait for the writer, and what is counted about it.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

/// One line on its way to the sink.
pub(super) struct Item {
    /// What is written; empty for a request to sync what came before.
    pub(super) line: Vec<u8>,
    /// Who waits until the line is durable.
    pub(super) waiter: Option<oneshot::Sender<()>>,
}

impl Item {
    /// A line for which nobody waits.
    pub(super) fn unattended(line: Vec<u8>) -> Self {
        Self { line, waiter: None }
    }

    /// A line, and what tells when it is durable.
    pub(super) fn awaited(line: Vec<u8>) -> (Self, oneshot::Receiver<()>) {
        let (waiter, written) = oneshot::channel();
        (Self { line, waiter: Some(waiter) }, written)
    }

    /// Whether the one who waited has stopped waiting: nothing will be done on the strength of this line.
    pub(super) fn is_given_up(&self) -> bool {
        self.waiter.as_ref().is_some_and(oneshot::Sender::is_closed)
    }
}

/// How much a line matters when there is little room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// The outcome of an intent that was acknowledged as durable: always taken; the number of requests under way bounds it.
    Owed,
    /// An intent: takes the whole line.
    Intended,
    /// Anything else, which a stranger may cause: leaves a quarter of the line to intents.
    Spare,
}

/// Why a line was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// Too many lines wait already.
    Full,
    /// The writer is ending.
    Closed,
}

/// What the writer is to do next.
pub(super) struct Batch {
    /// All that waited.
    pub(super) items: Vec<Item>,
    /// How many lines were turned away since the batch before.
    pub(super) lost: u64,
    /// Nothing will follow.
    pub(super) last: bool,
}

/// How long the writer waits for lines.
#[derive(Debug, Clone, Copy)]
pub(super) enum Patience {
    /// Until there is one.
    UntilOne,
    /// Until there is one, or this long.
    UntilOneOr(Duration),
    /// This long, whatever comes.
    Full(Duration),
}

/// What is known about the writer, for health and metrics. Totals since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stats {
    /// Lines that are durable.
    pub(crate) records: u64,
    /// Failed attempts to write or to sync.
    pub(crate) failures: u64,
    /// Lines that were turned away because too many waited.
    pub(crate) lost: u64,
    /// Successful syncs.
    pub(crate) syncs: u64,
    /// Lines that are in memory alone now.
    pub(crate) pending: usize,
    /// The duration of the last sync.
    pub(crate) last_sync: Duration,
}

/// The line between the requests and the writer.
pub(super) struct Queue {
    state: Mutex<State>,
    arrival: Condvar,
    max_pending: usize,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Item>,
    /// Bytes of the lines that wait or are taken.
    bytes: usize,
    /// Lines that the writer has taken and not yet made durable.
    taken: usize,
    unreported: u64,
    closed: bool,
    broken: bool,
    headless: bool,
    busy_since: Option<Instant>,
    stats: Stats,
}

impl Queue {
    /// A line that takes about `max_pending` lines.
    pub(super) fn new(max_pending: usize) -> Self {
        Self { state: Mutex::default(), arrival: Condvar::new(), max_pending: max_pending.max(4) }
    }

    /// Puts `item` at the end.
    pub(super) fn push(&self, item: Item, claim: Claim) -> Result<(), NotTaken> {
        let mut state = self.lock();
        let refused = if state.closed {
            Some(NotTaken::Closed)
        } else if self.has_room(&state, claim) {
            None
        } else {
            Some(NotTaken::Full)
        };
        if let Some(refused) = refused {
            state.stats.lost += 1;
            state.unreported += 1;
            return Err(refused);
        }
        state.bytes += item.line.len();
        state.waiting.push_back(item);
        drop(state);
        self.arrival.notify_one();
        Ok(())
    }

    /// The next lines, after the wait that `patience` allows.
    pub(super) fn next(&self, patience: Patience) -> Batch {
        let state = self.lock();
        let idle = |state: &mut State| state.waiting.is_empty() && state.unreported == 0 && !state.closed;
        let mut state = match patience {
            Patience::UntilOne => {
                self.arrival.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner)
            }
            Patience::UntilOneOr(limit) => {
                self.arrival.wait_timeout_while(state, limit, idle).unwrap_or_else(PoisonError::into_inner).0
            }
            Patience::Full(limit) => {
                let open = |state: &mut State| !state.closed;
                self.arrival.wait_timeout_while(state, limit, open).unwrap_or_else(PoisonError::into_inner).0
            }
        };
        state.taken += state.waiting.len();
        Batch {
            items: state.waiting.drain(..).collect(),
            lost: std::mem::take(&mut state.unreported),
            last: state.closed,
        }
    }

    /// Takes no further lines; the writer ends once it has written those that wait.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrival.notify_one();
    }

    /// The writer begins an attempt.
    pub(super) fn attempt_begins(&self) {
        self.lock().busy_since = Some(Instant::now());
    }

    /// The writer's attempt ended; `sync` is how long a successful sync took.
    pub(super) fn attempt_ended(&self, succeeded: bool, sync: Option<Duration>) {
        let mut state = self.lock();
        state.busy_since = None;
        state.broken = !succeeded;
        state.stats.failures += u64::from(!succeeded);
        if let Some(duration) = sync {
            state.stats.syncs += 1;
            state.stats.last_sync = duration;
        }
    }

    /// Whether the head could be written after the last sync.
    pub(super) fn head_written(&self, succeeded: bool) {
        self.lock().headless = !succeeded;
    }

    /// The writer no longer holds `items`: they are `durable`, or nobody wants them any more.
    pub(super) fn settle(&self, items: &[Item], durable: bool) {
        let mut state = self.lock();
        for item in items {
            state.taken = state.taken.saturating_sub(1);
            state.bytes = state.bytes.saturating_sub(item.line.len());
            state.stats.records += u64::from(durable && !item.line.is_empty());
        }
    }

    /// The writer holds `item`, which did not wait in line.
    pub(super) fn took(&self, item: &Item) {
        let mut state = self.lock();
        state.taken += 1;
        state.bytes += item.line.len();
    }

    /// Whether the last attempt succeeded and no attempt has lasted longer than `limit`.
    pub(super) fn is_healthy(&self, limit: Duration) -> bool {
        let state = self.lock();
        !state.broken
            && !state.headless
            && !state.closed
            && state.busy_since.is_none_or(|since| since.elapsed() <= limit)
    }

    /// The counts.
    pub(super) fn stats(&self) -> Stats {
        let state = self.lock();
        Stats { pending: state.waiting.len() + state.taken, ..state.stats }
    }

    fn has_room(&self, state: &State, claim: Claim) -> bool {
        let lines = state.waiting.len() + state.taken;
        match claim {
            Claim::Owed => true,
            Claim::Intended => lines < self.max_pending && state.bytes < MAX_BYTES,
            Claim::Spare => lines < self.max_pending - self.max_pending / 4 && state.bytes < MAX_BYTES / 2,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The most bytes that are in memory alone, whatever the number of lines.
const MAX_BYTES: usize = 64 << 20;
