//! HTTP/1.1 as a client of hosts that are not trusted: strict in what it reads, exact in what it writes (RFC 9112).
//!
//! Why not a general client: one that is lenient about framing lets a rogue host decide where an answer ends, and so what the next request
//! on the connection gets. Here whatever two readers could read in two ways is an [`HttpError`], and no input or output happens.
//!
//! INVARIANT: nothing is read behind the end of an answer; what is left in the buffer then is surplus, and the caller sees it.

mod body;
mod head;
#[cfg(test)]
mod tests;

pub(super) use body::{BodyReader, Piece};
pub(super) use head::{Head, HeadReader};

use crate::policy::Endpoint;

/// How an answer breaks the rules of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HttpError {
    /// The head has more bytes or fields than are read.
    #[error("the head of the answer is too large")]
    HeadTooLarge,
    /// No status line of HTTP/1.1.
    #[error("the answer does not begin with a status line of HTTP/1.1")]
    StatusLine,
    /// A line that does not end in CRLF, or a control character within one.
    #[error("the head of the answer has a stray control character")]
    StrayControl,
    /// A field that is folded, has no name, or has one with other characters than a token.
    #[error("a header field of the answer is malformed")]
    Field,
    /// More than four interim answers.
    #[error("the host sends one interim answer after the other")]
    InterimFlood,
    /// Status 101: the connection would be something else than HTTP.
    #[error("the host wants to switch protocols")]
    SwitchingProtocols,
    /// A field that must stand once stands twice, the same value included.
    #[error("the answer has {name} twice")]
    Twice {
        /// The field, a constant.
        name: &'static str,
    },
    /// `Content-Length` and `Transfer-Encoding` together.
    #[error("the answer has both Content-Length and Transfer-Encoding")]
    LengthAndCoding,
    /// A length that is not a plain number.
    #[error("the length of the answer is not a number")]
    Length,
    /// The end of the connection would be the end of the answer, so that a cut one looks complete.
    #[error("the answer has no length")]
    NoLength,
    /// Another transfer coding than `chunked`.
    #[error("the answer's transfer coding is not supported")]
    TransferCoding,
    /// A content coding, although none was asked for.
    #[error("the answer is encoded although identity was asked for")]
    ContentCoding,
    /// A chunk whose size line or end is malformed, or that has extensions.
    #[error("a chunk of the answer is malformed")]
    Chunk,
    /// Fields behind the last chunk.
    #[error("the answer has trailer fields")]
    Trailer,
}

/// The head of a request, from scratch: nothing of a client's goes in but a `PSVersion` that the gate has read.
pub(super) struct RequestHead<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) ps_version: Option<&'a str>,
    pub(super) content_type: &'a str,
    pub(super) content_length: usize,
    pub(super) authorization: Option<&'a str>,
}

impl RequestHead<'_> {
    /// The path, and a query where there is one.
    pub(super) fn target(&self) -> String {
        let mut text = self.endpoint.path.clone();
        if let Some(version) = self.ps_version {
            text.push_str("?PSVersion=");
            // The gate lets digits and dots through; whatever else a caller might hand over can't leave its place.
            text.extend(version.chars().filter(|c| c.is_ascii_digit() || *c == '.'));
        }
        text
    }

    /// Writes it.
    pub(super) fn to_text(&self) -> String {
        let endpoint = self.endpoint;
        let mut text = format!("POST {}", self.target());
        text.push_str(&format!(
            " HTTP/1.1\r\nHost: {}:{}\r\nConnection: Keep-Alive\r\nUser-Agent: {USER_AGENT}\r\nAccept-Encoding: identity\r\n\
             Content-Type: {}\r\nContent-Length: {}\r\n",
            endpoint.host, endpoint.port, self.content_type, self.content_length,
        ));
        if let Some(authorization) = self.authorization {
            text.push_str(&format!("Authorization: {authorization}\r\n"));
        }
        text.push_str("\r\n");
        text
    }
}

/// The content type of a body in clear.
pub(super) const SOAP: &str = "application/soap+xml;charset=UTF-8";
const USER_AGENT: &str = "winrm-gateway";
