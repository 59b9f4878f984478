//! What a message says ([MS-PSRP] 2.2.2).

use super::host::{HostCall, HostResponse};
use super::message::{Message, MessageType};
use super::pipeline::{CommandQuery, Pipeline};
use super::state::{PipelineState, PoolState};
use crate::wsman::clixml::{ClixmlError, Document, Limits, Value};

/// What a message says, as far as records need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// What is to run.
    Pipeline(Pipeline),
    /// A `Get-Command` that is to run.
    CommandQuery(CommandQuery),
    /// What became of a pipeline.
    PipelineState {
        /// Its state.
        state: PipelineState,
        /// Why it failed or was stopped.
        error: Option<ErrorReport>,
    },
    /// What became of the pool.
    PoolState {
        /// Its state.
        state: PoolState,
        /// Why it broke.
        error: Option<ErrorReport>,
    },
    /// An error that ended nothing.
    Error(ErrorReport),
    /// One object of the output, as text.
    Output(String),
    /// One object of the input, as text.
    Input(String),
    /// No more input comes.
    EndOfInput,
    /// A line of one of the other streams.
    Record {
        /// Which.
        level: Level,
        /// What was written.
        text: String,
    },
    /// How far something has come.
    Progress {
        /// What.
        activity: String,
        /// How far.
        status: String,
    },
    /// Something for the client's user interface.
    HostCall(HostCall),
    /// Its answer.
    HostResponse(HostResponse),
    /// About the pool itself: versions, keys, sizes, events. Its CLIXML is not read.
    Housekeeping(MessageType),
}

/// A stream of messages beside output and errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// `Write-Debug`.
    Debug,
    /// `Write-Verbose`.
    Verbose,
    /// `Write-Warning`.
    Warning,
    /// `Write-Information` and `Write-Host`.
    Information,
}

impl Level {
    /// The label for records, from a fixed set.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Verbose => "verbose",
            Self::Warning => "warning",
            Self::Information => "information",
        }
    }
}

/// An error record ([MS-PSRP] 2.2.3.15).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorReport {
    /// What people are told, bounded.
    pub message: String,
    /// `FullyQualifiedErrorId`, such as `CommandNotFoundException`.
    pub id: Option<String>,
}

impl Content {
    /// Reads a message.
    ///
    /// # Errors
    ///
    /// One [`ClixmlError`] per reason; such a message is to be recorded as undecodable.
    pub fn read(message: &Message, limits: &Limits) -> Result<Self, ClixmlError> {
        let parse = || Document::parse(message.content(), limits);
        Ok(match message.kind() {
            MessageType::CreatePipeline => Self::Pipeline(Pipeline::read(&parse()?)?),
            MessageType::GetCommandMetadata => Self::CommandQuery(CommandQuery::read(parse()?.root())?),
            MessageType::PipelineState => {
                let (number, error) = state(parse()?.root(), "PipelineState")?;
                Self::PipelineState { state: PipelineState::of(number), error }
            }
            MessageType::RunspacePoolState => {
                let (number, error) = state(parse()?.root(), "RunspaceState")?;
                Self::PoolState { state: PoolState::of(number), error }
            }
            MessageType::ErrorRecord => Self::Error(ErrorReport::read(parse()?.root())?),
            MessageType::PipelineOutput => Self::Output(parse()?.root().display()),
            MessageType::PipelineInput => Self::Input(parse()?.root().display()),
            MessageType::EndOfPipelineInput => Self::EndOfInput,
            MessageType::DebugRecord => record(parse()?.root(), Level::Debug)?,
            MessageType::VerboseRecord => record(parse()?.root(), Level::Verbose)?,
            MessageType::WarningRecord => record(parse()?.root(), Level::Warning)?,
            MessageType::InformationRecord => record(parse()?.root(), Level::Information)?,
            MessageType::ProgressRecord => progress(parse()?.root())?,
            MessageType::PipelineHostCall | MessageType::RunspacePoolHostCall => {
                Self::HostCall(HostCall::read(parse()?.root())?)
            }
            MessageType::PipelineHostResponse | MessageType::RunspacePoolHostResponse => {
                Self::HostResponse(HostResponse::read(parse()?.root())?)
            }
            kind @ (MessageType::SessionCapability
            | MessageType::InitRunspacePool
            | MessageType::PublicKey
            | MessageType::EncryptedSessionKey
            | MessageType::PublicKeyRequest
            | MessageType::ConnectRunspacePool
            | MessageType::SetMaxRunspaces
            | MessageType::SetMinRunspaces
            | MessageType::RunspaceAvailability
            | MessageType::GetAvailableRunspaces
            | MessageType::UserEvent
            | MessageType::ApplicationPrivateData
            | MessageType::RunspacePoolInitData
            | MessageType::ResetRunspaceState
            | MessageType::Other(_)) => Self::Housekeeping(kind),
        })
    }
}

impl ErrorReport {
    fn read(record: Value<'_>) -> Result<Self, ClixmlError> {
        let exception = record.member("Exception")?;
        let of_exception = match exception {
            Some(exception) => exception.member("Message")?,
            None => None,
        };
        let told = record.member("ErrorDetails_Message")?.filter(|details| !details.is_nil());
        let message = told.or(of_exception).unwrap_or(record).display();
        let id = record.member("FullyQualifiedErrorId")?.and_then(Value::as_str).map(str::to_owned);
        Ok(Self { message, id })
    }
}

fn state(root: Value<'_>, name: &'static str) -> Result<(i64, Option<ErrorReport>), ClixmlError> {
    let number = root.required(name)?.as_i64().ok_or(ClixmlError::Missing { name })?;
    let error = root.member("ExceptionAsErrorRecord")?.filter(|error| !error.is_nil());
    Ok((number, error.map(ErrorReport::read).transpose()?))
}

fn record(root: Value<'_>, level: Level) -> Result<Content, ClixmlError> {
    let message = match level {
        Level::Information => root.member("MessageData")?,
        Level::Debug | Level::Verbose | Level::Warning => root.member("InformationalRecord_Message")?,
    };
    Ok(Content::Record { level, text: message.unwrap_or(root).display() })
}

fn progress(root: Value<'_>) -> Result<Content, ClixmlError> {
    let shown = |name| Ok::<_, ClixmlError>(root.member(name)?.map(Value::display).unwrap_or_default());
    Ok(Content::Progress { activity: shown("Activity")?, status: shown("StatusDescription")? })
}
