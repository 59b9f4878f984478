//! From a permit to a host's answers: dial, prove, send, read.
//!
//! In come a permit, a credential, the proof that the intent is on record, and an inspected envelope. Out come [`Answers`], envelope by
//! envelope in clear, or a [`BackendError`] that says what the host or the way there did.
//!
//! INVARIANT (I1): a connection serves one [`ConnectionKey`], an exact value with the whole identity in it.
//!
//! INVARIANT (I3): a request is written from scratch; of the client's, only the inspected bytes and a validated `PSVersion` are in it.
//!
//! INVARIANT (I4): no body leaves before the host has proved who it is: only a [`Proved`] connection takes one.
//!
//! INVARIANT (I8): everything read from a host is bounded in size, count and time; a kept connection lives ten minutes at most.
//!
//! Specifications: [MS-WSMV] 2.2.9.1 (sealed messages), RFC 4559 (Negotiate), RFC 7617 (Basic), RFC 7616 (Digest), RFC 5929 (channel bindings), RFC 9112 (HTTP/1.1).

mod answers;
mod dial;
mod digest;
mod error;
mod exchange;
mod handshake;
mod http;
mod key;
mod pool;
mod proved;
mod seal;
mod stats;
#[cfg(test)]
mod tests;
mod tls;
mod wire;

pub(crate) use answers::{Answer, Answers};
pub(crate) use dial::Resolver;
pub(crate) use error::{BackendError, Defect, REASONS};
pub(crate) use stats::Stats;

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use self::{
    digest::Memory,
    exchange::Visit,
    key::{ConnectionKey, Protection},
    pool::{Pool, PoolLimits},
    proved::Proved,
    stats::Counters,
    tls::Trust,
};
use crate::{
    audit::Recorded,
    credential::BackendCredential,
    gssapi::Door,
    policy::{OperationPermit, Scheme},
    wsman::{self, Envelope},
};

/// What bounds connections to hosts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Waiting for a connection, and from the first packet to an established one, each.
    pub(crate) connect: Duration,
    /// `NetworkDelayms`: added to an operation's own time-out.
    pub(crate) network_delay: Duration,
    /// Connections to one host, whoever's.
    pub(crate) connections_per_host: usize,
    /// How long an unused connection is kept.
    pub(crate) idle: Duration,
    /// What bounds an answer.
    pub(crate) envelope: wsman::Limits,
    /// `MaxTimeoutms`: the longest that an operation may take.
    pub(crate) max_timeout: Duration,
}

/// What the configuration says about hosts in general; what it says about each is in the permit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// The bounds.
    pub(crate) limits: Limits,
    /// Names the configuration; connections are not shared between two.
    pub(crate) generation: u64,
}

/// The way to every host.
pub(crate) struct Backends {
    limits: Limits,
    generation: u64,
    resolver: Resolver,
    door: Arc<Door>,
    trust: Trust,
    memory: Memory,
    pool: Pool<Proved>,
    counters: Arc<Counters>,
}

/// What is sent to a host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    /// The inspected request.
    pub(crate) envelope: &'a Envelope,
    /// The `PSVersion` of its query.
    pub(crate) ps_version: Option<&'a str>,
}

impl Backends {
    /// No connections yet. `resolver` knows static names, which come before DNS.
    pub(crate) fn new(settings: Settings, resolver: Resolver, door: Arc<Door>) -> Self {
        let Settings { limits, generation } = settings;
        let counters = Arc::new(Counters::default());
        let bounds = PoolLimits {
            per_host: limits.connections_per_host,
            handshakes: HANDSHAKES_AT_ONCE,
            idle: MOST_IDLE,
            idle_for: limits.idle,
        };
        let pool = Pool::new(bounds, |proved: &mut Proved| proved.wire.is_quiet(), Arc::clone(&counters));
        Self {
            limits,
            generation,
            resolver,
            door,
            trust: Trust::default(),
            memory: Memory::default(),
            pool,
            counters,
        }
    }

    /// Sends what the permit allows and the record holds, as whom the credential says.
    ///
    /// # Errors
    /// Where the host can't be reached, does not prove who it is, or does not begin to answer.
    pub(crate) async fn exchange(
        &self,
        permit: &OperationPermit,
        credential: &BackendCredential,
        recorded: &Recorded,
        outgoing: &Outgoing<'_>,
    ) -> Result<Answers, BackendError> {
        let exchanged = Box::pin(self.recorded_exchange(permit, credential, recorded, outgoing)).await;
        exchanged.inspect_err(|error| self.counters.count_failed(error))
    }

    /// What was done so far.
    pub(crate) fn stats(&self) -> Stats {
        self.counters.read(self.pool.idle())
    }

    /// Closes kept connections that are too old, or that their hosts have closed; to be called every few seconds.
    pub(crate) fn reap(&self) {
        self.pool.reap();
    }

    async fn recorded_exchange(
        &self,
        permit: &OperationPermit,
        credential: &BackendCredential,
        recorded: &Recorded,
        outgoing: &Outgoing<'_>,
    ) -> Result<Answers, BackendError> {
        let (anchors, protection) = match permit.endpoint().scheme {
            Scheme::Http if permit.auth().is_clear() => (None, Protection::Nothing),
            Scheme::Http => (None, Protection::Sealed),
            Scheme::Https => {
                let anchors = self.trust.anchors(permit.tls()).await?;
                let ca_file = permit.tls().ca_file.clone();
                let protection = Protection::Tls { ca_file, anchors: anchors.version };
                (Some(anchors), protection)
            }
        };
        let key = ConnectionKey {
            endpoint: permit.endpoint().clone(),
            identity: credential.identity().to_owned(),
            credential: permit.credential().clone(),
            evidence: credential.evidence().clone(),
            spn: credential.spn().cloned(),
            auth: permit.auth(),
            protection,
            networks: permit.networks().clone(),
            generation: self.generation,
        };
        let visit = Visit {
            key: Arc::new(key),
            anchors,
            credential,
            proof: permit.host_proof(),
            until: Instant::from_std(credential.expires()),
            request: recorded.request_id(),
        };
        self.visit(&visit, outgoing).await
    }
}

/// A burst of requests of one person to one host opens no more connections at a time; most of it is served by these.
const HANDSHAKES_AT_ONCE: usize = 4;
/// Connections kept in all, well within what a process may have open.
const MOST_IDLE: usize = 1024;
