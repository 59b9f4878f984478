//! The proof that policy allowed one operation.

use super::{
    Destination,
    approach::{Approach, BackendAuth, CredentialChoice, HostProof},
    endpoint::Endpoint,
    networks::Networks,
    route::{BackendTls, BeforeRun, Route},
    spn::Spn,
};
use crate::{
    authn::{Authenticated, Principal},
    wsman::ActionClass,
};
use std::sync::Arc;

/// One operation that one person may do on one host, and how the gateway goes there.
///
/// INVARIANT: only `policy` makes one, for a person that `authn` vouched for. It has no public constructor and neither `Clone` nor
/// `Default`: one decision serves one request.
#[derive(Debug)]
pub(crate) struct OperationPermit {
    principal: Principal,
    route: Arc<Route>,
    rule: String,
    endpoint: Endpoint,
    spns: Vec<Spn>,
    approach: Approach,
    proof: HostProof,
    class: ActionClass,
}

impl OperationPermit {
    /// The permit for what rule `rule` allowed `person`.
    pub(super) fn new(
        person: &Authenticated,
        destination: &Destination,
        (approach, proof): (&Approach, HostProof),
        rule: &str,
        class: ActionClass,
    ) -> Self {
        Self {
            principal: person.principal().clone(),
            route: Arc::clone(&destination.route),
            rule: rule.to_owned(),
            endpoint: destination.endpoint.clone(),
            spns: destination.spns.clone(),
            approach: approach.clone(),
            proof,
            class,
        }
    }

    /// The person.
    pub(crate) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The name of the route, a metric label.
    pub(crate) fn route(&self) -> &str {
        &self.route.name
    }

    /// The name of the rule that allowed it.
    pub(crate) fn rule(&self) -> &str {
        &self.rule
    }

    /// Where to.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Who must answer there, where Kerberos is used: names to be tried in this order.
    pub(crate) fn spns(&self) -> &[Spn] {
        &self.spns
    }

    /// How the gateway authenticates there.
    pub(crate) fn auth(&self) -> BackendAuth {
        self.approach.auth
    }

    /// As whom.
    pub(crate) fn credential(&self) -> &CredentialChoice {
        &self.approach.choice
    }

    /// By what it is settled who the host is.
    pub(crate) fn host_proof(&self) -> &HostProof {
        &self.proof
    }

    /// Which resolved addresses may be dialled.
    pub(crate) fn networks(&self) -> &Networks {
        &self.route.networks
    }

    /// How an `https` endpoint proves its name.
    pub(crate) fn tls(&self) -> &BackendTls {
        &self.route.backend.tls
    }

    /// What the operation does to the host, a metric label.
    pub(crate) fn class(&self) -> ActionClass {
        self.class
    }

    /// Whether the intent must be on disk first.
    pub(crate) fn before_run(&self) -> BeforeRun {
        self.route.before_run
    }
}
