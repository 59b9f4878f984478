//! The module as its callers see it: against recorded exchanges, against forgers, against damage, and against another implementation.

mod context;
mod damage;
mod forgery;
mod interop;
mod omissions;
mod parts;
mod vectors;

use super::acceptor::Secrets;
use super::crypto::Key;
use super::initiator::Proof;
use super::*;
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// A recorded exchange.
pub(super) struct Vector(Value);

impl Vector {
    pub(super) fn raw() -> Self {
        Self::parse(include_str!("../../../tests/corpus/ntlm/ntlm-raw.json"))
    }

    pub(super) fn bound() -> Self {
        Self::parse(include_str!("../../../tests/corpus/ntlm/ntlm-raw-cbt.json"))
    }

    pub(super) fn spnego() -> Self {
        Self::parse(include_str!("../../../tests/corpus/ntlm/ntlm-spnego.json"))
    }

    pub(super) fn all() -> [(Self, Framing); 3] {
        [(Self::raw(), Framing::Raw), (Self::bound(), Framing::Raw), (Self::spnego(), Framing::Spnego)]
    }

    fn parse(text: &str) -> Self {
        Self(serde_json::from_str(text).unwrap())
    }

    pub(super) fn token(&self, index: usize) -> Vec<u8> {
        BASE64_STANDARD.decode(self.0["tokens"][index]["base64"].as_str().unwrap()).unwrap()
    }

    pub(super) fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap()
    }

    pub(super) fn bindings(&self) -> Option<ChannelBindings> {
        let data = self.0.get("cbt_application_data_hex")?.as_str().unwrap();
        Some(ChannelBindings::from_application_data(&unhex(data)))
    }

    pub(super) fn channel(&self) -> Channel {
        self.bindings().map_or(Channel::Plain, Channel::Tls)
    }

    /// Who sent it, the text, the header and the data of each sealed message.
    pub(super) fn messages(&self) -> impl Iterator<Item = (&str, &str, Vec<u8>, Vec<u8>)> {
        self.0["messages"].as_array().unwrap().iter().map(|message| {
            let text = |key: &str| message[key].as_str().unwrap();
            (text("from"), text("plaintext_utf8"), unhex(text("signature_hex")), unhex(text("sealed_hex")))
        })
    }
}

pub(super) fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16).unwrap()).unwrap();
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// When the vectors were recorded.
pub(super) fn then() -> FileTime {
    FileTime::from_bytes([0, 0, 0x81, 0x92, 0xb1, 0x7a, 0xdc, 0x01])
}

pub(super) fn later(seconds: u64) -> FileTime {
    FileTime::from_bytes((u64::from_le_bytes(then().to_bytes()) + 10_000_000 * seconds).to_le_bytes())
}

pub(super) fn hash() -> NtHash {
    NtHash::of_password("Passw0rd!").ok().unwrap()
}

/// The gateway of the vectors, which knows alice.
pub(super) fn verifier() -> Arc<Verifier> {
    Arc::new(Verifier {
        server: ServerNames {
            computer: "SERVER01".into(),
            domain: "WORKSTATION".into(),
            dns: "server01".into(),
        },
        accounts: accounts_from("# local\nalice:FC525C9683E8FE067095BA2DDC971889\n").ok().unwrap(),
        skew: Duration::from_secs(300),
    })
}

/// An acceptor with the vectors' randomness.
pub(super) fn acceptor(channel: Channel) -> Acceptor {
    let secrets = Secrets {
        nonce: [0xb5, 0xf3, 0x8f, 0xd4, 0x38, 0x75, 0x62, 0x76],
        decoy: NtHash::from_bytes([7; 16]).ok().unwrap(),
    };
    Acceptor::with(verifier(), channel, secrets)
}

/// An initiator with the vectors' randomness.
pub(super) fn initiator(bindings: Option<ChannelBindings>, framing: Framing) -> (Initiator, Vec<u8>) {
    let proof = Proof {
        credentials: Credentials::new("alice", "EXAMPLE", hash()).at_workstation("CLIENT01"),
        target: "HTTP/server01".into(),
        bindings,
        nonce: [0xc6, 0x50, 0x8b, 0xd3, 0x94, 0x39, 0x8a, 0xc3],
        session_key: session_key(),
    };
    Initiator::begin_with(proof, framing).ok().unwrap()
}

pub(super) fn session_key() -> Key {
    Key::from(<[u8; 16]>::try_from(unhex("e0a56a4134625ca86445656aef3622d6")).unwrap())
}

pub(super) fn asked(step: Result<Accepted, NtlmError>) -> (Acceptor, Vec<u8>) {
    match step {
        Ok(Accepted::Continue(acceptor, token)) => (acceptor, token),
        Ok(Accepted::Established(..)) => panic!("nobody gets in with one token"),
        Err(error) => panic!("{error}"),
    }
}

pub(super) fn accepted(step: Result<Accepted, NtlmError>) -> (SecurityContext, Option<Vec<u8>>) {
    match step {
        Ok(Accepted::Established(context, token)) => (context, token),
        Ok(Accepted::Continue(..)) => panic!("there is no third question"),
        Err(error) => panic!("{error}"),
    }
}

pub(super) fn refused(step: Result<Accepted, NtlmError>) -> NtlmError {
    step.err().expect("this must be refused")
}

pub(super) fn proved(step: Result<Initiated, NtlmError>) -> (SecurityContext, Option<Vec<u8>>) {
    match step {
        Ok(Initiated::Established(context, token)) => (context, token),
        Ok(Initiated::Continue(..)) => panic!("this must be the end"),
        Err(error) => panic!("{error}"),
    }
}

pub(super) fn goes_on(step: Result<Initiated, NtlmError>) -> (Initiator, Vec<u8>) {
    match step {
        Ok(Initiated::Continue(initiator, token)) => (initiator, token),
        Ok(Initiated::Established(..)) => panic!("SPNEGO's end is missing"),
        Err(error) => panic!("{error}"),
    }
}
