//! The accept loops and handshakes, run as one pingora service.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::server::{ListenFds, ShutdownWatch};
use pingora_core::services::Service;
use rustls::{HandshakeKind, ProtocolVersion};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::admission::{Admission, descriptor_ceiling};
use super::bind::{Bound, Socket, SocketFile};
use super::connection::{ClientConnection, Origin, Stream, TlsFacts};
use super::refusal::FailureReason;
use super::settings::{Limits, TlsVersion};
use super::stats::Stats;
use super::tls::{Tls, TlsReloader, TlsSnapshot};
use super::{ClientAddr, ConnectionFailure, Handler};

/// All listeners, in one service and thus in one runtime: what serves a client may be shared by all clients.
pub(crate) struct Listeners<H> {
    bound: Vec<Bound>,
    handler: Arc<H>,
    stats: Arc<Stats>,
}

/// Makes the service that accepts on `listeners` and hands each connection to `handler`.
pub(crate) fn service<H: Handler>(listeners: Vec<Bound>, handler: Arc<H>) -> Listeners<H> {
    Listeners { bound: listeners, handler, stats: Arc::default() }
}

impl<H> Listeners<H> {
    /// What loads the TLS files of these listeners anew; to be asked for before the service is started.
    pub(crate) fn reloaders(&self) -> Vec<TlsReloader> {
        self.bound.iter().filter_map(Bound::reloader).collect()
    }

    /// The service's counters.
    pub(crate) fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.stats)
    }
}

#[async_trait]
impl<H: Handler> Service for Listeners<H> {
    /// Accepts until `shutdown`, then returns when the last connection has ended.
    async fn start_service(
        &mut self,
        _fds: Option<ListenFds>,
        shutdown: ShutdownWatch,
        _listeners_per_fd: usize,
    ) {
        let ceiling = descriptor_ceiling();
        for bound in self.bound.iter().filter(|bound| bound.settings.limits.connections > ceiling) {
            let wanted = bound.settings.limits.connections;
            let listener = &bound.settings.name;
            tracing::warn!(%listener, wanted, ceiling, "Open files limit is too low for so many connections");
        }
        let admission = Admission::new(self.stats(), ceiling);
        let (alive, mut ended) = mpsc::channel::<()>(1);
        for bound in self.bound.drain(..) {
            let name = Arc::clone(&bound.settings.name);
            match Accept::open(bound) {
                Err(error) => tracing::error!(listener = %name, %error, "Listener cannot be served"),
                Ok((acceptor, limits, tls)) => {
                    let stats = Arc::clone(&self.stats);
                    let listening = Arc::new(Listening { name, limits, tls, stats });
                    let accept = Accept {
                        acceptor,
                        listening,
                        handler: Arc::clone(&self.handler),
                        admission: Arc::clone(&admission),
                        alive: alive.clone(),
                    };
                    tokio::spawn(accept.run(shutdown.clone()));
                }
            }
        }
        drop(alive);
        // Nothing is ever sent: the channel closes when the last connection drops its end.
        while ended.recv().await.is_some() {}
    }

    fn name(&self) -> &'static str {
        "winrm"
    }
}

/// What all connections of one listener share.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) name: Arc<str>,
    pub(super) limits: Limits,
    pub(super) tls: Option<Tls>,
    pub(super) stats: Arc<Stats>,
}

enum Acceptor {
    Tcp(TcpListener),
    /// The file is removed when this is dropped.
    Unix {
        listener: UnixListener,
        _file: SocketFile,
    },
}

impl Acceptor {
    async fn accept(&self) -> io::Result<(Accepted, ClientAddr)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Accepted::Tcp(stream), ClientAddr::Tcp(peer)))
            }
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                let peer = stream.peer_cred()?;
                let peer = ClientAddr::Unix { uid: peer.uid(), gid: peer.gid(), pid: peer.pid() };
                Ok((Accepted::Unix(stream), peer))
            }
        }
    }
}

enum Accepted {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// One listener's accept loop.
struct Accept<H> {
    acceptor: Acceptor,
    listening: Arc<Listening>,
    handler: Arc<H>,
    admission: Arc<Admission>,
    alive: mpsc::Sender<()>,
}

impl Accept<()> {
    fn open(bound: Bound) -> io::Result<(Acceptor, Limits, Option<Tls>)> {
        let acceptor = match bound.socket {
            Socket::Tcp(listener) => Acceptor::Tcp(TcpListener::from_std(listener)?),
            Socket::Unix(listener, file) => {
                Acceptor::Unix { listener: UnixListener::from_std(listener)?, _file: file }
            }
        };
        Ok((acceptor, bound.settings.limits, bound.tls))
    }
}

impl<H: Handler> Accept<H> {
    async fn run(self, mut shutdown: ShutdownWatch) {
        while !*shutdown.borrow() {
            let accepted = tokio::select! {
                biased;
                _ = shutdown.changed() => break,
                accepted = self.acceptor.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer, &shutdown),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    self.listening.stats.count_accept_error();
                    tracing::warn!(listener = %self.listening.name, %error, "Connections cannot be accepted");
                    // No descriptors, usually: without a pause the loop would spin until one is free.
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn admit(&self, stream: Accepted, peer: ClientAddr, shutdown: &ShutdownWatch) {
        self.listening.stats.count_accepted();
        let place = match self.admission.admit(&peer, &self.listening.limits) {
            Ok(place) => place,
            Err(reason) => return failed(&*self.handler, &self.listening, peer, reason),
        };
        let listening = Arc::clone(&self.listening);
        let origin = Origin { peer, listening, shutdown: shutdown.clone(), place };
        let handler = Arc::clone(&self.handler);
        let alive = self.alive.clone();
        tokio::spawn(async move {
            match stream {
                Accepted::Tcp(stream) => serve(stream, origin, handler).await,
                Accepted::Unix(stream) => serve(stream, origin, handler).await,
            }
            drop(alive);
        });
    }
}

/// Takes one connection from its first byte to its end.
async fn serve<S: Stream + 'static, H: Handler>(stream: S, origin: Origin, handler: Arc<H>) {
    let client = match origin.listening.tls.as_ref().map(Tls::current) {
        None => ClientConnection::new(Box::new(stream), origin, None),
        Some(snapshot) => match Box::pin(handshake(stream, &snapshot, &origin)).await {
            Ok((stream, facts)) => {
                origin.listening.stats.count_handshake();
                ClientConnection::new(stream, origin, Some(facts))
            }
            Err(reason) => return failed(&*handler, &origin.listening, origin.peer, reason),
        },
    };
    handler.connection(client).await;
}

fn failed<H: Handler>(handler: &H, listening: &Listening, peer: ClientAddr, reason: FailureReason) {
    listening.stats.count_failed(reason);
    handler.failed(ConnectionFailure { listener: Arc::clone(&listening.name), peer, reason });
}

async fn handshake<S: Stream + 'static>(
    stream: S,
    snapshot: &TlsSnapshot,
    origin: &Origin,
) -> Result<(Box<dyn Stream>, TlsFacts), FailureReason> {
    let accept = TlsAcceptor::from(snapshot.config()).accept(stream);
    let accepted = tokio::time::timeout(origin.listening.limits.handshake, accept).await;
    let stream =
        accepted.map_err(|_| FailureReason::Timeout)?.map_err(|error| FailureReason::of_handshake(&error))?;
    let facts = facts(&stream, snapshot).ok_or(FailureReason::Other)?;
    // A full handshake has just asked this snapshot's verifier; a resumed one has asked nobody.
    if !matches!(
        stream.get_ref().1.handshake_kind(),
        Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest)
    ) {
        snapshot.verify(&facts.client_chain)?;
    }
    Ok((Box::new(stream), facts))
}

fn facts<S>(stream: &TlsStream<S>, snapshot: &TlsSnapshot) -> Option<TlsFacts> {
    let (_, tls) = stream.get_ref();
    let version = match tls.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => TlsVersion::Tls12,
        Some(ProtocolVersion::TLSv1_3) => TlsVersion::Tls13,
        Some(_) | None => return None,
    };
    Some(TlsFacts {
        server_name: tls.server_name().map(str::to_ascii_lowercase),
        version,
        server_certificate_der: snapshot.certificate().clone(),
        client_chain: tls.peer_certificates().unwrap_or_default().to_vec(),
        generation: snapshot.generation(),
    })
}

/// Whether an accept error concerns only the connection that was being accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::NotConnected
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::Interrupted
    )
}

/// How long accepting rests after the system had nothing to give.
const PAUSE: Duration = Duration::from_millis(100);
