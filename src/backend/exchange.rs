//! One request, and the beginning of its answer.

use std::{sync::Arc, time::Duration};

use secrecy::ExposeSecret as _;
use tokio::time::Instant;

use super::{
    Backends, Outgoing,
    answers::{Answers, Beginning, Times},
    dial::Dial,
    digest::DigestError,
    error::{BackendError, HandshakeCause},
    handshake::{Handshake, rejected},
    http::{Head, RequestHead},
    key::ConnectionKey,
    pool::{Slot, Turn, Wanted},
    proved::Proved,
    stats::Counters,
    tls::Anchors,
    wire::{Unread, Unsent},
};
use crate::{
    audit::RequestId,
    credential::{BackendCredential, Means},
    policy::HostProof,
};

/// Where a request goes, and as whom.
pub(super) struct Visit<'a> {
    pub(super) key: Arc<ConnectionKey>,
    /// The trust anchors of an `https` endpoint.
    pub(super) anchors: Option<Anchors>,
    /// As whom; in the name that `key` says.
    pub(super) credential: &'a BackendCredential,
    /// By what it is settled who the host is.
    pub(super) proof: &'a HostProof,
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
        let means = visit.credential.means();
        let certificate = if let Means::Certificate(certificate) = means { Some(certificate) } else { None };
        let anchors = visit.anchors.as_ref();
        let dial = Dial { endpoint: &key.endpoint, networks: &key.networks, anchors, certificate };
        let dialled = dial.connect(&self.resolver, self.limits.connect).await?;
        let open = self.counters.opened();
        let handshake = Handshake {
            door: &self.door,
            means,
            endpoint: &key.endpoint,
            auth: key.auth,
            proof: visit.proof,
            memory: (&self.memory, key.host()),
            until: visit.until,
            patience: self.limits.network_delay,
        };
        let proved = handshake.run(dialled, open).await;
        let counters = &self.counters;
        Counters::count(if proved.is_ok() { &counters.handshakes } else { &counters.handshakes_failed });
        proved
    }

    /// Sends the request on `connection` and reads the head of the answer; a second time where the host only wants a fresh nonce.
    async fn attempt(
        &self,
        visit: &Visit<'_>,
        mut connection: Connection,
        outgoing: &Outgoing<'_>,
    ) -> Result<Answers, Failure> {
        let times = self.times(outgoing);
        let mut head = self.send(visit, &mut connection, outgoing, times).await?;
        if head.status == 401 {
            let memory = (&self.memory, &visit.key.host());
            let renewed = connection.proved.renew(&head.challenges, memory);
            if renewed.map_err(|error| Failure::grave(undigested(visit, error)))? {
                self.drain(visit, &mut connection, &mut head).await?;
                head = self.send(visit, &mut connection, outgoing, times).await?;
            }
        }
        self.begin(visit, connection, head, times)
    }

    async fn send(
        &self,
        visit: &Visit<'_>,
        connection: &mut Connection,
        outgoing: &Outgoing<'_>,
        times: Times,
    ) -> Result<Head, Failure> {
        let endpoint = &visit.key.endpoint;
        let sealed = connection.proved.protect(outgoing.envelope.bytes());
        let (content_type, body) = sealed.map_err(|error| {
            let (target, source) = (endpoint.to_string(), HandshakeCause::Seal(error));
            Failure::harmless(BackendError::Handshake { target, source })
        })?;
        let (ps_version, content_length) = (outgoing.ps_version, body.len());
        let mut head =
            RequestHead { endpoint, ps_version, content_type, content_length, authorization: None };
        let authorization = connection.proved.authorization(&head.target());
        let authorization = authorization.map_err(|error| Failure::harmless(undigested(visit, error)))?;
        head.authorization = authorization.as_ref().map(|words| words.expose_secret());
        let text = head.to_text();
        if let Err(unsent) = connection.proved.wire.send(text, &body, self.limits.network_delay).await {
            return Err(self.unsent(visit, connection, unsent).await);
        }
        drop(body);
        let head = connection.proved.wire.read_head(Instant::now() + times.patience).await;
        let head = head.map_err(|error| {
            // Without a word the host may have done its work or not; only what may be done twice is sent twice.
            let silent = matches!(error, Unread::Lost { begun: false, .. });
            let harmless = silent && outgoing.envelope.operation().may_be_repeated();
            Failure { error: error.at(endpoint), harmless }
        })?;
        let checked = connection.proved.check(head.authentication_info.as_deref());
        checked.map_err(|error| Failure::grave(undigested(visit, error)))?;
        Ok(head)
    }

    /// Reads the body of an answer that is not passed on; the connection must be left as if it had not been.
    async fn drain(
        &self,
        visit: &Visit<'_>,
        connection: &mut Connection,
        head: &mut Head,
    ) -> Result<(), Failure> {
        let (endpoint, wire) = (&visit.key.endpoint, &mut connection.proved.wire);
        let deadline = Instant::now() + self.limits.network_delay;
        let mut size = 0;
        let closed = || BackendError::ClosedAfterHandshake { endpoint: endpoint.clone() };
        loop {
            let piece = wire.read_body(&mut head.body, deadline).await;
            match piece.map_err(|error| Failure::grave(error.at(endpoint)))? {
                Some(bytes) if size <= MOST_REFUSAL => size += bytes.len(),
                Some(_) => return Err(Failure::grave(closed())),
                None if head.keep_alive && wire.is_quiet() => return Ok(()),
                None => return Err(Failure::grave(closed())),
            }
        }
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
        let bound = connection.proved.is_connection_bound();
        let forgotten = bound && (head.status == 401 || (head.status == 400 && head.body.is_done()));
        if head.status == 401 {
            let about = (&visit.key.endpoint, visit.key.auth, connection.proved.local);
            let error = rejected(about, &head.challenges, None);
            return Err(Failure { error, harmless: forgotten });
        }
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
    async fn unsent(&self, visit: &Visit<'_>, connection: &mut Connection, unsent: Unsent) -> Failure {
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

fn undigested(visit: &Visit<'_>, source: DigestError) -> BackendError {
    BackendError::Digest { endpoint: visit.key.endpoint.clone(), source }
}

/// What a host may say beside a challenge.
const MOST_REFUSAL: usize = 64 * 1024;
/// A native client's `OperationTimeout`, for requests that name none.
const USUAL_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the answer to a request that the host did not take is waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);
