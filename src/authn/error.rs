//! Why evidence that was presented does not count, or could not be looked at.

use super::{CertificateError, Challenge};
use crate::gssapi::GssError;

/// Why evidence that was presented does not count.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthnError {
    /// The certificate proves nothing.
    #[error("a client certificate was presented and not accepted")]
    Certificate(#[from] CertificateError),
    /// The gateway's own keys can't be used, or nobody had time.
    #[error("the client's token could not be looked at")]
    Unavailable(#[source] GssError),
    /// A password could not be looked at.
    #[error("the realm could not be asked whether the password is right")]
    KdcUnavailable(#[source] GssError),
    /// Somebody took the password who does not know the gateway's own keys, and so is not the realm's KDC.
    #[error("who took the password did not prove to be the realm's own KDC")]
    KdcNotProved(#[source] GssError),
}

impl AuthnError {
    /// Every reason of this module, for registering metrics.
    pub(crate) const REASONS: &'static [&'static str] = &[
        "certificate_too_large",
        "certificate_unreadable",
        "certificate_not_trusted",
        "certificate_wrong_usage",
        "certificate_forbidden_name",
        "no_mapping",
        "ambiguous_mapping",
        "several_names",
        "not_a_principal",
        "two_people",
        "unavailable",
        "kdc_unavailable",
        "kdc_not_proved",
    ];

    /// The reasons of all that proves nothing.
    pub(crate) fn reasons() -> impl Iterator<Item = &'static str> {
        Self::REASONS
            .iter()
            .chain(Challenge::REASONS)
            .copied()
            .chain(super::UnsealError::REASONS)
            .chain(crate::ntlm::NtlmError::REASONS)
    }

    /// The reason in records and metrics.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Certificate(error) => error.reason(),
            Self::Unavailable(_) => "unavailable",
            Self::KdcUnavailable(_) => "kdc_unavailable",
            Self::KdcNotProved(_) => "kdc_not_proved",
        }
    }
}
