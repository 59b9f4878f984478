//! Envelopes of clients and of hosts, and what they carry.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use winrm_gateway::wsman::{Envelope, Limits, ShellLimits, ShellMessage, inspect_answer};

fuzz_target!(|data: &[u8]| {
    let limits = Limits::default();
    if let Ok(envelope) = Envelope::parse(Bytes::copy_from_slice(data), None, &limits) {
        let again =
            Envelope::parse(envelope.bytes().clone(), None, &limits).expect("what is sent on is accepted");
        assert_eq!(again.bytes(), envelope.bytes());
        assert_eq!(again.operation(), envelope.operation());
    }
    let _ = inspect_answer(data, &limits);
    if let Ok(message) = ShellMessage::read(data, &ShellLimits::default()) {
        let carried: usize = message.streams.iter().map(|stream| stream.data.len()).sum();
        assert!(carried <= data.len());
        if let Some(command) = message.command {
            // UTF-16 has two bytes for what UTF-8 has three for.
            assert!(command.line().len() <= 2 * data.len() + command.arguments.len());
            assert!(command.encoded_commands().len() <= 16);
            let _ = command.fragments();
        }
    }
});
