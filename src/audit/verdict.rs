//! What came of verifying a record.

use std::{fmt, io, path::PathBuf};

use super::{head::Head, sign::PublicKey};

/// The first thing that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum NotIntact {
    /// A line.
    #[error("{file}, line {line}{}: {why}", seq.map(|seq| format!(" (record {seq})")).unwrap_or_default())]
    Line {
        /// The file's name.
        file: String,
        /// From 1.
        line: u64,
        /// The number of the record that stands there, or should.
        seq: Option<u64>,
        /// What is wrong.
        why: String,
    },
    /// The end.
    #[error("the record ends with {last}, and the head of {time} names {head}: the tail was cut")]
    Cut {
        /// The last record.
        last: u64,
        /// The one that the head names.
        head: u64,
        /// When the head was written.
        time: String,
    },
    /// The head cannot be used.
    #[error("the head {0}")]
    Head(String),
    /// Nobody trusted has signed.
    #[error("no checkpoint is signed by the given key or one that it endorsed")]
    NotSigned,
    /// A file cannot be read.
    #[error("`{}` cannot be read", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What was verified.
#[derive(Debug, Default)]
pub struct Intact {
    /// How many files.
    pub(super) files: usize,
    /// The number of the first record.
    pub(super) first: u64,
    /// The number of the last record.
    pub(super) last: u64,
    /// How many records.
    pub(super) records: u64,
    /// How many checkpoints.
    pub(super) checkpoints: u64,
    /// The last checkpoint that counts.
    pub(super) signed: u64,
    /// Who made it.
    pub(super) key: Option<PublicKey>,
    /// How many crashes and disk errors are on record.
    pub(super) recovered: u64,
    /// What the end was compared with.
    pub(super) head: Option<Head>,
    /// Whether a key was given, and this one is it or endorsed by it.
    pub(super) trusted: bool,
    /// Bytes of a line that is not finished.
    pub(super) partial: usize,
}

impl Intact {
    /// How many records there are.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }
}

impl fmt::Display for Intact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.files == 1 { "" } else { "s" };
        write!(f, "intact: {} records in {} file{plural}", self.records, self.files)?;
        if self.records > 0 {
            write!(f, ", {} to {}", self.first, self.last)?;
        }
        match &self.key {
            Some(key) => {
                let unsigned = self.last.saturating_sub(self.signed);
                write!(
                    f,
                    "; {} checkpoints, signed through {} by {key}, {unsigned} after it",
                    self.checkpoints, self.signed
                )?;
                if !self.trusted {
                    f.write_str("; no public key was given, so anybody's key may have signed")?;
                }
            }
            None => f.write_str(UNSIGNED)?,
        }
        match &self.head {
            Some(head) => write!(f, "; head: {} of {}", head.link.seq, head.time)?,
            None => f.write_str(HEADLESS)?,
        }
        if self.recovered > 0 {
            write!(f, "; {} crashes or disk errors, each named by a record", self.recovered)?;
        }
        if self.partial > 0 {
            write!(f, "; {} bytes of a line that is not finished", self.partial)?;
        }
        Ok(())
    }
}

const UNSIGNED: &str = "; hashed, not signed: whoever can write the directory can make all of it anew";
const HEADLESS: &str = "; no head was given, so a tail that was cut would not be missed";
