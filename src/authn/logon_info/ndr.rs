//! The part of NDR, the wire format of Microsoft's remote procedure calls, that the logon information is written in ([MS-RPCE] section 2.2.6,
//! [C706] chapter 14). Every length is checked against what is there before anything is taken.

use super::{super::sid::Sid, LogonInfoError, MAX_LIST};

/// Reads values one after the other, each at its alignment.
pub(super) struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

/// A pointer in a structure; what it points to follows after the structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pointer(bool);

/// A member of a domain: its number and the attributes of the membership.
#[derive(Debug, Clone, Copy)]
pub(super) struct Membership {
    pub(super) relative: u32,
    pub(super) attributes: u32,
}

impl<'b> Reader<'b> {
    /// A reader of the one object in `bytes`, behind its two headers ([MS-RPCE] section 2.2.6.1 and 2.2.6.2).
    pub(super) fn new(bytes: &'b [u8]) -> Result<Self, LogonInfoError> {
        let (header, rest) = bytes.split_first_chunk::<16>().ok_or(LogonInfoError::Truncated)?;
        let [version, representation, a, b, _, _, _, _, c, d, e, f, _, _, _, _] = *header;
        // Version 1; integers little-endian, characters ASCII; eight bytes of common header.
        if [version, representation, a, b] != [1, 0x10, 8, 0] {
            return Err(LogonInfoError::Malformed { what: "the header" });
        }
        let length = usize::try_from(u32::from_le_bytes([c, d, e, f])).unwrap_or(usize::MAX);
        let bytes = rest.get(..length).ok_or(LogonInfoError::Truncated)?;
        if rest.len() - length >= 8 {
            return Err(LogonInfoError::Malformed { what: "the length of the object" });
        }
        Ok(Self { bytes, at: 0 })
    }

    pub(super) fn u16(&mut self) -> Result<u16, LogonInfoError> {
        self.align(2)?;
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, LogonInfoError> {
        self.align(4)?;
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn pointer(&mut self) -> Result<Pointer, LogonInfoError> {
        self.u32().map(|referent| Pointer(referent != 0))
    }

    pub(super) fn skip(&mut self, count: usize) -> Result<(), LogonInfoError> {
        self.take(count).map(|_| ())
    }

    /// The fixed part of an `RPC_UNICODE_STRING`: two lengths in bytes and where it is.
    pub(super) fn string_head(&mut self) -> Result<Pointer, LogonInfoError> {
        self.align(4)?;
        let (_length, _room) = (self.u16()?, self.u16()?);
        self.pointer()
    }

    /// The characters of an `RPC_UNICODE_STRING`: passed over, for nothing is decided on a name that is only a label.
    pub(super) fn skip_string(&mut self, pointer: Pointer) -> Result<(), LogonInfoError> {
        if pointer.is_null() {
            return Ok(());
        }
        let (room, offset, count) = (self.u32()?, self.u32()?, self.u32()?);
        if offset != 0 || count > room {
            return Err(LogonInfoError::Malformed { what: "a string" });
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.skip(count.saturating_mul(2))
    }

    /// A `RPC_SID`, where there is one.
    pub(super) fn sid(&mut self, pointer: Pointer) -> Result<Option<Sid>, LogonInfoError> {
        if pointer.is_null() {
            return Ok(None);
        }
        let parts = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        if parts > 15 {
            return Err(LogonInfoError::Malformed { what: "a security identifier" });
        }
        let bytes = self.take(8 + 4 * parts)?;
        Sid::from_bytes(bytes)
            .map(Some)
            .map_err(|_| LogonInfoError::Malformed { what: "a security identifier" })
    }

    /// An array of `GROUP_MEMBERSHIP` that is to have `count` entries.
    pub(super) fn memberships(
        &mut self,
        count: u32,
        pointer: Pointer,
    ) -> Result<Vec<Membership>, LogonInfoError> {
        (0..self.list(count, pointer)?)
            .map(|_| Ok(Membership { relative: self.u32()?, attributes: self.u32()? }))
            .collect()
    }

    /// An array of `KERB_SID_AND_ATTRIBUTES` that is to have `count` entries, and then the identifiers.
    pub(super) fn sids(&mut self, count: u32, pointer: Pointer) -> Result<Vec<(Sid, u32)>, LogonInfoError> {
        let heads: Vec<(Pointer, u32)> = (0..self.list(count, pointer)?)
            .map(|_| Ok((self.pointer()?, self.u32()?)))
            .collect::<Result<_, LogonInfoError>>()?;
        heads
            .into_iter()
            .map(|(pointer, attributes)| {
                let missing = LogonInfoError::Malformed { what: "a security identifier" };
                Ok((self.sid(pointer)?.ok_or(missing)?, attributes))
            })
            .collect()
    }

    /// What is left may only fill up to a multiple of eight.
    pub(super) fn end(&self) -> Result<(), LogonInfoError> {
        let left = self.bytes.get(self.at..).unwrap_or_default();
        if left.len() < 8 && left.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        Err(LogonInfoError::Malformed { what: "the end" })
    }

    /// The length of an array, which the structure and the array itself must agree on.
    fn list(&mut self, count: u32, pointer: Pointer) -> Result<usize, LogonInfoError> {
        let found = if pointer.is_null() { 0 } else { self.u32()? };
        let length = usize::try_from(count).unwrap_or(usize::MAX);
        if found != count || length > MAX_LIST {
            return Err(LogonInfoError::Malformed { what: "the length of a list" });
        }
        Ok(length)
    }

    fn align(&mut self, to: usize) -> Result<(), LogonInfoError> {
        let over = self.at % to;
        if over == 0 { Ok(()) } else { self.skip(to - over) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], LogonInfoError> {
        self.take(N)?.try_into().map_err(|_| LogonInfoError::Truncated)
    }

    fn take(&mut self, count: usize) -> Result<&'b [u8], LogonInfoError> {
        let end = self.at.checked_add(count).ok_or(LogonInfoError::Truncated)?;
        let taken = self.bytes.get(self.at..end).ok_or(LogonInfoError::Truncated)?;
        self.at = end;
        Ok(taken)
    }
}

impl Pointer {
    pub(super) fn is_null(self) -> bool {
        !self.0
    }
}
