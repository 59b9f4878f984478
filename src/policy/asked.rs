//! What an operation asks for, as far as policy decides on it.

use crate::wsman::{ActionClass, EnumerationContext, Envelope, Operation, ResourceUri, ShellId};

/// The facts of one request that rules and ownership look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked<'a> {
    /// What it does to the host.
    pub(crate) class: ActionClass,
    /// The resource that it addresses, without a query; empty where it addresses none, so that only a rule for every resource holds for it.
    pub(crate) resource_uri: &'a str,
    /// The shell that it names.
    pub(crate) shell: Option<&'a str>,
    /// The enumeration that it continues.
    pub(crate) enumeration: Option<&'a str>,
    /// Whether it asks for a new shell; a shell that it names is then the client's wish for an id.
    pub(crate) creates_shell: bool,
}

impl<'a> Asked<'a> {
    /// What `envelope` asks for.
    pub(crate) fn of(envelope: &'a Envelope) -> Self {
        Self {
            class: envelope.action_class(),
            resource_uri: envelope.resource_uri().map_or("", ResourceUri::without_query),
            shell: envelope.shell_id().map(ShellId::as_str),
            enumeration: envelope.enumeration_context().map(EnumerationContext::as_str),
            creates_shell: *envelope.operation() == Operation::CreateShell,
        }
    }
}
