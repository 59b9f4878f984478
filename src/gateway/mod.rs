//! ★ The spine: one request, from its first byte to its record.
//!
//! Every stage appears once, in order, and hands the next its proof: a [`Destination`] from `policy`, [`Evidence`] and a person from `authn`,
//! an [`OperationPermit`] from `policy`, a [`Recorded`] from `audit`, a credential from `credential`, answers from `backend`. A stage that
//! refuses returns its own error; here, and only here, it becomes a [`Refusal`], a response, a metric and the one outcome record.
//!
//! INVARIANT: one task serves one client connection; what the connection has proved is a local variable of that task and dies with it.

mod reply;
mod refusal;
mod serve;
mod trace;

pub use serve::{Gateway, StartError};

use std::sync::Arc;

use async_trait::async_trait;

use self::{
    refusal::{Refusal, Stage},
    trace::Trace,
};
use crate::{
    audit::{Audit, ConnectionRecord, Pending},
    authn::{Authenticator, ConnectionProof, Evidence, People, Step},
    backend::{Answers, Backends, Outgoing},
    credential::Credentials,
    listener::{ClientConnection, ConnectionFailure, Handler, Request, RequestError},
    policy::{Destination, OperationPermit, Policy, RequestTarget},
    telemetry::Metrics,
    wsman::{Charset, Envelope, EnvelopeError, Limits},
};

/// Everything that serves requests under one configuration.
pub(crate) struct Spine {
    policy: Policy,
    authenticator: Authenticator,
    people: People,
    audit: Arc<Audit>,
    credentials: Arc<Credentials>,
    backends: Arc<Backends>,
    metrics: Arc<Metrics>,
    limits: Limits,
    max_timeout: std::time::Duration,
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
        let evidence = self.prove(session, request, &destination)?;
        trace.proved(&evidence, Stage::Authn);
        let destination = destination?;
        trace.destined(&destination);
        let envelope = trace.timed(Stage::Wsman, || self.open(request))?;
        trace.parsed(&envelope);
        let person = self.people.identify(&evidence, &envelope)?;
        trace.identified(&person);
        let permit = trace.timed(Stage::Policy, || self.policy.permit(&person, &destination, &envelope))?;
        trace.permitted(&permit);
        let recorded = trace.awaited(Stage::Audit, self.audit.intend(trace.intent(), permit.before_run())).await?;
        let credential = trace.awaited(Stage::Credential, self.credentials.translate(&person, &permit)).await?;
        trace.credentialed(&credential);
        let outgoing = Outgoing { envelope: &envelope, ps_version: request.ps_version() };
        let answers = tokio::select! {
            answers = trace.awaited(Stage::Backend, self.backends.exchange(&permit, &credential, &recorded, &outgoing)) => answers?,
            () = session.client.client_gone() => return Err(Refusal::client_gone()),
        };
        self.answer(session, &permit, &envelope, answers, trace).await
    }

    fn select(&self, client: &ClientConnection, request: &Request) -> Result<Destination, Refusal> {
        let target = RequestTarget {
            listener: client.listener(),
            server_name: request.host(),
            path: request.path(),
        };
        Ok(self.policy.select(&target)?)
    }

    /// What the request proves of what the route accepts; an unknown route looks like one that accepts all that its listener does.
    fn prove(
        &self,
        session: &mut Session,
        request: &Request,
        destination: &Result<Destination, Refusal>,
    ) -> Result<Evidence, Refusal> {
        let offered;
        let accept = match destination {
            Ok(destination) => destination.accept(),
            Err(_) => {
                offered = self.policy.offered(session.client.listener());
                &offered
            }
        };
        match self.authenticator.step(&mut session.proof, &session.client, request, accept)? {
            Step::Proved(evidence) => Ok(evidence),
            Step::Challenge(challenge) => Err(Refusal::challenged(challenge)),
        }
    }

    /// The one strict parse.
    fn open(&self, request: &Request) -> Result<Envelope, Refusal> {
        let declared = match request.content_type() {
            Some(content_type) => Some(Charset::of_content_type(content_type)?),
            None => None,
        };
        let envelope = Envelope::parse(request.body().clone(), declared.flatten(), &self.limits)?;
        if envelope.operation_timeout().is_some_and(|timeout| timeout > self.max_timeout) {
            return Err(EnvelopeError::TimeoutTooLong.into());
        }
        Ok(envelope)
    }
}
