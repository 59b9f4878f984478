//! How it reaches the client, the record and the metrics that a request proved nothing, or could not be opened.

use super::refusal::{Refusal, Reply, Stage, chain};
use crate::{
    audit::Blame,
    authn::{AuthnError, CertificateError, Challenge, IdentifyError, SealError, UnsealError},
    wsman::FaultKind,
};

impl Refusal {
    /// No evidence yet: the answer says what would count.
    pub(super) fn challenged(challenge: Challenge) -> Self {
        let reason = challenge.reason();
        Self {
            stage: Stage::Authn,
            blame: Blame::Client,
            reason,
            public: challenge.text().to_owned(),
            private: challenge.cause().to_owned(),
            reply: Reply::Challenge(Box::new(challenge)),
        }
    }

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

impl From<AuthnError> for Refusal {
    fn from(error: AuthnError) -> Self {
        let (blame, status, public) = match &error {
            AuthnError::Certificate(_) => (Blame::Client, 403, "the client certificate is not accepted"),
            AuthnError::Unavailable(_) => (Blame::Gateway, 503, "the gateway can't look at tickets now; try again later"),
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
                IdentifyError::TwoPeople { .. } => "the certificate and the Authorization header name different people",
            }
            .to_owned(),
            private: chain(&error),
        }
    }
}
