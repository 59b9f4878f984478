//! The stages' own counters, read when somebody asks.

use super::families::{Families, Reading, as_float};
use crate::{
    audit, backend, credential,
    gssapi::{DoorStats, LATENCY_BUCKETS_MICROS},
    listener,
};
use std::sync::Arc;

/// Reads one stage.
pub(crate) type Pull<T> = Box<dyn Fn() -> T + Send + Sync>;

/// Where the readings come from.
pub(crate) struct Sources {
    /// Client connections.
    pub(crate) listeners: Arc<listener::Stats>,
    /// Calls to KDCs.
    pub(crate) door: Pull<DoorStats>,
    /// Credentials.
    pub(crate) credentials: Pull<credential::Stats>,
    /// Connections to hosts.
    pub(crate) backends: Pull<backend::Stats>,
    /// Records.
    pub(crate) audit: Pull<audit::Stats>,
    /// Whether intents are likely to become durable.
    pub(crate) audit_healthy: Pull<bool>,
    /// The configuration's generation.
    pub(crate) generation: Pull<String>,
    /// When each listener's certificate ends, in seconds since 1970, by the listener's name.
    pub(crate) certificates: Pull<Vec<(String, i64)>>,
}

impl Sources {
    pub(super) fn read(&self, families: &mut Families) {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        families.levels("build_info", "The version that runs.", [(version, 1.0)]);
        let generation = (self.generation)();
        families.levels(
            "config_info",
            "The configuration that is served.",
            [([("generation", generation.as_str())], 1.0)],
        );
        let certificates = (self.certificates)();
        let ends =
            certificates.iter().map(|(listener, end)| ([("listener", listener.as_str())], seconds(*end)));
        let help = "When the listener's certificate ends, in seconds since 1970.";
        families.levels("certificate_expiry_timestamp_seconds", help, ends);
        listeners(families, &self.listeners);
        door(families, &(self.door)());
        credentials(families, &(self.credentials)());
        backends(families, &(self.backends)());
        records(families, &(self.audit)(), (self.audit_healthy)());
    }
}

fn listeners(families: &mut Families, stats: &listener::Stats) {
    families.level("connections_open", "Client connections that are open.", as_float(stats.open()));
    families.count("connections_accepted_total", "Client connections accepted.", stats.accepted());
    let failed = stats.failed().map(|(reason, count)| ([("reason", reason.as_str())], count));
    families.counts("connections_failed_total", "Client connections that never became usable.", failed);
    let help = "Times that the system had no connection to give.";
    families.count("accept_errors_total", help, stats.accept_errors());
    families.count("tls_handshakes_total", "TLS handshakes with clients completed.", stats.handshakes());
    families.count("requests_received_total", "Requests that were well-formed HTTP.", stats.requests());
}

fn door(families: &mut Families, stats: &DoorStats) {
    let calls = stats.calls.iter().flat_map(|(call, stats)| {
        let call = ("call", call.as_str());
        let succeeded = stats.count.saturating_sub(stats.errors);
        [([call, ("outcome", "ok")], succeeded), ([call, ("outcome", "error")], stats.errors)]
    });
    families.counts("kdc_calls_total", "Calls of Kerberos that ended.", calls);
    let took = stats.calls.iter().map(|(call, stats)| {
        let reading = Reading {
            bounds: &LATENCY_BUCKETS_MICROS,
            buckets: &stats.buckets,
            sum_micros: stats.total_micros,
        };
        ([("call", call.as_str())], reading)
    });
    families.durations("kdc_call_duration_seconds", "How long calls of Kerberos took.", took);
    let help = "Calls that were not made: the realm is left alone, or all threads are busy.";
    families.count("kdc_calls_refused_total", help, stats.refused);
    families.count("kdc_calls_timed_out_total", "Calls that nobody waited for any longer.", stats.timed_out);
    families.level("kdc_calls_in_flight", "Calls under way.", size(stats.in_flight));
    families.level("kdc_breakers_open", "Realms that are left alone.", size(stats.breakers_open.len()));
}

fn credentials(families: &mut Families, stats: &credential::Stats) {
    let exchanges = [
        ([("exchange", "logon")], stats.logons),
        ([("exchange", "s4u2self")], stats.s4u2self),
        ([("exchange", "s4u2proxy")], stats.s4u2proxy),
        ([("exchange", "service_ticket")], stats.service_tickets),
    ];
    families.counts("credential_exchanges_total", "Tickets asked for.", exchanges);
    let caches = [("people", stats.people), ("tickets", stats.tickets)];
    let lookups = caches.iter().flat_map(|(cache, stats)| {
        let cache = ("cache", *cache);
        [
            ([cache, ("outcome", "hit")], stats.hits),
            ([cache, ("outcome", "miss")], stats.misses),
            ([cache, ("outcome", "refused")], stats.negative_hits),
        ]
    });
    families.counts("credential_cache_lookups_total", "Looks into the caches of credentials.", lookups);
    let entries = caches.iter().map(|(cache, stats)| ([("cache", *cache)], size(stats.entries)));
    families.levels("credential_cache_entries", "Entries of the caches of credentials.", entries);
}

fn backends(families: &mut Families, stats: &backend::Stats) {
    families.level("backend_connections_open", "Connections to hosts that are open.", size(stats.open));
    families.level(
        "backend_connections_idle",
        "Connections to hosts that wait for a request.",
        size(stats.idle),
    );
    families.count("backend_connections_opened_total", "Connections to hosts established.", stats.opened);
    let handshakes =
        [([("outcome", "ok")], stats.handshakes), ([("outcome", "error")], stats.handshakes_failed)];
    families.counts("backend_handshakes_total", "Handshakes with hosts that ended.", handshakes);
    families.count("backend_requests_reused_total", "Requests on a kept connection.", stats.reused);
    families.count("backend_retries_total", "Requests sent again on a new connection.", stats.retries);
    families.count("backend_waits_total", "Requests that had to wait for a connection.", stats.waits);
    families.count("backend_answers_total", "Answers read to their end.", stats.answered);
    let failed = stats.failed.iter().map(|(reason, count)| ([("reason", *reason)], *count));
    families.counts("backend_failures_total", "Requests that failed at a host or on the way there.", failed);
}

fn records(families: &mut Families, stats: &audit::Stats, healthy: bool) {
    families.count("audit_records_total", "Records that are on the disk.", stats.records);
    families.count("audit_failures_total", "Failed attempts to write or sync records.", stats.failures);
    families.count("audit_lost_total", "Records that were turned away because too many waited.", stats.lost);
    families.count("audit_syncs_total", "Syncs of the record that succeeded.", stats.syncs);
    families.level("audit_pending", "Records that are in memory alone.", size(stats.pending));
    let help = "1 where intents are likely to become durable now, else 0.";
    families.level("audit_healthy", help, f64::from(u8::from(healthy)));
}

fn size(count: usize) -> f64 {
    as_float(u64::try_from(count).unwrap_or(u64::MAX))
}

fn seconds(time: i64) -> f64 {
    let whole = as_float(time.unsigned_abs());
    if time < 0 { -whole } else { whole }
}
