//! NTLM inside SPNEGO (RFC 4178): NTLM is the mechanism or there is none, and the list of mechanisms is always protected.

use super::{NtlmError, der};

/// The initiator's first token.
pub(super) struct Init<'a> {
    /// The list of mechanisms, encoded: what the signatures at the end are about.
    pub(super) mechanisms: Vec<u8>,
    /// NTLM's first message.
    pub(super) token: &'a [u8],
}

impl<'a> Init<'a> {
    /// A `NegTokenInit` that prefers NTLM. Windows lists others after it; the first is the one that its token is for.
    pub(super) fn parse(token: &'a [u8]) -> Result<Self, NtlmError> {
        if token.len() > MAX_TOKEN {
            return Err(NtlmError::TooLarge);
        }
        let mut outer = der::Reader::new(der::only(token, APPLICATION)?);
        if outer.read(OID)? != SPNEGO {
            return Err(NtlmError::OtherMechanism);
        }
        let mut init = der::Reader::new(der::only(outer.read(CONTEXT)?, SEQUENCE)?);
        outer.finish()?;
        let mechanisms = init.explicit(CONTEXT, SEQUENCE)?.ok_or(NO_MECHANISMS)?;
        let mut list = der::Reader::new(mechanisms);
        if list.read(OID)? != NTLMSSP {
            return Err(NtlmError::OtherMechanism);
        }
        let mut count = 1;
        while !list.is_empty() {
            list.read(OID)?;
            count += 1;
        }
        if count > MAX_MECHANISMS {
            return Err(NO_MECHANISMS);
        }
        init.explicit(CONTEXT + 1, BIT_STRING)?;
        let token =
            init.explicit(CONTEXT + 2, OCTETS)?.ok_or(NtlmError::Malformed("SPNEGO without a token"))?;
        init.finish()?;
        Ok(Self { mechanisms: der::element(SEQUENCE, &[mechanisms]), token })
    }

    /// A `NegTokenInit` with NTLM alone around `token`, and its list of mechanisms.
    pub(super) fn write(token: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let mechanisms = der::element(SEQUENCE, &[&der::element(OID, &[NTLMSSP])]);
        let list = der::element(CONTEXT, &[&mechanisms]);
        let inner = der::element(CONTEXT + 2, &[&der::element(OCTETS, &[token])]);
        let init = der::element(CONTEXT, &[&der::element(SEQUENCE, &[&list, &inner])]);
        (der::element(APPLICATION, &[&der::element(OID, &[SPNEGO]), &init]), mechanisms)
    }
}

/// Every later token, from either side.
#[derive(Default)]
pub(super) struct Response<'a> {
    pub(super) state: Option<State>,
    /// Whether it names NTLM as the mechanism. It may not name another.
    pub(super) names_ntlm: bool,
    /// NTLM's next message.
    pub(super) token: Option<&'a [u8]>,
    /// The signature of the list of mechanisms.
    pub(super) mic: Option<&'a [u8]>,
}

impl<'a> Response<'a> {
    pub(super) fn parse(token: &'a [u8]) -> Result<Self, NtlmError> {
        if token.len() > MAX_TOKEN {
            return Err(NtlmError::TooLarge);
        }
        let mut response = der::Reader::new(der::only(der::only(token, CONTEXT + 1)?, SEQUENCE)?);
        let state = response.explicit(CONTEXT, ENUMERATED)?.map(State::parse).transpose()?;
        let mechanism = response.explicit(CONTEXT + 1, OID)?;
        if mechanism.is_some_and(|mechanism| mechanism != NTLMSSP) {
            return Err(NtlmError::OtherMechanism);
        }
        let token = response.explicit(CONTEXT + 2, OCTETS)?;
        let mic = response.explicit(CONTEXT + 3, OCTETS)?;
        response.finish()?;
        Ok(Self { state, names_ntlm: mechanism.is_some(), token, mic })
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let mut inner = Vec::new();
        if let Some(state) = self.state {
            inner.extend(der::element(CONTEXT, &[&der::element(ENUMERATED, &[&[state.number()]])]));
        }
        if self.names_ntlm {
            inner.extend(der::element(CONTEXT + 1, &[&der::element(OID, &[NTLMSSP])]));
        }
        if let Some(token) = self.token {
            inner.extend(der::element(CONTEXT + 2, &[&der::element(OCTETS, &[token])]));
        }
        if let Some(mic) = self.mic {
            inner.extend(der::element(CONTEXT + 3, &[&der::element(OCTETS, &[mic])]));
        }
        der::element(CONTEXT + 1, &[&der::element(SEQUENCE, &[&inner])])
    }
}

/// How far the negotiation is (`negState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Completed,
    Incomplete,
    Rejected,
    /// As [`Self::Incomplete`], and the acceptor wants the list protected: ours always does.
    RequestMic,
}

impl State {
    const ALL: [Self; 4] = [Self::Completed, Self::Incomplete, Self::Rejected, Self::RequestMic];

    const fn number(self) -> u8 {
        match self {
            Self::Completed => 0,
            Self::Incomplete => 1,
            Self::Rejected => 2,
            Self::RequestMic => 3,
        }
    }

    fn parse(contents: &[u8]) -> Result<Self, NtlmError> {
        let known = Self::ALL.into_iter().find(|state| contents == [state.number()]);
        known.ok_or(NtlmError::Malformed("the negotiation's state"))
    }
}

const APPLICATION: u8 = 0x60;
const CONTEXT: u8 = 0xa0;
const SEQUENCE: u8 = 0x30;
const OID: u8 = 0x06;
const BIT_STRING: u8 = 0x03;
const OCTETS: u8 = 0x04;
const ENUMERATED: u8 = 0x0a;
/// 1.3.6.1.5.5.2.
const SPNEGO: &[u8] = &[0x2b, 6, 1, 5, 5, 2];
/// 1.3.6.1.4.1.311.2.2.10.
const NTLMSSP: &[u8] = &[0x2b, 6, 1, 4, 1, 0x82, 0x37, 2, 2, 10];
const NO_MECHANISMS: NtlmError = NtlmError::Malformed("the list of mechanisms");
const MAX_MECHANISMS: usize = 16;
const MAX_TOKEN: usize = 20 * 1024;
