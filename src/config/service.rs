//! `service`, what clients may do to the gateway, and `client`, what the gateway may do to hosts: WinRM's own switches.

use super::{
    file::{CbtFile, ClientFile, ServiceFile},
    people::People,
    reader::Reader,
    tree::Key,
};
use crate::{
    authn::{Accept, AuthMethod, GroupName, Principal},
    policy::{TrustedHosts, Who},
};
use std::{
    collections::{BTreeSet, HashSet},
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
    /// Whether clear text may come in over plain HTTP.
    pub(crate) allow_unencrypted: bool,
}

/// `CbtHardeningLevel` ([MS-WSMV] section 2.2.4.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum CbtHardening {
    /// Tokens are ignored.
    None,
    /// A wrong one is refused, an absent one is not.
    #[default]
    Relaxed,
    /// Wrong and absent ones are refused.
    Strict,
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

pub(super) fn service(reader: &Reader, people: &People) -> (Service, Gate) {
    let file = reader.section::<ServiceFile>("service");
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
    if file.allow_unencrypted {
        reader.wrong(
            &key.name("allow_unencrypted"),
            "clear text over a network is not supported by this version; set it to false",
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
        allow_unencrypted: file.allow_unencrypted,
    };
    (service, gate(reader, people, &file))
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
