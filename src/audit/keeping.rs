//! How files are kept: how long they become, for how long they stay, what proves them.

use std::{
    fs::{self, DirBuilder},
    io::Write as _,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{AuditError, chain::Hash, sink};

/// Rotation, retention and proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keeping {
    /// Where the end of the chain is written besides; nowhere where none is given. Outside the audit directory.
    pub(crate) head: Option<PathBuf>,
    /// The key that signs checkpoints; without one the chain is hashed only. Outside the audit directory.
    pub(crate) signing_key: Option<PathBuf>,
    /// So many records have one checkpoint at least.
    pub(crate) checkpoint_records: u64,
    /// No record waits longer for a checkpoint.
    pub(crate) checkpoint_interval: Duration,
    /// A file that is so long is followed by a new one.
    pub(crate) rotate_bytes: u64,
    /// A file that is so old is followed by a new one.
    pub(crate) rotate_after: Duration,
    /// A file that was not written for so long is removed at the next rotation; never where none is given.
    pub(crate) keep: Option<Duration>,
}

impl Default for Keeping {
    fn default() -> Self {
        Self {
            head: None,
            signing_key: None,
            checkpoint_records: 1000,
            checkpoint_interval: Duration::from_secs(60),
            rotate_bytes: 100 << 20,
            rotate_after: Duration::from_secs(86_400),
            keep: None,
        }
    }
}

/// Writes `text` into `configurations/` in `directory`, under the name of its hash, and returns that name.
pub(super) fn keep_configuration(directory: &Path, text: &str) -> Result<String, AuditError> {
    let folder = directory.join(CONFIGURATIONS);
    let name = format!("{CONFIGURATIONS}/{}.json", Hash::of(text.as_bytes()));
    let path = directory.join(&name);
    let failed = |source| AuditError::Open { path: path.clone(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed)?;
    if fs::read(&path).is_ok_and(|bytes| bytes == text.as_bytes()) {
        return Ok(name);
    }
    let mut file = sink::open_private(&path, false)?;
    file.set_len(0)
        .and_then(|()| file.write_all(text.as_bytes()))
        .and_then(|()| file.sync_all())
        .map_err(failed)?;
    fs::File::open(&folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(name)
}

/// The folder of configurations that were in force.
const CONFIGURATIONS: &str = "configurations";
