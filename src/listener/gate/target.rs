//! The request target and Host: which path, which PowerShell version, which server.

use std::net::Ipv6Addr;

use super::super::refusal::Reason;

/// A path as the client sent it: `/`, then letters, digits, `.`, `_`, `-` and `/`; nothing escaped, no empty,
/// `.` or `..` segment inside. Routes compare it byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RequestPath(String);

impl RequestPath {
    /// The path, beginning with `/`.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Result<Self, Reason> {
        let segments = text.strip_prefix('/').ok_or(Reason::Target)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte);
        if text.len() > PATH_BYTES || !segments.bytes().all(plain) || text.contains("//") {
            return Err(Reason::Path);
        }
        if segments.split('/').any(|segment| segment == "." || segment == "..") {
            return Err(Reason::Path);
        }
        Ok(Self(text.to_owned()))
    }
}

/// The value of a `PSVersion` query: up to four numbers with dots between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PsVersion(String);

impl PsVersion {
    /// The version, such as `5.1.22621.963`.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(query: &str) -> Result<Self, Reason> {
        let version = query.strip_prefix("PSVersion=").ok_or(Reason::Query)?;
        let number =
            |part: &str| matches!(part.len(), 1..=10) && part.bytes().all(|byte| byte.is_ascii_digit());
        if version.split('.').count() > 4 || !version.split('.').all(number) {
            return Err(Reason::Query);
        }
        Ok(Self(version.to_owned()))
    }
}

/// A request target, taken apart.
pub(super) struct Target<'a> {
    pub(super) path: RequestPath,
    pub(super) ps_version: Option<PsVersion>,
    /// Scheme and authority of an absolute target.
    pub(super) absolute: Option<(&'a str, &'a str)>,
}

/// Reads an origin-form or absolute-form target (RFC 9112 section 3.2).
pub(super) fn parse(target: &str) -> Result<Target<'_>, Reason> {
    let (absolute, local) = match target.split_once("://") {
        Some((scheme, rest)) if !target.starts_with('/') => {
            let start = rest.find(['/', '?']).ok_or(Reason::Target)?;
            let (authority, local) = rest.split_at(start);
            (Some((scheme, authority)), local)
        }
        Some(_) | None => (None, target),
    };
    let (path, query) = match local.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (local, None),
    };
    Ok(Target {
        path: RequestPath::parse(path)?,
        ps_version: query.map(PsVersion::parse).transpose()?,
        absolute,
    })
}

/// Reads a Host value; returns the name or address in lower case, without port and brackets.
pub(super) fn host(authority: &str) -> Result<String, Reason> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or(Reason::Host)?;
        let address: Ipv6Addr = address.parse().map_err(|_| Reason::Host)?;
        if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
            return Err(Reason::Host);
        }
        return Ok(address.to_string());
    }
    let (name, port) = match authority.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (authority, None),
    };
    let label = |label: &str| {
        matches!(label.len(), 1..=63)
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if name.len() > 253 || !name.split('.').all(label) || !port.is_none_or(is_port) {
        return Err(Reason::Host);
    }
    Ok(name.to_ascii_lowercase())
}

fn is_port(text: &str) -> bool {
    matches!(text.len(), 1..=5)
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && text.parse::<u16>().is_ok()
}

const PATH_BYTES: usize = 1024;
