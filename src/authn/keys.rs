//! The gateway's own keys: what clients' tickets are accepted with.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Mutex;

use super::entrance::CLASSES;
use crate::gssapi::{self, Acceptor, ChannelBindings, Credential, Door, GssError, Keep};

/// Where the keys are, and what they are used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeySettings {
    /// The keytab with the gateway's service principals.
    pub(crate) keytab: PathBuf,
    /// The file that remembers accepted tokens. There is no way to have none.
    pub(crate) replay_cache: PathBuf,
    /// The account in the keytab for which clients' tickets are evidence, where a route delegates by them.
    pub(crate) delegates_as: Option<String>,
    /// Whether a route goes on with forwarded ticket-granting tickets.
    pub(crate) takes_forwarded: bool,
}

/// The keys, ready to accept with.
#[derive(Debug)]
pub(super) struct Keys {
    settings: KeySettings,
    door: Arc<Door>,
    held: Mutex<Option<Held>>,
}

#[derive(Debug, Clone)]
struct Held {
    credential: Credential,
    /// Whether it can also initiate, and thus turn a client's ticket into evidence.
    delegates: bool,
    until: Instant,
}

impl Keys {
    pub(super) fn new(settings: KeySettings, door: Arc<Door>) -> Self {
        Self { settings, door, held: Mutex::default() }
    }

    /// A handshake that waits for a client's first token.
    pub(super) async fn acceptor(&self, bindings: Option<&ChannelBindings>) -> Result<Acceptor, GssError> {
        let Held { credential, delegates, .. } = self.held().await?;
        let keep = Keep { evidence: delegates, forwarded: self.settings.takes_forwarded };
        Ok(Acceptor::new(&credential, bindings).keeping(keep))
    }

    /// Proves that whoever issued `ticket` knows the gateway's own keys, and so is the realm's KDC: anybody could have answered to a password.
    pub(super) async fn vouch_for(&self, ticket: &Credential) -> Result<(), GssError> {
        let service = self.own_service(ticket.realm())?;
        let (_, token) = self.door.initiate(ticket, &service, gssapi::Mechanism::Krb5, None).await?;
        let Held { credential, .. } = self.held().await?;
        match self.door.accept(Acceptor::new(&credential, None), token).await? {
            gssapi::Accepted::Established(context, _) if context.initiator_name() == ticket.name() => Ok(()),
            gssapi::Accepted::Established(context, _) => Err(GssError::OtherIdentity {
                wanted: ticket.name().to_owned(),
                found: context.initiator_name().to_owned(),
            }),
            gssapi::Accepted::Continue(..) => Err(GssError::Nameless),
        }
    }

    /// A service of our own, of `realm` where we have one there.
    fn own_service(&self, realm: &str) -> Result<String, GssError> {
        let held = gssapi::keytab_principals(&self.settings.keytab)?;
        let services = || held.iter().filter(|name| is_service(name));
        let near = services().find(|name| name.rsplit_once('@').is_some_and(|(_, of)| of == realm));
        near.or_else(|| services().next()).cloned().ok_or_else(|| GssError::NotInKeytab {
            path: self.settings.keytab.clone(),
            principal: format!("HTTP/host@{realm}"),
        })
    }

    async fn held(&self) -> Result<Held, GssError> {
        let mut held = self.held.lock().await;
        if let Some(held) = held.as_ref().filter(|held| Instant::now() < held.until) {
            return Ok(held.clone());
        }
        let fresh = self.acquire().await?;
        *held = Some(fresh.clone());
        Ok(fresh)
    }

    async fn acquire(&self) -> Result<Held, GssError> {
        let KeySettings { keytab, replay_cache, delegates_as, .. } = &self.settings;
        let now = Instant::now();
        if let Some(account) = delegates_as {
            match self.door.from_keytab(account, keytab, Some(replay_cache)).await {
                Ok(credential) => {
                    // Its own ticket has to last as long as what is made with it: half of its life is enough.
                    let until = now + credential.expires().saturating_duration_since(now) / 2;
                    return Ok(Held { credential, delegates: true, until });
                }
                // Who the client is does not depend on it; a route that delegates by tickets says so when it needs one.
                Err(error) => tracing::warn!(%error, "Clients' tickets can't be used for delegation now"),
            }
        }
        let credential = self.door.acceptor(keytab, Some(replay_cache)).await?;
        let until = now + if delegates_as.is_some() { RETRY } else { RENEW };
        Ok(Held { credential, delegates: false, until })
    }
}

/// Whether a principal is one that clients ask a ticket for.
pub(crate) fn is_service(principal: &str) -> bool {
    principal
        .split_once('/')
        .is_some_and(|(class, _)| CLASSES.iter().any(|known| known.eq_ignore_ascii_case(class)))
}

/// After how long delegation is tried again where it failed.
const RETRY: Duration = Duration::from_secs(10);
/// After how long keys are looked up anew; libkrb5 reads the keytab for each ticket anyhow.
const RENEW: Duration = Duration::from_secs(3600);
