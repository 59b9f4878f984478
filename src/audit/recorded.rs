//! A request's place in the record: open until its outcome is written.

use std::{sync::Arc, time::Instant};

use super::{
    clock::{Clock, rfc3339},
    line::line,
    queue::{Claim, Item, Queue},
    record::{Ending, Facts, Kind, Outcome, Record, RequestId, as_nanos},
};

/// A request that has no intent on record: nothing may be sent to a host for it.
#[derive(Debug)]
#[must_use = "a request that is dropped is recorded as abandoned"]
pub(crate) struct Pending {
    pub(super) open: Open,
}

impl Pending {
    /// The name of the request.
    pub(crate) fn request_id(&self) -> RequestId {
        self.open.id
    }

    /// What is known so far; fill in what is learnt.
    pub(crate) fn facts(&mut self) -> &mut Facts {
        &mut self.open.facts
    }

    /// Writes how the request ended, without waiting.
    pub(crate) fn finish(mut self, outcome: &Outcome) {
        self.open.end(outcome);
    }
}

/// Proof that a request's intent is on record: the key to a host.
///
/// INVARIANT: only [`Audit::intend`](super::Audit::intend) makes one; it can be neither copied nor kept past the outcome.
#[derive(Debug)]
#[must_use = "a request that is dropped is recorded as abandoned"]
pub(crate) struct Recorded {
    open: Open,
}

impl Recorded {
    pub(super) fn of(mut pending: Pending, claim: Claim) -> Self {
        pending.open.intended = true;
        pending.open.claim = claim;
        Self { open: pending.open }
    }

    /// The name of the request.
    pub(crate) fn request_id(&self) -> RequestId {
        self.open.id
    }

    /// What is known so far; fill in what the answer tells.
    pub(crate) fn facts(&mut self) -> &mut Facts {
        &mut self.open.facts
    }

    /// Writes how the request ended, without waiting.
    pub(crate) fn finish(mut self, outcome: &Outcome) {
        self.open.end(outcome);
    }
}

/// An intent could not be recorded; the request lives on, to be refused.
#[derive(Debug, thiserror::Error)]
#[error("the request cannot be recorded")]
pub(crate) struct Unrecorded {
    /// The request, whose outcome is still to be written.
    pub(crate) pending: Pending,
    /// Why.
    #[source]
    pub(crate) error: super::AuditError,
}

/// What pending and recorded requests have in common.
///
/// INVARIANT: writes exactly one outcome: the one it is ended with, or on drop that the request was abandoned.
pub(super) struct Open {
    pub(super) id: RequestId,
    pub(super) facts: Facts,
    queue: Arc<Queue>,
    clock: Arc<dyn Clock>,
    began: Instant,
    claim: Claim,
    intended: bool,
    pub(super) intent_lost: bool,
    ended: bool,
}

impl Open {
    pub(super) fn new(queue: Arc<Queue>, clock: Arc<dyn Clock>) -> Self {
        Self {
            id: RequestId::random(),
            facts: Facts::default(),
            queue,
            clock,
            began: Instant::now(),
            claim: Claim::Spare,
            intended: false,
            intent_lost: false,
            ended: false,
        }
    }

    fn end(&mut self, outcome: &Outcome) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let kind = Kind::Outcome {
            id: self.id,
            intended: self.intended,
            intent_lost: self.intent_lost,
            duration_ns: as_nanos(self.began.elapsed()),
            facts: &self.facts,
            outcome,
        };
        match line(&Record::new(rfc3339(self.clock.now()), kind)) {
            // What is turned away is counted, and told by a record of its own.
            Ok(line) => drop(self.queue.push(Item::unattended(line), self.claim)),
            Err(error) => tracing::error!(id = %self.id, %error, "Outcome cannot be written as JSON"),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.ended {
            self.end(&Outcome { result: Ending::Abandoned, stage: "request", ..Outcome::default() });
        }
    }
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open").field("id", &self.id).field("intended", &self.intended).finish_non_exhaustive()
    }
}
