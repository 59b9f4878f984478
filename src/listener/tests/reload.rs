//! Files that are replaced while the listener serves.

use std::sync::Arc;

use rustls::version::{TLS12, TLS13};
use tokio::io::AsyncWriteExt as _;

use super::support::{ALICE, Authority, Behaviour, Event, Lab, Leaf, ask, converse, post, status};
use crate::listener::{ClientCertificates, FailureReason, Gone, Limits, TlsSettings};

fn authority() -> (Authority, TlsSettings) {
    let authority = Authority::new();
    authority.issue("alice", &[], ALICE);
    let crls = vec![authority.revoke(&[], 2090)];
    let settings = authority.tls(ClientCertificates::Required(authority.trust(crls)));
    (authority, settings)
}

#[tokio::test]
async fn threat_57_59_a_revocation_list_replaced_on_disk_reaches_running_connections() {
    for version in [&TLS12, &TLS13] {
        let (authority, settings) = authority();
        let mut lab = Lab::https(settings);
        let alice = authority.client(Some("alice"), version);
        let mut stream = alice.connect(&lab).await.unwrap();
        assert_eq!(status(&ask(&mut stream, &post("/wsman", "gw.test", "")).await), 200);
        assert!(!lab.reloaders[0].changed(), "nothing was replaced");
        authority.revoke(&[ALICE.serial], 2090);
        assert!(lab.reloaders[0].changed());
        lab.reloaders[0].reload().unwrap();
        assert!(!lab.reloaders[0].changed());
        assert_eq!(status(&converse(stream, &post("/wsman", "gw.test", "secret")).await), 403);
        lab.until_ended().await;
        assert_eq!(alice.once(&lab).await, "", "nor does a new connection of hers get in");
        let event = lab.next().await;
        assert!(
            matches!(&event, Event::Failed(failure) if failure.reason == FailureReason::CertificateRevoked),
            "{event:?}"
        );
    }
}

#[tokio::test]
async fn threat_59_a_revocation_reaches_a_request_under_way_within_half_a_minute() {
    let (authority, settings) = authority();
    let mut lab = Lab::https_with(Behaviour::Wait, Limits::default(), settings);
    let mut stream = authority.client(Some("alice"), &TLS13).connect(&lab).await.unwrap();
    stream.write_all(&post("/wsman", "gw.test", "")).await.unwrap();
    assert!(matches!(lab.next().await, Event::Asked(_)));
    authority.revoke(&[ALICE.serial], 2090);
    lab.reloaders[0].reload().unwrap();
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(30)).await;
    let event = lab.next().await;
    assert!(matches!(event, Event::Gone(Gone::NotTrusted(FailureReason::CertificateRevoked))), "{event:?}");
}

#[tokio::test]
async fn threat_57_a_broken_file_leaves_the_old_ones_in_force_and_is_told_once() {
    let (authority, settings) = authority();
    let lab = Lab::https(settings);
    let reloader = &lab.reloaders[0];
    let before = lab.tls.as_ref().unwrap().current();
    for broken in ["", "-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n"] {
        std::fs::write(authority.path("clients.crl"), broken).unwrap();
        assert!(reloader.changed());
        let error = reloader.reload().unwrap_err();
        assert!(error.to_string().contains("clients.crl"), "{error}");
        assert!(!reloader.changed(), "the same broken file is not tried again");
    }
    std::fs::remove_file(authority.path("gw.key")).unwrap();
    assert!(reloader.changed());
    assert!(reloader.reload().unwrap_err().to_string().contains("gw.key"));
    assert!(Arc::ptr_eq(&before, &lab.tls.as_ref().unwrap().current()));
    assert_eq!(
        status(&authority.client(Some("alice"), &TLS13).once(&lab).await),
        200,
        "the old files serve on"
    );
    authority.issue("gw", &["gw.test"], Leaf { purpose: None, ..ALICE });
    authority.revoke(&[], 2090);
    assert!(reloader.changed());
    reloader.reload().unwrap();
    let now = lab.tls.as_ref().unwrap().current();
    assert!(now.generation() > before.generation() && now.certificate() != before.certificate());
    assert_eq!(reloader.listener().as_ref(), "test");
    assert_eq!(status(&authority.client(Some("alice"), &TLS13).once(&lab).await), 200);
}

#[tokio::test]
async fn a_connection_is_bound_to_the_certificate_that_it_saw_whatever_is_loaded_since() {
    let (authority, settings) = authority();
    let mut lab = Lab::https(settings);
    let mut stream = authority.client(Some("alice"), &TLS13).connect(&lab).await.unwrap();
    let old = lab.tls.as_ref().unwrap().current().certificate().clone();
    assert_eq!(status(&ask(&mut stream, &post("/wsman", "gw.test", "")).await), 200);
    authority.issue("gw", &["gw.test"], Leaf { purpose: None, ..ALICE });
    lab.reloaders[0].reload().unwrap();
    assert_eq!(status(&ask(&mut stream, &post("/wsman", "gw.test", "")).await), 200, "it is still good");
    let Event::Connected { tls: Some(facts), .. } = lab.event().await else { panic!("not connected") };
    assert_eq!(facts.server_certificate_der, old);
    assert_ne!(*lab.tls.as_ref().unwrap().current().certificate(), old);
}
