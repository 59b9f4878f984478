//! Where a backend connection goes, and the template that a route writes for it.

use super::host::{HostError, HostName};
use std::{fmt, net::IpAddr};

/// The protocol of a backend connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Scheme {
    /// Messages are sealed by the security context.
    Http,
    /// TLS, and the endpoint proves its name by certificate.
    Https,
}

impl Scheme {
    /// WinRM's own port for the scheme (`client/DefaultPorts`).
    pub(crate) const fn default_port(self) -> u16 {
        match self {
            Self::Http => 5985,
            Self::Https => 5986,
        }
    }

    /// The scheme as it is written in a URL.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// The host part of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum EndpointHost {
    /// A name, to be resolved.
    Name(HostName),
    /// An address as the configuration gives it; never from a client.
    Address(IpAddr),
}

impl fmt::Display for EndpointHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// A WinRM service that the gateway may speak to.
///
/// INVARIANT: scheme, port and path are the configuration's; a client can only choose a [`HostName`] within the route's `hosts`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Endpoint {
    /// The protocol.
    pub(crate) scheme: Scheme,
    /// The host.
    pub(crate) host: EndpointHost,
    /// The TCP port.
    pub(crate) port: u16,
    /// The request path, `/wsman` usually.
    pub(crate) path: String,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}{}", self.scheme.as_str(), self.host, self.port, self.path)
    }
}

/// A text that is a host name once `{host}` is put in: `{host}.web.corp.example`, or a fixed one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HostTemplate {
    /// No placeholder.
    Fixed(EndpointHost),
    /// What stands before and after the one `{host}`.
    Placed {
        /// Before it.
        before: String,
        /// After it.
        after: String,
    },
}

impl HostTemplate {
    /// The template that `text` spells.
    ///
    /// # Errors
    /// When no host name could ever come out of it.
    pub(crate) fn parse(text: &str) -> Result<Self, HostError> {
        let Some((before, after)) = text.split_once(PLACEHOLDER) else {
            return Ok(Self::Fixed(parse_fixed(text)?));
        };
        let template = Self::Placed { before: before.to_owned(), after: after.to_owned() };
        let edges =
            (before.is_empty() || before.ends_with('.')) && (after.is_empty() || after.starts_with('.'));
        if !edges {
            return Err(HostError::Malformed);
        }
        template.fill(&HostName::parse("h")?).map(|_| template)
    }

    /// The host with `host` put in.
    ///
    /// # Errors
    /// When the whole gets too long for a host name.
    pub(crate) fn fill(&self, host: &HostName) -> Result<EndpointHost, HostError> {
        match self {
            Self::Fixed(host) => Ok(host.clone()),
            Self::Placed { before, after } => {
                HostName::parse(&format!("{before}{host}{after}")).map(EndpointHost::Name)
            }
        }
    }

    /// Whether a host must be put in.
    pub(crate) fn is_placed(&self) -> bool {
        matches!(self, Self::Placed { .. })
    }
}

/// A route's `backend.url`: an endpoint with or without `{host}` in its host part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UrlTemplate {
    /// The protocol.
    pub(crate) scheme: Scheme,
    /// The host or its template.
    pub(crate) host: HostTemplate,
    /// The TCP port.
    pub(crate) port: u16,
    /// The request path.
    pub(crate) path: String,
}

/// Why a text is not the URL of a backend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UrlError {
    /// Neither `http://` nor `https://`.
    #[error("a backend URL begins with http:// or https://")]
    Scheme,
    /// The host part is not valid.
    #[error("the host of the backend URL is not valid: {0}")]
    Host(HostError),
    /// The port is not a number from 1 to 65535.
    #[error("the port of the backend URL is not a number from 1 to 65535")]
    Port,
    /// The path is missing or holds more than plain segments.
    #[error(
        "the path of the backend URL is not plain segments of letters, digits, `_`, `-` and `.`, such as /wsman"
    )]
    Path,
}

impl UrlTemplate {
    /// The template that `text` spells; port and path default to WinRM's own.
    ///
    /// # Errors
    /// When it is no URL of a WinRM service.
    pub(crate) fn parse(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = if let Some(rest) = text.strip_prefix("http://") {
            (Scheme::Http, rest)
        } else if let Some(rest) = text.strip_prefix("https://") {
            (Scheme::Https, rest)
        } else {
            return Err(UrlError::Scheme);
        };
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, format!("/{path}")),
            None => (rest, "/wsman".to_owned()),
        };
        if !is_plain_path(&path) {
            return Err(UrlError::Path);
        }
        let (host, port) = split_port(authority)?;
        let port = port.map_or_else(|| Ok(scheme.default_port()), parse_port)?;
        let host = HostTemplate::parse(host).map_err(UrlError::Host)?;
        Ok(Self { scheme, host, port, path })
    }

    /// The endpoint with `host` put in.
    ///
    /// # Errors
    /// When the whole gets too long for a host name, or a host is needed and none is given.
    pub(crate) fn fill(&self, host: Option<&HostName>) -> Result<Endpoint, HostError> {
        let host = match (&self.host, host) {
            (HostTemplate::Fixed(host), _) => host.clone(),
            (template @ HostTemplate::Placed { .. }, Some(host)) => template.fill(host)?,
            (HostTemplate::Placed { .. }, None) => return Err(HostError::Empty),
        };
        Ok(Endpoint { scheme: self.scheme, host, port: self.port, path: self.path.clone() })
    }
}

/// Where a template takes the client's host.
pub(crate) const PLACEHOLDER: &str = "{host}";

/// Whether `path` is `/` and plain segments: no dot segments, no empty ones, nothing that is ever escaped.
pub(super) fn is_plain_path(path: &str) -> bool {
    path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_plain_segment))
}

/// Whether `segment` is letters, digits, `.`, `_` and `-`, and neither `.` nor `..`.
pub(super) fn is_plain_segment(segment: &str) -> bool {
    let plain =
        segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    plain && !matches!(segment, "" | "." | "..")
}

fn parse_fixed(text: &str) -> Result<EndpointHost, HostError> {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match bracketed.unwrap_or(text).parse::<IpAddr>() {
        Ok(address) if address.is_ipv6() == bracketed.is_some() => Ok(EndpointHost::Address(address)),
        Ok(_) => Err(HostError::Malformed),
        Err(_) => HostName::parse(text).map(EndpointHost::Name),
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>), UrlError> {
    match authority.rsplit_once(':') {
        Some((host, _)) if host.starts_with('[') && !host.ends_with(']') => Ok((authority, None)),
        Some((_, port)) if port.ends_with(']') => Ok((authority, None)),
        Some((host, port)) => Ok((host, Some(port))),
        None if authority.is_empty() => Err(UrlError::Host(HostError::Empty)),
        None => Ok((authority, None)),
    }
}

fn parse_port(text: &str) -> Result<u16, UrlError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0).ok_or(UrlError::Port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(url: &str, host: &str) -> String {
        UrlTemplate::parse(url).unwrap().fill(Some(&HostName::parse(host).unwrap())).unwrap().to_string()
    }

    #[test]
    fn a_url_takes_winrms_ports_and_path_where_it_names_none() {
        assert_eq!(filled("http://{host}", "web01"), "http://web01:5985/wsman");
        assert_eq!(
            filled("https://{host}.corp.example/wsman", "web01"),
            "https://web01.corp.example:5986/wsman"
        );
        assert_eq!(filled("https://[2001:db8::1]:443/x", "web01"), "https://[2001:db8::1]:443/x");
        assert_eq!(filled("http://[2001:db8::1]", "web01"), "http://[2001:db8::1]:5985/wsman");
        assert_eq!(filled("http://10.0.0.1:80/wsman", "web01"), "http://10.0.0.1:80/wsman");
    }

    #[test]
    fn what_is_not_exactly_a_backend_url_is_refused() {
        for url in [
            "ftp://web01",
            "HTTP://web01",
            "web01",
            "http://",
            "http:///wsman",
            "http://user@web01/",
            "http://web01:0/wsman",
            "http://web01:+80/wsman",
            "http://web01:99999/wsman",
            "http://web01:/wsman",
            "http://web01/wsman?x",
            "http://web01/../wsman",
            "http://web01//wsman",
            "http://web01/%2e",
            "http://web01/{host}",
            "http://x{host}/wsman",
            "http://{host}x/wsman",
            "http://{host}.{host}/wsman",
            "http://2001:db8::1/wsman",
            "http://[10.0.0.1]/wsman",
            "http://127.1/wsman",
        ] {
            assert!(UrlTemplate::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_host_that_makes_the_name_too_long_is_refused_not_cut() {
        let template =
            UrlTemplate::parse(&format!("http://{{host}}.{}/wsman", ["abcdefg"; 30].join("."))).unwrap();
        assert_eq!(
            template.fill(Some(&HostName::parse("web01.corp.example").unwrap())),
            Err(HostError::TooLong)
        );
    }
}
