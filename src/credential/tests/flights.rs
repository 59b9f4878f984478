//! Sharing, bounds and times of the cache, without a KDC.

use crate::credential::{
    CredentialError,
    flights::{Counts, Flights, Made, Terms},
};
use crate::policy::AccountName;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Notify;

const LONG: Duration = Duration::from_secs(600);

fn cache(most: usize) -> (Arc<Flights<String, usize>>, Arc<Counts>) {
    let counts = Arc::new(Counts::default());
    let terms = Terms { most, refusals: LONG };
    (Flights::new(terms, Arc::clone(&counts)), counts)
}

/// Gets `key`, counting what is made in `made`; the value is that count.
async fn get(
    cache: &Arc<Flights<String, usize>>,
    key: &str,
    made: &Arc<AtomicUsize>,
    life: Duration,
) -> Made<usize> {
    let make = || {
        let made = Arc::clone(made);
        async move { Ok((made.fetch_add(1, Ordering::SeqCst) + 1, Instant::now() + life)) }
    };
    cache.get(&key.to_owned(), make).await
}

/// Lets others run until `is_so`.
async fn until(is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(10), "it never is");
        tokio::task::yield_now().await;
    }
}

fn refused() -> CredentialError {
    CredentialError::UnknownAccount(AccountName::new("nobody"))
}

fn unavailable() -> CredentialError {
    CredentialError::KdcUnavailable { wanted: "alice".to_owned(), source: None }
}

#[tokio::test]
async fn everybody_who_asks_at_once_shares_one_making() {
    let (cache, counts) = cache(10);
    let (made, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (cache, made, gate) = (Arc::clone(&cache), Arc::clone(&made), Arc::clone(&gate));
        asking.spawn(async move {
            let make = || {
                let (made, gate) = (Arc::clone(&made), Arc::clone(&gate));
                async move {
                    made.fetch_add(1, Ordering::SeqCst);
                    gate.notified().await;
                    Ok((7, Instant::now() + LONG))
                }
            };
            cache.get(&"alice".to_owned(), make).await
        });
    }
    until(|| counts.stats().hits == 49).await;
    gate.notify_one();
    let all = tokio::time::timeout(Duration::from_secs(10), asking.join_all()).await;
    for got in all.expect("one making ends all waits") {
        assert_eq!(got.unwrap(), 7);
    }
    assert_eq!(made.load(Ordering::SeqCst), 1);
    let stats = counts.stats();
    assert_eq!((stats.hits, stats.misses, stats.entries), (49, 1, 1));
}

#[tokio::test]
async fn a_failure_is_shared_by_all_who_waited() {
    let (cache, counts) = cache(10);
    let (made, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (cache, made, gate) = (Arc::clone(&cache), Arc::clone(&made), Arc::clone(&gate));
        asking.spawn(async move {
            let make = || {
                let (made, gate) = (Arc::clone(&made), Arc::clone(&gate));
                async move {
                    made.fetch_add(1, Ordering::SeqCst);
                    gate.notified().await;
                    Err(unavailable())
                }
            };
            cache.get(&"alice".to_owned(), make).await
        });
    }
    until(|| counts.stats().hits == 19).await;
    gate.notify_one();
    let all = tokio::time::timeout(Duration::from_secs(10), asking.join_all()).await;
    for got in all.expect("one making ends all waits") {
        assert_eq!(got.unwrap_err().reason(), "kdc_unavailable");
    }
    assert_eq!(made.load(Ordering::SeqCst), 1, "the waiters asked one after the other");
}

#[tokio::test]
async fn a_making_goes_on_when_the_one_who_asked_has_left() {
    let (cache, counts) = cache(10);
    let gate = Arc::new(Notify::new());
    let first = {
        let (cache, gate) = (Arc::clone(&cache), Arc::clone(&gate));
        tokio::spawn(async move {
            let make = || {
                let gate = Arc::clone(&gate);
                async move {
                    gate.notified().await;
                    Ok((1, Instant::now() + LONG))
                }
            };
            cache.get(&"alice".to_owned(), make).await
        })
    };
    until(|| counts.stats().misses == 1).await;
    first.abort();
    drop(first.await);
    gate.notify_one();
    let made = Arc::new(AtomicUsize::new(10));
    assert_eq!(get(&cache, "alice", &made, LONG).await.unwrap(), 1);
    assert_eq!(made.load(Ordering::SeqCst), 10);
}

#[tokio::test]
async fn a_making_that_panics_makes_way_for_another() {
    let (cache, _) = cache(10);
    let tries = Arc::new(AtomicUsize::new(0));
    let make = || {
        let tries = Arc::clone(&tries);
        async move {
            assert!(tries.fetch_add(1, Ordering::SeqCst) > 0, "the first one fails");
            Ok((5, Instant::now() + LONG))
        }
    };
    assert_eq!(cache.get(&"alice".to_owned(), make).await.unwrap(), 5);
    let always = || async { panic!("always") };
    assert_eq!(cache.get(&"bob".to_owned(), always).await.unwrap_err().reason(), "kdc_unavailable");
    assert_eq!(get(&cache, "bob", &tries, LONG).await.unwrap(), 3);
}

#[tokio::test]
async fn nothing_is_handed_out_past_its_time() {
    let (cache, counts) = cache(10);
    let made = Arc::new(AtomicUsize::new(0));
    assert_eq!(get(&cache, "alice", &made, Duration::ZERO).await.unwrap(), 1);
    assert_eq!(get(&cache, "alice", &made, Duration::from_millis(20)).await.unwrap(), 2);
    let landed = Instant::now();
    while get(&cache, "alice", &made, LONG).await.unwrap() == 2 {
        assert!(landed.elapsed() < Duration::from_secs(5), "it is never made anew");
        tokio::task::yield_now().await;
    }
    assert!(landed.elapsed() >= Duration::from_millis(10));
    assert_eq!(counts.stats().entries, 1);
}

#[tokio::test]
async fn a_refusal_is_remembered_and_silence_is_not() {
    let (cache, counts) = cache(10);
    let made = Arc::new(AtomicUsize::new(0));
    let refuse = || async { Err(refused()) };
    assert!(cache.get(&"mallory".to_owned(), refuse).await.is_err());
    assert!(get(&cache, "mallory", &made, LONG).await.is_err());
    assert_eq!(counts.stats().negative_hits, 1);
    let silent = || async { Err(unavailable()) };
    assert!(cache.get(&"alice".to_owned(), silent).await.is_err());
    assert_eq!(get(&cache, "alice", &made, LONG).await.unwrap(), 1);
}

#[tokio::test]
async fn the_oldest_goes_when_there_are_too_many() {
    let (cache, counts) = cache(3);
    let made = Arc::new(AtomicUsize::new(0));
    for name in ["a", "b", "c", "d"] {
        get(&cache, name, &made, LONG).await.unwrap();
    }
    assert_eq!(counts.stats().entries, 3);
    assert_eq!(get(&cache, "b", &made, LONG).await.unwrap(), 2);
    assert_eq!(get(&cache, "a", &made, LONG).await.unwrap(), 5);
    for number in 0..1_000 {
        get(&cache, &format!("user{number}"), &made, LONG).await.unwrap();
        assert!(counts.stats().entries <= 3);
    }
    drop(cache);
    assert_eq!(counts.stats().entries, 0);
}

#[tokio::test]
async fn a_key_that_lands_again_and_again_leaves_nothing_behind() {
    let (cache, counts) = cache(100);
    let made = Arc::new(AtomicUsize::new(0));
    get(&cache, "first", &made, LONG).await.unwrap();
    for number in 0..2_000 {
        cache.put(&"again".to_owned(), number, Instant::now() + LONG);
    }
    assert_eq!(counts.stats().entries, 2);
    assert!(cache.places() <= 32, "{} places for 2 keys", cache.places());
    assert_eq!(cache.peek(&"again".to_owned()), Some(1_999));
}

#[tokio::test]
async fn what_is_forgotten_under_way_is_not_kept_when_it_lands() {
    let (cache, counts) = cache(10);
    let gate = Arc::new(Notify::new());
    let asking = {
        let (cache, gate) = (Arc::clone(&cache), Arc::clone(&gate));
        tokio::spawn(async move {
            let make = || {
                let gate = Arc::clone(&gate);
                async move {
                    gate.notified().await;
                    Ok((1, Instant::now() + LONG))
                }
            };
            cache.get(&"alice".to_owned(), make).await
        })
    };
    until(|| counts.stats().misses == 1).await;
    cache.forget(|key, _| key == "alice");
    gate.notify_one();
    assert_eq!(asking.await.unwrap().unwrap(), 1);
    assert_eq!(cache.peek(&"alice".to_owned()), None);
    let made = Arc::new(AtomicUsize::new(1));
    assert_eq!(get(&cache, "alice", &made, LONG).await.unwrap(), 2);
}
