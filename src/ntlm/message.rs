//! The three messages ([MS-NLMP] section 2.2.1).

use super::av::AvPairs;
use super::flags::Flags;
use super::wire::{self, Kind, Reader, Writer};
use super::{FileTime, NtlmError};

/// The client's opening.
pub(super) struct Negotiate {
    /// What it offers.
    pub(super) flags: Flags,
}

impl Negotiate {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, NtlmError> {
        let message = Reader::open(bytes, Kind::Negotiate, NEGOTIATE_HEAD - VERSION.len())?;
        message.fields([16, 24], NEGOTIATE_HEAD - VERSION.len())?;
        Ok(Self { flags: Flags(message.u32_at(12)?) })
    }

    pub(super) fn write(&self) -> Result<Vec<u8>, NtlmError> {
        let mut message = Writer::new(Kind::Negotiate, NEGOTIATE_HEAD);
        message.bytes(&self.flags.0.to_le_bytes());
        message.field(&[])?;
        message.field(&[])?;
        message.bytes(&VERSION);
        message.finish()
    }
}

/// The server's question.
pub(super) struct Challenge {
    pub(super) flags: Flags,
    /// What the answer must be made for.
    pub(super) nonce: [u8; 8],
    /// The server's name.
    pub(super) target: String,
    /// How the server describes itself.
    pub(super) pairs: AvPairs,
}

impl Challenge {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, NtlmError> {
        let message = Reader::open(bytes, Kind::Challenge, CHALLENGE_HEAD - VERSION.len())?;
        let ([target, pairs], _) = message.fields([12, 40], CHALLENGE_HEAD - VERSION.len())?;
        let flags = Flags(message.u32_at(20)?);
        if !flags.have_target_info() || pairs.is_empty() {
            return Err(NtlmError::NoTargetInfo);
        }
        let (pairs, rest) = AvPairs::parse(pairs)?;
        if !rest.is_empty() {
            return Err(NtlmError::Malformed("something follows the target information"));
        }
        Ok(Self { flags, nonce: message.array(24)?, target: wire::utf16(target)?, pairs })
    }

    pub(super) fn write(&self) -> Result<Vec<u8>, NtlmError> {
        let mut message = Writer::new(Kind::Challenge, CHALLENGE_HEAD);
        message.field(&wire::to_utf16(&self.target))?;
        message.bytes(&self.flags.0.to_le_bytes());
        message.bytes(&self.nonce);
        message.bytes(&[0; 8]);
        message.field(&self.pairs.write()?)?;
        message.bytes(&VERSION);
        message.finish()
    }
}

/// The client's answer.
pub(super) struct Authenticate<'a> {
    pub(super) lm_response: &'a [u8],
    pub(super) nt_response: &'a [u8],
    pub(super) domain: String,
    pub(super) user: String,
    pub(super) workstation: String,
    /// The session's key under the exchange key.
    pub(super) session_key: &'a [u8],
    pub(super) flags: Flags,
    /// Over all three messages; absent where the message has no room for it.
    pub(super) mic: Option<[u8; 16]>,
}

impl<'a> Authenticate<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, NtlmError> {
        let message = Reader::open(bytes, Kind::Authenticate, MIC - VERSION.len())?;
        let (fields, first) = message.fields([12, 20, 28, 36, 44, 52], MIC - VERSION.len())?;
        let [lm_response, nt_response, domain, user, workstation, session_key] = fields;
        let has_room = first >= AUTHENTICATE_HEAD;
        Ok(Self {
            lm_response,
            nt_response,
            domain: wire::utf16(domain)?,
            user: wire::utf16(user)?,
            workstation: wire::utf16(workstation)?,
            session_key,
            flags: Flags(message.u32_at(60)?),
            mic: if has_room { Some(message.array(MIC)?) } else { None },
        })
    }

    pub(super) fn write(&self) -> Result<Vec<u8>, NtlmError> {
        let mut message = Writer::new(Kind::Authenticate, AUTHENTICATE_HEAD);
        message.field(self.lm_response)?;
        message.field(self.nt_response)?;
        message.field(&wire::to_utf16(&self.domain))?;
        message.field(&wire::to_utf16(&self.user))?;
        message.field(&wire::to_utf16(&self.workstation))?;
        message.field(self.session_key)?;
        message.bytes(&self.flags.0.to_le_bytes());
        message.bytes(&VERSION);
        message.bytes(&self.mic.unwrap_or_default());
        message.finish()
    }

    /// `bytes`, a message that was parsed, with `mic` in its place: zeros are what a MIC is computed over.
    pub(super) fn with_mic(bytes: &[u8], mic: [u8; 16]) -> Vec<u8> {
        let mut message = bytes.to_vec();
        for (to, from) in message.iter_mut().skip(MIC).zip(mic) {
            *to = from;
        }
        message
    }
}

/// What an `NTLMv2` proof is made over, besides the server's nonce ([MS-NLMP] section 2.2.2.7).
pub(super) struct ClientChallenge {
    pub(super) time: FileTime,
    pub(super) nonce: [u8; 8],
    /// What the server sent, and what the client adds.
    pub(super) pairs: AvPairs,
}

impl ClientChallenge {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, NtlmError> {
        if !bytes.starts_with(&RESPONSE_VERSION) {
            return Err(NtlmError::Malformed("the response's version"));
        }
        let pairs = bytes.get(PAIRS..).ok_or(NtlmError::NoTargetInfo)?;
        let (pairs, rest) = AvPairs::parse(pairs)?;
        if rest.len() > 4 || rest.iter().any(|byte| *byte != 0) {
            return Err(NtlmError::Malformed("something follows the target information"));
        }
        Ok(Self { time: FileTime::from_bytes(wire::array(bytes, 8)?), nonce: wire::array(bytes, 16)?, pairs })
    }

    pub(super) fn write(&self) -> Result<Vec<u8>, NtlmError> {
        let mut bytes = RESPONSE_VERSION.to_vec();
        bytes.extend_from_slice(&[0; 6]);
        bytes.extend_from_slice(&self.time.to_bytes());
        bytes.extend_from_slice(&self.nonce);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.pairs.write()?);
        bytes.extend_from_slice(&[0; 4]);
        Ok(bytes)
    }
}

/// Windows 10, build 17763, NTLM revision 15: it is for debugging alone, and says what everyone says.
const VERSION: [u8; 8] = [10, 0, 0x63, 0x45, 0, 0, 0, 15];
const RESPONSE_VERSION: [u8; 2] = [1, 1];
const NEGOTIATE_HEAD: usize = 40;
const CHALLENGE_HEAD: usize = 56;
const AUTHENTICATE_HEAD: usize = 88;
const MIC: usize = 72;
const PAIRS: usize = 28;
