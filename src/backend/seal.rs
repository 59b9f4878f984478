//! The seal on messages: one thing, whichever handshake it came from.

use crate::{
    gssapi::{self, GssError},
    ntlm::{self, NtlmError},
};

/// An established context. Nothing outside knows of which mechanism.
pub(super) enum Seal {
    Gss(gssapi::SecurityContext),
    Ntlm(ntlm::SecurityContext),
}

/// What a mechanism refuses.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    /// Kerberos.
    #[error(transparent)]
    Gss(#[from] GssError),
    /// NTLM.
    #[error(transparent)]
    Ntlm(#[from] NtlmError),
}

impl Seal {
    /// The header and the data of a sealed message.
    pub(super) fn seal(&mut self, plain: &[u8]) -> Result<(Vec<u8>, Vec<u8>), SealError> {
        match self {
            Self::Gss(context) => {
                let gssapi::Sealed { header, data } = context.seal(plain)?;
                Ok((header, data))
            }
            Self::Ntlm(context) => {
                let ntlm::Sealed { header, data } = context.seal(plain)?;
                Ok((header, data))
            }
        }
    }

    /// What a sealed message says.
    pub(super) fn unseal(&mut self, header: &[u8], data: &[u8]) -> Result<Vec<u8>, SealError> {
        match self {
            Self::Gss(context) => Ok(context.unseal(header, data)?),
            Self::Ntlm(context) => Ok(context.unseal(header, data)?),
        }
    }
}
