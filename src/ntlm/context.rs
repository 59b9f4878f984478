//! What a finished handshake leaves: the only thing that seals ([MS-NLMP] section 3.4).

use super::NtlmError;
use super::crypto::Key;
use rc4::{Rc4, StreamCipher};
use zeroize::Zeroizing;

/// An established context.
///
/// INVARIANT: its first failure is its last call: after it, every call is refused with [`NtlmError::Ended`].
pub(crate) struct SecurityContext {
    directions: Option<Directions>,
    peers: Peers,
}

/// Who stands at the ends of a context.
pub(super) struct Peers {
    /// The account whose password was proved.
    pub(super) account: String,
    /// The service that the client said it wants.
    pub(super) target: String,
    /// Whether the proof covers the TLS channel.
    pub(super) channel_bound: bool,
}

/// A message that was sealed.
pub(crate) struct Sealed {
    /// The 16 bytes of the signature.
    pub(crate) header: Vec<u8>,
    /// As many bytes as the message had.
    pub(crate) data: Vec<u8>,
}

impl SecurityContext {
    pub(super) const fn new(directions: Directions, peers: Peers) -> Self {
        Self { directions: Some(directions), peers }
    }

    /// Encrypts and signs the next message.
    ///
    /// # Errors
    /// When the context has ended.
    pub(crate) fn seal(&mut self, plain: &[u8]) -> Result<Sealed, NtlmError> {
        let mut directions = self.directions.take().ok_or(NtlmError::Ended)?;
        let mut data = plain.to_vec();
        directions.sent.cipher.apply_keystream(&mut data);
        let header = directions.sent.signature(plain)?.to_vec();
        self.directions = Some(directions);
        Ok(Sealed { header, data })
    }

    /// The next message, if it is the next one and as it was sealed.
    ///
    /// # Errors
    /// When it is not, or the context has ended.
    pub(crate) fn unseal(&mut self, header: &[u8], data: &[u8]) -> Result<Vec<u8>, NtlmError> {
        let mut directions = self.directions.take().ok_or(NtlmError::Ended)?;
        let mut plain = Zeroizing::new(data.to_vec());
        directions.received.cipher.apply_keystream(plain.as_mut_slice());
        directions.received.verify(&plain, header)?;
        self.directions = Some(directions);
        Ok(std::mem::take(&mut *plain))
    }

    /// The account whose password was proved: as the table writes it where we verified, as the credentials name it where we proved.
    pub(crate) fn account(&self) -> &str {
        &self.peers.account
    }

    /// The service that the client said it wants, such as `HTTP/gateway.example.test`; empty where it did not say.
    pub(crate) fn target(&self) -> &str {
        &self.peers.target
    }

    /// Whether the proof covers the TLS channel that it came through.
    pub(crate) const fn is_channel_bound(&self) -> bool {
        self.peers.channel_bound
    }
}

/// The two streams of a session.
pub(super) struct Directions {
    pub(super) sent: Direction,
    pub(super) received: Direction,
}

impl Directions {
    /// The streams as the client sees them.
    pub(super) fn of_client(session_key: &Key) -> Self {
        Self { sent: Direction::from_client(session_key), received: Direction::from_server(session_key) }
    }

    /// The streams as the server sees them.
    pub(super) fn of_server(session_key: &Key) -> Self {
        Self { sent: Direction::from_server(session_key), received: Direction::from_client(session_key) }
    }

    /// Signs the list of mechanisms, which takes the first number and leaves the cipher at its beginning ([MS-SPNG] section 3.3.5.1).
    pub(super) fn sign_mechanisms(&mut self, list: &[u8]) -> Result<[u8; 16], NtlmError> {
        let signature = self.sent.signature(list)?;
        self.sent.restart_cipher();
        Ok(signature)
    }

    /// Whether the peer signed this list of mechanisms.
    pub(super) fn verify_mechanisms(&mut self, list: &[u8], signature: &[u8]) -> Result<(), NtlmError> {
        self.received.verify(list, signature).map_err(|_| NtlmError::WrongMechListMic)?;
        self.received.restart_cipher();
        Ok(())
    }
}

/// One direction: its keys, how far its cipher has come, and its next number.
pub(super) struct Direction {
    sign: Key,
    seal: Key,
    /// In a box, so that moving it leaves no copy behind.
    cipher: Box<Rc4>,
    /// `None` when the last number is used up.
    next: Option<u32>,
}

impl Direction {
    fn from_client(session_key: &Key) -> Self {
        Self::new(session_key.derive(CLIENT_SIGNS), session_key.derive(CLIENT_SEALS))
    }

    fn from_server(session_key: &Key) -> Self {
        Self::new(session_key.derive(SERVER_SIGNS), session_key.derive(SERVER_SEALS))
    }

    fn new(sign: Key, seal: Key) -> Self {
        let cipher = Box::new(seal.cipher());
        Self { sign, seal, cipher, next: Some(0) }
    }

    /// The signature of the next message. Where the message is sealed, it must have been through the cipher before.
    fn signature(&mut self, plain: &[u8]) -> Result<[u8; 16], NtlmError> {
        let number = self.next.ok_or(NtlmError::Ended)?;
        self.next = number.checked_add(1);
        let mac = self.sign.hmac(&[&number.to_le_bytes(), plain]);
        let [a, b, c, d, e, f, g, h, ..] = *mac.bytes();
        let mut checksum = [a, b, c, d, e, f, g, h];
        self.cipher.apply_keystream(&mut checksum);
        let mut signature = [0; 16];
        let parts = VERSION.iter().chain(&checksum);
        for (to, from) in signature.iter_mut().zip(parts.copied().chain(number.to_le_bytes())) {
            *to = from;
        }
        Ok(signature)
    }

    /// INVARIANT: the signature is compared whole and in constant time.
    fn verify(&mut self, plain: &[u8], signature: &[u8]) -> Result<(), NtlmError> {
        let expected = self.signature(plain)?;
        if subtle::ConstantTimeEq::ct_eq(expected.as_slice(), signature).into() {
            return Ok(());
        }
        let same_number = expected.get(NUMBER) == signature.get(NUMBER);
        Err(if same_number { NtlmError::WrongSeal } else { NtlmError::OutOfSequence })
    }

    #[cfg(test)]
    pub(super) const fn next_is(&mut self, number: u32) {
        self.next = Some(number);
    }

    fn restart_cipher(&mut self) {
        *self.cipher = self.seal.cipher();
    }
}

const VERSION: [u8; 4] = [1, 0, 0, 0];
const NUMBER: std::ops::Range<usize> = 12..16;
const CLIENT_SIGNS: &[u8] = b"session key to client-to-server signing key magic constant\0";
const SERVER_SIGNS: &[u8] = b"session key to server-to-client signing key magic constant\0";
const CLIENT_SEALS: &[u8] = b"session key to client-to-server sealing key magic constant\0";
const SERVER_SEALS: &[u8] = b"session key to server-to-client sealing key magic constant\0";
