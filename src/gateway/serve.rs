//! A client connection's task: requests one after the other, each by the configuration that is in force when it comes.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use super::{Session, Spine, refusal::Refusal, trace::Trace};
use crate::{
    audit::{self, Audit},
    listener::{ClientAddr, ClientConnection, ConnectionFailure, Handler, Request, RequestError},
    telemetry::Metrics,
};

/// Takes connections from the listeners.
pub(super) struct Serving {
    /// The stages by the configuration in force; requests under way hear when another comes.
    pub(super) spine: watch::Sender<Arc<Spine>>,
    pub(super) audit: Arc<Audit>,
    pub(super) metrics: Arc<Metrics>,
}

#[async_trait]
impl Handler for Serving {
    async fn connection(self: Arc<Self>, client: ClientConnection) {
        let mut session = Session::new(client, self.spine.subscribe());
        loop {
            match session.next_request().await {
                Ok(Some(request)) => {
                    let spine = session.spines.borrow_and_update().clone();
                    // Boxed, so that a connection that waits for its next request does not hold the room for one.
                    Box::pin(self.serve(&spine, &mut session, &request)).await;
                }
                Ok(None) => return,
                Err(error) => return self.refused_at_the_gate(&session.client, error),
            }
        }
    }

    fn failed(&self, failure: ConnectionFailure) {
        let client = match failure.peer {
            ClientAddr::Tcp(address) => Some(address),
            ClientAddr::Unix { .. } => None,
        };
        self.audit.connection_failed(&audit::ConnectionFailure {
            listener: Some(failure.listener),
            client,
            reason: failure.reason.as_str(),
            detail: failure.reason.to_string(),
        });
    }
}

impl Serving {
    /// The stages by the configuration in force.
    pub(super) fn current(&self) -> Arc<Spine> {
        self.spine.borrow().clone()
    }

    async fn serve(&self, spine: &Spine, session: &mut Session, request: &Request) {
        let mut trace = Trace::begin(&self.audit, &session.client);
        trace.received(request);
        let ended = spine.handle(session, request, &mut trace).await;
        if let Err(refusal) = &ended {
            spine.refuse(session, refusal, &trace).await;
        }
        let id = *trace.request_id();
        trace.finish(ended.as_ref().copied(), &self.metrics);
        if let Err(refusal) = &ended {
            tracing::info!(request = %id, stage = refusal.stage.as_str(), reason = refusal.reason, cause = %refusal.private, "Request refused");
        }
    }

    /// The gate has answered; what is left is the record and the count.
    fn refused_at_the_gate(&self, client: &ClientConnection, error: RequestError) {
        let refusal = match error {
            RequestError::Refused { status, reason } => Refusal::at_the_gate(status, reason),
            RequestError::Lost => Refusal::client_gone(),
        };
        let trace = Trace::begin(&self.audit, client);
        tracing::debug!(request = %trace.request_id(), reason = refusal.reason, "Request refused by the gate");
        trace.finish(Err(&refusal), &self.metrics);
    }
}
