//! As much of DER as SPNEGO needs: definite lengths in their shortest form, tags of one byte.

use super::NtlmError;

/// What is left of a value's contents.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The contents of the next element, which must have `tag`.
    pub(super) fn read(&mut self, tag: u8) -> Result<&'a [u8], NtlmError> {
        self.optional(tag)?.ok_or(BROKEN)
    }

    /// The contents of the next element, if it has `tag`.
    pub(super) fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>, NtlmError> {
        let Some((_, rest)) = self.0.split_first().filter(|(first, _)| **first == tag) else {
            return Ok(None);
        };
        let (length, rest) = length(rest)?;
        let (contents, rest) = rest.split_at_checked(length).ok_or(BROKEN)?;
        self.0 = rest;
        Ok(Some(contents))
    }

    /// The contents of an element that is alone inside the next one, if that has `tag`.
    pub(super) fn explicit(&mut self, tag: u8, inner: u8) -> Result<Option<&'a [u8]>, NtlmError> {
        self.optional(tag)?.map(|contents| only(contents, inner)).transpose()
    }

    /// Whether nothing is left.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Nothing may be left.
    pub(super) const fn finish(&self) -> Result<(), NtlmError> {
        if self.is_empty() { Ok(()) } else { Err(BROKEN) }
    }
}

/// The contents of the one element of which `bytes` consist.
pub(super) fn only(bytes: &[u8], tag: u8) -> Result<&[u8], NtlmError> {
    let mut reader = Reader::new(bytes);
    let contents = reader.read(tag)?;
    reader.finish()?;
    Ok(contents)
}

/// An element of all `parts`.
pub(super) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = vec![tag];
    let octets = length.to_be_bytes();
    let significant = octets.iter().skip_while(|octet| **octet == 0);
    if length >= 0x80 {
        let count = significant.clone().fold(0_u8, |count, _| count + 1);
        bytes.push(0x80 | count);
    }
    if length == 0 {
        bytes.push(0);
    }
    bytes.extend(significant);
    bytes.extend(parts.iter().copied().flatten());
    bytes
}

/// A length, and what follows it.
fn length(bytes: &[u8]) -> Result<(usize, &[u8]), NtlmError> {
    match bytes {
        [short @ 0..=0x7f, rest @ ..] => Ok((usize::from(*short), rest)),
        [0x81, length @ 0x80..=0xff, rest @ ..] => Ok((usize::from(*length), rest)),
        [0x82, high @ 1..=0xff, low, rest @ ..] => Ok((usize::from(u16::from_be_bytes([*high, *low])), rest)),
        _ => Err(BROKEN),
    }
}

const BROKEN: NtlmError = NtlmError::Malformed("SPNEGO");
