//! Real clients: pypsrp and pywinrm, in a Python of their own.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{pki::Issued, python, realm::Realm, root};

/// One run of a real client.
pub struct Job {
    arguments: Vec<String>,
    environment: Vec<(String, PathBuf)>,
}

/// What came of it.
#[derive(Debug)]
pub struct Ran {
    pub stdout: String,
    pub stderr: String,
    pub rc: Option<i64>,
    pub error: Option<String>,
    pub fault_code: Option<u64>,
    pub seconds: f64,
}

impl Job {
    /// `client` is `pypsrp-cmd`, `pypsrp-ps` or `pywinrm`.
    pub fn new(client: &str, url: &str) -> Self {
        let arguments = ["--client", client, "--url", url].map(str::to_owned).to_vec();
        Self { arguments, environment: Vec::new() }
    }

    fn option(mut self, name: &str, value: &str) -> Self {
        self.arguments.push(name.to_owned());
        self.arguments.push(value.to_owned());
        self
    }

    /// Authenticates by this certificate.
    pub fn certificate(self, issued: &Issued) -> Self {
        self.option("--cert", &issued.certificate.display().to_string())
            .option("--key", &issued.key.display().to_string())
    }

    /// Authenticates by Kerberos with the keys in a keytab, straight to a host.
    pub fn kerberos(mut self, realm: &Realm, person: &str) -> Self {
        self.environment.push(("KRB5_CONFIG".to_owned(), realm.krb5_conf()));
        let keytab = realm.keytab(person).display().to_string();
        self.option("--auth", "kerberos").option("--keytab", &keytab)
    }

    /// Authenticates by a name and a password; `method` is `basic`, `ntlm`, `kerberos` or `negotiate`.
    pub fn password(self, method: &str, user: &str, password: &str) -> Self {
        self.option("--auth", method).option("--user", user).option("--password", password)
    }

    /// Uses a credentials cache or nothing, in this realm.
    pub fn realm(mut self, realm: &Realm) -> Self {
        self.environment.push(("KRB5_CONFIG".to_owned(), realm.krb5_conf()));
        self
    }

    /// Trusts this authority.
    pub fn ca(self, file: &Path) -> Self {
        self.option("--ca", &file.display().to_string())
    }

    /// Finds `name` on loopback.
    pub fn resolve(self, name: &str, port: u16) -> Self {
        self.option("--resolve", &format!("{name}:{port}:127.0.0.1"))
    }

    /// Runs a command line.
    pub fn command(self, line: &str) -> Self {
        self.option("--command", line)
    }

    /// Runs a PowerShell script.
    pub fn script(self, text: &str) -> Self {
        self.option("--script", text)
    }

    /// Sends the file as standard input.
    pub fn stdin(self, file: &Path) -> Self {
        self.option("--stdin", &file.display().to_string())
    }

    /// The operation time-out in seconds.
    pub fn operation_timeout(self, seconds: u32) -> Self {
        self.option("--operation-timeout", &seconds.to_string())
    }

    /// Any other option of the driver.
    pub fn with(self, name: &str, value: &str) -> Self {
        self.option(name, value)
    }

    /// Runs it.
    pub fn run(self) -> Ran {
        let mut command = Command::new(python());
        command.arg(root().join("tests/lab/client.py")).args(&self.arguments).envs(self.environment);
        let output = command.output().expect("the client's driver");
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().last().unwrap_or_default();
        let found: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| {
            panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr));
        });
        let field = |key: &str| found.get(key).cloned().unwrap_or_default();
        let string = |key: &str| field(key).as_str().map(str::to_owned);
        Ran {
            stdout: string("stdout").unwrap_or_default(),
            stderr: string("stderr").unwrap_or_default(),
            rc: field("rc").as_i64(),
            error: string("error"),
            fault_code: field("fault_code").as_u64(),
            seconds: field("seconds").as_f64().unwrap_or_default(),
        }
    }
}

impl Ran {
    /// The output of a run that went well.
    pub fn expect(self, what: &str) -> String {
        assert!(self.error.is_none(), "{what}: {self:?}");
        self.stdout.trim().to_owned()
    }

    /// The error of a run that was refused.
    pub fn refused(&self) -> &str {
        self.error.as_deref().unwrap_or_else(|| panic!("was not refused: {self:?}"))
    }
}
