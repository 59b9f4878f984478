//! The gateway's own binary, with a configuration written for one test.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::{Duration, Instant},
};

use super::{
    free_port,
    host::Host,
    pki::Pki,
    process::{Process, lines_after},
    realm::Realm,
};

/// What differs from the usual configuration; each is a piece of YAML.
#[derive(Clone)]
pub struct Settings {
    /// Whether hosts are reached over HTTPS.
    pub https: bool,
    /// `client_certificates.mode`.
    pub certificates: &'static str,
    /// Revocation lists.
    pub crls: Vec<PathBuf>,
    /// `backend.auth`.
    pub auth: &'static str,
    /// `backend.credential`.
    pub credential: &'static str,
    /// The rules of the route, as lines of a YAML list.
    pub rules: Vec<String>,
    /// `hosts` of the route.
    pub hosts: Vec<String>,
    /// `networks` of the route.
    pub networks: &'static str,
    /// More at the top level.
    pub more: String,
    /// More routes, as items of the YAML list with two spaces in front.
    pub routes: String,
    /// More listeners, likewise.
    pub listeners: String,
    /// The realm's name in lower case, and thus the domain of hosts and people.
    pub domain: &'static str,
    /// `web` for `web.corp.example`: another port than the host's own, for hosts that are down.
    pub port: Option<u16>,
    /// The principal and the keytab of the delegation account.
    pub account: (&'static str, &'static str),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            https: false,
            certificates: "optional",
            crls: Vec::new(),
            auth: "kerberos",
            credential: "{ s4u: delegation }",
            rules: vec![
                r#"{ name: everybody, who: { principals: ["*@REALM"] }, allow: [read, write, execute] }"#
                    .to_owned(),
            ],
            hosts: vec!["*.DOMAIN".to_owned()],
            networks: "[127.0.0.0/8]",
            more: String::new(),
            routes: String::new(),
            listeners: String::new(),
            domain: "corp.example",
            port: None,
            account: ("svc-gw", "svc-gw"),
        }
    }
}

/// A running gateway.
pub struct Gateway {
    process: Process,
    pub port: u16,
    pub admin: u16,
    pub config: PathBuf,
    pub audit: PathBuf,
}

impl Gateway {
    /// Writes the configuration, starts the gateway and waits until it listens.
    pub fn start(dir: &Path, realm: &Realm, pki: &Pki, host: &Host, settings: &Settings) -> Self {
        fs::create_dir_all(dir).expect("a directory for the gateway");
        let (port, admin) = (free_port(), free_port());
        let audit = dir.join("audit");
        let config = dir.join("gateway.yaml");
        let text = configuration(&Parts { port, admin, audit: &audit, realm, pki, host }, settings);
        fs::write(&config, text).expect("the configuration");
        let mut command = Command::new(env!("CARGO_BIN_EXE_winrm-gateway"));
        command.arg("serve").arg("--config").arg(&config).env("KRB5_CONFIG", realm.krb5_conf());
        command.env("RUST_LOG", "info,winrm_gateway=debug");
        let mut process = Process::start(&mut command, &dir.join("output"));
        process.wait_for("the gateway's readiness", || is_ready(admin).then_some(()));
        Self { process, port, admin, config, audit: audit.join("audit.jsonl") }
    }

    /// Waits until it says that it is ready.
    pub fn await_ready(&self) {
        let started = Instant::now();
        while !is_ready(self.admin) {
            assert!(started.elapsed() < Duration::from_secs(30), "it is not ready: {}", self.log());
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// Waits until it has printed `text`.
    pub fn wait_for_log(&mut self, text: &str) {
        let output = self.process.output.clone();
        self.process
            .wait_for(text, || fs::read_to_string(&output).is_ok_and(|log| log.contains(text)).then_some(()));
    }

    /// The audit records so far.
    pub fn records(&self) -> Vec<serde_json::Value> {
        lines_after(&self.audit, 0)
            .iter()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .map(with_short_names)
            .collect()
    }

    /// The audit records of one kind so far: `intent`, `outcome` or `connection`.
    pub fn records_of(&self, kind: &str) -> Vec<serde_json::Value> {
        self.records().into_iter().filter(|record| record["record"] == kind).collect()
    }

    /// Waits until there are at least `count` records of a kind, and returns them.
    pub fn wait_for_records(&mut self, kind: &str, count: usize) -> Vec<serde_json::Value> {
        let path = self.audit.clone();
        self.process.wait_for("its records", || {
            let found: Vec<serde_json::Value> = lines_after(&path, 0)
                .iter()
                .filter_map(|line| serde_json::from_str(line).ok())
                .map(with_short_names)
                .filter(|record: &serde_json::Value| record["record"] == kind)
                .collect();
            (found.len() >= count).then_some(found)
        })
    }

    /// Has every write to the audit log fail, for root too: a directory takes the file's place, as after a rotation that went wrong.
    pub fn make_the_log_unwritable(&mut self) {
        fs::rename(&self.audit, self.audit.with_extension("1")).expect("the file moves");
        fs::create_dir(&self.audit).expect("a directory in its place");
    }

    /// An answer of the admin listener: its status line and body.
    pub fn admin(&self, path: &str) -> (String, String) {
        get(self.admin, path).expect("an answer of the admin listener")
    }

    /// The sum of all series of a metric whose labels contain `labels`.
    pub fn metric(&self, name: &str, labels: &str) -> f64 {
        let (_, text) = self.admin("/metrics");
        let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
        text.lines()
            .filter(|line| line.starts_with(name) && line.contains(labels))
            .filter(|line| line.get(name.len()..).is_some_and(|rest| rest.starts_with(['{', ' '])))
            .filter_map(value)
            .sum()
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    /// Asks it to end.
    pub fn stop(&mut self) -> ExitStatus {
        self.process.stop()
    }
}

/// The record with the words that tests use beside the names of the schema: `principal` beside `user.name`, `stage` beside `winrm.stage`.
fn with_short_names(mut record: serde_json::Value) -> serde_json::Value {
    if let Some(fields) = record.as_object_mut() {
        let own = fields
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix("winrm.")?.to_owned(), value.clone())));
        let mut short: Vec<(String, serde_json::Value)> = own.collect();
        for (name, word) in SHORT_NAMES {
            short.extend(fields.get(*name).map(|value| ((*word).to_owned(), value.clone())));
        }
        fields.extend(short);
    }
    record
}

const SHORT_NAMES: &[(&str, &str)] = &[
    ("@timestamp", "time"),
    ("destination.domain", "host"),
    ("error.message", "text"),
    ("event.action", "record"),
    ("event.id", "id"),
    ("event.reason", "reason"),
    ("http.request.body.bytes", "request_bytes"),
    ("http.response.body.bytes", "response_bytes"),
    ("http.response.status_code", "status"),
    ("process.exit_code", "exit_code"),
    ("rule.name", "rule"),
    ("source.address", "client"),
    ("user.effective.name", "identity_there"),
    ("user.name", "principal"),
];

fn is_ready(admin: u16) -> bool {
    get(admin, "/readyz").is_some_and(|(status, _)| status.contains(" 200 "))
}

/// One GET: the status line and the body.
fn get(port: u16, path: &str) -> Option<(String, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(15))).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.lines().next().unwrap_or_default().to_owned(), body.to_owned()))
}

/// What a configuration is written from.
pub struct Parts<'a> {
    pub port: u16,
    pub admin: u16,
    pub audit: &'a Path,
    pub realm: &'a Realm,
    pub pki: &'a Pki,
    pub host: &'a Host,
}

/// The configuration of a gateway in front of `parts.host`.
pub fn configuration(parts: &Parts<'_>, settings: &Settings) -> String {
    let realm = parts.realm.name;
    let domain = settings.domain;
    let server = parts.pki.issued("gateway");
    let (principal, keytab) = settings.account;
    let fill = |text: &str| {
        let ca = parts.pki.ca_file().display().to_string();
        let port = settings.port.unwrap_or(if settings.https { parts.host.https } else { parts.host.http });
        text.replace("REALM", realm)
            .replace("DOMAIN", domain)
            .replace("PORT", &port.to_string())
            .replace("CAFILE", &ca)
    };
    let crls: Vec<String> = settings.crls.iter().map(|path| path.display().to_string()).collect();
    format!(
        r#"realms: {{ {realm}: {{ netbios: {netbios} }} }}
listeners:
  - name: fleet
    address: "127.0.0.1:{listen}"
    transport: https
    certificate: {certificate}
    private_key: {key}
    client_certificates: {{ mode: {mode}, trust_anchors: {ca}, crls: [{crls}] }}
{listeners}service:
  auth: {{ certificate: true }}
accounts:
  delegation: {{ principal: {principal}@{realm}, keytab: {keytab} }}
cert_mappings:
  - {{ issuer: "{thumbprint}", subject: "*@{domain}", uri: "*", principal: "{{upn_user}}@{realm}" }}
resolve: {{ "*.{domain}": 127.0.0.1 }}
routes:
{route}{routes}audit: {{ directory: {audit}, before_run: durable }}
admin: {{ address: "127.0.0.1:{admin}" }}
{more}
"#,
        netbios = realm.split('.').next().unwrap_or_default(),
        listen = parts.port,
        certificate = server.certificate.display(),
        key = server.key.display(),
        mode = settings.certificates,
        ca = parts.pki.ca_file().display(),
        crls = crls.join(", "),
        listeners = fill(&settings.listeners),
        keytab = parts.realm.keytab(keytab).display(),
        thumbprint = parts.pki.thumbprint,
        route = fill(&route(settings)),
        routes = fill(&settings.routes),
        audit = parts.audit.display(),
        admin = parts.admin,
        more = fill(&settings.more),
    )
}

/// The route by path, with words that [`configuration`] fills in.
fn route(settings: &Settings) -> String {
    let (scheme, ca_file) = if settings.https { ("https", "      ca_file: CAFILE\n") } else { ("http", "") };
    format!(
        r#"  - name: web
    match: {{ path: "/hosts/{{host}}/wsman" }}
    hosts: [{hosts}]
    networks: {networks}
    accept: [certificate]
    backend:
      url: "{scheme}://{{host}}:PORT/wsman"
      auth: {auth}
      credential: {credential}
      spn: "HTTP/{{host}}"
{ca_file}    rules:
{rules}
"#,
        hosts = settings.hosts.iter().map(|host| format!("\"{host}\"")).collect::<Vec<_>>().join(", "),
        networks = settings.networks,
        auth = settings.auth,
        credential = settings.credential,
        rules = settings.rules.iter().map(|rule| format!("      - {rule}")).collect::<Vec<_>>().join("\n"),
    )
}
