//! One LZ77+Huffman block ([MS-XCA] 2.2).

use super::XpressError;

/// The prefix code of a block: what the next fifteen bits begin with.
pub(super) struct Codes {
    /// `symbol << 4 | length`, by the next fifteen bits.
    table: Vec<u16>,
}

impl Codes {
    pub(super) fn new() -> Self {
        Self { table: vec![0; 1 << LONGEST] }
    }

    /// Reads the 512 code lengths of four bits each, the low ones first. The code has to be complete.
    fn read(&mut self, lengths: &[u8; LENGTHS]) -> Result<(), XpressError> {
        let lengths = || lengths.iter().flat_map(|pair| [pair & 15, pair >> 4]);
        let mut spans = [0_usize; 16];
        for length in lengths() {
            add(&mut spans, length, span(length));
        }
        // Codes are in order of their lengths, those of one length in order of their symbols.
        let mut from = 0;
        for spanned in spans.iter_mut().skip(1) {
            from += std::mem::replace(spanned, from);
        }
        if from != self.table.len() {
            return Err(XpressError::BadCode);
        }
        for (symbol, length) in (0_u16..).zip(lengths()).filter(|(_, length)| *length > 0) {
            let from = add(&mut spans, length, span(length));
            let slots = self.table.get_mut(from..from + span(length)).ok_or(XpressError::BadCode)?;
            slots.fill(symbol << 4 | u16::from(length));
        }
        Ok(())
    }

    /// The symbol that the bits begin with, and the length of its code.
    fn first(&self, bits: u32) -> (u16, u32) {
        let index = usize::try_from(bits >> (u32::BITS - LONGEST)).unwrap_or_default();
        let entry = self.table.get(index).copied().unwrap_or_default();
        (entry >> 4, u32::from(entry & 15))
    }
}

/// How many of the next fifteen bits' values begin with one code of this length.
fn span(length: u8) -> usize {
    1 << LONGEST.saturating_sub(u32::from(length))
}

/// Adds to the number of a length, and gives what it was.
fn add(numbers: &mut [usize; 16], length: u8, more: usize) -> usize {
    let Some(number) = numbers.get_mut(usize::from(length)) else { return 0 };
    let before = *number;
    *number += more;
    before
}

/// Appends the `length` bytes of a block to `plain`; matches reach back to the block's own first byte.
pub(super) fn expand(
    block: &[u8],
    length: usize,
    codes: &mut Codes,
    plain: &mut Vec<u8>,
) -> Result<(), XpressError> {
    let (lengths, body) = block.split_first_chunk::<LENGTHS>().ok_or(XpressError::Truncated)?;
    codes.read(lengths)?;
    let (start, end) = (plain.len(), plain.len() + length);
    let mut input = Input::new(body)?;
    while plain.len() < end {
        let (symbol, width) = codes.first(input.bits);
        input.take(width)?;
        let Some(symbol) = symbol.checked_sub(256) else {
            plain.push(u8::try_from(symbol).unwrap_or_default());
            continue;
        };
        let repeated = input.match_length(usize::from(symbol & 15))?;
        let offset = input.offset(u32::from(symbol >> 4))?;
        if offset > plain.len() - start || repeated > end - plain.len() {
            return Err(XpressError::BadMatch);
        }
        repeat(plain, offset, repeated);
    }
    Ok(())
}

/// Appends `count` bytes, each the one `offset` before it. `offset` lies within `plain` and is not 0.
fn repeat(plain: &mut Vec<u8>, offset: usize, count: usize) {
    let mut left = count;
    while left > 0 {
        // What was appended repeats with the same period, so that the run to copy grows.
        let from = plain.len().saturating_sub(offset * ((count - left) / offset + 1));
        let run = left.min(plain.len() - from);
        plain.extend_from_within(from..from + run);
        left -= run;
    }
}

/// The block behind its code lengths: bits in words of 16, between them whole bytes of long match lengths.
struct Input<'b> {
    bytes: &'b [u8],
    /// The bits that come next, the first of them on top.
    bits: u32,
    /// How many of `bits` there are beyond the upper 16.
    spare: u32,
    /// Words that were read behind the end. The reader is at most two words ahead of what it uses.
    missing: u32,
}

impl<'b> Input<'b> {
    fn new(bytes: &'b [u8]) -> Result<Self, XpressError> {
        let mut input = Self { bytes, bits: 0, spare: 16, missing: 0 };
        input.bits = input.word()? << 16;
        input.bits |= input.word()?;
        Ok(input)
    }

    fn take(&mut self, count: u32) -> Result<(), XpressError> {
        self.bits <<= count;
        if let Some(spare) = self.spare.checked_sub(count) {
            self.spare = spare;
        } else {
            self.bits |= self.word()? << (count - self.spare);
            self.spare = self.spare + 16 - count;
        }
        Ok(())
    }

    fn word(&mut self) -> Result<u32, XpressError> {
        if let Some((&word, rest)) = self.bytes.split_first_chunk() {
            self.bytes = rest;
            return Ok(u32::from(u16::from_le_bytes(word)));
        }
        self.missing += 1;
        if self.missing > 2 { Err(XpressError::Truncated) } else { Ok(0) }
    }

    fn whole<const N: usize>(&mut self) -> Result<[u8; N], XpressError> {
        let (&bytes, rest) = self.bytes.split_first_chunk().ok_or(XpressError::Truncated)?;
        self.bytes = rest;
        Ok(bytes)
    }

    /// The length of a match whose symbol says `short`, from 3 on.
    fn match_length(&mut self, short: usize) -> Result<usize, XpressError> {
        if short < 15 {
            return Ok(short + 3);
        }
        let [byte] = self.whole()?;
        if byte < 255 {
            return Ok(usize::from(byte) + 15 + 3);
        }
        let long = match u32::from(u16::from_le_bytes(self.whole()?)) {
            0 => u32::from_le_bytes(self.whole()?),
            long => long,
        };
        // Shorter ones have shorter forms; a length that does not fit fails the bound of the block.
        if long < 15 {
            Err(XpressError::BadMatch)
        } else {
            Ok(usize::try_from(long).unwrap_or(usize::MAX).saturating_add(3))
        }
    }

    /// How far back a match begins whose symbol says that the offset has `width` bits behind its first.
    fn offset(&mut self, width: u32) -> Result<usize, XpressError> {
        let low = self.bits.checked_shr(u32::BITS - width).unwrap_or_default();
        self.take(width)?;
        Ok((1_usize << width) + usize::try_from(low).unwrap_or_default())
    }
}

/// Bytes of the code lengths.
const LENGTHS: usize = 256;
/// Bits of the longest code.
const LONGEST: u32 = 15;
