//! From GSSAPI's two status words to an error.

use libgssapi_sys::gss_display_status;

use super::{
    buffer::OwnedBuffer,
    error::{Class, GssError},
    ffi,
};

/// The function that asks for a ticket in another's name.
pub(super) const S4U2SELF: &str = "gss_acquire_cred_impersonate_name";
/// `GSS_C_GSS_CODE`.
const MAJOR: i32 = 1;
/// `GSS_C_MECH_CODE`.
const MINOR: i32 = 2;

/// Nothing but full success passes: a supplementary bit (duplicate, old, gap) is an error too.
///
/// Must be called on the thread that made the call: libkrb5 keeps the details of its last error per thread.
pub(super) fn check(call: &'static str, major: u32, minor: u32) -> Result<(), GssError> {
    if major == ffi::COMPLETE { Ok(()) } else { Err(error(call, major, minor)) }
}

/// The error of a failed call, with its text.
pub(super) fn error(call: &'static str, major: u32, minor: u32) -> GssError {
    // The mechanism's text is asked for first: the other question could replace it.
    let detail = if minor == 0 { String::new() } else { text(MINOR, minor) };
    let general = text(MAJOR, major);
    let text = if detail.is_empty() { general } else { format!("{general}: {detail}") };
    let minor = minor.cast_signed();
    GssError::Call { call, class: classify(call, (major, minor), &text), major, minor, text }
}

/// One status word in words.
fn text(kind: i32, code: u32) -> String {
    let (mut more, mut lines) = (0, Vec::new());
    // GSSAPI may have several lines; a bound keeps a broken mechanism from holding us here.
    for _ in 0..8 {
        let (mut minor, mut oid, mut line) = (0, ffi::oid(ffi::KRB5), OwnedBuffer::new());
        // SAFETY: all pointers are to locals that outlive the call; the buffer is released by its owner.
        let major = unsafe {
            gss_display_status(&raw mut minor, code, kind, &raw mut oid, &raw mut more, line.as_mut_ptr())
        };
        if major != ffi::COMPLETE {
            break;
        }
        lines.push(line.text());
        if more == 0 {
            break;
        }
    }
    lines.join("; ")
}

/// The kind of failure.
fn classify(call: &str, (major, minor): (u32, i32), text: &str) -> Class {
    match major & ffi::ROUTINE_ERROR {
        ffi::BAD_BINDINGS => return Class::BadBindings,
        ffi::CREDENTIALS_EXPIRED | ffi::CONTEXT_EXPIRED => return Class::Expired,
        0 if major & ffi::DUPLICATE_OR_OLD != 0 => return Class::Replay,
        0 if major & ffi::UNSEQUENCED_OR_GAP != 0 => return Class::OutOfSequence,
        _ => {}
    }
    // KRB5KDC_ERR_PADATA_TYPE_NOSUPP: libkrb5's word for an answer to S4U2Self that is in the service's own name.
    if call == S4U2SELF && minor == -1_765_328_368 {
        return Class::OtherIdentity;
    }
    by_code(minor).or_else(|| by_text(text)).unwrap_or(Class::Other)
}

/// libkrb5's codes (`krb5.h`): all that callers tell apart.
const fn by_code(minor: i32) -> Option<Class> {
    Some(match minor {
        // KRB5KDC_ERR_C_PRINCIPAL_UNKNOWN
        -1_765_328_378 => Class::UnknownPrincipal,
        // KRB5KDC_ERR_S_PRINCIPAL_UNKNOWN
        -1_765_328_377 => Class::UnknownService,
        // KRB5KDC_ERR_BADOPTION, KRB5_TKT_NOT_FORWARDABLE
        -1_765_328_371 | -1_765_328_163 => Class::NotDelegable,
        // KRB5_KDCREP_MODIFIED
        -1_765_328_237 => Class::OtherIdentity,
        // KRB5_KDC_UNREACH
        -1_765_328_228 => Class::KdcUnreachable,
        // KRB5KRB_AP_ERR_SKEW, KRB5_KDCREP_SKEW, KRB5KRB_AP_ERR_TKT_NYV
        -1_765_328_347 | -1_765_328_236 | -1_765_328_351 => Class::Skew,
        // KRB5KRB_AP_ERR_TKT_EXPIRED, KRB5KDC_ERR_NEVER_VALID
        -1_765_328_352 | -1_765_328_373 => Class::Expired,
        // KRB5KRB_AP_ERR_REPEAT
        -1_765_328_350 => Class::Replay,
        // KRB5KRB_AP_ERR_NOKEY, KRB5_KT_NOTFOUND, KRB5_KT_KVNONOTFOUND, KRB5KRB_AP_WRONG_PRINC
        -1_765_328_339 | -1_765_328_203 | -1_765_328_154 | -1_765_328_240 => Class::NoKey,
        // KRB5KDC_ERR_PREAUTH_FAILED, KRB5KRB_AP_ERR_BAD_INTEGRITY
        -1_765_328_360 | -1_765_328_353 => Class::WrongPassword,
        // KRB5KDC_ERR_CLIENT_REVOKED, KRB5KDC_ERR_CLIENT_NOTYET
        -1_765_328_366 | -1_765_328_363 => Class::AccountDisabled,
        // KRB5KDC_ERR_NAME_EXP
        -1_765_328_383 => Class::AccountExpired,
        // KRB5KDC_ERR_KEY_EXP
        -1_765_328_361 => Class::PasswordExpired,
        _ => return None,
    })
}

/// SPNEGO's calls renumber the codes of the mechanism inside: only the words survive.
fn by_text(text: &str) -> Option<Class> {
    const WORDS: [(&str, Class); 5] = [
        ("Request is a replay", Class::Replay),
        ("Clock skew too great", Class::Skew),
        ("Ticket expired", Class::Expired),
        ("not found in keytab", Class::NoKey),
        ("Cannot contact any KDC", Class::KdcUnreachable),
    ];
    WORDS.iter().find(|(words, _)| text.contains(words)).map(|(_, class)| *class)
}
