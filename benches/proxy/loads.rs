//! What clients do, all at once.

use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    client::{Connection, Entry},
    lab::{Lab, Proxy},
    measure::{resident, sample},
    support::{Numbered, command, get_config, send},
};

/// How many connections work at once.
pub(crate) const CLIENTS: u64 = 16;

/// What one request is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// 1.2 KB there and back on a kept connection.
    Small,
    /// 150 KB there and back on a kept connection.
    Large,
    /// A new connection for every request.
    Connect,
}

impl Load {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Small => "1.2 KB",
            Self::Large => "150 KB each way",
            Self::Connect => "new connection, one request",
        }
    }

    /// The request in `shell`.
    pub(crate) fn request(self, shell: &str) -> Numbered {
        match self {
            Self::Small | Self::Connect => command(shell),
            Self::Large => send(shell),
        }
    }
}

/// Every connection sends its request as often as it can; returns how many were answered.
pub(crate) async fn ask_again_and_again(clients: Vec<(Connection, Numbered)>) -> Result<u32> {
    let end = Instant::now() + WINDOW;
    let mut tasks = JoinSet::new();
    for (number, (mut connection, mut request)) in clients.into_iter().enumerate() {
        let base = u64::try_from(number)? * PER_CLIENT;
        tasks.spawn(async move {
            let mut answered = 0;
            while Instant::now() < end {
                answered += 1;
                connection.exchange(request.number(base + u64::from(answered))).await?;
            }
            anyhow::Ok(answered)
        });
    }
    sum(tasks).await
}

/// Half as many clients make a connection, ask once, and do it again; returns how many were answered.
pub(crate) async fn connect_again_and_again(entry: &Entry) -> Result<u32> {
    let end = Instant::now() + WINDOW;
    let mut tasks = JoinSet::new();
    for number in 0..CLIENTS / 2 {
        let entry = entry.clone();
        tasks.spawn(async move {
            let (mut answered, mut request) = (0, get_config());
            while Instant::now() < end {
                answered += 1;
                let id = number * PER_CLIENT + u64::from(answered);
                entry.connect().await?.exchange(request.number(id)).await?;
            }
            anyhow::Ok(answered)
        });
    }
    sum(tasks).await
}

/// How many bytes an idle client takes that has been served once, by proxy.
pub(crate) struct Idle {
    pub(crate) gateway: f64,
    pub(crate) haproxy: f64,
}

impl Idle {
    pub(crate) fn json(&self) -> Value {
        json!({ "gateway": self.gateway, "haproxy": self.haproxy, "budget": 16_000 })
    }
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (gateway, haproxy) = (self.gateway / 1000.0, self.haproxy / 1000.0);
        write!(
            f,
            "an idle authenticated client: {gateway:.1} kB in the gateway (budget 16), {haproxy:.1} kB in HAProxy"
        )
    }
}

/// Measures [`Idle`].
pub(crate) async fn idle_clients(lab: &Lab) -> Result<Idle> {
    Ok(Idle { gateway: idle(lab, &lab.gateway).await?, haproxy: idle(lab, &lab.haproxy).await? })
}

/// The first hundred make the process grow to its working size; the next thousand are what is measured.
async fn idle(lab: &Lab, proxy: &Proxy) -> Result<f64> {
    let entry = lab.entry(proxy, "alice", "/hosts/web01.corp.example/wsman")?;
    let (mut open, mut request) = (Vec::new(), get_config());
    let mut before = 0.0;
    for number in 0..IDLE_BEFORE + IDLE {
        if number == IDLE_BEFORE {
            before = resident(proxy.pid())?;
        }
        let mut connection = entry.connect().await?;
        connection.exchange(request.number(u64::from(number))).await?;
        open.push(connection);
    }
    Ok((resident(proxy.pid())? - before) / f64::from(IDLE))
}

/// Many people on many hosts.
pub(crate) struct Fleet {
    pub(crate) requests: u32,
    pub(crate) per_second: f64,
    pub(crate) micros_per_request: f64,
    pub(crate) s4u2self: usize,
    pub(crate) s4u2proxy: usize,
    /// Why it ended before all requests were made.
    pub(crate) failure: Option<String>,
}

impl Fleet {
    pub(crate) fn json(&self) -> Value {
        json!({
            "requests": self.requests,
            "requests_per_second": self.per_second,
            "cpu_us_per_request": self.micros_per_request,
            "s4u2self": self.s4u2self,
            "s4u2proxy": self.s4u2proxy,
            "failure": self.failure,
        })
    }
}

impl fmt::Display for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{PEOPLE} people on {HOSTS} hosts, {} requests: {:.0} requests/s, {:.0} us CPU/request",
            self.requests, self.per_second, self.micros_per_request,
        )?;
        write!(
            f,
            "; S4U2Self {} (budget {PEOPLE}), S4U2Proxy {} (budget {})",
            self.s4u2self,
            self.s4u2proxy,
            PEOPLE * HOSTS
        )?;
        self.failure.as_ref().map_or(Ok(()), |failure| write!(f, "; ENDED EARLY: {failure}"))
    }
}

/// 50 people ask each of 100 hosts twice, all people at once.
pub(crate) async fn fleet(lab: &Lab) -> Result<Fleet> {
    let counts = || Ok::<_, anyhow::Error>((lab.kdc_did(S4U2SELF)?, lab.kdc_did(S4U2PROXY)?));
    let before = counts()?;
    let mut failure = None;
    let mut tasks = JoinSet::new();
    let (answered, mut answers) = tokio::sync::mpsc::unbounded_channel();
    for person in 1..=PEOPLE {
        let entry = lab.entry(&lab.gateway, &format!("user{person:03}"), "/")?;
        let (port, answered) = (lab.gateway.port(), answered.clone());
        tasks.spawn(async move {
            let (mut connection, mut request) = (entry.connect().await?, get_config());
            for number in 0..HOSTS * TIMES {
                // Everybody begins elsewhere, and comes back to a host after all the others.
                let host = (person * 2 + number) % HOSTS + 1;
                connection.turn_to(port, &format!("/hosts/host{host:03}.fleet.corp.example/wsman"));
                let id = u64::from(person) * PER_CLIENT + u64::from(number);
                connection
                    .exchange(request.number(id))
                    .await
                    .with_context(|| format!("user{person:03}, host{host:03}"))?;
                answered.send(())?;
            }
            anyhow::Ok(0)
        });
    }
    drop(answered);
    let all = async {
        match tokio::time::timeout(FLEET_WITHIN, sum(tasks)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => failure = Some(format!("{error:#}")),
            Err(_) => failure = Some(format!("not done within {} s", FLEET_WITHIN.as_secs())),
        }
        let mut count = 0;
        while answers.try_recv().is_ok() {
            count += 1;
        }
        Ok(count)
    };
    let sample = sample(Some(lab.gateway.pid()), all).await?;
    let after = counts()?;
    Ok(Fleet {
        requests: PEOPLE * HOSTS * TIMES,
        per_second: sample.per_second(),
        micros_per_request: sample.micros_per_request().unwrap_or_default(),
        s4u2self: after.0 - before.0,
        s4u2proxy: after.1 - before.1,
        failure,
    })
}

async fn sum(mut tasks: JoinSet<Result<u32>>) -> Result<u32> {
    let mut sum = 0;
    while let Some(answered) = tasks.join_next().await {
        sum += answered??;
    }
    Ok(sum)
}

/// How long one row is measured in one round.
const WINDOW: Duration = Duration::from_millis(1500);
/// Keeps the message ids of clients apart.
const PER_CLIENT: u64 = 1_000_000;
const IDLE_BEFORE: u32 = 100;
const IDLE: u32 = 1_000;
const PEOPLE: u32 = 50;
const HOSTS: u32 = 100;
const TIMES: u32 = 2;
const FLEET_WITHIN: Duration = Duration::from_secs(90);
/// How the log of MIT's KDC calls them.
const S4U2SELF: &str = "PROTOCOL-TRANSITION s4u-client=";
const S4U2PROXY: &str = "CONSTRAINED-DELEGATION s4u-client=";
