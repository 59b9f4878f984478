//! What a listener means for proofs: by which names its tickets may call it, and whether clear text may come in there.

use std::collections::HashMap;
use std::sync::Arc;

use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer as _, X509Certificate},
};

use crate::listener::ClientConnection;

/// One listener, as far as proofs are concerned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Entrance {
    /// Whose HTTP, WSMAN and HOST tickets are accepted; the certificate's DNS names where empty.
    pub(crate) names: Vec<String>,
    /// Whether passwords and messages may come in without TLS and unsealed: on loopback, on a Unix socket, or because the operator says so.
    pub(crate) clear_text: bool,
}

/// All listeners by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entrances(HashMap<Arc<str>, Entrance>);

impl Entrances {
    /// The listeners of the configuration.
    pub(crate) fn new(entrances: impl IntoIterator<Item = (Arc<str>, Entrance)>) -> Self {
        Self(entrances.into_iter().collect())
    }

    /// Whether what `client` sends is protected enough to be read in clear.
    pub(crate) fn takes_clear_text(&self, client: &ClientConnection) -> bool {
        client.tls().is_some() || self.0.get(client.listener()).is_some_and(|entrance| entrance.clear_text)
    }

    /// Whether `service` (`HTTP/host`, perhaps with port and realm) is the server that `client` is connected to.
    pub(super) fn is_ours(&self, service: &str, client: &ClientConnection) -> bool {
        let configured =
            self.0.get(client.listener()).map(|entrance| entrance.names.as_slice()).unwrap_or_default();
        if !configured.is_empty() {
            return names_one_of(service, configured);
        }
        let names = client.tls().map(|tls| dns_names(&tls.server_certificate_der)).unwrap_or_default();
        names_one_of(service, &names)
    }
}

/// Whether `service` is HTTP, WSMAN or HOST of one of `names`; none of them has a case.
pub(super) fn names_one_of(service: &str, names: &[String]) -> bool {
    let name = service.rsplit_once('@').map_or(service, |(name, _)| name);
    let Some((class, host)) = name.split_once('/') else { return false };
    if !CLASSES.iter().any(|known| known.eq_ignore_ascii_case(class)) {
        return false;
    }
    let host = match host.split_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) => return false,
        None => host,
    };
    names.iter().any(|known| match known.strip_prefix('*') {
        // A wildcard stands for one label (RFC 6125 section 6.4.3).
        Some(suffix) => host.split_once('.').is_some_and(|(label, _)| {
            !label.is_empty() && host.get(label.len()..).is_some_and(|rest| rest.eq_ignore_ascii_case(suffix))
        }),
        None => known.eq_ignore_ascii_case(host),
    })
}

/// The DNS names of a certificate; none where it can't be read.
fn dns_names(der: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return Vec::new() };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let dns = names.value.general_names.iter().filter_map(|name| {
        if let GeneralName::DNSName(name) = name { Some((*name).to_owned()) } else { None }
    });
    dns.collect()
}

/// The service classes under which clients ask for a ticket to a WinRM server.
pub(super) const CLASSES: [&str; 3] = ["HTTP", "WSMAN", "HOST"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_25_only_web_and_management_tickets_for_one_of_our_names_are_ours() {
        let names = ["gw.corp.example".to_owned(), "*.winrm.corp.example".to_owned()];
        for ours in [
            "HTTP/gw.corp.example@CORP.EXAMPLE",
            "http/GW.corp.example@CORP.EXAMPLE",
            "WSMAN/gw.corp.example",
            "host/gw.corp.example:5986@CORP.EXAMPLE",
            "HTTP/web01.winrm.corp.example@CORP.EXAMPLE",
        ] {
            assert!(names_one_of(ours, &names), "{ours}");
        }
        for other in [
            "",
            "gw.corp.example",
            "cifs/gw.corp.example@CORP.EXAMPLE",
            "ldap/gw.corp.example@CORP.EXAMPLE",
            "HTTP/web01.corp.example@CORP.EXAMPLE",
            "HTTP/gw.corp.example.evil.example@CORP.EXAMPLE",
            "HTTP/gw.corp.example/x@CORP.EXAMPLE",
            "HTTP/gw.corp.example:@CORP.EXAMPLE",
            "HTTP/gw.corp.example:x@CORP.EXAMPLE",
            "HTTP/a.b.winrm.corp.example@CORP.EXAMPLE",
            "HTTP/.winrm.corp.example@CORP.EXAMPLE",
            "svc-gw@CORP.EXAMPLE",
        ] {
            assert!(!names_one_of(other, &names), "{other}");
        }
        assert!(!names_one_of("HTTP/gw.corp.example", &[]), "no name is no wildcard");
    }
}
