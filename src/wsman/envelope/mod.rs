//! One request: parsed once, strictly, and from then on known by what was found.

mod body;
mod duration;
mod header;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use self::body::BodyFacts;
use self::header::Headers;
use super::charset::{Charset, decode};
use super::error::EnvelopeError;
use super::ids::{
    Action, CommandId, EnumerationContext, MessageId, OperationId, ResourceUri, SessionId, ShellId,
};
use super::limits::Limits;
use super::names::Ns;
use super::operation::{ActionClass, Operation, Tuple, judge};
use super::xml::{Name, Scanner, Token, is_space};

/// A request whose parts agree with each other, together with the bytes they were read from.
///
/// INVARIANT: [`Envelope::bytes`] are exactly the bytes that were inspected.
#[derive(Clone)]
pub struct Envelope {
    bytes: Bytes,
    operation: Operation,
    class: ActionClass,
    headers: Headers,
    shell_id: Option<ShellId>,
    command_id: Option<CommandId>,
    enumeration_context: Option<EnumerationContext>,
}

/// One key of the instance that a request is about (DSP0226 5.4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    pub(super) name: String,
    pub(super) value: Option<String>,
}

impl Selector {
    /// Its name, as it came; names compare without regard to case.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its value; `None` where it is an endpoint reference.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }
}

/// One switch for the resource (DSP0226 6.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    pub(super) name: String,
    pub(super) value: String,
}

impl Switch {
    /// Its name, such as `WINRS_SKIP_CMD_SHELL`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its value, as it came.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

/// How the streams of a shell are packed ([MS-WSMV] 2.2.5.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// LZ77 with Huffman coding, in blocks.
    Xpress,
}

impl Envelope {
    /// Reads a request.
    ///
    /// `declared` is the character set of the content type, or of `OriginalContent` for a sealed body. UTF-16LE is
    /// transcoded once, its XML declaration dropped, and the UTF-8 is what is inspected and forwarded.
    ///
    /// # Errors
    ///
    /// One [`EnvelopeError`] per reason; nothing of a refused request may be used.
    pub fn parse(body: Bytes, declared: Option<Charset>, limits: &Limits) -> Result<Self, EnvelopeError> {
        let decoded = decode(body, declared, limits)?;
        let (headers, facts, tuple_body) = {
            let mut scanner = Scanner::new(&decoded.text, decoded.charset, limits)?;
            let (headers, facts) = read(&mut scanner, limits)?;
            let body = facts.root.map(|root| (root.ns, root.local.to_owned()));
            (headers, facts.owned(), body)
        };
        let names_shell = headers.shell_id.is_some();
        let (operation, class) = judge(&Tuple {
            action: headers.action.as_ref(),
            resource: headers.resource_uri.as_ref(),
            has_selectors: !headers.selectors.is_empty(),
            names_shell,
            body: tuple_body.as_ref().map(|(ns, local)| Name { ns: *ns, local }),
        })?;
        if operation != Operation::Identify {
            headers.check_required()?;
        }
        // Whose enumeration it is must be readable here, or another reader could find one that nobody checked.
        if matches!(operation, Operation::Pull | Operation::Release) && facts.enumeration_context.is_none() {
            return Err(EnvelopeError::MissingHeader { header: "EnumerationContext" });
        }
        let shell_id = match (headers.shell_id.clone(), facts.shell_id) {
            (Some(selected), Some(wanted)) if selected != wanted => {
                return Err(EnvelopeError::ShellIdsDisagree);
            }
            (selected, wanted) => selected.or(wanted),
        };
        Ok(Self {
            bytes: without_declaration(decoded.text, decoded.charset),
            operation,
            class,
            headers,
            shell_id,
            command_id: facts.command_id,
            enumeration_context: facts.enumeration_context,
        })
    }

    /// The UTF-8 bytes that were inspected, the only ones that a host may be sent.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What is asked for.
    #[must_use]
    pub const fn operation(&self) -> &Operation {
        &self.operation
    }

    /// What it amounts to, for rules.
    #[must_use]
    pub const fn action_class(&self) -> ActionClass {
        self.class
    }

    /// `a:Action`; none for Identify only.
    #[must_use]
    pub const fn action(&self) -> Option<&Action> {
        self.headers.action.as_ref()
    }

    /// `a:MessageID`, to be echoed in `a:RelatesTo`.
    #[must_use]
    pub const fn message_id(&self) -> Option<&MessageId> {
        self.headers.message_id.as_ref()
    }

    /// `w:ResourceURI`.
    #[must_use]
    pub const fn resource_uri(&self) -> Option<&ResourceUri> {
        self.headers.resource_uri.as_ref()
    }

    /// The shell: the selector's, or the one that a Create asks for.
    #[must_use]
    pub const fn shell_id(&self) -> Option<&ShellId> {
        self.shell_id.as_ref()
    }

    /// The command or pipeline; none where the request is about the whole shell.
    #[must_use]
    pub const fn command_id(&self) -> Option<&CommandId> {
        self.command_id.as_ref()
    }

    /// The selector set, without duplicates.
    #[must_use]
    pub fn selectors(&self) -> &[Selector] {
        &self.headers.selectors
    }

    /// The option set.
    #[must_use]
    pub fn options(&self) -> &[Switch] {
        &self.headers.options
    }

    /// `w:OperationTimeout`: how long the host may take.
    #[must_use]
    pub const fn operation_timeout(&self) -> Option<Duration> {
        self.headers.operation_timeout
    }

    /// `w:MaxEnvelopeSize`: the largest answer that the client takes, in bytes; at least 8192.
    #[must_use]
    pub const fn max_envelope_size(&self) -> Option<u32> {
        self.headers.max_envelope_size
    }

    /// `p:OperationID`: the answer may be several envelopes over time (robust connections).
    #[must_use]
    pub const fn operation_id(&self) -> Option<&OperationId> {
        self.headers.operation_id.as_ref()
    }

    /// `p:SessionId`.
    #[must_use]
    pub const fn session_id(&self) -> Option<&SessionId> {
        self.headers.session_id.as_ref()
    }

    /// `rsp:CompressionType`: how the streams of the shell will be packed.
    #[must_use]
    pub const fn compression(&self) -> Option<Compression> {
        self.headers.compression
    }

    /// The enumeration that a Pull or Release goes on with.
    #[must_use]
    pub const fn enumeration_context(&self) -> Option<&EnumerationContext> {
        self.enumeration_context.as_ref()
    }
}

/// Without the bytes and what stands in them: scripts hold passwords.
impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("operation", &self.operation)
            .field("message_id", &self.headers.message_id)
            .field("length", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// Reads `s:Envelope`: one header, which may be missing, then one body, then nothing.
fn read<'x>(scanner: &mut Scanner<'x>, limits: &Limits) -> Result<(Headers, BodyFacts<'x>), EnvelopeError> {
    open_envelope(scanner)?;
    let mut headers = None;
    let mut facts = None;
    loop {
        match scanner.next_token()? {
            Token::Open(name) if name.is(Ns::Soap, "Header") && headers.is_none() && facts.is_none() => {
                headers = Some(Headers::read(scanner, limits)?);
            }
            Token::Open(name) if name.is(Ns::Soap, "Body") && facts.is_none() => {
                facts = Some(BodyFacts::read(scanner)?);
            }
            Token::Close | Token::Comment => {}
            Token::Text(text) if text.chars().all(is_space) => {}
            Token::End => break,
            Token::Open(_) | Token::Text(_) | Token::CData(_) | Token::Reference(_) => {
                return Err(EnvelopeError::EnvelopeShape);
            }
        }
    }
    Ok((headers.unwrap_or_default(), facts.ok_or(EnvelopeError::EnvelopeShape)?))
}

/// Passes the root's start tag.
fn open_envelope(scanner: &mut Scanner<'_>) -> Result<(), EnvelopeError> {
    loop {
        match scanner.next_token()? {
            Token::Open(name) if name.is(Ns::Soap, "Envelope") => return Ok(()),
            Token::Open(Name { ns: Ns::OtherSoap, .. }) => return Err(EnvelopeError::OtherSoap),
            Token::Open(_) => return Err(EnvelopeError::EnvelopeShape),
            Token::Text(_)
            | Token::Comment
            | Token::Close
            | Token::CData(_)
            | Token::Reference(_)
            | Token::End => {}
        }
    }
}

/// A transcoded text no longer has the encoding that its declaration names.
fn without_declaration(text: Bytes, charset: Charset) -> Bytes {
    if charset == Charset::Utf8 || !text.starts_with(b"<?xml") {
        return text;
    }
    let end = text.windows(2).position(|two| two == b"?>").map_or(0, |at| at + 2);
    text.slice(end..)
}

#[cfg(test)]
mod tests;
