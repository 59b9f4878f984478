//! Files that are old enough to be removed.
//!
//! The removal of a file is a record of the chain, written before the file goes: `audit verify` accepts a record that begins in the middle only
//! where a later record says that what came before was removed.

use std::{fs, io, path::Path, path::PathBuf, time::Duration};

use super::{
    chain::Link,
    files::{self, FILE_NAME},
    record::{Kind, RequestId},
};

/// A file that is too old.
#[derive(Debug)]
pub(super) struct Old {
    path: PathBuf,
    name: String,
    /// Its last record.
    last: Link,
}

impl Old {
    /// The record of its removal.
    pub(super) fn record(&self) -> Kind<'static> {
        Kind::Expired {
            id: RequestId::random(),
            file: self.name.clone(),
            seq: self.last.seq,
            hash: self.last.hash.to_string(),
        }
    }

    /// Removes it.
    pub(super) fn remove(self) -> io::Result<()> {
        fs::remove_file(self.path)
    }
}

/// The files in `directory` that were not written for longer than `keep`, the oldest first; none after one that is to stay.
pub(super) fn expired(directory: &Path, keep: Option<Duration>, now: Duration) -> io::Result<Vec<Old>> {
    let Some(keep) = keep else { return Ok(Vec::new()) };
    let limit = i64::try_from(now.saturating_sub(keep).as_secs()).unwrap_or(i64::MAX);
    let all = files::list(directory)?;
    let followed = all.iter().zip(all.iter().skip(1));
    let old = followed.take_while(|(file, _)| file.modified < limit && !file.path.ends_with(FILE_NAME));
    Ok(old
        // Where a file ends is what the next one says; without its word the file stays.
        .map_while(|(file, next)| {
            let opening = next.opening?;
            let last = Link { seq: opening.seq - 1, hash: opening.previous };
            Some(Old { path: file.path.clone(), name: file.name(), last })
        })
        .collect())
}
