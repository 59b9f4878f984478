//! The keys of `service`, as the operator writes them.

use super::{file::WhoFile, tree::Value};
use serde::Deserialize;
use std::{collections::BTreeMap, path::PathBuf};

#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default, expecting = "a map of keys")]
pub(super) struct ServiceFile {
    pub(super) auth: ServiceAuthFile,
    pub(super) keytab: Option<PathBuf>,
    pub(super) default_realm: Option<String>,
    pub(super) ntlm_accounts: Option<NtlmAccountsFile>,
    pub(super) basic_guard: BasicGuardFile,
    pub(super) allow_unencrypted: bool,
    pub(super) remote_access_groups: Vec<String>,
    pub(super) deny: WhoFile,
    pub(super) s4u_allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a map with `file` and `realm`")]
pub(super) struct NtlmAccountsFile {
    pub(super) file: PathBuf,
    pub(super) realm: String,
    #[serde(default)]
    pub(super) principals: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a map of keys")]
pub(super) struct BasicGuardFile {
    pub(super) failures: u64,
    pub(super) failures_per_source: u64,
    pub(super) window_ms: u64,
}

impl Default for BasicGuardFile {
    fn default() -> Self {
        Self { failures: 3, failures_per_source: 30, window_ms: 1_800_000 }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a map of keys")]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own in WinRM too")]
pub(super) struct ServiceAuthFile {
    pub(super) basic: bool,
    pub(super) negotiate: bool,
    pub(super) kerberos: bool,
    pub(super) certificate: bool,
    pub(super) credssp: bool,
    pub(super) digest: Option<Value>,
    pub(super) cbt_hardening_level: CbtFile,
}

impl Default for ServiceAuthFile {
    fn default() -> Self {
        let cbt_hardening_level = CbtFile::default();
        let (negotiate, kerberos) = (true, true);
        Self {
            basic: false,
            negotiate,
            kerberos,
            certificate: false,
            credssp: false,
            digest: None,
            cbt_hardening_level,
        }
    }
}

#[derive(Debug, Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum CbtFile {
    None,
    #[default]
    Relaxed,
    Strict,
}
