//! WS-Management: what a message says, and how messages are written and sealed.
//!
//! Answers: which operation on which resource, shell and command a request is, or why it is no such thing; what a
//! host's answer says; which fault a client gets; where the sealed bytes begin and end.
//!
//! Comes in: bytes that somebody else wrote, already read within a bound. Goes out: [`Envelope`], [`AnswerFacts`],
//! [`Fault`], [`sealed::SealedParts`]. No I/O, no clock, no keys.
//!
//! INVARIANT: the bytes that are forwarded are the bytes that were inspected, and nothing is forwarded that two XML
//! readers could read in two ways: anything doubtful is an [`EnvelopeError`].
//!
//! INVARIANT: no input panics, and the work done is linear in its length.
//!
//! Specifications: [MS-WSMV], DSP0226 (WS-Management), SOAP 1.2, XML 1.0 with namespaces.

mod answer;
mod attributes;
mod charset;
pub mod clixml;
mod command_line;
mod envelope;
mod error;
mod fault;
mod ids;
mod limits;
mod names;
mod operation;
pub mod psrp;
pub mod sealed;
mod splitter;
mod streams;
mod xml;
pub mod xpress;

pub use answer::{AnswerFacts, FaultFacts, inspect_answer};
pub use charset::Charset;
pub use command_line::EncodedCommand;
pub use envelope::{Compression, Envelope, Selector, Switch};
pub use error::EnvelopeError;
pub use fault::{Fault, FaultKind};
pub use ids::{
    Action, CommandId, EnumerationContext, IdError, MessageId, OperationId, ResourceUri, SessionId, ShellId,
};
pub use limits::Limits;
pub use operation::{ActionClass, Operation};
pub use splitter::{AnswerSplitter, SplitError};
pub use streams::{
    CommandLine, CommandState, ShellError, ShellFacts, ShellLimits, ShellMessage, Signal, SignalCode,
    StreamData,
};
