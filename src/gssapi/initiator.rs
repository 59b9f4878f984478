//! The client's side of a handshake.

use libgssapi_sys::{gss_channel_bindings_struct, gss_init_sec_context};

use super::{
    bindings::ChannelBindings,
    buffer::{OwnedBuffer, borrowed},
    context::{Handle, REQUEST, SecurityContext, require},
    credential::{Credential, verify},
    error::GssError,
    ffi,
    name::Name,
    status,
};

/// What the handshake speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Mechanism {
    /// Kerberos alone (`Authorization: Kerberos`).
    Krb5,
    /// Kerberos inside SPNEGO (`Authorization: Negotiate`).
    Spnego,
}

/// A handshake that waits for the server's token.
#[derive(Debug)]
pub(crate) struct Initiator {
    handle: Handle,
    credential: Credential,
    target: Name,
    mechanism: Mechanism,
    bindings: Option<ChannelBindings>,
}

/// What the server's token led to.
#[derive(Debug)]
pub(crate) enum Initiated {
    /// Both sides have proved who they are; a last token may be left to send.
    Established(SecurityContext, Option<Vec<u8>>),
    /// Another token goes out and another is awaited.
    Continue(Initiator, Vec<u8>),
}

/// What one call led to.
struct Leg {
    is_complete: bool,
    flags: u32,
    token: OwnedBuffer,
}

/// Obtains the ticket for `spn` into the credential's own cache, by a first leg that nobody will see.
pub(super) fn prefetch(credential: &Credential, spn: &str) -> Result<(), GssError> {
    Initiator::new(credential, spn, Mechanism::Krb5, None)?.leg(None).map(drop)
}

/// The first leg.
///
/// SPNEGO is preceded by Kerberos alone: it renumbers error codes, so that what the KDC said could not be told afterwards.
pub(super) fn initiate(
    credential: &Credential,
    spn: &str,
    mechanism: Mechanism,
    bindings: Option<ChannelBindings>,
) -> Result<(Initiator, Vec<u8>), GssError> {
    if mechanism == Mechanism::Spnego {
        prefetch(credential, spn)?;
    }
    Initiator::new(credential, spn, mechanism, bindings)?.begin()
}

/// The first leg of a handshake with an account that is no service: the gateway's own.
pub(super) fn initiate_to_principal(
    credential: &Credential,
    principal: &str,
) -> Result<(Initiator, Vec<u8>), GssError> {
    let (target, credential) = (Name::principal(principal)?, credential.clone());
    let mechanism = Mechanism::Krb5;
    Initiator { handle: Handle::empty(), credential, target, mechanism, bindings: None }.begin()
}

impl Initiator {
    fn new(
        credential: &Credential,
        spn: &str,
        mechanism: Mechanism,
        bindings: Option<ChannelBindings>,
    ) -> Result<Self, GssError> {
        let target = Name::service(spn, credential.realm())?;
        Ok(Self { handle: Handle::empty(), credential: credential.clone(), target, mechanism, bindings })
    }

    fn begin(mut self) -> Result<(Self, Vec<u8>), GssError> {
        let leg = self.leg(None)?;
        if leg.is_complete {
            // Complete before the server said anything: it has proved nothing.
            return Err(GssError::MissingFlags { missing: "mutual authentication".to_owned() });
        }
        Ok((self, leg.token.bytes().to_vec()))
    }

    /// Takes the server's token.
    ///
    /// # Errors
    /// When the token is not the server's proof, when a required protection is missing, or when the context is in another name than the
    /// credential.
    pub(crate) fn step(mut self, token: &[u8]) -> Result<Initiated, GssError> {
        let leg = self.leg(Some(token))?;
        let token = Some(leg.token.bytes().to_vec()).filter(|token| !token.is_empty());
        match (leg.is_complete, token) {
            (true, token) => Ok(Initiated::Established(self.establish(leg.flags)?, token)),
            (false, Some(token)) => Ok(Initiated::Continue(self, token)),
            (false, None) => Err(GssError::MissingFlags { missing: "an end".to_owned() }),
        }
    }

    fn establish(self, flags: u32) -> Result<SecurityContext, GssError> {
        require(flags)?;
        let context = SecurityContext::new(self.handle, None, flags)?;
        verify(self.credential.name(), Some(context.initiator_name()))?;
        Ok(context)
    }

    fn leg(&mut self, token: Option<&[u8]>) -> Result<Leg, GssError> {
        let credential = self.credential.to_initiate()?;
        let mut bindings = self.bindings.as_ref().map(ChannelBindings::as_gss);
        let bindings: *mut gss_channel_bindings_struct =
            bindings.as_mut().map_or(std::ptr::null_mut(), std::ptr::from_mut);
        let mut mechanism = ffi::oid(match self.mechanism {
            Mechanism::Krb5 => ffi::KRB5,
            Mechanism::Spnego => ffi::SPNEGO,
        });
        let mut input = borrowed(token.unwrap_or_default());
        let (mut minor, mut flags, mut output) = (0, 0, OwnedBuffer::new());
        // SAFETY: credential and target are live; token, mechanism and bindings outlive the call; the context is null or one of GSSAPI's
        // that only `self` holds; the outputs not asked for may be null.
        let major = unsafe {
            gss_init_sec_context(
                &raw mut minor,
                credential,
                &raw mut self.handle.0,
                self.target.as_ptr(),
                &raw mut mechanism,
                REQUEST,
                0,
                bindings,
                if token.is_some() { &raw mut input } else { std::ptr::null_mut() },
                std::ptr::null_mut(),
                output.as_mut_ptr(),
                &raw mut flags,
                std::ptr::null_mut(),
            )
        };
        match major {
            ffi::COMPLETE | ffi::CONTINUE_NEEDED => {
                Ok(Leg { is_complete: major == ffi::COMPLETE, flags, token: output })
            }
            _ => Err(status::error("gss_init_sec_context", major, minor)),
        }
    }
}
