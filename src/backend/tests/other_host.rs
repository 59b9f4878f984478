//! A host that knows people by password or certificate, in this process, and notes what it saw.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::{RootCertStore, ServerConfig, pki_types::PrivateKeyDer, server::WebPkiClientVerifier};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
};

use super::host::{authorization, field, message, read_request, soap};
use crate::{
    gssapi::ChannelBindings,
    ntlm::{self, Accepted, Acceptor, Channel, FileTime, ServerNames, Verifier, accounts_from},
    wsman::{
        Charset, Limits,
        sealed::{self, Protocol},
    },
};

/// One request as the host saw it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) connection: usize,
    pub(super) head: String,
    pub(super) body_bytes: usize,
    /// The account, once a handshake has proved it.
    pub(super) identity: Option<String>,
}

impl Seen {
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }
}

/// What a request is answered with: by the number of its connection and of its own, both from 1, and by its head and its body.
pub(super) type Answering = Arc<dyn Fn(&Seen) -> Vec<u8> + Send + Sync>;

/// What the host speaks.
#[derive(Clone)]
pub(super) enum Speaks {
    /// NTLM, for the account and its NT hash.
    Ntlm(&'static str),
    /// NTLM as pyspnego speaks it, for `EXAMPLE\alice`.
    Pyspnego,
    /// Whatever this answers.
    Http(Answering),
}

/// How the host is reached.
pub(super) struct Line {
    pub(super) config: ServerConfig,
    pub(super) bindings: ChannelBindings,
    /// The file of the authority that signed its certificate: itself.
    pub(super) ca_file: std::path::PathBuf,
}

pub(super) struct OtherHost {
    pub(super) port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl OtherHost {
    pub(super) async fn start(speaks: Speaks, line: Option<&Line>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let tls = line.map(|line| {
            let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(line.config.clone()));
            (acceptor, line.bindings.clone())
        });
        let notes = Arc::clone(&seen);
        tokio::spawn(async move {
            let mut connection = 0;
            while let Ok((stream, _)) = listener.accept().await {
                connection += 1;
                let served = Serving { connection, speaks: speaks.clone(), notes: Arc::clone(&notes) };
                let tls = tls.clone();
                tokio::spawn(async move {
                    match tls {
                        None => served.serve(stream, Channel::Plain).await,
                        Some((acceptor, bindings)) => {
                            let Ok(stream) = acceptor.accept(stream).await else { return };
                            let data = bindings.application_data();
                            let channel = Channel::Tls(ntlm::ChannelBindings::from_application_data(data));
                            served.serve(stream, channel).await;
                        }
                    }
                });
            }
        });
        Self { port, seen }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The requests with a body.
    pub(super) fn requests(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.body_bytes > 0).collect()
    }

    pub(super) fn connections(&self) -> usize {
        self.seen().iter().map(|seen| seen.connection).max().unwrap_or_default()
    }
}

struct Serving {
    connection: usize,
    speaks: Speaks,
    notes: Arc<Mutex<Vec<Seen>>>,
}

impl Serving {
    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&self, mut stream: S, channel: Channel) {
        if let Speaks::Pyspnego = self.speaks {
            return self.serve_by_pyspnego(stream).await;
        }
        let (mut acceptor, mut context): (Option<Acceptor>, Option<ntlm::SecurityContext>) = (None, None);
        loop {
            let Some((head, body)) = read_request(&mut stream, false).await else { return };
            let token = if let Speaks::Ntlm(_) = self.speaks { authorization(&head) } else { None };
            let mut answer = None;
            if let (Speaks::Ntlm(account), Some((_, token))) = (&self.speaks, token) {
                let stepping = acceptor
                    .take()
                    .unwrap_or_else(|| Acceptor::new(verifier(account), channel).ok().unwrap());
                answer = Some(match stepping.step(&token, now()) {
                    Ok(Accepted::Continue(next, challenge)) => {
                        acceptor = Some(next);
                        leg("401 Unauthorized", &challenge)
                    }
                    Ok(Accepted::Established(made, _)) => {
                        context = Some(made);
                        b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n".to_vec()
                    }
                    Err(_) => OFFER.into(),
                });
            }
            let identity = context.as_ref().map(|context| context.account().to_owned());
            let seen = Seen { connection: self.connection, head, body_bytes: body.len(), identity };
            self.notes.lock().unwrap().push(seen.clone());
            let answer = match (answer, &self.speaks, &mut context) {
                (Some(answer), ..) => answer,
                (None, Speaks::Http(answering), _) => answering(&seen),
                (None, Speaks::Ntlm(_), Some(context)) => sealed_or_not(&seen, context, &body, channel),
                (None, Speaks::Ntlm(_) | Speaks::Pyspnego, _) => OFFER.into(),
            };
            if stream.write_all(&answer).await.is_err() || stream.flush().await.is_err() {
                return;
            }
        }
    }
}

impl Serving {
    /// Over http alone: the tokens, and then the sealed bodies, are another implementation's.
    async fn serve_by_pyspnego<S: AsyncRead + AsyncWrite + Unpin>(&self, mut stream: S) {
        let mut peer = Pyspnego::start();
        let mut identity = None;
        loop {
            let Some((head, body)) = read_request(&mut stream, false).await else { return };
            let answer = if let Some((_, token)) = authorization(&head) {
                let told = peer.ask(&format!("step {}", STANDARD.encode(token)));
                match told.split(' ').collect::<Vec<_>>()[..] {
                    ["token", token, "open"] => leg("401 Unauthorized", &STANDARD.decode(token).unwrap()),
                    ["token", _, "done"] => {
                        identity = Some(peer.ask("who").split_once(' ').unwrap().1.to_owned());
                        b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n".to_vec()
                    }
                    _ => OFFER.into(),
                }
            } else {
                let kind = field(&head, "Content-Type").unwrap();
                let parts = sealed::decode(kind, &body, &Limits::default()).unwrap();
                let (header, data) = (STANDARD.encode(parts.header), STANDARD.encode(parts.data));
                let plain = peer.ask(&format!("unwrap {header} {data}"));
                assert!(plain.starts_with("plain PD94") || plain.starts_with("plain PHM6"), "{plain}");
                let text = soap(identity.as_deref().unwrap());
                let sealed = peer.ask(&format!("wrap {}", STANDARD.encode(&text)));
                let mut parts = sealed.split(' ').skip(1).map(|part| STANDARD.decode(part).unwrap());
                let (header, data) = (parts.next().unwrap(), parts.next().unwrap());
                let body = sealed::encode(Protocol::Spnego, Charset::Utf8, text.len(), &header, &data);
                message("200 ", sealed::content_type(Protocol::Spnego), &body)
            };
            let seen = Seen {
                connection: self.connection,
                head,
                body_bytes: body.len(),
                identity: identity.clone(),
            };
            self.notes.lock().unwrap().push(seen);
            if stream.write_all(&answer).await.is_err() || stream.flush().await.is_err() {
                return;
            }
        }
    }
}

/// pyspnego in a process of its own, which ends with this.
struct Pyspnego {
    process: std::process::Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Pyspnego {
    fn start() -> Self {
        let python = concat!(env!("CARGO_MANIFEST_DIR"), "/target/lab/venv/bin/python3");
        let mut process = std::process::Command::new(python)
            .args(["-c", include_str!("../../ntlm/tests/peer.py"), "accept", "raw", "-"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{python}: {error}; tests/lab/install.sh makes it"));
        let answers = BufReader::new(process.stdout.take().unwrap());
        Self { process, answers }
    }

    fn ask(&mut self, line: &str) -> String {
        writeln!(self.process.stdin.as_mut().unwrap(), "{line}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }
}

impl Drop for Pyspnego {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Over http both bodies are sealed, inside TLS neither is.
fn sealed_or_not(seen: &Seen, context: &mut ntlm::SecurityContext, body: &[u8], channel: Channel) -> Vec<u8> {
    let text = soap(context.account());
    if channel != Channel::Plain {
        assert!(seen.field("Content-Type").unwrap().starts_with("application/soap+xml"));
        return message("200 OK", "application/soap+xml;charset=UTF-8", text.as_bytes());
    }
    let kind = seen.field("Content-Type").unwrap();
    assert!(kind.contains("HTTP-SPNEGO-session-encrypted"), "{kind}");
    let parts = sealed::decode(kind, body, &Limits::default()).unwrap();
    let plain = context.unseal(parts.header, parts.data).unwrap();
    assert!(plain.starts_with(b"<"), "the sealed body is no SOAP");
    let sealed = context.seal(text.as_bytes()).ok().unwrap();
    let body = sealed::encode(Protocol::Spnego, Charset::Utf8, text.len(), &sealed.header, &sealed.data);
    message("200 ", sealed::content_type(Protocol::Spnego), &body)
}

const OFFER: &str = "HTTP/1.1 401 \r\nWWW-Authenticate: Negotiate\r\nWWW-Authenticate: Basic realm=\"WSMAN\"\r\nContent-Length: 0\r\n\r\n";

fn leg(status: &str, token: &[u8]) -> Vec<u8> {
    let token = STANDARD.encode(token);
    format!("HTTP/1.1 {status}\r\nWWW-Authenticate: Negotiate {token}\r\nContent-Length: 0\r\n\r\n")
        .into_bytes()
}

fn verifier(account: &str) -> Arc<Verifier> {
    let server = ServerNames {
        computer: "WEB01".to_owned(),
        domain: "WORKGROUP".to_owned(),
        dns: "web01.corp.example".to_owned(),
    };
    let accounts = accounts_from(account).unwrap();
    Arc::new(Verifier { server, accounts, skew: Duration::from_secs(300) })
}

#[expect(clippy::disallowed_types, reason = "a host takes its time from the system")]
fn now() -> FileTime {
    FileTime::from_unix(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap())
}

/// A certificate for the host; where `clients` is given, it asks for one signed by that, and insists.
pub(super) fn line(dir: &std::path::Path, clients: Option<&rcgen::Certificate>) -> Line {
    let made = rcgen::generate_simple_self_signed(vec!["web01.corp.example".to_owned()]).unwrap();
    let ca_file = dir.join("host.pem");
    std::fs::write(&ca_file, made.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der().clone()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let config = builder.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let bindings = ChannelBindings::tls_server_end_point(made.cert.der()).unwrap();
    Line { config, bindings, ca_file }
}
