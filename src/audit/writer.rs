//! The one thread that writes: whatever waits goes out together, under one sync.

use std::{
    io,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{
    clock::{Clock, rfc3339},
    ledger::Ledger,
    line::line,
    queue::{Batch, Item, Patience, Queue},
    record::{Kind, Record, RequestId},
    retention,
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
    ledger: Ledger,
    clock: Arc<dyn Clock>,
    observer: Arc<OnceLock<SyncObserver>>,
    held: Vec<Item>,
    /// How many of `held` are appended since the sink was last opened.
    appended: usize,
    broken: bool,
    lost: u64,
    /// When the file was begun.
    opened: Duration,
}

impl Writer {
    /// A writer that has nothing to write yet, and goes on in a file that was begun at `opened`.
    pub(super) fn new(
        queue: Arc<Queue>,
        sink: Box<dyn Sink>,
        ledger: Ledger,
        clock: Arc<dyn Clock>,
        opened: Duration,
    ) -> Self {
        Self {
            queue,
            sink,
            ledger,
            clock,
            observer: Arc::default(),
            held: Vec::new(),
            appended: 0,
            broken: false,
            lost: 0,
            opened,
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
        } else if !self.held.is_empty() {
            Patience::UntilOneOr(LAZY_SYNC)
        } else if let Some(left) = self.ledger.time_left() {
            Patience::UntilOneOr(left)
        } else {
            Patience::UntilOne
        }
    }

    /// Takes `batch` and tries to bring all that is held one step further.
    fn step(&mut self, batch: Batch) {
        let quiet = batch.items.is_empty();
        self.lost += batch.lost;
        self.held.extend(batch.items);
        self.forget_given_up();
        let sign = self.ledger.is_due() || (batch.last && self.ledger.unsigned() > 0);
        if self.held.is_empty() && self.lost == 0 && !self.broken && !sign {
            return;
        }
        let urgent = sign || self.lost > 0 || self.held.iter().any(|item| item.waiter.is_some());
        let sync = urgent || quiet || batch.last || self.broken || self.held.len() > MAX_UNSYNCED;
        self.queue.attempt_begins();
        let result = self.attempt(sync, batch.last);
        self.queue.attempt_ended(result.is_ok(), result.as_ref().ok().copied().flatten());
        match result {
            Ok(synced) => self.succeeded(synced),
            Err(error) => self.failed(&error),
        }
    }

    /// Appends what is not appended; returns how long the sync took, if there was one.
    fn attempt(&mut self, sync: bool, last: bool) -> io::Result<Option<Duration>> {
        self.find_a_file()?;
        self.tell_of_lost();
        let time = rfc3339(self.clock.now());
        let mut lines = Vec::new();
        self.ledger.open(&time, &mut lines);
        for item in self.held.iter().skip(self.appended) {
            self.ledger.put(&item.line, &mut lines);
        }
        if sync && (last || self.ledger.is_due()) {
            self.ledger.sign(&time, &mut lines);
        }
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

    /// Sees to it that there is a file to append to: after an error, after somebody moved it, when it is full or old.
    fn find_a_file(&mut self) -> io::Result<()> {
        if self.broken
            && let Some(debris) = self.sink.recover(self.ledger.next())?
        {
            self.ledger.found(debris);
            self.opened = self.clock.now();
        }
        if self.sink.is_moved() {
            if self.appended > 0 {
                // What is in the file that was moved is there for good, and must not stand in the next one again.
                self.sink.sync()?;
                self.settle(self.appended);
            }
            self.sink.reopen(self.ledger.next())?;
            self.opened = self.clock.now();
        } else if self.appended == 0 && !self.broken && self.is_full() {
            self.rotate()?;
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        let (keeping, size) = (self.ledger.keeping(), self.sink.size());
        let age = self.clock.now().saturating_sub(self.opened);
        size > 0 && (size >= keeping.rotate_bytes || age >= keeping.rotate_after)
    }

    /// Signs the file's end, gives it its final name, and removes files that are too old, each after a record of that.
    fn rotate(&mut self) -> io::Result<()> {
        let now = self.clock.now();
        let time = rfc3339(now);
        let mut lines = Vec::new();
        self.ledger.sign(&time, &mut lines);
        self.write_now(&lines)?;
        self.sink.rotate(self.ledger.next())?;
        self.opened = now;
        let Some(directory) = self.sink.directory().map(std::path::Path::to_path_buf) else { return Ok(()) };
        for old in retention::expired(&directory, self.ledger.keeping().keep, now)? {
            let mut lines = Vec::new();
            self.ledger.add(&time, old.record(), &mut lines);
            self.write_now(&lines)?;
            old.remove()?;
        }
        Ok(())
    }

    fn write_now(&mut self, lines: &[u8]) -> io::Result<()> {
        if !lines.is_empty() {
            self.sink.append(lines)?;
            self.sink.sync()?;
            self.ledger.synced();
        }
        Ok(())
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
        self.settle(self.held.len());
        let written = self.ledger.write_head(&rfc3339(self.clock.now()));
        if let Err(error) = &written {
            tracing::error!(%error, "Audit head cannot be written: a tail that is cut now would not be missed");
        }
        self.queue.head_written(written.is_ok());
    }

    /// The first `count` lines are on the disk.
    fn settle(&mut self, count: usize) {
        self.ledger.synced();
        let rest = self.held.split_off(count.min(self.held.len()));
        let durable = std::mem::replace(&mut self.held, rest);
        self.appended = 0;
        self.queue.settle(&durable, true);
        for waiter in durable.into_iter().filter_map(|item| item.waiter) {
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
        self.ledger.failed();
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
        match line(&Record::new(rfc3339(self.clock.now()), kind)) {
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
