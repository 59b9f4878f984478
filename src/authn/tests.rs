//! What a request on a real connection proves, and whom it names.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use rustls::version::TLS13;
use tokio::io::{AsyncRead, AsyncWrite};

use super::*;
use crate::{
    listener::{
        ClientCertificates, ClientConnection, ConnectionFailure, Handler, Limits, ListenAddress, Response,
        Settings, TlsFacts, TlsSettings, TlsSnapshot, TlsVersion, Transport, bind,
        tests::support::{ALICE, Authority, Lab, certificate, converse},
    },
    wsman::Envelope,
};

const MUTUAL: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual";

/// Answers every request with what it proved.
struct Prover {
    authenticator: Authenticator,
    accept: Accept,
}

impl Prover {
    fn new(peers: Vec<PeerRule>, accept: &[AuthMethod]) -> Self {
        Self { authenticator: Authenticator::new(peers), accept: Accept::of(accept.iter().copied()) }
    }
}

#[async_trait]
impl Handler for Prover {
    async fn connection(self: Arc<Self>, mut client: ClientConnection) {
        let mut proof = ConnectionProof::default();
        while let Ok(Some(request)) = client.next_request().await {
            let said = match self.authenticator.step(&mut proof, &client, &request, &self.accept) {
                Ok(Step::Proved(evidence)) => format!("{} {}", evidence.method(), evidence.describe()),
                Ok(Step::Challenge(challenge)) => {
                    format!("{} {:?} {}", challenge.status(), challenge.schemes(), challenge.reason())
                }
                Err(error) => error.reason().to_owned(),
            };
            let response = Response { status: 200, headers: Vec::new(), body: Bytes::from(said) };
            if client.respond(&response).await.is_err() {
                return;
            }
        }
    }

    fn failed(&self, _: ConnectionFailure) {}
}

/// What the prover says to one request with this `Authorization`.
async fn ask(stream: impl AsyncRead + AsyncWrite + Unpin, authorization: Option<&str>) -> String {
    let header = authorization.map(|value| format!("Authorization: {value}\r\n")).unwrap_or_default();
    let request = format!(
        "POST /wsman HTTP/1.1\r\nHost: gw.test\r\n{header}Connection: close\r\nContent-Length: 0\r\n\r\n"
    );
    let answer = converse(stream, request.as_bytes()).await;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or(answer)
}

fn authority() -> (Authority, TlsSettings) {
    let authority = Authority::new();
    authority.issue("alice", &["alice.clients.test"], ALICE);
    let settings = authority.tls(ClientCertificates::Optional(authority.trust(Vec::new())));
    (authority, settings)
}

fn settings(address: &str, transport: Transport) -> Settings {
    let address = match address.strip_prefix("unix:") {
        Some(path) => ListenAddress::Unix(path.into()),
        None => ListenAddress::Tcp(address.parse().unwrap()),
    };
    Settings { name: "test".into(), address, transport, limits: Limits::default() }
}

fn realms() -> Realms {
    Realms::new([("CORP.EXAMPLE".to_owned(), Realm { netbios: None, case: NameCase::Insensitive })])
}

fn principal(text: &str) -> Principal {
    realms().parse(text).unwrap()
}

#[tokio::test]
async fn threat_04_the_header_decides_and_a_certificate_counts_only_where_it_is_silent() {
    let (authority, tls) = authority();
    let tls = Transport::Https(tls);
    let expected = |authority: &Authority| {
        use sha2::Digest as _;
        let digest = sha2::Sha256::digest(certificate(&authority.path("alice.pem")));
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("certificate certificate sha256:{hex}")
    };
    let challenge = |schemes: &str, reason: &str| {
        format!("{} [{schemes}] {reason}", if schemes.is_empty() { 403 } else { 401 })
    };
    let only = [AuthMethod::Certificate];
    let both = [AuthMethod::Certificate, AuthMethod::Kerberos, AuthMethod::Basic];
    let schemes = "\"Kerberos\", \"Basic realm=\\\"WSMAN\\\"\"";
    for (accept, name, header, wanted) in [
        (&only[..], Some("alice"), None, expected(&authority)),
        (&only[..], Some("alice"), Some(MUTUAL), expected(&authority)),
        (&only[..], Some("alice"), Some("Basic dTpw"), challenge("", "scheme_not_accepted")),
        (&only[..], Some("alice"), Some("Negotiate YII="), challenge("", "scheme_not_accepted")),
        (&only[..], Some("alice"), Some(&MUTUAL.to_uppercase()), challenge("", "scheme_not_accepted")),
        (&only[..], None, None, challenge("", "no_evidence")),
        (&only[..], None, Some(MUTUAL), challenge("", "no_evidence")),
        (&both[..], Some("alice"), None, expected(&authority)),
        (&both[..], None, None, challenge(schemes, "no_evidence")),
        (&both[..], Some("alice"), Some("Basic dTpw"), challenge(schemes, "scheme_not_accepted")),
        (&[AuthMethod::Peer][..], Some("alice"), None, challenge("", "no_evidence")),
        (&[][..], Some("alice"), None, challenge("", "no_evidence")),
    ] {
        let bound = bind(settings("127.0.0.1:0", tls.clone())).unwrap();
        let lab = Lab::with_handler(bound, Prover::new(Vec::new(), accept));
        let stream = authority.client(name, &TLS13).connect(&lab).await.unwrap();
        assert_eq!(ask(stream, header).await, wanted, "{accept:?} {name:?} {header:?}");
    }
}

#[tokio::test]
async fn a_local_process_is_who_the_configuration_says_on_that_listener_alone() {
    let rule = |listener: &str, uid| PeerRule {
        listener: listener.into(),
        uid,
        principal: principal("job@CORP.EXAMPLE"),
    };
    let nobody = "403 [] no_evidence";
    let peer = [AuthMethod::Peer];
    for (rules, accept, header, wanted) in [
        (vec![rule("test", None)], &peer[..], None, "peer loopback process"),
        (vec![rule("test", None)], &peer[..], Some(MUTUAL), nobody),
        (vec![rule("test", None)], &[AuthMethod::Certificate][..], None, nobody),
        (vec![rule("other", None)], &peer[..], None, nobody),
        (vec![rule("test", Some(0))], &peer[..], None, nobody),
        (Vec::new(), &peer[..], None, nobody),
    ] {
        let bound = bind(settings("127.0.0.1:0", Transport::Http)).unwrap();
        let lab = Lab::with_handler(bound, Prover::new(rules, accept));
        assert_eq!(ask(lab.connect().await, header).await, wanted, "{accept:?} {header:?}");
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let own = std::os::unix::fs::MetadataExt::uid(&directory.path().metadata().unwrap());
    let process = format!("peer uid {own} pid {}", std::process::id());
    for (rules, wanted) in [
        (vec![rule("test", Some(own))], process.as_str()),
        (vec![rule("test", Some(own + 1)), rule("test", Some(own))], process.as_str()),
        (vec![rule("test", Some(own + 1))], nobody),
        (vec![rule("test", None)], nobody),
        (vec![rule("other", Some(own))], nobody),
    ] {
        let bound = bind(settings(&format!("unix:{}", path.display()), Transport::Http)).unwrap();
        let lab = Lab::with_handler(bound, Prover::new(rules, &peer));
        let stream = tokio::net::UnixStream::connect(&path).await.unwrap();
        assert_eq!(ask(stream, None).await, wanted);
        lab.stop.send(true).ok();
        lab.served.await.unwrap();
    }
}

#[tokio::test]
async fn threat_59_a_certificate_is_believed_no_longer_than_the_files_that_vouched_for_it() {
    let (authority, _) = authority();
    let with = |revoked: &[u64]| {
        let crls = vec![authority.revoke(revoked, 2090)];
        let settings = authority.tls(ClientCertificates::Optional(authority.trust(crls)));
        Some(Arc::new(TlsSnapshot::load(&settings).unwrap()))
    };
    let facts = TlsFacts {
        server_name: None,
        version: TlsVersion::Tls13,
        server_certificate_der: certificate(&authority.path("gw.pem")),
        client_chain: vec![certificate(&authority.path("alice.pem"))],
        generation: 0,
    };
    let mut proof = ConnectionProof::default();
    let trust = with(&[]);
    let first = proof.certificate(&facts, trust.clone()).unwrap();
    let again = proof.certificate(&facts, trust).unwrap();
    assert!(Arc::ptr_eq(&first, &again), "the path is not built again for every request");
    let revoked = proof.certificate(&facts, with(&[ALICE.serial]));
    assert!(matches!(revoked, Err(CertificateError::NotTrusted(_))), "{revoked:?}");
    let good = proof.certificate(&facts, with(&[])).unwrap();
    assert!(!Arc::ptr_eq(&first, &good));
    tokio::time::pause();
    let trust = with(&[]);
    let before = proof.certificate(&facts, trust.clone()).unwrap();
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    assert!(!Arc::ptr_eq(&before, &proof.certificate(&facts, trust).unwrap()), "a minute is the most");
    assert!(proof.certificate(&facts, None).is_err());
    let nobody = TlsFacts { client_chain: Vec::new(), ..facts };
    assert!(ConnectionProof::default().certificate(&nobody, with(&[])).is_err());
}

/// People who come by a certificate of the authority; one mapping for everything, one for configuration alone.
fn people(authority: &Authority, uri: &str) -> People {
    use sha2::Digest as _;
    let issuer = Thumbprint::Sha256(sha2::Sha256::digest(certificate(&authority.path("ca.pem"))).into());
    let rule = CertMappingRule {
        issuer,
        subject: SubjectPattern::parse("*.clients.test").unwrap(),
        uri: UriPattern::parse(uri).unwrap(),
        principal: PrincipalTemplate::parse("{dns_host}@CORP.EXAMPLE").unwrap(),
    };
    let members = |names: &[&str]| names.iter().map(|name| principal(name)).collect::<BTreeSet<_>>();
    People::new(PeopleSettings {
        sid_groups: SidGroups::default(),
        realms: realms(),
        cert_mappings: CertMappings::new(vec![rule]),
        groups: BTreeMap::from([
            (GroupName::new("Operators"), members(&["alice@CORP.EXAMPLE", "job@CORP.EXAMPLE"])),
            (GroupName::new("Auditors"), members(&["carla@CORP.EXAMPLE"])),
        ]),
    })
}

fn envelope(name: &str) -> Envelope {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/soap/soap-wmi-config").join(name);
    Envelope::parse(std::fs::read(path).unwrap().into(), None, &crate::wsman::Limits::default()).unwrap()
}

#[test]
fn evidence_becomes_a_person_with_the_groups_of_the_file() {
    let (authority, tls) = authority();
    let snapshot = TlsSnapshot::load(&tls).unwrap();
    let trust = Trust { anchors: snapshot.client_anchors(), crls: snapshot.client_crls() };
    let chain = [certificate(&authority.path("alice.pem"))];
    let verified = VerifiedCertificate::verify(&chain, trust, rustls::pki_types::UnixTime::now()).unwrap();
    let evidence = Evidence::Certificate(Arc::new(verified));
    let config = envelope("get-config.request.xml");
    let person = people(&authority, "*").identify(&evidence, &config).unwrap();
    assert_eq!(person.principal(), &principal("alice@CORP.EXAMPLE"));
    assert_eq!(person.groups(), &BTreeSet::from([GroupName::new("Operators")]));
    assert_eq!(person.method(), AuthMethod::Certificate);
    assert!(person.evidence().starts_with("certificate sha256:"));

    let wmi = people(&authority, "http://schemas.microsoft.com/wbem/wsman/1/wmi/*");
    assert_eq!(wmi.identify(&evidence, &config).unwrap_err().reason(), "no_mapping");
    assert!(wmi.identify(&evidence, &envelope("get-wmi-instance.request.xml")).is_ok());
    // Identify is about no resource: only a mapping for every resource holds for it.
    let identify = envelope("identify.request.xml");
    assert_eq!(wmi.identify(&evidence, &identify).unwrap_err().reason(), "no_mapping");
    assert!(people(&authority, "*").identify(&evidence, &identify).is_ok());

    let peer = Evidence::Peer { principal: principal("job@CORP.EXAMPLE"), process: "uid 7".to_owned() };
    let person = wmi.identify(&peer, &config).unwrap();
    assert_eq!((person.method(), person.evidence()), (AuthMethod::Peer, "uid 7"));
    assert_eq!(person.groups(), &BTreeSet::from([GroupName::new("Operators")]));
}

#[test]
fn threat_38_a_certificate_of_another_authority_is_nobodys() {
    let ((authority, tls), other) = (authority(), Authority::new());
    let snapshot = TlsSnapshot::load(&tls).unwrap();
    let trust = Trust { anchors: snapshot.client_anchors(), crls: snapshot.client_crls() };
    let chain = [certificate(&authority.path("alice.pem"))];
    let verified = VerifiedCertificate::verify(&chain, trust, rustls::pki_types::UnixTime::now()).unwrap();
    let evidence = Evidence::Certificate(Arc::new(verified));
    let error = people(&other, "*").identify(&evidence, &envelope("get-config.request.xml")).unwrap_err();
    assert_eq!(error.reason(), "no_mapping", "another authority's mappings do not hold");
}
