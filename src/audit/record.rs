//! What records say.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use serde::{Serialize, Serializer};

/// Names one request in its records, its answer's `X-Request-Id` and the logs: 32 hexadecimal digits (RFC 9562, version 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RequestId(uuid::Uuid);

impl RequestId {
    /// A new name, of 122 random bits.
    pub(super) fn random() -> Self {
        Self(uuid::Uuid::new_v4())
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What is known of a request: filled in while it passes the stages, written with its intent and again with its outcome, so that each
/// record is readable alone. What is not known is left out.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Facts {
    /// The listener's configured name.
    #[serde(serialize_with = "configured", skip_serializing_if = "Option::is_none")]
    pub(crate) listener: Option<Arc<str>>,
    /// The client's address, or the peer's uid on a Unix socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<String>,
    /// How the client proved who it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<&'static str>,
    /// The canonical identity, or before it is proved nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) principal: Option<String>,
    /// What was proved: `certificate sha256:…`, `uid 1000`, `trust_loopback_as`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) evidence: Option<String>,
    /// The route's configured name.
    #[serde(serialize_with = "configured", skip_serializing_if = "Option::is_none")]
    pub(crate) route: Option<Arc<str>>,
    /// The configured name of the rule that decided.
    #[serde(serialize_with = "configured", skip_serializing_if = "Option::is_none")]
    pub(crate) rule: Option<Arc<str>>,
    /// The Windows host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
    /// As whom the request runs on the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) identity_there: Option<String>,
    /// The kind of credential: `s4u`, `ticket`, `password`, `account`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) credential: Option<&'static str>,
    /// The service principal name that the host must prove.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) spn: Option<String>,
    /// The operation: `Command`, `Enumerate`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) operation: Option<&'static str>,
    /// The WS-Addressing action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) action: Option<String>,
    /// The class that rules allow: `read`, `write`, `execute`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) class: Option<&'static str>,
    /// The WS-Management resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resource_uri: Option<String>,
    /// The shell that is used, or that the answer created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shell_id: Option<String>,
    /// The command that is used, or that the answer created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) command_id: Option<String>,
    /// The client's own name for the message (WS-Addressing `MessageID`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message_id: Option<String>,
    /// The length of the request's body as it was received, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request_bytes: Option<u64>,
}

/// How a request ended.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Outcome {
    /// In one word.
    pub(crate) result: Ending,
    /// The stage that decided it.
    pub(crate) stage: &'static str,
    /// The reason's code; empty on success.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) reason: &'static str,
    /// Whose doing a refusal or failure is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) blame: Option<Blame>,
    /// The HTTP status that the client got; none where it got no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    /// The WS-Management fault's code, whoever made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fault_code: Option<u32>,
    /// The private cause, for the operator's eyes only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    /// The length of the answers' bodies as they were sent, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) response_bytes: Option<u64>,
    /// The exit code of the command, where the answer holds one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exit_code: Option<i64>,
    /// How long each stage took.
    #[serde(rename = "stages_us", serialize_with = "micros", skip_serializing_if = "Vec::is_empty")]
    pub(crate) durations: Vec<(&'static str, Duration)>,
}

/// How a request ended, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ending {
    /// The host answered and the client has the answer, even where that is a fault.
    Succeeded,
    /// The gateway said no.
    Refused,
    /// It was allowed, and something broke.
    Failed,
    /// Nobody said how it ended: the client went away or the task died.
    #[default]
    Abandoned,
}

/// Whose doing a refusal or failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Blame {
    /// The client's: it asked for what it may not have, or asked wrongly.
    Client,
    /// The gateway's, or what it depends on: its configuration, the KDC, its disk.
    Gateway,
    /// The Windows host's.
    Backend,
}

/// A connection that ended before it carried a request.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ConnectionFailure {
    /// The listener's configured name.
    #[serde(serialize_with = "configured", skip_serializing_if = "Option::is_none")]
    pub(crate) listener: Option<Arc<str>>,
    /// Where it came from; none on a Unix socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<SocketAddr>,
    /// The reason's code.
    pub(crate) reason: &'static str,
    /// The private cause.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) detail: String,
}

/// One line of the file.
#[derive(Serialize)]
pub(super) struct Record<'a> {
    /// RFC 3339, UTC.
    pub(super) time: String,
    /// What the line says.
    #[serde(flatten)]
    pub(super) kind: Kind<'a>,
}

/// What a line says.
#[derive(Serialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub(super) enum Kind<'a> {
    /// A request is about to be sent to a host.
    Intent {
        id: RequestId,
        durable: bool,
        #[serde(flatten)]
        facts: &'a Facts,
    },
    /// A request has ended.
    Outcome {
        id: RequestId,
        intended: bool,
        duration_us: u64,
        #[serde(flatten)]
        facts: &'a Facts,
        #[serde(flatten)]
        outcome: &'a Outcome,
    },
    /// A connection ended before it carried a request.
    Connection {
        id: RequestId,
        #[serde(flatten)]
        failure: &'a ConnectionFailure,
    },
    /// Records that may be lost were lost here, because the file could not be written.
    Gap { id: RequestId, lost: u64 },
}

/// `duration` in whole microseconds.
pub(super) fn as_micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn configured<S: Serializer>(name: &Option<Arc<str>>, serializer: S) -> Result<S::Ok, S::Error> {
    name.as_deref().serialize(serializer)
}

fn micros<S: Serializer>(durations: &[(&'static str, Duration)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(durations.iter().map(|(stage, duration)| (stage, as_micros(*duration))))
}
