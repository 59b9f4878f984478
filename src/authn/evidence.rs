//! What a method proved, before anybody asks whom it names.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use rustls::pki_types::UnixTime;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;

use super::{
    Accept, AuthMethod, CertificateError, Principal,
    certificate::{Trust, VerifiedCertificate},
};
use crate::listener::{ClientAddr, ClientConnection, Request, TlsFacts, TlsSnapshot};

/// What a method proved: enough to name a person, and not yet a person.
#[derive(Debug, Clone)]
pub(crate) enum Evidence {
    /// A client certificate on a path that holds.
    Certificate(Arc<VerifiedCertificate>),
    /// A local process, and the person that the configuration says it is.
    Peer {
        /// Who it is.
        principal: Principal,
        /// How the process is known, for the record.
        process: String,
    },
}

impl Evidence {
    /// The method that proved it.
    pub(crate) fn method(&self) -> AuthMethod {
        match self {
            Self::Certificate(_) => AuthMethod::Certificate,
            Self::Peer { .. } => AuthMethod::Peer,
        }
    }

    /// What was proved, for the record.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Certificate(certificate) => format!("certificate sha256:{}", certificate.fingerprint()),
            Self::Peer { process, .. } => process.clone(),
        }
    }
}

/// What a request with its connection amounts to.
pub(crate) enum Step {
    /// One of the accepted methods proved something.
    Proved(Evidence),
    /// None did: this is what the client is told.
    Challenge(Challenge),
}

/// The answer to a request that proved nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    schemes: Vec<&'static str>,
    why: Why,
}

/// Why a request proved nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// It carried nothing that could.
    NoEvidence,
    /// It carried a scheme that the route does not accept.
    SchemeNotAccepted,
}

impl Challenge {
    fn new(accept: &Accept, why: Why) -> Self {
        let schemes = accept
            .iter()
            .filter_map(|method| match method {
                AuthMethod::Kerberos => Some("Kerberos"),
                AuthMethod::Negotiate => Some("Negotiate"),
                AuthMethod::Basic => Some("Basic realm=\"WSMAN\""),
                AuthMethod::Certificate | AuthMethod::Peer => None,
            })
            .collect();
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
        match (self.why, self.schemes.is_empty()) {
            (Why::NoEvidence, true) => "a client certificate is required here, and none was presented",
            (Why::NoEvidence, false) => "authentication is required",
            (Why::SchemeNotAccepted, _) => "this authentication scheme is not accepted here",
        }
    }

    /// The reason in records and metrics.
    pub(crate) fn reason(&self) -> &'static str {
        match self.why {
            Why::NoEvidence => "no_evidence",
            Why::SchemeNotAccepted => "scheme_not_accepted",
        }
    }
}

/// Why evidence that was presented does not count.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthnError {
    /// The certificate proves nothing.
    #[error("a client certificate was presented and not accepted")]
    Certificate(#[from] CertificateError),
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
    ];

    /// The reason in records and metrics.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Certificate(error) => error.reason(),
        }
    }
}

/// What a client connection has proved so far; lives and dies with the task of that connection.
#[derive(Default)]
pub(crate) struct ConnectionProof {
    certificate: Option<Checked>,
}

struct Checked {
    certificate: Arc<VerifiedCertificate>,
    generation: u64,
    at: Instant,
}

/// Looks for evidence, as each route accepts it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Authenticator {
    peers: Vec<PeerRule>,
}

/// Which local processes are which person, on one listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeerRule {
    /// The listener.
    pub(crate) listener: Arc<str>,
    /// The uid on a Unix socket; `None` is any process that can reach the loopback listener.
    pub(crate) uid: Option<u32>,
    /// Who it is.
    pub(crate) principal: Principal,
}

impl Authenticator {
    /// An authenticator that knows local processes by `peers`.
    pub(crate) fn new(peers: Vec<PeerRule>) -> Self {
        Self { peers }
    }

    /// What `request` on `client` proves of the methods in `accept`.
    ///
    /// The header decides: a request with `Authorization` is not taken on the strength of its certificate, unless the header is the mutual
    /// profile, which says just that.
    ///
    /// # Errors
    /// When something was presented that does not hold.
    pub(crate) fn step(
        &self,
        proof: &mut ConnectionProof,
        client: &ClientConnection,
        request: &Request,
        accept: &Accept,
    ) -> Result<Step, AuthnError> {
        if let Some(value) = &request.authorization
            && !is_mutual_profile(value)
        {
            return Ok(Step::Challenge(Challenge::new(accept, Why::SchemeNotAccepted)));
        }
        if accept.contains(AuthMethod::Certificate)
            && let Some(tls) = client.tls()
            && !tls.client_chain.is_empty()
        {
            let certificate = proof.certificate(tls, client.trust())?;
            return Ok(Step::Proved(Evidence::Certificate(certificate)));
        }
        if accept.contains(AuthMethod::Peer)
            && request.authorization.is_none()
            && let Some(evidence) = self.peer(client)
        {
            return Ok(Step::Proved(evidence));
        }
        Ok(Step::Challenge(Challenge::new(accept, Why::NoEvidence)))
    }

    fn peer(&self, client: &ClientConnection) -> Option<Evidence> {
        let rules = self.peers.iter().filter(|rule| *rule.listener == **client.listener());
        match client.peer() {
            ClientAddr::Unix { uid, pid, .. } => {
                let rule = rules.into_iter().find(|rule| rule.uid == Some(*uid))?;
                let mut process = format!("uid {uid}");
                if let Some(pid) = pid {
                    // Writing to a String can't fail.
                    let _ = write!(process, " pid {pid}");
                }
                Some(Evidence::Peer { principal: rule.principal.clone(), process })
            }
            ClientAddr::Tcp(address) => {
                if !address.ip().to_canonical().is_loopback() {
                    return None;
                }
                let rule = rules.into_iter().find(|rule| rule.uid.is_none())?;
                Some(Evidence::Peer {
                    principal: rule.principal.clone(),
                    process: "loopback process".to_owned(),
                })
            }
        }
    }
}

impl ConnectionProof {
    /// The certificate of the connection, verified within the last minute and against the trust that is in force.
    pub(super) fn certificate(
        &mut self,
        tls: &TlsFacts,
        trust: Option<Arc<TlsSnapshot>>,
    ) -> Result<Arc<VerifiedCertificate>, CertificateError> {
        let trust = trust.ok_or(CertificateError::Unreadable)?;
        if let Some(checked) = &self.certificate
            && checked.generation == trust.generation()
            && checked.at.elapsed() < RECHECK
        {
            return Ok(Arc::clone(&checked.certificate));
        }
        self.certificate = None;
        let material = Trust { anchors: trust.client_anchors(), crls: trust.client_crls() };
        let certificate =
            Arc::new(VerifiedCertificate::verify(&tls.client_chain, material, UnixTime::now())?);
        self.certificate = Some(Checked {
            certificate: Arc::clone(&certificate),
            generation: trust.generation(),
            at: Instant::now(),
        });
        Ok(certificate)
    }
}

/// Whether an `Authorization` value only says that the TLS certificate counts (DSP0226 C.4).
fn is_mutual_profile(value: &SecretString) -> bool {
    value.expose_secret().trim() == MUTUAL_PROFILE
}

const MUTUAL_PROFILE: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual";

/// How long a verified certificate is believed on a connection.
const RECHECK: Duration = Duration::from_secs(60);
