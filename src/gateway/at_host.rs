//! What a client is told of what happened at a host.

use super::refusal::{Refusal, Reply, Stage, chain};
use crate::{audit::Blame, backend::BackendError, wsman::FaultKind};

impl From<BackendError> for Refusal {
    fn from(error: BackendError) -> Self {
        let (kind, public) = backend_fault(&error);
        let ours = matches!(
            error,
            BackendError::Busy { .. }
                | BackendError::UnexpectedEnd
                | BackendError::Unsuited { .. }
                | BackendError::NotTrusted { .. }
                | BackendError::TrustAnchors { .. }
        );
        let blame = if ours { Blame::Gateway } else { Blame::Backend };
        Self {
            stage: Stage::Backend,
            blame,
            reason: error.reason(),
            reply: Reply::Fault(kind),
            public: public.to_owned(),
            private: chain(&error),
        }
    }
}

/// The seed document's hint, for clients: "Negotiate Authentication" and "Default Group Access".
const LOCAL_ACCOUNT_TEXT: &str = "the host denies access to this account of its own: the password is wrong, or User Account Control lets only the built-in \
     Administrator in until LocalAccountTokenFilterPolicy is 1 there, or the account is neither an administrator nor a member of WinRMRemoteWMIUsers__";

/// The fault and the text for what happened at a host.
fn backend_fault(error: &BackendError) -> (FaultKind, &'static str) {
    match error {
        BackendError::UnknownHost { .. } => (FaultKind::DestinationUnreachable, "the host's name can't be resolved"),
        BackendError::AddressNotPermitted { .. } => {
            (FaultKind::DestinationUnreachable, "the host's address is not one that this route may reach")
        }
        BackendError::Unreachable { .. } => {
            (FaultKind::DestinationUnreachable, "the host can't be reached: it is down, or WinRM does not listen there")
        }
        BackendError::ConnectTimedOut { .. } => (FaultKind::NetworkTimedOut, "the host did not answer in time"),
        BackendError::TrustAnchors { .. } => {
            (FaultKind::EndpointUnavailable, "the gateway has no usable trust anchors for this host")
        }
        BackendError::Tls { .. } => {
            (FaultKind::EndpointUnavailable, "the host's TLS certificate could not be verified")
        }
        BackendError::Handshake { .. } => (FaultKind::EndpointUnavailable, "no ticket for the host could be used"),
        BackendError::NotTrusted { .. } => {
            (FaultKind::DestinationUnreachable, "the host proves nothing of itself, and the gateway does not trust it")
        }
        BackendError::Rejected { local: true, .. } | BackendError::AccessDenied { .. } => {
            (FaultKind::AccessDenied, LOCAL_ACCOUNT_TEXT)
        }
        BackendError::Rejected { local: false, .. } => (
            FaultKind::AccessDenied,
            "the host rejected the ticket or the password: it does not hold the key of its service, or does not admit this person",
        ),
        BackendError::Downgrade { .. } => (
            FaultKind::EndpointUnavailable,
            "the host does not offer the method that is configured for it, and no other is used",
        ),
        BackendError::Digest { .. } | BackendError::NtlmRefused { .. } => {
            (FaultKind::EndpointUnavailable, "the host's side of the authentication is wrong")
        }
        BackendError::NoProof { .. } => {
            (FaultKind::EndpointUnavailable, "the host did not prove who it is, so nothing was sent to it")
        }
        BackendError::NotProved { .. } | BackendError::UnexpectedLeg { .. } => {
            (FaultKind::EndpointUnavailable, "the host's proof of who it is is wrong, so nothing was sent to it")
        }
        BackendError::HandshakeStatus { .. } | BackendError::ClosedAfterHandshake { .. } => {
            (FaultKind::EndpointUnavailable, "the host would not shake hands")
        }
        BackendError::NotSealed { .. } | BackendError::Unsealed { .. } => {
            (FaultKind::InternalError, "the host's answer is not protected as it must be")
        }
        BackendError::OtherRequest => (FaultKind::InternalError, "the host answered another request than the one that was sent"),
        BackendError::BrokenAnswer { .. } => (FaultKind::InternalError, "the host's answer can't be read"),
        BackendError::HostStatus { .. } => (FaultKind::EndpointUnavailable, "the host refused the request"),
        BackendError::Lost { .. } => (
            FaultKind::InternalError,
            "the connection to the host was lost while the request was under way; it may have been carried out",
        ),
        BackendError::TimedOut { .. } => {
            (FaultKind::NetworkTimedOut, "the host did not answer in time; the request may have been carried out")
        }
        BackendError::Busy { .. } => {
            (FaultKind::EndpointUnavailable, "too many requests are under way at this host; try again later")
        }
        BackendError::UnexpectedEnd | BackendError::Unsuited { .. } => (FaultKind::InternalError, "the gateway failed"),
    }
}
