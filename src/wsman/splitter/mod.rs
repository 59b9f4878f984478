//! Cuts the body of an answer into envelopes while it arrives.
//!
//! A host may answer one request of a robust connection with several envelopes over minutes ([MS-WSMV] 3.1.4.1.24);
//! each is given out as soon as its last byte is there.

mod plain;

use std::fmt;

use bytes::{Buf as _, Bytes, BytesMut};

use self::plain::Lexer;
use super::limits::Limits;
use super::sealed::{ContentType, MOST_OVERHEAD, SealedError, read_head};

/// Why the body of an answer cannot be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// One envelope is larger than allowed.
    #[error("the answer has an envelope of more than {limit} bytes")]
    TooLarge {
        /// The bound, in bytes.
        limit: usize,
    },
    /// The body ends within an envelope.
    #[error("the answer ends within an envelope")]
    Incomplete,
    /// Something that is no envelope.
    #[error("the answer holds something that is no envelope")]
    Garbage,
    /// A document type declaration.
    #[error("the answer holds a document type declaration")]
    Doctype,
    /// A sealed message that is none.
    #[error("a sealed message of the answer is not valid")]
    Sealed(#[from] SealedError),
}

impl SplitError {
    /// A label for metrics and records, from a fixed set.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "answer_too_large",
            Self::Incomplete => "answer_incomplete",
            Self::Garbage => "answer_garbage",
            Self::Doctype => "answer_doctype",
            Self::Sealed(error) => error.reason(),
        }
    }
}

/// Collects the bytes of one answer and gives out its envelopes one by one.
///
/// INVARIANT: every byte is looked at a bounded number of times, however the body is chopped.
pub struct AnswerSplitter {
    buffer: BytesMut,
    kind: Kind,
    limits: Limits,
}

#[derive(Debug)]
enum Kind {
    Plain(Lexer),
    Sealed { content_type: ContentType, frame: Option<Frame> },
}

/// A sealed message whose head has arrived: where it may end, and with which bytes.
#[derive(Debug, Clone)]
struct Frame {
    /// Offset of the closing delimiter if the mechanism adds nothing to the data.
    least: usize,
    /// How much further it may be.
    slack: usize,
    closing: Vec<u8>,
}

impl AnswerSplitter {
    /// For an answer in clear.
    #[must_use]
    pub fn plain(limits: &Limits) -> Self {
        Self { buffer: BytesMut::new(), kind: Kind::Plain(Lexer::default()), limits: *limits }
    }

    /// For a sealed answer; each piece given out is a complete body for [`super::sealed::decode`].
    ///
    /// # Errors
    ///
    /// [`SplitError::Sealed`] where the content type is not that of a supported sealed message.
    pub fn sealed(content_type: &str, limits: &Limits) -> Result<Self, SplitError> {
        let content_type = ContentType::read(content_type)?;
        Ok(Self {
            buffer: BytesMut::new(),
            kind: Kind::Sealed { content_type, frame: None },
            limits: *limits,
        })
    }

    /// Takes what has arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete envelope; `None` until more has arrived.
    ///
    /// # Errors
    ///
    /// A [`SplitError`]; the rest of the answer is lost then.
    pub fn next_envelope(&mut self) -> Result<Option<Bytes>, SplitError> {
        self.skip_space();
        let end = match &mut self.kind {
            Kind::Plain(lexer) => lexer.find_end(&self.buffer)?,
            Kind::Sealed { content_type, frame } => {
                find_sealed_end(&self.buffer, content_type, frame, &self.limits)?
            }
        };
        let (most, limit) = (self.most(), self.limits.envelope_bytes);
        if end.unwrap_or(self.buffer.len()) > most {
            return Err(SplitError::TooLarge { limit });
        }
        let Some(end) = end else { return Ok(None) };
        match &mut self.kind {
            Kind::Plain(lexer) => *lexer = Lexer::default(),
            Kind::Sealed { frame, .. } => *frame = None,
        }
        Ok(Some(self.buffer.split_to(end).freeze()))
    }

    /// Says whether the answer was complete. Line ends after the last envelope are tolerated.
    ///
    /// # Errors
    ///
    /// [`SplitError::Incomplete`] where anything is left, an envelope not taken out included.
    pub fn finish(mut self) -> Result<(), SplitError> {
        self.skip_space();
        if self.buffer.is_empty() { Ok(()) } else { Err(SplitError::Incomplete) }
    }

    /// Drops white space between envelopes.
    fn skip_space(&mut self) {
        let between = match &self.kind {
            Kind::Plain(lexer) => lexer.is_fresh(),
            Kind::Sealed { frame, .. } => frame.is_none(),
        };
        if between {
            let space = self.buffer.iter().take_while(|b| b.is_ascii_whitespace()).count();
            self.buffer.advance(space);
        }
    }

    /// The most bytes that one envelope may take here.
    fn most(&self) -> usize {
        match self.kind {
            Kind::Plain(_) => self.limits.envelope_bytes.saturating_add(3),
            Kind::Sealed { .. } => {
                self.limits.envelope_bytes.saturating_mul(2).saturating_add(MOST_OVERHEAD + MOST_HEAD)
            }
        }
    }
}

/// Without the bytes: what commands print is nobody's to log.
impl fmt::Debug for AnswerSplitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerSplitter").field("buffered", &self.buffer.len()).finish_non_exhaustive()
    }
}

/// Where the sealed message at the start of `buffer` ends.
fn find_sealed_end(
    buffer: &[u8],
    content_type: &ContentType,
    frame: &mut Option<Frame>,
    limits: &Limits,
) -> Result<Option<usize>, SplitError> {
    if frame.is_none() {
        *frame = read_frame(buffer, content_type, limits)?;
    }
    let Some(frame) = frame else { return Ok(None) };
    let width = frame.closing.len();
    for at in frame.least..=frame.least.saturating_add(frame.slack) {
        let Some(found) = buffer.get(at..at.saturating_add(width)) else { return Ok(None) };
        if found == frame.closing {
            return Ok(Some(at + width));
        }
    }
    Err(SealedError::Length.into())
}

fn read_frame(
    buffer: &[u8],
    content_type: &ContentType,
    limits: &Limits,
) -> Result<Option<Frame>, SplitError> {
    let Some(head) = read_head(buffer, content_type, limits)? else { return Ok(None) };
    let Some(size) = buffer.get(head.data_at..).and_then(|rest| rest.first_chunk::<4>()) else {
        return Ok(None);
    };
    let header_bytes = usize::try_from(u32::from_le_bytes(*size)).unwrap_or(usize::MAX);
    if header_bytes > MOST_OVERHEAD {
        return Err(SealedError::Length.into());
    }
    let closing = [head.delimiter, b"--\r\n"].concat();
    let least = head.data_at + 4 + header_bytes + head.length;
    Ok(Some(Frame { least, slack: MOST_TRAILER, closing }))
}

/// What a mechanism may put behind the data: padding, or the trailer of a token that is not rotated (60 bytes).
const MOST_TRAILER: usize = 64;
const MOST_HEAD: usize = 4096;

#[cfg(test)]
mod tests;
