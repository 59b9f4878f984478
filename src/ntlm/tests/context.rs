//! What a context does with messages that are not the next one.

use super::super::context::{Directions, Peers};
use super::*;

/// Both ends of one session.
fn session() -> (SecurityContext, SecurityContext) {
    let vector = Vector::spnego();
    let (acceptor, _) = asked(acceptor(Channel::Plain).step(&vector.token(0), then()));
    let (initiator, token) = goes_on(initiator(None, Framing::Spnego).0.step(&vector.token(1)));
    let (server, end) = accepted(acceptor.step(&token, then()));
    (proved(initiator.step(&end.unwrap())).0, server)
}

fn seal(context: &mut SecurityContext, plain: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let sealed = context.seal(plain).ok().unwrap();
    (sealed.header, sealed.data)
}

#[test]
fn messages_go_both_ways_in_order() {
    let (mut client, mut server) = session();
    for plain in [b"".as_slice(), b"one", &[7; 70_000], b"two"] {
        let (header, data) = seal(&mut client, plain);
        assert!(plain.len() < 8 || data != plain);
        assert_eq!(server.unseal(&header, &data).unwrap(), plain);
        let (header, data) = seal(&mut server, plain);
        assert_eq!(client.unseal(&header, &data).unwrap(), plain);
    }
}

#[test]
fn a_repeated_or_lost_message_ends_the_context() {
    let (mut client, mut server) = session();
    let (header, data) = seal(&mut client, b"once");
    server.unseal(&header, &data).unwrap();
    assert_eq!(server.unseal(&header, &data), Err(NtlmError::OutOfSequence));
    let (header, data) = seal(&mut client, b"next");
    assert_eq!(server.unseal(&header, &data), Err(NtlmError::Ended));
    assert_eq!(server.seal(b"answer").err(), Some(NtlmError::Ended));

    let (mut client, mut server) = session();
    seal(&mut client, b"lost");
    let (header, data) = seal(&mut client, b"next");
    assert_eq!(server.unseal(&header, &data), Err(NtlmError::OutOfSequence));
}

#[test]
fn every_flipped_bit_and_every_truncation_of_a_sealed_message_ends_the_context() {
    let damaged = |change: &dyn Fn(&mut Vec<u8>, &mut Vec<u8>)| {
        let (mut client, mut server) = session();
        let (mut header, mut data) = seal(&mut client, b"plain");
        change(&mut header, &mut data);
        let refusal = server.unseal(&header, &data).err();
        assert!(matches!(refusal, Some(NtlmError::WrongSeal | NtlmError::OutOfSequence)), "{refusal:?}");
        assert_eq!(server.unseal(&header, &data), Err(NtlmError::Ended));
    };
    for bit in 0..128 {
        damaged(&|header, _| header[bit / 8] ^= 1 << (bit % 8));
    }
    for bit in 0..40 {
        damaged(&|_, data| data[bit / 8] ^= 1 << (bit % 8));
    }
    for length in 0..16 {
        damaged(&|header, _| header.truncate(length));
    }
    for length in 0..5 {
        damaged(&|_, data| data.truncate(length));
    }
    damaged(&|header, _| header.push(0));
    damaged(&|_, data| data.push(0));
}

#[test]
fn a_message_is_not_taken_for_one_of_the_other_direction() {
    let (mut client, _) = session();
    let (header, data) = seal(&mut client, b"echo");
    assert_eq!(client.unseal(&header, &data), Err(NtlmError::WrongSeal));
}

#[test]
fn the_last_number_is_used_once() {
    let mut directions = Directions::of_client(&session_key());
    directions.sent.next_is(u32::MAX);
    let peers = Peers { account: String::new(), target: String::new(), channel_bound: false };
    let mut context = SecurityContext::new(directions, peers);
    assert_eq!(context.seal(b"last").ok().unwrap().header[12..], [0xff; 4]);
    assert_eq!(context.seal(b"one more").err(), Some(NtlmError::Ended));
}
