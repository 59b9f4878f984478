//! Security identifiers: what Active Directory knows accounts and groups by, whatever they are called.

use std::{fmt, str::FromStr};

/// A security identifier ([MS-DTYP] section 2.4.2).
///
/// INVARIANT: one to fifteen sub-authorities; one identifier has one spelling.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Sid {
    /// The 48 bits of the identifier authority.
    authority: u64,
    parts: Vec<u32>,
}

/// A text or bytes that spell no security identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a security identifier is written like S-1-5-21-1-2-3-1104")]
pub(crate) struct NotASid;

impl Sid {
    /// The identifier that `bytes` hold, all of them ([MS-DTYP] section 2.4.2.2).
    ///
    /// # Errors
    /// When they are another revision, have another length than they say, or too many sub-authorities.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, NotASid> {
        let (&[revision, count, a, b, c, d, e, f], rest) = bytes.split_first_chunk::<8>().ok_or(NotASid)?;
        let parts: Vec<u32> = rest
            .chunks(4)
            .map(|part| part.try_into().map(u32::from_le_bytes))
            .collect::<Result<_, _>>()
            .map_err(|_| NotASid)?;
        let authority = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        if revision != REVISION || parts.len() != usize::from(count) {
            return Err(NotASid);
        }
        Self { authority, parts }.checked()
    }

    /// The account or group that has the number `relative` in the domain that this identifier names.
    ///
    /// # Errors
    /// When this identifier has no room for another sub-authority.
    pub(crate) fn with(&self, relative: u32) -> Result<Self, NotASid> {
        let mut parts = self.parts.clone();
        parts.push(relative);
        Self { authority: self.authority, parts }.checked()
    }

    fn checked(self) -> Result<Self, NotASid> {
        if (1..=MAX_PARTS).contains(&self.parts.len()) { Ok(self) } else { Err(NotASid) }
    }
}

impl FromStr for Sid {
    type Err = NotASid;

    fn from_str(text: &str) -> Result<Self, NotASid> {
        let rest = text.strip_prefix("S-1-").ok_or(NotASid)?;
        let (authority, parts) = rest.split_once('-').ok_or(NotASid)?;
        let authority = match authority.strip_prefix("0x") {
            Some(digits) if digits.len() == 12 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                u64::from_str_radix(digits, 16).map_err(|_| NotASid)?
            }
            Some(_) => return Err(NotASid),
            None => u64::from(number(authority)?),
        };
        let parts = parts.split('-').take(MAX_PARTS + 1).map(number).collect::<Result<_, _>>()?;
        Self { authority, parts }.checked()
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if u32::try_from(self.authority).is_ok() {
            write!(f, "S-1-{}", self.authority)?;
        } else {
            write!(f, "S-1-0x{:012x}", self.authority)?;
        }
        self.parts.iter().try_for_each(|part| write!(f, "-{part}"))
    }
}

/// A decimal number as it is printed: no sign, no leading zero.
fn number(text: &str) -> Result<u32, NotASid> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().map_err(|_| NotASid) } else { Err(NotASid) }
}

const REVISION: u8 = 1;
const MAX_PARTS: usize = 15;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sid(text: &str) -> Sid {
        text.parse().unwrap()
    }

    #[test]
    fn a_security_identifier_has_one_spelling() {
        for text in ["S-1-5-21-1-2-3-1104", "S-1-1-0", "S-1-5-32-544", "S-1-0x0123456789ab-7"] {
            assert_eq!(sid(text).to_string(), text);
        }
        let fifteen = format!("S-1-5{}", "-1".repeat(15));
        assert_eq!(sid(&fifteen).to_string(), fifteen);
        for text in [
            "",
            "S-1",
            "S-1-5",
            "S-1-5-",
            "s-1-5-21",
            "S-2-5-21",
            "S-1-5-+21",
            "S-1-5-021",
            "S-1-5-4294967296",
            "S-1-5--21",
            "S-1-5-21 ",
            "S-1-0x05-21",
            "S-1-05-21",
            &format!("S-1-5{}", "-1".repeat(16)),
        ] {
            assert_eq!(text.parse::<Sid>(), Err(NotASid), "{text:?}");
        }
    }

    #[test]
    fn bytes_are_taken_whole_or_not_at_all() {
        let bytes = [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0];
        assert_eq!(Sid::from_bytes(&bytes), Ok(sid("S-1-5-32-544")));
        for length in 0..bytes.len() {
            assert_eq!(Sid::from_bytes(&bytes[..length]), Err(NotASid), "{length}");
        }
        let longer = [bytes.as_slice(), &[0; 4]].concat();
        assert_eq!(Sid::from_bytes(&longer), Err(NotASid));
        let other_revision = [&[2][..], &bytes[1..]].concat();
        assert_eq!(Sid::from_bytes(&other_revision), Err(NotASid));
        assert_eq!(Sid::from_bytes(&[1, 0, 0, 0, 0, 0, 0, 5]), Err(NotASid));
    }

    #[test]
    fn a_domain_and_a_number_are_an_account() {
        assert_eq!(sid("S-1-5-21-1-2-3").with(1104), Ok(sid("S-1-5-21-1-2-3-1104")));
        assert_eq!(sid(&format!("S-1-5{}", "-1".repeat(15))).with(1), Err(NotASid));
    }

    proptest! {
        #[test]
        fn a_security_identifier_survives_being_written_and_read(
            authority in 0..(1_u64 << 48), parts in prop::collection::vec(any::<u32>(), 1..=15)
        ) {
            let sid = Sid { authority, parts };
            prop_assert_eq!(sid.to_string().parse(), Ok(sid));
        }

        #[test]
        fn no_text_and_no_bytes_panic(text in "\\PC{0,40}", bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(sid) = text.parse::<Sid>() {
                prop_assert_eq!(sid.to_string(), text);
            }
            let _ = Sid::from_bytes(&bytes).is_ok();
        }
    }
}
