//! ★ The spine: one request, from its first byte to its record.
//!
//! Every stage appears once, in order, and hands the next its proof: a [`Destination`] from `policy`, [`Evidence`] and a person from `authn`,
//! an [`OperationPermit`](crate::policy::OperationPermit) from `policy`, a [`Recorded`](crate::audit::Recorded) from `audit`, a credential from `credential`, answers from
//! `backend`. A stage that refuses returns its own error; here, and only here, it becomes a [`Refusal`], a response, a metric and the one
//! outcome record.
//!
//! INVARIANT: one task serves one client connection; what the connection has proved is a local variable of that task and dies with it.

mod assembly;
mod refusal;
mod reload;
mod reply;
mod serve;
mod start;
mod trace;
mod under_way;

pub use start::{Gateway, StartError};

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use self::{
    refusal::{Refusal, Stage},
    trace::Trace,
    under_way::UnderWay,
};
use bytes::Bytes;
use tokio::sync::watch;

use crate::{
    audit::Audit,
    authn::{
        Authenticator, ConnectionProof, Evidence, People, Reply, SealError, Step, UnsealError, Unsealed,
    },
    backend::{Backends, Outgoing},
    credential::Credentials,
    listener::{ClientConnection, PsVersion, Request, RequestError, Response},
    policy::{Asked, Denied, Destination, Policy, RequestTarget},
    wsman::{
        Charset, Envelope, EnvelopeError, Limits,
        sealed::{self, Protocol},
    },
};

/// The stages, as one state of the configuration has them.
struct Spine {
    policy: Policy,
    authenticator: Authenticator,
    people: People,
    audit: Arc<Audit>,
    credentials: Arc<Credentials>,
    backends: Arc<Backends>,
    limits: Limits,
    max_timeout: Duration,
    /// Which state of the configuration this is, for records and metrics.
    generation: String,
}

/// One client connection, and what it has proved.
struct Session {
    client: ClientConnection,
    proof: ConnectionProof,
    /// The stages by the configuration in force; tells when another comes.
    spines: watch::Receiver<Arc<Spine>>,
    /// What the answer to the request under way also carries: the gateway's side of a handshake.
    reply: Reply,
    /// How the request under way was sealed, and its answer is to be.
    sealed: Option<Protocol>,
}

impl Spine {
    /// One request. Each stage once, in order.
    #[expect(clippy::result_large_err, reason = "a refusal is made once per request, and is not kept")]
    async fn handle(
        &self,
        session: &mut Session,
        request: &Request,
        trace: &mut Trace,
    ) -> Result<(), Refusal> {
        let destination = self.select(&session.client, request);
        let Some(evidence) = self.prove(session, request, destination.as_ref(), trace).await? else {
            return Ok(());
        };
        trace.proved(&evidence);
        let destination = destination?;
        trace.destined(&destination);
        let envelope = trace.timed(Stage::Wsman, || self.open(session, request, &evidence))?;
        trace.parsed(&envelope);
        let person = trace.timed(Stage::Authn, || self.people.identify(&evidence, &envelope))?;
        trace.identified(&person);
        let asked = Asked::of(&envelope);
        let permit = trace
            .timed(Stage::Policy, || self.policy.permit(&person, &destination, &asked, Instant::now()))?;
        trace.permitted(&permit, self.credentials.identity_of(&permit));
        trace.intend(&self.audit, &permit).await?;
        let credential =
            trace.awaited(Stage::Credential, self.credentials.translate(&person, &permit)).await?;
        trace.credentialed(&credential);
        let outgoing =
            Outgoing { envelope: &envelope, ps_version: request.ps_version.as_ref().map(PsVersion::as_str) };
        let under_way = UnderWay { request, evidence: &evidence, envelope: &envelope, permit: &permit };
        let exchange = self.backends.exchange(&permit, &credential, trace.recorded()?, &outgoing);
        let answers = tokio::select! {
            answers = trace.awaited(Stage::Backend, exchange) => answers?,
            refusal = under_way.interrupted(session) => return Err(refusal),
        };
        self.answer(session, &under_way, answers, trace).await
    }

    /// The route and the host on it.
    fn select(&self, client: &ClientConnection, request: &Request) -> Result<Destination, Denied> {
        self.policy.select(&RequestTarget {
            listener: client.listener(),
            server_name: Some(&request.host),
            path: request.path.as_str(),
        })
    }

    /// What the request proves of what the route accepts; an unknown route looks like one that accepts all that its listener does. Nothing is left
    /// to do where the request was only a leg of a handshake.
    async fn prove(
        &self,
        session: &mut Session,
        request: &Request,
        destination: Result<&Destination, &Denied>,
        trace: &mut Trace,
    ) -> Result<Option<Evidence>, Refusal> {
        let accept = match destination {
            Ok(destination) => destination.accept(),
            Err(_) => self.policy.offered(session.client.listener()),
        };
        if request.authorization.is_none() && is_sealed(request) && !session.proof.has_context() {
            return Err(UnsealError::NoContext.into());
        }
        let step = self.authenticator.step(&mut session.proof, &session.client, request, accept);
        match trace.awaited(Stage::Authn, step).await? {
            Step::Proved(evidence, reply) => {
                session.reply = reply;
                Ok(Some(evidence))
            }
            Step::Shaken { status, reply } => {
                session.reply = reply;
                trace.shaken(status);
                session.shaken(status, trace.request_id()).await?;
                Ok(None)
            }
            Step::Challenge(challenge) => Err(Refusal::challenged(challenge)),
        }
    }

    /// Unseals, and then the one strict parse.
    #[expect(clippy::result_large_err, reason = "a refusal is made once per request, and is not kept")]
    fn open(
        &self,
        session: &mut Session,
        request: &Request,
        evidence: &Evidence,
    ) -> Result<Envelope, Refusal> {
        let (body, declared) = match request.content_type.as_deref() {
            Some(content_type) if sealed::is_sealed(content_type) => {
                if !evidence.opens_sealed() {
                    return Err(UnsealError::NoContext.into());
                }
                let unsealed = session.proof.unseal(content_type, &request.body, &self.limits)?;
                let Unsealed { plain, charset, protocol } = unsealed;
                session.sealed = Some(protocol);
                (Bytes::from(plain), Some(charset))
            }
            _ if !self.authenticator.takes_clear_text(&session.client) => return Err(Refusal::not_sealed()),
            Some(content_type) => (request.body.clone(), Charset::of_content_type(content_type)?),
            None => (request.body.clone(), None),
        };
        let envelope = Envelope::parse(body, declared, &self.limits)?;
        match envelope.operation_timeout() {
            Some(timeout) if timeout > self.max_timeout => Err(EnvelopeError::TimeoutTooLong.into()),
            Some(_) | None => Ok(envelope),
        }
    }
}

impl Session {
    /// The connection of `client`, which has proved nothing yet.
    fn new(client: ClientConnection, spines: watch::Receiver<Arc<Spine>>) -> Self {
        Self { client, proof: ConnectionProof::default(), spines, reply: Reply::default(), sealed: None }
    }

    /// Receives the next request; what belonged to the one before is over.
    async fn next_request(&mut self) -> Result<Option<Request>, RequestError> {
        (self.reply, self.sealed) = (Reply::default(), None);
        self.client.next_request().await
    }

    /// The content type and bytes that `plain` goes out as: sealed, where the request was.
    fn protect(&mut self, plain: Bytes) -> Result<(&'static str, Bytes), SealError> {
        match self.sealed {
            None => Ok(("application/soap+xml;charset=UTF-8", plain)),
            Some(protocol) => {
                let body = self.proof.seal(protocol, &plain)?;
                Ok((sealed::content_type(protocol), Bytes::from(body)))
            }
        }
    }

    /// Sends `response`, with the gateway's side of the handshake where there is one.
    async fn respond(&mut self, mut response: Response) -> Result<(), Refusal> {
        response.headers.extend(self.reply.header().map(|value| ("WWW-Authenticate", value.to_owned())));
        self.client.respond(&response).await.map_err(|_| Refusal::client_gone())
    }
}

fn is_sealed(request: &Request) -> bool {
    request.content_type.as_deref().is_some_and(sealed::is_sealed)
}
