//! Sealed messages: the MIME body around what GSSAPI made ([MS-WSMV] 2.2.9.1).
//!
//! Answers: where the sealed bytes begin and end, and what they claim to be. Comes in: a content type and a body. Goes
//! out: [`SealedParts`], or a body to send. Tolerant in what it takes, exact in what it writes.
//!
//! INVARIANT: the part boundary is never searched for in binary data; the data is cut from the right-hand end.
//!
//! INVARIANT: `OriginalContent` is outside the seal. Nothing but a character set, which the bytes must confirm, and a
//! length, which [`SealedParts::check_length`] compares, is taken from it.

mod head;

pub(super) use self::head::read_head;

use super::charset::Charset;
use super::limits::Limits;

/// The protocol that a sealed message names: the scheme, not the mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Scheme Negotiate, with NTLM or Kerberos inside.
    Spnego,
    /// Scheme Kerberos.
    Kerberos,
    /// Scheme `CredSSP`, which the gateway does not take part in.
    CredSsp,
}

impl Protocol {
    /// The value as peers write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spnego => "application/HTTP-SPNEGO-session-encrypted",
            Self::Kerberos => "application/HTTP-Kerberos-session-encrypted",
            Self::CredSsp => "application/HTTP-CredSSP-session-encrypted",
        }
    }

    /// Reads the value, without regard to case.
    #[must_use]
    pub fn from_value(value: &str) -> Option<Self> {
        [Self::Spnego, Self::Kerberos, Self::CredSsp]
            .into_iter()
            .find(|protocol| protocol.as_str().eq_ignore_ascii_case(value))
    }
}

/// Why a body is no sealed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealedError {
    /// Another content type, or one without protocol.
    #[error("the content type is not multipart/encrypted with a known protocol")]
    ContentType,
    /// `multipart/x-multi-encrypted`: several sealed chunks, which only `CredSSP` sends.
    #[error("messages sealed in several chunks are not supported")]
    MultiEncrypted,
    /// Sealed for `CredSSP`.
    #[error("messages sealed by CredSSP are not supported")]
    CredSsp,
    /// The body ends before it is complete.
    #[error("the sealed message ends too early")]
    Truncated,
    /// Anything else than the two parts, in their order, with their headers.
    #[error("the sealed message does not consist of its two parts: {problem}")]
    Shape {
        /// What is wrong, a constant.
        problem: &'static str,
    },
    /// A content other than SOAP in UTF-8 or UTF-16.
    #[error("the sealed content is not SOAP in a supported character set")]
    OriginalContent,
    /// The declared length is above the bound.
    #[error("the sealed content is longer than allowed")]
    TooLarge,
    /// Header, data and declared length do not fit each other.
    #[error("the lengths in the sealed message disagree")]
    Length,
}

impl SealedError {
    /// A label for metrics and records, from a fixed set.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::ContentType => "sealed_content_type",
            Self::MultiEncrypted => "sealed_multi",
            Self::CredSsp => "sealed_credssp",
            Self::Truncated => "sealed_truncated",
            Self::Shape { .. } => "sealed_shape",
            Self::OriginalContent => "sealed_original_content",
            Self::TooLarge => "sealed_too_large",
            Self::Length => "sealed_length",
        }
    }
}

/// A sealed message, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedParts<'a> {
    /// Which scheme's context unseals it.
    pub protocol: Protocol,
    /// The declared character set, to be confirmed by the bytes.
    pub charset: Charset,
    /// The declared number of bytes once unsealed.
    pub length: usize,
    /// The mechanism's header: signature, or token header with rotated trailer.
    pub header: &'a [u8],
    /// The sealed bytes.
    pub data: &'a [u8],
}

impl SealedParts<'_> {
    /// Compares the declared length with what was unsealed.
    ///
    /// Kerberos with RC4 seals one byte of padding, which some clients count: then the data, and the declared length,
    /// are one byte longer than the plain text.
    ///
    /// # Errors
    ///
    /// [`SealedError::Length`] where they differ.
    pub const fn check_length(&self, plain_bytes: usize) -> Result<(), SealedError> {
        let counted_padding = self.data.len() == self.length && self.length == plain_bytes.saturating_add(1);
        if self.length == plain_bytes || counted_padding { Ok(()) } else { Err(SealedError::Length) }
    }
}

/// Whether a content type is that of a sealed message, supported or not.
#[must_use]
pub fn is_sealed(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case(ENCRYPTED) || kind.eq_ignore_ascii_case(MULTI_ENCRYPTED)
}

/// Takes a complete sealed body apart, without copying.
///
/// # Errors
///
/// One [`SealedError`] per reason.
pub fn decode<'a>(
    content_type: &str,
    body: &'a [u8],
    limits: &Limits,
) -> Result<SealedParts<'a>, SealedError> {
    let outer = ContentType::read(content_type)?;
    let head = read_head(body, &outer, limits)?.ok_or(SealedError::Truncated)?;
    let rest = body.get(head.data_at..).ok_or(SealedError::Truncated)?;
    let sealed = without_closing(rest, head.delimiter)?;
    let (size, sealed) = sealed.split_first_chunk::<4>().ok_or(SealedError::Truncated)?;
    let size = usize::try_from(u32::from_le_bytes(*size)).map_err(|_| SealedError::Length)?;
    let (header, data) = sealed.split_at_checked(size).ok_or(SealedError::Length)?;
    let overhead = sealed.len().checked_sub(head.length).ok_or(SealedError::Length)?;
    if overhead > MOST_OVERHEAD {
        return Err(SealedError::Length);
    }
    Ok(SealedParts { protocol: outer.protocol, charset: head.charset, length: head.length, header, data })
}

/// Writes a sealed body. `plain_bytes` is the length before sealing, in the bytes of `charset`.
#[must_use]
pub fn encode(
    protocol: Protocol,
    charset: Charset,
    plain_bytes: usize,
    header: &[u8],
    data: &[u8],
) -> Vec<u8> {
    let head = format!(
        "--{BOUNDARY}\r\n\tContent-Type: {}\r\n\tOriginalContent: type={SOAP_TYPE};charset={};Length={plain_bytes}\r\n\
         --{BOUNDARY}\r\n\tContent-Type: {OCTETS}\r\n",
        protocol.as_str(),
        charset.label(),
    );
    // A mechanism's header has some dozens of bytes; more than the field can count is no header.
    let header_bytes = u32::try_from(header.len()).unwrap_or(u32::MAX);
    let mut body = Vec::with_capacity(head.len() + 4 + header.len() + data.len() + BOUNDARY.len() + 8);
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(&header_bytes.to_le_bytes());
    body.extend_from_slice(header);
    body.extend_from_slice(data);
    body.extend_from_slice(b"--");
    body.extend_from_slice(BOUNDARY.as_bytes());
    body.extend_from_slice(b"--\r\n");
    body
}

/// The content type of what [`encode`] writes.
#[must_use]
pub const fn content_type(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Spnego => {
            "multipart/encrypted;protocol=\"application/HTTP-SPNEGO-session-encrypted\";boundary=\"Encrypted Boundary\""
        }
        Protocol::Kerberos => {
            "multipart/encrypted;protocol=\"application/HTTP-Kerberos-session-encrypted\";boundary=\"Encrypted Boundary\""
        }
        Protocol::CredSsp => {
            "multipart/encrypted;protocol=\"application/HTTP-CredSSP-session-encrypted\";boundary=\"Encrypted Boundary\""
        }
    }
}

/// What the content type of a sealed message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ContentType {
    pub(super) protocol: Protocol,
    pub(super) boundary: Option<String>,
}

impl ContentType {
    /// Reads `multipart/encrypted;protocol="…";boundary="…"`; parameters at most once.
    pub(super) fn read(value: &str) -> Result<Self, SealedError> {
        let mut parameters = value.split(';');
        let kind = parameters.next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case(MULTI_ENCRYPTED) {
            return Err(SealedError::MultiEncrypted);
        }
        if !kind.eq_ignore_ascii_case(ENCRYPTED) {
            return Err(SealedError::ContentType);
        }
        let (mut protocol, mut boundary) = (None, None);
        for parameter in parameters.filter(|p| !p.trim().is_empty()) {
            let (name, value) = parameter.split_once('=').ok_or(SealedError::ContentType)?;
            let value = value.trim();
            let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
            let slot = match name.trim().to_ascii_lowercase().as_str() {
                "protocol" => &mut protocol,
                "boundary" => &mut boundary,
                _ => continue,
            };
            if value.contains('"') || value.len() > 256 || slot.replace(value.to_owned()).is_some() {
                return Err(SealedError::ContentType);
            }
        }
        let protocol = protocol.as_deref().and_then(Protocol::from_value).ok_or(SealedError::ContentType)?;
        if protocol == Protocol::CredSsp {
            return Err(SealedError::CredSsp);
        }
        Ok(Self { protocol, boundary })
    }
}

/// Cuts the closing delimiter off: CRLF after it, and one more where the peer is OMI.
fn without_closing<'a>(rest: &'a [u8], delimiter: &[u8]) -> Result<&'a [u8], SealedError> {
    let ended = rest.strip_suffix(b"\r\n").ok_or(SealedError::Truncated)?;
    let ended = ended.strip_suffix(b"\r\n").unwrap_or(ended);
    let closed = ended.strip_suffix(b"--").and_then(|open| open.strip_suffix(delimiter));
    closed.ok_or(SealedError::Truncated)
}

/// What a mechanism may add to the plain text: header, trailer, padding. 16, 46 and 60 bytes are usual; less than a
/// second message would take, so that none can hide behind the first.
pub(super) const MOST_OVERHEAD: usize = 128;

const ENCRYPTED: &str = "multipart/encrypted";
const MULTI_ENCRYPTED: &str = "multipart/x-multi-encrypted";
const BOUNDARY: &str = "Encrypted Boundary";
const SOAP_TYPE: &str = "application/soap+xml";
const OCTETS: &str = "application/octet-stream";

#[cfg(test)]
mod tests;
