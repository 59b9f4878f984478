//! Where records go: a file that only grows.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::AuditError;

/// Takes lines and keeps them. Every call may block.
pub(super) trait Sink: Send {
    /// Puts `lines`, which end with a line feed, at the end; after an error any part of them may be there.
    fn append(&mut self, lines: &[u8]) -> io::Result<()>;
    /// Returns once all that was appended outlives a power failure.
    fn sync(&mut self) -> io::Result<()>;
    /// Makes the sink usable again after an error; whatever is there stays, and the next line starts on its own.
    fn recover(&mut self) -> io::Result<()>;
}

/// `audit.jsonl` in a directory that is locked for this process.
///
/// INVARIANT: the file is never shortened or rewritten. A line that a crash tore off keeps its bytes and gets a line feed.
pub(super) struct FileSink {
    path: PathBuf,
    file: File,
    /// The owner that file and directory must have.
    owner: u32,
    /// Holds the lock while it is open.
    _lock: File,
}

impl FileSink {
    /// Opens the file in `directory`, making both where they are missing.
    pub(super) fn open(directory: &Path) -> Result<Self, AuditError> {
        let failed = |source| AuditError::Open { path: directory.to_path_buf(), source };
        let owner = effective_uid().map_err(failed)?;
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        let metadata = fs::metadata(directory).map_err(failed)?;
        if metadata.uid() != owner {
            return Err(AuditError::Owner { path: directory.to_path_buf() });
        }
        if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
            return Err(AuditError::Writable { path: directory.to_path_buf() });
        }
        let lock = lock(&directory.join(LOCK_NAME), owner)?;
        let path = directory.join(FILE_NAME);
        let file = open_file(&path, owner)?;
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
        let sink = Self { path, file, owner, _lock: lock };
        sink.close_torn_line().map_err(|source| AuditError::Open { path: sink.path.clone(), source })?;
        Ok(sink)
    }

    /// Whether the path still leads to the open file; it does not once a log rotation has moved the file away.
    fn is_current(&self) -> bool {
        let here = self.file.metadata().map(|metadata| (metadata.dev(), metadata.ino()));
        let there = fs::symlink_metadata(&self.path).map(|metadata| (metadata.dev(), metadata.ino()));
        matches!((here, there), (Ok(here), Ok(there)) if here == there)
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.file = open_file(&self.path, self.owner).map_err(io::Error::other)?;
        if let Some(directory) = self.path.parent() {
            File::open(directory)?.sync_all()?;
        }
        self.close_torn_line()
    }

    fn close_torn_line(&self) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        let Some(last) = length.checked_sub(1) else { return Ok(()) };
        let mut byte = [0];
        self.file.read_exact_at(&mut byte, last)?;
        if byte == *b"\n" { Ok(()) } else { (&self.file).write_all(b"\n") }
    }
}

impl Sink for FileSink {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if !self.is_current() {
            self.sync()?;
            self.reopen()?;
        }
        self.file.write_all(lines)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        if self.file.metadata()?.nlink() == 0 {
            return Err(io::Error::other("the file was deleted while it was open"));
        }
        Ok(())
    }

    fn recover(&mut self) -> io::Result<()> {
        self.reopen()
    }
}

/// Opens `path` for appending as a regular file of `owner`'s that nobody else may read or write.
fn open_file(path: &Path, owner: u32) -> Result<File, AuditError> {
    let failed = |source| AuditError::Open { path: path.to_path_buf(), source };
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
        .map_err(|error| match error.raw_os_error() {
            Some(libc::ELOOP) => AuditError::NotAFile { path: path.to_path_buf() },
            _ => failed(error),
        })?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() || metadata.nlink() > 1 {
        return Err(AuditError::NotAFile { path: path.to_path_buf() });
    }
    if metadata.uid() != owner {
        return Err(AuditError::Owner { path: path.to_path_buf() });
    }
    if metadata.mode() & OPEN_TO_OTHERS != 0 {
        return Err(AuditError::Readable { path: path.to_path_buf() });
    }
    Ok(file)
}

/// Locks the directory against a second process, for as long as the file is open.
fn lock(path: &Path, owner: u32) -> Result<File, AuditError> {
    let file = open_file(path, owner)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(AuditError::Locked { path: path.to_path_buf() }),
        Err(TryLockError::Error(source)) => Err(AuditError::Open { path: path.to_path_buf(), source }),
    }
}

/// Whom this process acts as, from the kernel's own description (`proc_pid_status(5)`: real, effective, saved, file system).
fn effective_uid() -> io::Result<u32> {
    let status = fs::read_to_string("/proc/self/status")?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .and_then(|ids| ids.split_ascii_whitespace().nth(1))
        .and_then(|id| id.parse().ok())
        .ok_or_else(|| io::Error::other("/proc/self/status does not say whom this process runs as"))
}

/// The file's name in its directory.
pub(super) const FILE_NAME: &str = "audit.jsonl";
const LOCK_NAME: &str = "audit.lock";
const WRITABLE_BY_OTHERS: u32 = 0o022;
const OPEN_TO_OTHERS: u32 = 0o077;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn directory() -> (tempfile::TempDir, PathBuf) {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("audit");
        (parent, path)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn what_it_makes_is_for_its_owner_alone() {
        let (_parent, path) = directory();
        let _sink = FileSink::open(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join(FILE_NAME)), 0o600);
    }

    #[test]
    fn threat_69_a_directory_that_others_may_write_is_refused() {
        let (_parent, path) = directory();
        for bits in [0o720, 0o702, 0o1777] {
            fs::create_dir_all(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(bits)).unwrap();
            assert!(matches!(FileSink::open(&path), Err(AuditError::Writable { .. })), "{bits:o}");
        }
    }

    #[test]
    fn threat_69_a_file_that_is_a_link_or_open_to_others_is_refused() {
        let (parent, path) = directory();
        drop(FileSink::open(&path).unwrap());
        let file = path.join(FILE_NAME);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(FileSink::open(&path), Err(AuditError::Readable { .. })));
        fs::remove_file(&file).unwrap();
        let elsewhere = parent.path().join("elsewhere");
        symlink(&elsewhere, &file).unwrap();
        assert!(matches!(FileSink::open(&path), Err(AuditError::NotAFile { .. })));
        assert!(!elsewhere.exists());
        fs::remove_file(&file).unwrap();
        fs::write(&elsewhere, b"").unwrap();
        fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o600)).unwrap();
        fs::hard_link(&elsewhere, &file).unwrap();
        assert!(matches!(FileSink::open(&path), Err(AuditError::NotAFile { .. })));
    }

    #[test]
    fn a_second_writer_is_refused_until_the_first_has_gone() {
        let (_parent, path) = directory();
        let first = FileSink::open(&path).unwrap();
        assert!(matches!(FileSink::open(&path), Err(AuditError::Locked { .. })));
        drop(first);
        FileSink::open(&path).unwrap();
    }

    #[test]
    fn a_line_that_a_crash_tore_off_stays_and_stands_apart() {
        let (_parent, path) = directory();
        let mut sink = FileSink::open(&path).unwrap();
        sink.append(b"{\"a\":1}\n{\"b\":").unwrap();
        drop(sink);
        let mut sink = FileSink::open(&path).unwrap();
        sink.append(b"{\"c\":3}\n").unwrap();
        sink.sync().unwrap();
        assert_eq!(fs::read_to_string(path.join(FILE_NAME)).unwrap(), "{\"a\":1}\n{\"b\":\n{\"c\":3}\n");
    }

    #[test]
    fn a_file_that_was_moved_away_is_followed_by_a_new_one() {
        let (_parent, path) = directory();
        let mut sink = FileSink::open(&path).unwrap();
        sink.append(b"1\n").unwrap();
        fs::rename(path.join(FILE_NAME), path.join("audit.jsonl.1")).unwrap();
        sink.append(b"2\n").unwrap();
        sink.sync().unwrap();
        assert_eq!(fs::read(path.join("audit.jsonl.1")).unwrap(), b"1\n");
        assert_eq!(fs::read(path.join(FILE_NAME)).unwrap(), b"2\n");
        assert_eq!(mode(&path.join(FILE_NAME)), 0o600);
    }

    #[test]
    fn a_file_that_was_deleted_before_it_was_synced_is_an_error_and_not_a_success() {
        let (_parent, path) = directory();
        let mut sink = FileSink::open(&path).unwrap();
        sink.append(b"1\n").unwrap();
        fs::remove_file(path.join(FILE_NAME)).unwrap();
        sink.sync().unwrap_err();
        sink.recover().unwrap();
        sink.append(b"1\n").unwrap();
        sink.sync().unwrap();
        assert_eq!(fs::read(path.join(FILE_NAME)).unwrap(), b"1\n");
    }
}
