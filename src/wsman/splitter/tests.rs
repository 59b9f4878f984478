//! However an answer is chopped, the same envelopes come out, and nothing else does.

use proptest::prelude::*;

use super::*;
use crate::wsman::Charset;
use crate::wsman::sealed::{self, Protocol};

const FIRST: &str = include_str!("../../../tests/corpus/soap/soap-psrp/02-Receive.response.xml");
const SECOND: &str = include_str!("../../../tests/corpus/soap/soap-cmd-pypsrp/06-Receive.response.xml");
const TRICKY: &str = "<?xml version=\"1.0\"?><!-- </a> > --><a x='>' y=\"</a>\"><![CDATA[</a>]]><b/><b z='/'></b ><?p </a>?><!----></a >";

/// Pushes `body` in pieces of these sizes, again and again; gives the envelopes and whether the answer was complete.
fn split(mut splitter: AnswerSplitter, body: &[u8], sizes: &[usize]) -> Result<Vec<Vec<u8>>, SplitError> {
    let mut found = Vec::new();
    let mut rest = body;
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, tail) = rest.split_at((*size).clamp(1, rest.len()));
        splitter.push(piece);
        rest = tail;
        while let Some(envelope) = splitter.next_envelope()? {
            found.push(envelope.to_vec());
        }
    }
    splitter.finish()?;
    Ok(found)
}

fn plain(body: &[u8], sizes: &[usize]) -> Result<Vec<Vec<u8>>, SplitError> {
    split(AnswerSplitter::plain(&Limits::default()), body, sizes)
}

fn sealed(body: &[u8], sizes: &[usize]) -> Result<Vec<Vec<u8>>, SplitError> {
    let splitter = AnswerSplitter::sealed(sealed::content_type(Protocol::Kerberos), &Limits::default())?;
    split(splitter, body, sizes)
}

fn seal(data: &[u8]) -> Vec<u8> {
    sealed::encode(Protocol::Kerberos, Charset::Utf8, data.len(), &[7; 60], data)
}

#[test]
fn several_envelopes_come_out_one_by_one_as_they_arrive() {
    let mut splitter = AnswerSplitter::plain(&Limits::default());
    splitter.push(FIRST.as_bytes());
    assert_eq!(splitter.next_envelope().unwrap().unwrap(), FIRST.as_bytes());
    assert_eq!(splitter.next_envelope(), Ok(None));
    splitter.push(b"\r\n \t");
    assert_eq!(splitter.next_envelope(), Ok(None));
    splitter.push(&SECOND.as_bytes()[..100]);
    assert_eq!(splitter.next_envelope(), Ok(None));
    splitter.push(&SECOND.as_bytes()[100..]);
    assert_eq!(splitter.next_envelope().unwrap().unwrap(), SECOND.as_bytes());
    splitter.push(b"\r\n");
    assert_eq!(splitter.finish(), Ok(()));
}

#[test]
fn markup_that_looks_like_an_end_is_none() {
    assert_eq!(plain(TRICKY.as_bytes(), &[1]), Ok(vec![TRICKY.as_bytes().to_vec()]));
    let marked = [b"\xef\xbb\xbf".as_slice(), TRICKY.as_bytes()].concat();
    assert_eq!(plain(&marked, &[1]), Ok(vec![marked.clone()]));
    assert_eq!(plain(b"<a/>", &[1]), Ok(vec![b"<a/>".to_vec()]));
    assert_eq!(plain(b"<a b='/'></a>", &[1]), Ok(vec![b"<a b='/'></a>".to_vec()]));
    assert_eq!(plain(b"", &[1]), Ok(Vec::new()));
}

#[test]
fn threat_19_an_answer_that_is_none_or_not_whole_is_an_error() {
    for (body, error) in [
        ("x<a/>", SplitError::Garbage),
        ("</a>", SplitError::Garbage),
        ("<a/>x", SplitError::Garbage),
        ("HTTP/1.1 200 OK\r\n\r\n", SplitError::Garbage),
        ("<!DOCTYPE a><a/>", SplitError::Doctype),
        ("<a><!ENTITY></a>", SplitError::Doctype),
        ("<a>", SplitError::Incomplete),
        ("<a></a", SplitError::Incomplete),
        ("<a><!-- </a>", SplitError::Incomplete),
        ("<a x='</a>", SplitError::Incomplete),
        ("<a/><", SplitError::Incomplete),
        ("\u{feff}", SplitError::Incomplete),
        ("\u{feff}x", SplitError::Garbage),
    ] {
        for size in [1, 2, 100] {
            assert_eq!(plain(body.as_bytes(), &[size]), Err(error), "{body} by {size}");
        }
    }
    let mut unread = AnswerSplitter::plain(&Limits::default());
    unread.push(b"<a/>");
    assert_eq!(unread.finish(), Err(SplitError::Incomplete), "an envelope that nobody took");
}

#[test]
fn threat_55_an_answer_without_end_is_cut_off() {
    let limits = Limits::with_envelope_bytes(1000);
    let mut splitter = AnswerSplitter::plain(&limits);
    let mut pushed = 0;
    let error = loop {
        splitter.push(b"<a>aaaaaaa");
        pushed += 10;
        match splitter.next_envelope() {
            Ok(found) => assert_eq!(found, None),
            Err(error) => break error,
        }
    };
    assert_eq!((error, pushed), (SplitError::TooLarge { limit: 1000 }, 1010));
    let whole = format!("<a>{}</a>", "x".repeat(1000));
    let mut splitter = AnswerSplitter::plain(&limits);
    splitter.push(whole.as_bytes());
    assert_eq!(splitter.next_envelope(), Err(SplitError::TooLarge { limit: 1000 }));
    let mut sealed = AnswerSplitter::sealed(sealed::content_type(Protocol::Kerberos), &limits).unwrap();
    sealed.push(&seal(&[0; 5000]));
    assert_eq!(sealed.next_envelope(), Err(SplitError::Sealed(SealedError::TooLarge)));
}

#[test]
fn sealed_answers_are_cut_by_their_lengths_and_not_by_their_bytes() {
    let tricky = seal(b"a--Encrypted Boundary--\r\nb");
    // A mechanism that puts its trailer behind the data, and RC4's one byte of padding.
    let trailing = sealed::encode(Protocol::Kerberos, Charset::Utf8, 10, &[7; 32], &[1; 10 + 28]);
    let padded = sealed::encode(Protocol::Kerberos, Charset::Utf8, 10, &[7; 46], &[1; 11]);
    let all = [tricky.clone(), trailing, padded.clone()];
    assert_eq!(sealed(&all.concat(), &[1]), Ok(all.to_vec()));
    for piece in &all {
        let parts = sealed::decode(sealed::content_type(Protocol::Kerberos), piece, &Limits::default());
        assert!(parts.is_ok());
    }
    let omi = [tricky.as_slice(), b"\r\n", padded.as_slice(), b"\r\n"].concat();
    assert_eq!(sealed(&omi, &[3]), Ok(vec![tricky, padded]), "one more line end, as OMI writes it");
}

#[test]
fn threat_48_a_sealed_answer_that_is_not_one_is_an_error() {
    let good = seal(b"abcd");
    assert!(sealed(&good, &[1]).is_ok());
    for (body, error) in [
        (good[..good.len() - 1].to_vec(), SplitError::Incomplete),
        ([good.as_slice(), b"x"].concat(), SplitError::Incomplete),
        (
            [good.as_slice(), b"x\r\n"].concat(),
            SplitError::Sealed(SealedError::Shape { problem: "the boundary" }),
        ),
        (b"<s:Envelope/>\r\n".to_vec(), SplitError::Sealed(SealedError::Shape { problem: "the boundary" })),
        (seal(&[0; 4]).replace_closing(), SplitError::Sealed(SealedError::Length)),
    ] {
        assert_eq!(sealed(&body, &[1]), Err(error));
    }
    assert!(matches!(
        AnswerSplitter::sealed("application/soap+xml", &Limits::default()),
        Err(SplitError::Sealed(SealedError::ContentType))
    ));
}

#[test]
fn threat_60_what_a_host_answers_is_not_shown_by_debug() {
    let mut splitter = AnswerSplitter::plain(&Limits::default());
    splitter.push(b"<a>hunter2");
    assert!(!format!("{splitter:?}").contains("hunter2"));
}

trait ReplaceClosing {
    fn replace_closing(self) -> Vec<u8>;
}

impl ReplaceClosing for Vec<u8> {
    /// The same without its closing delimiter, and enough behind it to be sure that there is none.
    fn replace_closing(mut self) -> Vec<u8> {
        self.truncate(self.len() - "--Encrypted Boundary--\r\n".len());
        self.extend([b'x'; 200]);
        self
    }
}

proptest! {
    #[test]
    fn any_chopping_gives_the_same_envelopes(sizes in proptest::collection::vec(1_usize..400, 1..20), order in 0..6_usize) {
        let pieces = [FIRST, SECOND, TRICKY];
        let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        let wanted: Vec<Vec<u8>> = orders[order].iter().map(|index| pieces[*index].trim().as_bytes().to_vec()).collect();
        let body = orders[order].iter().map(|index| pieces[*index]).collect::<Vec<_>>().join("\r\n");
        prop_assert_eq!(plain(body.as_bytes(), &sizes), Ok(wanted));
    }

    #[test]
    fn any_chopping_of_sealed_messages_gives_the_same(
        sizes in proptest::collection::vec(1_usize..100, 1..20),
        datas in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..5),
    ) {
        let wanted: Vec<Vec<u8>> = datas.iter().map(|data| seal(data)).collect();
        prop_assert_eq!(sealed(&wanted.concat(), &sizes), Ok(wanted));
    }

    #[test]
    fn no_bytes_panic_and_none_are_invented(
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), proptest::sample::select(&b"<>/!-[]?'\"a \r\n"[..])], 0..200),
        sizes in proptest::collection::vec(1_usize..20, 1..5),
    ) {
        let whole = plain(&bytes, &[usize::MAX]);
        let chopped = plain(&bytes, &sizes);
        if let (Ok(whole), Ok(chopped)) = (&whole, &chopped) {
            prop_assert_eq!(whole, chopped);
            prop_assert!(whole.concat().len() <= bytes.len());
        }
        prop_assert_eq!(whole.is_ok(), chopped.is_ok());
        drop(sealed(&bytes, &sizes));
    }
}
