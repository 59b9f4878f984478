//! One client's connection: requests in, answers out, one at a time.
//!
//! INVARIANT: a request is handed out only whole, after the gate, and while the client's certificate is accepted;
//! after anything irregular the connection serves no further request.

mod incoming;
mod outgoing;

#[cfg(test)]
pub(crate) use outgoing::AnswerError;

use std::sync::Arc;
use std::time::Duration;

use pingora_core::server::ShutdownWatch;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::Instant;

use super::ClientAddr;
use super::admission::Place;
use super::refusal::{FailureReason, Reason};
use super::service::Listening;
use super::settings::TlsVersion;
use super::tls::TlsSnapshot;

/// A byte stream to a client, with or without TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

/// A client's connection after its handshake. Dropping it closes it.
pub(crate) struct ClientConnection {
    stream: Box<dyn Stream>,
    listening: Arc<Listening>,
    peer: ClientAddr,
    tls: Option<TlsFacts>,
    judged: Judged,
    shutdown: ShutdownWatch,
    phase: Phase,
    close: bool,
    _place: Place,
}

/// What the TLS handshake settled.
#[derive(Debug, Clone)]
pub(crate) struct TlsFacts {
    /// The name that the client asked for (SNI), in lower case.
    pub(crate) server_name: Option<String>,
    /// The protocol version.
    pub(crate) version: TlsVersion,
    /// The certificate that this connection was served: what its channel bindings are made from (RFC 5929).
    pub(crate) server_certificate_der: CertificateDer<'static>,
    /// The client's certificate and whatever it sent with it; empty without one. Only the first is proven.
    pub(crate) client_chain: Vec<CertificateDer<'static>>,
    /// Which snapshot of the files the handshake was made with.
    pub(crate) generation: u64,
}

/// By which snapshot, and when, the client's certificate was last found good.
#[derive(Debug, Clone, Copy)]
struct Judged {
    generation: u64,
    at: Instant,
}

impl Judged {
    fn now(generation: u64) -> Self {
        Self { generation, at: Instant::now() }
    }

    fn holds(self, generation: u64, now: Instant) -> bool {
        self.generation == generation && now < self.due()
    }

    fn due(self) -> Instant {
        self.at + JUDGED_EVERY
    }
}

/// What may happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The next request may come.
    Ready,
    /// A request is out, its answer has not begun.
    Asked,
    /// An answer in several parts has begun.
    Streaming,
    /// Nothing more.
    Closed,
}

/// Why an exchange in progress has lost its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gone {
    /// The client closed its side, or the network broke.
    Closed,
    /// The client sent bytes before its answer was complete.
    SentEarly,
    /// The client's certificate is no longer accepted.
    NotTrusted(FailureReason),
}

/// A connection's ingredients that only the accept loop knows.
pub(super) struct Origin {
    pub(super) peer: ClientAddr,
    pub(super) listening: Arc<Listening>,
    pub(super) shutdown: ShutdownWatch,
    pub(super) place: Place,
}

impl ClientConnection {
    pub(super) fn new(stream: Box<dyn Stream>, origin: Origin, tls: Option<TlsFacts>) -> Self {
        let generation = tls.as_ref().map_or(0, |facts| facts.generation);
        Self {
            stream,
            listening: origin.listening,
            peer: origin.peer,
            tls,
            judged: Judged::now(generation),
            shutdown: origin.shutdown,
            phase: Phase::Ready,
            close: false,
            _place: origin.place,
        }
    }

    /// The name of the listener that accepted it.
    pub(crate) fn listener(&self) -> &Arc<str> {
        &self.listening.name
    }

    /// Who is at the other end.
    pub(crate) fn peer(&self) -> &ClientAddr {
        &self.peer
    }

    /// What TLS settled; `None` on a listener without TLS.
    pub(crate) fn tls(&self) -> Option<&TlsFacts> {
        self.tls.as_ref()
    }

    /// The TLS files that are in force now: what a client certificate is to be verified against.
    pub(crate) fn trust(&self) -> Option<Arc<TlsSnapshot>> {
        self.listening.tls.as_ref().map(super::tls::Tls::current)
    }

    /// Closes the connection after the answer that is due.
    pub(crate) fn close_after_response(&mut self) {
        self.close = true;
    }

    /// Resolves when the exchange in progress should be given up: the client closed (half a close is a close),
    /// sent more before its answer, or its certificate is no longer accepted. Cancel-safe; run it beside the work.
    pub(crate) async fn client_gone(&mut self) -> Gone {
        loop {
            let due = self.judged.due();
            let certified = self.tls.as_ref().is_some_and(|facts| !facts.client_chain.is_empty());
            let mut probe = [0_u8; 1];
            tokio::select! {
                read = self.stream.read(&mut probe) => {
                    self.close = true;
                    if matches!(read, Ok(1..)) {
                        return Gone::SentEarly;
                    }
                    self.phase = Phase::Closed;
                    return Gone::Closed;
                }
                () = tokio::time::sleep_until(due), if certified => {
                    if let Err(reason) = self.judge() {
                        self.close = true;
                        return Gone::NotTrusted(reason);
                    }
                }
            }
        }
    }

    /// Judges the client's certificate again if the files were loaded anew or half a minute has passed.
    pub(super) fn judge(&mut self) -> Result<(), FailureReason> {
        let (Some(facts), Some(tls)) = (&self.tls, &self.listening.tls) else { return Ok(()) };
        let current: Arc<TlsSnapshot> = tls.current();
        if !self.judged.holds(current.generation(), Instant::now()) {
            current.verify(&facts.client_chain)?;
            self.judged = Judged::now(current.generation());
        }
        Ok(())
    }

    fn refuse_untrusted(&mut self) -> Result<(), Reason> {
        self.judge().map_err(|why| {
            tracing::info!(peer = %self.peer, reason = why.as_str(), "Client certificate no longer accepted");
            Reason::ClientCertificate
        })
    }

    /// Ends the connection so that the client can still read what it was sent: says that no more will come, then
    /// takes in and forgets what the client is still sending, for a moment.
    async fn finish(&mut self) {
        self.phase = Phase::Closed;
        let ended = tokio::time::timeout(FAREWELL, async {
            self.stream.shutdown().await?;
            let mut rest = (&mut self.stream).take(FAREWELL_BYTES);
            tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
        });
        if !matches!(ended.await, Ok(Ok(_))) {
            tracing::trace!(peer = %self.peer, "Client did not close in time");
        }
    }
}

/// How long a certificate that was found good is believed without looking again. With what it takes to notice that a file was
/// replaced, a revocation must reach a running connection within a minute.
const JUDGED_EVERY: Duration = Duration::from_secs(30);
/// How long a client may take to read its last answer.
const FAREWELL: Duration = Duration::from_secs(1);
/// How much of a refused body is taken in before the connection is cut.
const FAREWELL_BYTES: u64 = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_59_a_verdict_lasts_half_a_minute_and_one_generation_at_most() {
        let judged = Judged::now(7);
        assert!(judged.holds(7, judged.at));
        assert!(!judged.holds(8, judged.at), "new files are asked at once");
        assert!(judged.holds(7, judged.at + Duration::from_secs(29)));
        assert!(!judged.holds(7, judged.at + Duration::from_secs(30)), "lists and certificates run out");
    }
}
