//! The keys of the configuration file, as the operator writes them. Nothing here leaves `config`; every key stands in `config/gateway.yaml`.
//!
//! Numbers and durations carry their unit in the key, as WinRM's do.

use super::tree::Value;

use serde::Deserialize;
use std::{collections::BTreeMap, path::PathBuf};

/// The keys of the root: those of WinRM's `winrm/config`, then the gateway's own.
pub(super) const ROOT_KEYS: [&str; 16] = [
    "max_envelope_size_kb",
    "max_timeout_ms",
    "realms",
    "listeners",
    "service",
    "client",
    "accounts",
    "groups",
    "cert_mappings",
    "routes",
    "audit",
    "admin",
    "limits",
    "resolve",
    "kerberos",
    // Takes anything and means nothing: a place for YAML anchors.
    "x-anchors",
];

#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default, expecting = "a realm's map of keys")]
pub(super) struct RealmFile {
    pub(super) netbios: Option<String>,
    pub(super) case: CaseFile,
}

#[derive(Debug, Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum CaseFile {
    #[default]
    Insensitive,
    Sensitive,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a listener's map of keys")]
pub(super) struct ListenerFile {
    pub(super) name: String,
    pub(super) address: String,
    #[serde(default)]
    pub(super) transport: TransportFile,
    pub(super) certificate: Option<PathBuf>,
    pub(super) private_key: Option<PathBuf>,
    #[serde(default)]
    pub(super) min_tls_version: TlsVersionFile,
    #[serde(default)]
    pub(super) names: Vec<String>,
    #[serde(default)]
    pub(super) client_certificates: ClientCertificatesFile,
    pub(super) trust_loopback_as: Option<String>,
    #[serde(default)]
    pub(super) peers: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum TransportFile {
    #[default]
    Https,
    Http,
}

#[derive(Debug, Deserialize, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum TlsVersionFile {
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default, expecting = "a map of keys")]
pub(super) struct ClientCertificatesFile {
    pub(super) mode: ModeFile,
    pub(super) trust_anchors: Option<PathBuf>,
    pub(super) crls: Vec<PathBuf>,
}

#[derive(Debug, Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum ModeFile {
    #[default]
    Off,
    Optional,
    Required,
}

#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default, expecting = "a map of keys")]
pub(super) struct ClientFile {
    pub(super) auth: ClientAuthFile,
    pub(super) allow_unencrypted: bool,
    pub(super) trusted_hosts: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a map of keys")]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own in WinRM too")]
pub(super) struct ClientAuthFile {
    pub(super) basic: bool,
    pub(super) digest: bool,
    pub(super) negotiate: bool,
    pub(super) kerberos: bool,
    pub(super) certificate: bool,
    pub(super) credssp: bool,
}

impl Default for ClientAuthFile {
    fn default() -> Self {
        Self {
            basic: false,
            digest: false,
            negotiate: true,
            kerberos: true,
            certificate: true,
            credssp: false,
        }
    }
}

#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default, expecting = "an account's map of keys")]
pub(super) struct AccountFile {
    pub(super) principal: Option<String>,
    pub(super) keytab: Option<PathBuf>,
    pub(super) username: Option<String>,
    pub(super) password: Option<SecretText>,
}

/// A text that is never shown.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct SecretText(pub(super) String);

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretText")
    }
}

#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default, expecting = "a group's map of keys")]
pub(super) struct GroupFile {
    pub(super) members: Vec<String>,
    pub(super) sid: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping's map of keys")]
pub(super) struct CertMappingFile {
    pub(super) issuer: String,
    pub(super) subject: String,
    #[serde(default = "any_uri")]
    pub(super) uri: String,
    pub(super) principal: String,
    #[serde(default = "enabled")]
    pub(super) enabled: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a route's map of keys")]
pub(super) struct RouteFile {
    pub(super) name: String,
    #[serde(rename = "match")]
    pub(super) matches: MatchFile,
    pub(super) hosts: Option<Vec<String>>,
    pub(super) networks: Option<Vec<String>>,
    pub(super) accept: Vec<String>,
    pub(super) backend: BackendFile,
    pub(super) rules: Vec<RuleFile>,
    pub(super) before_run: Option<BeforeRunFile>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default, expecting = "a map of keys")]
pub(super) struct MatchFile {
    pub(super) path: Option<String>,
    pub(super) server_name: Option<String>,
    pub(super) listener: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a map of keys")]
pub(super) struct BackendFile {
    pub(super) url: String,
    #[serde(default)]
    pub(super) auth: BackendAuthFile,
    pub(super) credential: Option<Value>,
    pub(super) spn: Option<String>,
    pub(super) ca_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum BackendAuthFile {
    #[default]
    Kerberos,
    Negotiate,
    Basic,
    Digest,
    Certificate,
    Default,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a rule's map of keys")]
pub(super) struct RuleFile {
    pub(super) name: Option<String>,
    pub(super) who: WhoFile,
    #[serde(default)]
    pub(super) when: WhenFile,
    pub(super) allow: Vec<AllowFile>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default, expecting = "a map with `principals` and `groups`")]
pub(super) struct WhoFile {
    pub(super) principals: Vec<String>,
    pub(super) groups: Vec<String>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default, expecting = "a map of keys")]
pub(super) struct WhenFile {
    pub(super) hosts: Option<Vec<String>>,
    pub(super) methods: Option<Vec<String>>,
    pub(super) resource_uris: Option<Vec<String>>,
}

#[derive(Debug, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum AllowFile {
    Read,
    Write,
    Execute,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a map of keys")]
pub(super) struct AuditFile {
    pub(super) directory: PathBuf,
    pub(super) before_run: BeforeRunFile,
    pub(super) max_pending: u64,
    pub(super) sync_deadline_ms: u64,
}

impl Default for AuditFile {
    fn default() -> Self {
        let directory = PathBuf::from("/var/log/winrm-gateway");
        Self { directory, before_run: BeforeRunFile::Durable, max_pending: 10_000, sync_deadline_ms: 1_000 }
    }
}

#[derive(Debug, Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum BeforeRunFile {
    #[default]
    Durable,
    BestEffort,
}

#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default, expecting = "a map of keys")]
pub(super) struct AdminFile {
    pub(super) address: Option<String>,
    pub(super) socket: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a map of keys")]
pub(super) struct LimitsFile {
    pub(super) connections: u64,
    pub(super) connections_per_address: u64,
    pub(super) handshake_timeout_ms: u64,
    pub(super) head_timeout_ms: u64,
    pub(super) idle_timeout_ms: u64,
    pub(super) body_grace_ms: u64,
    pub(super) minimum_rate_bytes_per_second: u64,
    pub(super) max_packet_retrieval_time_seconds: u64,
    pub(super) write_stall_timeout_ms: u64,
    pub(super) buffered_mb: u64,
    pub(super) max_shells_per_user: u64,
    pub(super) max_shells: u64,
    pub(super) shell_idle_timeout_ms: u64,
    pub(super) connect_timeout_ms: u64,
    pub(super) network_delay_ms: u64,
    pub(super) backend_connections_per_host: u64,
    pub(super) backend_idle_timeout_ms: u64,
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
pub(super) struct KerberosFile {
    pub(super) config: Option<PathBuf>,
    pub(super) replay_cache: Option<PathBuf>,
    pub(super) threads: u64,
    pub(super) deadline_ms: u64,
    pub(super) breaker_failures: u64,
    pub(super) breaker_pause_ms: u64,
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

fn any_uri() -> String {
    "*".to_owned()
}

fn enabled() -> bool {
    true
}
