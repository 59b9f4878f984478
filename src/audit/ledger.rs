//! What the writer adds to the lines: their place in the chain, the signatures, the head.

use std::time::{Duration, Instant};

use super::{
    Keeping,
    chain::Link,
    files::Debris,
    head::HeadFile,
    line::line,
    record::{Kind, Record, RequestId},
    scan::Start,
    sign::{PublicKey, Signer, checkpoint_message},
};

/// The end of the chain, as far as it is on the disk and as far as it is written.
///
/// INVARIANT: what is not synced is not counted: after an error the chain goes on from the last record that is on the disk.
#[derive(Default)]
pub(super) struct Ledger {
    /// The last record on the disk.
    durable: Link,
    /// The last record that is appended.
    written: Link,
    keeping: Keeping,
    signer: Option<Signer>,
    head: Option<HeadFile>,
    /// The key that the record knows of.
    known: Option<PublicKey>,
    /// What is in no chain at the end of the file before.
    debris: Option<Debris>,
    /// The last checkpoint on the disk.
    signed: u64,
    signed_at: Option<Instant>,
    /// Checkpoint and key that are written and not yet on the disk.
    written_signed: Option<u64>,
    written_key: bool,
}

impl Ledger {
    /// A ledger that goes on where a former process ended.
    pub(super) fn new(
        keeping: Keeping,
        start: &Start,
        signer: Option<Signer>,
        head: Option<HeadFile>,
    ) -> Self {
        // What a former process left unsigned is signed as soon as there is time.
        let signed_at = signer.is_some().then(Instant::now);
        Self {
            durable: start.link,
            written: start.link,
            keeping,
            signer,
            head,
            known: start.known.clone(),
            debris: start.debris,
            signed: start.signed,
            signed_at,
            ..Self::default()
        }
    }

    /// The number of the next record, once all is on the disk.
    pub(super) fn next(&self) -> u64 {
        self.durable.seq + 1
    }

    /// Rotation and retention.
    pub(super) fn keeping(&self) -> &Keeping {
        &self.keeping
    }

    /// The next file begins with the word that the one before ends with `debris`.
    pub(super) fn found(&mut self, debris: Debris) {
        self.debris = Some(debris);
    }

    /// Adds what must come before all else: what a crash left, and which key signs.
    pub(super) fn open(&mut self, time: &str, to: &mut Vec<u8>) {
        if self.written == self.durable
            && let Some(Debris { bytes, sha256 }) = self.debris
        {
            let kind = Kind::Recovered { id: RequestId::random(), bytes, sha256: sha256.to_string() };
            self.add(time, kind, to);
        }
        if let Some(signer) = self.signer.take() {
            if self.known.as_ref() != Some(signer.public()) && !self.written_key {
                let endorsement =
                    signer.endorsement.as_ref().filter(|one| self.known.as_ref() == Some(&one.former));
                self.add(time, Kind::Key { id: RequestId::random(), key: signer.public(), endorsement }, to);
                self.written_key = true;
            }
            self.signer = Some(signer);
        }
    }

    /// Puts `line` at the end of the chain.
    pub(super) fn put(&mut self, line: &[u8], to: &mut Vec<u8>) {
        if !line.is_empty() {
            self.written.append(line, to);
        }
    }

    /// Adds a record of the writer's own.
    pub(super) fn add(&mut self, time: &str, kind: Kind<'_>, to: &mut Vec<u8>) {
        match line(&Record::new(time.to_owned(), kind)) {
            Ok(line) => self.put(&line, to),
            Err(error) => tracing::error!(%error, "Record of the writer's own cannot be written as JSON"),
        }
    }

    /// Signs all that is written so far, where there is a key and something that it has not signed.
    pub(super) fn sign(&mut self, time: &str, to: &mut Vec<u8>) {
        if self.unsigned() == 0 {
            return;
        }
        let Some(signer) = self.signer.take() else { return };
        let signature = signer.sign(&checkpoint_message(self.written, time));
        self.add(time, Kind::Checkpoint { id: RequestId::random(), key: signer.public(), signature }, to);
        self.signer = Some(signer);
        self.written_signed = Some(self.written.seq);
    }

    /// Whether it is time for a checkpoint.
    pub(super) fn is_due(&self) -> bool {
        self.unsigned() >= self.keeping.checkpoint_records.max(1)
            || self.time_left().is_some_and(|left| left.is_zero())
    }

    /// How long until a checkpoint is due, where one will be.
    pub(super) fn time_left(&self) -> Option<Duration> {
        if self.unsigned() == 0 {
            return None;
        }
        let since = self.signed_at.map(|at| at.elapsed()).unwrap_or_default();
        Some(self.keeping.checkpoint_interval.saturating_sub(since))
    }

    /// How many records no signature covers; none where nobody signs.
    pub(super) fn unsigned(&self) -> u64 {
        if self.signer.is_none() { 0 } else { self.written.seq - self.written_signed.unwrap_or(self.signed) }
    }

    /// All that was written is on the disk.
    pub(super) fn synced(&mut self) {
        self.durable = self.written;
        self.debris = None;
        if std::mem::take(&mut self.written_key) {
            self.known = self.signer.as_ref().map(|signer| signer.public().clone());
        }
        if let Some(seq) = self.written_signed.take() {
            self.signed = seq;
            self.signed_at = Some(Instant::now());
        }
    }

    /// What was written and not synced may be gone.
    pub(super) fn failed(&mut self) {
        self.written = self.durable;
        self.written_signed = None;
        self.written_key = false;
    }

    /// Writes the head, where there is one and it is behind.
    ///
    /// # Errors
    /// Where it could not be written; the record itself is on the disk all the same.
    pub(super) fn write_head(&mut self, time: &str) -> std::io::Result<()> {
        match &mut self.head {
            Some(head) if head.last != self.durable => head.write(self.durable, time, self.signer.as_ref()),
            Some(_) | None => Ok(()),
        }
    }
}
