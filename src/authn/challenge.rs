//! What a client is told whose request proved nothing, and what came of its handshake.

use super::{Accept, AuthMethod, Evidence};

/// What a request with its connection amounts to.
pub(crate) enum Step {
    /// One of the accepted methods proved something.
    Proved(Evidence, Reply),
    /// A leg of a handshake without a request beside it: this is the answer, and all of it.
    Shaken {
        /// 401 where another leg is awaited, 200 where it was the last.
        status: u16,
        /// What the answer carries.
        reply: Reply,
    },
    /// None did: this is what the client is told.
    Challenge(Challenge),
}

/// The value of `WWW-Authenticate` on the answer that a request gets, if there is one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply(pub(super) Option<String>);

impl Reply {
    /// The value.
    pub(crate) fn header(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

/// The answer to a request that proved nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    schemes: Vec<&'static str>,
    why: Unproved,
}

/// Why a request proved nothing: for everybody in a text that tells nothing about any account, and for the record in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unproved {
    pub(super) reason: &'static str,
    pub(super) public: &'static str,
    pub(super) private: String,
}

impl Unproved {
    /// A reason whose text everybody may read.
    pub(super) fn new(reason: &'static str, public: &'static str) -> Self {
        Self { reason, public, private: public.to_owned() }
    }

    /// The same, with what the record says instead.
    pub(super) fn because(self, private: impl Into<String>) -> Self {
        Self { private: private.into(), ..self }
    }

    /// It carried nothing that could.
    pub(super) fn no_evidence() -> Self {
        Self::new("no_evidence", "authentication is required")
    }

    /// It carried a scheme that the route does not accept.
    pub(super) fn scheme_not_accepted() -> Self {
        Self::new("scheme_not_accepted", "this authentication scheme is not accepted here")
    }
}

impl Challenge {
    pub(super) fn new(accept: &Accept, why: Unproved) -> Self {
        let mut schemes = Vec::new();
        // What most clients send Kerberos under stands first.
        if accept.contains(AuthMethod::Kerberos) || accept.contains(AuthMethod::Negotiate) {
            schemes.push("Negotiate");
        }
        if accept.contains(AuthMethod::Kerberos) {
            schemes.push("Kerberos");
        }
        if accept.contains(AuthMethod::Basic) {
            schemes.push("Basic realm=\"WSMAN\"");
        }
        Self { schemes, why }
    }

    /// 401 where a scheme can be answered with, 403 where only the connection itself could prove anything.
    pub(crate) fn status(&self) -> u16 {
        if self.schemes.is_empty() { 403 } else { 401 }
    }

    /// The values of `WWW-Authenticate`, one header each.
    pub(crate) fn schemes(&self) -> &[&'static str] {
        &self.schemes
    }

    /// The line for the client.
    pub(crate) fn text(&self) -> &'static str {
        if self.schemes.is_empty() && self.why.reason == "no_evidence" {
            return "a client certificate is required here, and none was presented";
        }
        self.why.public
    }

    /// The reason in records and metrics.
    pub(crate) fn reason(&self) -> &'static str {
        self.why.reason
    }

    /// The cause, for the record.
    pub(crate) fn cause(&self) -> &str {
        &self.why.private
    }

    /// Every reason of this module, for registering metrics.
    pub(crate) const REASONS: &'static [&'static str] = &[
        "no_evidence",
        "scheme_not_accepted",
        "method_not_accepted",
        "malformed_token",
        "token_too_large",
        "no_handshake",
        "handshake_too_slow",
        "too_many_legs",
        "ntlm_not_accepted",
        "wrong_target",
        "context_expired",
        "no_longer_known",
        "replayed",
        "clock_skew",
        "ticket_expired",
        "no_key",
        "wrong_bindings",
        "no_bindings",
        "missing_protection",
        "token_refused",
        "wrong_service",
        "foreign_realm",
        "not_a_principal",
        "basic_in_clear",
        "malformed_credentials",
        "wrong_password",
        "unknown_user",
        "guard_locked",
        "account_disabled",
        "account_expired",
        "password_expired",
    ];
}
