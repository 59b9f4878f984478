//! How a refusal of any stage reaches the client, the record and the metrics.

mod host;

use crate::{
    audit::{AuditError, Blame},
    authn::{AuthnError, CertificateError, Challenge, IdentifyError, SealError, UnsealError},
    credential::CredentialError,
    listener::{FailureReason, Gone, Reason},
    policy::Denied,
    wsman::{EnvelopeError, FaultKind},
};

/// The stage at which a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// TLS and HTTP.
    Listener,
    /// Routes and rules.
    Policy,
    /// Evidence and person.
    Authn,
    /// The envelope.
    Wsman,
    /// The record.
    Audit,
    /// The ticket.
    Credential,
    /// The host.
    Backend,
}

impl Stage {
    /// Every stage, in the order in which a request passes them.
    pub(crate) const ALL: [Self; 7] = [
        Self::Listener,
        Self::Policy,
        Self::Authn,
        Self::Wsman,
        Self::Audit,
        Self::Credential,
        Self::Backend,
    ];

    /// The label in records and metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::Policy => "policy",
            Self::Authn => "authn",
            Self::Wsman => "wsman",
            Self::Audit => "audit",
            Self::Credential => "credential",
            Self::Backend => "backend",
        }
    }
}

/// What the client is sent.
#[derive(Debug)]
pub(crate) enum Reply {
    /// The methods that would count, or that none would.
    Challenge(Challenge),
    /// A WS-Management fault, which clients print.
    Fault(FaultKind),
    /// A bare status with a line of text.
    Status(u16),
    /// A bare status, as Windows answers what it can't read.
    Empty(u16),
    /// Nothing more: the strict gate has answered with this status.
    Answered(u16),
    /// Nothing: the client has gone.
    Gone,
}

impl Reply {
    /// The HTTP status that the client gets.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Challenge(challenge) => Some(challenge.status()),
            Self::Fault(_) => Some(500),
            Self::Status(status) | Self::Empty(status) | Self::Answered(status) => Some(*status),
            Self::Gone => None,
        }
    }

    /// The number by which clients know the fault.
    pub(super) fn fault_code(&self) -> Option<u32> {
        match self {
            Self::Fault(kind) => Some(kind.number()),
            Self::Challenge(_) | Self::Status(_) | Self::Empty(_) | Self::Answered(_) | Self::Gone => None,
        }
    }
}

/// A request that ends here.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Where it ended.
    pub(crate) stage: Stage,
    /// Whose doing it is.
    pub(crate) blame: Blame,
    /// Why, from a fixed set of words.
    pub(crate) reason: &'static str,
    /// What the client is sent.
    pub(crate) reply: Reply,
    /// The text for the client: what it may know.
    pub(crate) public: String,
    /// The text for the record: all there is to know, without secrets.
    pub(crate) private: String,
}

impl Refusal {
    /// The reasons that are the spine's own.
    pub(super) const REASONS: [&'static str; 5] =
        ["client_gone", "no_longer_permitted", "not_recordable", "not_sealed", "answer_not_sealed"];

    /// The client's certificate stopped counting while its request was under way.
    pub(super) fn no_longer_trusted(reason: FailureReason) -> Self {
        Self {
            stage: Stage::Listener,
            blame: Blame::Client,
            reason: reason.as_str(),
            reply: Reply::Gone,
            public: String::new(),
            private: reason.to_string(),
        }
    }

    /// A new configuration would not have permitted what is under way.
    pub(super) fn no_longer_permitted(cause: String) -> Self {
        Self {
            stage: Stage::Policy,
            blame: Blame::Client,
            reason: "no_longer_permitted",
            reply: Reply::Fault(FaultKind::OperationAborted),
            public: "the request is no longer permitted and was cut off; it may have been carried out"
                .to_owned(),
            private: cause,
        }
    }

    /// The client has gone: nobody is left to tell.
    pub(super) fn client_gone() -> Self {
        Self {
            stage: Stage::Listener,
            blame: Blame::Client,
            reason: "client_gone",
            reply: Reply::Gone,
            public: String::new(),
            private: "the client closed the connection while its request was under way".to_owned(),
        }
    }

    /// What the strict gate refused has already been answered.
    pub(super) fn at_the_gate(status: u16, reason: Reason) -> Self {
        Self {
            stage: Stage::Listener,
            blame: if reason == Reason::Overloaded { Blame::Gateway } else { Blame::Client },
            reason: reason.as_str(),
            reply: Reply::Answered(status),
            public: String::new(),
            private: reason.to_string(),
        }
    }

    /// No evidence yet: the answer says what would count.
    pub(super) fn challenged(challenge: Challenge) -> Self {
        let reason = challenge.reason();
        Self {
            stage: Stage::Authn,
            blame: Blame::Client,
            reason,
            public: challenge.text().to_owned(),
            private: challenge.cause().to_owned(),
            reply: Reply::Challenge(challenge),
        }
    }
}

impl Refusal {
    /// A body that everybody on the way could read, where none may come in.
    pub(super) fn not_sealed() -> Self {
        Self {
            stage: Stage::Wsman,
            blame: Blame::Client,
            reason: "not_sealed",
            reply: Reply::Empty(500),
            public: String::new(),
            private: "the body is not sealed, and this listener takes sealed ones only".to_owned(),
        }
    }
}

impl From<UnsealError> for Refusal {
    fn from(error: UnsealError) -> Self {
        Self {
            stage: Stage::Wsman,
            blame: Blame::Client,
            reason: error.reason(),
            reply: Reply::Empty(400),
            public: String::new(),
            private: chain(&error),
        }
    }
}

impl From<SealError> for Refusal {
    fn from(error: SealError) -> Self {
        Self {
            stage: Stage::Wsman,
            blame: Blame::Client,
            reason: "answer_not_sealed",
            reply: Reply::Empty(500),
            public: String::new(),
            private: chain(&error),
        }
    }
}

impl From<Gone> for Refusal {
    fn from(gone: Gone) -> Self {
        match gone {
            Gone::Closed | Gone::SentEarly => Self::client_gone(),
            Gone::NotTrusted(reason) => Self::no_longer_trusted(reason),
        }
    }
}

/// An error with all its causes, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        let reply = match &denied {
            Denied::NoRoute
            | Denied::MalformedHost(_)
            | Denied::HostNotAllowed { .. }
            | Denied::NotTrusted { .. } => Reply::Fault(FaultKind::DestinationUnreachable),
            Denied::NotOwner { .. } | Denied::UnknownShellForSharedAccount { .. } => {
                Reply::Fault(FaultKind::InvalidSelectors)
            }
            Denied::TooManyShells { .. } => Reply::Fault(FaultKind::QuotaMaxShells),
            Denied::NotAccepted { .. } => Reply::Fault(FaultKind::AuthorizationMode),
            Denied::RefusedByName { .. }
            | Denied::RefusedByGroup { .. }
            | Denied::NotImpersonated { .. }
            | Denied::NotInRemoteAccessGroups { .. }
            | Denied::NoRule { .. }
            | Denied::ActionNotAllowed { .. } => Reply::Fault(FaultKind::AccessDenied),
        };
        Self {
            stage: Stage::Policy,
            blame: Blame::Client,
            reason: denied.reason(),
            reply,
            public: denied.public_text().to_owned(),
            private: chain(&denied),
        }
    }
}

impl From<AuthnError> for Refusal {
    fn from(error: AuthnError) -> Self {
        let (blame, status, public) = match &error {
            AuthnError::Certificate(_) => (Blame::Client, 403, "the client certificate is not accepted"),
            AuthnError::Unavailable(_) => {
                (Blame::Gateway, 503, "the gateway can't look at tickets now; try again later")
            }
            AuthnError::KdcUnavailable(_) | AuthnError::KdcNotProved(_) => {
                (Blame::Backend, 503, "the realm's key distribution centre does not answer; try again later")
            }
        };
        Self {
            stage: Stage::Authn,
            blame,
            reason: error.reason(),
            reply: Reply::Status(status),
            public: public.to_owned(),
            private: chain(&error),
        }
    }
}

impl From<CertificateError> for Refusal {
    fn from(error: CertificateError) -> Self {
        AuthnError::Certificate(error).into()
    }
}

impl From<IdentifyError> for Refusal {
    fn from(error: IdentifyError) -> Self {
        Self {
            stage: Stage::Authn,
            blame: Blame::Client,
            reason: error.reason(),
            reply: Reply::Fault(FaultKind::AccessDenied),
            public: match error {
                IdentifyError::Certificate(_) | IdentifyError::Ticket(_) => "this identity is not known here",
                IdentifyError::TwoPeople { .. } => {
                    "the certificate and the Authorization header name different people"
                }
            }
            .to_owned(),
            private: chain(&error),
        }
    }
}

impl From<EnvelopeError> for Refusal {
    fn from(error: EnvelopeError) -> Self {
        let too_large = matches!(error, EnvelopeError::TooLarge { .. });
        let reply = if too_large { Reply::Status(413) } else { Reply::Fault(error.fault()) };
        Self {
            stage: Stage::Wsman,
            blame: Blame::Client,
            reason: error.reason(),
            reply,
            public: error.to_string(),
            private: chain(&error),
        }
    }
}

impl From<AuditError> for Refusal {
    fn from(error: AuditError) -> Self {
        Self {
            stage: Stage::Audit,
            blame: Blame::Gateway,
            reason: "not_recordable",
            reply: Reply::Status(503),
            public: "the request can't be recorded, so it is not carried out; try again later".to_owned(),
            private: chain(&error),
        }
    }
}

impl From<CredentialError> for Refusal {
    fn from(error: CredentialError) -> Self {
        let (blame, reply, public) = match &error {
            CredentialError::UnknownPerson { .. } => {
                (Blame::Client, Reply::Fault(FaultKind::AccessDenied), "the realm does not know this person")
            }
            CredentialError::NotDelegable { .. } => (
                Blame::Client,
                Reply::Fault(FaultKind::AccessDenied),
                "this person can't be delegated to this host: the account is sensitive, or the delegation does not list the host",
            ),
            CredentialError::UnknownService { .. } => (
                Blame::Backend,
                Reply::Fault(FaultKind::DestinationUnreachable),
                "the realm does not know this host's service",
            ),
            CredentialError::KdcUnavailable { .. } => (
                Blame::Backend,
                Reply::Fault(FaultKind::EndpointUnavailable),
                "the realm's key distribution centre does not answer; try again later",
            ),
            CredentialError::OtherIdentity { .. } => (
                Blame::Backend,
                Reply::Fault(FaultKind::AccessDenied),
                "the realm answered with a ticket in another name",
            ),
            CredentialError::UnknownAccount(_) | CredentialError::OwnAccount { .. } => (
                Blame::Gateway,
                Reply::Fault(FaultKind::EndpointUnavailable),
                "the gateway's own account can't log on",
            ),
            CredentialError::Unreadable { .. } => (
                Blame::Gateway,
                Reply::Fault(FaultKind::EndpointUnavailable),
                "the secret of the gateway's own account can't be used",
            ),
            CredentialError::Ungrounded { .. } => (
                Blame::Client,
                Reply::Fault(FaultKind::AccessDenied),
                "the way you authenticated brings nothing that this host could be shown; authenticate otherwise",
            ),
            CredentialError::OtherPerson { .. } => {
                (Blame::Gateway, Reply::Fault(FaultKind::AccessDenied), "the gateway failed")
            }
            CredentialError::Expired { .. } => (
                Blame::Client,
                Reply::Fault(FaultKind::AccessDenied),
                "your ticket has expired; authenticate again",
            ),
            CredentialError::Skew { .. } => (
                Blame::Backend,
                Reply::Fault(FaultKind::EndpointUnavailable),
                "the clocks of the gateway and the realm differ too much",
            ),
            CredentialError::Refused { .. } => (
                Blame::Backend,
                Reply::Fault(FaultKind::AccessDenied),
                "the realm refused a ticket for this host",
            ),
        };
        let (reason, private) = (error.reason(), chain(&error));
        Self { stage: Stage::Credential, blame, reason, reply, public: public.to_owned(), private }
    }
}
