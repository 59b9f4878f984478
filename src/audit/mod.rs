//! Who ran what, where, as whom, and how it ended.
//!
//! What it answers: is it on record that this request is about to reach a host?
//!
//! In goes what the other stages learnt about a request ([`Facts`]) and how it ended ([`Outcome`]); out comes [`Recorded`], without which no
//! connection to a host is made, and `audit.jsonl`: one JSON object per line, in UTC, `event.action` saying what it is: `intent`, `outcome`,
//! `connection` (one that ended before it carried a request), `gap` (so many records were lost here), `configuration` (what is in force), or
//! what the proof needs: `checkpoint`, `key`, `recovered`, `expired`. `config/audit-record.schema.json` says what each holds.
//!
//! INVARIANT: a durable intent is on the disk before [`Audit::intend`] returns it; where it cannot be within the deadline, the request
//! is refused.
//!
//! INVARIANT: every [`Pending`] leaves exactly one outcome under its id, whoever drops it.
//!
//! INVARIANT: nothing a peer sent can end a line, open a field or hide from the reader's eye (`line`), and nothing it causes
//! takes unbounded memory (`queue`).
//!
//! INVARIANT: each record holds on to the one before it by its hash (`chain`), across files, starts and keys; what is not on the disk is in
//! no chain, and what an error or a crash left in a file is named by the record that follows (`sink`, `scan`). So whoever verifies
//! (`verify`) finds every change, and finds nothing where there is none.
//!
//! Where what is kept:
//!
//! ```text
//! audit.directory/audit.jsonl               written now; one process, by its lock
//!                 audit-<first>.jsonl       former files, by the number of their first record
//!                 configurations/           what was in force, without secrets, by hash
//! audit.head                                the last record on the disk, elsewhere (`head`)
//! audit.signing_key                         signs every so many records, elsewhere (`sign`)
//! ```
//!
//! One sync makes a batch durable and is what requests wait for; the head is written and synced after it, before the next batch. A crash
//! between the two leaves a head that is behind, which is no alarm. What the head does not cover yet, one batch, could be cut unseen.
//!
//! Why a thread and not a task: a sync blocks for as long as the disk likes. Why one: all that waits goes out under one sync, so that many
//! requests at once cost hardly more than one.
//!
//! Times follow RFC 3339, text RFC 8259.

mod chain;
mod clock;
mod files;
mod head;
mod keeping;
mod ledger;
mod line;
mod queue;
mod read;
mod record;
mod recorded;
mod retention;
mod scan;
mod sign;
mod sink;
mod verdict;
mod verify;
mod writer;

/// What an intent must be before its request may run, as the route has it.
pub(crate) use crate::policy::BeforeRun;
pub(crate) use clock::{Clock, SystemClock};
pub(crate) use keeping::Keeping;
pub(crate) use line::visible;
pub(crate) use queue::Stats;
pub use read::BadTime;
pub(crate) use read::{Entry, Filter, Records};
pub(crate) use record::{Blame, ConnectionFailure, Ending, Facts, Outcome, RequestId};
pub(crate) use recorded::{Pending, Recorded, Unrecorded};
pub(crate) use sign::{generate as generate_key, pem_of};
pub(crate) use verify::{Claim as VerifyClaim, verify};
pub use verdict::{Intact, NotIntact};
pub(crate) use writer::SyncObserver;

use std::{
    io,
    path::PathBuf,
    sync::{Arc, OnceLock},
    thread::JoinHandle,
    time::Duration,
};

use tokio::sync::oneshot;

use clock::rfc3339;
use head::HeadFile;
use ledger::Ledger;
use line::line;
use queue::{Claim, Item, NotTaken, Queue};
use record::{Kind, Record};
use recorded::Open;
use scan::Start;
use sign::Signer;
use sink::{FileSink, Sink};
use writer::Writer;

/// How the record is kept.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Where `audit.jsonl` is; made where it is missing.
    pub(crate) directory: PathBuf,
    /// How many records may be in memory alone.
    pub(crate) max_pending: usize,
    /// How long a request waits for its intent to become durable.
    pub(crate) sync_deadline: Duration,
    /// How long files are, how long they are kept, and what proves them.
    pub(crate) keeping: Keeping,
}

impl Settings {
    /// Keeps the record in `directory`, everything else at its default.
    #[cfg(test)]
    pub(crate) fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            max_pending: 10_000,
            sync_deadline: Duration::from_secs(1),
            keeping: Keeping::default(),
        }
    }
}

/// Why the record cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuditError {
    /// A file or directory cannot be opened.
    #[error("cannot open `{}`", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else could replace the file.
    #[error("`{}` must not be writable by group or others", path.display())]
    Writable {
        /// The directory.
        path: PathBuf,
    },
    /// Somebody else could read or change what is recorded.
    #[error("`{}` must be readable and writable by its owner alone (mode 0600)", path.display())]
    Readable {
        /// The file.
        path: PathBuf,
    },
    /// Somebody else could change the permissions.
    #[error("`{}` must belong to the user that the gateway runs as", path.display())]
    Owner {
        /// The file or directory.
        path: PathBuf,
    },
    /// Records would go somewhere else.
    #[error("`{}` must be a regular file, not a link", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// Another gateway writes there.
    #[error("another process writes to the directory of `{}`", path.display())]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// No key, or not the one it is said to be.
    #[error("`{}` is no Ed25519 key, or its endorsement is not for it; make one with `winrm-gateway audit keygen`", path.display())]
    Key {
        /// The file.
        path: PathBuf,
    },
    /// The thread that writes cannot be started.
    #[error("cannot start the writer")]
    Thread(#[source] io::Error),
    /// The disk did not take the record in time.
    #[error("the record was not on the disk within {} ms", .0.as_millis())]
    Deadline(Duration),
    /// The disk has not kept up for a while.
    #[error("too many records wait to be written")]
    Full,
    /// The gateway is ending, or the writer died.
    #[error("records are no longer written")]
    Closed,
    /// A record is not JSON, which no record is.
    #[error("the record cannot be written as JSON")]
    Json(#[source] serde_json::Error),
}

/// Keeps the record.
pub(crate) struct Audit {
    queue: Arc<Queue>,
    clock: Arc<dyn Clock>,
    observer: Arc<OnceLock<SyncObserver>>,
    thread: JoinHandle<()>,
    ended: Option<oneshot::Receiver<()>>,
    sync_deadline: Duration,
    directory: PathBuf,
}

impl Audit {
    /// Opens the record and locks its directory against other processes. Blocks on the disk.
    ///
    /// # Errors
    /// Where the file or its directory cannot be opened, or where others could change what is written.
    pub(crate) fn open(settings: &Settings) -> Result<Self, AuditError> {
        let keeping = settings.keeping.clone();
        let head = keeping.head.as_deref().map(HeadFile::open).transpose()?;
        let signer = keeping.signing_key.as_deref().map(Signer::read).transpose()?;
        let last = head.as_ref().map(|head| head.last).unwrap_or_default();
        let (sink, start) = FileSink::open(&settings.directory, last)?;
        let ledger = Ledger::new(keeping, &start, signer, head);
        let clock = Arc::new(SystemClock);
        let audit = Self::start_at(settings, Box::new(sink), ledger, clock, &start)?;
        // What was found is on record at once, and not with the next request.
        audit.reopen();
        Ok(audit)
    }

    #[cfg(test)]
    fn start(settings: &Settings, sink: Box<dyn Sink>, clock: Arc<dyn Clock>) -> Result<Self, AuditError> {
        let ledger = Ledger::new(settings.keeping.clone(), &Start::default(), None, None);
        Self::start_at(settings, sink, ledger, clock, &Start::default())
    }

    fn start_at(
        settings: &Settings,
        sink: Box<dyn Sink>,
        ledger: Ledger,
        clock: Arc<dyn Clock>,
        start: &Start,
    ) -> Result<Self, AuditError> {
        let queue = Arc::new(Queue::new(settings.max_pending));
        let now = clock.now();
        for closing in start.closings(&rfc3339(now)) {
            // Owed: what a former process promised is always taken.
            drop(queue.push(Item::unattended(closing), Claim::Owed));
        }
        let opened = start.opened.as_deref().and_then(clock::parse_rfc3339).unwrap_or(now);
        let writer = Writer::new(Arc::clone(&queue), sink, ledger, Arc::clone(&clock), opened);
        let observer = writer.observer();
        let (ending, ended) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer.run(ending))
            .map_err(AuditError::Thread)?;
        Ok(Self {
            queue,
            clock,
            observer,
            thread,
            ended: Some(ended),
            sync_deadline: settings.sync_deadline,
            directory: settings.directory.clone(),
        })
    }

    /// Opens a request's place in the record, under a new id.
    pub(crate) fn begin(&self) -> Pending {
        Pending { open: Open::new(Arc::clone(&self.queue), Arc::clone(&self.clock)) }
    }

    /// Puts on record that the request is about to be sent to a host, and returns the proof of it.
    ///
    /// # Errors
    /// With [`BeforeRun::Durable`], where the record is not on the disk within the deadline. The request must then be refused; it comes back
    /// so that this can be recorded. With [`BeforeRun::BestEffort`] never for the disk's sake.
    pub(crate) async fn intend(
        &self,
        mut pending: Pending,
        before_run: BeforeRun,
    ) -> Result<Recorded, Box<Unrecorded>> {
        let durable = before_run == BeforeRun::Durable;
        let kind = Kind::Intent { id: pending.open.id, durable, facts: &pending.open.facts };
        let line = match self.line(kind) {
            Ok(line) => line,
            Err(error) => return Err(Box::new(Unrecorded { pending, error })),
        };
        if !durable {
            // What is turned away is counted, told by a record of its own, and by the request's outcome.
            pending.open.intent_lost = self.queue.push(Item::unattended(line), Claim::Intended).is_err();
            return Ok(Recorded::of(pending, Claim::Spare));
        }
        match self.write_through(line, Claim::Intended).await {
            Ok(()) => Ok(Recorded::of(pending, Claim::Owed)),
            Err(error) => Err(Box::new(Unrecorded { pending, error })),
        }
    }

    /// Records a connection that ended before it carried a request, without waiting.
    pub(crate) fn connection_failed(&self, failure: &ConnectionFailure) {
        match self.line(Kind::Connection { id: RequestId::random(), failure }) {
            // What is turned away is counted, and told by a record of its own.
            Ok(line) => drop(self.queue.push(Item::unattended(line), Claim::Spare)),
            Err(error) => tracing::error!(%error, "Failed connection cannot be recorded"),
        }
    }

    /// Whether intents are likely to become durable now.
    pub(crate) fn healthy(&self) -> bool {
        !self.thread.is_finished() && self.queue.is_healthy(self.sync_deadline)
    }

    /// The counts since the start.
    pub(crate) fn stats(&self) -> Stats {
        self.queue.stats()
    }

    /// Has `observer` called with the duration of each sync from now on; the first one given stays.
    pub(crate) fn on_sync(&self, observer: SyncObserver) {
        if self.observer.set(observer).is_err() {
            tracing::warn!("Audit syncs are observed already");
        }
    }

    /// Returns once everything recorded so far is durable.
    ///
    /// # Errors
    /// Where it is not within the deadline.
    pub(crate) async fn flush(&self) -> Result<(), AuditError> {
        self.write_through(Vec::new(), Claim::Owed).await
    }

    /// Goes on in a new file, where a log rotation has moved the former one away. Does not wait.
    pub(crate) fn reopen(&self) {
        // Nothing but a push to the writer, which looks before it writes.
        drop(self.queue.push(Item::unattended(Vec::new()), Claim::Owed));
    }

    /// Records that the configuration `generation` is in force, and keeps `text`, which holds no secrets, beside the records.
    ///
    /// # Errors
    /// Where the copy cannot be written.
    pub(crate) fn configured(&self, generation: &str, text: &str) -> Result<(), AuditError> {
        let file = keeping::keep_configuration(&self.directory, text)?;
        let sha256 = chain::Hash::of(text.as_bytes()).to_string();
        let version = env!("CARGO_PKG_VERSION");
        let line =
            self.line(Kind::Configuration { id: RequestId::random(), generation, file, sha256, version })?;
        self.queue.push(Item::unattended(line), Claim::Intended).map_err(|_| AuditError::Full)
    }

    /// Writes what waits and lets go of the directory. What is recorded from now on is lost.
    ///
    /// # Errors
    /// Where not everything could be written within the deadline.
    pub(crate) async fn close(mut self) -> Result<(), AuditError> {
        let flushed = self.flush().await;
        self.queue.close();
        if let Some(ended) = self.ended.take() {
            within(self.sync_deadline, ended).await?;
        }
        flushed
    }

    fn line(&self, kind: Kind<'_>) -> Result<Vec<u8>, AuditError> {
        line(&Record::new(rfc3339(self.clock.now()), kind)).map_err(AuditError::Json)
    }

    async fn write_through(&self, line: Vec<u8>, claim: Claim) -> Result<(), AuditError> {
        let (item, written) = Item::awaited(line);
        self.queue.push(item, claim).map_err(|refused| match refused {
            NotTaken::Full => AuditError::Full,
            NotTaken::Closed => AuditError::Closed,
        })?;
        within(self.sync_deadline, written).await
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Waits for the writer's word, for at most `deadline`.
async fn within(deadline: Duration, word: oneshot::Receiver<()>) -> Result<(), AuditError> {
    match tokio::time::timeout(deadline, word).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(AuditError::Closed),
        Err(_) => Err(AuditError::Deadline(deadline)),
    }
}

#[cfg(test)]
mod tests;
