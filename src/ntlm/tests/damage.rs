//! Messages that were cut, flipped, or never were any.

use super::super::av::AvPairs;
use super::super::message::{Authenticate, Challenge, Negotiate};
use super::super::spnego::{Init, Response, State};
use super::*;
use proptest::prelude::*;

fn answers(vector: &Vector, token: &[u8]) -> Result<Accepted, NtlmError> {
    let (acceptor, _) = asked(acceptor(vector.channel()).step(&vector.token(0), then()));
    acceptor.step(token, later(1))
}

#[test]
fn every_truncation_of_an_answer_is_refused() {
    for (vector, _) in Vector::all() {
        let whole = vector.token(2);
        for length in 0..whole.len() {
            refused(answers(&vector, &whole[..length]));
        }
        accepted(answers(&vector, &whole));
    }
}

#[test]
fn every_single_flipped_bit_of_an_answer_is_refused() {
    for (vector, _) in Vector::all() {
        let whole = vector.token(2);
        for bit in 0..8 * whole.len() {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(answers(&vector, &flipped).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn whatever_follows_an_answer_is_refused() {
    for (vector, _) in Vector::all() {
        let mut longer = vector.token(2);
        longer.push(0);
        refused(answers(&vector, &longer));
    }
}

#[test]
fn an_opening_that_was_changed_on_its_way_is_refused_in_the_end() {
    for (vector, _) in Vector::all() {
        let whole = vector.token(0);
        for bit in 0..8 * whole.len() {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(Accepted::Continue(acceptor, _)) = acceptor(vector.channel()).step(&flipped, then()) {
                assert!(acceptor.step(&vector.token(2), then()).is_err(), "bit {bit}");
            }
        }
        for length in 0..whole.len() {
            if let Ok(Accepted::Continue(acceptor, _)) =
                acceptor(vector.channel()).step(&whole[..length], then())
            {
                assert!(acceptor.step(&vector.token(2), then()).is_err(), "{length} bytes");
            }
        }
    }
}

#[test]
fn a_challenge_that_was_changed_on_its_way_is_refused_in_the_end() {
    for (vector, framing) in Vector::all() {
        let whole = vector.token(1);
        for bit in 0..8 * whole.len() {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let answer = match initiator(vector.bindings(), framing).0.step(&flipped) {
                Ok(Initiated::Established(_, token)) => token.unwrap(),
                Ok(Initiated::Continue(_, token)) => token,
                Err(_) => continue,
            };
            // A state of SPNEGO that says "go on, with a MIC" instead of "go on" changes nothing: there always is a MIC.
            assert!(answers(&vector, &answer).is_err() || answer == vector.token(2), "bit {bit}");
        }
        for length in 0..whole.len() {
            assert!(initiator(vector.bindings(), framing).0.step(&whole[..length]).is_err());
        }
    }
}

#[test]
fn the_client_takes_no_end_but_the_servers_own() {
    let vector = Vector::spnego();
    let end = vector.token(3);
    let step = |token: &[u8]| {
        let (initiator, _) = goes_on(initiator(None, Framing::Spnego).0.step(&vector.token(1)));
        initiator.step(token)
    };
    for bit in 0..8 * end.len() {
        let mut flipped = end.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(step(&flipped).is_err(), "bit {bit}");
    }
    for length in 0..end.len() {
        assert!(step(&end[..length]).is_err());
    }
    let write = |state, mic| Response { state: Some(state), mic, ..Response::default() }.write();
    assert_eq!(step(&write(State::Completed, None)).err(), Some(NtlmError::NoMechListMic));
    assert_eq!(step(&write(State::Completed, Some(&[1; 16]))).err(), Some(NtlmError::WrongMechListMic));
    assert_eq!(step(&write(State::Rejected, None)).err(), Some(NtlmError::Rejected));
    assert_eq!(step(&write(State::Incomplete, None)).err(), Some(NtlmError::UnexpectedMessage));
    proved(step(&end));
}

#[test]
fn the_verifier_wants_the_list_of_mechanisms_protected() {
    let vector = Vector::spnego();
    let token = vector.token(2);
    let response = Response::parse(&token).ok().unwrap();
    let with =
        |mic| Response { state: response.state, token: response.token, mic, ..Response::default() }.write();
    assert_eq!(refused(answers(&vector, &with(None))), NtlmError::NoMechListMic);
    assert_eq!(refused(answers(&vector, &with(Some(&[1; 16])))), NtlmError::WrongMechListMic);
    assert_eq!(refused(answers(&vector, &with(Some(&[])))), NtlmError::WrongMechListMic);
    accepted(answers(&vector, &with(response.mic)));
}

proptest! {
    #[test]
    fn nothing_that_is_read_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400), kind in 1_u8..=3) {
        let _ = Init::parse(&bytes).is_ok();
        let _ = Response::parse(&bytes).is_ok();
        let _ = AvPairs::parse(&bytes).is_ok();
        let mut message = b"NTLMSSP\0".to_vec();
        message.extend([kind, 0, 0, 0]);
        message.extend(&bytes);
        let _ = Negotiate::parse(&message).is_ok();
        let _ = Challenge::parse(&message).is_ok();
        let _ = Authenticate::parse(&message).is_ok();
        prop_assert!(answers(&Vector::raw(), &message).is_err());
        prop_assert!(answers(&Vector::spnego(), &bytes).is_err());
        prop_assert!(initiator(None, Framing::Spnego).0.step(&bytes).is_err());
        let _ = begins_ntlm(&bytes);
    }

    #[test]
    fn no_mangled_answer_is_accepted(which in 0_usize..3, edits in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8)) {
        let (vector, _) = Vector::all().into_iter().nth(which).unwrap();
        let honest = vector.token(2);
        let mut mangled = honest.clone();
        for (at, byte) in edits {
            let length = mangled.len();
            mangled[at % length] = byte;
        }
        prop_assert!(mangled == honest || answers(&vector, &mangled).is_err());
    }

    #[test]
    fn no_file_of_accounts_panics(text in "(\\PC{0,40}(:[0-9a-f]{30,34})?[\r\n]?){0,5}") {
        let _ = accounts_from(&text).is_ok();
    }

    #[test]
    fn messages_come_back_as_they_were_written(
        user in "\\PC{1,40}", domain in "\\PC{0,40}", workstation in "\\PC{0,20}", nt in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let written = Authenticate {
            lm_response: &[0; 24],
            nt_response: &nt,
            domain: domain.clone(),
            user: user.clone(),
            workstation: workstation.clone(),
            session_key: &[1; 16],
            flags: flags::Flags(0x1234),
            mic: Some([5; 16]),
        }
        .write()
        .unwrap();
        let read = Authenticate::parse(&written).ok().unwrap();
        prop_assert_eq!((read.user, read.domain, read.workstation), (user, domain, workstation));
        prop_assert_eq!((read.nt_response, read.mic, read.flags.0), (nt.as_slice(), Some([5; 16]), 0x1234));
    }

    #[test]
    fn both_sides_agree_whatever_the_names_are(user in "[^#\\pC\"/\\\\\\[\\]:;|=,+*?<>\\s]{1,20}", domain in "\\PC{0,20}", password in "\\PC{1,30}") {
        let listed = NtHash::of_password(&password).ok().unwrap();
        let digits: String = listed.digits();
        let accounts = accounts_from(&format!("{user}:{digits}")).ok();
        prop_assume!(accounts.is_some());
        let server = ServerNames { computer: "G".into(), domain: "W".into(), dns: "g.example.test".into() };
        let verifier = Arc::new(Verifier { server, accounts: accounts.unwrap(), skew: Duration::from_secs(60) });
        let bindings = ChannelBindings::from_application_data(b"tls-server-end-point:x");
        for framing in [Framing::Raw, Framing::Spnego] {
            let acceptor = Acceptor::new(Arc::clone(&verifier), Channel::Tls(bindings)).ok().unwrap();
            let credentials = Credentials::new(&user, &domain, listed.clone());
            let (initiator, token) = Initiator::begin(credentials, "HTTP/g", Some(bindings), framing).ok().unwrap();
            prop_assert!(begins_ntlm(&token));
            let (acceptor, token) = asked(acceptor.step(&token, then()));
            let (mut client, mut server) = match initiator.step(&token).ok().unwrap() {
                Initiated::Established(client, token) => (client, accepted(acceptor.step(&token.unwrap(), then())).0),
                Initiated::Continue(initiator, token) => {
                    let (server, end) = accepted(acceptor.step(&token, then()));
                    (proved(initiator.step(&end.unwrap())).0, server)
                }
            };
            prop_assert_eq!(server.account(), &user);
            let sealed = client.seal(b"hello").ok().unwrap();
            prop_assert_eq!(server.unseal(&sealed.header, &sealed.data).unwrap(), b"hello");
        }
    }
}
