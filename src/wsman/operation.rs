//! What a request asks for, and the table by which action, resource and body must agree.

use std::fmt;

use super::error::EnvelopeError;
use super::ids::{Action, ResourceUri};
use super::names::Ns;
use super::xml::Name;

/// What an operation does to the host, for rules ([MS-WSMV] 3.1.4: generic read, write, execute).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ActionClass {
    /// Looks at something that is no shell.
    Read,
    /// Changes something that is no shell, or creates a subscription.
    Write,
    /// Anything on a shell, any method, and anything unknown.
    Execute,
}

impl ActionClass {
    /// Every class.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Execute];

    /// The label for metrics, rules and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Execute => "execute",
        }
    }
}

impl fmt::Display for ActionClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `wsmid:Identify` (DSP0226 11).
    Identify,
    /// WS-Transfer Get of anything but a shell.
    Get,
    /// WS-Transfer Put.
    Put,
    /// WS-Transfer Create of anything but a shell.
    Create,
    /// WS-Transfer Delete of anything but a shell.
    Delete,
    /// WS-Enumeration Enumerate of anything but shells.
    Enumerate,
    /// WS-Enumeration Pull.
    Pull,
    /// WS-Enumeration Release.
    Release,
    /// WS-Eventing Subscribe.
    Subscribe,
    /// WS-Eventing Unsubscribe.
    Unsubscribe,
    /// WS-Eventing Renew.
    Renew,
    /// Events on their way to a collector (DSP0226 10).
    Deliver,
    /// Opens a shell or a PowerShell pool ([MS-WSMV] 3.1.4.5.2).
    CreateShell,
    /// Closes it.
    DeleteShell,
    /// Looks at one shell.
    GetShell,
    /// Lists shells.
    EnumerateShells,
    /// Starts a command or pipeline ([MS-WSMV] 3.1.4.11).
    Command,
    /// Feeds input to a command or a pool ([MS-WSMV] 3.1.4.13).
    Send,
    /// Waits for output ([MS-WSMV] 3.1.4.14).
    Receive,
    /// Interrupts or ends a command ([MS-WSMV] 3.1.4.12).
    Signal,
    /// Leaves a shell running ([MS-WSMV] 3.1.4.15).
    Disconnect,
    /// Comes back to it ([MS-WSMV] 3.1.4.16).
    Reconnect,
    /// Takes it over from another client ([MS-WSMV] 3.1.4.17).
    Connect,
    /// A method of the resource: `<resource>/<Method>`.
    Invoke,
    /// Robust connections: keeps one alive.
    KeepAlive,
    /// Robust connections: acknowledges.
    Acknowledge,
    /// Robust connections: asks for an acknowledgement.
    AcknowledgeRequest,
    /// Robust connections: ends an operation.
    End,
    /// Robust connections: cancels an operation.
    Cancel,
    /// An action that is none of these.
    Other,
}

impl Operation {
    /// The label for metrics and records, from a fixed set.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identify => "identify",
            Self::Get => "get",
            Self::Put => "put",
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Enumerate => "enumerate",
            Self::Pull => "pull",
            Self::Release => "release",
            Self::Subscribe => "subscribe",
            Self::Unsubscribe => "unsubscribe",
            Self::Renew => "renew",
            Self::Deliver => "deliver",
            Self::CreateShell => "create_shell",
            Self::DeleteShell => "delete_shell",
            Self::GetShell => "get_shell",
            Self::EnumerateShells => "enumerate_shells",
            Self::Command => "command",
            Self::Send => "send",
            Self::Receive => "receive",
            Self::Signal => "signal",
            Self::Disconnect => "disconnect",
            Self::Reconnect => "reconnect",
            Self::Connect => "connect",
            Self::Invoke => "invoke",
            Self::KeepAlive => "keep_alive",
            Self::Acknowledge => "acknowledge",
            Self::AcknowledgeRequest => "acknowledge_request",
            Self::End => "end",
            Self::Cancel => "cancel",
            Self::Other => "other",
        }
    }

    /// Whether sending it twice may do something twice. A repeated Receive, Get or Identify does not.
    #[must_use]
    pub const fn may_be_repeated(self) -> bool {
        matches!(self, Self::Identify | Self::Get | Self::GetShell | Self::Receive)
    }

    /// The class where no shell is involved.
    const fn class_without_shell(self) -> ActionClass {
        match self {
            Self::Identify | Self::Get | Self::Enumerate | Self::Pull | Self::Release => ActionClass::Read,
            Self::Put | Self::Create | Self::Delete => ActionClass::Write,
            Self::Subscribe | Self::Unsubscribe | Self::Renew => ActionClass::Write,
            Self::Deliver
            | Self::CreateShell
            | Self::DeleteShell
            | Self::GetShell
            | Self::EnumerateShells
            | Self::Command
            | Self::Send
            | Self::Receive
            | Self::Signal
            | Self::Disconnect
            | Self::Reconnect
            | Self::Connect
            | Self::Invoke
            | Self::KeepAlive
            | Self::Acknowledge
            | Self::AcknowledgeRequest
            | Self::End
            | Self::Cancel
            | Self::Other => ActionClass::Execute,
        }
    }

    /// The operation that the same action is when its resource is a shell.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "every other action is the same on a shell, and execute in any case"
    )]
    const fn on_shell(self) -> Self {
        match self {
            Self::Create => Self::CreateShell,
            Self::Delete => Self::DeleteShell,
            Self::Get => Self::GetShell,
            Self::Enumerate => Self::EnumerateShells,
            other => other,
        }
    }

    /// Operations of a running shell, whatever the resource is called.
    const fn belongs_to_shells(self) -> bool {
        matches!(
            self,
            Self::CreateShell
                | Self::DeleteShell
                | Self::Command
                | Self::Send
                | Self::Receive
                | Self::Signal
                | Self::Disconnect
                | Self::Reconnect
                | Self::Connect
        )
    }

    /// Those without a resource of their own, or where the host knows it from elsewhere.
    const fn needs_resource(self) -> bool {
        !matches!(
            self,
            Self::Identify
                | Self::Deliver
                | Self::Unsubscribe
                | Self::Renew
                | Self::KeepAlive
                | Self::Acknowledge
                | Self::AcknowledgeRequest
                | Self::End
                | Self::Cancel
        )
    }
}

/// The part of an envelope that policy decides on, as it was read.
pub(super) struct Tuple<'e> {
    pub(super) action: Option<&'e Action>,
    pub(super) resource: Option<&'e ResourceUri>,
    pub(super) has_selectors: bool,
    pub(super) names_shell: bool,
    /// The one element in the body.
    pub(super) body: Option<Name<'e>>,
}

/// Finds the operation, and refuses what does not agree with itself.
pub(super) fn judge(tuple: &Tuple<'_>) -> Result<(Operation, ActionClass), EnvelopeError> {
    let Some(action) = tuple.action else {
        return identify(tuple);
    };
    let (listed, wants) = look_up(action, tuple.resource)?;
    let shell_resource = tuple.resource.is_some_and(ResourceUri::is_shell);
    let creates_shell = listed == Operation::Create && tuple.body.is_some_and(|b| b.is(Ns::Shell, "Shell"));
    let shell = shell_resource || tuple.names_shell || creates_shell;
    let operation = if shell { listed.on_shell() } else { listed };
    let wants = if operation == Operation::CreateShell { Body::One(Ns::Shell, "Shell") } else { wants };

    if tuple.resource.is_none() && operation.needs_resource() {
        return Err(EnvelopeError::MissingHeader { header: "ResourceURI" });
    }
    if operation.belongs_to_shells() && tuple.resource.is_some_and(ResourceUri::is_management) {
        return Err(EnvelopeError::ResourceDisagrees { operation });
    }
    if !wants.fits(tuple.body) || !method_fits(operation, action, tuple) {
        return Err(EnvelopeError::BodyDisagrees { operation });
    }
    if operation.belongs_to_shells() && operation != Operation::CreateShell && !tuple.names_shell {
        return Err(EnvelopeError::ShellIdMissing);
    }
    let class = if shell { ActionClass::Execute } else { operation.class_without_shell() };
    Ok((operation, class))
}

/// Without action there is only Identify, which has no resource either.
fn identify(tuple: &Tuple<'_>) -> Result<(Operation, ActionClass), EnvelopeError> {
    let operation = Operation::Identify;
    if !tuple.body.is_some_and(|b| b.is(Ns::Identity, "Identify")) {
        return Err(EnvelopeError::MissingHeader { header: "Action" });
    }
    if tuple.resource.is_some() || tuple.has_selectors {
        return Err(EnvelopeError::ResourceDisagrees { operation });
    }
    Ok((operation, ActionClass::Read))
}

/// The body of a method is empty or `<Method>_INPUT`.
fn method_fits(operation: Operation, action: &Action, tuple: &Tuple<'_>) -> bool {
    if operation != Operation::Invoke {
        return true;
    }
    let method = tuple.resource.and_then(|r| r.method_of(action)).unwrap_or_default();
    tuple.body.is_none_or(|body| {
        body.local.strip_suffix("_INPUT").is_some_and(|named| named.eq_ignore_ascii_case(method))
    })
}

fn look_up(action: &Action, resource: Option<&ResourceUri>) -> Result<(Operation, Body), EnvelopeError> {
    let named = |row: &&Row| action.as_str().strip_prefix(row.0).is_some_and(|name| name == row.1);
    if let Some(row) = TABLE.iter().find(named) {
        return Ok((row.2, row.3));
    }
    let similar = |row: &Row| {
        let text = action.as_str();
        let (head, tail) = (text.get(..row.0.len()), text.get(row.0.len()..));
        head.is_some_and(|head| head.eq_ignore_ascii_case(row.0))
            && tail.is_some_and(|tail| tail.eq_ignore_ascii_case(row.1))
    };
    if TABLE.iter().any(similar) {
        return Err(EnvelopeError::ActionCase);
    }
    let invoked = resource.is_some_and(|resource| resource.method_of(action).is_some());
    Ok((if invoked { Operation::Invoke } else { Operation::Other }, Body::Foreign))
}

/// What the body of an operation holds.
#[derive(Clone, Copy)]
enum Body {
    Empty,
    One(Ns, &'static str),
    /// Empty, or this element.
    Perhaps(Ns, &'static str),
    /// One element of somebody else's: none that means an operation by itself.
    Present,
    /// The same, or empty.
    Foreign,
    /// Anything.
    Any,
}

impl Body {
    fn fits(self, body: Option<Name<'_>>) -> bool {
        let foreign = |body: Name<'_>| {
            matches!(
                body.ns,
                Ns::None | Ns::Xml | Ns::Other | Ns::Wsman | Ns::MsWsman | Ns::Addressing | Ns::MachineId
            )
        };
        match self {
            Self::Empty => body.is_none(),
            Self::One(ns, local) => body.is_some_and(|b| b.is(ns, local)),
            Self::Perhaps(ns, local) => body.is_none_or(|b| b.is(ns, local)),
            Self::Present => body.is_some_and(foreign),
            Self::Foreign => body.is_none_or(foreign),
            Self::Any => true,
        }
    }
}

struct Row(&'static str, &'static str, Operation, Body);

const TRANSFER: &str = "http://schemas.xmlsoap.org/ws/2004/09/transfer/";
const ENUMERATION: &str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration/";
const EVENTING: &str = "http://schemas.xmlsoap.org/ws/2004/08/eventing/";
const SHELL: &str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/";
const WSMAN: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/";
const MS_WSMAN: &str = "http://schemas.microsoft.com/wbem/wsman/1/wsman/";

const TABLE: [Row; 28] = [
    Row(TRANSFER, "Get", Operation::Get, Body::Empty),
    Row(TRANSFER, "Put", Operation::Put, Body::Present),
    Row(TRANSFER, "Create", Operation::Create, Body::Present),
    Row(TRANSFER, "Delete", Operation::Delete, Body::Empty),
    Row(ENUMERATION, "Enumerate", Operation::Enumerate, Body::One(Ns::Enumeration, "Enumerate")),
    Row(ENUMERATION, "Pull", Operation::Pull, Body::One(Ns::Enumeration, "Pull")),
    Row(ENUMERATION, "Release", Operation::Release, Body::One(Ns::Enumeration, "Release")),
    Row(EVENTING, "Subscribe", Operation::Subscribe, Body::One(Ns::Eventing, "Subscribe")),
    Row(EVENTING, "Unsubscribe", Operation::Unsubscribe, Body::Perhaps(Ns::Eventing, "Unsubscribe")),
    Row(EVENTING, "Renew", Operation::Renew, Body::One(Ns::Eventing, "Renew")),
    Row(EVENTING, "SubscriptionEnd", Operation::Deliver, Body::Any),
    Row(WSMAN, "Event", Operation::Deliver, Body::Any),
    Row(WSMAN, "Events", Operation::Deliver, Body::Any),
    Row(WSMAN, "Heartbeat", Operation::Deliver, Body::Any),
    Row(WSMAN, "Ack", Operation::Deliver, Body::Any),
    Row(WSMAN, "DroppedEvents", Operation::Deliver, Body::Any),
    Row(SHELL, "Command", Operation::Command, Body::One(Ns::Shell, "CommandLine")),
    Row(SHELL, "Send", Operation::Send, Body::One(Ns::Shell, "Send")),
    Row(SHELL, "Receive", Operation::Receive, Body::One(Ns::Shell, "Receive")),
    Row(SHELL, "Signal", Operation::Signal, Body::One(Ns::Shell, "Signal")),
    Row(SHELL, "Disconnect", Operation::Disconnect, Body::One(Ns::Shell, "Disconnect")),
    Row(SHELL, "Reconnect", Operation::Reconnect, Body::Perhaps(Ns::Shell, "Reconnect")),
    Row(SHELL, "Connect", Operation::Connect, Body::One(Ns::Shell, "Connect")),
    Row(MS_WSMAN, "KeepAlive", Operation::KeepAlive, Body::Foreign),
    Row(MS_WSMAN, "Acknowledge", Operation::Acknowledge, Body::Foreign),
    Row(MS_WSMAN, "AcknowledgeRequest", Operation::AcknowledgeRequest, Body::Foreign),
    Row(MS_WSMAN, "End", Operation::End, Body::Foreign),
    Row(MS_WSMAN, "Cancel", Operation::Cancel, Body::Foreign),
];
