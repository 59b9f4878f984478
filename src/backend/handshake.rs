//! The proof on a fresh connection: who the gateway is, and who the host is ([MS-WSMV] 2.2.9.1, RFC 4559).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use std::time::Duration;
use tokio::time::Instant;

use super::{
    dial::Dialled,
    error::{BackendError, HandshakeCause},
    http::{RequestHead, SOAP},
    stats::Open,
    wire::{Unread, Wire},
};
use crate::{
    gssapi::{
        ChannelBindings, Credential, Door, GssError, Initiated, Initiator, Mechanism, Sealed, SecurityContext,
    },
    policy::{BackendAuth, Endpoint, Spn},
    wsman::{
        Charset,
        sealed::{self, Protocol},
    },
};

/// A connection whose host has proved that it is the one that was asked for.
///
/// INVARIANT (I4): only [`Handshake::run`] makes one, after the host's last token was checked, and only on one does a body leave.
pub(super) struct Proved {
    pub(super) wire: Wire,
    context: SecurityContext,
    protocol: Option<Protocol>,
    until: Instant,
}

impl Proved {
    /// When it must not be used any more, at the latest.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// Whether bodies are sealed on it; inside TLS they are not.
    pub(super) fn seals(&self) -> bool {
        self.protocol.is_some()
    }

    /// The body that `plain` becomes here, and its content type.
    pub(super) fn protect(&mut self, plain: &Bytes) -> Result<(&'static str, Bytes), GssError> {
        let Some(protocol) = self.protocol else { return Ok((SOAP, plain.clone())) };
        let Sealed { header, data } = self.context.seal(plain)?;
        let body = sealed::encode(protocol, Charset::Utf8, plain.len(), &header, &data);
        Ok((sealed::content_type(protocol), body.into()))
    }

    /// What a sealed answer says.
    pub(super) fn unseal(&mut self, header: &[u8], data: &[u8]) -> Result<Vec<u8>, GssError> {
        self.context.unseal(header, data)
    }
}

/// A handshake as it is configured; what the host offers changes nothing about it (I5).
pub(super) struct Handshake<'a> {
    pub(super) door: &'a Door,
    pub(super) credential: &'a Credential,
    pub(super) endpoint: &'a Endpoint,
    pub(super) spn: &'a Spn,
    pub(super) auth: BackendAuth,
    /// When what is known of the person must be asked for anew.
    pub(super) until: Instant,
    /// How long the host may take for each leg.
    pub(super) patience: Duration,
}

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

/// The host's part of a leg.
struct Reply {
    status: u16,
    token: Option<Vec<u8>>,
    keep_alive: bool,
}

impl Handshake<'_> {
    /// Shakes hands, without any body.
    ///
    /// # Errors
    /// Where the host does not prove who it is, or does not let the gateway in.
    pub(super) async fn run(&self, dialled: Dialled, open: Open) -> Result<Proved, BackendError> {
        let begun = |source| BackendError::Handshake { spn: Box::new(self.spn.clone()), source };
        let bindings = dialled.certificate.as_deref().map(ChannelBindings::tls_server_end_point).transpose();
        let bindings = bindings.map_err(|error| begun(HandshakeCause::Bindings(error)))?;
        let (mechanism, protocol) = match self.auth {
            BackendAuth::Kerberos => (Mechanism::Krb5, Protocol::Kerberos),
            BackendAuth::Negotiate => (Mechanism::Spnego, Protocol::Spnego),
        };
        let first =
            self.door.initiate(self.credential, &self.spn.to_string(), mechanism, bindings.as_ref()).await;
        let (initiator, mut token) = first.map_err(|error| begun(HandshakeCause::Gss(error)))?;
        let mut side = Side::Waiting(initiator);
        let protocol = dialled.certificate.is_none().then_some(protocol);
        let mut wire = Wire::new(dialled.transport, open);
        for _ in 0..MOST_LEGS {
            let reply = self.leg(&mut wire, &token).await?;
            let keep_alive = reply.keep_alive;
            match self.advance(side, reply)? {
                Progress::Next(next, answer) => (side, token) = (next, answer),
                Progress::Proved(_) if !keep_alive || !wire.is_quiet() => return Err(self.closed()),
                Progress::Proved(context) => {
                    let until = self.until(&context);
                    return Ok(Proved { wire, context, protocol, until });
                }
            }
        }
        Err(self.unexpected("it takes more than three legs"))
    }

    /// One empty request with a token, and the answer to it.
    async fn leg(&self, wire: &mut Wire, token: &[u8]) -> Result<Reply, BackendError> {
        let authorization = format!("{} {}", self.scheme(), STANDARD.encode(token));
        let head = RequestHead {
            endpoint: self.endpoint,
            ps_version: None,
            content_type: SOAP,
            content_length: 0,
            authorization: Some(&authorization),
        };
        wire.send(head.to_text(), &[], self.patience).await.map_err(|_| self.closed())?;
        let deadline = Instant::now() + self.patience;
        let mut head = wire.read_head(deadline).await.map_err(|error| self.unread(error))?;
        let mut size = 0;
        while let Some(bytes) =
            wire.read_body(&mut head.body, deadline).await.map_err(|error| self.unread(error))?
        {
            size += bytes.len();
            if size > MOST_BODY {
                return Err(self.unexpected("it answers an empty request with a long body"));
            }
        }
        let token = self.token(&head.challenges)?;
        Ok(Reply { status: head.status, token, keep_alive: head.keep_alive })
    }

    fn advance(&self, side: Side, reply: Reply) -> Result<Progress, BackendError> {
        let (endpoint, spn) = (|| self.endpoint.clone(), || Box::new(self.spn.clone()));
        let rejected = |source| BackendError::Rejected { endpoint: endpoint(), source };
        match (reply.status, side, reply.token) {
            (200, Side::Waiting(initiator), Some(token)) => match initiator.step(&token) {
                Ok(Initiated::Established(context, None)) => Ok(Progress::Proved(context)),
                Ok(Initiated::Established(_, Some(_)) | Initiated::Continue(..)) => {
                    Err(self.unexpected("it ends the handshake although it is not finished"))
                }
                Err(error) => {
                    Err(BackendError::NotProved { endpoint: endpoint(), spn: spn(), source: Box::new(error) })
                }
            },
            (200, Side::Waiting(_), None) => Err(BackendError::NoProof { endpoint: endpoint(), spn: spn() }),
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
                    Err(error) => Err(rejected(Some(Box::new(error)))),
                }
            }
            (401, _, _) => Err(rejected(None)),
            (status, _, _) => Err(BackendError::HandshakeStatus { endpoint: endpoint(), status }),
        }
    }

    /// The host's token under our scheme; the bare name of a scheme is an offer, which nothing follows from.
    fn token(&self, challenges: &[String]) -> Result<Option<Vec<u8>>, BackendError> {
        let ours = |challenge: &String| {
            let (scheme, token) = challenge.split_once(' ')?;
            scheme.eq_ignore_ascii_case(self.scheme()).then(|| token.trim().to_owned())
        };
        let mut tokens = challenges.iter().filter_map(ours).filter(|token| !token.is_empty());
        let Some(token) = tokens.next() else { return Ok(None) };
        if tokens.next().is_some() {
            return Err(self.unexpected("it sends several tokens at once"));
        }
        let decoded = STANDARD.decode(&token).map_err(|_| self.unexpected("its token is not base64"))?;
        Ok(Some(decoded))
    }

    fn scheme(&self) -> &'static str {
        match self.auth {
            BackendAuth::Kerberos => "Kerberos",
            BackendAuth::Negotiate => "Negotiate",
        }
    }

    /// I8: a connection does not outlive what proved its identity, nor ten minutes.
    fn until(&self, context: &SecurityContext) -> Instant {
        Instant::from_std(context.expires()).min(self.until).min(Instant::now() + MOST_AGE)
    }

    fn closed(&self) -> BackendError {
        BackendError::ClosedAfterHandshake { endpoint: self.endpoint.clone() }
    }

    fn unexpected(&self, problem: &'static str) -> BackendError {
        BackendError::UnexpectedLeg { endpoint: self.endpoint.clone(), problem }
    }

    /// Nothing can have been carried out yet, which the errors of a request leave open.
    fn unread(&self, error: Unread) -> BackendError {
        match error {
            Unread::Broken(_) => error.at(self.endpoint),
            Unread::Lost { .. } => self.closed(),
            Unread::TimedOut => BackendError::ConnectTimedOut { endpoint: self.endpoint.clone() },
        }
    }
}

const MOST_LEGS: usize = 3;
/// What a host may say beside the token of a leg; most say nothing.
const MOST_BODY: usize = 16 * 1024;
const MOST_AGE: Duration = Duration::from_secs(600);
