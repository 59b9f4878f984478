//! As much HTTP/1.1 as a scrape and a probe need: one GET or HEAD per connection, without a body.

use std::{io, time::Duration};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    /// The whole request target.
    pub(super) target: String,
    /// Whether the answer's body is left out.
    head_only: bool,
}

/// An answer in plain text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: Status,
    pub(super) body: String,
}

/// The statuses that there are here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    BadRequest,
    NotFound,
    MethodNotAllowed,
    HeadTooLarge,
    InternalError,
    Unavailable,
    Version,
}

impl Status {
    const fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed\r\nAllow: GET, HEAD",
            Self::HeadTooLarge => "431 Request Header Fields Too Large",
            Self::InternalError => "500 Internal Server Error",
            Self::Unavailable => "503 Service Unavailable",
            Self::Version => "505 HTTP Version Not Supported",
        }
    }
}

impl Answer {
    /// A status that says all.
    pub(super) fn bare(status: Status) -> Self {
        let text = status.line().lines().next().unwrap_or_default();
        Self { status, body: format!("{text}\n") }
    }
}

/// Reads one question, writes what `answer` says to it, and ends the connection; gives up when `patience` is over.
pub(super) async fn serve<S>(stream: S, patience: Duration, answer: impl FnOnce(&Question) -> Answer)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // Whatever ends it early, nobody is left to tell.
    drop(tokio::time::timeout(patience, exchange(stream, answer)).await);
}

async fn exchange<S>(mut stream: S, answer: impl FnOnce(&Question) -> Answer) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let asked = read(&mut stream).await?;
    let (answer, head_only) = match asked {
        Ok(question) => (answer(&question), question.head_only),
        Err(status) => (Answer::bare(status), false),
    };
    let mut text = format!(
        "HTTP/1.1 {}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: \
         no-store\r\nConnection: close\r\n\r\n",
        answer.status.line(),
        answer.body.len()
    );
    if !head_only {
        text.push_str(&answer.body);
    }
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await?;
    // Closing on bytes that were not read would reset the connection, and with it the answer.
    tokio::io::copy(&mut stream.take(MAX_LEFT), &mut tokio::io::sink()).await.map(drop)
}

/// Reads a head; what cannot be taken is a status.
async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Result<Question, Status>> {
    let mut head = Vec::with_capacity(1024);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() >= MAX_HEAD {
            return Ok(Err(Status::HeadTooLarge));
        }
        let room = u64::try_from(MAX_HEAD - head.len()).unwrap_or(0);
        if (&mut *stream).take(room).read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(parse(&head))
}

fn parse(head: &[u8]) -> Result<Question, Status> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(Status::BadRequest),
        Err(httparse::Error::TooManyHeaders) => return Err(Status::HeadTooLarge),
        Err(httparse::Error::Version) => return Err(Status::Version),
        Err(_) => return Err(Status::BadRequest),
    }
    if request.version != Some(1) {
        return Err(Status::Version);
    }
    let hosts = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("host")).count();
    if hosts != 1 {
        return Err(Status::BadRequest);
    }
    let head_only = match request.method {
        Some("GET") => false,
        Some("HEAD") => true,
        Some(_) | None => return Err(Status::MethodNotAllowed),
    };
    let target = request.path.ok_or(Status::BadRequest)?.to_owned();
    Ok(Question { target, head_only })
}

const MAX_HEAD: usize = 8 * 1024;
const MAX_HEADERS: usize = 64;
/// So much of what follows a head is read and thrown away.
const MAX_LEFT: u64 = 64 * 1024;
