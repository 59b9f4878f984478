//! The files of a record: which there are, in which order, line by line.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::chain::{Chained, Hash};

/// The file's name in its directory while it is written; former ones have longer names.
pub(super) const FILE_NAME: &str = "audit.jsonl";

/// One file of the record.
#[derive(Debug, Clone)]
pub(super) struct LogFile {
    /// Where it is.
    pub(super) path: PathBuf,
    /// How long it is.
    pub(super) len: u64,
    /// Which file it is, whatever its name.
    pub(super) identity: (u64, u64),
    /// When it was last written, in seconds since 1970.
    pub(super) modified: i64,
    /// The number of its first record; a guess from its name where that cannot be read.
    pub(super) first: u64,
    /// What its first line says of its place in the chain, where that line is whole.
    pub(super) opening: Option<Chained>,
    /// When its first record was written.
    pub(super) opened: Option<String>,
    /// What its first record says the file before it ends with.
    pub(super) debris: Option<Debris>,
}

/// Bytes at the end of a file that belong to no chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Debris {
    /// How many.
    pub(super) bytes: u64,
    /// Their hash.
    pub(super) sha256: Hash,
}

impl LogFile {
    /// Looks at the file at `path`.
    pub(super) fn look(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let mut found = Self {
            path: path.to_path_buf(),
            len: metadata.len(),
            identity: (metadata.dev(), metadata.ino()),
            modified: metadata.mtime(),
            first: number_in(path).unwrap_or(u64::MAX),
            opening: None,
            opened: None,
            debris: None,
        };
        let mut lines = Lines::open(path, u64::MAX)?;
        for number in 0..LOOK_AT {
            let Found::Line(line) = lines.next()? else { break };
            let Ok(chained) = Chained::read(line) else { continue };
            found.first = chained.seq.saturating_sub(number);
            if number == 0 {
                found.opening = Some(chained);
                found.opened = Prefix::of(line).map(|prefix| prefix.time.to_owned());
                found.debris = debris(line);
            }
            break;
        }
        Ok(found)
    }

    /// Its name, for people.
    pub(super) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// All files of the record in `directory`, in the order of the chain; empty ones are left out.
pub(super) fn list(directory: &Path) -> io::Result<Vec<LogFile>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if !is_log(&entry.file_name().to_string_lossy()) || !entry.file_type()?.is_file() {
            continue;
        }
        match LogFile::look(&entry.path()) {
            Ok(file) if file.len > 0 => found.push(file),
            Ok(_) => {}
            // It was renamed or removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    found.sort_by(|one, other| {
        let key = |file: &LogFile| (file.first, file.opening.is_some(), file.path.ends_with(FILE_NAME));
        key(one).cmp(&key(other)).then_with(|| one.path.cmp(&other.path))
    });
    Ok(found)
}

/// `audit.jsonl`, `audit-00000000000000000001.jsonl`, and what a log rotation makes of them: `audit.jsonl.1`, `audit.jsonl-20260101`.
fn is_log(name: &str) -> bool {
    name.starts_with("audit") && name.contains(".jsonl")
}

/// The name of a file whose first record has the number `first`; `copy` tells several apart.
pub(super) fn former_name(first: u64, copy: u32) -> String {
    if copy == 0 { format!("audit-{first:020}.jsonl") } else { format!("audit-{first:020}-{copy}.jsonl") }
}

fn number_in(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix("audit-")?.get(..20)?.parse().ok()
}

fn debris(line: &[u8]) -> Option<Debris> {
    if Prefix::of(line)?.action != "recovered" {
        return None;
    }
    let record: Value = serde_json::from_slice(line).ok()?;
    let sha256 = Hash::parse(record.get("winrm.debris_sha256")?.as_str()?.as_bytes())?;
    Some(Debris { bytes: record.get("winrm.debris_bytes")?.as_u64()?, sha256 })
}

/// How every record begins, read without reading the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prefix<'a> {
    /// When it was written.
    pub(super) time: &'a str,
    /// Which kind it is of.
    pub(super) action: &'a str,
    /// What it is about.
    pub(super) id: &'a str,
}

impl<'a> Prefix<'a> {
    /// The beginning of `line`, where it is that of a record.
    pub(super) fn of(line: &'a [u8]) -> Option<Self> {
        let start = line.get(..line.len().min(160))?;
        let text = match std::str::from_utf8(start) {
            Ok(text) => text,
            // The cut may have gone through a character that comes later.
            Err(error) => std::str::from_utf8(start.get(..error.valid_up_to())?).ok()?,
        };
        let (time, rest) = text.strip_prefix("{\"@timestamp\":\"")?.split_once("\",\"event.action\":\"")?;
        let (action, rest) = rest.split_once("\",\"event.id\":\"")?;
        let (id, _) = rest.split_once('"')?;
        let plain =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
        (plain(time) && plain(action) && plain(id)).then_some(Self { time, action, id })
    }
}

/// Reads a file line by line, in bounded memory, up to a limit.
pub(super) struct Lines {
    reader: BufReader<File>,
    line: Vec<u8>,
    /// Bytes of whole lines that were read.
    pub(super) offset: u64,
    limit: u64,
}

/// What there is at a place in a file.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// A line, without its line feed.
    Line(&'a [u8]),
    /// Bytes up to the end of the file, without a line feed: a line that grows, or was torn off.
    Partial(&'a [u8]),
    /// More bytes without a line feed than any record has.
    TooLong,
    /// Nothing more.
    End,
}

impl Lines {
    /// The lines of the file at `path` among its first `limit` bytes.
    pub(super) fn open(path: &Path, limit: u64) -> io::Result<Self> {
        Ok(Self {
            reader: BufReader::with_capacity(1 << 17, File::open(path)?),
            line: Vec::new(),
            offset: 0,
            limit,
        })
    }

    /// The next line.
    pub(super) fn next(&mut self) -> io::Result<Found<'_>> {
        let kept = self.line.len();
        if self.line.ends_with(b"\n") {
            self.line.clear();
        }
        let kept = kept.min(self.line.len());
        let left = self.limit.saturating_sub(self.offset + u64::try_from(kept).unwrap_or(u64::MAX));
        let most = left.min(MAX_LINE.saturating_sub(u64::try_from(kept).unwrap_or(u64::MAX)));
        (&mut self.reader).take(most).read_until(b'\n', &mut self.line)?;
        let length = u64::try_from(self.line.len()).unwrap_or(u64::MAX);
        if let Some(line) = self.line.strip_suffix(b"\n") {
            self.offset += length;
            return Ok(Found::Line(line));
        }
        if length >= MAX_LINE {
            return Ok(Found::TooLong);
        }
        Ok(if self.line.is_empty() { Found::End } else { Found::Partial(&self.line) })
    }

    /// Which file it reads, whatever its name is by now.
    pub(super) fn identity(&self) -> io::Result<(u64, u64)> {
        self.reader.get_ref().metadata().map(|metadata| (metadata.dev(), metadata.ino()))
    }
}

/// The longest line that is read, in bytes.
const MAX_LINE: u64 = 4 << 20;
/// How many lines are tried for one whose number can be read.
const LOOK_AT: u64 = 16;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_line_that_grows_is_read_once_it_is_whole() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut lines = Lines::open(file.path(), u64::MAX).unwrap();
        assert!(matches!(lines.next().unwrap(), Found::End));
        file.write_all(b"one\ntw").unwrap();
        assert!(matches!(lines.next().unwrap(), Found::Line(b"one")));
        assert!(matches!(lines.next().unwrap(), Found::Partial(b"tw")));
        file.write_all(b"o\n\nthree\n").unwrap();
        for wanted in [&b"two"[..], b"", b"three"] {
            let Found::Line(line) = lines.next().unwrap() else {
                panic!("no line where {wanted:?} should be")
            };
            assert_eq!(line, wanted);
        }
        assert!(matches!(lines.next().unwrap(), Found::End));
        assert_eq!(lines.offset, 15);
    }

    #[test]
    fn the_limit_cuts_a_line() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"one\ntwo\n").unwrap();
        let mut lines = Lines::open(file.path(), 6).unwrap();
        assert!(matches!(lines.next().unwrap(), Found::Line(b"one")));
        assert!(matches!(lines.next().unwrap(), Found::Partial(b"tw")));
        assert!(matches!(lines.next().unwrap(), Found::Partial(b"tw")));
    }

    #[test]
    fn the_beginning_of_a_record_is_read_alone() {
        let line = b"{\"@timestamp\":\"T\",\"event.action\":\"gap\",\"event.id\":\"ab\",\"x\":1}";
        assert_eq!(Prefix::of(line), Some(Prefix { time: "T", action: "gap", id: "ab" }));
        for other in [&b"{}"[..], b"", b"{\"@timestamp\":\"a\\\",\"event.action\":\"x\",\"event.id\":\"y\"}"]
        {
            assert_eq!(Prefix::of(other), None);
        }
    }
}
