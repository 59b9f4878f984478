//! The main job, end to end: real clients with nothing but a certificate, a real KDC, a host that says whom it saw.

mod support;

use support::{Lab, Misbehave, Raw, Realm, Settings, envelope};

/// What the host answers to `whoami`.
fn whoami(lab: &Lab, client: &str, person: &str) -> String {
    let job = lab.job(client, person);
    let job = if client == "pypsrp-ps" { job.script("whoami") } else { job.command("whoami") };
    job.run().expect("whoami")
}

fn assert_everybody_is_seen_as_who_they_are(lab: &Lab) {
    for client in ["pypsrp-cmd", "pypsrp-ps", "pywinrm"] {
        for person in ["alice", "bob"] {
            assert_eq!(whoami(lab, client, person), format!("{person}@CORP.EXAMPLE"), "{client}");
        }
    }
}

#[test]
fn the_host_sees_the_person_over_sealed_http() {
    let lab = Lab::with().run();
    assert_everybody_is_seen_as_who_they_are(&lab);
    let requests = lab.host.requests();
    assert!(requests.len() > 20, "{} requests", requests.len());
    assert!(requests.iter().all(|request| request["sealed"] == true), "a body went in clear");
}

#[test]
fn the_host_sees_the_person_over_https_with_channel_bindings() {
    let lab = Lab::with().https().run();
    assert_everybody_is_seen_as_who_they_are(&lab);
    assert!(lab.host.requests().iter().all(|request| request["tls"] == true));
}

#[test]
fn the_host_sees_the_person_inside_spnego_too() {
    for https in [false, true] {
        let lab = Lab::with().settings(|settings| {
            settings.auth = "negotiate";
            settings.https = https;
        });
        let lab = lab.run();
        assert_eq!(whoami(&lab, "pypsrp-cmd", "alice"), "alice@CORP.EXAMPLE");
    }
}

#[test]
fn a_client_whose_path_is_fixed_is_routed_by_server_name() {
    let by_name = |settings: &mut Settings| {
        settings.routes = r#"  - name: by-name
    match: { server_name: "{host}.winrm.corp.example", path: /wsman }
    hosts: ["web01", "web02"]
    networks: [127.0.0.0/8]
    accept: [certificate]
    backend: { url: "http://{host}.corp.example:PORT/wsman", auth: kerberos, credential: { s4u: delegation }, spn: "HTTP/{host}.corp.example" }
    rules:
      - { name: everybody, who: { principals: ["*@REALM"] }, allow: [read, write, execute] }
"#
        .to_owned();
    };
    let lab = Lab::with().settings(by_name).run();
    for client in ["pywinrm", "pypsrp-cmd"] {
        let name = "web02.winrm.corp.example";
        let ran = support::Job::new(client, &format!("https://{name}:{}/wsman", lab.gateway.port))
            .certificate(&lab.pki.person("bob"))
            .ca(&lab.pki.ca_file())
            .resolve(name, lab.gateway.port)
            .command("whoami")
            .run();
        assert_eq!(ran.expect("by server name"), "bob@CORP.EXAMPLE", "{client}");
    }
}

#[test]
fn an_active_directory_domain_delegates_as_well() {
    let dir = tempfile::tempdir().expect("a directory");
    let realm = Realm::active_directory(&dir.path().join("ad"));
    let pki = support::Pki::new(&dir.path().join("pki"));
    let host = support::Host::start(
        &dir.path().join("host"),
        &realm,
        &pki,
        &support::host::Wanted {
            names: vec!["web01.test.example".to_owned()],
            keytab: realm.keytab("web01"),
            misbehave: None,
        },
    );
    let mut settings = Settings { domain: "test.example", ..Settings::default() };
    settings.auth = "negotiate";
    let gateway = support::Gateway::start(&dir.path().join("gateway"), &realm, &pki, &host, &settings);
    let run = |person: &str| {
        let certificate = pki.client(person, &support::Person::upn(&format!("{person}@test.example")));
        let url = format!("https://gw.corp.example:{}/hosts/web01.test.example/wsman", gateway.port);
        support::Job::new("pypsrp-cmd", &url)
            .certificate(&certificate)
            .ca(&pki.ca_file())
            .resolve("gw.corp.example", gateway.port)
            .command("whoami")
            .run()
    };
    assert_eq!(run("alice").expect("alice"), "alice@TEST.EXAMPLE");
    let carol = run("carol");
    assert!(carol.refused().contains("can't be delegated"), "{carol:?}");
    let nobody = run("nobody");
    assert!(nobody.refused().contains("does not know this person"), "{nobody:?}");
}

#[test]
fn three_hundred_kilobytes_of_output_arrive_whole() {
    for https in [false, true] {
        let lab = Lab::with().settings(|settings| settings.https = https).run();
        let text = lab.job("pypsrp-cmd", "alice").command("lab-output 300000").run().expect("output");
        assert_eq!(text.len(), 300_000);
    }
}

#[test]
fn a_command_may_take_longer_than_its_operation_time_out() {
    let lab = Lab::with().run();
    for client in ["pypsrp-cmd", "pywinrm"] {
        let ran = lab.job(client, "alice").operation_timeout(1).command("lab-wait 3").run();
        assert!(ran.seconds >= 3.0, "{ran:?}");
        assert_eq!(ran.expect("a long command"), "waited", "{client}");
    }
}

#[test]
fn standard_input_reaches_the_command() {
    let lab = Lab::with().run();
    let input = lab.dir.path().join("input");
    std::fs::write(&input, "first line\nsecond line\n").expect("input");
    let text = lab.job("pypsrp-cmd", "alice").command("lab-cat").stdin(&input).run().expect("input");
    assert_eq!(text.replace('\r', ""), "first line\nsecond line");
}

#[test]
fn errors_and_exit_codes_come_back_as_they_are() {
    let lab = Lab::with().run();
    let ran = lab.job("pywinrm", "alice").command("lab-fail 7").run();
    assert_eq!((ran.rc, ran.stderr.trim()), (Some(7), "failed as asked"), "{ran:?}");
}

#[test]
fn two_connections_serve_one_shell() {
    let lab = Lab::with().run();
    let (mut one, mut two) = (lab.raw("alice"), lab.raw("alice"));
    let path = "/hosts/web01.corp.example/wsman";
    let shell = one.post(path, &envelope::create_shell()).expect("create");
    let shell = shell.element("ShellId").unwrap_or_else(|| panic!("{shell:?}")).to_owned();
    let command = one.post(path, &envelope::command(&shell, "lab-cat")).expect("command");
    let command = command.element("CommandId").expect("a command").to_owned();
    // One connection waits for output while the other delivers the input that produces it.
    let waiting = {
        let (path, text) = (path.to_owned(), envelope::receive(&shell, &command));
        std::thread::spawn(move || one.post(&path, &text).map(|answer| (one, answer)))
    };
    let sent = two.post(path, &envelope::send(&shell, &command, "aGVsbG8=")).expect("send");
    assert_eq!(sent.status, 200, "{sent:?}");
    let (mut one, answer) = waiting.join().expect("the other connection").expect("receive");
    assert!(answer.body.contains("aGVsbG8") || answer.status == 200, "{answer:?}");
    assert_eq!(one.post(path, &envelope::delete_shell(&shell)).expect("delete").status, 200);
}

#[test]
fn every_request_has_an_intent_and_an_outcome_under_one_id() {
    let mut lab = Lab::with().run();
    assert_eq!(whoami(&lab, "pypsrp-cmd", "alice"), "alice@CORP.EXAMPLE");
    let requests = lab.host.requests().len();
    let outcomes = lab.gateway.wait_for_records("outcome", requests);
    let intents = lab.gateway.records_of("intent");
    let ids = |records: &[serde_json::Value]| {
        let mut ids: Vec<String> = records.iter().map(|record| record["id"].to_string()).collect();
        ids.sort();
        ids.dedup();
        ids
    };
    assert_eq!(intents.len(), requests, "one intent for each request that the host saw");
    assert_eq!(ids(&intents), ids(&outcomes));
    for record in &intents {
        for (key, wanted) in [
            ("principal", "alice@CORP.EXAMPLE"),
            ("identity_there", "alice@CORP.EXAMPLE"),
            ("route", "web"),
            ("rule", "everybody"),
            ("method", "certificate"),
            ("spn", "HTTP/web01.corp.example"),
            ("credential", "s4u"),
        ] {
            assert_eq!(record[key], wanted, "{record}");
        }
    }
    let operations: Vec<&str> = intents.iter().filter_map(|record| record["operation"].as_str()).collect();
    assert!(operations.first().is_some_and(|first| first.contains("create")), "{operations:?}");
    assert!(outcomes.iter().all(|record| record["result"] == "succeeded"), "{outcomes:?}");
    assert!(outcomes.iter().any(|record| record["exit_code"] == 0), "{outcomes:?}");
}

#[test]
fn identity_headers_of_a_client_reach_nobody() {
    let lab = Lab::with().run();
    let mut raw = lab.raw("alice");
    let headers = "X-Remote-User: Administrator\r\nX-Forwarded-Client-Cert: x\r\nVia: 1.1 x\r\nCookie: MS-WSMAN=1\r\n\
                   Connection: keep-alive, X-Gateway-User, Authorization\r\nX-Gateway-User: root\r\n";
    let answer = raw
        .post_with("/hosts/web01.corp.example/wsman?PSVersion=5.1.1", headers, &envelope::get_config())
        .expect("an answer");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.contains("alice@CORP.EXAMPLE"), "{answer:?}");
    let requests = lab.host.requests();
    let request = requests.last().expect("a request");
    let mut names: Vec<String> = request["headers"]
        .as_array()
        .expect("headers")
        .iter()
        .filter_map(|header| header[0].as_str().map(str::to_ascii_lowercase))
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["accept-encoding", "connection", "content-length", "content-type", "host", "user-agent"],
        "threat 1 to 3: the head is an allow-list"
    );
    assert_eq!(request["path"], "/wsman?PSVersion=5.1.1");
}

#[test]
fn a_long_answer_in_several_envelopes_is_passed_on_as_it_comes() {
    let lab = Lab::with().misbehave(Misbehave("chunked")).run();
    let mut raw = lab.raw("alice");
    let operation = "<p:OperationID xmlns:p=\"http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd\">uuid:1</p:OperationID></s:Header>";
    let text = envelope::get_config().replace("</s:Header>", operation);
    let answer = raw.post("/hosts/web01.corp.example/wsman", &text).expect("an answer");
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"), "{answer:?}");
    assert!(answer.body.matches("Envelope>").count() > 1, "{answer:?}");
}

#[test]
fn a_stopped_gateway_ends_what_is_under_way_and_goes() {
    let mut lab = Lab::with().run();
    let mut raw: Raw = lab.raw("alice");
    assert_eq!(
        raw.post("/hosts/web01.corp.example/wsman", &envelope::get_config()).expect("an answer").status,
        200
    );
    let status = lab.gateway.stop();
    assert!(status.success(), "{status}: {}", lab.gateway.log());
    assert!(raw.is_closed());
}
