//! Sealed bodies: what peers really write is taken, what two readers could cut differently is not.

use proptest::prelude::*;

use super::*;

const VECTORS: [(Protocol, &[u8], &[u8]); 4] = [
    (
        Protocol::Kerberos,
        include_bytes!("../../../tests/corpus/sealed/krb5-aes256-1-client.multipart.bin"),
        include_bytes!("../../../tests/corpus/sealed/krb5-aes256-2-server.multipart.bin"),
    ),
    (
        Protocol::Kerberos,
        include_bytes!("../../../tests/corpus/sealed/krb5-aes256-utf16-1-client.multipart.bin"),
        include_bytes!("../../../tests/corpus/sealed/krb5-rc4hmac-1-client.multipart.bin"),
    ),
    (
        Protocol::Spnego,
        include_bytes!("../../../tests/corpus/sealed/ntlm-spnego-1-client.multipart.bin"),
        include_bytes!("../../../tests/corpus/sealed/ntlm-spnego-2-server.multipart.bin"),
    ),
    (
        Protocol::Spnego,
        include_bytes!("../../../tests/corpus/sealed/spnego-krb5-aes256-1-client.multipart.bin"),
        include_bytes!("../../../tests/corpus/sealed/spnego-krb5-aes256-2-server.multipart.bin"),
    ),
];

/// A body whose every part is known: 16 bytes of header, `abcd` of data.
fn body() -> Vec<u8> {
    encode(Protocol::Kerberos, Charset::Utf8, 4, &[7; 16], b"abcd")
}

fn edited(from: &str, to: &str) -> Vec<u8> {
    let body = body();
    let mut edited = Vec::new();
    let mut rest = body.as_slice();
    let mut found = false;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from.as_bytes()) {
        edited.extend_from_slice(&rest[..at]);
        edited.extend_from_slice(to.as_bytes());
        rest = &rest[at + from.len()..];
        found = true;
    }
    assert!(found, "{from:?} is not in the body");
    edited.extend_from_slice(rest);
    edited
}

fn read(body: &[u8]) -> Result<(Vec<u8>, Vec<u8>), SealedError> {
    let parts = decode(content_type(Protocol::Kerberos), body, &Limits::default())?;
    Ok((parts.header.to_vec(), parts.data.to_vec()))
}

#[test]
fn every_recorded_body_is_taken_apart_and_written_again() {
    for (protocol, first, second) in VECTORS {
        for body in [first, second] {
            let parts = decode(content_type(protocol), body, &Limits::default()).unwrap();
            assert_eq!(parts.protocol, protocol);
            assert_eq!(encode(protocol, parts.charset, parts.length, parts.header, parts.data), body);
            for end in 0..body.len() {
                assert!(
                    decode(content_type(protocol), &body[..end], &Limits::default()).is_err(),
                    "cut at {end}"
                );
            }
        }
    }
}

#[test]
fn what_other_peers_write_is_taken() {
    let wanted = Ok((vec![7; 16], b"abcd".to_vec()));
    let more = |tail: &[u8]| [body().as_slice(), tail].concat();
    for (peer, body) in [
        ("pywinrm", body()),
        ("OMI and PSWSMan: no tab", edited("\t", "")),
        ("blanks for tabs", edited("\t", "  ")),
        ("Exchange: a blank after the dashes", edited("--Encrypted", "-- Encrypted")),
        ("OMI: one more line end", more(b"\r\n")),
        ("OMI: length in lower case", edited("Length=", "length=")),
        ("names in other case", edited("Content-Type", "CONTENT-TYPE")),
        ("charset in lower case", edited("UTF-8", "utf-8")),
        ("the parameters in another order", edited(";charset=UTF-8;Length=4", ";Length=4;charset=UTF-8")),
        ("no charset", edited(";charset=UTF-8", "")),
        ("blanks around parameters", edited(";charset", "; charset")),
    ] {
        assert_eq!(read(&body), wanted, "{peer}");
    }
    let spelled = content_type(Protocol::Kerberos).replace(";", "; ").replace("multipart", "Multipart");
    assert!(decode(&spelled, &body(), &Limits::default()).is_ok());
    let unquoted = content_type(Protocol::Kerberos).replace('"', "");
    assert!(decode(&unquoted, &body(), &Limits::default()).is_ok());
    let alone = "multipart/encrypted;protocol=\"application/HTTP-Kerberos-session-encrypted\"";
    assert!(decode(alone, &body(), &Limits::default()).is_ok(), "the first line is the boundary");
}

#[test]
fn threat_48_what_could_be_cut_in_two_ways_is_refused() {
    let more = |tail: &[u8]| [body().as_slice(), tail].concat();
    for (case, body, reason) in [
        ("a bare line feed", edited("\r\n", "\n"), "sealed_shape"),
        (
            "a folded header",
            edited("\tOriginalContent: type", "\tOriginalContent:\r\n type"),
            "sealed_original_content",
        ),
        ("a header more", edited("\tOriginalContent", "\tX: y\r\n\tOriginalContent"), "sealed_shape"),
        ("a header twice", edited("\tOriginalContent: ", "\tContent-Type: "), "sealed_shape"),
        ("an empty line", edited("octet-stream\r\n", "octet-stream\r\n\r\n"), "sealed_length"),
        (
            "another boundary inside",
            edited(
                "--Encrypted Boundary\r\n\tContent-Type: application/octet",
                "--Other\r\n\tContent-Type: application/octet",
            ),
            "sealed_shape",
        ),
        ("another closing", edited("--Encrypted Boundary--", "--Other Boundary--"), "sealed_truncated"),
        ("no closing", edited("--Encrypted Boundary--\r\n", ""), "sealed_truncated"),
        ("another protocol within", edited("HTTP-Kerberos", "HTTP-SPNEGO"), "sealed_shape"),
        ("clear text as second part", edited("octet-stream", "soap+xml"), "sealed_shape"),
        ("a control character", edited("OriginalContent", "Original\0Content"), "sealed_shape"),
        ("a line without end", vec![b'-'; 600], "sealed_shape"),
        ("two line ends more", more(b"\r\n\r\n"), "sealed_truncated"),
        ("something behind", more(b"x"), "sealed_truncated"),
        ("a second message", more(&body()), "sealed_length"),
        (
            "a second message of the same kind, in the data",
            encode(Protocol::Kerberos, Charset::Utf8, 4, &[7; 16], &body()),
            "sealed_length",
        ),
        ("a length that lies upwards", edited("Length=4", "Length=44"), "sealed_length"),
        ("a signed length", edited("Length=4", "Length=+4"), "sealed_original_content"),
        ("a hexadecimal length", edited("Length=4", "Length=0x4"), "sealed_original_content"),
        ("no length", edited(";Length=4", ""), "sealed_original_content"),
        ("two lengths", edited("Length=4", "Length=4;length=4"), "sealed_original_content"),
        ("a length above all bounds", edited("Length=4", "Length=99999999999"), "sealed_original_content"),
        ("a length above the envelope's", edited("Length=4", "Length=9999999"), "sealed_too_large"),
        ("another type", edited("type=application/soap+xml", "type=text/html"), "sealed_original_content"),
        ("no type", edited("type=application/soap+xml;", ""), "sealed_original_content"),
        ("an unknown parameter", edited("Length=4", "Length=4;x=y"), "sealed_original_content"),
        ("an unknown charset", edited("UTF-8", "UTF-7"), "sealed_original_content"),
        ("a header beyond the body", edited("\u{10}\0\0\0", "\u{40}\0\0\0"), "sealed_length"),
        ("nothing", Vec::new(), "sealed_truncated"),
        ("clear text", b"<s:Envelope/>".to_vec(), "sealed_truncated"),
    ] {
        assert_eq!(read(&body).unwrap_err().reason(), reason, "{case}");
    }
    let hidden = encode(Protocol::Kerberos, Charset::Utf8, 4, &[7; 16], &[0; 4 + MOST_OVERHEAD]);
    assert_eq!(read(&hidden), Err(SealedError::Length), "more than a mechanism adds");
}

#[test]
fn the_boundary_within_the_data_is_data() {
    for data in [
        b"--Encrypted Boundary--\r\n".as_slice(),
        b"\r\n--Encrypted Boundary\r\n\tContent-Type: application/octet-stream\r\n",
        b"\0\r\n\r\n--",
        b"--Encrypted Boundary",
    ] {
        let body = encode(Protocol::Kerberos, Charset::Utf8, data.len(), &[7; 16], data);
        assert_eq!(read(&body).unwrap().1, data);
    }
}

#[test]
fn content_types_that_are_not_ours_are_refused() {
    let ours = content_type(Protocol::Kerberos);
    let credssp = content_type(Protocol::CredSsp);
    for (value, error) in [
        (String::new(), SealedError::ContentType),
        ("application/soap+xml".to_owned(), SealedError::ContentType),
        ("multipart/encrypted".to_owned(), SealedError::ContentType),
        ("multipart/encrypted;boundary".to_owned(), SealedError::ContentType),
        (ours.replace("HTTP-Kerberos", "HTTP-Else"), SealedError::ContentType),
        (format!("{ours};boundary=\"Other\""), SealedError::ContentType),
        (ours.replace("Boundary", &"B".repeat(300)), SealedError::ContentType),
        (ours.replace("\"Encrypted", "\"\"Encrypted"), SealedError::ContentType),
        (ours.replace("multipart/encrypted", "multipart/x-multi-encrypted"), SealedError::MultiEncrypted),
        (credssp.to_owned(), SealedError::CredSsp),
    ] {
        assert_eq!(decode(&value, &body(), &Limits::default()), Err(error), "{value}");
    }
    assert_eq!(
        decode(&ours.replace("Encrypted Boundary", "Other"), &body(), &Limits::default())
            .unwrap_err()
            .reason(),
        "sealed_shape"
    );
    assert!(is_sealed(ours) && is_sealed(credssp) && is_sealed("Multipart/X-Multi-Encrypted;x"));
    assert!(!is_sealed("application/soap+xml;x=multipart/encrypted"));
}

#[test]
fn padding_may_be_counted_once_and_nothing_else() {
    let parts = |length, data| SealedParts {
        protocol: Protocol::Kerberos,
        charset: Charset::Utf8,
        length,
        header: &[],
        data,
    };
    assert_eq!(parts(4, b"abcd").check_length(4), Ok(()));
    assert_eq!(parts(4, b"abcd").check_length(3), Ok(()), "RC4 pads one byte, and clients count it");
    assert_eq!(parts(3, b"abcd").check_length(3), Ok(()));
    assert_eq!(
        parts(5, b"abcd").check_length(4),
        Err(SealedError::Length),
        "no padding is there to be counted"
    );
    for (length, plain) in [(4, 2), (4, 5), (3, 4), (0, 4), (4, 0)] {
        assert_eq!(parts(length, b"abcd").check_length(plain), Err(SealedError::Length), "{length} {plain}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        header in proptest::collection::vec(any::<u8>(), 0..=MOST_OVERHEAD),
        data in proptest::collection::vec(any::<u8>(), 0..300),
        utf16 in any::<bool>(), kerberos in any::<bool>(),
    ) {
        let protocol = if kerberos { Protocol::Kerberos } else { Protocol::Spnego };
        let charset = if utf16 { Charset::Utf16Le } else { Charset::Utf8 };
        let body = encode(protocol, charset, data.len(), &header, &data);
        let parts = decode(content_type(protocol), &body, &Limits::default()).unwrap();
        prop_assert_eq!(parts, SealedParts { protocol, charset, length: data.len(), header: &header, data: &data });
    }

    #[test]
    fn no_bytes_panic(value in "\\PC{0,80}", bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(decode(&value, &bytes, &Limits::default()).is_err());
        prop_assert!(decode(content_type(Protocol::Spnego), &bytes, &Limits::default()).is_err());
    }

    #[test]
    fn a_changed_body_is_refused_or_accounts_for_all_its_bytes(
        vector in 0..VECTORS.len(), at in any::<proptest::sample::Index>(), length in 0_usize..6,
        with in proptest::collection::vec(any::<u8>(), 0..6),
    ) {
        let (protocol, original, _) = VECTORS[vector];
        let mut body = original.to_vec();
        let at = at.index(body.len());
        let end = (at + length).min(body.len());
        body.splice(at..end, with);
        if let Ok(parts) = decode(content_type(protocol), &body, &Limits::default()) {
            prop_assert!(parts.header.len() + parts.data.len() <= parts.length + MOST_OVERHEAD);
            prop_assert!(parts.header.len() + parts.data.len() >= parts.length);
        }
    }
}
