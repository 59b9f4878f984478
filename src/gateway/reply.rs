//! What goes back to the client: the host's answers, or a refusal.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Session, Spine,
    refusal::{Refusal, Reply},
    trace::Trace,
};
use crate::{
    audit::RequestId,
    backend::{Answer, Answers, BackendError},
    listener::Response,
    policy::OperationPermit,
    wsman::{Envelope, Fault, FaultKind, MessageId, Operation},
};

impl Spine {
    /// Passes the host's answers on: one with its length, or several as they come.
    pub(super) async fn answer(
        &self,
        session: &mut Session,
        permit: &OperationPermit,
        envelope: &Envelope,
        mut answers: Answers,
        trace: &mut Trace,
    ) -> Result<(), Refusal> {
        let first = self.next(session, &mut answers, envelope).await?.ok_or(BackendError::UnexpectedEnd)?;
        self.learn(permit, envelope, &first);
        trace.answered(&first, answers.status());
        if answers.may_go_on() && envelope.operation_id().is_some() {
            return self.stream(session, permit, envelope, (first, answers), trace).await;
        }
        if self.next(session, &mut answers, envelope).await?.is_some() {
            return Err(BackendError::UnexpectedEnd.into());
        }
        let response = soap(answers.status(), first.body, trace.request_id());
        session.client.respond(&response).await.map_err(|_| Refusal::client_gone())
    }

    /// Several envelopes, each as it arrives; an error after the first breaks the framing, so that no client takes it for complete.
    async fn stream(
        &self,
        session: &mut Session,
        permit: &OperationPermit,
        envelope: &Envelope,
        (first, mut answers): (Answer, Answers),
        trace: &mut Trace,
    ) -> Result<(), Refusal> {
        let head = soap(answers.status(), Bytes::new(), trace.request_id());
        session.client.begin_stream(&head).await.map_err(|_| Refusal::client_gone())?;
        session.client.write_part(&first.body).await.map_err(|_| Refusal::client_gone())?;
        while let Some(answer) = self.next(session, &mut answers, envelope).await? {
            self.learn(permit, envelope, &answer);
            trace.answered(&answer, answers.status());
            session.client.write_part(&answer.body).await.map_err(|_| Refusal::client_gone())?;
        }
        session.client.finish_stream().await.map_err(|_| Refusal::client_gone())
    }

    /// The next answer, unless the client goes away first; one to another request is never passed on.
    async fn next(
        &self,
        session: &mut Session,
        answers: &mut Answers,
        envelope: &Envelope,
    ) -> Result<Option<Answer>, Refusal> {
        let answer = tokio::select! {
            answer = answers.next() => answer?,
            () = session.client.client_gone() => return Err(Refusal::client_gone()),
        };
        if let (Some(answer), Some(asked)) = (&answer, envelope.message_id())
            && answer.facts.relates_to.as_ref().is_some_and(|related| related != asked)
        {
            return Err(BackendError::OtherRequest.into());
        }
        Ok(answer)
    }

    /// Remembers whose a new shell or enumeration is, and forgets what has ended.
    fn learn(&self, permit: &OperationPermit, envelope: &Envelope, answer: &Answer) {
        if answer.facts.fault.is_some() {
            return;
        }
        let ownership = self.policy.ownership();
        match envelope.operation() {
            Operation::CreateShell => {
                if let Some(shell) = &answer.facts.shell_id {
                    ownership.shell_created(permit, shell);
                }
            }
            Operation::DeleteShell => {
                if let Some(shell) = envelope.shell_id() {
                    ownership.shell_ended(permit, shell);
                }
            }
            _ => {
                if let Some(context) = &answer.facts.enumeration_context {
                    ownership.enumeration_created(permit, context);
                }
            }
        }
    }

    /// Tells the client why not, in the form that its stage calls for.
    pub(super) async fn refuse(&self, session: &mut Session, refusal: &Refusal, trace: &Trace) {
        let id = trace.request_id();
        let response = match &refusal.reply {
            Reply::Nothing => return,
            Reply::Challenge(challenge) => {
                let mut response = text(challenge.status(), challenge.text(), id);
                for scheme in challenge.schemes() {
                    response = response.with_header("WWW-Authenticate", *scheme);
                }
                response
            }
            Reply::Status(status) => {
                let response = text(*status, &refusal.public, id);
                if *status == 503 { response.with_header("Retry-After", RETRY_AFTER) } else { response }
            }
            Reply::Fault(kind) => fault(*kind, &refusal.public, trace.message_id(), id),
        };
        // Where the client has gone in the meantime there is nobody to tell; the record says what happened.
        drop(session.client.respond(&response).await);
    }
}

/// A SOAP answer.
fn soap(status: u16, body: Bytes, id: &RequestId) -> Response {
    Response::new(status, body)
        .with_header("Content-Type", "application/soap+xml;charset=UTF-8")
        .with_header("X-Request-Id", id.to_string())
}

/// A line of text.
fn text(status: u16, line: &str, id: &RequestId) -> Response {
    Response::new(status, Bytes::from(format!("{line} (request {id})\n")))
        .with_header("Content-Type", "text/plain;charset=UTF-8")
        .with_header("X-Request-Id", id.to_string())
}

/// A fault that clients print, with the request id in its text.
fn fault(kind: FaultKind, reason: &str, relates_to: Option<&MessageId>, id: &RequestId) -> Response {
    let text = format!("winrm-gateway: {reason} (request {id})");
    let xml = Fault::new(kind, &text).to_xml(relates_to, &format!("uuid:{id}"));
    soap(500, Bytes::from(xml), id)
}

/// After how many seconds a refused client may try again.
const RETRY_AFTER: &str = "5";
