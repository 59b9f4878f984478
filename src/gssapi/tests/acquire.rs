//! Keys, passwords, and what is left of them.

use std::{
    fs,
    time::{Duration, Instant},
};

use secrecy::SecretString;

use super::{
    super::{Class, GssError, ccache::Library, ffi},
    ALICE, GATEWAY, WEB01, door, gateway, host, person,
    realm::{Setup, run, with_realm},
};

#[test]
fn a_keytab_gives_a_ticket_without_any_environment_variable_or_file() {
    with_realm(async |realm| {
        let door = door();
        let service = gateway(&door, realm).await;
        assert_eq!((service.name(), service.realm()), (GATEWAY, "CORP.EXAMPLE"));
        let left = service.expires() - Instant::now();
        assert!(left > Duration::from_secs(9 * 3600) && left <= Duration::from_secs(10 * 3600), "{left:?}");
        door.prefetch(&service, WEB01).await.expect("an account reaches a host by itself");
        assert!(!realm.dir().join("ccache").exists(), "a ticket went to the default cache");
    });
}

#[test]
fn a_credential_ends_when_its_tickets_end() {
    run(Setup { options: &["--max-life", "90s"], ..Setup::default() }, async |realm| {
        let door = door();
        for credential in [gateway(&door, realm).await, person(&door, realm, ALICE).await] {
            let left = credential.expires() - Instant::now();
            assert!(left > Duration::from_secs(30) && left <= Duration::from_secs(90), "{left:?}");
        }
    });
}

#[test]
fn each_fault_of_a_keytab_is_named() {
    with_realm(async |realm| {
        let (door, dir) = (door(), realm.dir());
        let (none, garbage, empty) = (dir.join("none"), dir.join("garbage"), dir.join("empty"));
        fs::write(&garbage, "not a keytab").expect("a file");
        fs::write(&empty, [5, 2]).expect("a file");
        for (path, words) in [
            (&none, "No such file"),
            (&garbage, "not a keytab"),
            (&empty, "holds no key"),
            (&dir.to_owned(), "directory"),
        ] {
            for error in [
                door.from_keytab(GATEWAY, path, None).await.expect_err("no keytab"),
                door.acceptor(path, None).await.expect_err("no keytab"),
            ] {
                assert_eq!(error.classify(), Class::NoKey);
                assert!(error.to_string().contains(words), "{error}");
                assert!(error.to_string().contains(&path.display().to_string()), "{error}");
            }
        }
        let keytab = realm.keytab("svc-plain");
        let error = door.from_keytab(GATEWAY, &keytab, None).await.expect_err("another principal's keytab");
        assert_eq!(error, GssError::NotInKeytab { path: keytab, principal: GATEWAY.to_owned() });
        assert_eq!(error.classify(), Class::NoKey);
    });
}

#[test]
fn a_keytab_with_outdated_keys_or_of_an_unknown_account_is_told_apart_from_a_missing_one() {
    with_realm(async |realm| {
        let door = door();
        // The same entry with another key: the last byte of the only key (before the 32-bit version number) is changed.
        let mut bytes = fs::read(realm.keytab("svc-gw")).expect("the keytab");
        let place = bytes.len() - 8;
        bytes[place] ^= 1;
        let outdated = realm.dir().join("outdated");
        fs::write(&outdated, &bytes).expect("a file");
        let error = door.from_keytab(GATEWAY, &outdated, None).await.expect_err("wrong key");
        assert_eq!(error.classify(), Class::WrongPassword, "{error}");
        bytes[place] ^= 1;
        let at = bytes.windows(6).position(|part| part == b"svc-gw").expect("the name");
        bytes[at..at + 6].copy_from_slice(b"nobody");
        fs::write(&outdated, &bytes).expect("a file");
        let error =
            door.from_keytab("nobody@CORP.EXAMPLE", &outdated, None).await.expect_err("no such account");
        assert_eq!(error.classify(), Class::UnknownPrincipal, "{error}");
    });
}

#[test]
fn a_password_is_verified_at_once_and_only_as_long_as_it_is() {
    with_realm(async |realm| {
        let door = door();
        // A slice of something longer: a mechanism that reads on would use the wrong password.
        let longer = "Passw0rd!and more";
        let password = |text: &str| SecretString::from(text.to_owned());
        let alice = door
            .from_password(ALICE, password(longer.get(..9).expect("its first nine bytes")))
            .await
            .expect("the right password");
        assert_eq!(alice.name(), ALICE);
        let web01 = host(&door, realm, "web01").await;
        for mechanism in super::BOTH_MECHANISMS {
            let pair = super::try_shake(&door, (&alice, &web01), mechanism, (None, None))
                .await
                .expect("a handshake");
            assert_eq!(pair.server.initiator_name(), ALICE);
        }
        for wrong in ["", "Passw0rd", longer, "Passw0rd!\0"] {
            let error = door.from_password(ALICE, password(wrong)).await.expect_err("a wrong password");
            let is_refused =
                wrong.is_empty() || wrong.contains('\0') || error.classify() == Class::WrongPassword;
            assert!(is_refused, "{wrong:?}: {error}");
            assert!(!error.to_string().contains("Passw0rd"), "{error}");
        }
        let nobody = door.from_password("nosuch@CORP.EXAMPLE", password("x")).await.expect_err("nobody");
        assert_eq!(nobody.classify(), Class::UnknownPrincipal, "{nobody}");
    });
}

#[test]
fn an_error_keeps_its_codes_and_the_details_of_the_thread_that_failed() {
    with_realm(async |_| {
        let error =
            door().from_password("nosuch@CORP.EXAMPLE", SecretString::from("x")).await.expect_err("nobody");
        // Rendered on another thread this would be "Client not found in Kerberos database".
        let GssError::Call { major, minor, text, .. } = &error else { panic!("{error}") };
        assert!(text.contains("'nosuch@CORP.EXAMPLE' not found"), "{text}");
        assert_eq!((*major, *minor), (0x0007_0000, -1_765_328_378));
        assert!(!text.contains('\0') && !text.ends_with(char::is_whitespace), "{text:?}");
    });
}

#[test]
fn names_without_a_realm_or_with_a_nul_are_refused_before_anything_is_asked() {
    with_realm(async |realm| {
        let (door, keytab) = (door(), realm.keytab("svc-gw"));
        let service = gateway(&door, realm).await;
        for name in ["", "alice", "@CORP.EXAMPLE", "alice@", "al\0ice@CORP.EXAMPLE"] {
            for error in [
                door.impersonate(&service, name).await.expect_err("not a name"),
                door.from_keytab(name, &keytab, None).await.expect_err("not a name"),
            ] {
                assert!(matches!(error, GssError::BadName { .. } | GssError::NotInKeytab { .. }), "{error}");
            }
        }
        for spn in ["", "web01", "HTTP/web01\0"] {
            let error = door.prefetch(&service, spn).await.expect_err("not a service");
            assert!(matches!(error, GssError::BadName { .. }), "{error}");
        }
    });
}

#[test]
fn nothing_is_ever_initiated_without_a_name() {
    with_realm(async |realm| {
        let door = door();
        // Keys for accepting have no name, and the KDC would gladly give them a ticket.
        let nameless = host(&door, realm, "web01").await;
        assert_eq!(nameless.name(), "");
        for error in [
            door.initiate(&nameless, WEB01, super::Mechanism::Krb5, None).await.expect_err("no name"),
            door.initiate(&nameless, WEB01, super::Mechanism::Spnego, None).await.expect_err("no name"),
            door.prefetch(&nameless, WEB01).await.expect_err("no name"),
            door.impersonate(&nameless, ALICE).await.expect_err("no name"),
        ] {
            assert_eq!(error, GssError::Nameless);
        }
        assert_eq!(realm.logged(&["_REQ"]), 0);
    });
}

#[test]
fn a_clock_that_is_wrong_is_named() {
    run(Setup { under: &["faketime", "-f", "+10m"], ..Setup::default() }, async |realm| {
        let door = door();
        for error in [
            door.from_keytab(GATEWAY, &realm.keytab("svc-gw"), None).await.expect_err("ten minutes ahead"),
            door.from_password(ALICE, SecretString::from("Passw0rd!")).await.expect_err("ten minutes ahead"),
        ] {
            assert_eq!(error.classify(), Class::Skew, "{error}");
        }
    });
}

#[test]
fn caches_in_memory_end_with_their_credentials() {
    with_realm(async |realm| {
        let door = door();
        let service = gateway(&door, realm).await;
        let mut names = Vec::new();
        for _ in 0..100 {
            for credential in
                [gateway(&door, realm).await, door.impersonate(&service, ALICE).await.expect("alice")]
            {
                let clone = credential.clone();
                drop(credential);
                let name = clone.cache_name().expect("a cache of its own");
                assert!(is_filled(&name), "gone too early");
                names.push(name);
            }
        }
        let mut distinct = names.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), 200);
        let left = names.iter().filter(|name| is_filled(name)).count();
        assert_eq!(left, 0, "caches that nobody can reach any more");
    });
}

/// Whether a cache of this name exists and holds somebody's tickets.
fn is_filled(name: &std::ffi::CStr) -> bool {
    let library = Library::new().expect("libkrb5");
    let cache = library.open(name).expect("a handle");
    let mut principal = std::ptr::null_mut();
    // SAFETY: context and cache are live; the output is a local that outlives the call.
    let code = unsafe { ffi::krb5_cc_get_principal(library.0, cache, &raw mut principal) };
    // SAFETY: the principal is null or was made in this context, and is freed once.
    unsafe { ffi::krb5_free_principal(library.0, principal) };
    // SAFETY: the cache was opened in this context and is not used afterwards.
    unsafe { ffi::krb5_cc_close(library.0, cache) };
    code == 0
}
