//! What records say, in the names of the Elastic Common Schema 8.17 where it has them, and under `winrm.` where it has none. Names are
//! written with their dots, as ECS loggers do.
//!
//! `config/audit-record.schema.json` describes every kind; a test compares.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::sign::{Endorsement, PublicKey};

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
    #[serde(
        rename = "winrm.listener",
        serialize_with = "configured",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) listener: Option<Arc<str>>,
    /// The client's address, or the peer's uid on a Unix socket.
    #[serde(flatten, serialize_with = "source")]
    pub(crate) client: Option<String>,
    /// How the client proved who it is.
    #[serde(rename = "winrm.method", skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<&'static str>,
    /// The canonical identity, or before it is proved nothing.
    #[serde(rename = "user.name", skip_serializing_if = "Option::is_none")]
    pub(crate) principal: Option<String>,
    /// What was proved: `certificate sha256:…`, `uid 1000`, `trust_loopback_as`.
    #[serde(rename = "winrm.evidence", skip_serializing_if = "Option::is_none")]
    pub(crate) evidence: Option<String>,
    /// The route's configured name.
    #[serde(rename = "winrm.route", serialize_with = "configured", skip_serializing_if = "Option::is_none")]
    pub(crate) route: Option<Arc<str>>,
    /// The configured name of the rule that decided.
    #[serde(rename = "rule.name", serialize_with = "configured", skip_serializing_if = "Option::is_none")]
    pub(crate) rule: Option<Arc<str>>,
    /// The Windows host.
    #[serde(rename = "destination.domain", skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
    /// As whom the request runs on the host.
    #[serde(rename = "user.effective.name", skip_serializing_if = "Option::is_none")]
    pub(crate) identity_there: Option<String>,
    /// The kind of credential: `s4u`, `ticket`, `password`, `account`.
    #[serde(rename = "winrm.credential", skip_serializing_if = "Option::is_none")]
    pub(crate) credential: Option<&'static str>,
    /// The service principal name that the host must prove.
    #[serde(rename = "winrm.spn", skip_serializing_if = "Option::is_none")]
    pub(crate) spn: Option<String>,
    /// The operation: `Command`, `Enumerate`, …
    #[serde(rename = "winrm.operation", skip_serializing_if = "Option::is_none")]
    pub(crate) operation: Option<&'static str>,
    /// The WS-Addressing action.
    #[serde(rename = "winrm.action", skip_serializing_if = "Option::is_none")]
    pub(crate) action: Option<String>,
    /// The class that rules allow: `read`, `write`, `execute`.
    #[serde(rename = "winrm.class", skip_serializing_if = "Option::is_none")]
    pub(crate) class: Option<&'static str>,
    /// The WS-Management resource.
    #[serde(rename = "winrm.resource_uri", skip_serializing_if = "Option::is_none")]
    pub(crate) resource_uri: Option<String>,
    /// The shell that is used, or that the answer created.
    #[serde(rename = "winrm.shell_id", skip_serializing_if = "Option::is_none")]
    pub(crate) shell_id: Option<String>,
    /// The command that is used, or that the answer created.
    #[serde(rename = "winrm.command_id", skip_serializing_if = "Option::is_none")]
    pub(crate) command_id: Option<String>,
    /// The client's own name for the message (WS-Addressing `MessageID`).
    #[serde(rename = "winrm.message_id", skip_serializing_if = "Option::is_none")]
    pub(crate) message_id: Option<String>,
    /// The length of the request's body as it was received, in bytes.
    #[serde(rename = "http.request.body.bytes", skip_serializing_if = "Option::is_none")]
    pub(crate) request_bytes: Option<u64>,
}

/// How a request ended.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Outcome {
    /// In one word; `event.outcome` says it in ECS's words.
    #[serde(flatten, serialize_with = "ending")]
    pub(crate) result: Ending,
    /// The stage that decided it.
    #[serde(rename = "winrm.stage")]
    pub(crate) stage: &'static str,
    /// The reason's code; empty on success.
    #[serde(rename = "event.reason", skip_serializing_if = "str::is_empty")]
    pub(crate) reason: &'static str,
    /// Whose doing a refusal or failure is.
    #[serde(rename = "winrm.blame", skip_serializing_if = "Option::is_none")]
    pub(crate) blame: Option<Blame>,
    /// The HTTP status that the client got; none where it got no answer.
    #[serde(rename = "http.response.status_code", skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    /// The WS-Management fault's code, whoever made it.
    #[serde(rename = "winrm.fault_code", skip_serializing_if = "Option::is_none")]
    pub(crate) fault_code: Option<u32>,
    /// The private cause, for the operator's eyes only.
    #[serde(rename = "error.message", skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    /// The length of the answers' bodies as they were sent, in bytes.
    #[serde(rename = "http.response.body.bytes", skip_serializing_if = "Option::is_none")]
    pub(crate) response_bytes: Option<u64>,
    /// The exit code of the command, where the answer holds one.
    #[serde(rename = "process.exit_code", skip_serializing_if = "Option::is_none")]
    pub(crate) exit_code: Option<i64>,
    /// How long each stage took.
    #[serde(rename = "winrm.stages_us", serialize_with = "micros", skip_serializing_if = "Vec::is_empty")]
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
    #[serde(
        rename = "winrm.listener",
        serialize_with = "configured",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) listener: Option<Arc<str>>,
    /// Where it came from; none on a Unix socket.
    #[serde(flatten, serialize_with = "source")]
    pub(crate) client: Option<SocketAddr>,
    /// The reason's code.
    #[serde(rename = "event.reason")]
    pub(crate) reason: &'static str,
    /// The private cause.
    #[serde(rename = "error.message", skip_serializing_if = "str::is_empty")]
    pub(crate) detail: String,
}

/// One line of the file.
///
/// INVARIANT: time and kind come first, in this order and with these names: whoever verifies finds the kind without reading the rest.
#[derive(Serialize)]
pub(super) struct Record<'a> {
    /// RFC 3339, UTC.
    #[serde(rename = "@timestamp")]
    pub(super) time: String,
    /// What the line says.
    #[serde(flatten)]
    pub(super) kind: Kind<'a>,
    #[serde(flatten)]
    versions: Versions,
}

impl<'a> Record<'a> {
    /// `kind`, as of `time`.
    pub(super) fn new(time: String, kind: Kind<'a>) -> Self {
        Self { time, kind, versions: Versions { ecs: ECS_VERSION, schema: SCHEMA_VERSION } }
    }
}

/// What a reader must know to read the line.
#[derive(Serialize)]
struct Versions {
    #[serde(rename = "ecs.version")]
    ecs: &'static str,
    #[serde(rename = "winrm.schema")]
    schema: u32,
}

/// The Elastic Common Schema whose names are used.
pub(super) const ECS_VERSION: &str = "8.17.0";
/// Which version of `config/audit-record.schema.json` the line follows.
pub(super) const SCHEMA_VERSION: u32 = 1;

/// What a line says.
#[derive(Serialize)]
#[serde(tag = "event.action", rename_all = "snake_case")]
pub(super) enum Kind<'a> {
    /// A request is about to be sent to a host.
    Intent {
        #[serde(rename = "event.id")]
        id: RequestId,
        #[serde(rename = "winrm.durable")]
        durable: bool,
        #[serde(flatten)]
        facts: &'a Facts,
    },
    /// A request has ended.
    Outcome {
        #[serde(rename = "event.id")]
        id: RequestId,
        #[serde(rename = "winrm.intended")]
        intended: bool,
        /// The intent was not awaited, and there was no room for it.
        #[serde(rename = "winrm.intent_lost", skip_serializing_if = "is_false")]
        intent_lost: bool,
        /// Nanoseconds, as ECS has it.
        #[serde(rename = "event.duration")]
        duration_ns: u64,
        #[serde(flatten)]
        facts: &'a Facts,
        #[serde(flatten)]
        outcome: &'a Outcome,
    },
    /// A connection ended before it carried a request.
    Connection {
        #[serde(rename = "event.id")]
        id: RequestId,
        #[serde(flatten)]
        failure: &'a ConnectionFailure,
    },
    /// Records that may be lost were lost here, because the file could not be written.
    Gap {
        #[serde(rename = "event.id")]
        id: RequestId,
        #[serde(rename = "winrm.lost")]
        lost: u64,
    },
    /// All records before this one are signed.
    Checkpoint {
        #[serde(rename = "event.id")]
        id: RequestId,
        #[serde(rename = "winrm.key")]
        key: &'a PublicKey,
        #[serde(rename = "winrm.signature")]
        signature: String,
    },
    /// From here on another key signs; the former one says so.
    Key {
        #[serde(rename = "event.id")]
        id: RequestId,
        #[serde(rename = "winrm.key")]
        key: &'a PublicKey,
        #[serde(rename = "winrm.endorsement", skip_serializing_if = "Option::is_none")]
        endorsement: Option<&'a Endorsement>,
    },
    /// The first record of a file: the file before it ends with bytes that are in no chain, left by a crash or a failing disk.
    Recovered {
        #[serde(rename = "event.id")]
        id: RequestId,
        #[serde(rename = "winrm.debris_bytes")]
        bytes: u64,
        #[serde(rename = "winrm.debris_sha256")]
        sha256: String,
    },
    /// A file is about to be removed because of its age.
    Expired {
        #[serde(rename = "event.id")]
        id: RequestId,
        #[serde(rename = "file.name")]
        file: String,
        #[serde(rename = "winrm.expired_through")]
        seq: u64,
        #[serde(rename = "winrm.expired_hash")]
        hash: String,
    },
    /// This configuration is in force from here on; a copy without secrets lies beside the records.
    Configuration {
        #[serde(rename = "event.id")]
        id: RequestId,
        #[serde(rename = "winrm.generation")]
        generation: &'a str,
        #[serde(rename = "file.name")]
        file: String,
        #[serde(rename = "file.hash.sha256")]
        sha256: String,
        #[serde(rename = "service.version")]
        version: &'static str,
    },
}

/// `duration` in whole nanoseconds.
pub(super) fn as_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks this way")]
fn is_false(value: &bool) -> bool {
    !value
}

/// ECS keeps the address as it was seen, and its parts where it has some.
fn source<S: Serializer>(address: &Option<impl ToString>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    if let Some(address) = address.as_ref().map(ToString::to_string) {
        map.serialize_entry("source.address", &address)?;
        if let Ok(socket) = address.parse::<SocketAddr>() {
            map.serialize_entry("source.ip", &socket.ip())?;
            map.serialize_entry("source.port", &socket.port())?;
        }
    }
    map.end()
}

fn ending<S: Serializer>(ending: &Ending, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(2))?;
    map.serialize_entry(
        "event.outcome",
        match ending {
            Ending::Succeeded => "success",
            Ending::Refused | Ending::Failed => "failure",
            Ending::Abandoned => "unknown",
        },
    )?;
    map.serialize_entry("winrm.result", ending)?;
    map.end()
}
