//! Builder verbs for the tests that need the real thing: a KDC, an emulated Windows host, the gateway's own binary, real clients.
//!
//! Everything lives below one temporary directory, listens on loopback, and ends with the value that stands for it. A tool that is
//! missing is a panic with its name, never a test that passes.
#![expect(clippy::expect_used, clippy::panic, reason = "a test that can't set up what it needs must fail")]
#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test uses a part of it")]

pub mod client;
pub mod examples;
pub mod gateway;
pub mod host;
pub mod pki;
pub mod process;
pub mod raw;
pub mod realm;

use std::path::{Path, PathBuf};

pub use self::{
    client::{Job, Ran},
    gateway::{Gateway, Settings},
    host::{Host, Misbehave},
    pki::{Issued, Person, Pki},
    raw::{Answer, Raw, envelope},
    realm::Realm,
};

/// A realm, certificates, one Windows host and a gateway in front of it.
pub struct Lab {
    pub gateway: Gateway,
    pub host: Host,
    pub realm: Realm,
    pub pki: Pki,
    pub dir: tempfile::TempDir,
}

/// What a lab should be.
pub struct LabBuilder {
    dir: tempfile::TempDir,
    pki: Pki,
    settings: Settings,
    misbehave: Option<Misbehave>,
    realm_arguments: Vec<String>,
    names: Vec<String>,
    https: bool,
    host_key: Option<String>,
    certificate_names: Option<Vec<String>>,
}

impl Lab {
    /// A lab with one route by path to `web01` to `web05.corp.example` over HTTP.
    pub fn with() -> LabBuilder {
        let dir = tempfile::Builder::new().prefix("wg-").tempdir().expect("a temporary directory");
        LabBuilder {
            pki: Pki::new(&dir.path().join("pki")),
            dir,
            settings: Settings::default(),
            misbehave: None,
            realm_arguments: Vec::new(),
            names: (1..=5).map(|number| format!("web{number:02}.corp.example")).collect(),
            https: false,
            host_key: None,
            certificate_names: None,
        }
    }

    /// The URL of a host by the path route.
    pub fn url(&self, host: &str) -> String {
        format!("https://gw.corp.example:{}/hosts/{host}/wsman", self.gateway.port)
    }

    /// A raw connection to the gateway as `person`.
    pub fn raw(&self, person: &str) -> Raw {
        let issued = self.pki.person(person);
        Raw::connect(self.gateway.port, "gw.corp.example", &self.pki.ca_file(), Some(&issued))
            .expect("a connection")
    }

    /// A job for a real client as `person`, through the gateway to web01.
    pub fn job(&self, client: &str, person: &str) -> Job {
        Job::new(client, &self.url("web01.corp.example"))
            .certificate(&self.pki.person(person))
            .ca(&self.pki.ca_file())
            .resolve("gw.corp.example", self.gateway.port)
    }
}

impl LabBuilder {
    /// Changes what the gateway's configuration says.
    pub fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Changes the configuration by what the authority issues.
    pub fn pki(mut self, change: impl FnOnce(&Pki, &mut Settings)) -> Self {
        change(&self.pki, &mut self.settings);
        self
    }

    /// Has the host break a rule.
    pub fn misbehave(mut self, how: Misbehave) -> Self {
        self.misbehave = Some(how);
        self
    }

    /// Has the gateway reach the host over HTTPS.
    pub fn https(mut self) -> Self {
        self.https = true;
        self
    }

    /// More for the realm: `--users N`, `--hosts N`.
    pub fn realm(mut self, arguments: &[&str]) -> Self {
        self.realm_arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// More names for the host.
    pub fn names(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.names.extend(names);
        self
    }

    /// Has the host accept with the keys of another service.
    pub fn host_key(mut self, keytab: &str) -> Self {
        self.host_key = Some(keytab.to_owned());
        self
    }

    /// Has the host's certificate say other names than those that it is called by.
    pub fn host_names_in_certificate(mut self, names: &[&str]) -> Self {
        self.certificate_names = Some(names.iter().map(|name| (*name).to_owned()).collect());
        self
    }

    /// Starts all of it.
    pub fn run(self) -> Lab {
        let (dir, pki) = (self.dir, self.pki);
        let arguments: Vec<&str> = self.realm_arguments.iter().map(String::as_str).collect();
        let realm = Realm::mit(&dir.path().join("realm"), &arguments);
        let keytab = realm.keytab(self.host_key.as_deref().unwrap_or("hosts"));
        let wanted = host::Wanted { names: self.names, keytab, misbehave: self.misbehave };
        let certificate_names = self.certificate_names.as_ref().unwrap_or(&wanted.names);
        let issued = pki.server("host", &certificate_names.iter().map(String::as_str).collect::<Vec<_>>());
        let host = Host::start_with(&dir.path().join("host"), &realm, &issued, &wanted);
        let mut settings = self.settings;
        settings.https |= self.https;
        let gateway = Gateway::start(&dir.path().join("gateway"), &realm, &pki, &host, &settings);
        Lab { gateway, host, realm, pki, dir }
    }
}

/// The checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Python that has the real clients, put there by `tests/lab/install.sh`.
pub fn python() -> PathBuf {
    let python = root().join("target/lab/venv/bin/python");
    assert!(python.exists(), "{} is missing: run `make install`", python.display());
    python
}

/// A TCP port that nobody listens on just now.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}
