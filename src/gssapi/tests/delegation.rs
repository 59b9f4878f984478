//! S4U: in whose name a ticket can be had.

use super::{
    super::{Class, GssError, ffi},
    ALICE, BOTH_MECHANISMS, GATEWAY, WEB01, door, gateway, host,
    impostor::impostor,
    person,
    realm::with_realm,
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
fn spnego_offers_kerberos_and_nothing_else() {
    with_realm(async |realm| {
        let door = door();
        let alice = person(&door, realm, ALICE).await;
        let (_, token) = door.initiate(&alice, WEB01, super::Mechanism::Spnego, None).await.expect("a token");
        // NegTokenInit begins with the list of mechanisms: exactly one object identifier in it.
        let list = [&[0x06, 9], ffi::KRB5].concat();
        let at =
            token.windows(list.len()).position(|window| window == list).expect("Kerberos is on the list");
        assert_eq!(
            token[at - 2..at],
            [0x30, 11],
            "the list holds Kerberos alone: {:02x?}",
            &token[..at + 32]
        );
    });
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
