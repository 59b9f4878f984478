//! One GET to the admin listener, for container probes that have no other HTTP client.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Why a gateway did not answer 200.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Not `http://ADDRESS:PORT/PATH`.
    #[error("{0} is not of the form http://127.0.0.1:9090/readyz, with an address and not a name")]
    Url(String),
    /// Nobody answers.
    #[error("no answer from {address}")]
    NoAnswer {
        /// Who was asked.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another status than 200.
    #[error("the gateway answers: {0}")]
    NotWell(String),
}

/// Asks `url` and returns the text of the answer.
///
/// # Errors
/// When the URL can't be read, nobody answers within five seconds, or the status is not 200.
pub fn probe(url: &str) -> Result<String, ProbeError> {
    let bad = || ProbeError::Url(url.to_owned());
    let rest = url.strip_prefix("http://").ok_or_else(bad)?;
    let (authority, path) = rest.split_once('/').ok_or_else(bad)?;
    let address: SocketAddr = authority.parse().map_err(|_| bad())?;
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(bad());
    }
    let answer = ask(address, path).map_err(|source| ProbeError::NoAnswer { address, source })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer.as_str(), ""));
    if head.starts_with("HTTP/1.1 200") {
        return Ok(body.to_owned());
    }
    Err(ProbeError::NotWell(format!("{}\n{body}", head.lines().next().unwrap_or_default())))
}

fn ask(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // In one piece, so that whoever reads once has read all of it.
    stream.write_all(
        format!("GET /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

const PATIENCE: Duration = Duration::from_secs(5);

/// The largest answer that is read, in bytes; the metrics of a large fleet fit.
const MAX_ANSWER: u64 = 8 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_url_with_an_address_is_asked() {
        for url in [
            "https://127.0.0.1:9/x",
            "127.0.0.1:9/x",
            "http://127.0.0.1:9",
            "http://name:9/x",
            "http://127.0.0.1:9/a b",
        ] {
            assert!(matches!(probe(url), Err(ProbeError::Url(_))), "{url}");
        }
    }

    #[test]
    fn an_answer_other_than_200_is_an_error_that_shows_it() {
        let answer = |text: &'static str| {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut head = [0_u8; 512];
                let _ = stream.read(&mut head).unwrap();
                stream.write_all(text.as_bytes()).unwrap();
            });
            let result = probe(&format!("http://{address}/readyz"));
            server.join().unwrap();
            result
        };
        assert_eq!(answer("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n").unwrap(), "ok\n");
        let refused = answer("HTTP/1.1 503 Service Unavailable\r\n\r\nno ticket\n").unwrap_err().to_string();
        assert!(refused.contains("503") && refused.contains("no ticket"), "{refused}");
    }
}
