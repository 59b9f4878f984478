//! What became of a pipeline or a pool ([MS-PSRP] 2.2.3.4, 2.2.3.5).

/// The state of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PipelineState {
    /// 0.
    NotStarted,
    /// 1.
    Running,
    /// 2.
    Stopping,
    /// 3: somebody stopped it.
    Stopped,
    /// 4: it ran to its end, with or without error records.
    Completed,
    /// 5: an error ended it.
    Failed,
    /// 6.
    Disconnected,
    /// Another number.
    Other(i64),
}

impl PipelineState {
    /// The state with a number.
    #[must_use]
    pub const fn of(number: i64) -> Self {
        match number {
            0 => Self::NotStarted,
            1 => Self::Running,
            2 => Self::Stopping,
            3 => Self::Stopped,
            4 => Self::Completed,
            5 => Self::Failed,
            6 => Self::Disconnected,
            other => Self::Other(other),
        }
    }

    /// The label for metrics and records, from a fixed set.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotStarted => "not_started",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Disconnected => "disconnected",
            Self::Other(_) => "other",
        }
    }

    /// Whether the pipeline has ended.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Stopped | Self::Completed | Self::Failed)
    }
}

/// The state of a pool.
///
/// Beyond 5 the specification and PowerShell itself disagree about what the numbers mean, so that only the number is
/// told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PoolState {
    /// 0.
    BeforeOpen,
    /// 1.
    Opening,
    /// 2: pipelines may run.
    Opened,
    /// 3.
    Closed,
    /// 4.
    Closing,
    /// 5: an error ended it.
    Broken,
    /// Another number.
    Other(i64),
}

impl PoolState {
    /// The state with a number.
    #[must_use]
    pub const fn of(number: i64) -> Self {
        match number {
            0 => Self::BeforeOpen,
            1 => Self::Opening,
            2 => Self::Opened,
            3 => Self::Closed,
            4 => Self::Closing,
            5 => Self::Broken,
            other => Self::Other(other),
        }
    }

    /// The label for metrics and records, from a fixed set.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BeforeOpen => "before_open",
            Self::Opening => "opening",
            Self::Opened => "opened",
            Self::Closed => "closed",
            Self::Closing => "closing",
            Self::Broken => "broken",
            Self::Other(_) => "other",
        }
    }
}
