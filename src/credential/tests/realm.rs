//! Against a real KDC.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use super::support::{Kdc, door, eventually, in_realm, person, s4u, spn, supply, supply_as, test_name};
use crate::{
    credential::{
        Account, Credentials, Keys, Settings,
        held::{Held, Span},
        supply::Impersonation,
    },
    gssapi::{Accepted, Acceptor, Credential, Initiated, Mechanism},
    policy::{AccountName, CredentialChoice},
};

#[test]
fn fifty_requests_of_one_person_for_one_host_cost_one_exchange_each() {
    in_realm(
        test_name!(fifty_requests_of_one_person_for_one_host_cost_one_exchange_each),
        &[],
        async |kdc| {
            let credentials = Arc::new(Credentials::new(kdc.settings(), door()));
            let mut asking = JoinSet::new();
            for _ in 0..50 {
                let credentials = Arc::clone(&credentials);
                asking.spawn(async move { supply(&credentials, "alice", "web01").await });
            }
            while let Some(got) = asking.join_next().await {
                let credential = got.unwrap().unwrap();
                assert_eq!((credential.identity(), credential.kind()), ("alice@CORP.EXAMPLE", "s4u"));
                assert_eq!(credential.gss().name(), "alice@CORP.EXAMPLE");
            }
            assert_eq!((kdc.s4u2self("alice"), kdc.s4u2proxy("alice")), (1, 1));
            assert_eq!(kdc.logged(&["AS_REQ", "ISSUE", "svc-gw@CORP.EXAMPLE"]), 1);
            supply(&credentials, "alice", "web02").await.unwrap();
            assert_eq!((kdc.s4u2self("alice"), kdc.s4u2proxy("alice")), (1, 2));
            let stats = credentials.stats();
            assert_eq!((stats.logons, stats.s4u2self, stats.s4u2proxy), (1, 1, 2));
            assert_eq!((stats.people.entries, stats.tickets.entries, stats.tickets.hits), (1, 2, 49));

            credentials.forget(&person("bob"));
            supply(&credentials, "alice", "web02").await.unwrap();
            assert_eq!(kdc.s4u2self("alice"), 1);
            credentials.forget(&person("alice"));
            // The task that made the last one may not have let go of it yet.
            eventually("the end of the tickets", || async {
                (credentials.stats().tickets.entries == 0).then_some(())
            })
            .await;
            supply(&credentials, "alice", "web02").await.unwrap();
            assert_eq!((kdc.s4u2self("alice"), kdc.s4u2proxy("alice")), (2, 3));
            credentials.clear();
            supply(&credentials, "alice", "web02").await.unwrap();
            assert_eq!(kdc.logged(&["AS_REQ", "ISSUE", "svc-gw@CORP.EXAMPLE"]), 2);
        },
    );
}

#[test]
fn what_the_kdc_refuses_has_its_reason_and_hurts_nothing_else() {
    in_realm(test_name!(what_the_kdc_refuses_has_its_reason_and_hurts_nothing_else), &[], async |kdc| {
        let credentials = Credentials::new(kdc.settings(), door());
        for (name, host, reason, advice) in [
            ("carol", "web01", "not_delegable", "Protected Users"),
            ("alice", "web05", "not_delegable", "msDS-AllowedToDelegateTo"),
            ("nobody", "web01", "unknown_person", "Get-ADUser"),
            ("alice", "ghost", "unknown_service", "setspn -S HTTP/ghost.corp.example"),
        ] {
            for _ in 0..3 {
                let error = supply(&credentials, name, host).await.unwrap_err();
                assert_eq!(error.reason(), reason, "{name} on {host}: {error:?}");
                assert!(error.to_string().contains(advice), "{error}");
            }
        }
        let stats = credentials.stats();
        assert_eq!((stats.people.negative_hits, stats.tickets.negative_hits), (2, 6), "{stats:?}");
        supply(&credentials, "alice", "web01").await.unwrap();
        assert_eq!(kdc.s4u2self("alice"), 1, "a refused host cost the person's credential");

        let plain = supply_as(&credentials, &s4u("plain"), "alice", &[spn("web01")]).await;
        assert_eq!(plain.unwrap_err().reason(), "not_delegable");
        let unknown = supply_as(&credentials, &s4u("other"), "alice", &[spn("web01")]).await;
        assert_eq!(unknown.unwrap_err().reason(), "unknown_account");
    });
}

#[test]
fn a_refusal_is_asked_again_after_a_moment() {
    in_realm(test_name!(a_refusal_is_asked_again_after_a_moment), &[], async |kdc| {
        let settings = Settings { refusals: Duration::from_millis(300), ..kdc.settings() };
        let credentials = Credentials::new(settings, door());
        let started = Instant::now();
        eventually("a second question", || async {
            assert!(supply(&credentials, "alice", "web05").await.is_err());
            (credentials.stats().s4u2proxy == 2).then_some(())
        })
        .await;
        assert!(started.elapsed() >= Duration::from_millis(300));
        assert_eq!(kdc.s4u2self("alice"), 1);
    });
}

#[test]
fn an_account_that_can_not_log_on_is_said_to_be_the_gateway_s_own() {
    in_realm(test_name!(an_account_that_can_not_log_on_is_said_to_be_the_gateway_s_own), &[], async |kdc| {
        for (principal, keytab) in [("svc-gw", "missing"), ("svc-gw", "web01"), ("svc-none", "svc-gw")] {
            let keys = Keys { principal: format!("{principal}@CORP.EXAMPLE"), keytab: kdc.keytab(keytab) };
            let accounts = BTreeMap::from([(AccountName::new("delegation"), Account::Keytab(keys))]);
            let credentials = Credentials::new(Settings::new(accounts), door());
            let error = supply(&credentials, "alice", "web01").await.unwrap_err();
            assert_eq!(error.reason(), "own_account", "{error:?}");
            let error = credentials.ready().await.unwrap_err();
            assert_eq!(error.reason(), "own_account", "{error:?}");
            assert_eq!(credentials.stats().logons, 1, "each trial counts towards a lockout");
        }
        assert_eq!(kdc.s4u2self("alice"), 0);
    });
}

#[test]
fn threat_34_people_never_get_each_other_s_credential() {
    in_realm(test_name!(people_never_get_each_other_s_credential), &[], async |kdc| {
        let door = door();
        let credentials = Arc::new(Credentials::new(kdc.settings(), Arc::clone(&door)));
        let mut asking = JoinSet::new();
        for number in 0..500 {
            let credentials = Arc::clone(&credentials);
            let name = ["alice", "bob", "dave"][number % 3];
            let host = ["web01", "web02", "web03", "web04"][number % 4];
            asking.spawn(async move {
                let got = supply(&credentials, name, host).await.unwrap();
                (name, host, got)
            });
        }
        let mut pairs = BTreeMap::new();
        while let Some(got) = asking.join_next().await {
            let (name, host, credential) = got.unwrap();
            assert_eq!(credential.identity(), format!("{name}@CORP.EXAMPLE"));
            pairs.insert((name, host), credential);
        }
        assert_eq!(pairs.len(), 12);
        let keys = door.acceptor(&kdc.keytab("hosts"), None).await.unwrap();
        for ((name, host), credential) in pairs {
            let spn = spn(host).to_string();
            let (initiator, token) =
                door.initiate(credential.gss(), &spn, Mechanism::Krb5, None).await.unwrap();
            let accepted = Acceptor::new(&keys, None).step(&token).unwrap();
            let Accepted::Established(context, Some(answer)) = accepted else { panic!("{accepted:?}") };
            assert_eq!(context.initiator_name(), format!("{name}@CORP.EXAMPLE"), "what {host} sees");
            assert!(matches!(initiator.step(&answer), Ok(Initiated::Established(..))));
        }
        for name in ["alice", "bob", "dave"] {
            assert_eq!((kdc.s4u2self(name), kdc.s4u2proxy(name)), (1, 4), "{name}");
        }
    });
}

#[test]
fn a_credential_in_another_name_is_never_held() {
    in_realm(test_name!(a_credential_in_another_name_is_never_held), &[], async |kdc| {
        let credentials = Credentials::new(kdc.settings(), door());
        let alice = supply(&credentials, "alice", "web01").await.unwrap();
        let account = AccountName::new("delegation");
        let own = credentials.0.accounts.peek(&account).unwrap();
        let span = Span { due: alice.expires(), until: alice.expires() };
        let hold = |gss: &Credential, wanted: &str| {
            Held::checked(gss.clone(), wanted, "delegation", span, credentials.0.ticket_terms()).map(drop)
        };
        hold(alice.gss(), "alice@CORP.EXAMPLE").unwrap();
        for (gss, wanted) in [
            (alice.gss(), "bob@CORP.EXAMPLE"),
            (own.credential(), "alice@CORP.EXAMPLE"),
            (alice.gss(), "svc-gw@CORP.EXAMPLE"),
        ] {
            let error = hold(gss, wanted).unwrap_err();
            assert_eq!(error.reason(), "other_identity");
            assert!(error.to_string().contains(gss.name()), "{error}");
        }
    });
}

#[test]
fn a_shared_account_goes_as_itself_and_says_so() {
    in_realm(test_name!(a_shared_account_goes_as_itself_and_says_so), &[], async |kdc| {
        let credentials = Credentials::new(kdc.settings(), door());
        let choice = CredentialChoice::Account { account: AccountName::new("plain") };
        for _ in 0..3 {
            let credential = supply_as(&credentials, &choice, "alice", &[spn("web05")]).await.unwrap();
            assert_eq!((credential.identity(), credential.kind()), ("svc-plain@CORP.EXAMPLE", "account"));
        }
        let stats = credentials.stats();
        assert_eq!((stats.logons, stats.service_tickets, stats.s4u2self, stats.s4u2proxy), (1, 1, 0, 0));
        let ghost = supply_as(&credentials, &choice, "alice", &[spn("ghost")]).await;
        assert_eq!(ghost.unwrap_err().reason(), "unknown_service");
    });
}

#[test]
fn nothing_made_for_a_person_is_used_longer_than_it_may_be() {
    in_realm(test_name!(nothing_made_for_a_person_is_used_longer_than_it_may_be), &[], async |kdc| {
        let max_age = Duration::from_millis(500);
        let credentials = Credentials::new(Settings { max_age, ..kdc.settings() }, door());
        let first = supply(&credentials, "alice", "web01").await.unwrap();
        assert!(first.expires() <= Instant::now() + max_age);
        let second = eventually("a second credential", || async {
            let next = supply(&credentials, "alice", "web01").await.unwrap();
            assert!(next.expires() > Instant::now() - Duration::from_millis(100));
            (next.expires() != first.expires()).then_some(next)
        })
        .await;
        assert!(first.expires() <= Instant::now() && second.expires() > first.expires());
        assert_eq!((kdc.s4u2self("alice"), kdc.s4u2proxy("alice")), (2, 2));
        assert_eq!(credentials.stats().logons, 1, "the account's own ticket is good for hours");
    });
}

#[test]
fn tickets_that_end_are_renewed_before_they_do() {
    in_realm(test_name!(tickets_that_end_are_renewed_before_they_do), &["--max-life", "8s"], async |kdc| {
        let account = AccountName::new("delegation");
        let short = Duration::from_millis(200);
        let settings = Settings { max_age: short, readiness: short, ..kdc.settings() };
        let credentials = Credentials::new(settings, door());
        let first = supply(&credentials, "alice", "web01").await.unwrap();
        assert!(first.gss().expires() <= Instant::now() + Duration::from_secs(8));
        let own = |other_than: Option<Arc<Held>>| {
            let found = credentials.0.accounts.peek(&account);
            found.filter(|found| !other_than.is_some_and(|other| Arc::ptr_eq(found, &other)))
        };
        let before = own(None).unwrap();
        let after = eventually("a renewal by those who need it", || async {
            supply(&credentials, "alice", "web01").await.unwrap();
            own(Some(Arc::clone(&before)))
        })
        .await;
        assert!(Instant::now() < before.until(), "it was made anew only when it had ended");
        eventually("a renewal by those who ask whether it is there", || async {
            credentials.ready().await.unwrap();
            own(Some(Arc::clone(&after)))
        })
        .await;
        assert!(Instant::now() < after.until(), "it was made anew only when it had ended");
        supply(&credentials, "bob", "web01").await.unwrap();
    });
}

#[test]
fn a_ticket_that_has_ended_for_the_kdc_is_replaced() {
    in_realm(
        test_name!(a_ticket_that_has_ended_for_the_kdc_is_replaced),
        &["--max-life", "3s"],
        async |kdc| {
            let credentials = Credentials::new(kdc.settings(), door());
            let old = supply(&credentials, "alice", "web01").await.unwrap();
            let supplying = &credentials.0;
            let account = AccountName::new("delegation");
            let own = supplying.accounts.peek(&account).unwrap();
            // As if this machine had slept: by its own clock both tickets are still good.
            let until = Instant::now() + Duration::from_secs(600);
            let awake = |gss: &Credential| {
                let span = Span { due: until, until };
                Held::checked(gss.clone(), gss.name(), "delegation", span, supplying.ticket_terms()).unwrap()
            };
            let whom = Impersonation { account: account.clone(), principal: person("alice") };
            eventually("the tickets' end", || async {
                let end = old.gss().expires().max(own.credential().expires());
                (Instant::now() > end + 2 * Kdc::LEAST_SKEW).then_some(())
            })
            .await;
            supplying.logons.forget(|_, _| true);
            supplying.accounts.put(&account, awake(own.credential()), until);
            supplying.people.put(&whom, awake(old.gss()), until);
            let new = supply(&credentials, "alice", "web02").await.unwrap();
            assert_eq!(new.identity(), "alice@CORP.EXAMPLE");
            let stats = credentials.stats();
            assert_eq!((stats.logons, kdc.s4u2self("alice")), (2, 2), "{stats:?}");
        },
    );
}

#[test]
fn too_many_tickets_and_people_push_the_oldest_out() {
    in_realm(test_name!(too_many_tickets_and_people_push_the_oldest_out), &[], async |kdc| {
        let settings = Settings { people: 2, tickets: 3, ..kdc.settings() };
        let credentials = Credentials::new(settings, door());
        for name in ["alice", "bob", "dave"] {
            supply(&credentials, name, "web01").await.unwrap();
        }
        assert_eq!(credentials.stats().people.entries, 2);
        for host in ["web02", "web03", "web04"] {
            supply(&credentials, "dave", host).await.unwrap();
            assert!(credentials.stats().tickets.entries <= 3, "{:?}", credentials.stats());
        }
        supply(&credentials, "alice", "web01").await.unwrap();
        assert_eq!(kdc.s4u2self("alice"), 2);
    });
}

#[test]
fn a_dead_kdc_is_said_to_be_and_a_living_one_is_noticed() {
    in_realm(test_name!(a_dead_kdc_is_said_to_be_and_a_living_one_is_noticed), &[], async |kdc| {
        let settings = Settings { readiness: Duration::from_millis(100), ..kdc.settings() };
        let credentials = Credentials::new(settings, door());
        credentials.ready().await.unwrap();
        supply(&credentials, "alice", "web01").await.unwrap();
        kdc.stop().await;
        let asked = Instant::now();
        for (name, host) in [("bob", "web01"), ("alice", "web02"), ("nobody", "web01")] {
            let error = supply(&credentials, name, host).await.unwrap_err();
            assert_eq!(error.reason(), "kdc_unavailable", "{error:?}");
        }
        assert!(asked.elapsed() < Duration::from_secs(12), "{:?}", asked.elapsed());
        let held = supply(&credentials, "alice", "web01").await.unwrap();
        assert_eq!(held.identity(), "alice@CORP.EXAMPLE", "what is at hand needs no KDC");
        let error = eventually("not being ready", || async { credentials.ready().await.err() }).await;
        assert_eq!(error.reason(), "kdc_unavailable");

        kdc.start().await;
        eventually("being ready again", || async { credentials.ready().await.ok() }).await;
        let bob = eventually("bob", || async { supply(&credentials, "bob", "web01").await.ok() }).await;
        assert_eq!(bob.identity(), "bob@CORP.EXAMPLE");
    });
}
