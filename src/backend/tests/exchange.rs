//! Exchanges with a host that has a real service's keys, over real sockets, with tickets of a real KDC.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio::task::JoinSet;

use super::{
    host::{Act, Host, Script, field, soap},
    limits, local_networks, loopback,
    realm::{Kdc, in_realm, test_name},
};
use crate::{
    audit::{self, Audit},
    authn::{Accept, AuthMethod, Authenticated, Realm, Realms},
    backend::{Answer, Answers, BackendError, Backends, Limits, Outgoing, Settings, Stats},
    credential::{Account, Credentials, Keys},
    gssapi::{ChannelBindings, Door, DoorSettings},
    policy::{
        self, AccountName, ActionClass, Approach, Asked, BackendAuth, BackendRule, BackendTls, BeforeRun,
        CredentialChoice, HostPattern, Hosts, Match, OwnershipLimits, PathTemplate, Policy, RequestTarget,
        Route, Rule, SpnTemplate, TrustedHosts, UrlTemplate, When, Who,
    },
    wsman::Envelope,
};

pub(super) const GET: &str =
    include_str!("../../../tests/corpus/soap/soap-wmi-config/get-config.request.xml");
const COMMAND: &str = include_str!("../../../tests/corpus/soap/soap-cmd-pypsrp/02-Command.request.xml");

/// What a test asks for.
pub(super) struct Wish {
    pub(super) auth: BackendAuth,
    pub(super) choice: CredentialChoice,
    pub(super) https: bool,
    pub(super) keytab: &'static str,
    pub(super) limits: Limits,
    pub(super) script: Script,
}

impl Wish {
    pub(super) fn of(script: impl Fn(usize, usize) -> Act + Send + Sync + 'static) -> Self {
        let script: Script = Arc::new(script);
        let choice = CredentialChoice::S4u { account: AccountName::new("delegation") };
        Self { auth: BackendAuth::Kerberos, choice, https: false, keytab: "web01", limits: limits(), script }
    }

    /// `act` for the first request of the first connection, honesty else.
    fn first(act: Act) -> Self {
        Self::of(move |connection, number| match (connection, number) {
            (1, 1) => act.clone(),
            _ => Act::Honest,
        })
    }
}

/// A gateway's stages in front of one host.
pub(super) struct Lab {
    pub(super) host: Host,
    backends: Backends,
    credentials: Credentials,
    policy: Policy,
    audit: Audit,
    _dir: tempfile::TempDir,
}

impl Lab {
    pub(super) async fn new(kdc: &Kdc, wish: Wish) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let door = door();
        let (tls, ca_file) = if wish.https { tls(dir.path()) } else { (None, None) };
        let host = Host::start(&door, &kdc.keytab(wish.keytab), tls, wish.script).await;
        let keys = |name: &str| Keys { principal: format!("{name}@CORP.EXAMPLE"), keytab: kdc.keytab(name) };
        let accounts = BTreeMap::from([(AccountName::new("delegation"), Account::Keytab(keys("svc-gw")))]);
        let credentials = Credentials::new(crate::credential::Settings::new(accounts), Arc::clone(&door));
        let scheme = if wish.https { "https" } else { "http" };
        let url = format!("{scheme}://{{host}}:{}/wsman", host.port);
        let policy = Policy::new(policy::Settings {
            routes: vec![route(
                &url,
                Approach { auth: wish.auth, choice: wish.choice },
                BackendTls { ca_file },
            )],
            remote_access_groups: BTreeSet::new(),
            deny: Who::default(),
            s4u_allow: HashSet::new(),
            trusted_hosts: TrustedHosts::default(),
            ownership: OwnershipLimits { per_person: 10, total: 100, idle: Duration::from_secs(60) },
        });
        let audit = Audit::open(&audit::Settings::new(dir.path().join("audit"))).unwrap();
        let backends = Backends::new(Settings { limits: wish.limits, generation: 1 }, loopback(), door);
        Self { host, backends, credentials, policy: policy.unwrap(), audit, _dir: dir }
    }

    async fn exchange(&self, person: &str, text: &str) -> Result<Answers, BackendError> {
        let realms = Realms::new([("CORP.EXAMPLE".to_owned(), Realm::default())]);
        let principal = realms.principal(person, "CORP.EXAMPLE").unwrap();
        self.exchange_as(&Authenticated::for_test(principal, &[], AuthMethod::Certificate), text).await
    }

    /// What the host answers to somebody who brought something.
    pub(super) async fn exchange_as(
        &self,
        person: &Authenticated,
        text: &str,
    ) -> Result<Answers, BackendError> {
        let path = "/hosts/web01.corp.example/wsman";
        let target = RequestTarget { listener: "fleet", server_name: None, path };
        let destination = self.policy.select(&target).unwrap();
        let asked = Asked {
            class: ActionClass::Read,
            resource_uri: "x",
            shell: None,
            enumeration: None,
            creates_shell: false,
        };
        let permit = self.policy.permit(person, &destination, &asked, Instant::now()).unwrap();
        let credential = self.credentials.translate(person, &permit).await.unwrap();
        let recorded = self.audit.intend(self.audit.begin(), BeforeRun::BestEffort).await.unwrap();
        let envelope =
            Envelope::parse(text.to_owned().into(), None, &crate::wsman::Limits::default()).unwrap();
        let outgoing = Outgoing { envelope: &envelope, ps_version: Some("5.1.1") };
        self.backends.exchange(&permit, &credential, &recorded, &outgoing).await
    }

    /// Every envelope of the answer.
    async fn ask(&self, person: &str, text: &str) -> Result<Vec<Answer>, BackendError> {
        let mut answers = self.exchange(person, text).await?;
        let mut all = Vec::new();
        while let Some(answer) = answers.next().await? {
            all.push(answer);
        }
        Ok(all)
    }

    /// Asserts that the host answers, and whom it saw.
    async fn assert_seen(&self, person: &str, text: &str) {
        let answers = self.ask(person, text).await.unwrap();
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].body, soap(&format!("{person}@CORP.EXAMPLE")));
    }

    async fn reason(&self, text: &str) -> &'static str {
        match self.ask("alice", text).await {
            Ok(answers) => panic!("answered: {answers:?}"),
            Err(error) => error.reason(),
        }
    }

    pub(super) fn stats(&self) -> Stats {
        self.backends.stats()
    }
}

pub(super) fn door() -> Arc<Door> {
    Arc::new(Door::new(DoorSettings {
        threads: 4,
        deadline: Duration::from_secs(10),
        breaker_failures: 5,
        breaker_pause: Duration::from_secs(1),
    }))
}

fn route(url: &str, approach: Approach, tls: BackendTls) -> Route {
    let url = UrlTemplate::parse(url).unwrap();
    let everybody = Who { realms: BTreeSet::from(["CORP.EXAMPLE".to_owned()]), ..Who::default() };
    Route {
        name: "web".to_owned(),
        matches: Match {
            listener: None,
            server_name: None,
            path: PathTemplate::parse("/hosts/{host}/wsman").unwrap(),
        },
        accept: Accept::of([AuthMethod::Certificate]),
        hosts: Hosts::new(vec![HostPattern::parse("*.corp.example").unwrap()]),
        networks: local_networks(),
        backend: BackendRule {
            spns: vec![SpnTemplate::for_host(&url.host).unwrap()],
            url,
            approaches: BTreeMap::from([(AuthMethod::Certificate, approach)]),
            tls,
        },
        rules: vec![Rule {
            name: "everything".to_owned(),
            who: everybody,
            when: When::default(),
            allow: [ActionClass::Read].into_iter().collect(),
        }],
        before_run: BeforeRun::Durable,
    }
}

/// A certificate for the host, and the file of who signed it: itself.
fn tls(dir: &std::path::Path) -> (Option<(ServerConfig, ChannelBindings)>, Option<std::path::PathBuf>) {
    let made = rcgen::generate_simple_self_signed(vec!["web01.corp.example".to_owned()]).unwrap();
    let file = dir.join("host.pem");
    std::fs::write(&file, made.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let bindings = ChannelBindings::tls_server_end_point(made.cert.der()).unwrap();
    (Some((config, bindings)), Some(file))
}

#[test]
fn the_host_sees_the_person_and_the_inspected_bytes_and_nothing_else() {
    in_realm(test_name!(the_host_sees_the_person_and_the_inspected_bytes_and_nothing_else), async |kdc| {
        for (auth, scheme, protocol) in [
            (BackendAuth::Kerberos, "Kerberos ", "HTTP-Kerberos-session-encrypted"),
            (BackendAuth::Negotiate, "Negotiate ", "HTTP-SPNEGO-session-encrypted"),
        ] {
            let lab = Lab::new(&kdc, Wish { auth, ..Wish::of(|_, _| Act::Honest) }).await;
            for person in ["alice", "bob", "alice"] {
                lab.assert_seen(person, GET).await;
            }
            let seen = lab.host.seen();
            assert_eq!((seen.len(), lab.host.connections()), (5, 2), "two handshakes, three requests");
            assert!(field(&seen[0].head, "Authorization").unwrap().starts_with(scheme));
            assert_eq!(seen[0].body_bytes, 0);
            let request = &seen[1];
            assert_eq!(request.plain.as_deref(), Some(GET));
            assert!(field(&request.head, "Content-Type").unwrap().contains(protocol));
            let mut lines = request.head.lines();
            assert_eq!(lines.next(), Some("POST /wsman?PSVersion=5.1.1 HTTP/1.1"));
            let names: Vec<_> = lines.filter_map(|line| line.split_once(':')).map(|(name, _)| name).collect();
            let wanted =
                ["Host", "Connection", "User-Agent", "Accept-Encoding", "Content-Type", "Content-Length"];
            assert_eq!(names, wanted);
            let stats = lab.stats();
            assert_eq!((stats.handshakes, stats.opened, stats.open, stats.idle), (2, 2, 2, 2));
            assert_eq!((stats.reused, stats.retries, stats.answered), (1, 0, 3));
        }
    });
}

#[test]
fn inside_tls_the_proof_is_bound_to_the_host_s_certificate() {
    in_realm(test_name!(inside_tls_the_proof_is_bound_to_the_host_s_certificate), async |kdc| {
        for auth in [BackendAuth::Kerberos, BackendAuth::Negotiate] {
            let lab = Lab::new(&kdc, Wish { auth, https: true, ..Wish::of(|_, _| Act::Honest) }).await;
            lab.assert_seen("alice", GET).await;
            lab.assert_seen("alice", GET).await;
            let seen = lab.host.seen();
            assert_eq!((seen.len(), lab.host.connections()), (3, 1));
            assert!(seen.iter().all(|seen| seen.bound), "{seen:?}");
            assert_eq!(seen[1].plain.as_deref(), Some(GET));
            assert_eq!(field(&seen[1].head, "Content-Type"), Some("application/soap+xml;charset=UTF-8"));
        }
    });
}

#[test]
fn threat_56_nothing_is_sent_before_the_host_has_proved_who_it_is() {
    in_realm(test_name!(threat_56_nothing_is_sent_before_the_host_has_proved_who_it_is), async |kdc| {
        let two = "HTTP/1.1 200 \r\nWWW-Authenticate: TOKEN\r\nWWW-Authenticate: TOKEN\r\nContent-Length: 0\r\n\r\n";
        let other = "HTTP/1.1 200 \r\nWWW-Authenticate: Basic TOKEN\r\nContent-Length: 0\r\n\r\n";
        let odd = "HTTP/1.1 200 \r\nWWW-Authenticate: TOKEN!\r\nContent-Length: 0\r\n\r\n";
        let plus = "HTTP/1.1 200 \r\nWWW-Authenticate: TOKEN\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 \r\n";
        let closes =
            "HTTP/1.1 200 \r\nWWW-Authenticate: TOKEN\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        let raw = |text: &str| Act::Raw(text.to_owned());
        for (act, reason) in [
            (Act::Status(200), "no_proof"),
            (raw(other), "no_proof"),
            (Act::WrongToken, "not_proved"),
            (Act::Status(401), "rejected"),
            (raw("HTTP/1.1 401 \r\nWWW-Authenticate: TOKEN\r\nContent-Length: 0\r\n\r\n"), "rejected"),
            (
                raw("HTTP/1.1 401 \r\nWWW-Authenticate: Negotiate oQMKAQI=\r\nContent-Length: 0\r\n\r\n"),
                "rejected",
            ),
            (Act::Status(403), "handshake_status"),
            (Act::Status(500), "handshake_status"),
            (raw(two), "unexpected_leg"),
            (raw(odd), "unexpected_leg"),
            (raw(plus), "closed_after_handshake"),
            (raw(closes), "closed_after_handshake"),
            (Act::HonestThenClose, "closed_after_handshake"),
            (Act::Close, "closed_after_handshake"),
            (raw("HTTP/1.1 101 \r\n\r\n"), "broken_answer"),
        ] {
            for auth in [BackendAuth::Kerberos, BackendAuth::Negotiate] {
                let played = act.clone();
                let wish = Wish::of(move |_, number| if number == 0 { played.clone() } else { Act::Honest });
                let lab = Lab::new(&kdc, Wish { auth, ..wish }).await;
                let found = lab.reason(COMMAND).await;
                // The host's farewell may arrive with its proof or right behind it.
                let early = matches!(act, Act::HonestThenClose) && found == "lost";
                // An offer of `Negotiate` alone is no offer of `Kerberos`.
                let only_negotiate = matches!(&act, Act::Raw(text) if text.contains(": Negotiate oQ"));
                let reason =
                    if auth == BackendAuth::Kerberos && only_negotiate { "downgrade" } else { reason };
                assert!(found == reason || early, "{act:?} {auth:?}: {found}");
                // By then the host has read all that was sent.
                lab.host.wait_for_ends(1).await;
                let seen = lab.host.seen();
                assert!(early || seen.iter().all(|seen| seen.body_bytes == 0), "{act:?}: a body was sent");
                assert_eq!((lab.host.connections(), lab.stats().open), (1, 0), "{act:?}");
            }
        }
    });
}

#[test]
fn threat_56_a_host_with_another_host_s_key_gets_no_body() {
    in_realm(test_name!(threat_56_a_host_with_another_host_s_key_gets_no_body), async |kdc| {
        let lab = Lab::new(&kdc, Wish { keytab: "web05", ..Wish::of(|_, _| Act::Honest) }).await;
        assert_eq!(lab.reason(COMMAND).await, "rejected");
        lab.host.wait_for_ends(1).await;
        assert!(lab.host.requests().is_empty());
        assert_eq!((lab.stats().handshakes, lab.stats().handshakes_failed), (0, 1));
    });
}

#[test]
fn threat_19_and_55_a_rogue_answer_has_its_reason_and_nothing_is_sent_twice() {
    in_realm(
        test_name!(threat_19_and_55_a_rogue_answer_has_its_reason_and_nothing_is_sent_twice),
        async |kdc| {
            let raw = |text: &str| Act::Raw(text.to_owned());
            let soap_type = "Content-Type: application/soap+xml;charset=UTF-8";
            for (act, reason) in [
                (raw("HTTP/1.1 200 \r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"), "broken_answer"),
                (
                    raw("HTTP/1.1 200 \r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx"),
                    "broken_answer",
                ),
                (raw("HTTP/1.1 101 \r\n\r\n"), "broken_answer"),
                (raw(&"HTTP/1.1 100 \r\n\r\n".repeat(9)), "broken_answer"),
                (raw("HTTP/1.1 200 \r\nContent-Type: a\r\n\r\nx"), "broken_answer"),
                (raw("garbage\r\n\r\n"), "broken_answer"),
                (Act::RawThenClose("garbage".to_owned()), "lost"),
                (Act::Cut, "lost"),
                (Act::Close, "lost"),
                (Act::Tampered, "unsealed"),
                (Act::WrongLength, "broken_answer"),
                (Act::NoSoap, "broken_answer"),
                (Act::Envelopes(0), "broken_answer"),
                (Act::Plain, "not_sealed"),
                (raw(&format!("HTTP/1.1 500 \r\n{soap_type}\r\nContent-Length: 1\r\n\r\nx")), "not_sealed"),
                (Act::Status(500), "host_status"),
                (Act::Status(400), "host_status"),
                (Act::Status(413), "host_status"),
                (Act::Status(302), "host_status"),
                (Act::Status(200), "not_sealed"),
                (Act::Status(401), "rejected"),
            ] {
                let lab = Lab::new(&kdc, Wish::first(act.clone())).await;
                assert_eq!(lab.reason(COMMAND).await, reason, "{act:?}");
                assert_eq!((lab.host.requests().len(), lab.stats().open), (1, 0), "{act:?}");
                let counted =
                    lab.stats().failed.iter().find(|(name, _)| *name == reason).map(|(_, count)| *count);
                assert_eq!(counted, Some(1), "{act:?}");
                lab.assert_seen("alice", GET).await;
            }
        },
    );
}

#[test]
fn what_a_host_can_not_have_begun_is_sent_once_more_and_nothing_else() {
    in_realm(test_name!(what_a_host_can_not_have_begun_is_sent_once_more_and_nothing_else), async |kdc| {
        for (act, text, again) in [
            (Act::Status(401), COMMAND, true),
            (Act::Status(400), COMMAND, true),
            (Act::Close, GET, true),
            (Act::Close, COMMAND, false),
            (Act::RawThenClose("HTTP/1.1 2".to_owned()), GET, false),
            (Act::Cut, GET, false),
            (Act::Status(503), GET, false),
        ] {
            let played = act.clone();
            let script = move |connection, number| {
                if (connection, number) == (1, 2) { played.clone() } else { Act::Honest }
            };
            let lab = Lab::new(&kdc, Wish::of(script)).await;
            lab.assert_seen("alice", GET).await;
            if again {
                lab.assert_seen("alice", text).await;
            } else {
                lab.reason(text).await;
            }
            let wanted = if again { (3, 2, 1) } else { (2, 1, 0) };
            let found = (lab.host.requests().len(), lab.host.connections(), lab.stats().retries);
            assert_eq!(found, (wanted.0, wanted.1, wanted.2), "{act:?}");
        }
        // Not a third time.
        let script = |_, number| if number == 2 { Act::Status(401) } else { Act::Honest };
        let lab = Lab::new(&kdc, Wish::of(script)).await;
        lab.assert_seen("alice", GET).await;
        lab.assert_seen("alice", COMMAND).await;
        let script = |connection, number| match (connection, number) {
            (_, 0) | (1, 1) => Act::Honest,
            _ => Act::Status(401),
        };
        let lab = Lab::new(&kdc, Wish::of(script)).await;
        lab.assert_seen("alice", GET).await;
        assert_eq!((lab.reason(COMMAND).await, lab.host.requests().len()), ("rejected", 3));
    });
}

#[test]
fn a_connection_that_its_host_closed_or_will_close_or_spoilt_is_not_used_again() {
    in_realm(
        test_name!(a_connection_that_its_host_closed_or_will_close_or_spoilt_is_not_used_again),
        async |kdc| {
            for act in [Act::HonestThenClose, Act::Farewell, Act::Surplus] {
                let played = act.clone();
                let lab = Lab::new(
                    &kdc,
                    Wish::of(move |_, number| if number == 0 { Act::Honest } else { played.clone() }),
                )
                .await;
                for count in 1..=3 {
                    lab.assert_seen("alice", COMMAND).await;
                    lab.host.wait_for_ends(if matches!(act, Act::HonestThenClose) { count } else { 0 }).await;
                }
                let found = (lab.host.connections(), lab.host.requests().len(), lab.stats().retries);
                assert_eq!(found, (3, 3, 0), "{act:?}");
            }
        },
    );
}

#[test]
fn several_envelopes_come_one_by_one() {
    in_realm(test_name!(several_envelopes_come_one_by_one), async |kdc| {
        let lab = Lab::new(&kdc, Wish::first(Act::Envelopes(3))).await;
        let mut answers = lab.exchange("alice", GET).await.unwrap();
        assert_eq!((answers.status(), answers.may_go_on()), (200, true));
        for left in [2, 1, 0] {
            assert_eq!(answers.next().await.unwrap().unwrap().body, soap("alice@CORP.EXAMPLE"));
            assert_eq!(answers.may_go_on(), left > 0, "{left} more to come");
        }
        assert_eq!(answers.next().await.unwrap(), None);
        assert_eq!(answers.next().await.unwrap(), None);
        lab.assert_seen("alice", GET).await;
        assert_eq!(lab.host.connections(), 1);
        let lab = Lab::new(&kdc, Wish::first(Act::Envelopes(1))).await;
        let mut answers = lab.exchange("alice", GET).await.unwrap();
        answers.next().await.unwrap().unwrap();
        assert!(!answers.may_go_on(), "the end has arrived together with the envelope");
        drop(answers);
        lab.host.wait_for_ends(1).await;
        assert_eq!(lab.stats().open, 0, "answers that are dropped before their end close the connection");
    });
}

#[test]
fn an_answer_in_utf_16_is_passed_on_in_utf_8() {
    in_realm(test_name!(an_answer_in_utf_16_is_passed_on_in_utf_8), async |kdc| {
        let lab = Lab::new(&kdc, Wish::first(Act::Wide)).await;
        lab.assert_seen("alice", GET).await;
        assert_eq!(lab.stats().idle, 1);
        let lab = Lab::new(&kdc, Wish { https: true, ..Wish::first(Act::Wide) }).await;
        lab.assert_seen("alice", GET).await;
        assert_eq!(lab.stats().idle, 1);
    });
}

#[test]
fn four_hundred_kilobytes_go_out_whole() {
    in_realm(test_name!(four_hundred_kilobytes_go_out_whole), async |kdc| {
        for https in [false, true] {
            let lab = Lab::new(&kdc, Wish { https, ..Wish::of(|_, _| Act::Honest) }).await;
            let text = GET.replace("<s:Header>", &format!("<s:Header><!--{}-->", "x".repeat(400_000)));
            lab.assert_seen("alice", &text).await;
            assert_eq!(lab.host.requests()[0].plain.as_deref(), Some(text.as_str()));
        }
    });
}

#[test]
fn a_host_that_refuses_a_request_before_it_has_read_it_is_heard() {
    in_realm(test_name!(a_host_that_refuses_a_request_before_it_has_read_it_is_heard), async |kdc| {
        let text = COMMAND.replace("<s:Header>", &format!("<s:Header><!--{}-->", "x".repeat(400_000)));
        for _ in 0..10 {
            let lab = Lab::new(&kdc, Wish::first(Act::TooLarge)).await;
            let error = lab.ask("alice", &text).await.unwrap_err();
            assert!(matches!(error, BackendError::HostStatus { status: 413, .. }), "{error:?}");
            assert_eq!(lab.host.requests().len(), 1);
        }
    });
}

#[test]
fn a_request_that_is_given_up_closes_its_connection() {
    in_realm(test_name!(a_request_that_is_given_up_closes_its_connection), async |kdc| {
        for silent in [0, 1, 2] {
            let script = move |_, number| if number == silent { Act::Silence } else { Act::Honest };
            let lab = Arc::new(Lab::new(&kdc, Wish::of(script)).await);
            if silent == 2 {
                lab.assert_seen("alice", GET).await;
            }
            let asking = Arc::clone(&lab);
            let task = tokio::spawn(async move { asking.ask("alice", COMMAND).await.map(drop) });
            lab.host.wait_for_requests(silent + 1).await;
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
            lab.host.wait_for_ends(1).await;
            assert_eq!((lab.stats().open, lab.stats().idle), (0, 0), "given up at request {silent}");
        }
    });
}

#[test]
fn a_host_that_is_silent_costs_the_operation_s_own_time() {
    in_realm(test_name!(a_host_that_is_silent_costs_the_operation_s_own_time), async |kdc| {
        let delay = Duration::from_millis(300);
        let limits = Limits { network_delay: delay, ..limits() };
        let text = GET.replace("PT60.000S", "PT1S");
        let started = Instant::now();
        let lab = Lab::new(&kdc, Wish { limits, ..Wish::first(Act::Silence) }).await;
        assert_eq!(lab.reason(&text).await, "timed_out");
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        let silent = Wish { limits, ..Wish::of(|_, _| Act::Silence) };
        assert_eq!(Lab::new(&kdc, silent).await.reason(&text).await, "connect_timed_out");
    });
}

#[test]
fn a_host_all_of_whose_connections_are_in_use_is_busy() {
    in_realm(test_name!(a_host_all_of_whose_connections_are_in_use_is_busy), async |kdc| {
        let limits = Limits { connections_per_host: 1, connect: Duration::from_millis(300), ..limits() };
        let lab = Lab::new(&kdc, Wish { limits, ..Wish::of(|_, _| Act::Honest) }).await;
        let held = lab.exchange("alice", GET).await.unwrap();
        assert_eq!(lab.reason(GET).await, "busy");
        assert_eq!(lab.ask("bob", GET).await.unwrap_err().reason(), "busy");
        drop(held);
        lab.assert_seen("bob", GET).await;
        lab.assert_seen("alice", GET).await;
        assert!(lab.stats().waits >= 2);
    });
}

#[test]
fn idle_connections_are_reaped_once_their_host_closes_them() {
    in_realm(test_name!(idle_connections_are_reaped_once_their_host_closes_them), async |kdc| {
        let lab = Lab::new(&kdc, Wish::first(Act::HonestThenClose)).await;
        lab.assert_seen("alice", GET).await;
        lab.host.wait_for_ends(1).await;
        lab.assert_seen("bob", GET).await;
        lab.backends.reap();
        assert_eq!((lab.stats().open, lab.stats().idle), (1, 1));
        let limits = Limits { idle: Duration::ZERO, ..limits() };
        let lab = Lab::new(&kdc, Wish { limits, ..Wish::of(|_, _| Act::Honest) }).await;
        lab.assert_seen("alice", GET).await;
        lab.backends.reap();
        assert_eq!(lab.stats().open, 0);
    });
}

#[test]
fn a_connection_does_not_outlive_what_is_known_of_the_person() {
    in_realm(test_name!(a_connection_does_not_outlive_what_is_known_of_the_person), async |kdc| {
        let mut lab = Lab::new(&kdc, Wish::of(|_, _| Act::Honest)).await;
        let keys = Keys { principal: "svc-gw@CORP.EXAMPLE".to_owned(), keytab: kdc.keytab("svc-gw") };
        let settings = crate::credential::Settings::new(BTreeMap::from([(
            AccountName::new("delegation"),
            Account::Keytab(keys),
        )]));
        let settings = crate::credential::Settings { max_age: Duration::from_millis(1), ..settings };
        lab.credentials = Credentials::new(settings, door());
        for connections in 1..=3 {
            lab.assert_seen("alice", GET).await;
            assert_eq!((lab.host.connections(), lab.stats().idle), (connections, 0));
        }
    });
}

#[test]
fn threat_22_interleaved_requests_of_several_people_mix_nothing() {
    in_realm(test_name!(threat_22_interleaved_requests_of_several_people_mix_nothing), async |kdc| {
        // With fewer places than there are requests, people take each other's places all the time; with enough they keep their own.
        for places in [4, 40] {
            let limits = Limits { connections_per_host: places, ..limits() };
            let lab = Arc::new(Lab::new(&kdc, Wish { limits, ..Wish::of(|_, _| Act::Honest) }).await);
            let mut asking = JoinSet::new();
            for task in 0..12 {
                let lab = Arc::clone(&lab);
                asking.spawn(async move {
                    for number in 0..50 {
                        lab.assert_seen(["alice", "bob", "dave"][(task + number) % 3], GET).await;
                    }
                });
            }
            while let Some(done) = asking.join_next().await {
                done.unwrap();
            }
            let mut by_connection: HashMap<usize, HashSet<Option<String>>> = HashMap::new();
            for seen in lab.host.seen() {
                by_connection.entry(seen.connection).or_default().insert(seen.identity);
            }
            assert!(by_connection.values().all(|identities| identities.len() == 1), "{by_connection:?}");
            let stats = lab.stats();
            assert_eq!((stats.answered, stats.retries), (600, 0));
            assert!(stats.open <= places, "{stats:?}");
            assert!(places == 4 || stats.handshakes <= 36, "{stats:?}");
        }
    });
}
