//! Reads certificates, keys and revocation lists, and names the file in every error.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};
use x509_parser::revocation_list::CertificateRevocationList;
use zeroize::Zeroizing;

use super::super::error::ListenerError;
use super::super::settings::TlsSettings;

/// The gateway's certificate chain and key, proven to belong together.
pub(super) fn pair(
    settings: &TlsSettings,
    provider: &CryptoProvider,
    warnings: &mut Vec<String>,
) -> Result<CertifiedKey, ListenerError> {
    let chain = certificates(CERTIFICATE, &settings.certificate, warnings)?;
    let key_path = &settings.private_key;
    let bytes = read("private key", key_path, SMALL)?;
    let key =
        PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| ListenerError::NoKey { path: key_path.clone() })?;
    if readable_by_all(key_path) {
        warnings.push(format!("private key {} can be read by every user; chmod 0600", key_path.display()));
    }
    guarded(CERTIFICATE, &settings.certificate, || {
        let key = provider
            .key_provider
            .load_private_key(key)
            .map_err(|source| ListenerError::Key { path: key_path.clone(), source })?;
        let pair = CertifiedKey::new(chain, key);
        match pair.keys_match() {
            Ok(()) => Ok(pair),
            Err(rustls::Error::InconsistentKeys(_)) => Err(ListenerError::NotAPair {
                key: key_path.clone(),
                certificate: settings.certificate.clone(),
            }),
            Err(source) => Err(ListenerError::Certificate {
                what: CERTIFICATE,
                path: settings.certificate.clone(),
                number: 1,
                source: Some(source),
            }),
        }
    })
}

/// The certificates of the authorities whose clients are believed; never empty.
pub(super) fn anchors(
    path: &Path,
    warnings: &mut Vec<String>,
) -> Result<Vec<CertificateDer<'static>>, ListenerError> {
    certificates("trust anchors", path, warnings)
}

/// The revocation lists in a file, which is either one DER list or any number of PEM lists.
pub(super) fn crls(
    path: &Path,
    warnings: &mut Vec<String>,
) -> Result<Vec<CertificateRevocationListDer<'static>>, ListenerError> {
    let bytes = read("revocation list", path, LARGE)?;
    let lists = if bytes.windows(PEM.len()).any(|window| window == PEM) {
        CertificateRevocationListDer::pem_slice_iter(&bytes)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| broken_pem("revocation list", path, source))?
    } else {
        vec![CertificateRevocationListDer::from(bytes.to_vec())]
    };
    if lists.is_empty() {
        return Err(ListenerError::Crl { path: path.to_owned(), source: None });
    }
    for list in &lists {
        guarded("revocation list", path, || check_crl(path, list, warnings))?;
    }
    Ok(lists)
}

/// A list in the form that paths are verified with.
pub(super) fn owned_crl(
    path: &Path,
    list: &[u8],
) -> Result<webpki::CertRevocationList<'static>, ListenerError> {
    let failed = |error| ListenerError::Crl { path: path.to_owned(), source: Some(error) };
    guarded("revocation list", path, || {
        webpki::OwnedCertRevocationList::from_der(list).map(Into::into).map_err(failed)
    })
}

fn check_crl(path: &Path, list: &[u8], warnings: &mut Vec<String>) -> Result<(), ListenerError> {
    let failed = |source| ListenerError::Crl { path: path.to_owned(), source };
    webpki::OwnedCertRevocationList::from_der(list).map_err(|error| failed(Some(error)))?;
    let (rest, parsed) = CertificateRevocationList::from_der(list).map_err(|_| failed(None))?;
    if !rest.is_empty() {
        return Err(failed(None));
    }
    if parsed.next_update().is_none_or(|until| until.timestamp() < now()) {
        warnings.push(format!(
            "revocation list {} is out of date; clients of its issuer are refused until it is replaced",
            path.display()
        ));
    }
    Ok(())
}

/// The DNS names in a certificate, in lower case, and when it ends, in seconds since 1970.
pub(super) fn names_and_end(path: &Path, certificate: &[u8]) -> Result<(Vec<String>, i64), ListenerError> {
    guarded(CERTIFICATE, path, || {
        let (_, parsed) =
            X509Certificate::from_der(certificate).map_err(|_| unreadable(CERTIFICATE, path, 1))?;
        let alternative = parsed.subject_alternative_name().ok().flatten();
        let names = alternative.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
        Ok((names.iter().filter_map(dns_name).collect(), parsed.validity().not_after.timestamp()))
    })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "only one of many kinds of name is of interest")]
fn dns_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    }
}

/// Runs a parser over a file's content so that its panic is an error and not the end of the process.
pub(super) fn guarded<T>(
    what: &'static str,
    path: &Path,
    parse: impl FnOnce() -> Result<T, ListenerError>,
) -> Result<T, ListenerError> {
    catch_unwind(AssertUnwindSafe(parse))
        .unwrap_or_else(|_| Err(ListenerError::Panicked { what, path: path.to_owned() }))
}

fn certificates(
    what: &'static str,
    path: &Path,
    warnings: &mut Vec<String>,
) -> Result<Vec<CertificateDer<'static>>, ListenerError> {
    let bytes = read(what, path, SMALL)?;
    let chain = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| broken_pem(what, path, source))?;
    if chain.is_empty() {
        return Err(ListenerError::NoCertificate { what, path: path.to_owned() });
    }
    for (index, certificate) in chain.iter().enumerate() {
        guarded(what, path, || check_validity(what, path, (index + 1, certificate), warnings))?;
    }
    Ok(chain)
}

fn check_validity(
    what: &'static str,
    path: &Path,
    (number, certificate): (usize, &[u8]),
    warnings: &mut Vec<String>,
) -> Result<(), ListenerError> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| unreadable(what, path, number))?;
    let validity = parsed.validity();
    let state = if validity.not_after.timestamp() < now() {
        "has expired"
    } else if validity.not_before.timestamp() > now() {
        "is not valid yet"
    } else if validity.not_after.timestamp() < now() + SOON {
        "expires within 14 days"
    } else {
        return Ok(());
    };
    warnings.push(format!("{what} {}: certificate {number} {state}", path.display()));
    Ok(())
}

fn read(what: &'static str, path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, ListenerError> {
    let failed = |source| ListenerError::Read { what, path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let capacity = usize::try_from(size.min(limit)).unwrap_or(0) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(ListenerError::TooLarge { what, path: path.to_owned(), limit });
    }
    Ok(bytes)
}

fn readable_by_all(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.mode() & 0o004 != 0)
}

fn broken_pem(what: &'static str, path: &Path, source: pem::Error) -> ListenerError {
    ListenerError::Pem { what, path: path.to_owned(), source }
}

fn unreadable(what: &'static str, path: &Path, number: usize) -> ListenerError {
    ListenerError::Certificate { what, path: path.to_owned(), number, source: None }
}

/// Seconds since 1970: certificates and lists are judged by the wall clock.
fn now() -> i64 {
    i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX)
}

const CERTIFICATE: &str = "certificate";
const PEM: &[u8] = b"-----BEGIN ";
const SMALL: u64 = 4 * 1024 * 1024;
const LARGE: u64 = 64 * 1024 * 1024;
const SOON: i64 = 14 * 24 * 3600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_40_a_panicking_parser_is_an_error_that_names_the_file() {
        let error =
            guarded::<()>("revocation list", Path::new("/etc/evil.crl"), || panic!("parser")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "revocation list /etc/evil.crl made the parser fail; do not use this file"
        );
    }
}
