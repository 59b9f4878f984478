//! The TLS channel that a proof is made for (RFC 5929, [MS-NLMP] section 2.2.2.1).

use super::crypto::md5;
use subtle::ConstantTimeEq;

/// The digest of one channel's bindings: the value of `MsvAvChannelBindings`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChannelBindings([u8; 16]);

impl ChannelBindings {
    /// From `tls-server-end-point:` and the digest of the server's certificate (RFC 5929, section 4.1).
    pub(crate) fn from_application_data(data: &[u8]) -> Self {
        // `gss_channel_bindings_struct` without addresses: two types and two lengths of zero, then the data with its length.
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX).to_le_bytes();
        Self(md5(&[&[0; 16], &length, data]))
    }

    /// As it is in a message.
    pub(super) const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Whether `received` is this channel's.
    pub(super) fn are(&self, received: &[u8]) -> bool {
        self.0.as_slice().ct_eq(received).into()
    }
}
