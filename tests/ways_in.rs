//! Every way in, with real clients, a real KDC and real TLS: who the host saw, and what is refused without a byte to a host.
#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test that can't go on must fail")]
#![expect(missing_docs, reason = "the names say it")]

mod support;
mod ways_in_support;

use serde_json::{Value, json};
use ways_in_support::{InLab, Listener, Ways};

const ALICE: &str = "alice@CORP.EXAMPLE";

fn lab(accept: &'static str) -> InLab {
    InLab::start(&Ways { accept, ..Ways::default() })
}

#[test]
fn real_clients_come_in_by_kerberos_over_tls_and_sealed_over_http() {
    let mut lab = lab("[kerberos]");
    for (client, auth) in [("pypsrp", "kerberos"), ("pypsrp", "negotiate"), ("pywinrm", "kerberos")] {
        for listener in [Listener::Tls, Listener::Open] {
            for encrypt in ["auto", "always"] {
                let ran = lab.run("real", listener, &json!({ "client": client, "auth": auth, "encrypt": encrypt }));
                assert_eq!(ran["stdout"], ALICE, "{client} {auth} {listener:?} {encrypt}: {ran}\n{}", lab.gateway.log());
            }
        }
    }
    let intent = lab.gateway.wait_for_records("intent", 1)[0].clone();
    assert_eq!((&intent["method"], &intent["principal"]), (&json!("kerberos"), &json!(ALICE)), "{intent}");
    assert_eq!(intent["evidence"], "kerberos HTTP/gw.corp.example@CORP.EXAMPLE bound", "{intent}");
}

/// The one answer of a sealed exchange, and what stands in it.
fn opened(ran: &Value, number: usize) -> &str {
    ran["results"][number]["opened"][0].as_str().unwrap_or_else(|| panic!("no answer was opened: {ran}"))
}

#[test]
fn sealed_requests_get_sealed_answers_in_the_protocol_that_the_client_used() {
    let mut lab = lab("[kerberos]");
    for (scheme, protocol, seal) in
        [("Negotiate", "kerberos", "SPNEGO"), ("Negotiate", "negotiate", "SPNEGO"), ("Kerberos", "kerberos", "Kerberos"), ("Kerberos", "kerberos", "SPNEGO")]
    {
        for listener in [Listener::Open, Listener::Loopback, Listener::Tls] {
            let options = json!({ "scheme": scheme, "protocol": protocol, "seal": seal });
            let ran = lab.run("sealed", listener, &options);
            assert_eq!(ran["handshake"], 200, "{options} {listener:?}: {ran}\n{}", lab.gateway.log());
            for number in 0..2 {
                assert!(opened(&ran, number).contains(ALICE), "{options} {listener:?}: {ran}");
                let kind = ran["results"][number]["kind"].as_str().expect("a type");
                assert!(kind.contains(&format!("application/HTTP-{seal}-session-encrypted")), "{kind}");
            }
        }
    }
    // Faults are sealed like every other answer.
    let ran = lab.run("sealed", Listener::Open, &json!({ "bad_xml": true, "once": true }));
    assert_eq!(ran["results"][0]["status"], 500, "{ran}");
    assert!(opened(&ran, 0).contains("winrm-gateway:"), "{ran}");
    lab.outcome(1);
}

#[test]
fn threat_48_sealed_bodies_that_are_not_what_the_client_sealed_next_end_the_context() {
    for (options, reason) in [
        (json!({ "integrity": true }), "integrity_only"),
        (json!({ "flip": true }), "not_unsealed"),
        (json!({ "length": 100_000 }), "sealed_length"),
        (json!({ "length": 700 }), "sealed_length"),
        (json!({ "seal": "CredSSP" }), "sealed_credssp"),
        (json!({ "seal": "Kerberos" }), "sealed_without_context"),
    ] {
        let mut lab = lab("[kerberos]");
        let mut options = options;
        options["once"] = json!(true);
        options["closes"] = json!(true);
        let ran = lab.run("sealed", Listener::Open, &options);
        let result = &ran["results"][0];
        assert_eq!((&result["status"], &result["bytes"]), (&json!(400), &json!(0)), "{options}: {ran}");
        assert_eq!(ran["closed"], true, "{options}: {ran}");
        lab.refused(2, reason);
    }
}

#[test]
fn threat_26_a_sealed_body_counts_once() {
    for sequence_only in [false, true] {
        let mut lab = lab("[kerberos]");
        let options = json!({ "repeat": true, "once": true, "sequence_only": sequence_only });
        let ran = lab.run("sealed", Listener::Open, &options);
        assert_eq!(ran["results"][0]["status"], 400, "{ran}");
        assert_eq!(lab.outcome(3)["reason"], "not_unsealed");
        assert_eq!(lab.host.requests().len(), 1, "the repeated one reached the host");
    }
}

#[test]
fn a_sealed_body_on_a_connection_without_a_context_is_answered_as_windows_does() {
    let mut lab = lab("[kerberos]");
    let ran = lab.run("sealed_without_context", Listener::Open, &json!({}));
    assert_eq!((&ran["status"], &ran["body"], &ran["closed"]), (&json!(400), &json!(""), &json!(true)), "{ran}");
    lab.refused(2, "sealed_without_context");
}

#[test]
fn what_is_not_sealed_does_not_come_in_over_plain_http_on_a_network() {
    let mut lab = lab("[kerberos]");
    let ran = lab.run("bare_then_plain", Listener::Open, &json!({}));
    assert_eq!((&ran["status"], &ran["complete"]), (&json!(200), &json!(true)), "{ran}");
    assert_eq!((&ran["then"]["status"], &ran["then"]["body"]), (&json!(500), &json!("")), "{ran}");
    lab.refused(2, "not_sealed");
    let ran = lab.run("with_body", Listener::Open, &json!({}));
    assert_eq!(ran["status"], 500, "{ran}");
    lab.refused(3, "not_sealed");
    for listener in [Listener::Loopback, Listener::Tls] {
        let ran = lab.run("bare_then_plain", listener, &json!({}));
        assert_eq!(ran["then"]["status"], 200, "{listener:?}: {ran}");
    }
}

#[test]
fn clear_text_comes_in_over_plain_http_where_the_operator_allows_it() {
    let service = "  allow_unencrypted: true\n".to_owned();
    let lab = InLab::start(&Ways { accept: "[kerberos, basic]", service, ..Ways::default() });
    let ran = lab.run("bare_then_plain", Listener::Open, &json!({}));
    assert_eq!(ran["then"]["status"], 200, "{ran}");
    let ran = lab.run("basic", Listener::Open, &json!({ "pairs": ["alice:Passw0rd!"] }));
    assert_eq!(ran["answers"][0]["status"], 200, "{ran}");
}
