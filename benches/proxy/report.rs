//! The table, and the same in JSON.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::{
    loads::{Fleet, Idle},
    measure::{Spread, load_average},
    rows::{Row, Way},
};

/// All that was measured.
pub(crate) struct Report {
    pub(crate) load: String,
    pub(crate) rows: Vec<Row>,
    /// None where only some rows were wanted.
    pub(crate) whole: Option<(Idle, Fleet)>,
}

impl Report {
    /// Prints the table, and writes `target/bench/report.json` where all was measured.
    pub(crate) fn publish(&self) -> Result<()> {
        let codecs = codecs()?;
        self.print(&codecs);
        if self.whole.is_none() {
            return Ok(());
        }
        let path = target()?.join("bench/report.json");
        fs::create_dir_all(path.parent().context("a directory")?)?;
        fs::write(&path, serde_json::to_string_pretty(&self.json(&codecs))?)?;
        Ok(())
    }

    #[expect(clippy::print_stdout, reason = "the table is what the command is for")]
    fn print(&self, codecs: &[Codec]) {
        println!("\n{:<46} {:>12} {:>12}", "codecs and seal, one thread", "ns", "MB/s");
        for codec in codecs {
            let speed = codec.megabytes_per_second().map_or_else(String::new, |speed| format!("{speed:.0}"));
            println!("{:<46} {:>12.0} {:>12}", codec.name, codec.nanos, speed);
        }
        println!(
            "\n{:<68} {:>20} {:>20} {:>20} {:>7}",
            "median (least-most) of rounds", "requests/s", "CPU us/request", "ratio to HAProxy", "budget"
        );
        for row in &self.rows {
            println!(
                "{:<68} {:>20} {:>20} {:>20} {:>7}",
                row.name(),
                shown(row.per_second(), 0),
                shown(row.micros_per_request(), 1),
                shown(self.ratio(row), 2),
                row.budget.map_or_else(String::new, |budget| format!("{budget:.1}")),
            );
        }
        if let Some((idle, fleet)) = &self.whole {
            println!("certificate in, plain out: n/a, the gateway has no such mode\n\n{idle}\n{fleet}");
        }
        println!("load average {} before, {} after", self.load, load_average());
    }

    /// The row beside what `HAProxy` took for the same load.
    fn ratio(&self, row: &Row) -> Option<Spread> {
        let beside = self.rows.iter().find(|other| other.way == Way::Haproxy && other.load == row.load)?;
        if row.way == Way::Haproxy { None } else { row.ratio(beside) }
    }

    fn json(&self, codecs: &[Codec]) -> Value {
        let spread = |spread: Option<Spread>| spread.map(|spread| spread.json());
        let row = |row: &Row| {
            json!({
                "name": row.name(),
                "requests_per_second": spread(row.per_second()),
                "cpu_us_per_request": spread(row.micros_per_request()),
                "ratio_to_haproxy": spread(self.ratio(row)),
                "budget": row.budget,
            })
        };
        let codec = |codec: &Codec| json!({ "name": codec.name, "ns": codec.nanos, "bytes": codec.bytes });
        json!({
            "load_average": { "before": self.load, "after": load_average() },
            "codecs": codecs.iter().map(codec).collect::<Vec<_>>(),
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
            "certificate_in_plain_out": null,
            "idle_client_bytes": self.whole.as_ref().map(|(idle, _)| idle.json()),
            "fleet": self.whole.as_ref().map(|(_, fleet)| fleet.json()),
        })
    }
}

fn shown(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or_else(String::new, |Spread { median, least, most }| {
        format!("{median:.digits$} ({least:.digits$}-{most:.digits$})")
    })
}

/// What criterion has measured.
struct Codec {
    name: String,
    nanos: f64,
    bytes: Option<f64>,
}

impl Codec {
    fn megabytes_per_second(&self) -> Option<f64> {
        Some(self.bytes? * 1000.0 / self.nanos)
    }
}

/// The newest results below `target/criterion`, by name.
fn codecs() -> Result<Vec<Codec>> {
    let mut found = Vec::new();
    collect(&target()?.join("criterion"), &mut found)?;
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

fn collect(dir: &Path, found: &mut Vec<Codec>) -> Result<()> {
    let Ok(entries) = fs::read_dir(dir) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name == "new") {
            let read = |file: &str| {
                anyhow::Ok(serde_json::from_str::<Value>(&fs::read_to_string(path.join(file))?)?)
            };
            let (benchmark, estimates) = (read("benchmark.json")?, read("estimates.json")?);
            let number = |value: Option<&Value>| value.and_then(Value::as_f64);
            found.push(Codec {
                name: benchmark.get("full_id").and_then(Value::as_str).unwrap_or_default().to_owned(),
                nanos: number(estimates.pointer("/median/point_estimate")).context("no median")?,
                bytes: number(benchmark.pointer("/throughput/Bytes")),
            });
        } else if path.is_dir() {
            collect(&path, found)?;
        }
    }
    Ok(())
}

/// The directory of everything that cargo builds.
fn target() -> Result<PathBuf> {
    Ok(Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("no target directory")?.to_owned())
}
