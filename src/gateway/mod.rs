//! ★ The spine: one request, from its first byte to its record.
//!
//! Every stage appears once, in order, and hands the next its proof: a [`Destination`] from `policy`, [`Evidence`] and a person from `authn`,
//! an [`OperationPermit`] from `policy`, a [`Recorded`](crate::audit::Recorded) from `audit`, a credential from `credential`, answers from
//! `backend`. A stage that refuses returns its own error; here, and only here, it becomes a [`Refusal`], a response, a metric and the one
//! outcome record.
//!
//! INVARIANT: one task serves one client connection; what the connection has proved is a local variable of that task and dies with it.

mod assembly;
mod at_host;
mod refusal;
mod reload;
mod reply;
mod serve;
mod start;
mod trace;

pub use start::{Gateway, StartError};

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use self::{
    refusal::{Refusal, Stage},
    trace::Trace,
};
use crate::{
    audit::Audit,
    authn::{Authenticator, ConnectionProof, Evidence, People, Step},
    backend::{Backends, Outgoing},
    credential::Credentials,
    listener::{ClientConnection, PsVersion, Request},
    policy::{Asked, Denied, Destination, Policy, RequestTarget},
    wsman::{Charset, Envelope, EnvelopeError, Limits},
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
}

impl Spine {
    /// One request. Each stage once, in order.
    async fn handle(&self, session: &mut Session, request: &Request, trace: &mut Trace) -> Result<(), Refusal> {
        let destination = self.select(&session.client, request);
        let evidence = self.prove(session, request, destination.as_ref())?;
        trace.proved(&evidence);
        let destination = destination?;
        trace.destined(&destination);
        let envelope = trace.timed(Stage::Wsman, || self.open(request))?;
        trace.parsed(&envelope);
        let person = trace.timed(Stage::Authn, || self.people.identify(&evidence, &envelope))?;
        trace.identified(&person);
        let asked = Asked::of(&envelope);
        let permit = trace.timed(Stage::Policy, || self.policy.permit(&person, &destination, &asked, Instant::now()))?;
        trace.permitted(&permit, self.credentials.identity_of(&permit));
        trace.intend(&self.audit, &permit).await?;
        let credential = trace.awaited(Stage::Credential, self.credentials.translate(&person, &permit)).await?;
        trace.credentialed(&credential);
        let outgoing = Outgoing { envelope: &envelope, ps_version: request.ps_version.as_ref().map(PsVersion::as_str) };
        let exchange = self.backends.exchange(&permit, &credential, trace.recorded()?, &outgoing);
        let answers = tokio::select! {
            answers = trace.awaited(Stage::Backend, exchange) => answers?,
            gone = session.client.client_gone() => return Err(gone.into()),
        };
        self.answer(session, &permit, &envelope, answers, trace).await
    }

    /// The route and the host on it.
    fn select(&self, client: &ClientConnection, request: &Request) -> Result<Destination, Denied> {
        self.policy.select(&RequestTarget {
            listener: client.listener(),
            server_name: Some(&request.host),
            path: request.path.as_str(),
        })
    }

    /// What the request proves of what the route accepts; an unknown route looks like one that accepts all that its listener does.
    fn prove(
        &self,
        session: &mut Session,
        request: &Request,
        destination: Result<&Destination, &Denied>,
    ) -> Result<Evidence, Refusal> {
        let accept = match destination {
            Ok(destination) => destination.accept(),
            Err(_) => self.policy.offered(session.client.listener()),
        };
        match self.authenticator.step(&mut session.proof, &session.client, request, accept)? {
            Step::Proved(evidence) => Ok(evidence),
            Step::Challenge(challenge) => Err(Refusal::challenged(challenge)),
        }
    }

    /// The one strict parse.
    fn open(&self, request: &Request) -> Result<Envelope, EnvelopeError> {
        let declared = match &request.content_type {
            Some(content_type) => Charset::of_content_type(content_type)?,
            None => None,
        };
        let envelope = Envelope::parse(request.body.clone(), declared, &self.limits)?;
        match envelope.operation_timeout() {
            Some(timeout) if timeout > self.max_timeout => Err(EnvelopeError::TimeoutTooLong),
            Some(_) | None => Ok(envelope),
        }
    }
}
