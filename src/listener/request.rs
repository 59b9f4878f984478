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

    /// The path, as routes compare it.
    pub(crate) fn path(&self) -> &str {
        self.path.as_str()
    }

    /// The server that the client asked for, in lower case, without port.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The value of Content-Type, as sent.
    pub(crate) fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// The PowerShell version of the query.
    pub(crate) fn ps_version(&self) -> Option<&str> {
        self.ps_version.as_ref().map(PsVersion::as_str)
    }

    /// The whole body.
    pub(crate) fn body(&self) -> &Bytes {
        &self.body
    }
}
