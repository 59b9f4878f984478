//! What becomes known of a request on its way: its place in the record, how long each stage took, what its metrics will say.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::refusal::{Refusal, Reply, Stage};
use crate::{
    audit::{Audit, AuditError, Blame, Ending, Facts, Outcome, Pending, Recorded, RequestId, Unrecorded},
    authn::{Authenticated, Evidence},
    backend::Answer,
    credential::BackendCredential,
    listener::{ClientAddr, ClientConnection, Request},
    policy::{Destination, OperationPermit},
    telemetry::Metrics,
    wsman::{Envelope, MessageId},
};

/// One request on its way.
///
/// INVARIANT: holds the request's one place in the record until [`Trace::finish`]; dropped before that, the request is recorded as abandoned.
pub(super) struct Trace {
    place: Place,
    id: RequestId,
    began: Instant,
    stages: [AtomicU64; Stage::ALL.len()],
    message_id: Option<MessageId>,
    outcome: Outcome,
}

/// Where in the record the request stands.
enum Place {
    /// No intent is written: nothing may be sent to a host.
    Pending(Pending),
    /// The intent is written.
    Recorded(Recorded),
    /// Between the two, while the intent is being written; the facts go nowhere.
    Between(Box<Facts>),
}

impl Trace {
    /// Opens the request's place in the record.
    pub(super) fn begin(audit: &Audit, client: &ClientConnection) -> Self {
        Self::open(audit, client.listener(), client.peer())
    }

    /// As [`Trace::begin`], from the parts of a connection.
    pub(super) fn open(audit: &Audit, listener: &Arc<str>, peer: &ClientAddr) -> Self {
        let mut pending = audit.begin();
        let id = pending.request_id();
        let facts = pending.facts();
        facts.listener = Some(Arc::clone(listener));
        facts.client = Some(peer.to_string());
        Self {
            place: Place::Pending(pending),
            id,
            began: Instant::now(),
            stages: [const { AtomicU64::new(0) }; Stage::ALL.len()],
            message_id: None,
            outcome: Outcome::default(),
        }
    }

    /// The name of the request.
    pub(super) fn request_id(&self) -> &RequestId {
        &self.id
    }

    /// The client's own name for the message, once it is read.
    pub(super) fn message_id(&self) -> Option<&MessageId> {
        self.message_id.as_ref()
    }

    /// Runs one stage and keeps how long it took.
    pub(super) fn timed<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let value = work();
        self.took(stage, started);
        value
    }

    /// Awaits one stage and keeps how long it took.
    pub(super) async fn awaited<T>(&self, stage: Stage, work: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let value = work.await;
        self.took(stage, started);
        value
    }

    fn took(&self, stage: Stage, started: Instant) {
        let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        if let Some(slot) = self.stages.get(stage as usize) {
            // Nothing is recorded as 0: that stands for a stage that was not reached.
            slot.fetch_add(micros.max(1), Ordering::Relaxed);
        }
    }

    /// What the HTTP gate let through.
    pub(super) fn received(&mut self, request: &Request) {
        self.facts().request_bytes = u64::try_from(request.body.len()).ok();
    }

    /// Something was proved.
    pub(super) fn proved(&mut self, evidence: &Evidence) {
        let facts = self.facts();
        facts.method = Some(evidence.method().as_str());
        // Refusals before the person is known name at least what was proved.
        facts.evidence = Some(evidence.describe());
    }

    /// The request was a leg of a handshake, answered with this status.
    pub(super) fn shaken(&mut self, status: u16) {
        self.outcome.stage = Stage::Authn.as_str();
        self.outcome.status = Some(status);
    }

    /// Route and host are known.
    pub(super) fn destined(&mut self, destination: &Destination) {
        let facts = self.facts();
        facts.route = Some(destination.route().into());
        facts.host = Some(destination.endpoint().host.to_string());
        facts.spn = destination.spn().map(ToString::to_string);
    }

    /// The envelope is read.
    pub(super) fn parsed(&mut self, envelope: &Envelope) {
        let class = envelope.action_class();
        let facts = self.facts();
        facts.operation = Some(envelope.operation().as_str());
        facts.action = envelope.action().map(ToString::to_string);
        facts.class = Some(class.as_str());
        facts.resource_uri = envelope.resource_uri().map(ToString::to_string);
        facts.shell_id = envelope.shell_id().map(ToString::to_string);
        facts.command_id = envelope.command_id().map(ToString::to_string);
        facts.message_id = envelope.message_id().map(ToString::to_string);
        self.message_id = envelope.message_id().cloned();
    }

    /// The person is known.
    pub(super) fn identified(&mut self, person: &Authenticated) {
        let facts = self.facts();
        facts.principal = Some(person.principal().to_string());
        facts.evidence = Some(person.evidence().to_owned());
    }

    /// The operation is permitted; `identity` is as whom it is to run there.
    pub(super) fn permitted(&mut self, permit: &OperationPermit, identity: String) {
        let facts = self.facts();
        facts.rule = Some(permit.rule().into());
        facts.identity_there = Some(identity);
        facts.credential = Some(permit.credential().kind());
        if !permit.auth().is_kerberos() {
            facts.spn = None;
        }
    }

    /// Puts the intent on record.
    ///
    /// # Errors
    /// Where it must be durable and can't be; the request stays open, to be refused.
    pub(super) async fn intend(&mut self, audit: &Audit, permit: &OperationPermit) -> Result<(), AuditError> {
        let facts = Box::new(self.facts().clone());
        let Place::Pending(pending) = std::mem::replace(&mut self.place, Place::Between(facts)) else {
            return Err(AuditError::Closed);
        };
        let started = Instant::now();
        let intended = audit.intend(pending, permit.before_run()).await;
        self.took(Stage::Audit, started);
        match intended {
            Ok(recorded) => {
                self.place = Place::Recorded(recorded);
                Ok(())
            }
            Err(unrecorded) => {
                let Unrecorded { pending, error } = *unrecorded;
                self.place = Place::Pending(pending);
                Err(error)
            }
        }
    }

    /// The proof that the intent is on record.
    ///
    /// # Errors
    /// Where none is.
    pub(super) fn recorded(&self) -> Result<&Recorded, AuditError> {
        match &self.place {
            Place::Recorded(recorded) => Ok(recorded),
            Place::Pending(_) | Place::Between(_) => Err(AuditError::Closed),
        }
    }

    /// There is a credential; its own name is what counts from here on.
    pub(super) fn credentialed(&mut self, credential: &BackendCredential) {
        let facts = self.facts();
        credential.identity().clone_into(facts.identity_there.get_or_insert_default());
        facts.spn = credential.spn().map(ToString::to_string);
    }

    /// The host answered, once of perhaps several times, with this HTTP status.
    pub(super) fn answered(&mut self, answer: &Answer, status: u16) {
        let told = &answer.facts;
        let facts = self.facts();
        if let Some(shell) = &told.shell_id {
            facts.shell_id = Some(shell.to_string());
        }
        if let Some(command) = &told.command_id {
            facts.command_id = Some(command.to_string());
        }
        self.outcome.status = Some(status);
        self.outcome.fault_code =
            told.fault.as_ref().and_then(|fault| fault.code).or(self.outcome.fault_code);
        self.outcome.exit_code = told.exit_code.or(self.outcome.exit_code);
        let bytes = u64::try_from(answer.body.len()).unwrap_or(u64::MAX);
        self.outcome.response_bytes =
            Some(self.outcome.response_bytes.unwrap_or_default().saturating_add(bytes));
    }

    /// Writes the one outcome, and has `metrics` count it.
    pub(super) fn finish(mut self, ended: Result<(), &Refusal>, metrics: &Metrics) {
        match ended {
            Ok(()) => {
                self.outcome.result = Ending::Succeeded;
                if self.outcome.stage.is_empty() {
                    self.outcome.stage = Stage::Backend.as_str();
                }
            }
            Err(refusal) => self.refused(refusal),
        }
        let durations = Stage::ALL.into_iter().zip(&self.stages).filter_map(|(stage, micros)| {
            let micros = micros.load(Ordering::Relaxed);
            (micros > 0).then(|| (stage.as_str(), Duration::from_micros(micros)))
        });
        self.outcome.durations = durations.collect();
        let took = self.began.elapsed();
        let Self { mut place, outcome, .. } = self;
        metrics.ended(facts_of(&mut place), &outcome, took);
        match place {
            Place::Pending(pending) => pending.finish(&outcome),
            Place::Recorded(recorded) => recorded.finish(&outcome),
            // The writer dropped what was being written, and thus recorded it as abandoned.
            Place::Between(_) => {}
        }
    }

    fn refused(&mut self, refusal: &Refusal) {
        let outcome = &mut self.outcome;
        outcome.result = match (&refusal.reply, refusal.blame) {
            (Reply::Gone, _) => Ending::Abandoned,
            (
                Reply::Challenge(_)
                | Reply::Fault(_)
                | Reply::Status(_)
                | Reply::Empty(_)
                | Reply::Answered(_),
                Blame::Client,
            ) => Ending::Refused,
            (_, Blame::Gateway | Blame::Backend) => Ending::Failed,
        };
        outcome.stage = refusal.stage.as_str();
        outcome.reason = refusal.reason;
        outcome.blame = Some(refusal.blame);
        outcome.status = refusal.reply.status().or(outcome.status);
        outcome.fault_code = refusal.reply.fault_code().or(outcome.fault_code);
        outcome.text = Some(refusal.private.clone()).filter(|text| !text.is_empty());
    }

    fn facts(&mut self) -> &mut Facts {
        facts_of(&mut self.place)
    }
}

fn facts_of(place: &mut Place) -> &mut Facts {
    match place {
        Place::Pending(pending) => pending.facts(),
        Place::Recorded(recorded) => recorded.facts(),
        Place::Between(facts) => facts,
    }
}
