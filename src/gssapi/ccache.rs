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

/// libkrb5's own default, in seconds.
const DEFAULT_SKEW: i32 = 300;

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

    /// How far clocks may be apart, as `krb5.conf` has it.
    pub(super) fn clock_skew(&self) -> u32 {
        let (mut profile, mut skew) = (std::ptr::null_mut(), DEFAULT_SKEW);
        // SAFETY: the context is live, and the result is a local that outlives the call.
        if unsafe { ffi::krb5_get_profile(self.0, &raw mut profile) } != 0 {
            return DEFAULT_SKEW.unsigned_abs();
        }
        let (section, key) = (c"libdefaults".as_ptr(), c"clockskew".as_ptr());
        // SAFETY: the profile is live, the names end with a NUL and no subkey is named, and the result is a local that outlives the call.
        let code = unsafe {
            ffi::profile_get_integer(profile, section, key, std::ptr::null(), DEFAULT_SKEW, &raw mut skew)
        };
        // SAFETY: the profile came from `krb5_get_profile` and is freed once.
        unsafe { ffi::profile_release(profile) };
        if code == 0 { skew.unsigned_abs() } else { DEFAULT_SKEW.unsigned_abs() }
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
