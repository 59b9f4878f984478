//! A route: which requests it takes, whom it accepts, and where they go.

use super::{
    approach::Approach,
    endpoint::{PLACEHOLDER, UrlTemplate, is_plain_path},
    host::{HostError, HostName, Hosts},
    networks::Networks,
    rules::Rule,
    spn::SpnTemplate,
};
use crate::authn::{Accept, AuthMethod};
use std::{collections::BTreeMap, path::PathBuf};

/// One entry of `routes`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Route {
    /// Its name in records and metric labels.
    pub(crate) name: String,
    /// Which requests are its.
    pub(crate) matches: Match,
    /// The methods that count here.
    pub(crate) accept: Accept,
    /// What `{host}` may be; empty on a route without `{host}`.
    pub(crate) hosts: Hosts,
    /// Which resolved addresses may be dialled.
    pub(crate) networks: Networks,
    /// The other side.
    pub(crate) backend: BackendRule,
    /// First match wins; none means refused.
    pub(crate) rules: Vec<Rule>,
    /// Whether the intent must be on disk before anything is sent.
    pub(crate) before_run: BeforeRun,
}

/// Which requests belong to a route; all of the conditions hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Match {
    /// Only on this listener.
    pub(crate) listener: Option<String>,
    /// Only under this server name.
    pub(crate) server_name: Option<ServerNameTemplate>,
    /// Only on this path; `/wsman`, which most clients cannot change, where the configuration names none.
    pub(crate) path: PathTemplate,
}

impl Match {
    /// Whether some request could match both.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let listener = match (&self.listener, &other.listener) {
            (Some(one), Some(two)) => one == two,
            (None, _) | (_, None) => true,
        };
        let server_name = match (&self.server_name, &other.server_name) {
            (Some(one), Some(two)) => overlap(one.0.split('.'), two.0.split('.')),
            (None, _) | (_, None) => true,
        };
        listener && server_name && overlap(self.path.0.split('/'), other.path.0.split('/'))
    }

    /// Whether the client names the host.
    pub(crate) fn has_host(&self) -> bool {
        self.path.has_host() || self.server_name.as_ref().is_some_and(ServerNameTemplate::has_host)
    }
}

/// The path of a route: plain segments, at most one of them `{host}`. Compared byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PathTemplate(String);

/// Why a text is no path or no server name of a route.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TemplateError {
    /// Not plain segments.
    #[error(
        "a path is `/` and plain segments of letters, digits, `.`, `_` and `-`, one of which may be {{host}}"
    )]
    Path,
    /// Not a host name.
    #[error("a server name is a host name, one label of which may be {{host}}")]
    ServerName,
    /// `{host}` more than once.
    #[error("{{host}} can stand only once")]
    Twice,
}

impl PathTemplate {
    /// The path that `text` spells.
    ///
    /// # Errors
    /// When it could never match a path that the gateway takes.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let stand_in = stand_in(text, '/').ok_or(TemplateError::Twice)?;
        let short = text.len() <= MAX_PATH && text.split('/').count() <= MAX_PARTS;
        if is_plain_path(&stand_in) && short { Ok(Self(text.to_owned())) } else { Err(TemplateError::Path) }
    }

    /// The text, `{host}` included.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `{host}` is a segment.
    pub(crate) fn has_host(&self) -> bool {
        self.0.contains(PLACEHOLDER)
    }
}

/// The server name of a route, in lower case, at most one label of which is `{host}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ServerNameTemplate(String);

impl ServerNameTemplate {
    /// The server name that `text` spells.
    ///
    /// # Errors
    /// When it is no host name but for one `{host}`.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let stand_in = stand_in(text, '.').ok_or(TemplateError::Twice)?;
        let short = text.split('.').count() <= MAX_PARTS;
        match HostName::parse(&stand_in) {
            Ok(_) if short => Ok(Self(text.to_ascii_lowercase())),
            Ok(_) | Err(_) => Err(TemplateError::ServerName),
        }
    }

    /// The text, `{host}` included.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `{host}` is a label.
    pub(crate) fn has_host(&self) -> bool {
        self.0.contains(PLACEHOLDER)
    }
}

/// What a route does on the other side.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BackendRule {
    /// Where to.
    pub(crate) url: UrlTemplate,
    /// Whom it expects there, where Kerberos is used: names to be tried in this order.
    pub(crate) spns: Vec<SpnTemplate>,
    /// How and as whom, by the method that the person came in with.
    pub(crate) approaches: BTreeMap<AuthMethod, Approach>,
    /// How an `https` endpoint proves its name.
    pub(crate) tls: BackendTls,
}

/// How the certificate of an `https` endpoint is checked; there is no way not to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct BackendTls {
    /// PEM file of the authorities that count; the system's where none is given.
    pub(crate) ca_file: Option<PathBuf>,
}

/// What must be on record before anything is sent to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum BeforeRun {
    /// The intent is on disk; if it cannot be, nothing is sent.
    #[default]
    Durable,
    /// The intent is on its way.
    BestEffort,
}

/// More segments or labels than this and nothing matches.
pub(super) const MAX_PARTS: usize = 16;
/// Longer paths match nothing.
pub(super) const MAX_PATH: usize = 1024;

/// `text` with its one `{host}` replaced by a plain part; `None` where there are two. A part like `x{host}` keeps its braces and is no plain part.
fn stand_in(text: &str, separator: char) -> Option<String> {
    if text.matches(PLACEHOLDER).count() > 1 {
        return None;
    }
    let parts = text.split(separator).map(|part| if part == PLACEHOLDER { "h" } else { part });
    Some(parts.collect::<Vec<_>>().join(&separator.to_string()))
}

/// Whether two templates, part by part, could be filled to the same text.
fn overlap<'a>(one: impl Iterator<Item = &'a str>, two: impl Iterator<Item = &'a str>) -> bool {
    let mut two = two;
    for part in one {
        let same = |other: &str| part == other || part == PLACEHOLDER || other == PLACEHOLDER;
        if !two.next().is_some_and(same) {
            return false;
        }
    }
    two.next().is_none()
}

/// The host that a client names, where the template has a place for one.
pub(super) fn host_of(part: Option<&str>) -> Result<Option<HostName>, HostError> {
    part.map(HostName::parse).transpose()
}
