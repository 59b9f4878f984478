//! Host names as the gateway may dial them, and the patterns that say which of them a route serves.

use std::{fmt, net::IpAddr};

/// A DNS host name: lower case, letters, digits and hyphens, 1 to 253 bytes, no trailing dot (RFC 1123 section 2.1).
///
/// INVARIANT: never an IP literal nor anything that a resolver could read as one: the last label is not all digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct HostName(String);

/// Why a text is not a host name or not a pattern of host names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostError {
    /// Nothing there.
    #[error("the host name is empty")]
    Empty,
    /// More than 253 bytes, or a label of more than 63.
    #[error("the host name is longer than 253 bytes or has a label longer than 63")]
    TooLong,
    /// Something else than letters, digits, hyphens and dots, an empty label, or a hyphen at the edge of one.
    #[error("a host name consists of labels of letters, digits and inner hyphens, separated by single dots")]
    Malformed,
    /// An IP address, or a name that reads like one.
    #[error("an IP address stands where a host name is needed")]
    Address,
    /// A `*` that is not the whole first label.
    #[error("`*` can only be the whole first label, as in `*.corp.example`")]
    Wildcard,
}

impl HostName {
    /// The host name that `text` spells, in lower case.
    ///
    /// # Errors
    /// When `text` is no host name in the sense of this type.
    pub(crate) fn parse(text: &str) -> Result<Self, HostError> {
        if text.is_empty() {
            return Err(HostError::Empty);
        }
        if text.len() > MAX_NAME {
            return Err(HostError::TooLong);
        }
        if text.starts_with('[') || text.parse::<IpAddr>().is_ok() {
            return Err(HostError::Address);
        }
        for label in text.split('.') {
            check_label(label)?;
        }
        if text.rsplit('.').next().is_some_and(reads_as_number) {
            return Err(HostError::Address);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// The name in lower case.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One entry of a route's `hosts`, matched label by label: `*corp.example` is not a pattern, so `evilcorp.example` never slips in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum HostPattern {
    /// Exactly this host.
    Exact(HostName),
    /// `*.suffix`: one or more labels before the suffix.
    Below(HostName),
    /// `*`: any host name.
    Any,
}

impl HostPattern {
    /// The pattern that `text` spells.
    ///
    /// # Errors
    /// When it is neither a host name, nor `*.` and a host name, nor `*`.
    pub(crate) fn parse(text: &str) -> Result<Self, HostError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        match text.strip_prefix("*.") {
            Some(suffix) if !suffix.contains('*') => HostName::parse(suffix).map(Self::Below),
            None if !text.contains('*') => HostName::parse(text).map(Self::Exact),
            Some(_) | None => Err(HostError::Wildcard),
        }
    }

    /// Whether `host` is one of those meant.
    pub(crate) fn matches(&self, host: &HostName) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(name) => name == host,
            Self::Below(suffix) => host
                .0
                .strip_suffix(suffix.as_str())
                .is_some_and(|front| front.len() > 1 && front.ends_with('.')),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => name.fmt(f),
            Self::Below(suffix) => write!(f, "*.{suffix}"),
            Self::Any => f.write_str("*"),
        }
    }
}

/// What `{host}` may be on a route, or which hosts a rule speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Hosts(Vec<HostPattern>);

impl Hosts {
    /// The hosts that any of `patterns` means; none means no host.
    pub(crate) fn new(patterns: Vec<HostPattern>) -> Self {
        Self(patterns)
    }

    /// Whether `host` is among them.
    pub(crate) fn contains(&self, host: &HostName) -> bool {
        self.0.iter().any(|pattern| pattern.matches(host))
    }
}

const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

fn check_label(label: &str) -> Result<(), HostError> {
    if label.len() > MAX_LABEL {
        return Err(HostError::TooLong);
    }
    let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if label.is_empty() || !plain || label.starts_with('-') || label.ends_with('-') {
        return Err(HostError::Malformed);
    }
    Ok(())
}

/// Whether `inet_aton` would take `label` as the last part of an address: digits, or `0x` and hexadecimal digits.
fn reads_as_number(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    label.bytes().all(|byte| byte.is_ascii_digit())
        || hexadecimal.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_host_name_is_folded_to_lower_case_and_written_back() {
        assert_eq!(HostName::parse("Web01.CORP.example").unwrap().to_string(), "web01.corp.example");
        assert_eq!(HostName::parse("xn--bcher-kva.example").unwrap().as_str(), "xn--bcher-kva.example");
        assert!(HostName::parse(&format!("{}.example", "a".repeat(63))).is_ok());
    }

    #[test]
    fn threat_11_nothing_but_a_host_name_passes_for_one() {
        let long = format!("{}.example", "a".repeat(64));
        let whole = ["abcdefgh"; 32].join(".");
        for text in [
            "",
            ".",
            "web01.",
            ".web01",
            "web01..corp",
            "web_01.corp",
            "-web01",
            "web01-",
            "10.0.0.1",
            "0x7f.1",
            "127.1",
            "2130706433",
            "web.0x7f000001",
            "[::1]",
            "::1",
            "fe80::1%eth0",
            "web01:5985",
            "web01/..",
            "user@web01",
            "web01%2ecorp",
            "web01\0",
            "web01 ",
            "w\u{e9}b01",
            "*.corp.example",
            "web01\u{3002}corp",
            &long,
            &whole,
        ] {
            assert!(HostName::parse(text).is_err(), "{text:?} was taken for a host name");
        }
    }

    #[test]
    fn a_pattern_matches_whole_labels_only() {
        let hosts = Hosts::new(vec![
            HostPattern::parse("*.web.corp.example").unwrap(),
            HostPattern::parse("DB01.corp.example").unwrap(),
        ]);
        for (host, wanted) in [
            ("a.web.corp.example", true),
            ("a.b.web.corp.example", true),
            ("web.corp.example", false),
            ("evilweb.corp.example", false),
            ("a.web.corp.example.evil.example", false),
            ("db01.corp.example", true),
            ("x.db01.corp.example", false),
        ] {
            assert_eq!(hosts.contains(&HostName::parse(host).unwrap()), wanted, "{host}");
        }
    }

    #[test]
    fn a_star_elsewhere_than_in_the_whole_first_label_is_no_pattern() {
        for text in ["*corp.example", "web*.corp.example", "a.*.example", "*.*.example", "**", "*."] {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_host_name_survives_being_written_and_read(text in "[a-zA-Z0-9]{1,10}(\\.[a-z]([a-z0-9-]{0,5}[a-z0-9])?){0,4}") {
            if let Ok(host) = HostName::parse(&text) {
                prop_assert_eq!(HostName::parse(&host.to_string()), Ok(host));
            }
        }

        #[test]
        fn no_text_panics_and_a_pattern_matches_only_below_its_suffix(text in "\\PC{0,60}") {
            let pattern = HostPattern::parse("*.corp.example").unwrap();
            if let Ok(host) = HostName::parse(&text) {
                prop_assert_eq!(pattern.matches(&host), host.as_str().ends_with(".corp.example"));
                prop_assert!(host.as_str().parse::<IpAddr>().is_err());
            }
        }
    }
}
