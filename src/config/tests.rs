//! What an operator writes, and what the gateway makes of it: every refusal with its file, line, key and advice.

use std::{
    collections::BTreeSet,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use proptest::prelude::*;
use secrecy::ExposeSecret as _;

use super::{
    file::{
        AccountFile, AdminFile, AuditFile, BackendFile, CertMappingFile, ClientAuthFile,
        ClientCertificatesFile, ClientFile, GroupFile, KerberosFile, LimitsFile, ListenerFile, MatchFile,
        ROOT_KEYS, RealmFile, RouteFile, RuleFile, ServiceAuthFile, ServiceFile, WhenFile, WhoFile,
    },
    tree::Key,
    *,
};
use crate::{
    authn::AuthMethod,
    listener::{ClientCertificates, ListenAddress, Transport},
    policy::{ActionClass, Approach, BackendAuth, BeforeRun, CredentialChoice},
};

/// A configuration that is right; every test changes one thing in it.
const BASE: &str = r#"realms: { CORP.EXAMPLE: { netbios: CORP } }
accounts:
  delegation: { principal: svc-gw@CORP.EXAMPLE, keytab: /etc/gw/svc-gw.keytab }
groups:
  Auditors: { members: [carla@CORP.EXAMPLE] }
cert_mappings:
  - issuer: "3f8a1c5be0d94726a1f5b3c7d8e90412637485960a1b2c3d4e5f60718293a4b5"
    subject: "*@corp.example"
    principal: "{upn_user}@CORP.EXAMPLE"
listeners:
  - name: fleet
    address: "[::]:5986"
    certificate: /etc/gw/tls.crt
    private_key: /etc/gw/tls.key
    client_certificates: { mode: required, trust_anchors: /etc/gw/ca.pem }
  - name: pod
    address: "unix:/run/gw/http.sock"
    transport: http
    peers: { 1000: ansible@CORP.EXAMPLE }
service:
  auth: { certificate: true, basic: true }
client:
  auth: { basic: true, digest: true }
routes:
  - name: web
    match: { path: "/hosts/{host}/wsman" }
    hosts: ["*.web.corp.example"]
    accept: [certificate, peer]
    backend:
      url: "http://{host}:5985/wsman"
      auth: kerberos
      credential: s4u
    rules:
      - name: auditors
        who: { groups: [Auditors] }
        allow: [read]
"#;

/// A directory with `gateway.yaml` in it.
struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn with(text: &str) -> Self {
        let files = Self { directory: tempfile::tempdir().unwrap() };
        files.write("gateway.yaml", text);
        files
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        path
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("gateway.yaml")
    }

    fn load(&self) -> Result<Config, ConfigErrors> {
        Config::load(&self.path())
    }
}

pub(super) fn load(text: &str) -> Result<Config, ConfigErrors> {
    Files::with(text).load()
}

fn changed(from: &str, to: &str) -> String {
    let changed = BASE.replacen(from, to, 1);
    assert_ne!(changed, BASE, "{from:?} is not in the configuration");
    changed
}

/// The finding about `key` in the base with `from` changed to `to`. Its place must be the line that holds `on`.
fn refused(from: &str, to: &str, on: &str, key: &str) -> String {
    let text = changed(from, to);
    let files = Files::with(&text);
    let errors = files.load().expect_err(&format!("{to:?} was taken"));
    let found = errors.iter().find(|error| error.key() == key);
    let shown = found.unwrap_or_else(|| panic!("nothing about {key}: {errors}")).to_string();
    let line = text.lines().position(|line| line.contains(on)).unwrap() + 1;
    assert!(
        shown.starts_with(&format!("{}:{line}:", files.path().display())),
        "{shown} is not at line {line}"
    );
    assert!(!shown.contains('\n') && !errors.to_string().contains("there is no route, so"), "{errors}");
    shown
}

#[test]
fn a_right_configuration_becomes_finished_values() {
    let config = load(BASE).unwrap();
    assert_eq!(config.envelopes, Envelopes { max_bytes: 500 * 1024, max_timeout: Duration::from_secs(1800) });
    let [fleet, pod] = config.listeners.as_slice() else { panic!("two listeners") };
    assert!(matches!(&fleet.settings.transport, Transport::Https(tls)
        if matches!(tls.client_certificates, ClientCertificates::Required(_))));
    assert_eq!(pod.settings.address, ListenAddress::Unix("/run/gw/http.sock".into()));
    assert!(matches!(&pod.peers, Peers::ByUid(uids) if uids[&1000].to_string() == "ansible@CORP.EXAMPLE"));
    assert_eq!(config.audit.directory, Path::new("/var/log/winrm-gateway"));
    assert_eq!(config.admin, Admin::default());
}

#[test]
fn a_right_route_goes_where_and_as_whom_it_says() {
    let config = load(BASE).unwrap();
    let [route] = config.policy.routes.as_slice() else { panic!("one route") };
    assert_eq!(route.before_run, BeforeRun::Durable);
    let choice = CredentialChoice::S4u { account: AccountName::new("delegation") };
    for method in [AuthMethod::Certificate, AuthMethod::Peer] {
        let wanted = Approach { auth: BackendAuth::Kerberos, choice: choice.clone() };
        assert_eq!(route.backend.approaches[&method], wanted);
    }
    assert_eq!(route.rules[0].allow, BTreeSet::from([ActionClass::Read]));
}

/// What the seed document refuses, in its words.
#[test]
fn what_the_seed_document_refuses_is_refused_in_its_words() {
    for (from, to, on, key, text) in [
        (
            "basic: true }\nclient",
            "digest: false }\nclient",
            "digest: false",
            "service.auth.digest",
            "Digest is not supported by the WinRM service",
        ),
        (
            "[certificate, peer]",
            "[certificate, digest]",
            "accept:",
            "routes[0].accept[1]",
            "Digest is not supported by the WinRM service",
        ),
        (
            "auth: kerberos\n      credential: s4u",
            "auth: negotiate",
            "backend:",
            "routes[0].backend.credential",
            "Negotiate, Digest and Basic need explicit credentials",
        ),
        (
            "keytab: /etc/gw/svc-gw.keytab }",
            "keytab: /etc/gw/svc-gw.keytab }\n  lab: { username: Administrator, password: \"${file:/run/lab}\" }",
            "lab:",
            "accounts.lab.username",
            "a local account should be prefixed with the computer name",
        ),
    ] {
        let shown = refused(from, to, on, key);
        assert!(shown.contains(text), "{shown}");
    }
}

/// A route to one fixed host.
pub(super) fn fixed() -> String {
    changed("path: \"/hosts/{host}/wsman\"", "path: /wsman")
        .replace("    hosts: [\"*.web.corp.example\"]\n", "")
        .replace("http://{host}:5985", "http://web01.corp.example:5985")
}

#[test]
fn kerberos_to_an_address_needs_a_name_that_the_operator_writes() {
    let address = fixed().replace("web01.corp.example", "10.0.0.1");
    let shown = load(&address).unwrap_err().to_string();
    assert!(
        shown.contains("if you use Kerberos as the authentication method, you cannot use an IP address"),
        "{shown}"
    );
    let with_name = address.replace("auth: kerberos", "auth: kerberos\n      spn: HTTP/web01.corp.example");
    assert!(load(&with_name).is_ok());
}

#[test]
fn passwords_in_clear_text_need_both_trusted_hosts_and_allow_unencrypted() {
    let basic = fixed().replace("auth: kerberos", "auth: basic");
    let shown = |text: &str| load(text).unwrap_err().to_string();
    let refused = shown(&basic);
    assert!(refused.contains("the host must be in the list of trusted hosts"), "{refused}");
    assert!(refused.contains("set `client.allow_unencrypted: true`"), "{refused}");
    let trusted = basic.replace("client:\n", "client:\n  trusted_hosts: \"*.corp.example\"\n");
    assert!(!shown(&trusted).contains("trusted hosts") && shown(&trusted).contains("allow_unencrypted"));
    let allowed = shown(&trusted.replace("client:\n", "client:\n  allow_unencrypted: true\n"));
    assert!(!allowed.contains("trusted hosts") && !allowed.contains("allow_unencrypted"), "{allowed}");
    assert!(allowed.contains("need explicit credentials, a user name and a password"), "{allowed}");
    let secure = shown(&basic.replace("http://web01", "https://web01"));
    assert!(!secure.contains("trusted hosts") && !secure.contains("allow_unencrypted"), "{secure}");
}

/// What is changed, into what, a word of the line that is at fault, its key, and the advice.
type Refusal = (&'static str, &'static str, &'static str, &'static str, &'static str);

const REFUSALS: &[Refusal] = &[
    // Listeners.
    ("name: fleet", "name: \"a b\"", "a b", "listeners[0].name", "metric label"),
    ("name: pod", "name: fleet # again", "# again", "listeners[1].name", "rename one"),
    ("\"[::]:5986\"", "fleet:5986", "fleet:5986", "listeners[0].address", "write IP:PORT"),
    ("unix:/run", "unix:run", "unix:run", "listeners[1].address", "absolute path"),
    (
        "    private_key: /etc/gw/tls.key\n",
        "",
        "name: fleet",
        "listeners[0].private_key",
        "add it, a PEM file",
    ),
    ("/etc/gw/tls.crt", "tls.crt", "tls.crt", "listeners[0].certificate", "write it from `/` on"),
    (
        ", trust_anchors: /etc/gw/ca.pem",
        "",
        "client_certificates",
        "listeners[0].client_certificates.trust_anchors",
        "add `trust_anchors`",
    ),
    (
        "transport: http\n    peers: { 1000: ansible@CORP.EXAMPLE }",
        "transport: http\n    trust_loopback_as: ansible@CORP.EXAMPLE",
        "trust_loopback_as",
        "listeners[1].trust_loopback_as",
        "write `peers:",
    ),
    ("peers: { 1000:", "peers: { alice:", "alice:", "listeners[1].peers.alice", "numeric uid"),
    ("peers: { 1000: ansible@", "peers: { 1000: a/b@", "a/b@", "listeners[1].peers.1000", "write user@REALM"),
    (
        "transport: http\n",
        "transport: ftp\n",
        "transport: ftp",
        "listeners[1].transport",
        "write one of https, http",
    ),
    (
        "name: fleet\n",
        "name: fleet\n    min_tls_version: \"1.1\"\n",
        "min_tls_version",
        "listeners[0].min_tls_version",
        "write one of 1.2, 1.3",
    ),
    ("name: fleet\n", "name: fleet\n    names: [\"*.x\"]\n", "names:", "listeners[0].names[0]", "host name"),
    // What the service and the client may do.
    (
        "basic: true }\nclient",
        "credssp: true }\nclient",
        "credssp",
        "service.auth.credssp",
        "set it to false",
    ),
    ("digest: true }", "credssp: true }", "credssp", "client.auth.credssp", "set it to false"),
    (
        "service:\n",
        "service:\n  remote_access_groups: [Nobody]\n",
        "remote_access_groups",
        "service.remote_access_groups[0]",
        "add it under `groups`",
    ),
    (
        "service:\n",
        "service:\n  deny: { principals: [\"*@OTHER.EXAMPLE\"] }\n",
        "deny:",
        "service.deny.principals[0]",
        "add it under `realms`",
    ),
    (
        "service:\n",
        "service:\n  s4u_allow: [nobody]\n",
        "s4u_allow",
        "service.s4u_allow[0]",
        "write user@REALM",
    ),
    (
        "client:\n",
        "client:\n  trusted_hosts: \"a*b\"\n",
        "trusted_hosts",
        "client.trusted_hosts",
        "first or the last",
    ),
    // Who there is.
    (
        "CORP.EXAMPLE: { netbios: CORP }",
        "CORP.EXAMPLE: { netbios: CORP }, corp.example: {}",
        "corp.example:",
        "realms.corp.example",
        "keep one",
    ),
    (
        "netbios: CORP",
        "netbios: \"CORP DOMAIN\"",
        "CORP DOMAIN",
        "realms.CORP.EXAMPLE.netbios",
        "write it as in CORP\\user",
    ),
    ("svc-gw@CORP", "svc-gw@OTHER", "svc-gw@OTHER", "accounts.delegation.principal", "write name@REALM"),
    (", keytab: /etc/gw/svc-gw.keytab", "", "delegation:", "accounts.delegation", "write one pair"),
    ("{ members: [carla@CORP.EXAMPLE] }", "{}", "Auditors:", "groups.Auditors", "nobody could be in it"),
    (
        "{ members: [carla@CORP.EXAMPLE] }",
        "{ sid: S-1-x }",
        "Auditors:",
        "groups.Auditors.sid",
        "write it like S-1-5-21",
    ),
    ("carla@CORP.EXAMPLE", "carla", "Auditors:", "groups.Auditors.members[0]", "write user@REALM"),
    ("3f8a1c5b", "zz8a1c5b", "issuer", "cert_mappings[0].issuer", "hexadecimal digits"),
    (
        "subject: \"*@corp.example\"",
        "subject: \"a*b\"",
        "subject",
        "cert_mappings[0].subject",
        "at most one `*`",
    ),
    (
        "subject: \"*@corp.example\"",
        "subject: \"*\"\n    uri: \"*x\"",
        "uri:",
        "cert_mappings[0].uri",
        "`*`, last",
    ),
    (
        "\"{upn_user}@CORP.EXAMPLE\"",
        "\"{cn}@CORP.EXAMPLE\"",
        "{cn}",
        "cert_mappings[0].principal",
        "no other braces",
    ),
    (
        "\"{upn_user}@CORP.EXAMPLE\"",
        "\"{upn_user}@OTHER.EXAMPLE\"",
        "OTHER",
        "cert_mappings[0].principal",
        "write {upn_user}@REALM",
    ),
    // Routes.
    ("name: web", "name: \"\"", "name: \"\"", "routes[0].name", "metric label"),
    (
        "match: { path: \"/hosts/{host}/wsman\" }",
        "match: { path: \"/hosts/{host}/wsman\", listener: other }",
        "listener: other",
        "routes[0].match.listener",
        "add it under `listeners`",
    ),
    ("hosts: [\"*.web.corp.example\"]", "hosts: []", "hosts: []", "routes[0].hosts", "name some"),
    (
        "hosts: [\"*.web.corp.example\"]",
        "hosts: [\"web*\"]",
        "hosts:",
        "routes[0].hosts[0]",
        "whole first label",
    ),
    ("    hosts: [\"*.web.corp.example\"]\n", "", "name: web", "routes[0].hosts", "add `hosts`"),
    (
        "accept: [certificate, peer]",
        "networks: []\n    accept: [certificate, peer]",
        "networks",
        "routes[0].networks",
        "name networks",
    ),
    (
        "accept: [certificate, peer]",
        "networks: [10/8]\n    accept: [certificate, peer]",
        "networks",
        "routes[0].networks[0]",
        "write it like 10.20.0.0/16",
    ),
    ("[certificate, peer]", "[]", "accept", "routes[0].accept", "name methods"),
    ("[certificate, peer]", "[certificate, ntlm]", "accept", "routes[0].accept[1]", "there are certificate"),
    ("[certificate, peer]", "[certificate, basic]", "accept", "routes[0].accept[1]", "add `service.keytab`"),
    (
        "certificate: true, basic",
        "certificate: false, basic",
        "accept:",
        "routes[0].accept[0]",
        "set `service.auth.certificate: true`",
    ),
    (
        "    peers: { 1000: ansible@CORP.EXAMPLE }\n",
        "",
        "accept:",
        "routes[0].accept[1]",
        "give it a Unix socket with `peers`",
    ),
    (
        "mode: required, trust_anchors: /etc/gw/ca.pem",
        "mode: \"off\"",
        "accept:",
        "routes[0].accept[0]",
        "`client_certificates.mode`",
    ),
    ("http://{host}:5985/wsman", "ftp://{host}/wsman", "ftp", "routes[0].backend.url", "begins with http"),
    ("http://{host}:5985/wsman", "http://x{host}/wsman", "x{host}", "routes[0].backend.url", "labels"),
    ("auth: kerberos", "auth: ntlm", "auth: ntlm", "routes[0].backend.auth", "write one of"),
    ("auth: kerberos", "auth: certificate", "auth: certificate", "routes[0].backend.auth", "use https"),
    (
        "digest: true }",
        "kerberos: false }",
        "auth: kerberos",
        "routes[0].backend.auth",
        "set `client.auth.kerberos: true`",
    ),
    ("credential: s4u", "credential: tikcet", "credential", "routes[0].backend.credential", "write s4u"),
    (
        "credential: s4u",
        "credential: ticket",
        "credential",
        "routes[0].backend.credential",
        "brings no ticket; write another",
    ),
    (
        "credential: s4u",
        "credential: { ticket: mine }",
        "credential",
        "routes[0].backend.credential",
        "`{ ticket: forwarded }`",
    ),
    (
        "credential: s4u",
        "credential: password",
        "credential",
        "routes[0].backend.credential",
        "brings no password; write another",
    ),
    (
        "auth: kerberos",
        "auth: kerberos\n      spn: [\"HTTP/{host}\", \"cifs/{host}\"]",
        "spn",
        "routes[0].backend.spn[1]",
        "service principal name",
    ),
    (
        "auth: kerberos",
        "auth: kerberos\n      spn: []",
        "spn",
        "routes[0].backend.spn",
        "a list of such names",
    ),
    (
        "credential: s4u",
        "credential: { account: other }",
        "credential",
        "routes[0].backend.credential",
        "add it under `accounts`",
    ),
    (
        "credential: s4u",
        "credential: { certificate: s4u }",
        "credential",
        "routes[0].backend.credential",
        "add `peer`",
    ),
    ("credential: s4u", "credential: [s4u]", "credential", "routes[0].backend.credential", "write s4u"),
    (
        "      credential: s4u\n",
        "",
        "backend:",
        "routes[0].backend.credential",
        "never goes as itself by default",
    ),
    (
        "auth: kerberos",
        "auth: kerberos\n      spn: cifs/{host}",
        "spn",
        "routes[0].backend.spn",
        "service principal name",
    ),
    (
        "auth: kerberos",
        "auth: kerberos\n      spn: HTTP/web01",
        "spn",
        "routes[0].backend.spn",
        "use {host} in the name",
    ),
    (
        "auth: kerberos",
        "auth: kerberos\n      ca_file: /etc/gw/h.pem",
        "ca_file",
        "routes[0].backend.ca_file",
        "use https",
    ),
    (
        "who: { groups: [Auditors] }",
        "who: {}",
        "who: {}",
        "routes[0].rules[0].who",
        "write `principals` or `groups`",
    ),
    (
        "who: { groups: [Auditors] }",
        "who: { groups: [Others] }",
        "Others",
        "routes[0].rules[0].who.groups[0]",
        "add it under `groups`",
    ),
    (
        "allow: [read]",
        "allow: [all]",
        "allow",
        "routes[0].rules[0].allow[0]",
        "write one of read, write, execute",
    ),
    (
        "allow: [read]",
        "when: { resource_uris: [\"*x\"] }\n        allow: [read]",
        "when",
        "routes[0].rules[0].when.resource_uris[0]",
        "`*`, last",
    ),
    (
        "allow: [read]",
        "when: { methods: [x] }\n        allow: [read]",
        "when",
        "routes[0].rules[0].when.methods[0]",
        "there are certificate",
    ),
    ("name: auditors", "name: \"a/b\"", "a/b", "routes[0].rules[0].name", "metric label"),
    // Numbers.
    (
        "realms:",
        "max_envelope_size_kb: 31\nrealms:",
        "max_envelope",
        "max_envelope_size_kb",
        "from 32 to 1039440",
    ),
    ("realms:", "max_timeout_ms: 499\nrealms:", "max_timeout", "max_timeout_ms", "from 500"),
    ("realms:", "max_timeout_ms: soon\nrealms:", "max_timeout", "max_timeout_ms", "whole number"),
    (
        "realms:",
        "limits: { idle_timeout_ms: 129999 }\nrealms:",
        "limits",
        "limits.idle_timeout_ms",
        "from 130000",
    ),
    ("realms:", "limits: { connections: 0 }\nrealms:", "limits", "limits.connections", "from 1"),
    ("realms:", "limits: { buffered_mb: 1 }\nrealms:", "limits", "limits.buffered_mb", "raise it"),
    ("realms:", "kerberos: { threads: 0 }\nrealms:", "kerberos", "kerberos.threads", "from 1"),
    // Where things go.
    ("realms:", "audit: { directory: log }\nrealms:", "audit", "audit.directory", "write it from `/` on"),
    (
        "realms:",
        "audit: { before_run: never }\nrealms:",
        "audit",
        "audit.before_run",
        "write one of durable, best_effort",
    ),
    ("realms:", "admin: { address: localhost }\nrealms:", "admin", "admin.address", "write IP:PORT"),
    ("realms:", "admin: { socket: x.sock }\nrealms:", "admin", "admin.socket", "write it from `/` on"),
    ("realms:", "resolve: { web01: here }\nrealms:", "resolve", "resolve.web01", "write one, as in 10.0.0.1"),
    ("realms:", "resolve: { \"*\": 10.0.0.1 }\nrealms:", "resolve", "resolve.*", "write `*.suffix`"),
];

#[test]
fn every_refusal_names_its_line_its_key_and_what_to_do() {
    for (from, to, on, key, advice) in REFUSALS {
        let shown = refused(from, to, on, key);
        assert!(shown.contains(advice), "{shown} does not say {advice:?}");
    }
}

#[test]
fn a_key_that_does_not_exist_is_refused_wherever_it_stands() {
    for (from, to, key) in [
        ("realms:", "listener: []\nrealms:", "listener"),
        ("netbios: CORP", "netbios: CORP, nebios: X", "realms.CORP.EXAMPLE.nebios"),
        ("name: fleet", "name: fleet\n    nmae: x", "listeners[0].nmae"),
        ("mode: required", "mode: required, modes: x", "listeners[0].client_certificates.modes"),
        ("service:\n", "service:\n  auht: {}\n", "service.auht"),
        ("certificate: true,", "certificate: true, ntlm: true,", "service.auth.ntlm"),
        ("client:\n", "client:\n  trustedhosts: x\n", "client.trustedhosts"),
        ("name: web", "name: web\n    host: x", "routes[0].host"),
        ("auth: kerberos", "auth: kerberos\n      insecure: true", "routes[0].backend.insecure"),
        ("allow: [read]", "allow: [read]\n        deny: [write]", "routes[0].rules[0].deny"),
        ("groups: [Auditors]", "groups: [Auditors], everybody: true", "routes[0].rules[0].who.everybody"),
        ("realms:", "audit: { fsync: false }\nrealms:", "audit.fsync"),
        ("realms:", "admin: { token: x }\nrealms:", "admin.token"),
        ("realms:", "limits: { conections: 1 }\nrealms:", "limits.conections"),
        ("realms:", "kerberos: { cache: x }\nrealms:", "kerberos.cache"),
    ] {
        let shown = load(&changed(from, to)).expect_err(key).to_string();
        assert!(shown.contains(&format!(": {key}: there is no such key here; there are ")), "{shown}");
    }
}

#[test]
fn threat_60_no_message_and_no_debug_shows_a_secret() {
    let secret = "hunter2-Zz9";
    let base = "keytab: /etc/gw/svc-gw.keytab }";
    let account = |value: &str| format!("{base}\n  lab: {{ username: 'CORP\\lab', password: {value} }}");
    let shown = refused(base, &account(&format!("\"{secret}\"")), "lab:", "accounts.lab.password");
    assert!(shown.contains("${file:/path} or ${env:NAME}, or make the file mode 0600"), "{shown}");
    assert!(!shown.contains(secret));
    for value in [
        format!("[{secret}]"),
        format!("{{ a: {secret} }}"),
        format!("${{vault:{secret}}}"),
        format!("\"{secret}\" x"),
    ] {
        let shown = load(&changed(base, &account(&value))).unwrap_err();
        assert!(!format!("{shown} {shown:?}").contains(secret), "{shown}");
    }
    let files = Files::with(&changed(base, &account(&format!("\"{secret}\""))));
    fs::set_permissions(files.path(), Permissions::from_mode(0o600)).unwrap();
    let config = files.load().unwrap();
    assert!(!format!("{config:?}").contains(secret));
    let Account::Password { password, .. } = &config.accounts[&AccountName::new("lab")] else {
        panic!("a password")
    };
    assert_eq!(password.read().unwrap().expose_secret(), secret);
    let account = Node::parse(&format!("{{ username: u, password: {secret} }}"), 0).unwrap();
    let read: Result<AccountFile, _> = de::read(&account, &Key::root("accounts"));
    assert!(read.is_ok() && !format!("{read:?}").contains(secret));
}

#[test]
fn a_secret_is_taken_from_its_file_or_the_environment() {
    let files = Files::with("");
    let secret = files.write("secret", "from the file\r\n");
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    let base = "keytab: /etc/gw/svc-gw.keytab }";
    let lab = |source: &str| {
        changed(base, &format!("{base}\n  lab: {{ username: 'CORP\\lab', password: \"{source}\" }}"))
    };
    let password = |config: &Config| match &config.accounts[&AccountName::new("lab")] {
        Account::Password { password, .. } => password.read().map(|secret| secret.expose_secret().to_owned()),
        Account::Keytab { .. } | Account::Certificate(_) => panic!("a password"),
    };
    let config = load(&lab(&format!("${{file:{}}}", secret.display()))).unwrap();
    assert_eq!(password(&config).unwrap(), "from the file");
    let path = std::env::var("PATH").unwrap();
    assert_eq!(password(&load(&lab("${env:PATH}")).unwrap()).unwrap(), path);
    let missing = password(&load(&lab("${env:WINRM_GATEWAY_NO_SUCH}")).unwrap()).unwrap_err();
    assert!(missing.to_string().contains("WINRM_GATEWAY_NO_SUCH"), "{missing}");
}

#[test]
fn threat_69_files_with_keys_that_others_can_read_or_replace_are_refused() {
    let files = Files::with("");
    let path = |name: &str| files.directory.path().join(name).display().to_string();
    for name in ["tls.crt", "ca.pem", "tls.key", "svc-gw.keytab"] {
        files.write(name, "x");
    }
    let text = BASE.replace("/etc/gw", &files.directory.path().display().to_string());
    files.write("gateway.yaml", &text);
    let open = files.load().unwrap().check_files().unwrap_err().to_string();
    assert_eq!(open.lines().count(), 2, "{open}");
    for name in ["tls.key", "svc-gw.keytab"] {
        assert!(open.contains(&format!("run `chmod 0600 {}`", path(name))), "{open}");
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(path(name), Permissions::from_mode(mode)).unwrap();
            assert!(files.load().unwrap().check_files().is_err(), "{name} {mode:o}");
        }
        fs::set_permissions(path(name), Permissions::from_mode(0o600)).unwrap();
    }
    files.load().unwrap().check_files().unwrap();
    fs::remove_file(path("ca.pem")).unwrap();
    let missing = files.load().unwrap().check_files().unwrap_err().to_string();
    assert!(
        missing.contains("listeners[0].client_certificates.trust_anchors")
            && missing.contains("put the file there"),
        "{missing}"
    );
    fs::create_dir(path("ca.pem")).unwrap();
    assert!(files.load().unwrap().check_files().unwrap_err().to_string().contains("is no file"));
}

#[test]
fn later_files_win_key_by_key_and_errors_name_the_file_that_holds_them() {
    let files = Files::with(BASE);
    files.write("gateway.d/20-second.yaml", "max_timeout_ms: 2000\nlimits: { connections: 20 }\n");
    files.write(
        "gateway.d/10-first.yaml",
        "max_timeout_ms: 1000\nlimits: { connections: 10, max_shells: 7 }\n",
    );
    files.write("gateway.d/30-other.yml", "max_timeout_ms: 3000\n");
    files.write("gateway.d/40.yaml.off", "max_timeout_ms: 4000\n");
    let config = files.load().unwrap();
    assert_eq!(config.envelopes.max_timeout, Duration::from_secs(2));
    assert_eq!(config.listeners[0].settings.limits.connections, 20);
    assert_eq!(config.policy.ownership.total, 7);
    let other = files.load().unwrap();
    assert_eq!(config.generation, other.generation, "the same files, the same generation");
    let wrong = files.write("gateway.d/20-second.yaml", "\nlimits:\n  connections: 0\n");
    let errors = files.load().unwrap_err().to_string();
    assert!(errors.starts_with(&format!("{}:3:", wrong.display())), "{errors}");
    files.write("gateway.d/20-second.yaml", "limits: { connections: 30 }\n");
    assert_ne!(files.load().unwrap().generation, config.generation);
    let broken = files.write("gateway.d/50.yaml", "a: [1,\n");
    let errors = files.load().unwrap_err().to_string();
    assert!(
        errors.starts_with(&format!("{}:", broken.display())) && errors.contains("this is not YAML"),
        "{errors}"
    );
}

#[test]
fn every_finding_is_shown_at_once_in_the_order_of_the_file() {
    let text = changed("name: fleet", "name: \"a b\"")
        .replace("allow: [read]", "allow: []")
        .replace("[certificate, peer]", "[basic, peer]");
    let text = format!("max_timeout_ms: 1\nextra: 1\n{text}");
    let shown = load(&text).unwrap_err().to_string();
    let keys: Vec<&str> = shown.lines().filter_map(|line| line.split(": ").nth(1)).collect();
    assert_eq!(keys, ["max_timeout_ms", "extra", "listeners[0].name", "routes[0].accept[0]"], "{shown}");
}

#[test]
fn an_unreadable_or_empty_file_says_so() {
    let missing = Config::load(Path::new("/nonexistent/gateway.yaml")).unwrap_err().to_string();
    assert!(missing.starts_with("/nonexistent/gateway.yaml: the file cannot be read"), "{missing}");
    let empty = load("").unwrap_err().to_string();
    assert!(empty.contains("there is no listener") && empty.contains("there is no route"), "{empty}");
    assert!(load("- a\n").unwrap_err().to_string().contains("write `key: value` lines"));
    let twice = load("a: 1\na: 2\n").unwrap_err().to_string();
    assert!(twice.contains("this is not YAML: duplicate mapping key: a;"), "{twice}");
}

#[test]
fn threat_27_over_plain_http_only_this_machine_is_believed_without_a_proof() {
    let plain =
        "address: \"unix:/run/gw/http.sock\"\n    transport: http\n    peers: { 1000: ansible@CORP.EXAMPLE }";
    let on = |address: &str| {
        format!("address: \"{address}\"\n    transport: http\n    trust_loopback_as: ansible@CORP.EXAMPLE")
    };
    for address in ["127.0.0.1:5985", "[::1]:5985", "127.9.9.9:1", "[::ffff:127.0.0.1]:1"] {
        assert!(load(&changed(plain, &on(address))).is_ok(), "{address}");
    }
    for address in ["0.0.0.0:5985", "[::]:5985", "10.0.0.1:5985"] {
        let shown = load(&changed(plain, &on(address))).expect_err(address).to_string();
        assert!(shown.contains("listeners[1].trust_loopback_as"), "{shown}");
    }
}

#[test]
fn two_routes_that_could_match_one_request_are_refused() {
    let first = BASE.split("routes:\n").nth(1).unwrap();
    let second = first.replace("name: web", "name: again");
    let shown = load(&format!("{BASE}{second}")).unwrap_err().to_string();
    assert!(shown.contains("routes[1].match: routes web and again could match the same request"), "{shown}");
    let twice = load(&format!("{BASE}{}", first.replace("/hosts/", "/other/"))).unwrap_err().to_string();
    assert!(twice.contains("two routes are called `web`"), "{twice}");
}

#[test]
fn every_shipped_file_is_right() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut seen = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            Config::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
            seen.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    for name in ["gateway.yaml", "fleet.yaml", "bastion.yaml", "sidecar.yaml"] {
        assert!(seen.iter().any(|file| file == name), "{name} is missing");
    }
}

#[test]
fn the_pod_fits_the_sidecars_configuration() {
    let manifest = include_str!("../../deploy/kubernetes/sidecar.yaml");
    let config = Config::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("config/sidecar.yaml")).unwrap();
    let mounted = |path: &Path| {
        let mounts = manifest.lines().filter_map(|line| line.split("mountPath: ").nth(1));
        mounts.into_iter().any(|mount| path.starts_with(mount.split([',', ' ']).next().unwrap()))
    };
    for account in config.accounts.values() {
        let Account::Keytab { keytab, .. } = account else { panic!("a pod has no passwords") };
        assert!(mounted(keytab) && manifest.contains(&format!("{}]", keytab.display())), "{keytab:?}");
    }
    assert!(mounted(&config.audit.directory), "{:?}", config.audit.directory);
    for listener in &config.listeners {
        if let ListenAddress::Unix(path) = &listener.settings.address {
            assert!(mounted(path), "{path:?}");
        }
        if let Peers::ByUid(uids) = &listener.peers {
            assert!(uids.keys().all(|uid| manifest.contains(&format!("runAsUser: {uid} "))), "{uids:?}");
        }
    }
    let admin = config.admin.address.unwrap();
    for path in ["healthz", "readyz"] {
        assert!(manifest.contains(&format!("[winrm-gateway, probe, --url, \"http://{admin}/{path}\"]")));
    }
}

/// The keys that a file type has, as its own error names them.
fn keys_of<T: serde::de::DeserializeOwned>() -> Vec<String> {
    let tree = Node::parse("no_such_key_at_all: 1\n", 0).unwrap();
    let Err((_, error)) = de::read::<T>(&tree, &Key::default()) else { panic!("it takes any key") };
    let error = error.to_string();
    let keys = error.split("there are ").nth(1).unwrap_or_else(|| panic!("{error}"));
    keys.split(", ").map(str::to_owned).collect()
}

#[test]
fn gateway_yaml_lists_every_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/gateway.yaml");
    let text = fs::read_to_string(path).unwrap();
    let mut keys: BTreeSet<String> = ROOT_KEYS.into_iter().map(str::to_owned).collect();
    for more in [
        keys_of::<RealmFile>(),
        keys_of::<ListenerFile>(),
        keys_of::<ClientCertificatesFile>(),
        keys_of::<ServiceFile>(),
        keys_of::<ServiceAuthFile>(),
        keys_of::<ClientFile>(),
        keys_of::<ClientAuthFile>(),
        keys_of::<AccountFile>(),
        keys_of::<GroupFile>(),
        keys_of::<CertMappingFile>(),
        keys_of::<RouteFile>(),
        keys_of::<MatchFile>(),
        keys_of::<BackendFile>(),
        keys_of::<RuleFile>(),
        keys_of::<WhoFile>(),
        keys_of::<WhenFile>(),
        keys_of::<AuditFile>(),
        keys_of::<AdminFile>(),
        keys_of::<LimitsFile>(),
        keys_of::<KerberosFile>(),
    ] {
        keys.extend(more);
    }
    for key in &keys {
        let stands = text.match_indices(&format!("{key}:")).any(|(at, _)| {
            let before = text.get(..at).and_then(|before| before.chars().next_back());
            before.is_none_or(|c| matches!(c, ' ' | '\n' | '{' | ','))
        });
        assert!(stands, "config/gateway.yaml does not show `{key}`");
    }
    assert!(keys.len() > 90, "{}", keys.len());
}

#[test]
fn gateway_yaml_shows_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/gateway.yaml");
    let shown = Config::load(&path).unwrap();
    // The same without every key that has a default.
    let text = fs::read_to_string(&path).unwrap();
    let tree = Node::parse(&text, 0).unwrap();
    for name in ["max_envelope_size_kb", "max_timeout_ms", "client", "audit", "limits", "kerberos", "resolve"]
    {
        assert!(tree.child(name).is_some(), "{name}");
    }
    let defaults =
        load(BASE.replace("client:\n  auth: { basic: true, digest: true }\n", "").as_str()).unwrap();
    assert_eq!(shown.envelopes, defaults.envelopes);
    assert_eq!(shown.client, defaults.client);
    assert_eq!(shown.audit, defaults.audit);
    assert_eq!(shown.kerberos, defaults.kerberos);
    assert_eq!(shown.backend, defaults.backend);
    assert_eq!(shown.resolve, defaults.resolve);
    assert_eq!(shown.policy.ownership, defaults.policy.ownership);
    assert_eq!(shown.service.cbt, defaults.service.cbt);
    let (mut shown, mut defaults) =
        (shown.listeners[0].settings.limits.clone(), defaults.listeners[0].settings.limits.clone());
    assert_eq!(shown.buffered_bytes.available_permits(), defaults.buffered_bytes.available_permits());
    defaults.buffered_bytes = std::sync::Arc::clone(&shown.buffered_bytes);
    shown.buffered_bytes = std::sync::Arc::clone(&defaults.buffered_bytes);
    assert_eq!(format!("{shown:?}"), format!("{defaults:?}"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_change_of_the_text_panics(at in any::<prop::sample::Index>(), length in 0_usize..8, with in "[a-z0-9:{}\\[\\]\"', \n*&<-]{0,8}") {
        let at = at.index(BASE.len());
        let end = (at + length).min(BASE.len());
        let mut text = BASE.to_owned();
        text.replace_range(at..end, &with);
        match load(&text) {
            Ok(config) => prop_assert!(!config.listeners.is_empty() && !config.policy.routes.is_empty()),
            Err(errors) => prop_assert!(errors.iter().count() > 0),
        }
    }
}
