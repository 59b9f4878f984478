//! The hosts behind the proxies. They answer any request at once, as large as it was asked.

use std::{
    future::Future,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::{Context as _, Result, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::net::{TcpListener, TcpStream};
use winrm_gateway::wsman::{
    Charset, Limits,
    sealed::{self, Protocol},
};

use crate::{
    gssapi::{Accepted, Acceptor, Credential, Door, SecurityContext},
    support::{LARGE, Numbered, SMALL, find, message_id, output, shell_created},
    wire::Wire,
};

/// A host in clear, for proxies that can do no more. Returns its port.
pub(crate) async fn clear() -> Result<u16> {
    serve(|stream| async move {
        let (mut wire, mut answers) = (Wire::new(stream), Answers::new());
        while let Some(request) = wire.receive().await? {
            wire.send(CLEAR, answers.to(&request.body)?).await?;
        }
        Ok(())
    })
    .await
}

/// A host that wants Kerberos and sealed messages, with the keys of `keytab`. Returns its port.
pub(crate) async fn sealed(door: &Door, keytab: &Path) -> Result<u16> {
    let keys = door.acceptor(keytab, None).await?;
    serve(move |stream| {
        let keys = keys.clone();
        async move {
            let mut wire = Wire::new(stream);
            let mut context = shake(&mut wire, &keys).await?;
            let mut answers = Answers::new();
            while let Some(request) = wire.receive().await? {
                let body = answer_sealed(&mut context, &mut answers, &request.content_type, &request.body)?;
                wire.send(&sealed_head(), &body).await?;
            }
            Ok(())
        }
    })
    .await
}

/// Accepts a handshake of one leg with an empty body.
async fn shake(wire: &mut Wire<TcpStream>, keys: &Credential) -> Result<SecurityContext> {
    let request = wire.receive().await?.context("closed without a request")?;
    ensure!(request.body.is_empty(), "a body before the handshake");
    let token = request.token.context("no token")?;
    let token = STANDARD.decode(token.strip_prefix("Kerberos ").context("another scheme")?)?;
    match Acceptor::new(keys, None).step(&token)? {
        Accepted::Established(context, Some(token)) => {
            let head = format!("HTTP/1.1 200 \r\nWWW-Authenticate: Kerberos {}\r\n", STANDARD.encode(token));
            wire.send(&head, &[]).await?;
            Ok(context)
        }
        Accepted::Established(_, None) | Accepted::Continue(..) => bail!("a handshake of another form"),
    }
}

fn answer_sealed(
    context: &mut SecurityContext,
    answers: &mut Answers,
    content_type: &str,
    body: &[u8],
) -> Result<Vec<u8>> {
    let parts = sealed::decode(content_type, body, &Limits::default())?;
    let request = context.unseal(parts.header, parts.data)?;
    let answer = answers.to(&request)?;
    let sealed = context.seal(answer)?;
    Ok(sealed::encode(Protocol::Kerberos, Charset::Utf8, answer.len(), &sealed.header, &sealed.data))
}

fn sealed_head() -> String {
    format!("HTTP/1.1 200 \r\nContent-Type: {}\r\n", sealed::content_type(Protocol::Kerberos))
}

/// What a host says.
struct Answers {
    small: Numbered,
    large: Numbered,
    shell: Numbered,
}

impl Answers {
    fn new() -> Self {
        let shell = format!("00000000-0000-4000-9000-{:012}", SHELLS.fetch_add(1, Ordering::Relaxed));
        Self { small: output(SMALL), large: output(LARGE), shell: shell_created(&shell) }
    }

    /// A small answer to a small request and a large one to a large one; the connection's shell where one is asked for.
    fn to(&mut self, request: &[u8]) -> Result<&[u8]> {
        let id = message_id(request).context("a request without an id")?;
        let answer = if request.len() > 2 * SMALL {
            &mut self.large
        } else if find(request, b"/transfer/Create<").is_some() {
            &mut self.shell
        } else {
            &mut self.small
        };
        Ok(answer.id(id))
    }
}

static SHELLS: AtomicU64 = AtomicU64::new(1);

const CLEAR: &str = "HTTP/1.1 200 \r\nContent-Type: application/soap+xml;charset=UTF-8\r\n";

/// Serves every connection to a new port until the benchmark ends.
async fn serve<F>(talk: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Result<u16>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if stream.set_nodelay(true).is_ok() {
                tokio::spawn(talk(stream));
            }
        }
    });
    Ok(port)
}
