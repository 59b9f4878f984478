//! How and as whom a route goes to its hosts. The seed document's refusals stand here.

#[cfg(test)]
mod tests;

use super::{
    backend::{Target, is_trusted},
    file::{BackendAuthFile, BackendFile},
    people::Account,
    routes::{Surroundings, known_method},
    tree::{Key, Node, Value},
};
use crate::{
    authn::{Accept, AuthMethod},
    policy::{
        AccountName, Approach, BackendAuth, CredentialChoice, EndpointHost, HostTemplate, Scheme, UrlTemplate,
    },
};
use std::{collections::BTreeMap, net::IpAddr};

/// How and as whom, for every accepted method.
pub(super) fn read(
    around: Surroundings<'_>,
    key: &Key,
    file: &BackendFile,
    target: &Target<'_>,
    accept: &Accept,
) -> Option<BTreeMap<AuthMethod, Approach>> {
    // What is wrong with a method is wrong whoever comes by it.
    let written = match file.auth {
        BackendAuthFile::Basic => Some(BackendAuth::Basic),
        BackendAuthFile::Digest => Some(BackendAuth::Digest),
        BackendAuthFile::Certificate => Some(BackendAuth::Certificate),
        BackendAuthFile::Kerberos | BackendAuthFile::Negotiate | BackendAuthFile::Default => None,
    };
    if let Some(auth) = written {
        refuse(around, key, file.auth, auth, target);
    }
    let choices = choices(around, &key.name("credential"), file, accept)?;
    let mut approaches = BTreeMap::new();
    for (method, (at, choice)) in choices {
        if !supplies(method, &choice) {
            around.reader.wrong(&at, cannot_supply(method, &choice));
        }
        let known = choice_is_whole(around, &at, &choice, target);
        if let (true, Some(auth)) = (known, auth(around, (key, &at), file.auth, &choice, target)) {
            approaches.insert(method, Approach { auth, choice });
        }
    }
    let decided = approaches.values().map(|approach| approach.auth);
    for auth in decided.filter(|auth| Some(*auth) != written) {
        refuse(around, key, file.auth, auth, target);
    }
    Some(approaches)
}

/// The method that goes on the wire, decided here and never by what a host offers (I5).
fn auth(
    around: Surroundings<'_>,
    (key, at): (&Key, &Key),
    wish: BackendAuthFile,
    choice: &CredentialChoice,
    target: &Target<'_>,
) -> Option<BackendAuth> {
    let what = grounds(around, choice)?;
    let integrated = match what {
        Grounds::Principal { .. } => Some(BackendAuth::Negotiate),
        Grounds::Local => Some(BackendAuth::Ntlm),
        Grounds::Certificate => None,
    };
    let explicit = matches!(what, Grounds::Local | Grounds::Principal { password: true });
    let has_password = explicit;
    let found = match (wish, what) {
        (BackendAuthFile::Kerberos, Grounds::Principal { .. }) => Some(BackendAuth::Kerberos),
        (BackendAuthFile::Negotiate, _) => integrated,
        // Seed document, "Default Authentication Settings".
        (BackendAuthFile::Default, Grounds::Principal { .. })
            if !explicit && !is_this_machine(target.url) =>
        {
            Some(BackendAuth::Kerberos)
        }
        (BackendAuthFile::Default, _) => integrated,
        (BackendAuthFile::Basic, _) if has_password => Some(BackendAuth::Basic),
        (BackendAuthFile::Digest, _) if has_password => Some(BackendAuth::Digest),
        (BackendAuthFile::Certificate, Grounds::Certificate) => Some(BackendAuth::Certificate),
        (BackendAuthFile::Kerberos | BackendAuthFile::Basic | BackendAuthFile::Digest, _)
        | (BackendAuthFile::Certificate, _) => None,
    };
    if found.is_none() {
        let key = if matches!(what, Grounds::Certificate) { key.name("auth") } else { at.clone() };
        around.reader.wrong(&key, does_not_fit(wish, what));
    }
    found
}

/// What a credential rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grounds {
    /// A principal of a configured realm, perhaps with its password.
    Principal { password: bool },
    /// A user name of some machine or domain, with its password.
    Local,
    /// A certificate.
    Certificate,
}

fn grounds(around: Surroundings<'_>, choice: &CredentialChoice) -> Option<Grounds> {
    let password = |password| Some(Grounds::Principal { password });
    match choice {
        CredentialChoice::S4u { .. } | CredentialChoice::Ticket { .. } => password(false),
        CredentialChoice::Password => password(true),
        CredentialChoice::Account { account } => match around.people.accounts.get(account)? {
            Account::Keytab { .. } => password(false),
            Account::Password { principal: Some(_), .. } => password(true),
            Account::Password { principal: None, .. } => Some(Grounds::Local),
            Account::Certificate(_) => Some(Grounds::Certificate),
        },
    }
}

fn does_not_fit(wish: BackendAuthFile, what: Grounds) -> &'static str {
    match (wish, what) {
        (BackendAuthFile::Kerberos, Grounds::Local) => {
            "both the client and the server computers must be joined to a domain for Kerberos, and this account is in no realm under `realms`; use auth: negotiate"
        }
        (BackendAuthFile::Basic | BackendAuthFile::Digest, Grounds::Principal { .. }) => {
            "Basic and Digest need explicit credentials, a user name and a password; write `credential: password`, or an account with a password"
        }
        (BackendAuthFile::Certificate, _) => {
            "client certificate-based authentication needs an account with `certificate` and `private_key`; write `credential: { account: NAME }`"
        }
        (_, _) => "the account holds a certificate; write `auth: certificate`",
    }
}

/// What the seed document refuses of a method, in its words.
fn refuse(
    around: Surroundings<'_>,
    key: &Key,
    wish: BackendAuthFile,
    auth: BackendAuth,
    target: &Target<'_>,
) {
    let method = key.name("auth");
    let wrong = |what: &str| around.reader.wrong(&method, what);
    let client = around.client;
    let on = match auth {
        BackendAuth::Kerberos => client.auth.integrated.kerberos,
        BackendAuth::Negotiate | BackendAuth::Ntlm => client.auth.integrated.negotiate,
        BackendAuth::Basic => client.auth.basic,
        BackendAuth::Digest => client.auth.digest,
        BackendAuth::Certificate => client.auth.certificate,
    };
    if !on {
        let (name, by) = (auth.as_str(), if wish == BackendAuthFile::Default { " (by default)" } else { "" });
        wrong(&format!(
            "the method {name}{by} is switched off; set `client.auth.{name}: true`, or choose another"
        ));
    }
    let no_name = target.spns.as_ref().is_some_and(Vec::is_empty);
    if auth.is_kerberos() && no_name {
        around.reader.wrong(
            &key.name("spn"),
            "if you use Kerberos as the authentication method, you cannot use an IP address; use a name in the URL, or write `spn: HTTP/name`",
        );
    }
    let http = target.url.scheme == Scheme::Http;
    match auth {
        BackendAuth::Ntlm | BackendAuth::Basic | BackendAuth::Digest
            if http && !is_trusted(around, target) =>
        {
            wrong(
                "if HTTPS is not the transport, then the host must be in the list of trusted hosts; use https, or list it in `client.trusted_hosts`",
            );
        }
        BackendAuth::Certificate if http => wrong("a client certificate is shown inside TLS only; use https"),
        BackendAuth::Ntlm
        | BackendAuth::Basic
        | BackendAuth::Digest
        | BackendAuth::Certificate
        | BackendAuth::Kerberos
        | BackendAuth::Negotiate => {}
    }
    if auth.is_clear() && http && !client.allow_unencrypted {
        wrong(
            "Basic and Digest send clear text over http; use https, or set `client.allow_unencrypted: true`",
        );
    }
}

/// One of the three names that the seed document excepts.
fn is_this_machine(url: &UrlTemplate) -> bool {
    match &url.host {
        HostTemplate::Fixed(EndpointHost::Name(name)) => name.as_str() == "localhost",
        HostTemplate::Fixed(EndpointHost::Address(address)) => {
            *address == IpAddr::from([127, 0, 0, 1]) || *address == IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])
        }
        HostTemplate::Placed { .. } => false,
    }
}

/// Whether somebody who came in by `method` brings what `choice` passes on.
const fn supplies(method: AuthMethod, choice: &CredentialChoice) -> bool {
    match choice {
        CredentialChoice::S4u { .. } | CredentialChoice::Account { .. } => true,
        // Under `Negotiate` Kerberos may come in; whoever comes by NTLM is refused when they come.
        CredentialChoice::Ticket { .. } => matches!(method, AuthMethod::Kerberos | AuthMethod::Negotiate),
        CredentialChoice::Password => matches!(method, AuthMethod::Basic),
    }
}

fn cannot_supply(method: AuthMethod, choice: &CredentialChoice) -> String {
    let kind = choice.kind();
    format!(
        "the route accepts {method}, and whoever comes in by it brings no {kind}; write another credential for it, as in {{ {method}: s4u }}"
    )
}

/// Whether there is all that a choice needs, besides what people bring.
fn choice_is_whole(
    around: Surroundings<'_>,
    key: &Key,
    choice: &CredentialChoice,
    target: &Target<'_>,
) -> bool {
    let reader = around.reader;
    if *choice == (CredentialChoice::Ticket { forwarded: false }) {
        if around.service.keytab.is_none() {
            reader.wrong(key, "a ticket is passed on by the account whose keys it was made for; name a keytab that holds the delegation account in `service.keytab`");
            return false;
        }
        if !around.people.accounts.values().any(|account| matches!(account, Account::Keytab { .. })) {
            reader.wrong(key, "a ticket is passed on by constrained delegation; add the delegation account with `principal` and `keytab` under `accounts`");
            return false;
        }
    }
    let account = choice.account().and_then(|name| around.people.accounts.get(name));
    let address = matches!(target.url.host, HostTemplate::Fixed(EndpointHost::Address(_)));
    if let Some(Account::Password { username, .. }) = account
        && username.is_of_each_host()
        && address
    {
        reader.wrong(key, "the account is {host}\\…, and an IP address is no computer's name; use a name in the URL, or write MACHINE\\user");
        return false;
    }
    true
}

/// As whom, for every accepted method, each with the key that says so.
fn choices(
    around: Surroundings<'_>,
    key: &Key,
    file: &BackendFile,
    accept: &Accept,
) -> Option<BTreeMap<AuthMethod, (Key, CredentialChoice)>> {
    let Some(value) = &file.credential else {
        let what = match file.auth {
            BackendAuthFile::Negotiate | BackendAuthFile::Digest | BackendAuthFile::Basic => {
                "Negotiate, Digest and Basic need explicit credentials; write `credential: s4u`, or `credential: { account: NAME }`"
            }
            BackendAuthFile::Kerberos | BackendAuthFile::Certificate | BackendAuthFile::Default => {
                "nothing says as whom to go to the host, and the gateway never goes as itself by default; write `credential: s4u`, or `credential: { account: NAME }`"
            }
        };
        around.reader.wrong(key, what);
        return None;
    };
    let per_method = match value {
        Value::Map(entries) => entries
            .iter()
            .any(|(name, _)| !matches!(name.as_str(), "s4u" | "account" | "ticket" | "password")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => false,
    };
    if !per_method {
        let choice = choice(around, key, value)?;
        return Some(accept.iter().map(|method| (method, (key.clone(), choice.clone()))).collect());
    }
    let Value::Map(entries) = value else { return None };
    let mut choices = BTreeMap::new();
    for (name, node) in entries {
        let key = key.name(name);
        if let (Some(method), Some(choice)) =
            (known_method(around.reader, &key, name), choice(around, &key, &node.value))
        {
            choices.insert(method, (key, choice));
        }
    }
    for method in accept.iter().filter(|method| !choices.contains_key(method)) {
        around.reader.wrong(key, format!("the route accepts {method}, and nothing says as whom such a person goes to the host; add `{method}`"));
    }
    Some(choices)
}

fn choice(around: Surroundings<'_>, key: &Key, value: &Value) -> Option<CredentialChoice> {
    let wrong = |what: String| {
        around.reader.wrong(key, what);
        None
    };
    let usage = "write s4u, { s4u: ACCOUNT }, ticket, { ticket: forwarded }, password or { account: NAME }";
    let named = |entries: &[(String, Node)]| match entries {
        [(name, node)] => match &node.value {
            Value::Text(text) | Value::Number(text) => Some((name.clone(), text.clone())),
            Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => None,
        },
        _ => None,
    };
    let (kind, detail) = match value {
        Value::Text(kind) => (kind.clone(), None),
        Value::Map(entries) => match named(entries) {
            Some((kind, detail)) => (kind, Some(detail)),
            None => return wrong(format!("this is no credential; {usage}")),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) => {
            return wrong(format!("this is no credential; {usage}"));
        }
    };
    match (kind.as_str(), detail.as_deref()) {
        ("s4u", Some(account)) => {
            with_keys(around, key, account).map(|account| CredentialChoice::S4u { account })
        }
        ("s4u", None) => only_account(around, key).map(|account| CredentialChoice::S4u { account }),
        ("account", Some(account)) => {
            known(around, key, account).map(|account| CredentialChoice::Account { account })
        }
        ("account", None) => wrong("an account has a name; write { account: NAME }".to_owned()),
        ("ticket", None) => Some(CredentialChoice::Ticket { forwarded: false }),
        ("ticket", Some("forwarded")) => Some(CredentialChoice::Ticket { forwarded: true }),
        ("ticket", Some(_)) => wrong("a ticket is `ticket` or `{ ticket: forwarded }`".to_owned()),
        ("password", None) => Some(CredentialChoice::Password),
        ("password", Some(_)) => wrong(format!(
            "a password is the one that the person came in with, so it has no name; write password, or {usage}"
        )),
        _ => wrong(format!("`{kind}` is no credential; {usage}")),
    }
}

/// The account called `name`.
fn known(around: Surroundings<'_>, key: &Key, name: &str) -> Option<AccountName> {
    let account = AccountName::new(name);
    if around.people.accounts.contains_key(&account) {
        return Some(account);
    }
    around.reader.wrong(key, format!("there is no account `{name}`; add it under `accounts`"));
    None
}

/// The account called `name`, which must hold keys.
fn with_keys(around: Surroundings<'_>, key: &Key, name: &str) -> Option<AccountName> {
    let account = known(around, key, name)?;
    match around.people.accounts.get(&account) {
        Some(Account::Keytab { .. }) => Some(account),
        Some(Account::Password { .. } | Account::Certificate(_)) | None => {
            around.reader.wrong(
                key,
                format!("the account `{name}` holds no keys, so it can't act for others; use one with `principal` and `keytab`"),
            );
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
