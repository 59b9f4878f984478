//! Real clients: pypsrp and pywinrm, in a Python of their own.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{pki::Issued, python, root};

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
        let string = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        Ran {
            stdout: string("stdout"),
            stderr: string("stderr"),
            rc: found["rc"].as_i64(),
            error: found["error"].as_str().map(str::to_owned),
            fault_code: found["fault_code"].as_u64(),
            seconds: found["seconds"].as_f64().unwrap_or_default(),
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
