//! NTLM under `Negotiate`, without SPNEGO: what Windows answers 401 and then 200 to ([MS-NTHT]).
//!
//! The host proves nothing before its first sealed answer, so this is for TLS, and for hosts that the configuration trusts.

use secrecy::ExposeSecret as _;

use super::{Ended, Handshake, not_begun};
use crate::{
    backend::{
        error::{BackendError, HandshakeCause},
        seal::Seal,
        wire::Wire,
    },
    credential::Login,
    gssapi,
    ntlm::{ChannelBindings, Credentials, Framing, Initiated, Initiator, NtHash, NtlmError},
    wsman::sealed::Protocol,
};

impl Handshake<'_> {
    /// The context, once the host has taken the password.
    pub(super) async fn ntlm(
        &self,
        wire: &mut Wire,
        login: &Login,
        bindings: Option<&gssapi::ChannelBindings>,
    ) -> Result<Ended, BackendError> {
        let target = format!("HTTP/{}", self.endpoint.host);
        let refused = |error| not_begun(&target, HandshakeCause::Ntlm(error));
        let hash = NtHash::of_password(login.password().expose_secret()).map_err(refused)?;
        let credentials = Credentials::new(login.user(), login.domain(), hash);
        let bound =
            bindings.map(|bindings| ChannelBindings::from_application_data(bindings.application_data()));
        let begun = Initiator::begin(credentials, &target, bound, Framing::Raw);
        let (initiator, token) = begun.map_err(refused)?;

        let reply = self.leg(wire, Some(&token)).await?;
        let challenge = match (reply.status, self.token(&reply.challenges)?) {
            (401, Some(challenge)) => challenge,
            (401, None) => return Err(self.rejected(&reply.challenges, None)),
            (200, _) => return Err(self.unexpected("it lets the gateway in before it has asked anything")),
            (status, _) => return Err(self.ended_with(status)),
        };
        self.may_go_on(wire, reply.keep_alive)?;
        let (context, token) = match initiator.step(&challenge).map_err(|error| self.refused(error))? {
            Initiated::Established(context, Some(token)) => (context, token),
            Initiated::Established(_, None) | Initiated::Continue(..) => {
                return Err(self.unexpected("the handshake goes on where it must end"));
            }
        };

        let reply = self.leg(wire, Some(&token)).await?;
        match (reply.status, self.token(&reply.challenges)?) {
            (200, None) => {}
            (200, Some(_)) => return Err(self.unexpected("it goes on although the handshake is finished")),
            (401, _) => return Err(self.rejected(&reply.challenges, None)),
            (status, _) => return Err(self.ended_with(status)),
        }
        self.may_go_on(wire, reply.keep_alive)?;
        Ok(Ended::by_context(Seal::Ntlm(context), Protocol::Spnego, bindings.is_some(), None))
    }

    /// A host that agrees to less than sealing with 128-bit keys and a MIC is no host to go on with.
    fn refused(&self, error: NtlmError) -> BackendError {
        if matches!(error, NtlmError::WeakFlags | NtlmError::NoTimestamp) {
            return self.downgraded(format!("NTLM, and {error}"));
        }
        BackendError::NtlmRefused { endpoint: self.endpoint.clone(), source: error }
    }

    fn ended_with(&self, status: u16) -> BackendError {
        BackendError::HandshakeStatus { endpoint: self.endpoint.clone(), status }
    }
}
