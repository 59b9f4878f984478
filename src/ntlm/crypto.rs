//! The arithmetic of `NTLMv2` ([MS-NLMP] sections 3.3.2 and 3.4.5) over keys that are wiped when they go.

use super::NtlmError;
use hmac::{Hmac, KeyInit, Mac};
use md4::Md4;
use md5::{Digest, Md5};
use rc4::{Rc4, StreamCipher};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What NTLM makes of a password: as good as the password itself.
#[derive(Clone)]
pub(crate) struct NtHash(Key);

impl NtHash {
    /// The hash of `password` (`NTOWFv1`).
    ///
    /// # Errors
    /// When it is empty: an account without a password is nobody's.
    pub(crate) fn of_password(password: &str) -> Result<Self, NtlmError> {
        let mut utf16 = Zeroizing::new(Vec::with_capacity(2 * password.len()));
        for unit in password.encode_utf16() {
            utf16.extend_from_slice(&unit.to_le_bytes());
        }
        Self::from_bytes(Md4::digest(utf16.as_slice()).into())
    }

    /// A hash that was made elsewhere.
    ///
    /// # Errors
    /// When it is the hash of an empty password.
    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Result<Self, NtlmError> {
        let key = Key::from(bytes);
        if key.0.ct_eq(&OF_THE_EMPTY_PASSWORD).into() { Err(NtlmError::EmptyPassword) } else { Ok(Self(key)) }
    }

    #[cfg(test)]
    pub(super) fn digits(&self) -> String {
        self.0.bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The key that `user` of `domain` answers challenges with (`NTOWFv2`). The domain counts as it is written, the user does not.
    pub(super) fn response_key(&self, user: &str, domain: &str) -> ResponseKey {
        let mut name = Vec::with_capacity(2 * (user.len() + domain.len()));
        for c in user.chars().map(uppercase).chain(domain.chars()) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                name.extend_from_slice(&unit.to_le_bytes());
            }
        }
        ResponseKey(self.0.hmac(&[&name]))
    }
}

/// The key of one person, under one password, in one domain.
pub(super) struct ResponseKey(Key);

impl ResponseKey {
    /// The proof that `response` answers `challenge` (`NTProofStr`).
    pub(super) fn proof(&self, challenge: [u8; 8], response: &[u8]) -> Proof {
        Proof(*self.0.hmac(&[&challenge, response]).bytes())
    }

    /// The key under which the session's own key travels: `SessionBaseKey`, which for `NTLMv2` is `KeyExchangeKey` as well.
    pub(super) fn exchange_key(&self, proof: &Proof) -> Key {
        self.0.hmac(&[&proof.0])
    }
}

/// What only who knows the password can compute. It travels in the open.
pub(super) struct Proof([u8; 16]);

impl Proof {
    /// The bytes to send.
    pub(super) const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// INVARIANT: compared in constant time, so that a wrong proof tells nothing about the right one.
    pub(super) fn is(&self, received: &[u8]) -> subtle::Choice {
        self.0.as_slice().ct_eq(received)
    }
}

/// Sixteen secret bytes, in a box so that moving them leaves no copy behind, and wiped in the end.
#[derive(Clone)]
pub(super) struct Key(Box<Zeroizing<[u8; 16]>>);

impl From<[u8; 16]> for Key {
    fn from(bytes: [u8; 16]) -> Self {
        Self(Box::new(Zeroizing::new(bytes)))
    }
}

impl Key {
    /// A key that nobody knows.
    pub(super) fn random() -> Result<Self, NtlmError> {
        let mut key = Self::from([0; 16]);
        fill(key.0.as_mut_slice())?;
        Ok(key)
    }

    /// HMAC-MD5 over all `parts`.
    pub(super) fn hmac(&self, parts: &[&[u8]]) -> Self {
        // A key shorter than the hash's block is filled up with zeros anyway (RFC 2104, section 2), and a whole block can't be refused.
        let mut block = Zeroizing::new([0_u8; 64]);
        for (to, from) in block.iter_mut().zip(self.0.iter()) {
            *to = *from;
        }
        let mut mac = Hmac::<Md5>::new((&*block).into());
        for part in parts {
            mac.update(part);
        }
        Self::from(<[u8; 16]>::from(mac.finalize().into_bytes()))
    }

    /// MD5 of the key and a `magic` text: how a session's key becomes four (SIGNKEY and SEALKEY with 128-bit keys).
    pub(super) fn derive(&self, magic: &[u8]) -> Self {
        Self::from(<[u8; 16]>::from(
            Md5::new().chain_update(self.0.as_slice()).chain_update(magic).finalize(),
        ))
    }

    /// RC4 from its beginning under this key.
    pub(super) fn cipher(&self) -> Rc4 {
        // RC4 repeats its key to 256 bytes: twice the same key is the same key, and 32 bytes can't be refused.
        let mut twice = Zeroizing::new([0_u8; 32]);
        for (to, from) in twice.iter_mut().zip(self.0.iter().chain(self.0.iter())) {
            *to = *from;
        }
        Rc4::new((&*twice).into())
    }

    /// `other` under this key, either way (RC4K).
    pub(super) fn exchange(&self, other: &Self) -> Self {
        let mut exchanged = other.clone();
        self.cipher().apply_keystream(exchanged.0.as_mut_slice());
        exchanged
    }

    /// The bytes, for a message or a digest that is not secret any more.
    pub(super) fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// INVARIANT: compared in constant time.
    pub(super) fn is(&self, received: &[u8]) -> bool {
        self.0.as_slice().ct_eq(received).into()
    }
}

/// MD5 of `parts`, where it protects nothing by itself.
pub(super) fn md5(parts: &[&[u8]]) -> [u8; 16] {
    parts.iter().fold(Md5::new(), |digest, part| digest.chain_update(part)).finalize().into()
}

/// Random bytes from the operating system.
pub(super) fn fill(bytes: &mut [u8]) -> Result<(), NtlmError> {
    getrandom::fill(bytes).map_err(|_| NtlmError::NoRandomness)
}

/// Upper case as Windows has it: one character for one.
pub(super) fn uppercase(c: char) -> char {
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(only), None) => only,
        (Some(_) | None, _) => c,
    }
}

/// `31d6cfe0d16ae931b73c59d7e0c089c0`.
const OF_THE_EMPTY_PASSWORD: [u8; 16] =
    [0x31, 0xd6, 0xcf, 0xe0, 0xd1, 0x6a, 0xe9, 0x31, 0xb7, 0x3c, 0x59, 0xd7, 0xe0, 0xc0, 0x89, 0xc0];
