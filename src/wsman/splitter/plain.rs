//! Finds the end of one XML document without reading what it says.

use super::SplitError;

/// How far into a document the reader is. The document is checked afterwards; here only its end is looked for.
#[derive(Debug, Default)]
pub(super) struct Lexer {
    /// Bytes that are done with.
    at: usize,
    state: State,
    depth: usize,
}

#[derive(Debug, Default, Clone, Copy)]
enum State {
    /// Between tags.
    #[default]
    Content,
    /// In a start tag, perhaps in a quoted value.
    Start { quote: Option<u8>, slash: bool },
    /// In an end tag.
    End,
    /// Up to these bytes: a comment, CDATA section or declaration.
    Until(&'static [u8]),
}

/// What a step found.
enum Step {
    On,
    More,
    Ended,
}

impl Lexer {
    /// Whether nothing of a document was seen yet.
    pub(super) const fn is_fresh(&self) -> bool {
        self.at == 0
    }

    /// Goes on in `buffer`, which has grown since. Gives where the document ends.
    pub(super) fn find_end(&mut self, buffer: &[u8]) -> Result<Option<usize>, SplitError> {
        loop {
            let rest = buffer.get(self.at..).unwrap_or_default();
            match self.step(rest)? {
                Step::On => {}
                Step::More => return Ok(None),
                Step::Ended => return Ok(Some(self.at)),
            }
        }
    }

    fn step(&mut self, rest: &[u8]) -> Result<Step, SplitError> {
        match self.state {
            State::Content => self.content(rest),
            State::Start { quote, slash } => Ok(self.start_tag(rest, quote, slash)),
            State::End => {
                let Some(end) = rest.iter().position(|b| *b == b'>') else {
                    return Ok(self.wait(rest.len()));
                };
                self.at += end + 1;
                self.state = State::Content;
                self.depth = self.depth.checked_sub(1).ok_or(SplitError::Garbage)?;
                Ok(if self.depth == 0 { Step::Ended } else { Step::On })
            }
            State::Until(end) => {
                let Some(found) = rest.windows(end.len()).position(|window| window == end) else {
                    return Ok(self.wait(rest.len().saturating_sub(end.len() - 1)));
                };
                self.at += found + end.len();
                self.state = State::Content;
                Ok(Step::On)
            }
        }
    }

    /// Text up to the next `<`, and what that begins.
    fn content(&mut self, rest: &[u8]) -> Result<Step, SplitError> {
        let text = rest.iter().position(|b| *b == b'<').unwrap_or(rest.len());
        let before = rest.get(..text).unwrap_or_default();
        let mark = self.at == 0 && BYTE_ORDER_MARK.starts_with(before.get(..3).unwrap_or(before));
        let prologue = if mark { before.get(3..).unwrap_or_default() } else { before };
        if self.depth == 0 && !prologue.iter().all(u8::is_ascii_whitespace) {
            return Err(SplitError::Garbage);
        }
        if mark && before.len() < 3 && !before.is_empty() && text < rest.len() {
            return Err(SplitError::Garbage);
        }
        if mark && before.len() < 3 && !before.is_empty() {
            return Ok(Step::More);
        }
        self.at += text;
        let rest = rest.get(text..).unwrap_or_default();
        let (state, width) = match rest {
            [b'<', b'/', ..] => (State::End, 2),
            [b'<', b'?', ..] => (State::Until(b"?>"), 2),
            [b'<', b'!', b'-', b'-', ..] => (State::Until(b"-->"), 4),
            [b'<', b'!', ..] if rest.starts_with(CDATA) => (State::Until(b"]]>"), CDATA.len()),
            [b'<', b'!', ..] if CDATA.starts_with(rest) || b"<!--".starts_with(rest) => {
                return Ok(Step::More);
            }
            [b'<', b'!', ..] => return Err(SplitError::Doctype),
            [] | [b'<'] => return Ok(Step::More),
            _ => (State::Start { quote: None, slash: false }, 1),
        };
        self.state = state;
        self.at += width;
        Ok(Step::On)
    }

    fn start_tag(&mut self, rest: &[u8], mut quote: Option<u8>, mut slash: bool) -> Step {
        for (index, byte) in rest.iter().enumerate() {
            match (quote, byte) {
                (Some(open), byte) if *byte == open => quote = None,
                (Some(_), _) => {}
                (None, b'"' | b'\'') => quote = Some(*byte),
                (None, b'>') => {
                    self.at += index + 1;
                    self.state = State::Content;
                    self.depth += usize::from(!slash);
                    return if self.depth == 0 { Step::Ended } else { Step::On };
                }
                (None, _) => {}
            }
            slash = *byte == b'/' && quote.is_none();
        }
        self.state = State::Start { quote, slash };
        self.wait(rest.len())
    }

    /// Everything so far is done with, and more must arrive.
    const fn wait(&mut self, done: usize) -> Step {
        self.at += done;
        Step::More
    }
}

const CDATA: &[u8] = b"<![CDATA[";
const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];
