//! The MIME body around sealed messages.
#![no_main]

use libfuzzer_sys::fuzz_target;
use winrm_gateway::wsman::Limits;
use winrm_gateway::wsman::sealed::{self, Protocol};

fuzz_target!(|data: &[u8]| {
    for protocol in [Protocol::Spnego, Protocol::Kerberos] {
        if let Ok(parts) = sealed::decode(sealed::content_type(protocol), data, &Limits::default()) {
            assert!(parts.header.len() + parts.data.len() < data.len());
            let written = sealed::encode(protocol, parts.charset, parts.length, parts.header, parts.data);
            let again = sealed::decode(sealed::content_type(protocol), &written, &Limits::default());
            let again = again.expect("what is written can be read");
            assert_eq!((again.header, again.data, again.length), (parts.header, parts.data, parts.length));
        }
    }
    if let Ok(content_type) = str::from_utf8(data) {
        let _ = sealed::decode(content_type, data, &Limits::default());
    }
});
