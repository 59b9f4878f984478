//! Slow clients, too many clients, too much at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;

use super::support::{ALICE, Authority, Behaviour, Event, Lab, SOON, ask, converse, post, status};
use crate::listener::connection::AnswerError;
use crate::listener::{ClientCertificates, FailureReason, Limits, Reason, RequestError};

const SHORT: Duration = Duration::from_millis(200);

fn refused(reason: Reason) -> RequestError {
    RequestError::Refused { status: reason.status(), reason }
}

#[tokio::test]
async fn threat_50_a_slow_head_is_cut() {
    let mut lab = Lab::http(Behaviour::Echo, Limits { head: SHORT, ..Limits::default() });
    let answer = converse(lab.connect().await, b"POST /wsman HTTP/1.1\r\nHost: gw\r\n").await;
    assert_eq!(status(&answer), 408);
    assert!(matches!(lab.next().await, Event::Refused(error) if error == refused(Reason::HeadTooSlow)));
}

#[tokio::test]
async fn threat_50_idling_is_not_counted_as_a_slow_head() {
    let lab = Lab::http(Behaviour::Echo, Limits { head: SHORT, ..Limits::default() });
    let mut stream = lab.connect().await;
    ask(&mut stream, &post("/wsman", "gw", "")).await;
    // Well past the head's deadline on another connection.
    converse(lab.connect().await, b"P").await;
    assert_eq!(status(&ask(&mut stream, &post("/wsman", "gw", "")).await), 200);
}

#[tokio::test]
async fn threat_50_an_idle_connection_is_closed_without_a_word() {
    let mut lab = Lab::http(Behaviour::Echo, Limits { idle: SHORT, ..Limits::default() });
    assert_eq!(converse(lab.connect().await, b"").await, "");
    assert!(matches!(lab.next().await, Event::Ended));
}

#[tokio::test]
async fn threat_50_a_slow_body_is_cut() {
    let slow = Limits { body_grace: SHORT, ..Limits::default() };
    let late = Limits { body: SHORT, ..Limits::default() };
    for limits in [slow, late] {
        let mut lab = Lab::http(Behaviour::Echo, limits);
        let answer =
            converse(lab.connect().await, b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: 9\r\n\r\n1").await;
        assert_eq!(status(&answer), 408);
        assert!(matches!(lab.next().await, Event::Refused(error) if error == refused(Reason::BodyTooSlow)));
    }
}

#[test]
fn threat_50_bytes_that_come_buy_time_up_to_the_whole_bodys_limit() {
    let limits = Limits::default();
    let start = tokio::time::Instant::now();
    let deadline = |received| limits.body_deadline(start, received) - start;
    assert_eq!(deadline(0), Duration::from_secs(10));
    assert_eq!(deadline(1024), Duration::from_secs(11));
    assert_eq!(deadline(10 * 1024 * 1024), Duration::from_secs(120));
}

#[tokio::test]
async fn threat_50_a_client_that_does_not_read_is_cut() {
    let limits = Limits { write_stall: SHORT, ..Limits::default() };
    let mut lab = Lab::http(Behaviour::Large(64 * 1024 * 1024), limits);
    let mut stream = lab.connect().await;
    stream.write_all(&post("/wsman", "gw", "")).await.unwrap();
    assert!(matches!(lab.next().await, Event::Asked(_)));
    assert!(matches!(lab.next().await, Event::Answered(Err(AnswerError::Stalled))));
    assert!(matches!(lab.next().await, Event::Ended));
}

#[tokio::test]
async fn threat_50_half_a_tls_handshake_is_cut() {
    let authority = Authority::new();
    let limits = Limits { handshake: SHORT, ..Limits::default() };
    let mut lab = Lab::https_with(Behaviour::Echo, limits, authority.tls(ClientCertificates::Off));
    let started = Instant::now();
    assert_eq!(converse(lab.connect().await, b"\x16\x03\x01\x02\x00\x01").await, "");
    assert!(started.elapsed() < SOON);
    assert!(matches!(lab.next().await, Event::Failed(failure) if failure.reason == FailureReason::Timeout));
}

#[tokio::test]
async fn threat_50_a_client_that_leaves_in_the_middle_is_told_once() {
    let mut lab = Lab::http(Behaviour::Echo, Limits::default());
    for part in [&b"POST /wsm"[..], b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: 9\r\n\r\n1"] {
        let mut stream = lab.connect().await;
        stream.write_all(part).await.unwrap();
        stream.shutdown().await.unwrap();
        assert!(matches!(lab.until_ended().await.as_slice(), [Event::Refused(RequestError::Lost)]));
    }
}

#[tokio::test]
async fn threat_51_connections_beyond_the_caps_are_closed_and_told() {
    for (limits, reason) in [
        (Limits { connections: 2, ..Limits::default() }, FailureReason::TooManyConnections),
        (Limits { connections_per_address: 2, ..Limits::default() }, FailureReason::TooManyFromAddress),
    ] {
        let mut lab = Lab::http(Behaviour::Echo, limits);
        let mut first = lab.connect().await;
        let mut second = lab.connect().await;
        ask(&mut first, &post("/wsman", "gw", "")).await;
        ask(&mut second, &post("/wsman", "gw", "")).await;
        assert_eq!(converse(lab.connect().await, b"").await, "");
        let mut failures = Vec::new();
        while failures.is_empty() {
            if let Event::Failed(failure) = lab.next().await {
                failures.push(failure.reason);
            }
        }
        assert_eq!(failures, [reason]);
        assert_eq!((lab.stats.accepted(), lab.stats.open()), (3, 2));
        drop(first);
        while !matches!(lab.next().await, Event::Ended) {}
        assert_eq!(
            status(&ask(&mut lab.connect().await, &post("/wsman", "gw", "")).await),
            200,
            "the place is free"
        );
    }
}

#[tokio::test]
async fn threat_52_bodies_beyond_the_common_budget_are_refused() {
    let budget = Arc::new(Semaphore::new(100_000));
    let limits = Limits { buffered_bytes: Arc::clone(&budget), ..Limits::default() };
    let mut lab = Lab::http(Behaviour::AnswerAtStop, limits);
    let mut holder = lab.connect().await;
    holder.write_all(&post("/wsman", "gw", &"x".repeat(60_000))).await.unwrap();
    let Event::Asked(held) = lab.next().await else { panic!("not asked") };
    assert_eq!((held.body.len(), budget.available_permits()), (60_000, 40_000));
    let answer = converse(lab.connect().await, &post("/wsman", "gw", &"x".repeat(50_000))).await;
    assert!(status(&answer) == 503 && answer.contains("Retry-After: 1\r\n"), "{answer}");
    let events = lab.until_ended().await;
    assert!(matches!(events.as_slice(), [Event::Refused(error)] if *error == refused(Reason::Overloaded)));
    lab.stop.send(true).unwrap();
    assert_eq!(status(&converse(holder, b"").await), 200);
    lab.until_ended().await;
    let slice = held.body.slice(10..20);
    drop(held);
    assert_eq!(budget.available_permits(), 40_000, "a slice still holds the bytes");
    drop(slice);
    assert_eq!(budget.available_permits(), 100_000);
}

#[tokio::test]
async fn threat_52_announcing_a_large_body_takes_little_from_others() {
    let budget = Arc::new(Semaphore::new(1_000_000));
    let limits = Limits { buffered_bytes: Arc::clone(&budget), ..Limits::default() };
    let mut lab = Lab::http(Behaviour::Echo, limits);
    let mut greedy = lab.connect().await;
    let head = "POST / HTTP/1.1\r\nHost: gw\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n";
    greedy.write_all(head.as_bytes()).await.unwrap();
    let mut interim = [0; 25];
    greedy.read_exact(&mut interim).await.unwrap();
    assert_eq!(
        status(&ask(&mut lab.connect().await, &post("/wsman", "gw", &"x".repeat(500_000))).await),
        200
    );
    assert!(budget.available_permits() >= 900_000 - 500_000);
    drop(greedy);
    while !matches!(lab.next().await, Event::Refused(RequestError::Lost)) {}
}

#[tokio::test]
async fn threat_51_a_flood_of_handshakes_leaves_nothing_behind() {
    let authority = Authority::new();
    authority.issue("alice", &[], ALICE);
    let mut lab = Lab::https(authority.tls(ClientCertificates::Required(authority.trust(Vec::new()))));
    for _ in 0..20 {
        drop(lab.connect().await);
    }
    let client = authority.client(Some("alice"), &rustls::version::TLS13);
    assert_eq!(status(&client.once(&lab).await), 200);
    while !matches!(lab.next().await, Event::Ended) {}
    lab.stop.send(true).unwrap();
    tokio::time::timeout(SOON, &mut lab.served).await.unwrap().unwrap();
    assert_eq!((lab.stats.accepted(), lab.stats.open(), lab.stats.handshakes()), (21, 0, 1));
    let closed = lab.stats.failed().find(|(reason, _)| *reason == FailureReason::Closed);
    assert_eq!(closed, Some((FailureReason::Closed, 20)));
}
