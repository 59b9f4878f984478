//! A route's `backend`: where to, how, and as whom. The seed document's refusals stand here.

use super::{
    file::{BackendAuthFile, BackendFile, RouteFile},
    people::Account,
    reader::Reader,
    routes::{Surroundings, known_method},
    service::ClientAuth,
    tree::{Key, Value},
};
use crate::{
    authn::{Accept, AuthMethod},
    policy::{
        AccountName, BackendAuth, BackendRule, BackendTls, CredentialChoice, EndpointHost, HostTemplate,
        Scheme, SpnTemplate, UrlTemplate,
    },
};
use std::collections::BTreeMap;

pub(super) fn read(
    around: Surroundings<'_>,
    route: &Key,
    file: &RouteFile,
    accept: &Accept,
) -> Option<BackendRule> {
    let reader = around.reader;
    let key = route.name("backend");
    let backend = &file.backend;
    let url = reader.take(&key.name("url"), UrlTemplate::parse(&backend.url))?;
    let has_host = [&file.matches.path, &file.matches.server_name]
        .into_iter()
        .flatten()
        .any(|text| text.contains("{host}"));
    if url.host.is_placed() && !has_host {
        reader.wrong(
            &key.name("url"),
            "the URL has {host} and `match` has not; put {host} into the path or the server name of `match`",
        );
    }
    if !url.host.is_placed() && has_host {
        reader.wrong(&key.name("url"), "`match` has {host} and the URL has not, so every host would be the same one; use {host} in the URL");
    }
    let auth = auth(around, &key, backend, &url, file.hosts.as_deref());
    let spn = spn(reader, &key, backend, &url, has_host);
    let credentials = credentials(around, &key, backend, accept);
    let tls = BackendTls { ca_file: ca_file(reader, &key, backend, &url) };
    Some(BackendRule { url, auth: auth?, spn: spn?, credentials: credentials?, tls })
}

fn ca_file(reader: &Reader, key: &Key, file: &BackendFile, url: &UrlTemplate) -> Option<std::path::PathBuf> {
    let path = file.ca_file.as_ref()?;
    let key = key.name("ca_file");
    if url.scheme == Scheme::Http {
        reader.wrong(&key, "an http URL has no certificate to check; use https, or remove it");
    }
    Some(reader.file(&key, path, false))
}

/// How the gateway authenticates, after all that the seed document refuses.
fn auth(
    around: Surroundings<'_>,
    key: &Key,
    file: &BackendFile,
    url: &UrlTemplate,
    hosts: Option<&[String]>,
) -> Option<BackendAuth> {
    let key = key.name("auth");
    let ClientAuth { integrated, basic, digest, certificate } = around.client.auth;
    let wrong = |what: &str| around.reader.wrong(&key, what);
    let (name, on, passwords) = match file.auth {
        BackendAuthFile::Kerberos => ("kerberos", integrated.kerberos, false),
        BackendAuthFile::Negotiate => ("negotiate", integrated.negotiate, false),
        BackendAuthFile::Basic => ("basic", basic, true),
        BackendAuthFile::Digest => ("digest", digest, true),
        BackendAuthFile::Certificate => ("certificate", certificate, false),
        BackendAuthFile::Default => ("default", true, false),
    };
    if !on {
        wrong(&format!(
            "the method {name} is switched off; set `client.auth.{name}: true`, or choose another"
        ));
    }
    if passwords && url.scheme == Scheme::Http {
        if !is_trusted(around, url, hosts) {
            wrong(
                "if HTTPS is not the transport, then the host must be in the list of trusted hosts; use https, or list it in `client.trusted_hosts`",
            );
        }
        if !around.client.allow_unencrypted {
            wrong(
                "Basic and Digest send clear text over http; use https, or set `client.allow_unencrypted: true`",
            );
        }
    }
    match file.auth {
        BackendAuthFile::Kerberos => Some(BackendAuth::Kerberos),
        BackendAuthFile::Negotiate => Some(BackendAuth::Negotiate),
        BackendAuthFile::Basic
        | BackendAuthFile::Digest
        | BackendAuthFile::Certificate
        | BackendAuthFile::Default => {
            wrong(&format!(
                "authenticating to hosts by {name} is not supported by this version; use kerberos or negotiate"
            ));
            None
        }
    }
}

/// Whether every host that the URL could become is in `client.trusted_hosts`.
fn is_trusted(around: Surroundings<'_>, url: &UrlTemplate, hosts: Option<&[String]>) -> bool {
    let trusted = &around.client.trusted_hosts;
    match &url.host {
        HostTemplate::Fixed(host) => trusted.trusts(host),
        HostTemplate::Placed { before, after } => hosts.unwrap_or_default().iter().all(|pattern| {
            match crate::policy::HostName::parse(&format!("{before}{pattern}{after}")) {
                Ok(host) => trusted.trusts(&EndpointHost::Name(host)),
                Err(_) => trusted.trusts_all_below(&format!("{}{after}", pattern.trim_start_matches('*'))),
            }
        }),
    }
}

fn spn(
    reader: &Reader,
    key: &Key,
    file: &BackendFile,
    url: &UrlTemplate,
    has_host: bool,
) -> Option<SpnTemplate> {
    let key = key.name("spn");
    let Some(text) = &file.spn else {
        let spn = SpnTemplate::for_host(&url.host);
        if spn.is_none() {
            reader.wrong(
                &key,
                "if you use Kerberos as the authentication method, you cannot use an IP address; use a name in the URL, or write `spn: HTTP/name`",
            );
        }
        return spn;
    };
    let result =
        SpnTemplate::parse(text).map_err(|error| format!("`{text}` is no service principal name: {error}"));
    let spn = reader.take(&key, result)?;
    if spn.is_placed() && !has_host {
        reader.wrong(
            &key,
            "the name has {host} and `match` has not; put {host} into the path or the server name of `match`",
        );
    }
    if !spn.is_placed() && url.host.is_placed() {
        reader.wrong(&key, "the URL has {host} and the name has not, so one host could pass for another; use {host} in the name");
    }
    Some(spn)
}

/// As whom, for every accepted method.
fn credentials(
    around: Surroundings<'_>,
    key: &Key,
    file: &BackendFile,
    accept: &Accept,
) -> Option<BTreeMap<AuthMethod, CredentialChoice>> {
    let key = key.name("credential");
    let Some(value) = &file.credential else {
        let what = match file.auth {
            BackendAuthFile::Negotiate | BackendAuthFile::Digest | BackendAuthFile::Basic => {
                "Negotiate, Digest and Basic need explicit credentials; write `credential: s4u`, or `credential: { account: NAME }`"
            }
            BackendAuthFile::Kerberos | BackendAuthFile::Certificate | BackendAuthFile::Default => {
                "nothing says as whom to go to the host, and the gateway never goes as itself by default; write `credential: s4u`, or `credential: { account: NAME }`"
            }
        };
        around.reader.wrong(&key, what);
        return None;
    };
    let per_method = match value {
        Value::Map(entries) => entries
            .iter()
            .any(|(name, _)| !matches!(name.as_str(), "s4u" | "account" | "ticket" | "password")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => false,
    };
    if !per_method {
        let choice = choice(around, &key, value)?;
        return Some(accept.iter().map(|method| (method, choice.clone())).collect());
    }
    let Value::Map(entries) = value else { return None };
    let mut choices = BTreeMap::new();
    for (name, node) in entries {
        let key = key.name(name);
        if let (Some(method), Some(choice)) =
            (known_method(around.reader, &key, name), choice(around, &key, &node.value))
        {
            choices.insert(method, choice);
        }
    }
    for method in accept.iter().filter(|method| !choices.contains_key(method)) {
        around.reader.wrong(&key, format!("the route accepts {method}, and nothing says as whom such a person goes to the host; add `{method}`"));
    }
    Some(choices)
}

fn choice(around: Surroundings<'_>, key: &Key, value: &Value) -> Option<CredentialChoice> {
    let wrong = |what: String| {
        around.reader.wrong(key, what);
        None
    };
    let usage = "write s4u, { s4u: ACCOUNT } or { account: NAME }";
    let named = |entries: &[(String, super::tree::Node)]| match entries {
        [(name, node)] => match &node.value {
            Value::Text(text) | Value::Number(text) => Some((name.clone(), text.clone())),
            Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => None,
        },
        _ => None,
    };
    let (kind, account) = match value {
        Value::Text(kind) => (kind.clone(), None),
        Value::Map(entries) => match named(entries) {
            Some((kind, account)) => (kind, Some(account)),
            None => return wrong(format!("this is no credential; {usage}")),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) => {
            return wrong(format!("this is no credential; {usage}"));
        }
    };
    match (kind.as_str(), account) {
        ("s4u", Some(account)) => {
            with_keys(around, key, &account).map(|account| CredentialChoice::S4u { account })
        }
        ("s4u", None) => only_account(around, key).map(|account| CredentialChoice::S4u { account }),
        ("account", Some(account)) => {
            with_keys(around, key, &account).map(|account| CredentialChoice::Account { account })
        }
        ("account", None) => wrong("an account has a name; write { account: NAME }".to_owned()),
        ("ticket" | "password", _) => {
            wrong(format!("the credential {kind} is not supported by this version; {usage}"))
        }
        _ => wrong(format!("`{kind}` is no credential; {usage}")),
    }
}

/// The account called `name`, which must hold keys.
fn with_keys(around: Surroundings<'_>, key: &Key, name: &str) -> Option<AccountName> {
    let account = AccountName::new(name);
    match around.people.accounts.get(&account) {
        Some(Account::Keytab { .. }) => Some(account),
        Some(Account::Password { .. }) => {
            around.reader.wrong(key, format!("the account `{name}` has a password, which is not supported by this version; use one with a keytab"));
            None
        }
        None => {
            around.reader.wrong(key, format!("there is no account `{name}`; add it under `accounts`"));
            None
        }
    }
}

/// The one account that holds keys, for a bare `s4u`.
fn only_account(around: Surroundings<'_>, key: &Key) -> Option<AccountName> {
    let mut with_keys =
        around.people.accounts.iter().filter(|(_, account)| matches!(account, Account::Keytab { .. }));
    match (with_keys.next(), with_keys.next()) {
        (Some((name, _)), None) => Some(name.clone()),
        (None, _) => {
            around.reader.wrong(key, "`s4u` needs an account that may delegate; add one with `principal` and `keytab` under `accounts`");
            None
        }
        (Some(_), Some(_)) => {
            around
                .reader
                .wrong(key, "several accounts have a keytab; write which one delegates, { s4u: ACCOUNT }");
            None
        }
    }
}
