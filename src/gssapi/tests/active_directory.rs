//! The same promises in an Active Directory domain, whose tickets carry a PAC.

use super::{
    super::Class,
    BOTH_MECHANISMS, door, gateway_of, host,
    realm::{Setup, run},
    shake_with,
};

const HOST: &str = "HTTP/web01.test.example";

#[test]
fn a_domain_controller_delegates_and_its_pac_names_the_groups() {
    run(Setup { script: "ad-realm.sh", ..Setup::default() }, async |realm| {
        let door = door();
        let service = gateway_of(&door, realm, "svc-gw@TEST.EXAMPLE").await;
        let alice = door.impersonate(&service, "alice@TEST.EXAMPLE").await.expect("alice");
        let web01 = host(&door, realm, "web01").await;
        for mechanism in BOTH_MECHANISMS {
            let pair = shake_with(&door, HOST, (&alice, &web01), mechanism, (None, None))
                .await
                .expect("a handshake");
            assert_eq!(pair.server.initiator_name(), "alice@TEST.EXAMPLE");
            let pac = pair.server.pac().expect("the KDC signed it").expect("a PAC");
            let name: Vec<u8> = "alice".encode_utf16().flat_map(u16::to_le_bytes).collect();
            assert!(
                pac.windows(name.len()).any(|part| part == name),
                "KERB_VALIDATION_INFO holds the account's name"
            );
        }
        let carol =
            door.impersonate(&service, "carol@TEST.EXAMPLE").await.expect("S4U2Self is for everybody");
        for (credential, spn) in [(&carol, HOST), (&alice, "HTTP/web05.test.example")] {
            let error = door.prefetch(credential, spn).await.expect_err("not delegable");
            assert_eq!(error.classify(), Class::NotDelegable, "{error}");
        }
        let error = door.impersonate(&service, "nosuch@TEST.EXAMPLE").await.expect_err("nobody");
        assert_eq!(error.classify(), Class::UnknownPrincipal, "{error}");
        let error = door.prefetch(&alice, "HTTP/nosuch.test.example").await.expect_err("no such host");
        assert_eq!(error.classify(), Class::UnknownService, "{error}");
    });
}

#[test]
fn the_groups_of_an_impersonated_person_are_read_from_the_ticket_to_ourselves() {
    run(Setup { script: "ad-realm.sh", ..Setup::default() }, async |realm| {
        let door = door();
        let service = gateway_of(&door, realm, "svc-gw@TEST.EXAMPLE").await;
        let keytab = realm.keytab("svc-gw");
        let mut found = Vec::new();
        for name in ["alice@TEST.EXAMPLE", "bob@TEST.EXAMPLE", "dave@TEST.EXAMPLE"] {
            let person = door.impersonate(&service, name).await.expect("S4U2Self");
            let bytes = door.logon_info(&person, &service, &keytab).await.expect("accepted").expect("a PAC");
            found.push(crate::authn::LogonInfo::parse(&bytes).expect("logon information"));
        }
        let shared: Vec<_> = found[0].groups().intersection(found[1].groups()).collect();
        let of_dave: Vec<_> = found[2].groups().iter().collect();
        // All are domain users; alice and bob are in WinRMUsers, and dave is not.
        assert!(of_dave.iter().any(|sid| sid.to_string().ends_with("-513")), "{of_dave:?}");
        assert_eq!(shared.iter().filter(|sid| !of_dave.contains(sid)).count(), 1, "{shared:?} {of_dave:?}");
        assert_ne!(found[0].user(), found[1].user());
        // Keys of another account do not open it.
        let alice = door.impersonate(&service, "alice@TEST.EXAMPLE").await.expect("S4U2Self");
        door.logon_info(&alice, &service, &realm.keytab("web01")).await.expect_err("not the account's keys");
    });
}
