//! Service principal names: whom the gateway asks the KDC for a ticket to.

use super::{
    endpoint::{EndpointHost, HostTemplate},
    host::{HostError, HostName},
};
use std::fmt;

/// The service classes that WinRM answers to; no other service is ever asked for ([MS-WSMV] section 3.1.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum SpnClass {
    /// `HTTP`, WinRM's default.
    Http,
    /// `WSMAN`.
    Wsman,
    /// `HOST`.
    Host,
}

impl SpnClass {
    const ALL: [Self; 3] = [Self::Http, Self::Wsman, Self::Host];

    /// The class as it is written in a name.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Wsman => "WSMAN",
            Self::Host => "HOST",
        }
    }
}

/// A service on a host, `HTTP/web01.corp.example`, in a realm where one is written: `HTTP/web01.corp.example@CORP.EXAMPLE`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Spn {
    class: SpnClass,
    host: HostName,
    realm: Option<String>,
}

/// Why a text is not a service principal name that the gateway may ask for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SpnError {
    /// There is no `/`.
    #[error("a service principal name is written CLASS/host, as in HTTP/web01.corp.example")]
    NoHost,
    /// Another service than WinRM's.
    #[error("the service class is not one of HTTP, WSMAN and HOST")]
    Class,
    /// The part after `/` is no host name.
    #[error("the host in the service principal name is not valid")]
    Host(#[source] HostError),
    /// The part after `@` is no realm.
    #[error("the realm in the service principal name is not valid")]
    Realm,
}

impl Spn {
    /// The name of the service of `class` on `host`, in the realm that Kerberos finds for it.
    pub(crate) fn new(class: SpnClass, host: HostName) -> Self {
        Self { class, host, realm: None }
    }

    /// The name that `text` spells.
    ///
    /// # Errors
    /// When the class is not WinRM's, or host or realm are malformed.
    pub(crate) fn parse(text: &str) -> Result<Self, SpnError> {
        let (class, host, realm) = split(text)?;
        let host = HostName::parse(host).map_err(SpnError::Host)?;
        Ok(Self { class, host, realm })
    }

    /// The service class.
    pub(crate) fn class(&self) -> SpnClass {
        self.class
    }

    /// The host that the service runs on.
    pub(crate) fn host(&self) -> &HostName {
        &self.host
    }

    /// The realm, where one is written.
    pub(crate) fn realm(&self) -> Option<&str> {
        self.realm.as_deref()
    }
}

impl fmt::Display for Spn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.class.as_str(), self.host)?;
        self.realm.as_ref().map_or(Ok(()), |realm| write!(f, "@{realm}"))
    }
}

/// A route's `backend.spn`: a service principal name with or without `{host}` in its host part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SpnTemplate {
    class: SpnClass,
    host: HostTemplate,
    realm: Option<String>,
}

impl SpnTemplate {
    /// The default, `HTTP/` and the host of the URL; none where that host is an address, which Kerberos cannot name.
    pub(crate) fn for_host(host: &HostTemplate) -> Option<Self> {
        let named = !matches!(host, HostTemplate::Fixed(EndpointHost::Address(_)));
        named.then(|| Self { class: SpnClass::Http, host: host.clone(), realm: None })
    }

    /// The template that `text` spells.
    ///
    /// # Errors
    /// As [`Spn::parse`].
    pub(crate) fn parse(text: &str) -> Result<Self, SpnError> {
        let (class, host, realm) = split(text)?;
        let host = HostTemplate::parse(host).map_err(SpnError::Host)?;
        Self { class, host, realm }.checked()
    }

    /// Whether a host must be put in.
    pub(crate) fn is_placed(&self) -> bool {
        self.host.is_placed()
    }

    /// The name with `host` put in.
    ///
    /// # Errors
    /// When the whole gets too long for a host name, or a host is needed and none is given.
    pub(crate) fn fill(&self, host: Option<&HostName>) -> Result<Spn, HostError> {
        let filled = match (&self.host, host) {
            (HostTemplate::Fixed(fixed), _) => fixed.clone(),
            (template @ HostTemplate::Placed { .. }, Some(host)) => template.fill(host)?,
            (HostTemplate::Placed { .. }, None) => return Err(HostError::Empty),
        };
        match filled {
            EndpointHost::Name(host) => Ok(Spn { class: self.class, host, realm: self.realm.clone() }),
            EndpointHost::Address(_) => Err(HostError::Address),
        }
    }

    fn checked(self) -> Result<Self, SpnError> {
        match &self.host {
            HostTemplate::Fixed(EndpointHost::Address(_)) => Err(SpnError::Host(HostError::Address)),
            HostTemplate::Fixed(EndpointHost::Name(_)) | HostTemplate::Placed { .. } => Ok(self),
        }
    }
}

fn split(text: &str) -> Result<(SpnClass, &str, Option<String>), SpnError> {
    let (class, rest) = text.split_once('/').ok_or(SpnError::NoHost)?;
    let class = SpnClass::ALL
        .into_iter()
        .find(|known| known.as_str().eq_ignore_ascii_case(class))
        .ok_or(SpnError::Class)?;
    let (host, realm) = match rest.split_once('@') {
        Some((host, realm)) => (host, Some(parse_realm(realm)?)),
        None => (rest, None),
    };
    if host.is_empty() {
        return Err(SpnError::NoHost);
    }
    Ok((class, host, realm))
}

/// A realm is spelled like a host name, in upper case.
fn parse_realm(text: &str) -> Result<String, SpnError> {
    HostName::parse(text).map(|name| name.as_str().to_ascii_uppercase()).map_err(|_| SpnError::Realm)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_services_that_winrm_answers_to_are_asked_for() {
        for text in ["cifs/web01.corp.example", "ldap/dc01", "krbtgt/CORP.EXAMPLE", "HTTPS/web01", "/web01"] {
            assert_eq!(Spn::parse(text), Err(SpnError::Class), "{text}");
        }
    }

    #[test]
    fn a_name_without_a_proper_host_or_realm_is_refused() {
        for text in [
            "HTTP",
            "HTTP/",
            "HTTP/@CORP",
            "HTTP/10.0.0.1",
            "HTTP/web01/x",
            "HTTP/web01@",
            "HTTP/a@B@C",
            "HTTP/web01:5985",
        ] {
            assert!(Spn::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_service_principal_name_survives_being_written_and_read(
            class in "(HTTP|WSMAN|HOST|http)", host in "[a-z][a-z0-9]{0,8}(\\.[a-z]{1,8}){0,3}", realm in "(@[A-Z]{1,8}(\\.[A-Z]{1,8}){0,2})?"
        ) {
            let spn = Spn::parse(&format!("{class}/{host}{realm}")).unwrap();
            prop_assert_eq!(Spn::parse(&spn.to_string()), Ok(spn.clone()));
            prop_assert_eq!(spn.to_string(), format!("{}/{host}{realm}", class.to_uppercase()));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            if let Ok(spn) = Spn::parse(&text) {
                prop_assert_eq!(Spn::parse(&spn.to_string()), Ok(spn));
            }
        }
    }
}
