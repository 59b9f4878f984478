//! Credentials: keys or tickets in one name.

use std::{
    fmt,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use libgssapi_sys::{
    gss_acquire_cred_from, gss_acquire_cred_impersonate_name, gss_acquire_cred_with_password, gss_cred_id_t,
    gss_inquire_cred_by_mech, gss_release_cred, gss_set_neg_mechs, gss_store_cred_into,
};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::{
    buffer::borrowed,
    ccache::MemoryCache,
    error::GssError,
    ffi::{self, Mechanisms},
    keytab,
    name::{Name, realm_of},
    status::{S4U2SELF, check},
    store::Store,
};

/// Keys or tickets in one name, shared by whoever holds a clone; the last one to go frees them.
#[derive(Clone)]
pub(crate) struct Credential(Arc<Inner>);

struct Inner {
    handle: Handle,
    /// After the handle: the cache is destroyed when nothing uses it any more.
    cache: Option<MemoryCache>,
    name: String,
    realm: String,
    expires: Instant,
}

impl Credential {
    /// The name as GSSAPI reads it back, never the wish; empty for an acceptor's keys, which may be of several principals.
    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// The realm of the name.
    pub(crate) fn realm(&self) -> &str {
        &self.0.realm
    }

    /// When the tickets end.
    pub(crate) fn expires(&self) -> Instant {
        self.0.expires
    }

    /// The credential for a call that reads it; never null.
    pub(super) fn as_ptr(&self) -> gss_cred_id_t {
        self.0.handle.0
    }

    /// The credential for a call that initiates.
    ///
    /// INVARIANT: a credential without a name never gets here, so nothing is ever initiated as "whoever the library finds".
    pub(super) fn to_initiate(&self) -> Result<gss_cred_id_t, GssError> {
        if self.0.name.is_empty() || self.0.handle.0.is_null() {
            Err(GssError::Nameless)
        } else {
            Ok(self.as_ptr())
        }
    }

    /// The name of the cache in memory, for tests that look whether it is gone.
    #[cfg(test)]
    pub(super) fn cache_name(&self) -> Option<std::ffi::CString> {
        self.0.cache.as_ref().map(|cache| cache.name().to_owned())
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("name", &self.0.name).finish_non_exhaustive()
    }
}

/// An initial ticket with the keys of a keytab; the same credential accepts with those keys.
pub(super) fn from_keytab(
    principal: &str,
    keytab: &Path,
    replay_cache: Option<&Path>,
) -> Result<Credential, GssError> {
    let name = Name::principal(principal)?;
    keytab::check(keytab, Some(principal))?;
    let cache = MemoryCache::unique();
    let mut store = Store::default()
        .with_file(c"client_keytab", "FILE:", keytab)?
        .with_file(c"keytab", "FILE:", keytab)?
        .with(c"ccache", cache.name());
    if let Some(path) = replay_cache {
        store = store.with_file(c"rcache", "file2:", path)?;
    }
    let handle = acquire(Some(&name), ffi::BOTH, &mut store)?;
    finish(handle, Some(cache), principal)
}

/// The keys of a keytab for accepting as any of its principals.
pub(super) fn acceptor(keytab: &Path, replay_cache: Option<&Path>) -> Result<Credential, GssError> {
    keytab::check(keytab, None)?;
    let mut store = Store::default().with_file(c"keytab", "FILE:", keytab)?;
    if let Some(path) = replay_cache {
        store = store.with_file(c"rcache", "file2:", path)?;
    }
    let handle = acquire(None, ffi::ACCEPT, &mut store)?;
    let expires = in_future(ffi::INDEFINITE);
    let inner = Inner { handle, cache: None, name: String::new(), realm: String::new(), expires };
    Ok(Credential(Arc::new(inner)))
}

/// The keys of a keytab for accepting tokens that never leave this process. No replay cache: nobody else ever sees one to replay it, and the
/// cache would be a file, written for every person.
pub(super) fn acceptor_of_own_tokens(keytab: &Path) -> Result<Credential, GssError> {
    keytab::check(keytab, None)?;
    let mut store =
        Store::default().with_file(c"keytab", "FILE:", keytab)?.with(c"rcache", c"none:");
    let handle = acquire(None, ffi::ACCEPT, &mut store)?;
    let expires = in_future(ffi::INDEFINITE);
    let inner = Inner { handle, cache: None, name: String::new(), realm: String::new(), expires };
    Ok(Credential(Arc::new(inner)))
}

/// An initial ticket with a password. Kerberos alone: SPNEGO would take "can be tried later" for success.
pub(super) fn from_password(principal: &str, password: &SecretString) -> Result<Credential, GssError> {
    let name = Name::principal(principal)?;
    // Some mechanisms read the password as a C string, so a NUL follows it; one inside would cut it short there and not here.
    let secret = password.expose_secret().as_bytes();
    if secret.contains(&0) {
        return Err(GssError::BadName { name: principal.to_owned(), cause: "its password holds a NUL" });
    }
    let mut copy = Zeroizing::new(Vec::with_capacity(secret.len() + 1));
    copy.extend_from_slice(secret);
    copy.push(0);
    let mut value = borrowed(&copy);
    value.length = secret.len();
    let (mut minor, mut mechanisms) = (0, Mechanisms::of([ffi::KRB5]));
    let (mut set, mut handle) = (mechanisms.set(), Handle(std::ptr::null_mut()));
    // SAFETY: name, password and set outlive the call, which copies them; the outputs not asked for may be null.
    let major = unsafe {
        gss_acquire_cred_with_password(
            &raw mut minor,
            name.as_ptr(),
            &raw mut value,
            ffi::INDEFINITE,
            &raw mut set,
            ffi::INITIATE,
            &raw mut handle.0,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        )
    };
    check("gss_acquire_cred_with_password", major, minor)?;
    for_both_mechanisms(&handle, &name, principal)
}

/// `S4U2Self`: a ticket to `service` itself in the name of `principal`, from which `S4U2Proxy` goes on.
///
/// Asked for once, by Kerberos alone: with SPNEGO in the set the KDC would be asked a second time for the same ticket.
pub(super) fn impersonate(service: &Credential, principal: &str) -> Result<Credential, GssError> {
    let name = Name::principal(principal)?;
    let (mut minor, mut mechanisms) = (0, Mechanisms::of([ffi::KRB5]));
    let (mut set, mut handle) = (mechanisms.set(), Handle(std::ptr::null_mut()));
    let impersonator = service.to_initiate()?;
    // SAFETY: credential, name and set outlive the call; the outputs not asked for may be null.
    let major = unsafe {
        gss_acquire_cred_impersonate_name(
            &raw mut minor,
            impersonator,
            name.as_ptr(),
            ffi::INDEFINITE,
            &raw mut set,
            ffi::INITIATE,
            &raw mut handle.0,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        )
    };
    check(S4U2SELF, major, minor)?;
    let (found, _) = inquire(&handle)?;
    verify(principal, found.as_deref())?;
    for_both_mechanisms(&handle, &name, principal)
}

/// Makes a credential of Kerberos alone one that SPNEGO can negotiate with too, over one cache of tickets.
fn for_both_mechanisms(handle: &Handle, name: &Name, principal: &str) -> Result<Credential, GssError> {
    let cache = MemoryCache::unique();
    let mut store = Store::default().with(c"ccache", cache.name());
    let (mut minor, mut mechanism, set) = (0, ffi::oid(ffi::KRB5), store.set());
    // SAFETY: the handle is live, the mechanism and the set outlive the call, and the outputs not asked for may be null.
    let major = unsafe {
        gss_store_cred_into(
            &raw mut minor,
            handle.0,
            ffi::INITIATE,
            &raw mut mechanism,
            1,
            0,
            &raw const set,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        )
    };
    check("gss_store_cred_into", major, minor)?;
    let handle = acquire(Some(name), ffi::INITIATE, &mut store)?;
    finish(handle, Some(cache), principal)
}

/// Acquires for Kerberos, bare and inside SPNEGO, and for nothing else.
fn acquire(name: Option<&Name>, usage: i32, store: &mut Store) -> Result<Handle, GssError> {
    let (mut minor, mut mechanisms) = (0, Mechanisms::of([ffi::KRB5, ffi::SPNEGO]));
    let (mut set, store, mut handle) = (mechanisms.set(), store.set(), Handle(std::ptr::null_mut()));
    // SAFETY: name, set and store outlive the call, which copies them; the outputs not asked for may be null.
    let major = unsafe {
        gss_acquire_cred_from(
            &raw mut minor,
            name.map_or(std::ptr::null_mut(), Name::as_ptr),
            ffi::INDEFINITE,
            &raw mut set,
            usage,
            &raw const store,
            &raw mut handle.0,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        )
    };
    check("gss_acquire_cred_from", major, minor)?;
    only_kerberos_inside(&handle)?;
    Ok(handle)
}

/// Where an NTLM mechanism is installed, SPNEGO would fall back to it silently; this leaves Kerberos only.
fn only_kerberos_inside(handle: &Handle) -> Result<(), GssError> {
    let (mut minor, mut mechanisms) = (0, Mechanisms::of([ffi::KRB5]));
    let mut set = mechanisms.set();
    // SAFETY: the handle is live and not yet shared; the set outlives the call, which copies it.
    let major = unsafe { gss_set_neg_mechs(&raw mut minor, handle.0, &raw mut set) };
    check("gss_set_neg_mechs", major, minor)
}

/// The finished credential, if it is in the name that was wanted.
fn finish(handle: Handle, cache: Option<MemoryCache>, wanted: &str) -> Result<Credential, GssError> {
    let (found, expires) = inquire(&handle)?;
    let name = verify(wanted, found.as_deref())?;
    let realm = realm_of(&name)?.to_owned();
    Ok(Credential(Arc::new(Inner { handle, cache, name, realm, expires })))
}

/// INVARIANT: a credential in another name than the wanted one, or in none, goes no further.
pub(super) fn verify(wanted: &str, found: Option<&str>) -> Result<String, GssError> {
    match found {
        Some(name) if name == wanted => Ok(name.to_owned()),
        _ => Err(GssError::OtherIdentity {
            wanted: wanted.to_owned(),
            found: found.unwrap_or("nobody").to_owned(),
        }),
    }
}

/// The name that the credential is in, and when its tickets end.
fn inquire(handle: &Handle) -> Result<(Option<String>, Instant), GssError> {
    let (mut minor, mut mechanism, mut lifetime) = (0, ffi::oid(ffi::KRB5), 0);
    let mut name = Name::empty();
    // SAFETY: the handle is live, the outputs are locals that outlive the call, and those not asked for may be null.
    let major = unsafe {
        gss_inquire_cred_by_mech(
            &raw mut minor,
            handle.0,
            &raw mut mechanism,
            name.as_mut_ptr(),
            &raw mut lifetime,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        )
    };
    check("gss_inquire_cred_by_mech", major, minor)?;
    Ok((name.display()?, in_future(lifetime)))
}

/// The moment that is `lifetime` seconds away, at most a week: no ticket of ours is trusted for longer.
pub(super) fn in_future(lifetime: u32) -> Instant {
    const WEEK: u32 = 7 * 24 * 3600;
    Instant::now() + Duration::from_secs(u64::from(lifetime.min(WEEK)))
}

/// A credential inside GSSAPI; released on drop.
struct Handle(gss_cred_id_t);

// SAFETY: GSSAPI locks a credential while it uses it, so it may be moved to any thread.
unsafe impl Send for Handle {}
// SAFETY: as above; nothing changes a credential once it is shared, but its cache of tickets, which has a lock of its own.
unsafe impl Sync for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        if !self.0.is_null() {
            let mut minor = 0;
            // SAFETY: the credential came from GSSAPI and is released once.
            unsafe { gss_release_cred(&raw mut minor, &raw mut self.0) };
        }
    }
}
