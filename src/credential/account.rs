//! The identities that the gateway owns, and where their secrets are.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

use super::login::LoginName;

/// An identity that the gateway owns.
#[derive(Debug, Clone)]
pub(crate) enum Account {
    /// A principal with its keys.
    Keytab(Keys),
    /// A user name with its password.
    Password {
        /// `name@REALM`, where the name is one of a known realm.
        principal: Option<String>,
        /// The name as hosts are told it.
        name: LoginName,
        /// Its password.
        password: PasswordSource,
    },
    /// A TLS client certificate.
    Certificate(CertificateFiles),
}

/// The keys of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    /// `name@REALM`.
    pub(crate) principal: String,
    /// The file that they are in.
    pub(crate) keytab: PathBuf,
}

/// Where a password comes from. It is read whenever it is needed, so that a changed one counts at once, and off the threads that serve.
#[derive(Clone)]
pub(crate) struct PasswordSource(Arc<dyn Fn() -> Result<SecretString, String> + Send + Sync>);

impl PasswordSource {
    /// A password that `read` gives, or says why it can't.
    pub(crate) fn new(read: impl Fn() -> Result<SecretString, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// The password as it is now.
    pub(super) async fn read(&self) -> Result<SecretString, String> {
        let source = Arc::clone(&self.0);
        let read = tokio::task::spawn_blocking(move || source()).await;
        read.unwrap_or_else(|_| Err("reading it came to no end".to_owned()))
    }
}

impl fmt::Debug for PasswordSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordSource")
    }
}

/// The files of a client certificate, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateFiles {
    /// The certificate, and those between it and its authority.
    pub(crate) certificate: PathBuf,
    /// Its key.
    pub(crate) private_key: PathBuf,
}

impl CertificateFiles {
    /// What is in the files now.
    pub(super) async fn read(&self) -> Result<ClientCertificate, String> {
        let files = self.clone();
        let read = tokio::task::spawn_blocking(move || files.read_blocking()).await;
        read.unwrap_or_else(|_| Err("reading it came to no end".to_owned()))
    }

    fn read_blocking(&self) -> Result<ClientCertificate, String> {
        let unreadable = |path: &Path, error: &dyn fmt::Display| format!("{}: {error}", path.display());
        let pem = std::fs::read(&self.certificate).map_err(|error| unreadable(&self.certificate, &error))?;
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .map_err(|error| unreadable(&self.certificate, &error))?;
        let leaf = chain.first().ok_or_else(|| unreadable(&self.certificate, &"it holds no certificate"))?;
        if leaf.len() > MOST_CERTIFICATE {
            let what = "the maximum size certificate usable by WinRM in this context is 16KB";
            return Err(unreadable(&self.certificate, &what));
        }
        let fingerprint = Sha256::digest(leaf).into();
        let key = PrivateKeyDer::from_pem_file(&self.private_key)
            .map_err(|error| unreadable(&self.private_key, &error))?;
        let provider = rustls::crypto::ring::default_provider();
        let key = CertifiedKey::from_der(chain, key, &provider)
            .map_err(|error| unreadable(&self.private_key, &error))?;
        Ok(ClientCertificate { key: Arc::new(key), fingerprint })
    }
}

/// A certificate that the gateway shows to hosts, with its key.
pub(crate) struct ClientCertificate {
    key: Arc<CertifiedKey>,
    fingerprint: [u8; 32],
}

impl ClientCertificate {
    /// For TLS.
    pub(crate) const fn key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }

    /// SHA-256 of the certificate.
    pub(super) const fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// As records name it.
    pub(super) fn name(&self) -> String {
        let digits: String = self.fingerprint.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("certificate sha256:{digits}")
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// Seed document: "The maximum size certificate usable by WinRM in this context is 16KB."
const MOST_CERTIFICATE: usize = 16 * 1024;
