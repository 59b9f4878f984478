//! The gateway beside `HAProxy` and nginx, in one run: what a request costs, in processor time of the proxy's own process.
//!
//! The clients, the hosts and the measuring are this process; `HAProxy` and nginx pass requests on in clear after they have asked for a certificate,
//! the gateway takes the same requests to a host that wants Kerberos as the person, and sealed messages. Rounds are interleaved, so that whatever
//! else the machine does falls on all of them, and ratios are taken within a round.
//!
//! `cargo bench --bench proxy -- PART` measures only the rows whose name has that part, for a profiler to look on.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark that can't set up what it measures must fail"
)]

mod client;
#[expect(
    dead_code,
    unused_imports,
    reason = "the module as the gateway has it, of which the hosts and the clients need a part"
)]
#[path = "../../src/gssapi/mod.rs"]
mod gssapi;
mod hosts;
mod lab;
mod loads;
mod measure;
#[expect(
    dead_code,
    unreachable_pub,
    reason = "the tests' certificates, of which these clients need the usual ones"
)]
#[path = "../../tests/support/pki.rs"]
mod pki;
#[expect(dead_code, unreachable_pub, reason = "the tests' processes, of which not all is needed")]
#[path = "../../tests/support/process.rs"]
mod process;
mod report;
mod rows;
#[expect(dead_code, reason = "not every benchmark sends every envelope")]
#[path = "../support/mod.rs"]
mod support;
mod wire;

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use self::{lab::Lab, report::Report};

fn main() -> Result<()> {
    // `cargo test --benches` runs this too, and measures nothing.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let part = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let realm = std::env::var_os("BENCH_REALM").map(PathBuf::from).context("no realm: run `make bench`")?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let load = measure::load_average();
        let lab = Lab::start(&realm).await?;
        if let Some(part) = part {
            let rows = rows::measure(&lab, &part).await?;
            return Report { load, rows, whole: None }.publish();
        }
        // Before anything else has made the processes grow.
        let idle = loads::idle_clients(&lab).await?;
        let rows = rows::measure(&lab, "").await?;
        let fleet = loads::fleet(&lab).await?;
        Report { load, rows, whole: Some((idle, fleet)) }.publish()
    })
}
