//! Opens a listener's socket and loads its files, before anything is served.

use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::ListenerError;
use super::settings::{ListenAddress, Settings, Transport};
use super::tls::{Tls, TlsReloader, TlsSnapshot};

/// A listener whose address is taken and whose files are loaded; clients queue until it is served.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(super) settings: Settings,
    pub(super) socket: Socket,
    pub(super) tls: Option<Tls>,
}

#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// Loads the files of `settings` and takes its address.
///
/// # Errors
///
/// Says which file or address is at fault and what to do about it.
pub(crate) fn bind(settings: Settings) -> Result<Bound, ListenerError> {
    let tls = match &settings.transport {
        Transport::Https(tls) => Some(Tls::new(TlsSnapshot::load(tls)?)),
        Transport::Http => None,
    };
    let failed = |source| not_bound(&settings.address, source);
    let socket = match &settings.address {
        ListenAddress::Tcp(address) => {
            let listener = TcpListener::bind(address).map_err(failed)?;
            listener.set_nonblocking(true).map_err(failed)?;
            Socket::Tcp(listener)
        }
        ListenAddress::Unix(path) => {
            remove_stale(path, &settings.address)?;
            let listener = UnixListener::bind(path).map_err(failed)?;
            let file = SocketFile::new(path).map_err(failed)?;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(failed)?;
            listener.set_nonblocking(true).map_err(failed)?;
            Socket::Unix(listener, file)
        }
    };
    Ok(Bound { settings, socket, tls })
}

impl Bound {
    /// The listener's TLS, for reloads and for the names in its certificate.
    pub(crate) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// The listener's name.
    pub(crate) fn name(&self) -> &str {
        &self.settings.name
    }

    /// What the operator should know although everything loads: expired files, readable keys.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.tls.as_ref().map(|tls| tls.current().warnings().to_vec()).unwrap_or_default()
    }

    /// What loads the listener's TLS files anew while it serves; `None` without TLS.
    pub(crate) fn reloader(&self) -> Option<TlsReloader> {
        match (&self.settings.transport, &self.tls) {
            (Transport::Https(settings), Some(tls)) => {
                Some(TlsReloader::new(Arc::clone(&self.settings.name), settings.clone(), tls.clone()))
            }
            (Transport::Https(_) | Transport::Http, _) => None,
        }
    }

    /// The address that was taken, with the port that the system chose where the settings say 0.
    pub(crate) fn address(&self) -> ListenAddress {
        match &self.socket {
            Socket::Tcp(listener) => {
                listener.local_addr().map_or_else(|_| self.settings.address.clone(), ListenAddress::Tcp)
            }
            Socket::Unix(..) => self.settings.address.clone(),
        }
    }
}

/// A socket in the file system; dropping it removes the file, unless another socket has taken its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn new(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "Socket not removed");
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = path.symlink_metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Removes a socket that a former process left behind; one where somebody listens stays.
fn remove_stale(path: &Path, address: &ListenAddress) -> Result<(), ListenerError> {
    let Ok(metadata) = path.symlink_metadata() else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(ListenerError::NotASocket { path: path.to_owned() });
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|source| not_bound(address, source))
        }
        Ok(_) => Err(ListenerError::InUse { address: address.to_string() }),
        Err(source) => Err(not_bound(address, source)),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "only some of many kinds have advice of their own")]
fn not_bound(address: &ListenAddress, source: io::Error) -> ListenerError {
    let address = address.to_string();
    match source.kind() {
        io::ErrorKind::AddrInUse => ListenerError::InUse { address },
        io::ErrorKind::AddrNotAvailable => ListenerError::NotLocal { address },
        io::ErrorKind::PermissionDenied => ListenerError::Forbidden { address },
        _ => ListenerError::Listen { address, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::Limits;

    fn settings(address: ListenAddress) -> Settings {
        Settings { name: "test".into(), address, transport: Transport::Http, limits: Limits::default() }
    }

    #[test]
    fn an_address_in_use_says_so() {
        let taken = bind(settings(ListenAddress::Tcp("127.0.0.1:0".parse().unwrap()))).unwrap();
        let error = bind(settings(taken.address())).unwrap_err();
        assert!(error.to_string().contains("is in use"), "{error}");
        let error = bind(settings(ListenAddress::Tcp("192.0.2.1:1".parse().unwrap()))).unwrap_err();
        assert!(matches!(error, ListenerError::NotLocal { .. }), "{error}");
    }

    #[test]
    fn a_stale_socket_is_replaced_a_live_one_and_other_files_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gateway.sock");
        drop(UnixListener::bind(&path).unwrap());
        let live = bind(settings(ListenAddress::Unix(path.clone()))).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o660);
        let error = bind(settings(ListenAddress::Unix(path.clone()))).unwrap_err();
        assert!(matches!(error, ListenerError::InUse { .. }), "{error}");
        drop(live);
        assert!(!path.exists(), "the socket is removed at the end");
        std::fs::write(&path, "precious").unwrap();
        let error = bind(settings(ListenAddress::Unix(path.clone()))).unwrap_err();
        assert!(matches!(error, ListenerError::NotASocket { .. }), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn a_successor_keeps_the_socket_that_it_has_made() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gateway.sock");
        let former = bind(settings(ListenAddress::Unix(path.clone()))).unwrap();
        std::fs::rename(&path, directory.path().join("aside")).unwrap();
        let _successor = bind(settings(ListenAddress::Unix(path.clone()))).unwrap();
        drop(former);
        assert!(path.exists());
    }
}
