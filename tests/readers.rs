//! What two real clients sent, read as a recorder reads it; and what is left of it when bytes are cut or changed.
#![expect(clippy::expect_used, reason = "tests say what must hold")]

#[path = "readers/session.rs"]
mod session;

use std::fs;
use std::path::Path;

use session::Session;
use winrm_gateway::wsman::psrp::{Direction, Reassembler, ReassemblyLimits};
use winrm_gateway::wsman::{ShellLimits, ShellMessage, xpress};

/// The exchanges in a folder of the corpus, in order.
fn exchanges(folder: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/soap").join(folder);
    let entries = fs::read_dir(&folder).expect("the corpus is there");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let read = |name: &String| fs::read(folder.join(name)).expect("a readable file");
    let requests = names.iter().filter(|name| name.ends_with(".request.xml"));
    requests
        .map(|request| {
            let number = request.split('-').next().unwrap_or_default();
            let answer = names.iter().find(|name| name.starts_with(number) && *name != request);
            (read(request), read(answer.expect("an answer to each request")))
        })
        .collect()
}

fn followed(folder: &str) -> Session {
    let mut session = Session::default();
    for (request, answer) in exchanges(folder) {
        session.exchange(&request, &answer);
    }
    assert_eq!(session.unfinished(), 0, "{folder}");
    session
}

#[test]
fn every_exchange_is_read_as_what_it_is() {
    let told: Vec<String> = ["soap-cmd-pypsrp", "soap-cmd-pywinrm", "soap-psrp"]
        .iter()
        .map(|folder| format!("=== {folder}\n{}", followed(folder).told))
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn what_ran_is_what_was_sent() {
    let script = "param($n) Get-Service -Name $n | Stop-Service -n Spooler\nGet-Date -Format o";
    assert_eq!(followed("soap-psrp").ran, [script]);
    assert_eq!(followed("soap-cmd-pypsrp").ran, ["cmd.exe /c more & exit 3", "stdin: hello stdin\r\n"]);
    assert_eq!(followed("soap-cmd-pywinrm").ran, ["ipconfig /all", "stdin: x\r\n"]);
}

#[test]
fn a_pipeline_that_arrives_in_many_compressed_or_plain_pieces_is_the_same() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/xpress");
    let read =
        |kind| fs::read(folder.join(format!("psrp-create-pipeline-fragment.{kind}.bin"))).expect("there");
    let decoded = xpress::Decoder::default().decode(&read("xpress")).expect("compressed");
    let mut messages = Vec::new();
    let mut reassembler = Reassembler::new(Direction::ToServer, ReassemblyLimits::default());
    reassembler.push(&decoded, &mut messages).expect("a whole fragment");
    assert_eq!(messages.len(), 1);
    let blob = decoded.get(21..).expect("behind the fragment's header");
    let mut pieces = blob.chunks(100).enumerate().peekable();
    let mut again = Vec::new();
    while let Some((number, piece)) = pieces.next() {
        let flags = u8::from(number == 0) | u8::from(pieces.peek().is_none()) << 1;
        let number = u64::try_from(number).expect("small");
        let length = u32::try_from(piece.len()).expect("small").to_be_bytes();
        let fragment = [&9_u64.to_be_bytes()[..], &number.to_be_bytes(), &[flags], &length, piece].concat();
        reassembler.push(&fragment, &mut again).expect("in order");
    }
    let contents = |messages: &[winrm_gateway::wsman::psrp::Message]| {
        messages.iter().map(|message| message.content().to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(contents(&again), contents(&messages));
}

#[test]
fn nothing_shorter_is_read_and_no_flip_panics() {
    for folder in ["soap-cmd-pypsrp", "soap-psrp"] {
        for envelope in exchanges(folder).into_iter().flat_map(|(request, answer)| [request, answer]) {
            let limits = ShellLimits::default();
            assert!(ShellMessage::read(&envelope, &limits).is_ok());
            for length in (0..envelope.trim_ascii_end().len()).step_by(7) {
                assert!(ShellMessage::read(envelope.get(..length).expect("shorter"), &limits).is_err());
            }
            for at in (0..envelope.len()).step_by(11) {
                let mut flipped = envelope.clone();
                if let Some(byte) = flipped.get_mut(at) {
                    *byte ^= 1;
                }
                if let Ok(message) = ShellMessage::read(&flipped, &limits) {
                    push_all(&message);
                }
            }
        }
    }
}

/// All that a message carries, into a reassembler of either direction.
fn push_all(message: &ShellMessage) {
    for direction in [Direction::ToServer, Direction::ToClient] {
        let mut reassembler = Reassembler::new(direction, ReassemblyLimits::default());
        let mut messages = Vec::new();
        let command = message.command.as_ref().and_then(|command| command.fragments().ok());
        for bytes in
            message.opening.iter().chain(&command).chain(message.streams.iter().map(|stream| &stream.data))
        {
            // A changed byte is an error or another message; the next bytes are read all the same.
            let _ = reassembler.push(bytes, &mut messages);
        }
    }
}
