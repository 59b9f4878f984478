//! User names and passwords, for hosts that take nothing better.

use std::{fmt, sync::OnceLock};

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

use crate::policy::EndpointHost;

/// A user name as the configuration writes it: `MACHINE\user`, `{host}\user`, `DOMAIN\user` or `user@REALM`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoginName {
    place: Place,
    user: String,
}

/// Whose user it is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// Of the machine that is logged on to, whichever it is.
    EachHost,
    /// Of this machine or domain.
    Named(String),
    /// Of this realm.
    Realm(String),
}

/// Why a text is no user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LoginNameError {
    /// Neither `\` nor `@`.
    #[error(
        "a local account should be prefixed with the computer name; write myComputer\\myUsername, or {{host}}\\myUsername"
    )]
    NoPlace,
    /// An empty part, one that is too long, or characters that no account name has.
    #[error(
        "the user name has an empty part or a character that no account name has; write MACHINE\\user or user@REALM"
    )]
    Malformed,
}

impl LoginName {
    /// The user name that `text` spells.
    ///
    /// # Errors
    /// When it does not say whose user it is, or holds what no name holds.
    pub(crate) fn parse(text: &str) -> Result<Self, LoginNameError> {
        let (place, user) = match (text.split_once('\\'), text.rsplit_once('@')) {
            (Some((EACH_HOST, user)), _) => (Place::EachHost, user),
            (Some((domain, user)), _) => (Place::Named(domain.to_owned()), user),
            (None, Some((user, realm))) => (Place::Realm(realm.to_owned()), user),
            (None, None) => return Err(LoginNameError::NoPlace),
        };
        let name = Self { place, user: user.to_owned() };
        let whole = match &name.place {
            Place::EachHost => is_part(user),
            Place::Named(part) | Place::Realm(part) => is_part(user) && is_part(part),
        };
        if whole { Ok(name) } else { Err(LoginNameError::Malformed) }
    }

    /// Whether it is an account of whichever host is logged on to.
    pub(crate) const fn is_of_each_host(&self) -> bool {
        matches!(self.place, Place::EachHost)
    }

    /// The name at `host`; none where the host has no name that could be its machine's.
    pub(super) fn at(&self, host: &EndpointHost) -> Option<Names> {
        let domain = match (&self.place, host) {
            (Place::EachHost, EndpointHost::Name(name)) => machine(name.as_str()),
            (Place::EachHost, EndpointHost::Address(_)) => return None,
            (Place::Named(domain), _) => domain.clone(),
            (Place::Realm(realm), _) => {
                let sent = format!("{}@{realm}", self.user);
                return Some(Names { user: sent.clone(), domain: String::new(), sent });
            }
        };
        let sent = format!("{domain}\\{}", self.user);
        Some(Names { user: self.user.clone(), domain, sent })
    }
}

/// A user name in the forms in which it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) user: String,
    pub(super) domain: String,
    pub(super) sent: String,
}

/// A user name and its password. Not `Serialize`; `Debug` shows the name alone.
pub(crate) struct Login {
    names: Names,
    password: SecretString,
    /// Whether the host itself keeps the account, as far as the configuration says.
    local: bool,
}

impl Login {
    pub(super) const fn new(names: Names, password: SecretString, local: bool) -> Self {
        Self { names, password, local }
    }

    /// A user name at `host` for tests of the stages behind this one.
    #[cfg(test)]
    pub(crate) fn for_test(name: &LoginName, host: &EndpointHost, password: &str) -> Self {
        Self::new(name.at(host).unwrap(), SecretString::from(password), true)
    }

    /// Whether the host itself keeps the account: then User Account Control has a say there.
    pub(crate) const fn is_local(&self) -> bool {
        self.local
    }

    /// The user alone, for NTLM.
    pub(crate) fn user(&self) -> &str {
        &self.names.user
    }

    /// Its machine or domain, for NTLM; empty where the user's own name says it.
    pub(crate) fn domain(&self) -> &str {
        &self.names.domain
    }

    /// The whole name, as it is sent and as the host knows it.
    pub(crate) fn sent(&self) -> &str {
        &self.names.sent
    }

    /// Its password.
    pub(crate) const fn password(&self) -> &SecretString {
        &self.password
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Login").field(&self.names.sent).finish()
    }
}

/// Tells passwords apart without being of use to anybody: a digest under a key of this process alone.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PasswordDigest([u8; 32]);

impl PasswordDigest {
    /// The digest of `password`; none where the system has no random bytes for the key.
    pub(super) fn of(password: &SecretString) -> Option<Self> {
        let mut mac = Hmac::<Sha256>::new_from_slice(key()?).ok()?;
        mac.update(password.expose_secret().as_bytes());
        Some(Self(mac.finalize().into_bytes().into()))
    }
}

impl fmt::Debug for PasswordDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordDigest")
    }
}

fn key() -> Option<&'static [u8; 32]> {
    static KEY: OnceLock<Option<[u8; 32]>> = OnceLock::new();
    let key = KEY.get_or_init(|| {
        let mut key = [0; 32];
        getrandom::fill(&mut key).ok().map(|()| key)
    });
    key.as_ref()
}

/// The `NetBIOS` name of a machine, which is its host name's first label, cut where Windows cuts it.
fn machine(host: &str) -> String {
    host.split('.').next().unwrap_or_default().chars().take(NETBIOS).collect::<String>().to_ascii_uppercase()
}

/// What can be a part of an account name. A colon would end the name where Basic puts its own.
fn is_part(text: &str) -> bool {
    let allowed = |c: char| !c.is_control() && !c.is_whitespace() && !"\"/\\[]:;|=,+*?<>@{}".contains(c);
    !text.is_empty() && text != "." && text.len() <= MOST && text.chars().all(allowed)
}

const EACH_HOST: &str = "{host}";
const NETBIOS: usize = 15;
const MOST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::HostName;

    fn at(name: &str, host: &str) -> Option<Names> {
        let host = match host.parse() {
            Ok(address) => EndpointHost::Address(address),
            Err(_) => EndpointHost::Name(HostName::parse(host).unwrap()),
        };
        LoginName::parse(name).unwrap().at(&host)
    }

    #[test]
    fn a_local_account_is_that_of_the_host_it_logs_on_to() {
        let names = at(r"{host}\Administrator", "web01.corp.example").unwrap();
        assert_eq!((names.domain.as_str(), names.user.as_str()), ("WEB01", "Administrator"));
        assert_eq!(names.sent, r"WEB01\Administrator");
        assert_eq!(at(r"{host}\a", "averyveryverylongname.x").unwrap().domain, "AVERYVERYVERYLO");
        assert_eq!(at(r"{host}\Administrator", "10.0.0.1"), None);
        assert_eq!(at(r"BOX7\ops", "web01.corp.example").unwrap().sent, r"BOX7\ops");
        let upn = at("svc@CORP.EXAMPLE", "web01.corp.example").unwrap();
        assert_eq!((upn.user.as_str(), upn.domain.as_str()), ("svc@CORP.EXAMPLE", ""));
    }

    #[test]
    fn a_name_that_does_not_say_whose_it_is_or_could_be_read_otherwise_is_refused() {
        assert_eq!(LoginName::parse("Administrator"), Err(LoginNameError::NoPlace));
        for text in [
            r".\Administrator",
            r"\a",
            r"BOX\",
            "@R",
            "a@",
            r"BOX\a:b",
            r"BOX\a b",
            "BOX\\a\r\nX: y",
            r"B\a\b",
        ] {
            assert_eq!(LoginName::parse(text), Err(LoginNameError::Malformed), "{text:?}");
        }
    }

    #[test]
    fn a_password_digest_tells_passwords_apart_and_shows_nothing() {
        let digest = |text: &str| PasswordDigest::of(&SecretString::from(text)).unwrap();
        assert_eq!(digest("one"), digest("one"));
        assert_ne!(digest("one"), digest("two"));
        assert_eq!(format!("{:?}", digest("one")), "PasswordDigest");
        let names = at(r"BOX\ops", "web01").unwrap();
        assert!(!format!("{:?}", Login::new(names, SecretString::from("hunter2"), true)).contains("hunter2"));
    }
}
