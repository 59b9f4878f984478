//! NTLM, Basic, Digest and certificates, over real sockets: what goes out, to whom, and what never does.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::SecretString;
use tokio::io::AsyncReadExt as _;

use super::{
    exchange::door,
    host::{message, soap},
    limits, local_networks, loopback,
    other_host::{Answering, Line, OtherHost, Seen, Speaks, line},
};
use crate::{
    audit::{self, Audit},
    authn::{Accept, AuthMethod, Authenticated, Realm, Realms},
    backend::{
        Answer, BackendError, Backends, Outgoing, Settings, dial::Dialled, digest::Memory,
        error::LOCAL_ACCOUNT_HINT, handshake::Handshake, stats::Counters,
    },
    credential::{Account, CertificateFiles, Credentials, Login, LoginName, Means, PasswordSource},
    policy::{
        self, AccountName, ActionClass, Approach, Asked, BackendAuth, BackendRule, BackendTls, BeforeRun,
        CredentialChoice, Denied, HostProof, Hosts, Match, OperationPermit, OwnershipLimits, PathTemplate,
        Policy, RequestTarget, Route, Rule, Scheme, TrustedHosts, UrlTemplate, When, Who,
    },
    wsman::Envelope,
};

const GET: &str = include_str!("../../../tests/corpus/soap/soap-wmi-config/get-config.request.xml");
/// The account `ops` with the password `Passw0rd!`.
const OPS: &str = "ops:fc525c9683e8fe067095ba2ddc971889";

/// A gateway's stages in front of one host that is known by password or certificate.
struct Lab {
    host: OtherHost,
    backends: Backends,
    credentials: Credentials,
    policy: Policy,
    person: Authenticated,
    audit: Audit,
    /// The account's password, which the operator may change.
    password: Arc<Mutex<&'static str>>,
    _dir: tempfile::TempDir,
}

impl Lab {
    async fn new(auth: BackendAuth, speaks: Speaks) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::with(auth, speaks, (None, dir), "*").await
    }

    async fn secure(auth: BackendAuth, speaks: Speaks) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let line = line(dir.path(), None);
        Self::with(auth, speaks, (Some(line), dir), "").await
    }

    async fn with(
        auth: BackendAuth,
        speaks: Speaks,
        (line, dir): (Option<Line>, tempfile::TempDir),
        trusted: &str,
    ) -> Self {
        let name = if let Speaks::Pyspnego = speaks { r"EXAMPLE\alice" } else { r"{host}\ops" };
        let host = OtherHost::start(speaks, line.as_ref()).await;
        let scheme = if line.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://web01.corp.example:{}/wsman", host.port);
        let tls = BackendTls { ca_file: line.map(|line| line.ca_file) };
        let password = Arc::new(Mutex::new("Passw0rd!"));
        let policy = Policy::new(policy::Settings {
            routes: vec![route(&url, auth, tls)],
            remote_access_groups: BTreeSet::new(),
            deny: Who::default(),
            s4u_allow: HashSet::new(),
            trusted_hosts: TrustedHosts::parse(trusted).unwrap(),
            ownership: OwnershipLimits { per_person: 10, total: 100, idle: Duration::from_secs(60) },
        });
        let account = match auth {
            BackendAuth::Certificate => Account::Certificate(certificate_files(dir.path())),
            BackendAuth::Kerberos
            | BackendAuth::Negotiate
            | BackendAuth::Ntlm
            | BackendAuth::Basic
            | BackendAuth::Digest => Account::Password {
                principal: None,
                name: LoginName::parse(name).unwrap(),
                password: {
                    let password = Arc::clone(&password);
                    PasswordSource::new(move || Ok(SecretString::from(*password.lock().unwrap())))
                },
            },
        };
        let accounts = BTreeMap::from([(AccountName::new("box"), account)]);
        let (door, settings) = (door(), crate::credential::Settings::new(accounts));
        Self {
            host,
            backends: Backends::new(
                Settings { limits: limits(), generation: 1 },
                loopback(),
                Arc::clone(&door),
            ),
            credentials: Credentials::new(
                crate::credential::Settings { readiness: Duration::from_millis(1), ..settings },
                door,
            ),
            policy: policy.unwrap(),
            person: alice(),
            audit: Audit::open(&audit::Settings::new(dir.path().join("audit"))).unwrap(),
            password,
            _dir: dir,
        }
    }

    fn permit(&self) -> Result<OperationPermit, Denied> {
        let target = RequestTarget { listener: "fleet", server_name: None, path: "/wsman" };
        let destination = self.policy.select(&target).unwrap();
        let class = ActionClass::Read;
        let asked = Asked { class, resource_uri: "x", shell: None, enumeration: None, creates_shell: false };
        self.policy.permit(&self.person, &destination, &asked, Instant::now())
    }

    async fn ask(&self) -> Result<Vec<Answer>, BackendError> {
        let permit = self.permit().unwrap();
        let credential = self.credentials.translate(&self.person, &permit).await.unwrap();
        assert_eq!(credential.kind(), "account");
        let recorded = self.audit.intend(self.audit.begin(), BeforeRun::BestEffort).await.unwrap();
        let envelope =
            Envelope::parse(GET.to_owned().into(), None, &crate::wsman::Limits::default()).unwrap();
        let outgoing = Outgoing { envelope: &envelope, ps_version: Some("5.1") };
        let mut answers = self.backends.exchange(&permit, &credential, &recorded, &outgoing).await?;
        let mut all = Vec::new();
        while let Some(answer) = answers.next().await? {
            all.push(answer);
        }
        Ok(all)
    }

    async fn assert_seen(&self, identity: &str) {
        let answers = self.ask().await.unwrap();
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].body, soap(identity));
    }

    async fn error(&self) -> BackendError {
        match self.ask().await {
            Ok(answers) => panic!("answered: {answers:?}"),
            Err(error) => error,
        }
    }

    async fn reason(&self) -> &'static str {
        self.error().await.reason()
    }

    fn change_password(&self, password: &'static str) {
        *self.password.lock().unwrap() = password;
    }
}

fn alice() -> Authenticated {
    let realms = Realms::new([("CORP.EXAMPLE".to_owned(), Realm::default())]);
    Authenticated::for_test(realms.parse("alice@CORP.EXAMPLE").unwrap(), &[], AuthMethod::Certificate)
}

fn route(url: &str, auth: BackendAuth, tls: BackendTls) -> Route {
    let choice = CredentialChoice::Account { account: AccountName::new("box") };
    Route {
        name: "web".to_owned(),
        matches: Match { listener: None, server_name: None, path: PathTemplate::parse("/wsman").unwrap() },
        accept: Accept::of([AuthMethod::Certificate]),
        hosts: Hosts::new(Vec::new()),
        networks: local_networks(),
        backend: BackendRule {
            spns: Vec::new(),
            url: UrlTemplate::parse(url).unwrap(),
            approaches: BTreeMap::from([(AuthMethod::Certificate, Approach { auth, choice })]),
            tls,
        },
        rules: vec![Rule {
            name: "everything".to_owned(),
            who: Who { realms: BTreeSet::from(["CORP.EXAMPLE".to_owned()]), ..Who::default() },
            when: When::default(),
            allow: [ActionClass::Read].into_iter().collect(),
        }],
        before_run: BeforeRun::Durable,
    }
}

fn certificate_files(dir: &std::path::Path) -> CertificateFiles {
    let files = CertificateFiles { certificate: dir.join("client.pem"), private_key: dir.join("client.key") };
    if !files.certificate.exists() {
        drop(client(dir));
    }
    files
}

/// Writes a client's certificate and its key; returns who signed it.
fn client(dir: &std::path::Path) -> rcgen::Certificate {
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let authority = parameters.self_signed(&authority_key).unwrap();
    let mut own = rcgen::CertificateParams::new(vec!["gateway".to_owned()]).unwrap();
    own.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let key = rcgen::KeyPair::generate().unwrap();
    let issuer = rcgen::Issuer::from_params(&parameters, &authority_key);
    let certificate = own.signed_by(&key, &issuer).unwrap();
    std::fs::write(dir.join("client.pem"), certificate.pem()).unwrap();
    std::fs::write(dir.join("client.key"), key.serialize_pem()).unwrap();
    authority
}

fn http(answering: impl Fn(&Seen) -> Vec<u8> + Send + Sync + 'static) -> Speaks {
    let answering: Answering = Arc::new(answering);
    Speaks::Http(answering)
}

fn answer(text: &str) -> Vec<u8> {
    message("200 OK", "application/soap+xml;charset=UTF-8", text.as_bytes())
}

fn refusal(challenges: &[&str]) -> Vec<u8> {
    let fields: String = challenges.iter().map(|text| format!("WWW-Authenticate: {text}\r\n")).collect();
    format!("HTTP/1.1 401 Unauthorized\r\n{fields}Content-Length: 0\r\n\r\n").into_bytes()
}

/// Takes `WEB01\ops` with `password` by Basic.
fn basic(password: &'static str) -> Speaks {
    http(move |seen| {
        let wanted = format!("Basic {}", STANDARD.encode(format!("WEB01\\ops:{password}")));
        if seen.field("Authorization") == Some(&wanted) {
            answer(&soap("WEB01\\ops"))
        } else {
            refusal(&["Negotiate", "Basic realm=\"WSMAN\""])
        }
    })
}

#[tokio::test]
async fn a_workgroup_host_is_reached_by_ntlm_sealed_over_http_and_bound_over_https() {
    let plain = Lab::new(BackendAuth::Ntlm, Speaks::Ntlm(OPS)).await;
    let secure = Lab::secure(BackendAuth::Ntlm, Speaks::Ntlm(OPS)).await;
    for lab in [&plain, &secure] {
        lab.assert_seen("ops").await;
        lab.assert_seen("ops").await;
        let seen = lab.host.seen();
        let bodies: Vec<usize> = seen.iter().map(|seen| seen.body_bytes.min(1)).collect();
        assert_eq!(bodies, [0, 0, 1, 1], "two legs without a body, then requests on the same connection");
        assert_eq!(lab.host.connections(), 1);
        assert!(
            seen[..2].iter().all(|seen| seen.field("Authorization").unwrap().starts_with("Negotiate TlRM"))
        );
        assert!(seen[2..].iter().all(|seen| seen.field("Authorization").is_none()));
        assert_eq!(seen[3].identity.as_deref(), Some("ops"));
        assert_eq!(lab.backends.stats().handshakes, 1);
    }
}

#[tokio::test]
async fn a_wrong_password_is_said_to_be_one_and_uac_is_named_and_no_body_was_sent() {
    for lab in [
        Lab::new(BackendAuth::Ntlm, Speaks::Ntlm(OPS)).await,
        Lab::secure(BackendAuth::Ntlm, Speaks::Ntlm(OPS)).await,
    ] {
        lab.change_password("wrong");
        let error = lab.error().await;
        assert_eq!(error.reason(), "rejected");
        assert!(error.to_string().contains(LOCAL_ACCOUNT_HINT), "{error}");
        assert!(error.to_string().contains("LocalAccountTokenFilterPolicy = 1"), "{error}");
        assert!(error.to_string().contains("WinRMRemoteWMIUsers__"), "{error}");
        assert!(lab.host.requests().is_empty());
        assert_eq!(lab.host.seen().len(), 2, "one try");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pyspnego_takes_the_password_and_opens_what_was_sealed() {
    let lab = Lab::new(BackendAuth::Ntlm, Speaks::Pyspnego).await;
    lab.assert_seen("EXAMPLE\\alice").await;
    lab.assert_seen("EXAMPLE\\alice").await;
    assert_eq!(lab.host.connections(), 1);
    lab.change_password("wrong");
    assert_eq!(lab.reason().await, "rejected");
    assert_eq!(lab.host.requests().len(), 2);
}

/// Invariant I4: what proves nothing of its host is spoken to listed hosts only, and the proof is about that very host.
#[tokio::test]
async fn a_host_that_is_not_trusted_hears_nothing() {
    for auth in [BackendAuth::Ntlm, BackendAuth::Basic, BackendAuth::Digest] {
        for trusted in ["", "web02.corp.example", "*.elsewhere.example"] {
            let dir = tempfile::tempdir().unwrap();
            let lab = Lab::with(auth, Speaks::Ntlm(OPS), (None, dir), trusted).await;
            let denied = lab.permit().unwrap_err();
            assert_eq!(denied.reason(), "not_trusted", "{denied}");
            assert!(lab.host.seen().is_empty());
        }
    }
}

#[tokio::test]
async fn basic_says_who_it_is_on_every_request() {
    for lab in [
        Lab::new(BackendAuth::Basic, basic("Passw0rd!")).await,
        Lab::secure(BackendAuth::Basic, basic("Passw0rd!")).await,
    ] {
        lab.assert_seen("WEB01\\ops").await;
        lab.assert_seen("WEB01\\ops").await;
        assert_eq!((lab.host.requests().len(), lab.host.connections()), (2, 1));
    }
}

#[tokio::test]
async fn a_changed_password_has_a_connection_of_its_own() {
    let lab = Lab::new(BackendAuth::Basic, basic("Passw0rd!")).await;
    lab.assert_seen("WEB01\\ops").await;
    lab.change_password("other");
    let error = lab.error().await;
    assert_eq!(error.reason(), "rejected");
    assert!(error.to_string().contains("LocalAccountTokenFilterPolicy"), "{error}");
    assert_eq!(lab.host.connections(), 2, "two passwords shared a connection");
    assert_eq!(lab.host.requests().len(), 2, "a refused password was tried again");
    lab.change_password("Passw0rd!");
    lab.assert_seen("WEB01\\ops").await;
    assert_eq!(lab.host.connections(), 2);
}

/// Invariant I5, and threat 56: what else a host offers is never followed.
#[tokio::test]
async fn a_host_that_offers_less_than_configured_is_refused() {
    for (auth, offer, reason) in [
        (BackendAuth::Ntlm, "Basic realm=\"WSMAN\"", "downgrade"),
        (BackendAuth::Ntlm, "Kerberos", "downgrade"),
        (BackendAuth::Ntlm, "Negotiate", "rejected"),
        (BackendAuth::Basic, "Negotiate", "downgrade"),
        (BackendAuth::Basic, "Basic realm=\"x\"", "rejected"),
        (BackendAuth::Digest, "Basic realm=\"WSMAN\"", "downgrade"),
        (BackendAuth::Digest, "Digest realm=\"x\", nonce=\"n\", qop=\"auth-int\"", "digest_unsupported"),
        (BackendAuth::Digest, "Digest realm=\"x\", nonce=\"n\"", "digest_unsupported"),
        (
            BackendAuth::Digest,
            "Digest realm=\"x\", nonce=\"n\", qop=\"auth\", algorithm=MD4",
            "digest_unsupported",
        ),
        (
            BackendAuth::Digest,
            "Digest realm=\"x\", realm=\"y\", nonce=\"n\", qop=\"auth\"",
            "digest_malformed",
        ),
    ] {
        let lab = Lab::new(auth, http(move |_| refusal(&[offer]))).await;
        let error = lab.error().await;
        assert_eq!(error.reason(), reason, "{auth:?} {offer}: {error}");
        let seen = lab.host.seen();
        assert_eq!(seen.len(), 1, "{auth:?} {offer}: something followed");
        let sent = seen[0].field("Authorization").unwrap_or_default();
        assert!(auth == BackendAuth::Basic || !sent.starts_with("Basic"), "a password went out in clear");
    }
    // A server without 128-bit keys, sealing or its own time is no NTLM to go on with; nor is one that asks for nothing.
    let token = STANDARD.encode(b"NTLMSSP\0\x02\0\0\0");
    let odd: &'static str = Box::leak(format!("Negotiate {token}").into_boxed_str());
    let lab = Lab::new(BackendAuth::Ntlm, http(move |_| refusal(&[odd]))).await;
    assert_eq!(lab.reason().await, "ntlm");
    let lab = Lab::new(BackendAuth::Ntlm, http(|_| answer(&soap("anybody")))).await;
    assert_eq!(lab.reason().await, "unexpected_leg");
    assert!(lab.host.requests().is_empty());
}

/// How a test's Digest server behaves.
#[derive(Clone, Copy)]
struct Play {
    algorithm: &'static str,
    /// The nonce of the how-manieth challenge, from 0.
    nonce: fn(usize) -> String,
    /// From which count on a nonce is stale.
    stale_from: u32,
}

/// A small Digest server: what the client says is computed here from the header alone.
fn digest(play: Play) -> Speaks {
    let (asked, state) = (Mutex::new(0), Mutex::new((String::new(), 0_u32)));
    let challenge = move |stale: bool| {
        let mut asked = asked.lock().unwrap();
        let nonce = (play.nonce)(*asked);
        *asked += 1;
        *state.lock().unwrap() = (nonce.clone(), 0);
        let stale = if stale { ", stale=true" } else { "" };
        let text = format!(
            "Digest realm=\"amt\", qop=\"auth\", algorithm={}, nonce=\"{nonce}\", opaque=\"5c\"{stale}",
            play.algorithm
        );
        (text, state.lock().unwrap().clone())
    };
    let current = Mutex::new((String::new(), 0_u32));
    http(move |seen| {
        let Some(sent) = seen.field("Authorization") else {
            let (text, state) = challenge(false);
            *current.lock().unwrap() = state;
            return refusal(&[&text]);
        };
        let mut current = current.lock().unwrap();
        current.1 += 1;
        if current.1 >= play.stale_from {
            let (text, state) = challenge(true);
            *current = state;
            return refusal(&[&text]);
        }
        let wanted = format!("nc={:08x}", current.1);
        assert!(sent.contains(&wanted), "{sent} does not say {wanted}");
        let proof = sent.split("response=\"").nth(1).unwrap().split('"').next().unwrap();
        let given = |name: &str| {
            let text = sent.split(&format!("{name}=\"")).nth(1).unwrap();
            text.split('"').next().unwrap().to_owned()
        };
        assert_eq!(given("opaque"), "5c");
        assert_eq!(given("uri"), "/wsman?PSVersion=5.1");
        let hash = |text: &str| hash(play.algorithm, text);
        let secret = hash("WEB01\\ops:amt:Passw0rd!");
        let about = hash("POST:/wsman?PSVersion=5.1");
        let right =
            hash(&format!("{secret}:{}:{:08x}:{}:auth:{about}", current.0, current.1, given(", cnonce")));
        if proof == right {
            answer(&soap("ops by digest"))
        } else {
            refusal(&["Digest realm=\"amt\", qop=\"auth\", nonce=\"z\""])
        }
    })
}

fn hash(algorithm: &str, text: &str) -> String {
    use sha2::Digest as _;
    let bytes = match algorithm {
        "MD5" => md5::Md5::digest(text).to_vec(),
        _ => sha2::Sha256::digest(text).to_vec(),
    };
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn digest_answers_what_the_host_asks_counts_and_takes_a_fresh_nonce() {
    for algorithm in ["MD5", "SHA-256"] {
        let play = Play { algorithm, nonce: |number| format!("n{number}"), stale_from: 3 };
        let lab = Lab::new(BackendAuth::Digest, digest(play)).await;
        for _ in 0..5 {
            lab.assert_seen("ops by digest").await;
        }
        assert_eq!(lab.host.connections(), 1);
        assert!(lab.host.seen()[0].body_bytes == 0, "the first question carries nothing");
    }
}

#[tokio::test]
async fn a_wrong_password_by_digest_is_tried_once() {
    let play = Play { algorithm: "SHA-256", nonce: |number| format!("n{number}"), stale_from: 9 };
    let lab = Lab::new(BackendAuth::Digest, digest(play)).await;
    lab.change_password("wrong");
    assert_eq!(lab.reason().await, "rejected");
    assert_eq!(lab.host.requests().len(), 1);
}

#[tokio::test]
async fn digest_with_a_replayed_nonce_is_refused() {
    // Stale, and then the same nonce again.
    let play = Play { algorithm: "SHA-256", nonce: |_| "n".to_owned(), stale_from: 2 };
    let lab = Lab::new(BackendAuth::Digest, digest(play)).await;
    lab.assert_seen("ops by digest").await;
    assert_eq!(lab.reason().await, "digest_replayed");
    // And on another connection.
    let before = lab.host.requests().len();
    assert_eq!(lab.reason().await, "digest_replayed");
    assert_eq!(lab.host.requests().len(), before, "a body was sent");
    // Stale without end.
    let play = Play { algorithm: "MD5", nonce: |number| format!("n{number}"), stale_from: 1 };
    let lab = Lab::new(BackendAuth::Digest, digest(play)).await;
    assert_eq!(lab.reason().await, "rejected");
    assert_eq!(lab.host.requests().len(), 2, "the same request more than twice");
}

#[tokio::test]
async fn a_host_that_turns_from_sha_256_to_md5_is_refused() {
    let count = Mutex::new(0);
    let lab = Lab::new(
        BackendAuth::Digest,
        http(move |_| {
            let mut count = count.lock().unwrap();
            *count += 1;
            let algorithm = if *count == 1 { "SHA-256" } else { "MD5" };
            let stale = if *count == 2 { ", stale=true" } else { "" };
            let text = format!(
                "Digest realm=\"amt\", qop=\"auth\", algorithm={algorithm}, nonce=\"n{count}\"{stale}"
            );
            refusal(&[&text])
        }),
    )
    .await;
    assert_eq!(lab.reason().await, "downgrade");
    assert_eq!(lab.reason().await, "downgrade", "and on another connection");
    assert_eq!(lab.host.requests().len(), 1);
}

#[tokio::test]
async fn a_client_certificate_goes_with_the_mutual_profile_and_is_shown_where_it_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let authority = client(dir.path());
    let mapped = http(|seen| {
        let profile = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual";
        assert_eq!(seen.field("Authorization"), Some(profile));
        answer(&soap("mapped"))
    });
    let line_that_asks = line(dir.path(), Some(&authority));
    let lab = Lab::with(BackendAuth::Certificate, mapped.clone(), (Some(line_that_asks), dir), "").await;
    lab.assert_seen("mapped").await;
    lab.assert_seen("mapped").await;
    assert_eq!((lab.host.requests().len(), lab.host.connections()), (2, 1));

    let silent = Lab::secure(BackendAuth::Certificate, mapped).await;
    assert_eq!(silent.reason().await, "downgrade", "the host did not ask for the certificate");
    assert!(silent.host.seen().is_empty());
}

#[tokio::test]
async fn a_host_that_does_not_know_the_certificate_carries_nothing_out() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let strange = line(dir.path(), Some(&client(elsewhere.path())));
    let lab =
        Lab::with(BackendAuth::Certificate, http(|_| answer(&soap("?"))), (Some(strange), dir), "").await;
    let reason = lab.reason().await;
    assert!(matches!(reason, "tls" | "lost" | "closed_after_handshake"), "{reason}");
    assert!(lab.host.seen().is_empty());
}

#[tokio::test]
async fn access_denied_for_a_local_account_carries_the_hint() {
    const DENIED: &str = "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" xmlns:w=\"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd\"><s:Header/><s:Body><s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>w:AccessDenied</s:Value></s:Subcode></s:Code><s:Reason><s:Text xml:lang=\"en-US\">Access is denied.</s:Text></s:Reason><s:Detail><f:WSManFault xmlns:f=\"http://schemas.microsoft.com/wbem/wsman/1/wsmanfault\" Code=\"5\"/></s:Detail></s:Fault></s:Body></s:Envelope>";
    let denied = || {
        http(|_| {
            message("500 Internal Server Error", "application/soap+xml;charset=UTF-8", DENIED.as_bytes())
        })
    };
    let error = Lab::secure(BackendAuth::Basic, denied()).await.error().await;
    assert_eq!(error.reason(), "access_denied");
    let text = error.to_string();
    assert!(
        text.contains("Access is denied.") && text.contains("LocalAccountTokenFilterPolicy = 1"),
        "{text}"
    );
    // A certificate's account is none of ours to judge: the host's own words go on.
    let dir = tempfile::tempdir().unwrap();
    let authority = client(dir.path());
    let asks = line(dir.path(), Some(&authority));
    let lab = Lab::with(BackendAuth::Certificate, denied(), (Some(asks), dir), "").await;
    assert_eq!(lab.ask().await.unwrap()[0].facts.fault.as_ref().unwrap().code, Some(5));
}

/// Invariant I4 at the moment of dialling: whatever a permit says of TLS or tickets, a connection without them is none to go on with.
#[tokio::test]
async fn a_connection_that_proves_nothing_hears_nothing_whatever_the_permit_says() {
    let (name, endpoint) = (LoginName::parse(r"BOX\ops").unwrap(), super::endpoint(Scheme::Http, "web01", 1));
    let login = Login::for_test(&name, &endpoint.host, "Passw0rd!");
    let (door, memory, counters) = (door(), Memory::default(), Arc::new(Counters::default()));
    for proof in [HostProof::Tls, HostProof::Ticket] {
        for auth in [BackendAuth::Ntlm, BackendAuth::Basic, BackendAuth::Digest] {
            let (ours, mut theirs) = tokio::io::duplex(1024);
            let dialled = Dialled { transport: Box::new(ours), certificate: None, showed_certificate: false };
            let handshake = Handshake {
                door: &door,
                means: Means::Password(&login),
                endpoint: &endpoint,
                auth,
                proof: &proof,
                memory: (&memory, super::host_key()),
                until: tokio::time::Instant::now() + Duration::from_secs(60),
                patience: Duration::from_secs(1),
            };
            let error = handshake.run(dialled, counters.opened()).await.err().unwrap();
            assert_eq!(error.reason(), "not_trusted");
            let mut heard = Vec::new();
            theirs.read_to_end(&mut heard).await.unwrap();
            assert!(heard.is_empty(), "{auth:?} with {proof:?}");
        }
    }
}
