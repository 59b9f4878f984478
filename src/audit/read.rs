//! Reading the record, also while it is written.

use std::{
    collections::{BTreeSet, VecDeque},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

use super::{
    chain::Chained,
    clock::{Clock as _, SystemClock, parse_rfc3339, rfc3339},
    files::{self, Found, Lines, LogFile},
    verify,
};

/// One record.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The line as it stands in the file.
    pub(crate) line: Vec<u8>,
    /// What it says.
    pub(crate) record: Value,
}

impl Entry {
    /// A text of the record; empty where it has none of this name.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.record.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// Its number; 0 where it has none.
    pub(crate) fn seq(&self) -> u64 {
        self.record.get("event.sequence").and_then(Value::as_u64).unwrap_or_default()
    }

    /// What stands for it where its content is left out: number and digest.
    pub(crate) fn digest(&self) -> Option<(u64, String)> {
        let chained = Chained::read(&self.line).ok()?;
        Some((chained.seq, chained.digest.to_string()))
    }
}

/// All records in a directory, in the order of the chain. Lines that are no records, and what a crash left behind, are passed over.
pub(crate) struct Records {
    directory: PathBuf,
    seen: BTreeSet<(u64, u64)>,
    waiting: VecDeque<(LogFile, Option<u64>)>,
    lines: Option<Lines>,
    /// How many lines could not be read.
    pub(crate) skipped: u64,
}

impl Records {
    /// Those in `directory`.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        let mut records = Self {
            directory: directory.to_path_buf(),
            seen: BTreeSet::new(),
            waiting: VecDeque::new(),
            lines: None,
            skipped: 0,
        };
        records.look()?;
        Ok(records)
    }

    /// The next record; none at the end, where more may come later.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub(crate) fn next(&mut self) -> io::Result<Option<Entry>> {
        loop {
            if let Some(entry) = self.next_here()? {
                return Ok(Some(entry));
            }
            if self.waiting.is_empty() {
                self.look()?;
                // Whoever renamed the file had written its last lines before.
                if let Some(entry) = self.next_here()? {
                    return Ok(Some(entry));
                }
            }
            let Some((file, limit)) = self.waiting.pop_front() else { return Ok(None) };
            self.lines = match Lines::open(&file.path, limit.unwrap_or(u64::MAX)) {
                Ok(lines) if lines.identity()? == file.identity => Some(lines),
                Ok(_) => self.again(&file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.again(&file),
                Err(error) => return Err(error),
            };
        }
    }

    /// It has another name by now: the next look finds it.
    fn again(&mut self, file: &LogFile) -> Option<Lines> {
        self.seen.remove(&file.identity);
        None
    }

    fn look(&mut self) -> io::Result<()> {
        let all = files::list(&self.directory)?;
        let limits = verify::limits(&all).unwrap_or_else(|_| vec![None; all.len()]);
        for (file, limit) in all.into_iter().zip(limits) {
            if self.seen.insert(file.identity) {
                self.waiting.push_back((file, limit));
            }
        }
        Ok(())
    }

    fn next_here(&mut self) -> io::Result<Option<Entry>> {
        let Some(lines) = &mut self.lines else { return Ok(None) };
        loop {
            match lines.next()? {
                Found::Line(line) => match serde_json::from_slice(line) {
                    Ok(record) => return Ok(Some(Entry { line: line.to_vec(), record })),
                    Err(_) => self.skipped += 1,
                },
                Found::TooLong => {
                    self.skipped += 1;
                    self.lines = None;
                    return Ok(None);
                }
                Found::Partial(_) | Found::End => return Ok(None),
            }
        }
    }
}

/// Which records are wanted; what is not given does not matter.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// A part of the person's name.
    pub(crate) person: Option<String>,
    /// A part of the host's name.
    pub(crate) host: Option<String>,
    /// Not before.
    pub(crate) since: Option<String>,
    /// Not at or after.
    pub(crate) until: Option<String>,
    /// A part of any text.
    pub(crate) text: Option<String>,
    /// How it ended: `succeeded`, `refused`, `failed` or `abandoned`.
    pub(crate) outcome: Option<String>,
}

impl Filter {
    /// A filter by time, as people write it: `2026-03-01`, `2026-03-01T12:00`, or `90m`, `12h`, `7d` ago.
    ///
    /// # Errors
    /// Where a time is none of these.
    pub(crate) fn between(since: Option<&str>, until: Option<&str>) -> Result<Self, BadTime> {
        let moment = |text: &str| moment(text).map(rfc3339).ok_or_else(|| BadTime(text.to_owned()));
        Ok(Self {
            since: since.map(moment).transpose()?,
            until: until.map(moment).transpose()?,
            ..Self::default()
        })
    }

    /// Whether `entry` is wanted.
    pub(crate) fn admits(&self, entry: &Entry) -> bool {
        let has =
            |wanted: &Option<String>, name| wanted.as_ref().is_none_or(|part| holds(entry.text(name), part));
        // Written with a fixed length, times compare as texts do.
        let time = entry.text("@timestamp");
        has(&self.person, "user.name")
            && has(&self.host, "destination.domain")
            && self.since.as_ref().is_none_or(|since| time >= since.as_str())
            && self.until.as_ref().is_none_or(|until| time < until.as_str())
            && self.outcome.as_ref().is_none_or(|outcome| entry.text("winrm.result") == outcome)
            && self.text.as_ref().is_none_or(|part| says(&entry.record, part))
    }
}

/// A time that is none.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no time; write 2026-03-01, 2026-03-01T12:00 (UTC), or 90m, 12h, 7d for so long ago")]
pub struct BadTime(String);

fn moment(text: &str) -> Option<Duration> {
    let ago = |unit: char, seconds: u64| {
        Some(text.strip_suffix(unit)?.parse::<u64>().ok()?.saturating_mul(seconds))
    };
    match ago('m', 60).or_else(|| ago('h', 3600)).or_else(|| ago('d', 86_400)) {
        Some(seconds) => Some(SystemClock.now().saturating_sub(Duration::from_secs(seconds))),
        None => parse_rfc3339(text),
    }
}

fn holds(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

fn says(value: &Value, part: &str) -> bool {
    match value {
        Value::String(text) => holds(text, part),
        Value::Array(values) => values.iter().any(|value| says(value, part)),
        Value::Object(fields) => fields.values().any(|value| says(value, part)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
