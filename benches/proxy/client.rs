//! The clients: one with a certificate through a proxy, one with a password straight to the host.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use winrm_gateway::wsman::{
    Charset, Limits,
    sealed::{self, Protocol},
};

use crate::{
    gssapi::{Credential, Door, Initiated, Mechanism, SecurityContext},
    pki::{Issued, Pki},
    support::{Numbered, create_shell, find, message_id},
    wire::{Message, Wire},
};

/// A proxy, and the person who comes to it.
#[derive(Clone)]
pub(crate) struct Entry {
    port: u16,
    path: String,
    tls: TlsConnector,
}

impl Entry {
    /// The proxy on `port` for somebody with a certificate. No session is ever resumed.
    pub(crate) fn new(port: u16, path: &str, pki: &Pki, person: &Issued) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(pki.ca_file())?)?;
        let chain = vec![CertificateDer::from_pem_file(&person.certificate)?];
        let mut config =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_root_certificates(roots)
                .with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(&person.key)?)?;
        config.resumption = Resumption::disabled();
        Ok(Self { port, path: path.to_owned(), tls: TlsConnector::from(Arc::new(config)) })
    }

    /// A new connection.
    pub(crate) async fn connect(&self) -> Result<Connection> {
        let tcp = TcpStream::connect(("127.0.0.1", self.port)).await?;
        tcp.set_nodelay(true)?;
        let stream = self.tls.connect(ServerName::try_from(SERVER)?, tcp).await?;
        Ok(Connection {
            channel: Channel::Tls(Wire::new(Box::new(stream))),
            head: head(SERVER, self.port, &self.path),
        })
    }
}

/// A connection on which one request follows the other.
pub(crate) struct Connection {
    channel: Channel,
    head: String,
}

enum Channel {
    Tls(Wire<Box<TlsStream<TcpStream>>>),
    Sealed(Wire<TcpStream>, SecurityContext),
}

impl Connection {
    /// A new connection straight to `host` on `port`, with Kerberos and sealed messages.
    pub(crate) async fn direct(door: &Door, person: &Credential, host: &str, port: u16) -> Result<Self> {
        let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
        tcp.set_nodelay(true)?;
        let mut wire = Wire::new(tcp);
        let head = head(host, port, "/wsman");
        let (initiator, token) =
            door.initiate(person, &format!("HTTP/{host}"), Mechanism::Krb5, None).await?;
        wire.send(&format!("{head}{SOAP}Authorization: Kerberos {}\r\n", STANDARD.encode(token)), &[])
            .await?;
        let answer = sound(wire.receive().await?)?;
        let token = answer.token.context("no token")?;
        let token = STANDARD.decode(token.strip_prefix("Kerberos ").context("another scheme")?)?;
        match initiator.step(&token)? {
            Initiated::Established(context, None) => {
                Ok(Self { channel: Channel::Sealed(wire, context), head })
            }
            Initiated::Established(..) | Initiated::Continue(..) => bail!("a handshake of another form"),
        }
    }

    /// Sends the next requests to another path.
    pub(crate) fn turn_to(&mut self, port: u16, path: &str) {
        self.head = head(SERVER, port, path);
    }

    /// One request and its answer, which must be an answer to it.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Bytes> {
        let body = match &mut self.channel {
            Channel::Tls(wire) => {
                wire.send(&format!("{}{SOAP}", self.head), request).await?;
                sound(wire.receive().await?)?.body
            }
            Channel::Sealed(wire, context) => {
                let sealed = context.seal(request)?;
                let body = sealed::encode(
                    Protocol::Kerberos,
                    Charset::Utf8,
                    request.len(),
                    &sealed.header,
                    &sealed.data,
                );
                let content_type = sealed::content_type(Protocol::Kerberos);
                wire.send(&format!("{}Content-Type: {content_type}\r\n", self.head), &body).await?;
                let answer = sound(wire.receive().await?)?;
                let parts = sealed::decode(&answer.content_type, &answer.body, &Limits::default())?;
                context.unseal(parts.header, parts.data)?.into()
            }
        };
        let id = message_id(request).context("a request without an id")?;
        let head = body.get(..body.len().min(2048)).unwrap_or_default();
        ensure!(find(head, id).is_some(), "the answer to another request");
        Ok(body)
    }

    /// Makes a shell and returns its id.
    pub(crate) async fn shell(&mut self, number: u64) -> Result<String> {
        let mut create: Numbered = create_shell();
        let answer = self.exchange(create.number(number)).await?;
        let text = String::from_utf8_lossy(&answer);
        let (_, rest) = text.split_once("<rsp:ShellId>").context("no shell")?;
        let (id, _) = rest.split_once('<').context("no shell")?;
        Ok(id.to_owned())
    }
}

/// The beginning of a request.
fn head(host: &str, port: u16, path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: Keep-Alive\r\nUser-Agent: bench\r\n")
}

/// An answer that says that all went well.
fn sound(answer: Option<Message>) -> Result<Message> {
    let answer = answer.context("closed without an answer")?;
    let status = answer.start.split(' ').nth(1).unwrap_or_default();
    let reason =
        || String::from_utf8_lossy(&answer.body).chars().skip_while(|c| *c != '<').collect::<String>();
    ensure!(status == "200", "{}: {}", answer.start, text_of(&reason()));
    Ok(answer)
}

/// What a fault says to people.
fn text_of(fault: &str) -> String {
    let text = fault.split_once("<s:Text").and_then(|(_, rest)| rest.split_once('>'));
    text.and_then(|(_, rest)| rest.split_once('<'))
        .map_or_else(|| fault.to_owned(), |(text, _)| text.to_owned())
}

const SERVER: &str = "gw.corp.example";
const SOAP: &str = "Content-Type: application/soap+xml;charset=UTF-8\r\n";
