//! A throw-away realm for one test, which then runs in a process of its own: libkrb5 reads its configuration from the environment, once.

use std::{
    future::Future,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

/// Runs `body` in a process whose libkrb5 knows a new realm alone. `test` is the full name of the test that calls this.
pub(super) fn in_realm<F: Future<Output = ()>>(test: &str, body: impl FnOnce(Kdc) -> F) {
    if let Some(dir) = std::env::var_os(REALM_DIR) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        return runtime.block_on(body(Kdc { dir: PathBuf::from(dir) }));
    }
    let up = Up::new();
    let (_, name) = test.split_once("::").unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(REALM_DIR, &up.realm)
        .env("KRB5_CONFIG", up.realm.join("krb5.conf"))
        // Every test host sees each ticket on one connection alone; a cache on disk would be shared with other tests.
        .env("KRB5RCACHENAME", "none:")
        .status()
        .unwrap();
    assert!(status.success(), "{status}; see above");
}

const REALM_DIR: &str = "BACKEND_TEST_REALM";

/// The name of a test in this file, for [`in_realm`].
macro_rules! test_name {
    ($name:ident) => {
        concat!(module_path!(), "::", stringify!($name))
    };
}
pub(super) use test_name;

/// The KDC of the realm that this process knows.
pub(super) struct Kdc {
    dir: PathBuf,
}

impl Kdc {
    pub(super) fn keytab(&self, name: &str) -> PathBuf {
        self.dir.join("kt").join(format!("{name}.keytab"))
    }
}

/// A running realm that ends with this value.
struct Up {
    realm: PathBuf,
    _dir: tempfile::TempDir,
}

impl Up {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let up = Self { realm: dir.path().join("realm"), _dir: dir };
        let output = script().arg("up").arg(&up.realm).arg(port.to_string()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        up
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        drop(script().arg("down").arg(&self.realm).output());
    }
}

fn script() -> Command {
    let mut command = Command::new("bash");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/mit-realm.sh"));
    command
}
