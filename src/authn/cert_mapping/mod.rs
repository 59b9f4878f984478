//! Which person a client certificate stands for: WinRM's `CertMapping` ([MS-WSMV] sections 2.2.4.3 and 3.1.4.1.35), extended to domain principals.
//!
//! Why the names come from the `SubjectAlternativeName` alone: `winrm help certmapping` matches the subject against its UPN and DNS name, and
//! a common name is nobody's to verify.

use super::{Principal, PrincipalError, Realms};
use std::fmt;

/// The digest of the certificate that directly signed the client's: which authority a mapping trusts. An identifier, not a signature check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Thumbprint {
    /// SHA-1, as WinRM writes it.
    Sha1([u8; 20]),
    /// SHA-256, to be preferred.
    Sha256([u8; 32]),
}

/// Both digests of an issuer's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IssuerDigests {
    /// SHA-1 of the DER.
    pub(crate) sha1: [u8; 20],
    /// SHA-256 of the DER.
    pub(crate) sha256: [u8; 32],
}

/// The names in a certificate's `SubjectAlternativeName`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SubjectNames {
    /// Its user principal names.
    pub(crate) upns: Vec<String>,
    /// Its DNS names.
    pub(crate) dns: Vec<String>,
}

/// A text with at most one `*`, first or last; a certificate's name matches without regard to the case of ASCII letters.
///
/// Why ASCII alone: letters of other scripts fold to ASCII ones (KELVIN SIGN to `k`), and so one name would pass for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SubjectPattern(Star);

/// A resource URI with at most one `*`, last ([MS-WSMV] section 3.1.4.1.29); compared without regard to case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UriPattern(Star);

/// How a person's name is made of the certificate's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PrincipalTemplate {
    before: String,
    name: Option<Placeholder>,
    after: String,
}

/// One entry of `cert_mappings`; disabled entries are not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertMappingRule {
    /// Who must have signed the certificate.
    pub(crate) issuer: Thumbprint,
    /// Which names it is about.
    pub(crate) subject: SubjectPattern,
    /// For which resources it counts.
    pub(crate) uri: UriPattern,
    /// Whom it stands for.
    pub(crate) principal: PrincipalTemplate,
}

/// The mappings of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct CertMappings(Vec<CertMappingRule>);

/// Why an entry of `cert_mappings` is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CertMappingError {
    /// Neither 40 nor 64 hexadecimal digits.
    #[error(
        "an issuer is the thumbprint of the certificate that signed: 40 (SHA-1) or 64 (SHA-256) hexadecimal digits"
    )]
    Thumbprint,
    /// `*` in the middle or twice, or nothing.
    #[error("a subject has at least one character and at most one `*`, first or last")]
    Subject,
    /// `*` before the end, or what no resource URI holds.
    #[error("a URI has at least one character, no blank or `?`, and at most one `*`, last")]
    Uri,
    /// A placeholder that is none.
    #[error(
        "a principal holds at most one of {{upn}}, {{upn_user}}, {{dns}} and {{dns_host}}, and no other braces"
    )]
    Template,
}

/// Why a certificate stands for nobody; the first three are WinRM's wsman:AccessDenied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnmappedCertificate {
    /// No entry matches issuer, subject and resource.
    #[error("no entry of `cert_mappings` matches the certificate's issuer, its names and the resource")]
    NoEntry,
    /// Several equally long entries match.
    #[error("several entries of `cert_mappings` match equally well")]
    Ambiguous,
    /// Several names of the kind that the entry maps: nobody could say which is meant.
    #[error("the certificate has several names of the kind that `cert_mappings` maps")]
    SeveralNames,
    /// The name that came out is no person.
    #[error("the principal that `cert_mappings` makes of the certificate's name is not valid")]
    Principal(#[source] PrincipalError),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Star {
    Exact(String),
    Suffix(String),
    Prefix(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placeholder {
    Upn,
    UpnUser,
    Dns,
    DnsHost,
}

impl CertMappings {
    /// The mappings of `rules`.
    pub(crate) fn new(rules: Vec<CertMappingRule>) -> Self {
        Self(rules)
    }

    /// The person that a verified certificate stands for in a request to the resource `uri`.
    ///
    /// Of the entries that match, the longest subject decides, then the longest URI ([MS-WSMV] section 3.1.4.1.35).
    ///
    /// # Errors
    /// When none, or more than one, is left, or the name is not exactly one person's.
    pub(crate) fn map(
        &self,
        issuer: &IssuerDigests,
        names: &SubjectNames,
        uri: &str,
        realms: &Realms,
    ) -> Result<Principal, UnmappedCertificate> {
        let matching = self.0.iter().filter(|rule| rule.issuer.names(issuer) && rule.uri.matches(uri));
        let matching: Vec<&CertMappingRule> = matching
            .filter(|rule| rule.candidates(names).iter().any(|name| rule.subject.matches(name)))
            .collect();
        let longest = |rule: &&CertMappingRule| (rule.subject.0.len(), rule.uri.0.len());
        let best = matching.iter().map(longest).max().ok_or(UnmappedCertificate::NoEntry)?;
        let mut left = matching.iter().filter(|rule| longest(rule) == best);
        let (Some(rule), None) = (left.next(), left.next()) else {
            return Err(UnmappedCertificate::Ambiguous);
        };
        let [name] = rule.candidates(names) else { return Err(UnmappedCertificate::SeveralNames) };
        rule.principal.fill(name, realms).map_err(UnmappedCertificate::Principal)
    }
}

impl CertMappingRule {
    /// The names of the one kind that the entry maps: what its template takes, else UPNs where its subject has an `@`, else the only kind there is.
    fn candidates<'n>(&self, names: &'n SubjectNames) -> &'n [String] {
        let upns = match self.principal.name {
            Some(Placeholder::Upn | Placeholder::UpnUser) => true,
            Some(Placeholder::Dns | Placeholder::DnsHost) => false,
            None => {
                self.subject.0.text().contains('@') || (self.subject.0.is_all() && !names.upns.is_empty())
            }
        };
        if upns { &names.upns } else { &names.dns }
    }
}

impl Thumbprint {
    /// The thumbprint that `text` spells, blanks and colons between the digits aside.
    ///
    /// # Errors
    /// When it is neither 40 nor 64 hexadecimal digits.
    pub(crate) fn parse(text: &str) -> Result<Self, CertMappingError> {
        let digits: Vec<char> = text.chars().filter(|c| !matches!(c, ' ' | ':')).collect();
        let pair = |pair: &[char]| match pair {
            [high, low] => u8::try_from(high.to_digit(16)? * 16 + low.to_digit(16)?).ok(),
            _ => None,
        };
        let bytes: Option<Vec<u8>> = digits.chunks(2).map(pair).collect();
        let bytes = bytes.ok_or(CertMappingError::Thumbprint)?;
        let sha1 = <[u8; 20]>::try_from(bytes.as_slice()).map(Self::Sha1);
        let sha256 = <[u8; 32]>::try_from(bytes.as_slice()).map(Self::Sha256);
        sha1.or(sha256).map_err(|_| CertMappingError::Thumbprint)
    }

    fn names(&self, issuer: &IssuerDigests) -> bool {
        match self {
            Self::Sha1(digest) => *digest == issuer.sha1,
            Self::Sha256(digest) => *digest == issuer.sha256,
        }
    }
}

impl SubjectPattern {
    /// The pattern that `text` spells.
    ///
    /// # Errors
    /// When it is empty, or has a `*` elsewhere than first or last, or two.
    pub(crate) fn parse(text: &str) -> Result<Self, CertMappingError> {
        Star::parse(text)
            .filter(|star| !star.text().chars().any(char::is_control))
            .map(Self)
            .ok_or(CertMappingError::Subject)
    }

    /// Whether `name` is one of those meant.
    pub(crate) fn matches(&self, name: &str) -> bool {
        self.0.matches(name)
    }
}

impl UriPattern {
    /// The pattern that `text` spells.
    ///
    /// # Errors
    /// When it is empty, holds white space or `?`, or has a `*` before its end.
    pub(crate) fn parse(text: &str) -> Result<Self, CertMappingError> {
        let star = Star::parse(text).ok_or(CertMappingError::Uri)?;
        let suffix = matches!(star, Star::Suffix(_));
        let foreign = |c: char| c.is_whitespace() || c.is_control() || c == '?';
        if suffix || star.text().contains(foreign) { Err(CertMappingError::Uri) } else { Ok(Self(star)) }
    }

    /// Whether `uri` is one of those meant.
    pub(crate) fn matches(&self, uri: &str) -> bool {
        self.0.matches(uri)
    }
}

impl PrincipalTemplate {
    /// The template that `text` spells.
    ///
    /// # Errors
    /// When it has unknown braces, or more than one placeholder.
    pub(crate) fn parse(text: &str) -> Result<Self, CertMappingError> {
        let mut template = Self { before: text.to_owned(), name: None, after: String::new() };
        for known in Placeholder::ALL {
            if let Some((before, after)) = text.split_once(known.as_str()) {
                template = Self { before: before.to_owned(), name: Some(known), after: after.to_owned() };
                break;
            }
        }
        let braces = |text: &str| text.contains(['{', '}']);
        if text.is_empty() || braces(&template.before) || braces(&template.after) {
            return Err(CertMappingError::Template);
        }
        Ok(template)
    }

    /// The person that comes out for the certificate's `name`.
    ///
    /// # Errors
    /// When it is not an account in a configured realm.
    pub(crate) fn fill(&self, name: &str, realms: &Realms) -> Result<Principal, PrincipalError> {
        let part = match self.name {
            Some(Placeholder::Upn | Placeholder::Dns) => name,
            Some(Placeholder::UpnUser) => name.rsplit_once('@').ok_or(PrincipalError::NoRealm)?.0,
            Some(Placeholder::DnsHost) => name.split('.').next().unwrap_or_default(),
            None => "",
        };
        realms.parse(&format!("{}{part}{}", self.before, self.after))
    }
}

impl fmt::Display for PrincipalTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.before, self.name.map_or("", Placeholder::as_str), self.after)
    }
}

impl Placeholder {
    const ALL: [Self; 4] = [Self::Upn, Self::UpnUser, Self::Dns, Self::DnsHost];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Upn => "{upn}",
            Self::UpnUser => "{upn_user}",
            Self::Dns => "{dns}",
            Self::DnsHost => "{dns_host}",
        }
    }
}

impl Star {
    fn parse(text: &str) -> Option<Self> {
        let folded = text.to_ascii_lowercase();
        match folded.matches('*').count() {
            0 if !folded.is_empty() => Some(Self::Exact(folded)),
            1 => match (folded.strip_prefix('*'), folded.strip_suffix('*')) {
                (_, Some(prefix)) => Some(Self::Prefix(prefix.to_owned())),
                (Some(suffix), None) => Some(Self::Suffix(suffix.to_owned())),
                (None, None) => None,
            },
            _ => None,
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Exact(text) | Self::Suffix(text) | Self::Prefix(text) => text,
        }
    }

    /// Whether this is `*` alone.
    fn is_all(&self) -> bool {
        match self {
            Self::Exact(_) => false,
            Self::Suffix(text) | Self::Prefix(text) => text.is_empty(),
        }
    }

    /// The length of the entry as it is written, `*` included.
    fn len(&self) -> usize {
        match self {
            Self::Exact(text) => text.len(),
            Self::Suffix(text) | Self::Prefix(text) => text.len() + 1,
        }
    }

    fn matches(&self, text: &str) -> bool {
        let text = text.to_ascii_lowercase();
        match self {
            Self::Exact(exact) => text == *exact,
            Self::Suffix(suffix) => text.ends_with(suffix.as_str()),
            Self::Prefix(prefix) => text.starts_with(prefix.as_str()),
        }
    }
}

#[cfg(test)]
mod tests;
