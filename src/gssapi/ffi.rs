//! What the bindings lack: object identifiers, status codes, and the few functions of libkrb5 that GSSAPI does not cover.

use std::ffi::{c_char, c_void};

use libgssapi_sys::{gss_OID_desc, gss_OID_set_desc};

/// Kerberos V5 (RFC 1964 section 1).
pub(super) const KRB5: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02];
/// SPNEGO (RFC 4178 section 3).
pub(super) const SPNEGO: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x02];
/// `GSS_KRB5_NT_PRINCIPAL_NAME` (RFC 1964 section 2.1.1): a whole principal, realm included.
pub(super) const NT_PRINCIPAL: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02, 0x01];
/// `GSS_C_NT_HOSTBASED_SERVICE` (RFC 2743 section 4.1): `service@host`.
pub(super) const NT_HOSTBASED_SERVICE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x01, 0x04];

/// `GSS_KRB5_GET_CRED_IMPERSONATOR` (`gssapi_krb5.h`): who a credential for constrained delegation belongs to.
pub(super) const GET_CRED_IMPERSONATOR: &[u8] =
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02, 0x05, 0x0e];

/// The call is finished.
pub(super) const COMPLETE: u32 = 0;
/// The peer's next token is needed.
pub(super) const CONTINUE_NEEDED: u32 = 1;
/// The channel bindings differ.
pub(super) const BAD_BINDINGS: u32 = 4 << 16;
/// A credential has expired.
pub(super) const CREDENTIALS_EXPIRED: u32 = 11 << 16;
/// The context has expired.
pub(super) const CONTEXT_EXPIRED: u32 = 12 << 16;
/// There is no such thing.
pub(super) const UNAVAILABLE: u32 = 16 << 16;
/// The part of a major status that holds the routine error.
pub(super) const ROUTINE_ERROR: u32 = 0xff << 16;
/// The token was seen before, or is too old to tell.
pub(super) const DUPLICATE_OR_OLD: u32 = 2 | 4;
/// A token was skipped or came out of order.
pub(super) const UNSEQUENCED_OR_GAP: u32 = 8 | 16;
/// No limit to a lifetime.
pub(super) const INDEFINITE: u32 = u32::MAX;
/// Credentials for both sides.
pub(super) const BOTH: i32 = 0;
/// Credentials for the client's side.
pub(super) const INITIATE: i32 = 1;
/// Credentials for the server's side.
pub(super) const ACCEPT: i32 = 2;

/// An object identifier as GSSAPI takes it.
pub(super) const fn oid(bytes: &'static [u8]) -> gss_OID_desc {
    // An object identifier has at most a dozen bytes here.
    #[expect(clippy::cast_possible_truncation, reason = "the identifiers above are short")]
    let length = bytes.len() as u32;
    gss_OID_desc { length, elements: bytes.as_ptr().cast_mut().cast::<c_void>() }
}

/// A set of mechanisms, for as long as the call takes: GSSAPI copies what it keeps.
pub(super) struct Mechanisms<const N: usize>([gss_OID_desc; N]);

impl<const N: usize> Mechanisms<N> {
    /// The set of these.
    pub(super) fn of(mechanisms: [&'static [u8]; N]) -> Self {
        Self(mechanisms.map(oid))
    }

    /// The set as GSSAPI takes it; it borrows from `self`.
    pub(super) fn set(&mut self) -> gss_OID_set_desc {
        gss_OID_set_desc { count: N, elements: self.0.as_mut_ptr() }
    }
}

/// `krb5_context`.
pub(super) type Krb5Context = *mut c_void;
/// `profile_t`.
pub(super) type Profile = *mut c_void;
/// `krb5_ccache`.
pub(super) type Krb5Cache = *mut c_void;

#[link(name = "krb5")]
unsafe extern "C" {
    /// Makes a library context.
    pub(super) fn krb5_init_context(context: *mut Krb5Context) -> i32;
    /// Frees a library context.
    pub(super) fn krb5_free_context(context: Krb5Context);
    /// The configuration of a library context.
    pub(super) fn krb5_get_profile(context: Krb5Context, profile: *mut Profile) -> i32;
    /// A number in the configuration, or the default.
    pub(super) fn profile_get_integer(
        profile: Profile,
        section: *const c_char,
        key: *const c_char,
        subkey: *const c_char,
        default: i32,
        value: *mut i32,
    ) -> i32;
    /// Frees a configuration.
    pub(super) fn profile_release(profile: Profile);
    /// Opens a credential cache by name.
    pub(super) fn krb5_cc_resolve(context: Krb5Context, name: *const c_char, cache: *mut Krb5Cache) -> i32;
    /// Destroys what is in a cache and closes it.
    pub(super) fn krb5_cc_destroy(context: Krb5Context, cache: Krb5Cache) -> i32;
    /// Closes a cache and leaves what is in it.
    #[cfg(test)]
    pub(super) fn krb5_cc_close(context: Krb5Context, cache: Krb5Cache) -> i32;
    /// Whose tickets are in a cache.
    #[cfg(test)]
    pub(super) fn krb5_cc_get_principal(
        context: Krb5Context,
        cache: Krb5Cache,
        principal: *mut *mut c_void,
    ) -> i32;
    /// Frees a principal.
    #[cfg(test)]
    pub(super) fn krb5_free_principal(context: Krb5Context, principal: *mut c_void);
}
