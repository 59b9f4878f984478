//! Readings of the stages' counters, in the form that the encoder takes.

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

/// What every name begins with.
pub(super) const PREFIX: &str = "winrm_gateway_";

/// Families of metrics, one after the other.
#[derive(Debug, Default)]
pub(super) struct Families(Vec<MetricFamily>);

/// One series of a histogram.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading<'a> {
    /// The upper bounds of the buckets, in microseconds.
    pub(super) bounds: &'a [u64],
    /// How many fell into each bucket alone; one more than there are bounds.
    pub(super) buckets: &'a [u64],
    /// All of them together, in microseconds.
    pub(super) sum_micros: u64,
}

type Labels<'a, const N: usize> = [(&'a str, &'a str); N];

impl Families {
    /// A counter with one series.
    pub(super) fn count(&mut self, name: &str, help: &str, value: u64) {
        self.counts(name, help, [([], value)]);
    }

    /// A counter with a series for each set of labels.
    #[expect(single_use_lifetimes, reason = "an anonymous lifetime is not stable here")]
    pub(super) fn counts<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'a, N>, u64)>,
    ) {
        let metric = |(labels, value)| {
            let mut counter = Counter::default();
            counter.set_value(as_float(value));
            let mut metric = Metric::from_label(pairs(labels));
            metric.set_counter(counter);
            metric
        };
        self.push(name, help, MetricType::COUNTER, series.into_iter().map(metric).collect());
    }

    /// A gauge with one series.
    pub(super) fn level(&mut self, name: &str, help: &str, value: f64) {
        self.levels(name, help, [([], value)]);
    }

    /// A gauge with a series for each set of labels.
    #[expect(single_use_lifetimes, reason = "an anonymous lifetime is not stable here")]
    pub(super) fn levels<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'a, N>, f64)>,
    ) {
        let metric = |(labels, value)| {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            let mut metric = Metric::from_label(pairs(labels));
            metric.set_gauge(gauge);
            metric
        };
        self.push(name, help, MetricType::GAUGE, series.into_iter().map(metric).collect());
    }

    /// A histogram of seconds, with a series for each set of labels.
    pub(super) fn durations<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'a, N>, Reading<'a>)>,
    ) {
        let metric = |(labels, reading): (Labels<'a, N>, Reading<'a>)| {
            let mut metric = Metric::from_label(pairs(labels));
            metric.set_histogram(reading.histogram());
            metric
        };
        self.push(name, help, MetricType::HISTOGRAM, series.into_iter().map(metric).collect());
    }

    /// Families that were counted with the library's own types.
    pub(super) fn extend(&mut self, families: Vec<MetricFamily>) {
        // The encoder takes a family without a series for an error.
        self.0.extend(families.into_iter().filter(|family| !family.get_metric().is_empty()));
    }

    pub(super) fn as_slice(&self) -> &[MetricFamily] {
        &self.0
    }

    fn push(&mut self, name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) {
        let mut family = MetricFamily::default();
        family.set_name(format!("{PREFIX}{name}"));
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(metrics);
        self.extend(vec![family]);
    }
}

impl Reading<'_> {
    fn histogram(&self) -> Histogram {
        let mut histogram = Histogram::default();
        let mut below = 0;
        let mut buckets = Vec::new();
        for (bound, count) in self.bounds.iter().zip(self.buckets) {
            below += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(in_seconds(*bound));
            bucket.set_cumulative_count(below);
            buckets.push(bucket);
        }
        histogram.set_bucket(buckets);
        histogram.set_sample_count(self.buckets.iter().sum());
        histogram.set_sample_sum(in_seconds(self.sum_micros));
        histogram
    }
}

fn pairs<const N: usize>(labels: Labels<'_, N>) -> Vec<LabelPair> {
    labels.into_iter().map(|(name, value)| pair(name, value)).collect()
}

fn pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

/// `micros` in Prometheus' base unit.
fn in_seconds(micros: u64) -> f64 {
    as_float(micros) / 1_000_000.0
}

/// A count as Prometheus takes it; above 2^53 the last digits are lost.
#[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "the format has floats alone")]
pub(super) fn as_float(count: u64) -> f64 {
    count as f64
}
