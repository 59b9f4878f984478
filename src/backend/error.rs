//! Why a request got no answer from its host.

use std::{io, net::IpAddr, path::PathBuf};

use super::{digest::DigestError, http::HttpError, seal::SealError};
use crate::{
    gssapi::{BindingsError, GssError},
    ntlm::NtlmError,
    policy::{Endpoint, HostName, Spn},
    wsman::{EnvelopeError, SplitError},
};

/// Why a request got no answer from its host, in the operator's words.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackendError {
    /// The name has no address.
    #[error("{host} can't be resolved")]
    UnknownHost {
        /// The name.
        host: HostName,
        /// What the resolver said; none where it knows no address.
        #[source]
        source: Option<io::Error>,
    },
    /// No address of the host may be dialled on this route.
    #[error("{endpoint} is at {address}, which is outside the route's networks")]
    AddressNotPermitted {
        /// The host.
        endpoint: Endpoint,
        /// Its first address.
        address: IpAddr,
    },
    /// Nothing listens there.
    #[error("{endpoint} can't be reached")]
    Unreachable {
        /// The host.
        endpoint: Endpoint,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No connection, or no TLS, within the connect time-out.
    #[error("{endpoint} did not answer within the connect time-out")]
    ConnectTimedOut {
        /// The host.
        endpoint: Endpoint,
    },
    /// The authorities that could vouch for the host can't be read.
    #[error("the trust anchors in {} can't be used", path.display())]
    TrustAnchors {
        /// The file.
        path: PathBuf,
        /// Why; none where it holds no certificate.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// TLS failed, or the host's certificate does not prove its name.
    #[error("TLS with {endpoint} failed")]
    Tls {
        /// The host.
        endpoint: Endpoint,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The handshake could not be begun.
    #[error("no security context for {target} can be begun")]
    Handshake {
        /// Whom it would be with.
        target: String,
        /// Why.
        #[source]
        source: HandshakeCause,
    },
    /// The host would prove nothing, and it is not this destination that the configuration trusts.
    #[error("{endpoint} has to prove who it is, or to be listed in `client.trusted_hosts`")]
    NotTrusted {
        /// The host.
        endpoint: Endpoint,
    },
    /// A credential of another kind than the method takes.
    #[error("there is no credential of the kind that {endpoint} is to be shown")]
    Unsuited {
        /// The host.
        endpoint: Endpoint,
    },
    /// The host answered 401.
    #[error("{endpoint} rejected the credential{}", if *local { LOCAL_ACCOUNT_HINT } else { "" })]
    Rejected {
        /// The host.
        endpoint: Endpoint,
        /// Whether it was a password of an account of the host's own.
        local: bool,
        /// What the library makes of the host's last token, where there is one.
        #[source]
        source: Option<Box<SealError>>,
    },
    /// The host answered that this account may not, and it is one of its own.
    #[error("{endpoint} denies access ({text}){LOCAL_ACCOUNT_HINT}")]
    AccessDenied {
        /// The host.
        endpoint: Endpoint,
        /// What the host says.
        text: String,
    },
    /// The host offers less than the configuration says.
    #[error(
        "{endpoint} does not offer {wanted} but {offered}; nothing else than what is configured is ever used"
    )]
    Downgrade {
        /// The host.
        endpoint: Endpoint,
        /// What the configuration says.
        wanted: &'static str,
        /// What there is.
        offered: String,
    },
    /// The host's Digest challenge is not answered.
    #[error("{endpoint} can't be answered by Digest")]
    Digest {
        /// The host.
        endpoint: Endpoint,
        /// Why.
        #[source]
        source: DigestError,
    },
    /// The host's part of NTLM is wrong.
    #[error("{endpoint} departs from NTLM")]
    NtlmRefused {
        /// The host.
        endpoint: Endpoint,
        /// How.
        #[source]
        source: NtlmError,
    },
    /// The host let the gateway in without a token of its own.
    #[error("{endpoint} did not prove that it is {spn}")]
    NoProof {
        /// The host.
        endpoint: Endpoint,
        /// Whom it should be.
        spn: Box<Spn>,
    },
    /// The host's token is wrong.
    #[error("{endpoint} failed to prove that it is {spn}")]
    NotProved {
        /// The host.
        endpoint: Endpoint,
        /// Whom it should be.
        spn: Box<Spn>,
        /// What is wrong with the token.
        #[source]
        source: Box<GssError>,
    },
    /// The handshake goes on where it must end, or ends where it must go on.
    #[error("{endpoint} departs from the handshake: {problem}")]
    UnexpectedLeg {
        /// The host.
        endpoint: Endpoint,
        /// How, a constant.
        problem: &'static str,
    },
    /// A status that ends the handshake.
    #[error("{endpoint} answered the handshake with status {status}")]
    HandshakeStatus {
        /// The host.
        endpoint: Endpoint,
        /// The status.
        status: u16,
    },
    /// The host ended the connection within the handshake, or right after it, instead of waiting for a request.
    #[error("{endpoint} closed the connection before a request could be sent on it")]
    ClosedAfterHandshake {
        /// The host.
        endpoint: Endpoint,
    },
    /// An answer in clear to a sealed request.
    #[error("{endpoint} answered a sealed request in clear, with status {status}")]
    NotSealed {
        /// The host.
        endpoint: Endpoint,
        /// The status.
        status: u16,
    },
    /// A sealed answer that can't be unsealed.
    #[error("the answer of {endpoint} can't be unsealed")]
    Unsealed {
        /// The host.
        endpoint: Endpoint,
        /// Why.
        #[source]
        source: Box<SealError>,
    },
    /// An answer that breaks the rules of HTTP, of sealed messages or of SOAP.
    #[error("the answer of {endpoint} can't be read")]
    BrokenAnswer {
        /// The host.
        endpoint: Endpoint,
        /// What is wrong with it.
        #[source]
        source: Defect,
    },
    /// The host refused the request without SOAP.
    #[error("{endpoint} answered with status {status} and no fault")]
    HostStatus {
        /// The host.
        endpoint: Endpoint,
        /// The status.
        status: u16,
    },
    /// The connection ended before the answer did.
    #[error("the connection to {endpoint} was lost")]
    Lost {
        /// The host.
        endpoint: Endpoint,
        /// Why; none where the host closed it.
        #[source]
        source: Option<io::Error>,
    },
    /// No answer within the operation's own time.
    #[error("{endpoint} did not answer within the operation's time-out")]
    TimedOut {
        /// The host.
        endpoint: Endpoint,
    },
    /// Every connection to the host is in use.
    #[error("every connection to {endpoint} is in use")]
    Busy {
        /// The host.
        endpoint: Endpoint,
    },
    /// The answer has fewer or more envelopes than it must have.
    #[error("the answer does not end where it must")]
    UnexpectedEnd,
    /// The answer relates to another request.
    #[error("the answer relates to another request")]
    OtherRequest,
}

impl BackendError {
    /// A label for metrics and records, one of [`REASONS`].
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::UnknownHost { .. } => "unknown_host",
            Self::AddressNotPermitted { .. } => "address_not_permitted",
            Self::Unreachable { .. } => "unreachable",
            Self::ConnectTimedOut { .. } => "connect_timed_out",
            Self::TrustAnchors { .. } => "trust_anchors",
            Self::Tls { .. } => "tls",
            Self::Handshake { .. } => "handshake",
            Self::NotTrusted { .. } => "not_trusted",
            Self::Unsuited { .. } => "unsuited",
            Self::Rejected { .. } => "rejected",
            Self::AccessDenied { .. } => "access_denied",
            Self::Downgrade { .. } => "downgrade",
            Self::Digest { source, .. } => source.reason(),
            Self::NtlmRefused { .. } => "ntlm",
            Self::NoProof { .. } => "no_proof",
            Self::NotProved { .. } => "not_proved",
            Self::UnexpectedLeg { .. } => "unexpected_leg",
            Self::HandshakeStatus { .. } => "handshake_status",
            Self::ClosedAfterHandshake { .. } => "closed_after_handshake",
            Self::NotSealed { .. } => "not_sealed",
            Self::Unsealed { .. } => "unsealed",
            Self::BrokenAnswer { .. } => "broken_answer",
            Self::HostStatus { .. } => "host_status",
            Self::Lost { .. } => "lost",
            Self::TimedOut { .. } => "timed_out",
            Self::Busy { .. } => "busy",
            Self::UnexpectedEnd => "unexpected_end",
            Self::OtherRequest => "other_request",
        }
    }
}

/// Every value of [`BackendError::reason`].
pub(crate) const REASONS: &[&str] = &[
    "unknown_host",
    "address_not_permitted",
    "unreachable",
    "connect_timed_out",
    "trust_anchors",
    "tls",
    "handshake",
    "not_trusted",
    "unsuited",
    "rejected",
    "access_denied",
    "downgrade",
    "digest_malformed",
    "digest_unsupported",
    "digest_replayed",
    "digest_wrong_proof",
    "ntlm",
    "no_proof",
    "not_proved",
    "unexpected_leg",
    "handshake_status",
    "closed_after_handshake",
    "not_sealed",
    "unsealed",
    "broken_answer",
    "host_status",
    "lost",
    "timed_out",
    "busy",
    "unexpected_end",
    "other_request",
];

/// Seed document, "Negotiate Authentication" and "Default Group Access": why a host turns away an account of its own whose password is right.
pub(crate) const LOCAL_ACCOUNT_HINT: &str = ": if its password is right, then User Account Control may be the reason: with an account that is local to the \
     host only the built-in Administrator account can access the service, unless the host's registry has LocalAccountTokenFilterPolicy = 1 below \
     HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Policies\\System; and whoever is no administrator there must be a member of \
     WinRMRemoteWMIUsers__";

/// Why a handshake could not be begun.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeCause {
    /// The library refused.
    #[error(transparent)]
    Gss(#[from] GssError),
    /// NTLM refused.
    #[error(transparent)]
    Ntlm(#[from] NtlmError),
    /// Nothing can be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The host's certificate can't be bound to.
    #[error(transparent)]
    Bindings(#[from] BindingsError),
}

/// What is wrong with an answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Defect {
    /// Its HTTP.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Where its envelopes begin and end, or what the sealed message says of itself.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// Its SOAP.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Another content type than the request calls for.
    #[error("the content type is not one of a SOAP answer")]
    ContentType,
    /// The bytes are in another character set than they are said to be.
    #[error("the character set is not the declared one")]
    Charset,
    /// No envelope at all.
    #[error("there is no envelope in it")]
    Empty,
    /// More envelopes than one, to a request that takes one.
    #[error("there are several envelopes in it, and one is due")]
    Several,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_listed_once() {
        let mut listed = REASONS.to_vec();
        listed.sort_unstable();
        listed.dedup();
        assert_eq!(listed.len(), REASONS.len());
        assert!(listed.contains(&BackendError::UnexpectedEnd.reason()));
        assert!(listed.contains(&BackendError::OtherRequest.reason()));
    }
}
