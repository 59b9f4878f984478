//! The admin listener, over real sockets.

use super::{metrics, sources};
use crate::telemetry::{
    Ask, TelemetryError,
    admin::may_ask,
    bind,
    http::{self, Answer, Status},
    service,
};
use pingora_core::services::Service as _;
use std::{
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    sync::watch,
    task::JoinHandle,
};

/// An admin listener that is served.
struct Served {
    address: SocketAddr,
    healthy: Arc<AtomicBool>,
    tickets: Arc<Mutex<Result<(), String>>>,
    asked: Arc<AtomicUsize>,
    shutdown: watch::Sender<bool>,
    task: JoinHandle<()>,
}

fn serve(socket: Option<&Path>) -> Served {
    let bound = bind(Some("127.0.0.1:0".parse().unwrap()), socket).unwrap();
    let address = bound.address().unwrap();
    let healthy = Arc::new(AtomicBool::new(true));
    let tickets = Arc::new(Mutex::new(Ok(())));
    let asked = Arc::new(AtomicUsize::new(0));
    let ask: Ask = {
        let (tickets, asked) = (Arc::clone(&tickets), Arc::clone(&asked));
        Box::new(move || {
            asked.fetch_add(1, Ordering::SeqCst);
            let found = tickets.lock().unwrap().clone();
            Box::pin(async move { found })
        })
    };
    let mut admin = service(bound, Arc::new(metrics()), sources(&healthy), ask);
    let (shutdown, watching) = watch::channel(false);
    let task = tokio::spawn(async move { admin.start_service(None, watching, 1).await });
    Served { address, healthy, tickets, asked, shutdown, task }
}

impl Served {
    async fn say(&self, text: &str) -> String {
        say(TcpStream::connect(self.address).await.unwrap(), text).await
    }

    async fn get(&self, path: &str) -> (u16, String) {
        split(&self.say(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await)
    }

    /// Asks `/readyz` until it says `status`.
    async fn ready(&self, status: u16) -> String {
        let started = Instant::now();
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        loop {
            ticks.tick().await;
            let (found, body) = self.get("/readyz").await;
            if found == status {
                return body;
            }
            assert!(started.elapsed() < Duration::from_secs(10), "{found}: {body}");
        }
    }
}

async fn say<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, text: &str) -> String {
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn split(answer: &str) -> (u16, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{answer}");
    assert!(head.contains("Connection: close"), "{answer}");
    (status, body.to_owned())
}

#[tokio::test]
async fn metrics_and_health_are_answered_and_nothing_else_is() {
    let served = serve(None);
    let (status, page) = served.get("/metrics").await;
    assert_eq!(status, 200);
    assert!(page.contains("# TYPE winrm_gateway_kdc_calls_total counter"), "{page}");
    assert_eq!(served.get("/healthz").await, (200, "alive\n".to_owned()));
    assert_eq!(served.ready(200).await, "ready\n");
    for path in ["/", "/metrics/", "/metrics?x=1", "/wsman", "/debug/pprof", "//metrics", "/%6detrics"] {
        assert_eq!(served.get(path).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn what_is_no_plain_get_or_head_is_refused() {
    let served = serve(None);
    let long = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(9_000));
    let many = format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(80));
    for (text, status) in [
        ("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 405),
        ("DELETE /readyz HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        ("GET /healthz HTTP/1.0\r\nHost: x\r\n\r\n", 505),
        ("GET /healthz HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        ("GET /healthz HTTP/1.1\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        ("GET /healthz\r\n\r\n", 400),
        ("\u{1}\u{2}\r\n\r\n", 400),
        (&long, 431),
        (&many, 431),
    ] {
        let answer = served.say(text).await;
        assert_eq!(split(&answer).0, status, "{text:.60}: {answer}");
    }
    let refused = served.say("PUT /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(refused.contains("\r\nAllow: GET, HEAD\r\n"), "{refused}");
    let head = served.say("HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("Content-Length: 6\r\n"), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "{head}");
}

#[tokio::test]
async fn readiness_says_what_is_in_the_way() {
    let served = serve(None);
    served.ready(200).await;
    served.healthy.store(false, Ordering::SeqCst);
    assert_eq!(served.ready(503).await, "audit: records do not reach the disk\n");
    served.healthy.store(true, Ordering::SeqCst);
    served.ready(200).await;
    *served.tickets.lock().unwrap() = Err("no KDC answers\r\nfor svc-gw".to_owned());
    assert_eq!(served.ready(503).await, "tickets: no KDC answers  for svc-gw\n");
    served.healthy.store(false, Ordering::SeqCst);
    assert_eq!(served.ready(503).await.lines().count(), 2);
}

#[tokio::test]
async fn a_storm_of_probes_asks_the_kdc_no_more_often() {
    let served = serve(None);
    let started = Instant::now();
    for _ in 0..300 {
        served.get("/readyz").await;
    }
    let most = 1 + started.elapsed().as_secs() / 3 + 1;
    let asked = served.asked.load(Ordering::SeqCst);
    assert!(asked >= 1 && u64::try_from(asked).unwrap() <= most, "{asked} times in {:?}", started.elapsed());
}

#[tokio::test]
async fn before_the_first_finding_nobody_is_told_that_it_is_ready() {
    let bound = bind(Some("127.0.0.1:0".parse().unwrap()), None).unwrap();
    let address = bound.address().unwrap();
    let ask: Ask = Box::new(|| Box::pin(std::future::pending()));
    let mut admin = service(bound, Arc::new(metrics()), sources(&Arc::new(AtomicBool::new(true))), ask);
    let (_shutdown, watching) = watch::channel(false);
    tokio::spawn(async move { admin.start_service(None, watching, 1).await });
    let stream = TcpStream::connect(address).await.unwrap();
    let answer = say(stream, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(split(&answer), (503, "tickets: not known yet\n".to_owned()));
}

#[tokio::test]
async fn too_many_connections_are_closed_and_others_served_again() {
    let served = serve(None);
    let mut idle = Vec::new();
    for _ in 0..64 {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(b"GET /healthz").await.unwrap();
        idle.push(stream);
    }
    let mut more = TcpStream::connect(served.address).await.unwrap();
    let at_once = Duration::from_secs(2);
    let closed = tokio::time::timeout(at_once, more.read(&mut [0; 1])).await.expect("it is one too many");
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    idle.clear();
    let started = Instant::now();
    loop {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        drop(stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await);
        let mut answer = String::new();
        drop(stream.read_to_string(&mut answer).await);
        if answer.contains("alive") {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(4), "nobody is served any more");
    }
}

#[tokio::test]
async fn a_silent_client_is_let_go() {
    for text in ["", "GET /healthz HTTP/1.1\r\nHost: x\r\n"] {
        let (mut client, server) = tokio::io::duplex(1_024);
        let answer = |_: &http::Question| -> Answer { panic!("nothing was asked") };
        let serving = http::serve(server, Duration::from_millis(50), answer);
        client.write_all(text.as_bytes()).await.unwrap();
        tokio::time::timeout(Duration::from_secs(5), serving).await.unwrap();
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
    }
    let (mut client, server) = tokio::io::duplex(1_024);
    let long = || Answer { status: Status::Ok, body: "x".repeat(100_000) };
    let serving = tokio::spawn(http::serve(server, Duration::from_millis(50), move |_| long()));
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), serving)
        .await
        .expect("one who does not read is let go")
        .unwrap();
}

#[tokio::test]
async fn the_socket_is_its_owner_s_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    let served = serve(Some(&path));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    for (target, status) in [("/healthz", 200), ("/metrics", 200), ("/other", 404)] {
        let stream = UnixStream::connect(&path).await.unwrap();
        let answer = say(stream, &format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        assert_eq!(split(&answer).0, status, "{target}");
    }
    assert!(may_ask(0, 1_000) && may_ask(1_000, 1_000));
    assert!(!may_ask(1_001, 1_000) && !may_ask(1_000, 0));
    assert!(matches!(bind(None, Some(&path)), Err(TelemetryError::InUse { .. })));
    served.shutdown.send(true).unwrap();
    tokio::time::timeout(Duration::from_secs(5), served.task)
        .await
        .expect("it ends with the last client")
        .unwrap();
    assert!(!path.exists(), "the socket outlives the gateway");
}

#[tokio::test]
async fn what_lies_in_the_way_of_the_socket_is_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(bind(None, Some(&path)), Err(TelemetryError::NotASocket { .. })));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    std::fs::remove_file(&path).unwrap();
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(bind(None, Some(&path)).is_ok(), "a stale socket is replaced");
    let taken = bind(Some("127.0.0.1:0".parse().unwrap()), None).unwrap();
    assert!(matches!(bind(taken.address(), None), Err(TelemetryError::Address { .. })));
}
