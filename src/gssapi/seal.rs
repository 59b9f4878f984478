//! Messages in WinRM's layout (`[MS-WSMV]` 2.2.9.1): a header with all that the mechanism adds, then the data at its own length.

use libgssapi_sys::{
    GSS_IOV_BUFFER_FLAG_ALLOCATE, GSS_IOV_BUFFER_TYPE_DATA, GSS_IOV_BUFFER_TYPE_HEADER,
    GSS_IOV_BUFFER_TYPE_PADDING, gss_buffer_desc, gss_iov_buffer_desc, gss_release_iov_buffer, gss_unwrap,
    gss_wrap_iov,
};

use super::{
    buffer::{OwnedBuffer, borrowed},
    context::SecurityContext,
    error::GssError,
    status::check,
};

/// A sealed message in WinRM's two parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sealed {
    /// What stands before the data: for AES 60 bytes.
    pub(crate) header: Vec<u8>,
    /// The encrypted message, with the padding that some ciphers add; for AES as long as the message.
    pub(crate) data: Vec<u8>,
}

impl SecurityContext {
    /// Encrypts one message. Messages are numbered: each must reach the peer, in this order.
    ///
    /// # Errors
    /// When the context has expired or lacks a protection, or when GSSAPI did not encrypt.
    pub(crate) fn seal(&mut self, plain: &[u8]) -> Result<Sealed, GssError> {
        self.is_usable()?;
        let mut data = plain.to_vec();
        // No trailer: without one the mechanism puts it into the header, which is where peers look for it.
        let mut parts = Parts([
            part(GSS_IOV_BUFFER_TYPE_HEADER | GSS_IOV_BUFFER_FLAG_ALLOCATE, &mut []),
            part(GSS_IOV_BUFFER_TYPE_DATA, &mut data),
            part(GSS_IOV_BUFFER_TYPE_PADDING | GSS_IOV_BUFFER_FLAG_ALLOCATE, &mut []),
        ]);
        let (mut minor, mut is_encrypted) = (0, 0);
        // SAFETY: the context is live and ours alone; `parts` holds three descriptors, of which the data's points to `data`, which is
        // neither moved nor read until the call is over.
        let major = unsafe {
            gss_wrap_iov(&raw mut minor, self.handle.0, 1, 0, &raw mut is_encrypted, parts.0.as_mut_ptr(), 3)
        };
        check("gss_wrap_iov", major, minor)?;
        if is_encrypted == 0 {
            return Err(GssError::NotSealed);
        }
        let [header, _, padding] = &parts.0;
        let header = allocated(header).to_vec();
        data.extend_from_slice(allocated(padding));
        Ok(Sealed { header, data })
    }

    /// Decrypts one message. Where the peer cut it in two does not matter: together the parts are one token (RFC 4121 section 4.2.4).
    ///
    /// # Errors
    /// When the message is changed, repeated, out of order, or not encrypted at all. The context is of no use afterwards.
    pub(crate) fn unseal(&mut self, header: &[u8], data: &[u8]) -> Result<Vec<u8>, GssError> {
        self.is_usable()?;
        let token = [header, data].concat();
        let (mut minor, mut is_encrypted, mut input) = (0, 0, borrowed(&token));
        let mut plain = OwnedBuffer::new();
        // SAFETY: the context is live and ours alone; the token outlives the call, and the output is released by its owner.
        let major = unsafe {
            gss_unwrap(
                &raw mut minor,
                self.handle.0,
                &raw mut input,
                plain.as_mut_ptr(),
                &raw mut is_encrypted,
                std::ptr::null_mut(),
            )
        };
        check("gss_unwrap", major, minor)?;
        // INVARIANT: a message that anybody could read on the way is not taken for a sealed one, though its signature is right.
        if is_encrypted == 0 {
            return Err(GssError::NotSealed);
        }
        Ok(plain.bytes().to_vec())
    }
}

/// Descriptors for one call; what GSSAPI allocated for them is released on drop.
struct Parts([gss_iov_buffer_desc; 3]);

impl Drop for Parts {
    fn drop(&mut self) {
        let mut minor = 0;
        // SAFETY: three descriptors; GSSAPI releases only those that it marked as allocated by itself.
        unsafe { gss_release_iov_buffer(&raw mut minor, self.0.as_mut_ptr(), 3) };
    }
}

fn part(kind: u32, bytes: &mut [u8]) -> gss_iov_buffer_desc {
    let buffer = gss_buffer_desc { length: bytes.len(), value: bytes.as_mut_ptr().cast() };
    gss_iov_buffer_desc { type_: kind, buffer }
}

/// What GSSAPI put into a part that it allocated.
fn allocated(part: &gss_iov_buffer_desc) -> &[u8] {
    if part.buffer.length == 0 || part.buffer.value.is_null() {
        return &[];
    }
    // SAFETY: after a successful call the part holds `length` initialised bytes, which live until `Parts` is dropped.
    unsafe { std::slice::from_raw_parts(part.buffer.value.cast::<u8>(), part.buffer.length) }
}
