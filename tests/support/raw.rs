//! A client that sends exactly what a test says, over TLS, and envelopes to send.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};

use super::pki::Issued;

/// An open connection to the gateway.
pub struct Raw {
    stream: StreamOwned<ClientConnection, TcpStream>,
    host: String,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .find_map(|(found, value)| found.eq_ignore_ascii_case(name).then(|| value.trim()))
    }

    /// The text between `<…name>` and `</…name>`, whatever the prefix.
    pub fn element(&self, name: &str) -> Option<&str> {
        let open = self.body.find(&format!("{name}>")).or_else(|| self.body.find(&format!("{name} ")))?;
        let rest = self.body.get(open..)?;
        let (_, content) = rest.split_once('>')?;
        content.split_once("</").map(|(text, _)| text)
    }
}

impl Raw {
    /// Connects to `port` as the server `name`, with or without a certificate.
    pub fn connect(port: u16, name: &str, ca: &Path, client: Option<&Issued>) -> std::io::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca).expect("the CA file") {
            roots.add(certificate.expect("a certificate")).expect("a trust anchor");
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let config = match client {
            None => builder.with_no_client_auth(),
            Some(issued) => {
                let chain = CertificateDer::pem_file_iter(&issued.certificate).expect("the certificate");
                let chain = chain.collect::<Result<Vec<_>, _>>().expect("PEM");
                let key = PrivateKeyDer::from_pem_file(&issued.key).expect("the key");
                builder.with_client_auth_cert(chain, key).expect("a pair")
            }
        };
        let server = ServerName::try_from(name.to_owned()).expect("a server name");
        let tls = ClientConnection::new(Arc::new(config), server).expect("a TLS client");
        let tcp = TcpStream::connect(("127.0.0.1", port))?;
        tcp.set_read_timeout(Some(Duration::from_secs(30)))?;
        tcp.set_nodelay(true)?;
        let mut stream = StreamOwned::new(tls, tcp);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self { stream, host: name.to_owned() })
    }

    /// Sends an envelope and reads the answer.
    pub fn post(&mut self, path: &str, envelope: &str) -> std::io::Result<Answer> {
        self.post_with(path, "", envelope)
    }

    /// Sends an envelope with further header lines (each ending in CR LF) and reads the answer.
    pub fn post_with(&mut self, path: &str, headers: &str, envelope: &str) -> std::io::Result<Answer> {
        let text = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/soap+xml;charset=UTF-8\r\n{headers}Content-Length: {}\r\n\r\n{envelope}",
            self.host,
            envelope.len()
        );
        self.send(text.as_bytes())?;
        self.read()
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Reads one answer.
    pub fn read(&mut self) -> std::io::Result<Answer> {
        let mut head = Vec::new();
        let mut byte = [0_u8; 1];
        while !head.ends_with(b"\r\n\r\n") {
            self.stream.read_exact(&mut byte)?;
            head.extend_from_slice(&byte);
            assert!(head.len() < 100_000, "an endless head");
        }
        let head = String::from_utf8(head).expect("a head in ASCII");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let mut answer = Answer { status, head, body: String::new() };
        if answer.header("transfer-encoding").is_some() {
            answer.body = self.chunks()?;
        } else {
            let length: usize = answer.header("content-length").expect("a length").parse().expect("a number");
            let mut body = vec![0_u8; length];
            self.stream.read_exact(&mut body)?;
            answer.body = String::from_utf8(body).expect("UTF-8");
        }
        Ok(answer)
    }

    /// Whether the gateway closes the connection, sending nothing more.
    pub fn is_closed(&mut self) -> bool {
        let mut byte = [0_u8; 1];
        match self.stream.read(&mut byte) {
            Ok(read) => read == 0,
            // Silence is no end: a connection that stays open must not pass for a closed one.
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }

    fn chunks(&mut self) -> std::io::Result<String> {
        let mut body = Vec::new();
        loop {
            let mut line = Vec::new();
            let mut byte = [0_u8; 1];
            while !line.ends_with(b"\r\n") {
                self.stream.read_exact(&mut byte)?;
                line.extend_from_slice(&byte);
            }
            let text = String::from_utf8_lossy(&line).into_owned();
            let length = usize::from_str_radix(text.trim(), 16).expect("a chunk's length");
            let mut chunk = vec![0_u8; length + 2];
            self.stream.read_exact(&mut chunk)?;
            if length == 0 {
                return Ok(String::from_utf8(body).expect("UTF-8"));
            }
            chunk.truncate(length);
            body.extend_from_slice(&chunk);
        }
    }
}

/// Envelopes as clients send them.
pub mod envelope {
    use std::sync::atomic::{AtomicU32, Ordering};

    static NUMBER: AtomicU32 = AtomicU32::new(1);

    /// The resource of cmd shells.
    pub const CMD: &str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/cmd";
    const SHELL: &str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell";
    const TRANSFER: &str = "http://schemas.xmlsoap.org/ws/2004/09/transfer";

    /// A message id that no other envelope of this process has.
    pub fn message_id() -> String {
        format!("uuid:00000000-0000-4000-8000-{:012}", NUMBER.fetch_add(1, Ordering::Relaxed))
    }

    /// An envelope with `action` on `resource`; `selectors` are pairs of name and value.
    pub fn envelope(action: &str, resource: &str, shell: Option<&str>, body: &str) -> String {
        let selector = shell.map_or_else(String::new, |shell| {
            format!(r#"<w:SelectorSet><w:Selector Name="ShellId">{shell}</w:Selector></w:SelectorSet>"#)
        });
        format!(
            r#"<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" xmlns:rsp="{SHELL}"><s:Header><a:To>http://windows-host:5985/wsman</a:To><a:ReplyTo><a:Address s:mustUnderstand="true">http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address></a:ReplyTo><a:Action s:mustUnderstand="true">{action}</a:Action><a:MessageID>{id}</a:MessageID><w:ResourceURI s:mustUnderstand="true">{resource}</w:ResourceURI><w:OperationTimeout>PT20S</w:OperationTimeout>{selector}</s:Header><s:Body>{body}</s:Body></s:Envelope>"#,
            id = message_id()
        )
    }

    /// Get of the configuration: a read, answered with the identity that the host saw.
    pub fn get_config() -> String {
        envelope(&format!("{TRANSFER}/Get"), "http://schemas.microsoft.com/wbem/wsman/1/config", None, "")
    }

    /// Put of the configuration: a write.
    pub fn put_config() -> String {
        let body = r#"<cfg:Config xmlns:cfg="http://schemas.microsoft.com/wbem/wsman/1/config"><cfg:MaxTimeoutms>60000</cfg:MaxTimeoutms></cfg:Config>"#;
        envelope(&format!("{TRANSFER}/Put"), "http://schemas.microsoft.com/wbem/wsman/1/config", None, body)
    }

    /// Create of a cmd shell.
    pub fn create_shell() -> String {
        let body = "<rsp:Shell><rsp:InputStreams>stdin</rsp:InputStreams><rsp:OutputStreams>stdout stderr</rsp:OutputStreams></rsp:Shell>";
        envelope(&format!("{TRANSFER}/Create"), CMD, None, body)
    }

    /// A command line in a shell.
    pub fn command(shell: &str, line: &str) -> String {
        let body = format!("<rsp:CommandLine><rsp:Command>{line}</rsp:Command></rsp:CommandLine>");
        envelope(&format!("{SHELL}/Command"), CMD, Some(shell), &body)
    }

    /// Output of a command.
    pub fn receive(shell: &str, command: &str) -> String {
        let body = format!(
            r#"<rsp:Receive><rsp:DesiredStream CommandId="{command}">stdout stderr</rsp:DesiredStream></rsp:Receive>"#
        );
        envelope(&format!("{SHELL}/Receive"), CMD, Some(shell), &body)
    }

    /// Input for a command, the last of it.
    pub fn send(shell: &str, command: &str, base64: &str) -> String {
        let body = format!(
            r#"<rsp:Send><rsp:Stream Name="stdin" CommandId="{command}" End="true">{base64}</rsp:Stream></rsp:Send>"#
        );
        envelope(&format!("{SHELL}/Send"), CMD, Some(shell), &body)
    }

    /// The end of a shell.
    pub fn delete_shell(shell: &str) -> String {
        envelope(&format!("{TRANSFER}/Delete"), CMD, Some(shell), "")
    }
}
