//! Writes answers: whole ones with their length, or several envelopes in chunks as they become known.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;

use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};
use tokio::time::{Instant, timeout, timeout_at};

use super::super::response::{Framing, Response};
use super::{ClientConnection, Phase};

/// Why an answer did not reach the client; the connection is over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnswerError {
    /// The client stopped reading.
    #[error("the client reads its answer too slowly")]
    Stalled,
    /// The client closed the connection, or the network broke.
    #[error("the client closed the connection before its answer was complete")]
    Gone(#[source] io::Error),
    /// An answer where none is due: before a request, or a second one.
    #[error("no answer is due on this connection")]
    NotDue,
    /// A header that would break the answer's framing.
    #[error("the answer's {name} header cannot be sent")]
    Header {
        /// The header.
        name: &'static str,
    },
}

impl ClientConnection {
    /// Sends a whole answer, with `Content-Length`, and `Connection: close` where it is the last.
    ///
    /// # Errors
    ///
    /// [`AnswerError`]; the connection is over.
    pub(crate) async fn respond(&mut self, response: &Response) -> Result<(), AnswerError> {
        let mut message = self.begin(response, Framing::Length(response.body.len())).await?;
        if response.body.len() <= TOGETHER {
            message.extend_from_slice(&response.body);
            self.send(&message).await?;
        } else {
            self.send(&message).await?;
            self.send(&response.body).await?;
        }
        self.answered().await;
        Ok(())
    }

    /// Begins an answer of several parts: sends the head of `response`, whose body is the first part if not empty.
    /// Unless [`finish_stream`](Self::finish_stream) ends it, the client sees that the answer is incomplete.
    ///
    /// # Errors
    ///
    /// [`AnswerError`]; the connection is over.
    pub(crate) async fn begin_stream(&mut self, response: &Response) -> Result<(), AnswerError> {
        let mut message = self.begin(response, Framing::Chunked).await?;
        chunk(&mut message, &response.body);
        self.send(&message).await?;
        self.phase = Phase::Streaming;
        Ok(())
    }

    /// Sends one part at once.
    ///
    /// # Errors
    ///
    /// [`AnswerError`]; the connection is over.
    pub(crate) async fn write_part(&mut self, part: &[u8]) -> Result<(), AnswerError> {
        self.part(|message| chunk(message, part)).await?;
        self.phase = Phase::Streaming;
        Ok(())
    }

    /// Marks the answer as complete.
    ///
    /// # Errors
    ///
    /// [`AnswerError`]; the connection is over.
    pub(crate) async fn finish_stream(&mut self) -> Result<(), AnswerError> {
        self.part(|message| message.extend_from_slice(b"0\r\n\r\n")).await?;
        self.answered().await;
        Ok(())
    }

    async fn part(&mut self, fill: impl FnOnce(&mut Vec<u8>)) -> Result<(), AnswerError> {
        if self.phase != Phase::Streaming {
            return Err(AnswerError::NotDue);
        }
        // Stays closed if this fails or is cancelled half way.
        self.phase = Phase::Closed;
        let mut message = Vec::new();
        fill(&mut message);
        self.send(&message).await
    }

    /// Makes the head of an answer. Until the answer is complete the connection counts as closed, so that one which
    /// fails or is cancelled half way is the last.
    async fn begin(&mut self, response: &Response, framing: Framing) -> Result<Vec<u8>, AnswerError> {
        if self.phase != Phase::Asked {
            return Err(AnswerError::NotDue);
        }
        self.phase = Phase::Closed;
        if !self.close {
            self.look_for_early_bytes().await?;
        }
        self.close |= *self.shutdown.borrow();
        response.head(framing, self.close).map_err(|name| AnswerError::Header { name })
    }

    /// Looks, without waiting, whether the client sent anything since its request: then this answer is the last one,
    /// and what was sent is not read as a request. A client that closed gets no answer.
    async fn look_for_early_bytes(&mut self) -> Result<(), AnswerError> {
        let mut room = [0_u8; 1];
        let seen = poll_fn(|cx| {
            let mut buffer = ReadBuf::new(&mut room);
            Poll::Ready(match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Pending => Ok(None),
                Poll::Ready(read) => read.map(|()| Some(buffer.filled().len())),
            })
        });
        match seen.await.map_err(AnswerError::Gone)? {
            None => Ok(()),
            Some(0) => Err(AnswerError::Gone(io::ErrorKind::UnexpectedEof.into())),
            Some(_) => {
                tracing::debug!(peer = %self.peer, "Client sent more before its answer");
                self.close = true;
                Ok(())
            }
        }
    }

    async fn answered(&mut self) {
        if self.close {
            self.finish().await;
        } else {
            self.phase = Phase::Ready;
        }
    }

    /// Writes all of `bytes` to a client that must keep reading.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), AnswerError> {
        let start = Instant::now();
        let mut rest = bytes;
        while !rest.is_empty() {
            let deadline = self.listening.limits.write_deadline(start, bytes.len() - rest.len());
            let written = timeout_at(deadline, self.stream.write(rest)).await;
            let written = written.map_err(|_| AnswerError::Stalled)?.map_err(AnswerError::Gone)?;
            if written == 0 {
                return Err(AnswerError::Gone(io::ErrorKind::WriteZero.into()));
            }
            rest = rest.get(written..).unwrap_or_default();
        }
        let flushed = timeout(self.listening.limits.write_stall, self.stream.flush()).await;
        flushed.map_err(|_| AnswerError::Stalled)?.map_err(AnswerError::Gone)
    }
}

/// Appends `part` as one chunk (RFC 9112 section 7.1); an empty part is none, since it would end the answer.
fn chunk(message: &mut Vec<u8>, part: &[u8]) {
    if part.is_empty() {
        return;
    }
    message.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
    message.extend_from_slice(part);
    message.extend_from_slice(b"\r\n");
}

/// Bodies up to this size go out in one piece with their head.
const TOGETHER: usize = 16 * 1024;
