//! The ways a client can prove who it is, and which of them a route accepts.

use std::fmt;

/// How a client proved who it is (seed document, "Authentication for Remote Connections").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum AuthMethod {
    /// A user name and password in the `Authorization` header.
    Basic,
    /// A TLS client certificate, with or without the mutual secprofile header.
    Certificate,
    /// The Kerberos mechanism, under either of the schemes `Kerberos` and `Negotiate`.
    Kerberos,
    /// `Negotiate` with NTLM inside, for accounts local to the gateway.
    Negotiate,
    /// A local process, known by its uid on a Unix socket or by a loopback listener's setting.
    Peer,
}

impl AuthMethod {
    /// Every method, in the order in which challenges are offered.
    pub(crate) const ALL: [Self; 5] =
        [Self::Kerberos, Self::Negotiate, Self::Basic, Self::Certificate, Self::Peer];

    /// The name in configuration, records and metric labels.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Certificate => "certificate",
            Self::Kerberos => "kerberos",
            Self::Negotiate => "negotiate",
            Self::Peer => "peer",
        }
    }

    /// The method that goes by `name` in the configuration.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == name)
    }
}

impl fmt::Display for AuthMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The methods that a route accepts: never empty once built from a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Accept(Vec<AuthMethod>);

impl Accept {
    /// The methods of `methods`, each once, in the order of [`AuthMethod::ALL`].
    pub(crate) fn of(methods: impl IntoIterator<Item = AuthMethod>) -> Self {
        let wanted: Vec<AuthMethod> = methods.into_iter().collect();
        Self(AuthMethod::ALL.into_iter().filter(|method| wanted.contains(method)).collect())
    }

    /// Whether `method` counts here.
    pub(crate) fn contains(&self, method: AuthMethod) -> bool {
        self.0.contains(&method)
    }

    /// The accepted methods.
    pub(crate) fn iter(&self) -> impl Iterator<Item = AuthMethod> + '_ {
        self.0.iter().copied()
    }

    /// The methods that either accepts.
    #[must_use]
    pub(crate) fn union(&self, other: &Self) -> Self {
        Self::of(self.iter().chain(other.iter()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_found_by_its_own_name_and_by_no_other() {
        for method in AuthMethod::ALL {
            assert_eq!(AuthMethod::from_name(method.as_str()), Some(method));
        }
        assert_eq!(AuthMethod::from_name("digest"), None);
        assert_eq!(AuthMethod::from_name("Basic"), None);
    }

    #[test]
    fn an_accept_list_holds_each_method_once_whatever_the_order() {
        let accept = Accept::of([AuthMethod::Certificate, AuthMethod::Basic, AuthMethod::Certificate]);
        assert_eq!(accept.iter().collect::<Vec<_>>(), [AuthMethod::Basic, AuthMethod::Certificate]);
        assert!(!accept.contains(AuthMethod::Kerberos));
    }
}
