//! Whether the record is what was written.
//!
//! Every line is hashed and followed to the next, across files; checkpoints are checked against their key, the key against the one that is
//! trusted, the end against the head. It reads while the gateway writes, once from the beginning to the end, and holds one line in memory.
//!
//! What it can't know: without a head whether the end is missing, without the public key who made the chain. The summary says so.

use std::{io, path::PathBuf};

use serde_json::Value;

use super::{
    chain::{Break, Chained, Link},
    files::{self, Found, Lines, LogFile, Prefix},
    head::{self, Head},
    scan::Tail,
    sign::{Endorsement, PublicKey, checkpoint_message},
    verdict::{Intact, NotIntact},
};

/// What is to be verified, and against what.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    /// Where the files are.
    pub(crate) directory: PathBuf,
    /// What says where the record ends.
    pub(crate) head: Option<PathBuf>,
    /// Whose signatures count.
    pub(crate) public_key: Option<PathBuf>,
}

/// Verifies the record.
///
/// # Errors
/// The first thing that is wrong.
pub(crate) fn verify(claim: &Claim) -> Result<Intact, Box<NotIntact>> {
    // Read first: the record may only have grown since.
    let head = claim.head.as_ref().map(|path| match head::read(path) {
        Ok(Some(head)) => Ok(head),
        Ok(None) => Err(NotIntact::Head(format!("`{}` is missing or empty", path.display()))),
        Err(source) => Err(NotIntact::Unreadable { path: path.clone(), source }),
    });
    let head = head.transpose()?;
    let trusted = match &claim.public_key {
        Some(path) => Some(PublicKey::read(path).map_err(|source| unreadable(path, source))?),
        None => None,
    };
    for _ in 0..MAX_ROTATIONS {
        let all = files::list(&claim.directory).map_err(|source| unreadable(&claim.directory, source))?;
        if let Some(intact) = Check::new(head.clone(), trusted.clone()).all(&all)? {
            return Ok(intact);
        }
    }
    Err(unreadable(&claim.directory, io::Error::other("its files are renamed all the time")))
}

fn unreadable(path: &std::path::Path, source: io::Error) -> Box<NotIntact> {
    Box::new(NotIntact::Unreadable { path: path.to_path_buf(), source })
}

/// The state between two lines.
struct Check {
    head: Option<Head>,
    /// The keys that count: the given one and those that it has endorsed.
    trusted: Vec<PublicKey>,
    /// Whether a key was given.
    asked: bool,
    link: Link,
    /// The key that signs now.
    key: Option<PublicKey>,
    /// The record begins after this one, and a later record must say why.
    removed: Option<Link>,
    intact: Intact,
}

impl Check {
    fn new(head: Option<Head>, trusted: Option<PublicKey>) -> Self {
        Self {
            asked: trusted.is_some(),
            trusted: trusted.into_iter().collect(),
            intact: Intact { head: head.clone(), ..Intact::default() },
            head,
            link: Link::default(),
            key: None,
            removed: None,
        }
    }

    /// Checks all files; none where they were renamed meanwhile.
    fn all(mut self, files: &[LogFile]) -> Result<Option<Intact>, Box<NotIntact>> {
        let limits = limits(files)?;
        if let Some(opening) = files.first().and_then(|file| file.opening)
            && opening.seq > 1
        {
            self.link = Link { seq: opening.seq - 1, hash: opening.previous };
            self.removed = Some(self.link);
        }
        self.intact.first = self.link.seq + 1;
        for (number, (file, limit)) in files.iter().zip(&limits).enumerate() {
            let is_last = number + 1 == files.len();
            if !self.file(file, *limit, is_last).map_err(|error| error.of(file))? {
                return Ok(None);
            }
        }
        self.intact.files = files.len();
        self.intact.last = self.link.seq;
        self.end(files)?;
        Ok(Some(self.intact))
    }

    /// Checks one file; false where another one is at its place by now.
    fn file(&mut self, file: &LogFile, limit: Option<u64>, is_last: bool) -> Result<bool, Wrong> {
        let mut lines = match Lines::open(&file.path, limit.unwrap_or(u64::MAX)) {
            Ok(lines) => lines,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(Wrong::Unreadable(error)),
        };
        if lines.identity().map_err(Wrong::Unreadable)? != file.identity {
            return Ok(false);
        }
        let mut number = 0;
        loop {
            number += 1;
            let seq = Some(self.link.seq + 1);
            let line = match lines.next().map_err(Wrong::Unreadable)? {
                Found::Line(line) => line,
                Found::End => return Ok(true),
                Found::Partial(bytes) if is_last && limit.is_none() => {
                    self.intact.partial = bytes.len();
                    return Ok(true);
                }
                Found::Partial(_) => return Err(Wrong::Line(number, seq, "the line has no end".to_owned())),
                Found::TooLong => return Err(Wrong::Line(number, seq, Break::NoRecord.to_string())),
            };
            let chained = Chained::read(line).map_err(|error| Wrong::Line(number, seq, error.to_string()))?;
            let before = self.link;
            self.link
                .follow(&chained)
                .map_err(|error| Wrong::Line(number, Some(chained.seq), error.to_string()))?;
            self.record(line, before)
                .map_err(|why| Wrong::Line(number, Some(chained.seq), why.to_owned()))?;
        }
    }

    /// Looks at what the record says, where it says something about the record itself.
    fn record(&mut self, line: &[u8], before: Link) -> Result<(), &'static str> {
        self.intact.records += 1;
        if let Some(head) = &self.head
            && head.link.seq == self.link.seq
            && head.link != self.link
        {
            return Err(
                "the head names another record of this number: all from here on, or before, was made anew",
            );
        }
        let Some(prefix) = Prefix::of(line) else { return Err("the record does not begin as one") };
        if !matches!(prefix.action, "checkpoint" | "key" | "expired" | "recovered") {
            return Ok(());
        }
        let record: Value = serde_json::from_slice(line).map_err(|_| "the record is no JSON")?;
        match prefix.action {
            "checkpoint" => self.checkpoint(&record, prefix.time, before),
            "key" => self.key(&record),
            "recovered" => {
                self.intact.recovered += 1;
                Ok(())
            }
            _ => {
                let text = |name| record.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
                let seq = record.get("winrm.expired_through").and_then(Value::as_u64);
                let says =
                    |link: Link| seq == Some(link.seq) && text("winrm.expired_hash") == link.hash.to_string();
                self.removed = self.removed.filter(|link| !says(*link));
                Ok(())
            }
        }
    }

    fn checkpoint(&mut self, record: &Value, time: &str, before: Link) -> Result<(), &'static str> {
        let key = key_in(record).ok_or("the checkpoint names no key")?;
        let known = self.key.get_or_insert_with(|| key.clone());
        if *known != key {
            return Err("the checkpoint is signed by another key than the one before, without a word of it");
        }
        let signature = record.get("winrm.signature").and_then(Value::as_str).unwrap_or_default();
        if !key.verifies(&checkpoint_message(before, time), signature) {
            return Err("the checkpoint's signature is wrong");
        }
        self.intact.checkpoints += 1;
        if !self.asked || self.trusted.contains(&key) {
            self.intact.signed = self.link.seq;
            self.intact.trusted = self.asked;
            self.intact.key = Some(key);
        }
        Ok(())
    }

    fn key(&mut self, record: &Value) -> Result<(), &'static str> {
        let key = key_in(record).ok_or("the record names no key")?;
        let endorsement = record.get("winrm.endorsement").cloned();
        let endorsement = endorsement.and_then(|value| serde_json::from_value::<Endorsement>(value).ok());
        if let Some(former) = &self.key {
            let holds = |one: &Endorsement| one.former == *former && one.key == key && one.holds();
            if !endorsement.as_ref().is_some_and(holds) {
                return Err("another key signs from here on, and the former one has not endorsed it");
            }
            if self.trusted.contains(former) {
                self.trusted.push(key.clone());
            }
        }
        self.key = Some(key);
        Ok(())
    }

    /// What only the end shows.
    fn end(&self, files: &[LogFile]) -> Result<(), Box<NotIntact>> {
        if let Some(removed) = self.removed {
            let why = format!(
                "the records 1 to {} are missing, and none says that they were removed for their age",
                removed.seq
            );
            let file = files.first().map(LogFile::name).unwrap_or_default();
            return Err(Box::new(NotIntact::Line { file, line: 1, seq: Some(removed.seq + 1), why }));
        }
        if let Some(head) = &self.head
            && self.link.seq < head.link.seq
        {
            let (last, head, time) = (self.link.seq, head.link.seq, head.time.clone());
            return Err(Box::new(NotIntact::Cut { last, head, time }));
        }
        if self.asked && self.intact.key.is_none() {
            return Err(Box::new(NotIntact::NotSigned));
        }
        let Some(head) = &self.head else { return Ok(()) };
        let seq = head.link.seq;
        if seq < self.intact.first {
            return Err(Box::new(NotIntact::Head(format!(
                "names {seq}, which is no longer there: it is not of this record"
            ))));
        }
        let is_trusted = head.key.as_ref().is_some_and(|key| self.trusted.contains(key));
        if self.asked && !is_trusted {
            return Err(Box::new(NotIntact::Head(
                "is not signed by the given key or one that it endorsed".to_owned(),
            )));
        }
        Ok(())
    }
}

fn key_in(record: &Value) -> Option<PublicKey> {
    serde_json::from_value(record.get("winrm.key")?.clone()).ok()
}

/// How far the chain goes in each file, where a later one says that the rest is debris. The debris is what that record says.
pub(super) fn limits(files: &[LogFile]) -> Result<Vec<Option<u64>>, Box<NotIntact>> {
    let mut limits = vec![None; files.len()];
    for (number, file) in files.iter().enumerate() {
        let Some(debris) = file.debris else { continue };
        let mut left = debris.bytes;
        let mut parts = Vec::new();
        for (limit, before) in limits.iter_mut().zip(files).take(number).rev() {
            if left == 0 {
                break;
            }
            let here = left.min(before.len);
            *limit = Some(before.len - here);
            left -= here;
            parts.push((before, before.len - here, here));
        }
        let mut tail = Tail::default();
        for (before, offset, length) in parts.into_iter().rev() {
            let file =
                std::fs::File::open(&before.path).map_err(|source| unreadable(&before.path, source))?;
            tail.add(&file, offset, length).map_err(|source| unreadable(&before.path, source))?;
        }
        if left > 0 || tail.finish() != debris {
            let why = "what the crash before it left behind is not what this record says: it was altered"
                .to_owned();
            let seq = file.opening.map(|opening| opening.seq);
            return Err(Box::new(NotIntact::Line { file: file.name(), line: 1, seq, why }));
        }
    }
    Ok(limits)
}

/// What is wrong in a file whose name is said later.
enum Wrong {
    Line(u64, Option<u64>, String),
    Unreadable(io::Error),
}

impl Wrong {
    fn of(self, file: &LogFile) -> Box<NotIntact> {
        match self {
            Self::Line(line, seq, why) => Box::new(NotIntact::Line { file: file.name(), line, seq, why }),
            Self::Unreadable(source) => unreadable(&file.path, source),
        }
    }
}

/// How often files may be renamed while one looks.
const MAX_ROTATIONS: usize = 5;
