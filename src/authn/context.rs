//! What a client connection has proved by a handshake, and what that seals.

use std::{sync::Arc, time::Instant};

use zeroize::Zeroizing;

use super::{Accept, AuthMethod, authorization::Scheme, evidence::{NtlmProof, Proof, TicketProof}};
use crate::{
    gssapi::{self, GssError},
    ntlm::{self, NtlmError},
    wsman::{
        Charset, Limits,
        sealed::{self, Protocol, SealedError},
    },
};

/// An established context of a client connection.
pub(super) struct Established {
    context: Context,
    scheme: Scheme,
    proof: Proof,
}

/// The mechanism's own context.
enum Context {
    Kerberos(gssapi::SecurityContext),
    Ntlm(ntlm::SecurityContext),
}

/// Why a sealed body is not read. The context is of no use afterwards.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnsealError {
    /// No context on this connection, or one of another scheme.
    #[error("the body is sealed, and this connection has no security context for it")]
    NoContext,
    /// The MIME around it.
    #[error("the sealed body is malformed")]
    Body(#[from] SealedError),
    /// Signed, and readable by everybody on the way.
    #[error("the body is signed and not encrypted")]
    IntegrityOnly,
    /// Changed, repeated, out of order, or sealed with other keys.
    #[error("the sealed body can't be opened")]
    Kerberos(#[source] GssError),
    /// The same, by NTLM.
    #[error("the sealed body can't be opened")]
    Ntlm(#[source] NtlmError),
}

impl UnsealError {
    /// Every reason, for registering metrics.
    pub(crate) const REASONS: [&'static str; 11] = [
        "sealed_without_context",
        "integrity_only",
        "not_unsealed",
        "sealed_content_type",
        "sealed_multi",
        "sealed_credssp",
        "sealed_truncated",
        "sealed_shape",
        "sealed_original_content",
        "sealed_too_large",
        "sealed_length",
    ];

    /// The reason in records and metrics.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::NoContext => "sealed_without_context",
            Self::Body(error) => error.reason(),
            Self::IntegrityOnly => "integrity_only",
            Self::Kerberos(_) | Self::Ntlm(_) => "not_unsealed",
        }
    }
}

/// An answer could not be sealed: the context has expired, or was lost.
#[derive(Debug, thiserror::Error)]
#[error("the answer can't be sealed")]
pub(crate) struct SealError(#[source] Option<GssError>);

/// A request's clear bytes, and how its answer is to be sealed.
pub(crate) struct Unsealed {
    /// The clear bytes.
    pub(crate) plain: Vec<u8>,
    /// The character set that the outside of the seal claims.
    pub(crate) charset: Charset,
    /// The protocol value that the client used: the answer's is the same.
    pub(crate) protocol: Protocol,
}

impl Established {
    /// By Kerberos, under `scheme`.
    pub(super) fn kerberos(context: gssapi::SecurityContext, scheme: Scheme, proof: TicketProof) -> Self {
        Self { context: Context::Kerberos(context), scheme, proof: Proof::Ticket(Arc::new(proof)) }
    }

    /// By NTLM.
    pub(super) fn ntlm(context: ntlm::SecurityContext, proof: NtlmProof) -> Self {
        Self { context: Context::Ntlm(context), scheme: Scheme::Negotiate, proof: Proof::Ntlm(Arc::new(proof)) }
    }

    /// What it proves.
    pub(super) const fn proof(&self) -> &Proof {
        &self.proof
    }

    /// The method as which it counts among those in `accept`.
    ///
    /// Kerberos under the scheme `Negotiate` is what that method prefers, so it counts where a route accepts `negotiate` alone.
    pub(super) fn method(&self, accept: &Accept) -> Option<AuthMethod> {
        let candidates: &[AuthMethod] = match (&self.context, self.scheme) {
            (Context::Kerberos(_), Scheme::Negotiate) => &[AuthMethod::Kerberos, AuthMethod::Negotiate],
            (Context::Kerberos(_), Scheme::Kerberos) => &[AuthMethod::Kerberos],
            (Context::Ntlm(_), _) => &[AuthMethod::Negotiate],
        };
        candidates.iter().copied().find(|method| accept.contains(*method))
    }

    /// Whether the ticket behind it has run out.
    pub(super) fn has_expired(&self) -> bool {
        match &self.context {
            Context::Kerberos(context) => Instant::now() >= context.expires(),
            Context::Ntlm(_) => false,
        }
    }

    /// Opens a sealed body.
    pub(super) fn unseal(
        &mut self,
        content_type: &str,
        body: &[u8],
        limits: &Limits,
    ) -> Result<Unsealed, UnsealError> {
        let parts = sealed::decode(content_type, body, limits)?;
        // A client of the scheme Kerberos may write the other value, as pywinrm does; one of Negotiate has no reason to.
        if !matches!((self.scheme, parts.protocol), (_, Protocol::Spnego) | (Scheme::Kerberos, Protocol::Kerberos)) {
            return Err(UnsealError::NoContext);
        }
        let mut plain = Zeroizing::new(match &mut self.context {
            Context::Kerberos(context) => context.unseal(parts.header, parts.data).map_err(|error| {
                if error == GssError::NotSealed { UnsealError::IntegrityOnly } else { UnsealError::Kerberos(error) }
            })?,
            Context::Ntlm(context) => context.unseal(parts.header, parts.data).map_err(UnsealError::Ntlm)?,
        });
        parts.check_length(plain.len())?;
        Ok(Unsealed { plain: std::mem::take(&mut *plain), charset: parts.charset, protocol: parts.protocol })
    }

    /// Seals an answer.
    pub(super) fn seal(&mut self, protocol: Protocol, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let (header, data) = match &mut self.context {
            Context::Kerberos(context) => {
                let sealed = context.seal(plain).map_err(|error| SealError(Some(error)))?;
                (sealed.header, sealed.data)
            }
            Context::Ntlm(context) => {
                let sealed = context.seal(plain).map_err(|_| SealError(None))?;
                (sealed.header, sealed.data)
            }
        };
        Ok(sealed::encode(protocol, Charset::Utf8, plain.len(), &header, &data))
    }
}

impl SealError {
    /// The connection has no context any more.
    pub(super) const fn no_context() -> Self {
        Self(None)
    }
}
