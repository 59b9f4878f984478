//! The `Authorization` header: which scheme, and what it carries (RFC 9110 section 11.6.2, RFC 4559, RFC 7617).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

/// A scheme whose tokens build up a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// SPNEGO, or Kerberos or NTLM without it.
    Negotiate,
    /// Kerberos without SPNEGO.
    Kerberos,
}

impl Scheme {
    /// The name on the wire.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Negotiate => "Negotiate",
            Self::Kerberos => "Kerberos",
        }
    }

    /// The value of `WWW-Authenticate` that carries `token`.
    pub(super) fn carrying(self, token: &[u8]) -> String {
        format!("{} {}", self.as_str(), STANDARD.encode(token))
    }
}

/// What the header says.
pub(super) enum Authorization {
    /// The TLS certificate counts, and nothing else (DSP0226 C.4).
    MutualProfile,
    /// A token of a handshake.
    Token(Scheme, Vec<u8>),
    /// `user:password`, as bytes.
    Basic(Zeroizing<Vec<u8>>),
    /// Any other scheme.
    Other,
}

/// Why a header of a known scheme says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadAuthorization {
    /// Not base64, or nothing at all.
    Malformed,
    /// Longer than any ticket.
    TooLarge,
}

impl Authorization {
    /// Reads the header. Schemes have no case; what follows is base64 with its padding.
    pub(super) fn parse(value: &SecretString) -> Result<Self, BadAuthorization> {
        let value = value.expose_secret();
        if value == MUTUAL_PROFILE {
            return Ok(Self::MutualProfile);
        }
        let (name, rest) = value.split_once(' ').unwrap_or((value, ""));
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        let scheme = [Scheme::Negotiate, Scheme::Kerberos].into_iter().find(|scheme| is(scheme.as_str()));
        if scheme.is_none() && !is("Basic") {
            return Ok(Self::Other);
        }
        let rest = rest.trim_matches(' ');
        if rest.len() > MAX_TOKEN.div_ceil(3) * 4 {
            return Err(BadAuthorization::TooLarge);
        }
        let mut bytes = Zeroizing::new(STANDARD.decode(rest).map_err(|_| BadAuthorization::Malformed)?);
        match scheme {
            _ if bytes.is_empty() => Err(BadAuthorization::Malformed),
            Some(_) if bytes.len() > MAX_TOKEN => Err(BadAuthorization::TooLarge),
            Some(scheme) => Ok(Self::Token(scheme, std::mem::take(&mut *bytes))),
            None => Ok(Self::Basic(bytes)),
        }
    }
}

const MUTUAL_PROFILE: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual";

/// The longest token: a ticket of somebody in very many groups ([MS-KILE] section 3.3.5.3.1 allows 65,535 bytes).
const MAX_TOKEN: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Authorization, BadAuthorization> {
        Authorization::parse(&SecretString::from(text))
    }

    #[test]
    fn schemes_have_no_case_and_tokens_do() {
        for (text, wanted) in [
            ("Negotiate YWJj", Scheme::Negotiate),
            ("negotiate YWJj", Scheme::Negotiate),
            ("KERBEROS YWJj", Scheme::Kerberos),
        ] {
            let Ok(Authorization::Token(scheme, token)) = parse(text) else { panic!("{text}") };
            assert_eq!((scheme, token.as_slice()), (wanted, &b"abc"[..]), "{text}");
        }
        let Ok(Authorization::Basic(pair)) = parse("bAsIc dTpw") else { panic!("no pair") };
        assert_eq!(pair.as_slice(), b"u:p");
        for other in ["NTLM YWJj", "CredSSP YWJj", "Digest x", "NegotiateYWJj", "Bearer x"] {
            assert!(matches!(parse(other), Ok(Authorization::Other)), "{other}");
        }
        assert!(matches!(parse(MUTUAL_PROFILE), Ok(Authorization::MutualProfile)));
    }

    #[test]
    fn what_is_not_base64_or_too_long_is_no_token() {
        for text in [
            "Negotiate",
            "Negotiate ",
            "Basic !",
            "Kerberos YWJ",
            "Negotiate YWJj, Basic dTpw",
            "Negotiate YW Jj",
        ] {
            assert_eq!(parse(text).map(drop), Err(BadAuthorization::Malformed), "{text}");
        }
        let token = |bytes: usize| format!("Negotiate {}", STANDARD.encode(vec![7; bytes]));
        assert!(parse(&token(MAX_TOKEN)).is_ok());
        assert_eq!(parse(&token(MAX_TOKEN + 1)).map(drop), Err(BadAuthorization::TooLarge));
        assert_eq!(parse(&token(MAX_TOKEN * 2)).map(drop), Err(BadAuthorization::TooLarge));
    }
}
