//! The admin listener: metrics and health, for those who run the gateway.

use super::{
    Metrics, Sources,
    bind::{BoundAdmin, SocketFile},
    http::{self, Answer, Question, Status},
    readiness::{Ask, Readiness},
};
use async_trait::async_trait;
use pingora_core::{
    server::{ListenFds, ShutdownWatch},
    services::Service,
};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::Semaphore,
    task::JoinSet,
};

/// Serves what was bound.
pub(crate) struct Admin {
    bound: Option<BoundAdmin>,
    desk: Arc<Desk>,
}

/// Makes the service that answers on `bound` out of `metrics`, `sources` and what `ask` finds out now and then.
pub(crate) fn service(bound: BoundAdmin, metrics: Arc<Metrics>, sources: Sources, ask: Ask) -> Admin {
    let readiness = Readiness::new(ask);
    let desk = Desk { metrics, sources, readiness, draining: AtomicBool::new(false) };
    Admin { bound: Some(bound), desk: Arc::new(desk) }
}

#[async_trait]
impl Service for Admin {
    /// Answers until `shutdown`, and then until the last client connection has ended, so that it can be seen draining.
    async fn start_service(
        &mut self,
        _fds: Option<ListenFds>,
        mut shutdown: ShutdownWatch,
        _listeners_per_fd: usize,
    ) {
        let Some(bound) = self.bound.take() else { return };
        // Dropped at the end, and all that it serves with it.
        let mut serving = JoinSet::new();
        if let Err(error) = self.open(bound, &mut serving) {
            tracing::error!(%error, "Admin listener cannot be served");
        }
        let desk = Arc::clone(&self.desk);
        serving.spawn(async move { desk.readiness.watch(REFRESH).await });
        // The sender is gone only when the server is.
        while !*shutdown.borrow() && shutdown.changed().await.is_ok() {}
        self.desk.draining.store(true, Ordering::Relaxed);
        let mut ticks = tokio::time::interval(DRAINED);
        while self.desk.sources.listeners.open() > 0 {
            ticks.tick().await;
        }
    }

    fn name(&self) -> &'static str {
        "admin"
    }
}

impl Admin {
    fn open(&self, bound: BoundAdmin, serving: &mut JoinSet<()>) -> io::Result<()> {
        if let Some(listener) = bound.address {
            let listener = TcpListener::from_std(listener)?;
            serving.spawn(at_address(listener, Arc::clone(&self.desk)));
        }
        if let Some((listener, file)) = bound.socket {
            let listener = UnixListener::from_std(listener)?;
            serving.spawn(at_socket(listener, file, Arc::clone(&self.desk)));
        }
        Ok(())
    }
}

async fn at_address(listener: TcpListener, desk: Arc<Desk>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => spawn(stream, &places, &desk),
            Err(error) => rest(&error).await,
        }
    }
}

/// Root and the gateway's own user are answered, everybody else is not.
async fn at_socket(listener: UnixListener, file: SocketFile, desk: Arc<Desk>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => match stream.peer_cred() {
                Ok(peer) if may_ask(peer.uid(), file.owner()) => spawn(stream, &places, &desk),
                Ok(peer) => {
                    tracing::warn!(uid = peer.uid(), "Another user was turned away from the admin socket");
                }
                Err(error) => tracing::warn!(%error, "The peer of the admin socket is not known"),
            },
            Err(error) => rest(&error).await,
        }
    }
}

pub(super) const fn may_ask(uid: u32, own: u32) -> bool {
    uid == 0 || uid == own
}

/// Serves `stream` beside others, or closes it where there are too many.
fn spawn<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    places: &Arc<Semaphore>,
    desk: &Arc<Desk>,
) {
    if let Ok(place) = Arc::clone(places).try_acquire_owned() {
        let desk = Arc::clone(desk);
        tokio::spawn(async move {
            http::serve(stream, PATIENCE, |question| desk.answer(question)).await;
            drop(place);
        });
    }
}

/// No descriptors, usually: without a pause the loop would spin until one is free.
async fn rest(error: &io::Error) {
    tracing::warn!(%error, "Admin connections cannot be accepted");
    tokio::time::sleep(PAUSE).await;
}

/// Knows the answers.
pub(super) struct Desk {
    metrics: Arc<Metrics>,
    sources: Sources,
    readiness: Readiness,
    draining: AtomicBool,
}

impl Desk {
    fn answer(&self, question: &Question) -> Answer {
        match question.target.as_str() {
            "/metrics" => self.metrics(),
            "/healthz" => Answer { status: Status::Ok, body: "alive\n".to_owned() },
            "/readyz" => self.readiness(),
            _ => Answer::bare(Status::NotFound),
        }
    }

    fn metrics(&self) -> Answer {
        match self.metrics.page(&self.sources) {
            Ok(body) => Answer { status: Status::Ok, body },
            Err(error) => {
                tracing::error!(%error, "Metrics cannot be written");
                Answer::bare(Status::InternalError)
            }
        }
    }

    /// One line for each thing that is in the way.
    fn readiness(&self) -> Answer {
        let mut findings = String::new();
        if self.draining.load(Ordering::Relaxed) {
            findings.push_str("draining: no new connections are accepted\n");
        }
        if !(self.sources.audit_healthy)() {
            findings.push_str("audit: records do not reach the disk\n");
        }
        if let Err(error) = self.readiness.tickets() {
            findings.push_str("tickets: ");
            findings.push_str(&error.replace(['\r', '\n'], " "));
            findings.push('\n');
        }
        if findings.is_empty() {
            return Answer { status: Status::Ok, body: "ready\n".to_owned() };
        }
        Answer { status: Status::Unavailable, body: findings }
    }
}

/// So many connections are served at a time on each socket.
const CONNECTIONS: usize = 64;
/// From the first byte of a question to the last of its answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is found out whether tickets can be had.
const REFRESH: Duration = Duration::from_secs(3);
/// How often it is looked whether the last client has left.
const DRAINED: Duration = Duration::from_millis(100);
/// How long accepting rests after the system had nothing to give.
const PAUSE: Duration = Duration::from_millis(100);
