//! From one state of the configuration to the stages that serve under it.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    Spine,
    refusal::{Refusal, Stage},
    serve::Serving,
};
use crate::{
    audit::{self, Audit},
    authn::{Authenticator, AuthnError, PeerRule, People, PeopleSettings, SidGroups},
    backend::{self, Backends},
    config::{self, Account, Config, ConfigErrors, Peers},
    credential::{self, CredentialError, Credentials, Keys},
    gssapi::{self, Door},
    listener::{self, FailureReason, Reason, Tls},
    policy::{Denied, HostName, Policy, PolicyError},
    telemetry::{Ask, Metrics, Sources, Vocabulary},
    wsman::{self, EnvelopeError},
};

/// What outlives every state of the configuration.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) door: Arc<Door>,
    pub(super) audit: Arc<Audit>,
    pub(super) metrics: Arc<Metrics>,
}

/// The stages under `config`. What `former` remembers of shells and their owners is kept; its connections and tickets are not.
///
/// # Errors
/// When one request could match two routes.
pub(super) fn spine(config: &Config, shared: &Shared, former: Option<&Spine>) -> Result<Spine, PolicyError> {
    let settings = config.policy.clone();
    let policy = match former {
        Some(former) => former.policy.reloaded(settings)?,
        None => Policy::new(settings)?,
    };
    let limits = wsman::Limits::with_envelope_bytes(config.envelopes.max_bytes);
    let credentials = Credentials::new(credential_settings(config), Arc::clone(&shared.door));
    let backends = Backends::new(backend_settings(config, limits), resolver(config), Arc::clone(&shared.door));
    Ok(Spine {
        policy,
        authenticator: Authenticator::new(peer_rules(config)),
        people: People::new(people(config)),
        audit: Arc::clone(&shared.audit),
        credentials: Arc::new(credentials),
        backends: Arc::new(backends),
        limits,
        max_timeout: config.envelopes.max_timeout,
        generation: config.generation.clone(),
    })
}

fn credential_settings(config: &Config) -> credential::Settings {
    let accounts = config.accounts.iter().filter_map(|(name, account)| match account {
        Account::Keytab { principal, keytab } => {
            Some((name.clone(), Keys { principal: principal.clone(), keytab: keytab.clone() }))
        }
        // No route can use one in this version: the configuration refuses it.
        Account::Password { .. } => None,
    });
    credential::Settings::new(accounts.collect())
}

fn backend_settings(config: &Config, envelope: wsman::Limits) -> backend::Settings {
    let config::BackendLimits { connect, network_delay, connections_per_host, idle } = config.backend;
    let max_timeout = config.envelopes.max_timeout;
    backend::Settings {
        limits: backend::Limits { connect, network_delay, connections_per_host, idle, envelope, max_timeout },
        generation: GENERATION.fetch_add(1, Ordering::Relaxed),
    }
}

/// Names that DNS is not asked for.
fn resolver(config: &Config) -> Arc<dyn Fn(&HostName) -> Option<IpAddr> + Send + Sync> {
    let names = config.resolve.clone();
    Arc::new(move |name| names.lookup(name))
}

fn peer_rules(config: &Config) -> Vec<PeerRule> {
    let mut rules = Vec::new();
    for listener in &config.listeners {
        let rule = |uid, principal| PeerRule { listener: Arc::clone(&listener.settings.name), uid, principal };
        match &listener.peers {
            Peers::Unknown => {}
            Peers::ByUid(known) => rules.extend(known.iter().map(|(uid, person)| rule(Some(*uid), person.clone()))),
            Peers::Everybody(person) => rules.push(rule(None, person.clone())),
        }
    }
    rules
}

fn people(config: &Config) -> PeopleSettings {
    PeopleSettings {
        realms: config.realms.clone(),
        cert_mappings: config.cert_mappings.clone(),
        groups: config.groups.iter().map(|(name, group)| (name.clone(), group.members.clone())).collect(),
        sid_groups: SidGroups::new(
            config.groups.iter().filter_map(|(name, group)| Some((name.clone(), group.sid.clone()?))),
        ),
    }
}

/// How the record is kept.
pub(super) fn audit_settings(config: &config::Audit) -> audit::Settings {
    audit::Settings {
        directory: config.directory.clone(),
        max_pending: config.max_pending,
        sync_deadline: config.sync_deadline,
    }
}

/// Whether each account's keytab holds keys of its principal.
///
/// # Errors
/// One line for each that does not, with the file, line and key of the configuration that names it.
pub(super) fn check_keytabs(config: &Config) -> Result<(), ConfigErrors> {
    let wrong = config.accounts.values().filter_map(|account| match account {
        Account::Keytab { principal, keytab } => {
            let error = gssapi::check_keytab(keytab, Some(principal)).err()?;
            Some(config.wrong_file(keytab, super::refusal::chain(&error)))
        }
        Account::Password { .. } => None,
    });
    ConfigErrors::of(wrong.collect())
}

/// The words that metrics may be labelled with: the configuration's, and the stages' own.
pub(super) fn vocabulary(config: &Config) -> Vocabulary {
    let gate = Reason::ALL.into_iter().map(Reason::as_str);
    let handshakes = FailureReason::ALL.into_iter().map(FailureReason::as_str);
    let reasons = gate
        .chain(handshakes)
        .chain(Denied::REASONS)
        .chain(AuthnError::REASONS.iter().copied())
        .chain(EnvelopeError::REASONS.iter().copied())
        .chain(CredentialError::REASONS)
        .chain(backend::REASONS.iter().copied())
        .chain(Refusal::REASONS);
    Vocabulary {
        routes: config.policy.routes.iter().map(|route| route.name.clone()).collect(),
        stages: Stage::ALL.into_iter().map(Stage::as_str).collect(),
        reasons: reasons.collect(),
    }
}

/// Where metrics come from that are counted elsewhere.
pub(super) fn sources(
    shared: &Shared,
    serving: &Arc<Serving>,
    listeners: Arc<listener::Stats>,
    certificates: Vec<(String, Tls)>,
) -> Sources {
    let (door, records, health) = (Arc::clone(&shared.door), Arc::clone(&shared.audit), Arc::clone(&shared.audit));
    let (one, two, three) = (Arc::clone(serving), Arc::clone(serving), Arc::clone(serving));
    Sources {
        listeners,
        door: Box::new(move || door.stats()),
        credentials: Box::new(move || one.spine.load().credentials.stats()),
        backends: Box::new(move || two.spine.load().backends.stats()),
        audit: Box::new(move || records.stats()),
        audit_healthy: Box::new(move || health.healthy()),
        generation: Box::new(move || three.spine.load().generation.clone()),
        certificates: Box::new(move || {
            certificates.iter().map(|(name, tls)| (name.clone(), tls.current().expires())).collect()
        }),
    }
}

/// Asks whether tickets can be had.
pub(super) fn readiness(serving: &Arc<Serving>) -> Ask {
    let serving = Arc::clone(serving);
    Box::new(move || {
        let credentials = Arc::clone(&serving.spine.load().credentials);
        Box::pin(async move { credentials.ready().await.map_err(|error| super::refusal::chain(&error)) })
    })
}

/// Tells apart connections that were made under different states of the configuration.
static GENERATION: AtomicU64 = AtomicU64::new(1);
