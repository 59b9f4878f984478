//! What a process costs, and what a series of measurements says.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// The processor time that a process has used so far, user and system: `utime` and `stime` of `proc(5)`.
pub(crate) fn processor_time(pid: u32) -> Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = text.rsplit_once(") ").context("a process without a name")?;
    let ticks: Vec<u64> = fields.split(' ').skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(Duration::from_secs(ticks.iter().sum()) / TICKS_PER_SECOND)
}

/// The memory that a process has in RAM, in bytes.
pub(crate) fn resident(pid: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kilobytes * 1024.0)
}

/// The load of the machine over the last minute.
pub(crate) fn load_average() -> String {
    fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').next().unwrap_or_default().to_owned()
}

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) requests: f64,
    pub(crate) seconds: f64,
    /// Processor time of the proxy; none where there is no proxy.
    pub(crate) processor: Option<Duration>,
}

impl Sample {
    pub(crate) fn per_second(&self) -> f64 {
        self.requests / self.seconds
    }

    pub(crate) fn micros_per_request(&self) -> Option<f64> {
        self.processor.map(|time| time.as_secs_f64() * 1e6 / self.requests)
    }
}

/// Measures the time that a process and the clock take for `requests`, which says how many there were.
pub(crate) async fn sample(pid: Option<u32>, requests: impl Future<Output = Result<u32>>) -> Result<Sample> {
    let used = || pid.map(processor_time).transpose();
    let (before, began) = (used()?, Instant::now());
    let requests = f64::from(requests.await?);
    let seconds = began.elapsed().as_secs_f64();
    let processor = used()?.zip(before).map(|(after, before)| after.saturating_sub(before));
    Ok(Sample { requests, seconds, processor })
}

/// The middle of several measurements, and how far they lie apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// None of nothing.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let upper = *values.get(middle)?;
        let lower = *values.get(if values.len().is_multiple_of(2) { middle - 1 } else { middle })?;
        Some(Self { median: f64::midpoint(lower, upper), least: *values.first()?, most: *values.last()? })
    }

    pub(crate) fn json(&self) -> Value {
        json!({ "median": self.median, "least": self.least, "most": self.most })
    }
}

/// `USER_HZ`, in which Linux counts for programs on every usual architecture.
const TICKS_PER_SECOND: u32 = 100;
