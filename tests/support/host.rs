//! The emulated Windows host, and what it saw.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    free_port,
    pki::{Issued, Pki},
    process::{Process, lines_after},
    python,
    realm::Realm,
    root,
};

/// A rule that the host breaks.
#[derive(Debug, Clone, Copy)]
pub struct Misbehave(pub &'static str);

/// What the host should be.
pub struct Wanted {
    pub names: Vec<String>,
    pub keytab: PathBuf,
    pub misbehave: Option<Misbehave>,
}

/// A running emulated host.
pub struct Host {
    process: Process,
    pub http: u16,
    pub https: u16,
    log: PathBuf,
}

impl Host {
    /// Starts a host and waits until it listens.
    pub fn start(dir: &Path, realm: &Realm, pki: &Pki, wanted: &Wanted) -> Self {
        let names: Vec<&str> = wanted.names.iter().map(String::as_str).collect();
        Self::start_with(dir, realm, &pki.server("host", &names), wanted)
    }

    /// Starts a host with a certificate that need not be in its names.
    pub fn start_with(dir: &Path, realm: &Realm, issued: &Issued, wanted: &Wanted) -> Self {
        fs::create_dir_all(dir).expect("a directory for the host");
        let (http, https) = (free_port(), free_port());
        let names: Vec<&str> = wanted.names.iter().map(String::as_str).collect();
        let (log, ready) = (dir.join("log.jsonl"), dir.join("ready"));
        let mut command = Command::new(python());
        command.arg(root().join("tests/lab/windows_host.py"));
        command.arg("--name").args(&names).arg("--keytab").arg(&wanted.keytab);
        command
            .arg("--http")
            .arg(format!("127.0.0.1:{http}"))
            .arg("--https")
            .arg(format!("127.0.0.1:{https}"));
        command.arg("--cert").arg(&issued.certificate).arg("--key").arg(&issued.key);
        command.arg("--log").arg(&log).arg("--ready-file").arg(&ready);
        if let Some(Misbehave(mode)) = wanted.misbehave {
            command.arg("--misbehave").arg(mode);
        }
        command.env("KRB5_CONFIG", realm.krb5_conf()).env("KRB5RCACHENAME", "none:");
        let mut process = Process::start(&mut command, &dir.join("output"));
        process.wait_for("the host's readiness", || ready.exists().then_some(()));
        Self { process, http, https, log }
    }

    /// Everything that the host noted, in order.
    pub fn log(&self) -> Vec<serde_json::Value> {
        lines_after(&self.log, 0)
            .iter()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }

    /// The requests with a body that reached the host, handshakes left out.
    pub fn requests(&self) -> Vec<serde_json::Value> {
        let body = |entry: &serde_json::Value| entry["body_length"].as_u64().unwrap_or_default() > 0;
        self.log().into_iter().filter(body).collect()
    }

    /// How many connections the host has accepted.
    pub fn connections(&self) -> usize {
        let connected = |entry: &&serde_json::Value| entry["event"] == "connection";
        self.log().iter().filter(connected).count()
    }

    /// Ends the host.
    pub fn stop(&mut self) {
        self.process.stop();
    }
}
