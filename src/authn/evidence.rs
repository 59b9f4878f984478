//! What a method proved, before anybody asks whom it names.

use std::sync::Arc;

use secrecy::SecretString;
use tokio::time::Instant;

use super::{AuthMethod, Grounds, Principal, certificate::VerifiedCertificate};
use crate::gssapi::{Credential, Delegated};

/// What a request proved: enough to name a person, and not yet a person.
#[derive(Debug, Clone)]
pub(crate) struct Evidence {
    pub(super) method: AuthMethod,
    pub(super) proof: Proof,
    /// What else this connection proved. It never adds anything; it must not name another person.
    pub(super) beside: Option<Proof>,
    /// Whether the proof is the connection's security context, which opens sealed bodies.
    pub(super) opens: bool,
}

/// One proof.
#[derive(Debug, Clone)]
pub(super) enum Proof {
    /// A client certificate on a path that holds.
    Certificate(Arc<VerifiedCertificate>),
    /// A local process, and the person that the configuration says it is.
    Peer {
        /// Who it is.
        principal: Principal,
        /// How the process is known, for the record.
        process: String,
    },
    /// A Kerberos ticket.
    Ticket(Arc<TicketProof>),
    /// The password of an account that is local to the gateway.
    Ntlm(Arc<NtlmProof>),
    /// The password of a domain account.
    Password(Arc<PasswordProof>),
}

/// What a Kerberos handshake proved.
#[derive(Debug)]
pub(super) struct TicketProof {
    /// The client's name as the ticket has it.
    pub(super) client: String,
    /// Which of our services it is for.
    pub(super) service: String,
    /// Whether it is bound to the TLS channel.
    pub(super) bound: bool,
    /// What the client lets us do in its name.
    pub(super) delegated: Delegated,
}

/// What an NTLM handshake proved.
#[derive(Debug)]
pub(super) struct NtlmProof {
    /// The account, as the file writes it.
    pub(super) account: String,
    /// Who that is.
    pub(super) principal: Principal,
    /// Whether it is bound to the TLS channel.
    pub(super) bound: bool,
}

/// What a password proved: the KDC, shown to be the realm's own, took it.
#[derive(Debug)]
pub(super) struct PasswordProof {
    /// Whose it is.
    pub(super) principal: Principal,
    /// The ticket that it was exchanged for.
    pub(super) ticket: Credential,
    /// The password.
    pub(super) password: SecretString,
    /// Until when it is believed.
    pub(super) until: Instant,
}

impl Evidence {
    /// Evidence with nothing beside it.
    pub(super) const fn of(method: AuthMethod, proof: Proof) -> Self {
        Self { method, proof, beside: None, opens: false }
    }

    /// The method that proved it.
    pub(crate) const fn method(&self) -> AuthMethod {
        self.method
    }

    /// Whether sealed bodies of this request may be opened: what was proved is the connection's own context.
    pub(crate) const fn opens_sealed(&self) -> bool {
        self.opens
    }

    /// What was proved, for the record.
    pub(crate) fn describe(&self) -> String {
        match &self.proof {
            Proof::Certificate(certificate) => format!("certificate sha256:{}", certificate.fingerprint()),
            Proof::Peer { process, .. } => process.clone(),
            Proof::Ticket(ticket) => {
                let discarded = match ticket.delegated {
                    Delegated::Discarded => ", delegated credential discarded",
                    Delegated::Nothing | Delegated::Evidence(_) | Delegated::Forwarded(_) => "",
                };
                format!("kerberos {} {}{discarded}", ticket.service, bound(ticket.bound))
            }
            Proof::Ntlm(proof) => format!("ntlm account {} {}", proof.account, bound(proof.bound)),
            Proof::Password(_) => "password, taken by the realm".to_owned(),
        }
    }

    /// What the person brought along that a host can be shown.
    pub(super) fn grounds(&self) -> Grounds {
        match &self.proof {
            Proof::Certificate(_) | Proof::Peer { .. } | Proof::Ntlm(_) => Grounds::Nothing,
            Proof::Ticket(ticket) => match &ticket.delegated {
                Delegated::Nothing | Delegated::Discarded => Grounds::Nothing,
                Delegated::Evidence(credential) => Grounds::Ticket(credential.clone()),
                Delegated::Forwarded(credential) => Grounds::Forwarded(credential.clone()),
            },
            Proof::Password(proof) => {
                Grounds::Password { ticket: proof.ticket.clone(), password: proof.password.clone() }
            }
        }
    }
}

const fn bound(is_bound: bool) -> &'static str {
    if is_bound { "bound" } else { "unbound" }
}
