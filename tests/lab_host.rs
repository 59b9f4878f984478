//! The lab itself: real clients straight to the emulated host, without the gateway. What fails here is a fault of the lab.
#![expect(clippy::expect_used, clippy::panic, reason = "a test that can't set up what it needs must fail")]

mod support;

use std::{
    io::{Read as _, Write as _},
    path::Path,
};

use support::{
    Host, Job, Misbehave, Pki, Ran, Realm,
    examples::{self, Workplace},
    host::{HostBuilder, Wanted},
};

/// A realm and a host, and nothing between them and the client.
struct Direct {
    host: Host,
    pki: Pki,
    realm: Realm,
    name: String,
    dir: tempfile::TempDir,
}

impl Direct {
    fn start(realm: fn(&Path) -> Realm, misbehave: Option<Misbehave>) -> Self {
        Self::start_with(realm, "hosts", misbehave)
    }

    fn start_with(realm: fn(&Path) -> Realm, keytab: &str, misbehave: Option<Misbehave>) -> Self {
        let dir = tempfile::Builder::new().prefix("wg-").tempdir().expect("a temporary directory");
        let realm = realm(&dir.path().join("realm"));
        let pki = Pki::new(&dir.path().join("pki"));
        let name = format!("web01.{}", realm.name.to_ascii_lowercase());
        let wanted = Wanted { names: vec![name.clone()], keytab: realm.keytab(keytab), misbehave };
        let host = Host::start(&dir.path().join("host"), &realm, &pki, &wanted);
        Self { host, pki, realm, name, dir }
    }

    fn mit() -> Self {
        Self::start(|dir| Realm::mit(dir, &[]), None)
    }

    fn active_directory() -> Self {
        Self::start(Realm::active_directory, None)
    }

    fn job(&self, client: &str, scheme: &str, person: &str) -> Job {
        let port = if scheme == "https" { self.host.https } else { self.host.http };
        Job::new(client, &format!("{scheme}://{}:{port}/wsman", self.name))
            .kerberos(&self.realm, person)
            .ca(&self.pki.ca_file())
            .resolve(&self.name, port)
    }

    /// Every pair of client and transport.
    fn each(&self, clients: &[&str], mut check: impl FnMut(Job, &str)) {
        for client in clients {
            for scheme in ["http", "https"] {
                check(self.job(client, scheme, "alice"), &format!("{client} {scheme}"));
            }
        }
    }
}

const COMMANDS: &[&str] = &["pypsrp-cmd", "pywinrm"];

#[test]
fn both_realms_know_everybody_by_every_client_and_transport() {
    for lab in [Direct::mit(), Direct::active_directory()] {
        lab.each(&["pypsrp-cmd", "pypsrp-ps", "pywinrm", "pywinrm-ps"], |job, what| {
            let seen = job.command("whoami").run().expect(what);
            assert_eq!(seen, format!("alice@{}", lab.realm.name), "{what}");
        });
        let bob = lab
            .job("pypsrp-ps", "http", "bob")
            .script("whoami; \"on $env:COMPUTERNAME\"")
            .run()
            .expect("bob");
        assert_eq!(bob, format!("bob@{}\non {}", lab.realm.name, lab.name));
        let inside_spnego =
            lab.job("pypsrp-cmd", "https", "alice").with("--auth", "negotiate").command("whoami").run();
        assert_eq!(inside_spnego.expect("SPNEGO"), format!("alice@{}", lab.realm.name));
        for request in
            lab.host.requests().iter().filter(|request| request["tls"] == false && request["status"] == 200)
        {
            assert_eq!(request["sealed"], true, "{request}");
        }
    }
}

#[test]
fn commands_have_input_output_errors_and_time() {
    let lab = Direct::mit();
    let input = lab.dir.path().join("input");
    std::fs::write(&input, "first line\nsecond line\n").expect("input");
    lab.each(COMMANDS, |job, what| {
        assert_eq!(
            job.command("lab-cat").stdin(&input).run().expect(what),
            "first line\nsecond line",
            "{what}"
        );
    });
    lab.each(COMMANDS, |job, what| {
        assert_eq!(job.command("lab-output 300000").run().expect(what).len(), 300_000, "{what}");
    });
    lab.each(COMMANDS, |job, what| {
        let ran = job.command("lab-fail 7").run();
        assert_eq!((ran.rc, ran.stderr.trim()), (Some(7), "failed as asked"), "{what}");
    });
    lab.each(COMMANDS, |job, what| {
        let ran = job.command("echo from a process; id >&2; exit 3").run();
        assert_eq!((ran.rc, ran.stdout.trim()), (Some(3), "from a process"), "{what}: {ran:?}");
    });
    lab.each(&["pypsrp-cmd", "pywinrm", "pypsrp-ps"], |job, what| {
        let ran = job.operation_timeout(1).command("lab-wait 2").run();
        assert!(ran.seconds >= 2.0, "{what}: {ran:?}");
        assert_eq!(ran.expect(what), "waited", "{what}");
    });
    let script = lab
        .job("pypsrp-ps", "http", "alice")
        .script("lab-output 300000; Write-Error 'oh no'; throw 'the end'")
        .run();
    assert_eq!((script.stdout.trim().len(), script.rc), (300_000, Some(1)), "{:?}", script.stderr);
}

#[test]
fn the_host_is_as_strict_as_windows() {
    let lab = Direct::mit();
    let exchange = |headers: &str, body: &str| {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", lab.host.http)).expect("a connection");
        write!(
            stream,
            "POST /wsman HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    };
    let challenge = exchange("", "<clear/>");
    assert!(challenge.starts_with("HTTP/1.1 401 \r\n"), "{challenge}");
    assert!(
        challenge.contains("WWW-Authenticate: Negotiate\r\nWWW-Authenticate: Kerberos\r\n"),
        "{challenge}"
    );
    let sealed = exchange(
        "Content-Type: multipart/encrypted;protocol=\"x\";boundary=\"Encrypted Boundary\"\r\n",
        "sealed",
    );
    assert!(sealed.starts_with("HTTP/1.1 400 \r\n"), "{sealed}");
    // In clear over HTTP, although known.
    let clear = lab.job("pypsrp-cmd", "http", "alice").with("--encrypt", "never").command("whoami").run();
    assert!(clear.refused().contains("Code: 500"), "{clear:?}");
    let other_service =
        lab.job("pypsrp-cmd", "http", "alice").with("--service", "nosuch").command("whoami").run();
    assert!(other_service.refused().contains("not found"), "{other_service:?}");
    // pywinrm's first token over HTTPS is not bound to the channel.
    assert_eq!(
        lab.job("pywinrm", "https", "alice").command("whoami").run().expect("pywinrm"),
        "alice@CORP.EXAMPLE"
    );
    let refused = lab.host.log().into_iter().filter(|entry| entry["event"] == "refused").collect::<Vec<_>>();
    assert!(refused.iter().any(|entry| entry["reason"].to_string().contains("not bound")), "{refused:?}");
}

#[test]
fn a_ticket_for_another_key_is_refused_in_words() {
    let lab = Direct::start_with(|dir| Realm::mit(dir, &[]), "web05", None);
    let ran = lab.job("pypsrp-cmd", "http", "alice").command("whoami").run();
    assert!(ran.refused().contains("Failed to authenticate"), "{ran:?}");
    let log = lab.host.log();
    assert!(log.iter().any(|entry| entry["reason"].to_string().contains("not found in keytab")), "{log:?}");
}

#[test]
fn a_client_notices_a_host_that_breaks_the_rules() {
    for mode in ["no-mutual", "wrong-mutual", "garbage", "reset-mid-body"] {
        let lab = Direct::start(|dir| Realm::mit(dir, &[]), Some(Misbehave(mode)));
        let ran = lab.job("pypsrp-cmd", "http", "alice").command("whoami").run();
        assert!(ran.error.is_some(), "{mode}: {ran:?}");
    }
}

/// A host of a workgroup: no realm, one built-in account and one more.
fn workgroup(
    dir: &Path,
    pki: &Pki,
    methods: &[&'static str],
    more: impl FnOnce(HostBuilder) -> HostBuilder,
) -> Host {
    let host = Host::called(["box01.lab.example"])
        .account("Administrator", "Local1!")
        .account("helpdesk", "Local2!");
    let host = methods.iter().fold(host, |host, method| host.method(method));
    more(host).start(dir, pki)
}

/// A job straight to a host of a workgroup.
fn to(host: &Host, pki: &Pki, client: &str, scheme: &str) -> Job {
    let port = if scheme == "https" { host.https } else { host.http };
    Job::new(client, &format!("{scheme}://box01.lab.example:{port}/wsman"))
        .ca(&pki.ca_file())
        .resolve("box01.lab.example", port)
        .command("lab-dump")
}

fn temporary() -> (tempfile::TempDir, Pki) {
    let dir = tempfile::Builder::new().prefix("wg-").tempdir().expect("a temporary directory");
    let pki = Pki::new(&dir.path().join("pki"));
    (dir, pki)
}

/// What `lab-dump` says: who, and by which method.
fn seen(ran: Ran, what: &str) -> (String, String) {
    let text = ran.expect(what);
    let facts: serde_json::Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{what}: {error}: {text}"));
    let field = |name: &str| facts[name].as_str().unwrap_or_default().to_owned();
    (field("identity"), field("method"))
}

#[test]
fn a_workgroup_host_knows_local_accounts_by_every_method() {
    let (dir, pki) = temporary();
    let host = workgroup(&dir.path().join("host"), &pki, &["ntlm", "basic", "digest"], |host| {
        host.certificates(&pki)
    });
    let administrator = r"BOX01\Administrator";
    for client in COMMANDS {
        for scheme in ["http", "https"] {
            let ran = to(&host, &pki, client, scheme).password("ntlm", administrator, "Local1!").run();
            assert_eq!(seen(ran, client), (administrator.to_owned(), "ntlm".to_owned()), "{client} {scheme}");
        }
        let ran = to(&host, &pki, client, "https").password("basic", "helpdesk", "Local2!").run();
        assert_eq!(seen(ran, client), (r"BOX01\helpdesk".to_owned(), "basic".to_owned()), "{client}");
        let ran = to(&host, &pki, client, "https").certificate(&pki.person("alice")).run();
        assert_eq!(seen(ran, client), (r"BOX01\alice".to_owned(), "certificate".to_owned()), "{client}");
        let wrong = to(&host, &pki, client, "https").password("basic", "helpdesk", "Local1!").run();
        assert!(wrong.error.is_some(), "{client}: {wrong:?}");
        let wrong = to(&host, &pki, client, "http").password("ntlm", administrator, "Local2!").run();
        assert!(wrong.error.is_some(), "{client}: {wrong:?}");
    }
    // Inside SPNEGO, sealed over TLS as well; and without a machine's name, which means this one.
    for (scheme, user) in [("http", administrator), ("https", administrator), ("https", "Administrator")] {
        let job = to(&host, &pki, "pypsrp-cmd", scheme).with("--encrypt", "always");
        let ran = job.password("negotiate", user, "Local1!").run();
        assert_eq!(seen(ran, user), (administrator.to_owned(), "ntlm".to_owned()), "{scheme} {user}");
    }
    let clear = to(&host, &pki, "pypsrp-cmd", "http").password("basic", "helpdesk", "Local2!").run();
    assert!(clear.refused().contains("Code: 500"), "in clear over HTTP: {clear:?}");
}

/// An Identify by curl with Digest: the body and what was said about it.
fn digest(host: &Host, pki: &Pki, password: &str) -> String {
    let identify = r#"<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header/><s:Body><i:Identify xmlns:i="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"/></s:Body></s:Envelope>"#;
    let mut command = std::process::Command::new("curl");
    command
        .args(["-si", "--digest", "-d", identify, "-u", &format!("Administrator:{password}"), "--cacert"])
        .arg(pki.ca_file());
    command.args(["--connect-to", &format!("box01.lab.example:{0}:127.0.0.1:{0}", host.https)]);
    command.arg(format!("https://box01.lab.example:{}/wsman", host.https));
    let output = command.output().expect("curl");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn digest_is_as_rfc_7616_says() {
    let (dir, pki) = temporary();
    for mode in [None, Some("digest-md5-only")] {
        let host = workgroup(&dir.path().join("host"), &pki, &["digest"], |host| match mode {
            Some(mode) => host.misbehave(Misbehave(mode)),
            None => host,
        });
        let answer = digest(&host, &pki, "Local1!");
        assert!(answer.contains("IdentifyResponse") && answer.contains("rspauth="), "{mode:?}: {answer}");
        let scheme = if mode.is_some() { "Digest MD5" } else { "Digest SHA-256" };
        assert!(host.requests().iter().any(|request| request["scheme"] == scheme), "{:?}", host.requests());
        assert!(!digest(&host, &pki, "wrong").contains("IdentifyResponse"), "{mode:?}");
    }
    for mode in ["digest-stale", "digest-unknown-algorithm", "digest-no-qop", "digest-auth-int"] {
        let host =
            workgroup(&dir.path().join("host"), &pki, &["digest"], |host| host.misbehave(Misbehave(mode)));
        assert!(!digest(&host, &pki, "Local1!").contains("IdentifyResponse"), "{mode}");
    }
}

#[test]
fn a_host_may_offer_less_than_it_should() {
    let (dir, pki) = temporary();
    for mode in ["offers-basic", "spnego-ntlm", "ntlm-weak"] {
        let host = workgroup(&dir.path().join("host"), &pki, &["ntlm", "basic"], |host| {
            host.misbehave(Misbehave(mode))
        });
        let ran = to(&host, &pki, "pypsrp-cmd", "https")
            .password("negotiate", r"BOX01\Administrator", "Local1!")
            .run();
        assert!(ran.error.is_some(), "{mode}: {ran:?}");
    }
}

#[test]
fn local_accounts_other_than_administrator_can_be_denied() {
    let (dir, pki) = temporary();
    let host = workgroup(&dir.path().join("host"), &pki, &["ntlm"], HostBuilder::filter_local_accounts);
    let ran = to(&host, &pki, "pypsrp-cmd", "http").password("ntlm", r"BOX01\helpdesk", "Local2!").run();
    assert_eq!(ran.fault_code, Some(5), "{ran:?}");
    let ran = to(&host, &pki, "pypsrp-cmd", "http").password("ntlm", r"BOX01\Administrator", "Local1!").run();
    assert_eq!(seen(ran, "Administrator").0, r"BOX01\Administrator");
}

#[test]
fn a_disconnected_pool_can_be_connected_from_elsewhere() {
    let lab = Direct::mit();
    let ran = lab.job("pypsrp-connect", "http", "alice").script("lab-wait 1; whoami").run();
    assert_eq!(ran.expect("connect"), "waited\nalice@CORP.EXAMPLE");
    let actions: Vec<String> =
        lab.host.requests().iter().map(|request| request["action"].to_string()).collect();
    assert!(actions.iter().any(|action| action.contains("/Connect")), "{actions:?}");
}

#[test]
fn every_example_for_clients_works_word_for_word() {
    let (dir, pki) = temporary();
    let realm = Realm::mit(&dir.path().join("realm"), &[]);
    let host = Host::called(["gw.corp.example", "web01.winrm.corp.example"])
        .kerberos(&realm, &realm.keytab("gw"))
        .method("ntlm")
        .method("basic")
        .certificates(&pki)
        .account("robot", examples::ROBOT)
        .account("alice@CORP.EXAMPLE", examples::PASSWORD)
        .url_prefix("hosts/web01.corp.example/wsman")
        .start(&dir.path().join("host"), &pki);
    let workplace = Workplace::new(&dir.path().join("work"), &pki, &realm, host.https);
    for (line, password, person) in examples::all() {
        if line == "sh curl.sh" {
            // This curl binds no token to its channel, and the host insists: the refusal is the host's, as it should be.
            assert!(workplace.run(&line, password).output.contains("401"), "{line}");
            continue;
        }
        workplace.run(&line, password).expect(person, &line);
    }
}
