//! What is counted of each request as it ends.

use super::{
    TelemetryError,
    families::{Families, PREFIX},
    sources::Sources,
};
use crate::{
    audit::{Ending, Facts, Outcome, SyncObserver},
    authn::AuthMethod,
};
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounterVec, Opts, TextEncoder, core::Collector};
use std::{collections::HashSet, time::Duration};

/// The words that may be labels: the configuration's names and the code's own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Vocabulary {
    /// The names of the routes.
    pub(crate) routes: Vec<String>,
    /// The stages at which a request can end.
    pub(crate) stages: Vec<&'static str>,
    /// The reasons for which it can.
    pub(crate) reasons: Vec<&'static str>,
}

/// Counts requests as they end.
pub(crate) struct Metrics {
    routes: Words,
    stages: Words,
    reasons: Words,
    requests: IntCounterVec,
    refusals: IntCounterVec,
    bytes: IntCounterVec,
    durations: HistogramVec,
    syncs: Histogram,
    reloads: IntCounterVec,
}

/// Labels of one kind; what is not among them is [`OTHER`].
struct Words(HashSet<String>);

impl Words {
    fn of<T: Into<String>>(words: impl IntoIterator<Item = T>) -> Self {
        Self(words.into_iter().map(Into::into).collect())
    }

    fn label<'a>(&self, word: Option<&'a str>) -> &'a str {
        match word {
            None => NONE,
            Some(word) if self.0.contains(word) => word,
            Some(_) => OTHER,
        }
    }
}

impl Metrics {
    /// Knows the words of `vocabulary` and no others.
    ///
    /// # Errors
    /// Where the library does not take a name.
    pub(crate) fn new(vocabulary: Vocabulary) -> Result<Self, TelemetryError> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            IntCounterVec::new(Opts::new(format!("{PREFIX}{name}"), help), labels)
        };
        let histogram = |name: &str, help: &str, bounds: &[f64]| {
            HistogramOpts::new(format!("{PREFIX}{name}"), help).buckets(bounds.to_vec())
        };
        let labels = ["route", "method", "class", "outcome"];
        let took = histogram(
            "request_duration_seconds",
            "How long requests took, by stage and in total.",
            &LATENCIES,
        );
        let sync =
            histogram("audit_sync_duration_seconds", "How long the disk took for each sync.", &LATENCIES);
        Ok(Self {
            routes: Words::of(vocabulary.routes),
            stages: Words::of(vocabulary.stages),
            reasons: Words::of(vocabulary.reasons),
            requests: counter("requests_total", "Requests that have ended.", &labels)?,
            refusals: counter("refusals_total", "Requests that came to nothing.", &["stage", "reason"])?,
            bytes: counter(
                "request_bytes_total",
                "Bytes of bodies, received from and sent to clients.",
                &["direction"],
            )?,
            durations: HistogramVec::new(took, &["stage"])?,
            syncs: Histogram::with_opts(sync)?,
            reloads: counter(
                "config_reloads_total",
                "Times that the configuration, or certificates, were read again.",
                &["outcome"],
            )?,
        })
    }

    /// Counts a request that has ended, after `took` in total.
    pub(crate) fn ended(&self, facts: &Facts, outcome: &Outcome, took: Duration) {
        let method =
            facts.method.map(|method| AuthMethod::from_name(method).map_or(OTHER, AuthMethod::as_str));
        let class =
            facts.class.map(|class| CLASSES.into_iter().find(|known| *known == class).unwrap_or(OTHER));
        let route = self.routes.label(facts.route.as_deref());
        let labels = [route, method.unwrap_or(NONE), class.unwrap_or(NONE), ending(outcome.result)];
        self.requests.with_label_values(&labels).inc();
        if outcome.result != Ending::Succeeded {
            let reason = Some(outcome.reason).filter(|reason| !reason.is_empty());
            let labels = [self.stages.label(Some(outcome.stage)), self.reasons.label(reason)];
            self.refusals.with_label_values(&labels).inc();
        }
        for (direction, bytes) in [("received", facts.request_bytes), ("sent", outcome.response_bytes)] {
            self.bytes.with_label_values(&[direction]).inc_by(bytes.unwrap_or(0));
        }
        for (stage, took) in &outcome.durations {
            let stage = self.stages.label(Some(stage));
            self.durations.with_label_values(&[stage]).observe(took.as_secs_f64());
        }
        self.durations.with_label_values(&["total"]).observe(took.as_secs_f64());
    }

    /// Counts that the configuration, or the files that a listener is protected with, were read again, and whether they could be used.
    pub(crate) fn reloaded(&self, succeeded: bool) {
        self.reloads.with_label_values(&[if succeeded { "ok" } else { "failed" }]).inc();
    }

    /// For [`Audit::on_sync`](crate::audit::Audit::on_sync).
    pub(crate) fn sync_observer(&self) -> SyncObserver {
        let syncs = self.syncs.clone();
        Box::new(move |took| syncs.observe(took.as_secs_f64()))
    }

    /// Everything, in the text format.
    ///
    /// # Errors
    /// Where the library does not take it.
    pub(super) fn page(&self, sources: &Sources) -> Result<String, TelemetryError> {
        let mut families = Families::default();
        let own: [&dyn Collector; 6] =
            [&self.requests, &self.refusals, &self.bytes, &self.durations, &self.syncs, &self.reloads];
        for collector in own {
            families.extend(collector.collect());
        }
        sources.read(&mut families);
        Ok(TextEncoder::new().encode_to_string(families.as_slice())?)
    }
}

const fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Succeeded => "succeeded",
        Ending::Refused => "refused",
        Ending::Failed => "failed",
        Ending::Abandoned => "abandoned",
    }
}

/// What is not known yet when a request ends.
const NONE: &str = "none";
/// What is not in the vocabulary.
const OTHER: &str = "other";
/// What operations do to hosts.
const CLASSES: [&str; 3] = ["read", "write", "execute"];
/// The upper bounds of the latency histograms, in seconds: from what the gateway costs to what a command takes.
const LATENCIES: [f64; 13] =
    [0.000_1, 0.000_25, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0, 120.0];
