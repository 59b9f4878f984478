//! Credential caches in memory, each under a name of its own.
//!
//! libkrb5 never frees a named one by itself, and whoever knows the name can read it, so each is destroyed with its credential.

use std::{
    ffi::{CStr, CString},
    sync::atomic::{AtomicU64, Ordering},
};

use super::ffi::{self, Krb5Cache, Krb5Context};

/// A name that no other cache of this process has; the cache under it is destroyed on drop.
#[derive(Debug)]
pub(super) struct MemoryCache(CString);

impl MemoryCache {
    /// A name; the cache comes into being when GSSAPI fills it.
    pub(super) fn unique() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // A formatted number holds no NUL, so the fallback is never taken.
        Self(CString::new(format!("MEMORY:winrm-gateway-{number}")).unwrap_or_default())
    }

    /// The name, with its kind.
    pub(super) fn name(&self) -> &CStr {
        &self.0
    }
}

impl Drop for MemoryCache {
    fn drop(&mut self) {
        let Some(library) = Library::new() else { return };
        if let Some(cache) = library.open(&self.0) {
            // SAFETY: the cache was opened in this context; destroying closes it, and it is not used afterwards.
            unsafe { ffi::krb5_cc_destroy(library.0, cache) };
        }
    }
}

/// A context of libkrb5, for one thread and a short time.
pub(super) struct Library(pub(super) Krb5Context);

impl Library {
    /// A context; none if the configuration can't be read.
    pub(super) fn new() -> Option<Self> {
        let mut context = std::ptr::null_mut();
        // SAFETY: the pointer is to a local that outlives the call.
        let code = unsafe { ffi::krb5_init_context(&raw mut context) };
        (code == 0 && !context.is_null()).then_some(Self(context))
    }

    /// Opens the cache of this name.
    pub(super) fn open(&self, name: &CStr) -> Option<Krb5Cache> {
        let mut cache = std::ptr::null_mut();
        // SAFETY: the context is live, the name ends with a NUL, and the result is a local that outlives the call.
        let code = unsafe { ffi::krb5_cc_resolve(self.0, name.as_ptr(), &raw mut cache) };
        (code == 0 && !cache.is_null()).then_some(cache)
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: the context was made by `krb5_init_context` and is freed once, after everything opened in it.
        unsafe { ffi::krb5_free_context(self.0) };
    }
}
