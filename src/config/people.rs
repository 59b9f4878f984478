//! Realms, accounts, groups and certificate mappings: who there is.

use super::{
    file::{AccountFile, CaseFile, CertMappingFile, GroupFile, RealmFile, WhoFile},
    reader::Reader,
    secret::Secret,
    service_file::ServiceFile,
    tree::Key,
};
use crate::{
    authn::{
        CertMappingRule, CertMappings, GroupName, NameCase, Principal, PrincipalTemplate, Realm, Realms,
        SubjectPattern, Thumbprint, UriPattern,
    },
    policy::{AccountName, HostName, Who},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::PathBuf,
};

/// An identity that the gateway owns.
#[derive(Debug, Clone)]
pub(crate) enum Account {
    /// A Kerberos principal with its keys.
    Keytab {
        /// `name@REALM`; a service name (`HTTP/gw.corp.example@REALM`) where the KDC knows the account by one.
        principal: String,
        /// The keys.
        keytab: PathBuf,
    },
    /// A user name with its password.
    Password {
        /// `DOMAIN\user`, `user@REALM` or, for a local account, `MACHINE\user`.
        username: String,
        /// Its password.
        password: Secret,
    },
}

/// What the configuration says of a group: its members are those listed and those whose ticket carries the SID.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Group {
    /// The people named in the file.
    pub(crate) members: BTreeSet<Principal>,
    /// The security identifier by which a ticket's PAC names the group ([MS-DTYP] section 2.4.2.1).
    pub(crate) sid: Option<String>,
}

/// The names that other keys refer to.
#[derive(Debug)]
pub(super) struct People {
    pub(super) realms: Realms,
    pub(super) accounts: BTreeMap<AccountName, Account>,
    pub(super) groups: BTreeMap<GroupName, Group>,
    pub(super) cert_mappings: CertMappings,
}

impl People {
    pub(super) fn read(reader: &Reader, service: &ServiceFile) -> Self {
        let realms = with_local_realm(reader, realms(reader), service);
        let accounts = accounts(reader, &realms);
        let groups = groups(reader, &realms);
        let cert_mappings = cert_mappings(reader, &realms);
        Self { realms, accounts, groups, cert_mappings }
    }

    /// The person whom the text at `key` names.
    pub(super) fn principal(&self, reader: &Reader, key: &Key, text: &str) -> Option<Principal> {
        principal(reader, key, text, &self.realms)
    }

    /// The group whom the text at `key` names.
    pub(super) fn group(&self, reader: &Reader, key: &Key, text: &str) -> Option<GroupName> {
        let name = GroupName::new(text);
        if self.groups.contains_key(&name) {
            return Some(name);
        }
        reader.wrong(key, format!("there is no group `{text}`; add it under `groups`"));
        None
    }

    /// The people whom the map at `key` names.
    pub(super) fn who(&self, reader: &Reader, key: &Key, file: &WhoFile) -> Who {
        let mut who = Who::default();
        let list = key.name("principals");
        for (index, text) in file.principals.iter().enumerate() {
            let key = list.index(index);
            match text.strip_prefix("*@") {
                Some(realm) => who.realms.extend(self.realm(reader, &key, realm)),
                None => who.principals.extend(self.principal(reader, &key, text)),
            }
        }
        let list = key.name("groups");
        let groups = file.groups.iter().enumerate();
        who.groups =
            groups.filter_map(|(index, text)| self.group(reader, &list.index(index), text)).collect();
        who
    }

    /// The people whom the list at `key` names.
    pub(super) fn principals(&self, reader: &Reader, key: &Key, list: &[String]) -> HashSet<Principal> {
        let list = list.iter().enumerate();
        list.filter_map(|(index, text)| self.principal(reader, &key.index(index), text)).collect()
    }

    fn realm(&self, reader: &Reader, key: &Key, text: &str) -> Option<String> {
        let realm = text.to_ascii_uppercase();
        if self.realms.names().any(|known| known == realm) {
            return Some(realm);
        }
        reader.wrong(key, format!("the realm `{text}` is not known; add it under `realms`"));
        None
    }
}

fn realms(reader: &Reader) -> Realms {
    let mut netbios_names = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut realms = Vec::new();
    for (key, name, file) in reader.entries::<RealmFile>("realms") {
        if HostName::parse(&name).is_err() {
            reader.wrong(&key, format!("`{name}` is not a realm; write it like a domain, CORP.EXAMPLE"));
        }
        if !seen.insert(name.to_ascii_uppercase()) {
            reader.wrong(&key, format!("the realm `{name}` stands twice, realms having no case; keep one"));
        }
        if let Some(netbios) = &file.netbios {
            let plain =
                netbios.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
            if netbios.is_empty() || netbios.len() > 15 || !plain {
                reader.wrong(
                    &key.name("netbios"),
                    "a NetBIOS name is 1 to 15 letters, digits, `-` or `_`; write it as in CORP\\user",
                );
            }
            if !netbios_names.insert(netbios.to_ascii_uppercase()) {
                reader.wrong(
                    &key.name("netbios"),
                    format!(
                        "two realms have the NetBIOS name `{netbios}`; `{netbios}\\user` must mean one person"
                    ),
                );
            }
        }
        let case = match file.case {
            CaseFile::Insensitive => NameCase::Insensitive,
            CaseFile::Sensitive => NameCase::Sensitive,
        };
        realms.push((name, Realm { netbios: file.netbios, case, local: false }));
    }
    Realms::new(realms)
}

/// The realms, and the one of accounts that are local to the gateway where it has any.
fn with_local_realm(reader: &Reader, realms: Realms, service: &ServiceFile) -> Realms {
    let Some(file) = &service.ntlm_accounts else { return realms };
    let key = Key::root("service").name("ntlm_accounts").name("realm");
    let plain = file.realm.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if file.realm.is_empty() || file.realm.len() > 15 || !plain {
        reader.wrong(&key, "this is the computer name of the gateway: 1 to 15 letters, digits, `-` or `_`; write it as in GW01\\user");
        return realms;
    }
    let taken = realms.names().any(|known| known.eq_ignore_ascii_case(&file.realm))
        || realms.parse(&format!("{}\\x", file.realm)).is_ok();
    if taken {
        reader.wrong(&key, "this is a domain, and accounts of the gateway are no people of a domain; choose another name");
        return realms;
    }
    let netbios = Some(file.realm.clone());
    realms.with(&file.realm, Realm { netbios, case: NameCase::Insensitive, local: true })
}

fn principal(reader: &Reader, key: &Key, text: &str, realms: &Realms) -> Option<Principal> {
    let result =
        realms.parse(text).map_err(|error| format!("`{text}` names nobody: {error}; write user@REALM"));
    reader.take(key, result)
}

fn accounts(reader: &Reader, realms: &Realms) -> BTreeMap<AccountName, Account> {
    let files = reader.entries::<AccountFile>("accounts");
    files
        .into_iter()
        .filter_map(|(key, name, file)| {
            account(reader, &key, file, realms).map(|account| (AccountName::new(name), account))
        })
        .collect()
}

fn account(reader: &Reader, key: &Key, file: AccountFile, realms: &Realms) -> Option<Account> {
    match (file.principal, file.keytab, file.username, file.password) {
        (Some(principal), Some(keytab), None, None) => {
            let principal = account_principal(reader, &key.name("principal"), &principal, realms)?;
            let keytab = reader.file(&key.name("keytab"), &keytab, true);
            Some(Account::Keytab { principal, keytab })
        }
        (None, None, Some(username), Some(password)) => {
            if !username.contains(['\\', '@']) {
                reader.wrong(
                    &key.name("username"),
                    "a local account should be prefixed with the computer name; write myComputer\\myUsername, or {host}\\myUsername",
                );
            }
            let key = key.name("password");
            let password = Secret::parse(&password.0, reader.is_private(&key));
            let password = reader.take(&key, password)?;
            if let Some(path) = password.path() {
                reader.file(&key, path, true);
            }
            Some(Account::Password { username, password })
        }
        _ => {
            reader.wrong(key, "an account has either `principal` and `keytab`, or `username` and `password`; write one pair");
            None
        }
    }
}

/// A principal that holds keys: a person's name, or `class/host`, in a known realm.
fn account_principal(reader: &Reader, key: &Key, text: &str, realms: &Realms) -> Option<String> {
    let (name, realm) = text.rsplit_once('@').unwrap_or((text, ""));
    let parts =
        name.split('/').count() <= 2 && name.split('/').all(|part| realms.principal(part, realm).is_ok());
    if parts {
        return Some(format!("{name}@{}", realm.to_ascii_uppercase()));
    }
    reader.wrong(
        key,
        format!("`{text}` is no principal of a realm under `realms`; write name@REALM or class/host@REALM"),
    );
    None
}

fn groups(reader: &Reader, realms: &Realms) -> BTreeMap<GroupName, Group> {
    let mut groups = BTreeMap::new();
    for (key, name, file) in reader.entries::<GroupFile>("groups") {
        let list = key.name("members");
        let members = file.members.iter().enumerate();
        let members =
            members.filter_map(|(index, text)| principal(reader, &list.index(index), text, realms)).collect();
        if let Some(sid) = &file.sid
            && !is_sid(sid)
        {
            reader.wrong(
                &key.name("sid"),
                format!("`{sid}` is no security identifier; write it like S-1-5-21-1-2-3-1104"),
            );
        }
        if file.members.is_empty() && file.sid.is_none() {
            reader.wrong(&key, "the group has neither `members` nor `sid`; nobody could be in it");
        }
        groups.insert(GroupName::new(name), Group { members, sid: file.sid });
    }
    groups
}

fn is_sid(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("S-1-") else { return false };
    let numbers = rest.split('-').all(|part| !part.is_empty() && part.parse::<u64>().is_ok());
    numbers && (2..=16).contains(&rest.split('-').count())
}

fn cert_mappings(reader: &Reader, realms: &Realms) -> CertMappings {
    let files = reader.items::<CertMappingFile>("cert_mappings");
    let rules = files.iter().filter_map(|(key, file)| {
        let rule = cert_mapping(reader, key, file, realms)?;
        file.enabled.then_some(rule)
    });
    CertMappings::new(rules.collect())
}

fn cert_mapping(
    reader: &Reader,
    key: &Key,
    file: &CertMappingFile,
    realms: &Realms,
) -> Option<CertMappingRule> {
    let issuer = reader.take(&key.name("issuer"), Thumbprint::parse(&file.issuer));
    let subject = reader.take(&key.name("subject"), SubjectPattern::parse(&file.subject));
    let uri = reader.take(&key.name("uri"), UriPattern::parse(&file.uri));
    let principal = reader.take(&key.name("principal"), PrincipalTemplate::parse(&file.principal));
    if let Some(template) = &principal
        && let Some((_, realm)) = file.principal.rsplit_once('@')
        && template.fill("someone@corp.example", realms).is_err()
    {
        let what = format!(
            "`{}` makes no principal of a realm under `realms` (`{realm}`); write {{upn_user}}@REALM or user@REALM",
            file.principal
        );
        reader.wrong(&key.name("principal"), what);
    }
    Some(CertMappingRule { issuer: issuer?, subject: subject?, uri: uri?, principal: principal? })
}
