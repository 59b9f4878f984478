//! The lab itself: real clients straight to the emulated host, without the gateway. What fails here is a fault of the lab.
#![expect(clippy::expect_used, reason = "a test that can't set up what it needs must fail")]

mod support;

use std::{
    io::{Read as _, Write as _},
    path::Path,
};

use support::{Host, Job, Misbehave, Pki, Realm, host::Wanted};

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
