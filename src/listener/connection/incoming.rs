//! Reads one request: waits without a buffer, then the head, the gate, the body, each within its bounds.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{BufMut as _, Bytes};
use tokio::io::{AsyncRead as _, AsyncReadExt as _, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use zeroize::{Zeroize as _, Zeroizing};

use super::super::gate::{self, Head, Scanner};
use super::super::refusal::{Reason, RequestError};
use super::super::request::Request;
use super::super::response::Response;
use super::{ClientConnection, Phase, Stream};

impl ClientConnection {
    /// Waits for the next request and reads it whole. `None` when the connection is over: the client closed it
    /// between requests, was idle for too long, the gateway stops, or the last answer was the last one.
    ///
    /// # Errors
    ///
    /// [`RequestError::Refused`] when the gate refused the request; it is answered already. [`RequestError::Lost`]
    /// when the client went away in its middle. Either way the connection is over.
    pub(crate) async fn next_request(&mut self) -> Result<Option<Request>, RequestError> {
        if self.phase != Phase::Ready {
            self.phase = Phase::Closed;
            return Ok(None);
        }
        let Some(start) = self.wait().await else {
            self.finish().await;
            return Ok(None);
        };
        // Stays closed if the caller gives up in the middle: what is read then is not the start of a request.
        self.phase = Phase::Closed;
        match self.receive(start).await {
            Ok(request) => {
                self.phase = Phase::Asked;
                self.listening.stats.count_request();
                Ok(Some(request))
            }
            Err(RequestError::Lost) => Err(RequestError::Lost),
            Err(error @ RequestError::Refused { reason, .. }) => {
                self.listening.stats.count_refused(reason);
                self.phase = Phase::Asked;
                self.close = true;
                // The refusal stands whether or not the client still reads why.
                self.respond(&Response::refusal(reason)).await.ok();
                Err(error)
            }
        }
    }

    /// Waits for a request's first bytes; no buffer exists meanwhile.
    async fn wait(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        if self.close || *self.shutdown.borrow() {
            return None;
        }
        let deadline = Instant::now() + self.listening.limits.idle;
        let mut start = Zeroizing::new(Vec::new());
        tokio::select! {
            biased;
            _ = self.shutdown.changed() => None,
            read = timeout_at(deadline, fill(&mut self.stream, &mut start)) => match read {
                Ok(Ok(1..)) => Some(start),
                Ok(Ok(0) | Err(_)) | Err(_) => None,
            },
        }
    }

    async fn receive(&mut self, start: Zeroizing<Vec<u8>>) -> Result<Request, RequestError> {
        let received = Instant::now();
        let mut reservation = Reservation::new(&self.listening.limits.buffered_bytes);
        let (bytes, end) = self.read_head(start, &mut reservation).await?;
        let (head, early) = bytes.split_at_checked(end).ok_or(Reason::LineBreak)?;
        let head = self.gate(head)?;
        self.refuse_untrusted()?;
        if early.len() > head.content_length {
            return Err(Reason::EarlyBytes.into());
        }
        if head.expects_continue && early.is_empty() && head.content_length > 0 {
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n").await.map_err(|_| RequestError::Lost)?;
        }
        let body = self.read_body(early, head.content_length, reservation).await?;
        self.close |= head.close;
        Ok(Request::new(head, body, received.into_std()))
    }

    fn gate(&self, head: &[u8]) -> Result<Head, Reason> {
        let server_name = self.tls.as_ref().and_then(|facts| facts.server_name.as_deref());
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let body_bytes = self.listening.limits.body_bytes;
        gate::head(head, gate::Connection { scheme, server_name, body_bytes })
    }

    /// Reads until the head is complete; says where it ends.
    async fn read_head(
        &mut self,
        mut bytes: Zeroizing<Vec<u8>>,
        reservation: &mut Reservation,
    ) -> Result<(Zeroizing<Vec<u8>>, usize), RequestError> {
        let listening = Arc::clone(&self.listening);
        let limits = &listening.limits;
        let deadline = Instant::now() + limits.head;
        let mut scanner = Scanner::new(limits.headers);
        loop {
            let end = scanner.advance(&bytes)?;
            if end.unwrap_or(bytes.len()) > limits.head_bytes {
                return Err(Reason::HeadTooLarge.into());
            }
            if let Some(end) = end {
                return Ok((bytes, end));
            }
            reservation.cover(bytes.len().saturating_sub(FREE_HEAD_BYTES))?;
            match timeout_at(deadline, fill(&mut self.stream, &mut bytes)).await {
                Ok(Ok(1..)) => {}
                Ok(Ok(0) | Err(_)) => return Err(RequestError::Lost),
                Err(_) => return Err(Reason::HeadTooSlow.into()),
            }
        }
    }

    /// Reads the body of `length` bytes, of which `early` came with the head. Its bytes count against the common
    /// budget as they arrive, so that announcing a large body takes nothing from others, and until it is dropped.
    async fn read_body(
        &mut self,
        early: &[u8],
        length: usize,
        mut reservation: Reservation,
    ) -> Result<Bytes, RequestError> {
        if length == 0 {
            return Ok(Bytes::new());
        }
        let listening = Arc::clone(&self.listening);
        let start = Instant::now();
        reservation.cover(early.len())?;
        let mut body = Vec::new();
        // Room that the system does not have is this request's misfortune and nobody else's.
        body.try_reserve_exact(length).map_err(|_| Reason::Overloaded)?;
        body.extend_from_slice(early);
        while body.len() < length {
            let step = (length - body.len()).min(STEP);
            reservation.cover(body.len() + step)?;
            let deadline = listening.limits.body_deadline(start, body.len());
            let mut space = (&mut body).limit(step);
            match timeout_at(deadline, self.stream.read_buf(&mut space)).await {
                Ok(Ok(1..)) => {}
                Ok(Ok(0) | Err(_)) => return Err(RequestError::Lost),
                Err(_) => return Err(Reason::BodyTooSlow.into()),
            }
        }
        Ok(Bytes::from_owner(Reserved { bytes: body, _reservation: reservation }))
    }
}

/// Appends what has arrived to `into`; 0 at the end of the stream. The room for it exists only while it is being
/// copied, and is wiped: it may hold a password.
async fn fill(stream: &mut Box<dyn Stream>, into: &mut Zeroizing<Vec<u8>>) -> io::Result<usize> {
    poll_fn(|cx| poll_fill(stream, into, cx)).await
}

fn poll_fill(
    stream: &mut Box<dyn Stream>,
    into: &mut Zeroizing<Vec<u8>>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut room = [0_u8; FILL];
    let mut buffer = ReadBuf::new(&mut room);
    ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
    let read = buffer.filled().len();
    if into.capacity() - into.len() < read {
        // Growing in place would leave a copy of the bytes behind.
        let mut larger = Zeroizing::new(Vec::with_capacity(2 * into.len() + read));
        larger.extend_from_slice(into);
        *into = larger;
    }
    into.extend_from_slice(buffer.filled());
    buffer.filled_mut().zeroize();
    Poll::Ready(Ok(read))
}

/// A part of the common byte budget; dropping it gives the part back.
struct Reservation {
    budget: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

impl Reservation {
    fn new(budget: &Arc<Semaphore>) -> Self {
        Self { budget: Arc::clone(budget), held: None }
    }

    /// Makes the part at least `bytes` large, or says that the budget is spent.
    fn cover(&mut self, bytes: usize) -> Result<(), Reason> {
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = bytes.saturating_sub(held);
        if missing == 0 {
            return Ok(());
        }
        let missing = u32::try_from(missing).map_err(|_| Reason::Overloaded)?;
        let more =
            Arc::clone(&self.budget).try_acquire_many_owned(missing).map_err(|_| Reason::Overloaded)?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }
}

/// A body with its part of the budget, which is given back when the last slice of the body is dropped.
struct Reserved {
    bytes: Vec<u8>,
    _reservation: Reservation,
}

impl AsRef<[u8]> for Reserved {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// How much is taken from the stream at a time while the head is read.
const FILL: usize = 8 * 1024;
/// How much of a head is not counted against the budget.
const FREE_HEAD_BYTES: usize = 16 * 1024;
/// How much of a body is reserved and read at a time.
const STEP: usize = 64 * 1024;
