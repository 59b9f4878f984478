//! `user:password`, as the header carries it.

use secrecy::SecretString;

use super::super::{Principal, PrincipalError, Realms};

/// A name and a password, both in UTF-8 and without control characters.
pub(super) struct Pair<'a> {
    name: &'a str,
    password: &'a str,
}

impl<'a> Pair<'a> {
    /// The pair in `bytes`: the name ends at the first colon.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (name, password) = text.split_once(':')?;
        let clean = !text.chars().any(char::is_control);
        (clean && !name.is_empty() && !password.is_empty() && password.len() <= MAX_PASSWORD)
            .then_some(Self { name, password })
    }

    /// Who the name means: `user@REALM`, `DOMAIN\user`, or `user` in `default_realm` or in the only realm there is. Never somebody local.
    pub(super) fn principal(
        &self,
        realms: &Realms,
        default_realm: Option<&str>,
    ) -> Result<Principal, PrincipalError> {
        let principal = if self.name.contains(['\\', '@']) {
            realms.parse(self.name)?
        } else {
            let realm = default_realm.or_else(|| realms.only_domain()).ok_or(PrincipalError::NoRealm)?;
            realms.principal(self.name, realm)?
        };
        if realms.is_domain(principal.realm()) { Ok(principal) } else { Err(PrincipalError::UnknownRealm) }
    }

    pub(super) const fn password(&self) -> &str {
        self.password
    }

    /// The password, for whoever keeps it.
    pub(super) fn secret(&self) -> SecretString {
        SecretString::from(self.password)
    }
}

/// The longest password: Windows takes 256 characters at most.
const MAX_PASSWORD: usize = 1024;

#[cfg(test)]
mod tests {
    use super::super::super::{NameCase, Realm};
    use super::*;

    fn realm(netbios: &str) -> Realm {
        Realm { netbios: Some(netbios.to_owned()), case: NameCase::Insensitive, local: false }
    }

    #[test]
    fn a_name_means_one_person_however_it_is_written() {
        let one = Realms::new([("CORP.EXAMPLE".to_owned(), realm("CORP"))]);
        for text in ["alice:x", "ALICE:x", "alice@corp.example:x", "CORP\\alice:x", "corp\\Alice:x:y"] {
            let pair = Pair::parse(text.as_bytes()).unwrap();
            assert_eq!(pair.principal(&one, None).unwrap().to_string(), "alice@CORP.EXAMPLE", "{text}");
        }
        let two = Realms::new([
            ("CORP.EXAMPLE".to_owned(), realm("CORP")),
            ("LAB.EXAMPLE".to_owned(), realm("LAB")),
        ]);
        let bare = Pair::parse(b"alice:x").unwrap();
        assert_eq!(bare.principal(&two, None), Err(PrincipalError::NoRealm));
        assert_eq!(bare.principal(&two, Some("LAB.EXAMPLE")).unwrap().to_string(), "alice@LAB.EXAMPLE");
    }

    #[test]
    fn threat_05_what_is_no_name_and_password_is_malformed() {
        for bytes in [
            &b""[..],
            b"alice",
            b":x",
            b"alice:",
            b"al\0ice:x",
            b"alice:x\n",
            b"alice:\xff",
            b"\xc3(:x",
            b"alice:\xc2\x85",
        ] {
            assert!(Pair::parse(bytes).is_none(), "{bytes:?}");
        }
        assert_eq!(Pair::parse(b"alice:a:b").unwrap().password(), "a:b");
        assert!(Pair::parse(format!("alice:{}", "x".repeat(1025)).as_bytes()).is_none());
    }

    #[test]
    fn nobody_local_to_the_gateway_comes_in_by_a_password_that_a_kdc_should_take() {
        let local = Realm { netbios: None, case: NameCase::Insensitive, local: true };
        let realms = Realms::new([("CORP.EXAMPLE".to_owned(), realm("CORP")), ("GW01".to_owned(), local)]);
        for text in ["alice@GW01:x", "alice@gw01:x"] {
            let pair = Pair::parse(text.as_bytes()).unwrap();
            assert_eq!(pair.principal(&realms, None), Err(PrincipalError::UnknownRealm), "{text}");
        }
        let bare = Pair::parse(b"alice:x").unwrap();
        assert_eq!(bare.principal(&realms, None).unwrap().to_string(), "alice@CORP.EXAMPLE");
    }
}
