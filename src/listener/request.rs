//! A request that has passed the gate.

use std::time::Instant;

use bytes::Bytes;
use secrecy::SecretString;

use super::gate::{Head, PsVersion, RequestPath};

/// One whole POST. It has no map of headers: what is not a field here was dropped at the gate.
pub(crate) struct Request {
    /// The path, to be compared with routes byte for byte.
    pub(crate) path: RequestPath,
    /// The query's `PSVersion`, the only query that there is.
    pub(crate) ps_version: Option<PsVersion>,
    /// The server's name from Host, in lower case, without port; the TLS server name's equal where that was sent.
    pub(crate) host: String,
    /// The one Authorization header.
    pub(crate) authorization: Option<SecretString>,
    /// The one Content-Type header, as sent.
    pub(crate) content_type: Option<String>,
    /// Whether `WSMANIDENTIFY: unauthenticated` was sent ([MS-WSMV] section 3.1.4.1.30).
    pub(crate) wsmanidentify: bool,
    /// What the client calls itself, for records: printable ASCII, at most 200 bytes.
    pub(crate) user_agent: Option<String>,
    /// The whole body; its part of the byte budget is held until its last slice is dropped.
    pub(crate) body: Bytes,
    /// When its first byte was read.
    pub(crate) received: Instant,
}

impl Request {
    pub(super) fn new(head: Head, body: Bytes, received: Instant) -> Self {
        Self {
            path: head.path,
            ps_version: head.ps_version,
            host: head.host,
            authorization: head.authorization,
            content_type: head.content_type,
            wsmanidentify: head.wsmanidentify,
            user_agent: head.user_agent,
            body,
            received,
        }
    }
}
