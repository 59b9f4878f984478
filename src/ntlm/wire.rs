//! How NTLM's messages are laid out: a fixed head, in which fields point into what follows ([MS-NLMP] section 2.2).

use super::NtlmError;
use std::ops::Range;

/// A message of which the signature, the type and the size are known to be right.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// `bytes` as a message of type `kind` with a head of at least `head` bytes.
    pub(super) fn open(bytes: &'a [u8], kind: Kind, head: usize) -> Result<Self, NtlmError> {
        if bytes.len() > MAX_MESSAGE {
            return Err(NtlmError::TooLarge);
        }
        if !bytes.starts_with(SIGNATURE) {
            return Err(NtlmError::OtherMechanism);
        }
        let number = u32::from_le_bytes(array(bytes, 8)?);
        if !Kind::ALL.iter().any(|known| known.number() == number) {
            return Err(NtlmError::Malformed("the message's type"));
        }
        if number != kind.number() {
            return Err(NtlmError::UnexpectedMessage);
        }
        if bytes.len() < head {
            Err(NtlmError::Malformed("the message ends too early"))
        } else {
            Ok(Self(bytes))
        }
    }

    /// The number at `at`.
    pub(super) fn u32_at(self, at: usize) -> Result<u32, NtlmError> {
        Ok(u32::from_le_bytes(self.array(at)?))
    }

    /// The bytes at `at`.
    pub(super) fn array<const N: usize>(self, at: usize) -> Result<[u8; N], NtlmError> {
        array(self.0, at)
    }

    /// What the fields at `places` point to, and where the first of it begins.
    ///
    /// # Errors
    /// When one points into the head or out of the message, or when two of them share bytes.
    pub(super) fn fields<const N: usize>(
        self,
        places: [usize; N],
        head: usize,
    ) -> Result<([&'a [u8]; N], usize), NtlmError> {
        let (mut fields, mut taken) = ([[].as_slice(); N], Vec::<Range<usize>>::with_capacity(N));
        for (field, place) in fields.iter_mut().zip(places) {
            let length = usize::from(u16_at(self.0, place)?);
            let start = usize::try_from(self.u32_at(place + 4)?).map_err(|_| NtlmError::TooLarge)?;
            if length == 0 {
                continue;
            }
            *field = slice(self.0, start, length)?;
            if start < head {
                return Err(NtlmError::Malformed("a field points into the message's head"));
            }
            if taken.iter().any(|other| start < other.end && other.start < start + length) {
                return Err(NtlmError::Malformed("two fields share bytes"));
            }
            taken.push(start..start + length);
        }
        let first = taken.iter().map(|range| range.start).min();
        Ok((fields, first.unwrap_or(self.0.len())))
    }
}

/// A message as it grows: its head, and what the head's fields point to.
pub(super) struct Writer {
    head: Vec<u8>,
    payload: Vec<u8>,
    length: usize,
}

impl Writer {
    /// A message of type `kind` whose head will have `length` bytes.
    pub(super) fn new(kind: Kind, length: usize) -> Self {
        let mut head = Vec::with_capacity(length);
        head.extend_from_slice(SIGNATURE);
        head.extend_from_slice(&kind.number().to_le_bytes());
        Self { head, payload: Vec::new(), length }
    }

    /// A field that points to `content`.
    pub(super) fn field(&mut self, content: &[u8]) -> Result<(), NtlmError> {
        let length = u16::try_from(content.len()).map_err(|_| NtlmError::TooLarge)?.to_le_bytes();
        let at = u32::try_from(self.length + self.payload.len()).map_err(|_| NtlmError::TooLarge)?;
        self.head.extend_from_slice(&length);
        self.head.extend_from_slice(&length);
        self.head.extend_from_slice(&at.to_le_bytes());
        self.payload.extend_from_slice(content);
        Ok(())
    }

    /// Bytes of the head itself.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.head.extend_from_slice(bytes);
    }

    /// The whole message.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, NtlmError> {
        debug_assert_eq!(self.head.len(), self.length, "the fields point to where the payload begins");
        self.head.append(&mut self.payload);
        if self.head.len() > MAX_MESSAGE { Err(NtlmError::TooLarge) } else { Ok(self.head) }
    }
}

/// A message's type.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Negotiate,
    Challenge,
    Authenticate,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Negotiate, Self::Challenge, Self::Authenticate];

    const fn number(self) -> u32 {
        match self {
            Self::Negotiate => 1,
            Self::Challenge => 2,
            Self::Authenticate => 3,
        }
    }
}

/// The `length` bytes at `start`.
pub(super) fn slice(bytes: &[u8], start: usize, length: usize) -> Result<&[u8], NtlmError> {
    let end = start.checked_add(length).ok_or(NtlmError::TooLarge)?;
    bytes.get(start..end).ok_or(NtlmError::Malformed("the message ends too early"))
}

/// The bytes at `at`.
pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], NtlmError> {
    slice(bytes, at, N)?.try_into().map_err(|_| NtlmError::Malformed("the message ends too early"))
}

/// The number at `at`.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> Result<u16, NtlmError> {
    Ok(u16::from_le_bytes(array(bytes, at)?))
}

/// `bytes` as the text that they are in UTF-16LE.
pub(super) fn utf16(bytes: &[u8]) -> Result<String, NtlmError> {
    let (units, rest) = bytes.as_chunks::<2>();
    let text =
        char::decode_utf16(units.iter().map(|unit| u16::from_le_bytes(*unit))).collect::<Result<_, _>>();
    match text {
        Ok(text) if rest.is_empty() => Ok(text),
        Ok(_) | Err(_) => Err(NtlmError::Malformed("a text is not UTF-16")),
    }
}

/// `text` in UTF-16LE.
pub(super) fn to_utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// What every NTLM message begins with.
pub(super) const SIGNATURE: &[u8] = b"NTLMSSP\0";
/// No honest message is larger.
const MAX_MESSAGE: usize = 16 * 1024;
