//! A listener under test, its clients, and their certificates.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pingora_core::services::Service as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use secrecy::ExposeSecret as _;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::listener::connection::AnswerError;
use crate::listener::{
    Bound, ClientAddr, ClientCertificates, ClientConnection, ConnectionFailure, Gone, Handler, Limits,
    ListenAddress, Request, RequestError, Response, Settings, Stats, Tls, TlsFacts, TlsReloader, TlsSettings,
    TlsVersion, Transport, Trust, bind, service,
};

/// How long a test waits for what must happen.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// What the handler under test saw.
#[derive(Debug)]
pub(crate) enum Event {
    Connected { peer: ClientAddr, tls: Option<Box<TlsFacts>> },
    Asked(Seen),
    Refused(RequestError),
    Answered(Result<(), AnswerError>),
    Gone(Gone),
    Failed(ConnectionFailure),
    Ended,
}

/// A request as the handler saw it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) ps_version: Option<String>,
    pub(crate) host: String,
    pub(crate) authorization: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) wsmanidentify: bool,
    pub(crate) user_agent: Option<String>,
    pub(crate) body: Bytes,
}

impl From<Request> for Seen {
    fn from(request: Request) -> Self {
        Self {
            path: request.path.as_str().to_owned(),
            ps_version: request.ps_version.map(|version| version.as_str().to_owned()),
            host: request.host,
            authorization: request.authorization.map(|secret| secret.expose_secret().to_owned()),
            content_type: request.content_type,
            wsmanidentify: request.wsmanidentify,
            user_agent: request.user_agent,
            body: request.body,
        }
    }
}

/// What the handler under test does with a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Behaviour {
    /// Answers 200 with the body that it got.
    Echo,
    /// Waits for the client to go away, then answers all the same.
    Wait,
    /// Waits for the gateway's stop, then answers.
    AnswerAtStop,
    /// Answers in two parts.
    Parts,
    /// Answers in two parts and leaves the end off.
    BrokenParts,
    /// Answers with this many bytes.
    Large(usize),
}

struct Recorder {
    behaviour: Behaviour,
    events: mpsc::UnboundedSender<Event>,
    stop: watch::Receiver<bool>,
}

impl Recorder {
    fn note(&self, event: Event) {
        self.events.send(event).ok();
    }

    async fn answer(&self, client: &mut ClientConnection, body: Bytes) -> Result<(), AnswerError> {
        let response = Response { status: 200, headers: vec![("X-Request-Id", "r1".to_owned())], body };
        match self.behaviour {
            Behaviour::Echo => client.respond(&response).await,
            Behaviour::Wait => {
                let gone = client.client_gone().await;
                self.note(Event::Gone(gone));
                client.respond(&response).await
            }
            Behaviour::AnswerAtStop => {
                self.stop.clone().wait_for(|stop| *stop).await.unwrap();
                client.respond(&response).await
            }
            Behaviour::Parts | Behaviour::BrokenParts => {
                client.begin_stream(&Response { body: Bytes::new(), ..response }).await?;
                client.write_part(b"<first/>").await?;
                client.write_part(b"").await?;
                client.write_part(b"<second/>").await?;
                if matches!(self.behaviour, Behaviour::Parts) {
                    client.finish_stream().await?;
                }
                Ok(())
            }
            Behaviour::Large(size) => {
                client.respond(&Response { body: Bytes::from(vec![b'x'; size]), ..response }).await
            }
        }
    }
}

#[async_trait]
impl Handler for Recorder {
    async fn connection(self: Arc<Self>, mut client: ClientConnection) {
        let tls = client.tls().cloned().map(Box::new);
        self.note(Event::Connected { peer: client.peer().clone(), tls });
        loop {
            match client.next_request().await {
                Ok(Some(request)) => {
                    let body = request.body.clone();
                    self.note(Event::Asked(request.into()));
                    let answered = self.answer(&mut client, body).await;
                    self.note(Event::Answered(answered));
                }
                Ok(None) => break,
                Err(error) => {
                    self.note(Event::Refused(error));
                    assert!(matches!(client.next_request().await, Ok(None)), "a refusal is told once");
                    break;
                }
            }
        }
        drop(client);
        self.note(Event::Ended);
    }

    fn failed(&self, failure: ConnectionFailure) {
        self.note(Event::Failed(failure));
    }
}

/// A running listener.
pub(crate) struct Lab {
    pub(crate) address: ListenAddress,
    pub(crate) stats: Arc<Stats>,
    pub(crate) tls: Option<Tls>,
    pub(crate) reloaders: Vec<TlsReloader>,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) served: JoinHandle<()>,
    events: mpsc::UnboundedReceiver<Event>,
}

impl Lab {
    pub(crate) fn http(behaviour: Behaviour, limits: Limits) -> Self {
        let address = ListenAddress::Tcp("127.0.0.1:0".parse().unwrap());
        let settings = Settings { name: "test".into(), address, transport: Transport::Http, limits };
        Self::run(behaviour, bind(settings).unwrap())
    }

    pub(crate) fn https(tls: TlsSettings) -> Self {
        Self::https_with(Behaviour::Echo, Limits::default(), tls)
    }

    pub(crate) fn https_with(behaviour: Behaviour, limits: Limits, tls: TlsSettings) -> Self {
        let address = ListenAddress::Tcp("127.0.0.1:0".parse().unwrap());
        let transport = Transport::Https(tls);
        Self::run(behaviour, bind(Settings { name: "test".into(), address, transport, limits }).unwrap())
    }

    pub(crate) fn run(behaviour: Behaviour, bound: Bound) -> Self {
        let (events, seen) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let handler = Recorder { behaviour, events, stop: stopped };
        Self::serving(bound, handler, stop, seen)
    }

    /// A listener whose connections another handler serves; there are no events.
    pub(crate) fn with_handler(bound: Bound, handler: impl Handler) -> Self {
        let (_, seen) = mpsc::unbounded_channel();
        let (stop, _) = watch::channel(false);
        Self::serving(bound, handler, stop, seen)
    }

    fn serving(
        bound: Bound,
        handler: impl Handler,
        stop: watch::Sender<bool>,
        seen: mpsc::UnboundedReceiver<Event>,
    ) -> Self {
        let stopped = stop.subscribe();
        let (address, tls) = (bound.address(), bound.tls().cloned());
        let mut listeners = service(vec![bound], Arc::new(handler));
        let (stats, reloaders) = (listeners.stats(), listeners.reloaders());
        let served = tokio::spawn(async move { listeners.start_service(None, stopped, 1).await });
        Self { address, stats, tls, reloaders, stop, served, events: seen }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        let ListenAddress::Tcp(address) = self.address else { panic!("not a TCP listener") };
        TcpStream::connect(address).await.unwrap()
    }

    /// The next thing that the handler saw.
    pub(crate) async fn event(&mut self) -> Event {
        timeout(SOON, self.events.recv()).await.expect("nothing happened").expect("the handler is gone")
    }

    /// The next thing that the handler saw, other than that somebody connected.
    pub(crate) async fn next(&mut self) -> Event {
        loop {
            let event = self.event().await;
            if !matches!(event, Event::Connected { .. }) {
                return event;
            }
        }
    }

    /// Everything else that the handler saw up to the end of one connection.
    pub(crate) async fn until_ended(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let event = self.next().await;
            if matches!(event, Event::Ended) {
                return events;
            }
            events.push(event);
        }
    }
}

/// Sends `request` and reads until the listener closes.
pub(crate) async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &[u8]) -> String {
    // The listener may refuse and close before all is sent.
    stream.write_all(request).await.ok();
    stream.flush().await.ok();
    let mut answer = Vec::new();
    timeout(SOON, stream.read_to_end(&mut answer)).await.expect("the connection stays open").ok();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends `request` and reads one answer with a length; the connection stays open.
pub(crate) async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &[u8]) -> String {
    stream.write_all(request).await.unwrap();
    stream.flush().await.unwrap();
    let mut answer = Vec::new();
    let complete = |answer: &[u8]| {
        let text = String::from_utf8_lossy(answer).into_owned();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "))?;
        (body.len() >= length.parse().unwrap()).then_some(())
    };
    while complete(&answer).is_none() {
        let read = timeout(SOON, stream.read_buf(&mut answer)).await.expect("no answer").unwrap();
        assert_ne!(read, 0, "closed after {:?}", String::from_utf8_lossy(&answer));
    }
    String::from_utf8(answer).unwrap()
}

pub(crate) fn status(answer: &str) -> u16 {
    answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).map_or(0, |code| code.parse().unwrap())
}

pub(crate) fn post(path: &str, host: &str, body: &str) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// An authority with files in a directory of its own.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) directory: TempDir,
}

/// What sets one client certificate apart.
#[derive(Clone, Copy)]
pub(crate) struct Leaf {
    pub(crate) serial: u64,
    pub(crate) expires: i32,
    pub(crate) purpose: Option<&'static ExtendedKeyUsagePurpose>,
}

pub(crate) const ALICE: Leaf =
    Leaf { serial: 7, expires: 2090, purpose: Some(&ExtendedKeyUsagePurpose::ClientAuth) };

impl Authority {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "Test Authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(directory.path().join("ca.pem"), certificate.pem()).unwrap();
        let authority = Self { issuer: Issuer::new(params, key), directory };
        authority.issue("gw", &["gw.test", "other.test"], Leaf { purpose: None, ..ALICE });
        authority
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes `name.pem` and `name.key`.
    pub(crate) fn issue(&self, name: &str, dns: &[&str], leaf: Leaf) {
        let names: Vec<String> = dns.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(SerialNumber::from(leaf.serial));
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(leaf.expires, 1, 1);
        params.extended_key_usages = leaf.purpose.into_iter().cloned().collect();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    /// Writes `clients.crl` with these serial numbers revoked.
    pub(crate) fn revoke(&self, serials: &[u64], next_update: i32) -> PathBuf {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(next_update, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let path = self.path("clients.crl");
        std::fs::write(&path, params.signed_by(&self.issuer).unwrap().pem().unwrap()).unwrap();
        path
    }

    pub(crate) fn trust(&self, crls: Vec<PathBuf>) -> Trust {
        Trust { anchors: self.path("ca.pem"), crls }
    }

    pub(crate) fn tls(&self, client_certificates: ClientCertificates) -> TlsSettings {
        TlsSettings {
            certificate: self.path("gw.pem"),
            private_key: self.path("gw.key"),
            min_version: TlsVersion::Tls12,
            client_certificates,
        }
    }

    /// A client that trusts this authority and has the certificate `name`, if any.
    pub(crate) fn client(&self, name: Option<&str>, version: &'static SupportedProtocolVersion) -> Client {
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&self.path("ca.pem"))).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
        let builder = builder.with_root_certificates(roots);
        let config = match name {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key"))).unwrap();
                let chain = vec![certificate(&self.path(&format!("{name}.pem")))];
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        Client { config }
    }
}

pub(crate) fn certificate(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).unwrap()
}

/// A TLS client; its sessions are kept from one connection to the next.
pub(crate) struct Client {
    pub(crate) config: ClientConfig,
}

impl Client {
    pub(crate) async fn connect(&self, lab: &Lab) -> std::io::Result<TlsStream<TcpStream>> {
        let connector = TlsConnector::from(Arc::new(self.config.clone()));
        let name = ServerName::try_from("gw.test").unwrap();
        connector.connect(name, lab.connect().await).await
    }

    /// Connects, asks once, and says what came back; empty when the listener refused the connection.
    pub(crate) async fn once(&self, lab: &Lab) -> String {
        let Ok(stream) = self.connect(lab).await else { return String::new() };
        let request =
            "POST /wsman HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        converse(stream, request.as_bytes()).await
    }
}
