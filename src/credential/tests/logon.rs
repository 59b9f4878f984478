//! What the realm says of a person's groups, and that nothing is made up where it says nothing.

use std::collections::BTreeMap;

use super::support::{door, in_realm, in_realm_of, person, supply, test_name};
use crate::{
    authn::{Principal, Realm, Realms},
    credential::{Credentials, Keys, Settings},
    policy::AccountName,
};

fn of_domain(name: &str) -> Principal {
    Realms::new([("TEST.EXAMPLE".to_owned(), Realm::default())]).principal(name, "TEST.EXAMPLE").unwrap()
}

#[test]
fn groups_come_from_the_ticket_of_the_person_and_are_asked_for_once() {
    let test = test_name!(groups_come_from_the_ticket_of_the_person_and_are_asked_for_once);
    in_realm_of("ad-realm.sh", test, &[], async |kdc| {
        let keys = Keys { principal: "svc-gw@TEST.EXAMPLE".to_owned(), keytab: kdc.keytab("svc-gw") };
        let accounts = BTreeMap::from([(AccountName::new("delegation"), keys)]);
        let credentials = Credentials::new(Settings::new(accounts), door());
        let (alice, dave) = (of_domain("alice"), of_domain("dave"));
        // The account that a route names holds no keys, so another one of the realm asks.
        let shared = AccountName::new("without-keys");
        let first = credentials.logon_info(&alice, Some(&shared)).await.unwrap();
        let again = credentials.logon_info(&alice, None).await.unwrap();
        assert!(std::sync::Arc::ptr_eq(&first, &again));
        assert_eq!(credentials.stats().s4u2self, 1);
        let other = credentials.logon_info(&dave, None).await.unwrap();
        assert_ne!(first.user(), other.user());
        let only_alice: Vec<_> = first.groups().difference(other.groups()).collect();
        assert_eq!(only_alice.len(), 1, "alice is in WinRMUsers, dave is not: {only_alice:?}");
        let error = credentials.logon_info(&of_domain("nosuch"), None).await.unwrap_err();
        assert_eq!(error.reason(), "unknown_person");
        // After `forget`, as on removal from a group, the realm is asked anew.
        credentials.forget(&alice);
        credentials.logon_info(&alice, None).await.unwrap();
        assert_eq!(credentials.stats().s4u2self, 4);
    });
}

#[test]
fn a_realm_that_writes_no_pac_leaves_the_groups_unknown_and_never_empty() {
    let test = test_name!(a_realm_that_writes_no_pac_leaves_the_groups_unknown_and_never_empty);
    in_realm(test, &[], async |kdc| {
        let credentials = Credentials::new(kdc.settings(), door());
        let error = credentials.logon_info(&person("alice"), None).await.unwrap_err();
        assert_eq!(error.reason(), "groups_unknown", "{error}");
        assert!(error.to_string().contains("members"), "{error}");
        // The person is as good as before where no group decides.
        supply(&credentials, "alice", "web01").await.unwrap();
        let nobody = Credentials::new(Settings::new(BTreeMap::new()), door());
        assert_eq!(nobody.logon_info(&person("alice"), None).await.unwrap_err().reason(), "groups_unknown");
    });
}
