//! The verifier: lets the gateway's own accounts in.

use super::av::{AvId, AvPairs};
use super::context::Directions;
use super::crypto::{Key, fill};
use super::message::{Challenge, Negotiate};
use super::spnego::{Init, Response, State};
use super::verify::Question;
use super::{Accounts, ChannelBindings, FileTime, NtHash, NtlmError, SecurityContext, wire};
use std::sync::Arc;
use std::time::Duration;

/// What every handshake of a gateway has in common.
pub(crate) struct Verifier {
    /// How the gateway describes itself.
    pub(crate) server: ServerNames,
    /// Who may come in.
    pub(crate) accounts: Accounts,
    /// How far a client's time may be from ours, and how long a challenge holds.
    pub(crate) skew: Duration,
}

/// The names that a challenge carries. They are shown to anyone who asks.
#[derive(Debug, Clone)]
pub(crate) struct ServerNames {
    /// The computer's `NetBIOS` name, such as `GATEWAY01`.
    pub(crate) computer: String,
    /// Its domain's or workgroup's `NetBIOS` name.
    pub(crate) domain: String,
    /// Its DNS name.
    pub(crate) dns: String,
}

/// What a client's proof must be bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    /// TLS that ends here: the binding must be there, and this one.
    Tls(ChannelBindings),
    /// No TLS: a proof that is bound to some channel was made for another server.
    Plain,
    /// TLS that ends before the gateway, with a certificate that it does not know: any binding goes, and none.
    Unknown,
}

/// A handshake in which it is the client's turn.
pub(crate) struct Acceptor {
    verifier: Arc<Verifier>,
    channel: Channel,
    secrets: Secrets,
    asked: Option<Asked>,
}

/// How far a handshake is.
pub(crate) enum Accepted {
    /// The client is who it says. The token, if there is one, is still to be sent.
    Established(SecurityContext, Option<Vec<u8>>),
    /// The token is to be sent, and the client's answer is the next step.
    Continue(Acceptor, Vec<u8>),
}

impl Acceptor {
    /// A handshake that has not begun.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub(crate) fn new(verifier: Arc<Verifier>, channel: Channel) -> Result<Self, NtlmError> {
        Ok(Self::with(verifier, channel, Secrets::random()?))
    }

    /// The same with randomness that is known.
    pub(super) const fn with(verifier: Arc<Verifier>, channel: Channel, secrets: Secrets) -> Self {
        Self { verifier, channel, secrets, asked: None }
    }

    /// Takes the client's next token.
    ///
    /// INVARIANT: nobody gets in without a proof for this very challenge, a MIC over all three messages and, over TLS, this channel's binding.
    ///
    /// # Errors
    /// When anything is missing or wrong. The client may hear that it is refused; the reason is for the record.
    pub(crate) fn step(mut self, token: &[u8], now: FileTime) -> Result<Accepted, NtlmError> {
        match self.asked.take() {
            None => self.ask(token, now),
            Some(Asked { question, mechanisms: None }) => {
                let (session_key, peers) = question.verify(token, &self.verifier, self.channel, now)?;
                let context = SecurityContext::new(Directions::of_server(&session_key), peers);
                Ok(Accepted::Established(context, None))
            }
            Some(Asked { question, mechanisms: Some(list) }) => {
                let (authenticate, mic) = answer_in(token)?;
                let (session_key, peers) =
                    question.verify(authenticate, &self.verifier, self.channel, now)?;
                let mut directions = Directions::of_server(&session_key);
                directions.verify_mechanisms(&list, mic)?;
                let mic = directions.sign_mechanisms(&list)?;
                let end = Response { state: Some(State::Completed), mic: Some(&mic), ..Response::default() };
                Ok(Accepted::Established(SecurityContext::new(directions, peers), Some(end.write())))
            }
        }
    }

    fn ask(mut self, token: &[u8], now: FileTime) -> Result<Accepted, NtlmError> {
        let (negotiate, mechanisms) = if token.starts_with(wire::SIGNATURE) {
            (token, None)
        } else {
            let init = Init::parse(token)?;
            (init.token, Some(init.mechanisms))
        };
        let flags = Negotiate::parse(negotiate)?.flags;
        if !flags.are_strong() {
            return Err(NtlmError::WeakFlags);
        }
        let pairs = self.verifier.server.describe(now);
        let challenge = Challenge {
            flags: flags.answered(),
            nonce: self.secrets.nonce,
            target: self.verifier.server.computer.clone(),
            pairs: pairs.clone(),
        }
        .write()?;
        let token = match mechanisms {
            None => challenge.clone(),
            Some(_) => Response {
                state: Some(State::RequestMic),
                names_ntlm: true,
                token: Some(&challenge),
                mic: None,
            }
            .write(),
        };
        let question = Question {
            negotiate: negotiate.to_vec(),
            challenge,
            nonce: self.secrets.nonce,
            pairs,
            asked: now,
            decoy: self.secrets.decoy.clone(),
        };
        self.asked = Some(Asked { question: Box::new(question), mechanisms });
        Ok(Accepted::Continue(self, token))
    }
}

/// Whether `token` begins a handshake for NTLM: NTLM as it is, or SPNEGO that prefers it.
pub(crate) fn begins_ntlm(token: &[u8]) -> bool {
    token.starts_with(wire::SIGNATURE) || Init::parse(token).is_ok()
}

impl ServerNames {
    fn describe(&self, now: FileTime) -> AvPairs {
        let mut pairs = AvPairs::default();
        pairs.set(AvId::NbComputerName, wire::to_utf16(&self.computer));
        pairs.set(AvId::NbDomainName, wire::to_utf16(&self.domain));
        pairs.set(AvId::DnsComputerName, wire::to_utf16(&self.dns));
        pairs.set(AvId::Timestamp, now.to_bytes().to_vec());
        pairs
    }
}

/// What was asked, and the list of mechanisms where SPNEGO is around it all.
struct Asked {
    question: Box<Question>,
    mechanisms: Option<Vec<u8>>,
}

/// The randomness of one handshake.
pub(super) struct Secrets {
    /// What the client must answer.
    pub(super) nonce: [u8; 8],
    /// The hash of the account that a client is taken for when there is none by its name.
    pub(super) decoy: NtHash,
}

impl Secrets {
    fn random() -> Result<Self, NtlmError> {
        let mut nonce = [0; 8];
        fill(&mut nonce)?;
        Ok(Self { nonce, decoy: NtHash::from_bytes(*Key::random()?.bytes())? })
    }
}

/// The AUTHENTICATE message and the signature in SPNEGO's second token.
fn answer_in(token: &[u8]) -> Result<(&[u8], &[u8]), NtlmError> {
    match Response::parse(token)? {
        Response { state: Some(State::Rejected), .. } => Err(NtlmError::Rejected),
        Response { state: Some(State::Completed | State::RequestMic), .. } | Response { token: None, .. } => {
            Err(NtlmError::UnexpectedMessage)
        }
        Response { mic: None, .. } => Err(NtlmError::NoMechListMic),
        Response { state: Some(State::Incomplete) | None, token: Some(token), mic: Some(mic), .. } => {
            Ok((token, mic))
        }
    }
}
