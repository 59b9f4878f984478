//! Exchanges with real Windows hosts: every command and script in them is recovered.
//!
//! `make recordings RECORDINGS=folder` runs these; the folder holds vcr cassettes, a list `messages` of `request` and
//! `response` envelopes.
#![expect(clippy::expect_used, reason = "tests say what must hold")]

#[path = "readers/session.rs"]
mod session;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use session::Session;

#[derive(Deserialize)]
struct Cassette {
    messages: Vec<Exchange>,
}

#[derive(Deserialize)]
struct Exchange {
    request: String,
    response: String,
}

/// Every cassette in the folder, followed to its end, by its name.
fn sessions() -> BTreeMap<String, Session> {
    let folder = std::env::var("RECORDINGS").expect("RECORDINGS names the folder with the recordings");
    // `cargo test` runs in the package's root, where `make` runs as well.
    let folder = Path::new(&folder).canonicalize().expect("the folder that RECORDINGS names is there");
    let entries = fs::read_dir(folder).expect("the folder can be listed");
    let paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    let yaml = paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "yml"));
    yaml.map(|path| {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(path).expect("UTF-8");
        let cassette: Cassette = serde_saphyr::from_str(&text).expect("a cassette");
        assert!(!cassette.messages.is_empty(), "{name} is empty");
        let mut session = Session::default();
        for exchange in &cassette.messages {
            session.exchange(exchange.request.as_bytes(), exchange.response.as_bytes());
        }
        (name, session)
    })
    .collect()
}

#[test]
#[ignore = "needs the folder that RECORDINGS names: make recordings"]
fn every_command_and_script_is_recovered_as_it_was_sent() {
    for (name, session) in sessions() {
        println!("{name}: {:#?}", session.ran);
    }
}

#[test]
#[ignore = "needs the folder that RECORDINGS names: make recordings"]
fn every_exchange_is_read_as_what_it_is() {
    let mut told = String::new();
    for (name, session) in sessions() {
        assert_eq!(session.unfinished(), 0, "{name}");
        told.push_str(&format!("\n=== {name}\n{}", session.told));
    }
    insta::assert_snapshot!(told);
}
