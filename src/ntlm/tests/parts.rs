//! The parts that a whole exchange does not show: files of accounts, layouts, lists of pairs, DER.

use super::super::av::{AvId, AvPairs};
use super::super::message::{Authenticate, Challenge, ClientChallenge};
use super::super::spnego::Init;
use super::super::{der, wire};
use super::*;

const HASH: &str = "fc525c9683e8fe067095ba2ddc971889";

#[test]
fn a_file_of_accounts_is_read_line_by_line() {
    let text =
        format!("# who\n\nalice:{HASH}\r\nBob Builder:{}\ncarol@example.test:{HASH}", HASH.to_uppercase());
    let accounts = accounts_from(&text).ok().unwrap();
    let name = |user| accounts.find(user).map(|account| account.name.as_str());
    assert_eq!(accounts.count(), 3);
    assert_eq!(name("ALICE"), Some("alice"));
    assert_eq!(name("bob builder"), Some("Bob Builder"));
    assert_eq!(name("Carol@Example.TEST"), Some("carol@example.test"));
    assert_eq!(name("dave"), None);
    assert_eq!(accounts_from("").ok().unwrap().count(), 0);
}

#[test]
fn a_broken_file_of_accounts_names_its_line_and_no_secret() {
    let short = HASH.strip_prefix('f').unwrap();
    for (text, expected) in [
        (format!("alice {HASH}"), AccountsError::Form { line: 1 }),
        (format!("\nalice:{short}"), AccountsError::Form { line: 2 }),
        (format!("alice:{short}g"), AccountsError::Form { line: 1 }),
        (format!("alice:{HASH}0"), AccountsError::Form { line: 1 }),
        (format!("alice:{short}é"), AccountsError::Form { line: 1 }),
        (format!("alice: {HASH}"), AccountsError::Form { line: 1 }),
        (format!("alice:{HASH}:x"), AccountsError::Form { line: 1 }),
        ("alice:Passw0rd!".to_owned(), AccountsError::Form { line: 1 }),
        (format!(":{HASH}"), AccountsError::Name { line: 1 }),
        (format!(r"EXAMPLE\alice:{HASH}"), AccountsError::Name { line: 1 }),
        (format!(" alice:{HASH}"), AccountsError::Name { line: 1 }),
        (format!("al\tice:{HASH}"), AccountsError::Name { line: 1 }),
        (format!("{}:{HASH}", "a".repeat(257)), AccountsError::Name { line: 1 }),
        (format!("alice:{HASH}\n#\nALICE:{HASH}"), AccountsError::Twice { line: 3, first: 1 }),
    ] {
        let error = accounts_from(&text).err().unwrap();
        assert_eq!(error, expected, "{text}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(short) && !shown.contains("Passw0rd"), "{shown}");
        assert!(shown.contains(&format!("line {}", text.lines().count())), "{shown}");
    }
    let many: String = (0..=10_000).map(|number| format!("user{number}:{HASH}\n")).collect();
    assert_eq!(accounts_from(&many).err(), Some(AccountsError::TooMany { line: 10_001 }));
}

#[test]
fn fields_stay_inside_the_message_outside_its_head_and_apart() {
    let whole = Vector::raw().token(2);
    let with = |place: usize, length: u16, at: u32| {
        let mut message = whole.clone();
        message[place..place + 2].copy_from_slice(&length.to_le_bytes());
        message[place + 4..place + 8].copy_from_slice(&at.to_le_bytes());
        Authenticate::parse(&message).err()
    };
    let refused = |text| Some(NtlmError::Malformed(text));
    assert_eq!(with(36, 10, 0x150 - 9), refused("the message ends too early"));
    assert_eq!(with(36, 10, u32::MAX), refused("the message ends too early"));
    assert_eq!(with(36, 10, 12), refused("a field points into the message's head"));
    assert_eq!(with(36, 10, 0x118), refused("two fields share bytes"));
    assert_eq!(with(36, 9, 0x126), refused("a text is not UTF-16"));
    assert_eq!(with(36, 0, u32::MAX), None);
    let mut lone = whole;
    lone[0x126..0x128].copy_from_slice(&[0x00, 0xd8]);
    assert_eq!(Authenticate::parse(&lone).err(), refused("a text is not UTF-16"));
}

#[test]
fn no_message_is_larger_than_honest_ones() {
    let mut message = Vector::raw().token(2);
    message.resize(16 * 1024 + 1, 0);
    assert_eq!(Authenticate::parse(&message).err(), Some(NtlmError::TooLarge));
    assert_eq!(Init::parse(&vec![0x60; 30_000]).err(), Some(NtlmError::TooLarge));
    let credentials = Credentials::new(&"a".repeat(9_000), "", hash());
    let (initiator, _) = Initiator::begin(credentials, "HTTP/h", None, Framing::Raw).ok().unwrap();
    assert_eq!(initiator.step(&Vector::raw().token(1)).err(), Some(NtlmError::TooLarge));
}

#[test]
fn a_list_of_pairs_ends_once_and_repeats_nothing() {
    let pair = |id: u8, value: &[u8]| [&[id, 0, u8::try_from(value.len()).unwrap(), 0], value].concat();
    let parse =
        |parts: &[Vec<u8>]| AvPairs::parse(&parts.concat()).map(|(pairs, rest)| (pairs, rest.len())).err();
    let end = || pair(0, b"");
    assert_eq!(parse(&[end()]), None);
    for broken in [
        vec![],
        vec![pair(1, b"a\0")],
        vec![pair(1, b"a\0"), pair(1, b"a\0"), end()],
        vec![pair(1, b"a"), end()],
        vec![pair(1, &[0, 0xd8]), end()],
        vec![pair(6, &[2]), end()],
        vec![pair(7, &[0; 7]), end()],
        vec![pair(10, &[0; 15]), end()],
        vec![pair(11, b""), end()],
        vec![pair(0, b"x")],
        vec![vec![1, 0, 200, 0], end()],
    ] {
        assert!(matches!(parse(&broken), Some(NtlmError::Malformed(_))), "{broken:?}");
    }
}

#[test]
fn a_servers_own_binding_does_not_pass_for_the_clients() {
    let vector = Vector::raw();
    let token = vector.token(1);
    let mut challenge = Challenge::parse(&token).ok().unwrap();
    challenge.pairs.set(AvId::ChannelBindings, vec![7; 16]);
    challenge.pairs.set(AvId::TargetName, wire::to_utf16("HTTP/other"));
    let (_, answer) = proved(initiator(None, Framing::Raw).0.step(&challenge.write().unwrap()));
    let answer = answer.unwrap();
    let response = Authenticate::parse(&answer).ok().unwrap().nt_response;
    let said = ClientChallenge::parse(&response[16..]).ok().unwrap();
    assert_eq!(said.pairs.get(AvId::ChannelBindings), None);
    assert_eq!(said.pairs.get(AvId::TargetName), Some(wire::to_utf16("HTTP/server01").as_slice()));
}

/// The opening of a Windows browser: NTLM first, then both Kerberos, then NEGOEX.
const WINDOWS: &str =
    "YIGCBgYrBgEFBQKgeDB2oDAwLgYKKwYBBAGCNwICCgYJKoZIgvcSAQICBgkqhkiG9xIBAgIGCisGAQQBgjcCAh6iQgRA";

#[test]
fn windows_lists_other_mechanisms_after_ntlm() {
    let mut token = BASE64_STANDARD.decode(WINDOWS).unwrap();
    assert!(!begins_ntlm(&token), "the token is cut");
    let mut negotiate = Vector::raw().token(0);
    negotiate.resize(64, 0);
    token.extend(&negotiate);
    assert!(begins_ntlm(&token));
    let init = Init::parse(&token).ok().unwrap();
    assert_eq!((init.token, init.mechanisms.len()), (negotiate.as_slice(), 48));
}

#[test]
fn other_mechanisms_are_not_ours() {
    let kerberos_first = |token: &mut Vec<u8>| token[29] ^= 1;
    let mut token = Vector::spnego().token(0);
    kerberos_first(&mut token);
    assert_eq!(Init::parse(&token).err(), Some(NtlmError::OtherMechanism));
    let krb5 =
        der::element(0x60, &[&der::element(6, &[&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2]]), b"x"]);
    assert_eq!(Init::parse(&krb5).err(), Some(NtlmError::OtherMechanism));
    assert!(!begins_ntlm(&token) && !begins_ntlm(&krb5) && !begins_ntlm(b""));
    assert_eq!(refused(acceptor(Channel::Plain).step(&krb5, then())), NtlmError::OtherMechanism);
}

#[test]
fn lengths_are_in_their_shortest_form() {
    for length in [0, 1, 127, 128, 255, 256, 20_000] {
        let contents = vec![7; length];
        assert_eq!(der::only(&der::element(4, &[&contents]), 4), Ok(contents.as_slice()));
    }
    for broken in [
        &[4, 0x80, 0, 0][..],
        &[4, 0x81, 1, 7],
        &[4, 0x82, 0, 1, 7],
        &[4, 0x83, 0, 0, 1, 7],
        &[4, 2, 7],
        &[4],
        &[4, 1, 7, 0],
        &[5, 0],
        &[],
    ] {
        assert!(der::only(broken, 4).is_err(), "{broken:?}");
    }
}

#[test]
fn every_reason_is_listed_once() {
    let reasons: std::collections::BTreeSet<_> = NtlmError::REASONS.into_iter().collect();
    assert_eq!(reasons.len(), NtlmError::REASONS.len());
    for error in [NtlmError::Malformed("x"), NtlmError::WrongMic, NtlmError::Ended, NtlmError::NoRandomness] {
        assert!(reasons.contains(error.reason()));
    }
}

/// Whether a type can be printed: the inherent constant is there for those that can, and comes before the trait's.
struct Printed<T>(std::marker::PhantomData<T>);

trait Never {
    const CAN: bool = false;
}

impl<T> Never for Printed<T> {}

impl<T: std::fmt::Debug> Printed<T> {
    const CAN: bool = true;
}

#[test]
fn nothing_that_holds_a_secret_can_be_printed() {
    let printed = [
        Printed::<FileTime>::CAN,
        Printed::<Key>::CAN,
        Printed::<NtHash>::CAN,
        Printed::<Accounts>::CAN,
        Printed::<Verifier>::CAN,
        Printed::<Credentials>::CAN,
        Printed::<Initiator>::CAN,
        Printed::<Acceptor>::CAN,
        Printed::<SecurityContext>::CAN,
    ];
    // The time is no secret: it shows that the question works.
    assert_eq!(printed, [true, false, false, false, false, false, false, false, false]);
}
