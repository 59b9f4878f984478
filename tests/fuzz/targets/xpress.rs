//! Compressed streams.
#![no_main]

use libfuzzer_sys::fuzz_target;
use winrm_gateway::wsman::xpress::Decoder;

fuzz_target!(|data: &[u8]| {
    let bound = 256 * 1024;
    if let Ok(plain) = Decoder::new(bound).decode(data) {
        let (mut declared, mut rest) = (0, data);
        while let Some((&[a, b, c, d], tail)) = rest.split_first_chunk() {
            declared += usize::from(u16::from_le_bytes([a, b])) + 1;
            rest = &tail[usize::from(u16::from_le_bytes([c, d])) + 1..];
        }
        assert!(plain.len() == declared && plain.len() <= bound);
    }
});
