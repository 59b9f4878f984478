//! `service`, what clients may do to the gateway, and `client`, what the gateway may do to hosts: WinRM's own switches.

use super::{
    bounds::Section,
    file::ClientFile,
    people::People,
    reader::Reader,
    service_file::{CbtFile, ServiceFile},
    tree::Key,
};
use crate::{
    authn::{Accept, AuthMethod, BasicSettings, CbtHardening, GroupName, GuardSettings, Principal},
    policy::{TrustedHosts, Who},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::PathBuf,
};

/// What `service` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Service {
    /// The methods that are switched on (`winrm/config/service/auth`), and `peer`, which is each listener's.
    pub(crate) methods: Accept,
    /// What becomes of channel binding tokens.
    pub(crate) cbt: CbtHardening,
    /// The keys of the gateway's own service principals.
    pub(crate) keytab: Option<PathBuf>,
    /// The accounts that come in by NTLM.
    pub(crate) ntlm_accounts: Option<NtlmAccounts>,
    /// How passwords are taken.
    pub(crate) basic: BasicSettings,
    /// Whether clear text may come in over plain HTTP.
    pub(crate) allow_unencrypted: bool,
}

/// Accounts that are local to the gateway (seed document, "Negotiate Authentication": computers in a workgroup).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NtlmAccounts {
    /// The file with their names and NT hashes.
    pub(crate) file: PathBuf,
    /// The gateway's own computer name, of which they are.
    pub(crate) realm: String,
    /// Accounts, by name in lower case, that are somebody else.
    pub(crate) principals: BTreeMap<String, Principal>,
}

/// The people of `service`, for policy.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) remote_access_groups: BTreeSet<GroupName>,
    pub(super) deny: Who,
    pub(super) s4u_allow: HashSet<Principal>,
}

/// What `client` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Client {
    /// Destinations that need not prove who they are.
    pub(crate) trusted_hosts: TrustedHosts,
    /// Whether clear text may go out over plain HTTP.
    pub(crate) allow_unencrypted: bool,
    /// `winrm/config/client/auth`.
    pub(super) auth: ClientAuth,
}

/// The methods that the gateway may use towards hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ClientAuth {
    pub(super) integrated: Integrated,
    pub(super) basic: bool,
    pub(super) digest: bool,
    pub(super) certificate: bool,
}

/// The integrated methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Integrated {
    pub(super) negotiate: bool,
    pub(super) kerberos: bool,
}

pub(super) fn service(reader: &Reader, people: &People, file: &ServiceFile) -> (Service, Gate) {
    let key = Key::root("service");
    let auth = &file.auth;
    if auth.digest.is_some() {
        reader.wrong(
            &key.name("auth").name("digest"),
            "Digest is not supported by the WinRM service; remove the key",
        );
    }
    if auth.credssp {
        reader.wrong(
            &key.name("auth").name("credssp"),
            "CredSSP is not supported by this version; set it to false",
        );
    }
    let methods = [
        (AuthMethod::Basic, auth.basic),
        (AuthMethod::Negotiate, auth.negotiate),
        (AuthMethod::Kerberos, auth.kerberos),
        (AuthMethod::Certificate, auth.certificate),
        (AuthMethod::Peer, true),
    ];
    let service = Service {
        methods: Accept::of(methods.into_iter().filter(|(_, on)| *on).map(|(method, _)| method)),
        cbt: match auth.cbt_hardening_level {
            CbtFile::None => CbtHardening::None,
            CbtFile::Relaxed => CbtHardening::Relaxed,
            CbtFile::Strict => CbtHardening::Strict,
        },
        keytab: file.keytab.as_ref().map(|path| reader.file(&key.name("keytab"), path, true)),
        ntlm_accounts: ntlm_accounts(reader, people, file),
        basic: basic(reader, people, file),
        allow_unencrypted: file.allow_unencrypted,
    };
    (service, gate(reader, people, file))
}

fn ntlm_accounts(reader: &Reader, people: &People, file: &ServiceFile) -> Option<NtlmAccounts> {
    let file = file.ntlm_accounts.as_ref()?;
    let key = Key::root("service").name("ntlm_accounts");
    let list = key.name("principals");
    let principals = file.principals.iter().filter_map(|(account, text)| {
        Some((account.to_lowercase(), people.principal(reader, &list.name(account), text)?))
    });
    Some(NtlmAccounts {
        file: reader.file(&key.name("file"), &file.file, true),
        realm: file.realm.to_ascii_uppercase(),
        principals: principals.collect(),
    })
}

fn basic(reader: &Reader, people: &People, file: &ServiceFile) -> BasicSettings {
    let key = Key::root("service");
    let default_realm = file.default_realm.as_ref().map(|realm| realm.to_ascii_uppercase());
    if default_realm.as_ref().is_some_and(|realm| !people.realms.is_domain(realm)) {
        reader.wrong(&key.name("default_realm"), "this realm is not known; add it under `realms`");
    }
    let section = Section { reader, key: key.name("basic_guard") };
    let guard = &file.basic_guard;
    BasicSettings {
        default_realm,
        guard: GuardSettings {
            failures: section.count("failures", guard.failures, 1_000),
            failures_per_source: section.count("failures_per_source", guard.failures_per_source, 100_000),
            window: section.millis("window_ms", guard.window_ms),
        },
    }
}

fn gate(reader: &Reader, people: &People, file: &ServiceFile) -> Gate {
    let key = Key::root("service");
    let list = key.name("remote_access_groups");
    let groups = file.remote_access_groups.iter().enumerate();
    Gate {
        remote_access_groups: groups
            .filter_map(|(index, text)| people.group(reader, &list.index(index), text))
            .collect(),
        deny: people.who(reader, &key.name("deny"), &file.deny),
        s4u_allow: people.principals(reader, &key.name("s4u_allow"), &file.s4u_allow),
    }
}

pub(super) fn client(reader: &Reader) -> Client {
    let file = reader.section::<ClientFile>("client");
    let key = Key::root("client");
    if file.auth.credssp {
        reader.wrong(
            &key.name("auth").name("credssp"),
            "CredSSP is not supported by this version; set it to false",
        );
    }
    let trusted = TrustedHosts::parse(&file.trusted_hosts);
    let auth = &file.auth;
    Client {
        trusted_hosts: reader.take(&key.name("trusted_hosts"), trusted).unwrap_or_default(),
        allow_unencrypted: file.allow_unencrypted,
        auth: ClientAuth {
            integrated: Integrated { negotiate: auth.negotiate, kerberos: auth.kerberos },
            basic: auth.basic,
            digest: auth.digest,
            certificate: auth.certificate,
        },
    }
}
