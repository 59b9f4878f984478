//! The program as its operator meets it: how it refuses to start, takes a new configuration, keeps secrets, and ends.
#![expect(clippy::expect_used, reason = "a test that can't set up what it needs must fail")]

mod support;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use support::{Lab, envelope};

const WEB01: &str = "/hosts/web01.corp.example/wsman";

fn gateway(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_winrm-gateway")).args(arguments).output().expect("the program runs")
}

/// What the program says when it is to serve the lab's configuration with `change` made to its text.
fn serve_changed(lab: &Lab, change: impl FnOnce(String) -> String) -> (Option<i32>, String) {
    let text = fs::read_to_string(&lab.gateway.config).expect("the configuration");
    let file = lab.dir.path().join("changed.yaml");
    let changed = change(text.clone());
    assert_ne!(changed, text, "nothing was changed");
    fs::write(&file, changed).expect("a changed configuration");
    let output = Command::new(env!("CARGO_BIN_EXE_winrm-gateway"))
        .args(["serve", "--config"])
        .arg(&file)
        .env("KRB5_CONFIG", lab.realm.krb5_conf())
        .output()
        .expect("the program runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The line, counted from 1, on which `needle` stands in the lab's configuration.
fn line_of(lab: &Lab, needle: &str) -> usize {
    let text = fs::read_to_string(&lab.gateway.config).expect("the configuration");
    text.lines().position(|line| line.contains(needle)).expect("the line") + 1
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_configuration_that_can_not_be_served_is_refused_with_its_line_and_key() {
    let lab = Lab::with().run();
    let keytab = lab.realm.keytab("svc-gw").display().to_string();
    let other = lab.realm.keytab("web01").display().to_string();
    let certificate = lab.pki.issued("gateway").certificate.display().to_string();
    let garbage = lab.dir.path().join("garbage.pem");
    fs::write(&garbage, "no certificate\n").expect("a file");
    let open = lab.dir.path().join("open.keytab");
    fs::copy(&keytab, &open).expect("a copy");
    fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("a mode");
    let cases: Vec<(&str, String, String, usize, &str)> = vec![
        (
            "an unknown key",
            "auth: kerberos".to_owned(),
            "auht: kerberos".to_owned(),
            line_of(&lab, "auth: kerberos"),
            "auht",
        ),
        (
            "a keytab that is not there",
            keytab.clone(),
            "/nowhere/svc.keytab".to_owned(),
            line_of(&lab, &keytab),
            "keytab",
        ),
        (
            "a keytab of another principal",
            keytab.clone(),
            other,
            line_of(&lab, &keytab),
            "svc-gw@CORP.EXAMPLE",
        ),
        (
            "a keytab that others can read",
            keytab.clone(),
            open.display().to_string(),
            line_of(&lab, &keytab),
            "chmod",
        ),
        (
            "an IP address without an spn",
            "spn: \"HTTP/{host}\"".to_owned(),
            "spn: \"HTTP/10.0.0.1\"".to_owned(),
            line_of(&lab, "spn: \"HTTP/{host}\""),
            "spn",
        ),
        (
            "a host without a list",
            "hosts: [\"*.corp.example\"]".to_owned(),
            "hosts: []".to_owned(),
            line_of(&lab, "hosts: [\"*.corp.example\"]"),
            "hosts",
        ),
        (
            "an account that is not there",
            "{ s4u: delegation }".to_owned(),
            "{ s4u: nobody }".to_owned(),
            line_of(&lab, "s4u: delegation"),
            "nobody",
        ),
        (
            "a method that is not switched on",
            "accept: [certificate]".to_owned(),
            "accept: [basic]".to_owned(),
            line_of(&lab, "accept: [certificate]"),
            "accept",
        ),
    ];
    for (what, from, to, line, names) in cases {
        let (code, text) = serve_changed(&lab, |config| config.replacen(&from, &to, 1));
        assert_eq!(code, Some(78), "{what}: {text}");
        assert!(
            text.contains(&format!("changed.yaml:{line}:")),
            "{what} is not said to be on line {line}: {text}"
        );
        assert!(text.contains(names), "{what}: {text}");
    }
    let (code, text) =
        serve_changed(&lab, |config| config.replacen(&certificate, &garbage.display().to_string(), 1));
    assert_eq!(code, Some(78), "{text}");
    assert!(text.contains("garbage.pem"), "{text}");
}

#[test]
fn an_address_in_use_is_said_to_be_with_what_to_do() {
    let lab = Lab::with().run();
    let (code, text) = serve_changed(&lab, |config| config.replace(&lab.gateway.admin.to_string(), "1"));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("in use") && text.contains("ss -ltn"), "{text}");
}

#[test]
fn every_file_in_config_is_accepted_and_a_missing_one_is_not() {
    let mut checked = 0;
    for entry in fs::read_dir(support::root().join("config")).expect("config/") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let output = gateway(&["check", "--syntax", "--config", &path.display().to_string()]);
            assert!(
                output.status.success(),
                "{}: {}",
                path.display(),
                String::from_utf8_lossy(&output.stderr)
            );
            assert!(String::from_utf8_lossy(&output.stdout).contains(": ok, "), "{}", path.display());
            checked += 1;
        }
    }
    assert!(checked >= 4, "{checked} files");
    let output = gateway(&["check", "--syntax", "--config", "/nowhere/gateway.yaml"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere/gateway.yaml"), "{output:?}");
}

#[test]
fn a_rule_that_is_taken_away_no_longer_holds_on_a_connection_that_is_open() {
    let mut lab = Lab::with().run();
    let mut raw = lab.raw("alice");
    assert_eq!(raw.post(WEB01, &envelope::get_config()).expect("an answer").status, 200);
    let text = fs::read_to_string(&lab.gateway.config).expect("the configuration");
    fs::write(&lab.gateway.config, text.replace("*@CORP.EXAMPLE", "bob@CORP.EXAMPLE"))
        .expect("a new configuration");
    reload(&mut lab, "Configuration was read again");
    let answer = raw.post(WEB01, &envelope::get_config()).expect("an answer");
    assert_eq!(answer.status, 500, "{answer:?}");
    assert_eq!(lab.raw("bob").post(WEB01, &envelope::get_config()).expect("an answer").status, 200);
    let outcomes = lab.gateway.records_of("outcome");
    assert!(outcomes.iter().any(|outcome| outcome["reason"] == "no_rule"), "{outcomes:?}");
}

#[test]
fn threat_59_a_request_under_way_ends_when_its_rule_is_taken_away() {
    let mut lab = Lab::with().misbehave(support::Misbehave("never-answer")).run();
    let mut raw = lab.raw("alice");
    let waiting = std::thread::spawn(move || {
        raw.post(WEB01, &envelope::get_config().replace("PT20S", "PT300S")).expect("an answer")
    });
    lab.gateway.wait_for_records("intent", 1);
    let text = fs::read_to_string(&lab.gateway.config).expect("the configuration");
    fs::write(&lab.gateway.config, text.replace("*@CORP.EXAMPLE", "bob@CORP.EXAMPLE")).expect("a new one");
    reload(&mut lab, "Configuration was read again");
    let answer = waiting.join().expect("the waiting client");
    assert!(answer.status == 500 && answer.body.contains("no longer permitted"), "{answer:?}");
    let outcomes = lab.gateway.wait_for_records("outcome", 1);
    let reasons: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.get("reason")).collect();
    assert_eq!(reasons, ["no_longer_permitted"], "{outcomes:?}");
}

#[test]
fn a_request_under_way_goes_on_when_the_new_configuration_permits_it_too() {
    let mut lab = Lab::with().run();
    let job = lab.job("pywinrm", "alice").command("lab-wait 3");
    let waiting = std::thread::spawn(move || job.run());
    lab.gateway.wait_for_records("intent", 3);
    reload(&mut lab, "Configuration was read again");
    assert_eq!(waiting.join().expect("the client").expect("a long command"), "waited");
}

#[test]
fn threat_57_a_broken_configuration_leaves_the_former_one_in_force() {
    let mut lab = Lab::with().run();
    fs::write(&lab.gateway.config, "listeners: [").expect("a broken configuration");
    reload(&mut lab, "the former one stays in force");
    assert_eq!(lab.raw("alice").post(WEB01, &envelope::get_config()).expect("an answer").status, 200);
    assert!(lab.gateway.metric("winrm_gateway_config_reloads_total", "outcome=\"failed\"") >= 1.0);
}

/// Has the gateway read its configuration again and waits until its log says `sentence`.
fn reload(lab: &mut Lab, sentence: &str) {
    lab.gateway.signal("HUP");
    lab.gateway.wait_for_log(sentence);
}

#[test]
fn a_certificate_that_is_revoked_on_disk_no_longer_counts_on_a_connection_that_is_open() {
    let crl = std::cell::OnceCell::new();
    let mut lab = Lab::with()
        .pki(|pki, settings| {
            let list = pki.crl(&[]);
            settings.crls = vec![list.clone()];
            crl.set(list).expect("once");
        })
        .run();
    let mut raw = lab.raw("alice");
    assert_eq!(raw.post(WEB01, &envelope::get_config()).expect("an answer").status, 200);
    lab.pki.crl(&[100]);
    lab.gateway.wait_for_log("revocation lists were read again");
    let answer = raw.post(WEB01, &envelope::get_config()).expect("an answer");
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(raw.is_closed(), "a revoked client keeps its connection");
    assert!(
        support::Raw::connect(
            lab.gateway.port,
            "gw.corp.example",
            &lab.pki.ca_file(),
            Some(&lab.pki.person("alice"))
        )
        .and_then(|mut raw| raw.post(WEB01, &envelope::get_config()))
        .is_err()
    );
}

#[test]
fn threat_60_what_is_secret_appears_in_no_output() {
    let mut lab = Lab::with().run();
    let canary = "Y2FuYXJ5OmNhbmFyeS1wYXNzd29yZA==";
    for header in ["Basic", "Negotiate", "Kerberos", "Digest"] {
        let header = format!("Authorization: {header} {canary}\r\nCookie: session=canary-cookie\r\n");
        lab.raw("alice").post_with(WEB01, &header, &envelope::get_config()).expect("an answer");
    }
    lab.raw("alice").post(WEB01, &envelope::get_config()).expect("an answer");
    lab.gateway.wait_for_records("outcome", 5);
    let audit = fs::read_to_string(&lab.gateway.audit).expect("the log");
    let metrics = lab.gateway.admin("/metrics").1;
    for text in [audit, metrics, lab.gateway.log()] {
        assert!(!text.is_empty());
        for secret in [canary, "canary-password", "canary-cookie"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    let limits = fs::read_to_string(format!("/proc/{}/limits", lab.gateway.pid())).expect("limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("the limit");
    assert!(core.split_whitespace().any(|word| word == "0"), "{core}");
}

#[test]
fn help_and_wrong_arguments_say_what_there_is() {
    let help = String::from_utf8_lossy(&gateway(&["--help"]).stdout).into_owned();
    for word in ["serve", "check", "probe", "Exit codes:", "KRB5_CONFIG", "gateway.d"] {
        assert!(help.contains(word), "{word} is missing in {help}");
    }
    assert_eq!(gateway(&["sevre"]).status.code(), Some(2));
    assert!(gateway(&["--version"]).status.success());
}

#[test]
fn a_probe_tells_readiness_by_its_exit_code() {
    let lab = Lab::with().run();
    let ready = format!("http://127.0.0.1:{}/readyz", lab.gateway.admin);
    lab.gateway.await_ready();
    assert!(gateway(&["probe", "--url", &ready]).status.success());
    lab.realm.stop_kdc();
    assert!(Path::new(&lab.gateway.config).exists());
    let nobody = format!("http://127.0.0.1:{}/readyz", support::free_port());
    assert_eq!(gateway(&["probe", "--url", &nobody]).status.code(), Some(1));
}
