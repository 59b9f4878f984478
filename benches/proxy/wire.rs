//! As much HTTP/1.1 as the client and the hosts of the benchmark need: heads, lengths, chunks, no more.

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::support::find;

/// One end of a connection.
pub(crate) struct Wire<S> {
    stream: S,
    unread: BytesMut,
    unsent: Vec<u8>,
}

/// A request or an answer that has arrived.
pub(crate) struct Message {
    /// The status line, or the request line.
    pub(crate) start: String,
    /// The value of `Content-Type`.
    pub(crate) content_type: String,
    /// The token in `Authorization` or `WWW-Authenticate`, with its scheme.
    pub(crate) token: Option<String>,
    pub(crate) body: Bytes,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, unread: BytesMut::with_capacity(16 * 1024), unsent: Vec::new() }
    }

    /// Sends `head`, all but its `Content-Length` and its end, and `body`, at once.
    pub(crate) async fn send(&mut self, head: &str, body: &[u8]) -> Result<()> {
        self.unsent.clear();
        self.unsent.extend_from_slice(head.as_bytes());
        self.unsent.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        self.unsent.extend_from_slice(body);
        self.stream.write_all(&self.unsent).await?;
        self.stream.flush().await?;
        Ok(())
    }

    /// The next message; none where the peer has closed the connection between two.
    pub(crate) async fn receive(&mut self) -> Result<Option<Message>> {
        let end = loop {
            if let Some(end) = find(&self.unread, b"\r\n\r\n") {
                break end;
            }
            ensure!(self.unread.len() < MOST_HEAD, "an endless head");
            if !self.more(MOST_HEAD).await? {
                ensure!(self.unread.is_empty(), "closed within a head");
                return Ok(None);
            }
        };
        let head = self.unread.split_to(end + 4);
        let text = std::str::from_utf8(&head)?;
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let (mut length, mut chunked) = (0, false);
        let mut message = Message { start, content_type: String::new(), token: None, body: Bytes::new() };
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse()?,
                "transfer-encoding" => chunked = value == "chunked",
                "content-type" => value.clone_into(&mut message.content_type),
                "authorization" | "www-authenticate" => message.token = Some(value.to_owned()),
                _ => {}
            }
        }
        message.body = if chunked { self.chunks().await? } else { self.exactly(length).await? };
        Ok(Some(message))
    }

    async fn chunks(&mut self) -> Result<Bytes> {
        let mut whole = BytesMut::new();
        loop {
            let end = loop {
                match find(&self.unread, b"\r\n") {
                    Some(end) => break end,
                    None => ensure!(self.more(MOST_HEAD).await?, "closed within a chunk"),
                }
            };
            let line = self.unread.split_to(end);
            let length =
                usize::from_str_radix(std::str::from_utf8(&line)?, 16).context("the length of a chunk")?;
            self.unread.advance(2);
            let chunk = self.exactly(length + 2).await?;
            if length == 0 {
                return Ok(whole.freeze());
            }
            whole.extend_from_slice(chunk.get(..length).unwrap_or_default());
        }
    }

    async fn exactly(&mut self, length: usize) -> Result<Bytes> {
        while self.unread.len() < length {
            if !self.more(length).await? {
                bail!("closed after {} of {length} bytes", self.unread.len());
            }
        }
        Ok(self.unread.split_to(length).freeze())
    }

    async fn more(&mut self, room: usize) -> Result<bool> {
        self.unread.reserve(room.saturating_sub(self.unread.len()).max(1024));
        Ok(self.stream.read_buf(&mut self.unread).await? > 0)
    }
}

const MOST_HEAD: usize = 16 * 1024;
