//! From one state of the configuration to the stages that serve under it.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use zeroize::Zeroizing;

use super::{
    Spine,
    refusal::{Refusal, Stage},
    serve::Serving,
};
use crate::{
    audit::{self, Audit},
    authn::{
        Authenticator, AuthenticatorSettings, AuthnError, Entrance, Entrances, KeySettings, LocalAccounts,
        PeerRule, People, PeopleSettings, is_service,
    },
    backend::{self, Backends},
    config::{self, Account, Config, ConfigErrors, NtlmAccounts, Peers},
    credential::{self, CredentialError, Credentials, Keys, PasswordSource},
    gssapi::{self, Door},
    listener::{self, FailureReason, Reason, Tls},
    ntlm,
    policy::{CredentialChoice, Denied, Policy, PolicyError},
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
pub(super) fn spine(
    config: &Config,
    shared: &Shared,
    former: Option<&Spine>,
    local: Option<LocalAccounts>,
) -> Result<Spine, PolicyError> {
    let settings = config.policy.clone();
    let policy = match former {
        Some(former) => former.policy.reloaded(settings)?,
        None => Policy::new(settings)?,
    };
    let limits = wsman::Limits::with_envelope_bytes(config.envelopes.max_bytes);
    let credentials = Credentials::new(credential_settings(config), Arc::clone(&shared.door));
    let backends =
        Backends::new(backend_settings(config, limits), resolver(config), Arc::clone(&shared.door));
    Ok(Spine {
        policy,
        authenticator: Authenticator::new(
            authenticator(config, local),
            &shared.door,
            former.map(|former| &former.authenticator),
        ),
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
    let accounts = config.accounts.iter().map(|(name, account)| {
        let account = match account {
            Account::Keytab { principal, keytab } => {
                credential::Account::Keytab(Keys { principal: principal.clone(), keytab: keytab.clone() })
            }
            Account::Password { username, principal, password } => {
                let password = password.clone();
                credential::Account::Password {
                    principal: principal.clone(),
                    name: username.clone(),
                    password: PasswordSource::new(move || {
                        password.read().map_err(|error| super::refusal::chain(&error))
                    }),
                }
            }
            Account::Certificate(files) => credential::Account::Certificate(files.clone()),
        };
        (name.clone(), account)
    });
    let settings = credential::Settings::new(accounts.collect());
    credential::Settings { realms: config.realms.clone(), ..settings }
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
fn resolver(config: &Config) -> backend::Resolver {
    let names = config.resolve.clone();
    Arc::new(move |name| names.lookup(name))
}

/// By what clients prove who they are.
fn authenticator(config: &Config, local: Option<LocalAccounts>) -> AuthenticatorSettings {
    let service = &config.service;
    let keys = service.keytab.as_ref().map(|keytab| KeySettings {
        keytab: keytab.clone(),
        replay_cache: config.kerberos.replay_cache.join("accepted"),
        delegates_as: delegates_as(config, keytab),
        takes_forwarded: delegates_by_tickets(config, true),
    });
    let entrances = config.listeners.iter().map(|listener| {
        let names = listener.names.iter().map(ToString::to_string).collect();
        let clear_text = !listener.is_open() || service.allow_unencrypted;
        (Arc::clone(&listener.settings.name), Entrance { names, clear_text })
    });
    AuthenticatorSettings {
        peers: peer_rules(config),
        realms: config.realms.clone(),
        entrances: Entrances::new(entrances),
        cbt: service.cbt,
        keys,
        local,
        basic: service.basic.clone(),
    }
}

/// Whether a route goes to hosts with the ticket that a person came in with: one that the client `forwarded`, or else the evidence.
///
/// A forwarded ticket-granting ticket is everything that its owner may do, so it is kept only where a route is written to use one.
fn delegates_by_tickets(config: &Config, forwarded: bool) -> bool {
    let mut choices = config.policy.routes.iter().flat_map(|route| route.backend.approaches.values());
    choices.any(|approach| approach.choice == CredentialChoice::Ticket { forwarded })
}

/// The account whose keys are in the service's keytab too: for it a client's ticket is evidence.
fn delegates_as(config: &Config, keytab: &Path) -> Option<String> {
    if !delegates_by_tickets(config, false) {
        return None;
    }
    let held = gssapi::keytab_principals(keytab).unwrap_or_default();
    config.accounts.values().find_map(|account| match account {
        Account::Keytab { principal, .. } => held.contains(principal).then(|| principal.clone()),
        Account::Password { .. } | Account::Certificate(_) => None,
    })
}

/// The accounts that come in by NTLM, read from their file.
///
/// # Errors
/// Where the file can't be read, or a line of it is not an account.
pub(super) fn local_accounts(config: &Config) -> Result<Option<LocalAccounts>, ConfigErrors> {
    let Some(NtlmAccounts { file, realm, principals }) = &config.service.ntlm_accounts else {
        return Ok(None);
    };
    let wrong = |what: String| ConfigErrors::of(vec![config.wrong_file(file, what)]);
    let text = match std::fs::read_to_string(file) {
        Ok(text) => Zeroizing::new(text),
        Err(error) => return wrong(error.to_string()).map(|()| None),
    };
    let accounts = match ntlm::accounts_from(&text) {
        Ok(accounts) => accounts,
        Err(error) => return wrong(error.to_string()).map(|()| None),
    };
    let dns = config.listeners.iter().find_map(|listener| listener.names.first()).map(ToString::to_string);
    let server = ntlm::ServerNames {
        computer: realm.clone(),
        domain: realm.clone(),
        dns: dns.unwrap_or_else(|| realm.to_ascii_lowercase()),
    };
    let verifier = ntlm::Verifier { server, accounts, skew: SKEW };
    Ok(Some(LocalAccounts::new(verifier, config.realms.clone(), realm.clone(), principals.clone())))
}

fn peer_rules(config: &Config) -> Vec<PeerRule> {
    let mut rules = Vec::new();
    for listener in &config.listeners {
        let rule =
            |uid, principal| PeerRule { listener: Arc::clone(&listener.settings.name), uid, principal };
        match &listener.peers {
            Peers::Unknown => {}
            Peers::ByUid(known) => {
                rules.extend(known.iter().map(|(uid, person)| rule(Some(*uid), person.clone())));
            }
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
        Account::Password { .. } | Account::Certificate(_) => None,
    });
    ConfigErrors::of(wrong.chain(service_keytab(config)).collect())
}

/// What is wrong with the keys of the gateway's own service.
fn service_keytab(config: &Config) -> Option<config::ConfigError> {
    let keytab = config.service.keytab.as_ref()?;
    match gssapi::keytab_principals(keytab) {
        Ok(held) if held.iter().any(|principal| is_service(principal)) => None,
        Ok(_) => Some(config.wrong_file(
            keytab,
            "it holds no key of HTTP, WSMAN or HOST; add HTTP/ and the listener's name".to_owned(),
        )),
        Err(error) => Some(config.wrong_file(keytab, super::refusal::chain(&error))),
    }
}

/// The words that metrics may be labelled with: the configuration's, and the stages' own.
pub(super) fn vocabulary(config: &Config) -> Vocabulary {
    let gate = Reason::ALL.into_iter().map(Reason::as_str);
    let handshakes = FailureReason::ALL.into_iter().map(FailureReason::as_str);
    let reasons = gate
        .chain(handshakes)
        .chain(Denied::REASONS)
        .chain(AuthnError::reasons())
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
    let (door, records, health) =
        (Arc::clone(&shared.door), Arc::clone(&shared.audit), Arc::clone(&shared.audit));
    let (one, two, three) = (Arc::clone(serving), Arc::clone(serving), Arc::clone(serving));
    Sources {
        listeners,
        door: Box::new(move || door.stats()),
        credentials: Box::new(move || one.current().credentials.stats()),
        backends: Box::new(move || two.current().backends.stats()),
        audit: Box::new(move || records.stats()),
        audit_healthy: Box::new(move || health.healthy()),
        generation: Box::new(move || three.current().generation.clone()),
        certificates: Box::new(move || {
            certificates.iter().map(|(name, tls)| (name.clone(), tls.current().expires())).collect()
        }),
    }
}

/// Asks whether tickets can be had.
pub(super) fn readiness(serving: &Arc<Serving>) -> Ask {
    let serving = Arc::clone(serving);
    Box::new(move || {
        let credentials = Arc::clone(&serving.current().credentials);
        Box::pin(async move { credentials.ready().await.map_err(|error| super::refusal::chain(&error)) })
    })
}

/// Tells apart connections that were made under different states of the configuration.
static GENERATION: AtomicU64 = AtomicU64::new(1);
/// How far a client's clock may be from ours, and how long it may think about a challenge: as much as Kerberos allows.
const SKEW: Duration = Duration::from_secs(300);
