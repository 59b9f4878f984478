//! Who proves what, and what is refused.

use std::time::Duration;

use libgssapi_sys::{
    GSS_C_CONF_FLAG, GSS_C_INTEG_FLAG, GSS_C_MUTUAL_FLAG, GSS_C_REPLAY_FLAG, GSS_C_SEQUENCE_FLAG,
};
use proptest::prelude::*;

use super::{
    super::{Class, GssError, context},
    ALICE, Accepted, Acceptor, BOTH_MECHANISMS, Initiated, Mechanism, WEB01, door, host, person,
    realm::with_realm,
    shake,
};

#[test]
fn a_handshake_asks_for_all_protections_and_neither_delegates_nor_speaks_dce() {
    assert_eq!(context::REQUEST, 0x3e);
}

#[test]
fn a_handshake_that_ends_without_a_required_protection_is_refused() {
    let all = context::REQUEST;
    context::require(all).expect("all are there");
    for (flag, name) in [
        (GSS_C_MUTUAL_FLAG, "mutual authentication"),
        (GSS_C_CONF_FLAG, "confidentiality"),
        (GSS_C_INTEG_FLAG, "integrity"),
        (GSS_C_REPLAY_FLAG, "replay detection"),
        (GSS_C_SEQUENCE_FLAG, "sequencing"),
    ] {
        let error = context::require(all & !flag).expect_err("one is missing");
        assert_eq!(error, GssError::MissingFlags { missing: name.to_owned() });
        assert_eq!(error.classify(), Class::MissingFlags);
    }
}

/// What web01 answers to the client's first token.
fn answer(acceptor: Acceptor, token: &[u8]) -> Vec<u8> {
    match acceptor.step(token).expect("the client's proof") {
        Accepted::Established(_, reply) => reply.expect("the server's proof"),
        Accepted::Continue(..) => panic!("one round is enough"),
    }
}

#[test]
fn a_host_that_does_not_prove_its_key_is_refused() {
    with_realm(async |realm| {
        let door = door();
        let (alice, web01) = (person(&door, realm, ALICE).await, host(&door, realm, "web01").await);
        for mechanism in BOTH_MECHANISMS {
            let (first, token) = door.initiate(&alice, WEB01, mechanism, None).await.expect("a token");
            let proof = answer(Acceptor::new(&web01, None), &token);
            // The right proof, but of another handshake.
            let (second, _) = door.initiate(&alice, WEB01, mechanism, None).await.expect("a token");
            second.step(&proof).map(drop).expect_err("the proof of another handshake");
            // No proof, the client's own token, and the proof with any part of it changed.
            for forged in [&[][..], &token, &proof[..proof.len() / 2]] {
                let (client, _) = door.initiate(&alice, WEB01, mechanism, None).await.expect("a token");
                let refused = match client.step(forged) {
                    Err(_) => true,
                    Ok(Initiated::Continue(..)) => mechanism == Mechanism::Spnego,
                    Ok(Initiated::Established(..)) => false,
                };
                assert!(refused, "{mechanism:?}: {} bytes were taken for a proof", forged.len());
            }
            for place in (proof.len() - 40)..proof.len() {
                let (client, token) = door.initiate(&alice, WEB01, mechanism, None).await.expect("a token");
                let mut forged = answer(Acceptor::new(&web01, None), &token);
                let place = place.min(forged.len() - 1);
                forged[place] ^= 1;
                client.step(&forged).map(drop).expect_err("a changed proof");
            }
            first.step(&proof).map(drop).expect("the proof itself is good");
        }
    });
}

#[test]
fn a_host_with_another_key_can_not_read_the_ticket() {
    with_realm(async |realm| {
        let door = door();
        let (alice, web02) = (person(&door, realm, ALICE).await, host(&door, realm, "web02").await);
        for mechanism in BOTH_MECHANISMS {
            let (_, token) = door.initiate(&alice, WEB01, mechanism, None).await.expect("a token");
            let error =
                Acceptor::new(&web02, None).step(&token).map(drop).expect_err("web02 has no key for it");
            assert_eq!(error.classify(), Class::NoKey, "{mechanism:?}: {error}");
            assert!(error.to_string().contains("HTTP/web01.corp.example@CORP.EXAMPLE"), "{error}");
        }
    });
}

#[test]
fn the_same_token_is_accepted_once() {
    with_realm(async |realm| {
        let door = door();
        let (alice, web01) = (person(&door, realm, ALICE).await, host(&door, realm, "web01").await);
        for mechanism in BOTH_MECHANISMS {
            let (_, token) = door.initiate(&alice, WEB01, mechanism, None).await.expect("a token");
            answer(Acceptor::new(&web01, None), &token);
            let error = Acceptor::new(&web01, None).step(&token).map(drop).expect_err("seen before");
            assert_eq!(error.classify(), Class::Replay, "{mechanism:?}: {error}");
            // Another process with the same file knows it too.
            let again = host(&door, realm, "web01").await;
            let error = Acceptor::new(&again, None).step(&token).map(drop).expect_err("seen before");
            assert_eq!(error.classify(), Class::Replay, "{mechanism:?}: {error}");
        }
        assert!(realm.dir().join("rcache").is_file(), "the replay cache is where it was asked to be");
    });
}

#[test]
fn an_expired_context_refuses_to_seal_and_to_unseal() {
    with_realm(async |realm| {
        let mut pair = shake(&door(), realm, ALICE, Mechanism::Krb5).await;
        let left = pair.client.expires() - std::time::Instant::now();
        assert!(left > Duration::from_secs(9 * 3600) && left <= Duration::from_secs(10 * 3600), "{left:?}");
        let sealed = pair.client.seal(b"in time").expect("it is not expired yet");
        // GSSAPI itself would go on: it is told nothing of this.
        pair.client.expires = std::time::Instant::now();
        pair.server.expires = std::time::Instant::now();
        assert_eq!(pair.client.seal(b"late").map(drop).expect_err("expired").classify(), Class::Expired);
        let error = pair.server.unseal(&sealed.header, &sealed.data).expect_err("expired");
        assert_eq!(error, GssError::Expired { what: "security context" });
    });
}

#[test]
fn no_garbage_is_taken_for_a_token_and_none_panics() {
    with_realm(async |realm| {
        let door = door();
        let (alice, web01) = (person(&door, realm, ALICE).await, host(&door, realm, "web01").await);
        let tokens: Vec<Vec<u8>> = {
            let mut tokens = Vec::new();
            for mechanism in BOTH_MECHANISMS {
                tokens.push(door.initiate(&alice, WEB01, mechanism, None).await.expect("a token").1);
            }
            tokens
        };
        // Every truncation of a good token, and some changes to its framing.
        for token in &tokens {
            for end in (0..token.len().min(120)).chain((120..token.len()).step_by(37)) {
                let step = Acceptor::new(&web01, None).step(&token[..end]);
                assert!(!matches!(step, Ok(Accepted::Established(..))), "{end} bytes of {}", token.len());
            }
            for place in 0..token.len().min(80) {
                let mut changed = token.clone();
                changed[place] ^= 0x41;
                // Some bytes of the framing are not significant; what counts is that nothing breaks.
                drop(Acceptor::new(&web01, None).step(&changed));
            }
        }
        let handle = tokio::runtime::Handle::current();
        let seeds =
            prop_oneof![Just(Vec::new()), Just(tokens[0][..20].to_vec()), Just(tokens[1][..30].to_vec())];
        let garbage =
            (seeds, proptest::collection::vec(any::<u8>(), 0..2000)).prop_map(|(a, b)| [a, b].concat());
        let any_mechanism = prop_oneof![Just(Mechanism::Krb5), Just(Mechanism::Spnego)];
        let config = ProptestConfig { failure_persistence: None, cases: 300, ..ProptestConfig::default() };
        tokio::task::block_in_place(|| {
            proptest!(config, |(garbage in garbage, mechanism in any_mechanism)| {
                let accepted = Acceptor::new(&web01, None).step(&garbage);
                prop_assert!(!matches!(accepted, Ok(Accepted::Established(..))));
                let started = handle.block_on(door.initiate(&alice, WEB01, mechanism, None));
                let (initiator, _) = started.expect("a token");
                prop_assert!(!matches!(initiator.step(&garbage), Ok(Initiated::Established(..))));
            });
        });
    });
}
