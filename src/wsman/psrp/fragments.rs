//! Fragments of one direction put together again ([MS-PSRP] 2.2.4, 3.1.5.1.2).

use std::collections::BTreeMap;

use super::message::{Direction, Message};
use super::used::Used;

/// How much of unfinished objects is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReassemblyLimits {
    /// Bytes of one object.
    pub object_bytes: usize,
    /// Unfinished objects at one time.
    pub objects: usize,
    /// Bytes of all unfinished objects together.
    pub held_bytes: usize,
}

impl Default for ReassemblyLimits {
    fn default() -> Self {
        Self { object_bytes: 16 * 1024 * 1024, objects: 64, held_bytes: 32 * 1024 * 1024 }
    }
}

/// Why fragments can't be put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FragmentError {
    /// The bytes end within a fragment; none goes on in another stream element.
    #[error("the bytes end within a fragment")]
    Truncated,
    /// Object 0, which no sender may use.
    #[error("a fragment belongs to object 0")]
    ObjectZero,
    /// Flags other than start and end.
    #[error("a fragment of object {object} has reserved flags")]
    ReservedFlags {
        /// Its `ObjectId`.
        object: u64,
    },
    /// A start flag on another fragment than the first, or a first one without.
    #[error("a fragment of object {object} has a start flag in the wrong place, or none")]
    Start {
        /// Its `ObjectId`.
        object: u64,
    },
    /// A fragment of an object that never began.
    #[error("a fragment of object {object}, which did not begin")]
    NotBegun {
        /// Its `ObjectId`.
        object: u64,
    },
    /// A number left out.
    #[error("object {object} lacks a fragment")]
    Gap {
        /// Its `ObjectId`.
        object: u64,
    },
    /// A number again.
    #[error("a fragment of object {object} came again")]
    Repeated {
        /// Its `ObjectId`.
        object: u64,
    },
    /// An object that is finished or was given up.
    #[error("object {object} was used before")]
    Reused {
        /// Its `ObjectId`.
        object: u64,
    },
    /// More bytes in one object than allowed.
    #[error("object {object} has more than {limit} bytes")]
    ObjectTooLarge {
        /// Its `ObjectId`.
        object: u64,
        /// The bound, in bytes.
        limit: usize,
    },
    /// More unfinished objects than allowed.
    #[error("more than {limit} objects are unfinished")]
    TooManyObjects {
        /// The bound.
        limit: usize,
    },
    /// More bytes in unfinished objects than allowed.
    #[error("unfinished objects hold more than {limit} bytes")]
    TooManyBytes {
        /// The bound, in bytes.
        limit: usize,
    },
    /// An object that is too short for a message's header.
    #[error("object {object} is no message")]
    ShortMessage {
        /// Its `ObjectId`.
        object: u64,
    },
    /// A message for the other side, or for nobody.
    #[error("the message in object {object} is not meant for its receiver")]
    Destination {
        /// Its `ObjectId`.
        object: u64,
    },
}

impl FragmentError {
    /// The label for metrics and records, from a fixed set.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Truncated => "fragment_truncated",
            Self::ObjectZero => "fragment_object_zero",
            Self::ReservedFlags { .. } => "fragment_flags",
            Self::Start { .. } => "fragment_start",
            Self::NotBegun { .. } => "fragment_not_begun",
            Self::Gap { .. } => "fragment_gap",
            Self::Repeated { .. } => "fragment_repeated",
            Self::Reused { .. } => "fragment_object_reused",
            Self::ObjectTooLarge { .. } => "fragment_object_too_large",
            Self::TooManyObjects { .. } => "fragment_too_many_objects",
            Self::TooManyBytes { .. } => "fragment_too_many_bytes",
            Self::ShortMessage { .. } => "fragment_short_message",
            Self::Destination { .. } => "fragment_destination",
        }
    }
}

/// Puts together what one sender sends within one pool: one for each direction.
///
/// A client that takes a pool over with Connect is a new sender and numbers its objects anew: it needs a new one.
///
/// After an error the object concerned is given up, so that nothing of it is ever reported, and the rest of those
/// bytes is not read. Whoever wants to cut the session does so; whoever goes on gets the later objects, and an error
/// for each further fragment of the one that was given up.
#[derive(Debug)]
pub struct Reassembler {
    direction: Direction,
    limits: ReassemblyLimits,
    open: BTreeMap<u64, Open>,
    pub(super) held: usize,
    used: Used,
    /// Whether fragments that came before may come again, until the first new one.
    resent: bool,
}

/// An object of which the last fragment is still to come.
#[derive(Debug)]
struct Open {
    next: u64,
    bytes: Vec<u8>,
}

impl Reassembler {
    /// Nothing received yet.
    #[must_use]
    pub fn new(direction: Direction, limits: ReassemblyLimits) -> Self {
        Self { direction, limits, open: BTreeMap::new(), held: 0, used: Used::default(), resent: false }
    }

    /// Takes the next bytes of one stream element: whole fragments. Messages that they complete are appended to `into`;
    /// those before an error stay there.
    ///
    /// # Errors
    ///
    /// One [`FragmentError`] for anything that another receiver might put together in another way.
    pub fn push(&mut self, bytes: &[u8], into: &mut Vec<Message>) -> Result<(), FragmentError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (fragment, tail) = Fragment::read(rest)?;
            rest = tail;
            self.resent = self.resent && self.is_known(&fragment);
            if self.resent {
                continue;
            }
            if let Err(error) = self.check(&fragment) {
                self.give_up(fragment.object);
                return Err(error);
            }
            if let Some(whole) = self.take(&fragment) {
                into.push(Message::read(fragment.object, whole, self.direction)?);
            }
        }
        Ok(())
    }

    /// Says that the client came back with Reconnect: its host may send again what the last answer before held.
    /// Fragments that came before are passed over until the first new one.
    pub fn expect_resent(&mut self) {
        self.resent = true;
    }

    /// How many objects began and have not ended. Where a pool ends with any, something was not recorded.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.open.len()
    }

    fn is_known(&self, fragment: &Fragment<'_>) -> bool {
        let open = self.open.get(&fragment.object);
        self.used.contains(fragment.object) || open.is_some_and(|open| fragment.number < open.next)
    }

    /// Whether this is the fragment that has to come now.
    fn check(&self, fragment: &Fragment<'_>) -> Result<(), FragmentError> {
        let object = fragment.object;
        if object == 0 {
            return Err(FragmentError::ObjectZero);
        }
        if fragment.flags & !(START | END) != 0 {
            return Err(FragmentError::ReservedFlags { object });
        }
        if self.used.contains(object) {
            return Err(FragmentError::Reused { object });
        }
        let held = match self.open.get(&object) {
            Some(open) if fragment.number < open.next => return Err(FragmentError::Repeated { object }),
            Some(open) if fragment.number > open.next => return Err(FragmentError::Gap { object }),
            None if fragment.number != 0 => return Err(FragmentError::NotBegun { object }),
            Some(open) => open.bytes.len(),
            None => 0,
        };
        if (fragment.flags & START != 0) != (fragment.number == 0) {
            return Err(FragmentError::Start { object });
        }
        self.check_room(fragment, held)
    }

    fn check_room(&self, fragment: &Fragment<'_>, held: usize) -> Result<(), FragmentError> {
        let ReassemblyLimits { object_bytes, objects, held_bytes } = self.limits;
        if fragment.blob.len() > object_bytes.saturating_sub(held) {
            return Err(FragmentError::ObjectTooLarge { object: fragment.object, limit: object_bytes });
        }
        if fragment.flags & END != 0 {
            return Ok(());
        }
        if fragment.number == 0 && self.open.len() >= objects {
            return Err(FragmentError::TooManyObjects { limit: objects });
        }
        if fragment.blob.len() > held_bytes.saturating_sub(self.held) {
            return Err(FragmentError::TooManyBytes { limit: held_bytes });
        }
        Ok(())
    }

    /// Takes a fragment that was checked; gives the object where it is whole.
    fn take(&mut self, fragment: &Fragment<'_>) -> Option<Vec<u8>> {
        if fragment.flags & END != 0 {
            let mut whole = self.open.remove(&fragment.object).map(|open| open.bytes).unwrap_or_default();
            self.held = self.held.saturating_sub(whole.len());
            self.used.insert(fragment.object);
            whole.extend_from_slice(fragment.blob);
            return Some(whole);
        }
        let open = self.open.entry(fragment.object).or_insert_with(|| Open { next: 0, bytes: Vec::new() });
        open.next = open.next.saturating_add(1);
        open.bytes.extend_from_slice(fragment.blob);
        self.held = self.held.saturating_add(fragment.blob.len());
        None
    }

    fn give_up(&mut self, object: u64) {
        if let Some(open) = self.open.remove(&object) {
            self.held = self.held.saturating_sub(open.bytes.len());
        }
        if object != 0 {
            self.used.insert(object);
        }
    }
}

/// One fragment on the wire: 21 bytes, big-endian, and its blob.
struct Fragment<'b> {
    object: u64,
    number: u64,
    flags: u8,
    blob: &'b [u8],
}

impl<'b> Fragment<'b> {
    fn read(bytes: &'b [u8]) -> Result<(Self, &'b [u8]), FragmentError> {
        let truncated = FragmentError::Truncated;
        let (&object, rest) = bytes.split_first_chunk().ok_or(truncated)?;
        let (&number, rest) = rest.split_first_chunk().ok_or(truncated)?;
        let (&flags, rest) = rest.split_first().ok_or(truncated)?;
        let (&length, rest) = rest.split_first_chunk().ok_or(truncated)?;
        let length = usize::try_from(u32::from_be_bytes(length)).map_err(|_| truncated)?;
        let (blob, rest) = rest.split_at_checked(length).ok_or(truncated)?;
        Ok((
            Self { object: u64::from_be_bytes(object), number: u64::from_be_bytes(number), flags, blob },
            rest,
        ))
    }
}

const START: u8 = 1;
const END: u8 = 2;
