//! One request, and the beginning of its answer.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Backends, Outgoing,
    answers::{Answers, Beginning, Times},
    dial::Dial,
    error::{BackendError, HandshakeCause},
    handshake::{Handshake, Proved},
    http::{Head, RequestHead},
    key::ConnectionKey,
    pool::{Slot, Turn, Wanted},
    stats::Counters,
    tls::Anchors,
    wire::{Unread, Unsent},
};
use crate::{audit::RequestId, gssapi::Credential};

/// Where a request goes, and as whom.
pub(super) struct Visit<'a> {
    pub(super) key: Arc<ConnectionKey>,
    /// The trust anchors of an `https` endpoint.
    pub(super) anchors: Option<Anchors>,
    /// Whose tickets are used; in the name that `key` says.
    pub(super) credential: &'a Credential,
    /// When what is known of the person must be asked for anew.
    pub(super) until: Instant,
    /// The request's name in the log.
    pub(super) request: RequestId,
}

/// A connection that is this request's alone.
struct Connection {
    proved: Proved,
    slot: Slot<Proved>,
    /// Whether an earlier request went over it.
    kept: bool,
}

/// Why an attempt failed.
struct Failure {
    error: BackendError,
    /// Whether the host can't have begun with the request, or may begin with it twice.
    harmless: bool,
}

impl Failure {
    fn harmless(error: BackendError) -> Self {
        Self { error, harmless: true }
    }

    fn grave(error: BackendError) -> Self {
        Self { error, harmless: false }
    }
}

impl Backends {
    /// Sends the request; once more on a fresh connection where a kept one turns out to be of no use and the host did nothing yet.
    ///
    /// Why no more than that: Create, Command and Send are not idempotent, and a host that closes without a word may have begun.
    pub(super) async fn visit(
        &self,
        visit: &Visit<'_>,
        outgoing: &Outgoing<'_>,
    ) -> Result<Answers, BackendError> {
        let connection = self.connection(visit, Wanted::Any).await?;
        let kept = connection.kept;
        match self.attempt(visit, connection, outgoing).await {
            Ok(answers) => Ok(answers),
            Err(failure) if kept && failure.harmless => {
                Counters::count(&self.counters.retries);
                tracing::debug!(id = %visit.request, error = %failure.error, "Request is sent again on a fresh connection");
                let connection = self.connection(visit, Wanted::Fresh).await?;
                self.attempt(visit, connection, outgoing).await.map_err(|failure| failure.error)
            }
            Err(failure) => Err(failure.error),
        }
    }

    async fn connection(&self, visit: &Visit<'_>, wanted: Wanted) -> Result<Connection, BackendError> {
        let endpoint = &visit.key.endpoint;
        let deadline = Instant::now() + self.limits.connect;
        match self.pool.checkout(&visit.key, wanted, deadline).await {
            None => Err(BackendError::Busy { endpoint: endpoint.clone() }),
            Some(Turn::Kept(proved, slot)) => {
                Counters::count(&self.counters.reused);
                Ok(Connection { proved, slot, kept: true })
            }
            Some(Turn::Fresh(mut slot)) => {
                let proved = Box::pin(self.prove(visit)).await?;
                slot.shaken();
                Ok(Connection { proved, slot, kept: false })
            }
        }
    }

    /// Dials and shakes hands.
    async fn prove(&self, visit: &Visit<'_>) -> Result<Proved, BackendError> {
        let key = &visit.key;
        let dial = Dial { endpoint: &key.endpoint, networks: &key.networks, anchors: visit.anchors.as_ref() };
        let dialled = dial.connect(&self.resolver, self.limits.connect).await?;
        let open = self.counters.opened();
        let handshake = Handshake {
            door: &self.door,
            credential: visit.credential,
            endpoint: &key.endpoint,
            spn: &key.spn,
            auth: key.auth,
            until: visit.until,
            patience: self.limits.network_delay,
        };
        let proved = handshake.run(dialled, open).await;
        let counters = &self.counters;
        Counters::count(if proved.is_ok() { &counters.handshakes } else { &counters.handshakes_failed });
        proved
    }

    /// Sends the request on `connection` and reads the head of the answer.
    async fn attempt(
        &self,
        visit: &Visit<'_>,
        mut connection: Connection,
        outgoing: &Outgoing<'_>,
    ) -> Result<Answers, Failure> {
        let endpoint = &visit.key.endpoint;
        let sealed = connection.proved.protect(outgoing.envelope.bytes());
        let (content_type, body) = sealed.map_err(|error| {
            let source = HandshakeCause::Gss(error);
            Failure::harmless(BackendError::Handshake { spn: Box::new(visit.key.spn.clone()), source })
        })?;
        let head = RequestHead {
            endpoint,
            ps_version: outgoing.ps_version,
            content_type,
            content_length: body.len(),
            authorization: None,
        };
        if let Err(unsent) =
            connection.proved.wire.send(head.to_text(), &body, self.limits.network_delay).await
        {
            return Err(self.unsent(visit, connection, unsent).await);
        }
        drop(body);
        let times = self.times(outgoing);
        let head = connection.proved.wire.read_head(Instant::now() + times.patience).await;
        let head = head.map_err(|error| {
            // Without a word the host may have done its work or not; only what may be done twice is sent twice.
            let silent = matches!(error, Unread::Lost { begun: false, .. });
            let harmless = silent && outgoing.envelope.operation().may_be_repeated();
            Failure { error: error.at(endpoint), harmless }
        })?;
        self.begin(visit, connection, head, times)
    }

    fn begin(
        &self,
        visit: &Visit<'_>,
        connection: Connection,
        head: Head,
        times: Times,
    ) -> Result<Answers, Failure> {
        // A host that forgot the connection's context reads nothing of a request on it: it wants a handshake (401), or takes the sealed
        // body for nonsense (400 without a word).
        let forgotten = head.status == 401 || (head.status == 400 && head.body.is_done());
        let beginning = Beginning {
            head,
            endpoint: visit.key.endpoint.clone(),
            times,
            limits: self.limits.envelope,
            counters: Arc::clone(&self.counters),
        };
        let answers = Answers::begin(beginning, connection.proved, connection.slot);
        answers.map_err(|error| Failure { error, harmless: forgotten })
    }

    /// What it means that a request could not be written: a host that refuses one early may have said why.
    async fn unsent(&self, visit: &Visit<'_>, mut connection: Connection, unsent: Unsent) -> Failure {
        let endpoint = visit.key.endpoint.clone();
        if unsent.in_head {
            return Failure::harmless(if connection.kept {
                BackendError::Lost { endpoint, source: unsent.source }
            } else {
                BackendError::ClosedAfterHandshake { endpoint }
            });
        }
        match connection.proved.wire.read_head(Instant::now() + LAST_WORDS).await {
            Ok(Head { status, .. }) if status >= 400 => {
                Failure::grave(BackendError::HostStatus { endpoint, status })
            }
            Ok(_) | Err(_) => Failure::grave(match unsent.source {
                Some(source) => BackendError::Lost { endpoint, source: Some(source) },
                None => BackendError::TimedOut { endpoint },
            }),
        }
    }

    /// The host has the operation's own time, and the network its delay.
    fn times(&self, outgoing: &Outgoing<'_>) -> Times {
        let limits = &self.limits;
        let asked = outgoing.envelope.operation_timeout().unwrap_or(USUAL_TIMEOUT).min(limits.max_timeout);
        Times {
            patience: asked + limits.network_delay,
            last: Instant::now() + limits.max_timeout.max(asked) + limits.network_delay,
        }
    }
}

/// A native client's `OperationTimeout`, for requests that name none.
const USUAL_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the answer to a request that the host did not take is waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);
