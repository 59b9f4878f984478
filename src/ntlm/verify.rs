//! Whether an AUTHENTICATE message is the answer to our challenge, by somebody who knows the password.

use super::acceptor::{Channel, Verifier};
use super::av::{AvId, AvPairs, FLAG_MIC};
use super::context::Peers;
use super::crypto::Key;
use super::message::{Authenticate, ClientChallenge};
use super::{FileTime, NtHash, NtlmError, wire};
use subtle::Choice;

/// What was asked, and of whom.
pub(super) struct Question {
    /// The client's NEGOTIATE message, as it came.
    pub(super) negotiate: Vec<u8>,
    /// Our CHALLENGE message, as it went.
    pub(super) challenge: Vec<u8>,
    pub(super) nonce: [u8; 8],
    pub(super) pairs: AvPairs,
    pub(super) asked: FileTime,
    /// Stands in for the hash of an account that does not exist.
    pub(super) decoy: NtHash,
}

impl Question {
    /// The session's key and its two ends, if `message` is everything that it must be.
    ///
    /// What can be seen without the password is looked at first, so that nobody tries passwords with answers that could never get in.
    pub(super) fn verify(
        &self,
        message: &[u8],
        verifier: &Verifier,
        channel: Channel,
        now: FileTime,
    ) -> Result<(Key, Peers), NtlmError> {
        let answer = Authenticate::parse(message)?;
        let response = response_in(&answer)?;
        let mic = answer.mic.ok_or(NtlmError::NoMic)?;
        let (proof, said) =
            response.split_at_checked(PROOF).ok_or(NtlmError::Malformed("the NT response"))?;
        let theirs = ClientChallenge::parse(said)?;
        let channel_bound = self.compare(&theirs, channel)?;
        if now.distance(self.asked) > verifier.skew {
            return Err(NtlmError::ChallengeExpired);
        }
        if now.distance(theirs.time) > verifier.skew {
            return Err(NtlmError::ClockSkew);
        }
        let encrypted_key: [u8; 16] =
            answer.session_key.try_into().map_err(|_| NtlmError::Malformed("the session key"))?;

        // INVARIANT: a name that does not exist costs what a wrong password costs.
        let account = verifier.accounts.find(&answer.user);
        let hash = account.map_or(&self.decoy, |account| &account.hash);
        let key = hash.response_key(&answer.user, &answer.domain);
        let expected = key.proof(self.nonce, said);
        let proved = expected.is(proof) & Choice::from(u8::from(account.is_some()));
        let session_key = key.exchange_key(&expected).exchange(&Key::from(encrypted_key));
        let whole = Authenticate::with_mic(message, [0; 16]);
        let untouched = session_key.hmac(&[&self.negotiate, &self.challenge, &whole]).is(&mic);

        let Some(account) = account else { return Err(NtlmError::UnknownAccount) };
        if !bool::from(proved) {
            return Err(NtlmError::WrongPassword);
        }
        if !untouched {
            return Err(NtlmError::WrongMic);
        }
        let target = theirs.pairs.get(AvId::TargetName).map_or_else(|| Ok(String::new()), wire::utf16)?;
        Ok((session_key, Peers { account: account.name.clone(), target, channel_bound }))
    }

    /// Whether `theirs` was said to us, through this channel, and promises a MIC. Says whether it is bound to the channel.
    fn compare(&self, theirs: &ClientChallenge, channel: Channel) -> Result<bool, NtlmError> {
        if theirs.pairs.is_empty() {
            return Err(NtlmError::NoTargetInfo);
        }
        if !theirs.pairs.echo(&self.pairs) {
            return Err(NtlmError::TargetInfoChanged);
        }
        if theirs.pairs.flags() & FLAG_MIC == 0 {
            return Err(NtlmError::NoMic);
        }
        let bindings = theirs.pairs.get(AvId::ChannelBindings);
        let zero = bindings.is_some_and(|bindings| bindings == [0; 16]);
        match (channel, bindings) {
            (Channel::Tls(_), None) => Err(NtlmError::NoBindings),
            (Channel::Tls(_), Some(_)) if zero => Err(NtlmError::ZeroBindings),
            (Channel::Tls(ours), Some(bindings)) if !ours.are(bindings) => Err(NtlmError::WrongBindings),
            (Channel::Tls(_), Some(_)) => Ok(true),
            (Channel::Plain, Some(_)) if !zero => Err(NtlmError::UnexpectedBindings),
            (Channel::Plain, Some(_) | None) | (Channel::Unknown, _) => Ok(false),
        }
    }
}

/// The `NTLMv2` response, from somebody, with keys worth having.
fn response_in<'a>(answer: &Authenticate<'a>) -> Result<&'a [u8], NtlmError> {
    if answer.user.is_empty() || answer.flags.are_anonymous() {
        return Err(NtlmError::Anonymous);
    }
    match (answer.nt_response.len(), answer.lm_response.len()) {
        (0, 0 | 1) => Err(NtlmError::Anonymous),
        (0, _) => Err(NtlmError::LmOnly),
        (NTLM_V1, _) => Err(NtlmError::NtlmV1),
        _ if !answer.flags.are_strong() => Err(NtlmError::WeakFlags),
        _ => Ok(answer.nt_response),
    }
}

const PROOF: usize = 16;
const NTLM_V1: usize = 24;
