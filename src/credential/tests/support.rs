//! A throw-away realm per test, in a process of its own: libkrb5 reads its configuration from the environment, once.

use std::{
    fs,
    future::Future,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    authn::{Principal, Realm, Realms},
    credential::{Account, BackendCredential, CredentialError, Credentials, Evidence, Keys, Settings},
    gssapi::{Door, DoorSettings},
    policy::{AccountName, CredentialChoice, Spn},
};

/// Runs `body` in a process whose libkrb5 knows a new realm alone. `test` is the full name of the test that calls this.
pub(super) fn in_realm<F: Future<Output = ()>>(test: &str, arguments: &[&str], body: impl FnOnce(Kdc) -> F) {
    in_realm_of("mit-realm.sh", test, arguments, body);
}

/// The same in the realm that this script makes.
pub(super) fn in_realm_of<F: Future<Output = ()>>(
    script: &'static str,
    test: &str,
    arguments: &[&str],
    body: impl FnOnce(Kdc) -> F,
) {
    if let Some(dir) = std::env::var_os(REALM_DIR) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        return runtime.block_on(body(Kdc { dir: PathBuf::from(dir) }));
    }
    let up = Up::new(script, arguments);
    let (_, name) = test.split_once("::").unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(REALM_DIR, &up.realm)
        .env("KRB5_CONFIG", up.realm.join("krb5.conf"))
        .status()
        .unwrap();
    assert!(status.success(), "{status}; see above");
}

const REALM_DIR: &str = "CREDENTIAL_TEST_REALM";

/// The name of a test in this file, for [`in_realm`].
macro_rules! test_name {
    ($name:ident) => {
        concat!(module_path!(), "::", stringify!($name))
    };
}
pub(super) use test_name;

/// A running realm that ends with this value.
struct Up {
    realm: PathBuf,
    script: &'static str,
    _dir: tempfile::TempDir,
}

impl Up {
    fn new(script: &'static str, arguments: &[&str]) -> Self {
        // The directory's socket is there a moment before it answers; on a busy machine that moment can be missed.
        let tries = std::iter::repeat_with(|| Self::attempt(script, arguments));
        tries.take(3).find_map(Result::ok).unwrap_or_else(|| Self::attempt(script, arguments).unwrap())
    }

    fn attempt(name: &'static str, arguments: &[&str]) -> Result<Self, String> {
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let up = Self { realm: dir.path().join("realm"), script: name, _dir: dir };
        let output =
            script(name).arg("up").arg(&up.realm).arg(port.to_string()).args(arguments).output().unwrap();
        if output.status.success() {
            Ok(up)
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        drop(script(self.script).arg("down").arg(&self.realm).output());
    }
}

fn script(name: &str) -> Command {
    let mut command = Command::new("bash");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab").join(name));
    command
}

/// The KDC of the realm that this process knows.
pub(super) struct Kdc {
    dir: PathBuf,
}

impl Kdc {
    pub(super) fn keytab(&self, name: &str) -> PathBuf {
        self.dir.join("kt").join(format!("{name}.keytab"))
    }

    /// How many lines of the KDC's log contain all of `parts`.
    pub(super) fn logged(&self, parts: &[&str]) -> usize {
        let log = fs::read_to_string(self.dir.join("kdc.log")).unwrap();
        log.lines().filter(|line| parts.iter().all(|part| line.contains(part))).count()
    }

    /// `S4U2Self` exchanges for `person`.
    pub(super) fn s4u2self(&self, person: &str) -> usize {
        self.logged(&["PROTOCOL-TRANSITION", &format!("s4u-client={person}@CORP.EXAMPLE")])
    }

    /// `S4U2Proxy` exchanges for `person`, granted or not.
    pub(super) fn s4u2proxy(&self, person: &str) -> usize {
        self.logged(&["CONSTRAINED-DELEGATION", &format!("s4u-client={person}@CORP.EXAMPLE")])
    }

    fn port(&self) -> u16 {
        let text = fs::read_to_string(self.dir.join("krb5.conf")).unwrap();
        let (_, rest) = text.split_once("kdc = 127.0.0.1:").unwrap();
        rest.lines().next().unwrap().trim().parse().unwrap()
    }

    fn answers(&self) -> bool {
        TcpStream::connect(("127.0.0.1", self.port())).is_ok()
    }

    /// Ends the KDC and waits until nobody answers.
    pub(super) async fn stop(&self) {
        let pid = fs::read_to_string(self.dir.join("kdc.pid")).unwrap();
        assert!(Command::new("kill").arg(pid.trim()).status().unwrap().success());
        eventually("the KDC's end", || async { (!self.answers()).then_some(()) }).await;
    }

    /// Starts the KDC again and waits until it answers.
    pub(super) async fn start(&self) {
        let child = Command::new("/usr/sbin/krb5kdc")
            .args(["-n", "-P"])
            .arg(self.dir.join("krb5kdc.pid"))
            .env("KRB5_KDC_PROFILE", self.dir.join("kdc.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        fs::write(self.dir.join("kdc.pid"), child.id().to_string()).unwrap();
        eventually("the KDC", || async { self.answers().then_some(()) }).await;
    }

    /// The least that clocks may differ in Kerberos.
    pub(super) const LEAST_SKEW: Duration = Duration::from_secs(1);

    /// Has the KDC, and this process, forgive next to no difference of clocks; to be called before anything else.
    pub(super) async fn allow_no_skew(&self) {
        let path = self.dir.join("krb5.conf");
        let text = fs::read_to_string(&path).unwrap();
        let skew = format!("[libdefaults]\n    clockskew = {}\n", Self::LEAST_SKEW.as_secs());
        fs::write(&path, text.replace("[libdefaults]\n", &skew)).unwrap();
        self.stop().await;
        self.start().await;
    }

    /// Settings with the delegating account `delegation`, and others.
    pub(super) fn settings(&self) -> Settings {
        let keys = |principal: &str, keytab: PathBuf| Keys {
            principal: format!("{principal}@CORP.EXAMPLE"),
            keytab,
        };
        let mut settings = Settings::new(
            [
                ("delegation", keys("svc-gw", self.keytab("svc-gw"))),
                ("plain", keys("svc-plain", self.keytab("svc-plain"))),
            ]
            .into_iter()
            .map(|(name, keys)| (AccountName::new(name), Account::Keytab(keys)))
            .collect(),
        );
        settings.refusals = Duration::from_secs(60);
        settings
    }
}

/// A door as the gateway has one by default.
pub(super) fn door() -> Arc<Door> {
    Arc::new(Door::new(DoorSettings {
        threads: 8,
        deadline: Duration::from_secs(5),
        breaker_failures: 3,
        breaker_pause: Duration::from_millis(500),
    }))
}

/// What `made` says, again and again, until it says something.
pub(super) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut made: impl FnMut() -> F,
) -> T {
    let started = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    loop {
        ticks.tick().await;
        if let Some(value) = made().await {
            return value;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "waited for {what} in vain");
    }
}

pub(super) fn person(name: &str) -> Principal {
    let realms = Realms::new([("CORP.EXAMPLE".to_owned(), Realm::default())]);
    realms.principal(name, "CORP.EXAMPLE").unwrap()
}

/// The service of a host.
pub(super) fn spn(host: &str) -> Spn {
    Spn::parse(&format!("HTTP/{host}.corp.example")).unwrap()
}

pub(super) fn s4u(account: &str) -> CredentialChoice {
    CredentialChoice::S4u { account: AccountName::new(account) }
}

/// What `delegation` supplies for `name` on `host`.
pub(super) async fn supply(
    credentials: &Credentials,
    name: &str,
    host: &str,
) -> Result<BackendCredential, CredentialError> {
    supply_as(credentials, &s4u("delegation"), name, &[spn(host)]).await
}

/// What `choice` supplies for `name` with a ticket for one of `spns`.
pub(super) async fn supply_as(
    credentials: &Credentials,
    choice: &CredentialChoice,
    name: &str,
    spns: &[Spn],
) -> Result<BackendCredential, CredentialError> {
    let ticketed = match choice {
        CredentialChoice::S4u { account } => credentials.0.as_person(account, &person(name), spns).await?,
        CredentialChoice::Account { account } => credentials.0.as_account(account, spns).await?,
        CredentialChoice::Ticket { .. } | CredentialChoice::Password => panic!("nothing was brought"),
    };
    Ok(BackendCredential::ticket(ticketed, choice.kind(), Evidence::Keys))
}
