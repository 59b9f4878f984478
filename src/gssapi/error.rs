//! What went wrong, as GSSAPI said it, and which kind of failure it is.

use std::{path::PathBuf, time::Duration};

/// Why a call through this module came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GssError {
    /// GSSAPI or Kerberos refused. The text was rendered on the thread that failed.
    #[error("{call}: {text} (major {major:#x}, minor {minor})")]
    Call {
        /// The function that failed.
        call: &'static str,
        /// The kind of failure.
        class: Class,
        /// GSSAPI's major status.
        major: u32,
        /// The mechanism's status: an error code of libkrb5.
        minor: i32,
        /// Both in words.
        text: String,
    },
    /// The keytab can't be read.
    #[error("the keytab {} can't be read: {cause}", path.display())]
    KeytabUnreadable {
        /// The file.
        path: PathBuf,
        /// What the system or the format says.
        cause: String,
    },
    /// The keytab holds keys, but none of this principal.
    #[error("the keytab {} holds no key of {principal}", path.display())]
    NotInKeytab {
        /// The file.
        path: PathBuf,
        /// The principal that was wanted.
        principal: String,
    },
    /// A name that can't be one: no realm, a NUL byte, not UTF-8.
    #[error("`{name}` can't be used as a name: {cause}")]
    BadName {
        /// The name.
        name: String,
        /// What is wrong with it.
        cause: &'static str,
    },
    /// The credential is in another name than was wanted.
    #[error("a credential of `{wanted}` was wanted, but it is in the name of `{found}`")]
    OtherIdentity {
        /// The wish.
        wanted: String,
        /// What GSSAPI says.
        found: String,
    },
    /// The credential has no name, so it is never used to initiate.
    #[error("a credential without a name is never used to initiate")]
    Nameless,
    /// The KDC's answer did not come in time; the call goes on without the caller.
    #[error("no answer from the realm {realm} within {} ms", deadline.as_millis())]
    TimedOut {
        /// Whose KDC was asked.
        realm: String,
        /// How long the caller waited.
        deadline: Duration,
    },
    /// The realm failed repeatedly and is left alone for a while.
    #[error("the realm {realm} has not answered repeatedly and is left alone for a while")]
    BreakerOpen {
        /// The realm.
        realm: String,
    },
    /// All threads were busy for as long as the caller may wait.
    #[error("all {threads} threads for Kerberos were busy for {} ms", deadline.as_millis())]
    Overloaded {
        /// The size of the pool.
        threads: usize,
        /// How long the caller waited.
        deadline: Duration,
    },
    /// The lifetime of the context or credential is over.
    #[error("the {what} has expired")]
    Expired {
        /// What has expired.
        what: &'static str,
    },
    /// The message is not encrypted, or would not be.
    #[error("the message is not encrypted")]
    NotSealed,
    /// The handshake ended without a protection that is required.
    #[error("the handshake ended without {missing}")]
    MissingFlags {
        /// The names of what is missing.
        missing: String,
    },
    /// The peer's name carries an attribute that nobody vouches for.
    #[error("the attribute {attribute} of the peer's name is not authenticated")]
    NotAuthenticated {
        /// The attribute.
        attribute: &'static str,
    },
    /// The thread that made the call did not return a result.
    #[error("a call to Kerberos ended without a result")]
    Lost,
}

/// The kinds of failure that callers tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    /// The realm does not know the principal.
    UnknownPrincipal,
    /// The realm does not know the service.
    UnknownService,
    /// The KDC will not delegate: sensitive person, target not listed, or no protocol transition.
    NotDelegable,
    /// The answer is in another name than the question.
    OtherIdentity,
    /// No KDC of the realm could be reached.
    KdcUnreachable,
    /// The caller's deadline passed.
    TimedOut,
    /// The realm's breaker is open.
    BreakerOpen,
    /// The pool is full.
    Overloaded,
    /// The clocks are too far apart.
    Skew,
    /// A ticket, credential or context has expired.
    Expired,
    /// The same token was seen before.
    Replay,
    /// A message is missing or out of order.
    OutOfSequence,
    /// The channel bindings differ.
    BadBindings,
    /// No key for it: keytab absent, unreadable or without the principal.
    NoKey,
    /// The password is wrong.
    WrongPassword,
    /// The account is disabled, locked, or not to be used now.
    AccountDisabled,
    /// The account has expired.
    AccountExpired,
    /// The password is right and no longer counts.
    PasswordExpired,
    /// Not encrypted.
    NotSealed,
    /// A required protection is missing.
    MissingFlags,
    /// Anything else; the text says what.
    Other,
}

impl GssError {
    /// The kind of failure.
    pub(crate) const fn classify(&self) -> Class {
        match self {
            Self::Call { class, .. } => *class,
            Self::KeytabUnreadable { .. } | Self::NotInKeytab { .. } => Class::NoKey,
            Self::OtherIdentity { .. } | Self::Nameless => Class::OtherIdentity,
            Self::TimedOut { .. } => Class::TimedOut,
            Self::BreakerOpen { .. } => Class::BreakerOpen,
            Self::Overloaded { .. } => Class::Overloaded,
            Self::Expired { .. } => Class::Expired,
            Self::NotSealed => Class::NotSealed,
            Self::MissingFlags { .. } => Class::MissingFlags,
            Self::BadName { .. } | Self::NotAuthenticated { .. } | Self::Lost => Class::Other,
        }
    }
}
