//! Bytes out and in, each within its time.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, duplex},
    time::Instant,
};

use crate::backend::{
    http::HttpError,
    stats::Counters,
    wire::{Unread, Wire},
};

const SECOND: Duration = Duration::from_secs(1);

fn wire(room: usize) -> (Wire, DuplexStream) {
    let (ours, theirs) = duplex(room);
    (Wire::new(Box::new(ours), Arc::new(Counters::default()).opened()), theirs)
}

fn soon() -> Instant {
    Instant::now() + 5 * SECOND
}

/// Counts writes and takes them all.
struct Counting(Arc<AtomicUsize>);

impl AsyncRead for Counting {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Counting {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_small_body_leaves_together_with_its_head() {
    for (body, writes) in [(0, 1), (1_200, 1), (16 * 1024, 1), (150_000, 2)] {
        let count = Arc::new(AtomicUsize::new(0));
        let open = Arc::new(Counters::default()).opened();
        let mut wire = Wire::new(Box::new(Counting(Arc::clone(&count))), open);
        wire.send("head".to_owned(), &vec![0; body], SECOND).await.unwrap();
        assert_eq!(count.load(Ordering::Relaxed), writes, "{body} bytes");
    }
}

#[tokio::test(start_paused = true)]
async fn threat_55_a_host_that_takes_nothing_ends_the_request_in_time() {
    for (room, in_head) in [(8, true), (100, false)] {
        let (mut wire, _host) = wire(room);
        let started = Instant::now();
        let unsent = wire.send("x".repeat(50), &[0; 500], 5 * SECOND).await.unwrap_err();
        assert_eq!((unsent.in_head, unsent.source.is_none()), (in_head, true));
        assert_eq!(started.elapsed(), 5 * SECOND);
    }
}

#[tokio::test]
async fn a_host_that_is_gone_is_noticed_in_the_head_or_behind_it() {
    let (mut wire, host) = wire(8);
    drop(host);
    let unsent = wire.send("x".repeat(50), &[0; 500], SECOND).await.unwrap_err();
    assert!(unsent.in_head && unsent.source.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_late_lost_or_broken_and_says_whether_it_had_begun() {
    let (mut quiet, _host) = wire(100);
    assert!(matches!(quiet.read_head(soon()).await, Err(Unread::TimedOut)));
    let (mut closed, host) = wire(100);
    drop(host);
    assert!(matches!(closed.read_head(soon()).await, Err(Unread::Lost { begun: false, .. })));
    let (mut cut, mut host) = wire(100);
    host.write_all(b"HTTP/1.1 2").await.unwrap();
    drop(host);
    assert!(matches!(cut.read_head(soon()).await, Err(Unread::Lost { begun: true, .. })));
    let (mut broken, mut host) = wire(100);
    host.write_all(b"HTTP/1.0 200\r\n\r\n").await.unwrap();
    assert!(matches!(broken.read_head(soon()).await, Err(Unread::Broken(HttpError::StatusLine))));
    let (mut slow, mut host) = wire(100);
    host.write_all(b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\na").await.unwrap();
    let mut head = slow.read_head(soon()).await.unwrap();
    assert_eq!(slow.read_body(&mut head.body, soon()).await.unwrap().unwrap(), "a");
    assert!(matches!(slow.read_body(&mut head.body, soon()).await, Err(Unread::TimedOut)));
}

#[tokio::test(start_paused = true)]
async fn a_head_that_trickles_in_has_one_deadline_for_all_of_it() {
    let (mut wire, mut host) = wire(100);
    let trickle = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(SECOND);
        while host.write_all(b"HTTP/1.1 200 \r\nX: y").await.is_ok() {
            ticks.tick().await;
        }
    });
    let started = Instant::now();
    assert!(matches!(wire.read_head(soon()).await, Err(Unread::TimedOut)));
    assert_eq!(started.elapsed(), 5 * SECOND);
    drop(wire);
    trickle.await.unwrap();
}

#[tokio::test]
async fn a_word_or_the_end_breaks_the_quiet() {
    let (mut wire, mut host) = wire(100);
    assert!(wire.is_quiet() && wire.is_quiet());
    host.write_all(b"x").await.unwrap();
    assert!(!wire.is_quiet());
    let (mut wire, host) = self::wire(100);
    drop(host);
    assert!(!wire.is_quiet());
    let (mut wire, mut host) = self::wire(100);
    host.write_all(b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\nsurplus").await.unwrap();
    wire.read_head(soon()).await.unwrap();
    assert!(!wire.is_quiet(), "what was read too much counts");
    drop(wire);
    assert_eq!(host.read(&mut [0]).await.unwrap(), 0, "dropped is closed");
}
