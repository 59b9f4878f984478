//! WinRM's `client/TrustedHosts`.

use super::endpoint::{Endpoint, EndpointHost};
use std::net::IpAddr;

/// The destinations that may be spoken to although they prove no identity ([MS-WSMV] sections 2.2.4.6 and 3.2.4.1.22.1).
///
/// It is consulted for NTLM, Basic and Digest over plain HTTP only, and never relaxes TLS or Kerberos.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TrustedHosts(Vec<Item>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    All,
    Suffix(String),
    Prefix(String),
    Local,
    Name(String),
    Address(IpAddr),
}

/// The proof that the list names a destination.
///
/// INVARIANT: only [`TrustedHosts::vouch`] makes one, for the very endpoint that it was asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TrustedHost(Endpoint);

impl TrustedHost {
    /// Whether this is about `endpoint`.
    pub(crate) fn is(&self, endpoint: &Endpoint) -> bool {
        self.0 == *endpoint
    }
}

/// An item that WinRM's grammar does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TrustedHostsError {
    /// Nothing between two commas.
    #[error("an item of the list is empty")]
    Empty,
    /// `*` beside other items.
    #[error("`*` stands for all hosts and must stand alone")]
    StarInList,
    /// `*` in the middle, or twice.
    #[error("`*` can only be the first or the last character of an item, once")]
    Star,
    /// Blanks, brackets or the like.
    #[error(
        "an item is a host name, an IP address (IPv6 in brackets), `<local>`, or a name with one `*` first or last"
    )]
    Malformed,
}

impl TrustedHosts {
    /// The list that `text` spells: blank, `*`, or items separated by commas.
    ///
    /// # Errors
    /// When an item is none that WinRM has.
    pub(crate) fn parse(text: &str) -> Result<Self, TrustedHostsError> {
        let text = text.trim();
        match text {
            "" => Ok(Self::default()),
            "*" => Ok(Self(vec![Item::All])),
            list => list.split(',').map(|item| parse_item(item.trim())).collect::<Result<_, _>>().map(Self),
        }
    }

    /// Whether the list names `host`. Names are compared without case, addresses as addresses.
    pub(crate) fn trusts(&self, host: &EndpointHost) -> bool {
        self.0.iter().any(|item| match (item, host) {
            (Item::All, _) => true,
            (Item::Address(item), EndpointHost::Address(address)) => item == address,
            (Item::Suffix(suffix), host) => host.to_string().ends_with(suffix.as_str()),
            (Item::Prefix(prefix), host) => host.to_string().starts_with(prefix.as_str()),
            (Item::Local, EndpointHost::Name(name)) => !name.as_str().contains('.'),
            (Item::Name(item), EndpointHost::Name(name)) => item == name.as_str(),
            (Item::Local | Item::Name(_), EndpointHost::Address(_))
            | (Item::Address(_), EndpointHost::Name(_)) => false,
        })
    }

    /// The proof that the list names the host of `endpoint`, where it does.
    pub(super) fn vouch(&self, endpoint: &Endpoint) -> Option<TrustedHost> {
        self.trusts(&endpoint.host).then(|| TrustedHost(endpoint.clone()))
    }

    /// Whether the list names every host that ends in `ending`.
    pub(crate) fn trusts_all_below(&self, ending: &str) -> bool {
        self.0.iter().any(|item| match item {
            Item::All => true,
            Item::Suffix(suffix) => ending.ends_with(suffix.as_str()),
            Item::Prefix(_) | Item::Local | Item::Name(_) | Item::Address(_) => false,
        })
    }
}

fn parse_item(item: &str) -> Result<Item, TrustedHostsError> {
    if item.is_empty() {
        return Err(TrustedHostsError::Empty);
    }
    if item.eq_ignore_ascii_case("<local>") {
        return Ok(Item::Local);
    }
    let folded = item.to_ascii_lowercase();
    match (folded.matches('*').count(), folded.strip_prefix('*'), folded.strip_suffix('*')) {
        (0, ..) => parse_exact(&folded),
        (1, Some(""), _) => Err(TrustedHostsError::StarInList),
        (1, Some(suffix), _) if is_name_part(suffix) => Ok(Item::Suffix(suffix.to_owned())),
        (1, _, Some(prefix)) if is_name_part(prefix) => Ok(Item::Prefix(prefix.to_owned())),
        (1, Some(_), _) | (1, _, Some(_)) => Err(TrustedHostsError::Malformed),
        _ => Err(TrustedHostsError::Star),
    }
}

fn parse_exact(item: &str) -> Result<Item, TrustedHostsError> {
    if let Some(inner) = item.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: std::net::Ipv6Addr = inner.parse().map_err(|_| TrustedHostsError::Malformed)?;
        return Ok(Item::Address(IpAddr::V6(address)));
    }
    match item.parse::<std::net::Ipv4Addr>() {
        Ok(address) => Ok(Item::Address(IpAddr::V4(address))),
        Err(_) if is_name_part(item) => Ok(Item::Name(item.to_owned())),
        Err(_) => Err(TrustedHostsError::Malformed),
    }
}

fn is_name_part(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::{super::host::HostName, *};

    fn trusts(list: &str, host: &str) -> bool {
        let host = match host.parse() {
            Ok(address) => EndpointHost::Address(address),
            Err(_) => EndpointHost::Name(HostName::parse(host).unwrap()),
        };
        TrustedHosts::parse(list).unwrap().trusts(&host)
    }

    #[test]
    fn the_items_mean_what_they_mean_to_winrm() {
        for (list, host, wanted) in [
            ("", "web01", false),
            ("*", "web01.corp.example", true),
            ("*", "10.0.0.1", true),
            ("*.corp.example", "web01.corp.example", true),
            ("*corp.example", "evilcorp.example", true),
            ("web*", "web01.corp.example", true),
            ("WEB01", "web01", true),
            ("a, web01 ,b", "web01", true),
            ("10.0.*", "10.0.0.1", true),
            ("[2001:DB8:0::1]", "2001:db8::1", true),
            ("<local>", "web01", true),
            ("<LOCAL>", "web01.corp.example", false),
            ("<local>", "::1", false),
            ("<local>", "10.0.0.1", false),
            ("web01", "web01.corp.example", false),
        ] {
            assert_eq!(trusts(list, host), wanted, "{list} {host}");
        }
    }

    #[test]
    fn what_is_not_in_winrms_grammar_is_refused() {
        for list in
            ["a,,b", ",", "a,*", "w*b", "**", "*a*", "[::1", "a b", "2001:db8::1", "http://a", "[10.0.0.1]"]
        {
            assert!(TrustedHosts::parse(list).is_err(), "{list}");
        }
    }
}
