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
