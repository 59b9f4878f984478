//! Whatever bytes come: no panic, no dependence on how they are cut, and nothing passes that two readers could read
//! differently.

use proptest::prelude::*;

use super::*;

const VALID: &[u8] = b"POST /hosts/web01/wsman?PSVersion=5.1 HTTP/1.1\r\nHost: gw.test:5986\r\n\
    Content-Type: application/soap+xml;charset=UTF-8\r\nUser-Agent: x\r\nContent-Length: 12\r\nX-A: b\r\n\r\n";

const HTTPS: Connection<'static> =
    Connection { scheme: "https", server_name: Some("gw.test"), body_bytes: 1000 };

/// Scans `bytes` in pieces of the given sizes, then reads the head.
fn pass(bytes: &[u8], pieces: &[usize]) -> Result<Option<Head>, Reason> {
    let mut scanner = Scanner::new(100);
    let mut here = 0;
    for piece in pieces.iter().copied().chain([bytes.len()]) {
        here = (here + piece).min(bytes.len());
        if let Some(end) = scanner.advance(&bytes[..here])? {
            return head(&bytes[..end], HTTPS).map(Some);
        }
    }
    Ok(None)
}

fn outcome(result: &Result<Option<Head>, Reason>) -> Result<Option<(&str, &str, usize)>, Reason> {
    match result {
        Ok(head) => {
            Ok(head.as_ref().map(|head| (head.path.as_str(), head.host.as_str(), head.content_length)))
        }
        Err(reason) => Err(*reason),
    }
}

#[test]
fn the_valid_head_passes() {
    assert_eq!(outcome(&pass(VALID, &[])), Ok(Some(("/hosts/web01/wsman", "gw.test", 12))));
    for end in 0..VALID.len() {
        assert_eq!(outcome(&pass(&VALID[..end], &[])), Ok(None), "{end} bytes are not a head yet");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_head_or_a_reason(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(!matches!(pass(&bytes, &[]), Ok(Some(_))), "noise is no request");
    }

    #[test]
    fn the_cut_of_the_bytes_changes_nothing(
        at in 0..VALID.len(),
        byte in any::<u8>(),
        pieces in prop::collection::vec(1_usize..20, 0..30),
    ) {
        let mut bytes = VALID.to_vec();
        bytes[at] = byte;
        let (cut, whole) = (pass(&bytes, &pieces), pass(&bytes, &[]));
        prop_assert_eq!(outcome(&cut), outcome(&whole));
    }

    #[test]
    fn no_changed_or_inserted_byte_makes_a_passing_head_ambiguous(
        at in 0..VALID.len(),
        bytes in prop::collection::vec(prop::sample::select(&b"\r\n\t \0:_/.%;,?#@5aA\xff"[..]), 1..4),
        insert in any::<bool>(),
    ) {
        let mut changed = VALID.to_vec();
        let end = if insert { at } else { at + 1 };
        changed.splice(at..end, bytes);
        if let Ok(Some(head)) = pass(&changed, &[]) {
            prop_assert!(head.path.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte)));
            prop_assert!(!head.path.as_str().contains("//") && !head.path.as_str().contains("/../"));
            prop_assert_eq!(&head.host, "gw.test");
            let mut headers = [httparse::EMPTY_HEADER; 101];
            let mut reader = httparse::Request::new(&mut headers);
            prop_assert!(reader.parse(&changed).is_ok_and(|status| status.is_complete()), "another reader agrees");
            let lengths: Vec<_> = reader.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("content-length")).collect();
            prop_assert_eq!(lengths.len(), 1);
            let length = head.content_length.to_string();
            prop_assert_eq!(lengths[0].value, length.as_bytes());
            prop_assert_eq!(reader.path, Some(&*match &head.ps_version {
                Some(version) => format!("{}?PSVersion={}", head.path.as_str(), version.as_str()),
                None => head.path.as_str().to_owned(),
            }));
        }
    }
}
