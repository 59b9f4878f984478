//! Keys that sign the chain: Ed25519 (RFC 8032), as PEM files (RFC 8410).
//!
//! A private key lives outside the audit directory. The key that follows another is endorsed by it: `audit keygen --former OLD --out NEW` writes
//! `NEW.endorsement`, and the first record that the new key signs holds it.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    rand::SystemRandom,
    signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey},
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{AuditError, chain::Link, sink};

/// A public key, as 32 bytes in base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct PublicKey(String);

impl PublicKey {
    /// Whether `signature` is this key's over `message`.
    pub(super) fn verifies(&self, message: &str, signature: &str) -> bool {
        let (Ok(key), Ok(signature)) = (STANDARD.decode(&self.0), STANDARD.decode(signature)) else {
            return false;
        };
        UnparsedPublicKey::new(&ED25519, key).verify(message.as_bytes(), &signature).is_ok()
    }

    /// The key as a PEM file, which openssl reads.
    pub(super) fn pem(&self) -> String {
        let der = [PUBLIC_PREFIX, STANDARD.decode(&self.0).unwrap_or_default().as_slice()].concat();
        pem("PUBLIC KEY", &der)
    }

    /// Reads a PEM file.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "this is no Ed25519 public key in PEM");
        let der = from_pem("PUBLIC KEY", &fs::read_to_string(path)?).ok_or_else(wrong)?;
        let key = der.strip_prefix(PUBLIC_PREFIX).filter(|key| key.len() == 32).ok_or_else(wrong)?;
        Ok(Self(STANDARD.encode(key)))
    }
}

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The PEM file of a public key that a record names.
pub(crate) fn pem_of(key: &str) -> String {
    PublicKey(key.to_owned()).pem()
}

/// What one key says of the one that follows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Endorsement {
    /// The key that signed until now.
    pub(super) former: PublicKey,
    /// The key that signs from now on.
    pub(super) key: PublicKey,
    /// The former key's signature over both.
    pub(super) signature: String,
}

impl Endorsement {
    /// Whether the former key made it.
    pub(super) fn holds(&self) -> bool {
        self.former.verifies(&endorsement_message(&self.former, &self.key), &self.signature)
    }
}

/// A private key. Neither shown nor written.
pub(crate) struct Signer {
    pair: Ed25519KeyPair,
    public: PublicKey,
    /// What the key before it says of it.
    pub(super) endorsement: Option<Endorsement>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("public", &self.public).finish_non_exhaustive()
    }
}

impl Signer {
    /// Reads the key at `path`, which only its owner may read, and its endorsement, where there is one.
    pub(super) fn read(path: &Path) -> Result<Self, AuditError> {
        let wrong = || AuditError::Key { path: path.to_path_buf() };
        let failed = |source| AuditError::Open { path: path.to_path_buf(), source };
        fs::metadata(path).map_err(failed)?;
        let mut file = sink::open_private(path, false)?;
        let mut text = Zeroizing::new(String::new());
        io::Read::read_to_string(&mut file, &mut text).map_err(failed)?;
        let der = Zeroizing::new(from_pem("PRIVATE KEY", &text).ok_or_else(wrong)?);
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| wrong())?;
        let mut signer = Self::of(pair);
        let beside = with_suffix(path, ENDORSEMENT);
        match fs::read(&beside) {
            Ok(bytes) => {
                let endorsement: Endorsement =
                    serde_json::from_slice(&bytes).map_err(|_| AuditError::Key { path: beside.clone() })?;
                if endorsement.key != signer.public || !endorsement.holds() {
                    return Err(AuditError::Key { path: beside });
                }
                signer.endorsement = Some(endorsement);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(AuditError::Open { path: beside, source }),
        }
        Ok(signer)
    }

    fn of(pair: Ed25519KeyPair) -> Self {
        let public = PublicKey(STANDARD.encode(pair.public_key().as_ref()));
        Self { pair, public, endorsement: None }
    }

    /// The key that verifies what this one signs.
    pub(super) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The signature over `message`, in base64.
    pub(super) fn sign(&self, message: &str) -> String {
        STANDARD.encode(self.pair.sign(message.as_bytes()))
    }
}

/// Makes a key at `out`, its public half at `out.pub` and, where a `former` key is given, its endorsement at `out.endorsement`. Nothing is
/// written over.
///
/// # Errors
/// Where a file is there already or cannot be written, or the former key cannot be read.
pub(crate) fn generate(out: &Path, former: Option<&Path>) -> Result<PublicKey, AuditError> {
    let former = former.map(Signer::read).transpose()?;
    let no_key = |_| AuditError::Key { path: out.to_path_buf() };
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(no_key)?;
    let pair = Ed25519KeyPair::from_pkcs8(document.as_ref())
        .map_err(|_| AuditError::Key { path: out.to_path_buf() })?;
    let signer = Signer::of(pair);
    let key = signer.public().clone();
    create(out, 0o600, Zeroizing::new(pem("PRIVATE KEY", document.as_ref())).as_bytes())?;
    create(&with_suffix(out, ".pub"), 0o644, key.pem().as_bytes())?;
    if let Some(former) = former {
        let signature = former.sign(&endorsement_message(former.public(), &key));
        let endorsement = Endorsement { former: former.public().clone(), key: key.clone(), signature };
        let bytes = serde_json::to_vec(&endorsement).map_err(AuditError::Json)?;
        create(&with_suffix(out, ENDORSEMENT), 0o644, &bytes)?;
    }
    Ok(key)
}

fn create(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), AuditError> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(mode).open(path);
    file.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .map_err(|source| AuditError::Open { path: path.to_path_buf(), source })
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// What a checkpoint signs: that the chain ends with `link` and goes on with this record.
pub(super) fn checkpoint_message(link: Link, time: &str) -> String {
    format!("winrm-gateway audit checkpoint 1\n{}\n{}\n{time}\n", link.seq, link.hash)
}

fn endorsement_message(former: &PublicKey, key: &PublicKey) -> String {
    format!("winrm-gateway audit key 1\n{former}\n{key}\n")
}

fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    let encoded = Zeroizing::new(STANDARD.encode(der));
    for line in encoded.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

fn from_pem(label: &str, text: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let body: Zeroizing<String> = Zeroizing::new(body.split_ascii_whitespace().collect());
    STANDARD.decode(body.as_bytes()).ok()
}

/// `SubjectPublicKeyInfo` of an Ed25519 key up to the key itself (RFC 8410, section 4).
const PUBLIC_PREFIX: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const ENDORSEMENT: &str = ".endorsement";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_signs_what_its_public_half_verifies_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("audit.key");
        let public = generate(&path, None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(PublicKey::read(&with_suffix(&path, ".pub")).unwrap(), public);
        let signer = Signer::read(&path).unwrap();
        let signature = signer.sign("this");
        assert!(public.verifies("this", &signature));
        assert!(!public.verifies("that", &signature));
        assert!(!public.verifies("this", "AAAA"));
        assert!(!format!("{signer:?}").contains("pair"));
        assert!(generate(&path, None).is_err(), "a key is never written over");
    }

    #[test]
    fn the_next_key_is_endorsed_by_the_former() {
        let parent = tempfile::tempdir().unwrap();
        let (old, new) = (parent.path().join("old"), parent.path().join("new"));
        let former = generate(&old, None).unwrap();
        let key = generate(&new, Some(&old)).unwrap();
        let endorsement = Signer::read(&new).unwrap().endorsement.unwrap();
        assert_eq!((&endorsement.former, &endorsement.key), (&former, &key));
        assert!(endorsement.holds());
        let forged = Endorsement { former: key, ..endorsement };
        assert!(!forged.holds());
        fs::write(with_suffix(&new, ENDORSEMENT), serde_json::to_vec(&forged).unwrap()).unwrap();
        assert!(matches!(Signer::read(&new), Err(AuditError::Key { .. })));
    }

    #[test]
    fn threat_69_a_key_that_others_can_read_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("audit.key");
        generate(&path, None).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Signer::read(&path), Err(AuditError::Readable { .. })));
    }
}
