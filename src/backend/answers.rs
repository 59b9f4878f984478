//! The answers of a host to one request, each as it comes.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::{
    error::{BackendError, Defect},
    http::{BodyReader, Head},
    pool::Slot,
    proved::Proved,
    stats::Counters,
    wire::Unread,
};
use crate::{
    policy::Endpoint,
    wsman::{
        AnswerFacts, AnswerSplitter, Charset, FaultFacts, Limits, SplitError, inspect_answer,
        sealed::{decode, is_sealed},
    },
};

/// One envelope of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The bytes that were inspected: SOAP in clear, in UTF-8.
    pub(crate) body: Bytes,
    /// What they say.
    pub(crate) facts: AnswerFacts,
}

/// The envelopes of one answer, in their order.
///
/// INVARIANT: the connection is given back only after a complete and clean answer; dropped before that, or failing, it is closed.
pub(crate) struct Answers {
    status: u16,
    endpoint: Endpoint,
    connection: Option<(Proved, Slot<Proved>)>,
    keep_alive: bool,
    body: BodyReader,
    form: Form,
    /// The envelope after the last one given out, where it is there already.
    ahead: Option<Bytes>,
    given: usize,
    times: Times,
    limits: Limits,
    counters: Arc<Counters>,
}

/// How envelopes are found in the body.
enum Form {
    /// Sealed one by one.
    Sealed { content_type: String, splitter: AnswerSplitter },
    /// In clear inside TLS.
    Plain { splitter: AnswerSplitter, charset: Option<Charset> },
    /// In clear, in two bytes a character: the whole body is one envelope.
    Wide(BytesMut),
}

/// How long a host may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// From the request, or the envelope before, to the end of an envelope.
    pub(super) patience: Duration,
    /// The end of everything.
    pub(super) last: Instant,
}

/// What the answers of one request need.
pub(super) struct Beginning {
    pub(super) head: Head,
    pub(super) endpoint: Endpoint,
    pub(super) times: Times,
    pub(super) limits: Limits,
    pub(super) counters: Arc<Counters>,
}

impl Answers {
    /// The answers that begin with this head.
    ///
    /// # Errors
    /// Where the head announces no answer that could be passed on.
    pub(super) fn begin(
        beginning: Beginning,
        connection: Proved,
        slot: Slot<Proved>,
    ) -> Result<Self, BackendError> {
        let Beginning { head, endpoint, times, limits, counters } = beginning;
        let form = form(&head, connection.seals(), &endpoint, &limits)?;
        Ok(Self {
            status: head.status,
            endpoint,
            connection: Some((connection, slot)),
            keep_alive: head.keep_alive,
            body: head.body,
            form,
            ahead: None,
            given: 0,
            times,
            limits,
            counters,
        })
    }

    /// 200, or 500 for faults.
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// Whether more envelopes may come than were given out.
    pub(crate) fn may_go_on(&self) -> bool {
        self.connection.is_some() && (self.ahead.is_some() || !self.body.is_done())
    }

    /// The next envelope; none at the end of the answer.
    ///
    /// # Errors
    /// Where the answer is late, broken or cut. Nothing more comes then.
    pub(crate) async fn next(&mut self) -> Result<Option<Answer>, BackendError> {
        let Some((connection, slot)) = self.connection.take() else { return Ok(None) };
        match self.read(connection, slot).await {
            Ok(answer) => Ok(answer),
            Err(error) => {
                self.counters.count_failed(&error);
                Err(error)
            }
        }
    }

    /// Owns the connection, so that every way out but the two good ones closes it.
    async fn read(
        &mut self,
        mut connection: Proved,
        slot: Slot<Proved>,
    ) -> Result<Option<Answer>, BackendError> {
        let deadline = (Instant::now() + self.times.patience).min(self.times.last);
        loop {
            if let Some(envelope) = self.cut()? {
                let answer = self.open(&envelope, &mut connection)?;
                self.take_arrived(&mut connection)?;
                self.ahead = self.cut()?;
                self.given += 1;
                self.connection = Some((connection, slot));
                return Ok(Some(answer));
            }
            let piece = connection.wire.read_body(&mut self.body, deadline).await;
            match piece.map_err(|error| error.at(&self.endpoint))? {
                Some(bytes) => self.form.push(&bytes, &self.limits).map_err(|error| self.broken(error))?,
                None => break,
            }
        }
        if let Some(last) = self.form.finish().map_err(|error| self.broken(error))? {
            let answer = self.open(&last, &mut connection)?;
            self.given += 1;
            self.connection = Some((connection, slot));
            return Ok(Some(answer));
        }
        if self.given == 0 {
            return Err(self.broken(Defect::Empty));
        }
        Counters::count(&self.counters.answered);
        if self.keep_alive && connection.wire.is_quiet() {
            connection.wire.rest();
            let until = connection.until();
            slot.give_back(connection, until);
        }
        Ok(None)
    }

    /// The next envelope of what has arrived.
    fn cut(&mut self) -> Result<Option<Bytes>, BackendError> {
        match self.ahead.take() {
            Some(envelope) => Ok(Some(envelope)),
            None => self.form.next().map_err(|error| self.broken(error)),
        }
    }

    /// Takes what is there already, so that a body that has ended is known to have.
    fn take_arrived(&mut self, connection: &mut Proved) -> Result<(), BackendError> {
        let at = |error: Unread| error.at(&self.endpoint);
        while let Some(bytes) = connection.wire.arrived(&mut self.body).map_err(at)? {
            self.form
                .push(&bytes, &self.limits)
                .map_err(|source| BackendError::BrokenAnswer { endpoint: self.endpoint.clone(), source })?;
        }
        Ok(())
    }

    /// The clear text of an envelope, and what it says.
    fn open(&self, envelope: &Bytes, connection: &mut Proved) -> Result<Answer, BackendError> {
        let (plain, charset) = match &self.form {
            Form::Sealed { content_type, .. } => {
                let parts =
                    decode(content_type, envelope, &self.limits).map_err(|error| self.split(error.into()))?;
                let plain = connection.unseal(parts.header, parts.data).map_err(|source| {
                    BackendError::Unsealed { endpoint: self.endpoint.clone(), source: Box::new(source) }
                })?;
                parts.check_length(plain.len()).map_err(|error| self.split(error.into()))?;
                (Bytes::from(plain), Some(parts.charset))
            }
            Form::Plain { charset, .. } => (envelope.clone(), *charset),
            Form::Wide(_) => (envelope.clone(), Some(Charset::Utf16Le)),
        };
        let body = utf8(&plain, charset).map_err(|error| self.broken(error))?;
        let facts = inspect_answer(&body, &self.limits).map_err(|error| self.broken(error.into()))?;
        if let Some(fault) = facts.fault.as_ref().filter(|fault| connection.local && denies_access(fault)) {
            let text = fault.text.clone();
            return Err(BackendError::AccessDenied { endpoint: self.endpoint.clone(), text });
        }
        Ok(Answer { body, facts })
    }

    fn split(&self, error: SplitError) -> BackendError {
        self.broken(Defect::Split(error))
    }

    fn broken(&self, source: Defect) -> BackendError {
        BackendError::BrokenAnswer { endpoint: self.endpoint.clone(), source }
    }
}

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answers")
            .field("status", &self.status)
            .field("given", &self.given)
            .finish_non_exhaustive()
    }
}

impl Form {
    fn push(&mut self, bytes: &[u8], limits: &Limits) -> Result<(), Defect> {
        match self {
            Self::Sealed { splitter, .. } | Self::Plain { splitter, .. } => splitter.push(bytes),
            Self::Wide(whole) => {
                let limit = limits.envelope_bytes;
                if whole.len() + bytes.len() > limit.saturating_mul(2).saturating_add(2) {
                    return Err(SplitError::TooLarge { limit }.into());
                }
                whole.extend_from_slice(bytes);
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Bytes>, Defect> {
        match self {
            Self::Sealed { splitter, .. } | Self::Plain { splitter, .. } => Ok(splitter.next_envelope()?),
            Self::Wide(_) => Ok(None),
        }
    }

    /// What only the end of the body makes an envelope.
    fn finish(&mut self) -> Result<Option<Bytes>, Defect> {
        match self {
            Self::Sealed { splitter, .. } | Self::Plain { splitter, .. } => {
                let splitter = std::mem::replace(splitter, AnswerSplitter::plain(&Limits::default()));
                splitter.finish()?;
                Ok(None)
            }
            Self::Wide(whole) if whole.is_empty() => Ok(None),
            Self::Wide(whole) => Ok(Some(whole.split().freeze())),
        }
    }
}

/// Whether the host says that this account may not.
fn denies_access(fault: &FaultFacts) -> bool {
    fault.code == Some(ERROR_ACCESS_DENIED) || fault.subcode.as_deref() == Some("AccessDenied")
}

const ERROR_ACCESS_DENIED: u32 = 5;

/// What kind of answer a head announces.
fn form(head: &Head, sealed: bool, endpoint: &Endpoint, limits: &Limits) -> Result<Form, BackendError> {
    let endpoint = || endpoint.clone();
    let broken = |source| BackendError::BrokenAnswer { endpoint: endpoint(), source };
    let status = head.status;
    match status {
        200 | 500 => {}
        401 => return Err(BackendError::Rejected { endpoint: endpoint(), local: false, source: None }),
        _ => return Err(BackendError::HostStatus { endpoint: endpoint(), status }),
    }
    let content_type = head.content_type.as_deref().unwrap_or_default();
    match (sealed, is_sealed(content_type)) {
        (true, true) => {
            let splitter =
                AnswerSplitter::sealed(content_type, limits).map_err(|error| broken(error.into()))?;
            Ok(Form::Sealed { content_type: content_type.to_owned(), splitter })
        }
        _ if status == 500 && head.body.is_done() => {
            Err(BackendError::HostStatus { endpoint: endpoint(), status })
        }
        (true, false) => Err(BackendError::NotSealed { endpoint: endpoint(), status }),
        (false, true) => Err(broken(Defect::ContentType)),
        (false, false) => match soap_charset(content_type).map_err(broken)? {
            Some(Charset::Utf16Le) => Ok(Form::Wide(BytesMut::new())),
            charset => Ok(Form::Plain { splitter: AnswerSplitter::plain(limits), charset }),
        },
    }
}

/// The declared character set of a SOAP answer.
fn soap_charset(content_type: &str) -> Result<Option<Charset>, Defect> {
    let mut parts = content_type.split(';').map(str::trim);
    if !parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/soap+xml")) {
        return Err(Defect::ContentType);
    }
    let value = |part: &str| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| Charset::from_label(value).ok_or(Defect::Charset))
    };
    parts.find_map(value).transpose()
}

/// The text as UTF-8 without byte order mark. UTF-8 is not copied.
fn utf8(plain: &Bytes, declared: Option<Charset>) -> Result<Bytes, Defect> {
    let Some(units) = plain.strip_prefix(&[0xff, 0xfe]) else {
        let marked = plain.starts_with(&[0xef, 0xbb, 0xbf]);
        let text = plain.slice(if marked { 3 } else { 0 }..);
        return if declared == Some(Charset::Utf16Le) { Err(Defect::Charset) } else { Ok(text) };
    };
    let (pairs, rest) = units.as_chunks::<2>();
    if declared == Some(Charset::Utf8) || !rest.is_empty() {
        return Err(Defect::Charset);
    }
    let mut text = String::with_capacity(units.len() / 2 + units.len() / 8);
    for c in char::decode_utf16(pairs.iter().map(|pair| u16::from_le_bytes(*pair))) {
        text.push(c.map_err(|_| Defect::Charset)?);
    }
    // The declaration would name the encoding that the text no longer has.
    let text = Bytes::from(text);
    if !text.starts_with(b"<?xml") {
        return Ok(text);
    }
    let end = text.windows(2).position(|two| two == b"?>").map_or(0, |at| at + 2);
    Ok(text.slice(end..))
}
