//! The certificate that clients see, and the rule by which theirs are believed, as one immutable snapshot.
//!
//! INVARIANT: no TLS session of a client that was asked for a certificate is ever resumed, and
//! [`TlsSnapshot::verify`] judges a connection's certificate again whenever the files were loaded anew.
//!
//! Why both: rustls copies the client's chain out of a resumed session without asking the verifier, so that a
//! revoked client could come back for as long as its session lives; and a connection that stays open is not asked
//! again at all.

mod files;
mod reload;

pub(crate) use reload::TlsReloader;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use webpki::CertRevocationList;

use super::error::ListenerError;
use super::refusal::FailureReason;
use super::settings::{ClientCertificates, TlsSettings, TlsVersion, Trust};

/// The TLS of one listener; running connections and the accept loop share it, a reload replaces its snapshot.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    current: Arc<ArcSwap<TlsSnapshot>>,
}

impl Tls {
    /// Starts with `snapshot`.
    pub(crate) fn new(snapshot: TlsSnapshot) -> Self {
        Self { current: Arc::new(ArcSwap::from_pointee(snapshot)) }
    }

    /// The snapshot that the next connection gets.
    pub(crate) fn current(&self) -> Arc<TlsSnapshot> {
        self.current.load_full()
    }

    /// Puts a newly loaded snapshot in place; running connections are judged by it at their next request.
    pub(crate) fn replace(&self, snapshot: TlsSnapshot) {
        self.current.store(Arc::new(snapshot));
    }
}

/// Everything about TLS that was read from files at one moment.
#[derive(Debug)]
pub(crate) struct TlsSnapshot {
    config: Arc<ServerConfig>,
    certificate: CertificateDer<'static>,
    clients: Clients,
    generation: u64,
    dns_names: Vec<String>,
    expires: i64,
    warnings: Vec<String>,
    /// The state of the files before they were read.
    stamps: Vec<reload::Stamp>,
}

/// What client certificates are verified against, kept because rustls keeps no path.
#[derive(Debug, Default)]
struct Material {
    anchors: Vec<CertificateDer<'static>>,
    crls: Vec<CertRevocationList<'static>>,
}

#[derive(Debug)]
enum Clients {
    NotAsked,
    Asked { verifier: Arc<dyn ClientCertVerifier>, required: bool, material: Material },
}

impl TlsSnapshot {
    /// Reads and checks all files of `settings`.
    ///
    /// # Errors
    ///
    /// Names the file that is missing, broken, or does not fit the others.
    pub(crate) fn load(settings: &TlsSettings) -> Result<Self, ListenerError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut warnings = Vec::new();
        // Before reading: a file that is replaced meanwhile is then seen as changed.
        let stamps = reload::stamps(settings);
        let pair = files::pair(settings, &provider, &mut warnings)?;
        let certificate = first(&pair, settings)?;
        let (dns_names, expires) = files::names_and_end(&settings.certificate, &certificate)?;
        let clients = Clients::load(&settings.client_certificates, &provider, &mut warnings)?;
        let config = server_config(settings, provider, pair, &clients)?;
        Ok(Self {
            config: Arc::new(config),
            certificate,
            clients,
            generation: GENERATION.fetch_add(1, Ordering::Relaxed),
            dns_names,
            expires,
            warnings,
            stamps,
        })
    }

    /// What the operator should know although everything loads: expired files, readable keys.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The DNS names of the gateway's certificate, in lower case, wildcards included.
    pub(crate) fn dns_names(&self) -> &[String] {
        &self.dns_names
    }

    /// When the gateway's certificate ends, in seconds since 1970.
    pub(crate) fn expires(&self) -> i64 {
        self.expires
    }

    /// The certificate that clients are served.
    pub(crate) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The certificates of the authorities whose client certificates are believed.
    pub(crate) fn client_anchors(&self) -> &[CertificateDer<'static>] {
        self.material().map_or(&[], |material| &material.anchors)
    }

    /// The revocation lists that client certificates are looked up in.
    pub(crate) fn client_crls(&self) -> &[CertRevocationList<'static>] {
        self.material().map_or(&[], |material| &material.crls)
    }

    fn material(&self) -> Option<&Material> {
        match &self.clients {
            Clients::NotAsked => None,
            Clients::Asked { material, .. } => Some(material),
        }
    }

    /// Tells snapshots apart; a later one has a higher number.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Judges the chain that a client presented, now and by these files.
    pub(super) fn verify(&self, chain: &[CertificateDer<'static>]) -> Result<(), FailureReason> {
        match (&self.clients, chain.split_first()) {
            (Clients::NotAsked, None) | (Clients::Asked { required: false, .. }, None) => Ok(()),
            (Clients::Asked { required: true, .. }, None) => Err(FailureReason::NoCertificate),
            (Clients::NotAsked, Some(_)) => Err(FailureReason::UnknownIssuer),
            (Clients::Asked { verifier, .. }, Some((leaf, rest))) => verifier
                .verify_client_cert(leaf, rest, UnixTime::now())
                .map(drop)
                .map_err(|error| FailureReason::of_tls(&error)),
        }
    }

    /// The same files behind a configuration that does resume sessions, as rustls does by default.
    #[cfg(test)]
    pub(super) fn resuming(mut self, sessions: Arc<dyn rustls::server::StoresServerSessions>) -> Self {
        let mut config = (*self.config).clone();
        config.session_storage = sessions;
        config.send_tls13_tickets = 2;
        self.config = Arc::new(config);
        self
    }
}

impl Clients {
    fn load(
        wanted: &ClientCertificates,
        provider: &Arc<CryptoProvider>,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ListenerError> {
        let (trust, required) = match wanted {
            ClientCertificates::Off => return Ok(Self::NotAsked),
            ClientCertificates::Optional(trust) => (trust, false),
            ClientCertificates::Required(trust) => (trust, true),
        };
        let (verifier, material) = verifier(trust, required, provider, warnings)?;
        Ok(Self::Asked { verifier, required, material })
    }
}

/// Builds the rule for client certificates. With revocation lists, the whole chain is looked up in them, a
/// certificate that none of them covers is refused, and so is one whose list is out of date.
fn verifier(
    trust: &Trust,
    required: bool,
    provider: &Arc<CryptoProvider>,
    warnings: &mut Vec<String>,
) -> Result<(Arc<dyn ClientCertVerifier>, Material), ListenerError> {
    let mut roots = RootCertStore::empty();
    let mut material = Material { anchors: files::anchors(&trust.anchors, warnings)?, crls: Vec::new() };
    for (number, anchor) in material.anchors.iter().cloned().enumerate() {
        files::guarded("trust anchors", &trust.anchors, || {
            roots.add(anchor).map_err(|source| ListenerError::Certificate {
                what: "trust anchors",
                path: trust.anchors.clone(),
                number: number + 1,
                source: Some(source),
            })
        })?;
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    if !trust.crls.is_empty() {
        let mut crls = Vec::new();
        for path in &trust.crls {
            for list in files::crls(path, warnings)? {
                material.crls.push(files::owned_crl(path, &list)?);
                crls.push(list);
            }
        }
        builder = builder.with_crls(crls).enforce_revocation_expiration();
    }
    if !required {
        builder = builder.allow_unauthenticated();
    }
    let verifier = files::guarded("trust anchors", &trust.anchors, || {
        builder.build().map_err(|source| ListenerError::Verifier { path: trust.anchors.clone(), source })
    })?;
    Ok((verifier, material))
}

fn server_config(
    settings: &TlsSettings,
    provider: Arc<CryptoProvider>,
    pair: CertifiedKey,
    clients: &Clients,
) -> Result<ServerConfig, ListenerError> {
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions(settings.min_version))
        .map_err(|source| ListenerError::Tls { path: settings.certificate.clone(), source })?;
    let builder = match clients {
        Clients::NotAsked => builder.with_no_client_auth(),
        Clients::Asked { verifier, .. } => builder.with_client_cert_verifier(Arc::clone(verifier)),
    };
    let resolver = rustls::sign::SingleCertAndKey::from(pair);
    let mut config = builder.with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if matches!(clients, Clients::Asked { .. }) {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(config)
}

fn versions(oldest: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    match oldest {
        TlsVersion::Tls12 => BOTH,
        TlsVersion::Tls13 => ONLY_13,
    }
}

fn first(pair: &CertifiedKey, settings: &TlsSettings) -> Result<CertificateDer<'static>, ListenerError> {
    pair.cert.first().cloned().ok_or_else(|| ListenerError::NoCertificate {
        what: "certificate",
        path: settings.certificate.clone(),
    })
}

const BOTH: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];
const ONLY_13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
static GENERATION: AtomicU64 = AtomicU64::new(1);
