//! What a former process left behind, found at the start.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::{
    chain::{Chained, Hash, Link},
    files::{self, Debris, FILE_NAME, Found, Lines, LogFile, Prefix},
    line::line,
    sign::PublicKey,
};

/// Where the chain goes on, and what of the former process is to be closed.
#[derive(Debug, Default)]
pub(super) struct Start {
    /// The last record.
    pub(super) link: Link,
    /// The number of the first record of `audit.jsonl`, where it has one.
    pub(super) first: Option<u64>,
    /// When the first record of `audit.jsonl` was written.
    pub(super) opened: Option<String>,
    /// What is in no chain at the end of the last file, or of the last files.
    pub(super) debris: Option<Debris>,
    /// The key that signed last.
    pub(super) known: Option<PublicKey>,
    /// The last checkpoint.
    pub(super) signed: u64,
    /// Intents without an outcome, as they were written.
    pub(super) open: BTreeMap<String, Vec<u8>>,
}

/// Reads the last files of the record in `directory`; `head` is the last record that is known to have been on the disk.
///
/// What follows the last good record is taken for debris of a crash, but nothing that the head says was on the disk: a record that was altered
/// stays where it is, and is found by `audit verify` for ever.
pub(super) fn start(directory: &Path, head: Link) -> io::Result<Start> {
    let all = files::list(directory)?;
    let mut start = Start::default();
    let mut tail = Vec::new();
    for file in all.iter().skip(all.len().saturating_sub(READ_FILES)) {
        let good = start.read(file, head)?;
        if good > 0 {
            tail.clear();
        }
        tail.push((file.path.as_path(), good));
    }
    start.debris = Some(debris(&tail)?).filter(|debris| debris.bytes > 0);
    if head.seq > start.link.seq {
        tracing::error!(
            head = head.seq,
            log = start.link.seq,
            "Records are missing at the end of the audit log; the gap stays visible to `audit verify`"
        );
        start.link = head;
    }
    Ok(start)
}

/// The hash of what the files hold, each from its own offset on, one after the other.
pub(super) fn debris(files: &[(&Path, u64)]) -> io::Result<Debris> {
    let mut digest = Tail::default();
    for (path, offset) in files {
        digest.add(&File::open(path)?, *offset, u64::MAX)?;
    }
    Ok(digest.finish())
}

/// Hashes ends of files.
#[derive(Default)]
pub(super) struct Tail {
    digest: Sha256,
    bytes: u64,
}

impl Tail {
    /// Adds at most `most` bytes of `file` from `offset` on.
    pub(super) fn add(&mut self, mut file: &File, offset: u64, most: u64) -> io::Result<()> {
        file.seek(SeekFrom::Start(offset))?;
        let mut rest = file.take(most);
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = rest.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            self.digest.update(buffer.get(..count).unwrap_or_default());
            self.bytes += u64::try_from(count).unwrap_or_default();
        }
    }

    /// All that was added.
    pub(super) fn finish(self) -> Debris {
        Debris { bytes: self.bytes, sha256: Hash(self.digest.finalize().into()) }
    }
}

impl Start {
    /// Reads one file; returns how many of its bytes are good.
    fn read(&mut self, file: &LogFile, head: Link) -> io::Result<u64> {
        let mut lines = Lines::open(&file.path, u64::MAX)?;
        let mut here = self.link;
        let (mut good, mut whole, mut broken) = (0, 0, None);
        while let Found::Line(line) = lines.next()? {
            match Chained::read(line) {
                Ok(chained) => {
                    self.note(line, &chained);
                    let follows = here.seq + 1 == chained.seq && here.hash == chained.previous;
                    // The first one that is read has none before it to follow.
                    if !follows && here != Link::default() && broken.is_none() {
                        broken = Some(chained.seq);
                    }
                    here = chained.link();
                    whole = lines.offset;
                }
                Err(_) if broken.is_none() => broken = Some(here.seq + 1),
                Err(_) => {}
            }
            if broken.is_none() {
                good = lines.offset;
                self.link = here;
            }
        }
        let torn_by_a_crash = broken.is_some_and(|seq| head.seq > 0 && seq > head.seq);
        if whole > good && !torn_by_a_crash {
            good = whole;
            self.link = here;
        }
        if file.path.ends_with(FILE_NAME) && good > 0 {
            self.first = Some(file.first);
            self.opened.clone_from(&file.opened);
        }
        Ok(good)
    }

    fn note(&mut self, line: &[u8], chained: &Chained) {
        let Some(prefix) = Prefix::of(line) else { return };
        match prefix.action {
            "intent" if self.open.len() < MAX_OPEN => {
                self.open.insert(prefix.id.to_owned(), line.to_vec());
            }
            "outcome" => {
                self.open.remove(prefix.id);
            }
            "checkpoint" | "key" => {
                self.known = key_of(line).or_else(|| self.known.take());
                self.signed = chained.seq;
            }
            _ => {}
        }
    }

    /// For each intent without an outcome, the outcome that nobody could write any more: abandoned.
    pub(super) fn closings(&self, time: &str) -> Vec<Vec<u8>> {
        self.open.iter().filter_map(|(id, intent)| closing(time, id, intent)).collect()
    }
}

/// The key that a checkpoint or a change of keys names.
pub(super) fn key_of(line: &[u8]) -> Option<PublicKey> {
    let mut record: Value = serde_json::from_slice(line).ok()?;
    serde_json::from_value(record.get_mut("winrm.key")?.take()).ok()
}

/// An outcome that says of a request what its intent said.
#[derive(Serialize)]
struct Closing<'a> {
    #[serde(rename = "@timestamp")]
    time: &'a str,
    #[serde(rename = "event.action")]
    action: &'static str,
    #[serde(rename = "event.id")]
    id: &'a str,
    #[serde(flatten)]
    facts: Map<String, Value>,
}

fn closing(time: &str, id: &str, intent: &[u8]) -> Option<Vec<u8>> {
    let Ok(Value::Object(mut facts)) = serde_json::from_slice(intent) else { return None };
    for name in OF_THE_INTENT {
        facts.remove(name);
    }
    for (name, value) in [
        ("event.outcome", Value::from("unknown")),
        ("winrm.result", Value::from("abandoned")),
        ("winrm.stage", Value::from("recovery")),
        ("winrm.intended", Value::from(true)),
    ] {
        facts.insert(name.to_owned(), value);
    }
    line(&Closing { time, action: "outcome", id, facts }).ok()
}

const OF_THE_INTENT: [&str; 7] = [
    "@timestamp",
    "event.action",
    "event.id",
    "event.sequence",
    "event.hash",
    "winrm.previous_hash",
    "winrm.durable",
];
/// How many requests of a former process are closed at most; no gateway has more at once.
const MAX_OPEN: usize = 100_000;
/// How many files are read at the start: a request that is older than these is not closed.
const READ_FILES: usize = 3;
