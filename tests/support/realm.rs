//! The throw-away realms.

use std::{
    net::{TcpListener, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use super::{free_port, process::run, root};

/// A KDC that ends with this value.
pub struct Realm {
    pub dir: PathBuf,
    pub port: u16,
    pub name: &'static str,
    script: &'static str,
}

impl Realm {
    /// An MIT realm `CORP.EXAMPLE` with constrained delegation.
    pub fn mit(dir: &Path, arguments: &[&str]) -> Self {
        Self::up("mit-realm.sh", "CORP.EXAMPLE", dir, arguments)
    }

    /// A Samba Active Directory domain `TEST.EXAMPLE`.
    pub fn active_directory(dir: &Path) -> Self {
        Self::up("ad-realm.sh", "TEST.EXAMPLE", dir, &[])
    }

    fn up(script: &'static str, name: &'static str, dir: &Path, arguments: &[&str]) -> Self {
        let port = free_port();
        let path = root().join("tests/lab").join(script);
        run(Command::new("bash").arg(path).arg("up").arg(dir).arg(port.to_string()).args(arguments));
        Self { dir: dir.to_owned(), port, name, script }
    }

    /// The configuration for libkrb5.
    pub fn krb5_conf(&self) -> PathBuf {
        self.dir.join("krb5.conf")
    }

    /// A keytab by its short name.
    pub fn keytab(&self, name: &str) -> PathBuf {
        let path = self.dir.join("kt").join(format!("{name}.keytab"));
        assert!(path.is_file(), "{} is missing", path.display());
        path
    }

    /// Gives `principal` a new key and adds it to the keytab `name`, where the old one stays.
    pub fn rotate(&self, principal: &str, name: &str) {
        let path = root().join("tests/lab").join(self.script);
        run(Command::new("bash")
            .arg(path)
            .arg("rotate")
            .arg(&self.dir)
            .arg(principal)
            .arg(self.keytab(name)));
    }

    /// A credentials cache with a ticket-granting ticket of `person`, in `file`.
    pub fn ticket(&self, person: &str, file: &Path) {
        let mut command = Command::new("kinit");
        command.args(["-f", "-k", "-t"]).arg(self.keytab(person)).arg("-c").arg(file);
        run(command.arg(format!("{person}@{}", self.name)).env("KRB5_CONFIG", self.krb5_conf()));
    }

    /// Ends the KDC and waits until its port is free. Its log stays.
    pub fn stop_kdc(&self) {
        let pid = std::fs::read_to_string(self.dir.join("kdc.pid")).expect("the KDC's process id");
        run(Command::new("kill").args(["-KILL", pid.trim()]));
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
            assert!(started.elapsed() < Duration::from_secs(10), "the KDC is still there");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// Puts something in the KDC's place that takes connections and never says a word, for as long as the value lives.
    pub fn replace_kdc_by_silence(&self) -> Silence {
        self.stop_kdc();
        // Nobody calls `accept`: the kernel completes connections by itself.
        let tcp = TcpListener::bind(("127.0.0.1", self.port)).expect("the KDC's port");
        let udp = UdpSocket::bind(("127.0.0.1", self.port)).expect("the KDC's port");
        Silence { _tcp: tcp, _udp: udp }
    }

    /// The KDC's log so far.
    pub fn kdc_log(&self) -> String {
        std::fs::read_to_string(self.dir.join("kdc.log")).expect("the log of the KDC")
    }
}

/// The port of a KDC that does not answer.
pub struct Silence {
    _tcp: TcpListener,
    _udp: UdpSocket,
}

impl Drop for Realm {
    fn drop(&mut self) {
        let path = root().join("tests/lab").join(self.script);
        drop(Command::new("bash").arg(path).arg("down").arg(&self.dir).output());
    }
}
