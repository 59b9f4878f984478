//! Sealed messages: the layout on the wire, and what is refused.

use std::ffi::c_int;

use libgssapi_sys::gss_wrap;
use proptest::prelude::*;

use super::{
    super::{
        Class, GssError, Sealed,
        buffer::{OwnedBuffer, borrowed},
    },
    ALICE, BOTH_MECHANISMS, Mechanism, SecurityContext, door,
    realm::with_realm,
    shake,
};

#[test]
fn a_sealed_message_has_winrms_layout_and_comes_back_whole() {
    with_realm(async |realm| {
        for mechanism in BOTH_MECHANISMS {
            let mut pair = shake(&door(), realm, ALICE, mechanism).await;
            for length in [0, 1, 15, 16, 17, 4096, 150_000] {
                let plain: Vec<u8> = (0..=250).cycle().take(length).collect();
                let there = pair.client.seal(&plain).expect("sealed");
                // AES: the whole overhead stands in front, 60 bytes, and the data keeps its length: no trailer.
                assert_eq!((there.header.len(), there.data.len()), (60, length), "{mechanism:?}");
                // Sealed, with the acceptor's subkey; no filler; the trailer of 28 bytes rotated to the front.
                assert_eq!(there.header[..8], [5, 4, 6, 0xff, 0, 0, 0, 28]);
                assert!(length < 16 || there.data != plain, "the message is readable");
                assert_eq!(pair.server.unseal(&there.header, &there.data).expect("unsealed"), plain);
                let back = pair.server.seal(&plain).expect("sealed");
                assert_eq!((back.header.len(), back.header[2]), (60, 7));
                assert_eq!(pair.client.unseal(&back.header, &back.data).expect("unsealed"), plain);
            }
        }
    });
}

#[test]
fn a_message_is_read_wherever_the_peer_cut_it_and_however_it_rotated_it() {
    with_realm(async |realm| {
        let mut pair = shake(&door(), realm, ALICE, Mechanism::Spnego).await;
        let plain = b"<s:Envelope/> with some length to it".to_vec();
        for cut in [0, 1, 16, 32, 60, 96] {
            let Sealed { header, data } = pair.server.seal(&plain).expect("sealed");
            let token = [header, data].concat();
            let (header, data) = token.split_at(cut);
            assert_eq!(pair.client.unseal(header, data).expect("unsealed"), plain, "cut at {cut}");
        }
        // OMI sends the trailer at the end: the same token with a rotation count of nought.
        let Sealed { header, data } = pair.server.seal(&plain).expect("sealed");
        let mut token = [header, data].concat();
        token[16..].rotate_left(28);
        token[6..8].copy_from_slice(&[0, 0]);
        let (header, data) = token.split_at(32);
        assert_eq!(pair.client.unseal(header, data).expect("unsealed"), plain);
        // And what GSSAPI's plain wrap makes, which is also OMI's way.
        let token = wrap(&mut pair.server, &plain, 1);
        assert_eq!(pair.client.unseal(&token[..16], &token[16..]).expect("unsealed"), plain);
    });
}

#[test]
fn a_message_that_anybody_could_read_is_refused() {
    with_realm(async |realm| {
        for mechanism in BOTH_MECHANISMS {
            let mut pair = shake(&door(), realm, ALICE, mechanism).await;
            let token = wrap(&mut pair.server, b"readable on the wire", 0);
            assert!(token.windows(8).any(|part| part == b"readable"), "this token is not encrypted");
            let error = pair.client.unseal(&token[..16], &token[16..]).expect_err("not encrypted");
            assert_eq!(error, GssError::NotSealed);
            assert_eq!(error.classify(), Class::NotSealed);
        }
    });
}

#[test]
fn a_changed_byte_anywhere_is_refused() {
    with_realm(async |realm| {
        let mut pair = shake(&door(), realm, ALICE, Mechanism::Krb5).await;
        let plain = b"<s:Envelope/>".to_vec();
        let Sealed { header, data } = pair.client.seal(&plain).expect("sealed");
        let token = [header, data].concat();
        for place in 0..token.len() {
            let mut changed = token.clone();
            changed[place] ^= 1;
            let error = pair.server.unseal(&changed[..60], &changed[60..]).map(drop);
            assert!(error.is_err(), "byte {place} was changed unnoticed");
        }
        assert_eq!(
            pair.server.unseal(&token[..60], &token[60..]).expect("the message itself is good"),
            plain
        );
    });
}

#[test]
fn a_repeated_message_and_a_skipped_one_are_refused() {
    with_realm(async |realm| {
        for mechanism in BOTH_MECHANISMS {
            let mut pair = shake(&door(), realm, ALICE, mechanism).await;
            let first = pair.client.seal(b"first").expect("sealed");
            assert_eq!(pair.server.unseal(&first.header, &first.data).expect("unsealed"), b"first");
            let error = pair.server.unseal(&first.header, &first.data).expect_err("a second time");
            assert_eq!(error.classify(), Class::Replay, "{error}");
            drop(pair.client.seal(b"lost").expect("sealed"));
            let third = pair.client.seal(b"third").expect("sealed");
            let error = pair.server.unseal(&third.header, &third.data).expect_err("one is missing");
            assert_eq!(error.classify(), Class::OutOfSequence, "{error}");
        }
    });
}

#[test]
fn a_message_of_another_connection_or_of_ones_own_is_refused() {
    with_realm(async |realm| {
        let door = door();
        let mut one = shake(&door, realm, ALICE, Mechanism::Krb5).await;
        let mut other = shake(&door, realm, ALICE, Mechanism::Krb5).await;
        let sealed = one.client.seal(b"for one").expect("sealed");
        other.server.unseal(&sealed.header, &sealed.data).expect_err("another connection");
        one.client.unseal(&sealed.header, &sealed.data).expect_err("reflected");
        assert_eq!(one.server.unseal(&sealed.header, &sealed.data).expect("unsealed"), b"for one");
    });
}

#[test]
fn no_garbage_is_taken_for_a_message_and_none_panics() {
    with_realm(async |realm| {
        let mut pair = shake(&door(), realm, ALICE, Mechanism::Spnego).await;
        let Sealed { header, data } = pair.client.seal(b"<s:Envelope/>").expect("sealed");
        for end in 0..header.len() {
            pair.server.unseal(&header[..end], &[]).expect_err("a part of the header");
        }
        for end in 0..data.len() {
            pair.server.unseal(&header, &data[..end]).expect_err("a part of the data");
        }
        let starts = prop_oneof![Just(Vec::new()), Just(header[..16].to_vec()), Just(header[..4].to_vec())];
        let garbage = (starts, proptest::collection::vec(any::<u8>(), 0..300));
        let config = ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() };
        let mut server = pair.server;
        let mut runner = proptest::test_runner::TestRunner::new(config);
        let server = std::cell::RefCell::new(&mut server);
        let outcome = runner.run(&garbage, |(start, rest)| {
            prop_assert!(server.borrow_mut().unseal(&start, &rest).is_err());
            Ok(())
        });
        outcome.expect("only sealed messages are taken");
    });
}

/// What `gss_wrap` makes of a message; `encrypted` is 0 for a token with a signature alone.
fn wrap(context: &mut SecurityContext, plain: &[u8], encrypted: c_int) -> Vec<u8> {
    let (mut minor, mut input, mut output) = (0, borrowed(plain), OwnedBuffer::new());
    // SAFETY: the context is live and ours alone, the input outlives the call, and the output is released by its owner.
    let major = unsafe {
        gss_wrap(
            &raw mut minor,
            context.handle.0,
            encrypted,
            0,
            &raw mut input,
            std::ptr::null_mut(),
            output.as_mut_ptr(),
        )
    };
    assert_eq!(major, 0);
    output.bytes().to_vec()
}
