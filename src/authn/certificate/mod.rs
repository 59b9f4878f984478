//! What a client certificate proves: a path to a trust anchor, the certificate that signed it, and the names in it.
//!
//! rustls verifies the path in the handshake but keeps nothing of it; `CertMapping` needs the certificate that signed the client's directly
//! (`winrm help certmapping`), so the path is built here again, over the same anchors and revocation lists.

use std::fmt::Write as _;

use super::{IssuerDigests, SubjectNames};
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use sha1::Digest as _;
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, RevocationCheckDepth,
    RevocationOptionsBuilder, UnknownStatusPolicy, anchor_from_trusted_cert,
};
use x509_parser::{
    extensions::{GeneralName, ParsedExtension},
    prelude::{FromDer, X509Certificate},
};

/// A verified client certificate, reduced to what policy and the record need.
///
/// INVARIANT: exists only for a certificate within 16 KiB that leads to a trust anchor, is valid now, is not revoked, and names client
/// authentication among its extended key usages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VerifiedCertificate {
    names: SubjectNames,
    signer: IssuerDigests,
    fingerprint: String,
}

/// Why a certificate proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CertificateError {
    /// More than WinRM takes (seed document: 16 KB).
    #[error("the client certificate is larger than 16 KiB")]
    TooLarge,
    /// Not a certificate that both parsers read.
    #[error("the client certificate can't be read")]
    Unreadable,
    /// No path to a trust anchor, expired, revoked, unknown revocation, or wrong usage.
    #[error("the client certificate is not trusted: {0}")]
    NotTrusted(webpki::Error),
    /// The extended key usage is missing or lacks client authentication.
    #[error("the client certificate is not for client authentication")]
    WrongUsage,
    /// A name in the subject alternative name is not what it should be.
    #[error("the client certificate holds a name that is not allowed")]
    ForbiddenName,
}

impl CertificateError {
    /// The reason in records and metrics: one of a fixed set.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge => "certificate_too_large",
            Self::Unreadable => "certificate_unreadable",
            Self::NotTrusted(_) => "certificate_not_trusted",
            Self::WrongUsage => "certificate_wrong_usage",
            Self::ForbiddenName => "certificate_forbidden_name",
        }
    }
}

/// What client certificates are verified against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trust<'a> {
    /// The certificates of the trust anchors.
    pub(crate) anchors: &'a [CertificateDer<'static>],
    /// The revocation lists; where there are any, unknown revocation is refused.
    pub(crate) crls: &'a [CertRevocationList<'static>],
}

impl VerifiedCertificate {
    /// Verifies the first certificate of `chain` at the time `now`.
    ///
    /// # Errors
    /// When the certificate proves nothing; see [`CertificateError`].
    pub(crate) fn verify(
        chain: &[CertificateDer<'static>],
        trust: Trust<'_>,
        now: UnixTime,
    ) -> Result<Self, CertificateError> {
        let (leaf, presented) = chain.split_first().ok_or(CertificateError::Unreadable)?;
        if leaf.len() > MAX_CERTIFICATE {
            return Err(CertificateError::TooLarge);
        }
        let signer = direct_signer(leaf, presented, trust, now)?;
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| CertificateError::Unreadable)?;
        check_usage(&parsed)?;
        let names = names(&parsed)?;
        Ok(Self { names, signer: digests(&signer), fingerprint: hex(&sha2::Sha256::digest(leaf)) })
    }

    /// The names in the subject alternative name.
    pub(crate) fn names(&self) -> &SubjectNames {
        &self.names
    }

    /// The certificate that signed this one.
    pub(crate) fn signer(&self) -> &IssuerDigests {
        &self.signer
    }

    /// SHA-256 of this certificate in lower-case hexadecimal.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

fn digests(der: &[u8]) -> IssuerDigests {
    IssuerDigests { sha1: sha1::Sha1::digest(der).into(), sha256: sha2::Sha256::digest(der).into() }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The certificate that signed `leaf`, on a path that holds.
fn direct_signer(
    leaf: &CertificateDer<'static>,
    presented: &[CertificateDer<'static>],
    trust: Trust<'_>,
    now: UnixTime,
) -> Result<CertificateDer<'static>, CertificateError> {
    let end_entity = EndEntityCert::try_from(leaf).map_err(|_| CertificateError::Unreadable)?;
    let anchors: Vec<TrustAnchor<'_>> =
        trust.anchors.iter().filter_map(|anchor| anchor_from_trusted_cert(anchor).ok()).collect();
    let crls: Vec<&CertRevocationList<'_>> = trust.crls.iter().collect();
    let revocation = RevocationOptionsBuilder::new(&crls).ok().map(|builder| {
        builder
            .with_depth(RevocationCheckDepth::Chain)
            .with_status_policy(UnknownStatusPolicy::Deny)
            .with_expiration_policy(ExpirationPolicy::Enforce)
            .build()
    });
    let path = end_entity
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            presented,
            now,
            KeyUsage::client_auth(),
            revocation,
            None,
        )
        .map_err(CertificateError::NotTrusted)?;
    if let Some(intermediate) = path.intermediate_certificates().next() {
        return Ok(intermediate.der().into_owned());
    }
    let used = path.anchor();
    trust
        .anchors
        .iter()
        .find(|certificate| {
            anchor_from_trusted_cert(certificate).is_ok_and(|anchor| {
                anchor.subject == used.subject
                    && anchor.subject_public_key_info == used.subject_public_key_info
            })
        })
        .cloned()
        .ok_or(CertificateError::Unreadable)
}

/// Client authentication must be named; webpki alone lets a certificate without the extension pass.
fn check_usage(certificate: &X509Certificate<'_>) -> Result<(), CertificateError> {
    let extended = certificate.extended_key_usage().map_err(|_| CertificateError::Unreadable)?;
    if !extended.is_some_and(|usage| usage.value.client_auth) {
        return Err(CertificateError::WrongUsage);
    }
    let usage = certificate.key_usage().map_err(|_| CertificateError::Unreadable)?;
    if usage.is_some_and(|usage| !usage.value.digital_signature()) {
        return Err(CertificateError::WrongUsage);
    }
    if certificate.is_ca() {
        return Err(CertificateError::WrongUsage);
    }
    Ok(())
}

/// The user principal names and DNS names of the subject alternative name.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "names of any other kind, in any other extension, stand for nobody"
)]
fn names(certificate: &X509Certificate<'_>) -> Result<SubjectNames, CertificateError> {
    let mut found = SubjectNames::default();
    let alternative =
        certificate.extensions().iter().filter_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => Some(names),
            _ => None,
        });
    for name in alternative.flat_map(|names| &names.general_names) {
        match name {
            GeneralName::OtherName(oid, value) if oid.to_id_string() == UPN_OID => {
                found.upns.push(upn(value)?);
            }
            GeneralName::DNSName(name) => found.dns.push(clean(name)?),
            _ => {}
        }
    }
    Ok(found)
}

/// The text of a user principal name: `[0] EXPLICIT UTF8String`, in DER, and nothing else.
fn upn(value: &[u8]) -> Result<String, CertificateError> {
    let inner = der_value(value, EXPLICIT_0).and_then(|inner| der_value(inner, UTF8_STRING));
    let text =
        inner.and_then(|bytes| std::str::from_utf8(bytes).ok()).ok_or(CertificateError::ForbiddenName)?;
    clean(text)
}

/// The content of a DER element that has the tag `tag` and fills `der` exactly.
fn der_value(der: &[u8], tag: u8) -> Option<&[u8]> {
    let (head, rest) = der.split_at_checked(2)?;
    let &[found, short] = head else { return None };
    if found != tag {
        return None;
    }
    let (length, content) = match short {
        0..=0x7F => (usize::from(short), rest),
        0x81 => {
            let (&length, content) = rest.split_first()?;
            (usize::from(length).checked_sub(0x80)? + 0x80, content)
        }
        _ => return None,
    };
    (content.len() == length).then_some(content)
}

fn clean(text: &str) -> Result<String, CertificateError> {
    let sound = !text.is_empty()
        && text.len() <= MAX_NAME
        && text
            .chars()
            .all(|c| !c.is_control() && !c.is_whitespace() && !matches!(c, '*' | '\\' | '/' | '%' | '"'));
    sound.then(|| text.to_owned()).ok_or(CertificateError::ForbiddenName)
}

/// The largest client certificate in bytes, inclusive (seed document: "16KB").
const MAX_CERTIFICATE: usize = 16 * 1024;

/// The longest name in bytes.
const MAX_NAME: usize = 512;

/// `id-ms-UPN`: the user principal name in a subject alternative name.
const UPN_OID: &str = "1.3.6.1.4.1.311.20.2.3";

const EXPLICIT_0: u8 = 0xA0;
const UTF8_STRING: u8 = 0x0C;

#[cfg(test)]
mod tests;
