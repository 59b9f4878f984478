//! S4U: in whose name a ticket can be had.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    super::{Accepted, Acceptor, Class, Delegated, GssError, Keep, Mechanism, ffi},
    ALICE, BOTH_MECHANISMS, GATEWAY, WEB01, door, gateway, host,
    impostor::impostor,
    person,
    realm::{Realm, Setup, run, with_realm},
    shake, try_shake,
};

#[test]
fn the_host_sees_the_impersonated_person_by_kerberos_and_by_spnego() {
    with_realm(async |realm| {
        let door = door();
        let alice = person(&door, realm, ALICE).await;
        assert_eq!((alice.name(), alice.realm()), (ALICE, "CORP.EXAMPLE"));
        door.prefetch(&alice, WEB01).await.expect("S4U2Proxy");
        let web01 = host(&door, realm, "web01").await;
        for mechanism in BOTH_MECHANISMS {
            let pair =
                try_shake(&door, (&alice, &web01), mechanism, (None, None)).await.expect("a handshake");
            for context in [&pair.client, &pair.server] {
                assert_eq!(context.initiator_name(), ALICE, "{mechanism:?}");
                assert_eq!(context.acceptor_name(), "HTTP/web01.corp.example@CORP.EXAMPLE", "{mechanism:?}");
            }
        }
        // Both handshakes and the prefetching together: one ticket per person, and one per person and host.
        assert_eq!(realm.logged(&["TGS_REQ", "ISSUE", "svc-gw@CORP.EXAMPLE for svc-gw@"]), 1);
        assert_eq!(realm.logged(&["TGS_REQ", "ISSUE", "for HTTP/web01"]), 1);
        assert_eq!(realm.logged(&["AS_REQ", "ISSUE", "svc-gw"]), 1);
    });
}

#[test]
fn what_the_kdc_will_not_delegate_is_not_delegable() {
    with_realm(async |realm| {
        let door = door();
        let carol = person(&door, realm, "carol@CORP.EXAMPLE").await;
        let alice = person(&door, realm, ALICE).await;
        let plain =
            door.from_keytab("svc-plain@CORP.EXAMPLE", &realm.keytab("svc-plain"), None).await.expect("keys");
        let by_plain = door.impersonate(&plain, ALICE).await.expect("S4U2Self is for everybody");
        for (credential, spn) in [(&carol, WEB01), (&alice, "HTTP/web05.corp.example"), (&by_plain, WEB01)] {
            let error = door.prefetch(credential, spn).await.expect_err("no ticket");
            assert_eq!(error.classify(), Class::NotDelegable, "{error}");
            // SPNEGO renumbers what the KDC said; the class is the same.
            for mechanism in BOTH_MECHANISMS {
                let error = door.initiate(credential, spn, mechanism, None).await.expect_err("no ticket");
                assert_eq!(error.classify(), Class::NotDelegable, "{mechanism:?}: {error}");
            }
        }
    });
}

#[test]
fn unknown_people_and_unknown_services_are_told_apart() {
    with_realm(async |realm| {
        let door = door();
        let service = gateway(&door, realm).await;
        let error = door.impersonate(&service, "nosuch@CORP.EXAMPLE").await.expect_err("no such person");
        assert_eq!(error.classify(), Class::UnknownPrincipal, "{error}");
        let alice = person(&door, realm, ALICE).await;
        for own in [&alice, &service] {
            for mechanism in BOTH_MECHANISMS {
                let spn = "HTTP/nosuch.corp.example";
                let error = door.initiate(own, spn, mechanism, None).await.expect_err("no such service");
                assert_eq!(error.classify(), Class::UnknownService, "{mechanism:?}: {error}");
            }
        }
    });
}

#[test]
fn a_kdc_that_ignores_delegation_yields_an_error_and_never_a_credential() {
    with_realm(async |realm| {
        realm.ask_at(impostor(realm.port()).await);
        let door = door();
        let service = gateway(&door, realm).await;
        let error = door.impersonate(&service, ALICE).await.expect_err("a ticket in the service's own name");
        assert_eq!(error.classify(), Class::OtherIdentity, "{error}");
        // The impostor really had the KDC issue a ticket in the service's own name.
        assert_eq!(realm.logged(&["TGS_REQ", "ISSUE", "svc-gw@CORP.EXAMPLE for svc-gw@"]), 1);
        assert_eq!(realm.logged(&["PROTOCOL-TRANSITION"]), 0);
    });
}

#[test]
fn a_credential_in_another_name_than_the_wish_is_refused() {
    let found = Some(GATEWAY);
    let error = super::super::credential::verify(ALICE, found).expect_err("another name");
    assert_eq!(error, GssError::OtherIdentity { wanted: ALICE.to_owned(), found: GATEWAY.to_owned() });
    assert_eq!(error.classify(), Class::OtherIdentity);
    for found in [None, Some(""), Some("Alice@CORP.EXAMPLE"), Some("alice@CORP.EXAMPLE\0"), Some("alice")] {
        super::super::credential::verify(ALICE, found).expect_err("not exactly the same name");
    }
    with_realm(async |realm| {
        // `alice` with an escape is the same principal under another spelling: GSSAPI reads back what it means, not what was asked.
        let (door, spelled) = (door(), r"al\ice@CORP.EXAMPLE");
        let service = gateway(&door, realm).await;
        let error = door.impersonate(&service, spelled).await.expect_err("another spelling");
        assert_eq!(error.classify(), Class::OtherIdentity, "{error}");
    });
}

#[test]
fn many_people_at_once_over_one_service_credential_are_never_mixed_up() {
    with_realm(async |realm| {
        let door = door();
        let (service, web01) = (gateway(&door, realm).await, host(&door, realm, "web01").await);
        let tasks: Vec<_> = (0..24)
            .map(|number| {
                let (door, service, web01) = (std::sync::Arc::clone(&door), service.clone(), web01.clone());
                tokio::spawn(async move {
                    let name = ["alice@CORP.EXAMPLE", "bob@CORP.EXAMPLE", "dave@CORP.EXAMPLE"][number % 3];
                    let person = door.impersonate(&service, name).await.expect("a ticket");
                    for mechanism in BOTH_MECHANISMS {
                        let pair = try_shake(&door, (&person, &web01), mechanism, (None, None))
                            .await
                            .expect("a handshake");
                        assert_eq!(pair.server.initiator_name(), name);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("nobody was mixed up");
        }
    });
}

#[test]
fn spnego_offers_kerberos_alone_even_where_another_mechanism_is_installed() {
    let folder = tempfile::tempdir().expect("a directory");
    let setting = format!("GSS_MECH_CONFIG={}", install_other_mechanism(folder.path()).display());
    run(Setup { under: &["env", &setting], ..Setup::default() }, async |realm| {
        let door = door();
        // The other mechanism is there: SPNEGO left to itself has it on its list.
        assert!(installed().contains(&NTLM.to_vec()), "{:02x?}", installed());
        let service = gateway(&door, realm).await;
        let alice = door.impersonate(&service, ALICE).await.expect("alice");
        for credential in [&service, &alice] {
            let (_, token) =
                door.initiate(credential, WEB01, super::Mechanism::Spnego, None).await.expect("a token");
            // NegTokenInit begins with the list of mechanisms: exactly one object identifier in it.
            let list = [&[0x30, 11, 0x06, 9], ffi::KRB5].concat();
            let start = &token[..48];
            assert!(start.windows(list.len()).any(|part| part == list), "not Kerberos alone: {start:02x?}");
        }
    });
}

/// 1.3.6.1.4.1.311.2.2.10
const NTLM: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x0a];

/// Builds a mechanism that calls itself NTLM and always succeeds; the file that tells GSSAPI of it.
fn install_other_mechanism(dir: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gssapi/tests/other_mechanism.c");
    let (library, config) = (dir.join("other.so"), dir.join("mech.conf"));
    let built = Command::new("cc").args(["-shared", "-fPIC", "-w", "-o"]).arg(&library).arg(source).output();
    let built = built.expect("a C compiler");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    std::fs::write(&config, format!("other 1.3.6.1.4.1.311.2.2.10 {}\n", library.display())).expect("a file");
    config
}

/// The mechanisms that GSSAPI has, by their object identifiers.
fn installed() -> Vec<Vec<u8>> {
    let (mut minor, mut set) = (0, std::ptr::null_mut());
    // SAFETY: the outputs are locals that outlive the call.
    let major = unsafe { libgssapi_sys::gss_indicate_mechs(&raw mut minor, &raw mut set) };
    assert_eq!(major, 0);
    // SAFETY: the call succeeded, so the set is a live one.
    let set = unsafe { *set };
    // SAFETY: a set has `count` elements.
    let identifiers = unsafe { std::slice::from_raw_parts(set.elements, set.count) };
    let bytes = |oid: &libgssapi_sys::gss_OID_desc| {
        // SAFETY: an identifier has `length` bytes, which live as long as the process.
        unsafe {
            std::slice::from_raw_parts(oid.elements.cast::<u8>(), usize::try_from(oid.length).expect("short"))
        }
        .to_vec()
    };
    identifiers.iter().map(bytes).collect()
}

#[test]
fn a_person_without_a_pac_has_no_logon_information_and_what_the_kdc_signed_is_read() {
    with_realm(async |realm| {
        let pair = shake(&door(), realm, ALICE, super::Mechanism::Krb5).await;
        assert_eq!(pair.server.pac().expect("no error"), None);
        assert_eq!(pair.client.pac().expect("no error"), None);
        let info =
            pair.server.attribute("urn:mspac:client-info").expect("no error").expect("MIT's PAC has this");
        assert!(info.windows(2).any(|pair| pair == [b'l', 0]), "the client's name in UTF-16: {info:02x?}");
    });
    let error = super::super::pac::vouched_for("urn:mspac:logon-info", false, b"x").expect_err("not signed");
    assert!(matches!(error, GssError::NotAuthenticated { .. }), "{error}");
}

/// Lets the gateway's own service delegate towards web01.
fn allow_the_gateway_s_service(realm: &Realm) {
    let sockets = std::fs::read_to_string(realm.dir().join("socket-dir")).expect("the directory's socket");
    let change = "dn: krbPrincipalName=HTTP/gw.corp.example@CORP.EXAMPLE,cn=CORP.EXAMPLE,cn=krb,dc=corp,dc=example\n\
                  changetype: modify\nadd: krbAllowedToDelegateTo\nkrbAllowedToDelegateTo: HTTP/web01.corp.example\n";
    let file = realm.dir().join("change.ldif");
    std::fs::write(&file, change).expect("a file");
    let url = format!("ldapi://{}%2Fs", sockets.trim().replace('/', "%2F"));
    let output = Command::new("ldapmodify")
        .args(["-Q", "-Y", "EXTERNAL", "-H", &url, "-f"])
        .arg(&file)
        .output()
        .expect("ldapmodify");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_client_s_ticket_is_evidence_for_its_own_person_and_for_listed_hosts_alone() {
    with_realm(async |realm| {
        allow_the_gateway_s_service(realm);
        let door = door();
        let replay_cache = realm.dir().join("rcache-gw");
        let both = door
            .from_keytab("HTTP/gw.corp.example@CORP.EXAMPLE", &realm.keytab("gw"), Some(&replay_cache))
            .await
            .expect("the gateway's ticket");
        let alice = door.from_password(ALICE, "Passw0rd!".into()).await.expect("a ticket");
        for mechanism in BOTH_MECHANISMS {
            for keep in [Keep { evidence: true, forwarded: false }, Keep::default()] {
                let (_, token) =
                    door.initiate(&alice, "HTTP/gw.corp.example", mechanism, None).await.expect("a token");
                let acceptor = Acceptor::new(&both, None).keeping(keep);
                let Accepted::Established(context, _) = door.accept(acceptor, token).await.expect("a client") else {
                    panic!("one round is enough")
                };
                assert_eq!(context.acceptor_name(), "HTTP/gw.corp.example@CORP.EXAMPLE");
                match (context.delegated(), keep.evidence) {
                    (Delegated::Evidence(evidence), true) => {
                        assert_eq!(evidence.name(), ALICE);
                        let web01 = host(&door, realm, "web01").await;
                        for there in BOTH_MECHANISMS {
                            let pair = try_shake(&door, (evidence, &web01), there, (None, None)).await.expect("web01");
                            assert_eq!(pair.server.initiator_name(), ALICE);
                        }
                        let web04 = door.initiate(evidence, "HTTP/web04.corp.example", Mechanism::Krb5, None).await;
                        assert_eq!(web04.map(drop).expect_err("not listed").classify(), Class::NotDelegable);
                    }
                    (_, false) => {}
                    (other, true) => panic!("{mechanism:?}: {other:?}"),
                }
            }
        }
    });
}
