//! The `audit` section as the file has it.

use serde::Deserialize;
use std::path::PathBuf;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a map of keys")]
pub(super) struct AuditFile {
    pub(super) directory: PathBuf,
    pub(super) before_run: BeforeRunFile,
    pub(super) max_pending: u64,
    pub(super) sync_deadline_ms: u64,
    pub(super) head: Option<PathBuf>,
    pub(super) signing_key: Option<PathBuf>,
    pub(super) checkpoint_records: u64,
    pub(super) checkpoint_seconds: u64,
    pub(super) rotate_mb: u64,
    pub(super) rotate_hours: u64,
    pub(super) keep_days: Option<u64>,
}

impl Default for AuditFile {
    fn default() -> Self {
        let directory = PathBuf::from("/var/log/winrm-gateway");
        Self {
            directory,
            before_run: BeforeRunFile::Durable,
            max_pending: 10_000,
            sync_deadline_ms: 1_000,
            head: None,
            signing_key: None,
            checkpoint_records: 1_000,
            checkpoint_seconds: 60,
            rotate_mb: 100,
            rotate_hours: 24,
            keep_days: None,
        }
    }
}

#[derive(Debug, Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum BeforeRunFile {
    #[default]
    Durable,
    BestEffort,
}
