//! Who may use which connection, and how many there are.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use proptest::prelude::*;
use tokio::{task::JoinSet, time::Instant};

use super::{key, keys};
use crate::backend::{
    key::ConnectionKey,
    pool::{Pool, PoolLimits, Slot, Turn, Wanted},
    stats::Counters,
};

/// A connection that knows what it is.
struct Fake {
    key: Arc<ConnectionKey>,
    number: usize,
    quiet: Arc<AtomicBool>,
    until: Instant,
}

type FakePool = Pool<Fake>;

const LIMITS: PoolLimits =
    PoolLimits { per_host: 4, handshakes: 2, idle: 6, idle_for: Duration::from_secs(100) };

fn pool(limits: PoolLimits) -> FakePool {
    Pool::new(limits, |fake: &mut Fake| fake.quiet.load(Ordering::Relaxed), Arc::new(Counters::default()))
}

fn in_an_hour() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

fn opened(key: &Arc<ConnectionKey>, number: usize, until: Instant) -> Fake {
    Fake { key: Arc::clone(key), number, quiet: Arc::new(AtomicBool::new(true)), until }
}

/// A connection of `key`, opened where none is kept; `None` where there is neither at once.
async fn get(pool: &FakePool, key: &Arc<ConnectionKey>, number: usize) -> Option<(Fake, Slot<Fake>)> {
    match pool.checkout(key, Wanted::Any, Instant::now()).await? {
        Turn::Kept(fake, slot) => Some((fake, slot)),
        Turn::Fresh(mut slot) => {
            slot.shaken();
            Some((opened(key, number, in_an_hour()), slot))
        }
    }
}

fn give_back((fake, slot): (Fake, Slot<Fake>)) {
    let until = fake.until;
    slot.give_back(fake, until);
}

#[tokio::test(start_paused = true)]
async fn keys_that_differ_in_one_value_never_share_a_connection() {
    let keys: Vec<_> = keys().into_iter().map(Arc::new).collect();
    for one in &keys {
        for other in keys.iter().filter(|other| !Arc::ptr_eq(one, other)) {
            assert_ne!(one, other);
            let pool = pool(LIMITS);
            give_back(get(&pool, one, 1).await.unwrap());
            let (fake, _slot) = get(&pool, other, 2).await.unwrap();
            assert_eq!((&fake.key, fake.number), (other, 2), "{one:?} gave its connection to {other:?}");
            let (fake, _slot) = get(&pool, &Arc::new((**one).clone()), 3).await.unwrap();
            assert_eq!(fake.number, 1, "an equal key gets the kept connection");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_connection_that_was_used_last_is_used_next() {
    let (pool, key) = (pool(LIMITS), Arc::new(key()));
    let (one, two) = (get(&pool, &key, 1).await.unwrap(), get(&pool, &key, 2).await.unwrap());
    give_back(one);
    give_back(two);
    assert_eq!(get(&pool, &key, 3).await.unwrap().0.number, 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_its_host_has_closed_is_not_used() {
    let (pool, key) = (pool(LIMITS), Arc::new(key()));
    let dead = get(&pool, &key, 1).await.unwrap();
    let quiet = Arc::clone(&dead.0.quiet);
    give_back(dead);
    quiet.store(false, Ordering::Relaxed);
    assert_eq!(get(&pool, &key, 2).await.unwrap().0.number, 2);
    assert_eq!(pool.idle(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_has_expired_is_neither_kept_nor_used() {
    let (pool, key) = (pool(LIMITS), Arc::new(key()));
    let (mut fake, slot) = get(&pool, &key, 1).await.unwrap();
    fake.until = Instant::now() + Duration::from_secs(60);
    give_back((fake, slot));
    tokio::time::advance(Duration::from_secs(60)).await;
    let (mut fake, slot) = get(&pool, &key, 2).await.unwrap();
    assert_eq!(fake.number, 2);
    fake.until = Instant::now();
    give_back((fake, slot));
    assert_eq!(pool.idle(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_old_expired_or_closed_is_reaped_and_nothing_else() {
    let (pool, key) = (pool(LIMITS), Arc::new(key()));
    let mut all = Vec::new();
    for number in 0..4 {
        all.push(get(&pool, &key, number).await.unwrap());
    }
    let weak: Vec<_> = all.iter().map(|(fake, _)| Arc::downgrade(&fake.quiet)).collect();
    all[0].0.until = Instant::now() + Duration::from_secs(50);
    let closed = Arc::clone(&all[1].0.quiet);
    let late = all.pop().unwrap();
    for held in all {
        give_back(held);
    }
    closed.store(false, Ordering::Relaxed);
    drop(closed);
    tokio::time::advance(Duration::from_secs(60)).await;
    give_back(late);
    pool.reap();
    let alive = |weak: &[std::sync::Weak<AtomicBool>]| {
        weak.iter().map(|weak| weak.upgrade().is_some()).collect::<Vec<_>>()
    };
    assert_eq!((pool.idle(), alive(&weak)), (2, vec![false, false, true, true]));
    tokio::time::advance(Duration::from_secs(40)).await;
    pool.reap();
    assert_eq!((pool.idle(), alive(&weak)), (1, vec![false, false, false, true]));
    let mut held = Vec::new();
    for number in 10..14 {
        held.push(get(&pool, &key, number).await.expect("reaped connections leave their place"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_has_no_more_connections_than_it_may() {
    let (pool, keys) = (pool(LIMITS), keys());
    let (alice, bob) = (Arc::new(keys[0].clone()), Arc::new(keys[5].clone()));
    let mut held = Vec::new();
    for number in 0..4 {
        held.push(get(&pool, &alice, number).await.unwrap());
    }
    assert!(get(&pool, &alice, 9).await.is_none() && get(&pool, &bob, 9).await.is_none(), "all are in use");
    let elsewhere = Arc::new(keys[2].clone());
    assert!(get(&pool, &elsewhere, 9).await.is_some(), "another host is another matter");
    give_back(held.pop().unwrap());
    let (bobs, _slot) = get(&pool, &bob, 5).await.expect("a kept connection makes room");
    assert_eq!((bobs.number, pool.idle()), (5, 0));
    drop(held);
    assert!(get(&pool, &alice, 6).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_served_when_a_connection_is_given_back_or_closed() {
    for close in [false, true] {
        let (pool, keys) = (Arc::new(pool(PoolLimits { per_host: 1, ..LIMITS })), keys());
        for waiting in [&keys[0], &keys[5]] {
            let held = get(&pool, &Arc::new(keys[0].clone()), 1).await.unwrap();
            let (shared, waiting) = (Arc::clone(&pool), Arc::new(waiting.clone()));
            let task = tokio::spawn(async move {
                let deadline = Instant::now() + Duration::from_secs(5);
                shared.checkout(&waiting, Wanted::Any, deadline).await.is_some()
            });
            tokio::task::yield_now().await;
            if close {
                drop(held);
            } else {
                give_back(held);
            }
            assert!(task.await.unwrap(), "the wait was in vain");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_with_its_deadline() {
    let (pool, key) = (pool(PoolLimits { per_host: 1, ..LIMITS }), Arc::new(key()));
    let _held = get(&pool, &key, 1).await.unwrap();
    let started = Instant::now();
    let deadline = started + Duration::from_secs(5);
    assert!(pool.checkout(&key, Wanted::Any, deadline).await.is_none());
    assert_eq!(started.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_burst_shakes_hands_a_few_at_a_time_and_shares_what_comes_back() {
    let (pool, key) = (Arc::new(pool(PoolLimits { per_host: 100, ..LIMITS })), Arc::new(key()));
    let (now, most, all) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut burst = JoinSet::new();
    for number in 0..40 {
        let (pool, key) = (Arc::clone(&pool), Arc::clone(&key));
        let (now, most, all) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&all));
        burst.spawn(async move {
            let deadline = Instant::now() + Duration::from_secs(60);
            let held = match pool.checkout(&key, Wanted::Any, deadline).await.unwrap() {
                Turn::Kept(fake, slot) => (fake, slot),
                Turn::Fresh(mut slot) => {
                    all.fetch_add(1, Ordering::Relaxed);
                    most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                    tokio::time::advance(Duration::from_millis(5)).await;
                    now.fetch_sub(1, Ordering::Relaxed);
                    slot.shaken();
                    (opened(&key, number, in_an_hour()), slot)
                }
            };
            give_back(held);
        });
    }
    while let Some(done) = burst.join_next().await {
        done.unwrap();
    }
    assert_eq!(most.load(Ordering::Relaxed), 2, "handshakes at once");
    assert!(
        all.load(Ordering::Relaxed) < 10,
        "{} handshakes for 40 short requests",
        all.load(Ordering::Relaxed)
    );
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_is_given_up_leaves_its_place() {
    let (pool, key) = (pool(LIMITS), Arc::new(key()));
    for _ in 0..20 {
        assert!(matches!(pool.checkout(&key, Wanted::Fresh, Instant::now()).await, Some(Turn::Fresh(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_gone_keeps_nothing_alive() {
    let (pool, key) = (pool(LIMITS), Arc::new(key()));
    let (kept, held) = (get(&pool, &key, 1).await.unwrap(), get(&pool, &key, 2).await.unwrap());
    let (weak_kept, weak_held) = (Arc::downgrade(&kept.0.quiet), Arc::downgrade(&held.0.quiet));
    give_back(kept);
    drop(pool);
    assert!(weak_kept.upgrade().is_none());
    give_back(held);
    assert!(weak_held.upgrade().is_none());
}

#[derive(Debug, Clone)]
enum Step {
    Get(usize),
    GiveBack(usize),
    Drop(usize),
    Close(usize),
    Wait(u64),
    Reap,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => any::<usize>().prop_map(Step::Get),
        3 => any::<usize>().prop_map(Step::GiveBack),
        1 => any::<usize>().prop_map(Step::Drop),
        1 => any::<usize>().prop_map(Step::Close),
        1 => (1..60_u64).prop_map(Step::Wait),
        1 => Just(Step::Reap),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    /// I1, against a model that remembers every connection.
    #[test]
    fn whatever_happens_a_connection_serves_its_own_key_while_it_lives(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(run(steps));
    }
}

async fn run(steps: Vec<Step>) {
    let pool = pool(LIMITS);
    let keys: Vec<_> = keys().into_iter().map(Arc::new).collect();
    let mut held: Vec<(Fake, Slot<Fake>)> = Vec::new();
    let mut quiet: Vec<Arc<AtomicBool>> = Vec::new();
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Get(which) => {
                let key = &keys[which % keys.len()];
                let on_host = held.iter().filter(|(fake, _)| fake.key.host() == key.host()).count();
                let got = get(&pool, key, number).await;
                assert_eq!(got.is_some(), on_host < LIMITS.per_host);
                let Some((mut fake, slot)) = got else { continue };
                assert_eq!(&fake.key, key);
                assert!(fake.quiet.load(Ordering::Relaxed) && fake.until > Instant::now());
                if fake.number == number {
                    fake.until = Instant::now() + Duration::from_secs(90);
                    quiet.push(Arc::clone(&fake.quiet));
                }
                held.push((fake, slot));
            }
            Step::GiveBack(which) if !held.is_empty() => give_back(held.swap_remove(which % held.len())),
            Step::Drop(which) if !held.is_empty() => drop(held.swap_remove(which % held.len())),
            Step::Close(which) if !quiet.is_empty() => {
                quiet[which % quiet.len()].store(false, Ordering::Relaxed);
            }
            Step::Wait(seconds) => tokio::time::advance(Duration::from_secs(seconds)).await,
            Step::Reap => pool.reap(),
            Step::GiveBack(_) | Step::Drop(_) | Step::Close(_) => {}
        }
        check(&pool, &held, &mut quiet);
    }
}

/// The bounds, after every step.
fn check(pool: &FakePool, held: &[(Fake, Slot<Fake>)], quiet: &mut Vec<Arc<AtomicBool>>) {
    assert!(pool.idle() <= LIMITS.idle);
    // Nothing but what is held or kept is open.
    quiet.retain(|quiet| Arc::strong_count(quiet) > 1);
    assert_eq!(quiet.len(), held.len() + pool.idle());
    let mut by_host: HashMap<_, usize> = HashMap::new();
    for (fake, _) in held {
        *by_host.entry(fake.key.host()).or_default() += 1;
    }
    assert!(by_host.values().all(|count| *count <= LIMITS.per_host));
}
