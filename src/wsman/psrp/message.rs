//! One message, whole ([MS-PSRP] 2.2.1).

use std::fmt;

use uuid::Uuid;

use super::fragments::FragmentError;

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the host.
    ToServer,
    /// From the host to the client.
    ToClient,
}

/// One message. Its content is not shown by `Debug`: it may be what somebody typed.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    kind: MessageType,
    rpid: Uuid,
    pid: Option<Uuid>,
    object: u64,
    /// The message from its header on.
    bytes: Vec<u8>,
}

impl Message {
    /// Reads an object that is whole.
    pub(super) fn read(object: u64, bytes: Vec<u8>, direction: Direction) -> Result<Self, FragmentError> {
        let head = bytes.first_chunk::<HEADER>().ok_or(FragmentError::ShortMessage { object })?;
        let (destination, kind) = (word(head, 0), word(head, 4));
        let receiver = match direction {
            Direction::ToClient => 1,
            Direction::ToServer => 2,
        };
        if destination != receiver {
            return Err(FragmentError::Destination { object });
        }
        let (rpid, pid) = (guid(head, 8), guid(head, 24));
        let pid = (!pid.is_nil()).then_some(pid);
        Ok(Self { kind: MessageType::of(kind), rpid, pid, object, bytes })
    }

    /// What kind of message it is.
    #[must_use]
    pub const fn kind(&self) -> MessageType {
        self.kind
    }

    /// The runspace pool; the same as the shell's id.
    #[must_use]
    pub const fn rpid(&self) -> Uuid {
        self.rpid
    }

    /// The pipeline, the same as the command's id; none for what concerns the pool.
    #[must_use]
    pub const fn pid(&self) -> Option<Uuid> {
        self.pid
    }

    /// The number that its sender gave it.
    #[must_use]
    pub const fn object_id(&self) -> u64 {
        self.object
    }

    /// The CLIXML behind the header, without byte order mark. Not checked.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        let content = self.bytes.get(HEADER..).unwrap_or_default();
        content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content)
    }

    /// The message as it was sent, header and all: what a hash of something undecodable is taken of.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("kind", &self.kind)
            .field("rpid", &self.rpid)
            .field("pid", &self.pid)
            .field("object", &self.object)
            .field("length", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

fn word(head: &[u8; HEADER], at: usize) -> u32 {
    head.get(at..).and_then(|tail| tail.first_chunk()).map_or(0, |word| u32::from_le_bytes(*word))
}

/// A GUID in .NET's order: the first three groups little-endian.
fn guid(head: &[u8; HEADER], at: usize) -> Uuid {
    head.get(at..).and_then(|tail| tail.first_chunk()).map_or(Uuid::nil(), |guid| Uuid::from_bytes_le(*guid))
}

/// Destination, type, RPID, PID.
const HEADER: usize = 40;

macro_rules! message_types {
    ($($(#[$doc:meta])* $name:ident = $number:literal $label:literal,)+) => {
        /// The kinds of message ([MS-PSRP] 2.2.1).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum MessageType {
            $($(#[$doc])* $name,)+
            /// A number that is none of these.
            Other(u32),
        }

        impl MessageType {
            const fn of(number: u32) -> Self {
                match number {
                    $($number => Self::$name,)+
                    other => Self::Other(other),
                }
            }

            /// The name in [MS-PSRP], for records.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)+
                    Self::Other(_) => "OTHER",
                }
            }
        }
    };
}

message_types! {
    /// Versions of both sides.
    SessionCapability = 0x0001_0002 "SESSION_CAPABILITY",
    /// The pool as the client wants it.
    InitRunspacePool = 0x0001_0004 "INIT_RUNSPACEPOOL",
    /// The client's key, to exchange the one for `SecureString`.
    PublicKey = 0x0001_0005 "PUBLIC_KEY",
    /// The key for `SecureString`, sealed for the client.
    EncryptedSessionKey = 0x0001_0006 "ENCRYPTED_SESSION_KEY",
    /// The host asks for the client's key.
    PublicKeyRequest = 0x0001_0007 "PUBLIC_KEY_REQUEST",
    /// A client takes the pool over.
    ConnectRunspacePool = 0x0001_0008 "CONNECT_RUNSPACEPOOL",
    /// More runspaces.
    SetMaxRunspaces = 0x0002_1002 "SET_MAX_RUNSPACES",
    /// Fewer runspaces.
    SetMinRunspaces = 0x0002_1003 "SET_MIN_RUNSPACES",
    /// The answer to either.
    RunspaceAvailability = 0x0002_1004 "RUNSPACE_AVAILABILITY",
    /// What became of the pool.
    RunspacePoolState = 0x0002_1005 "RUNSPACEPOOL_STATE",
    /// A pipeline to run.
    CreatePipeline = 0x0002_1006 "CREATE_PIPELINE",
    /// How many runspaces are free.
    GetAvailableRunspaces = 0x0002_1007 "GET_AVAILABLE_RUNSPACES",
    /// An event that a script raised.
    UserEvent = 0x0002_1008 "USER_EVENT",
    /// What the host tells about itself.
    ApplicationPrivateData = 0x0002_1009 "APPLICATION_PRIVATE_DATA",
    /// A `Get-Command` to run.
    GetCommandMetadata = 0x0002_100a "GET_COMMAND_METADATA",
    /// The pool for a client that took it over.
    RunspacePoolInitData = 0x0002_100b "RUNSPACEPOOL_INIT_DATA",
    /// Forget variables and functions.
    ResetRunspaceState = 0x0002_100c "RESET_RUNSPACE_STATE",
    /// The pool asks the client's user interface.
    RunspacePoolHostCall = 0x0002_1100 "RUNSPACEPOOL_HOST_CALL",
    /// Its answer.
    RunspacePoolHostResponse = 0x0002_1101 "RUNSPACEPOOL_HOST_RESPONSE",
    /// One object for a pipeline.
    PipelineInput = 0x0004_1002 "PIPELINE_INPUT",
    /// The last was sent.
    EndOfPipelineInput = 0x0004_1003 "END_OF_PIPELINE_INPUT",
    /// One object of a pipeline.
    PipelineOutput = 0x0004_1004 "PIPELINE_OUTPUT",
    /// One error of a pipeline that went on.
    ErrorRecord = 0x0004_1005 "ERROR_RECORD",
    /// What became of a pipeline.
    PipelineState = 0x0004_1006 "PIPELINE_STATE",
    /// Written with `Write-Debug`.
    DebugRecord = 0x0004_1007 "DEBUG_RECORD",
    /// Written with `Write-Verbose`.
    VerboseRecord = 0x0004_1008 "VERBOSE_RECORD",
    /// Written with `Write-Warning`.
    WarningRecord = 0x0004_1009 "WARNING_RECORD",
    /// Written with `Write-Progress`.
    ProgressRecord = 0x0004_1010 "PROGRESS_RECORD",
    /// Written with `Write-Information`, and with `Write-Host` since PowerShell 5.
    InformationRecord = 0x0004_1011 "INFORMATION_RECORD",
    /// A pipeline asks the client's user interface.
    PipelineHostCall = 0x0004_1100 "PIPELINE_HOST_CALL",
    /// Its answer.
    PipelineHostResponse = 0x0004_1101 "PIPELINE_HOST_RESPONSE",
}
