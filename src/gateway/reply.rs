//! What goes back to the client: the host's answers, or a refusal.

use std::time::Instant;

use bytes::Bytes;

use super::{
    Session, Spine,
    refusal::{Refusal, Reply, Stage},
    trace::Trace,
    under_way::UnderWay,
};
use crate::{
    audit::RequestId,
    backend::{Answer, Answers, BackendError, Defect},
    listener::Response,
    policy::Resource,
    wsman::{Fault, FaultKind, MessageId, Operation},
};

impl Spine {
    /// Passes the host's answers on: one with its length, or several as they come.
    pub(super) async fn answer(
        &self,
        session: &mut Session,
        under_way: &UnderWay<'_>,
        mut answers: Answers,
        trace: &mut Trace,
    ) -> Result<(), Refusal> {
        let first = self.next(session, &mut answers, under_way).await?.ok_or(BackendError::UnexpectedEnd)?;
        self.learn(under_way, &first);
        trace.answered(&first, answers.status());
        let robust = under_way.envelope.operation_id().is_some();
        if robust && answers.may_go_on() {
            return self.stream(session, under_way, (first, None, answers), trace).await;
        }
        match self.next(session, &mut answers, under_way).await? {
            None => {}
            // All of it had arrived with the first.
            second @ Some(_) if robust => {
                return self.stream(session, under_way, (first, second, answers), trace).await;
            }
            Some(_) => {
                let endpoint = under_way.permit.endpoint().clone();
                return Err(BackendError::BrokenAnswer { endpoint, source: Defect::Several }.into());
            }
        }
        let (content_type, body) = session.protect(first.body)?;
        session.respond(response(answers.status(), content_type, body, trace.request_id())).await
    }

    /// Several envelopes, each as it arrives; an error after the first breaks the framing, so that no client takes it for complete.
    async fn stream(
        &self,
        session: &mut Session,
        under_way: &UnderWay<'_>,
        (first, mut second, mut answers): (Answer, Option<Answer>, Answers),
        trace: &mut Trace,
    ) -> Result<(), Refusal> {
        let (content_type, part) = session.protect(first.body)?;
        let mut head = response(answers.status(), content_type, Bytes::new(), trace.request_id());
        head.headers.extend(session.reply.header().map(|value| ("WWW-Authenticate", value.to_owned())));
        session.client.begin_stream(&head).await.map_err(|_| Refusal::client_gone())?;
        session.client.write_part(&part).await.map_err(|_| Refusal::client_gone())?;
        loop {
            let next = match second.take() {
                Some(second) => Some(second),
                None => self.next(session, &mut answers, under_way).await?,
            };
            let Some(answer) = next else { break };
            self.learn(under_way, &answer);
            trace.answered(&answer, answers.status());
            let (_, part) = session.protect(answer.body)?;
            session.client.write_part(&part).await.map_err(|_| Refusal::client_gone())?;
        }
        session.client.finish_stream().await.map_err(|_| Refusal::client_gone())
    }

    /// The next answer, unless something ends the request first; one to another request is never passed on.
    async fn next(
        &self,
        session: &mut Session,
        answers: &mut Answers,
        under_way: &UnderWay<'_>,
    ) -> Result<Option<Answer>, Refusal> {
        let answer = tokio::select! {
            answer = answers.next() => answer?,
            refusal = under_way.interrupted(session) => return Err(refusal),
        };
        if let (Some(answer), Some(asked)) = (&answer, under_way.envelope.message_id())
            && answer.facts.relates_to.as_ref().is_some_and(|related| related != asked)
        {
            return Err(BackendError::OtherRequest.into());
        }
        Ok(answer)
    }

    /// Remembers whose a new shell or enumeration is, and forgets what has ended.
    fn learn(&self, &UnderWay { permit, envelope, .. }: &UnderWay<'_>, answer: &Answer) {
        if answer.facts.fault.is_some() {
            return;
        }
        let (ownership, now) = (self.policy.ownership(), Instant::now());
        let operation = envelope.operation();
        if *operation == Operation::CreateShell
            && let Some(shell) = &answer.facts.shell_id
        {
            ownership.created(permit, Resource::Shell, shell.as_str(), now);
        }
        if *operation == Operation::DeleteShell
            && let Some(shell) = envelope.shell_id()
        {
            ownership.ended(permit, Resource::Shell, shell.as_str());
        }
        let next = answer.facts.enumeration_context.as_ref();
        if let Some(context) = envelope.enumeration_context()
            && (*operation == Operation::Release || next.is_some())
        {
            ownership.ended(permit, Resource::Enumeration, context.as_str());
        }
        if let Some(context) = next {
            ownership.created(permit, Resource::Enumeration, context.as_str(), now);
        }
    }

    /// Tells the client why not, in the form that its stage calls for.
    pub(super) async fn refuse(&self, session: &mut Session, refusal: &Refusal, trace: &Trace) {
        let id = trace.request_id();
        if refusal.stage == Stage::Wsman {
            // Who sends what can't be read does not get to send more on this connection.
            session.client.close_after_response();
        }
        let response = match &refusal.reply {
            Reply::Gone | Reply::Answered(_) => return,
            Reply::Empty(status) => empty(*status, id),
            Reply::Challenge(challenge) => {
                // What a handshake brought is void where nothing was proved.
                session.reply = crate::authn::Reply::default();
                let mut response = text(challenge.status(), challenge.text(), id);
                let schemes = challenge.schemes().iter();
                response.headers.extend(schemes.map(|scheme| ("WWW-Authenticate", (*scheme).to_owned())));
                response
            }
            Reply::Status(status) => {
                let mut response = text(*status, &refusal.public, id);
                if *status == 503 {
                    response.headers.push(("Retry-After", RETRY_AFTER.to_owned()));
                }
                response
            }
            Reply::Fault(kind) => {
                let xml = fault(*kind, &refusal.public, trace.message_id(), id);
                match session.protect(xml) {
                    Ok((content_type, body)) => response(500, content_type, body, id),
                    // Nothing is told in clear to a client that sealed.
                    Err(_) => empty(500, id),
                }
            }
        };
        // Where the client has gone in the meantime there is nobody to tell; the record says what happened.
        drop(session.respond(response).await);
    }
}

impl Session {
    /// Answers a leg of a handshake that came without a request.
    pub(super) async fn shaken(&mut self, status: u16, id: &RequestId) -> Result<(), Refusal> {
        self.respond(empty(status, id)).await
    }
}

/// A status and nothing more.
fn empty(status: u16, id: &RequestId) -> Response {
    Response { status, headers: vec![("X-Request-Id", id.to_string())], body: Bytes::new() }
}

fn response(status: u16, content_type: &str, body: Bytes, id: &RequestId) -> Response {
    let headers = vec![("Content-Type", content_type.to_owned()), ("X-Request-Id", id.to_string())];
    Response { status, headers, body }
}

/// A line of text.
fn text(status: u16, line: &str, id: &RequestId) -> Response {
    let body = Bytes::from(format!("{line} (request {id})\n"));
    response(status, "text/plain;charset=UTF-8", body, id)
}

/// A fault that clients print, with the request id in its text.
fn fault(kind: FaultKind, reason: &str, relates_to: Option<&MessageId>, id: &RequestId) -> Bytes {
    let text = format!("winrm-gateway: {reason} (request {id})");
    Bytes::from(Fault::new(kind, &text).to_xml(relates_to, &format!("uuid:{id}")))
}

/// After how many seconds a refused client may try again.
const RETRY_AFTER: &str = "5";
