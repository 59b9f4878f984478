//! Time as NTLM counts it.

use std::time::Duration;

/// Tenths of microseconds since 1601 ([MS-DTYP] section 2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileTime(u64);

impl FileTime {
    /// The time that is `since_epoch` after 1970-01-01T00:00:00Z.
    pub(crate) fn from_unix(since_epoch: Duration) -> Self {
        let ticks = u64::try_from(since_epoch.as_nanos() / 100).unwrap_or(u64::MAX);
        Self(ticks.saturating_add(TICKS_FROM_1601_TO_1970))
    }

    /// How far apart two times are.
    pub(super) fn distance(self, other: Self) -> Duration {
        let ticks = self.0.abs_diff(other.0);
        Duration::new(ticks / TICKS_PER_SECOND, u32::try_from(ticks % TICKS_PER_SECOND).unwrap_or(0) * 100)
    }

    /// As it is in a message.
    pub(super) const fn to_bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }

    /// From a message.
    pub(super) const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_le_bytes(bytes))
    }
}

const TICKS_PER_SECOND: u64 = 10_000_000;
const TICKS_FROM_1601_TO_1970: u64 = 116_444_736_000_000_000;
