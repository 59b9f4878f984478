//! Handshakes with clients: SPNEGO, Kerberos and NTLM, leg by leg.
//!
//! INVARIANT: half a handshake is a value of its connection's task. It is taken out before a leg is judged, so that an error, a cancelled
//! request, or anything that is not its continuation destroys it.

use std::sync::Arc;

use rustls::pki_types::UnixTime;
use tokio::time::{Duration, Instant};

use super::{
    Accept, AuthMethod, Realms,
    authenticator::CbtHardening,
    authorization::Scheme,
    basic::{Guard, Source},
    challenge::Unproved,
    context::Established,
    entrance::Entrances,
    evidence::{NtlmProof, TicketProof},
    keys::Keys,
    local::LocalAccounts,
};
use crate::{
    gssapi::{self, ChannelBindings, Class, Door, GssError},
    listener::ClientConnection,
    ntlm::{self, FileTime, NtlmError},
};

/// Takes clients' tokens.
#[derive(Debug)]
pub(super) struct Handshakes {
    pub(super) door: Arc<Door>,
    pub(super) keys: Option<Arc<Keys>>,
    pub(super) local: Option<Arc<LocalAccounts>>,
    pub(super) cbt: CbtHardening,
    pub(super) realms: Realms,
    pub(super) entrances: Entrances,
    pub(super) guard: Arc<Guard>,
}

/// A handshake in which it is the client's turn.
pub(super) struct Half {
    acceptor: Acceptor,
    scheme: Scheme,
    legs: usize,
    began: Instant,
}

enum Acceptor {
    Kerberos(gssapi::Acceptor),
    Ntlm(Box<ntlm::Acceptor>),
}

/// Where a leg led.
pub(super) enum Leg {
    /// The client has proved something; a last token may be left to send.
    Established(Box<Established>, Option<Vec<u8>>),
    /// This token goes out, and another is awaited.
    Continue(Half, Vec<u8>),
}

/// Why a leg led nowhere.
pub(super) enum Failed {
    /// The client proved nothing.
    Unproved(Unproved),
    /// The gateway could not look: its threads are busy, or its keys can't be read.
    Unavailable(GssError),
}

/// One token and where it came from.
pub(super) struct Incoming<'a> {
    pub(super) client: &'a ClientConnection,
    pub(super) accept: &'a Accept,
    pub(super) scheme: Scheme,
    pub(super) token: Vec<u8>,
}

impl Handshakes {
    /// Judges one token: the first of a handshake, or the next of `half`.
    pub(super) async fn leg(&self, half: Option<Half>, incoming: Incoming<'_>) -> Result<Leg, Failed> {
        let half = match (half, is_continuation(&incoming.token)) {
            // A first token starts afresh, whatever was under way.
            (_, false) => self.begin(&incoming).await?,
            (None, true) => return Err(unproved("no_handshake", "this token continues a handshake that did not begin on this connection")),
            (Some(half), true) => half.resumed(incoming.scheme)?,
        };
        let Half { acceptor, scheme, legs, began } = half;
        let next = |acceptor| Half { acceptor, scheme, legs: legs + 1, began };
        match acceptor {
            Acceptor::Kerberos(acceptor) => {
                let prefers_ntlm = ntlm::begins_ntlm(&incoming.token);
                let accepted = self.door.accept(acceptor, incoming.token).await;
                match accepted.map_err(|error| if prefers_ntlm { no_ntlm() } else { kerberos_failed(error) })? {
                    gssapi::Accepted::Continue(acceptor, token) => Ok(Leg::Continue(next(Acceptor::Kerberos(acceptor)), token)),
                    gssapi::Accepted::Established(context, token) => {
                        let established = self.ticket(context, scheme, incoming.client).map_err(Failed::Unproved)?;
                        Ok(Leg::Established(Box::new(established), token))
                    }
                }
            }
            Acceptor::Ntlm(acceptor) => match self.try_ntlm(*acceptor, &incoming)? {
                ntlm::Accepted::Continue(acceptor, token) => {
                    Ok(Leg::Continue(next(Acceptor::Ntlm(Box::new(acceptor))), token))
                }
                ntlm::Accepted::Established(context, token) => {
                    let established = self.local(context, incoming.client).map_err(Failed::Unproved)?;
                    Ok(Leg::Established(Box::new(established), token))
                }
            },
        }
    }

    /// One step of NTLM. Nobody may go through passwords here either: failures count for where they come from.
    fn try_ntlm(&self, acceptor: ntlm::Acceptor, incoming: &Incoming<'_>) -> Result<ntlm::Accepted, Failed> {
        let source = Source::of(incoming.client.peer());
        let attempt = self.guard.try_name(source, Instant::now()).map_err(Failed::Unproved)?;
        acceptor.step(&incoming.token, now()).map_err(|error| {
            if matches!(error, NtlmError::WrongPassword | NtlmError::UnknownAccount) {
                attempt.failed();
            }
            ntlm_failed(error)
        })
    }

    async fn begin(&self, incoming: &Incoming<'_>) -> Result<Half, Failed> {
        let Incoming { client, accept, scheme, token } = incoming;
        let is_bare_ntlm = token.starts_with(NTLMSSP);
        let wants_ntlm = is_bare_ntlm || ntlm::begins_ntlm(token);
        let acceptor = match (&self.local, &self.keys) {
            (Some(local), _) if wants_ntlm && *scheme == Scheme::Negotiate && accept.contains(AuthMethod::Negotiate) => {
                let acceptor = ntlm::Acceptor::new(local.verifier(), channel(client)?).map_err(ntlm_failed)?;
                Acceptor::Ntlm(Box::new(acceptor))
            }
            _ if is_bare_ntlm => return Err(no_ntlm()),
            (_, Some(keys)) => {
                let bindings = self.bindings(client)?;
                Acceptor::Kerberos(keys.acceptor(bindings.as_ref()).await.map_err(Failed::Unavailable)?)
            }
            (_, None) if wants_ntlm => return Err(no_ntlm()),
            (_, None) => return Err(Failed::Unproved(Unproved::scheme_not_accepted())),
        };
        Ok(Half { acceptor, scheme: *scheme, legs: 0, began: Instant::now() })
    }

    /// The binding that a client may have made its proof for: over TLS only, and not where the level says to ignore them.
    fn bindings(&self, client: &ClientConnection) -> Result<Option<ChannelBindings>, Failed> {
        match (self.cbt, client.tls()) {
            (CbtHardening::None, _) | (_, None) => Ok(None),
            (CbtHardening::Relaxed | CbtHardening::Strict, Some(_)) => bindings_of(client).map(Some),
        }
    }

    /// What a finished Kerberos handshake proves: a client of a realm that we know, with a ticket for this server, through this channel.
    fn ticket(
        &self,
        context: gssapi::SecurityContext,
        scheme: Scheme,
        client: &ClientConnection,
    ) -> Result<Established, Unproved> {
        let service = context.acceptor_name().to_owned();
        if !self.entrances.is_ours(&service, client) {
            return Err(Unproved::new("wrong_service", "the ticket is for another service than this server")
                .because(format!("the ticket is for {service}")));
        }
        // INVARIANT: GSSAPI lets a client in that names no channel; only this flag tells that both named the same.
        if self.cbt == CbtHardening::Strict && client.tls().is_some() && !context.is_channel_bound() {
            return Err(Unproved::new("no_bindings", "a channel binding is required here, and the client sent none"));
        }
        if context.expires() <= std::time::Instant::now() {
            return Err(Unproved::new("ticket_expired", "the ticket has expired"));
        }
        let name = context.initiator_name().to_owned();
        self.realms.of_ticket(&name).map_err(|error| unknown_client(&name, &error))?;
        let proof = TicketProof {
            client: name,
            service,
            bound: context.is_channel_bound(),
            delegated: context.delegated().clone(),
        };
        Ok(Established::kerberos(context, scheme, proof))
    }

    /// What a finished NTLM handshake proves.
    fn local(&self, context: ntlm::SecurityContext, client: &ClientConnection) -> Result<Established, Unproved> {
        let target = context.target();
        // Without TLS nothing else says that the proof was made for this server.
        if client.tls().is_none() && !target.is_empty() && !self.entrances.is_ours(target, client) {
            return Err(Unproved::new("wrong_target", "the proof is for another server than this one")
                .because(format!("the proof is for {target}")));
        }
        let account = context.account().to_owned();
        let local = self.local.as_ref().ok_or_else(Unproved::scheme_not_accepted)?;
        let principal = local.person(&account).ok_or_else(|| Unproved::new("not_a_principal", REFUSED))?;
        let proof = NtlmProof { account, principal, bound: context.is_channel_bound() };
        Ok(Established::ntlm(context, proof))
    }
}

impl Half {
    /// The same handshake, if there is time and room for another leg of it.
    fn resumed(self, scheme: Scheme) -> Result<Self, Failed> {
        if self.scheme != scheme {
            return Err(unproved("no_handshake", "this token continues a handshake of another scheme"));
        }
        if self.began.elapsed() > PATIENCE {
            return Err(unproved("handshake_too_slow", "the handshake took too long"));
        }
        if self.legs >= MAX_LEGS {
            return Err(unproved("too_many_legs", "the handshake has too many legs"));
        }
        Ok(self)
    }
}

/// Whether a token is not the first of a handshake: SPNEGO's `NegTokenResp` (RFC 4178 section 4.2.2), or NTLM's third message.
fn is_continuation(token: &[u8]) -> bool {
    token.first() == Some(&NEG_TOKEN_RESP)
        || token.strip_prefix(NTLMSSP).is_some_and(|rest| rest.first() != Some(&NEGOTIATE_MESSAGE))
}

fn channel(client: &ClientConnection) -> Result<ntlm::Channel, Failed> {
    if client.tls().is_none() {
        return Ok(ntlm::Channel::Plain);
    }
    let bindings = bindings_of(client)?;
    Ok(ntlm::Channel::Tls(ntlm::ChannelBindings::from_application_data(bindings.application_data())))
}

/// The binding to the certificate that this very connection was served.
fn bindings_of(client: &ClientConnection) -> Result<ChannelBindings, Failed> {
    let der = client.tls().map(|tls| tls.server_certificate_der.as_ref()).unwrap_or_default();
    let bound = ChannelBindings::tls_server_end_point(der);
    bound.map_err(|error| Failed::Unproved(Unproved::new("wrong_bindings", REFUSED).because(error.to_string())))
}

fn unproved(reason: &'static str, text: &'static str) -> Failed {
    Failed::Unproved(Unproved::new(reason, text))
}

fn no_ntlm() -> Failed {
    unproved("ntlm_not_accepted", "NTLM is not accepted here; use Kerberos")
}

pub(super) fn unknown_client(name: &str, error: &super::PrincipalError) -> Unproved {
    let (reason, text) = match error {
        super::PrincipalError::UnknownRealm | super::PrincipalError::NoRealm => {
            ("foreign_realm", "people of this realm are not known here")
        }
        super::PrincipalError::Empty
        | super::PrincipalError::ForbiddenCharacter
        | super::PrincipalError::TooLong => ("not_a_principal", "this is not a person's account"),
    };
    Unproved::new(reason, text).because(format!("the ticket is of {name}: {error}"))
}

fn kerberos_failed(error: GssError) -> Failed {
    let reason = match error.classify() {
        Class::TimedOut | Class::Overloaded | Class::BreakerOpen => return Failed::Unavailable(error),
        Class::Replay => ("replayed", REFUSED),
        Class::Skew => ("clock_skew", "the clocks of client and gateway are too far apart"),
        Class::Expired => ("ticket_expired", "the ticket has expired"),
        Class::NoKey => ("no_key", "the gateway has no key for the service that the ticket is for"),
        Class::BadBindings => ("wrong_bindings", "the ticket is bound to another TLS channel"),
        Class::MissingFlags => ("missing_protection", REFUSED),
        Class::UnknownPrincipal
        | Class::UnknownService
        | Class::NotDelegable
        | Class::OtherIdentity
        | Class::KdcUnreachable
        | Class::OutOfSequence
        | Class::WrongPassword
        | Class::AccountDisabled
        | Class::AccountExpired
        | Class::PasswordExpired
        | Class::NotSealed
        | Class::Other => ("token_refused", REFUSED),
    };
    Failed::Unproved(Unproved::new(reason.0, reason.1).because(error.to_string()))
}

/// The client hears one answer to all of them.
fn ntlm_failed(error: NtlmError) -> Failed {
    Failed::Unproved(Unproved::new(error.reason(), REFUSED).because(error.to_string()))
}

fn now() -> FileTime {
    FileTime::from_unix(Duration::from_secs(UnixTime::now().as_secs()))
}

/// What everybody may know of a proof that does not hold.
pub(super) const REFUSED: &str = "the authentication failed";
/// How many tokens a client may send in one handshake.
const MAX_LEGS: usize = 3;
/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(10);
const NTLMSSP: &[u8] = b"NTLMSSP\0";
const NEGOTIATE_MESSAGE: u8 = 1;
const NEG_TOKEN_RESP: u8 = 0xa1;

#[cfg(test)]
mod tests {
    use super::*;

    fn half(legs: usize, age: Duration) -> Half {
        let server = ntlm::ServerNames { computer: "GW01".into(), domain: "GW01".into(), dns: "gw.test".into() };
        let accounts = ntlm::accounts_from("").unwrap();
        let verifier = Arc::new(ntlm::Verifier { server, accounts, skew: Duration::from_secs(300) });
        let acceptor = Acceptor::Ntlm(Box::new(ntlm::Acceptor::new(verifier, ntlm::Channel::Plain).unwrap()));
        Half { acceptor, scheme: Scheme::Negotiate, legs, began: Instant::now() - age }
    }

    #[test]
    fn threat_23_a_handshake_has_three_legs_ten_seconds_and_one_scheme() {
        let reason = |half: Half, scheme| match half.resumed(scheme) {
            Ok(_) => "",
            Err(Failed::Unproved(why)) => why.reason,
            Err(Failed::Unavailable(_)) => "unavailable",
        };
        let second = Duration::from_secs(1);
        assert_eq!(reason(half(1, second), Scheme::Negotiate), "");
        assert_eq!(reason(half(2, 9 * second), Scheme::Negotiate), "");
        assert_eq!(reason(half(3, second), Scheme::Negotiate), "too_many_legs");
        assert_eq!(reason(half(1, 11 * second), Scheme::Negotiate), "handshake_too_slow");
        assert_eq!(reason(half(1, second), Scheme::Kerberos), "no_handshake");
    }

    #[test]
    fn only_later_tokens_continue() {
        assert!(is_continuation(&[0xa1, 3]));
        assert!(is_continuation(b"NTLMSSP\0\x03\0\0\0"));
        assert!(is_continuation(b"NTLMSSP\0"), "what is no first message begins nothing");
        assert!(!is_continuation(b"NTLMSSP\0\x01\0\0\0"));
        assert!(!is_continuation(&[0x60, 3]));
        assert!(!is_continuation(&[]));
    }
}
