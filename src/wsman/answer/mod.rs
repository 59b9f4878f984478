//! What a host's answer says. Hosts are not trusted: bounded, and nothing is taken from where it does not belong.

use bytes::Bytes;

use super::charset::{Charset, Decoded, decode};
use super::error::EnvelopeError;
use super::ids::{CommandId, EnumerationContext, MessageId, ShellId};
use super::limits::Limits;
use super::names::Ns;
use super::xml::{Name, Scanner, Token, is_space};

/// The parts of an answer that ownership and records need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnswerFacts {
    /// `a:RelatesTo`: the request's message id.
    pub relates_to: Option<MessageId>,
    /// The shell that was created: of `x:ResourceCreated`, or of `rsp:Shell` at the top of the body.
    pub shell_id: Option<ShellId>,
    /// The enumeration to go on with; none where it is finished.
    pub enumeration_context: Option<EnumerationContext>,
    /// The command that was started, or whose state is told.
    pub command_id: Option<CommandId>,
    /// The fault, where the answer is one.
    pub fault: Option<FaultFacts>,
    /// Whether `rsp:CommandState` says `Done`.
    pub command_done: bool,
    /// `rsp:ExitCode`: 32 bits, signed or unsigned as the host wrote them.
    pub exit_code: Option<i64>,
}

/// A host's fault.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FaultFacts {
    /// The number in `f:WSManFault/@Code`, or `error_Code` of a WMI error.
    pub code: Option<u32>,
    /// The subcode's local name, such as `TimedOut`; at most 64 characters.
    pub subcode: Option<String>,
    /// What people are told; at most 1024 characters. May hold any character.
    pub text: String,
}

/// Reads an answer, in clear.
///
/// # Errors
///
/// The reasons of [`super::Envelope::parse`] that concern XML: character set, form, document types, limits, two roots,
/// and two different shells.
pub fn inspect_answer(body: &[u8], limits: &Limits) -> Result<AnswerFacts, EnvelopeError> {
    let decoded = readable(body, limits)?;
    let (text, charset) = match &decoded {
        Some(decoded) => (decoded.text.as_ref(), decoded.charset),
        None => (body.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(body), Charset::Utf8),
    };
    let mut scanner = Scanner::new(text, charset, limits)?;
    let mut reader = Reader::default();
    loop {
        match scanner.next_token()? {
            Token::Open(name) => reader.open(name, &scanner)?,
            Token::Close => reader.close()?,
            Token::Text(text) | Token::CData(text) => reader.text(text),
            Token::Reference(c) => reader.text(c.encode_utf8(&mut [0; 4])),
            Token::Comment => {}
            Token::End => return Ok(reader.facts),
        }
    }
}

/// UTF-16 is copied to be read; UTF-8 (`None`) is read in place.
fn readable(body: &[u8], limits: &Limits) -> Result<Option<Decoded>, EnvelopeError> {
    if body.starts_with(&[0xff, 0xfe]) {
        return decode(Bytes::copy_from_slice(body), None, limits).map(Some);
    }
    if body.len() > limits.envelope_bytes.saturating_add(3) {
        return Err(EnvelopeError::TooLarge { limit: limits.envelope_bytes });
    }
    Ok(None)
}

/// Follows the path from the root.
#[derive(Default)]
struct Reader<'x> {
    path: Vec<(Ns, &'x str)>,
    facts: AnswerFacts,
    value: Option<Value>,
}

/// A value whose text is being collected.
struct Value {
    kind: Kind,
    text: String,
    /// The path's length at its element.
    depth: usize,
}

#[derive(Clone, Copy)]
enum Kind {
    RelatesTo,
    ShellId,
    Context,
    CommandId,
    ExitCode,
    Subcode,
    FaultText,
    ErrorCode,
}

impl<'x> Reader<'x> {
    fn open(&mut self, name: Name<'x>, scanner: &Scanner<'_>) -> Result<(), EnvelopeError> {
        if self.path.is_empty() {
            match (name.ns, name.local) {
                (Ns::Soap, "Envelope") => {}
                (Ns::OtherSoap, _) => return Err(EnvelopeError::OtherSoap),
                _ => return Err(EnvelopeError::EnvelopeShape),
            }
        }
        self.path.push((name.ns, name.local));
        if let Some(kind) = self.wanted(scanner) {
            self.value = Some(Value { kind, text: String::new(), depth: self.path.len() });
        }
        self.attributes(scanner)
    }

    fn close(&mut self) -> Result<(), EnvelopeError> {
        let depth = self.path.len();
        self.path.pop();
        match self.value.take_if(|value| value.depth == depth) {
            Some(value) => self.take(&value),
            None => Ok(()),
        }
    }

    fn text(&mut self, text: &str) {
        let depth = self.path.len();
        if let Some(value) = self.value.as_mut().filter(|value| value.depth == depth) {
            let most = if matches!(value.kind, Kind::Context) { MOST_CONTEXT } else { MOST_TEXT };
            let room = most.saturating_sub(value.text.len());
            value.text.extend(text.chars().take(room));
        }
    }

    /// Whether the text of the element just opened is one of those looked for, by its place.
    fn wanted(&self, scanner: &Scanner<'_>) -> Option<Kind> {
        let kind = match self.path.get(1..)? {
            [(Ns::Soap, "Header"), (Ns::Addressing, "RelatesTo")] => Kind::RelatesTo,
            [BODY, (Ns::Shell, "Shell"), (Ns::Shell, "ShellId")] => Kind::ShellId,
            [
                BODY,
                (Ns::Transfer, "ResourceCreated"),
                ..,
                (Ns::Wsman, "SelectorSet"),
                (Ns::Wsman, "Selector"),
            ] if scanner.attribute("Name").is_some_and(|name| name.eq_ignore_ascii_case("ShellId")) => {
                Kind::ShellId
            }
            [
                BODY,
                (Ns::Enumeration, "EnumerateResponse" | "PullResponse") | (Ns::Eventing, "SubscribeResponse"),
                (Ns::Enumeration, "EnumerationContext"),
            ] => Kind::Context,
            [BODY, (Ns::Shell, "CommandResponse"), (Ns::Shell, "CommandId")] => Kind::CommandId,
            [BODY, (Ns::Shell, "ReceiveResponse"), (Ns::Shell, "CommandState"), (Ns::Shell, "ExitCode")] => {
                Kind::ExitCode
            }
            [BODY, FAULT, (Ns::Soap, "Code"), (Ns::Soap, "Subcode"), (Ns::Soap, "Value")] => Kind::Subcode,
            [BODY, FAULT, (Ns::Soap, "Reason"), (Ns::Soap, "Text")] => Kind::FaultText,
            [BODY, FAULT, (Ns::Soap, "Detail"), (Ns::Fault, "WSManFault"), (Ns::Fault, "Message")] => {
                Kind::FaultText
            }
            [BODY, FAULT, (Ns::Soap, "Detail"), .., (_, "error_Code")] => Kind::ErrorCode,
            _ => return None,
        };
        Some(kind)
    }

    /// Takes what is said in attributes.
    fn attributes(&mut self, scanner: &Scanner<'_>) -> Result<(), EnvelopeError> {
        match self.path.get(1..).unwrap_or_default() {
            [BODY, FAULT] => {
                self.facts.fault.get_or_insert_default();
            }
            [BODY, FAULT, (Ns::Soap, "Detail"), .., (Ns::Fault, "WSManFault")] => {
                let fault = self.facts.fault.get_or_insert_default();
                fault.code = fault.code.or_else(|| scanner.attribute("Code")?.parse().ok());
            }
            [BODY, (Ns::Shell, "ReceiveResponse"), (Ns::Shell, "CommandState")] => {
                let state = scanner.attribute("State").unwrap_or_default();
                self.facts.command_done |= state.ends_with("/CommandState/Done");
                let id = scanner.attribute("CommandId").and_then(|id| id.parse().ok());
                self.facts.command_id = id.or_else(|| self.facts.command_id.take());
            }
            [BODY, (Ns::Shell, "Shell")] => {
                if let Some(id) = scanner.attribute("ShellId") {
                    return self.shell(id);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn take(&mut self, value: &Value) -> Result<(), EnvelopeError> {
        let text = value.text.trim_matches(is_space);
        match value.kind {
            Kind::RelatesTo => self.facts.relates_to = text.parse().ok(),
            Kind::ShellId => return self.shell(text),
            Kind::Context => self.facts.enumeration_context = text.parse().ok(),
            Kind::CommandId => self.facts.command_id = text.parse().ok(),
            Kind::ExitCode => self.facts.exit_code = exit_code(text),
            Kind::Subcode => {
                let local = text.rsplit(':').next().unwrap_or_default();
                self.facts.fault.get_or_insert_default().subcode = Some(local.chars().take(64).collect());
            }
            Kind::FaultText => {
                let fault = self.facts.fault.get_or_insert_default();
                if fault.text.is_empty() {
                    text.clone_into(&mut fault.text);
                }
            }
            Kind::ErrorCode => {
                let fault = self.facts.fault.get_or_insert_default();
                fault.code = fault.code.or_else(|| text.parse().ok());
            }
        }
        Ok(())
    }

    /// An answer is about one shell.
    fn shell(&mut self, id: &str) -> Result<(), EnvelopeError> {
        let id: ShellId = id.parse().map_err(|_| EnvelopeError::InvalidHeader { header: "ShellId" })?;
        match self.facts.shell_id.replace(id.clone()) {
            Some(known) if known != id => Err(EnvelopeError::ShellIdsDisagree),
            Some(_) | None => Ok(()),
        }
    }
}

/// A number of 32 bits, signed or not.
fn exit_code(text: &str) -> Option<i64> {
    text.parse().ok().filter(|code| (i64::from(i32::MIN)..=i64::from(u32::MAX)).contains(code))
}

const BODY: (Ns, &str) = (Ns::Soap, "Body");
const FAULT: (Ns, &str) = (Ns::Soap, "Fault");
const MOST_TEXT: usize = 1024;
/// One more than an enumeration context may have, so that a longer one is none.
const MOST_CONTEXT: usize = 4097;

#[cfg(test)]
mod tests;
