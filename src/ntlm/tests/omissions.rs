//! Every way of leaving something out of a proof.

use super::super::av::{AvId, AvPairs};
use super::forgery::{Forgery, Mic};
use super::*;

/// What a verifier on `channel` says to a good answer after `change`.
fn answer(
    channel: Channel,
    bindings: Option<ChannelBindings>,
    change: impl FnOnce(&mut Forgery),
) -> Result<Accepted, NtlmError> {
    let negotiate = Vector::raw().token(0);
    let (acceptor, challenge) = asked(acceptor(channel).step(&negotiate, then()));
    let mut forgery = Forgery::of(&negotiate, &challenge, bindings);
    change(&mut forgery);
    acceptor.step(&forgery.message(), later(1))
}

fn plain(change: impl FnOnce(&mut Forgery)) -> Result<Accepted, NtlmError> {
    answer(Channel::Plain, None, change)
}

fn reason(change: impl FnOnce(&mut Forgery)) -> &'static str {
    refused(plain(change)).reason()
}

fn channel(name: &str) -> ChannelBindings {
    ChannelBindings::from_application_data(format!("tls-server-end-point:{name}").as_bytes())
}

#[test]
fn a_complete_answer_is_accepted() {
    let (context, token) = accepted(plain(|_| ()));
    assert_eq!((context.account(), context.is_channel_bound(), token), ("alice", false, None));
    let (context, _) = accepted(answer(Channel::Tls(channel("a")), Some(channel("a")), |_| ()));
    assert!(context.is_channel_bound());
}

#[test]
fn a_random_proof_without_a_mic_is_refused() {
    let forged = |forgery: &mut Forgery, flag: u32, mic: Mic| {
        forgery.proof = Some([0x5a; 16]);
        forgery.hash = NtHash::from_bytes([0x5a; 16]).ok().unwrap();
        forgery.pairs.set(AvId::Flags, flag.to_le_bytes().to_vec());
        forgery.mic = mic;
    };
    assert_eq!(reason(|forgery| forged(forgery, 0, Mic::Zero)), "no_mic");
    assert_eq!(reason(|forgery| forged(forgery, 0, Mic::NoRoom)), "no_mic");
    assert_eq!(reason(|forgery| forged(forgery, 2, Mic::Zero)), "wrong_password");
    assert_eq!(reason(|forgery| forgery.proof = Some([0x5a; 16])), "wrong_password");
}

#[test]
fn a_wrong_password_is_refused() {
    assert_eq!(
        reason(|forgery| forgery.hash = NtHash::of_password("Passw0rd?").ok().unwrap()),
        "wrong_password"
    );
}

#[test]
fn an_unknown_account_is_refused_even_with_the_decoys_hash() {
    assert_eq!(reason(|forgery| forgery.user = "mallory".into()), "unknown_account");
    let decoyed = reason(|forgery| {
        forgery.user = "mallory".into();
        forgery.hash = NtHash::from_bytes([7; 16]).ok().unwrap();
    });
    assert_eq!(decoyed, "unknown_account");
}

#[test]
fn a_users_name_counts_in_any_case() {
    let (context, _) = accepted(plain(|forgery| forgery.user = "ALICE".into()));
    assert_eq!(context.account(), "alice");
}

#[test]
fn a_mic_must_be_promised_present_and_right() {
    assert_eq!(reason(|forgery| forgery.pairs.remove(AvId::Flags)), "no_mic");
    assert_eq!(reason(|forgery| forgery.pairs.set(AvId::Flags, vec![1, 0, 0, 0])), "no_mic");
    assert_eq!(reason(|forgery| forgery.mic = Mic::NoRoom), "no_mic");
    assert_eq!(reason(|forgery| forgery.mic = Mic::Zero), "wrong_mic");
    assert_eq!(reason(|forgery| forgery.mic = Mic::Wrong), "wrong_mic");
}

#[test]
fn a_mic_covers_the_negotiation_too() {
    let mut negotiate = Vector::raw().token(0);
    let honest = negotiate.clone();
    negotiate[13] &= !0x02; // Somebody takes NTLM's own flag away; the answer is the same.
    let (acceptor, challenge) = asked(acceptor(Channel::Plain).step(&negotiate, then()));
    let answer = Forgery::of(&honest, &challenge, None).message();
    assert_eq!(refused(acceptor.step(&answer, then())), NtlmError::WrongMic);
}

#[test]
fn over_tls_the_binding_must_be_there_and_right() {
    let tls = Channel::Tls(channel("a"));
    let reason = |bindings, change: &dyn Fn(&mut Forgery)| refused(answer(tls, bindings, change)).reason();
    assert_eq!(reason(None, &|_| ()), "no_bindings");
    assert_eq!(reason(Some(channel("b")), &|_| ()), "wrong_bindings");
    let zero = |forgery: &mut Forgery| forgery.pairs.set(AvId::ChannelBindings, vec![0; 16]);
    assert_eq!(reason(None, &zero), "zero_bindings");
}

/// A client that trusts another server, which passes everything on.
#[test]
fn a_proof_that_another_server_relays_is_refused() {
    let ours = Channel::Tls(channel("gateway"));
    for (theirs, reason) in [(Some(channel("rogue")), "wrong_bindings"), (None, "no_bindings")] {
        for framing in [Framing::Raw, Framing::Spnego] {
            let (victim, opening) = initiator(theirs, framing);
            let (acceptor, challenge) = asked(acceptor(ours).step(&opening, then()));
            let answer = match victim.step(&challenge).ok().unwrap() {
                Initiated::Established(_, token) => token.unwrap(),
                Initiated::Continue(_, token) => token,
            };
            assert_eq!(refused(acceptor.step(&answer, then())).reason(), reason);
        }
    }
}

#[test]
fn without_tls_a_bound_answer_was_made_for_another_server() {
    assert_eq!(refused(answer(Channel::Plain, Some(channel("a")), |_| ())).reason(), "unexpected_bindings");
    let zero = |forgery: &mut Forgery| forgery.pairs.set(AvId::ChannelBindings, vec![0; 16]);
    assert!(!accepted(answer(Channel::Plain, None, zero)).0.is_channel_bound());
    assert!(!accepted(answer(Channel::Unknown, Some(channel("a")), |_| ())).0.is_channel_bound());
    assert!(!accepted(answer(Channel::Unknown, None, |_| ())).0.is_channel_bound());
}

#[test]
fn the_challenges_description_must_come_back_whole() {
    assert_eq!(reason(|forgery| forgery.pairs = AvPairs::default()), "no_target_info");
    for id in [AvId::NbComputerName, AvId::NbDomainName, AvId::DnsComputerName, AvId::Timestamp] {
        assert_eq!(reason(|forgery| forgery.pairs.remove(id)), "target_info_changed", "{id:?}");
    }
    let name = |id| move |forgery: &mut Forgery| forgery.pairs.set(id, b"O\0T\0H\0E\0R\0".to_vec());
    assert_eq!(reason(name(AvId::NbComputerName)), "target_info_changed");
    assert_eq!(reason(name(AvId::DnsTreeName)), "target_info_changed");
    let other_time = |forgery: &mut Forgery| forgery.pairs.set(AvId::Timestamp, later(1).to_bytes().to_vec());
    assert_eq!(reason(other_time), "target_info_changed");
}

#[test]
fn lm_and_ntlm_v1_are_refused() {
    assert_eq!(
        reason(|forgery| {
            forgery.nt = Some(Vec::new());
            forgery.lm = vec![3; 24];
        }),
        "lm_only"
    );
    assert_eq!(reason(|forgery| forgery.nt = Some(vec![3; 24])), "ntlm_v1");
    assert_eq!(reason(|forgery| forgery.nt = Some(vec![3; 16])), "malformed");
    assert_eq!(reason(|forgery| forgery.nt = Some([[3; 16], [1; 16]].concat())), "no_target_info");
}

#[test]
fn nobody_is_refused() {
    assert_eq!(reason(|forgery| forgery.user.clear()), "anonymous");
    assert_eq!(reason(|forgery| forgery.flags |= 0x800), "anonymous");
    for lm in [vec![], vec![0]] {
        let empty = |forgery: &mut Forgery| {
            forgery.nt = Some(Vec::new());
            forgery.lm = lm;
        };
        assert_eq!(reason(empty), "anonymous");
    }
}

const STRONG: [u32; 6] = [0x1, 0x10, 0x20, 0x8_0000, 0x2000_0000, 0x4000_0000];

#[test]
fn no_flag_of_a_strong_session_may_be_missing_and_no_datagrams() {
    for flag in STRONG {
        assert_eq!(reason(|forgery| forgery.flags &= !flag), "weak_flags", "{flag:x}");
        let mut negotiate = Vector::raw().token(0);
        let offered = u32::from_le_bytes(negotiate[12..16].try_into().unwrap());
        negotiate[12..16].copy_from_slice(&(offered & !flag).to_le_bytes());
        assert_eq!(refused(acceptor(Channel::Plain).step(&negotiate, then())), NtlmError::WeakFlags);
    }
    assert_eq!(reason(|forgery| forgery.flags |= 0x40), "weak_flags");
}

#[test]
fn the_client_asks_for_no_less() {
    for flag in STRONG {
        let (initiator, _) = initiator(None, Framing::Raw);
        let mut challenge = Vector::raw().token(1);
        let chosen = u32::from_le_bytes(challenge[20..24].try_into().unwrap());
        challenge[20..24].copy_from_slice(&(chosen & !flag).to_le_bytes());
        assert_eq!(initiator.step(&challenge).err(), Some(NtlmError::WeakFlags));
    }
    let without = |flag: u32, length: usize| {
        let mut challenge = Vector::raw().token(1);
        let chosen = u32::from_le_bytes(challenge[20..24].try_into().unwrap());
        challenge[20..24].copy_from_slice(&(chosen & !flag).to_le_bytes());
        challenge[40] -= u8::try_from(length).unwrap();
        if length > 0 {
            let end = challenge.len() - length;
            challenge[end - 4..].fill(0);
        }
        initiator(None, Framing::Raw).0.step(&challenge).err()
    };
    assert_eq!(without(0x80_0000, 0), Some(NtlmError::NoTargetInfo));
    assert_eq!(without(0, 12), Some(NtlmError::NoTimestamp));
}

#[test]
fn an_answer_to_another_challenge_is_refused() {
    let vector = Vector::raw();
    let (_, again) = asked(acceptor(Channel::Plain).step(&vector.token(0), then()));
    assert_eq!(again, vector.token(1));
    let other = |nonce, now| {
        let secrets = Secrets { nonce, decoy: hash() };
        let acceptor = Acceptor::with(verifier(), Channel::Plain, secrets);
        let (acceptor, _) = asked(acceptor.step(&vector.token(0), now));
        refused(acceptor.step(&vector.token(2), now))
    };
    assert_eq!(other([1; 8], then()), NtlmError::WrongPassword);
    assert_eq!(other([1; 8], later(5)), NtlmError::TargetInfoChanged);
    assert_eq!(
        other([0xb5, 0xf3, 0x8f, 0xd4, 0x38, 0x75, 0x62, 0x76], later(5)),
        NtlmError::TargetInfoChanged
    );
}

#[test]
fn an_answer_comes_in_time() {
    let vector = Vector::raw();
    let at = |now| {
        let (acceptor, _) = asked(acceptor(Channel::Plain).step(&vector.token(0), then()));
        acceptor.step(&vector.token(2), now)
    };
    accepted(at(later(300)));
    assert_eq!(refused(at(later(301))), NtlmError::ChallengeExpired);
    assert_eq!(reason(|forgery| forgery.time = later(600)), "clock_skew");
}

#[test]
fn an_answer_without_a_question_is_refused_and_so_is_a_second_question() {
    for (vector, _) in Vector::all() {
        assert!(matches!(
            refused(acceptor(vector.channel()).step(&vector.token(2), then())),
            NtlmError::UnexpectedMessage | NtlmError::Malformed(_)
        ));
        let (acceptor, _) = asked(acceptor(vector.channel()).step(&vector.token(0), then()));
        assert!(matches!(
            refused(acceptor.step(&vector.token(0), then())),
            NtlmError::UnexpectedMessage | NtlmError::Malformed(_)
        ));
    }
}

#[test]
fn an_empty_password_is_nobodys() {
    assert_eq!(NtHash::of_password("").err(), Some(NtlmError::EmptyPassword));
    let listed = accounts_from("alice:31d6cfe0d16ae931b73c59d7e0c089c0").err();
    assert_eq!(listed, Some(AccountsError::EmptyPassword { line: 1 }));
}
