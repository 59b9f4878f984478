//! The client: proves a password to a host.

use super::av::{AvId, AvPairs, FLAG_MIC};
use super::context::{Directions, Peers};
use super::crypto::{Key, fill};
use super::flags::Flags;
use super::message::{Authenticate, Challenge, ClientChallenge, Negotiate};
use super::spnego::{Init, Response, State};
use super::{ChannelBindings, NtHash, NtlmError, SecurityContext, wire};

/// Whose password is proved. Not `Debug`, and wiped in the end.
#[derive(Clone)]
pub(crate) struct Credentials {
    user: String,
    domain: String,
    workstation: String,
    hash: NtHash,
}

/// A handshake in which it is the host's turn.
pub(crate) struct Initiator {
    stage: Stage,
    /// The list of mechanisms, encoded, where SPNEGO is around it all.
    mechanisms: Option<Vec<u8>>,
}

/// How far a handshake is.
pub(crate) enum Initiated {
    /// It is done; the token, if there is one, is still to be sent.
    Established(SecurityContext, Option<Vec<u8>>),
    /// The token is to be sent, and the host's answer is the next step.
    Continue(Initiator, Vec<u8>),
}

/// What NTLM's tokens travel in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Nothing.
    Raw,
    /// SPNEGO, with NTLM as the only mechanism.
    Spnego,
}

impl Credentials {
    /// `user` of `domain`, which for a local account of the host is the host's name or empty.
    pub(crate) fn new(user: &str, domain: &str, hash: NtHash) -> Self {
        Self { user: user.to_owned(), domain: domain.to_owned(), workstation: String::new(), hash }
    }

    /// The machine that the client says it is; it proves nothing, and appears in the host's event log.
    #[must_use]
    pub(crate) fn at_workstation(mut self, name: &str) -> Self {
        name.clone_into(&mut self.workstation);
        self
    }

    fn account(&self) -> String {
        if self.domain.is_empty() { self.user.clone() } else { format!(r"{}\{}", self.domain, self.user) }
    }
}

impl Initiator {
    /// Begins to prove `credentials` to the service `target`, such as `HTTP/host.example.test`, through the TLS channel of `bindings` if it goes through one.
    /// The token is to be sent first.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub(crate) fn begin(
        credentials: Credentials,
        target: &str,
        bindings: Option<ChannelBindings>,
        framing: Framing,
    ) -> Result<(Self, Vec<u8>), NtlmError> {
        let mut nonce = [0; 8];
        fill(&mut nonce)?;
        let proof =
            Proof { credentials, target: target.to_owned(), bindings, nonce, session_key: Key::random()? };
        Self::begin_with(proof, framing)
    }

    /// The same with randomness that is known.
    pub(super) fn begin_with(proof: Proof, framing: Framing) -> Result<(Self, Vec<u8>), NtlmError> {
        let negotiate = Negotiate { flags: Flags::OFFERED }.write()?;
        let (token, mechanisms) = match framing {
            Framing::Raw => (negotiate.clone(), None),
            Framing::Spnego => {
                let (token, mechanisms) = Init::write(&negotiate);
                (token, Some(mechanisms))
            }
        };
        Ok((Self { stage: Stage::Begun(Box::new(proof), negotiate), mechanisms }, token))
    }

    /// Takes the host's next token.
    ///
    /// # Errors
    /// When the host refuses, asks for less than `NTLMv2` with sealing, or was interfered with.
    pub(crate) fn step(self, token: &[u8]) -> Result<Initiated, NtlmError> {
        match (self.stage, self.mechanisms) {
            (Stage::Begun(proof, negotiate), None) => {
                let (authenticate, directions) = proof.answer(&negotiate, token)?;
                Ok(Initiated::Established(proof.context(directions), Some(authenticate)))
            }
            (Stage::Begun(proof, negotiate), Some(mechanisms)) => {
                let (authenticate, mut directions) = proof.answer(&negotiate, challenge_in(token)?)?;
                let mic = directions.sign_mechanisms(&mechanisms)?;
                let response = Response {
                    state: Some(State::Incomplete),
                    token: Some(&authenticate),
                    mic: Some(&mic),
                    ..Response::default()
                };
                let token = response.write();
                let stage = Stage::Answered(proof, directions);
                Ok(Initiated::Continue(Self { stage, mechanisms: Some(mechanisms) }, token))
            }
            (Stage::Answered(proof, mut directions), Some(mechanisms)) => {
                let mic = end_in(token)?;
                directions.verify_mechanisms(&mechanisms, mic)?;
                Ok(Initiated::Established(proof.context(directions), None))
            }
            (Stage::Answered(..), None) => Err(NtlmError::UnexpectedMessage),
        }
    }
}

enum Stage {
    /// The opening is sent.
    Begun(Box<Proof>, Vec<u8>),
    /// The answer is sent, and SPNEGO's end is missing.
    Answered(Box<Proof>, Directions),
}

/// Everything that an answer is made of, besides the question.
pub(super) struct Proof {
    pub(super) credentials: Credentials,
    pub(super) target: String,
    pub(super) bindings: Option<ChannelBindings>,
    pub(super) nonce: [u8; 8],
    pub(super) session_key: Key,
}

impl Proof {
    /// The AUTHENTICATE message, and the keys that hold if the host takes it ([MS-NLMP] section 3.1.5.1.2).
    fn answer(&self, negotiate: &[u8], question: &[u8]) -> Result<(Vec<u8>, Directions), NtlmError> {
        let challenge = Challenge::parse(question)?;
        if !challenge.flags.are_strong() {
            return Err(NtlmError::WeakFlags);
        }
        let time = challenge.pairs.timestamp().ok_or(NtlmError::NoTimestamp)?;
        let response =
            ClientChallenge { time, nonce: self.nonce, pairs: self.describe(challenge.pairs) }.write()?;
        let key = self.credentials.hash.response_key(&self.credentials.user, &self.credentials.domain);
        let proof = key.proof(challenge.nonce, &response);
        let encrypted_key = key.exchange_key(&proof).exchange(&self.session_key);
        let message = Authenticate {
            // With the server's time there is a MIC, and then LMv2 is left out.
            lm_response: &[0; 24],
            nt_response: &[proof.bytes().as_slice(), &response].concat(),
            domain: self.credentials.domain.clone(),
            user: self.credentials.user.clone(),
            workstation: self.credentials.workstation.clone(),
            session_key: encrypted_key.bytes(),
            flags: challenge.flags.agreed(),
            mic: None,
        }
        .write()?;
        let mic = self.session_key.hmac(&[negotiate, question, &message]);
        Ok((Authenticate::with_mic(&message, *mic.bytes()), Directions::of_client(&self.session_key)))
    }

    /// What the server says of itself, with what the client says to it.
    fn describe(&self, mut pairs: AvPairs) -> AvPairs {
        pairs.remove(AvId::ChannelBindings);
        if let Some(bindings) = self.bindings {
            pairs.set(AvId::ChannelBindings, bindings.bytes().to_vec());
        }
        pairs.set(AvId::TargetName, wire::to_utf16(&self.target));
        let flags = pairs.flags() | FLAG_MIC;
        pairs.set(AvId::Flags, flags.to_le_bytes().to_vec());
        pairs
    }

    fn context(&self, directions: Directions) -> SecurityContext {
        let peers = Peers {
            account: self.credentials.account(),
            target: self.target.clone(),
            channel_bound: self.bindings.is_some(),
        };
        SecurityContext::new(directions, peers)
    }
}

/// The CHALLENGE in SPNEGO's first answer, which must choose NTLM.
fn challenge_in(token: &[u8]) -> Result<&[u8], NtlmError> {
    let response = Response::parse(token)?;
    match response {
        Response { state: Some(State::Rejected), .. } => Err(NtlmError::Rejected),
        Response {
            state: Some(State::Incomplete | State::RequestMic),
            names_ntlm: true,
            token: Some(challenge),
            mic: None,
        } => Ok(challenge),
        Response { .. } => Err(NtlmError::UnexpectedMessage),
    }
}

/// The signature in SPNEGO's last answer.
fn end_in(token: &[u8]) -> Result<&[u8], NtlmError> {
    match Response::parse(token)? {
        Response { state: Some(State::Rejected), .. } => Err(NtlmError::Rejected),
        Response { state: Some(State::Completed), token: None, mic: Some(mic), .. } => Ok(mic),
        Response { state: Some(State::Completed), token: None, mic: None, .. } => {
            Err(NtlmError::NoMechListMic)
        }
        Response { .. } => Err(NtlmError::UnexpectedMessage),
    }
}
