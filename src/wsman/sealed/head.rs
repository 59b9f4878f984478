//! The text in front of the sealed bytes.

use super::{Charset, ContentType, Limits, OCTETS, Protocol, SOAP_TYPE, SealedError};

/// What stands before the binary part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wsman) struct Head<'a> {
    /// The delimiter as the peer writes it, with its dashes.
    pub(in crate::wsman) delimiter: &'a [u8],
    pub(in crate::wsman) charset: Charset,
    /// Bytes of plain text, as declared.
    pub(in crate::wsman) length: usize,
    /// Where the binary part begins.
    pub(in crate::wsman) data_at: usize,
}

/// Reads the head; `None` where there are too few bytes so far.
///
/// Taken: with or without the tab before a header, with or without a space after the dashes (Exchange), names in any
/// case. Not taken: any header more, any line more, a bare line feed.
pub(in crate::wsman) fn read_head<'a>(
    body: &'a [u8],
    outer: &ContentType,
    limits: &Limits,
) -> Result<Option<Head<'a>>, SealedError> {
    let mut lines = Lines { body, at: 0 };
    let Some(delimiter) = lines.next_line()? else { return Ok(None) };
    check_delimiter(delimiter, outer)?;
    let Some(first) = lines.next_line()? else { return Ok(None) };
    let Some(second) = lines.next_line()? else { return Ok(None) };
    let (charset, length) = first_part([first, second], outer)?;
    if length > limits.envelope_bytes.saturating_mul(2).saturating_add(4) {
        return Err(SealedError::TooLarge);
    }
    let Some(again) = lines.next_line()? else { return Ok(None) };
    if again != delimiter {
        return Err(SealedError::Shape { problem: "the boundary between the parts" });
    }
    let Some(octets) = lines.next_line()? else { return Ok(None) };
    let (name, value) = header(octets)?;
    if !name.eq_ignore_ascii_case("Content-Type") || !value.eq_ignore_ascii_case(OCTETS) {
        return Err(SealedError::Shape { problem: "the type of the second part" });
    }
    Ok(Some(Head { delimiter, charset, length, data_at: lines.at }))
}

/// The two headers of the first part, in either order: the protocol, and what the sealed content claims to be.
fn first_part(lines: [&[u8]; 2], outer: &ContentType) -> Result<(Charset, usize), SealedError> {
    let (mut protocol, mut content) = (None, None);
    for line in lines {
        let (name, value) = header(line)?;
        let repeated = if name.eq_ignore_ascii_case("Content-Type") {
            protocol.replace(value).is_some()
        } else if name.eq_ignore_ascii_case("OriginalContent") {
            content.replace(value).is_some()
        } else {
            true
        };
        if repeated {
            return Err(SealedError::Shape { problem: "the headers of the first part" });
        }
    }
    if protocol.and_then(Protocol::from_value) != Some(outer.protocol) {
        return Err(SealedError::Shape { problem: "the protocol of the first part" });
    }
    original_content(content.unwrap_or_default())
}

/// `--Encrypted Boundary`, the same as in the content type where that names one.
fn check_delimiter(line: &[u8], outer: &ContentType) -> Result<(), SealedError> {
    let wrong = SealedError::Shape { problem: "the boundary" };
    let name = line.strip_prefix(b"--").ok_or(wrong)?.trim_ascii();
    let same = outer.boundary.as_deref().is_none_or(|boundary| boundary.trim().as_bytes() == name);
    if same && !name.is_empty() { Ok(()) } else { Err(wrong) }
}

/// `type=application/soap+xml;charset=UTF-8;Length=95`, each once, in any order.
fn original_content(value: &str) -> Result<(Charset, usize), SealedError> {
    let (mut kind, mut charset, mut length) = (None, None, None);
    for parameter in value.split(';') {
        let (name, value) = parameter.split_once('=').ok_or(SealedError::OriginalContent)?;
        let slot = match name.trim().to_ascii_lowercase().as_str() {
            "type" => &mut kind,
            "charset" => &mut charset,
            "length" => &mut length,
            _ => return Err(SealedError::OriginalContent),
        };
        if slot.replace(value.trim()).is_some() {
            return Err(SealedError::OriginalContent);
        }
    }
    if !kind.is_some_and(|kind| kind.eq_ignore_ascii_case(SOAP_TYPE)) {
        return Err(SealedError::OriginalContent);
    }
    let charset =
        charset.map_or(Some(Charset::Utf8), Charset::from_label).ok_or(SealedError::OriginalContent)?;
    let length = length
        .filter(|digits| (1..=10).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .ok_or(SealedError::OriginalContent)?;
    Ok((charset, length))
}

/// `Name: value`, perhaps after a tab or spaces.
fn header(line: &[u8]) -> Result<(&str, &str), SealedError> {
    let malformed = SealedError::Shape { problem: "a header" };
    let line = str::from_utf8(line).map_err(|_| malformed)?;
    let (name, value) = line.trim_start_matches(['\t', ' ']).split_once(':').ok_or(malformed)?;
    Ok((name, value.trim_matches(['\t', ' '])))
}

/// Lines that end in CRLF, of bounded length.
struct Lines<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    fn next_line(&mut self) -> Result<Option<&'a [u8]>, SealedError> {
        let rest = self.body.get(self.at..).unwrap_or_default();
        let window = rest.get(..MOST_LINE).unwrap_or(rest);
        let Some(end) = window.iter().position(|b| *b == b'\n') else {
            let problem = "a line that is too long";
            return if window.len() < MOST_LINE { Ok(None) } else { Err(SealedError::Shape { problem }) };
        };
        let line = window.get(..end).and_then(|line| line.strip_suffix(b"\r"));
        let line = line.ok_or(SealedError::Shape { problem: "a line without carriage return" })?;
        if line.iter().any(|b| b.is_ascii_control() && *b != b'\t') {
            return Err(SealedError::Shape { problem: "a control character" });
        }
        self.at += end + 1;
        Ok(Some(line))
    }
}

const MOST_LINE: usize = 512;
