//! From an envelope to what it says about shells.

use bytes::Bytes;

use super::{
    CommandLine, CommandState, ShellError, ShellFacts, ShellLimits, ShellMessage, Signal, SignalCode,
    StreamData, from_base64,
};
use crate::wsman::charset::decode;
use crate::wsman::error::EnvelopeError;
use crate::wsman::ids::CommandId;
use crate::wsman::names::Ns;
use crate::wsman::xml::{Name, Scanner, Token, is_space};

/// Reads one envelope.
pub(super) fn read(envelope: &[u8], limits: &ShellLimits) -> Result<ShellMessage, ShellError> {
    let decoded = decode(Bytes::copy_from_slice(envelope), None, &limits.envelope)?;
    let scanner = Scanner::new(&decoded.text, decoded.charset, &limits.envelope)?;
    let mut reader = Reader { scanner, limits, message: ShellMessage::default() };
    let root = reader.next_child()?;
    if !root.is_some_and(|name| name.is(Ns::Soap, "Envelope")) {
        return Err(EnvelopeError::EnvelopeShape.into());
    }
    let mut bodies = 0;
    while let Some(child) = reader.next_child()? {
        if child.is(Ns::Soap, "Body") {
            bodies += 1;
            reader.body()?;
        } else {
            reader.scanner.skip()?;
        }
    }
    while reader.scanner.next_token()? != Token::End {}
    if bodies == 1 { Ok(reader.message) } else { Err(EnvelopeError::EnvelopeShape.into()) }
}

struct Reader<'x, 'l> {
    scanner: Scanner<'x>,
    limits: &'l ShellLimits,
    message: ShellMessage,
}

impl<'x> Reader<'x, '_> {
    fn body(&mut self) -> Result<(), ShellError> {
        while let Some(child) = self.next_child()? {
            match (child.ns, child.local) {
                (Ns::Shell, "CommandLine") => {
                    let command = self.command_line()?;
                    once(&mut self.message.command, command, "CommandLine")?;
                }
                (Ns::Shell, "Send" | "ReceiveResponse") => self.streams()?,
                (Ns::Shell, "Signal") => {
                    let signal = self.signal()?;
                    once(&mut self.message.signal, signal, "Signal")?;
                }
                (Ns::Shell, "Shell") => {
                    let shell = self.shell()?;
                    once(&mut self.message.shell, shell, "Shell")?;
                }
                (Ns::Shell, "Connect" | "ConnectResponse") => self.connect()?,
                _ => self.scanner.skip()?,
            }
        }
        Ok(())
    }

    fn command_line(&mut self) -> Result<CommandLine, ShellError> {
        let (mut command, mut arguments) = (None, Vec::new());
        while let Some(child) = self.next_child()? {
            match (child.ns, child.local) {
                (Ns::Shell, "Command") => once(&mut command, self.text("Command")?, "Command")?,
                (Ns::Shell, "Arguments") => {
                    within(arguments.len(), self.limits.arguments, "arguments")?;
                    arguments.push(self.text("Arguments")?);
                }
                _ => self.scanner.skip()?,
            }
        }
        Ok(CommandLine { command: command.unwrap_or_default(), arguments })
    }

    fn streams(&mut self) -> Result<(), ShellError> {
        while let Some(child) = self.next_child()? {
            match (child.ns, child.local) {
                (Ns::Shell, "Stream") => {
                    within(self.message.streams.len(), self.limits.streams, "streams")?;
                    let stream = self.stream()?;
                    self.message.streams.push(stream);
                }
                (Ns::Shell, "CommandState") => {
                    within(self.message.states.len(), self.limits.streams, "command states")?;
                    let state = self.state()?;
                    self.message.states.push(state);
                }
                _ => self.scanner.skip()?,
            }
        }
        Ok(())
    }

    fn stream(&mut self) -> Result<StreamData, ShellError> {
        let shape = ShellError::Shape { element: "Stream" };
        let name =
            self.scanner.attribute("Name").filter(|name| name.len() <= MOST_NAME).ok_or(shape)?.to_owned();
        let end = self.scanner.attribute("End").map(|end| end.trim_matches(is_space));
        let end = end.is_some_and(|end| end == "1" || end.eq_ignore_ascii_case("true"));
        let command_id = self.command_id("Stream")?;
        let data = from_base64(&self.text("Stream")?, "Stream")?;
        Ok(StreamData { name, command_id, end, data })
    }

    fn state(&mut self) -> Result<CommandState, ShellError> {
        let command_id = self.command_id("CommandState")?;
        let done = self
            .scanner
            .attribute("State")
            .is_some_and(|state| state.trim_matches(is_space).ends_with("/Done"));
        let mut exit_code = None;
        while let Some(child) = self.next_child()? {
            if child.is(Ns::Shell, "ExitCode") {
                let text = self.text("ExitCode")?;
                let code = text.trim_matches(is_space).parse::<i64>().ok();
                let code = code.filter(|code| (i64::from(i32::MIN)..=i64::from(u32::MAX)).contains(code));
                once(&mut exit_code, code.ok_or(ShellError::Shape { element: "ExitCode" })?, "ExitCode")?;
            } else {
                self.scanner.skip()?;
            }
        }
        Ok(CommandState { command_id, done, exit_code })
    }

    fn signal(&mut self) -> Result<Signal, ShellError> {
        let command_id = self.command_id("Signal")?;
        let mut code = None;
        while let Some(child) = self.next_child()? {
            if child.is(Ns::Shell, "Code") {
                once(&mut code, SignalCode::of(&self.text("Code")?), "Code")?;
            } else {
                self.scanner.skip()?;
            }
        }
        Ok(Signal { command_id, code: code.ok_or(ShellError::Shape { element: "Code" })? })
    }

    fn shell(&mut self) -> Result<ShellFacts, ShellError> {
        let name = self.scanner.attribute("Name").map(|name| name.chars().take(MOST_NAME).collect());
        let shell_id = self.scanner.attribute("ShellId").and_then(|id| id.parse().ok());
        let mut facts = ShellFacts { name, shell_id, ..ShellFacts::default() };
        while let Some(child) = self.next_child()? {
            match (child.ns, child.local) {
                (Ns::Other, "creationXml") => self.opening("creationXml")?,
                (Ns::Shell, "ShellId") => {
                    facts.shell_id = self.text("ShellId")?.trim_matches(is_space).parse().ok();
                }
                (Ns::Shell, "ResourceUri") => {
                    facts.resource_uri = self.text("ResourceUri")?.trim_matches(is_space).parse().ok();
                }
                (Ns::Shell, "IdleTimeOut") => {
                    let text = self.text("IdleTimeOut")?;
                    facts.idle_timeout = Some(text.trim_matches(is_space).chars().take(MOST_NAME).collect());
                }
                (Ns::Shell, "Name") => {
                    facts.name = Some(self.text("Name")?.chars().take(MOST_NAME).collect());
                }
                _ => self.scanner.skip()?,
            }
        }
        Ok(facts)
    }

    fn connect(&mut self) -> Result<(), ShellError> {
        while let Some(child) = self.next_child()? {
            match (child.ns, child.local) {
                (Ns::Other, "connectXml") => self.opening("connectXml")?,
                (Ns::Other, "connectResponseXml") => self.opening("connectResponseXml")?,
                _ => self.scanner.skip()?,
            }
        }
        Ok(())
    }

    fn opening(&mut self, element: &'static str) -> Result<(), ShellError> {
        let bytes = from_base64(&self.text(element)?, element)?;
        once(&mut self.message.opening, bytes, element)
    }

    fn command_id(&self, element: &'static str) -> Result<Option<CommandId>, ShellError> {
        let id = self.scanner.attribute("CommandId").map(str::parse).transpose();
        id.map_err(|_| ShellError::Shape { element })
    }

    /// Opens the next element within the current one; `None` at its end.
    fn next_child(&mut self) -> Result<Option<Name<'x>>, ShellError> {
        loop {
            match self.scanner.next_token()? {
                Token::Open(name) => return Ok(Some(name)),
                Token::Close => return Ok(None),
                Token::Text(_) | Token::CData(_) | Token::Reference(_) | Token::Comment => {}
                Token::End => return Err(EnvelopeError::EnvelopeShape.into()),
            }
        }
    }

    /// The characters of the element just opened, with line ends as XML normalises them.
    fn text(&mut self, element: &'static str) -> Result<String, ShellError> {
        let mut text = String::new();
        loop {
            match self.scanner.next_token()? {
                Token::Text(run) | Token::CData(run) if run.contains('\r') => {
                    text.push_str(&run.replace("\r\n", "\n").replace('\r', "\n"));
                }
                Token::Text(run) | Token::CData(run) => text.push_str(run),
                Token::Reference(c) => text.push(c),
                Token::Close => return Ok(text),
                Token::Open(_) | Token::Comment | Token::End => return Err(ShellError::Shape { element }),
            }
        }
    }
}

fn once<T>(place: &mut Option<T>, value: T, element: &'static str) -> Result<(), ShellError> {
    if place.replace(value).is_some() { Err(ShellError::Shape { element }) } else { Ok(()) }
}

const fn within(count: usize, limit: usize, what: &'static str) -> Result<(), ShellError> {
    if count < limit { Ok(()) } else { Err(ShellError::TooMany { what, limit }) }
}

/// Characters of a name that people gave, or of a time.
const MOST_NAME: usize = 256;
