//! Records, metrics, limits and Kerberos, as the file has them.

use serde::Deserialize;
use std::path::PathBuf;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a map of keys")]
pub(in crate::config) struct AuditFile {
    pub(in crate::config) directory: PathBuf,
    pub(in crate::config) before_run: BeforeRunFile,
    pub(in crate::config) max_pending: u64,
    pub(in crate::config) sync_deadline_ms: u64,
}

impl Default for AuditFile {
    fn default() -> Self {
        let directory = PathBuf::from("/var/log/winrm-gateway");
        Self { directory, before_run: BeforeRunFile::Durable, max_pending: 10_000, sync_deadline_ms: 1_000 }
    }
}

#[derive(Debug, Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum BeforeRunFile {
    #[default]
    Durable,
    BestEffort,
}

#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default, expecting = "a map of keys")]
pub(in crate::config) struct AdminFile {
    pub(in crate::config) address: Option<String>,
    pub(in crate::config) socket: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a map of keys")]
pub(in crate::config) struct LimitsFile {
    pub(in crate::config) connections: u64,
    pub(in crate::config) connections_per_address: u64,
    pub(in crate::config) handshake_timeout_ms: u64,
    pub(in crate::config) head_timeout_ms: u64,
    pub(in crate::config) idle_timeout_ms: u64,
    pub(in crate::config) body_grace_ms: u64,
    pub(in crate::config) minimum_rate_bytes_per_second: u64,
    pub(in crate::config) max_packet_retrieval_time_seconds: u64,
    pub(in crate::config) write_stall_timeout_ms: u64,
    pub(in crate::config) buffered_mb: u64,
    pub(in crate::config) max_shells_per_user: u64,
    pub(in crate::config) max_shells: u64,
    pub(in crate::config) shell_idle_timeout_ms: u64,
    pub(in crate::config) connect_timeout_ms: u64,
    pub(in crate::config) network_delay_ms: u64,
    pub(in crate::config) backend_connections_per_host: u64,
    pub(in crate::config) backend_idle_timeout_ms: u64,
}

impl Default for LimitsFile {
    fn default() -> Self {
        Self {
            connections: 4096,
            connections_per_address: 1024,
            handshake_timeout_ms: 5_000,
            head_timeout_ms: 10_000,
            idle_timeout_ms: 180_000,
            body_grace_ms: 10_000,
            minimum_rate_bytes_per_second: 1024,
            max_packet_retrieval_time_seconds: 120,
            write_stall_timeout_ms: 30_000,
            buffered_mb: 256,
            max_shells_per_user: 30,
            max_shells: 20_000,
            shell_idle_timeout_ms: 7_200_000,
            connect_timeout_ms: 5_000,
            network_delay_ms: 5_000,
            backend_connections_per_host: 100,
            backend_idle_timeout_ms: 60_000,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a map of keys")]
pub(in crate::config) struct KerberosFile {
    pub(in crate::config) config: Option<PathBuf>,
    pub(in crate::config) replay_cache: Option<PathBuf>,
    pub(in crate::config) threads: u64,
    pub(in crate::config) deadline_ms: u64,
    pub(in crate::config) breaker_failures: u64,
    pub(in crate::config) breaker_pause_ms: u64,
}

impl Default for KerberosFile {
    fn default() -> Self {
        let (config, replay_cache) = (None, None);
        Self {
            config,
            replay_cache,
            threads: 32,
            deadline_ms: 5_000,
            breaker_failures: 5,
            breaker_pause_ms: 10_000,
        }
    }
}
