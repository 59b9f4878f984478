//! What a ticket says about its client beyond the name: the attributes of a name (RFC 6680).

use libgssapi_sys::gss_get_name_attribute;

use super::{
    buffer::{OwnedBuffer, borrowed},
    context::SecurityContext,
    error::GssError,
    ffi,
    status::check,
};

/// The logon information of the PAC: account, groups (`[MS-PAC]` 2.5).
const LOGON_INFO: &str = "urn:mspac:logon-info";

impl SecurityContext {
    /// The PAC's logon information as the KDC signed it; none where the ticket has none, or on the client's side.
    ///
    /// # Errors
    /// When it is there but nobody vouches for it.
    pub(crate) fn pac(&self) -> Result<Option<Vec<u8>>, GssError> {
        self.attribute(LOGON_INFO)
    }

    /// One attribute of the client's name.
    pub(super) fn attribute(&self, attribute: &'static str) -> Result<Option<Vec<u8>>, GssError> {
        let Some(client) = &self.client else { return Ok(None) };
        let (mut minor, mut is_authenticated, mut is_complete, mut more) = (0, 0, 0, -1);
        let (mut asked, mut value, mut text) =
            (borrowed(attribute.as_bytes()), OwnedBuffer::new(), OwnedBuffer::new());
        // SAFETY: the name is live, the attribute's name outlives the call, and the buffers are released by their owners.
        let major = unsafe {
            gss_get_name_attribute(
                &raw mut minor,
                client.as_ptr(),
                &raw mut asked,
                &raw mut is_authenticated,
                &raw mut is_complete,
                value.as_mut_ptr(),
                text.as_mut_ptr(),
                &raw mut more,
            )
        };
        if major & ffi::ROUTINE_ERROR == ffi::UNAVAILABLE {
            return Ok(None);
        }
        check("gss_get_name_attribute", major, minor)?;
        vouched_for(attribute, is_authenticated != 0, value.bytes()).map(Some)
    }
}

/// INVARIANT: an attribute that the KDC did not sign says nothing.
pub(super) fn vouched_for(
    attribute: &'static str,
    is_authenticated: bool,
    value: &[u8],
) -> Result<Vec<u8>, GssError> {
    if is_authenticated { Ok(value.to_vec()) } else { Err(GssError::NotAuthenticated { attribute }) }
}
