//! Bytes that cross to GSSAPI and back.

use libgssapi_sys::{gss_buffer_desc, gss_buffer_t, gss_release_buffer};

/// Bytes of ours, for the duration of a call that only reads them.
pub(super) const fn borrowed(bytes: &[u8]) -> gss_buffer_desc {
    gss_buffer_desc { length: bytes.len(), value: bytes.as_ptr().cast_mut().cast() }
}

/// Bytes that GSSAPI allocated; released on drop.
#[derive(Debug)]
pub(super) struct OwnedBuffer(gss_buffer_desc);

impl OwnedBuffer {
    /// An empty place for GSSAPI to fill.
    pub(super) const fn new() -> Self {
        Self(gss_buffer_desc { length: 0, value: std::ptr::null_mut() })
    }

    /// Where GSSAPI puts its bytes.
    pub(super) const fn as_mut_ptr(&mut self) -> gss_buffer_t {
        &raw mut self.0
    }

    /// What GSSAPI put there.
    pub(super) fn bytes(&self) -> &[u8] {
        if self.0.value.is_null() || self.0.length == 0 {
            return &[];
        }
        // SAFETY: GSSAPI filled the descriptor, so `value` points to `length` initialised bytes that live until the release in `drop`.
        unsafe { std::slice::from_raw_parts(self.0.value.cast::<u8>(), self.0.length) }
    }

    /// The bytes as text, without the NUL that some mechanisms leave at the end.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes()).trim_end_matches('\0').to_owned()
    }
}

impl Drop for OwnedBuffer {
    fn drop(&mut self) {
        let mut minor = 0;
        // SAFETY: the descriptor is either empty or was filled by GSSAPI, and is released once.
        unsafe { gss_release_buffer(&raw mut minor, &raw mut self.0) };
    }
}
