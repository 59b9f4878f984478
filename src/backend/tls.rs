//! How an `https` host proves its name.

use std::{
    collections::HashMap,
    fs::Metadata,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustls::{
    ClientConfig, RootCertStore, SignatureScheme,
    client::{ResolvesClientCert, Resumption},
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    sign::CertifiedKey,
};
use tokio::{net::TcpStream, time::Instant};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::error::BackendError;
use crate::{
    credential::ClientCertificate,
    policy::{BackendTls, Endpoint, EndpointHost},
};

/// TLS settings by the file of their trust anchors; a changed file is read anew.
///
/// INVARIANT: there is no setting under which a host's certificate is not verified, its name included.
#[derive(Default)]
pub(super) struct Trust {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    files: HashMap<PathBuf, Anchors>,
    next_version: u64,
}

/// The settings that one content of a file gives.
#[derive(Clone)]
pub(super) struct Anchors {
    config: Arc<ClientConfig>,
    /// Names this content; never given twice.
    pub(super) version: u64,
    stamp: Stamp,
    checked: Instant,
}

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    size: u64,
    inode: u64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Self { modified, size: metadata.size(), inode: metadata.ino() }
    }
}

impl Trust {
    /// The settings for a route.
    ///
    /// # Errors
    /// [`BackendError::TrustAnchors`] where the file can't be read or holds no certificate, even if it once did.
    pub(super) async fn anchors(&self, tls: &BackendTls) -> Result<Anchors, BackendError> {
        let path = tls.ca_file.as_deref().unwrap_or_else(|| Path::new(SYSTEM_ANCHORS));
        let known = self.lock().files.get(path).cloned();
        if let Some(anchors) = known.as_ref().filter(|known| known.checked.elapsed() < LOOK_AGAIN) {
            return Ok(anchors.clone());
        }
        let broken = |source| BackendError::TrustAnchors { path: path.to_owned(), source };
        let metadata = tokio::fs::metadata(path).await.map_err(|error| broken(Some(error.into())))?;
        let stamp = Stamp::of(&metadata);
        let config = match known.filter(|known| known.stamp == stamp) {
            Some(known) => return Ok(self.keep(path, Anchors { checked: Instant::now(), ..known })),
            None if stamp.size > MOST_BYTES => return Err(broken(None)),
            None => {
                let bytes = tokio::fs::read(path).await.map_err(|error| broken(Some(error.into())))?;
                config(&bytes, tls.ca_file.is_some()).map_err(broken)?
            }
        };
        let version = {
            let mut known = self.lock();
            known.next_version += 1;
            known.next_version
        };
        Ok(self.keep(path, Anchors { config: Arc::new(config), version, stamp, checked: Instant::now() }))
    }

    fn keep(&self, path: &Path, anchors: Anchors) -> Anchors {
        self.lock().files.insert(path.to_owned(), anchors.clone());
        anchors
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A TLS connection, and the certificate that its host proved to have.
pub(super) struct Secured {
    pub(super) stream: TlsStream<TcpStream>,
    pub(super) certificate: CertificateDer<'static>,
    /// Whether the host asked for the gateway's own certificate.
    pub(super) showed_certificate: bool,
}

/// Speaks TLS on `stream`.
///
/// # Errors
/// [`BackendError::Tls`] where the certificate does not prove the endpoint's own name.
pub(super) async fn secure(
    stream: TcpStream,
    endpoint: &Endpoint,
    (anchors, own): (&Anchors, Option<&ClientCertificate>),
) -> Result<Secured, BackendError> {
    let failed = |source| BackendError::Tls { endpoint: endpoint.clone(), source };
    let name = match &endpoint.host {
        EndpointHost::Name(name) => ServerName::try_from(name.as_str().to_owned())
            .map_err(|error| failed(std::io::Error::other(error)))?,
        EndpointHost::Address(address) => ServerName::from(*address),
    };
    let shown = own.map(|own| Arc::new(Shown { key: Arc::clone(own.key()), asked: AtomicBool::new(false) }));
    let mut config = Arc::clone(&anchors.config);
    if let Some(shown) = &shown {
        let resolver: Arc<dyn ResolvesClientCert> = Arc::<Shown>::clone(shown);
        Arc::make_mut(&mut config).client_auth_cert_resolver = resolver;
    }
    let connector = TlsConnector::from(config);
    let stream = connector.connect(name, stream).await.map_err(failed)?;
    let presented = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let certificate = presented.map(|certificate| certificate.clone().into_owned());
    let certificate =
        certificate.ok_or_else(|| failed(std::io::Error::other("no certificate was presented")))?;
    let showed_certificate = shown.is_some_and(|shown| shown.asked.load(Ordering::Acquire));
    Ok(Secured { stream, certificate, showed_certificate })
}

/// The gateway's own certificate on one connection, and whether it was asked for there.
#[derive(Debug)]
struct Shown {
    key: Arc<CertifiedKey>,
    asked: AtomicBool,
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.key.key.choose_scheme(schemes)?;
        self.asked.store(true, Ordering::Release);
        Some(Arc::clone(&self.key))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Where the operator named the file, every certificate in it must be usable; the system's may hold what nobody can read.
fn config(
    pem: &[u8],
    strict: bool,
) -> Result<ClientConfig, Option<Box<dyn std::error::Error + Send + Sync>>> {
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| Some(error.into()))?;
    let mut roots = RootCertStore::empty();
    if strict {
        for certificate in certificates {
            roots.add(certificate).map_err(|error| Some(error.into()))?;
        }
    } else {
        roots.add_parsable_certificates(certificates);
    }
    if roots.is_empty() {
        return Err(None);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config =
        builder.map_err(|error| Some(error.into()))?.with_root_certificates(roots).with_no_client_auth();
    // What a host proved belongs to one connection: each shows its certificate anew, for the channel bindings.
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Debian's bundle of authorities.
const SYSTEM_ANCHORS: &str = "/etc/ssl/certs/ca-certificates.crt";
/// After so long a file is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
const MOST_BYTES: u64 = 16 * 1024 * 1024;
