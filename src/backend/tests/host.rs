//! A host in this process, with a real service's keys, that behaves as a test wants and notes what it saw.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    sync::watch,
};

use crate::{
    gssapi::{Accepted, Acceptor, ChannelBindings, Credential, Door, SecurityContext},
    wsman::{
        Charset, Limits,
        sealed::{self, Protocol},
    },
};

/// What the host does with one request.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// What Windows does.
    Honest,
    /// That, and then it closes the connection.
    HonestThenClose,
    /// That, and says beforehand that it will close the connection.
    Farewell,
    /// That, with bytes behind the answer.
    Surplus,
    /// A status without body or token.
    Status(u16),
    /// A token that proves nothing.
    WrongToken,
    /// These bytes.
    Raw(String),
    /// These bytes, and the end.
    RawThenClose(String),
    /// Status 413 without reading the body, and the end.
    TooLarge,
    /// Nothing, and the end.
    Close,
    /// Nothing.
    Silence,
    /// SOAP in clear.
    Plain,
    /// A sealed answer with one bit changed.
    Tampered,
    /// A sealed answer whose declared length is one too many.
    WrongLength,
    /// The first half of a sealed answer, and the end.
    Cut,
    /// So many sealed envelopes, in chunks.
    Envelopes(usize),
    /// A sealed answer in UTF-16.
    Wide,
    /// A sealed answer that is no SOAP.
    NoSoap,
}

/// What a connection's how-manieth request, the handshake being number 0, meets.
pub(super) type Script = Arc<dyn Fn(usize, usize) -> Act + Send + Sync>;

/// One request as the host saw it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) connection: usize,
    pub(super) head: String,
    pub(super) body_bytes: usize,
    /// Who is at the other end, once that is proved.
    pub(super) identity: Option<String>,
    /// Whether the proof names this TLS connection.
    pub(super) bound: bool,
    /// The body once unsealed.
    pub(super) plain: Option<String>,
}

pub(super) struct Host {
    pub(super) port: u16,
    notes: Arc<Notes>,
}

struct Notes {
    seen: Mutex<Vec<Seen>>,
    /// Requests seen, connections accepted, and connections that ended.
    counts: watch::Sender<(usize, usize, usize)>,
}

impl Host {
    /// A host that has the keys in `keytab` and, where `tls` is given, speaks TLS.
    pub(super) async fn start(
        door: &Door,
        keytab: &Path,
        tls: Option<(ServerConfig, ChannelBindings)>,
        script: Script,
    ) -> Self {
        let keys = door.acceptor(keytab, None).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let notes = Arc::new(Notes { seen: Mutex::default(), counts: watch::channel((0, 0, 0)).0 });
        let noting = Arc::clone(&notes);
        let (tls, bindings) = tls.unzip();
        let tls = tls.map(|config| tokio_rustls::TlsAcceptor::from(Arc::new(config)));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let notes = Arc::clone(&noting);
                let mut connection = 0;
                notes.counts.send_modify(|counts| {
                    counts.1 += 1;
                    connection = counts.1;
                });
                let served = Serving {
                    connection,
                    keys: keys.clone(),
                    script: Arc::clone(&script),
                    bindings: bindings.clone(),
                };
                let tls = tls.clone();
                tokio::spawn(async move {
                    match tls {
                        None => served.serve(stream, &notes).await,
                        Some(tls) => {
                            let stream = tls.accept(stream).await.unwrap();
                            served.serve(stream, &notes).await;
                        }
                    };
                    notes.counts.send_modify(|counts| counts.2 += 1);
                });
            }
        });
        Self { port, notes }
    }

    /// Everything that arrived so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.notes.seen.lock().unwrap().clone()
    }

    /// The requests with a body.
    pub(super) fn requests(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.body_bytes > 0).collect()
    }

    pub(super) fn connections(&self) -> usize {
        self.notes.counts.borrow().1
    }

    /// Waits until so many requests, handshakes included, have arrived.
    pub(super) async fn wait_for_requests(&self, count: usize) {
        self.wait(|counts| counts.0 >= count).await;
    }

    /// Waits until so many connections have ended.
    pub(super) async fn wait_for_ends(&self, count: usize) {
        self.wait(|counts| counts.2 >= count).await;
    }

    async fn wait(&self, mut done: impl FnMut(&(usize, usize, usize)) -> bool) {
        let mut counts = self.notes.counts.subscribe();
        let waited =
            tokio::time::timeout(Duration::from_secs(20), counts.wait_for(|counts| done(counts))).await;
        waited.expect("waited for the host in vain").unwrap();
    }
}

struct Serving {
    connection: usize,
    keys: Credential,
    script: Script,
    bindings: Option<ChannelBindings>,
}

impl Serving {
    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&self, mut stream: S, notes: &Notes) {
        let mut context: Option<SecurityContext> = None;
        let mut scheme = "Kerberos".to_owned();
        for number in 0.. {
            let act = (self.script)(self.connection, number);
            let early = matches!(act, Act::TooLarge);
            let Some((head, body)) = read_request(&mut stream, early).await else { return };
            let handshake = field(&head, "Authorization").is_some();
            let mut token = None;
            if let Some((name, value)) = authorization(&head) {
                scheme = name;
                (context, token) = self.accept(&value);
            }
            let plain = match &mut context {
                Some(context) if !body.is_empty() && !early => unsealed(context, &head, &body),
                _ => None,
            };
            notes.seen.lock().unwrap().push(Seen {
                connection: self.connection,
                head: head.clone(),
                body_bytes: if early { 1 } else { body.len() },
                identity: context.as_ref().map(|context| context.initiator_name().to_owned()),
                bound: context.as_ref().is_some_and(SecurityContext::is_channel_bound),
                plain: plain.clone(),
            });
            notes.counts.send_modify(|counts| counts.0 += 1);
            let answer = match (&mut context, handshake) {
                (None, _) => {
                    "HTTP/1.1 401 \r\nWWW-Authenticate: Negotiate\r\nWWW-Authenticate: Kerberos\r\nContent-Length: 0\r\n\r\n".into()
                }
                (Some(_), true) => shake(&act, &scheme, token),
                (Some(context), false) => answer(&act, &scheme, context, &head),
            };
            if matches!(act, Act::Silence) {
                // Until the client gives up.
                drop(stream.read(&mut [0]).await);
                return;
            }
            if !answer.is_empty() && stream.write_all(&answer).await.is_err() {
                return;
            }
            drop(stream.flush().await);
            if ends(&act) {
                drop(stream.shutdown().await);
                return;
            }
        }
    }

    /// What the client's token leads to.
    fn accept(&self, token: &[u8]) -> (Option<SecurityContext>, Option<Vec<u8>>) {
        match Acceptor::new(&self.keys, self.bindings.as_ref()).step(token) {
            Ok(Accepted::Established(context, answer)) => (Some(context), answer),
            Ok(Accepted::Continue(..)) => panic!("a second leg"),
            Err(_) => (None, None),
        }
    }
}

/// Whether the connection ends behind the answer.
fn ends(act: &Act) -> bool {
    matches!(act, Act::HonestThenClose | Act::RawThenClose(_) | Act::TooLarge | Act::Close | Act::Cut)
}

fn answer(act: &Act, scheme: &str, context: &mut SecurityContext, head: &str) -> Vec<u8> {
    let text = soap(context.initiator_name());
    let protocol = if scheme == "Kerberos" { Protocol::Kerberos } else { Protocol::Spnego };
    if head.contains("Content-Type: application/soap+xml") {
        let wide = matches!(act, Act::Wide).then(|| wide(&text));
        let charset = if wide.is_some() { "UTF-16" } else { "UTF-8" };
        let body = wide.unwrap_or_else(|| text.into_bytes());
        return message("200 OK", &format!("application/soap+xml;charset={charset}"), &body);
    }
    let mut seal = |text: &[u8], charset, length| {
        let sealed = context.seal(text).unwrap();
        sealed::encode(protocol, charset, length, &sealed.header, &sealed.data)
    };
    let kind = sealed::content_type(protocol);
    let honest = |body: &[u8]| message("200 ", kind, body);
    match act {
        Act::Honest | Act::HonestThenClose => honest(&seal(text.as_bytes(), Charset::Utf8, text.len())),
        Act::Farewell => farewell(&honest(&seal(text.as_bytes(), Charset::Utf8, text.len()))),
        Act::Surplus => {
            [honest(&seal(text.as_bytes(), Charset::Utf8, text.len())), b"HTTP/1.1 200 OK\r\n\r\n".to_vec()]
                .concat()
        }
        Act::Status(status) => format!("HTTP/1.1 {status} \r\nContent-Length: 0\r\n\r\n").into_bytes(),
        Act::TooLarge => b"HTTP/1.1 413 \r\nContent-Length: 0\r\n\r\n".to_vec(),
        Act::Raw(text) | Act::RawThenClose(text) => text.clone().into_bytes(),
        Act::Close | Act::Silence | Act::WrongToken => Vec::new(),
        Act::Plain => message("200 OK", "application/soap+xml;charset=UTF-8", text.as_bytes()),
        Act::NoSoap => honest(&seal(b"<no/>", Charset::Utf8, 5)),
        Act::Tampered => {
            let mut body = seal(text.as_bytes(), Charset::Utf8, text.len());
            let place = body.len() - 60;
            body[place] ^= 1;
            honest(&body)
        }
        Act::WrongLength => honest(&seal(text.as_bytes(), Charset::Utf8, text.len() + 1)),
        Act::Cut => {
            let all = honest(&seal(text.as_bytes(), Charset::Utf8, text.len()));
            all[..all.len() - 40].to_vec()
        }
        Act::Envelopes(count) => {
            let mut all =
                format!("HTTP/1.1 200 \r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n")
                    .into_bytes();
            for _ in 0..*count {
                let body = seal(text.as_bytes(), Charset::Utf8, text.len());
                all.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
                all.extend_from_slice(&body);
                all.extend_from_slice(b"\r\n");
            }
            all.extend_from_slice(b"0\r\n\r\n");
            all
        }
        Act::Wide => {
            let bytes = wide(&text);
            honest(&seal(&bytes, Charset::Utf16Le, bytes.len()))
        }
    }
}

/// A host's answer, which names whom it saw.
pub(super) fn soap(identity: &str) -> String {
    format!(
        "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\"><s:Header/><s:Body><i>{identity}</i></s:Body></s:Envelope>"
    )
}

/// The text in UTF-16, with a declaration that says so.
fn wide(text: &str) -> Vec<u8> {
    let text = format!("\u{feff}<?xml version=\"1.0\" encoding=\"utf-16\"?>{text}");
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn shake(act: &Act, scheme: &str, token: Option<Vec<u8>>) -> Vec<u8> {
    let token = STANDARD.encode(token.unwrap_or_default());
    let proof = |token: &str| {
        format!(
            "HTTP/1.1 200 \r\nWWW-Authenticate: {scheme} {token}\r\nServer: Microsoft-HTTPAPI/2.0\r\nContent-Length: 0\r\n\r\n"
        )
    };
    match act {
        Act::Status(status) => format!("HTTP/1.1 {status} \r\nContent-Length: 0\r\n\r\n").into_bytes(),
        Act::WrongToken => proof(&STANDARD.encode(b"no proof of anything")).into_bytes(),
        Act::Raw(text) | Act::RawThenClose(text) => {
            text.replace("TOKEN", &format!("{scheme} {token}")).into_bytes()
        }
        Act::Close | Act::Silence => Vec::new(),
        Act::Honest
        | Act::HonestThenClose
        | Act::Farewell
        | Act::Surplus
        | Act::Plain
        | Act::TooLarge
        | Act::Tampered
        | Act::WrongLength
        | Act::Cut
        | Act::Envelopes(_)
        | Act::Wide
        | Act::NoSoap => proof(&token).into_bytes(),
    }
}

pub(super) fn message(status: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// The message, with a field that says that the connection ends.
fn farewell(message: &[u8]) -> Vec<u8> {
    let end = message.windows(2).position(|two| two == b"\r\n").unwrap() + 2;
    [&message[..end], b"Connection: close\r\n", &message[end..]].concat()
}

/// A request; what has arrived of its body with its head, where nobody wants `early` to have all of it.
pub(super) async fn read_request<S: AsyncRead + Unpin>(
    stream: &mut S,
    early: bool,
) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end + 2].to_vec()).unwrap();
            let length: usize = field(&head, "Content-Length")?.parse().unwrap();
            let mut body = bytes[end + 4..].to_vec();
            while body.len() < length && !early {
                if stream.read_buf(&mut body).await.ok()? == 0 {
                    return None;
                }
            }
            assert!(early || body.len() == length, "more than one request at a time");
            return Some((head, body));
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

pub(super) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

pub(super) fn authorization(head: &str) -> Option<(String, Vec<u8>)> {
    let (scheme, token) = field(head, "Authorization")?.split_once(' ')?;
    Some((scheme.to_owned(), STANDARD.decode(token).unwrap()))
}

fn unsealed(context: &mut SecurityContext, head: &str, body: &[u8]) -> Option<String> {
    let content_type = field(head, "Content-Type")?;
    if !sealed::is_sealed(content_type) {
        return Some(String::from_utf8(body.to_vec()).unwrap());
    }
    let parts = sealed::decode(content_type, body, &Limits::default()).unwrap();
    let plain = context.unseal(parts.header, parts.data).unwrap();
    assert_eq!(plain.len(), parts.length);
    Some(String::from_utf8(plain).unwrap())
}
