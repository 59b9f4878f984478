//! The pairs with which a server describes itself, and a client says what it thinks it talks to ([MS-NLMP] section 2.2.2.1).

use super::{FileTime, NtlmError, wire};

/// A list of pairs, each id at most once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct AvPairs(Vec<(AvId, Vec<u8>)>);

/// What a pair says. An id that is not among these is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AvId {
    NbComputerName,
    NbDomainName,
    DnsComputerName,
    DnsDomainName,
    DnsTreeName,
    Flags,
    Timestamp,
    SingleHost,
    TargetName,
    ChannelBindings,
}

impl AvPairs {
    /// The pairs at the beginning of `bytes`, and what follows them.
    ///
    /// # Errors
    /// When they do not end, when one comes twice, or when one is not what its id says.
    pub(super) fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), NtlmError> {
        let (mut pairs, mut rest) = (Self::default(), bytes);
        loop {
            let (id, length) = (wire::u16_at(rest, 0)?, usize::from(wire::u16_at(rest, 2)?));
            let value = wire::slice(rest, 4, length)?;
            rest = rest.get(4 + length..).unwrap_or_default();
            if id == END {
                return if length == 0 {
                    Ok((pairs, rest))
                } else {
                    Err(NtlmError::Malformed("the end of the pairs"))
                };
            }
            let id = AvId::try_from(id)?;
            if pairs.get(id).is_some() || !id.fits(value) {
                return Err(NtlmError::Malformed("a target information pair"));
            }
            pairs.0.push((id, value.to_vec()));
        }
    }

    /// The pairs with their end.
    pub(super) fn write(&self) -> Result<Vec<u8>, NtlmError> {
        let mut bytes = Vec::new();
        for (id, value) in &self.0 {
            let length = u16::try_from(value.len()).map_err(|_| NtlmError::TooLarge)?;
            bytes.extend_from_slice(&id.number().to_le_bytes());
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(value);
        }
        bytes.extend_from_slice(&[0; 4]);
        Ok(bytes)
    }

    /// The value of `id`.
    pub(super) fn get(&self, id: AvId) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| *known == id).map(|(_, value)| value.as_slice())
    }

    /// Puts `value` in the place of what `id` was, or at the end.
    pub(super) fn set(&mut self, id: AvId, value: Vec<u8>) {
        match self.0.iter_mut().find(|(known, _)| *known == id) {
            Some((_, place)) => *place = value,
            None => self.0.push((id, value)),
        }
    }

    /// Takes `id` out.
    pub(super) fn remove(&mut self, id: AvId) {
        self.0.retain(|(known, _)| *known != id);
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The server's time.
    pub(super) fn timestamp(&self) -> Option<FileTime> {
        self.get(AvId::Timestamp)?.try_into().ok().map(FileTime::from_bytes)
    }

    /// The flags; none at all where the pair is absent.
    pub(super) fn flags(&self) -> u32 {
        self.get(AvId::Flags).and_then(|value| value.try_into().ok()).map_or(0, u32::from_le_bytes)
    }

    /// Whether these pairs are exactly `ours`, apart from what a client adds.
    pub(super) fn echo(&self, ours: &Self) -> bool {
        let kept = ours.0.iter().all(|(id, value)| self.get(*id) == Some(value));
        let added = |id: AvId| ours.get(id).is_none();
        kept && self.0.iter().all(|(id, _)| !added(*id) || id.is_the_clients())
    }
}

impl AvId {
    const ALL: [Self; 10] = [
        Self::NbComputerName,
        Self::NbDomainName,
        Self::DnsComputerName,
        Self::DnsDomainName,
        Self::DnsTreeName,
        Self::Flags,
        Self::Timestamp,
        Self::SingleHost,
        Self::TargetName,
        Self::ChannelBindings,
    ];

    const fn number(self) -> u16 {
        match self {
            Self::NbComputerName => 1,
            Self::NbDomainName => 2,
            Self::DnsComputerName => 3,
            Self::DnsDomainName => 4,
            Self::DnsTreeName => 5,
            Self::Flags => 6,
            Self::Timestamp => 7,
            Self::SingleHost => 8,
            Self::TargetName => 9,
            Self::ChannelBindings => 10,
        }
    }

    /// Whether `value` can be one of this id's.
    fn fits(self, value: &[u8]) -> bool {
        match self {
            Self::NbComputerName
            | Self::NbDomainName
            | Self::DnsComputerName
            | Self::DnsDomainName
            | Self::DnsTreeName
            | Self::TargetName => value.len() <= MAX_NAME && wire::utf16(value).is_ok(),
            Self::Flags => value.len() == 4,
            Self::Timestamp => value.len() == 8,
            Self::SingleHost => value.len() <= MAX_NAME,
            Self::ChannelBindings => value.len() == 16,
        }
    }

    /// Whether a client may add it to what the server sent.
    const fn is_the_clients(self) -> bool {
        match self {
            Self::Flags | Self::SingleHost | Self::TargetName | Self::ChannelBindings => true,
            Self::NbComputerName
            | Self::NbDomainName
            | Self::DnsComputerName
            | Self::DnsDomainName
            | Self::DnsTreeName
            | Self::Timestamp => false,
        }
    }
}

impl TryFrom<u16> for AvId {
    type Error = NtlmError;

    fn try_from(number: u16) -> Result<Self, NtlmError> {
        let known = Self::ALL.into_iter().find(|id| id.number() == number);
        known.ok_or(NtlmError::Malformed("an unknown target information pair"))
    }
}

/// The bit of [`AvId::Flags`] that promises a MIC.
pub(super) const FLAG_MIC: u32 = 2;
const END: u16 = 0;
const MAX_NAME: usize = 2048;
