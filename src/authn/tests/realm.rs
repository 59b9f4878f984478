//! What tickets of a real KDC prove on a real connection.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::*;
use crate::gssapi::{
    Mechanism,
    tests::realm::{Realm as Kdc, with_realm},
};

/// A gateway on loopback that knows `realms`, and what it says to alice's ticket for it.
async fn said(kdc: &Kdc, realms: Realms, entrance: Entrance) -> String {
    let door = door();
    let keys = KeySettings {
        keytab: kdc.keytab("gw"),
        replay_cache: kdc.dir().join("accepted"),
        delegates_as: None,
        takes_forwarded: false,
    };
    let settings = AuthenticatorSettings {
        realms,
        entrances: Entrances::new([("test".into(), entrance)]),
        keys: Some(keys),
        ..AuthenticatorSettings::default()
    };
    let authenticator = Authenticator::new(settings, &door, None);
    let prover = Prover { authenticator, accept: Accept::of([AuthMethod::Kerberos]) };
    let lab = Lab::with_handler(bind(super::settings("127.0.0.1:0", Transport::Http)).unwrap(), prover);
    let alice = door.from_password("alice@CORP.EXAMPLE", "Passw0rd!".into()).await.unwrap();
    let (_, token) = door.initiate(&alice, "HTTP/gw.corp.example", Mechanism::Spnego, None).await.unwrap();
    ask(lab.connect().await, Some(&format!("Negotiate {}", STANDARD.encode(token)))).await
}

#[test]
fn threat_33_a_ticket_of_a_realm_that_is_not_configured_is_refused() {
    with_realm(async |kdc| {
        let named = Entrance { names: vec!["gw.corp.example".to_owned()], clear_text: true };
        let other = Realms::new([("OTHER.EXAMPLE".to_owned(), Realm::default())]);
        assert!(said(kdc, other, named.clone()).await.ends_with(" foreign_realm"));
        let local = Realms::new([("CORP.EXAMPLE".to_owned(), Realm { local: true, ..Realm::default() })]);
        assert!(said(kdc, local, named.clone()).await.ends_with(" foreign_realm"));
        assert_eq!(said(kdc, realms(), named).await, "200 shaken");
        assert!(said(kdc, realms(), Entrance::default()).await.ends_with(" wrong_service"), "no name is ours");
    });
}
