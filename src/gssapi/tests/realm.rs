//! A real KDC for one test.

use std::{
    ffi::OsStr,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

/// Set in the process that runs a test's body: the directory of its realm.
const MARKER: &str = "WINRM_GATEWAY_TEST_REALM";

/// A throw-away realm: MIT's `CORP.EXAMPLE`, or where a test says so another of `tests/lab/`.
pub(crate) struct Realm {
    dir: PathBuf,
}

impl Realm {
    /// Where everything of the realm is.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A keytab by its short name.
    pub(crate) fn keytab(&self, name: &str) -> PathBuf {
        let path = self.dir.join("kt").join(format!("{name}.keytab"));
        assert!(path.is_file(), "{} is missing", path.display());
        path
    }

    /// How many of the KDC's log lines hold all of `words`.
    pub(super) fn logged(&self, words: &[&str]) -> usize {
        let log = std::fs::read_to_string(self.dir.join("kdc.log")).expect("the KDC's log");
        log.lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
    }

    /// The port of the KDC.
    pub(super) fn port(&self) -> u16 {
        let text = std::fs::read_to_string(self.dir.join("port")).expect("the port");
        text.parse().expect("a number")
    }

    /// From now on libkrb5 asks at this port.
    pub(super) fn ask_at(&self, port: u16) {
        let path = self.dir.join("krb5.conf");
        let text = std::fs::read_to_string(&path).expect("krb5.conf");
        let kdc =
            text.lines().find(|line| line.trim_start().starts_with("kdc = ")).expect("a line for the KDC");
        let changed = text.replace(kdc, &format!("        kdc = 127.0.0.1:{port}"));
        std::fs::write(path, changed).expect("krb5.conf can be written");
    }
}

/// Runs an asynchronous test with a realm of its own.
///
/// `KRB5_CONFIG` belongs to a whole process and can't be set from within, so the test runs itself again in a process of its own.
pub(crate) fn with_realm<F>(body: F)
where
    F: AsyncFnOnce(&Realm),
{
    run(Setup::default(), body);
}

/// How a test's realm and process are set up.
#[derive(Clone, Copy)]
pub(super) struct Setup<'a> {
    /// What makes the realm, of `tests/lab/`.
    pub(super) script: &'a str,
    /// Options for it.
    pub(super) options: &'a [&'a str],
    /// A command to run the test's process under.
    pub(super) under: &'a [&'a str],
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self { script: "mit-realm.sh", options: &[], under: &[] }
    }
}

/// The same, set up in another way.
pub(super) fn run<F>(setup: Setup<'_>, body: F)
where
    F: AsyncFnOnce(&Realm),
{
    if let Some(dir) = std::env::var_os(MARKER) {
        let realm = Realm { dir: PathBuf::from(dir) };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(body(&realm));
        // A call to a silent KDC may still hold a thread: nobody waits for it.
        runtime.shutdown_background();
        return;
    }
    let folder = tempfile::tempdir().expect("a directory");
    let kdc = Kdc::up(setup, folder.path().join("realm"));
    let output = itself(setup.under, std::any::type_name::<F>(), &kdc.dir);
    let text = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}\n{complaint}");
}

/// Runs one test of this binary, told by the type of its body: `crate::module::test::{{closure}}`.
fn itself(under: &[&str], body: &str, dir: &Path) -> std::process::Output {
    let (_, path) = body.split_once("::").expect("a path");
    let name = path.split("::{{closure}}").next().expect("a name");
    let binary = std::env::current_exe().expect("the test's own binary");
    let mut command = match under.split_first() {
        Some((first, rest)) => {
            let mut command = Command::new(first);
            command.args(rest).arg(binary);
            command
        }
        None => Command::new(binary),
    };
    command
        .args(["--exact", name, "--nocapture"])
        .env("KRB5_CONFIG", dir.join("krb5.conf"))
        .env(MARKER, dir)
        .env("DONT_FAKE_MONOTONIC", "1")
        .env_remove("KRB5CCNAME")
        .env_remove("KRB5_KTNAME")
        .env_remove("KRB5_CLIENT_KTNAME")
        .output()
        .expect("the test's process can be started")
}

/// The running KDC; it ends with this value.
struct Kdc {
    script: String,
    dir: PathBuf,
}

impl Kdc {
    /// Starts it. A free port may be taken by another test before the KDC has it, so there are three attempts.
    fn up(setup: Setup<'_>, dir: PathBuf) -> Self {
        let kdc = Self { script: setup.script.to_owned(), dir };
        let mut complaints = Vec::new();
        for _ in 0..3 {
            let port = free_port().to_string();
            match script(setup.script, ["up".as_ref(), kdc.dir.as_os_str(), port.as_ref()], setup.options) {
                Ok(()) => {
                    std::fs::write(kdc.dir.join("port"), port).expect("the port can be noted");
                    return kdc;
                }
                Err(complaint) => complaints.push(complaint),
            }
        }
        panic!("{} up: {complaints:?}", setup.script);
    }
}

impl Drop for Kdc {
    fn drop(&mut self) {
        drop(script(&self.script, ["down".as_ref(), self.dir.as_os_str()], &[]));
    }
}

fn script<const N: usize>(name: &str, arguments: [&OsStr; N], options: &[&str]) -> Result<(), String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab").join(name);
    let output = Command::new("bash").arg(script).args(arguments).args(options).output().expect("bash");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its number").port()
}
