//! Kerberos, bare or inside SPNEGO: the host proves itself by a ticket.

use tokio::time::Instant;

use super::{Ended, Handshake, MOST_LEGS, Reply, not_begun};
use crate::{
    backend::{
        error::{BackendError, HandshakeCause},
        seal::Seal,
        wire::Wire,
    },
    gssapi::{ChannelBindings, Credential, GssError, Initiated, Initiator, Mechanism, SecurityContext},
    policy::{BackendAuth, Spn},
    wsman::sealed::Protocol,
};

/// How far our side is.
enum Side {
    /// The host's token is awaited.
    Waiting(Initiator),
    /// The host has proved itself; our last token is on its way.
    Finished(SecurityContext),
}

/// What an answer led to.
enum Progress {
    Next(Side, Vec<u8>),
    Proved(SecurityContext),
}

impl Handshake<'_> {
    /// The context, once both sides have proved who they are.
    pub(super) async fn kerberos(
        &self,
        wire: &mut Wire,
        (credential, spn): (&Credential, &Spn),
        bindings: Option<&ChannelBindings>,
    ) -> Result<Ended, BackendError> {
        let (mechanism, protocol) = if self.auth == BackendAuth::Kerberos {
            (Mechanism::Krb5, Protocol::Kerberos)
        } else {
            (Mechanism::Spnego, Protocol::Spnego)
        };
        let target = spn.to_string();
        let first = self.door.initiate(credential, &target, mechanism, bindings).await;
        let (initiator, mut token) = first.map_err(|error| not_begun(&target, HandshakeCause::Gss(error)))?;
        let mut side = Side::Waiting(initiator);
        for _ in 0..MOST_LEGS {
            let reply = self.leg(wire, Some(&token)).await?;
            let keep_alive = reply.keep_alive;
            match self.advance(side, &reply, spn)? {
                Progress::Next(next, answer) => (side, token) = (next, answer),
                Progress::Proved(context) => {
                    self.may_go_on(wire, keep_alive)?;
                    let until = Some(Instant::from_std(context.expires()));
                    return Ok(Ended::by_context(Seal::Gss(context), protocol, bindings.is_some(), until));
                }
            }
        }
        Err(self.unexpected("it takes more than three legs"))
    }

    fn advance(&self, side: Side, reply: &Reply, spn: &Spn) -> Result<Progress, BackendError> {
        let (endpoint, theirs) = (|| self.endpoint.clone(), || Box::new(spn.clone()));
        let token = self.token(&reply.challenges)?;
        let rejected = |source: Option<GssError>| self.rejected(&reply.challenges, source.map(Into::into));
        match (reply.status, side, token) {
            (200, Side::Waiting(initiator), Some(token)) => match initiator.step(&token) {
                Ok(Initiated::Established(context, None)) => Ok(Progress::Proved(context)),
                Ok(Initiated::Established(_, Some(_)) | Initiated::Continue(..)) => {
                    Err(self.unexpected("it ends the handshake although it is not finished"))
                }
                Err(error) => {
                    let source = Box::new(error);
                    Err(BackendError::NotProved { endpoint: endpoint(), spn: theirs(), source })
                }
            },
            (200, Side::Waiting(_), None) => {
                Err(BackendError::NoProof { endpoint: endpoint(), spn: theirs() })
            }
            (200, Side::Finished(context), None) => Ok(Progress::Proved(context)),
            (200, Side::Finished(_), Some(_)) => {
                Err(self.unexpected("it goes on although the handshake is finished"))
            }
            (401, Side::Waiting(initiator), Some(token)) if self.auth == BackendAuth::Negotiate => {
                match initiator.step(&token) {
                    Ok(Initiated::Continue(next, token)) => Ok(Progress::Next(Side::Waiting(next), token)),
                    Ok(Initiated::Established(context, Some(token))) => {
                        Ok(Progress::Next(Side::Finished(context), token))
                    }
                    Ok(Initiated::Established(_, None)) => Err(rejected(None)),
                    Err(error) => Err(rejected(Some(error))),
                }
            }
            (401, _, _) => Err(rejected(None)),
            (status, _, _) => Err(BackendError::HandshakeStatus { endpoint: endpoint(), status }),
        }
    }
}
