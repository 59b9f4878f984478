//! The examples in `config/clients`, followed word for word: names and ports are sent elsewhere around them, nothing in them is changed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{pki::Pki, python, realm::Realm, root};

/// The directory of somebody who has copied the examples, with what these expect to find there.
pub struct Workplace {
    dir: PathBuf,
    environment: Vec<(&'static str, String)>,
}

/// What an example printed.
#[derive(Debug)]
pub struct Followed {
    pub succeeded: bool,
    pub output: String,
}

impl Workplace {
    /// alice's: her certificate, a ticket of hers, and `gw.corp.example:5986` at `port`.
    pub fn new(dir: &Path, pki: &Pki, realm: &Realm, port: u16) -> Self {
        fs::create_dir_all(dir).expect("a workplace");
        let alice = pki.person("alice");
        for (from, to) in
            [(pki.ca_file(), "ca.pem"), (alice.certificate, "alice.pem"), (alice.key, "alice.key")]
        {
            fs::copy(from, dir.join(to)).expect("a copy");
        }
        for entry in fs::read_dir(root().join("config/clients")).expect("the examples") {
            let entry = entry.expect("an example");
            fs::copy(entry.path(), dir.join(entry.file_name())).expect("a copy");
        }
        realm.ticket("alice", &dir.join("ticket"));
        let names = ["gw.corp.example", "web01.winrm.corp.example"];
        let curl = names.map(|name| format!("connect-to = \"{name}:5986:127.0.0.1:{port}\"\n"));
        fs::write(dir.join(".curlrc"), curl.concat()).expect("curl's settings");
        let here = dir.display();
        let programs = python().parent().expect("a directory").display().to_string();
        let environment = vec![
            ("PATH", format!("{programs}:{}", std::env::var("PATH").unwrap_or_default())),
            ("HOME", here.to_string()),
            ("CURL_HOME", here.to_string()),
            ("LC_ALL", "C.UTF-8".to_owned()),
            ("PYTHONPATH", root().join("tests/lab/hook").display().to_string()),
            ("LAB_CONNECT", names.map(|name| format!("{name}:5986=127.0.0.1:{port}")).join(",")),
            ("KRB5_CONFIG", realm.krb5_conf().display().to_string()),
            ("KRB5CCNAME", format!("FILE:{here}/ticket")),
            ("ANSIBLE_HOME", format!("{here}/.ansible")),
            ("ANSIBLE_NOCOLOR", "1".to_owned()),
        ];
        Self { dir: dir.to_owned(), environment }
    }

    /// Runs the command that an example's first line shows.
    pub fn ansible(&self, file: &str, password: &str) -> Followed {
        let text = fs::read_to_string(self.dir.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let first = text.lines().next().unwrap_or_default();
        let (_, line) = first.split_once(": ").unwrap_or_else(|| panic!("{file}: no command in {first}"));
        self.run(line, password)
    }

    /// Runs a command line in the workplace.
    pub fn run(&self, line: &str, password: &str) -> Followed {
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(&self.dir).env_clear();
        command.envs(self.environment.iter().map(|(name, value)| (name, value))).env("PASSWORD", password);
        let output = command.output().expect("a shell");
        let text =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        Followed { succeeded: output.status.success(), output: text }
    }
}

impl Followed {
    /// Fails unless it went well and printed `identity`.
    pub fn expect(&self, identity: &str, what: &str) {
        assert!(self.succeeded && self.output.contains(identity), "{what}: {}", self.output);
    }
}

/// Every example that a client here can follow: its command line, the password it needs, and whom it comes as.
pub fn all() -> Vec<(String, &'static str, &'static str)> {
    let person = [("certificate", ""), ("kerberos", PASSWORD), ("basic", PASSWORD)];
    let mut found = Vec::new();
    for plugin in ["winrm", "psrp"] {
        let line = |method: &str| {
            format!("ansible -i ansible-{plugin}-{method}.yml all -m ansible.builtin.raw -a whoami")
        };
        found.extend(person.map(|(method, password)| (line(method), password, "alice")));
        found.push((line("ntlm"), ROBOT, "robot"));
    }
    for (program, more) in [("pypsrp-client.py", "negotiate"), ("pywinrm-client.py", "ssl")] {
        let line = |method: &str| format!("python {program} {method}");
        found.extend(person.map(|(method, password)| (line(method), password, "alice")));
        found.push((line(more), PASSWORD, "alice"));
        found.push((line("ntlm"), ROBOT, "robot"));
    }
    found.push(("sh curl.sh".to_owned(), "", "alice"));
    found
}

/// The password of everybody in the lab's realms.
pub const PASSWORD: &str = "Passw0rd!";
/// The password of the account that is local to the gateway.
pub const ROBOT: &str = "Robot-1-Password";
