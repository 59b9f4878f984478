//! The status line and the fields of an answer.

use bytes::{Buf as _, BytesMut};

use super::{HttpError, body::BodyReader};

/// What counts of an answer's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::backend) struct Head {
    /// 200 to 599.
    pub(in crate::backend) status: u16,
    /// `Content-Type`.
    pub(in crate::backend) content_type: Option<String>,
    /// The values of `WWW-Authenticate`, in their order.
    pub(in crate::backend) challenges: Vec<String>,
    /// `Authentication-Info`.
    pub(in crate::backend) authentication_info: Option<String>,
    /// Whether the host keeps the connection.
    pub(in crate::backend) keep_alive: bool,
    /// How the body is read.
    pub(in crate::backend) body: BodyReader,
}

/// Reads heads until one is final.
#[derive(Debug, Default)]
pub(in crate::backend) struct HeadReader {
    /// Bytes of the current head that hold no end of it.
    scanned: usize,
    interim: usize,
}

impl HeadReader {
    /// The final head, once `buffer` has all of it, and the buffer without it.
    ///
    /// # Errors
    /// One [`HttpError`] per defect; the connection is of no use then.
    pub(in crate::backend) fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Head>, HttpError> {
        loop {
            let Some(end) = self.find_end(buffer)? else { return Ok(None) };
            let text = buffer.split_to(end);
            buffer.advance(END.len());
            self.scanned = 0;
            let fields = Fields::read(&text)?;
            match fields.status {
                101 => return Err(HttpError::SwitchingProtocols),
                100..=199 => {
                    self.interim += 1;
                    if self.interim > MOST_INTERIM {
                        return Err(HttpError::InterimFlood);
                    }
                }
                _ => return fields.head().map(Some),
            }
        }
    }

    fn find_end(&mut self, buffer: &[u8]) -> Result<Option<usize>, HttpError> {
        let rest = buffer.get(self.scanned..).unwrap_or_default();
        let end = rest.windows(END.len()).position(|window| window == END).map(|at| at + self.scanned);
        self.scanned = buffer.len().saturating_sub(END.len() - 1);
        if end.unwrap_or(self.scanned) > MOST_BYTES {
            return Err(HttpError::HeadTooLarge);
        }
        Ok(end)
    }
}

/// The fields that are looked at; all others are only checked for their form.
#[derive(Debug, Default)]
struct Fields {
    status: u16,
    length: Option<u64>,
    chunked: bool,
    content_type: Option<String>,
    content_coding: bool,
    connection: String,
    challenges: Vec<String>,
    authentication_info: Option<String>,
}

impl Fields {
    fn read(text: &[u8]) -> Result<Self, HttpError> {
        let mut lines = Lines { rest: Some(text) };
        let mut fields =
            Self { status: status(lines.next().ok_or(HttpError::StatusLine)??)?, ..Self::default() };
        let mut count = 0;
        for line in lines {
            count += 1;
            if count > MOST_FIELDS {
                return Err(HttpError::HeadTooLarge);
            }
            let (name, value) = field(line?)?;
            fields.take(&name, value)?;
        }
        Ok(fields)
    }

    fn take(&mut self, name: &str, value: &[u8]) -> Result<(), HttpError> {
        // Bytes above 127 are nobody's business in the fields that count.
        let text = || str::from_utf8(value).ok().filter(|value| value.is_ascii()).ok_or(HttpError::Field);
        match name {
            "content-length" => once("Content-Length", self.length.replace(length(text()?)?))?,
            "transfer-encoding" => {
                once("Transfer-Encoding", std::mem::replace(&mut self.chunked, true).then_some(()))?;
                if !text()?.eq_ignore_ascii_case("chunked") {
                    return Err(HttpError::TransferCoding);
                }
            }
            "content-encoding" => {
                once("Content-Encoding", std::mem::replace(&mut self.content_coding, true).then_some(()))?;
                if !text()?.eq_ignore_ascii_case("identity") {
                    return Err(HttpError::ContentCoding);
                }
            }
            "content-type" => once("Content-Type", self.content_type.replace(text()?.to_owned()))?,
            "connection" => {
                self.connection.push_str(text()?);
                self.connection.push(',');
            }
            "authentication-info" => {
                once("Authentication-Info", self.authentication_info.replace(text()?.to_owned()))?;
            }
            "www-authenticate" => self.challenges.push(text()?.to_owned()),
            _ => {}
        }
        Ok(())
    }

    fn head(self) -> Result<Head, HttpError> {
        let body = match (self.length, self.chunked) {
            (Some(_), true) => return Err(HttpError::LengthAndCoding),
            (Some(length), false) => BodyReader::of_length(length),
            (None, true) => BodyReader::chunked(),
            (None, false) => return Err(HttpError::NoLength),
        };
        let closes = self.connection.split(',').any(|option| option.trim().eq_ignore_ascii_case("close"));
        Ok(Head {
            status: self.status,
            content_type: self.content_type,
            challenges: self.challenges,
            authentication_info: self.authentication_info,
            keep_alive: !closes,
            body,
        })
    }
}

fn once<T>(name: &'static str, former: Option<T>) -> Result<(), HttpError> {
    former.map_or(Ok(()), |_| Err(HttpError::Twice { name }))
}

/// `HTTP/1.1 200 OK`; Windows leaves the reason away.
fn status(line: &[u8]) -> Result<u16, HttpError> {
    let rest = line.strip_prefix(b"HTTP/1.1 ").ok_or(HttpError::StatusLine)?;
    let (digits, reason) = rest.split_at_checked(3).ok_or(HttpError::StatusLine)?;
    if !digits.iter().all(u8::is_ascii_digit) || !matches!(reason, [] | [b' ', ..]) {
        return Err(HttpError::StatusLine);
    }
    let status = digits.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
    if (100..=599).contains(&status) { Ok(status) } else { Err(HttpError::StatusLine) }
}

/// A field's name in lower case, and its value.
fn field(line: &[u8]) -> Result<(String, &[u8]), HttpError> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or(HttpError::Field)?;
    let (name, value) = line.split_at_checked(colon).ok_or(HttpError::Field)?;
    // A folded line begins with white space, which is no token.
    if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
        return Err(HttpError::Field);
    }
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    Ok((name, value.get(1..).unwrap_or_default().trim_ascii()))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Digits alone: no sign, no list, no space.
fn length(text: &str) -> Result<u64, HttpError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or(HttpError::Length)
}

/// Lines between CRLFs, without any other control character than the tab.
struct Lines<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<&'a [u8], HttpError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest?;
        let end = rest.windows(2).position(|window| window == b"\r\n");
        let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        self.rest = end.and_then(|end| rest.get(end + 2..));
        let stray = line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t');
        Some(if stray { Err(HttpError::StrayControl) } else { Ok(line) })
    }
}

const END: &[u8] = b"\r\n\r\n";
/// A ticket of somebody in many groups is in the request; what a host answers with is far smaller.
const MOST_BYTES: usize = 64 * 1024;
const MOST_FIELDS: usize = 100;
const MOST_INTERIM: usize = 4;
