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

/// A host that is still to be described.
pub struct HostBuilder {
    names: Vec<String>,
    arguments: Vec<String>,
    methods: Vec<&'static str>,
    accounts: Vec<(String, String)>,
    krb5_conf: Option<PathBuf>,
}

impl HostBuilder {
    /// Takes Kerberos, by the keys in a keytab of the realm.
    pub fn kerberos(mut self, realm: &Realm, keytab: &Path) -> Self {
        self.methods.push("kerberos");
        self.krb5_conf = Some(realm.krb5_conf());
        self.with(&["--keytab", &keytab.display().to_string()])
    }

    /// Takes this method too: `ntlm`, `basic` or `digest`.
    pub fn method(mut self, name: &'static str) -> Self {
        self.methods.push(name);
        self
    }

    /// Takes client certificates of the authority; the person's name becomes that of a local account.
    pub fn certificates(mut self, pki: &Pki) -> Self {
        self.methods.push("certificate");
        self.with(&["--client-ca", &pki.ca_file().display().to_string()])
    }

    /// Knows an account: `user` is local, `DOMAIN\user` and `user@REALM` are not.
    pub fn account(mut self, name: &str, password: &str) -> Self {
        self.accounts.push((name.to_owned(), password.to_owned()));
        self
    }

    /// Breaks a rule.
    pub fn misbehave(self, Misbehave(mode): Misbehave) -> Self {
        self.with(&["--misbehave", mode])
    }

    /// Takes messages in clear over HTTP.
    pub fn allow_unencrypted(self) -> Self {
        self.with(&["--allow-unencrypted"])
    }

    /// Serves this path instead of `wsman`.
    pub fn url_prefix(self, prefix: &str) -> Self {
        self.with(&["--url-prefix", prefix])
    }

    /// Denies local accounts other than Administrator, as User Account Control does.
    pub fn filter_local_accounts(self) -> Self {
        self.with(&["--filter-local-accounts"])
    }

    fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// Starts it with a certificate for its names.
    pub fn start(self, dir: &Path, pki: &Pki) -> Host {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let issued = pki.server("host", &names);
        self.start_with(dir, &issued)
    }

    /// Starts it with a certificate that need not be in its names, and waits until it listens.
    pub fn start_with(self, dir: &Path, issued: &Issued) -> Host {
        fs::create_dir_all(dir).expect("a directory for the host");
        let (http, https) = (free_port(), free_port());
        let (log, ready) = (dir.join("log.jsonl"), dir.join("ready"));
        // That of an earlier host in the same directory.
        drop(fs::remove_file(&ready));
        let mut command = Command::new(python());
        command.arg(root().join("tests/lab/windows_host.py"));
        command
            .arg("--name")
            .args(&self.names)
            .arg("--methods")
            .arg(self.methods.join(","))
            .args(&self.arguments);
        if !self.accounts.is_empty() {
            let file = dir.join("accounts");
            let lines = self.accounts.iter().map(|(name, password)| format!("{name}:{password}\n"));
            fs::write(&file, lines.collect::<String>()).expect("the accounts");
            command.arg("--accounts").arg(file);
        }
        command.arg("--http").arg(format!("127.0.0.1:{http}"));
        command.arg("--https").arg(format!("127.0.0.1:{https}"));
        command.arg("--cert").arg(&issued.certificate).arg("--key").arg(&issued.key);
        command.arg("--log").arg(&log).arg("--ready-file").arg(&ready);
        // A host of a workgroup has no realm.
        let krb5_conf = self.krb5_conf.unwrap_or_else(|| PathBuf::from("/dev/null"));
        command.env("KRB5_CONFIG", krb5_conf).env("KRB5RCACHENAME", "none:");
        let mut process = Process::start(&mut command, &dir.join("output"));
        process.wait_for("the host's readiness", || ready.exists().then_some(()));
        Host { process, http, https, log }
    }
}

impl Host {
    /// Describes a host that is called by these names.
    pub fn called<'a, N: IntoIterator<Item = &'a str>>(names: N) -> HostBuilder {
        let names = names.into_iter().map(str::to_owned).collect();
        HostBuilder {
            names,
            arguments: Vec::new(),
            methods: Vec::new(),
            accounts: Vec::new(),
            krb5_conf: None,
        }
    }

    /// Starts a host that takes Kerberos alone and waits until it listens.
    pub fn start(dir: &Path, realm: &Realm, pki: &Pki, wanted: &Wanted) -> Self {
        let names: Vec<&str> = wanted.names.iter().map(String::as_str).collect();
        Self::start_with(dir, realm, &pki.server("host", &names), wanted)
    }

    /// Starts such a host with a certificate that need not be in its names.
    pub fn start_with(dir: &Path, realm: &Realm, issued: &Issued, wanted: &Wanted) -> Self {
        let builder = Self::called(wanted.names.iter().map(String::as_str)).kerberos(realm, &wanted.keytab);
        let builder = match wanted.misbehave {
            Some(how) => builder.misbehave(how),
            None => builder,
        };
        builder.start_with(dir, issued)
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
