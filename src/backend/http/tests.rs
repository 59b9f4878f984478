use bytes::BytesMut;
use proptest::prelude::*;

use super::*;

/// What a whole answer gives: its head, its body, and what is left behind it.
fn read(bytes: &[u8]) -> Result<(Head, Vec<u8>, Vec<u8>), Option<HttpError>> {
    read_in_pieces(bytes, &[])
}

/// The same, where the bytes arrive cut at `cuts`. `Err(None)`: more is needed.
fn read_in_pieces(bytes: &[u8], cuts: &[usize]) -> Result<(Head, Vec<u8>, Vec<u8>), Option<HttpError>> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.push(bytes.len());
    cuts.sort_unstable();
    let (mut buffer, mut from, mut head, mut body) = (BytesMut::new(), 0, None, Vec::new());
    let mut reader = HeadReader::default();
    for cut in cuts {
        buffer.extend_from_slice(&bytes[from..cut]);
        from = cut;
        if head.is_none() {
            head = reader.next(&mut buffer).map_err(Some)?;
        }
        let Some(head) = &mut head else { continue };
        while let Piece::Bytes(piece) = head.body.next(&mut buffer).map_err(Some)? {
            assert!(!piece.is_empty());
            body.extend_from_slice(&piece);
        }
    }
    match head {
        Some(head) if head.body.is_done() => Ok((head, body, buffer.to_vec())),
        _ => Err(None),
    }
}

fn error(bytes: &str) -> Option<HttpError> {
    read(bytes.as_bytes()).expect_err(bytes)
}

const OK: &str = "HTTP/1.1 200 \r\n";

#[test]
fn a_windows_answer_is_read() {
    let text = "HTTP/1.1 200 \r\nWWW-Authenticate: Negotiate oYG3\r\nWWW-Authenticate: Kerberos\r\nServer: Microsoft-HTTPAPI/2.0\r\n\
                Content-Type:application/soap+xml;charset=UTF-8 \r\nContent-Length: 3\r\n\r\nabc";
    let (head, body, left) = read(text.as_bytes()).unwrap();
    assert_eq!((head.status, body.as_slice(), left.as_slice()), (200, &b"abc"[..], &b""[..]));
    assert_eq!(head.content_type.as_deref(), Some("application/soap+xml;charset=UTF-8"));
    assert_eq!(head.challenges, ["Negotiate oYG3", "Kerberos"]);
    assert!(head.keep_alive);
}

#[test]
fn chunks_are_put_together_and_interim_answers_passed_over() {
    let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 \r\nX: y\r\n\r\nHTTP/1.1 500 Internal Server Error\r\n\
                Transfer-Encoding: Chunked\r\nConnection: Close\r\n\r\n3\r\nabc\r\n00a\r\n0123456789\r\n0\r\n\r\n";
    let (head, body, left) = read(text.as_bytes()).unwrap();
    assert_eq!((head.status, body.as_slice(), left.len()), (500, &b"abc0123456789"[..], 0));
    assert!(!head.keep_alive);
}

#[test]
fn threat_19_every_ambiguous_answer_is_refused() {
    let many = format!("{OK}{}Content-Length: 0\r\n\r\n", "X: y\r\n".repeat(101));
    let long = format!("{OK}X: {}\r\n\r\n", "y".repeat(64 * 1024));
    let endless = format!("{OK}X: {}", "y".repeat(70 * 1024));
    let flood = "HTTP/1.1 100 \r\n\r\n".repeat(5);
    let twice = |name| HttpError::Twice { name };
    for (fields, wanted) in [
        ("Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", twice("Content-Length")),
        ("Content-Length: 1\r\nContent-Length: 2\r\n\r\nx", twice("Content-Length")),
        ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", HttpError::LengthAndCoding),
        ("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", HttpError::LengthAndCoding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", twice("Transfer-Encoding")),
        ("Transfer-Encoding: gzip, chunked\r\n\r\n", HttpError::TransferCoding),
        ("Transfer-Encoding: chunked, chunked\r\n\r\n", HttpError::TransferCoding),
        ("Transfer-Encoding: identity\r\n\r\n", HttpError::TransferCoding),
        ("Transfer-Encoding: \x0bchunked\r\n\r\n", HttpError::StrayControl),
        ("Transfer-Encoding : chunked\r\n\r\n", HttpError::Field),
        ("Content-Length: 1, 1\r\n\r\nx", HttpError::Length),
        ("Content-Length: +1\r\n\r\nx", HttpError::Length),
        ("Content-Length: -1\r\n\r\nx", HttpError::Length),
        ("Content-Length: 0x1\r\n\r\nx", HttpError::Length),
        ("Content-Length: 1 1\r\n\r\nx", HttpError::Length),
        ("Content-Length:\r\n\r\nx", HttpError::Length),
        ("Content-Length: 99999999999999999999\r\n\r\nx", HttpError::Length),
        ("Content-Type: a\r\n\r\nuntil the end of the connection", HttpError::NoLength),
        ("Content-Encoding: gzip\r\nContent-Length: 0\r\n\r\n", HttpError::ContentCoding),
        ("Content-Type: a\r\nContent-Type: a\r\nContent-Length: 0\r\n\r\n", twice("Content-Type")),
        ("X: y\r\n folded\r\nContent-Length: 0\r\n\r\n", HttpError::Field),
        ("X: y\r\n\tfolded\r\nContent-Length: 0\r\n\r\n", HttpError::Field),
        ("X: y\nContent-Length: 0\r\n\r\n", HttpError::StrayControl),
        ("X: y\rContent-Length: 0\r\n\r\n", HttpError::StrayControl),
        ("X: \0\r\nContent-Length: 0\r\n\r\n", HttpError::StrayControl),
        (": y\r\nContent-Length: 0\r\n\r\n", HttpError::Field),
        ("no colon\r\nContent-Length: 0\r\n\r\n", HttpError::Field),
        ("X\u{e9}: y\r\nContent-Length: 0\r\n\r\n", HttpError::Field),
        ("Content-Length: 1\u{e9}\r\n\r\n", HttpError::Field),
    ] {
        assert_eq!(error(&format!("{OK}{fields}")), Some(wanted), "{fields:?}");
    }
    for (text, wanted) in [
        (many.as_str(), HttpError::HeadTooLarge),
        (long.as_str(), HttpError::HeadTooLarge),
        (endless.as_str(), HttpError::HeadTooLarge),
        (flood.as_str(), HttpError::InterimFlood),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", HttpError::SwitchingProtocols),
        ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", HttpError::StatusLine),
        ("HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n", HttpError::StatusLine),
        ("http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", HttpError::StatusLine),
        ("HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", HttpError::StatusLine),
        ("HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", HttpError::StatusLine),
        ("HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n", HttpError::StatusLine),
        ("HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n", HttpError::StatusLine),
        ("HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n", HttpError::StatusLine),
        ("\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", HttpError::StatusLine),
        ("garbage\r\n\r\n", HttpError::StatusLine),
    ] {
        assert_eq!(error(text), Some(wanted), "{text:.60}");
    }
}

#[test]
fn threat_19_every_malformed_chunk_is_refused() {
    for (chunks, wanted) in [
        ("0x5\r\nabcde\r\n", HttpError::Chunk),
        ("5;a=b\r\nabcde\r\n", HttpError::Chunk),
        ("5 \r\nabcde\r\n", HttpError::Chunk),
        ("5\nabcde\r\n", HttpError::Chunk),
        ("\r\nabcde\r\n", HttpError::Chunk),
        ("-5\r\nabcde\r\n", HttpError::Chunk),
        ("fffffffffffffffff\r\n", HttpError::Chunk),
        ("5\r\nabcdeX\r\n", HttpError::Chunk),
        ("5\r\nabcde\n0\r\n\r\n", HttpError::Chunk),
        ("0\r\nX: y\r\n\r\n", HttpError::Trailer),
    ] {
        assert_eq!(
            error(&format!("{OK}Transfer-Encoding: chunked\r\n\r\n{chunks}")),
            Some(wanted),
            "{chunks:?}"
        );
    }
}

#[test]
fn a_request_is_an_allow_list_whatever_is_put_in() {
    let endpoint = crate::policy::UrlTemplate::parse("http://web01.corp.example:5985/wsman").unwrap();
    let endpoint = endpoint.fill(None).unwrap();
    let head = RequestHead {
        endpoint: &endpoint,
        ps_version: Some("5.1\r\nX: y"),
        content_type: SOAP,
        content_length: 7,
        authorization: None,
    };
    assert_eq!(
        head.to_text(),
        "POST /wsman?PSVersion=5.1 HTTP/1.1\r\nHost: web01.corp.example:5985\r\nConnection: Keep-Alive\r\n\
         User-Agent: winrm-gateway\r\nAccept-Encoding: identity\r\nContent-Type: application/soap+xml;charset=UTF-8\r\n\
         Content-Length: 7\r\n\r\n"
    );
}

/// A well-formed answer, its body, and how much of it is needed.
fn answers() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let pieces = prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6);
    (pieces, any::<bool>(), 0..4_usize).prop_map(|(pieces, chunked, interim)| {
        let body = pieces.concat();
        let mut bytes = "HTTP/1.1 100 Continue\r\n\r\n".repeat(interim).into_bytes();
        bytes.extend_from_slice(b"HTTP/1.1 200 OK\r\nServer: x\r\n");
        if chunked {
            bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            for piece in pieces {
                bytes.extend_from_slice(format!("{:X}\r\n", piece.len()).as_bytes());
                bytes.extend_from_slice(&piece);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
        } else {
            bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
            bytes.extend_from_slice(&body);
        }
        (bytes, body)
    })
}

proptest! {
    #[test]
    fn an_answer_is_read_the_same_however_it_arrives_and_never_too_far(
        (bytes, body) in answers(),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
        surplus in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let all = [bytes, surplus.clone()].concat();
        let (head, read, left) = read_in_pieces(&all, &cuts).unwrap();
        prop_assert_eq!((head.status, read, left), (200, body, surplus));
    }

    #[test]
    fn a_cut_answer_is_never_taken_for_a_whole_one((bytes, _) in answers(), end in any::<prop::sample::Index>()) {
        let end = end.index(bytes.len());
        prop_assert_eq!(read(&bytes[..end]).map(drop), Err(None));
    }

    #[test]
    fn garbage_never_panics_and_reads_the_same_however_it_arrives(
        garbage in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\r'), Just(b'\n'), Just(b':')], 0..200),
        framed in prop::bool::ANY,
        cuts in prop::collection::vec(any::<usize>(), 0..8),
    ) {
        let mut bytes = if framed { b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec() } else { Vec::new() };
        bytes.extend_from_slice(&garbage);
        prop_assert_eq!(read(&bytes).map_err(|error| error.is_some()), read_in_pieces(&bytes, &cuts).map_err(|error| error.is_some()));
    }
}
