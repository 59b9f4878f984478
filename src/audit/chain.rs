//! How each record holds on to the one before it.
//!
//! A line ends with its number, the hash of the record before it and its own hash:
//!
//! ```text
//! {"@timestamp":…,"event.sequence":7,"winrm.previous_hash":"<64 digits>","event.hash":"<64 digits>"}
//! digest = SHA-256 of the line's bytes up to, and without, `,"event.hash":`
//! hash   = SHA-256 of the previous hash (32 bytes) and the digest (32 bytes)
//! ```
//!
//! The first record of all has the number 1 and 64 zeros before it.
//!
//! Why two steps: whoever has only the digest of a record, and not its content, can still follow the chain past it; an evidence pack holds
//! what was asked for and digests of the rest.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// A SHA-256 value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Hash(pub(super) [u8; 32]);

impl Hash {
    /// The hash of `bytes`.
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The hash that a record with this `digest` has after a record with this hash.
    pub(super) fn then(self, digest: Self) -> Self {
        let mut both = Sha256::new();
        both.update(self.0);
        both.update(digest.0);
        Self(both.finalize().into())
    }

    /// Reads 64 lower-case hexadecimal digits.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != HEX {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            let [high, low] = pair else { return None };
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Only what `Display` writes: one value, one way to write it.
fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// The end of a chain: the last record's number and hash. The default is the end of a chain that has no record yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Link {
    /// The number of the last record; 0 where there is none.
    pub(super) seq: u64,
    /// Its hash.
    pub(super) hash: Hash,
}

impl Link {
    /// Puts `line`, an object with its line feed, at the end of the chain, and appends it to `to`.
    pub(super) fn append(&mut self, line: &[u8], to: &mut Vec<u8>) {
        let seq = self.seq + 1;
        let start = to.len();
        to.extend_from_slice(line.strip_suffix(b"}\n").unwrap_or(line));
        to.extend_from_slice(format!("{SEQUENCE}{seq}{PREVIOUS}{}\"", self.hash).as_bytes());
        let digest = Hash::of(to.get(start..).unwrap_or_default());
        *self = Self { seq, hash: self.hash.then(digest) };
        to.extend_from_slice(format!("{OWN}{}\"}}\n", self.hash).as_bytes());
    }

    /// Goes on to `next`, where it is what follows.
    pub(super) fn follow(&mut self, next: &Chained) -> Result<(), Break> {
        if next.seq > self.seq + 1 {
            return Err(Break::Missing { from: self.seq + 1, to: next.seq - 1 });
        }
        if next.seq <= self.seq {
            return Err(Break::Again { wanted: self.seq + 1 });
        }
        if next.previous != self.hash {
            return Err(Break::Another);
        }
        *self = next.link();
        Ok(())
    }
}

/// What a line says of its place in the chain. Its own hash is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chained {
    /// Its number.
    pub(super) seq: u64,
    /// The hash of the record before it.
    pub(super) previous: Hash,
    /// The digest of its content.
    pub(super) digest: Hash,
    /// Its hash.
    pub(super) hash: Hash,
}

impl Chained {
    /// Reads a line without its line feed.
    ///
    /// # Errors
    /// Where it has no place in a chain, or its content is not what its hash says.
    pub(super) fn read(line: &[u8]) -> Result<Self, Break> {
        let (content, hash) = cut(line.strip_suffix(b"\"}").ok_or(Break::NoRecord)?, OWN)?;
        let (before, previous) = cut(content.strip_suffix(b"\"").ok_or(Break::NoRecord)?, PREVIOUS)?;
        let digits = before.iter().rev().take(20).take_while(|byte| byte.is_ascii_digit()).count();
        let (rest, number) = before.split_at_checked(before.len() - digits).ok_or(Break::NoRecord)?;
        let number = std::str::from_utf8(number).ok().filter(|text| !text.starts_with('0'));
        let seq = number.and_then(|text| text.parse().ok()).ok_or(Break::NoRecord)?;
        if !rest.ends_with(SEQUENCE.as_bytes()) {
            return Err(Break::NoRecord);
        }
        let digest = Hash::of(content);
        if previous.then(digest) != hash {
            return Err(Break::Altered { seq });
        }
        Ok(Self { seq, previous, digest, hash })
    }

    /// The end of the chain with this record.
    pub(super) fn link(&self) -> Link {
        Link { seq: self.seq, hash: self.hash }
    }
}

/// What stands before `name` and a hash at the end of `line`, and the hash.
fn cut<'a>(line: &'a [u8], name: &str) -> Result<(&'a [u8], Hash), Break> {
    let at = line.len().checked_sub(HEX).ok_or(Break::NoRecord)?;
    let (before, digits) = line.split_at_checked(at).ok_or(Break::NoRecord)?;
    let hash = Hash::parse(digits).ok_or(Break::NoRecord)?;
    Ok((before.strip_suffix(name.as_bytes()).ok_or(Break::NoRecord)?, hash))
}

/// Why a line is not the next of its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Break {
    /// It does not end as records do.
    #[error("this is no record, or one whose end was altered")]
    NoRecord,
    /// Its hash is not that of its content.
    #[error("the record was altered: its content is not what its hash says")]
    Altered {
        /// The number that it claims.
        seq: u64,
    },
    /// Records are missing before it.
    #[error("the records {from} to {to} are missing before it")]
    Missing {
        /// The first of them.
        from: u64,
        /// The last of them.
        to: u64,
    },
    /// Its number has been before.
    #[error("the record stands here a second time or out of its place: {wanted} should follow")]
    Again {
        /// The number that should follow.
        wanted: u64,
    },
    /// It follows a record that is not here.
    #[error("the record follows another one than the one before it")]
    Another,
}

const HEX: usize = 64;
const SEQUENCE: &str = ",\"event.sequence\":";
const PREVIOUS: &str = ",\"winrm.previous_hash\":\"";
const OWN: &str = ",\"event.hash\":\"";

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(count: usize) -> Vec<Vec<u8>> {
        let mut link = Link::default();
        (0..count)
            .map(|number| {
                let mut line = Vec::new();
                link.append(format!("{{\"n\":{number}}}\n").as_bytes(), &mut line);
                line.pop();
                line
            })
            .collect()
    }

    fn followed(lines: &[&Vec<u8>]) -> Result<Link, Break> {
        let mut link = Link::default();
        for line in lines {
            link.follow(&Chained::read(line)?)?;
        }
        Ok(link)
    }

    #[test]
    fn a_chain_holds_and_stays_json() {
        let lines = chain(5);
        assert_eq!(followed(&lines.iter().collect::<Vec<_>>()).unwrap().seq, 5);
        for line in &lines {
            serde_json::from_slice::<serde_json::Value>(line).unwrap();
        }
    }

    #[test]
    fn every_other_value_of_every_byte_is_noticed() {
        let lines = chain(2);
        for at in 0..lines[1].len() {
            for flip in 1..=255_u8 {
                let mut bad = lines.clone();
                bad[1][at] ^= flip;
                assert!(followed(&bad.iter().collect::<Vec<_>>()).is_err(), "byte {at} ^ {flip}");
            }
        }
    }

    #[test]
    fn dropped_repeated_and_swapped_records_are_told_apart() {
        let lines = chain(4);
        let of =
            |order: &[usize]| followed(&order.iter().map(|at| &lines[*at]).collect::<Vec<_>>()).unwrap_err();
        assert_eq!(of(&[0, 1, 3]), Break::Missing { from: 3, to: 3 });
        assert_eq!(of(&[0, 1, 1, 2]), Break::Again { wanted: 3 });
        assert_eq!(of(&[0, 2, 1, 3]), Break::Missing { from: 2, to: 2 });
        let mut forged = Vec::new();
        let mut other = Link { seq: 1, hash: Hash::of(b"another") };
        other.append(b"{\"n\":1}\n", &mut forged);
        forged.pop();
        assert_eq!(followed(&[&lines[0], &forged]), Err(Break::Another));
    }

    #[test]
    fn a_line_without_its_place_is_no_record() {
        for line in ["", "{}", "{\"a\":1}", "\"}", ",\"event.hash\":\"\"}"] {
            assert_eq!(Chained::read(line.as_bytes()), Err(Break::NoRecord), "{line}");
        }
    }
}
