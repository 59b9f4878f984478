//! Who created which shell and which enumeration.

use super::{denied::Denied, endpoint::Endpoint, permit::OperationPermit};
use crate::authn::Principal;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// What a host keeps for a client between requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Resource {
    /// A shell, by its `ShellId` ([MS-WSMV] section 2.2.4.37).
    Shell,
    /// An enumeration, by its context (DSP0226 section 8.2).
    Enumeration,
}

/// How much is remembered, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OwnershipLimits {
    /// Shells, and separately enumerations, of one person.
    pub(crate) per_person: usize,
    /// Shells and enumerations of all people.
    pub(crate) total: usize,
    /// An entry that nobody uses for so long is forgotten; WinRM's hosts drop an idle shell after 7,200,000 ms.
    pub(crate) idle: Duration,
}

/// The owner table.
///
/// INVARIANT: at most `total` entries. An id is known only from a host's answer to its owner's permitted request.
#[derive(Debug)]
pub(crate) struct Ownership {
    limits: OwnershipLimits,
    table: Mutex<Table>,
}

impl Ownership {
    /// An empty table.
    pub(crate) fn new(limits: OwnershipLimits) -> Self {
        Self { limits, table: Mutex::new(Table::default()) }
    }

    /// Notes that the host's answer to the permitted request created `id`.
    ///
    /// Beyond the person's limit the person's longest unused entry of the kind is forgotten; a full table forgets what is idle, or does not
    /// take the entry: the id then counts as unknown.
    pub(crate) fn created(&self, permit: &OperationPermit, resource: Resource, id: &str, now: Instant) {
        let owner = Owner::of(permit, now);
        let mut table = self.table();
        if table.count(resource, &owner.principal) >= self.limits.per_person {
            table.forget_longest_unused(resource, &owner.principal);
        }
        if table.total >= self.limits.total {
            table.expire(self.limits.idle, now);
        }
        if table.total < self.limits.total {
            table.insert((resource, canonical(id)), owner);
        }
    }

    /// Notes that the host's answer to the permitted request ended `id`.
    pub(crate) fn ended(&self, permit: &OperationPermit, resource: Resource, id: &str) {
        let owner = (permit.principal(), permit.route(), permit.endpoint());
        self.table().remove_if(&(resource, canonical(id)), |entry| entry.is(owner));
    }

    /// Forgets the entries that nobody used for the idle time; returns how many remain.
    pub(crate) fn expire(&self, now: Instant) -> usize {
        let mut table = self.table();
        table.expire(self.limits.idle, now);
        table.total
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.table().total
    }

    /// Whether the person may use `id`; using it starts its idle time anew.
    pub(super) fn check(
        &self,
        wanted: &Wanted<'_>,
        resource: Resource,
        id: &str,
        now: Instant,
    ) -> Result<(), Denied> {
        let key = (resource, canonical(id));
        let mut table = self.table();
        table.remove_if(&key, |entry| entry.is_idle(self.limits.idle, now));
        let Some(entries) = table.entries.get_mut(&key) else {
            let known = wanted.fresh || !wanted.shared;
            let refused = || Denied::UnknownShellForSharedAccount { principal: wanted.principal.clone() };
            return if known { Ok(()) } else { Err(refused()) };
        };
        match entries.iter_mut().find(|entry| entry.is((wanted.principal, wanted.route, wanted.endpoint))) {
            Some(entry) => {
                entry.last_used = now;
                Ok(())
            }
            None => Err(Denied::NotOwner { principal: wanted.principal.clone() }),
        }
    }

    /// Whether the person may have one shell more.
    pub(super) fn check_quota(&self, principal: &Principal, now: Instant) -> Result<(), Denied> {
        let mut table = self.table();
        let full = |table: &Table| {
            table.count(Resource::Shell, principal) >= self.limits.per_person
                || table.total >= self.limits.total
        };
        if full(&table) {
            table.expire(self.limits.idle, now);
        }
        if full(&table) { Err(Denied::TooManyShells { principal: principal.clone() }) } else { Ok(()) }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who asks for an existing shell or enumeration, and where.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    /// The person.
    pub(super) principal: &'a Principal,
    /// The name of the route.
    pub(super) route: &'a str,
    /// The host.
    pub(super) endpoint: &'a Endpoint,
    /// Whether the host sees one account whoever asks.
    pub(super) shared: bool,
    /// Whether the id is the client's wish for a new shell.
    pub(super) fresh: bool,
}

type Key = (Resource, String);

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<Key, Vec<Owner>>,
    counts: HashMap<(Resource, Principal), usize>,
    total: usize,
}

#[derive(Debug)]
struct Owner {
    principal: Principal,
    route: String,
    endpoint: Endpoint,
    last_used: Instant,
}

impl Owner {
    fn of(permit: &OperationPermit, now: Instant) -> Self {
        Self {
            principal: permit.principal().clone(),
            route: permit.route().to_owned(),
            endpoint: permit.endpoint().clone(),
            last_used: now,
        }
    }

    fn is(&self, (principal, route, endpoint): (&Principal, &str, &Endpoint)) -> bool {
        self.principal == *principal && self.route == route && self.endpoint == *endpoint
    }

    fn is_idle(&self, idle: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.last_used) > idle
    }
}

impl Table {
    fn count(&self, resource: Resource, principal: &Principal) -> usize {
        self.counts.get(&(resource, principal.clone())).copied().unwrap_or_default()
    }

    fn insert(&mut self, key: Key, owner: Owner) {
        let principal = owner.principal.clone();
        let resource = key.0;
        let entries = self.entries.entry(key).or_default();
        match entries.iter_mut().find(|entry| entry.is((&owner.principal, &owner.route, &owner.endpoint))) {
            Some(entry) => entry.last_used = owner.last_used,
            None => {
                entries.push(owner);
                self.total += 1;
                *self.counts.entry((resource, principal)).or_default() += 1;
            }
        }
    }

    fn remove_if(&mut self, key: &Key, gone: impl Fn(&Owner) -> bool) {
        let Some(owners) = self.entries.get_mut(key) else { return };
        let removed: Vec<Owner> = owners.extract_if(.., |owner| gone(owner)).collect();
        if owners.is_empty() {
            self.entries.remove(key);
        }
        for owner in removed {
            self.total = self.total.saturating_sub(1);
            let count = (key.0, owner.principal);
            if let Some(number) = self.counts.get_mut(&count) {
                *number -= 1;
                if *number == 0 {
                    self.counts.remove(&count);
                }
            }
        }
    }

    fn expire(&mut self, idle: Duration, now: Instant) {
        let stale = |owners: &Vec<Owner>| owners.iter().any(|owner| owner.is_idle(idle, now));
        let keys: Vec<Key> =
            self.entries.iter().filter(|(_, owners)| stale(owners)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.remove_if(&key, |owner| owner.is_idle(idle, now));
        }
    }

    fn forget_longest_unused(&mut self, resource: Resource, principal: &Principal) {
        let mine = self.entries.iter().filter(|(key, _)| key.0 == resource);
        let mine = mine.flat_map(|(key, owners)| owners.iter().map(move |owner| (key, owner)));
        let oldest =
            mine.filter(|(_, owner)| owner.principal == *principal).min_by_key(|(_, owner)| owner.last_used);
        if let Some((key, used)) = oldest.map(|(key, owner)| (key.clone(), owner.last_used)) {
            self.remove_if(&key, |owner| owner.principal == *principal && owner.last_used == used);
        }
    }
}

/// Hosts write a GUID in upper case and clients not always: one spelling, so that no other one passes for unknown.
fn canonical(id: &str) -> String {
    id.to_ascii_uppercase()
}
