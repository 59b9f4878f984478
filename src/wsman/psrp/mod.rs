//! PowerShell remoting ([MS-PSRP]): what travels in the streams of a PowerShell shell.
//!
//! Comes in: the bytes of `creationXml`, `rsp:Arguments`, `rsp:Stream` and their kin, in the order in which they
//! travelled, one [`Reassembler`] for each direction. Goes out: whole [`Message`]s, and by [`Content::read`] what they
//! say: the pipeline that is to run, what became of it, what it wrote, whom it asked.
//!
//! INVARIANT: what is reported was put together as the receiver does it, or it is an error; nothing passes as
//! something else.
//!
//! INVARIANT: what is held of unfinished objects is bounded; an idle pool holds four kilobytes at most.

mod content;
mod fragments;
mod host;
mod message;
mod pipeline;
mod state;
mod used;

pub use self::content::{Content, ErrorReport, Level};
pub use self::fragments::{FragmentError, Reassembler, ReassemblyLimits};
pub use self::host::{HostCall, HostResponse};
pub use self::message::{Direction, Message, MessageType};
pub use self::pipeline::{Command, CommandQuery, Parameter, Pipeline, Statement};
pub use self::state::{PipelineState, PoolState};

#[cfg(test)]
mod tests;
