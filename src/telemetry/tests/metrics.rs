//! Names, labels and numbers.

use super::{metrics, sources};
use crate::{
    audit::{Ending, Facts, Outcome},
    telemetry::Metrics,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// The series of the page, by name and labels.
fn series(metrics: &Metrics) -> BTreeMap<String, f64> {
    let page = metrics.page(&sources(&Arc::default())).unwrap();
    page.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap())
        })
        .collect()
}

fn facts(route: &str) -> Facts {
    Facts {
        route: Some(Arc::from(route)),
        method: Some("certificate"),
        class: Some("execute"),
        request_bytes: Some(1_200),
        ..Facts::default()
    }
}

#[test]
fn a_request_is_counted_once_in_each_family() {
    let metrics = metrics();
    let durations = vec![("policy", Duration::from_micros(30)), ("backend", Duration::from_millis(40))];
    let outcome = Outcome {
        result: Ending::Succeeded,
        stage: "backend",
        response_bytes: Some(2_400),
        durations,
        ..Outcome::default()
    };
    metrics.ended(&facts("web"), &outcome, Duration::from_millis(50));
    let refused =
        Outcome { result: Ending::Refused, stage: "policy", reason: "no_rule", ..Outcome::default() };
    metrics.ended(&Facts::default(), &refused, Duration::from_millis(1));
    metrics.sync_observer()(Duration::from_millis(3));
    let series = series(&metrics);
    let at = |name: &str| {
        *series.get(&format!("winrm_gateway_{name}")).unwrap_or_else(|| panic!("{name}: {series:#?}"))
    };
    let request = r#"requests_total{class="execute",method="certificate",outcome="succeeded",route="web"}"#;
    assert_eq!(at(request), 1.0);
    assert_eq!(at(r#"requests_total{class="none",method="none",outcome="refused",route="none"}"#), 1.0);
    assert_eq!(at(r#"refusals_total{reason="no_rule",stage="policy"}"#), 1.0);
    assert_eq!(series.keys().filter(|name| name.contains("refusals_total")).count(), 1);
    assert_eq!(at(r#"request_bytes_total{direction="received"}"#), 1_200.0);
    assert_eq!(at(r#"request_bytes_total{direction="sent"}"#), 2_400.0);
    assert_eq!(at(r#"request_duration_seconds_count{stage="total"}"#), 2.0);
    assert_eq!(at(r#"request_duration_seconds_bucket{stage="policy",le="0.0001"}"#), 1.0);
    assert_eq!(at("audit_sync_duration_seconds_count"), 1.0);
}

#[test]
fn the_stages_counters_are_read_when_somebody_asks() {
    let series = series(&metrics());
    let at = |name: &str| {
        *series.get(&format!("winrm_gateway_{name}")).unwrap_or_else(|| panic!("{name}: {series:#?}"))
    };
    for (name, value) in [
        (r#"kdc_calls_total{call="impersonate",outcome="ok"}"#, 4.0),
        (r#"kdc_calls_total{call="impersonate",outcome="error"}"#, 2.0),
        (r#"kdc_call_duration_seconds_bucket{call="impersonate",le="0.001"}"#, 3.0),
        (r#"kdc_call_duration_seconds_bucket{call="impersonate",le="0.0025"}"#, 5.0),
        (r#"kdc_call_duration_seconds_bucket{call="impersonate",le="10"}"#, 5.0),
        (r#"kdc_call_duration_seconds_bucket{call="impersonate",le="+Inf"}"#, 6.0),
        (r#"kdc_call_duration_seconds_sum{call="impersonate"}"#, 12.345_678),
        ("kdc_breakers_open", 1.0),
        (r#"credential_exchanges_total{exchange="s4u2proxy"}"#, 5_000.0),
        ("backend_connections_idle", 4.0),
        (r#"backend_failures_total{reason="lost"}"#, 1.0),
        ("audit_healthy", 0.0),
        (r#"config_info{generation="0123abcd"}"#, 1.0),
        (r#"certificate_expiry_timestamp_seconds{listener="fleet"}"#, 1_900_000_000.0),
        (r#"connections_failed_total{reason="not_tls"}"#, 0.0),
    ] {
        assert_eq!(at(name), value, "{name}");
    }
}

#[test]
fn threat_62_ten_thousand_invented_words_add_no_series() {
    let metrics = metrics();
    let invented = |round: usize, number: usize| -> &'static str {
        Box::leak(format!("x{round}-{number}\"\n{{}}").into_boxed_str())
    };
    let mut counts = BTreeSet::new();
    for round in 0..10 {
        for number in 0..1_000 {
            let word = invented(round, number);
            let facts = Facts {
                method: Some(word),
                class: Some(word),
                principal: Some(word.to_owned()),
                ..facts(word)
            };
            let outcome = Outcome {
                result: Ending::Refused,
                stage: word,
                reason: word,
                durations: vec![(word, Duration::ZERO)],
                ..Outcome::default()
            };
            metrics.ended(&facts, &outcome, Duration::ZERO);
        }
        counts.insert(series(&metrics).len());
    }
    assert_eq!(counts.len(), 1, "the number of series grows: {counts:?}");
    let page = metrics.page(&sources(&Arc::default())).unwrap();
    assert!(page.contains(r#"refusals_total{reason="other",stage="other"} 10000"#), "{page}");
    assert!(!page.contains("x1-"), "{page}");
}

#[test]
fn names_follow_the_rules() {
    let metrics = metrics();
    metrics.ended(&facts("web"), &Outcome::default(), Duration::ZERO);
    let page = metrics.page(&sources(&Arc::default())).unwrap();
    let mut kinds = BTreeMap::new();
    for line in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        assert!(kinds.insert(name, kind).is_none(), "{name} is there twice");
    }
    assert!(kinds.len() > 30, "{kinds:?}");
    for (name, kind) in kinds {
        assert!(name.starts_with("winrm_gateway_"), "{name}");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
        assert_eq!(name.ends_with("_duration_seconds"), kind == "histogram", "{name} is a {kind}");
        assert!(page.contains(&format!("# HELP {name} ")), "{name} says nothing");
    }
}
