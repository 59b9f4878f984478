//! Where records go: a file that only grows.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::{
    AuditError,
    chain::Link,
    files::{Debris, FILE_NAME, former_name},
    scan::{self, Start, Tail},
};

/// Takes lines and keeps them. Every call may block.
pub(super) trait Sink: Send {
    /// Puts `lines`, which end with a line feed, at the end; after an error any part of them may be there.
    fn append(&mut self, lines: &[u8]) -> io::Result<()>;
    /// Returns once all that was appended outlives a power failure.
    fn sync(&mut self) -> io::Result<()>;
    /// Makes the sink usable again after an error, with the record number `next` to come; what the error left in the file stays there, and
    /// is told where it is in no chain.
    fn recover(&mut self, next: u64) -> io::Result<Option<Debris>>;
    /// Whether somebody has moved the file away.
    fn is_moved(&self) -> bool {
        false
    }
    /// Goes on in a new file where the former one is no longer in its place; the record number `next` comes first.
    fn reopen(&mut self, _next: u64) -> io::Result<()> {
        Ok(())
    }
    /// How long the file is.
    fn size(&self) -> u64 {
        0
    }
    /// Gives the file, all of it synced, its final name, and goes on in a new one, with the record number `next` first.
    fn rotate(&mut self, _next: u64) -> io::Result<()> {
        Ok(())
    }
    /// Where former files are; none where there are none.
    fn directory(&self) -> Option<&Path> {
        None
    }
}

/// `audit.jsonl` in a directory that is locked for this process.
///
/// INVARIANT: a file is never shortened or rewritten once a record in it is on the disk. What a crash or a failing disk left at its end
/// stays, and the chain goes on in a new file whose first record names it.
pub(super) struct FileSink {
    path: PathBuf,
    file: File,
    /// The owner that file and directory must have.
    owner: u32,
    /// The number of the file's first record.
    first: u64,
    /// How many bytes are appended, and how many of them synced.
    size: u64,
    synced: u64,
    /// A sync has failed: what was appended since the one before may be gone, though it can be read.
    in_doubt: bool,
    /// Holds the lock while it is open.
    _lock: File,
}

impl FileSink {
    /// Opens the file in `directory`, making both where they are missing. `head` is the last record known to have been on the disk.
    pub(super) fn open(directory: &Path, head: Link) -> Result<(Self, Start), AuditError> {
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
        let file = open_file(&path, owner, true)?;
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
        let start = scan::start(directory, head).map_err(failed)?;
        // What a killed process had appended is in the kernel's memory, perhaps alone: from here on it counts as written.
        file.sync_all().map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let next = start.link.seq + 1;
        let first = start.first.unwrap_or(next);
        let mut sink = Self { path, file, owner, first, size, synced: size, in_doubt: false, _lock: lock };
        if start.debris.is_some() {
            // What is torn keeps its bytes, in a file that is written no more.
            sink.open_anew(next).map_err(failed)?;
        }
        Ok((sink, start))
    }

    /// Whether the path still leads to the open file; it does not once a log rotation has moved the file away.
    fn is_current(&self) -> bool {
        let here = self.file.metadata().map(|metadata| (metadata.dev(), metadata.ino()));
        let there = fs::symlink_metadata(&self.path).map(|metadata| (metadata.dev(), metadata.ino()));
        matches!((here, there), (Ok(here), Ok(there)) if here == there)
    }

    /// Goes on in a new file. A file that is there and not empty gets the name of a former one.
    fn open_anew(&mut self, next: u64) -> io::Result<()> {
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0) {
            self.move_away(self.first)?;
        }
        self.file = open_file(&self.path, self.owner, true).map_err(io::Error::other)?;
        (self.first, self.size, self.synced, self.in_doubt) = (next, 0, 0, false);
        self.sync_directory()
    }

    fn move_away(&self, first: u64) -> io::Result<()> {
        let names = (0..u32::MAX).map(|copy| self.path.with_file_name(former_name(first, copy)));
        let mut free = names.filter(|name| fs::symlink_metadata(name).is_err());
        let name = free.next().ok_or_else(|| io::Error::other("no name is left for the former file"))?;
        fs::rename(&self.path, name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    }
}

impl Sink for FileSink {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.file.write_all(lines)?;
        self.size += u64::try_from(lines.len()).unwrap_or_default();
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.in_doubt = true;
        self.file.sync_data()?;
        if self.file.metadata()?.nlink() == 0 {
            return Err(io::Error::other("the file was deleted while it was open"));
        }
        (self.synced, self.in_doubt) = (self.size, false);
        Ok(())
    }

    fn recover(&mut self, next: u64) -> io::Result<Option<Debris>> {
        let metadata = self.file.metadata()?;
        if self.is_current() && metadata.len() <= self.synced && !self.in_doubt {
            self.size = metadata.len();
            return Ok(None);
        }
        if self.is_current() && self.synced == 0 {
            // Nothing in it was ever acknowledged, and what its first record says must be written again.
            self.file.set_len(0)?;
            (self.size, self.in_doubt) = (0, false);
            return Ok(None);
        }
        let mut tail = Tail::default();
        if metadata.nlink() > 0 {
            tail.add(&self.file, self.synced, u64::MAX)?;
        }
        self.open_anew(next)?;
        Ok(Some(tail.finish()).filter(|debris| debris.bytes > 0))
    }

    fn is_moved(&self) -> bool {
        !self.is_current()
    }

    fn reopen(&mut self, next: u64) -> io::Result<()> {
        self.open_anew(next)
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn rotate(&mut self, next: u64) -> io::Result<()> {
        self.open_anew(next)
    }

    fn directory(&self) -> Option<&Path> {
        self.path.parent()
    }
}

/// Opens the file at `path`, which only its owner may read or write, making it where it is missing.
pub(super) fn open_private(path: &Path, append: bool) -> Result<File, AuditError> {
    let owner = effective_uid().map_err(|source| AuditError::Open { path: path.to_path_buf(), source })?;
    open_file(path, owner, append)
}

/// Opens `path` as a regular file of `owner`'s that nobody else may read or write.
fn open_file(path: &Path, owner: u32, append: bool) -> Result<File, AuditError> {
    let failed = |source| AuditError::Open { path: path.to_path_buf(), source };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .append(append)
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
    let file = open_file(path, owner, true)?;
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

    fn opened(path: &Path) -> Result<FileSink, AuditError> {
        FileSink::open(path, Link::default()).map(|(sink, _)| sink)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn what_it_makes_is_for_its_owner_alone() {
        let (_parent, path) = directory();
        let _sink = opened(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join(FILE_NAME)), 0o600);
    }

    #[test]
    fn threat_69_a_directory_that_others_may_write_is_refused() {
        let (_parent, path) = directory();
        for bits in [0o720, 0o702, 0o1777] {
            fs::create_dir_all(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(bits)).unwrap();
            assert!(matches!(opened(&path), Err(AuditError::Writable { .. })), "{bits:o}");
        }
    }

    #[test]
    fn threat_69_a_file_that_is_a_link_or_open_to_others_is_refused() {
        let (parent, path) = directory();
        drop(opened(&path).unwrap());
        let file = path.join(FILE_NAME);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(opened(&path), Err(AuditError::Readable { .. })));
        fs::remove_file(&file).unwrap();
        let elsewhere = parent.path().join("elsewhere");
        symlink(&elsewhere, &file).unwrap();
        assert!(matches!(opened(&path), Err(AuditError::NotAFile { .. })));
        assert!(!elsewhere.exists());
        fs::remove_file(&file).unwrap();
        fs::write(&elsewhere, b"").unwrap();
        fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o600)).unwrap();
        fs::hard_link(&elsewhere, &file).unwrap();
        assert!(matches!(opened(&path), Err(AuditError::NotAFile { .. })));
    }

    #[test]
    fn a_second_writer_is_refused_until_the_first_has_gone() {
        let (_parent, path) = directory();
        let first = opened(&path).unwrap();
        assert!(matches!(opened(&path), Err(AuditError::Locked { .. })));
        drop(first);
        opened(&path).unwrap();
    }

    #[test]
    fn a_line_that_a_crash_tore_off_stays_in_a_file_of_its_own() {
        let (_parent, path) = directory();
        let mut lines = Vec::new();
        let mut link = Link::default();
        link.append(b"{\"a\":1}\n", &mut lines);
        lines.extend_from_slice(b"{\"b\":");
        let mut sink = opened(&path).unwrap();
        sink.append(&lines).unwrap();
        drop(sink);
        let (mut sink, start) = FileSink::open(&path, Link::default()).unwrap();
        assert_eq!(start.link, link);
        let debris = start.debris.unwrap();
        assert_eq!((debris.bytes, debris.sha256), (5, crate::audit::chain::Hash::of(b"{\"b\":")));
        sink.append(b"3\n").unwrap();
        sink.sync().unwrap();
        assert_eq!(fs::read(path.join(former_name(1, 0))).unwrap(), lines);
        assert_eq!(fs::read(path.join(FILE_NAME)).unwrap(), b"3\n");
    }

    #[test]
    fn a_file_that_was_moved_away_is_followed_by_a_new_one() {
        let (_parent, path) = directory();
        let mut sink = opened(&path).unwrap();
        sink.append(b"1\n").unwrap();
        fs::rename(path.join(FILE_NAME), path.join("audit.jsonl.1")).unwrap();
        assert!(sink.is_moved());
        sink.reopen(2).unwrap();
        sink.append(b"2\n").unwrap();
        sink.sync().unwrap();
        assert_eq!(fs::read(path.join("audit.jsonl.1")).unwrap(), b"1\n");
        assert_eq!(fs::read(path.join(FILE_NAME)).unwrap(), b"2\n");
        assert_eq!(mode(&path.join(FILE_NAME)), 0o600);
    }

    #[test]
    fn a_file_that_was_deleted_before_it_was_synced_is_an_error_and_not_a_success() {
        let (_parent, path) = directory();
        let mut sink = opened(&path).unwrap();
        sink.append(b"1\n").unwrap();
        fs::remove_file(path.join(FILE_NAME)).unwrap();
        sink.sync().unwrap_err();
        sink.recover(1).unwrap();
        sink.append(b"1\n").unwrap();
        sink.sync().unwrap();
        assert_eq!(fs::read(path.join(FILE_NAME)).unwrap(), b"1\n");
    }
}
