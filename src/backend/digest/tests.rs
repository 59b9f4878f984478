//! The RFC's own example, and challenges that nobody should answer.

use super::*;
use crate::{
    backend::tests::{endpoint, host_key},
    credential::LoginName,
    policy::Scheme,
};

const NONCE: &str = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
const OURS: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";

fn login(name: &str, password: &str) -> Login {
    Login::for_test(&LoginName::parse(name).unwrap(), &endpoint(Scheme::Http, "web01", 1).host, password)
}

/// RFC 7616 section 3.9.1.
fn asked(algorithm: &str) -> String {
    format!(
        "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, nonce=\"{NONCE}\", \
         opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
    )
}

fn begin(challenges: &[&str]) -> Result<Digest, DigestError> {
    let challenges: Vec<String> = challenges.iter().map(|text| (*text).to_owned()).collect();
    Digest::begin(&login(r"BOX\ops", "secret"), &challenges, (&Memory::default(), &host_key()))
}

fn error(challenges: &[&str]) -> DigestError {
    begin(challenges).err().unwrap()
}

#[test]
fn the_rfcs_own_example_is_answered_as_the_rfc_does() {
    for (algorithm, wanted) in [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ] {
        let challenge = Challenge::strongest(&[asked(algorithm)]).unwrap();
        let secret = challenge.algorithm.hash(&["Mufasa", &challenge.realm, "Circle of Life"]);
        let digest = Digest { user: "Mufasa".to_owned(), secret, challenge, count: 0, last: None };
        assert_eq!(*digest.response(&["GET", "/dir/index.html"], ("00000001", OURS)), wanted);
    }
}

#[test]
fn an_answer_says_what_it_answers_and_counts_how_often() {
    let mut digest = begin(&[&asked("SHA-256")]).unwrap();
    for count in ["00000001", "00000002", "00000003"] {
        let value = digest.authorize("/wsman").unwrap();
        let sent = parameters(value.expose_secret().strip_prefix("Digest ").unwrap()).unwrap();
        let get = |name: &str| sent.iter().find(|(known, _)| known == name).unwrap().1.as_str();
        assert_eq!((get("nc"), get("qop"), get("algorithm")), (count, "auth", "SHA-256"));
        assert_eq!((get("username"), get("uri"), get("nonce")), (r"BOX\ops", "/wsman", NONCE));
        assert_eq!(*digest.response(&["POST", "/wsman"], (count, get("cnonce"))), get("response"));
        assert_eq!(get("cnonce").len(), 32);
    }
    let first = digest.authorize("/wsman").unwrap();
    assert_ne!(first.expose_secret(), digest.authorize("/wsman").unwrap().expose_secret());
    digest.count = u32::MAX;
    assert_eq!(digest.authorize("/wsman").err(), Some(DigestError::Exhausted));
}

#[test]
fn the_strongest_of_several_is_answered_wherever_it_stands() {
    let (md5, sha256) = (asked("MD5"), asked("SHA-256"));
    let joined = format!("Basic realm=\"x\", {md5}, Negotiate, {sha256}");
    for challenges in [vec![md5.as_str(), &sha256], vec![&sha256, &md5], vec![&joined]] {
        assert_eq!(begin(&challenges).unwrap().challenge.algorithm, Algorithm::Sha256, "{challenges:?}");
    }
    let unknown = asked("SHA-512-256");
    assert_eq!(begin(&[&unknown, &md5]).unwrap().challenge.algorithm, Algorithm::Md5);
    assert_eq!(offered(&[joined]), ["Basic", "Digest", "Negotiate", "Digest"]);
    assert_eq!(offered(&["Negotiate oYG3".to_owned(), "Kerberos".to_owned()]), ["Negotiate", "Kerberos"]);
}

#[test]
fn what_can_not_be_answered_as_it_should_be_is_not_answered() {
    for (text, wanted) in [
        (asked("MD5-sess"), DigestError::Unsupported("algorithm")),
        (asked("SHA-512-256"), DigestError::Unsupported("algorithm")),
        (asked("MD5").replace("\"auth, auth-int\"", "\"auth-int\""), DigestError::Unsupported("qop")),
        (asked("MD5").replace("qop=\"auth, auth-int\", ", ""), DigestError::Unsupported("qop")),
        (asked("MD5") + ", userhash=true", DigestError::Unsupported("userhash")),
        (asked("MD5") + ", charset=latin1", DigestError::Unsupported("charset")),
        (asked("MD5") + ", nonce=\"another\"", DigestError::Malformed),
        (asked("MD5") + ", x=\"open", DigestError::Malformed),
        (asked("MD5").replace("realm=\"http-auth@example.org\", ", ""), DigestError::Malformed),
        (asked("MD5").replace(NONCE, ""), DigestError::Malformed),
        ("Basic realm=\"WSMAN\"".to_owned(), DigestError::NoChallenge),
        ("Negotiate".to_owned(), DigestError::NoChallenge),
    ] {
        assert_eq!(error(&[&text]), wanted, "{text}");
    }
    assert_eq!(error(&[]), DigestError::NoChallenge);
}

#[test]
fn a_nonce_is_answered_once_from_the_beginning_and_never_in_a_weaker_way() {
    let (memory, host) = (Memory::default(), host_key());
    let begin = |text: String| Digest::begin(&login(r"BOX\ops", "x"), &[text], (&memory, &host)).map(drop);
    begin(asked("SHA-256")).unwrap();
    assert_eq!(begin(asked("SHA-256")), Err(DigestError::Replayed));
    assert_eq!(begin(asked("MD5").replace(NONCE, "two")), Err(DigestError::Weaker));
    begin(asked("SHA-256").replace(NONCE, "three")).unwrap();
}

#[test]
fn staleness_is_believed_with_a_new_nonce_of_the_same_kind_only() {
    let (memory, host) = (Memory::default(), host_key());
    let at = (&memory, &host);
    let mut digest = Digest::begin(&login(r"BOX\ops", "x"), &[asked("SHA-256")], at).unwrap();
    drop(digest.authorize("/wsman").unwrap());
    let stale = |nonce: &str| asked("SHA-256").replace(NONCE, nonce) + ", stale=TRUE";
    assert_eq!(digest.renew(&[asked("SHA-256")], at), Ok(false), "a refusal is none");
    assert_eq!(digest.renew(&["Basic realm=\"x\"".to_owned()], at), Ok(false), "another scheme is none");
    assert_eq!(digest.renew(&[stale(NONCE)], at), Err(DigestError::Replayed));
    let weaker = asked("MD5").replace(NONCE, "two") + ", stale=true";
    assert_eq!(digest.renew(&[weaker], at), Err(DigestError::Weaker));
    let elsewhere = stale("two").replace("http-auth@example.org", "elsewhere");
    assert_eq!(digest.renew(&[elsewhere], at), Err(DigestError::OtherRealm));
    assert_eq!(digest.renew(&[stale("two")], at), Ok(true));
    let value = digest.authorize("/wsman").unwrap();
    assert!(value.expose_secret().contains("nc=00000001"));
}

#[test]
fn a_host_that_proves_itself_wrongly_is_found_out() {
    let mut digest = begin(&[&asked("MD5")]).unwrap();
    drop(digest.authorize_with("/wsman", OURS).unwrap());
    let right = digest.response(&["", "/wsman"], ("00000001", OURS));
    assert_eq!(digest.check(None), Ok(()));
    assert_eq!(digest.check(Some("nextnonce=\"x\"")), Ok(()));
    assert_eq!(digest.check(Some(&format!("rspauth=\"{}\", qop=auth", right.as_str()))), Ok(()));
    assert_eq!(digest.check(Some("rspauth=\"0123\"")), Err(DigestError::WrongProof));
    assert_eq!(digest.check(Some("rspauth=\"open")), Err(DigestError::Malformed));
}

proptest::proptest! {
    #[test]
    fn no_challenge_panics(text in "[ -~]{0,120}") {
        drop(begin(&[&format!("Digest {text}")]));
        drop(offered(&[text]));
    }
}
