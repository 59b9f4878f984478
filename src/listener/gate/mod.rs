//! The strict gate: which bytes are one WinRM request, and nothing else is.
//!
//! In: the bytes of a head, as they arrive. Out: a [`Head`], or the one [`Reason`] why not.
//!
//! INVARIANT: whatever two HTTP parsers could read differently is refused, never repaired: line ends other than
//! CR LF, folded lines, bytes other than printable ASCII, repeated headers, any length that is not one plain number.
//! A head has no map of headers: what is not named in [`Head`] cannot be passed on.
//!
//! Specification: RFC 9110 and RFC 9112, less everything that WinRM clients do not send.

mod fields;
mod scan;
mod target;
#[cfg(test)]
mod tests;

pub(super) use scan::Scanner;
pub(crate) use target::{PsVersion, RequestPath};

use secrecy::SecretString;

use self::fields::Fields;
use super::refusal::Reason;

/// What a request line and its headers say.
pub(super) struct Head {
    pub(super) path: RequestPath,
    pub(super) ps_version: Option<PsVersion>,
    pub(super) host: String,
    pub(super) authorization: Option<SecretString>,
    pub(super) content_type: Option<String>,
    pub(super) wsmanidentify: bool,
    pub(super) user_agent: Option<String>,
    pub(super) content_length: usize,
    pub(super) expects_continue: bool,
    pub(super) close: bool,
}

/// What the connection already settles about its requests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connection<'a> {
    /// `https` or `http`.
    pub(super) scheme: &'a str,
    /// The name in the TLS handshake, in lower case.
    pub(super) server_name: Option<&'a str>,
    /// The largest body, in bytes.
    pub(super) body_bytes: usize,
}

/// Reads a complete head, its final empty line included, that a [`Scanner`] has passed.
pub(super) fn head(bytes: &[u8], connection: Connection<'_>) -> Result<Head, Reason> {
    let text = std::str::from_utf8(bytes).map_err(|_| Reason::ControlByte)?;
    let text = text.strip_suffix("\r\n\r\n").ok_or(Reason::LineBreak)?;
    let mut lines = text.split("\r\n");
    let (method, target) = request_line(lines.next().unwrap_or_default())?;
    let target = target::parse(target)?;
    if ADMIN_PATHS.contains(&target.path.as_str()) {
        return Err(Reason::NotHere);
    }
    if method != "POST" {
        return Err(Reason::Method);
    }
    let fields = Fields::parse(lines)?;
    let authority = fields.host.ok_or(Reason::Host)?;
    let host = target::host(authority)?;
    if connection.server_name.is_some_and(|name| name != host) {
        return Err(Reason::WrongHost);
    }
    if let Some((scheme, named)) = target.absolute {
        let same = scheme == connection.scheme && named.eq_ignore_ascii_case(authority);
        let known = connection.scheme == "http" || connection.server_name.is_some();
        if !(same && known) {
            return Err(Reason::Target);
        }
    }
    Ok(Head {
        path: target.path,
        ps_version: target.ps_version,
        host,
        content_length: fields.content_length(connection.body_bytes)?,
        content_type: fields.content_type()?,
        authorization: fields.authorization()?,
        wsmanidentify: fields.wsmanidentify(),
        user_agent: fields.user_agent(),
        expects_continue: fields.expects_continue()?,
        close: fields.close,
    })
}

/// Splits the request line into method and target; exactly one space between its three parts.
fn request_line(line: &str) -> Result<(&str, &str), Reason> {
    let mut parts = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Reason::RequestLine);
    };
    if target.is_empty() || line.contains('\t') || !is_token(method) {
        return Err(Reason::RequestLine);
    }
    match version.strip_prefix("HTTP/").map(str::as_bytes) {
        Some(b"1.1") => Ok((method, target)),
        Some([b'0'..=b'9', b'.', b'0'..=b'9']) => Err(Reason::Version),
        Some(_) | None => Err(Reason::RequestLine),
    }
}

/// Whether `text` is a token (RFC 9110 section 5.6.2).
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// What only the admin listener has; here they do not exist, whatever the method.
const ADMIN_PATHS: [&str; 3] = ["/healthz", "/readyz", "/metrics"];
