//! Routes and their rules.

use super::{
    backend,
    file::{AllowFile, AuditFile, BeforeRunFile, MatchFile, RouteFile, RuleFile, WhenFile},
    listeners::{Listener, is_name},
    people::People,
    reader::Reader,
    service::{Client, Service},
    tree::Key,
};
use crate::{
    authn::{Accept, AuthMethod, UriPattern},
    policy::{
        ActionClass, BeforeRun, HostPattern, Hosts, Match, Networks, PathTemplate, Policy, PolicyError,
        Route, Rule, ServerNameTemplate, Settings, When,
    },
};
use ipnet::IpNet;
use std::{collections::BTreeSet, net::IpAddr};

/// What routes refer to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub(super) reader: &'a Reader,
    pub(super) people: &'a People,
    pub(super) service: &'a Service,
    pub(super) client: &'a Client,
    pub(super) listeners: &'a [Listener],
}

/// The routes of the configuration.
pub(super) fn read(around: Surroundings<'_>, audit: &AuditFile) -> Vec<Route> {
    let files = around.reader.items::<RouteFile>("routes");
    if around.reader.is_missing("routes") {
        around.reader.wrong(
            &Key::root("routes"),
            "there is no route, so nothing could be reached; add one under `routes`",
        );
    }
    let mut names = BTreeSet::new();
    for (key, file) in &files {
        if !is_name(&file.name) {
            around.reader.wrong(
                &key.name("name"),
                "a name is 1 to 64 letters, digits, `-`, `_` and `.`; it becomes a metric label",
            );
        }
        if !names.insert(&file.name) {
            around
                .reader
                .wrong(&key.name("name"), format!("two routes are called `{}`; rename one", file.name));
        }
    }
    files.iter().filter_map(|(key, file)| route(around, key, file, audit.before_run)).collect()
}

/// Notes the first two routes that could match one request.
pub(super) fn refuse_overlaps(reader: &Reader, settings: &Settings) {
    if let Err(error) = Policy::new(settings.clone()) {
        let PolicyError::Overlap { second, .. } = &error;
        let files = reader.items::<RouteFile>("routes");
        let key = files.iter().find(|(_, file)| file.name == *second).map(|(key, _)| key.name("match"));
        reader.wrong(&key.unwrap_or_else(|| Key::root("routes")), error);
    }
}

fn route(around: Surroundings<'_>, key: &Key, file: &RouteFile, before_run: BeforeRunFile) -> Option<Route> {
    let reader = around.reader;
    let matches = matches(around, &key.name("match"), &file.matches);
    let hosts = hosts(reader, key, file, matches.as_ref());
    let networks = networks(reader, &key.name("networks"), file.networks.as_deref());
    let accept = accept(around, key, file);
    let backend = backend::read(around, key, file, &accept);
    let rules = rules(around, key, file, matches.as_ref());
    let before_run = match file.before_run.unwrap_or(before_run) {
        BeforeRunFile::Durable => BeforeRun::Durable,
        BeforeRunFile::BestEffort => BeforeRun::BestEffort,
    };
    Some(Route {
        name: file.name.clone(),
        matches: matches?,
        accept,
        hosts: hosts?,
        networks: networks?,
        backend: backend?,
        rules: rules?,
        before_run,
    })
}

fn matches(around: Surroundings<'_>, key: &Key, file: &MatchFile) -> Option<Match> {
    let reader = around.reader;
    if file.path.is_none() && file.server_name.is_none() && file.listener.is_none() {
        reader
            .wrong(key, "nothing says which requests belong here; write `path`, `server_name` or `listener`");
        return None;
    }
    if let Some(listener) = &file.listener
        && !around.listeners.iter().any(|known| known.name() == listener)
    {
        reader.wrong(
            &key.name("listener"),
            format!("there is no listener `{listener}`; add it under `listeners`"),
        );
    }
    let path = PathTemplate::parse(file.path.as_deref().unwrap_or("/wsman"));
    let path = reader.take(&key.name("path"), path);
    let server_name = match &file.server_name {
        Some(text) => Some(reader.take(&key.name("server_name"), ServerNameTemplate::parse(text))?),
        None => None,
    };
    let path = path?;
    if path.has_host() && server_name.as_ref().is_some_and(ServerNameTemplate::has_host) {
        reader.wrong(key, "{host} stands in `path` and in `server_name`; keep one of them");
    }
    Some(Match { listener: file.listener.clone(), server_name, path })
}

fn hosts(reader: &Reader, key: &Key, file: &RouteFile, matches: Option<&Match>) -> Option<Hosts> {
    let has_host = matches?.has_host();
    let key = key.name("hosts");
    match (&file.hosts, has_host) {
        (None, true) => {
            reader.wrong(&key, "clients name the host here, so the route must say which ones it serves; add `hosts`, as in [\"*.web.corp.example\"]");
            None
        }
        (Some(_), false) => {
            reader.wrong(&key, "`match` has no {host}, so this means nothing; remove it, or put {host} into the path or the server name");
            None
        }
        (None, false) => Some(Hosts::default()),
        (Some(list), true) => patterns(reader, &key, list),
    }
}

fn patterns(reader: &Reader, key: &Key, list: &[String]) -> Option<Hosts> {
    if list.is_empty() {
        reader
            .wrong(key, "the list is empty, so no host is served; name some, as in [\"*.web.corp.example\"]");
    }
    let patterns = list.iter().enumerate();
    let patterns = patterns.map(|(index, text)| reader.take(&key.index(index), HostPattern::parse(text)));
    patterns.collect::<Option<Vec<_>>>().map(Hosts::new)
}

fn networks(reader: &Reader, key: &Key, list: Option<&[String]>) -> Option<Networks> {
    let Some(list) = list else { return Some(Networks::Usual) };
    if list.is_empty() {
        reader
            .wrong(key, "the list is empty, so no address may be dialled; name networks, or remove the key");
    }
    let network = |text: &String| text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let networks = list.iter().enumerate().map(|(index, text)| {
        reader.take(
            &key.index(index),
            network(text).map_err(|_| format!("`{text}` is no network; write it like 10.20.0.0/16")),
        )
    });
    networks.collect::<Option<Vec<_>>>().map(Networks::Only)
}

/// The methods of `accept`, each of which must be known, switched on, supported and possible on a listener that the route is reached by.
fn accept(around: Surroundings<'_>, key: &Key, file: &RouteFile) -> Accept {
    let list = key.name("accept");
    if file.accept.is_empty() {
        around
            .reader
            .wrong(&list, "the list is empty, so nobody could come in; name methods, as in [certificate]");
    }
    let methods = file.accept.iter().enumerate();
    Accept::of(methods.filter_map(|(index, name)| method(around, &list.index(index), name, file)))
}

fn method(around: Surroundings<'_>, key: &Key, name: &str, file: &RouteFile) -> Option<AuthMethod> {
    let method = known_method(around.reader, key, name)?;
    let wrong = |what: String| {
        around.reader.wrong(key, what);
        None
    };
    if !around.service.methods.contains(method) {
        return wrong(format!(
            "the method {method} is switched off; set `service.auth.{method}: true`, or remove it here"
        ));
    }
    if let Some(what) = without_keys(around.service, method) {
        return wrong(what.to_owned());
    }
    let reachable = || {
        let named = file.matches.listener.as_ref();
        around.listeners.iter().filter(move |listener| named.is_none_or(|name| listener.name() == name))
    };
    if method == AuthMethod::Basic
        && !around.service.allow_unencrypted
        && let Some(open) = reachable().find(|listener| listener.is_open())
    {
        return wrong(format!(
            "the listener `{}` is plain HTTP on a network, where only sealed messages come in, and Basic seals nothing; use https there, bind the route to another with `match.listener`, or set `service.allow_unencrypted: true`",
            open.name()
        ));
    }
    if reachable().any(|listener| listener.can(method)) {
        return Some(method);
    }
    wrong(match method {
        AuthMethod::Peer => {
            "no listener of this route knows its local clients; give it a Unix socket with `peers`, or a loopback address with `trust_loopback_as`".to_owned()
        }
        AuthMethod::Kerberos => {
            "no listener of this route says whose tickets are accepted; add `names` to it, as in [gw.corp.example]".to_owned()
        }
        AuthMethod::Certificate | AuthMethod::Basic | AuthMethod::Negotiate => {
            format!("no listener of this route asks for a {method}; set its `transport: https` and `client_certificates.mode`")
        }
    })
}

/// What the gateway lacks to accept `method` at all.
fn without_keys(service: &Service, method: AuthMethod) -> Option<&'static str> {
    match (method, &service.keytab, &service.ntlm_accounts) {
        (AuthMethod::Kerberos, None, _) => Some(
            "Kerberos needs the keys of the gateway's own service; add `service.keytab`, with HTTP/ and the listener's name in it",
        ),
        (AuthMethod::Basic, None, _) => Some(
            "Basic needs the keys of the gateway's own service, to know that the KDC which takes a password is the realm's; add `service.keytab`",
        ),
        (AuthMethod::Negotiate, None, None) => Some(
            "Negotiate lets Kerberos and NTLM in, and there are keys for neither; add `service.keytab`, or `service.ntlm_accounts`",
        ),
        (AuthMethod::Kerberos | AuthMethod::Basic, Some(_), _)
        | (AuthMethod::Negotiate, Some(_), _)
        | (AuthMethod::Negotiate, None, Some(_))
        | (AuthMethod::Certificate | AuthMethod::Peer, _, _) => None,
    }
}

/// The method called `name`, supported or not.
pub(super) fn known_method(reader: &Reader, key: &Key, name: &str) -> Option<AuthMethod> {
    let method = AuthMethod::from_name(name);
    if method.is_none() && name.eq_ignore_ascii_case("digest") {
        reader.wrong(key, "Digest is not supported by the WinRM service; remove it");
    } else if method.is_none() {
        reader.wrong(
            key,
            format!("`{name}` is no method; there are certificate, kerberos, negotiate, basic and peer"),
        );
    }
    method
}

fn rules(
    around: Surroundings<'_>,
    key: &Key,
    file: &RouteFile,
    matches: Option<&Match>,
) -> Option<Vec<Rule>> {
    let list = key.name("rules");
    if file.rules.is_empty() {
        around
            .reader
            .wrong(&list, "the list is empty, so everybody is refused; add a rule with `who` and `allow`");
    }
    let mut names = BTreeSet::new();
    let rules = file.rules.iter().enumerate().map(|(index, file)| {
        let key = list.index(index);
        let rule = rule(around, &key, index, file)?;
        if !is_name(&rule.name) {
            around.reader.wrong(
                &key.name("name"),
                "a name is 1 to 64 letters, digits, `-`, `_` and `.`; it becomes a metric label",
            );
        }
        if !names.insert(rule.name.clone()) {
            around.reader.wrong(
                &key.name("name"),
                format!("two rules of this route are called `{}`; rename one", rule.name),
            );
        }
        if rule.when.hosts.is_some() && matches.is_some_and(|matches| !matches.has_host()) {
            around.reader.wrong(
                &key.name("when").name("hosts"),
                "`match` has no {host}, so this never holds; remove it",
            );
        }
        Some(rule)
    });
    rules.collect()
}

fn rule(around: Surroundings<'_>, key: &Key, index: usize, file: &RuleFile) -> Option<Rule> {
    let who = around.people.who(around.reader, &key.name("who"), &file.who);
    if file.who.principals.is_empty() && file.who.groups.is_empty() {
        around
            .reader
            .wrong(&key.name("who"), "it names nobody; write `principals` or `groups`, either suffices");
    }
    let allow = file.allow.iter().map(|allow| match allow {
        AllowFile::Read => ActionClass::Read,
        AllowFile::Write => ActionClass::Write,
        AllowFile::Execute => ActionClass::Execute,
    });
    let name = file.name.clone().unwrap_or_else(|| format!("rule-{}", index + 1));
    Some(Rule { name, who, when: when(around, &key.name("when"), &file.when)?, allow: allow.collect() })
}

fn when(around: Surroundings<'_>, key: &Key, file: &WhenFile) -> Option<When> {
    let reader = around.reader;
    let hosts = match &file.hosts {
        Some(list) => Some(patterns(reader, &key.name("hosts"), list)?),
        None => None,
    };
    let methods = file.methods.as_ref().map(|list| {
        let key = key.name("methods");
        let methods = list.iter().enumerate();
        Accept::of(methods.filter_map(|(index, name)| known_method(reader, &key.index(index), name)))
    });
    let uris = file.resource_uris.as_ref().map(|list| {
        let key = key.name("resource_uris");
        let uris = list.iter().enumerate();
        uris.filter_map(|(index, text)| reader.take(&key.index(index), UriPattern::parse(text))).collect()
    });
    Some(When { hosts, methods, resource_uris: uris })
}
