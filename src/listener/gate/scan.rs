//! Finds the end of a head while its bytes arrive, and stops at the first byte that no head may hold.

use super::super::refusal::Reason;

/// How far a head has been looked at.
#[derive(Debug)]
pub(crate) struct Scanner {
    seen: usize,
    previous: u8,
    line_length: usize,
    lines: usize,
    headers: usize,
}

impl Scanner {
    /// Allows at most `headers` header lines.
    pub(crate) fn new(headers: usize) -> Self {
        Self { seen: 0, previous: 0, line_length: 0, lines: 0, headers }
    }

    /// Looks at what `bytes` has beyond the last call; says where the head ends once it does.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Result<Option<usize>, Reason> {
        for (offset, &byte) in bytes.iter().enumerate().skip(self.seen) {
            match (self.previous, byte) {
                (b'\r', b'\n') if self.line_length == 0 => {
                    return if self.lines == 0 { Err(Reason::RequestLine) } else { Ok(Some(offset + 1)) };
                }
                (b'\r', b'\n') => {
                    self.lines += 1;
                    self.line_length = 0;
                    if self.lines > self.headers + 1 {
                        return Err(Reason::TooManyHeaders);
                    }
                }
                (b'\r', _) | (_, b'\n') => return Err(Reason::LineBreak),
                (_, b'\r') => {}
                (_, b'\t' | b' '..=b'~') => self.line_length += 1,
                (_, _) => return Err(Reason::ControlByte),
            }
            self.previous = byte;
        }
        self.seen = bytes.len();
        Ok(None)
    }
}
