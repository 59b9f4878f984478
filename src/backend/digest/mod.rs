//! Digest (RFC 7616), for WS-Management hosts that are not Windows: Windows never takes it.
//!
//! INVARIANT: only MD5 and SHA-256 with `qop=auth`; whatever else a host asks for, or leaves out, ends the exchange. A host that once asked for
//! SHA-256 is not answered in MD5 any more, and no nonce is answered twice from the beginning.
//!
//! Why not a crate: those there are fall back to RFC 2069 where `qop` is missing, and leave counting and staleness to their callers.

mod challenge;
mod memory;
#[cfg(test)]
mod tests;

pub(super) use challenge::offered;
pub(super) use memory::Memory;

use md5::{Digest as _, Md5};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use self::challenge::{Challenge, parameters};
use super::key::HostKey;
use crate::credential::Login;

/// Why a host's challenge is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DigestError {
    /// There is none.
    #[error("it asks for no Digest")]
    NoChallenge,
    /// One that breaks the rules.
    #[error("its Digest challenge is malformed")]
    Malformed,
    /// One that can't be answered.
    #[error("its Digest challenge wants an {0} that is not supported")]
    Unsupported(&'static str),
    /// MD5 from a host that once wanted SHA-256.
    #[error("it asks for a weaker Digest than before")]
    Weaker,
    /// A nonce that was answered before, or staleness without end.
    #[error("it repeats a nonce")]
    Replayed,
    /// A realm that changes under way.
    #[error("its Digest realm has changed")]
    OtherRealm,
    /// A proof that was made without the password.
    #[error("it does not know the password that it accepts")]
    WrongProof,
    /// A user name that the scheme can't carry.
    #[error("the user name can't be sent by Digest")]
    Name,
    /// No randomness, or a nonce that was used four thousand million times.
    #[error("no answer can be made")]
    Exhausted,
}

impl DigestError {
    /// A label for metrics and records.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::NoChallenge | Self::Weaker => "downgrade",
            Self::Malformed => "digest_malformed",
            Self::Unsupported(_) | Self::Name | Self::Exhausted => "digest_unsupported",
            Self::Replayed | Self::OtherRealm => "digest_replayed",
            Self::WrongProof => "digest_wrong_proof",
        }
    }
}

/// The algorithms, the weaker first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Algorithm {
    Md5,
    Sha256,
}

impl Algorithm {
    fn named(name: &str) -> Option<Self> {
        [Self::Md5, Self::Sha256].into_iter().find(|known| known.as_str().eq_ignore_ascii_case(name))
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    /// The digest of `parts`, with colons between them, in hexadecimal digits.
    fn hash(self, parts: &[&str]) -> Zeroizing<String> {
        match self {
            Self::Md5 => hex(&joined(Md5::new(), parts).finalize()),
            Self::Sha256 => hex(&joined(Sha256::new(), parts).finalize()),
        }
    }
}

fn joined<D: md5::Digest>(digest: D, parts: &[&str]) -> D {
    parts.iter().enumerate().fold(digest, |digest, (number, part)| {
        let digest = if number == 0 { digest } else { digest.chain_update(b":") };
        digest.chain_update(part.as_bytes())
    })
}

fn hex(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(2 * bytes.len()));
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    text
}

/// The answers to one host on one connection. It holds what the password became, not the password.
pub(super) struct Digest {
    user: String,
    /// `H(user:realm:password)`.
    secret: Zeroizing<String>,
    challenge: Challenge,
    count: u32,
    /// What the last answer was made with, for the host's own proof.
    last: Option<Last>,
}

struct Last {
    uri: String,
    count: String,
    nonce_of_ours: String,
}

impl Digest {
    /// The answers to what a host asks for in `challenges`.
    ///
    /// # Errors
    /// Where it asks for nothing that can be answered, or repeats itself.
    pub(super) fn begin(
        login: &Login,
        challenges: &[String],
        (memory, host): (&Memory, &HostKey),
    ) -> Result<Self, DigestError> {
        let challenge = Challenge::strongest(challenges)?;
        if !login.sent().bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
            return Err(DigestError::Name);
        }
        memory.admit(host, &challenge)?;
        let password = login.password().expose_secret();
        let secret = challenge.algorithm.hash(&[login.sent(), &challenge.realm, password]);
        Ok(Self { user: login.sent().to_owned(), secret, challenge, count: 0, last: None })
    }

    /// The value of `Authorization` for the next request, a POST of `uri`.
    ///
    /// # Errors
    /// Where the nonce is used up, or the system has no random bytes.
    pub(super) fn authorize(&mut self, uri: &str) -> Result<SecretString, DigestError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|_| DigestError::Exhausted)?;
        self.authorize_with(uri, &hex(&random))
    }

    /// The same with randomness that is known.
    fn authorize_with(&mut self, uri: &str, nonce_of_ours: &str) -> Result<SecretString, DigestError> {
        self.count = self.count.checked_add(1).ok_or(DigestError::Exhausted)?;
        let count = format!("{:08x}", self.count);
        let response = self.response(&[METHOD, uri], (&count, nonce_of_ours));
        let Challenge { realm, nonce, opaque, algorithm, .. } = &self.challenge;
        let opaque = opaque.as_ref().map(|opaque| format!(", opaque={}", quoted(opaque)));
        let value = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, algorithm={}, qop=auth, nc={count}, cnonce={}, response={}{}",
            quoted(&self.user),
            quoted(realm),
            quoted(nonce),
            quoted(uri),
            algorithm.as_str(),
            quoted(nonce_of_ours),
            quoted(&response),
            opaque.unwrap_or_default(),
        );
        self.last = Some(Last { uri: uri.to_owned(), count, nonce_of_ours: nonce_of_ours.to_owned() });
        Ok(value.into())
    }

    /// Takes a new nonce in the place of one that the host says is stale; nothing happens where it does not say so.
    ///
    /// # Errors
    /// Where the host asks for something else than before, or for the same again.
    pub(super) fn renew(
        &mut self,
        challenges: &[String],
        (memory, host): (&Memory, &HostKey),
    ) -> Result<bool, DigestError> {
        let challenge = match Challenge::strongest(challenges) {
            Ok(challenge) if challenge.stale => challenge,
            Ok(_) | Err(DigestError::NoChallenge) => return Ok(false),
            Err(error) => return Err(error),
        };
        if challenge.realm != self.challenge.realm {
            return Err(DigestError::OtherRealm);
        }
        if challenge.algorithm != self.challenge.algorithm {
            return Err(DigestError::Weaker);
        }
        memory.admit(host, &challenge)?;
        self.challenge = challenge;
        self.count = 0;
        Ok(true)
    }

    /// Checks the host's own proof, where it sends one in `Authentication-Info`.
    ///
    /// # Errors
    /// Where it was made without the password.
    pub(super) fn check(&self, info: Option<&str>) -> Result<(), DigestError> {
        let (Some(info), Some(last)) = (info, &self.last) else { return Ok(()) };
        let parameters = parameters(info)?;
        let Some((_, proof)) = parameters.iter().find(|(name, _)| name == "rspauth") else { return Ok(()) };
        let wanted = self.response(&["", &last.uri], (&last.count, &last.nonce_of_ours));
        let same = wanted.as_bytes().ct_eq(proof.to_ascii_lowercase().as_bytes());
        if same.into() { Ok(()) } else { Err(DigestError::WrongProof) }
    }

    fn response(&self, about: &[&str], (count, nonce_of_ours): (&str, &str)) -> Zeroizing<String> {
        let Challenge { nonce, algorithm, .. } = &self.challenge;
        let about = algorithm.hash(about);
        algorithm.hash(&[&self.secret, nonce, count, nonce_of_ours, "auth", &about])
    }
}

/// A quoted string (RFC 9110 section 5.6.4).
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

const METHOD: &str = "POST";
