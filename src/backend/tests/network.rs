//! Names, addresses, TCP and TLS: what is dialled, and what is believed.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::{endpoint, local_networks, loopback};
use crate::{
    backend::{
        BackendError, Resolver,
        dial::{Dial, Dialled},
        tls::{Anchors, Trust},
    },
    policy::{BackendTls, Endpoint, EndpointHost, Networks, Scheme},
};

const SECOND: Duration = Duration::from_secs(1);

async fn dial(
    endpoint: &Endpoint,
    networks: &Networks,
    resolver: Resolver,
    anchors: Option<&Anchors>,
) -> Result<Dialled, BackendError> {
    Dial { endpoint, networks, anchors, certificate: None }.connect(&resolver, 5 * SECOND).await
}

/// The reason that nothing was dialled for, and a check that nothing was.
async fn refused(
    endpoint: &Endpoint,
    networks: &Networks,
    resolver: Resolver,
    listener: &TcpListener,
) -> &'static str {
    let reason = dial(endpoint, networks, resolver, None).await.err().unwrap().reason();
    let accepted = tokio::time::timeout(Duration::from_millis(1), listener.accept()).await;
    assert!(accepted.is_err(), "{endpoint} was dialled");
    reason
}

fn leads_to(address: &str) -> Resolver {
    let address: IpAddr = address.parse().unwrap();
    Arc::new(move |_| Some(address))
}

fn knows_nothing() -> Resolver {
    Arc::new(|_| None)
}

#[tokio::test]
async fn threat_11_only_permitted_addresses_are_dialled_wherever_they_come_from() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let named = endpoint(Scheme::Http, "web01.corp.example", port);
    let mut literal = named.clone();
    literal.host = EndpointHost::Address(IpAddr::from([127, 0, 0, 1]));
    let localhost = endpoint(Scheme::Http, "localhost", port);
    let elsewhere = Networks::Only(vec!["10.0.0.0/8".parse().unwrap()]);
    for networks in [&Networks::Usual, &elsewhere] {
        for (endpoint, resolver) in [
            (&named, leads_to("127.0.0.1")),
            (&named, leads_to("::ffff:127.0.0.1")),
            (&named, leads_to("::1")),
            (&literal, knows_nothing()),
            (&localhost, knows_nothing()),
        ] {
            assert_eq!(refused(endpoint, networks, resolver, &listener).await, "address_not_permitted");
        }
    }
    for (endpoint, resolver) in [
        (&named, leads_to("127.0.0.1")),
        (&named, leads_to("::ffff:127.0.0.1")),
        (&literal, knows_nothing()),
        (&localhost, knows_nothing()),
    ] {
        assert!(dial(endpoint, &local_networks(), resolver, None).await.is_ok(), "{endpoint}");
        assert_eq!(listener.accept().await.unwrap().1.ip(), Ipv4Addr::LOCALHOST);
    }
}

#[tokio::test]
async fn threat_11_a_name_is_resolved_once_so_that_its_second_answer_leads_nowhere() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let named = endpoint(Scheme::Http, "web01.corp.example", listener.local_addr().unwrap().port());
    let asked = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&asked);
    let rebinding: Resolver = Arc::new(move |_| {
        let first = counting.fetch_add(1, Ordering::Relaxed) == 0;
        Some(IpAddr::from([127, 0, 0, if first { 1 } else { 2 }]))
    });
    let networks = Networks::Only(vec!["127.0.0.1/32".parse().unwrap()]);
    dial(&named, &networks, rebinding, None).await.map(drop).unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_name_without_address_and_a_port_without_listener_are_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let unknown = endpoint(Scheme::Http, "nothing.invalid", port);
    assert_eq!(refused(&unknown, &local_networks(), knows_nothing(), &listener).await, "unknown_host");
    drop(listener);
    let down = endpoint(Scheme::Http, "web01.corp.example", port);
    let error = dial(&down, &local_networks(), loopback(), None).await.err().unwrap();
    assert_eq!(error.reason(), "unreachable");
}

/// Authorities and hosts.
struct Pki {
    issuer: Issuer<'static, KeyPair>,
    ca_file: PathBuf,
}

impl Pki {
    fn new(dir: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let ca_file = dir.join(name);
        std::fs::write(&ca_file, certificate.pem()).unwrap();
        Self { issuer: Issuer::new(params, key), ca_file }
    }

    fn server(&self, names: &[&str]) -> ServerConfig {
        let params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap()
    }

    fn tls(&self) -> BackendTls {
        BackendTls { ca_file: Some(self.ca_file.clone()) }
    }
}

/// Serves one TLS connection; gives every byte that arrived inside it, or none where there was no handshake.
async fn serve_once(config: ServerConfig) -> (u16, JoinHandle<Option<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.ok()?;
        let mut seen = Vec::new();
        // A client that only drops the connection ends this with an error.
        drop(stream.read_to_end(&mut seen).await);
        Some(seen)
    });
    (port, task)
}

#[tokio::test]
async fn threat_56_a_host_that_does_not_prove_its_name_gets_no_byte() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (Pki::new(dir.path(), "ours.pem"), Pki::new(dir.path(), "theirs.pem"));
    let trust = Trust::default();
    let anchors = trust.anchors(&ours.tls()).await.unwrap();
    for config in [
        ours.server(&["other.corp.example"]),
        ours.server(&["*.other.example"]),
        ours.server(&["127.0.0.1"]),
        theirs.server(&["web01.corp.example"]),
    ] {
        let (port, served) = serve_once(config).await;
        let endpoint = endpoint(Scheme::Https, "web01.corp.example", port);
        let error = dial(&endpoint, &local_networks(), loopback(), Some(&anchors)).await.err().unwrap();
        assert_eq!(error.reason(), "tls", "{error:?}");
        assert_eq!(served.await.unwrap().unwrap_or_default(), b"", "something was sent");
    }
}

#[tokio::test]
async fn a_host_that_proves_its_name_is_bound_to_by_its_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::new(dir.path(), "ca.pem");
    let trust = Trust::default();
    let anchors = trust.anchors(&pki.tls()).await.unwrap();
    for (names, host) in [
        ("web01.corp.example", endpoint(Scheme::Https, "web01.corp.example", 0).host),
        ("127.0.0.1", EndpointHost::Address(IpAddr::from([127, 0, 0, 1]))),
    ] {
        let (port, served) = serve_once(pki.server(&[names])).await;
        let endpoint = Endpoint { host, ..endpoint(Scheme::Https, "x", port) };
        let mut dialled = dial(&endpoint, &local_networks(), loopback(), Some(&anchors)).await.unwrap();
        assert!(dialled.certificate.is_some_and(|der| der.len() > 100));
        dialled.transport.write_all(b"hello").await.unwrap();
        dialled.transport.shutdown().await.unwrap();
        drop(dialled.transport);
        assert_eq!(served.await.unwrap().unwrap(), b"hello");
    }
}

#[tokio::test]
async fn trust_anchors_that_change_are_read_anew_and_those_that_are_gone_are_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (Pki::new(dir.path(), "one.pem"), Pki::new(dir.path(), "two.pem"));
    let trust = Trust::default();
    let first = trust.anchors(&one.tls()).await.unwrap();
    assert_eq!(trust.anchors(&one.tls()).await.unwrap().version, first.version);
    assert_ne!(trust.anchors(&two.tls()).await.unwrap().version, first.version);
    tokio::time::pause();
    tokio::time::advance(2 * SECOND).await;
    assert_eq!(trust.anchors(&one.tls()).await.unwrap().version, first.version, "nothing has changed");
    std::fs::copy(&two.ca_file, &one.ca_file).unwrap();
    tokio::time::advance(2 * SECOND).await;
    assert_ne!(trust.anchors(&one.tls()).await.unwrap().version, first.version);
    std::fs::write(&one.ca_file, "no certificate").unwrap();
    tokio::time::advance(2 * SECOND).await;
    assert_eq!(trust.anchors(&one.tls()).await.err().unwrap().reason(), "trust_anchors");
    std::fs::remove_file(&one.ca_file).unwrap();
    assert_eq!(trust.anchors(&one.tls()).await.err().unwrap().reason(), "trust_anchors");
}

#[tokio::test]
async fn a_host_that_never_finishes_tls_costs_the_connect_time_out() {
    let dir = tempfile::tempdir().unwrap();
    let anchors = Trust::default().anchors(&Pki::new(dir.path(), "ca.pem").tls()).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = endpoint(Scheme::Https, "web01.corp.example", listener.local_addr().unwrap().port());
    let networks = local_networks();
    let dialling =
        Dial { endpoint: &endpoint, networks: &networks, anchors: Some(&anchors), certificate: None };
    let within = Duration::from_millis(200);
    let error = dialling.connect(&loopback(), within).await.err().unwrap();
    assert_eq!(error.reason(), "connect_timed_out");
    drop::<(TcpStream, _)>(listener.accept().await.unwrap());
}
