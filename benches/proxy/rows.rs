//! The rows of the table that are measured in rounds.

use anyhow::{Context as _, Result};

use crate::{
    client::Connection,
    lab::{Lab, Proxy},
    loads::{self, Load},
    measure::{Sample, Spread, sample},
};

/// Which way requests take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Haproxy,
    Nginx,
    Gateway,
    /// Through the gateway, which does not wait for the record to be on disk.
    GatewayUnwaited,
    /// No proxy: the client speaks Kerberos itself.
    Direct,
}

/// What is measured, and what came of it.
pub(crate) struct Row {
    pub(crate) way: Way,
    pub(crate) load: Load,
    /// The most that the ratio to `HAProxy` may be.
    pub(crate) budget: Option<f64>,
    samples: Vec<Sample>,
}

impl Row {
    const fn new(way: Way, load: Load, budget: Option<f64>) -> Self {
        Self { way, load, budget, samples: Vec::new() }
    }

    pub(crate) fn per_second(&self) -> Option<Spread> {
        Spread::of(self.samples.iter().map(Sample::per_second))
    }

    pub(crate) fn micros_per_request(&self) -> Option<Spread> {
        Spread::of(self.samples.iter().filter_map(Sample::micros_per_request))
    }

    /// Processor time per request, as a multiple of what `other` took in the same round.
    pub(crate) fn ratio(&self, other: &Self) -> Option<Spread> {
        let ratio = |(ours, theirs): (&Sample, &Sample)| {
            Some(ours.micros_per_request()? / theirs.micros_per_request()?)
        };
        Spread::of(self.samples.iter().zip(&other.samples).filter_map(ratio))
    }

    pub(crate) fn name(&self) -> String {
        let way = match self.way {
            Way::Haproxy => "HAProxy, mTLS in, clear out",
            Way::Nginx => "nginx, mTLS in, clear out",
            Way::Gateway => "gateway, mTLS in, sealed Kerberos out",
            Way::GatewayUnwaited => "gateway, the same, disk not waited for",
            Way::Direct => "no proxy, client speaks Kerberos",
        };
        format!("{}: {way}", self.load.name())
    }
}

/// All rows with `part` in their names, in rounds.
pub(crate) async fn measure(lab: &Lab, part: &str) -> Result<Vec<Row>> {
    let mut rows = vec![
        Row::new(Way::Haproxy, Load::Small, None),
        Row::new(Way::Nginx, Load::Small, None),
        Row::new(Way::Gateway, Load::Small, Some(2.0)),
        Row::new(Way::GatewayUnwaited, Load::Small, None),
        Row::new(Way::Direct, Load::Small, None),
        Row::new(Way::Haproxy, Load::Large, None),
        Row::new(Way::Nginx, Load::Large, None),
        Row::new(Way::Gateway, Load::Large, Some(8.0)),
        Row::new(Way::Direct, Load::Large, None),
        Row::new(Way::Haproxy, Load::Connect, None),
        Row::new(Way::Nginx, Load::Connect, None),
        Row::new(Way::Gateway, Load::Connect, Some(0.7)),
    ];
    rows.retain(|row| row.name().contains(part) && (row.way != Way::Nginx || lab.nginx.is_some()));
    for _ in 0..ROUNDS {
        for row in &mut rows {
            let sample = one(lab, row.way, row.load).await.with_context(|| row.name())?;
            row.samples.push(sample);
        }
    }
    Ok(rows)
}

/// One row in one round. Connections are made, and used once, before the clock starts, but where they are what is measured.
async fn one(lab: &Lab, way: Way, load: Load) -> Result<Sample> {
    let proxy = proxy(lab, way)?;
    let pid = proxy.map(Proxy::pid);
    if let (Load::Connect, Some(proxy)) = (load, proxy) {
        let entry = lab.entry(proxy, "alice", path(way))?;
        return sample(pid, loads::connect_again_and_again(&entry)).await;
    }
    let mut clients = Vec::new();
    for number in 0..loads::CLIENTS {
        let mut connection = match proxy {
            Some(proxy) => lab.entry(proxy, "alice", path(way))?.connect().await?,
            None => Connection::direct(&lab.door, &lab.alice, HOST, lab.host).await?,
        };
        let shell = connection.shell(number).await?;
        clients.push((connection, load.request(&shell)));
    }
    sample(pid, loads::ask_again_and_again(clients)).await
}

fn proxy(lab: &Lab, way: Way) -> Result<Option<&Proxy>> {
    Ok(match way {
        Way::Haproxy => Some(&lab.haproxy),
        Way::Nginx => Some(lab.nginx.as_ref().context("no nginx")?),
        Way::Gateway | Way::GatewayUnwaited => Some(&lab.gateway),
        Way::Direct => None,
    })
}

const fn path(way: Way) -> &'static str {
    match way {
        Way::Haproxy | Way::Nginx | Way::Gateway | Way::Direct => "/hosts/web01.corp.example/wsman",
        Way::GatewayUnwaited => "/unwaited/web01.corp.example/wsman",
    }
}

const ROUNDS: usize = 5;
const HOST: &str = "web01.corp.example";
