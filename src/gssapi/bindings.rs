//! Channel bindings of the kind `tls-server-end-point` (RFC 5929 section 4).

use libgssapi_sys::gss_channel_bindings_struct;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use x509_parser::{
    oid_registry::{
        OID_PKCS1_RSASSAPSS, OID_PKCS1_SHA384WITHRSA, OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA384,
        OID_SIG_ECDSA_WITH_SHA512, Oid,
    },
    prelude::{FromDer as _, X509Certificate},
    signature_algorithm::RsaSsaPssParams,
    x509::AlgorithmIdentifier,
};

use super::buffer::borrowed;

/// What a TLS connection adds to the handshake, so that it can't be used over another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChannelBindings {
    application_data: Vec<u8>,
}

/// The certificate can't be read, so nothing can be bound to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server's certificate can't be read, so nothing can be bound to it")]
pub(crate) struct BindingsError;

impl ChannelBindings {
    /// Binds to the certificate that the client of the TLS connection sees.
    ///
    /// The hash is that of the certificate's signature, but SHA-256 where that is MD5, SHA-1 or none of its own.
    ///
    /// # Errors
    /// When `certificate_der` is not one certificate.
    pub(crate) fn tls_server_end_point(certificate_der: &[u8]) -> Result<Self, BindingsError> {
        let (rest, certificate) = X509Certificate::from_der(certificate_der).map_err(|_| BindingsError)?;
        if !rest.is_empty() {
            return Err(BindingsError);
        }
        let mut application_data = b"tls-server-end-point:".to_vec();
        match Hash::of(&certificate.signature_algorithm) {
            Hash::Sha256 => application_data.extend_from_slice(&Sha256::digest(certificate_der)),
            Hash::Sha384 => application_data.extend_from_slice(&Sha384::digest(certificate_der)),
            Hash::Sha512 => application_data.extend_from_slice(&Sha512::digest(certificate_der)),
        }
        Ok(Self { application_data })
    }

    /// The structure as GSSAPI takes it; it borrows from `self`.
    pub(super) fn as_gss(&self) -> gss_channel_bindings_struct {
        gss_channel_bindings_struct {
            initiator_addrtype: 0,
            initiator_address: borrowed(&[]),
            acceptor_addrtype: 0,
            acceptor_address: borrowed(&[]),
            application_data: borrowed(&self.application_data),
        }
    }

    /// What is bound: the kind of the binding, and the hash of the certificate.
    pub(crate) fn application_data(&self) -> &[u8] {
        &self.application_data
    }
}

/// The hashes that a binding is made with.
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    fn of(signature: &AlgorithmIdentifier<'_>) -> Self {
        if signature.algorithm == OID_PKCS1_RSASSAPSS {
            let parameters =
                signature.parameters.as_ref().and_then(|any| RsaSsaPssParams::try_from(any).ok());
            return parameters
                .map_or(Self::Sha256, |parameters| Self::of_digest(parameters.hash_algorithm_oid()));
        }
        if signature.algorithm == OID_PKCS1_SHA384WITHRSA || signature.algorithm == OID_SIG_ECDSA_WITH_SHA384
        {
            Self::Sha384
        } else if signature.algorithm == OID_PKCS1_SHA512WITHRSA
            || signature.algorithm == OID_SIG_ECDSA_WITH_SHA512
        {
            Self::Sha512
        } else {
            Self::Sha256
        }
    }

    fn of_digest(digest: &Oid<'_>) -> Self {
        // NIST's hash functions: 2.16.840.1.101.3.4.2.n
        match digest.to_id_string().as_str() {
            "2.16.840.1.101.3.4.2.2" => Self::Sha384,
            "2.16.840.1.101.3.4.2.3" => Self::Sha512,
            _ => Self::Sha256,
        }
    }
}
