//! CLIXML, on its own and as the content of each kind of message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use winrm_gateway::wsman::clixml::{Document, Limits};
use winrm_gateway::wsman::psrp::{Content, Direction, Reassembler, ReassemblyLimits};

/// CREATE_PIPELINE, GET_COMMAND_METADATA, states, errors, records, host calls.
const KINDS: [u32; 9] = [
    0x0002_1006,
    0x0002_100a,
    0x0004_1006,
    0x0002_1005,
    0x0004_1005,
    0x0004_1011,
    0x0004_1010,
    0x0004_1100,
    0x0004_1101,
];

fuzz_target!(|data: &[u8]| {
    let limits = Limits { rendered_bytes: 1024, ..Limits::default() };
    let Ok(document) = Document::parse(data, &limits) else { return };
    for text in [document.root().display(), document.root().literal()] {
        assert!(text.len() <= 1024 + '…'.len_utf8());
    }
    let _ = document.root().member("Cmds").map(|found| found.map(|value| value.items().map(Iterator::count)));
    for (object, kind) in (1_u64..).zip(KINDS) {
        let length = u32::try_from(40 + data.len()).expect("short");
        let head = [&object.to_be_bytes()[..], &[0; 8], &[3], &length.to_be_bytes()].concat();
        let bytes = [&head[..], &[1, 0, 0, 0], &kind.to_le_bytes(), &[0; 32], data].concat();
        let mut messages = Vec::new();
        let mut reassembler = Reassembler::new(Direction::ToClient, ReassemblyLimits::default());
        reassembler.push(&bytes, &mut messages).expect("one whole message");
        for message in &messages {
            if let Ok(Content::Pipeline(pipeline)) = Content::read(message, &limits) {
                let _ = (pipeline.text(), pipeline.is_commands_only());
            }
        }
    }
});
