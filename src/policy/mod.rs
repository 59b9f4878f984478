//! Which route a request belongs to, and whether this person may do this there.
//!
//! In come facts that others proved: listener, server name and path from the strict HTTP gate, the person from `authn`, the operation from
//! `wsman`. Out come a [`Destination`] and an [`OperationPermit`], or a [`Denied`] that says why not.
//!
//! INVARIANT: nothing but [`Policy::permit`] makes an [`OperationPermit`]; the default is no; scheme, port, path, service class and
//! certificate authority of a backend are the configuration's and never the client's. No input or output happens here.
//!
//! Specification: the seed document "Authentication for Remote Connections" (default group access), [MS-WSMV] sections 3.1.4.1.28
//! (authorisation) and 2.2.4.6 (`TrustedHosts`), RFC 1123 (host names).

mod approach;
mod asked;
mod denied;
mod endpoint;
mod host;
mod index;
mod networks;
mod ownership;
mod permit;
mod route;
mod rules;
mod spn;
#[cfg(test)]
mod tests;
mod trusted_hosts;

/// What an operation does to the host, as `wsman` found it.
pub(crate) use crate::wsman::ActionClass;
pub(crate) use approach::{AccountName, Approach, BackendAuth, CredentialChoice, HostProof};
pub(crate) use asked::Asked;
pub(crate) use denied::Denied;
pub(crate) use endpoint::{Endpoint, EndpointHost, HostTemplate, Scheme, UrlError, UrlTemplate};
pub(crate) use host::{HostError, HostName, HostPattern, Hosts};
pub(crate) use networks::Networks;
pub(crate) use ownership::{Ownership, OwnershipLimits, Resource};
pub(crate) use permit::OperationPermit;
pub(crate) use route::{
    BackendRule, BackendTls, BeforeRun, Match, PathTemplate, Route, ServerNameTemplate, TemplateError,
};
pub(crate) use rules::{Rule, When, Who};
pub(crate) use spn::{Spn, SpnClass, SpnError, SpnTemplate};
pub(crate) use trusted_hosts::{TrustedHosts, TrustedHostsError};

use crate::authn::{Accept, AuthMethod, Authenticated, GroupName, Principal};
use index::RouteIndex;
use ownership::Wanted;
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

/// What the configuration says about routes and people.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// The routes, in the order of the configuration.
    pub(crate) routes: Vec<Route>,
    /// Only people in one of these groups may use the gateway at all, where any is named (seed document, "Default Group Access").
    pub(crate) remote_access_groups: BTreeSet<GroupName>,
    /// People who are refused everywhere.
    pub(crate) deny: Who,
    /// People who are impersonated although their account's name is one that otherwise never is.
    pub(crate) s4u_allow: HashSet<Principal>,
    /// Destinations that need not prove who they are.
    pub(crate) trusted_hosts: TrustedHosts,
    /// How many shells and enumerations are remembered.
    pub(crate) ownership: OwnershipLimits,
}

/// Why settings are no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PolicyError {
    /// One request could match two routes.
    #[error(
        "routes {first} and {second} could match the same request; give them different paths, server names or listeners"
    )]
    Overlap {
        /// The one that stands first.
        first: String,
        /// The other.
        second: String,
    },
}

/// Decides; see the module's page.
#[derive(Debug)]
pub(crate) struct Policy {
    index: RouteIndex,
    offered: HashMap<String, Accept>,
    offered_elsewhere: Accept,
    remote_access_groups: BTreeSet<GroupName>,
    deny: Who,
    s4u_allow: HashSet<Principal>,
    trusted_hosts: TrustedHosts,
    ownership: Arc<Ownership>,
}

/// Where a request came in and what it asked for, as the HTTP gate read it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestTarget<'a> {
    /// The listener's name.
    pub(crate) listener: &'a str,
    /// The name in SNI and Host, which agree.
    pub(crate) server_name: Option<&'a str>,
    /// The path without the query.
    pub(crate) path: &'a str,
}

/// A route, and the host on it.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    route: Arc<Route>,
    host: Option<HostName>,
    endpoint: Endpoint,
    spns: Vec<Spn>,
}

impl Destination {
    /// The name of the route, a metric label.
    pub(crate) fn route(&self) -> &str {
        &self.route.name
    }

    /// The methods that count here.
    pub(crate) fn accept(&self) -> &Accept {
        &self.route.accept
    }

    /// The host that the client named, on a route that has a place for one.
    pub(crate) fn host(&self) -> Option<&HostName> {
        self.host.as_ref()
    }

    /// Where permitted requests go.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Who must answer there, where Kerberos is used; the first of the names that are tried.
    pub(crate) fn spn(&self) -> Option<&Spn> {
        self.spns.first()
    }

    /// How and as whom somebody who comes in by `method` goes there.
    fn approach(&self, method: AuthMethod) -> Option<&Approach> {
        self.route.backend.approaches.get(&method)
    }
}

impl Policy {
    /// The policy of `settings`, with an empty owner table.
    ///
    /// # Errors
    /// When one request could match two routes.
    pub(crate) fn new(settings: Settings) -> Result<Self, PolicyError> {
        let ownership = Arc::new(Ownership::new(settings.ownership));
        Self::with_ownership(settings, ownership)
    }

    /// The policy of changed settings that remembers who created what.
    ///
    /// # Errors
    /// As [`Policy::new`].
    pub(crate) fn reloaded(&self, settings: Settings) -> Result<Self, PolicyError> {
        Self::with_ownership(settings, Arc::clone(&self.ownership))
    }

    /// The route of a request and the host on it.
    ///
    /// # Errors
    /// When no route matches, or the host is malformed or not one of the route's.
    pub(crate) fn select(&self, target: &RequestTarget<'_>) -> Result<Destination, Denied> {
        let name = target.server_name.and_then(|name| HostName::parse(name).ok());
        let name = name.as_ref().map(HostName::as_str);
        let found = self.index.find(target.listener, name, target.path).ok_or(Denied::NoRoute)?;
        let host = route::host_of(found.host).map_err(Denied::MalformedHost)?;
        if let Some(host) = &host
            && !found.route.hosts.contains(host)
        {
            return Err(Denied::HostNotAllowed { route: found.route.name.clone(), host: host.to_string() });
        }
        let endpoint = found.route.backend.url.fill(host.as_ref()).map_err(Denied::MalformedHost)?;
        let spns = found.route.backend.spns.iter().map(|spn| spn.fill(host.as_ref()));
        let spns = spns.collect::<Result<_, _>>().map_err(Denied::MalformedHost)?;
        Ok(Destination { route: Arc::clone(found.route), host, endpoint, spns })
    }

    /// What an unknown path on `listener` is answered with: all that the listener's routes accept (so that nobody learns which exist).
    pub(crate) fn offered(&self, listener: &str) -> &Accept {
        self.offered.get(listener).unwrap_or(&self.offered_elsewhere)
    }

    /// Whether a decision at `destination` looks at the person's groups.
    pub(crate) fn needs_groups(&self, destination: &Destination) -> bool {
        !self.remote_access_groups.is_empty()
            || !self.deny.groups.is_empty()
            || destination.route.rules.iter().any(|rule| !rule.who.groups.is_empty())
    }

    /// What can be said of a person before a KDC is asked anything about them.
    ///
    /// # Errors
    /// When the method does not count on the route, or the person is refused by name.
    pub(crate) fn admit(
        &self,
        principal: &Principal,
        method: AuthMethod,
        destination: &Destination,
    ) -> Result<(), Denied> {
        self.choice(principal, method, destination).map(|_| ())
    }

    /// The permit for what `asked` describes.
    ///
    /// # Errors
    /// Whatever says no first: the deny list, the group gate, the rules, the owner table, the limits.
    pub(crate) fn permit(
        &self,
        person: &Authenticated,
        destination: &Destination,
        asked: &Asked<'_>,
        now: Instant,
    ) -> Result<OperationPermit, Denied> {
        let approach = self.choice(person.principal(), person.method(), destination)?;
        self.check_groups(person)?;
        let rule = Self::deciding_rule(person, destination, asked)?;
        let endpoint = destination.endpoint();
        let proof = HostProof::of(approach.auth, endpoint, &self.trusted_hosts).ok_or_else(|| {
            Denied::NotTrusted { host: endpoint.host.to_string(), auth: approach.auth.as_str() }
        })?;
        let wanted = Wanted {
            principal: person.principal(),
            route: &destination.route.name,
            endpoint: &destination.endpoint,
            shared: approach.choice.is_shared(),
            fresh: asked.creates_shell,
        };
        if let Some(shell) = asked.shell {
            self.ownership.check(&wanted, Resource::Shell, shell, now)?;
        }
        if let Some(context) = asked.enumeration {
            self.ownership.check(&wanted, Resource::Enumeration, context, now)?;
        }
        if asked.creates_shell {
            self.ownership.check_quota(person.principal(), now)?;
        }
        Ok(OperationPermit::new(person, destination, (approach, proof), &rule.name, asked.class))
    }

    /// The owner table: the spine tells it what hosts created and ended.
    pub(crate) fn ownership(&self) -> &Ownership {
        &self.ownership
    }

    fn with_ownership(settings: Settings, ownership: Arc<Ownership>) -> Result<Self, PolicyError> {
        let routes: Vec<Arc<Route>> = settings.routes.into_iter().map(Arc::new).collect();
        refuse_overlaps(&routes)?;
        let named = routes.iter().filter_map(|route| route.matches.listener.clone());
        let offered =
            named.map(|listener| (listener.clone(), offered_on(&routes, Some(&listener)))).collect();
        Ok(Self {
            index: RouteIndex::new(&routes),
            offered,
            offered_elsewhere: offered_on(&routes, None),
            remote_access_groups: settings.remote_access_groups,
            deny: settings.deny,
            s4u_allow: settings.s4u_allow,
            trusted_hosts: settings.trusted_hosts,
            ownership,
        })
    }

    fn choice<'d>(
        &self,
        principal: &Principal,
        method: AuthMethod,
        destination: &'d Destination,
    ) -> Result<&'d Approach, Denied> {
        let approach = destination.approach(method).filter(|_| destination.accept().contains(method));
        let approach =
            approach.ok_or_else(|| Denied::NotAccepted { route: destination.route.name.clone(), method })?;
        if self.deny.names(principal) {
            return Err(Denied::RefusedByName { principal: principal.clone() });
        }
        let impersonated = approach.choice.impersonates() && is_never_impersonated(principal);
        if impersonated && !self.s4u_allow.contains(principal) {
            return Err(Denied::NotImpersonated { principal: principal.clone() });
        }
        Ok(approach)
    }

    fn check_groups(&self, person: &Authenticated) -> Result<(), Denied> {
        let principal = || person.principal().clone();
        if let Some(group) = self.deny.group_of(person) {
            return Err(Denied::RefusedByGroup { principal: principal(), group: group.clone() });
        }
        if !self.remote_access_groups.is_empty() && self.remote_access_groups.is_disjoint(person.groups()) {
            return Err(Denied::NotInRemoteAccessGroups { principal: principal() });
        }
        Ok(())
    }

    fn deciding_rule<'d>(
        person: &Authenticated,
        destination: &'d Destination,
        asked: &Asked<'_>,
    ) -> Result<&'d Rule, Denied> {
        let route = || destination.route.name.clone();
        let principal = || person.principal().clone();
        let mut rules = destination.route.rules.iter();
        let rule = rules
            .find(|rule| rule.decides(person, destination.host(), asked))
            .ok_or_else(|| Denied::NoRule { principal: principal(), route: route() })?;
        if rule.allow.contains(&asked.class) {
            return Ok(rule);
        }
        let (rule, class) = (rule.name.clone(), asked.class);
        Err(Denied::ActionNotAllowed { principal: principal(), route: route(), rule, class })
    }
}

/// Accounts that are never impersonated unless the configuration names them: whoever can make the gateway be one of these owns the domain.
fn is_never_impersonated(principal: &Principal) -> bool {
    let builtin =
        ["administrator", "krbtgt", "guest"].iter().any(|name| principal.name().eq_ignore_ascii_case(name));
    builtin || principal.is_machine()
}

fn refuse_overlaps(routes: &[Arc<Route>]) -> Result<(), PolicyError> {
    for (number, second) in routes.iter().enumerate() {
        let mut earlier = routes.iter().take(number);
        if let Some(first) = earlier.find(|first| first.matches.overlaps(&second.matches)) {
            return Err(PolicyError::Overlap { first: first.name.clone(), second: second.name.clone() });
        }
    }
    Ok(())
}

/// All that routes reachable on `listener` accept; `None` stands for a listener that no route names.
fn offered_on(routes: &[Arc<Route>], listener: Option<&String>) -> Accept {
    let reachable = |route: &&Arc<Route>| match &route.matches.listener {
        Some(name) => listener == Some(name),
        None => true,
    };
    routes.iter().filter(reachable).fold(Accept::default(), |all, route| all.union(&route.accept))
}
