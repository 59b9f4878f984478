//! Names: in from text, out as text.

use libgssapi_sys::{gss_display_name, gss_import_name, gss_name_t, gss_release_name};

use super::{
    buffer::{OwnedBuffer, borrowed},
    error::GssError,
    ffi, status,
};

/// A name inside GSSAPI; released on drop.
#[derive(Debug)]
pub(super) struct Name(gss_name_t);

// SAFETY: a name is not changed after it was made, and GSSAPI allows its use from any thread.
unsafe impl Send for Name {}
// SAFETY: as above; every call that takes a name only reads it.
unsafe impl Sync for Name {}

impl Name {
    /// A principal with its realm, `name@REALM`.
    pub(super) fn principal(principal: &str) -> Result<Self, GssError> {
        realm_of(principal)?;
        Self::import(principal, ffi::NT_PRINCIPAL)
    }

    /// A service: `HTTP/host@REALM`, `HTTP/host` in the realm of who asks, or `HTTP@host` in the realm that the host's domain maps to.
    pub(super) fn service(spn: &str, realm: &str) -> Result<Self, GssError> {
        match (spn.contains('/'), spn.contains('@')) {
            (true, true) => Self::import(spn, ffi::NT_PRINCIPAL),
            (true, false) => Self::import(&format!("{spn}@{realm}"), ffi::NT_PRINCIPAL),
            (false, true) => Self::import(spn, ffi::NT_HOSTBASED_SERVICE),
            (false, false) => {
                Err(GssError::BadName { name: spn.to_owned(), cause: "a service is named CLASS/host" })
            }
        }
    }

    fn import(text: &str, kind: &'static [u8]) -> Result<Self, GssError> {
        if text.contains('\0') {
            return Err(GssError::BadName { name: text.to_owned(), cause: "it holds a NUL" });
        }
        let (mut minor, mut kind, mut value) = (0, ffi::oid(kind), borrowed(text.as_bytes()));
        let mut name = Self(std::ptr::null_mut());
        // SAFETY: the pointers are to locals that outlive the call; GSSAPI copies the text and the kind.
        let major =
            unsafe { gss_import_name(&raw mut minor, &raw mut value, &raw mut kind, name.as_mut_ptr()) };
        status::check("gss_import_name", major, minor)?;
        Ok(name)
    }

    /// A place for GSSAPI to put a name.
    pub(super) const fn empty() -> Self {
        Self(std::ptr::null_mut())
    }

    /// Where GSSAPI puts a name; only for an empty one.
    pub(super) const fn as_mut_ptr(&mut self) -> *mut gss_name_t {
        &raw mut self.0
    }

    /// The name for a call that reads it.
    pub(super) const fn as_ptr(&self) -> gss_name_t {
        self.0
    }

    /// The name as text; none if GSSAPI gave no name.
    pub(super) fn display(&self) -> Result<Option<String>, GssError> {
        if self.0.is_null() {
            return Ok(None);
        }
        let (mut minor, mut text) = (0, OwnedBuffer::new());
        // SAFETY: the name is a live one, the buffer is released by its owner, and the kind is not asked for.
        let major =
            unsafe { gss_display_name(&raw mut minor, self.0, text.as_mut_ptr(), std::ptr::null_mut()) };
        status::check("gss_display_name", major, minor)?;
        Ok(Some(text.text()).filter(|name| !name.is_empty()))
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        if !self.0.is_null() {
            let mut minor = 0;
            // SAFETY: the name came from GSSAPI and is released once.
            unsafe { gss_release_name(&raw mut minor, &raw mut self.0) };
        }
    }
}

/// The realm of a principal: what follows the last `@`.
pub(super) fn realm_of(principal: &str) -> Result<&str, GssError> {
    match principal.rsplit_once('@') {
        Some((name, realm)) if !name.is_empty() && !realm.is_empty() => Ok(realm),
        _ => Err(GssError::BadName { name: principal.to_owned(), cause: "a principal is named name@REALM" }),
    }
}
