//! What shells carry in their envelopes ([MS-WSMV] 2.2.4): command lines, streams, states.
//!
//! Comes in: an envelope that was inspected before, or a host's answer, in UTF-8 or UTF-16LE. Goes out:
//! [`ShellMessage`], for records; nothing that is forwarded is made of it.
//!
//! INVARIANT: only the children of the body that the specification names are read; what could be read in two ways,
//! such as a comment within base64, is an error.

mod reader;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::command_line::{EncodedCommand, encoded_commands};
use super::error::EnvelopeError;
use super::ids::{CommandId, ResourceUri, ShellId};
use super::limits::Limits;
use super::xml::is_space;

/// How much of one envelope is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShellLimits {
    /// The bounds of the envelope.
    pub envelope: Limits,
    /// `rsp:Stream` elements.
    pub streams: usize,
    /// `rsp:Arguments` elements.
    pub arguments: usize,
}

impl Default for ShellLimits {
    fn default() -> Self {
        Self { envelope: Limits::default(), streams: 4096, arguments: 1024 }
    }
}

/// Why the contents of an envelope can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShellError {
    /// Not an envelope that would have been let through.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// More streams or arguments than allowed.
    #[error("the envelope has more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// An element that has to be there once, or must not hold what it holds.
    #[error("the element {element} is there twice or in the wrong form")]
    Shape {
        /// Its local name.
        element: &'static str,
    },
    /// Something other than base64 and white space.
    #[error("the element {element} does not hold base64")]
    Base64 {
        /// Its local name.
        element: &'static str,
    },
}

impl ShellError {
    /// The label for metrics and records, from a fixed set.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Envelope(_) => "shell_envelope",
            Self::TooMany { .. } => "shell_too_many",
            Self::Shape { .. } => "shell_shape",
            Self::Base64 { .. } => "shell_base64",
        }
    }
}

/// What a request or an answer says about a shell, its commands and their streams.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShellMessage {
    /// `rsp:Shell`, as asked for or as made.
    pub shell: Option<ShellFacts>,
    /// `rsp:CommandLine`.
    pub command: Option<CommandLine>,
    /// `rsp:Stream` elements, of `rsp:Send` or `rsp:ReceiveResponse`, in order.
    pub streams: Vec<StreamData>,
    /// `creationXml`, `connectXml` or `connectResponseXml`, base64 undone: the fragments that come first.
    pub opening: Option<Vec<u8>>,
    /// `rsp:CommandState` elements.
    pub states: Vec<CommandState>,
    /// `rsp:Signal`.
    pub signal: Option<Signal>,
}

impl ShellMessage {
    /// Reads an envelope.
    ///
    /// # Errors
    ///
    /// One [`ShellError`] per reason; nothing of a refused envelope is known.
    pub fn read(envelope: &[u8], limits: &ShellLimits) -> Result<Self, ShellError> {
        reader::read(envelope, limits)
    }
}

/// A shell ([MS-WSMV] 3.1.4.5.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShellFacts {
    /// The name that its owner gave it.
    pub name: Option<String>,
    /// Its id, where it is told.
    pub shell_id: Option<ShellId>,
    /// What it runs; the last part is the configuration name.
    pub resource_uri: Option<ResourceUri>,
    /// After how long without a client it ends, as it is written: an `xs:duration`.
    pub idle_timeout: Option<String>,
}

/// A command with its arguments, as they were sent ([MS-WSMV] 3.1.4.11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// `rsp:Command`; empty for PowerShell.
    pub command: String,
    /// `rsp:Arguments`, each as it was sent. For PowerShell the first fragments of a pipeline.
    pub arguments: Vec<String>,
}

impl CommandLine {
    /// Command and arguments with one space between them, which is how the host joins them. Nothing is quoted.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = self.command.clone();
        for argument in &self.arguments {
            line.push(' ');
            line.push_str(argument);
        }
        line
    }

    /// The scripts that the line hands to PowerShell in base64. Best effort: what cmd.exe makes of variables is not
    /// known here.
    #[must_use]
    pub fn encoded_commands(&self) -> Vec<EncodedCommand> {
        encoded_commands(&self.line())
    }

    /// The fragments that a PowerShell shell gets this way.
    ///
    /// # Errors
    ///
    /// [`ShellError::Base64`].
    pub fn fragments(&self) -> Result<Vec<u8>, ShellError> {
        from_base64(&self.arguments.join(" "), "Arguments")
    }
}

/// A piece of one stream ([MS-WSMV] 3.1.4.13, 3.1.4.14). For compressed shells the data is still compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamData {
    /// `stdin`, `stdout`, `stderr` or `pr`.
    pub name: String,
    /// The command; none for the pool's own stream.
    pub command_id: Option<CommandId>,
    /// Whether it is the last piece.
    pub end: bool,
    /// The bytes, base64 undone.
    pub data: Vec<u8>,
}

/// What became of a command ([MS-WSMV] 3.1.4.14).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandState {
    /// Which command.
    pub command_id: Option<CommandId>,
    /// Whether it is over.
    pub done: bool,
    /// How it ended: 32 bits, signed or unsigned as the host wrote them. For PowerShell 0 says nothing.
    pub exit_code: Option<i64>,
}

/// Interrupts or ends a command ([MS-WSMV] 3.1.4.12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// Which command.
    pub command_id: Option<CommandId>,
    /// What is wanted.
    pub code: SignalCode,
}

/// What a signal wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignalCode {
    /// Interrupt it, as Ctrl+C does.
    CtrlC,
    /// Interrupt it, as Ctrl+Break does.
    CtrlBreak,
    /// It is over: the client will not ask again.
    Terminate,
    /// Stop the pipeline.
    StopPipeline,
    /// Anything else.
    Other,
}

impl SignalCode {
    /// Clients differ in case, and PowerShell itself writes `crtl_c`.
    fn of(code: &str) -> Self {
        let code = code.trim_matches(is_space).to_ascii_lowercase();
        match code.rsplit_once("/signal/") {
            Some((of, "ctrl_c" | "crtl_c")) if of.ends_with("/powershell") || of == "powershell" => {
                Self::StopPipeline
            }
            Some((_, "ctrl_c")) => Self::CtrlC,
            Some((_, "ctrl_break")) => Self::CtrlBreak,
            Some((_, "terminate")) => Self::Terminate,
            Some(_) | None => Self::Other,
        }
    }

    /// The label for records, from a fixed set.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CtrlC => "ctrl_c",
            Self::CtrlBreak => "ctrl_break",
            Self::Terminate => "terminate",
            Self::StopPipeline => "stop_pipeline",
            Self::Other => "other",
        }
    }
}

/// Undoes base64 with white space in it; anything else that is not of its alphabet or padding is refused.
fn from_base64(text: &str, element: &'static str) -> Result<Vec<u8>, ShellError> {
    let bad = |_| ShellError::Base64 { element };
    if !text.contains(is_space) {
        return BASE64_STANDARD.decode(text).map_err(bad);
    }
    let dense: String = text.chars().filter(|c| !is_space(*c)).collect();
    BASE64_STANDARD.decode(dense).map_err(bad)
}

#[cfg(test)]
mod tests;
