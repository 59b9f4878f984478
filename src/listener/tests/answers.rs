//! Answers, draining, and clients that leave.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::support::{Behaviour, Event, Lab, SOON, ask, converse, post, status};
use crate::listener::connection::AnswerError;
use crate::listener::{ClientAddr, Gone, Limits, ListenAddress, Settings, Transport, bind};

#[tokio::test]
async fn several_envelopes_are_sent_as_they_come_and_end_properly() {
    let mut lab = Lab::http(Behaviour::Parts, Limits::default());
    let request = b"POST /wsman HTTP/1.1\r\nHost: gw\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let answer = converse(lab.connect().await, request).await;
    assert!(
        answer.contains("Transfer-Encoding: chunked\r\n") && !answer.contains("Content-Length"),
        "{answer}"
    );
    assert!(answer.ends_with("\r\n\r\n8\r\n<first/>\r\n9\r\n<second/>\r\n0\r\n\r\n"), "{answer}");
    assert!(matches!(lab.until_ended().await.as_slice(), [Event::Asked(_), Event::Answered(Ok(()))]));
}

#[tokio::test]
async fn an_unfinished_answer_stays_unfinished_and_closes() {
    let mut lab = Lab::http(Behaviour::BrokenParts, Limits::default());
    let requests = [post("/wsman", "gw", "")].concat();
    let answer = converse(lab.connect().await, &requests).await;
    assert!(answer.ends_with("9\r\n<second/>\r\n"), "{answer}");
    assert!(matches!(lab.until_ended().await.as_slice(), [Event::Asked(_), Event::Answered(Ok(()))]));
}

#[tokio::test]
async fn threat_50_half_a_close_is_a_close() {
    let mut lab = Lab::http(Behaviour::Wait, Limits::default());
    let mut stream = lab.connect().await;
    stream.write_all(&post("/wsman", "gw", "")).await.unwrap();
    assert!(matches!(lab.next().await, Event::Asked(_)));
    stream.shutdown().await.unwrap();
    assert!(matches!(lab.next().await, Event::Gone(Gone::Closed)));
    assert!(matches!(lab.next().await, Event::Answered(Err(AnswerError::NotDue))));
    assert!(matches!(lab.next().await, Event::Ended));
    assert_eq!(converse(stream, b"").await, "");
}

#[tokio::test]
async fn threat_20_bytes_sent_while_an_answer_is_due_are_never_a_request() {
    let mut lab = Lab::http(Behaviour::Wait, Limits::default());
    let mut stream = lab.connect().await;
    stream.write_all(&post("/wsman", "gw", "")).await.unwrap();
    assert!(matches!(lab.next().await, Event::Asked(_)));
    let answer = converse(stream, &post("/smuggled", "gw", "")).await;
    assert!(status(&answer) == 200 && answer.contains("Connection: close\r\n"), "{answer}");
    let events = lab.until_ended().await;
    assert!(
        matches!(events.as_slice(), [Event::Gone(Gone::SentEarly), Event::Answered(Ok(()))]),
        "{events:?}"
    );
    assert_eq!(lab.stats.requests(), 1);
}

#[tokio::test]
async fn threat_20_bytes_that_came_before_the_answer_end_the_connection() {
    let mut lab = Lab::http(Behaviour::AnswerAtStop, Limits::default());
    let mut stream = lab.connect().await;
    stream.write_all(&post("/wsman", "gw", "")).await.unwrap();
    assert!(matches!(lab.next().await, Event::Asked(_)));
    stream.write_all(&post("/smuggled", "gw", "")).await.unwrap();
    lab.stop.send(true).unwrap();
    assert_eq!(converse(stream, b"").await.matches("HTTP/1.1").count(), 1);
    assert!(matches!(lab.until_ended().await.as_slice(), [Event::Answered(Ok(()))]));
    assert_eq!(lab.stats.requests(), 1);
}

#[tokio::test]
async fn at_the_stop_idle_clients_go_at_once_and_active_ones_get_their_answer() {
    let mut lab = Lab::http(Behaviour::AnswerAtStop, Limits::default());
    let idle = lab.connect().await;
    let mut active = lab.connect().await;
    active.write_all(&post("/wsman", "gw", "body")).await.unwrap();
    while !matches!(lab.event().await, Event::Asked(_)) {}
    lab.stop.send(true).unwrap();
    assert_eq!(converse(idle, b"").await, "");
    let answer = converse(active, b"").await;
    assert!(answer.contains("Connection: close\r\n") && answer.ends_with("body"), "{answer}");
    timeout(SOON, lab.served).await.expect("the service ends").unwrap();
    assert_eq!((lab.stats.open(), lab.stats.requests()), (0, 1));
}

#[tokio::test]
async fn a_client_on_a_unix_socket_is_known_by_its_uid() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gw.sock");
    let address = ListenAddress::Unix(path.clone());
    let settings =
        Settings { name: "local".into(), address, transport: Transport::Http, limits: Limits::default() };
    let mut lab = Lab::run(Behaviour::Echo, bind(settings).unwrap());
    let mut stream = UnixStream::connect(&path).await.unwrap();
    assert_eq!(status(&ask(&mut stream, &post("/wsman", "localhost", "")).await), 200);
    let own = std::os::unix::fs::MetadataExt::uid(&path.metadata().unwrap());
    let Event::Connected { peer: ClientAddr::Unix { uid, pid, .. }, tls: None } = lab.event().await else {
        panic!("not a unix peer")
    };
    assert_eq!((uid, pid), (own, i32::try_from(std::process::id()).ok()));
    lab.stop.send(true).unwrap();
    timeout(SOON, lab.served).await.expect("the service ends").unwrap();
    assert!(!path.exists(), "the socket is removed");
}

#[test]
fn plain_http_is_for_this_machine() {
    let local = |address: &str| ListenAddress::Tcp(address.parse().unwrap()).is_local();
    assert!(
        local("127.0.0.1:1") && local("127.9.9.9:1") && local("[::1]:1") && local("[::ffff:127.0.0.1]:1")
    );
    assert!(!local("0.0.0.0:1") && !local("[::]:1") && !local("10.0.0.1:1"));
    assert!(ListenAddress::Unix("/run/gw.sock".into()).is_local());
}

#[tokio::test]
async fn a_large_answer_arrives_whole() {
    let lab = Lab::http(Behaviour::Large(700_000), Limits::default());
    let mut stream = lab.connect().await;
    let answer = ask(&mut stream, &post("/wsman", "gw", "")).await;
    assert!(answer.ends_with(&"x".repeat(700_000)));
    let mut one = [0_u8; 1];
    drop(lab);
    assert_eq!(stream.read(&mut one).await.unwrap_or(0), 0);
}
