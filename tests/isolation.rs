//! Invariant I1: no answer ever carries another person's identity, however connections are kept and shared.
#![expect(clippy::expect_used, reason = "a test that can't set up what it needs must fail")]

mod support;

use std::{collections::HashMap, sync::Arc};

use support::{Lab, Raw, envelope};

/// `requests` Gets over `connections` kept-alive connections each, people and connections interleaved; returns how many answers carried
/// the identity that asked.
fn ask(lab: &Arc<Lab>, people: &[String], hosts: &[String], connections: usize, requests: usize) -> usize {
    let mut threads = Vec::new();
    for person in people {
        // Issued before the threads begin: two of them must not write one file.
        lab.pki.person(person);
        for connection in 0..connections {
            let (lab, person, hosts) = (Arc::clone(lab), person.clone(), hosts.to_vec());
            threads.push(std::thread::spawn(move || {
                let mut raw: Raw = lab.raw(&person);
                let wanted = format!("{person}@CORP.EXAMPLE");
                let mut right = 0;
                for number in 0..requests {
                    let host = hosts.get((connection + number) % hosts.len()).expect("a host");
                    let path = format!("/hosts/{host}/wsman");
                    let answer = raw.post(&path, &envelope::get_config()).expect("an answer");
                    assert_eq!(answer.status, 200, "{answer:?}");
                    assert!(answer.body.contains(&wanted), "{wanted} got {answer:?}");
                    right += 1;
                }
                right
            }));
        }
    }
    threads.into_iter().map(|thread| thread.join().expect("every answer was its own")).sum()
}

#[test]
fn threat_22_five_thousand_interleaved_requests_of_two_people_mix_nothing() {
    let lab = Arc::new(Lab::with().run());
    let people = ["alice".to_owned(), "bob".to_owned()];
    let hosts: Vec<String> = (1..=4).map(|number| format!("web{number:02}.corp.example")).collect();
    assert_eq!(ask(&lab, &people, &hosts, 10, 250), 5000);
    let mut by_connection: HashMap<String, Vec<String>> = HashMap::new();
    for request in lab.host.requests() {
        let identities = by_connection.entry(request["connection"].to_string()).or_default();
        identities.push(request["identity"].to_string());
        identities.dedup();
    }
    assert!(by_connection.values().all(|identities| identities.len() == 1), "{by_connection:?}");
    assert!(by_connection.len() < 200, "{} connections: they were not kept", by_connection.len());
}

#[test]
fn fifty_people_on_a_hundred_hosts_cost_the_kdc_one_s4u_each() {
    let hosts: Vec<String> = (1..=100).map(|number| format!("host{number:03}.fleet.corp.example")).collect();
    let people: Vec<String> = (1..=50).map(|number| format!("user{number:03}")).collect();
    let lab =
        Lab::with().realm(&["--users", "50", "--hosts", "100"]).names(hosts.clone()).host_key("fleet").run();
    let lab = Arc::new(lab);
    assert_eq!(ask(&lab, &people, &hosts, 2, 100), 10_000);
    let log = lab.realm.kdc_log();
    let self_requests = log.lines().filter(|line| line.contains("PROTOCOL-TRANSITION")).count();
    let proxy_requests = log.lines().filter(|line| line.contains("CONSTRAINED-DELEGATION")).count();
    assert_eq!(self_requests, 50, "one S4U2Self for each person");
    let pairs: std::collections::BTreeSet<(String, String)> = lab
        .host
        .requests()
        .iter()
        .map(|request| (request["identity"].to_string(), request["spn"].to_string()))
        .collect();
    assert_eq!(proxy_requests, pairs.len(), "one S4U2Proxy for each person and host");
    assert_eq!(pairs.len(), 5000, "every person reached every host");
}
