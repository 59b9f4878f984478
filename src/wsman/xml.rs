//! XML 1.0 with namespaces, without everything that two readers could read differently.
//!
//! Comes in: UTF-8 text without byte order mark. Goes out: tokens with resolved names.
//! quick-xml cuts the text into tokens and pairs the tags; what it lets pass is checked here: characters, names,
//! attributes, entities, declarations, limits, one root.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::Event;

use super::attributes::{self, Attribute, Scope};
use super::charset::Charset;
use super::error::EnvelopeError;
use super::limits::Limits;
use super::names::Ns;

/// One element's expanded name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name<'x> {
    pub(super) ns: Ns,
    pub(super) local: &'x str,
}

impl Name<'_> {
    pub(super) fn is(&self, ns: Ns, local: &str) -> bool {
        self.ns == ns && self.local == local
    }
}

/// What the text consists of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token<'x> {
    /// A start tag, or an empty element's; its attributes are in [`Scanner::attributes`].
    Open(Name<'x>),
    /// Its end.
    Close,
    /// Characters as they stand, without any reference.
    Text(&'x str),
    /// Characters of a CDATA section.
    CData(&'x str),
    /// A predefined entity or a character reference.
    Reference(char),
    /// A comment.
    Comment,
    /// The end, after exactly one root.
    End,
}

/// Reads one document, token by token.
pub(super) struct Scanner<'x> {
    source: &'x str,
    reader: Reader<&'x [u8]>,
    charset: Charset,
    limits: Limits,
    scope: Scope<'x>,
    attributes: Vec<Attribute<'x>>,
    depth: usize,
    rooted: bool,
}

impl<'x> Scanner<'x> {
    /// Checks the characters of the whole text and stands before its first token.
    pub(super) fn new(text: &'x [u8], charset: Charset, limits: &Limits) -> Result<Self, EnvelopeError> {
        let source = str::from_utf8(text).map_err(|_| EnvelopeError::BadEncoding)?;
        check_characters(text)?;
        if source.starts_with('\u{feff}') {
            return Err(malformed("a second byte order mark"));
        }
        let mut reader = Reader::from_str(source);
        let config = reader.config_mut();
        config.expand_empty_elements = true;
        config.check_comments = true;
        Ok(Self {
            source,
            reader,
            charset,
            limits: *limits,
            scope: Scope::default(),
            attributes: Vec::new(),
            depth: 0,
            rooted: false,
        })
    }

    /// Attributes of the element that was opened last, namespace declarations left out.
    pub(super) fn attributes(&self) -> &[Attribute<'x>] {
        &self.attributes
    }

    /// The value of an attribute without namespace of the element that was opened last.
    pub(super) fn attribute(&self, local: &str) -> Option<&str> {
        self.attributes.iter().find(|a| a.ns == Ns::None && a.local == local).map(|a| a.value.as_ref())
    }

    /// An attribute without namespace. The same name in a namespace or in other case is refused: another reader may take it.
    pub(super) fn plain_attribute(&self, local: &'static str) -> Result<Option<&str>, EnvelopeError> {
        let mut alike = self.attributes.iter().filter(|a| a.local.eq_ignore_ascii_case(local));
        match (alike.next(), alike.next()) {
            (None, _) => Ok(None),
            (Some(a), None) if a.ns == Ns::None && a.local == local => Ok(Some(a.value.as_ref())),
            _ => Err(EnvelopeError::InvalidHeader { header: local }),
        }
    }

    /// Open elements.
    pub(super) const fn depth(&self) -> usize {
        self.depth
    }

    /// The next token.
    pub(super) fn next_token(&mut self) -> Result<Token<'x>, EnvelopeError> {
        loop {
            let before = position(&self.reader);
            let event = self.reader.read_event().map_err(|_| malformed("tags or markup"))?;
            let raw = self.source.get(before..position(&self.reader)).unwrap_or_default();
            let token = match event {
                Event::Start(_) | Event::Empty(_) => self.open(raw)?,
                Event::End(_) => self.close(),
                Event::Text(_) => self.text(raw)?,
                Event::CData(_) => Token::CData(self.inside(strip(raw, "<![CDATA[", "]]>"))?),
                Event::GeneralRef(_) => Token::Reference(reference(self.inside(strip(raw, "&", ";"))?)?),
                Event::Comment(_) => Token::Comment,
                Event::Decl(_) => {
                    self.declaration(raw, before)?;
                    continue;
                }
                Event::PI(_) => return Err(EnvelopeError::ProcessingInstruction),
                Event::DocType(_) => return Err(EnvelopeError::Doctype),
                Event::Eof if self.depth == 0 && self.rooted => Token::End,
                Event::Eof => return Err(malformed("it ends too early")),
            };
            return Ok(token);
        }
    }

    /// The text of the element just opened, up to its end: one plain run of characters, without surrounding white space.
    pub(super) fn plain_text(&mut self, name: &'static str) -> Result<&'x str, EnvelopeError> {
        let mut text = None;
        loop {
            match self.next_token()? {
                Token::Text(run) if text.is_none() => text = Some(run),
                Token::Close => return Ok(text.unwrap_or_default().trim_matches(is_space)),
                Token::Text(_)
                | Token::Open(_)
                | Token::CData(_)
                | Token::Reference(_)
                | Token::Comment
                | Token::End => return Err(EnvelopeError::NotPlainText { name }),
            }
        }
    }

    /// The text of the element just opened with its references replaced; `None` where it holds elements.
    /// Comments and CDATA sections are refused.
    pub(super) fn value_text(&mut self, name: &'static str) -> Result<Option<Cow<'x, str>>, EnvelopeError> {
        let outside = self.depth.saturating_sub(1);
        let mut text: Cow<'x, str> = Cow::Borrowed("");
        loop {
            match self.next_token()? {
                Token::Text(run) if text.is_empty() => text = Cow::Borrowed(run),
                Token::Text(run) => text.to_mut().push_str(run),
                Token::Reference(c) => text.to_mut().push(c),
                Token::Close => return Ok(Some(text)),
                Token::Open(_) => {
                    while self.depth > outside {
                        self.next_token()?;
                    }
                    return Ok(None);
                }
                Token::CData(_) | Token::Comment | Token::End => {
                    return Err(EnvelopeError::NotPlainText { name });
                }
            }
        }
    }

    /// Passes over the rest of the element just opened.
    pub(super) fn skip(&mut self) -> Result<(), EnvelopeError> {
        let outside = self.depth.saturating_sub(1);
        while self.depth > outside {
            self.next_token()?;
        }
        Ok(())
    }

    fn open(&mut self, raw: &'x str) -> Result<Token<'x>, EnvelopeError> {
        if self.depth == 0 && self.rooted {
            return Err(malformed("a second root"));
        }
        if self.depth >= self.limits.depth {
            return Err(EnvelopeError::TooDeep);
        }
        if raw.len() > self.limits.tag_bytes {
            return Err(EnvelopeError::TagTooLong);
        }
        let tag = strip(raw, "<", ">");
        let tag = tag.strip_suffix('/').unwrap_or(tag);
        self.rooted = true;
        self.depth += 1;
        let name = attributes::read(tag, &mut self.scope, &mut self.attributes, &self.limits)?;
        Ok(Token::Open(name))
    }

    fn close(&mut self) -> Token<'x> {
        self.depth = self.depth.saturating_sub(1);
        self.scope.leave();
        Token::Close
    }

    fn text(&self, raw: &'x str) -> Result<Token<'x>, EnvelopeError> {
        if self.depth == 0 && !raw.chars().all(is_space) {
            return Err(malformed("text outside the root"));
        }
        if raw.contains("]]>") {
            return Err(malformed("`]]>` in text"));
        }
        Ok(Token::Text(raw))
    }

    /// CDATA and references stand within the root only.
    const fn inside(&self, raw: &'x str) -> Result<&'x str, EnvelopeError> {
        if self.depth == 0 { Err(malformed("text outside the root")) } else { Ok(raw) }
    }

    /// `<?xml version="1.0" encoding="…"?>`: first of all, and of the encoding that the bytes have.
    fn declaration(&self, raw: &'x str, at: usize) -> Result<(), EnvelopeError> {
        if at != 0 {
            return Err(malformed("an XML declaration that is not at the start"));
        }
        let mut pairs = attributes::Pairs::after_name(strip(raw, "<?xml", "?>"));
        let mut seen = Vec::with_capacity(3);
        while let Some((name, value)) = pairs.next_pair()? {
            let fits = match (name, seen.len()) {
                ("version", 0) => value == "1.0",
                ("encoding", 1) => match Charset::from_label(value) {
                    Some(declared) if declared == self.charset => true,
                    Some(_) => return Err(EnvelopeError::CharsetDisagrees),
                    None => return Err(EnvelopeError::CharsetUnsupported),
                },
                ("standalone", 1 | 2) => matches!(value, "yes" | "no"),
                _ => false,
            };
            if !fits || seen.contains(&name) {
                return Err(malformed("the XML declaration"));
            }
            seen.push(name);
        }
        if seen.is_empty() { Err(malformed("the XML declaration")) } else { Ok(()) }
    }
}

/// A character that XML 1.0 allows (section 2.2).
pub(super) const fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// White space as XML knows it.
pub(super) const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

pub(super) const fn malformed(problem: &'static str) -> EnvelopeError {
    EnvelopeError::NotWellFormed { problem }
}

/// How far the reader has come, in bytes.
fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

/// What `&name;` stands for: one of the five predefined entities or a character that XML allows.
pub(super) fn reference(name: &str) -> Result<char, EnvelopeError> {
    let number = match name {
        "amp" => return Ok('&'),
        "lt" => return Ok('<'),
        "gt" => return Ok('>'),
        "quot" => return Ok('"'),
        "apos" => return Ok('\''),
        name => name.strip_prefix('#').ok_or(EnvelopeError::UnknownEntity)?,
    };
    let (digits, radix) = number.strip_prefix('x').map_or((number, 10), |hex| (hex, 16));
    if digits.is_empty() || digits.len() > 8 || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(malformed("a character reference"));
    }
    let code = u32::from_str_radix(digits, radix).map_err(|_| malformed("a character reference"))?;
    char::from_u32(code).filter(|c| is_xml_char(*c)).ok_or(EnvelopeError::ForbiddenCharacter)
}

/// One pass over the bytes of valid UTF-8: controls, U+FFFE and U+FFFF.
fn check_characters(text: &[u8]) -> Result<(), EnvelopeError> {
    let control = |b: &u8| *b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r');
    let odd = |b: &u8| control(b) || *b == 0xef;
    if !text.iter().any(odd) {
        return Ok(());
    }
    let non_character = |three: &[u8]| matches!(three, [0xef, 0xbf, 0xbe | 0xbf]);
    if text.iter().any(control) || text.windows(3).any(non_character) {
        return Err(EnvelopeError::ForbiddenCharacter);
    }
    Ok(())
}

fn strip<'x>(raw: &'x str, head: &str, tail: &str) -> &'x str {
    let raw = raw.strip_prefix(head).unwrap_or(raw);
    raw.strip_suffix(tail).unwrap_or(raw)
}
