//! What one client connection has proved so far.

use std::{sync::Arc, time::Duration};

use rustls::pki_types::UnixTime;
use tokio::time::Instant;

use super::{
    CertificateError,
    certificate::{Trust, VerifiedCertificate},
    context::{Established, SealError, UnsealError, Unsealed},
    evidence::Proof,
    handshake::Half,
};
use crate::{
    listener::{ClientConnection, TlsFacts, TlsSnapshot},
    wsman::{Limits, sealed::Protocol},
};

/// What a client connection has proved so far; lives and dies with the task of that connection.
#[derive(Default)]
pub(crate) struct ConnectionProof {
    certificate: Option<Checked>,
    pub(super) negotiation: Negotiation,
}

/// How far the connection's own handshake is. A new one, or any error in it, replaces what there was.
#[derive(Default)]
pub(super) enum Negotiation {
    /// There is none.
    #[default]
    None,
    /// A leg is awaited.
    Half(Half),
    /// Both sides are done.
    Established(Box<Established>),
}

struct Checked {
    certificate: Arc<VerifiedCertificate>,
    generation: u64,
    at: Instant,
}

impl ConnectionProof {
    /// Whether there is a context that could open a sealed body.
    pub(crate) fn has_context(&self) -> bool {
        matches!(self.negotiation, Negotiation::Established(_))
    }

    /// Opens a sealed body. A body that can't be opened ends the context.
    ///
    /// # Errors
    /// When there is no context, or the body is not what the client sealed next.
    pub(crate) fn unseal(
        &mut self,
        content_type: &str,
        body: &[u8],
        limits: &Limits,
    ) -> Result<Unsealed, UnsealError> {
        let Negotiation::Established(mut established) = std::mem::take(&mut self.negotiation) else {
            return Err(UnsealError::NoContext);
        };
        let unsealed = established.unseal(content_type, body, limits)?;
        self.negotiation = Negotiation::Established(established);
        Ok(unsealed)
    }

    /// Seals an answer.
    ///
    /// # Errors
    /// When there is no context any more.
    pub(crate) fn seal(&mut self, protocol: Protocol, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        match &mut self.negotiation {
            Negotiation::Established(established) => established.seal(protocol, plain),
            Negotiation::None | Negotiation::Half(_) => Err(SealError::no_context()),
        }
    }

    /// The certificate that the client presented, if any.
    pub(super) fn presented(&mut self, client: &ClientConnection) -> Result<Option<Proof>, CertificateError> {
        match client.tls() {
            Some(tls) if !tls.client_chain.is_empty() => {
                self.certificate(tls, client.trust()).map(|certificate| Some(Proof::Certificate(certificate)))
            }
            Some(_) | None => Ok(None),
        }
    }

    /// The certificate of the connection, verified within the last minute and against the trust that is in force.
    pub(super) fn certificate(
        &mut self,
        tls: &TlsFacts,
        trust: Option<Arc<TlsSnapshot>>,
    ) -> Result<Arc<VerifiedCertificate>, CertificateError> {
        let trust = trust.ok_or(CertificateError::Unreadable)?;
        if let Some(checked) = &self.certificate
            && checked.generation == trust.generation()
            && checked.at.elapsed() < RECHECK
        {
            return Ok(Arc::clone(&checked.certificate));
        }
        self.certificate = None;
        let material = Trust { anchors: trust.client_anchors(), crls: trust.client_crls() };
        let certificate =
            Arc::new(VerifiedCertificate::verify(&tls.client_chain, material, UnixTime::now())?);
        self.certificate = Some(Checked {
            certificate: Arc::clone(&certificate),
            generation: trust.generation(),
            at: Instant::now(),
        });
        Ok(certificate)
    }

    /// Makes a handshake under way look older.
    #[cfg(test)]
    pub(super) fn began_earlier(&mut self, by: Duration) {
        if let Negotiation::Half(half) = &mut self.negotiation {
            half.began_earlier(by);
        }
    }
}

/// How long a verified certificate is believed on a connection.
const RECHECK: Duration = Duration::from_secs(60);
