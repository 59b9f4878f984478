//! TLS: whose certificates count, for how long, and what broken files do.

use std::sync::Arc;

use rcgen::ExtendedKeyUsagePurpose;
use rustls::server::{ServerSessionMemoryCache, StoresServerSessions};
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, SupportedProtocolVersion};

use super::support::{
    ALICE, Authority, Behaviour, Client, Event, Lab, Leaf, ask, certificate, converse, post, status,
};
use crate::listener::{
    ClientCertificates, FailureReason, Gone, Limits, ListenerError, Reason, RequestError, TlsSettings,
    TlsSnapshot, TlsVersion,
};

fn authority_with_alice() -> Authority {
    let authority = Authority::new();
    authority.issue("alice", &[], ALICE);
    authority
}

fn required(authority: &Authority, revoked: &[u64]) -> TlsSettings {
    authority.tls(ClientCertificates::Required(authority.trust(vec![authority.revoke(revoked, 2090)])))
}

/// The client is refused in or right after its handshake, for this reason.
async fn refused(lab: &mut Lab, client: &Client, reason: FailureReason) {
    assert_eq!(client.once(lab).await, "");
    let event = lab.next().await;
    assert!(matches!(&event, Event::Failed(failure) if failure.reason == reason), "{reason:?}: {event:?}");
}

#[tokio::test]
async fn a_connection_knows_its_certificates() {
    let authority = authority_with_alice();
    for (version, name) in [(&TLS12, TlsVersion::Tls12), (&TLS13, TlsVersion::Tls13)] {
        let mut lab = Lab::https(required(&authority, &[]));
        assert_eq!(status(&authority.client(Some("alice"), version).once(&lab).await), 200);
        let Event::Connected { tls: Some(facts), .. } = lab.event().await else { panic!("not connected") };
        assert_eq!((facts.server_name.as_deref(), facts.version), (Some("gw.test"), name));
        assert_eq!(facts.client_chain, [certificate(&authority.path("alice.pem"))]);
        assert_eq!(facts.server_certificate_der, certificate(&authority.path("gw.pem")));
        assert_eq!(lab.tls.unwrap().current().dns_names(), ["gw.test", "other.test"]);
    }
}

#[tokio::test]
async fn threat_37_certificates_that_do_not_count_are_refused() {
    let authority = authority_with_alice();
    let stranger = authority_with_alice();
    authority.issue("old", &[], Leaf { expires: 2021, ..ALICE });
    authority.issue("server", &[], Leaf { purpose: Some(&ExtendedKeyUsagePurpose::ServerAuth), ..ALICE });
    authority.issue("mallory", &[], Leaf { serial: 13, ..ALICE });
    std::fs::copy(stranger.path("alice.pem"), authority.path("foreign.pem")).unwrap();
    std::fs::copy(stranger.path("alice.key"), authority.path("foreign.key")).unwrap();
    for version in [&TLS12, &TLS13] {
        let mut lab = Lab::https(required(&authority, &[13]));
        refused(&mut lab, &authority.client(Some("old"), version), FailureReason::CertificateExpired).await;
        refused(&mut lab, &authority.client(Some("server"), version), FailureReason::CertificatePurpose)
            .await;
        refused(&mut lab, &authority.client(Some("mallory"), version), FailureReason::CertificateRevoked)
            .await;
        refused(&mut lab, &authority.client(None, version), FailureReason::NoCertificate).await;
        let event = {
            assert_eq!(authority.client(Some("foreign"), version).once(&lab).await, "");
            lab.next().await
        };
        let Event::Failed(failure) = event else { panic!("{event:?}") };
        assert!(matches!(failure.reason, FailureReason::UnknownIssuer | FailureReason::CertificateInvalid));
        assert_eq!(status(&authority.client(Some("alice"), version).once(&lab).await), 200);
    }
}

#[tokio::test]
async fn threat_37_without_a_current_list_nobody_is_let_in() {
    let authority = authority_with_alice();
    let stale = authority.trust(vec![authority.revoke(&[], 2025)]);
    let settings = authority.tls(ClientCertificates::Optional(stale));
    let snapshot = TlsSnapshot::load(&settings).unwrap();
    assert!(
        snapshot.warnings().iter().any(|warning| warning.contains("out of date")),
        "{:?}",
        snapshot.warnings()
    );
    let mut lab = Lab::https(settings);
    let client = authority.client(Some("alice"), &TLS13);
    refused(&mut lab, &client, FailureReason::RevocationUnknown).await;
    let other = Authority::new();
    let unrelated = authority.trust(vec![other.revoke(&[], 2090)]);
    // The authorities share a name; the list's signature tells them apart.
    let mut lab = Lab::https(authority.tls(ClientCertificates::Required(unrelated)));
    assert_eq!(client.once(&lab).await, "");
    assert!(matches!(lab.next().await, Event::Failed(_)));
}

#[tokio::test]
async fn threat_38_a_leaf_cannot_vouch_for_others() {
    let authority = authority_with_alice();
    let mut trust = authority.trust(Vec::new());
    trust.anchors = authority.path("gw.pem");
    let mut lab = Lab::https(authority.tls(ClientCertificates::Required(trust)));
    refused(&mut lab, &authority.client(Some("alice"), &TLS13), FailureReason::UnknownIssuer).await;
}

#[tokio::test]
async fn an_optional_certificate_may_be_absent_but_not_wrong() {
    let authority = authority_with_alice();
    let list = authority.revoke(&[ALICE.serial], 2090);
    let settings = authority.tls(ClientCertificates::Optional(authority.trust(vec![list])));
    let mut lab = Lab::https(settings);
    assert_eq!(status(&authority.client(None, &TLS13).once(&lab).await), 200);
    while !matches!(lab.next().await, Event::Ended) {}
    refused(&mut lab, &authority.client(Some("alice"), &TLS13), FailureReason::CertificateRevoked).await;
}

#[tokio::test]
async fn threat_09_sni_and_host_must_agree() {
    let authority = authority_with_alice();
    let mut lab = Lab::https(authority.tls(ClientCertificates::Off));
    let client = authority.client(None, &TLS13);
    for host in ["other.test", "gw.test.evil", "127.0.0.1", "xgw.test"] {
        let answer = converse(client.connect(&lab).await.unwrap(), &post("/wsman", host, "")).await;
        assert_eq!(status(&answer), 421, "{host}: {answer}");
        let expected = RequestError::Refused { status: 421, reason: Reason::WrongHost };
        assert!(matches!(lab.until_ended().await.as_slice(), [Event::Refused(error)] if *error == expected));
    }
    let mut stream = client.connect(&lab).await.unwrap();
    assert_eq!(
        status(&ask(&mut stream, &post("/wsman", "GW.test:5986", "")).await),
        200,
        "ports do not count"
    );
    let absolute = "POST https://gw.test/wsman HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(status(&ask(&mut stream, absolute.as_bytes()).await), 200);
    let crossed = "POST https://other.test/wsman HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(status(&converse(stream, crossed.as_bytes()).await), 400);
    let mut nameless = authority.client(None, &TLS13);
    nameless.config.enable_sni = false;
    let mut stream = nameless.connect(&lab).await.unwrap();
    assert_eq!(
        status(&ask(&mut stream, &post("/wsman", "other.test", "")).await),
        200,
        "no SNI, nothing to compare"
    );
    assert_eq!(status(&converse(stream, crossed.as_bytes()).await), 400);
}

/// The client gets an answer on a connection of its own; says how its handshake went.
async fn answered(lab: &mut Lab, client: &Client) -> Option<HandshakeKind> {
    let mut stream = client.connect(lab).await.unwrap();
    assert_eq!(status(&ask(&mut stream, &post("/wsman", "gw.test", "")).await), 200);
    let kind = stream.get_ref().1.handshake_kind();
    drop(stream);
    lab.until_ended().await;
    kind
}

/// A client whose session is kept, then revoked, does not come back; nor is any session resumed at all.
async fn a_resumed_session_is_refused(version: &'static SupportedProtocolVersion) {
    let authority = authority_with_alice();
    let mut lab = Lab::https(required(&authority, &[]));
    let client = authority.client(Some("alice"), version);
    for _ in 0..2 {
        let mut stream = client.connect(&lab).await.unwrap();
        assert_eq!(status(&ask(&mut stream, &post("/wsman", "gw.test", "")).await), 200);
        assert_eq!(
            stream.get_ref().1.handshake_kind(),
            Some(HandshakeKind::Full),
            "sessions are never resumed"
        );
        drop(stream);
        while !matches!(lab.next().await, Event::Ended) {}
    }
    let revoked = TlsSnapshot::load(&required(&authority, &[ALICE.serial])).unwrap();
    lab.tls.as_ref().unwrap().replace(revoked);
    refused(&mut lab, &client, FailureReason::CertificateRevoked).await;
}

#[tokio::test]
async fn threat_10_a_resumed_session_of_a_revoked_client_is_refused_tls12() {
    a_resumed_session_is_refused(&TLS12).await;
}

#[tokio::test]
async fn threat_10_a_resumed_session_of_a_revoked_client_is_refused_tls13() {
    a_resumed_session_is_refused(&TLS13).await;
}

/// Even where TLS does resume the session of a revoked client, the listener's own look at the chain refuses it.
async fn judging_alone_refuses(version: &'static SupportedProtocolVersion) {
    let authority = authority_with_alice();
    let sessions: Arc<dyn StoresServerSessions> = ServerSessionMemoryCache::new(64);
    let mut lab = Lab::https(required(&authority, &[]));
    let load = |revoked: &[u64]| {
        TlsSnapshot::load(&required(&authority, revoked)).unwrap().resuming(Arc::clone(&sessions))
    };
    let tls = lab.tls.clone().unwrap();
    tls.replace(load(&[]));
    let client = authority.client(Some("alice"), version);
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        assert_eq!(answered(&mut lab, &client).await, Some(kind));
    }
    tls.replace(load(&[ALICE.serial]));
    let mut stream = client.connect(&lab).await.unwrap();
    assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed), "the hole is there");
    assert_eq!(converse(&mut stream, &post("/wsman", "gw.test", "")).await, "", "and is shut");
    let event = lab.next().await;
    assert!(
        matches!(&event, Event::Failed(failure) if failure.reason == FailureReason::CertificateRevoked),
        "{event:?}"
    );
}

#[tokio::test]
async fn threat_10_judging_the_chain_again_refuses_a_resumed_session_by_itself_tls12() {
    judging_alone_refuses(&TLS12).await;
}

#[tokio::test]
async fn threat_10_judging_the_chain_again_refuses_a_resumed_session_by_itself_tls13() {
    judging_alone_refuses(&TLS13).await;
}

#[tokio::test]
async fn threat_10_59_an_open_connection_of_a_revoked_client_is_refused() {
    let authority = authority_with_alice();
    for version in [&TLS12, &TLS13] {
        let mut lab = Lab::https(required(&authority, &[]));
        let mut stream = authority.client(Some("alice"), version).connect(&lab).await.unwrap();
        assert_eq!(status(&ask(&mut stream, &post("/wsman", "gw.test", "")).await), 200);
        let tls = lab.tls.clone().unwrap();
        tls.replace(TlsSnapshot::load(&required(&authority, &[])).unwrap());
        assert_eq!(status(&ask(&mut stream, &post("/wsman", "gw.test", "")).await), 200, "still good");
        tls.replace(TlsSnapshot::load(&required(&authority, &[ALICE.serial])).unwrap());
        assert_eq!(status(&converse(stream, &post("/wsman", "gw.test", "secret")).await), 403);
        let events = lab.until_ended().await;
        let expected = RequestError::Refused { status: 403, reason: Reason::ClientCertificate };
        assert!(matches!(events.last(), Some(Event::Refused(error)) if *error == expected), "{events:?}");
        assert_eq!(lab.stats.requests(), 2);
    }
}

#[tokio::test]
async fn threat_10_a_listener_that_begins_or_ceases_to_ask_forgets_what_it_believed() {
    let authority = authority_with_alice();
    for (before, after, name) in [
        (authority.tls(ClientCertificates::Off), required(&authority, &[]), None),
        (required(&authority, &[]), authority.tls(ClientCertificates::Off), Some("alice")),
    ] {
        let lab = Lab::https(before);
        let mut stream = authority.client(name, &TLS13).connect(&lab).await.unwrap();
        assert_eq!(status(&ask(&mut stream, &post("/wsman", "gw.test", "")).await), 200);
        lab.tls.as_ref().unwrap().replace(TlsSnapshot::load(&after).unwrap());
        assert_eq!(status(&converse(stream, &post("/wsman", "gw.test", "")).await), 403);
    }
}

#[tokio::test]
async fn threat_17_only_http_1_1_is_negotiated() {
    let authority = Authority::new();
    let mut lab = Lab::https(authority.tls(ClientCertificates::Off));
    let mut client = authority.client(None, &TLS13);
    client.config.alpn_protocols = vec![b"h2".to_vec()];
    refused(&mut lab, &client, FailureReason::Protocol).await;
    client.config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = client.connect(&lab).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[tokio::test]
async fn plain_http_on_a_tls_listener_is_closed() {
    let authority = Authority::new();
    let mut lab = Lab::https(authority.tls(ClientCertificates::Off));
    let answer = converse(lab.connect().await, &post("/wsman", "gw.test", "")).await;
    assert!(!answer.contains("HTTP"), "{answer}");
    assert!(matches!(lab.next().await, Event::Failed(failure) if failure.reason == FailureReason::NotTls));
}

#[tokio::test]
async fn the_oldest_version_is_the_configured_one() {
    let authority = Authority::new();
    let settings = TlsSettings { min_version: TlsVersion::Tls13, ..authority.tls(ClientCertificates::Off) };
    let mut lab = Lab::https(settings);
    refused(&mut lab, &authority.client(None, &TLS12), FailureReason::Incompatible).await;
    assert_eq!(status(&authority.client(None, &TLS13).once(&lab).await), 200);
}

#[tokio::test]
async fn a_client_that_closes_its_tls_during_the_work_is_noticed() {
    let authority = authority_with_alice();
    let mut lab = Lab::https_with(Behaviour::Wait, Limits::default(), required(&authority, &[]));
    let mut stream = authority.client(Some("alice"), &TLS13).connect(&lab).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, &post("/wsman", "gw.test", "")).await.unwrap();
    assert!(matches!(lab.next().await, Event::Asked(_)));
    drop(stream);
    assert!(matches!(lab.next().await, Event::Gone(Gone::Closed)));
}

#[test]
fn threat_40_57_broken_files_are_named_and_break_nothing() {
    let authority = authority_with_alice();
    let good = required(&authority, &[]);
    let with_crl = |content: &[u8]| {
        let path = authority.path("broken.crl");
        std::fs::write(&path, content).unwrap();
        authority.tls(ClientCertificates::Required(authority.trust(vec![path])))
    };
    let file = |name: &str, content: &str| {
        let path = authority.path(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let crl = std::fs::read(authority.path("clients.crl")).unwrap();
    let gw = std::fs::read_to_string(authority.path("gw.pem")).unwrap();
    let mut trust_nobody = authority.trust(Vec::new());
    trust_nobody.anchors = file("empty.pem", "# none\n");
    let cases = [
        (TlsSettings { certificate: authority.path("none.pem"), ..good.clone() }, "none.pem"),
        (TlsSettings { private_key: authority.path("none.key"), ..good.clone() }, "none.key"),
        (TlsSettings { private_key: authority.path("alice.key"), ..good.clone() }, "does not belong"),
        (TlsSettings { private_key: authority.path("gw.pem"), ..good.clone() }, "no unencrypted PEM key"),
        (TlsSettings { certificate: authority.path("gw.key"), ..good.clone() }, "holds no certificate"),
        (TlsSettings { certificate: file("cut.pem", gw.get(..200).unwrap()), ..good.clone() }, "cut.pem"),
        (
            TlsSettings {
                certificate: file(
                    "junk.pem",
                    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
                ),
                ..good.clone()
            },
            "certificate 1 cannot be read",
        ),
        (authority.tls(ClientCertificates::Optional(trust_nobody)), "empty.pem"),
        (with_crl(b""), "broken.crl"),
        (with_crl(b"\x30\x03\x02\x01\x01"), "broken.crl"),
        (with_crl(gw.as_bytes()), "broken.crl"),
        (with_crl(&vec![0x30; 70_000]), "broken.crl"),
        (with_crl(crl.get(..crl.len() / 2).unwrap()), "broken.crl"),
    ];
    for (settings, named) in cases {
        let error = TlsSnapshot::load(&settings).unwrap_err();
        assert!(error.to_string().contains(named), "{named}: {error}");
    }
    assert!(TlsSnapshot::load(&good).is_ok());
}

#[test]
fn threat_40_every_truncation_of_a_revocation_list_is_an_error() {
    let authority = authority_with_alice();
    authority.revoke(&[1, 2, 3], 2090);
    let pem = std::fs::read(authority.path("clients.crl")).unwrap();
    let der: rustls::pki_types::CertificateRevocationListDer<'static> =
        rustls::pki_types::pem::PemObject::from_pem_slice(&pem).unwrap();
    let path = authority.path("cut.crl");
    let settings = authority.tls(ClientCertificates::Required(authority.trust(vec![path.clone()])));
    for length in 0..der.len() {
        std::fs::write(&path, der.get(..length).unwrap()).unwrap();
        let error = TlsSnapshot::load(&settings).unwrap_err();
        assert!(matches!(error, ListenerError::Crl { .. }), "{length}: {error}");
    }
    std::fs::write(&path, &der).unwrap();
    assert!(TlsSnapshot::load(&settings).is_ok(), "DER is accepted");
}

#[test]
fn files_that_will_not_do_for_long_are_warned_of() {
    let authority = Authority::new();
    authority.issue("gw", &["gw.test"], Leaf { expires: 2021, purpose: None, ..ALICE });
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(authority.path("gw.key"), mode).unwrap();
    let snapshot = TlsSnapshot::load(&authority.tls(ClientCertificates::Off)).unwrap();
    let warnings = snapshot.warnings().join("\n");
    assert!(warnings.contains("has expired") && warnings.contains("every user"), "{warnings}");
}

#[test]
fn every_snapshot_has_a_generation_of_its_own() {
    let authority = Authority::new();
    let settings = authority.tls(ClientCertificates::Off);
    let first = TlsSnapshot::load(&settings).unwrap().generation();
    assert!(TlsSnapshot::load(&settings).unwrap().generation() > first);
}
