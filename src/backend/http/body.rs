//! Where the body of an answer ends.

use bytes::{Buf as _, Bytes, BytesMut};

use super::HttpError;

/// Follows the framing of one body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::backend) struct BodyReader {
    state: State,
}

/// What a step gave.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::backend) enum Piece {
    /// Bytes of the body; never none.
    Bytes(Bytes),
    /// More must arrive.
    More,
    /// That was all.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many bytes are left.
    Length(u64),
    /// A size line comes.
    Size,
    /// So many bytes of a chunk are left.
    Chunk(u64),
    /// The line end behind a chunk comes.
    ChunkEnd,
    /// The empty line behind the last chunk comes.
    LastEnd,
    /// That was all.
    Done,
}

impl BodyReader {
    /// A body of `length` bytes.
    pub(in crate::backend) const fn of_length(length: u64) -> Self {
        Self { state: if length == 0 { State::Done } else { State::Length(length) } }
    }

    /// A body in chunks.
    pub(in crate::backend) const fn chunked() -> Self {
        Self { state: State::Size }
    }

    /// Whether the end was read.
    pub(in crate::backend) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The next bytes of the body that `buffer` has, without copying them.
    ///
    /// # Errors
    /// Where a chunk is malformed or has what nobody needs: extensions, trailers.
    pub(in crate::backend) fn next(&mut self, buffer: &mut BytesMut) -> Result<Piece, HttpError> {
        loop {
            match self.state {
                State::Done => return Ok(Piece::End),
                State::Length(left) | State::Chunk(left) => return Ok(self.bytes(left, buffer)),
                State::Size => match take_line(buffer)? {
                    Some(line) => self.state = chunk(&line)?,
                    None => return Ok(Piece::More),
                },
                State::ChunkEnd | State::LastEnd => {
                    let wrong =
                        if self.state == State::LastEnd { HttpError::Trailer } else { HttpError::Chunk };
                    match buffer.get(..2) {
                        Some(b"\r\n") => buffer.advance(2),
                        Some(_) => return Err(wrong),
                        None if matches!(buffer.first(), None | Some(b'\r')) => return Ok(Piece::More),
                        None => return Err(wrong),
                    }
                    self.state = if self.state == State::LastEnd { State::Done } else { State::Size };
                }
            }
        }
    }

    fn bytes(&mut self, left: u64, buffer: &mut BytesMut) -> Piece {
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if here == 0 {
            return Piece::More;
        }
        let left = left.saturating_sub(u64::try_from(here).unwrap_or(u64::MAX));
        self.state = match (self.state, left) {
            (State::Chunk(_), 0) => State::ChunkEnd,
            (State::Chunk(_), left) => State::Chunk(left),
            (_, 0) => State::Done,
            (_, left) => State::Length(left),
        };
        Piece::Bytes(buffer.split_to(here).freeze())
    }
}

/// A size line without its end.
fn take_line(buffer: &mut BytesMut) -> Result<Option<BytesMut>, HttpError> {
    let window = buffer.get(..MOST_SIZE_LINE).unwrap_or(buffer);
    let Some(end) = window.iter().position(|byte| !byte.is_ascii_hexdigit()) else {
        return if window.len() < MOST_SIZE_LINE { Ok(None) } else { Err(HttpError::Chunk) };
    };
    match window.get(end..end + 2) {
        Some(b"\r\n") => {
            let line = buffer.split_to(end);
            buffer.advance(2);
            Ok(Some(line))
        }
        None if window.get(end) == Some(&b'\r') && window.len() < MOST_SIZE_LINE => Ok(None),
        Some(_) | None => Err(HttpError::Chunk),
    }
}

/// What follows a size line of hexadecimal digits.
fn chunk(digits: &[u8]) -> Result<State, HttpError> {
    let text = str::from_utf8(digits).map_err(|_| HttpError::Chunk)?;
    match u64::from_str_radix(text, 16) {
        Ok(0) => Ok(State::LastEnd),
        Ok(size) => Ok(State::Chunk(size)),
        Err(_) => Err(HttpError::Chunk),
    }
}

/// Eight digits say more than an envelope may have; some peers write leading zeros.
const MOST_SIZE_LINE: usize = 18;
