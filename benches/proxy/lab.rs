//! What is measured: the proxies side by side, each in front of its host, all on loopback.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};
use secrecy::SecretString;
use tempfile::TempDir;

use crate::{
    client::Entry,
    gssapi::{Credential, Door, DoorSettings},
    hosts,
    pki::Pki,
    process::Process,
};

/// Everything that runs. All of it ends with this value.
pub(crate) struct Lab {
    pub(crate) haproxy: Proxy,
    pub(crate) nginx: Option<Proxy>,
    pub(crate) gateway: Proxy,
    pub(crate) door: Door,
    /// Alice by her password, for the way straight to the host.
    pub(crate) alice: Credential,
    /// The port of the host that wants Kerberos.
    pub(crate) host: u16,
    pub(crate) pki: Pki,
    realm: PathBuf,
    _dir: TempDir,
}

/// A running proxy.
pub(crate) struct Proxy {
    process: Process,
    port: u16,
}

impl Proxy {
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Lab {
    /// Starts all of it, in the realm below `realm`.
    pub(crate) async fn start(realm: &Path) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("wg-bench-").tempdir()?;
        let pki = Pki::new(&dir.path().join("pki"));
        let door = Door::new(DoorSettings {
            threads: 8,
            deadline: Duration::from_secs(10),
            breaker_failures: 1000,
            breaker_pause: Duration::from_secs(1),
        });
        let clear = hosts::clear().await?;
        let host = hosts::sealed(&door, &hosts_keytab(realm, dir.path())?).await?;
        let alice = door.from_password("alice@CORP.EXAMPLE", SecretString::from("Passw0rd!")).await?;
        let parts = Parts { dir: dir.path(), pki: &pki, realm };
        Ok(Self {
            haproxy: haproxy(&parts, clear)?,
            nginx: nginx(&parts, clear)?,
            gateway: gateway(&parts, host)?,
            door,
            alice,
            host,
            realm: realm.to_owned(),
            pki,
            _dir: dir,
        })
    }

    /// The way of `person` through a proxy. Only the gateway minds the path.
    pub(crate) fn entry(&self, proxy: &Proxy, person: &str, path: &str) -> Result<Entry> {
        Entry::new(proxy.port, path, &self.pki, &self.pki.person(person))
    }

    /// How often the KDC has done what `wanted` names in its log.
    pub(crate) fn kdc_did(&self, wanted: &str) -> Result<usize> {
        Ok(fs::read_to_string(self.realm.join("kdc.log"))?.matches(wanted).count())
    }
}

struct Parts<'a> {
    dir: &'a Path,
    pki: &'a Pki,
    realm: &'a Path,
}

/// The keys of all hosts in one file: the second keytab's entries behind the first one's.
fn hosts_keytab(realm: &Path, dir: &Path) -> Result<PathBuf> {
    let mut keys = fs::read(realm.join("kt/hosts.keytab")).context("the keys of the hosts")?;
    let fleet = fs::read(realm.join("kt/fleet.keytab")).context("the keys of the fleet")?;
    // Both begin with the same two bytes, the version of the format.
    keys.extend_from_slice(fleet.get(2..).context("an empty keytab")?);
    let path = dir.join("all-hosts.keytab");
    fs::write(&path, keys)?;
    Ok(path)
}

fn haproxy(parts: &Parts<'_>, host: u16) -> Result<Proxy> {
    let port = free_port()?;
    let server = parts.pki.issued("gateway");
    let pem = parts.dir.join("haproxy.pem");
    fs::write(&pem, [fs::read(&server.certificate)?, fs::read(&server.key)?].concat())?;
    let text = format!(
        "global\n  nbthread 2\n  maxconn 4096\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  http-reuse always\n\
         frontend in\n  bind 127.0.0.1:{port} ssl crt {pem} ca-file {ca} verify required alpn http/1.1\n  default_backend host\n\
         backend host\n  server host 127.0.0.1:{host}\n",
        pem = pem.display(),
        ca = parts.pki.ca_file().display(),
    );
    let file = parts.dir.join("haproxy.cfg");
    fs::write(&file, text)?;
    start("HAProxy", Command::new("haproxy").arg("-db").arg("-f").arg(file), parts.dir, port)
}

/// None where nginx is not installed.
fn nginx(parts: &Parts<'_>, host: u16) -> Result<Option<Proxy>> {
    let Some(binary) =
        ["/usr/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|path| Path::new(path).exists())
    else {
        return Ok(None);
    };
    let port = free_port()?;
    let server = parts.pki.issued("gateway");
    let dir = parts.dir.join("nginx");
    fs::create_dir_all(&dir)?;
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("  {name}_temp_path {}/{name};\n", dir.display()))
        .concat();
    let text = format!(
        "daemon off;\nmaster_process off;\npid {dir}/pid;\nerror_log {dir}/error.log;\nuser root;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n{temporary}  access_log off;\n  keepalive_requests 100000000;\n  client_max_body_size 1m;\n  client_body_buffer_size 256k;\n\
         upstream host {{ server 127.0.0.1:{host}; keepalive 64; keepalive_requests 100000000; }}\n\
         server {{\n  listen 127.0.0.1:{port} ssl;\n  ssl_certificate {certificate};\n  ssl_certificate_key {key};\n\
         ssl_client_certificate {ca};\n  ssl_verify_client on;\n  ssl_protocols TLSv1.2 TLSv1.3;\n  ssl_session_tickets off;\n\
         location / {{ proxy_pass http://host; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffers 16 16k; }}\n}}\n}}\n",
        dir = dir.display(),
        certificate = server.certificate.display(),
        key = server.key.display(),
        ca = parts.pki.ca_file().display(),
    );
    let file = dir.join("nginx.conf");
    fs::write(&file, text)?;
    start("nginx", Command::new(binary).arg("-p").arg(&dir).arg("-c").arg(&file), parts.dir, port).map(Some)
}

/// The gateway, with the defaults of its configuration: every intent is on disk before the host hears anything. The second route only differs in
/// that nothing waits for the disk.
fn gateway(parts: &Parts<'_>, host: u16) -> Result<Proxy> {
    let (port, server) = (free_port()?, parts.pki.issued("gateway"));
    let route = |name: &str, path: &str, before_run: &str| {
        format!(
            r#"  - name: {name}
    match: {{ path: "{path}" }}
    hosts: ["*.corp.example"]
    networks: [127.0.0.0/8]
    accept: [certificate]
    before_run: {before_run}
    backend: {{ url: "http://{{host}}:{host}/wsman", auth: kerberos, credential: {{ s4u: delegation }}, spn: "HTTP/{{host}}" }}
    rules: [{{ name: everybody, who: {{ principals: ["*@CORP.EXAMPLE"] }}, allow: [read, write, execute] }}]
"#
        )
    };
    let text = format!(
        r#"realms: {{ CORP.EXAMPLE: {{ netbios: CORP }} }}
listeners:
  - name: fleet
    address: "127.0.0.1:{port}"
    transport: https
    certificate: {certificate}
    private_key: {key}
    client_certificates: {{ mode: optional, trust_anchors: {ca} }}
service: {{ auth: {{ certificate: true }} }}
accounts: {{ delegation: {{ principal: svc-gw@CORP.EXAMPLE, keytab: {keytab} }} }}
cert_mappings:
  - {{ issuer: "{thumbprint}", subject: "*@corp.example", uri: "*", principal: "{{upn_user}}@CORP.EXAMPLE" }}
resolve: {{ "*.corp.example": 127.0.0.1, "*.fleet.corp.example": 127.0.0.1 }}
routes:
{durable}{unwaited}audit: {{ directory: {audit} }}
limits: {{ connections: 8192, connections_per_address: 8192 }}
"#,
        certificate = server.certificate.display(),
        key = server.key.display(),
        ca = parts.pki.ca_file().display(),
        keytab = parts.realm.join("kt/svc-gw.keytab").display(),
        thumbprint = parts.pki.thumbprint,
        durable = route("web", "/hosts/{host}/wsman", "durable"),
        unwaited = route("unwaited", "/unwaited/{host}/wsman", "best_effort"),
        audit = parts.dir.join("audit").display(),
    );
    let file = parts.dir.join("gateway.yaml");
    fs::write(&file, text)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_winrm-gateway"));
    command.arg("serve").arg("--config").arg(file).env("RUST_LOG", "warn");
    start("the gateway", &mut command, parts.dir, port)
}

fn start(name: &str, command: &mut Command, dir: &Path, port: u16) -> Result<Proxy> {
    let mut process = Process::start(command, &dir.join(format!("{name}.log")));
    process.wait_for(name, || TcpStream::connect(("127.0.0.1", port)).ok().map(drop));
    Ok(Proxy { process, port })
}

fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
