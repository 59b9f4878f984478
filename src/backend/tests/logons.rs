//! Connections of people who brought tickets and passwords: nobody ever goes over another's, nor over one of another logon.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use secrecy::SecretString;
use tokio::task::JoinSet;

use super::{
    exchange::{GET, Lab, Wish, door},
    host::{Act, soap},
    limits,
    realm::{Kdc, in_realm, test_name},
};
use crate::{
    authn::{AuthMethod, Authenticated, Grounds, Realm, Realms},
    backend::Limits,
    gssapi::{Credential, Door},
    policy::{BackendAuth, CredentialChoice},
};

const TICKET: CredentialChoice = CredentialChoice::Ticket { forwarded: false };
const FORWARDED: CredentialChoice = CredentialChoice::Ticket { forwarded: true };
const PASSWORD: CredentialChoice = CredentialChoice::Password;

/// `name`, logged on anew.
async fn logon(door: &Door, kdc: &Kdc, choice: &CredentialChoice, name: &str) -> Authenticated {
    let principal = format!("{name}@CORP.EXAMPLE");
    let password = SecretString::from("Passw0rd!");
    let tgt = async || -> Credential { door.from_password(&principal, password.clone()).await.unwrap() };
    let grounds = match choice {
        CredentialChoice::Password => Grounds::Password { ticket: tgt().await, password: password.clone() },
        CredentialChoice::Ticket { forwarded: true } => Grounds::Forwarded(tgt().await),
        CredentialChoice::Ticket { forwarded: false } => {
            let service = door.from_keytab("svc-gw@CORP.EXAMPLE", &kdc.keytab("svc-gw"), None).await.unwrap();
            Grounds::Ticket(door.impersonate(&service, &principal).await.unwrap())
        }
        CredentialChoice::S4u { .. } | CredentialChoice::Account { .. } => Grounds::Nothing,
    };
    let realms = Realms::new([("CORP.EXAMPLE".to_owned(), Realm::default())]);
    let person = realms.principal(name, "CORP.EXAMPLE").unwrap();
    Authenticated::for_test(person, &[], AuthMethod::Certificate).with_grounds(grounds)
}

async fn assert_seen(lab: &Lab, person: &Authenticated) {
    let mut answers = lab.exchange_as(person, GET).await.unwrap();
    let answer = answers.next().await.unwrap().unwrap();
    assert_eq!(answer.body, soap(&person.principal().to_string()));
    assert!(answers.next().await.unwrap().is_none());
}

#[test]
fn threat_22_people_who_brought_passwords_and_tickets_never_share_a_connection() {
    in_realm(
        test_name!(threat_22_people_who_brought_passwords_and_tickets_never_share_a_connection),
        async |kdc| {
            let door = door();
            for choice in [TICKET, FORWARDED, PASSWORD] {
                let limits = Limits { connections_per_host: 6, ..limits() };
                let wish = Wish::of(|_, _| Act::Honest);
                let auth = BackendAuth::Negotiate;
                let lab =
                    Arc::new(Lab::new(&kdc, Wish { auth, limits, choice: choice.clone(), ..wish }).await);
                let mut people = Vec::new();
                for name in ["alice", "bob", "alice"] {
                    people.push(Arc::new(logon(&door, &kdc, &choice, name).await));
                }
                let mut asking = JoinSet::new();
                for task in 0..9 {
                    let (lab, people) = (Arc::clone(&lab), people.clone());
                    asking.spawn(async move {
                        for number in 0..20 {
                            assert_seen(&lab, &people[(task + number) % people.len()]).await;
                        }
                    });
                }
                while let Some(done) = asking.join_next().await {
                    done.unwrap();
                }
                let mut by_connection: HashMap<usize, HashSet<Option<String>>> = HashMap::new();
                for seen in lab.host.seen() {
                    by_connection.entry(seen.connection).or_default().insert(seen.identity);
                }
                assert!(by_connection.values().all(|identities| identities.len() == 1), "{by_connection:?}");
                assert_eq!(lab.stats().answered, 180);
            }
        },
    );
}

#[test]
fn two_logons_of_one_person_with_different_grounds_share_no_connection() {
    in_realm(test_name!(two_logons_of_one_person_with_different_grounds_share_no_connection), async |kdc| {
        let door = door();
        for choice in [TICKET, FORWARDED, PASSWORD] {
            let lab = Lab::new(&kdc, Wish { choice: choice.clone(), ..Wish::of(|_, _| Act::Honest) }).await;
            let first = logon(&door, &kdc, &choice, "alice").await;
            let second = logon(&door, &kdc, &choice, "alice").await;
            for person in [&first, &second, &first, &second] {
                assert_seen(&lab, person).await;
            }
            assert_eq!(lab.host.connections(), 2, "{choice:?}");
            assert_eq!(lab.stats().reused, 2, "{choice:?}");
        }
    });
}
