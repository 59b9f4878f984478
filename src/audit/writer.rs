//! The one thread that writes: whatever waits goes out together, under one sync.

use std::{
    io,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{
    clock::{Clock, rfc3339},
    line::line,
    queue::{Batch, Item, Patience, Queue},
    record::{Kind, Record, RequestId},
    sink::Sink,
};

/// Called with the duration of each successful sync.
pub(crate) type SyncObserver = Box<dyn Fn(Duration) + Send + Sync>;

/// Moves lines from the queue to the sink.
///
/// INVARIANT: a line is held in memory until a sync that follows its append has succeeded, and only then is its waiter told. After an error
/// every held line is appended again: a line may then stand in the file twice, byte for byte the same, and none is missing.
pub(super) struct Writer {
    queue: Arc<Queue>,
    sink: Box<dyn Sink>,
    clock: Arc<dyn Clock>,
    observer: Arc<OnceLock<SyncObserver>>,
    held: Vec<Item>,
    /// How many of `held` are appended since the sink was last opened.
    appended: usize,
    broken: bool,
    lost: u64,
}

impl Writer {
    /// A writer that has nothing to write yet.
    pub(super) fn new(queue: Arc<Queue>, sink: Box<dyn Sink>, clock: Arc<dyn Clock>) -> Self {
        Self {
            queue,
            sink,
            clock,
            observer: Arc::default(),
            held: Vec::new(),
            appended: 0,
            broken: false,
            lost: 0,
        }
    }

    /// Where the observer of syncs may be put, once.
    pub(super) fn observer(&self) -> Arc<OnceLock<SyncObserver>> {
        Arc::clone(&self.observer)
    }

    /// Writes until the queue is closed and empty, then lets go of the sink and says so.
    pub(super) fn run(mut self, ended: oneshot::Sender<()>) {
        loop {
            let batch = self.queue.next(self.patience());
            let last = batch.last;
            self.step(batch);
            if last {
                break;
            }
        }
        drop(self);
        // Whoever opened may have gone without waiting for the end.
        let _unheard = ended.send(());
    }

    fn patience(&self) -> Patience {
        if self.broken {
            Patience::Full(RETRY)
        } else if self.held.is_empty() {
            Patience::UntilOne
        } else {
            Patience::UntilOneOr(LAZY_SYNC)
        }
    }

    /// Takes `batch` and tries to bring all that is held one step further.
    fn step(&mut self, batch: Batch) {
        let quiet = batch.items.is_empty();
        self.lost += batch.lost;
        self.held.extend(batch.items);
        self.forget_given_up();
        if self.held.is_empty() && self.lost == 0 && !self.broken {
            return;
        }
        let urgent = self.lost > 0 || self.held.iter().any(|item| item.waiter.is_some());
        let sync = urgent || quiet || batch.last || self.broken || self.held.len() > MAX_UNSYNCED;
        self.queue.attempt_begins();
        let result = self.attempt(sync);
        self.queue.attempt_ended(result.is_ok(), result.as_ref().ok().copied().flatten());
        match result {
            Ok(synced) => self.succeeded(synced),
            Err(error) => self.failed(&error),
        }
    }

    /// Appends what is not appended; returns how long the sync took, if there was one.
    fn attempt(&mut self, sync: bool) -> io::Result<Option<Duration>> {
        if self.broken {
            self.sink.recover()?;
        }
        self.tell_of_lost();
        let lines: Vec<u8> =
            self.held.iter().skip(self.appended).flat_map(|item| &item.line).copied().collect();
        if !lines.is_empty() {
            self.sink.append(&lines)?;
        }
        self.appended = self.held.len();
        if !sync {
            return Ok(None);
        }
        let began = Instant::now();
        self.sink.sync()?;
        Ok(Some(began.elapsed()))
    }

    fn succeeded(&mut self, synced: Option<Duration>) {
        if self.broken {
            tracing::info!("Audit file is written again");
        }
        self.broken = false;
        let Some(duration) = synced else { return };
        if let Some(observer) = self.observer.get() {
            observer(duration);
        }
        self.appended = 0;
        self.queue.settle(&self.held, true);
        for waiter in self.held.drain(..).filter_map(|item| item.waiter) {
            // One who stopped waiting has refused the request already.
            let _given_up = waiter.send(());
        }
    }

    fn failed(&mut self, error: &io::Error) {
        if !self.broken {
            tracing::error!(%error, "Audit file cannot be written");
        }
        self.broken = true;
        self.appended = 0;
    }

    /// Lets go of lines that are not appended and for which nobody waits any more: their requests were refused, which has its own record.
    fn forget_given_up(&mut self) {
        let fresh = self.held.split_off(self.appended);
        let (given_up, wanted): (Vec<_>, Vec<_>) = fresh.into_iter().partition(Item::is_given_up);
        self.held.extend(wanted);
        self.queue.settle(&given_up, false);
    }

    /// Holds a line that says how many are missing.
    fn tell_of_lost(&mut self) {
        if self.lost == 0 {
            return;
        }
        let kind = Kind::Gap { id: RequestId::random(), lost: self.lost };
        match line(&Record { time: rfc3339(self.clock.now()), kind }) {
            Ok(line) => {
                let item = Item::unattended(line);
                self.queue.took(&item);
                self.held.push(item);
                self.lost = 0;
            }
            Err(error) => tracing::error!(%error, "Gap cannot be written as JSON"),
        }
    }
}

/// How long the writer waits after an error before it tries again.
const RETRY: Duration = Duration::from_millis(100);
/// How long a line for which nobody waits may stay without a sync.
const LAZY_SYNC: Duration = Duration::from_millis(200);
/// How many lines may stay without a sync.
const MAX_UNSYNCED: usize = 4096;
