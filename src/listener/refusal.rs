//! Why a connection or a request went no further: bounded sets of reasons, one record each.

/// Declares a set of reasons as one table: name, label for records and metrics, and what else each carries.
macro_rules! reasons {
    (
        $(#[$about:meta])* enum $set:ident { $( $reason:ident $label:literal $text:literal, )+ }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
        pub(crate) enum $set { $( #[doc = $text] #[error($text)] $reason, )+ }

        impl $set {
            /// Every reason, in the order of the counters.
            pub(crate) const ALL: [Self; [$($label),+].len()] = [$(Self::$reason),+];

            /// The label for records and metrics.
            pub(crate) fn as_str(self) -> &'static str {
                match self { $( Self::$reason => $label, )+ }
            }
        }
    };
}

reasons! {
    /// Why the gate refused a request. The text is what the client reads: fixed, and free of names.
    enum Reason {
        LineBreak "line_break" "a line does not end in CR LF",
        ControlByte "control_byte" "the head holds a byte that is not printable ASCII",
        RequestLine "request_line" "the request line is malformed",
        Version "version" "this version of HTTP is not spoken here",
        Target "target" "the request target is malformed",
        Path "path" "the path is malformed",
        Query "query" "no query but the PowerShell version is accepted",
        NotHere "not_here" "not found",
        Method "method" "only POST is accepted",
        HeaderLine "header_line" "a header line is malformed",
        HeaderName "header_name" "a header name is malformed",
        TooManyHeaders "too_many_headers" "too many headers",
        HeadTooLarge "head_too_large" "the head is too large",
        Repeated "repeated" "a header that may appear once is repeated",
        Host "host" "Host is missing or malformed",
        WrongHost "wrong_host" "Host is not the server that TLS was set up with",
        TransferEncoding "transfer_encoding" "Transfer-Encoding is not accepted; send Content-Length",
        NoLength "no_length" "Content-Length is missing",
        Length "length" "Content-Length is malformed",
        TooLarge "too_large" "the body is too large",
        ContentEncoding "content_encoding" "Content-Encoding is not accepted",
        ContentType "content_type" "Content-Type is malformed",
        Authorization "authorization" "Authorization is malformed",
        Upgrade "upgrade" "no other protocol is spoken here",
        Expectation "expectation" "only 100-continue is expected here",
        Trailer "trailer" "trailers are not accepted",
        Browser "browser" "requests of web pages are not accepted",
        EarlyBytes "early_bytes" "more than one request was sent at a time",
        HeadTooSlow "head_too_slow" "the head took too long",
        BodyTooSlow "body_too_slow" "the body took too long",
        Overloaded "overloaded" "too much is being received; try again",
        ClientCertificate "client_certificate" "the client certificate is no longer accepted",
    }
}

impl Reason {
    /// The HTTP status of the answer.
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::LineBreak
            | Self::ControlByte
            | Self::RequestLine
            | Self::Target
            | Self::Path
            | Self::Query
            | Self::HeaderLine
            | Self::HeaderName
            | Self::Repeated
            | Self::Host
            | Self::TransferEncoding
            | Self::Length
            | Self::ContentType
            | Self::Authorization
            | Self::Upgrade
            | Self::Trailer
            | Self::EarlyBytes => 400,
            Self::ClientCertificate | Self::Browser => 403,
            Self::NotHere => 404,
            Self::Method => 405,
            Self::HeadTooSlow | Self::BodyTooSlow => 408,
            Self::NoLength => 411,
            Self::TooLarge => 413,
            Self::ContentEncoding => 415,
            Self::Expectation => 417,
            Self::WrongHost => 421,
            Self::TooManyHeaders | Self::HeadTooLarge => 431,
            Self::Overloaded => 503,
            Self::Version => 505,
        }
    }
}

/// Why [`next_request`](super::ClientConnection::next_request) has no request; each is one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RequestError {
    /// The gate refused it, has answered, and closes the connection.
    #[error("request refused with {status}: {reason}")]
    Refused {
        /// The HTTP status that the client was sent.
        status: u16,
        /// Why.
        reason: Reason,
    },
    /// The client went away in the middle of a request.
    #[error("the client closed the connection in the middle of a request")]
    Lost,
}

impl From<Reason> for RequestError {
    fn from(reason: Reason) -> Self {
        Self::Refused { status: reason.status(), reason }
    }
}

reasons! {
    /// Why a connection never became usable.
    enum FailureReason {
        TooManyConnections "too_many_connections" "too many connections are open",
        TooManyFromAddress "too_many_from_address" "too many connections are open from this address",
        Timeout "timeout" "the TLS handshake took too long",
        Closed "closed" "the client closed the connection during the TLS handshake",
        NotTls "not_tls" "the client does not speak TLS",
        Incompatible "incompatible" "no TLS version, cipher or key exchange in common",
        Protocol "protocol" "the client offers only other protocols than HTTP/1.1",
        NoCertificate "no_certificate" "the client has no certificate and one is required",
        CertificateExpired "certificate_expired" "the client certificate is expired or not yet valid",
        CertificateRevoked "certificate_revoked" "the client certificate is revoked",
        RevocationUnknown "revocation_unknown" "no current revocation list tells whether the client certificate is revoked",
        UnknownIssuer "unknown_issuer" "the client certificate is not from a trusted authority",
        CertificatePurpose "certificate_purpose" "the client certificate is not meant for client authentication",
        CertificateInvalid "certificate_invalid" "the client certificate is not acceptable",
        RejectedByClient "rejected_by_client" "the client does not accept the gateway's certificate or parameters",
        Other "other" "the TLS handshake failed",
    }
}

impl FailureReason {
    /// What a handshake's error means for the operator.
    pub(super) fn of_handshake(error: &std::io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(error) => Self::of_tls(error),
            None if error.kind() == std::io::ErrorKind::TimedOut => Self::Timeout,
            None => Self::Closed,
        }
    }

    /// What a TLS error means for the operator.
    #[expect(clippy::wildcard_enum_match_arm, reason = "rustls adds variants; every other one is `Other`")]
    pub(super) fn of_tls(error: &rustls::Error) -> Self {
        use rustls::CertificateError as Bad;
        match error {
            rustls::Error::NoCertificatesPresented => Self::NoCertificate,
            rustls::Error::InvalidMessage(_) | rustls::Error::PeerSentOversizedRecord => Self::NotTls,
            rustls::Error::PeerIncompatible(_) => Self::Incompatible,
            rustls::Error::NoApplicationProtocol => Self::Protocol,
            rustls::Error::AlertReceived(_) => Self::RejectedByClient,
            rustls::Error::InvalidCertificate(bad) => match bad {
                Bad::Expired
                | Bad::ExpiredContext { .. }
                | Bad::NotValidYet
                | Bad::NotValidYetContext { .. } => Self::CertificateExpired,
                Bad::Revoked => Self::CertificateRevoked,
                Bad::UnknownRevocationStatus
                | Bad::ExpiredRevocationList
                | Bad::ExpiredRevocationListContext { .. } => Self::RevocationUnknown,
                Bad::UnknownIssuer => Self::UnknownIssuer,
                Bad::InvalidPurpose | Bad::InvalidPurposeContext { .. } => Self::CertificatePurpose,
                _ => Self::CertificateInvalid,
            },
            _ => Self::Other,
        }
    }
}
