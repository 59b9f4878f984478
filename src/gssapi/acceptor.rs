//! The server's side of a handshake.

use libgssapi_sys::{GSS_C_ANON_FLAG, GSS_C_DELEG_FLAG, gss_accept_sec_context, gss_channel_bindings_struct};

use super::{
    bindings::ChannelBindings,
    buffer::{OwnedBuffer, borrowed},
    context::{Delegated, Handle, SecurityContext},
    credential::{self, Credential},
    error::GssError,
    ffi,
    name::Name,
    status,
};

/// A handshake that waits for the client's token.
#[derive(Debug)]
pub(crate) struct Acceptor {
    handle: Handle,
    credential: Credential,
    bindings: Option<ChannelBindings>,
    keeps: Keep,
}

/// What is kept of that which a client lets the server do in its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Keep {
    /// The client's ticket, as evidence for constrained delegation: only for a credential that also initiates.
    pub(crate) evidence: bool,
    /// A forwarded ticket-granting ticket.
    pub(crate) forwarded: bool,
}

/// What the client's token led to.
#[derive(Debug)]
pub(crate) enum Accepted {
    /// The client has proved who it is; a last token may be left to send.
    Established(SecurityContext, Option<Vec<u8>>),
    /// Another token goes out and another is awaited.
    Continue(Acceptor, Vec<u8>),
}

impl Acceptor {
    /// Waits for a client's first token, to be accepted with the keys of `credential`.
    ///
    /// A client that names another channel than `bindings` is refused; one that names none is not: see
    /// [`SecurityContext::is_channel_bound`].
    pub(crate) fn new(credential: &Credential, bindings: Option<&ChannelBindings>) -> Self {
        Self {
            handle: Handle::empty(),
            credential: credential.clone(),
            bindings: bindings.cloned(),
            keeps: Keep::default(),
        }
    }

    /// The same, which keeps what the client delegates.
    #[must_use]
    pub(crate) fn keeping(self, keeps: Keep) -> Self {
        Self { keeps, ..self }
    }

    /// Takes the client's token.
    ///
    /// # Errors
    /// When the token proves nothing.
    pub(crate) fn step(mut self, token: &[u8]) -> Result<Accepted, GssError> {
        let mut bindings = self.bindings.as_ref().map(ChannelBindings::as_gss);
        let bindings: *mut gss_channel_bindings_struct =
            bindings.as_mut().map_or(std::ptr::null_mut(), std::ptr::from_mut);
        let mut input = borrowed(token);
        let (mut minor, mut flags, mut output, mut client) = (0, 0, OwnedBuffer::new(), Name::empty());
        let mut delegated = credential::Handle::empty();
        let wanted = self.keeps != Keep::default();
        let delegated_at = if wanted { delegated.as_mut_ptr() } else { std::ptr::null_mut() };
        // SAFETY: the credential is live; token and bindings outlive the call; the context is null or one of GSSAPI's that only `self`
        // holds; the outputs not asked for may be null; a delegated credential is released by its owner.
        let major = unsafe {
            gss_accept_sec_context(
                &raw mut minor,
                &raw mut self.handle.0,
                self.credential.as_ptr(),
                &raw mut input,
                bindings,
                client.as_mut_ptr(),
                std::ptr::null_mut(),
                output.as_mut_ptr(),
                &raw mut flags,
                std::ptr::null_mut(),
                delegated_at,
            )
        };
        let token = Some(output.bytes().to_vec()).filter(|token| !token.is_empty());
        match (major, token) {
            (ffi::COMPLETE, _) if flags & GSS_C_ANON_FLAG != 0 => Err(GssError::Nameless),
            (ffi::COMPLETE, token) => {
                let context = SecurityContext::new(self.handle, Some(client), flags)?;
                let kept = self.keeps.of(&delegated, &context, flags & GSS_C_DELEG_FLAG != 0)?;
                Ok(Accepted::Established(context.with_delegated(kept), token))
            }
            (ffi::CONTINUE_NEEDED, Some(token)) => Ok(Accepted::Continue(self, token)),
            (ffi::CONTINUE_NEEDED, None) => Err(GssError::MissingFlags { missing: "an end".to_owned() }),
            _ => Err(status::error("gss_accept_sec_context", major, minor)),
        }
    }
}

impl Keep {
    /// What of `delegated` is kept. `has_flag`: the client forwarded something, or we could delegate by ourselves.
    ///
    /// INVARIANT: a forwarded ticket-granting ticket that nobody asked for is gone when this returns.
    fn of(
        self,
        delegated: &credential::Handle,
        context: &SecurityContext,
        has_flag: bool,
    ) -> Result<Delegated, GssError> {
        if delegated.is_empty() {
            return Ok(if has_flag { Delegated::Discarded } else { Delegated::Nothing });
        }
        let is_evidence = credential::is_evidence(delegated)?;
        match (is_evidence, self.evidence, self.forwarded) {
            (true, true, _) => {
                credential::delegated(delegated, context.initiator_name()).map(Delegated::Evidence)
            }
            (true, false, _) => Ok(Delegated::Nothing),
            (false, _, true) => {
                credential::delegated(delegated, context.initiator_name()).map(Delegated::Forwarded)
            }
            (false, _, false) => Ok(Delegated::Discarded),
        }
    }
}
