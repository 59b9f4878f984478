//! From bytes of some encoding to the one UTF-8 text that is inspected and sent on.

use bytes::Bytes;

use super::error::EnvelopeError;
use super::limits::Limits;

/// An encoding that WinRM peers use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Charset {
    /// With or without byte order mark.
    Utf8,
    /// Always with byte order mark, as the native Windows client sends it.
    Utf16Le,
}

impl Charset {
    /// Reads the value of a `charset` parameter; `None` for any other than UTF-8 and UTF-16.
    #[must_use]
    pub fn from_label(label: &str) -> Option<Self> {
        let label = label.trim().trim_matches('"');
        if label.eq_ignore_ascii_case("utf-8") {
            Some(Self::Utf8)
        } else if label.eq_ignore_ascii_case("utf-16") || label.eq_ignore_ascii_case("utf-16le") {
            Some(Self::Utf16Le)
        } else {
            None
        }
    }

    /// The character set that the content type of a message in clear declares, if it declares any.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError::ContentType`] for anything but SOAP, [`EnvelopeError::CharsetUnsupported`] for any other character
    /// set, and both for parameters that two readers may read differently.
    pub fn of_content_type(value: &str) -> Result<Option<Self>, EnvelopeError> {
        let mut parameters = value.split(';');
        let kind = parameters.next().unwrap_or_default().trim();
        if !SOAP_TYPES.iter().any(|soap| soap.eq_ignore_ascii_case(kind)) {
            return Err(EnvelopeError::ContentType);
        }
        let mut charset = None;
        for parameter in parameters.filter(|parameter| !parameter.trim().is_empty()) {
            let (name, value) = parameter.split_once('=').ok_or(EnvelopeError::ContentType)?;
            if name.trim().eq_ignore_ascii_case("charset") && charset.replace(value).is_some() {
                return Err(EnvelopeError::ContentType);
            }
        }
        charset.map(|label| Self::from_label(label).ok_or(EnvelopeError::CharsetUnsupported)).transpose()
    }

    /// The label that peers expect.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Utf16Le => "UTF-16",
        }
    }
}

/// Text without byte order mark, and the encoding that it came in.
pub(super) struct Decoded {
    pub(super) text: Bytes,
    pub(super) charset: Charset,
}

/// Finds the encoding by the byte order mark, compares it with what was declared, and gives UTF-8. UTF-8 is not copied.
pub(super) fn decode(
    body: Bytes,
    declared: Option<Charset>,
    limits: &Limits,
) -> Result<Decoded, EnvelopeError> {
    let too_large = EnvelopeError::TooLarge { limit: limits.envelope_bytes };
    let found = if body.starts_with(&[0xff, 0xfe]) { Charset::Utf16Le } else { Charset::Utf8 };
    let allowed = match found {
        Charset::Utf8 => limits.envelope_bytes.saturating_add(UTF8_MARK.len()),
        Charset::Utf16Le => limits.envelope_bytes.saturating_mul(2).saturating_add(2),
    };
    if body.len() > allowed {
        return Err(too_large);
    }
    // Big-endian, UTF-32, or UTF-16 that does not say which it is.
    let unmarked = found == Charset::Utf8 && body.get(..4).is_some_and(|head| head.contains(&0));
    if unmarked || body.starts_with(&[0xfe, 0xff]) || body.starts_with(&[0xff, 0xfe, 0, 0]) {
        return Err(EnvelopeError::CharsetUnsupported);
    }
    if declared.is_some_and(|declared| declared != found) {
        return Err(EnvelopeError::CharsetDisagrees);
    }
    let text = match found {
        Charset::Utf8 if body.starts_with(UTF8_MARK) => body.slice(UTF8_MARK.len()..),
        Charset::Utf8 => body,
        Charset::Utf16Le => transcode(body.get(2..).unwrap_or_default())?,
    };
    if text.len() > limits.envelope_bytes {
        return Err(too_large);
    }
    Ok(Decoded { text, charset: found })
}

fn transcode(units: &[u8]) -> Result<Bytes, EnvelopeError> {
    let (pairs, rest) = units.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(EnvelopeError::BadEncoding);
    }
    let mut text = String::with_capacity(units.len() / 2 + units.len() / 8);
    for c in char::decode_utf16(pairs.iter().map(|pair| u16::from_le_bytes(*pair))) {
        text.push(c.map_err(|_| EnvelopeError::BadEncoding)?);
    }
    Ok(Bytes::from(text))
}

/// SOAP 1.2, and what some clients call it.
const SOAP_TYPES: [&str; 2] = ["application/soap+xml", "text/xml"];
const UTF8_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_as_clients_write_them_are_read() {
        for (value, charset) in [
            ("application/soap+xml;charset=UTF-8", Some(Charset::Utf8)),
            ("application/soap+xml; charset=utf-8", Some(Charset::Utf8)),
            ("Application/SOAP+XML;charset=\"UTF-16\"", Some(Charset::Utf16Le)),
            ("application/soap+xml", None),
            ("application/soap+xml;", None),
            ("application/soap+xml;action=\"x\"", None),
            ("text/xml;charset=utf-8", Some(Charset::Utf8)),
        ] {
            assert_eq!(Charset::of_content_type(value), Ok(charset), "{value}");
        }
    }

    #[test]
    fn threat_45_a_content_type_that_is_not_soap_or_not_clear_is_refused() {
        for (value, error) in [
            ("", EnvelopeError::ContentType),
            ("application/json", EnvelopeError::ContentType),
            ("application/soap+xmlx", EnvelopeError::ContentType),
            ("multipart/encrypted;protocol=\"x\"", EnvelopeError::ContentType),
            ("application/soap+xml;charset", EnvelopeError::ContentType),
            ("application/soap+xml;charset=UTF-8;charset=UTF-16", EnvelopeError::ContentType),
            ("application/soap+xml;charset=UTF-8;Charset=UTF-8", EnvelopeError::ContentType),
            ("application/soap+xml;charset=UTF-7", EnvelopeError::CharsetUnsupported),
            ("application/soap+xml;charset=", EnvelopeError::CharsetUnsupported),
            ("application/soap+xml;charset=utf-16be", EnvelopeError::CharsetUnsupported),
        ] {
            assert_eq!(Charset::of_content_type(value), Err(error), "{value}");
        }
    }
}
