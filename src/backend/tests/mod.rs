//! Tests of the module as a whole: keys and the pool, the network, and exchanges with a host that has a real KDC's keys.

mod exchange;
mod host;
mod logons;
mod methods;
mod network;
mod other_host;
mod pool;
mod realm;
mod wire;

use std::{net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use super::{
    Limits, Resolver,
    key::{ConnectionKey, HostKey, Protection},
};
use crate::{
    credential::Evidence,
    policy::{
        AccountName, BackendAuth, CredentialChoice, Endpoint, EndpointHost, HostName, Networks, Scheme, Spn,
    },
};

/// Names lead to this machine.
fn loopback() -> Resolver {
    Arc::new(|_| Some(IpAddr::from([127, 0, 0, 1])))
}

fn local_networks() -> Networks {
    Networks::Only(vec!["127.0.0.0/8".parse().unwrap()])
}

pub(super) fn endpoint(scheme: Scheme, host: &str, port: u16) -> Endpoint {
    let host = EndpointHost::Name(HostName::parse(host).unwrap());
    Endpoint { scheme, host, port, path: "/wsman".to_owned() }
}

/// A host of no importance.
pub(super) fn host_key() -> HostKey {
    key().host()
}

fn key() -> ConnectionKey {
    ConnectionKey {
        endpoint: endpoint(Scheme::Http, "web01.corp.example", 5985),
        identity: "alice@CORP.EXAMPLE".to_owned(),
        credential: CredentialChoice::S4u { account: AccountName::new("delegation") },
        evidence: Evidence::Keys,
        spn: Some(Spn::parse("HTTP/web01.corp.example").unwrap()),
        auth: BackendAuth::Kerberos,
        protection: Protection::Sealed,
        networks: local_networks(),
        generation: 1,
    }
}

/// [`key`], and every key that differs from it in one value.
fn keys() -> Vec<ConnectionKey> {
    let endpoint = |change: fn(&mut Endpoint)| {
        let mut key = key();
        change(&mut key.endpoint);
        key
    };
    let account = |name| CredentialChoice::S4u { account: AccountName::new(name) };
    let tls =
        |ca_file: Option<&str>, anchors| Protection::Tls { ca_file: ca_file.map(PathBuf::from), anchors };
    let own = CredentialChoice::Account { account: AccountName::new("delegation") };
    vec![
        key(),
        endpoint(|endpoint| endpoint.scheme = Scheme::Https),
        endpoint(|endpoint| {
            endpoint.host = EndpointHost::Name(HostName::parse("web02.corp.example").unwrap());
        }),
        endpoint(|endpoint| endpoint.port = 80),
        endpoint(|endpoint| endpoint.path = "/other".to_owned()),
        ConnectionKey { identity: "bob@CORP.EXAMPLE".to_owned(), ..key() },
        ConnectionKey { identity: "ALICE@CORP.EXAMPLE".to_owned(), ..key() },
        ConnectionKey { credential: account("other"), ..key() },
        ConnectionKey { credential: own, ..key() },
        ConnectionKey { spn: Some(Spn::parse("WSMAN/web01.corp.example").unwrap()), ..key() },
        ConnectionKey { spn: None, ..key() },
        ConnectionKey { evidence: Evidence::Certificate([1; 32]), ..key() },
        ConnectionKey { evidence: Evidence::Certificate([2; 32]), ..key() },
        ConnectionKey { spn: Some(Spn::parse("HTTP/web01.corp.example@OTHER.EXAMPLE").unwrap()), ..key() },
        ConnectionKey { auth: BackendAuth::Negotiate, ..key() },
        ConnectionKey { auth: BackendAuth::Ntlm, ..key() },
        ConnectionKey { protection: Protection::Nothing, ..key() },
        ConnectionKey { protection: tls(None, 1), ..key() },
        ConnectionKey { protection: tls(Some("/etc/ca.pem"), 1), ..key() },
        ConnectionKey { protection: tls(Some("/etc/ca.pem"), 2), ..key() },
        ConnectionKey { networks: Networks::Usual, ..key() },
        ConnectionKey { generation: 2, ..key() },
    ]
}

fn limits() -> Limits {
    Limits {
        connect: Duration::from_secs(5),
        network_delay: Duration::from_secs(5),
        connections_per_host: 8,
        idle: Duration::from_secs(100),
        envelope: crate::wsman::Limits::default(),
        max_timeout: Duration::from_secs(1800),
    }
}
