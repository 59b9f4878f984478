//! What ends a request before its answer does: its client leaves, its certificate stops counting, or the configuration no longer permits it.

use std::time::Instant;

use super::{Session, Spine, refusal::Refusal};
use crate::{
    authn::Evidence,
    listener::{ClientConnection, Request},
    policy::{Asked, OperationPermit},
    wsman::Envelope,
};

/// A permitted request on its way to a host and back.
pub(super) struct UnderWay<'a> {
    pub(super) request: &'a Request,
    pub(super) evidence: &'a Evidence,
    pub(super) envelope: &'a Envelope,
    pub(super) permit: &'a OperationPermit,
}

impl UnderWay<'_> {
    /// Resolves when the request should be given up. Cancel-safe; run it beside the work.
    ///
    /// INVARIANT: a request, however long its host takes, ends when a configuration comes into force that would not have permitted it.
    pub(super) async fn interrupted(&self, session: &mut Session) -> Refusal {
        loop {
            tokio::select! {
                gone = session.client.client_gone() => return gone.into(),
                changed = session.spines.changed() => {
                    if changed.is_err() {
                        // No configuration follows: the gateway is ending, and says so to the client's connection.
                        return session.client.client_gone().await.into();
                    }
                }
            }
            let spine = session.spines.borrow_and_update().clone();
            if let Err(cause) = self.still_permitted(&spine, &session.client) {
                return Refusal::no_longer_permitted(cause);
            }
        }
    }

    /// Whether `spine` would let the same person do the same at the same host in the same name. Shells and quotas were looked at when it began.
    fn still_permitted(&self, spine: &Spine, client: &ClientConnection) -> Result<(), String> {
        let destination = spine.select(client, self.request).map_err(|error| error.to_string())?;
        let person =
            spine.people.identify(self.evidence, self.envelope).map_err(|error| error.to_string())?;
        let asked =
            Asked { shell: None, enumeration: None, creates_shell: false, ..Asked::of(self.envelope) };
        let permit = spine
            .policy
            .permit(&person, &destination, &asked, Instant::now())
            .map_err(|error| error.to_string())?;
        let same = permit.principal() == self.permit.principal()
            && permit.endpoint() == self.permit.endpoint()
            && permit.credential() == self.permit.credential();
        if same { Ok(()) } else { Err("the route leads elsewhere, or in another name".to_owned()) }
    }
}
