//! Deadlines, breakers, and the bounded pool.

use std::{
    net::TcpListener,
    path::Path,
    time::{Duration, Instant},
};

use super::{
    super::{Call, Class, Door, DoorStats, GssError, breaker::Breakers},
    ALICE, GATEWAY, WEB01, door, door_with, gateway,
    realm::{Realm, with_realm},
};

/// A KDC that takes questions and never answers; it is silent for as long as the listener lives.
fn silent(realm: &Realm) -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    realm.ask_at(listener.local_addr().expect("its number").port());
    listener
}

/// Nobody listens there.
fn absent(realm: &Realm) {
    drop(silent(realm));
}

fn count(stats: &DoorStats, call: Call) -> (u64, u64) {
    let found = stats.calls.iter().find(|(kind, _)| *kind == call).expect("every call is counted").1;
    assert_eq!(found.buckets.iter().sum::<u64>(), found.count);
    (found.count, found.errors)
}

/// Asks until the breaker lets a call through.
async fn once_admitted(door: &Door, keytab: &Path) -> Result<(), Class> {
    let started = Instant::now();
    loop {
        match door.from_keytab(GATEWAY, keytab, None).await.map_err(|error| error.classify()) {
            Err(Class::BreakerOpen) if started.elapsed() < Duration::from_secs(10) => {
                tokio::task::yield_now().await;
            }
            other => return other.map(drop),
        }
    }
}

#[test]
fn a_silent_kdc_costs_the_caller_its_deadline_and_opens_the_breaker() {
    with_realm(async |realm| {
        let _kdc = silent(realm);
        let (door, keytab) = (door_with(4, Duration::from_millis(200)), realm.keytab("svc-gw"));
        for _ in 0..3 {
            let started = Instant::now();
            let error = door.from_keytab(GATEWAY, &keytab, None).await.expect_err("a silent KDC");
            assert_eq!(error.classify(), Class::TimedOut, "{error}");
            assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
        }
        // The threads can't be stopped: they are still counted. But no further one will be lost.
        let stats = door.stats();
        assert_eq!((stats.timed_out, stats.in_flight, stats.refused), (3, 3, 0));
        let error = door.from_keytab(GATEWAY, &keytab, None).await.expect_err("left alone");
        assert_eq!(error.classify(), Class::BreakerOpen, "{error}");
    });
}

#[test]
fn the_breaker_opens_after_failures_in_a_row_lets_one_try_and_closes_on_success() {
    with_realm(async |realm| {
        let keytab = realm.keytab("svc-gw");
        let door = door();
        absent(realm);
        for _ in 0..3 {
            let started = Instant::now();
            let error = door.from_keytab(GATEWAY, &keytab, None).await.expect_err("no KDC");
            assert_eq!(error.classify(), Class::KdcUnreachable, "{error}");
            assert!(started.elapsed() < Duration::from_secs(3), "a refused connection is known at once");
        }
        assert_eq!(door.stats().breakers_open, ["CORP.EXAMPLE"]);
        let error = door.from_keytab(GATEWAY, &keytab, None).await.expect_err("open");
        assert_eq!(error.classify(), Class::BreakerOpen, "{error}");
        assert_eq!((door.stats().refused, count(&door.stats(), Call::Keytab)), (1, (3, 3)));
        // After the pause one tries in vain, and it is open again at once.
        assert_eq!(once_admitted(&door, &keytab).await, Err(Class::KdcUnreachable));
        let error = door.from_keytab(GATEWAY, &keytab, None).await.expect_err("open again");
        assert_eq!(error.classify(), Class::BreakerOpen, "{error}");
        // The KDC is back: the first that is let through closes the breaker.
        realm.ask_at(realm.port());
        assert_eq!(once_admitted(&door, &keytab).await, Ok(()));
        assert!(door.stats().breakers_open.is_empty());
        door.from_keytab(GATEWAY, &keytab, None).await.expect("closed");
    });
}

#[test]
fn an_open_breaker_lets_one_try_at_a_time() {
    let breakers = Breakers::new(2, Duration::ZERO);
    let unreachable = || Err::<(), _>(GssError::TimedOut { realm: "R".to_owned(), deadline: Duration::ZERO });
    breakers.admit("R").expect("closed").settle(&unreachable());
    breakers.admit("R").expect("one failure is not enough").settle(&unreachable());
    assert_eq!(breakers.open(), ["R"]);
    let probe = breakers.admit("R").expect("the pause is over");
    assert_eq!(breakers.admit("R").map(drop).expect_err("one tries already").classify(), Class::BreakerOpen);
    breakers.admit("OTHER").expect("another realm is another matter").timed_out();
    // One that never got so far as to ask leaves its place to the next.
    drop(probe);
    let error = GssError::NotInKeytab { path: "/k".into(), principal: "p".to_owned() };
    breakers.admit("R").expect("the next may try").settle(&Err::<(), _>(error));
    breakers.admit("R").expect("that said nothing of the KDC").settle(&Ok(()));
    assert_eq!(breakers.open(), [""; 0]);
    breakers.admit("R").expect("closed").settle(&unreachable());
    breakers.admit("R").expect("failures are counted in a row").settle(&Ok(()));
    breakers.admit("R").expect("closed").settle(&unreachable());
    assert_eq!(breakers.open(), [""; 0]);
}

#[test]
fn what_a_kdc_refuses_it_has_answered_and_opens_no_breaker() {
    with_realm(async |realm| {
        let door = door();
        let service = gateway(&door, realm).await;
        for _ in 0..5 {
            door.impersonate(&service, "nosuch@CORP.EXAMPLE").await.expect_err("nobody");
            door.from_keytab(GATEWAY, &realm.dir().join("none"), None).await.expect_err("no keytab");
        }
        assert!(door.stats().breakers_open.is_empty());
        assert_eq!(count(&door.stats(), Call::Impersonate), (5, 5));
        assert_eq!(count(&door.stats(), Call::Keytab), (6, 5));
    });
}

#[test]
fn tickets_that_are_there_are_used_while_the_breaker_is_open() {
    with_realm(async |realm| {
        let door = door();
        let service = gateway(&door, realm).await;
        let alice = door.impersonate(&service, ALICE).await.expect("alice");
        door.prefetch(&alice, WEB01).await.expect("the ticket");
        absent(realm);
        for _ in 0..3 {
            let error = door.impersonate(&service, "bob@CORP.EXAMPLE").await.expect_err("no KDC");
            assert_eq!(error.classify(), Class::KdcUnreachable, "{error}");
        }
        assert_eq!(door.stats().breakers_open, ["CORP.EXAMPLE"]);
        for mechanism in super::BOTH_MECHANISMS {
            door.initiate(&alice, WEB01, mechanism, None).await.expect("the ticket is in the cache");
        }
        assert_eq!(
            door.stats().breakers_open,
            ["CORP.EXAMPLE"],
            "a ticket from the cache says nothing of the KDC"
        );
        // One that needs the KDC counts against it.
        let error = door.initiate(&alice, "HTTP/web02.corp.example", super::Mechanism::Spnego, None).await;
        assert_eq!(error.map(drop).expect_err("no KDC").classify(), Class::KdcUnreachable);
    });
}

#[test]
fn beyond_its_threads_the_door_lets_callers_wait_for_their_deadline_only() {
    with_realm(async |realm| {
        let kdc = silent(realm);
        let keytab = realm.keytab("svc-gw");
        let door = door_with(2, Duration::from_millis(500));
        let mut waiting = Vec::new();
        for _ in 0..2 {
            let (door, keytab) = (std::sync::Arc::clone(&door), keytab.clone());
            waiting.push(tokio::spawn(async move { door.from_keytab(GATEWAY, &keytab, None).await }));
        }
        // Both threads are taken once the silent KDC has both their connections.
        let _questions = [kdc.accept().expect("a question"), kdc.accept().expect("a question")];
        let started = Instant::now();
        let error = door.from_keytab(GATEWAY, &keytab, None).await.expect_err("no thread");
        assert_eq!(error.classify(), Class::Overloaded, "{error}");
        assert!(started.elapsed() >= Duration::from_millis(400), "{:?}", started.elapsed());
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
        for one in waiting {
            let error = one.await.expect("no panic").expect_err("a silent KDC");
            assert_eq!(error.classify(), Class::TimedOut, "{error}");
        }
        assert_eq!((door.stats().timed_out, door.stats().refused, door.stats().in_flight), (2, 1, 2));
    });
}
