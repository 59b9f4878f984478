//! Exchanges that another implementation recorded, byte for byte.

use super::*;

#[test]
fn the_client_says_what_was_recorded() {
    for (vector, framing) in Vector::all() {
        let (initiator, opening) = initiator(vector.bindings(), framing);
        assert_eq!(opening, vector.token(0));
        let step = initiator.step(&vector.token(1));
        let (mut context, token) = match framing {
            Framing::Raw => proved(step),
            Framing::Spnego => {
                let (initiator, token) = goes_on(step);
                let (context, end) = proved(initiator.step(&vector.token(3)));
                assert_eq!(end, None);
                (context, Some(token))
            }
        };
        assert_eq!(token.unwrap(), vector.token(2));
        assert_eq!(context.account(), vector.text("user"));
        assert_eq!(context.is_channel_bound(), vector.bindings().is_some());
        exchange(&vector, &mut context, "client");
    }
}

#[test]
fn the_verifier_says_what_was_recorded() {
    for (vector, framing) in Vector::all() {
        let (acceptor, challenge) = asked(acceptor(vector.channel()).step(&vector.token(0), then()));
        assert_eq!(challenge, vector.token(1));
        let (mut context, end) = accepted(acceptor.step(&vector.token(2), later(2)));
        assert_eq!(end, (framing == Framing::Spnego).then(|| vector.token(3)));
        assert_eq!(context.account(), "alice");
        assert_eq!(context.target(), "HTTP/server01");
        assert_eq!(context.is_channel_bound(), vector.bindings().is_some());
        exchange(&vector, &mut context, "server");
    }
}

/// Seals what `side` sent and unseals what it received.
fn exchange(vector: &Vector, context: &mut SecurityContext, side: &str) {
    for (from, plain, header, data) in vector.messages() {
        if from == side {
            let sealed = context.seal(plain.as_bytes()).ok().unwrap();
            assert_eq!((sealed.header, sealed.data), (header, data));
        } else {
            assert_eq!(context.unseal(&header, &data).unwrap(), plain.as_bytes());
        }
    }
}

#[test]
fn the_keys_of_a_session_are_those_recorded() {
    let vector = Vector::raw();
    for (key, magic) in [
        ("client_sign_key", "session key to client-to-server signing key magic constant\0"),
        ("client_seal_key", "session key to client-to-server sealing key magic constant\0"),
        ("server_sign_key", "session key to server-to-client signing key magic constant\0"),
        ("server_seal_key", "session key to server-to-client sealing key magic constant\0"),
    ] {
        assert_eq!(session_key().derive(magic.as_bytes()).bytes().as_slice(), unhex(vector.text(key)));
    }
}

/// [MS-NLMP] sections 4.2.1 and 4.2.4.
#[test]
fn the_specifications_own_example_holds() {
    let key = NtHash::of_password("Password").ok().unwrap().response_key("User", "Domain");
    let mut said = unhex("0101000000000000");
    said.extend([0; 8]);
    said.extend([0xaa; 8]);
    said.extend([0; 4]);
    said.extend(unhex("02000c0044006f006d00610069006e0001000c005300650072007600650072000000000000000000"));
    let proof = key.proof([0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef], &said);
    assert_eq!(proof.bytes().as_slice(), unhex("68cd0ab851e51c96aabc927bebef6a1c"));
    let base = key.exchange_key(&proof);
    assert_eq!(base.bytes().as_slice(), unhex("8de40ccadbc14a82f15cb0ad0de95ca3"));
    assert_eq!(
        base.exchange(&Key::from([0x55; 16])).bytes().as_slice(),
        unhex("c5dad2544fc9799094ce1ce90bc9d03e")
    );
}

#[test]
fn a_binding_is_the_digest_that_was_recorded() {
    let vector = Vector::bound();
    let bindings = vector.bindings().unwrap();
    assert_eq!(bindings.bytes().as_slice(), unhex(vector.text("channel_bindings_packed_md5")));
}
