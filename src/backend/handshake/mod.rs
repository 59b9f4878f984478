//! The proof on a fresh connection: who the gateway is, and who the host is ([MS-WSMV] 2.2.9.1, RFC 4559).

mod kerberos;
mod ntlm;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret as _, SecretString};
use std::time::Duration;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::{
    dial::Dialled,
    digest::{Digest, DigestError, Memory, offered},
    error::{BackendError, HandshakeCause},
    http::{Head, RequestHead, SOAP},
    key::HostKey,
    proved::{Guard, Proved},
    seal::{Seal, SealError},
    stats::Open,
    wire::{Unread, Wire},
};
use crate::{
    credential::{Login, Means},
    gssapi::{ChannelBindings, Door},
    policy::{BackendAuth, Endpoint, HostProof},
    wsman::sealed::Protocol,
};

/// A handshake as it is configured; what the host offers changes nothing about it (I5).
pub(super) struct Handshake<'a> {
    pub(super) door: &'a Door,
    pub(super) means: Means<'a>,
    pub(super) endpoint: &'a Endpoint,
    pub(super) auth: BackendAuth,
    /// By what it is settled who the host is.
    pub(super) proof: &'a HostProof,
    /// What hosts asked for by Digest before.
    pub(super) memory: (&'a Memory, HostKey),
    /// When what is known of the person must be asked for anew.
    pub(super) until: Instant,
    /// How long the host may take for each leg.
    pub(super) patience: Duration,
}

/// The host's part of a leg.
struct Reply {
    status: u16,
    challenges: Vec<String>,
    keep_alive: bool,
}

/// What a handshake came to: what guards the requests, and until when by its own reckoning.
struct Ended {
    guard: Guard,
    until: Option<Instant>,
}

impl Handshake<'_> {
    /// Shakes hands, without any body.
    ///
    /// # Errors
    /// Where the host does not prove who it is, or does not let the gateway in.
    pub(super) async fn run(&self, dialled: Dialled, open: Open) -> Result<Proved, BackendError> {
        let bindings = dialled.certificate.as_deref().map(ChannelBindings::tls_server_end_point).transpose();
        let bindings = bindings.map_err(|error| not_begun("the host", HandshakeCause::Bindings(error)))?;
        if !self.auth.is_kerberos() {
            self.assure(bindings.is_some())?;
        }
        let mut wire = Wire::new(dialled.transport, open);
        let local = matches!(self.means, Means::Password(login) if login.is_local());
        let ended = match (self.auth, self.means) {
            (BackendAuth::Kerberos | BackendAuth::Negotiate, Means::Ticket { credential, spn }) => {
                self.kerberos(&mut wire, (credential, spn), bindings.as_ref()).await?
            }
            (BackendAuth::Ntlm, Means::Password(login)) => {
                self.ntlm(&mut wire, login, bindings.as_ref()).await?
            }
            (BackendAuth::Basic, Means::Password(login)) => Ended::each_request(Guard::Words(basic(login))),
            (BackendAuth::Digest, Means::Password(login)) => self.digest(&mut wire, login).await?,
            (BackendAuth::Certificate, Means::Certificate(_)) => {
                if !dialled.showed_certificate {
                    return Err(self.downgraded("TLS without a client certificate".to_owned()));
                }
                Ended::each_request(Guard::Words(MUTUAL_PROFILE.into()))
            }
            (_, Means::Ticket { .. } | Means::Password(_) | Means::Certificate(_)) => {
                return Err(BackendError::Unsuited { endpoint: self.endpoint.clone() });
            }
        };
        let until = self.until(ended.until);
        Ok(Proved { wire, guard: ended.guard, until, local })
    }

    /// INVARIANT (I4): a host that will prove nothing by a ticket has proved its name by TLS, or is listed in `trusted_hosts`, here and now.
    fn assure(&self, tls: bool) -> Result<(), BackendError> {
        match self.proof {
            HostProof::Tls if tls => Ok(()),
            HostProof::Trusted(host) if host.is(self.endpoint) => Ok(()),
            HostProof::Tls | HostProof::Trusted(_) | HostProof::Ticket => {
                Err(BackendError::NotTrusted { endpoint: self.endpoint.clone() })
            }
        }
    }

    /// Asks the host what it wants to be answered.
    async fn digest(&self, wire: &mut Wire, login: &Login) -> Result<Ended, BackendError> {
        let reply = self.leg(wire, None).await?;
        if reply.status != 401 {
            let status = reply.status;
            return Err(BackendError::HandshakeStatus { endpoint: self.endpoint.clone(), status });
        }
        let memory = (self.memory.0, &self.memory.1);
        let digest = Digest::begin(login, &reply.challenges, memory)
            .map_err(|error| self.challenged(&reply, error))?;
        self.may_go_on(wire, reply.keep_alive)?;
        Ok(Ended::each_request(Guard::Digest(Box::new(digest))))
    }

    fn challenged(&self, reply: &Reply, error: DigestError) -> BackendError {
        match error {
            DigestError::NoChallenge => self.rejected(&reply.challenges, None),
            source @ (DigestError::Malformed
            | DigestError::Unsupported(_)
            | DigestError::Weaker
            | DigestError::Replayed
            | DigestError::OtherRealm
            | DigestError::WrongProof
            | DigestError::Name
            | DigestError::Exhausted) => BackendError::Digest { endpoint: self.endpoint.clone(), source },
        }
    }

    /// One empty request, with a token where there is one, and the answer to it.
    async fn leg(&self, wire: &mut Wire, token: Option<&[u8]>) -> Result<Reply, BackendError> {
        let authorization = token.map(|token| format!("{} {}", scheme(self.auth), STANDARD.encode(token)));
        let head = RequestHead {
            endpoint: self.endpoint,
            ps_version: None,
            content_type: SOAP,
            content_length: 0,
            authorization: authorization.as_deref(),
        };
        wire.send(head.to_text(), &[], self.patience).await.map_err(|_| self.closed())?;
        let deadline = Instant::now() + self.patience;
        let mut head = wire.read_head(deadline).await.map_err(|error| self.unread(error))?;
        self.drain(wire, &mut head, deadline).await?;
        Ok(Reply { status: head.status, challenges: head.challenges, keep_alive: head.keep_alive })
    }

    async fn drain(&self, wire: &mut Wire, head: &mut Head, deadline: Instant) -> Result<(), BackendError> {
        let mut size = 0;
        while let Some(bytes) =
            wire.read_body(&mut head.body, deadline).await.map_err(|error| self.unread(error))?
        {
            size += bytes.len();
            if size > MOST_BODY {
                return Err(self.unexpected("it answers an empty request with a long body"));
            }
        }
        Ok(())
    }

    /// The host's token under our scheme; the bare name of a scheme is an offer, which nothing follows from.
    fn token(&self, challenges: &[String]) -> Result<Option<Vec<u8>>, BackendError> {
        let ours = |challenge: &String| {
            let (name, token) = challenge.split_once(' ')?;
            name.eq_ignore_ascii_case(scheme(self.auth)).then(|| token.trim().to_owned())
        };
        let mut tokens = challenges.iter().filter_map(ours).filter(|token| !token.is_empty());
        let Some(token) = tokens.next() else { return Ok(None) };
        if tokens.next().is_some() {
            return Err(self.unexpected("it sends several tokens at once"));
        }
        let decoded = STANDARD.decode(&token).map_err(|_| self.unexpected("its token is not base64"))?;
        Ok(Some(decoded))
    }

    /// I8: a connection does not outlive what proved its identity, nor ten minutes.
    fn until(&self, context: Option<Instant>) -> Instant {
        context.into_iter().fold(self.until.min(Instant::now() + MOST_AGE), Instant::min)
    }

    fn may_go_on(&self, wire: &mut Wire, keep_alive: bool) -> Result<(), BackendError> {
        if keep_alive && wire.is_quiet() { Ok(()) } else { Err(self.closed()) }
    }

    /// The host answered 401, and listed `challenges`.
    fn rejected(&self, challenges: &[String], source: Option<SealError>) -> BackendError {
        let local = matches!(self.means, Means::Password(login) if login.is_local());
        rejected((self.endpoint, self.auth, local), challenges, source)
    }

    fn downgraded(&self, offered: String) -> BackendError {
        BackendError::Downgrade { endpoint: self.endpoint.clone(), wanted: scheme(self.auth), offered }
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

impl Ended {
    const fn each_request(guard: Guard) -> Self {
        Self { guard, until: None }
    }

    /// A context that seals where there is no TLS to do it.
    fn by_context(seal: Seal, protocol: Protocol, tls: bool, until: Option<Instant>) -> Self {
        let guard = if tls { Guard::Connection } else { Guard::Sealed(seal, protocol) };
        Self { guard, until }
    }
}

/// What a 401 means: the configured scheme was refused, or it is not even offered. What else is offered is for the record alone (I5).
pub(super) fn rejected(
    (endpoint, auth, local): (&Endpoint, BackendAuth, bool),
    challenges: &[String],
    source: Option<SealError>,
) -> BackendError {
    let (endpoint, wanted, offered) = (endpoint.clone(), scheme(auth), offered(challenges));
    let listed = offered.iter().any(|scheme| scheme.eq_ignore_ascii_case(wanted));
    if offered.is_empty() || listed || auth == BackendAuth::Certificate {
        return BackendError::Rejected { endpoint, local, source: source.map(Box::new) };
    }
    BackendError::Downgrade { endpoint, wanted, offered: offered.join(", ") }
}

/// No handshake with `target` could even begin.
fn not_begun(target: &str, source: HandshakeCause) -> BackendError {
    BackendError::Handshake { target: target.to_owned(), source }
}

/// The scheme under which a method travels.
fn scheme(auth: BackendAuth) -> &'static str {
    match auth {
        BackendAuth::Kerberos => "Kerberos",
        BackendAuth::Negotiate | BackendAuth::Ntlm => "Negotiate",
        BackendAuth::Basic => "Basic",
        BackendAuth::Digest => "Digest",
        BackendAuth::Certificate => "a client certificate",
    }
}

/// RFC 7617.
fn basic(login: &Login) -> SecretString {
    let pair = Zeroizing::new(format!("{}:{}", login.sent(), login.password().expose_secret()));
    let encoded = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
    SecretString::from(format!("Basic {}", encoded.as_str()))
}

/// The whole value of `Authorization` where the TLS certificate counts (DSP0226 C.4).
const MUTUAL_PROFILE: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual";
const MOST_LEGS: usize = 3;
/// What a host may say beside the token of a leg; most say nothing.
const MOST_BODY: usize = 16 * 1024;
const MOST_AGE: Duration = Duration::from_secs(600);
