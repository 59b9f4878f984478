//! One connection: bytes out and in, each within its time.

use std::{
    future::Future as _,
    io,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::{Instant, timeout, timeout_at},
};

use super::{
    error::{BackendError, Defect},
    http::{BodyReader, Head, HeadReader, HttpError, Piece},
    stats::Open,
};
use crate::policy::Endpoint;

/// What a connection runs on: TCP, or TLS on it.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// A connection to a host.
///
/// INVARIANT: it is closed when it is dropped, so a request that is given up leaves nothing half said behind.
pub(super) struct Wire {
    transport: Box<dyn Transport>,
    /// What has arrived and was not taken yet.
    buffer: BytesMut,
    _open: Open,
}

/// A request that could not be written.
#[derive(Debug)]
pub(super) struct Unsent {
    /// Whether the head was not taken whole: then the host can't have begun.
    pub(super) in_head: bool,
    /// Why; none where the host took nothing for too long.
    pub(super) source: Option<io::Error>,
}

/// An answer that could not be read.
#[derive(Debug)]
pub(super) enum Unread {
    /// It breaks the rules.
    Broken(HttpError),
    /// The connection ended.
    Lost {
        /// Whether anything of the answer had arrived.
        begun: bool,
        /// Why; none where the host closed it.
        source: Option<io::Error>,
    },
    /// It did not come in time.
    TimedOut,
}

impl Unread {
    pub(super) fn at(self, endpoint: &Endpoint) -> BackendError {
        let endpoint = endpoint.clone();
        match self {
            Self::Broken(error) => BackendError::BrokenAnswer { endpoint, source: Defect::Http(error) },
            Self::Lost { source, .. } => BackendError::Lost { endpoint, source },
            Self::TimedOut => BackendError::TimedOut { endpoint },
        }
    }
}

impl Wire {
    pub(super) fn new(transport: Box<dyn Transport>, open: Open) -> Self {
        Self { transport, buffer: BytesMut::new(), _open: open }
    }

    /// Sends a request; a small body leaves together with its head.
    ///
    /// # Errors
    /// Where the host takes nothing for as long as `stall`, or is gone.
    pub(super) async fn send(&mut self, head: String, body: &[u8], stall: Duration) -> Result<(), Unsent> {
        let mut first = head.into_bytes();
        let head_bytes = first.len();
        let (joined, rest) = body.split_at(if body.len() <= SMALL { body.len() } else { 0 });
        first.extend_from_slice(joined);
        let mut written = 0;
        for part in [first.as_slice(), rest] {
            let mut left = part;
            while !left.is_empty() {
                let count = match timeout(stall, self.transport.write(left)).await {
                    Ok(Ok(0)) => Err(Some(io::ErrorKind::WriteZero.into())),
                    Ok(Ok(count)) => Ok(count),
                    Ok(Err(error)) => Err(Some(error)),
                    Err(_) => Err(None),
                };
                let count = count.map_err(|source| Unsent { in_head: written < head_bytes, source })?;
                written += count;
                left = left.get(count..).unwrap_or_default();
            }
        }
        let flushed = timeout(stall, self.transport.flush()).await;
        match flushed {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Unsent { in_head: false, source: Some(error) }),
            Err(_) => Err(Unsent { in_head: false, source: None }),
        }
    }

    /// Reads the head of the answer.
    ///
    /// # Errors
    /// Where it breaks the rules, or is not complete by `deadline`.
    pub(super) async fn read_head(&mut self, deadline: Instant) -> Result<Head, Unread> {
        let mut reader = HeadReader::default();
        let mut begun = !self.buffer.is_empty();
        loop {
            if let Some(head) = reader.next(&mut self.buffer).map_err(Unread::Broken)? {
                return Ok(head);
            }
            self.fill(deadline, begun).await?;
            begun = true;
        }
    }

    /// The next piece of the body; none at its end.
    ///
    /// # Errors
    /// As [`Self::read_head`].
    pub(super) async fn read_body(
        &mut self,
        body: &mut BodyReader,
        deadline: Instant,
    ) -> Result<Option<Bytes>, Unread> {
        loop {
            match body.next(&mut self.buffer).map_err(Unread::Broken)? {
                Piece::Bytes(bytes) => return Ok(Some(bytes)),
                Piece::End => return Ok(None),
                Piece::More => self.fill(deadline, true).await?,
            }
        }
    }

    /// What has arrived of the body, without waiting.
    ///
    /// # Errors
    /// Where it breaks the rules.
    pub(super) fn arrived(&mut self, body: &mut BodyReader) -> Result<Option<Bytes>, Unread> {
        match body.next(&mut self.buffer).map_err(Unread::Broken)? {
            Piece::Bytes(bytes) => Ok(Some(bytes)),
            Piece::End | Piece::More => Ok(None),
        }
    }

    /// Whether the host has said nothing since its last answer, its farewell included.
    pub(super) fn is_quiet(&mut self) -> bool {
        if !self.buffer.is_empty() {
            return false;
        }
        let mut byte = [0];
        let read = pin!(tokio::task::unconstrained(self.transport.read(&mut byte)));
        matches!(read.poll(&mut Context::from_waker(Waker::noop())), Poll::Pending)
    }

    /// Gives back the memory that only a running exchange needs.
    pub(super) fn rest(&mut self) {
        self.buffer = BytesMut::new();
    }

    async fn fill(&mut self, deadline: Instant, begun: bool) -> Result<(), Unread> {
        self.buffer.reserve(READ_AT_ONCE);
        match timeout_at(deadline, self.transport.read_buf(&mut self.buffer)).await {
            Ok(Ok(0)) => Err(Unread::Lost { begun, source: None }),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Unread::Lost { begun, source: Some(error) }),
            Err(_) => Err(Unread::TimedOut),
        }
    }
}

/// Bodies up to this size are copied behind their head; larger ones are written from where they are.
const SMALL: usize = 16 * 1024;
const READ_AT_ONCE: usize = 16 * 1024;
