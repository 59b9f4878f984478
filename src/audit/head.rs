//! The end of the chain, kept outside the audit directory: what shows that a tail was cut.
//!
//! Two places of 512 bytes in one file, written in turn and synced: whichever write a crash tears, the other place is whole.
//!
//! The order is: the log is synced, whoever waits is told, the head is written and synced. A crash between leaves a head that is behind the log,
//! which is right: the log must hold the record that the head names, and may hold more. A head is never ahead of a log that nobody touched.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    AuditError,
    chain::{Hash, Link},
    sign::{PublicKey, Signer},
    sink,
};

/// The file that holds the end of the chain.
pub(super) struct HeadFile {
    file: File,
    path: PathBuf,
    next: u64,
    pub(super) last: Link,
}

/// A place in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    seq: u64,
    hash: String,
    time: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<PublicKey>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
}

/// What a head says.
#[derive(Debug, Clone)]
pub(super) struct Head {
    /// The end of the chain.
    pub(super) link: Link,
    /// When it was.
    pub(super) time: String,
    /// Who signed it, where somebody did. The signature is right.
    pub(super) key: Option<PublicKey>,
}

impl HeadFile {
    /// Opens the head at `path`, making it where it is missing.
    pub(super) fn open(path: &Path) -> Result<Self, AuditError> {
        let failed = |source| AuditError::Open { path: path.to_path_buf(), source };
        let file = sink::open_private(path, false)?;
        if let Some(directory) = path.parent() {
            File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
        }
        let newest = newest(path).map_err(failed)?;
        // The place that holds the newest is written last.
        let next = newest.as_ref().map_or(0, |(place, _)| 1 - place);
        let last = newest.map(|(_, head)| head.link).unwrap_or_default();
        Ok(Self { file, path: path.to_path_buf(), next, last })
    }

    /// Writes that the chain ends with `link`; returns once that outlives a power failure.
    pub(super) fn write(&mut self, link: Link, time: &str, signer: Option<&Signer>) -> io::Result<()> {
        let place = Place {
            seq: link.seq,
            hash: link.hash.to_string(),
            time: time.to_owned(),
            key: signer.map(|signer| signer.public().clone()),
            signature: signer.map(|signer| signer.sign(&message(link, time))),
        };
        let mut bytes = serde_json::to_vec(&place)?;
        bytes.resize(PLACE - 1, b' ');
        bytes.push(b'\n');
        // A file that was moved or deleted is made anew, or its loss would go unnoticed.
        if fs::symlink_metadata(&self.path).is_err() {
            self.file = sink::open_private(&self.path, false).map_err(io::Error::other)?;
        }
        self.file.write_all_at(&bytes, self.next * PLACE_U64)?;
        self.file.sync_data()?;
        self.next = 1 - self.next;
        self.last = link;
        Ok(())
    }
}

/// The head that the file at `path` holds; none where it never held one.
pub(super) fn read(path: &Path) -> io::Result<Option<Head>> {
    Ok(newest(path)?.map(|(_, head)| head))
}

/// The newest head, and in which place it is.
fn newest(path: &Path) -> io::Result<Option<(u64, Head)>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let places = (0..2).zip(bytes.chunks(PLACE)).filter_map(|(place, bytes)| Some((place, head(bytes)?)));
    let newest = places.max_by_key(|(_, head)| head.link.seq);
    if newest.is_none() && !bytes.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "neither of the two places in it can be read",
        ));
    }
    Ok(newest)
}

fn head(bytes: &[u8]) -> Option<Head> {
    let place: Place = serde_json::from_slice(bytes).ok()?;
    let link = Link { seq: place.seq, hash: Hash::parse(place.hash.as_bytes())? };
    let key = match (place.key, place.signature) {
        (Some(key), Some(signature)) => {
            key.verifies(&message(link, &place.time), &signature).then_some(Some(key))?
        }
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => return None,
    };
    Some(Head { link, time: place.time, key })
}

fn message(link: Link, time: &str) -> String {
    format!("winrm-gateway audit head 1\n{}\n{}\n{time}\n", link.seq, link.hash)
}

const PLACE: usize = 512;
const PLACE_U64: u64 = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_whole_place_counts_and_a_torn_one_does_not() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("audit.head");
        assert!(read(&path).unwrap().is_none());
        let mut file = HeadFile::open(&path).unwrap();
        assert!(read(&path).unwrap().is_none(), "an empty file is no head");
        for seq in 1..=3 {
            file.write(Link { seq, hash: Hash::of(b"x") }, "2026-01-01T00:00:00.000Z", None).unwrap();
            assert_eq!(read(&path).unwrap().unwrap().link.seq, seq);
        }
        let mut torn = fs::read(&path).unwrap();
        torn[..20].fill(b'x');
        fs::write(&path, &torn).unwrap();
        assert_eq!(read(&path).unwrap().unwrap().link.seq, 2);
        torn[PLACE..PLACE + 20].fill(0);
        fs::write(&path, &torn).unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(HeadFile::open(&path).is_err(), "what cannot be read is not written over");
    }
}
