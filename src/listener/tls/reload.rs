//! Notices that a listener's TLS files were replaced, and puts what they say now in force.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::super::error::ListenerError;
use super::super::settings::{ClientCertificates, TlsSettings};
use super::{Tls, TlsSnapshot};

/// Loads the TLS files of one listener anew. Reading blocks: for the blocking pool.
///
/// INVARIANT: the snapshot in force is one whose files were all read and checked; a reload that fails changes nothing.
#[derive(Debug)]
pub(crate) struct TlsReloader {
    listener: Arc<str>,
    settings: TlsSettings,
    tls: Tls,
    /// The state of the files that could not be loaded, so that they are not tried again until they change.
    failed: Mutex<Option<Vec<Stamp>>>,
}

impl TlsReloader {
    pub(in super::super) fn new(listener: Arc<str>, settings: TlsSettings, tls: Tls) -> Self {
        Self { listener, settings, tls, failed: Mutex::default() }
    }

    /// The listener's name.
    pub(crate) fn listener(&self) -> &Arc<str> {
        &self.listener
    }

    /// Whether any file is another one than when they were last read; looks at no content.
    pub(crate) fn changed(&self) -> bool {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamps(&self.settings);
        match &*failed {
            Some(failed) => now != *failed,
            None => now != self.tls.current().stamps,
        }
    }

    /// Reads all files. The next handshake is made with them, and running connections are judged by them at their next request and
    /// within half a minute. Gives what the operator should know of files that will do, but not for long.
    ///
    /// # Errors
    ///
    /// Names the file that is missing, broken, or does not fit the others; the former files stay in force.
    pub(crate) fn reload(&self) -> Result<Arc<TlsSnapshot>, ListenerError> {
        let before = stamps(&self.settings);
        let loaded = TlsSnapshot::load(&self.settings);
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        *failed = loaded.is_err().then_some(before);
        self.tls.replace(loaded?);
        Ok(self.tls.current())
    }
}

/// What tells one state of a file from another without reading it; `None` where it cannot be looked at.
pub(super) type Stamp = Option<(u64, u64, u64, (i64, i64), (i64, i64))>;

/// The state of every file that `settings` name.
pub(super) fn stamps(settings: &TlsSettings) -> Vec<Stamp> {
    let mut files: Vec<&Path> = vec![&settings.certificate, &settings.private_key];
    match &settings.client_certificates {
        ClientCertificates::Off => {}
        ClientCertificates::Optional(trust) | ClientCertificates::Required(trust) => {
            files.push(&trust.anchors);
            files.extend(trust.crls.iter().map(std::path::PathBuf::as_path));
        }
    }
    files.into_iter().map(stamp).collect()
}

fn stamp(path: &Path) -> Stamp {
    let file = path.metadata().ok()?;
    Some((
        file.dev(),
        file.ino(),
        file.size(),
        (file.mtime(), file.mtime_nsec()),
        (file.ctime(), file.ctime_nsec()),
    ))
}
