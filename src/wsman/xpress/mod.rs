//! Compressed shell streams: `rsp:CompressionType` `xpress` ([MS-WSMV] 2.2.5.2.2, [MS-XCA] 2.1 and 2.2).
//!
//! Comes in: what one `rsp:Stream` holds, base64 undone. Goes out: the bytes that were compressed. A stream consists of
//! whole blocks of `plain length - 1` and `wire length - 1`, 16 bits each, little-endian, and that many bytes; equal
//! lengths mean that the block is stored as it is.
//!
//! INVARIANT: never more bytes come out than the block headers declare, nor more than the caller's bound.
//!
//! INVARIANT: the work is linear in the bytes that go in and come out.
//!
//! Why our own: no crate decodes this format without panics and without wrong data returned as success.

mod huffman;

use self::huffman::Codes;

/// Decodes compressed streams, each into a bounded number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoder {
    limit: usize,
}

/// Why a compressed stream can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XpressError {
    /// It ends within a block header, a block, or a block's code.
    #[error("the compressed stream ends too early")]
    Truncated,
    /// More bytes than the caller allows.
    #[error("the compressed stream holds more than {limit} bytes")]
    TooLarge {
        /// The bound, in bytes.
        limit: usize,
    },
    /// Code lengths that are not those of one complete prefix code ([MS-XCA] 2.2).
    #[error("the compressed stream has a code table that is no prefix code")]
    BadCode,
    /// A match that begins before the block or ends behind it.
    #[error("the compressed stream repeats what is not there")]
    BadMatch,
}

impl XpressError {
    /// The label for metrics and records, from a fixed set.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Truncated => "xpress_truncated",
            Self::TooLarge { .. } => "xpress_too_large",
            Self::BadCode => "xpress_bad_code",
            Self::BadMatch => "xpress_bad_match",
        }
    }
}

impl Decoder {
    /// A decoder that gives at most `limit` bytes for one stream.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { limit }
    }

    /// Undoes the compression of one stream.
    ///
    /// # Errors
    ///
    /// One [`XpressError`] for anything but whole blocks; then nothing of the stream is known.
    pub fn decode(&self, wire: &[u8]) -> Result<Vec<u8>, XpressError> {
        let mut plain = Vec::new();
        let mut codes = None;
        let mut rest = wire;
        while !rest.is_empty() {
            let (&[a, b, c, d], tail) = rest.split_first_chunk().ok_or(XpressError::Truncated)?;
            let plain_length = usize::from(u16::from_le_bytes([a, b])) + 1;
            let wire_length = usize::from(u16::from_le_bytes([c, d])) + 1;
            let (block, tail) = tail.split_at_checked(wire_length).ok_or(XpressError::Truncated)?;
            if plain_length > self.limit.saturating_sub(plain.len()) {
                return Err(XpressError::TooLarge { limit: self.limit });
            }
            if plain_length == wire_length {
                plain.extend_from_slice(block);
            } else {
                huffman::expand(block, plain_length, codes.get_or_insert_with(Codes::new), &mut plain)?;
            }
            rest = tail;
        }
        Ok(plain)
    }
}

impl Default for Decoder {
    /// Sixteen mebibytes: forty times what the largest default envelope carries.
    fn default() -> Self {
        Self::new(16 * 1024 * 1024)
    }
}

#[cfg(test)]
mod tests;
