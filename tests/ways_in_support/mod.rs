//! A lab whose gateway takes every way in, and a client in Python that speaks each of them.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::support::{self, Gateway, Host, Misbehave, Pki, Realm, Settings, host::Wanted, python, root};

/// What a test changes.
#[derive(Clone)]
pub struct Ways {
    /// The methods of the route `/in/{host}/wsman`.
    pub accept: &'static str,
    /// The same of a second route, `/other/{host}/wsman`.
    pub other: &'static str,
    /// Under `service`, as YAML with two spaces in front.
    pub service: String,
    /// `service.auth.cbt_hardening_level`.
    pub cbt: &'static str,
    /// More at the top level.
    pub more: String,
    /// Options for the realm.
    pub realm: Vec<&'static str>,
    /// A rule that the host breaks.
    pub misbehave: Option<&'static str>,
    /// Whether the gateway knows accounts of its own.
    pub local: bool,
    /// Whether there is no plain HTTP listener on a network: Basic is refused at load where there is one.
    pub closed: bool,
}

impl Default for Ways {
    fn default() -> Self {
        Self {
            accept: "[kerberos]",
            other: "[certificate]",
            service: String::new(),
            cbt: "relaxed",
            more: String::new(),
            realm: Vec::new(),
            misbehave: None,
            local: false,
            closed: false,
        }
    }
}

/// A realm, a host and a gateway with listeners of each kind.
pub struct InLab {
    pub gateway: Gateway,
    pub host: Host,
    pub realm: Realm,
    pub pki: Pki,
    /// A plain HTTP listener on all addresses.
    pub open: u16,
    /// A plain HTTP listener on loopback.
    pub loopback: u16,
    pub dir: tempfile::TempDir,
}

/// The NT hash of `Passw0rd!`.
pub const NT_HASH: &str = "fc525c9683e8fe067095ba2ddc971889";
pub const PASSWORD: &str = "Passw0rd!";
pub const HOST: &str = "web01.corp.example";

impl InLab {
    pub fn start(ways: &Ways) -> Self {
        let dir = tempfile::Builder::new().prefix("wg-in-").tempdir().expect("a temporary directory");
        let realm = Realm::mit(&dir.path().join("realm"), &ways.realm);
        let pki = Pki::new(&dir.path().join("pki"));
        let names: Vec<String> = (1..=5).map(|number| format!("web{number:02}.corp.example")).collect();
        let wanted = Wanted { names, keytab: realm.keytab("hosts"), misbehave: ways.misbehave.map(Misbehave) };
        let host = Host::start(&dir.path().join("host"), &realm, &pki, &wanted);
        let (open, loopback) = (port(), port());
        let settings = Settings {
            listeners: format!(
                "  - {{ name: open, address: \"{}:{open}\", transport: http, names: [gw.corp.example] }}\n  \
                   - {{ name: loopback, address: \"127.0.0.1:{loopback}\", transport: http, names: [gw.corp.example] }}\n",
                if ways.closed { "127.0.0.1" } else { "0.0.0.0" }
            ),
            routes: route("in", "/in", ways.accept) + &route("other", "/other", ways.other),
            ..Settings::default()
        };
        let gateway_dir = dir.path().join("gateway");
        fs::create_dir_all(gateway_dir.join("gateway.d")).expect("a directory");
        let service = service(dir.path(), &realm, ways);
        fs::write(gateway_dir.join("gateway.d/in.yaml"), service + &ways.more).expect("a file");
        let gateway = Gateway::start(&gateway_dir, &realm, &pki, &host, &settings);
        Self { gateway, host, realm, pki, open, loopback, dir }
    }

    /// Where a client finds the gateway, with what else it must know.
    pub fn at(&self, listener: Listener) -> Value {
        let (scheme, port) = match listener {
            Listener::Tls => ("https", self.gateway.port),
            Listener::Open => ("http", self.open),
            Listener::Loopback => ("http", self.loopback),
        };
        json!({
            "url": format!("{scheme}://gw.corp.example:{port}/in/{HOST}/wsman"),
            "other_url": format!("{scheme}://gw.corp.example:{port}/other/{HOST}/wsman"),
            "ca": self.pki.ca_file(),
            "user": "alice@CORP.EXAMPLE",
            "password": PASSWORD,
            "hostname": "gw.corp.example",
            "service": "HTTP",
        })
    }

    /// Runs one case of the client in Python; `options` win over those of `at`.
    pub fn run(&self, case: &str, listener: Listener, options: &Value) -> Value {
        self.run_under(&["env"], case, listener, options)
    }

    /// The same under another command.
    pub fn run_under(&self, under: &[&str], case: &str, listener: Listener, options: &Value) -> Value {
        let mut all = self.at(listener);
        let (Value::Object(all_map), Value::Object(more)) = (&mut all, options) else { panic!("maps") };
        all_map.extend(more.clone());
        let (first, rest) = under.split_first().expect("a command");
        let output = Command::new(first)
            .args(rest)
            .arg(python())
            .arg(root().join("tests/ways_in_support/client.py"))
            .arg(case)
            .arg(all.to_string())
            .env("KRB5_CONFIG", self.realm.krb5_conf())
            .env("KRB5CCNAME", format!("FILE:{}", self.dir.path().join("client-ccache").display()))
            .env("KRB5_CLIENT_KTNAME", format!("FILE:{}", self.realm.keytab("alice").display()))
            .output()
            .expect("the client");
        let text = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(text.lines().last().unwrap_or_default())
            .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)))
    }

    /// The last outcome, once there are `count`.
    pub fn outcome(&mut self, count: usize) -> Value {
        self.gateway.wait_for_records("outcome", count).last().cloned().expect("an outcome")
    }

    /// The reasons of all outcomes, once there are `count`.
    pub fn reasons(&mut self, count: usize) -> Vec<String> {
        let outcomes = self.gateway.wait_for_records("outcome", count);
        outcomes.iter().map(|outcome| outcome["reason"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Requires that the last of `count` requests was refused for `reason`, and that no byte reached a host.
    pub fn refused(&mut self, count: usize, reason: &str) -> Value {
        let outcome = self.outcome(count);
        assert_eq!(outcome["reason"], reason, "{outcome}\n{}", self.gateway.log());
        assert_eq!(self.host.connections(), 0, "a host was dialled: {outcome}");
        outcome
    }
}

/// Where a client connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    Tls,
    Open,
    Loopback,
}

/// A free port below those that the system gives to outgoing connections, so that nothing takes it before the gateway does.
fn port() -> u16 {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(53) + NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let port = u16::try_from(10_000 + number % 20_000).expect("below 30,000");
        if std::net::TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}

fn route(name: &str, path: &str, accept: &str) -> String {
    format!(
        "  - name: {name}\n    match: {{ path: \"{path}/{{host}}/wsman\" }}\n    hosts: [\"*.DOMAIN\"]\n    networks: [127.0.0.0/8]\n    \
           accept: {accept}\n    backend: {{ url: \"http://{{host}}:PORT/wsman\", auth: kerberos, credential: {{ s4u: delegation }} }}\n    \
           rules: [{{ name: everybody, who: {{ principals: [\"*@REALM\"] }}, allow: [read, write, execute] }}]\n"
    )
}

fn service(dir: &Path, realm: &Realm, ways: &Ways) -> String {
    let keytab = joined(dir, realm, &["gw", "hosts"]);
    let local = if ways.local {
        let accounts = dir.join("ntlm-accounts");
        fs::write(&accounts, format!("runner:{NT_HASH}\nlocal:{NT_HASH}\n")).expect("a file");
        private(&accounts);
        format!(
            "  ntlm_accounts: {{ file: {}, realm: GW01, principals: {{ runner: alice@CORP.EXAMPLE }} }}\n",
            accounts.display()
        )
    } else {
        String::new()
    };
    format!(
        "service:\n  auth: {{ certificate: true, basic: true, cbt_hardening_level: {} }}\n  keytab: {}\n{local}{}",
        ways.cbt,
        keytab.display(),
        ways.service
    )
}

/// One keytab of several: they are a head of two bytes and entries.
fn joined(dir: &Path, realm: &Realm, names: &[&str]) -> PathBuf {
    let mut all = vec![5, 2];
    for name in names {
        all.extend_from_slice(fs::read(realm.keytab(name)).expect("a keytab").get(2..).expect("entries"));
    }
    let path = dir.join("service.keytab");
    fs::write(&path, all).expect("a keytab");
    private(&path);
    path
}

fn private(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("a mode");
}

/// From now on, and until the test ends, what connects to `from` reaches `to`.
pub fn forward(from: u16, to: u16) {
    let listener = std::net::TcpListener::bind(("127.0.0.1", from)).expect("a port");
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = std::net::TcpStream::connect(("127.0.0.1", to)).expect("the other end");
            for (mut one, mut two) in [(&client, &server), (&server, &client)]
                .map(|(one, two)| (one.try_clone().expect("a clone"), two.try_clone().expect("a clone")))
            {
                std::thread::spawn(move || std::io::copy(&mut one, &mut two));
            }
        }
    });
}
