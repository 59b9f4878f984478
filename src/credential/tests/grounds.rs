//! What people bring, and what the gateway's accounts hold: as whom a host is approached by it, and when not at all.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use secrecy::SecretString;

use super::support::{Kdc, door, eventually, in_realm, in_realm_of, test_name};
use crate::{
    authn::{Accept, AuthMethod, Authenticated, Grounds, Realm, Realms},
    credential::{
        Account, BackendCredential, CredentialError, Credentials, LoginName, Means, PasswordSource, Settings,
    },
    gssapi::{Accepted, Acceptor, Credential, Door, Initiated, Mechanism},
    policy::{
        self, AccountName, ActionClass, Approach, Asked, BackendAuth, BackendRule, BackendTls, BeforeRun,
        CredentialChoice, Hosts, Match, Networks, OperationPermit, OwnershipLimits, PathTemplate, Policy,
        RequestTarget, Route, Rule, SpnTemplate, TrustedHosts, UrlTemplate, When, Who,
    },
};

const TICKET: CredentialChoice = CredentialChoice::Ticket { forwarded: false };
const FORWARDED: CredentialChoice = CredentialChoice::Ticket { forwarded: true };
const PASSWORD: CredentialChoice = CredentialChoice::Password;

/// A realm, and the gateway's credentials in it.
struct Lab {
    kdc: Kdc,
    realm: &'static str,
    domain: &'static str,
    door: Arc<Door>,
    credentials: Credentials,
    /// The password of the account `domain`, which the operator may change.
    password: Arc<Mutex<&'static str>>,
}

impl Lab {
    fn mit(kdc: Kdc) -> Self {
        Self::with(kdc, ("CORP.EXAMPLE", "corp.example"), |settings| settings)
    }

    fn with(
        kdc: Kdc,
        (realm, domain): (&'static str, &'static str),
        change: impl FnOnce(Settings) -> Settings,
    ) -> Self {
        let (door, password) = (door(), Arc::new(Mutex::new("Passw0rd!")));
        let mut settings = Settings { realms: realms(realm), ..kdc.settings() };
        let source = Arc::clone(&password);
        let account = Account::Password {
            principal: Some(format!("dave@{realm}")),
            name: LoginName::parse(r"CORP\dave").unwrap(),
            password: PasswordSource::new(move || Ok(SecretString::from(*source.lock().unwrap()))),
        };
        settings.accounts.insert(AccountName::new("domain"), account);
        let credentials = Credentials::new(change(settings), Arc::clone(&door));
        Self { kdc, realm, domain, door, credentials, password }
    }

    fn principal(&self, name: &str) -> String {
        format!("{name}@{}", self.realm)
    }

    /// A ticket-granting ticket by password.
    async fn tgt(&self, name: &str) -> Credential {
        self.door.from_password(&self.principal(name), SecretString::from("Passw0rd!")).await.unwrap()
    }

    /// A person's ticket for the gateway, as accepting one with the delegating account's keys leaves it.
    async fn evidence(&self, name: &str) -> Credential {
        let keytab = self.kdc.keytab("svc-gw");
        let service = self.door.from_keytab(&self.principal("svc-gw"), &keytab, None).await.unwrap();
        self.door.impersonate(&service, &self.principal(name)).await.unwrap()
    }

    async fn grounds(&self, choice: &CredentialChoice, name: &str) -> Grounds {
        match choice {
            CredentialChoice::Ticket { forwarded: false } => Grounds::Ticket(self.evidence(name).await),
            CredentialChoice::Ticket { forwarded: true } => Grounds::Forwarded(self.tgt(name).await),
            CredentialChoice::Password => {
                Grounds::Password { ticket: self.tgt(name).await, password: SecretString::from("Passw0rd!") }
            }
            CredentialChoice::S4u { .. } | CredentialChoice::Account { .. } => Grounds::Nothing,
        }
    }

    fn person(&self, name: &str, grounds: Grounds) -> Authenticated {
        let principal = realms(self.realm).principal(name, self.realm).unwrap();
        Authenticated::for_test(principal, &[], AuthMethod::Certificate).with_grounds(grounds)
    }

    fn permit(
        &self,
        person: &Authenticated,
        auth: BackendAuth,
        choice: &CredentialChoice,
        hosts: &[&str],
    ) -> OperationPermit {
        let spns =
            hosts.iter().map(|host| SpnTemplate::parse(&format!("HTTP/{host}.{}", self.domain)).unwrap());
        permit(person, Approach { auth, choice: choice.clone() }, spns.collect())
    }

    async fn translate(
        &self,
        person: &Authenticated,
        choice: &CredentialChoice,
        hosts: &[&str],
    ) -> Result<BackendCredential, CredentialError> {
        let permit = self.permit(person, BackendAuth::Kerberos, choice, hosts);
        self.credentials.translate(person, &permit).await
    }

    async fn reason(
        &self,
        person: &Authenticated,
        choice: &CredentialChoice,
        hosts: &[&str],
    ) -> &'static str {
        self.translate(person, choice, hosts).await.unwrap_err().reason()
    }

    /// Asserts that the host sees `name`, by Kerberos and inside SPNEGO.
    async fn assert_seen(&self, credential: &BackendCredential, name: &str) {
        let keys = self.door.acceptor(&self.kdc.keytab("hosts"), None).await.unwrap();
        let Means::Ticket { credential: gss, spn } = credential.means() else { panic!("no ticket") };
        for mechanism in [Mechanism::Krb5, Mechanism::Spnego] {
            let begun = self.door.initiate(gss, &spn.to_string(), mechanism, None).await;
            let (initiator, token) = begun.unwrap();
            let accepted = Acceptor::new(&keys, None).step(&token).unwrap();
            let Accepted::Established(context, Some(answer)) = accepted else { panic!("{accepted:?}") };
            assert_eq!(context.initiator_name(), self.principal(name), "{mechanism:?}");
            assert!(matches!(initiator.step(&answer), Ok(Initiated::Established(..))));
        }
        assert_eq!(credential.identity(), self.principal(name));
    }
}

fn realms(realm: &str) -> Realms {
    let insensitive = || Realm { netbios: None, ..Realm::default() };
    Realms::new([(realm.to_owned(), insensitive()), ("PARTNER.EXAMPLE".to_owned(), insensitive())])
}

fn permit(person: &Authenticated, approach: Approach, spns: Vec<SpnTemplate>) -> OperationPermit {
    let principals = HashSet::from([person.principal().clone()]);
    let route = Route {
        name: "web".to_owned(),
        matches: Match { listener: None, server_name: None, path: PathTemplate::parse("/wsman").unwrap() },
        accept: Accept::of([AuthMethod::Certificate]),
        hosts: Hosts::new(Vec::new()),
        networks: Networks::Usual,
        backend: BackendRule {
            url: UrlTemplate::parse("http://web01.corp.example/wsman").unwrap(),
            spns,
            approaches: BTreeMap::from([(AuthMethod::Certificate, approach)]),
            tls: BackendTls::default(),
        },
        rules: vec![Rule {
            name: "all".to_owned(),
            who: Who { principals, ..Who::default() },
            when: When::default(),
            allow: [ActionClass::Read].into_iter().collect(),
        }],
        before_run: BeforeRun::BestEffort,
    };
    let policy = Policy::new(policy::Settings {
        routes: vec![route],
        remote_access_groups: BTreeSet::new(),
        deny: Who::default(),
        s4u_allow: HashSet::from([person.principal().clone()]),
        trusted_hosts: TrustedHosts::parse("*").unwrap(),
        ownership: OwnershipLimits { per_person: 1, total: 1, idle: Duration::from_secs(1) },
    })
    .unwrap();
    let target = RequestTarget { listener: "fleet", server_name: None, path: "/wsman" };
    let destination = policy.select(&target).unwrap();
    let class = ActionClass::Read;
    let asked = Asked { class, resource_uri: "x", shell: None, enumeration: None, creates_shell: false };
    policy.permit(person, &destination, &asked, Instant::now()).unwrap()
}

#[test]
fn a_host_sees_the_person_by_their_ticket_their_forwarded_ticket_and_their_password() {
    in_realm(
        test_name!(a_host_sees_the_person_by_their_ticket_their_forwarded_ticket_and_their_password),
        &[],
        async |kdc| {
            let lab = Lab::mit(kdc);
            for (choice, kind) in [(TICKET, "ticket"), (FORWARDED, "ticket"), (PASSWORD, "password")] {
                for name in ["alice", "bob"] {
                    let person = lab.person(name, lab.grounds(&choice, name).await);
                    let credential = lab.translate(&person, &choice, &["web01"]).await.unwrap();
                    assert_eq!(credential.kind(), kind);
                    lab.assert_seen(&credential, name).await;
                    assert!(credential.expires() <= Instant::now() + Duration::from_secs(600));
                }
            }
            assert_eq!(lab.kdc.s4u2proxy("alice"), 1, "delegation is for tickets alone");
        },
    );
}

#[test]
fn a_domain_controller_delegates_what_people_bring() {
    in_realm_of(
        "ad-realm.sh",
        test_name!(a_domain_controller_delegates_what_people_bring),
        &[],
        async |kdc| {
            let lab = Lab::with(kdc, ("TEST.EXAMPLE", "test.example"), |settings| settings);
            for choice in [TICKET, FORWARDED, PASSWORD] {
                let person = lab.person("alice", lab.grounds(&choice, "alice").await);
                let credential = lab.translate(&person, &choice, &["web01"]).await.unwrap();
                lab.assert_seen(&credential, "alice").await;
            }
            let carol = lab.person("carol", lab.grounds(&TICKET, "carol").await);
            assert_eq!(lab.reason(&carol, &TICKET, &["web01"]).await, "not_delegable");
            let account = CredentialChoice::Account { account: AccountName::new("domain") };
            let anybody = lab.person("bob", Grounds::Nothing);
            let credential = lab.translate(&anybody, &account, &["web05"]).await.unwrap();
            lab.assert_seen(&credential, "dave").await;
        },
    );
}

#[test]
fn threat_30_a_ticket_in_another_name_is_never_used() {
    in_realm(test_name!(threat_30_a_ticket_in_another_name_is_never_used), &[], async |kdc| {
        let lab = Lab::mit(kdc);
        let keytab = lab.kdc.keytab("svc-gw");
        let own = lab.door.from_keytab("svc-gw@CORP.EXAMPLE", &keytab, None).await.unwrap();
        let keys = lab.door.acceptor(&keytab, None).await.unwrap();
        for ticket in [lab.evidence("bob").await, lab.tgt("bob").await, own, keys] {
            let password = SecretString::from("Passw0rd!");
            for (choice, grounds) in [
                (TICKET, Grounds::Ticket(ticket.clone())),
                (FORWARDED, Grounds::Forwarded(ticket.clone())),
                (PASSWORD, Grounds::Password { ticket: ticket.clone(), password }),
            ] {
                let alice = lab.person("alice", grounds);
                let reason = lab.reason(&alice, &choice, &["web01"]).await;
                assert_eq!(reason, "other_identity", "{ticket:?} {choice:?}");
            }
        }
        assert_eq!(lab.kdc.logged(&["TGS_REQ", "ISSUE", "for HTTP/web01"]), 0);
    });
}

#[test]
fn threat_33_the_same_short_name_in_another_realm_is_somebody_else() {
    in_realm(test_name!(threat_33_the_same_short_name_in_another_realm_is_somebody_else), &[], async |kdc| {
        let lab = Lab::mit(kdc);
        let partner = realms("CORP.EXAMPLE").parse("alice@PARTNER.EXAMPLE").unwrap();
        let partner = Authenticated::for_test(partner, &[], AuthMethod::Certificate)
            .with_grounds(lab.grounds(&TICKET, "alice").await);
        assert_eq!(lab.reason(&partner, &TICKET, &["web01"]).await, "other_identity");
    });
}

#[test]
fn threat_28_what_was_not_brought_is_not_replaced_and_a_forwarded_ticket_is_used_only_where_the_route_says_so()
 {
    in_realm(
        test_name!(threat_28_what_was_not_brought_is_not_replaced_and_a_forwarded_ticket_is_used_only_where_the_route_says_so),
        &[],
        async |kdc| {
            let lab = Lab::mit(kdc);
            for choice in [TICKET, FORWARDED, PASSWORD] {
                for other in [
                    TICKET,
                    FORWARDED,
                    PASSWORD,
                    CredentialChoice::S4u { account: AccountName::new("delegation") },
                ] {
                    if other != choice {
                        let person = lab.person("alice", lab.grounds(&other, "alice").await);
                        let reason = lab.reason(&person, &choice, &["web01"]).await;
                        assert_eq!(reason, "ungrounded", "{choice:?} with {other:?}");
                    }
                }
            }
            assert_eq!(lab.kdc.logged(&["TGS_REQ", "ISSUE", "for HTTP/web01"]), 0);
        },
    );
}

#[test]
fn threat_31_a_person_who_can_not_be_delegated_is_not_and_nobody_else_goes_instead() {
    in_realm(
        test_name!(threat_31_a_person_who_can_not_be_delegated_is_not_and_nobody_else_goes_instead),
        &[],
        async |kdc| {
            let lab = Lab::mit(kdc);
            let carol = lab.person("carol", lab.grounds(&TICKET, "carol").await);
            assert_eq!(lab.reason(&carol, &TICKET, &["web01"]).await, "not_delegable");
            let alice = lab.person("alice", lab.grounds(&TICKET, "alice").await);
            assert_eq!(lab.reason(&alice, &TICKET, &["web05"]).await, "not_delegable");
            assert_eq!(lab.reason(&alice, &TICKET, &["ghost"]).await, "unknown_service");
        },
    );
}

#[test]
fn threat_32_the_next_name_is_tried_only_where_the_kdc_knows_no_such_service() {
    in_realm(
        test_name!(threat_32_the_next_name_is_tried_only_where_the_kdc_knows_no_such_service),
        &[],
        async |kdc| {
            let lab = Lab::mit(kdc);
            let s4u = CredentialChoice::S4u { account: AccountName::new("delegation") };
            for choice in [s4u, TICKET, PASSWORD] {
                let person = lab.person("alice", lab.grounds(&choice, "alice").await);
                let credential = lab.translate(&person, &choice, &["ghost", "web02", "web01"]).await.unwrap();
                assert_eq!(credential.spn().unwrap().to_string(), "HTTP/web02.corp.example");
                lab.assert_seen(&credential, "alice").await;
                assert_eq!(lab.reason(&person, &choice, &["ghost", "phantom"]).await, "unknown_service");
                if choice != PASSWORD {
                    assert_eq!(lab.reason(&person, &choice, &["web05", "web01"]).await, "not_delegable");
                }
            }
            assert_eq!(lab.kdc.logged(&["TGS_REQ", "ISSUE", "for HTTP/web01"]), 0);
        },
    );
}

#[test]
fn threat_34_two_logons_of_one_person_share_no_ticket_and_one_logon_does() {
    in_realm(
        test_name!(threat_34_two_logons_of_one_person_share_no_ticket_and_one_logon_does),
        &[],
        async |kdc| {
            let lab = Lab::mit(kdc);
            for choice in [TICKET, PASSWORD] {
                let first = lab.person("alice", lab.grounds(&choice, "alice").await);
                let second = lab.person("alice", lab.grounds(&choice, "alice").await);
                let one = lab.translate(&first, &choice, &["web01"]).await.unwrap();
                let again = lab.translate(&first, &choice, &["web01"]).await.unwrap();
                let other = lab.translate(&second, &choice, &["web01"]).await.unwrap();
                assert_eq!(one.evidence(), again.evidence());
                assert_eq!(one.gss(), again.gss());
                assert_ne!(one.evidence(), other.evidence());
                assert_ne!(one.gss(), other.gss());
                let (Grounds::Ticket(brought) | Grounds::Password { ticket: brought, .. }) = first.grounds()
                else {
                    panic!("something was brought")
                };
                assert_ne!(one.gss(), brought, "what is obtained must end with the copy");
            }
        },
    );
}

#[test]
fn what_was_made_of_a_ticket_is_made_anew_when_its_time_is_over() {
    in_realm(test_name!(what_was_made_of_a_ticket_is_made_anew_when_its_time_is_over), &[], async |kdc| {
        let max_age = Duration::from_millis(400);
        let lab =
            Lab::with(kdc, ("CORP.EXAMPLE", "corp.example"), |settings| Settings { max_age, ..settings });
        let alice = lab.person("alice", lab.grounds(&TICKET, "alice").await);
        eventually("a second question to the KDC", || async {
            let credential = lab.translate(&alice, &TICKET, &["web01"]).await.unwrap();
            assert!(credential.expires() <= Instant::now() + max_age);
            (lab.kdc.s4u2proxy("alice") == 2).then_some(())
        })
        .await;
        lab.credentials.forget(alice.principal());
        lab.translate(&alice, &TICKET, &["web01"]).await.unwrap();
        assert_eq!(lab.kdc.s4u2proxy("alice"), 3, "forgotten, and asked for again");
    });
}

#[test]
fn a_ticket_that_has_expired_is_said_to_have() {
    in_realm(test_name!(a_ticket_that_has_expired_is_said_to_have), &["--max-life", "3s"], async |kdc| {
        kdc.allow_no_skew().await;
        let lab = Lab::mit(kdc);
        let alice = lab.person("alice", lab.grounds(&FORWARDED, "alice").await);
        lab.translate(&alice, &FORWARDED, &["web01"]).await.unwrap();
        let error = eventually("the ticket's end", || async {
            lab.translate(&alice, &FORWARDED, &["web02"]).await.err()
        })
        .await;
        assert_eq!(error.reason(), "expired", "{error:?}");
    });
}

#[test]
fn threat_54_a_dead_kdc_is_an_error_for_whatever_was_brought() {
    in_realm(test_name!(threat_54_a_dead_kdc_is_an_error_for_whatever_was_brought), &[], async |kdc| {
        let lab = Lab::mit(kdc);
        let mut people = Vec::new();
        for choice in [TICKET, FORWARDED, PASSWORD] {
            let person = lab.person("alice", lab.grounds(&choice, "alice").await);
            lab.translate(&person, &choice, &["web01"]).await.unwrap();
            people.push((person, choice));
        }
        lab.kdc.stop().await;
        for (person, choice) in people {
            let held = lab.translate(&person, &choice, &["web01"]).await.unwrap();
            assert_eq!(held.identity(), "alice@CORP.EXAMPLE", "what is at hand needs no KDC");
            assert_eq!(lab.reason(&person, &choice, &["web02"]).await, "kdc_unavailable", "{choice:?}");
        }
    });
}

#[test]
fn an_account_logs_on_by_its_password_and_a_wrong_one_is_tried_once() {
    in_realm(
        test_name!(an_account_logs_on_by_its_password_and_a_wrong_one_is_tried_once),
        &[],
        async |kdc| {
            let lab = Lab::mit(kdc);
            let account = CredentialChoice::Account { account: AccountName::new("domain") };
            let alice = lab.person("alice", Grounds::Nothing);
            let credential = lab.translate(&alice, &account, &["web05"]).await.unwrap();
            assert_eq!(credential.kind(), "account");
            lab.assert_seen(&credential, "dave").await;
            *lab.password.lock().unwrap() = "wrong";
            for _ in 0..5 {
                let error = lab.translate(&alice, &account, &["web05"]).await.unwrap_err();
                assert_eq!(error.reason(), "own_account", "{error:?}");
                assert!(!format!("{error} {error:?}").contains("wrong;"), "{error:?}");
            }
            assert_eq!(lab.kdc.logged(&["AS_REQ", "PREAUTH_FAILED", "dave@CORP.EXAMPLE"]), 1);
            lab.credentials.ready().await.unwrap();
            assert_eq!(lab.kdc.logged(&["AS_REQ", "PREAUTH_FAILED", "dave@CORP.EXAMPLE"]), 1);
            *lab.password.lock().unwrap() = "Passw0rd!";
            let again = lab.translate(&alice, &account, &["web05"]).await.unwrap();
            assert_eq!(credential.evidence(), again.evidence());
            // The same account, to a host that takes the password alone.
            let permit = lab.permit(&alice, BackendAuth::Basic, &account, &["web05"]);
            let plain = lab.credentials.translate(&alice, &permit).await.unwrap();
            assert_eq!(plain.identity(), r"CORP\dave");
            assert_eq!(lab.credentials.identity_of(&permit), r"CORP\dave");
        },
    );
}

#[test]
fn a_permit_is_for_the_person_it_was_made_for() {
    in_realm(test_name!(a_permit_is_for_the_person_it_was_made_for), &[], async |kdc| {
        let lab = Lab::mit(kdc);
        let s4u = CredentialChoice::S4u { account: AccountName::new("delegation") };
        let (alice, bob) = (lab.person("alice", Grounds::Nothing), lab.person("bob", Grounds::Nothing));
        let permit = lab.permit(&alice, BackendAuth::Kerberos, &s4u, &["web01"]);
        let error = lab.credentials.translate(&bob, &permit).await.unwrap_err();
        assert_eq!(error.reason(), "other_person");
        assert_eq!(lab.kdc.s4u2self("alice") + lab.kdc.s4u2self("bob"), 0);
    });
}

#[test]
fn a_person_s_own_password_goes_with_their_whole_name() {
    in_realm(test_name!(a_person_s_own_password_goes_with_their_whole_name), &[], async |kdc| {
        let lab = Lab::mit(kdc);
        let alice = lab.person("alice", lab.grounds(&PASSWORD, "alice").await);
        for auth in [BackendAuth::Basic, BackendAuth::Digest] {
            let permit = lab.permit(&alice, auth, &PASSWORD, &[]);
            let credential = lab.credentials.translate(&alice, &permit).await.unwrap();
            assert_eq!((credential.identity(), credential.kind()), ("alice@CORP.EXAMPLE", "password"));
            let Means::Password(login) = credential.means() else { panic!("a password") };
            assert_eq!((login.sent(), login.is_local()), ("alice@CORP.EXAMPLE", false));
            assert!(!format!("{credential:?} {alice:?}").contains("Passw0rd"));
            let nobody = lab.person("alice", Grounds::Nothing);
            let error = lab.credentials.translate(&nobody, &permit).await.unwrap_err();
            assert_eq!(error.reason(), "ungrounded");
        }
    });
}
