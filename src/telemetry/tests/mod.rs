//! What must hold of metrics and of the admin listener.

mod admin;
mod metrics;

use super::{Metrics, Sources, Vocabulary};
use crate::{
    audit, backend, credential,
    gssapi::{Call, CallStats, DoorStats, LATENCY_BUCKETS_MICROS},
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

fn metrics() -> Metrics {
    Metrics::new(Vocabulary {
        routes: vec!["web".to_owned(), "db".to_owned()],
        stages: vec!["listener", "policy", "credential", "backend"],
        reasons: vec!["no_rule", "not_delegable", "lost"],
    })
    .unwrap()
}

fn door() -> DoorStats {
    let mut buckets = [0; LATENCY_BUCKETS_MICROS.len() + 1];
    (buckets[0], buckets[1], buckets[LATENCY_BUCKETS_MICROS.len()]) = (3, 2, 1);
    let busy = CallStats { count: 6, errors: 2, total_micros: 12_345_678, buckets };
    let calls = Call::ALL
        .into_iter()
        .map(|call| (call, if call == Call::Impersonate { busy } else { CallStats::default() }))
        .collect();
    DoorStats {
        calls,
        breakers_open: vec!["CORP.EXAMPLE".to_owned()],
        refused: 4,
        timed_out: 5,
        in_flight: 6,
    }
}

fn sources(healthy: &Arc<AtomicBool>) -> Sources {
    let healthy = Arc::clone(healthy);
    Sources {
        listeners: Arc::default(),
        door: Box::new(door),
        credentials: Box::new(|| credential::Stats {
            s4u2self: 50,
            s4u2proxy: 5_000,
            ..credential::Stats::default()
        }),
        backends: Box::new(|| backend::Stats {
            handshakes: 7,
            handshakes_failed: 1,
            opened: 8,
            open: 5,
            idle: 4,
            reused: 90,
            retries: 2,
            waits: 3,
            answered: 97,
            failed: vec![("lost", 1), ("timed_out", 0)],
        }),
        audit: Box::new(|| audit::Stats { records: 200, lost: 1, ..audit::Stats::default() }),
        audit_healthy: Box::new(move || healthy.load(Ordering::SeqCst)),
        generation: Box::new(|| "0123abcd".to_owned()),
        certificates: Box::new(|| vec![("fleet".to_owned(), 1_900_000_000)]),
    }
}
