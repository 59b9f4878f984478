//! A client that says whatever a test wants it to say.

use super::super::av::{AvId, AvPairs, FLAG_MIC};
use super::super::flags::Flags;
use super::super::message::{Authenticate, Challenge, ClientChallenge};
use super::super::wire;
use super::*;

/// Everything that an AUTHENTICATE message is made of. As it comes, it is a good one.
pub(super) struct Forgery {
    pub(super) user: String,
    pub(super) hash: NtHash,
    pub(super) flags: u32,
    pub(super) time: FileTime,
    pub(super) pairs: AvPairs,
    pub(super) lm: Vec<u8>,
    /// Instead of a response that is computed.
    pub(super) nt: Option<Vec<u8>>,
    /// Instead of a proof that is computed.
    pub(super) proof: Option<[u8; 16]>,
    pub(super) mic: Mic,
    negotiate: Vec<u8>,
    challenge: Vec<u8>,
}

pub(super) enum Mic {
    Right,
    Wrong,
    /// Zeros, where it would stand.
    Zero,
    /// Fields begin where it would stand.
    NoRoom,
}

impl Forgery {
    pub(super) fn of(negotiate: &[u8], challenge: &[u8], bindings: Option<ChannelBindings>) -> Self {
        let question = Challenge::parse(challenge).ok().unwrap();
        let mut pairs = question.pairs;
        if let Some(bindings) = bindings {
            pairs.set(AvId::ChannelBindings, bindings.bytes().to_vec());
        }
        pairs.set(AvId::TargetName, wire::to_utf16("HTTP/server01"));
        pairs.set(AvId::Flags, FLAG_MIC.to_le_bytes().to_vec());
        Self {
            user: "alice".into(),
            hash: hash(),
            flags: question.flags.0,
            time: pairs.timestamp().unwrap(),
            pairs,
            lm: vec![0; 24],
            nt: None,
            proof: None,
            mic: Mic::Right,
            negotiate: negotiate.to_vec(),
            challenge: challenge.to_vec(),
        }
    }

    pub(super) fn message(&self) -> Vec<u8> {
        let key = self.hash.response_key(&self.user, "EXAMPLE");
        let nonce = Challenge::parse(&self.challenge).ok().unwrap().nonce;
        let said =
            ClientChallenge { time: self.time, nonce: [1; 8], pairs: self.pairs.clone() }.write().unwrap();
        let proof = key.proof(nonce, &said);
        let session = session_key();
        let encrypted = key.exchange_key(&proof).exchange(&session);
        let shown = self.proof.as_ref().unwrap_or_else(|| proof.bytes());
        let computed = [shown.as_slice(), &said].concat();
        let message = Authenticate {
            lm_response: &self.lm,
            nt_response: self.nt.as_deref().unwrap_or(&computed),
            domain: "EXAMPLE".into(),
            user: self.user.clone(),
            workstation: "CLIENT01".into(),
            session_key: encrypted.bytes(),
            flags: Flags(self.flags),
            mic: None,
        }
        .write()
        .unwrap();
        let mic = session.hmac(&[&self.negotiate, &self.challenge, &message]);
        match self.mic {
            Mic::Right => Authenticate::with_mic(&message, *mic.bytes()),
            Mic::Wrong => Authenticate::with_mic(&message, [9; 16]),
            Mic::Zero => message,
            Mic::NoRoom => without_room(&message),
        }
    }
}

/// `message` with everything behind its head moved to where the MIC would stand.
fn without_room(message: &[u8]) -> Vec<u8> {
    let mut moved = message.to_vec();
    for place in [12, 20, 28, 36, 44, 52] {
        let at = u32::from_le_bytes(moved[place + 4..place + 8].try_into().unwrap()) - 16;
        moved[place + 4..place + 8].copy_from_slice(&at.to_le_bytes());
    }
    moved.drain(72..88);
    moved
}
