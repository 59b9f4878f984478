//! Who may do what on a route.

use super::{
    asked::Asked,
    host::{HostName, Hosts},
};
use crate::{
    authn::{Accept, Authenticated, GroupName, Principal, UriPattern},
    wsman::ActionClass,
};
use std::collections::{BTreeSet, HashSet};

/// The people that a rule is about; naming nobody, it matches nobody.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Who {
    /// These people.
    pub(crate) principals: HashSet<Principal>,
    /// Everybody of these realms (`*@REALM`), in upper case.
    pub(crate) realms: BTreeSet<String>,
    /// Everybody in one of these groups.
    pub(crate) groups: BTreeSet<GroupName>,
}

impl Who {
    /// Whether the person is meant, by name, by realm or by group: either suffices.
    pub(crate) fn matches(&self, person: &Authenticated) -> bool {
        self.names(person.principal()) || self.group_of(person).is_some()
    }

    /// Whether the principal is meant without looking at groups.
    pub(crate) fn names(&self, principal: &Principal) -> bool {
        self.principals.contains(principal) || self.realms.contains(principal.realm())
    }

    /// A group that both have.
    pub(crate) fn group_of<'a>(&'a self, person: &Authenticated) -> Option<&'a GroupName> {
        self.groups.iter().find(|group| person.groups().contains(*group))
    }
}

/// Under which conditions a rule applies at all; what is not given is no condition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct When {
    /// The client's host is one of these.
    pub(crate) hosts: Option<Hosts>,
    /// The person came in by one of these methods.
    pub(crate) methods: Option<Accept>,
    /// The request addresses one of these resources.
    pub(crate) resource_uris: Option<Vec<UriPattern>>,
}

impl When {
    fn holds(&self, person: &Authenticated, host: Option<&HostName>, asked: &Asked<'_>) -> bool {
        let hosts = self.hosts.as_ref().is_none_or(|hosts| host.is_some_and(|host| hosts.contains(host)));
        let methods = self.methods.as_ref().is_none_or(|methods| methods.contains(person.method()));
        let uris = self.resource_uris.as_ref();
        hosts && methods && uris.is_none_or(|uris| uris.iter().any(|uri| uri.matches(asked.resource_uri)))
    }
}

/// One rule of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Its name in records and metric labels.
    pub(crate) name: String,
    /// Whom it is about.
    pub(crate) who: Who,
    /// When it applies.
    pub(crate) when: When,
    /// What it allows; nothing else is.
    pub(crate) allow: BTreeSet<ActionClass>,
}

impl Rule {
    /// Whether this rule decides about the request.
    pub(crate) fn decides(&self, person: &Authenticated, host: Option<&HostName>, asked: &Asked<'_>) -> bool {
        self.who.matches(person) && self.when.holds(person, host, asked)
    }
}
