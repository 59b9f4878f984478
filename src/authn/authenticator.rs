//! Looks for evidence in a request and its connection, as each route accepts it.

use std::{fmt::Write as _, sync::Arc};

use super::{
    Accept, AuthMethod, AuthnError, Principal, Realms,
    authorization::{Authorization, BadAuthorization, Scheme},
    basic::{BasicSettings, Login, Passwords, Source},
    challenge::{Challenge, Reply, Step, Unproved},
    connection_proof::{ConnectionProof, Negotiation},
    entrance::Entrances,
    evidence::{Evidence, Proof},
    handshake::{Failed, Half, Handshakes, Incoming, Leg, REFUSED, unknown_client},
    keys::{KeySettings, Keys},
    local::LocalAccounts,
};
use crate::{
    gssapi::Door,
    listener::{ClientAddr, ClientConnection, Request},
};

/// `CbtHardeningLevel` ([MS-WSMV] section 2.2.4.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum CbtHardening {
    /// Tokens are ignored.
    None,
    /// A wrong one is refused, an absent one is not.
    #[default]
    Relaxed,
    /// Wrong and absent ones are refused.
    Strict,
}

/// Which local processes are which person, on one listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeerRule {
    /// The listener.
    pub(crate) listener: Arc<str>,
    /// The uid on a Unix socket; `None` is any process that can reach the loopback listener.
    pub(crate) uid: Option<u32>,
    /// Who it is.
    pub(crate) principal: Principal,
}

/// By what clients can prove who they are.
#[derive(Debug, Default)]
pub(crate) struct AuthenticatorSettings {
    /// Local processes.
    pub(crate) peers: Vec<PeerRule>,
    /// The realms whose people are known.
    pub(crate) realms: Realms,
    /// The listeners.
    pub(crate) entrances: Entrances,
    /// What becomes of channel binding tokens.
    pub(crate) cbt: CbtHardening,
    /// The gateway's own keys; without them there is neither Kerberos nor Basic.
    pub(crate) keys: Option<KeySettings>,
    /// The accounts that come in by NTLM; without any, NTLM is refused.
    pub(crate) local: Option<LocalAccounts>,
    /// How passwords are taken.
    pub(crate) basic: BasicSettings,
}

/// Looks for evidence, as each route accepts it.
#[derive(Debug)]
pub(crate) struct Authenticator {
    peers: Vec<PeerRule>,
    entrances: Entrances,
    handshakes: Handshakes,
    passwords: Option<Passwords>,
    realms: Realms,
}

impl Authenticator {
    /// An authenticator of `settings`. What `former` remembers of failed passwords still counts; what it believed does not.
    pub(crate) fn new(settings: AuthenticatorSettings, door: &Arc<Door>, former: Option<&Self>) -> Self {
        let AuthenticatorSettings { peers, realms, entrances, cbt, keys, local, basic } = settings;
        let keys = keys.map(|keys| Arc::new(Keys::new(keys, Arc::clone(door))));
        let former = former.and_then(|former| former.passwords.as_ref());
        let passwords =
            keys.as_ref().map(|keys| Passwords::new(basic, Arc::clone(door), Arc::clone(keys), former));
        let handshakes = Handshakes {
            door: Arc::clone(door),
            keys,
            local: local.map(Arc::new),
            cbt,
            realms: realms.clone(),
            entrances: entrances.clone(),
        };
        Self { peers, entrances, handshakes, passwords, realms }
    }

    /// Whether a body that `client` did not seal may be read.
    pub(crate) fn takes_clear_text(&self, client: &ClientConnection) -> bool {
        self.entrances.takes_clear_text(client)
    }

    /// Forgets passwords that are not believed any more, and failures that no longer count.
    pub(crate) fn sweep(&self) {
        if let Some(passwords) = &self.passwords {
            passwords.sweep();
        }
    }

    /// What `request` on `client` proves of the methods in `accept`.
    ///
    /// The header decides: a request with `Authorization` is not taken on the strength of its certificate, unless the header is the mutual
    /// profile, which says just that; and whatever the connection proved before, a header starts afresh.
    ///
    /// # Errors
    /// When something was presented that does not hold, or could not be looked at.
    pub(crate) async fn step(
        &self,
        proof: &mut ConnectionProof,
        client: &ClientConnection,
        request: &Request,
        accept: &Accept,
    ) -> Result<Step, AuthnError> {
        let before = std::mem::take(&mut proof.negotiation);
        let challenge = |why| Ok(Step::Challenge(Challenge::new(&self.possible(client, accept), why)));
        let Some(value) = &request.authorization else {
            return self.without_header(before, proof, client, accept);
        };
        match Authorization::parse(value) {
            Ok(Authorization::MutualProfile) => self.by_certificate(proof, client, accept),
            Ok(Authorization::Token(scheme, token)) if takes(accept, scheme) => {
                let half = if let Negotiation::Half(half) = before { Some(half) } else { None };
                let incoming = Incoming { client, accept, scheme, token };
                self.shake(half, incoming, proof, request.body.is_empty()).await
            }
            Ok(Authorization::Basic(pair)) if accept.contains(AuthMethod::Basic) => {
                if !self.takes_clear_text(client) {
                    return challenge(Unproved::new(
                        "basic_in_clear",
                        "a password is not taken over plain HTTP",
                    ));
                }
                self.log_in(&pair, proof, client, accept).await
            }
            Ok(Authorization::Token(..) | Authorization::Basic(_) | Authorization::Other) => {
                challenge(Unproved::scheme_not_accepted())
            }
            Err(BadAuthorization::Malformed) => {
                challenge(Unproved::new("malformed_token", "the Authorization header is malformed"))
            }
            Err(BadAuthorization::TooLarge) => challenge(Unproved::new(
                "token_too_large",
                "the token in the Authorization header is too large",
            )),
        }
    }

    /// Those of `accept` that this connection is protected enough for.
    fn possible(&self, client: &ClientConnection, accept: &Accept) -> Accept {
        let clear = self.takes_clear_text(client);
        Accept::of(accept.iter().filter(|method| clear || *method != AuthMethod::Basic))
    }

    /// What the connection itself proves, or proved before.
    fn without_header(
        &self,
        before: Negotiation,
        proof: &mut ConnectionProof,
        client: &ClientConnection,
        accept: &Accept,
    ) -> Result<Step, AuthnError> {
        let Negotiation::Established(established) = before else {
            return self.by_connection(proof, client, accept);
        };
        let challenge = |why| Ok(Step::Challenge(Challenge::new(&self.possible(client, accept), why)));
        if established.has_expired() {
            return challenge(Unproved::new(
                "context_expired",
                "the ticket that the client came in with has expired",
            ));
        }
        if let Err(why) = self.still_known(established.proof()) {
            return challenge(why);
        }
        let (method, own) = (established.method(accept), established.proof().clone());
        proof.negotiation = Negotiation::Established(established);
        match method {
            Some(method) => {
                let beside = proof.presented(client)?;
                let evidence = Evidence { beside, opens: true, ..Evidence::of(method, own) };
                Ok(Step::Proved(evidence, Reply::default()))
            }
            None => match self.by_connection(proof, client, accept)? {
                Step::Proved(evidence, reply) => {
                    Ok(Step::Proved(Evidence { beside: Some(own), ..evidence }, reply))
                }
                Step::Shaken { .. } | Step::Challenge(_) => challenge(Unproved::new(
                    "method_not_accepted",
                    "the method that this connection was authenticated by is not accepted here",
                )),
            },
        }
    }

    /// A certificate or a local process.
    fn by_connection(
        &self,
        proof: &mut ConnectionProof,
        client: &ClientConnection,
        accept: &Accept,
    ) -> Result<Step, AuthnError> {
        match self.by_certificate(proof, client, accept)? {
            Step::Challenge(challenge) => {
                match self.peer(client).filter(|_| accept.contains(AuthMethod::Peer)) {
                    Some(peer) => Ok(Step::Proved(Evidence::of(AuthMethod::Peer, peer), Reply::default())),
                    None => Ok(Step::Challenge(challenge)),
                }
            }
            proved @ (Step::Proved(..) | Step::Shaken { .. }) => Ok(proved),
        }
    }

    fn by_certificate(
        &self,
        proof: &mut ConnectionProof,
        client: &ClientConnection,
        accept: &Accept,
    ) -> Result<Step, AuthnError> {
        if accept.contains(AuthMethod::Certificate)
            && let Some(presented) = proof.presented(client)?
        {
            return Ok(Step::Proved(Evidence::of(AuthMethod::Certificate, presented), Reply::default()));
        }
        Ok(Step::Challenge(Challenge::new(&self.possible(client, accept), Unproved::no_evidence())))
    }

    /// One leg of a handshake.
    async fn shake(
        &self,
        half: Option<Half>,
        incoming: Incoming<'_>,
        proof: &mut ConnectionProof,
        is_bare: bool,
    ) -> Result<Step, AuthnError> {
        let (client, accept, scheme) = (incoming.client, incoming.accept, incoming.scheme);
        let challenge = |why| Ok(Step::Challenge(Challenge::new(&self.possible(client, accept), why)));
        let beside = proof.presented(client)?;
        let carrying = |token: &[u8]| Reply(Some(scheme.carrying(token)));
        match self.handshakes.leg(half, incoming).await {
            Ok(Leg::Continue(half, token)) => {
                proof.negotiation = Negotiation::Half(half);
                Ok(Step::Shaken { status: 401, reply: carrying(&token) })
            }
            Ok(Leg::Established(established, token)) => {
                let reply = token.map_or_else(Reply::default, |token| carrying(&token));
                let Some(method) = established.method(accept) else {
                    return challenge(Unproved::scheme_not_accepted());
                };
                let own = established.proof().clone();
                proof.negotiation = Negotiation::Established(established);
                if is_bare {
                    return Ok(Step::Shaken { status: 200, reply });
                }
                Ok(Step::Proved(Evidence { beside, opens: true, ..Evidence::of(method, own) }, reply))
            }
            Err(Failed::Unproved(why)) => challenge(why),
            Err(Failed::Unavailable(error)) => Err(AuthnError::Unavailable(error)),
        }
    }

    /// A name and a password.
    async fn log_in(
        &self,
        pair: &[u8],
        proof: &mut ConnectionProof,
        client: &ClientConnection,
        accept: &Accept,
    ) -> Result<Step, AuthnError> {
        let Some(passwords) = &self.passwords else {
            let why = Unproved::scheme_not_accepted();
            return Ok(Step::Challenge(Challenge::new(&self.possible(client, accept), why)));
        };
        let beside = proof.presented(client)?;
        match passwords.log_in(pair, &self.realms, Source::of(client.peer())).await {
            Login::Proved(password) => {
                let evidence =
                    Evidence { beside, ..Evidence::of(AuthMethod::Basic, Proof::Password(password)) };
                Ok(Step::Proved(evidence, Reply::default()))
            }
            Login::Unproved(why) => Ok(Step::Challenge(Challenge::new(&self.possible(client, accept), why))),
            Login::Unavailable(error) => Err(AuthnError::KdcUnavailable(error)),
            Login::Impostor(error) => Err(AuthnError::KdcNotProved(error)),
        }
    }

    /// Whether a person who came in earlier would still be somebody today.
    fn still_known(&self, proof: &Proof) -> Result<(), Unproved> {
        match proof {
            Proof::Ticket(ticket) => self
                .realms
                .of_ticket(&ticket.client)
                .map(drop)
                .map_err(|error| unknown_client(&ticket.client, &error)),
            Proof::Ntlm(proof) => {
                let now = self.handshakes.local.as_ref().and_then(|local| local.person(&proof.account));
                let same = now.as_ref() == Some(&proof.principal);
                if same { Ok(()) } else { Err(Unproved::new("no_longer_known", REFUSED)) }
            }
            Proof::Certificate(_) | Proof::Peer { .. } | Proof::Password(_) => Ok(()),
        }
    }

    fn peer(&self, client: &ClientConnection) -> Option<Proof> {
        let mut rules = self.peers.iter().filter(|rule| *rule.listener == **client.listener());
        match client.peer() {
            ClientAddr::Unix { uid, pid, .. } => {
                let rule = rules.find(|rule| rule.uid == Some(*uid))?;
                let mut process = format!("uid {uid}");
                if let Some(pid) = pid {
                    // Writing to a String can't fail.
                    let _ = write!(process, " pid {pid}");
                }
                Some(Proof::Peer { principal: rule.principal.clone(), process })
            }
            ClientAddr::Tcp(address) => {
                if !address.ip().to_canonical().is_loopback() {
                    return None;
                }
                let rule = rules.find(|rule| rule.uid.is_none())?;
                let process = "loopback process".to_owned();
                Some(Proof::Peer { principal: rule.principal.clone(), process })
            }
        }
    }
}

/// Whether tokens of `scheme` are taken where `accept` holds.
fn takes(accept: &Accept, scheme: Scheme) -> bool {
    let kerberos = accept.contains(AuthMethod::Kerberos);
    match scheme {
        Scheme::Kerberos => kerberos,
        Scheme::Negotiate => kerberos || accept.contains(AuthMethod::Negotiate),
    }
}
