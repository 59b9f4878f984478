//! A connection on which requests may go, and what each of them carries.

use bytes::Bytes;
use secrecy::SecretString;
use tokio::time::Instant;

use super::{
    digest::{Digest, DigestError, Memory},
    http::SOAP,
    key::HostKey,
    seal::{Seal, SealError},
    wire::Wire,
};
use crate::wsman::{
    Charset,
    sealed::{self, Protocol},
};

/// A connection whose host is the one that was asked for.
///
/// INVARIANT (I4): only [`Handshake::run`](super::handshake::Handshake::run) makes one: after the host's last token was checked, or its certificate, or
/// with the configuration's word that this destination need prove nothing. Only on one does a body leave.
pub(super) struct Proved {
    pub(super) wire: Wire,
    pub(super) guard: Guard,
    pub(super) until: Instant,
    /// Whether the gateway goes there as an account of the host's own, by its password.
    pub(super) local: bool,
}

/// What says on each request who is there.
pub(super) enum Guard {
    /// The security context seals every body.
    Sealed(Seal, Protocol),
    /// The connection itself, inside TLS.
    Connection,
    /// The same words every time.
    Words(SecretString),
    /// An answer to the host's challenge.
    Digest(Box<Digest>),
}

impl Proved {
    /// When it must not be used any more, at the latest.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// Whether bodies are sealed on it.
    pub(super) fn seals(&self) -> bool {
        matches!(self.guard, Guard::Sealed(..))
    }

    /// Whether who is there was proved once, for the connection; a host that forgot that reads nothing of a request.
    pub(super) fn is_connection_bound(&self) -> bool {
        match self.guard {
            Guard::Sealed(..) | Guard::Connection => true,
            Guard::Words(_) | Guard::Digest(_) => false,
        }
    }

    /// The body that `plain` becomes here, and its content type.
    pub(super) fn protect(&mut self, plain: &Bytes) -> Result<(&'static str, Bytes), SealError> {
        let Guard::Sealed(seal, protocol) = &mut self.guard else { return Ok((SOAP, plain.clone())) };
        let (header, data) = seal.seal(plain)?;
        let body = sealed::encode(*protocol, Charset::Utf8, plain.len(), &header, &data);
        Ok((sealed::content_type(*protocol), body.into()))
    }

    /// The `Authorization` of the next request, for `uri`.
    pub(super) fn authorization(&mut self, uri: &str) -> Result<Option<SecretString>, DigestError> {
        match &mut self.guard {
            Guard::Sealed(..) | Guard::Connection => Ok(None),
            Guard::Words(words) => Ok(Some(words.clone())),
            Guard::Digest(digest) => digest.authorize(uri).map(Some),
        }
    }

    /// Whether the host wants the same request with a new nonce, of which note is taken.
    pub(super) fn renew(
        &mut self,
        challenges: &[String],
        memory: (&Memory, &HostKey),
    ) -> Result<bool, DigestError> {
        match &mut self.guard {
            Guard::Digest(digest) => digest.renew(challenges, memory),
            Guard::Sealed(..) | Guard::Connection | Guard::Words(_) => Ok(false),
        }
    }

    /// Checks what the host says of itself beside its answer.
    pub(super) fn check(&self, info: Option<&str>) -> Result<(), DigestError> {
        match &self.guard {
            Guard::Digest(digest) => digest.check(info),
            Guard::Sealed(..) | Guard::Connection | Guard::Words(_) => Ok(()),
        }
    }

    /// What a sealed answer says.
    pub(super) fn unseal(&mut self, header: &[u8], data: &[u8]) -> Result<Vec<u8>, SealError> {
        match &mut self.guard {
            Guard::Sealed(seal, _) => seal.unseal(header, data),
            Guard::Connection | Guard::Words(_) | Guard::Digest(_) => {
                Err(SealError::Gss(crate::gssapi::GssError::NotSealed))
            }
        }
    }
}
