//! What the gate lets through and what it does not, byte by byte.

use tokio::io::AsyncWriteExt as _;

use super::support::{Behaviour, Event, Lab, Seen, ask, converse, post, status};
use crate::listener::{Limits, Reason, RequestError};

fn lab() -> Lab {
    Lab::http(Behaviour::Echo, Limits::default())
}

/// Each request, on a connection of its own, is answered with its reason's status and refused once, and the
/// connection closes; the handler gets none of them, nor anything that follows them.
async fn all_refused(cases: &[(Reason, Vec<u8>)]) {
    let mut lab = lab();
    for (reason, request) in cases {
        let shown = String::from_utf8_lossy(request.get(..request.len().min(200)).unwrap()).into_owned();
        let followed = [request.as_slice(), &post("/smuggled", "gw", "")].concat();
        let answer = converse(lab.connect().await, &followed).await;
        assert_eq!(status(&answer), reason.status(), "{shown:?}: {answer}");
        assert!(answer.contains("Connection: close\r\n"), "{shown:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{shown:?}: {answer}");
        let events = lab.until_ended().await;
        let expected = RequestError::Refused { status: reason.status(), reason: *reason };
        assert!(
            matches!(events.as_slice(), [Event::Refused(error)] if *error == expected),
            "{shown:?}: {events:?}"
        );
    }
    assert_eq!(lab.stats.requests(), 0);
    assert_eq!(lab.stats.refused().map(|(_, count)| count).sum::<u64>(), cases.len() as u64);
}

fn with(headers: &str) -> Vec<u8> {
    format!("POST /wsman HTTP/1.1\r\nHost: gw\r\n{headers}\r\n").into_bytes()
}

fn line(line: &str) -> Vec<u8> {
    format!("{line}\r\nHost: gw\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn requests_of_real_clients_pass_and_keep_their_connection() {
    let mut lab = lab();
    let mut stream = lab.connect().await;
    let sealed = "multipart/encrypted;protocol=\"application/HTTP-SPNEGO-session-encrypted\";boundary=\"Encrypted Boundary\"";
    let first = format!(
        "POST /hosts/web01.corp.example/wsman?PSVersion=5.1.22621.963 HTTP/1.1\r\nHost: GW.Corp.Example:5986\r\n\
         Accept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: Keep-Alive\r\nContent-Type: {sealed}\r\n\
         User-Agent: Python PSRP Client\r\nauthorization: Negotiate YIIabc==\r\nContent-Length: 4\r\n\r\nbody"
    );
    assert_eq!(status(&ask(&mut stream, first.as_bytes()).await), 200);
    let expected = Seen {
        path: "/hosts/web01.corp.example/wsman".to_owned(),
        ps_version: Some("5.1.22621.963".to_owned()),
        host: "gw.corp.example".to_owned(),
        authorization: Some("Negotiate YIIabc==".to_owned()),
        content_type: Some(sealed.to_owned()),
        wsmanidentify: false,
        user_agent: Some("Python PSRP Client".to_owned()),
        body: "body".into(),
    };
    assert!(matches!(lab.next().await, Event::Asked(seen) if seen == expected));
    assert!(matches!(lab.next().await, Event::Answered(Ok(()))));
    let second = "POST /wsman HTTP/1.1\r\nhost:[::1]:5986\r\nWSMANIDENTIFY: unauthenticated\r\nContent-Length:0\r\n\r\n";
    let answer = ask(&mut stream, second.as_bytes()).await;
    assert!(answer.contains("\r\nDate: ") && answer.contains("\r\nX-Request-Id: r1\r\n"), "{answer}");
    let Event::Asked(seen) = lab.next().await else { panic!("not asked") };
    assert!(seen.wsmanidentify && seen.authorization.is_none() && seen.host == "::1", "{seen:?}");
    let large = format!(
        "POST /wsman HTTP/1.1\r\nHost: gw\r\nAuthorization: Negotiate {}\r\nContent-Length: 0\r\n\r\n",
        "A".repeat(64_000)
    );
    assert_eq!(status(&ask(&mut stream, large.as_bytes()).await), 200, "a ticket with many groups fits");
    drop(stream);
    assert!(matches!(lab.until_ended().await.last(), Some(Event::Answered(Ok(())))));
}

#[tokio::test]
async fn threat_01_02_03_headers_of_clients_go_nowhere() {
    let mut lab = lab();
    let headers = "X-Remote-User: admin\r\nX-Forwarded-Client-Cert: x\r\nCookie: a=b\r\nConnection: close, X-Gateway-User\r\nContent-Length: 0\r\n";
    let answer = converse(lab.connect().await, &with(headers)).await;
    assert_eq!(status(&answer), 200);
    // A request has no map of headers; this lists every field that it has.
    let expected = Seen {
        path: "/wsman".to_owned(),
        ps_version: None,
        host: "gw".to_owned(),
        authorization: None,
        content_type: None,
        wsmanidentify: false,
        user_agent: None,
        body: "".into(),
    };
    assert!(matches!(lab.next().await, Event::Asked(seen) if seen == expected));
    all_refused(&[(Reason::Trailer, with("Trailer: X-Remote-User\r\nContent-Length: 0\r\n"))]).await;
}

#[tokio::test]
async fn threat_04_a_second_authorization_header_is_refused() {
    all_refused(&[
        (
            Reason::Repeated,
            with("Authorization: Basic YTpi\r\nauthorization: Basic Yzpk\r\nContent-Length: 0\r\n"),
        ),
        (Reason::Authorization, with("Authorization: \r\nContent-Length: 0\r\n")),
    ])
    .await;
}

#[tokio::test]
async fn threat_06_paths_that_are_not_byte_for_byte_are_refused() {
    let paths = [
        "/hosts/web01/../web02/wsman",
        "/hosts/%2e%2e/wsman",
        "/hosts%2fweb01/wsman",
        "/hosts%5cweb01",
        "/hosts\\web01/wsman",
        "//wsman",
        "/hosts//wsman",
        "/wsman;a=b",
        "/wsman%00",
        "/wsman%u002f",
        "/%c0%afwsman",
        "/%252e%252e/wsman",
        "/./wsman",
        "/hosts/.",
        "/..",
        "/wsman&a",
        "/wsman,a",
        "/wsman@host",
        "/wsman:5985",
        "/ws~man",
        "/*",
    ];
    let mut cases: Vec<_> =
        paths.iter().map(|path| (Reason::Path, line(&format!("POST {path} HTTP/1.1")))).collect();
    cases.push((Reason::Path, line(&format!("POST /{} HTTP/1.1", "a".repeat(1024)))));
    all_refused(&cases).await;
}

#[tokio::test]
async fn threat_07_paths_keep_their_case() {
    let mut lab = lab();
    let mut stream = lab.connect().await;
    ask(&mut stream, &post("/WSMan", "gw", "")).await;
    assert!(matches!(lab.next().await, Event::Asked(seen) if seen.path == "/WSMan"));
}

#[tokio::test]
async fn threat_08_other_forms_of_target_are_refused() {
    all_refused(&[
        (Reason::Target, line("POST http://other/wsman HTTP/1.1")),
        (Reason::Target, line("POST http://gw:5985/wsman HTTP/1.1")),
        (Reason::Target, line("POST https://gw/wsman HTTP/1.1")),
        (Reason::Target, line("POST http://user@gw/wsman HTTP/1.1")),
        (Reason::Target, line("POST http://gw HTTP/1.1")),
        (Reason::Target, line("OPTIONS * HTTP/1.1")),
        (Reason::Target, line("CONNECT gw:443 HTTP/1.1")),
        (Reason::Target, line("POST wsman HTTP/1.1")),
    ])
    .await;
    let lab = lab();
    let answer = ask(&mut lab.connect().await, &line("POST http://GW/wsman HTTP/1.1")).await;
    assert_eq!(status(&answer), 200, "the same authority in both places is no contradiction");
}

#[tokio::test]
async fn threat_12_queries_other_than_psversion_are_refused() {
    let queries = [
        "",
        "a=b",
        "PSVersion=",
        "PSVersion=5.1;a=b",
        "PSVersion=5.1&a=b",
        "PSVersion=5..1",
        "PSVersion=5.",
        "psversion=5.1",
        "PSVersion=1.2.3.4.5",
        "PSVersion=5.1?x",
        "PSVersion=%35",
        "PSVersion=12345678901",
        "x&PSVersion=5.1",
    ];
    let mut cases: Vec<_> =
        queries.iter().map(|query| (Reason::Query, line(&format!("POST /wsman?{query} HTTP/1.1")))).collect();
    cases.push((Reason::Path, line("POST /wsman#frag HTTP/1.1")));
    all_refused(&cases).await;
}

#[tokio::test]
async fn threat_13_defects_in_framing_are_refused() {
    let lengths = [
        "+5",
        "-1",
        "0x5",
        "5, 5",
        "5,5",
        " 5",
        "5 ",
        "\t5",
        "05",
        "00",
        "",
        "5.0",
        "5e0",
        "18446744073709551616",
        "５",
    ];
    let mut cases: Vec<_> = lengths
        .iter()
        .map(|length| {
            let reason = if length.is_ascii() { Reason::Length } else { Reason::ControlByte };
            (reason, with(&format!("Content-Length: {length}\r\n")))
        })
        .collect();
    let codings = [
        "chunked",
        "xchunked",
        "identity",
        "gzip, chunked",
        "chunked, chunked",
        "chunked, identity",
        "",
        " chunked",
        "\tchunked",
        "Chunked",
    ];
    cases.extend(
        codings
            .iter()
            .map(|coding| (Reason::TransferEncoding, with(&format!("Transfer-Encoding: {coding}\r\n")))),
    );
    cases.extend([
        (Reason::TransferEncoding, with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")),
        (Reason::TransferEncoding, with("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")),
        (Reason::Repeated, with("Content-Length: 5\r\nContent-Length: 5\r\n")),
        (Reason::Repeated, with("Content-Length: 0\r\ncontent-length: 5\r\n")),
        (Reason::NoLength, with("")),
        (Reason::TooLarge, with("Content-Length: 1089537\r\n")),
        (Reason::TooLarge, with("Content-Length: 18446744073709551615\r\n")),
        (Reason::ContentEncoding, with("Content-Encoding: gzip\r\nContent-Length: 0\r\n")),
        (Reason::Repeated, with("Content-Type: a/b\r\nContent-Type: a/b\r\nContent-Length: 0\r\n")),
        (
            Reason::Version,
            b"POST /wsman HTTP/1.0\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec(),
        ),
    ]);
    all_refused(&cases).await;
}

#[tokio::test]
async fn threat_46_packed_bodies_and_those_above_the_bound_are_refused_unread() {
    let mut cases: Vec<_> = ["gzip", "deflate", "br", "identity", "SLDC", "gzip, gzip", ""]
        .iter()
        .map(|coding| with(&format!("Content-Encoding: {coding}\r\nContent-Length: 5\r\n")))
        .map(|request| (Reason::ContentEncoding, [request.as_slice(), b"\x1f\x8b\x08\0\0"].concat()))
        .collect();
    let bound = Limits::default().body_bytes;
    for length in [bound + 1, 10 * bound, usize::MAX] {
        cases.push((Reason::TooLarge, with(&format!("Content-Length: {length}\r\n"))));
    }
    all_refused(&cases).await;
    let lab = lab();
    let mut stream = lab.connect().await;
    let largest = "x".repeat(bound);
    assert_eq!(status(&ask(&mut stream, &post("/wsman", "gw", &largest)).await), 200);
}

#[tokio::test]
async fn threat_13_defects_in_headers_are_refused() {
    let many = "X-A: b\r\n".repeat(99);
    let raw = |head: &str| head.as_bytes().to_vec();
    all_refused(&[
        (Reason::LineBreak, raw("POST /wsman HTTP/1.1\nHost: gw\nContent-Length: 0\n\n")),
        (Reason::LineBreak, raw("POST /wsman HTTP/1.1\r\nHost: gw\nContent-Length: 0\r\n\r\n")),
        (Reason::LineBreak, raw("POST /wsman HTTP/1.1\r\nHost: gw\rX: y\r\n\r\n")),
        (Reason::LineBreak, raw("POST /wsman HTTP/1.1\r\nHost: gw\r\n\n")),
        (Reason::LineBreak, raw("POST /wsman HTTP/1.1\r\nHost: gw\r\r\n\r\n")),
        (Reason::HeaderLine, with("X-Folded: a\r\n b\r\nContent-Length: 0\r\n")),
        (Reason::HeaderLine, with("X-Folded: a\r\n\tb\r\nContent-Length: 0\r\n")),
        (Reason::HeaderLine, raw("POST /wsman HTTP/1.1\r\n Host: gw\r\nContent-Length: 0\r\n\r\n")),
        (Reason::HeaderLine, with("no colon\r\nContent-Length: 0\r\n")),
        (Reason::HeaderName, with("Content-Length : 0\r\n")),
        (Reason::HeaderName, with("Content-Length\t: 0\r\n")),
        (Reason::HeaderName, with(": empty\r\nContent-Length: 0\r\n")),
        (Reason::HeaderName, with("X(Y): z\r\nContent-Length: 0\r\n")),
        (Reason::HeaderName, with("Content_Length: 0\r\n")),
        (Reason::HeaderName, with("X_Forwarded_User: admin\r\nContent-Length: 0\r\n")),
        (Reason::ControlByte, with("X: a\0b\r\nContent-Length: 0\r\n")),
        (Reason::ControlByte, with("X: a\x0bb\r\nContent-Length: 0\r\n")),
        (Reason::ControlByte, with("X: a\x7fb\r\nContent-Length: 0\r\n")),
        (Reason::ControlByte, with("X: \u{e9}\r\nContent-Length: 0\r\n")),
        (Reason::ControlByte, with("X\u{e9}: a\r\nContent-Length: 0\r\n")),
        (Reason::TooManyHeaders, with(&format!("{many}Content-Length: 0\r\n"))),
        (Reason::HeadTooLarge, with(&format!("X: {}\r\nContent-Length: 0\r\n", "a".repeat(96 * 1024)))),
        (Reason::ContentType, with("Content-Type:\r\nContent-Length: 0\r\n")),
        (Reason::ContentType, with("Content-Type: a\tb\r\nContent-Length: 0\r\n")),
    ])
    .await;
    let lab = lab();
    let just = "X-A: b\r\n".repeat(98);
    let answer = ask(&mut lab.connect().await, &with(&format!("{just}Content-Length: 0\r\n"))).await;
    assert_eq!(status(&answer), 200, "a hundred headers are accepted");
}

#[tokio::test]
async fn threat_13_defects_in_the_request_line_are_refused() {
    all_refused(&[
        (Reason::RequestLine, line("POST  /wsman HTTP/1.1")),
        (Reason::RequestLine, line("POST /wsman  HTTP/1.1")),
        (Reason::RequestLine, line(" POST /wsman HTTP/1.1")),
        (Reason::RequestLine, line("POST /wsman HTTP/1.1 ")),
        (Reason::RequestLine, line("POST\t/wsman HTTP/1.1")),
        (Reason::RequestLine, line("POST /wsman\tHTTP/1.1")),
        (Reason::RequestLine, line("POST /wsman\t HTTP/1.1")),
        (Reason::RequestLine, line("POST /ws man HTTP/1.1")),
        (Reason::RequestLine, line("POST /wsman")),
        (Reason::RequestLine, line("POST /wsman http/1.1")),
        (Reason::RequestLine, line("POST /wsman HTTP/11")),
        (Reason::RequestLine, line("POST /wsman HTTP/1.1.1")),
        (Reason::RequestLine, line("P(ST /wsman HTTP/1.1")),
        (Reason::RequestLine, b"\r\nPOST /wsman HTTP/1.1\r\nHost: gw\r\nContent-Length: 0\r\n\r\n".to_vec()),
        (Reason::ControlByte, line("POST /ws\x01man HTTP/1.1")),
        (Reason::Version, line("POST /wsman HTTP/1.2")),
        (Reason::Version, line("POST /wsman HTTP/0.9")),
        (Reason::Version, line("POST /wsman HTTP/3.0")),
        (Reason::Method, line("GET /wsman HTTP/1.1")),
        (Reason::Method, line("post /wsman HTTP/1.1")),
        (Reason::Method, line("PUT /wsman HTTP/1.1")),
    ])
    .await;
}

#[tokio::test]
async fn threat_13_host_must_be_there_once_and_well_formed() {
    let hosts = [
        "", " ", "a b", "user@gw", "gw:", "gw:port", "gw:99999", "gw:1:2", "gw/x", "gw,gw", "[::1", "[::1]x",
        "[gw]", "gw.", ".gw", "g..w", "gw:+1", " gw", "gw\t",
    ];
    let mut cases: Vec<_> = hosts
        .iter()
        .map(|host| {
            (
                Reason::Host,
                format!("POST /wsman HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n").into_bytes(),
            )
        })
        .collect();
    cases.push((Reason::Host, b"POST /wsman HTTP/1.1\r\nContent-Length: 0\r\n\r\n".to_vec()));
    cases.push((Reason::Repeated, with("Host: gw\r\nContent-Length: 0\r\n")));
    cases.push((Reason::Repeated, with("host: other\r\nContent-Length: 0\r\n")));
    all_refused(&cases).await;
}

#[tokio::test]
async fn threat_14_nothing_is_read_after_a_refused_body() {
    let mut lab = lab();
    let smuggled = post("/smuggled", "gw", "");
    let request = [with("Content-Length: 2000000\r\n"), smuggled.repeat(100)].concat();
    let answer = converse(lab.connect().await, &request).await;
    assert_eq!((status(&answer), answer.matches("HTTP/1.1").count()), (413, 1), "{answer}");
    assert!(matches!(lab.until_ended().await.as_slice(), [Event::Refused(_)]));
}

#[tokio::test]
async fn threat_15_upgrades_and_strange_expectations_are_refused() {
    let rest = "Content-Length: 0\r\n";
    let cases = [
        (Reason::Upgrade, "Upgrade: websocket\r\nConnection: Upgrade\r\n"),
        (Reason::Upgrade, "Upgrade: h2c\r\n"),
        (Reason::Upgrade, "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"),
        (Reason::Upgrade, "Connection: keep-alive, Upgrade\r\n"),
        (Reason::Upgrade, "Connection: HTTP2-Settings\r\n"),
        (Reason::Expectation, "Expect: 100-Continue \r\n"),
        (Reason::Expectation, "Expect: 100-continue, x\r\n"),
        (Reason::Expectation, "Expect: 200-ok\r\n"),
        (Reason::Expectation, "Expect:\r\n"),
        (Reason::Repeated, "Expect: 100-continue\r\nExpect: 100-continue\r\n"),
    ];
    all_refused(&cases.map(|(reason, headers)| (reason, with(&format!("{headers}{rest}"))))).await;
}

#[tokio::test]
async fn what_a_web_page_can_cause_is_refused() {
    let rest = "Content-Length: 0\r\n";
    let cases = [
        "Origin: https://evil.example",
        "origin: null",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Mode: no-cors",
    ];
    all_refused(&cases.map(|header| (Reason::Browser, with(&format!("{header}\r\n{rest}"))))).await;
}

#[tokio::test]
async fn threat_15_the_gateway_itself_says_continue() {
    let lab = lab();
    let mut stream = lab.connect().await;
    stream.write_all(&with("Expect: 100-continue\r\nContent-Length: 4\r\n")).await.unwrap();
    let mut interim = [0; 25];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    let answer = ask(&mut stream, b"body").await;
    assert!(status(&answer) == 200 && answer.ends_with("\r\n\r\nbody"), "{answer}");
}

#[tokio::test]
async fn threat_16_http_1_0_is_refused() {
    all_refused(&[
        (Reason::Version, line("POST /wsman HTTP/1.0")),
        (Reason::Version, line("GET / HTTP/1.0")),
    ])
    .await;
}

#[tokio::test]
async fn threat_17_18_the_h2_preface_is_refused() {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    all_refused(&[(Reason::Version, preface)]).await;
}

#[tokio::test]
async fn threat_20_pipelined_requests_are_refused() {
    let mut lab = lab();
    let both = [post("/wsman", "gw", "body"), post("/smuggled", "gw", "")].concat();
    let answer = converse(lab.connect().await, &both).await;
    assert_eq!((status(&answer), answer.matches("HTTP/1.1").count()), (400, 1), "{answer}");
    let refused = RequestError::Refused { status: 400, reason: Reason::EarlyBytes };
    assert!(matches!(lab.until_ended().await.as_slice(), [Event::Refused(error)] if *error == refused));
    assert_eq!(lab.stats.requests(), 0);
}

#[tokio::test]
async fn threat_65_what_the_admin_listener_has_is_not_here() {
    let methods = ["GET", "POST", "HEAD"];
    let paths = ["/healthz", "/readyz", "/metrics"];
    let cases =
        methods.map(|method| paths.map(|path| (Reason::NotHere, line(&format!("{method} {path} HTTP/1.1")))));
    all_refused(&cases.concat()).await;
}
