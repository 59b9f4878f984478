//! What an operation asks for, as far as policy decides on it.

use std::fmt;

/// What an operation does to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ActionClass {
    /// Changes nothing.
    Read,
    /// Changes settings or objects.
    Write,
    /// Runs something, or could.
    Execute,
}

impl fmt::Display for ActionClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Execute => "execute",
        })
    }
}

/// The facts of one request that rules and ownership look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked<'a> {
    /// What it does to the host.
    pub(crate) class: ActionClass,
    /// The resource that it addresses.
    pub(crate) resource_uri: &'a str,
    /// The shell that it names.
    pub(crate) shell: Option<&'a str>,
    /// The enumeration that it continues.
    pub(crate) enumeration: Option<&'a str>,
    /// Whether it asks for a new shell; a shell that it names is then the client's wish for an id.
    pub(crate) creates_shell: bool,
}
