//! What the two sides agree to do ([MS-NLMP] section 2.2.2.5).

/// NEGOTIATE flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flags(pub(super) u32);

impl Flags {
    /// What our client asks for.
    pub(super) const OFFERED: Self = Self(
        UNICODE
            | OEM
            | REQUEST_TARGET
            | SIGN
            | SEAL
            | NTLM
            | ALWAYS_SIGN
            | EXTENDED_SECURITY
            | VERSION
            | KEY_128
            | KEY_EXCHANGE
            | KEY_56,
    );

    /// Whether everything is there without which there is no sealing with 128-bit keys, and nothing that excludes it.
    pub(super) const fn are_strong(self) -> bool {
        self.0 & REQUIRED == REQUIRED && self.0 & DATAGRAM == 0
    }

    /// Whether the client says that it is nobody.
    pub(super) const fn are_anonymous(self) -> bool {
        self.0 & ANONYMOUS != 0
    }

    /// Whether the message describes the server.
    pub(super) const fn have_target_info(self) -> bool {
        self.0 & TARGET_INFO != 0
    }

    /// What our verifier makes of a client's offer: what both know, and what it describes itself as.
    pub(super) const fn answered(self) -> Self {
        Self(
            self.0 & Self::OFFERED.0 & !OEM
                | REQUEST_TARGET
                | NTLM
                | ALWAYS_SIGN
                | TARGET_INFO
                | TARGET_TYPE_SERVER,
        )
    }

    /// What our client agrees to of a server's choice.
    pub(super) const fn agreed(self) -> Self {
        Self(self.0 & (Self::OFFERED.0 & !OEM | TARGET_INFO | TARGET_TYPE_SERVER | TARGET_TYPE_DOMAIN))
    }
}

const UNICODE: u32 = 0x0000_0001;
const OEM: u32 = 0x0000_0002;
const REQUEST_TARGET: u32 = 0x0000_0004;
const SIGN: u32 = 0x0000_0010;
const SEAL: u32 = 0x0000_0020;
const DATAGRAM: u32 = 0x0000_0040;
const NTLM: u32 = 0x0000_0200;
const ANONYMOUS: u32 = 0x0000_0800;
const ALWAYS_SIGN: u32 = 0x0000_8000;
const TARGET_TYPE_DOMAIN: u32 = 0x0001_0000;
const TARGET_TYPE_SERVER: u32 = 0x0002_0000;
const EXTENDED_SECURITY: u32 = 0x0008_0000;
const TARGET_INFO: u32 = 0x0080_0000;
const VERSION: u32 = 0x0200_0000;
const KEY_128: u32 = 0x2000_0000;
const KEY_EXCHANGE: u32 = 0x4000_0000;
const KEY_56: u32 = 0x8000_0000;

/// Without these there is no sealing worth the name.
const REQUIRED: u32 = UNICODE | SIGN | SEAL | EXTENDED_SECURITY | KEY_128 | KEY_EXCHANGE;
