//! Every way in, with real clients, a real KDC and real TLS: who the host saw, and what is refused without a byte to a host.
#![expect(unreachable_pub, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test that can't go on must fail")]

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

#[test]
fn the_token_may_come_on_the_request_itself_and_the_answer_carries_ours() {
    let mut lab = lab("[kerberos]");
    for scheme in ["Negotiate", "Kerberos", "negotiate"] {
        let ran = lab.run("with_body", Listener::Tls, &json!({ "scheme": scheme }));
        assert_eq!((&ran["status"], &ran["complete"], &ran["again"]), (&json!(200), &json!(true), &json!(200)), "{ran}");
        assert!(ran["body"].as_str().expect("a body").contains(ALICE), "{ran}");
    }
    assert_eq!(lab.reasons(6), [""; 6]);
}

#[test]
fn an_anonymous_request_is_told_what_the_route_accepts() {
    for (accept, offered) in [
        ("[kerberos]", json!(["Negotiate", "Kerberos"])),
        ("[basic, kerberos]", json!(["Negotiate", "Kerberos", "Basic realm=\"WSMAN\""])),
        ("[negotiate]", json!(["Negotiate"])),
        ("[basic, certificate]", json!(["Basic realm=\"WSMAN\""])),
    ] {
        let service = "  allow_unencrypted: false\n".to_owned();
        let more = if accept.contains("basic") { "x-anchors: {}\n" } else { "" };
        let mut lab = InLab::start(&Ways { accept, service, more: more.to_owned(), closed: true, ..Ways::default() });
        let ran = lab.run("anonymous", Listener::Tls, &json!({}));
        assert_eq!((&ran["status"], &ran["offered"], &ran["again"]), (&json!(401), &offered, &json!(401)), "{ran}");
        lab.refused(2, "no_evidence");
    }
}

#[test]
fn threat_25_a_ticket_for_another_service_or_host_is_refused() {
    let mut lab = InLab::start(&Ways { realm: vec!["--hosts", "1"], ..Ways::default() });
    for (number, (hostname, service, reason)) in [
        ("web01.corp.example", "HTTP", "wrong_service"),
        ("web02.corp.example", "WSMAN", "wrong_service"),
        ("host001.fleet.corp.example", "HTTP", "no_key"),
    ]
    .into_iter()
    .enumerate()
    {
        let ran = lab.run("with_body", Listener::Tls, &json!({ "hostname": hostname, "service": service }));
        assert_eq!((&ran["status"], &ran["again"]), (&json!(401), &json!(401)), "{ran}");
        let reasons = lab.reasons(2 * (number + 1));
        assert_eq!(reasons[2 * number..], [reason, "no_evidence"], "{hostname}");
    }
    assert_eq!(lab.host.connections(), 0);
}

#[test]
fn threat_25_channel_bindings_are_judged_as_the_level_says() {
    for (cbt, bindings, reason) in [
        ("none", "right", ""),
        ("none", "none", ""),
        ("none", "wrong", ""),
        ("relaxed", "right", ""),
        ("relaxed", "none", ""),
        ("relaxed", "wrong", "wrong_bindings"),
        ("strict", "right", ""),
        ("strict", "none", "no_bindings"),
        ("strict", "wrong", "wrong_bindings"),
    ] {
        let mut lab = InLab::start(&Ways { cbt, ..Ways::default() });
        for (number, protocol) in ["kerberos", "negotiate"].into_iter().enumerate() {
            let ran = lab.run("with_body", Listener::Tls, &json!({ "bindings": bindings, "protocol": protocol }));
            let (status, again) = if reason.is_empty() { (200, 200) } else { (401, 401) };
            assert_eq!((&ran["status"], &ran["again"]), (&json!(status), &json!(again)), "{cbt} {bindings} {protocol}: {ran}");
            assert_eq!(lab.reasons(2 * (number + 1))[2 * number], reason, "{cbt} {bindings} {protocol}");
        }
        let dialled = lab.host.connections() > 0;
        assert_eq!(dialled, reason.is_empty(), "{cbt} {bindings}");
        // Without TLS there is no channel to bind to, so the level means nothing there.
        let ran = lab.run("sealed", Listener::Open, &json!({ "bindings": "none" }));
        assert_eq!(ran["results"][0]["status"], 200, "{cbt}: {ran}");
    }
}

#[test]
fn threat_26_a_replayed_token_is_refused() {
    let mut lab = lab("[kerberos]");
    for (number, protocol) in ["kerberos", "negotiate"].into_iter().enumerate() {
        let ran = lab.run("replay", Listener::Tls, &json!({ "protocol": protocol }));
        assert_eq!((&ran["first"], &ran["status"]), (&json!(200), &json!(401)), "{protocol}: {ran}");
        assert_eq!(lab.reasons(2 * (number + 1))[2 * number..], ["", "replayed"], "{protocol}");
    }
    assert_eq!(lab.host.requests().len(), 2, "one each");
    let cache = lab.dir.path().join("gateway/audit/replay-cache/accepted");
    assert!(cache.is_file(), "the replay cache is a file of this gateway's own");
}

#[test]
fn threat_04_two_people_on_one_request_are_refused() {
    let mut lab = lab("[kerberos, certificate]");
    let certificate = |person: &str| {
        let issued = lab.pki.person(person);
        json!({ "cert": issued.certificate, "key": issued.key })
    };
    let (bob, alice) = (certificate("bob"), certificate("alice"));
    let ran = lab.run("with_body", Listener::Tls, &bob);
    assert_eq!((&ran["status"], &ran["again"]), (&json!(500), &json!(500)), "{ran}");
    assert!(ran["body"].as_str().expect("a body").contains("different people"), "{ran}");
    lab.refused(2, "two_people");
    let ran = lab.run("with_body", Listener::Tls, &alice);
    assert_eq!((&ran["status"], &ran["again"]), (&json!(200), &json!(200)), "the same person twice: {ran}");
    assert_eq!(lab.outcome(4)["method"], "kerberos", "the header decides");
}

#[test]
fn threat_21_a_second_person_on_a_connection_is_that_person_and_nobody_is_left_over() {
    let mut lab = lab("[kerberos]");
    let ran = lab.run("second_person", Listener::Tls, &json!({ "second": "bob@CORP.EXAMPLE" }));
    let body = |name: &str| ran[name]["body"].as_str().expect("a body").to_owned();
    assert!(body("first").contains("alice@CORP.EXAMPLE") && body("second").contains("bob@CORP.EXAMPLE"), "{ran}");
    assert!(!body("second").contains("alice"), "{ran}");
    assert_eq!((&ran["failed"], &ran["after"]), (&json!(401), &json!(401)), "a failed attempt ends what there was: {ran}");
    assert_eq!(lab.reasons(6)[4..], ["token_refused", "no_evidence"]);
}

#[test]
fn threat_21_a_route_that_does_not_accept_a_connection_s_method_asks_again() {
    let mut lab = InLab::start(&Ways { other: "[basic]", closed: true, ..Ways::default() });
    let ran = lab.run("other_route", Listener::Tls, &json!({}));
    assert_eq!((&ran["own"], &ran["other"]["status"], &ran["back"]), (&json!(200), &json!(401), &json!(200)), "{ran}");
    assert_eq!(ran["other"]["offered"], json!(["Basic realm=\"WSMAN\""]), "{ran}");
    assert_eq!(lab.reasons(4)[2], "method_not_accepted");
    assert_eq!(lab.host.requests().len(), 2);
}

#[test]
fn threat_28_a_forwarded_ticket_is_not_kept_where_no_route_asks_for_it() {
    let mut lab = lab("[kerberos]");
    let ran = lab.run("with_body", Listener::Tls, &json!({ "delegate": true }));
    assert_eq!(ran["status"], 200, "{ran}");
    let evidence = lab.outcome(1)["evidence"].clone();
    assert_eq!(evidence, "kerberos HTTP/gw.corp.example@CORP.EXAMPLE bound, delegated credential discarded");
    assert_eq!(lab.host.requests()[0]["identity"], ALICE, "{:?}", lab.host.requests());
}

#[test]
fn a_context_ends_with_its_ticket() {
    let mut lab = InLab::start(&Ways { realm: vec!["--max-life", "12s"], ..Ways::default() });
    let ran = lab.run("kept", Listener::Tls, &json!({ "times": 5, "pause": 4 }));
    let statuses: Vec<u64> = ran["statuses"].as_array().expect("a list").iter().filter_map(Value::as_u64).collect();
    assert_eq!((statuses[0], statuses[4], &ran["again"]), (200, 401, &json!(200)), "{ran}");
    assert!(lab.reasons(7).contains(&"context_expired".to_owned()));
}

#[test]
fn malformed_and_oversized_tokens_are_refused_each_with_its_own_reason() {
    let mut lab = lab("[kerberos]");
    let large = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, vec![7; 66_000]);
    for (number, (value, reason)) in [
        ("Negotiate".to_owned(), "malformed_token"),
        ("Negotiate ???".to_owned(), "malformed_token"),
        ("Negotiate YWJj".to_owned(), "token_refused"),
        ("Kerberos YIIB".to_owned(), "token_refused"),
        (format!("Negotiate {large}"), "token_too_large"),
        ("CredSSP YWJj".to_owned(), "scheme_not_accepted"),
        ("NTLM TlRMTVNTUAABAAAA".to_owned(), "scheme_not_accepted"),
        ("Basic YWxpY2U6eA==".to_owned(), "scheme_not_accepted"),
        ("Negotiate oRQwEg==".to_owned(), "no_handshake"),
    ]
    .into_iter()
    .enumerate()
    {
        let ran = lab.run("header", Listener::Tls, &json!({ "value": value }));
        assert_eq!((&ran["status"], &ran["offered"]), (&json!(401), &json!(["Negotiate", "Kerberos"])), "{reason}: {ran}");
        lab.refused(number + 1, reason);
    }
}

#[test]
fn a_client_whose_clock_is_wrong_is_told_so() {
    let mut lab = lab("[kerberos]");
    // The ticket is fetched while the clocks agree.
    let options = json!({ "user": null, "password": null });
    assert_eq!(lab.run("with_body", Listener::Tls, &options)["status"], 200);
    let ran = lab.run_under(&["faketime", "-f", "+6m"], "with_body", Listener::Tls, &options);
    assert_eq!(ran["status"], 401, "{ran}");
    assert!(ran["body"].as_str().expect("a text").contains("clocks"), "{ran}");
    assert_eq!(lab.reasons(4)[2], "clock_skew");
}

fn local(accept: &'static str) -> InLab {
    InLab::start(&Ways { accept, local: true, ..Ways::default() })
}

#[test]
fn accounts_of_the_gateway_come_in_by_ntlm_over_tls_and_sealed_over_http() {
    let mut lab = local("[negotiate]");
    for client in ["pypsrp", "pywinrm"] {
        for (listener, encrypt) in [(Listener::Tls, "auto"), (Listener::Tls, "always"), (Listener::Open, "auto")] {
            let options = json!({ "client": client, "auth": "ntlm", "user": "runner", "encrypt": encrypt });
            let ran = lab.run("real", listener, &options);
            assert_eq!(ran["stdout"], ALICE, "{client} {listener:?} {encrypt}: {ran}\n{}", lab.gateway.log());
        }
    }
    for protocol in ["ntlm", "negotiate"] {
        for listener in [Listener::Tls, Listener::Open] {
            let options = json!({ "user": "runner", "protocol": protocol, "implementation": "use_negotiate", "hostname": "gw.corp.example" });
            let ran = lab.run("sealed", listener, &options);
            assert!(opened(&ran, 1).contains(ALICE), "{protocol} {listener:?}: {ran}\n{}", lab.gateway.log());
        }
    }
    let intent = lab.gateway.wait_for_records("intent", 1)[0].clone();
    assert_eq!((&intent["method"], &intent["evidence"]), (&json!("negotiate"), &json!("ntlm account runner bound")), "{intent}");
}

#[test]
fn kerberos_comes_in_where_a_route_accepts_negotiate() {
    let mut lab = local("[negotiate]");
    let ran = lab.run("with_body", Listener::Tls, &json!({}));
    assert_eq!(ran["status"], 200, "{ran}");
    assert_eq!(lab.outcome(2)["method"], "negotiate");
    let ran = lab.run("with_body", Listener::Tls, &json!({ "scheme": "Kerberos" }));
    assert_eq!((&ran["status"], &ran["offered"]), (&json!(401), &json!(["Negotiate"])), "{ran}");
    assert_eq!(lab.reasons(4)[2], "scheme_not_accepted");
}

#[test]
fn an_account_of_the_gateway_is_nobody_of_a_domain_unless_the_operator_says_who() {
    let mut lab = local("[negotiate]");
    let ran = lab.run("bare_then_plain", Listener::Tls, &json!({ "user": "local", "protocol": "ntlm" }));
    assert_eq!((&ran["status"], &ran["then"]["status"]), (&json!(200), &json!(500)), "{ran}");
    let outcome = lab.refused(3, "no_rule");
    assert_eq!(outcome["principal"], "local@GW01", "{outcome}");
}

#[test]
fn threat_24_ntlm_is_refused_where_no_route_lets_it_in_or_nobody_is_listed() {
    for ways in [
        Ways { accept: "[kerberos]", local: true, ..Ways::default() },
        Ways { accept: "[negotiate]", local: false, ..Ways::default() },
    ] {
        let mut lab = InLab::start(&ways);
        let raw = json!({ "token": "TlRMTVNTUAABAAAAN4II4gAAAAAAAAAAAAAAAAAAAAAKAGFKAAAADw==" });
        let ran = lab.run("raw_token", Listener::Tls, &raw);
        assert_eq!((&ran["status"], &ran["open"]), (&json!(401), &json!(401)), "{ran}");
        assert!(ran["body"].as_str().expect("a text").contains("NTLM is not accepted here"), "{ran}");
        assert_eq!(lab.reasons(2)[0], "ntlm_not_accepted");
        // SPNEGO that offers nothing but NTLM.
        let options = json!({ "user": "runner", "protocol": "negotiate", "implementation": "use_negotiate", "hostname": "nowhere.example", "password": "x" });
        let ran = lab.run("bare_then_plain", Listener::Tls, &options);
        assert_eq!(ran["status"], 401, "{ran}");
        assert_eq!(lab.reasons(4)[2], "ntlm_not_accepted", "{ran}");
        assert_eq!(lab.host.connections(), 0);
    }
}

#[test]
fn threat_24_ntlm_without_the_right_channel_password_or_server_is_refused() {
    for (listener, options, reason) in [
        (Listener::Tls, json!({ "bindings": "none" }), "no_bindings"),
        (Listener::Tls, json!({ "bindings": "wrong" }), "wrong_bindings"),
        (Listener::Open, json!({ "bindings": "wrong" }), "unexpected_bindings"),
        (Listener::Open, json!({ "hostname": "other.corp.example" }), "wrong_target"),
        (Listener::Tls, json!({ "password": "wrong" }), "wrong_password"),
        (Listener::Tls, json!({ "user": "nobody" }), "unknown_account"),
    ] {
        let mut lab = local("[negotiate]");
        let mut all = json!({ "user": "runner", "protocol": "ntlm" });
        all.as_object_mut().expect("a map").extend(options.as_object().expect("a map").clone());
        let ran = lab.run("bare_then_plain", listener, &all);
        assert_eq!((&ran["status"], &ran["then"]["status"]), (&json!(401), &json!(401)), "{options}: {ran}");
        assert_eq!(lab.reasons(3)[1], reason, "{options}");
        assert_eq!(lab.host.connections(), 0);
        let text = ran["body"].as_str().expect("a text");
        assert!(reason == "wrong_target" || text.starts_with("the authentication failed ("), "{text}");
    }
}

#[test]
fn threat_23_half_a_handshake_is_of_no_use_on_another_connection_or_after_anything_else() {
    let mut lab = local("[negotiate]");
    let ran = lab.run("half_elsewhere", Listener::Tls, &json!({ "user": "runner", "protocol": "ntlm" }));
    assert_eq!((&ran["first"], &ran["status"], &ran["own"]), (&json!(401), &json!(401), &json!(200)), "{ran}");
    assert_eq!(lab.reasons(3), ["", "no_handshake", ""]);
    let ran = lab.run("half_interrupted", Listener::Tls, &json!({ "user": "runner", "protocol": "ntlm" }));
    assert_eq!((&ran["between"], &ran["status"]), (&json!(401), &json!(401)), "{ran}");
    assert_eq!(lab.reasons(6)[3..], ["", "no_evidence", "no_handshake"]);
    assert_eq!(lab.host.connections(), 0);
}

fn basic(service: &str) -> InLab {
    InLab::start(&Ways { accept: "[basic]", closed: true, service: service.to_owned(), ..Ways::default() })
}

#[test]
fn real_clients_come_in_by_name_and_password_however_the_name_is_written() {
    let mut lab = basic("");
    for client in ["pypsrp", "pywinrm"] {
        for user in ["alice", "alice@CORP.EXAMPLE", "CORP\\alice"] {
            let auth = if client == "pypsrp" { "basic" } else { "ssl" };
            for auth in [auth, "basic"] {
                let ran = lab.run("real", Listener::Tls, &json!({ "client": client, "auth": auth, "user": user }));
                assert_eq!(ran["stdout"], ALICE, "{client} {user}: {ran}\n{}", lab.gateway.log());
            }
        }
    }
    let intent = lab.gateway.wait_for_records("intent", 1)[0].clone();
    assert_eq!((&intent["method"], &intent["evidence"]), (&json!("basic"), &json!("password, taken by the realm")), "{intent}");
    let asked = lab.realm.kdc_log().lines().filter(|line| line.contains("AS_REQ") && line.contains("ISSUE") && line.contains("alice@")).count();
    assert_eq!(asked, 1, "the KDC is asked once in ten minutes");
}

#[test]
fn threat_53_a_wrong_password_costs_the_kdc_one_attempt_however_often_it_is_tried() {
    let mut lab = basic("");
    let ran = lab.run("basic", Listener::Tls, &json!({ "pairs": vec!["alice:wrong"; 12], "threads": 6 }));
    for answer in ran["answers"].as_array().expect("a list") {
        assert_eq!(answer["status"], 401, "{answer}");
    }
    assert!(lab.reasons(12).iter().all(|reason| reason == "wrong_password"));
    assert_eq!(failures_at_the_kdc(&lab, "alice"), 1);
    lab.refused(12, "wrong_password");
}

fn failures_at_the_kdc(lab: &InLab, person: &str) -> usize {
    let log = lab.realm.kdc_log();
    log.lines().filter(|line| line.contains("PREAUTH_FAILED") && line.contains(&format!("{person}@"))).count()
}

#[test]
fn threat_53_the_guard_stays_below_the_domain_s_threshold_whatever_is_tried() {
    let mut lab = basic("");
    let pairs: Vec<String> = (0..20).map(|number| format!("bob:wrong-{number}")).collect();
    let ran = lab.run("basic", Listener::Tls, &json!({ "pairs": pairs, "threads": 8 }));
    assert!(ran["answers"].as_array().expect("a list").iter().all(|answer| answer["status"] == 401), "{ran}");
    assert_eq!(failures_at_the_kdc(&lab, "bob"), 3, "{ran}");
    // The right one, too, is not tried now; another person's is.
    let ran = lab.run("basic", Listener::Tls, &json!({ "pairs": ["bob:Passw0rd!", "alice:Passw0rd!"] }));
    assert_eq!((&ran["answers"][0]["status"], &ran["answers"][1]["status"]), (&json!(401), &json!(200)), "{ran}");
    let reasons = lab.reasons(22);
    assert_eq!(reasons.iter().filter(|reason| *reason == "guard_locked").count(), 18, "{reasons:?}");
    assert_eq!(failures_at_the_kdc(&lab, "bob"), 3);
}

#[test]
fn threat_53_one_source_can_not_try_one_password_on_everybody() {
    let mut lab = basic("  basic_guard: { failures_per_source: 4 }\n");
    let pairs: Vec<String> = (0..8).map(|number| format!("user{number}:Spring2026!")).collect();
    lab.run("basic", Listener::Tls, &json!({ "pairs": pairs }));
    let reasons = lab.reasons(8);
    assert_eq!(reasons.iter().filter(|reason| *reason == "unknown_user").count(), 4, "{reasons:?}");
    lab.refused(8, "guard_locked");
}

#[test]
fn threat_66_an_unknown_person_and_a_wrong_password_look_alike() {
    let mut lab = basic("");
    let pairs = ["alice:wrong", "nobody:wrong", "nobody@ELSEWHERE.EXAMPLE:wrong", "al ice:wrong", "alice:wrong"];
    let ran = lab.run("basic", Listener::Tls, &json!({ "pairs": pairs }));
    let answers = ran["answers"].as_array().expect("a list");
    for answer in answers {
        let body = answer["body"].as_str().expect("a text");
        assert!(body.starts_with("the authentication failed (request "), "{body}");
        assert_eq!((&answer["status"], &answer["offered"]), (&json!(401), &answers[0]["offered"]), "{answer}");
        let seconds = answer["seconds"].as_f64().expect("a number");
        assert!((0.24..0.75).contains(&seconds), "told at a slot's end, not when the KDC answered: {seconds}");
    }
    assert_eq!(lab.reasons(5), ["wrong_password", "unknown_user", "unknown_user", "unknown_user", "wrong_password"]);
    lab.refused(5, "wrong_password");
}

#[test]
fn threat_27_a_password_is_not_taken_over_plain_http_on_a_network() {
    // The configuration refuses it; what follows is a route that a listener of another kind reaches as well.
    let mut lab = InLab::start(&Ways { accept: "[kerberos]", ..Ways::default() });
    let ran = lab.run("header", Listener::Open, &json!({ "value": "Basic YWxpY2U6UGFzc3cwcmQh" }));
    assert_eq!((&ran["status"], &ran["offered"]), (&json!(401), &json!(["Negotiate", "Kerberos"])), "{ran}");
    lab.refused(1, "scheme_not_accepted");
}

#[test]
fn threat_54_a_password_is_not_judged_while_the_kdc_is_down() {
    for silent in [false, true] {
        let mut lab = InLab::start(&Ways { accept: "[basic, kerberos]", closed: true, ..Ways::default() });
        let silence = if silent {
            Some(lab.realm.replace_kdc_by_silence())
        } else {
            lab.realm.stop_kdc();
            None
        };
        let ran = lab.run("basic", Listener::Tls, &json!({ "pairs": ["alice:Passw0rd!"] }));
        let answer = &ran["answers"][0];
        assert_eq!((&answer["status"], &answer["retry"]), (&json!(503), &json!("5")), "{ran}");
        assert!(answer["seconds"].as_f64().expect("a number") < 10.0, "{ran}");
        lab.refused(1, "kdc_unavailable");
        drop(silence);
    }
}

#[test]
fn threat_54_somebody_who_takes_every_password_and_is_not_the_kdc_lets_nobody_in() {
    let mut lab = basic("");
    // A realm with the same name and people, and other keys: who can answer in the KDC's place can be this one.
    let other = support::Realm::mit(&lab.dir.path().join("impostor"), &[]);
    lab.realm.stop_kdc();
    ways_in_support::forward(lab.realm.port, other.port);
    let ran = lab.run("basic", Listener::Tls, &json!({ "pairs": ["alice:Passw0rd!"] }));
    assert_eq!(ran["answers"][0]["status"], 503, "{ran}");
    lab.refused(1, "kdc_not_proved");
}

#[test]
fn threat_60_neither_passwords_nor_tokens_are_ever_written_down() {
    let mut lab = InLab::start(&Ways { accept: "[basic, negotiate]", closed: true, local: true, ..Ways::default() });
    let canary = "c4n4ry-Sparrow-9271";
    lab.run("basic", Listener::Tls, &json!({ "pairs": [format!("alice:{canary}"), "alice:Passw0rd!".to_owned(), format!("{canary}:x")] }));
    lab.run("header", Listener::Tls, &json!({ "value": format!("Negotiate {canary}") }));
    lab.run("bare_then_plain", Listener::Tls, &json!({ "user": "runner", "protocol": "ntlm" }));
    lab.run("with_body", Listener::Tls, &json!({}));
    lab.outcome(8);
    let (_, metrics) = lab.gateway.admin("/metrics");
    let records = std::fs::read_to_string(&lab.gateway.audit).expect("the records");
    for (place, text) in [("log", lab.gateway.log()), ("records", records), ("metrics", metrics)] {
        for secret in [canary, "Passw0rd!", ways_in_support::NT_HASH, "TlRMTVNTUA", "YIIC", "Authorization:"] {
            assert!(!text.contains(secret), "{secret} stands in the {place}");
        }
    }
}

#[test]
fn threat_54_contexts_and_tickets_go_on_while_the_kdc_is_gone() {
    let lab = lab("[kerberos]");
    let pid = std::fs::read_to_string(lab.realm.dir.join("kdc.pid")).expect("the KDC's process");
    let pid: u32 = pid.trim().parse().expect("a number");
    let ran = lab.run("kdc_dies", Listener::Tls, &json!({ "pid": pid, "user": null, "password": null }));
    assert_eq!(ran, json!({ "handshake": 200, "before": 200, "after": 200, "again": 200, "then": 200 }));
}

#[test]
fn threat_24_nobody_goes_through_the_passwords_of_the_gateway_s_own_accounts() {
    let service = "  basic_guard: { failures_per_source: 3 }\n".to_owned();
    let mut lab = InLab::start(&Ways { accept: "[negotiate]", local: true, service, ..Ways::default() });
    for number in 0..4 {
        let options = json!({ "user": "runner", "protocol": "ntlm", "password": format!("wrong-{number}") });
        assert_eq!(lab.run("bare_then_plain", Listener::Tls, &options)["status"], 401);
    }
    let reasons = lab.reasons(11);
    assert_eq!(reasons.iter().filter(|reason| *reason == "wrong_password").count(), 3, "{reasons:?}");
    assert!(reasons.contains(&"guard_locked".to_owned()), "{reasons:?}");
}

/// The installed curl speaks GSSAPI, where it was built with it.
#[test]
fn curl_comes_in_with_its_negotiate() {
    let version = std::process::Command::new("curl").arg("--version").output().expect("curl");
    if !String::from_utf8_lossy(&version.stdout).contains("SPNEGO") {
        panic!("the installed curl has no SPNEGO; install Debian's");
    }
    let lab = lab("[kerberos]");
    assert_eq!(lab.run("with_body", Listener::Tls, &json!({ "user": null, "password": null }))["status"], 200, "fills the cache of tickets");
    let envelope = lab.dir.path().join("envelope.xml");
    std::fs::write(&envelope, support::envelope::get_config()).expect("a file");
    let output = std::process::Command::new("curl")
        .args(["--silent", "--show-error", "--negotiate", "--user", ":", "--cacert"])
        .arg(lab.pki.ca_file())
        .args(["--resolve", &format!("gw.corp.example:{}:127.0.0.1", lab.gateway.port)])
        .args(["--header", "Content-Type: application/soap+xml;charset=UTF-8", "--data-binary"])
        .arg(format!("@{}", envelope.display()))
        .arg(lab.at(Listener::Tls)["url"].as_str().expect("a URL"))
        .env("KRB5_CONFIG", lab.realm.krb5_conf())
        .env("KRB5CCNAME", format!("FILE:{}", lab.dir.path().join("client-ccache").display()))
        .output()
        .expect("curl");
    let answer = String::from_utf8_lossy(&output.stdout);
    assert!(answer.contains(ALICE), "{answer}{}{}", String::from_utf8_lossy(&output.stderr), lab.gateway.log());
}

#[test]
fn each_of_several_envelopes_is_sealed_by_itself() {
    let lab = InLab::start(&Ways { misbehave: Some("chunked"), ..Ways::default() });
    let ran = lab.run("sealed", Listener::Open, &json!({ "robust": true }));
    for number in 0..2 {
        let opened = ran["results"][number]["opened"].as_array().expect("a list");
        assert!(opened.len() > 1 && opened.iter().all(|part| part.as_str().is_some_and(|part| part.contains("Envelope"))), "{ran}");
    }
}

#[test]
fn a_refusal_that_comes_before_the_envelope_is_sealed_too() {
    let mut lab = lab("[kerberos]");
    let url = lab.at(Listener::Open)["url"].as_str().expect("a URL").replace("web01.corp.example", "web01.evil.example");
    let ran = lab.run("sealed", Listener::Open, &json!({ "url": url }));
    for number in 0..2 {
        assert_eq!(ran["results"][number]["status"], 500, "{ran}");
        assert!(opened(&ran, number).contains("winrm-gateway:"), "{ran}");
    }
    lab.refused(3, "host_not_allowed");
}
