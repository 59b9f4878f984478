//! PSRP fragments, pushed in pieces as streams bring them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use winrm_gateway::wsman::clixml;
use winrm_gateway::wsman::psrp::{Content, Direction, Reassembler, ReassemblyLimits};

fuzz_target!(|data: &[u8]| {
    let limits = ReassemblyLimits { object_bytes: 4096, objects: 4, held_bytes: 8192 };
    for direction in [Direction::ToServer, Direction::ToClient] {
        let mut reassembler = Reassembler::new(direction, limits);
        let mut messages = Vec::new();
        let mut rest = data;
        // The first byte of each piece says how long it is.
        while let Some((length, tail)) = rest.split_first() {
            if *length == 255 {
                reassembler.expect_resent();
            }
            let (piece, tail) = tail.split_at(usize::from(*length).min(tail.len()));
            let _ = reassembler.push(piece, &mut messages);
            assert!(reassembler.unfinished() <= 4);
            rest = tail;
        }
        let _ = reassembler.push(data, &mut messages);
        let total: usize = messages.iter().map(|message| message.bytes().len()).sum();
        assert!(total <= 2 * data.len());
        for message in &messages {
            assert!(message.bytes().len() <= 4096);
            let _ = Content::read(message, &clixml::Limits::default());
        }
    }
});
