//! Contexts: what a handshake builds up, and what it ends in.

use std::{sync::OnceLock, time::Instant};

use libgssapi_sys::{
    GSS_C_CHANNEL_BOUND_FLAG, GSS_C_CONF_FLAG, GSS_C_INTEG_FLAG, GSS_C_MUTUAL_FLAG, GSS_C_REPLAY_FLAG,
    GSS_C_SEQUENCE_FLAG, gss_ctx_id_t, gss_delete_sec_context, gss_inquire_context,
};

use super::{
    ccache::Library,
    credential::{Credential, in_future},
    error::GssError,
    name::Name,
    status::check,
};

/// What every handshake asks for and must get: proof of both sides, and messages that are secret, whole, fresh and in order.
const REQUIRED: [(u32, &str); 5] = [
    (GSS_C_MUTUAL_FLAG, "mutual authentication"),
    (GSS_C_CONF_FLAG, "confidentiality"),
    (GSS_C_INTEG_FLAG, "integrity"),
    (GSS_C_REPLAY_FLAG, "replay detection"),
    (GSS_C_SEQUENCE_FLAG, "sequencing"),
];

/// All of [`REQUIRED`] as GSSAPI takes it. Delegation and DCE style are never asked for.
pub(super) const REQUEST: u32 =
    GSS_C_MUTUAL_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG;

/// INVARIANT: a handshake that ended without one of the required protections carries no message.
pub(super) fn require(flags: u32) -> Result<(), GssError> {
    let missing: Vec<&str> =
        REQUIRED.iter().filter(|(flag, _)| flags & flag == 0).map(|(_, name)| *name).collect();
    if missing.is_empty() { Ok(()) } else { Err(GssError::MissingFlags { missing: missing.join(", ") }) }
}

/// What the client lets the server do in its name.
#[derive(Debug, Clone, Default)]
pub(crate) enum Delegated {
    /// Nothing that was wanted.
    #[default]
    Nothing,
    /// A ticket-granting ticket that the client forwarded, and that nobody kept.
    Discarded,
    /// The client's own ticket, as evidence for constrained delegation (`S4U2Proxy`).
    Evidence(Credential),
    /// A ticket-granting ticket that the client forwarded.
    Forwarded(Credential),
}

/// An established context: the only thing that seals. It has one owner at a time.
#[derive(Debug)]
pub(crate) struct SecurityContext {
    pub(super) handle: Handle,
    /// The client's name with its attributes; on the server's side only.
    pub(super) client: Option<Name>,
    pub(super) expires: Instant,
    flags: u32,
    delegated: Delegated,
    initiator: String,
    acceptor: String,
}

impl SecurityContext {
    /// A finished handshake, as far as GSSAPI is concerned; who uses it judges the flags and names.
    pub(super) fn new(handle: Handle, client: Option<Name>, flags: u32) -> Result<Self, GssError> {
        let (mut minor, mut lifetime, mut initiator, mut acceptor) = (0, 0, Name::empty(), Name::empty());
        // SAFETY: the context is live, the outputs are locals that outlive the call, and those not asked for may be null.
        let major = unsafe {
            gss_inquire_context(
                &raw mut minor,
                handle.0,
                initiator.as_mut_ptr(),
                acceptor.as_mut_ptr(),
                &raw mut lifetime,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
            )
        };
        check("gss_inquire_context", major, minor)?;
        // To a server libkrb5 counts the clock skew to the lifetime; the ticket ends without it.
        let is_servers = client.is_some();
        Ok(Self {
            handle,
            client,
            expires: in_future(if is_servers { lifetime.saturating_sub(clock_skew()) } else { lifetime }),
            flags,
            delegated: Delegated::Nothing,
            initiator: initiator.display()?.ok_or(GssError::Nameless)?,
            acceptor: acceptor.display()?.unwrap_or_default(),
        })
    }

    /// Who initiated.
    pub(crate) fn initiator_name(&self) -> &str {
        &self.initiator
    }

    /// Who accepted.
    pub(crate) fn acceptor_name(&self) -> &str {
        &self.acceptor
    }

    /// When the context ends. GSSAPI would go on sealing; this type does not.
    pub(crate) const fn expires(&self) -> Instant {
        self.expires
    }

    /// Whether both sides named the same TLS channel. A client that named none is let in by GSSAPI: only this tells.
    pub(crate) const fn is_channel_bound(&self) -> bool {
        self.flags & GSS_C_CHANNEL_BOUND_FLAG != 0
    }

    /// What the client lets us do in its name; on the server's side only.
    pub(crate) const fn delegated(&self) -> &Delegated {
        &self.delegated
    }

    /// The same context with what came with it.
    pub(super) fn with_delegated(self, delegated: Delegated) -> Self {
        Self { delegated, ..self }
    }

    /// Whether messages may go over this context now.
    pub(super) fn is_usable(&self) -> Result<(), GssError> {
        if Instant::now() >= self.expires {
            return Err(GssError::Expired { what: "security context" });
        }
        // Real clients (pywinrm) ask for sequencing alone: a message that comes again is out of sequence too.
        let is_servers = self.client.is_some() && self.flags & GSS_C_SEQUENCE_FLAG != 0;
        require(if is_servers { self.flags | GSS_C_REPLAY_FLAG } else { self.flags })
    }
}

/// How far clocks may be apart; libkrb5's configuration does not change while the process runs.
fn clock_skew() -> u32 {
    static SKEW: OnceLock<u32> = OnceLock::new();
    *SKEW.get_or_init(|| Library::new().map_or(0, |library| library.clock_skew()))
}

/// A context inside GSSAPI, finished or not; deleted on drop.
#[derive(Debug)]
pub(super) struct Handle(pub(super) gss_ctx_id_t);

// SAFETY: a context may be used from any thread, though from one at a time: the type is not `Sync`.
unsafe impl Send for Handle {}

impl Handle {
    /// No context yet: the first token makes one.
    pub(super) const fn empty() -> Self {
        Self(std::ptr::null_mut())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if !self.0.is_null() {
            let mut minor = 0;
            // SAFETY: the context came from GSSAPI and is deleted once; no token is wanted for the peer.
            unsafe { gss_delete_sec_context(&raw mut minor, &raw mut self.0, std::ptr::null_mut()) };
        }
    }
}
