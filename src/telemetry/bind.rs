//! Takes the admin listener's address and socket, before anything is served.

use super::TelemetryError;
use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

/// Sockets that are taken; who asks waits until they are served.
#[derive(Debug)]
pub(crate) struct BoundAdmin {
    pub(super) address: Option<TcpListener>,
    pub(super) socket: Option<(UnixListener, SocketFile)>,
}

/// Takes `address` and makes `socket`, where they are given.
///
/// # Errors
/// Says which cannot be had, and what to do about it.
pub(crate) fn bind(address: Option<SocketAddr>, socket: Option<&Path>) -> Result<BoundAdmin, TelemetryError> {
    let address = address.map(at_address).transpose()?;
    let socket = socket.map(at_path).transpose()?;
    Ok(BoundAdmin { address, socket })
}

impl BoundAdmin {
    /// The address that was taken, with the port that the system chose where the configuration says 0.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.address.as_ref().and_then(|listener| listener.local_addr().ok())
    }
}

fn at_address(address: SocketAddr) -> Result<TcpListener, TelemetryError> {
    let failed = |source| TelemetryError::Address { address, source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

fn at_path(path: &Path) -> Result<(UnixListener, SocketFile), TelemetryError> {
    let failed = |source| TelemetryError::Socket { path: path.to_owned(), source };
    remove_stale(path)?;
    let listener = UnixListener::bind(path).map_err(failed)?;
    let file = SocketFile::of(path).map_err(failed)?;
    // Whoever connects before this line is turned away by uid.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok((listener, file))
}

/// Removes a socket that a former process left behind; one where somebody listens stays.
fn remove_stale(path: &Path) -> Result<(), TelemetryError> {
    let Ok(metadata) = path.symlink_metadata() else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(TelemetryError::NotASocket { path: path.to_owned() });
    }
    let failed = |source| TelemetryError::Socket { path: path.to_owned(), source };
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(failed)
        }
        Ok(_) => Err(TelemetryError::InUse { path: path.to_owned() }),
        Err(error) => Err(failed(error)),
    }
}

/// A socket in the file system; dropping it removes the file, unless another has taken its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
    owner: u32,
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = path.symlink_metadata()?;
        Ok(Self { path: path.to_owned(), identity: identity(&metadata), owner: metadata.uid() })
    }

    /// The gateway's own user, who made the file.
    pub(super) fn owner(&self) -> u32 {
        self.owner
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let found = self.path.symlink_metadata();
        if found.is_ok_and(|found| identity(&found) == self.identity)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "Socket not removed");
        }
    }
}

fn identity(metadata: &std::fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}
