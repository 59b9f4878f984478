//! One canonical form per person, made once, compared everywhere.

use std::{collections::BTreeMap, fmt};

/// A canonical identity: a name in a realm.
///
/// INVARIANT: holds no control, separator or format character, and the realm is one that the configuration names;
/// in a realm with `case: insensitive` the name is folded to lower case. Two principals are the same person exactly when they are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Principal {
    name: String,
    realm: String,
}

impl Principal {
    /// The name without its realm.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The Kerberos realm, in upper case.
    pub(crate) fn realm(&self) -> &str {
        &self.realm
    }

    /// Whether this is a machine account (`NAME$`).
    pub(crate) fn is_machine(&self) -> bool {
        self.name.ends_with('$')
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.realm)
    }
}

/// Whether the case of user names tells people apart in a realm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum NameCase {
    /// As in Active Directory: `Alice` and `alice` are one person.
    #[default]
    Insensitive,
    /// As in MIT Kerberos: they are two.
    Sensitive,
}

/// What the configuration says of one realm.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Realm {
    /// The `NetBIOS` domain name, by which `DOMAIN\user` names the realm.
    pub(crate) netbios: Option<String>,
    /// Whether case tells people apart.
    pub(crate) case: NameCase,
    /// Whether its people are accounts of the gateway itself: no KDC knows it, and no ticket or domain password is of it.
    pub(crate) local: bool,
}

/// The realms that the gateway knows, by name in upper case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Realms(BTreeMap<String, Realm>);

/// Why a text is not the name of a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PrincipalError {
    /// Nothing before or after the separator.
    #[error("a name or a realm is empty")]
    Empty,
    /// A character that no account name has, or that would read differently elsewhere.
    #[error("the name holds a character that is not allowed in an account name")]
    ForbiddenCharacter,
    /// Longer than any account name.
    #[error("the name is longer than {MAX_NAME} bytes")]
    TooLong,
    /// No realm was given and none is implied.
    #[error("the name has no realm")]
    NoRealm,
    /// A realm that the configuration does not name.
    #[error("the realm is not one that is configured under `realms`")]
    UnknownRealm,
}

impl Realms {
    /// The realms of the configuration; names are folded to upper case.
    pub(crate) fn new(realms: impl IntoIterator<Item = (String, Realm)>) -> Self {
        Self(realms.into_iter().map(|(name, realm)| (name.to_ascii_uppercase(), realm)).collect())
    }

    /// The names of the configured realms.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The canonical form of `user@REALM` or `DOMAIN\user`.
    ///
    /// # Errors
    /// When the text is not an account name in a configured realm.
    pub(crate) fn parse(&self, text: &str) -> Result<Principal, PrincipalError> {
        if let Some((domain, user)) = text.split_once('\\') {
            let realm = self.by_netbios(domain).ok_or(PrincipalError::UnknownRealm)?;
            return self.principal(user, &realm);
        }
        let (user, realm) = text.rsplit_once('@').ok_or(PrincipalError::NoRealm)?;
        self.principal(user, realm)
    }

    /// The canonical principal called `name` in `realm`.
    ///
    /// # Errors
    /// As [`Realms::parse`].
    pub(crate) fn principal(&self, name: &str, realm: &str) -> Result<Principal, PrincipalError> {
        if name.is_empty() || realm.is_empty() {
            return Err(PrincipalError::Empty);
        }
        if name.len() > MAX_NAME {
            return Err(PrincipalError::TooLong);
        }
        if !name.chars().all(allowed) || name.ends_with('.') {
            return Err(PrincipalError::ForbiddenCharacter);
        }
        let realm = realm.to_ascii_uppercase();
        let name = match self.0.get(&realm).ok_or(PrincipalError::UnknownRealm)?.case {
            NameCase::Insensitive => name.to_lowercase(),
            NameCase::Sensitive => name.to_owned(),
        };
        Ok(Principal { name, realm })
    }

    /// Who a Kerberos client name means. Kerberos realms have a case: `corp.example` is another one than `CORP.EXAMPLE`.
    ///
    /// # Errors
    /// When it is not a person's name in a configured realm that has a KDC.
    pub(crate) fn of_ticket(&self, client: &str) -> Result<Principal, PrincipalError> {
        let (name, realm) = client.rsplit_once('@').ok_or(PrincipalError::NoRealm)?;
        if self.is_domain(realm) { self.principal(name, realm) } else { Err(PrincipalError::UnknownRealm) }
    }

    /// Whether `realm`, as it is written, is a configured one that has a KDC.
    pub(crate) fn is_domain(&self, realm: &str) -> bool {
        self.0.get(realm).is_some_and(|realm| !realm.local)
    }

    /// The one realm that has a KDC.
    pub(crate) fn only_domain(&self) -> Option<&str> {
        let mut domains = self.0.iter().filter(|(_, realm)| !realm.local).map(|(name, _)| name.as_str());
        domains.next().filter(|_| domains.next().is_none())
    }

    /// The same realms and one more.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, realm: Realm) -> Self {
        self.0.insert(name.to_ascii_uppercase(), realm);
        self
    }

    fn by_netbios(&self, domain: &str) -> Option<String> {
        self.0
            .iter()
            .find(|(_, realm)| {
                realm.netbios.as_deref().is_some_and(|netbios| netbios.eq_ignore_ascii_case(domain))
            })
            .map(|(name, _)| name.clone())
    }
}

/// The longest account name, in bytes; Active Directory's own limits are 20 and 256 characters.
const MAX_NAME: usize = 256;

/// Whether `c` may stand in an account name.
///
/// ASCII as Active Directory allows it in a sAMAccountName, less what separates names elsewhere (`@`, `/`, `\`, `%`, blanks and quotes);
/// above ASCII letters and digits only, so that no compatibility form, mark or invisible character can make two names look alike.
fn allowed(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '$' | '\'' | '!' | '#' | '~' | '^')
    } else {
        let folded: Vec<char> = c.to_lowercase().collect();
        c.is_alphabetic() && folded.len() == 1 && !is_compatibility(c)
    }
}

/// Letters that Unicode's compatibility normalisation (NFKC) would turn into others.
fn is_compatibility(c: char) -> bool {
    matches!(u32::from(c),
        0xAA | 0xBA | 0x132..=0x133 | 0x13F..=0x140 | 0x149 | 0x17F | 0x1C4..=0x1CC | 0x1F1..=0x1F3
        | 0x2B0..=0x2FF | 0x1D2C..=0x1D6A | 0x2070..=0x218F | 0x2C7C..=0x2C7D | 0x3131..=0x318E
        | 0xF900..=0xFAFF | 0xFB00..=0xFDFF | 0xFE70..=0xFEFF | 0xFF00..=0xFFEF | 0x1D400..=0x1D7FF
        | 0x1EE00..=0x1EEFF | 0x2F800..=0x2FA1F)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn realms() -> Realms {
        Realms::new([
            ("CORP.EXAMPLE".to_owned(), Realm { netbios: Some("CORP".to_owned()), ..Realm::default() }),
            ("MIT.EXAMPLE".to_owned(), Realm { case: NameCase::Sensitive, ..Realm::default() }),
        ])
    }

    #[test]
    fn threat_05_every_spelling_of_one_person_is_one_principal() {
        let wanted = realms().parse("alice@CORP.EXAMPLE").unwrap();
        for spelling in ["ALICE@CORP.EXAMPLE", "Alice@corp.example", "CORP\\alice", "corp\\ALICE"] {
            assert_eq!(realms().parse(spelling), Ok(wanted.clone()), "{spelling}");
        }
        assert_ne!(realms().parse("alice@MIT.EXAMPLE").unwrap(), wanted);
        assert_ne!(realms().parse("Alice@MIT.EXAMPLE"), realms().parse("alice@MIT.EXAMPLE"));
    }

    #[test]
    fn threat_05_names_that_read_differently_elsewhere_are_refused() {
        for spelling in [
            "",
            "@CORP.EXAMPLE",
            "alice@",
            "alice",
            "CORP\\",
            "\\alice",
            "alice.@CORP.EXAMPLE",
            "alice @CORP.EXAMPLE",
            " alice@CORP.EXAMPLE",
            "al\0ice@CORP.EXAMPLE",
            "al%69ce@CORP.EXAMPLE",
            "alice@evil@CORP.EXAMPLE",
            "HTTP/web01@CORP.EXAMPLE",
            "alice\n@CORP.EXAMPLE",
            "\u{ff41}lice@CORP.EXAMPLE",
            "al\u{202e}ice@CORP.EXAMPLE",
            "alice@CORP.EXAMPLE.",
            "OTHER\\alice",
            "alice@OTHER.EXAMPLE",
            "a\u{131}\u{307}@CORP.EXAMPLE",
        ] {
            assert!(realms().parse(spelling).is_err(), "{spelling:?} was taken for a name");
        }
        assert_eq!(
            realms().parse(&format!("{}@CORP.EXAMPLE", "a".repeat(300))),
            Err(PrincipalError::TooLong)
        );
    }

    #[test]
    fn threat_33_a_ticket_names_a_person_of_exactly_a_configured_realm() {
        let realms = realms().with("GW01", Realm { local: true, ..Realm::default() });
        assert_eq!(realms.of_ticket("Alice@CORP.EXAMPLE"), realms.parse("alice@CORP.EXAMPLE"));
        for (client, error) in [
            ("alice@corp.example", PrincipalError::UnknownRealm),
            ("alice@OTHER.EXAMPLE", PrincipalError::UnknownRealm),
            ("alice@GW01", PrincipalError::UnknownRealm),
            ("alice", PrincipalError::NoRealm),
            ("HTTP/web01@CORP.EXAMPLE", PrincipalError::ForbiddenCharacter),
            ("CORP\\bob@CORP.EXAMPLE", PrincipalError::ForbiddenCharacter),
            (r"alice\@corp.example@CORP.EXAMPLE", PrincipalError::ForbiddenCharacter),
        ] {
            assert_eq!(realms.of_ticket(client), Err(error), "{client}");
        }
    }

    proptest! {
        #[test]
        fn a_principal_survives_being_written_and_read(name in "[A-Za-z0-9._$-]{0,18}[A-Za-z0-9$]") {
            let principal = realms().principal(&name, "corp.example").unwrap();
            prop_assert_eq!(realms().parse(&principal.to_string()), Ok(principal));
        }

        #[test]
        fn no_text_panics_and_none_gains_a_separator(text in "\\PC{0,40}") {
            if let Ok(principal) = realms().parse(&text) {
                prop_assert!(!principal.name().contains(['@', '\\', '/', '%', ' ']));
            }
        }
    }
}
