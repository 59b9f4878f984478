//! What is refused: the text that the client reads, no byte to the host, exactly one outcome record with its stage and reason.
#![expect(clippy::expect_used, reason = "a test that can't set up what it needs must fail")]
#![expect(clippy::indexing_slicing, reason = "a record without the field is a failure, with its name")]

mod support;

use std::time::{Duration, Instant};

use support::{Issued, Lab, Misbehave, Person, Raw, envelope};

const WEB01: &str = "/hosts/web01.corp.example/wsman";

/// Asserts that the one request so far was refused at `stage` for `reason` and that the host saw no body.
fn assert_refused(lab: &mut Lab, stage: &str, reason: &str) -> serde_json::Value {
    let outcomes = lab.gateway.wait_for_records("outcome", 1);
    assert_eq!(outcomes.len(), 1, "exactly one outcome: {outcomes:?}");
    let outcome = outcomes.into_iter().next().expect("an outcome");
    assert_eq!(
        (outcome["stage"].as_str(), outcome["reason"].as_str()),
        (Some(stage), Some(reason)),
        "{outcome}"
    );
    assert!(lab.host.requests().is_empty(), "the host saw {:?}", lab.host.requests());
    assert!(
        lab.gateway.metric("winrm_gateway_refusals_total", &format!("reason=\"{reason}\"")) >= 1.0,
        "no metric for {reason}"
    );
    outcome
}

/// One Get as `person`; returns status and body.
fn get(lab: &Lab, person: &str, path: &str) -> support::Answer {
    lab.raw(person).post(path, &envelope::get_config()).expect("an answer")
}

/// A fault with `text` and the request id in it, within ten seconds.
fn assert_fault(lab: &mut Lab, person: &str, text: &str, stage: &str, reason: &str) {
    let started = Instant::now();
    let answer = get(lab, person, WEB01);
    assert!(started.elapsed() < Duration::from_secs(10), "{reason} took {:?}", started.elapsed());
    assert_eq!(answer.status, 500, "{answer:?}");
    assert!(answer.body.contains(text), "{reason}: {answer:?}\n{}", lab.gateway.log());
    let id = answer.header("x-request-id").expect("a request id").to_owned();
    assert!(answer.body.contains(&id), "{answer:?}");
    let outcome = assert_refused(lab, stage, reason);
    assert_eq!(outcome["id"], id);
    assert!(outcome["fault_code"].as_u64().is_some(), "{outcome}");
}

#[test]
fn a_person_who_can_not_be_delegated_is_refused_with_a_readable_reason() {
    let mut lab = Lab::with().run();
    let ran = lab.job("pypsrp-cmd", "carol").command("whoami").run();
    assert!(ran.refused().contains("can't be delegated"), "{ran:?}");
    assert_eq!(ran.fault_code, Some(5), "{ran:?}");
    assert_refused(&mut lab, "credential", "not_delegable");
}

#[test]
fn an_unknown_person_is_refused_by_name() {
    let mut lab = Lab::with().run();
    assert_fault(&mut lab, "mallory", "does not know this person", "credential", "unknown_person");
}

#[test]
fn threat_29_accounts_that_are_never_impersonated_are_refused_before_the_kdc_is_asked() {
    for person in ["administrator", "krbtgt", "web01$"] {
        let mut lab = Lab::with().run();
        let before = lab.realm.kdc_log().len();
        let certificate = lab.pki.client("privileged", &Person::upn(&format!("{person}@corp.example")));
        let mut raw =
            Raw::connect(lab.gateway.port, "gw.corp.example", &lab.pki.ca_file(), Some(&certificate))
                .expect("a connection");
        let answer = raw.post(WEB01, &envelope::get_config()).expect("an answer");
        assert_eq!(answer.status, 500, "{answer:?}");
        assert_refused(&mut lab, "policy", "not_impersonated");
        let after = lab.realm.kdc_log();
        assert!(!after.get(before..).unwrap_or_default().contains(person), "the KDC was asked for {person}");
    }
}

#[test]
fn an_unknown_host_is_refused() {
    let mut lab = Lab::with().run();
    let answer = get(&lab, "alice", "/hosts/web01.evil.example/wsman");
    assert_eq!(answer.status, 500, "{answer:?}");
    assert_refused(&mut lab, "policy", "host_not_allowed");
}

#[test]
fn a_host_whose_service_the_realm_does_not_know_is_refused() {
    let mut lab = Lab::with().run();
    let answer = get(&lab, "alice", "/hosts/ghost.corp.example/wsman");
    assert!(answer.body.contains("does not know this host"), "{answer:?}");
    assert_refused(&mut lab, "credential", "unknown_service");
}

#[test]
fn a_host_that_is_not_listed_for_delegation_is_refused() {
    let mut lab = Lab::with().run();
    let answer = get(&lab, "alice", "/hosts/web05.corp.example/wsman");
    assert!(answer.body.contains("can't be delegated to this host"), "{answer:?}");
    assert_refused(&mut lab, "credential", "not_delegable");
}

#[test]
fn a_host_that_is_down_is_said_to_be() {
    let port = support::free_port();
    let mut lab = Lab::with().settings(|settings| settings.port = Some(port)).run();
    assert_fault(&mut lab, "alice", "can't be reached", "backend", "unreachable");
}

#[test]
fn threat_11_an_address_outside_networks_is_never_dialled() {
    let mut lab = Lab::with().settings(|settings| settings.networks = "[10.0.0.0/8]").run();
    assert_fault(&mut lab, "alice", "not one that this route may reach", "backend", "address_not_permitted");
    assert_eq!(lab.host.connections(), 0);
}

#[test]
fn threat_54_a_kdc_that_is_down_is_said_to_be() {
    let mut lab = Lab::with().settings(|settings| settings.more = dead_kdc()).run();
    lab.realm.stop_kdc();
    assert_fault(&mut lab, "alice", "does not answer", "credential", "kdc_unavailable");
    assert_eq!(lab.host.connections(), 0);
}

fn dead_kdc() -> String {
    String::new()
}

#[test]
fn threat_54_a_silent_kdc_costs_ten_seconds_at_most() {
    let mut lab = Lab::with().run();
    let silent = lab.realm.replace_kdc_by_silence();
    assert_fault(&mut lab, "alice", "does not answer", "credential", "kdc_unavailable");
    drop(silent);
}

#[test]
fn threat_56_a_host_that_skips_mutual_authentication_gets_no_body() {
    for (mode, reason) in [("no-mutual", "no_proof"), ("wrong-mutual", "not_proved")] {
        let mut lab = Lab::with().misbehave(Misbehave(mode)).run();
        assert_fault(&mut lab, "alice", "nothing was sent to it", "backend", reason);
    }
}

#[test]
fn threat_56_a_host_with_the_wrong_key_gets_no_body() {
    let mut lab = Lab::with().host_key("web05").run();
    assert_fault(&mut lab, "alice", "rejected the credential", "backend", "rejected");
}

#[test]
fn threat_56_a_host_with_a_certificate_of_another_name_gets_no_byte() {
    let mut lab = Lab::with().https().run();
    let answer = get(&lab, "alice", "/hosts/web01.corp.example/wsman");
    assert_eq!(answer.status, 200, "{answer:?}");
    drop(lab);
    lab = Lab::with()
        .https()
        .settings(|settings| settings.more = String::new())
        .host_names_in_certificate(&["other.corp.example"])
        .run();
    assert_fault(&mut lab, "alice", "certificate could not be verified", "backend", "tls");
}

#[test]
fn threat_19_and_55_a_rogue_host_hurts_nobody() {
    for (mode, reason) in [
        ("duplicate-content-length", "broken_answer"),
        ("cl-and-te", "broken_answer"),
        ("flood-1xx", "broken_answer"),
        ("101", "broken_answer"),
        ("truncate-body", "lost"),
        ("reset-mid-body", "lost"),
        ("garbage", "lost"),
        ("integrity-only", "unsealed"),
        ("plain-answer", "not_sealed"),
        ("close-after-request", "lost"),
    ] {
        let mut lab = Lab::with().misbehave(Misbehave(mode)).run();
        let answer = get(&lab, "alice", WEB01);
        assert_eq!(answer.status, 500, "{mode}: {answer:?}");
        assert!(answer.body.contains("winrm-gateway:"), "{mode}: {answer:?}");
        let outcomes = lab.gateway.wait_for_records("outcome", 1);
        assert_eq!(outcomes.len(), 1, "{mode}");
        let outcome = outcomes.first().expect("an outcome");
        assert_eq!(outcome["reason"], reason, "{mode}: {outcome}");
        assert_eq!(
            lab.host.requests().len(),
            1,
            "{mode}: nothing that may have been processed is sent twice"
        );
    }
}

#[test]
fn threat_19_bytes_after_an_answer_end_the_connection_to_the_host() {
    let lab = Lab::with().misbehave(Misbehave("extra-bytes")).run();
    for _ in 0..3 {
        let answer = get(&lab, "alice", WEB01);
        assert!(!answer.body.contains("HTTP/1.1"), "{answer:?}");
    }
    assert_eq!(lab.host.connections(), 3, "a connection with bytes left on it was used again");
}

#[test]
fn threat_55_a_host_that_never_answers_costs_the_operation_s_own_time() {
    let lab = Lab::with().misbehave(Misbehave("never-answer")).run();
    let started = Instant::now();
    let text = envelope::get_config().replace("PT20S", "PT1S");
    let answer = lab.raw("alice").post(WEB01, &text).expect("an answer");
    assert!(answer.body.contains("did not answer in time"), "{answer:?}");
    assert!(started.elapsed() < Duration::from_secs(9), "{:?}", started.elapsed());
}

#[test]
fn a_client_that_leaves_ends_its_request() {
    let mut lab = Lab::with().misbehave(Misbehave("never-answer")).run();
    let mut raw = lab.raw("alice");
    let text = envelope::get_config().replace("PT20S", "PT300S");
    let head =
        format!("POST {WEB01} HTTP/1.1\r\nHost: gw.corp.example\r\nContent-Length: {}\r\n\r\n", text.len());
    raw.send(format!("{head}{text}").as_bytes()).expect("a request");
    lab.gateway.wait_for_records("intent", 1);
    drop(raw);
    let outcomes = lab.gateway.wait_for_records("outcome", 1);
    let reasons: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.get("reason")).collect();
    assert_eq!(reasons, ["client_gone"], "{outcomes:?}");
}

/// The outcome of a TLS handshake and one request with `client`.
fn knock(lab: &Lab, client: Option<&Issued>) -> std::io::Result<support::Answer> {
    let mut raw = Raw::connect(lab.gateway.port, "gw.corp.example", &lab.pki.ca_file(), client)?;
    raw.post(WEB01, &envelope::get_config())
}

#[test]
fn certificates_that_do_not_count_are_refused_with_one_record_each() {
    let mut lab = Lab::with().run();
    let other = support::Pki::new(&lab.dir.path().join("other-pki"));
    let expired =
        lab.pki.client("expired", &Person { not_after: (2021, 1, 1), ..Person::upn("alice@corp.example") });
    let purpose = Person {
        usages: vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth],
        ..Person::upn("alice@corp.example")
    };
    let wrong_usage = lab.pki.client("wrong-usage", &purpose);
    for (name, certificate, reason) in [
        ("expired", &expired, "certificate_expired"),
        ("wrong CA", &other.person("alice"), "unknown_issuer"),
        ("wrong usage", &wrong_usage, "certificate_purpose"),
    ] {
        let before = lab.gateway.records_of("connection").len();
        assert!(knock(&lab, Some(certificate)).is_err(), "{name} came in");
        let records = lab.gateway.wait_for_records("connection", before + 1);
        assert_eq!(records.len(), before + 1, "{name}: one record");
        assert_eq!(records.last().expect("a record")["reason"], reason, "{name}");
    }
    assert_eq!(lab.host.connections(), 0);
}

#[test]
fn no_certificate_is_refused_with_text_and_one_record() {
    let mut lab = Lab::with().run();
    let answer = knock(&lab, None).expect("an answer");
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(answer.body.contains("a client certificate is required"), "{answer:?}");
    assert_refused(&mut lab, "authn", "no_evidence");
}

#[test]
fn a_certificate_that_maps_to_nobody_is_refused() {
    for (names, reason) in [
        (vec!["alice@other.example"], "no_mapping"),
        (vec![], "no_mapping"),
        (vec!["alice@corp.example", "bob@corp.example"], "several_names"),
    ] {
        let mut lab = Lab::with().run();
        let mut person = Person::upn("x");
        person.names = names.iter().flat_map(|name| Person::upn(name).names).collect();
        let certificate = lab.pki.client("odd", &person);
        let answer = knock(&lab, Some(&certificate)).expect("an answer");
        assert_eq!(answer.status, 500, "{answer:?}");
        assert!(answer.body.contains("not known here"), "{answer:?}");
        assert_refused(&mut lab, "authn", reason);
    }
}

#[test]
fn threat_04_a_header_beside_a_certificate_decides() {
    let mut lab = Lab::with().run();
    let mut raw = lab.raw("alice");
    let answer = raw
        .post_with(WEB01, "Authorization: Basic Ym9iOng=\r\n", &envelope::get_config())
        .expect("an answer");
    assert_eq!(answer.status, 403, "{answer:?}");
    assert_refused(&mut lab, "authn", "scheme_not_accepted");
}

#[test]
fn the_mutual_profile_says_that_the_certificate_counts() {
    let lab = Lab::with().run();
    let header = "Authorization: http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual\r\n";
    let answer = lab.raw("alice").post_with(WEB01, header, &envelope::get_config()).expect("an answer");
    assert!(answer.body.contains("alice@CORP.EXAMPLE"), "{answer:?}");
}

#[test]
fn what_no_rule_allows_is_refused() {
    let rules = || {
        vec![
            r#"{ name: readers, who: { principals: ["alice@REALM"] }, allow: [read] }"#.to_owned(),
            r#"{ name: writers, who: { principals: ["bob@REALM"] }, allow: [read, write] }"#.to_owned(),
        ]
    };
    type Case = (&'static str, fn() -> String, Option<&'static str>);
    let cases: [Case; 6] = [
        ("alice", envelope::get_config, None),
        ("alice", envelope::put_config, Some("action_not_allowed")),
        ("alice", envelope::create_shell, Some("action_not_allowed")),
        ("bob", envelope::put_config, None),
        ("bob", envelope::create_shell, Some("action_not_allowed")),
        ("dave", envelope::get_config, Some("no_rule")),
    ];
    let mut lab = Lab::with().settings(|settings| settings.rules = rules()).run();
    for (number, (person, text, refused)) in cases.into_iter().enumerate() {
        let seen = lab.host.requests().len();
        let answer = lab.raw(person).post(WEB01, &text()).expect("an answer");
        let passed = lab.host.requests().len() - seen;
        match refused {
            None => assert_eq!((answer.status, passed), (200, 1), "{person}: {answer:?}"),
            Some(reason) => {
                assert_eq!((answer.status, passed), (500, 0), "{person}: {answer:?}");
                let outcomes = lab.gateway.wait_for_records("outcome", number + 1);
                assert_eq!(outcomes.last().expect("an outcome")["reason"], reason, "{person}");
            }
        }
    }
}

#[test]
fn a_shell_of_another_person_is_refused() {
    let mut lab = Lab::with().run();
    let shell = lab.raw("alice").post(WEB01, &envelope::create_shell()).expect("an answer");
    let shell = shell.element("ShellId").expect("a shell").to_owned();
    let seen = lab.host.requests().len();
    let answer = lab.raw("bob").post(WEB01, &envelope::command(&shell, "whoami")).expect("an answer");
    assert_eq!(answer.status, 500, "{answer:?}");
    assert_eq!(lab.host.requests().len(), seen);
    let outcomes = lab.gateway.wait_for_records("outcome", 2);
    assert_eq!(outcomes.last().expect("an outcome")["reason"], "not_owner");
    let own = lab.raw("alice").post(WEB01, &envelope::command(&shell, "whoami")).expect("an answer");
    assert_eq!(own.status, 200, "{own:?}");
}

#[test]
fn malformed_requests_are_refused_and_forwarded_to_nobody() {
    let mut lab = Lab::with().run();
    let bad_xml = ["", "<", "no xml", "<!DOCTYPE x><x/>", "<a><b></a>", "<s:Envelope/>"];
    for text in bad_xml {
        let mut raw = lab.raw("alice");
        let answer = raw.post(WEB01, text).expect("an answer");
        assert!(matches!(answer.status, 400 | 500), "{text}: {answer:?}");
        assert!(raw.is_closed(), "threat 14: who sends {text} may go on");
    }
    let two_lengths = format!(
        "POST {WEB01} HTTP/1.1\r\nHost: gw.corp.example\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"
    );
    for text in ["GET / HTTP/1.1\r\n\r\n", "garbage\r\n\r\n", two_lengths.as_str()] {
        let mut raw = lab.raw("alice");
        raw.send(text.as_bytes()).expect("a request");
        let answer = raw.read().expect("an answer");
        assert!((400..500).contains(&answer.status), "{text}: {answer:?}");
        assert!(raw.is_closed(), "{text}");
    }
    let outcomes = lab.gateway.wait_for_records("outcome", bad_xml.len() + 3);
    assert_eq!(outcomes.len(), bad_xml.len() + 3, "one outcome each");
    assert!(lab.host.requests().is_empty());
}

#[test]
fn a_request_that_wants_more_time_than_is_allowed_is_refused() {
    let mut lab = Lab::with().run();
    let text = envelope::get_config().replace("PT20S", "PT86400S");
    let answer = lab.raw("alice").post(WEB01, &text).expect("an answer");
    assert_eq!(answer.status, 500, "{answer:?}");
    assert_refused(&mut lab, "wsman", "timeout_too_long");
}

#[test]
fn a_log_that_can_not_be_written_stops_what_would_run() {
    let mut lab = Lab::with().run();
    lab.gateway.make_the_log_unwritable();
    let started = Instant::now();
    let answer = get(&lab, "alice", WEB01);
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!(lab.host.connections(), 0, "no log, no run");
    assert!(lab.gateway.admin("/readyz").0.contains("503"));
}

#[test]
fn threat_65_the_data_port_answers_for_no_admin_path() {
    let lab = Lab::with().run();
    for path in ["/metrics", "/healthz", "/readyz"] {
        let mut raw = lab.raw("alice");
        raw.send(format!("GET {path} HTTP/1.1\r\nHost: gw.corp.example\r\n\r\n").as_bytes())
            .expect("a request");
        let answer = raw.read().expect("an answer");
        assert!(matches!(answer.status, 404 | 405), "{path}: {answer:?}");
    }
    assert!(lab.gateway.admin("/metrics").0.contains("200"));
    assert!(lab.gateway.admin("/healthz").0.contains("200"));
    assert!(lab.gateway.admin("/readyz").0.contains("200"), "{:?}", lab.gateway.admin("/readyz"));
    assert!(lab.gateway.admin("/other").0.contains("404"));
}
