//! A route's `backend`: where to, and who is expected there.

use super::{
    approach,
    file::{BackendFile, RouteFile},
    reader::Reader,
    routes::Surroundings,
    tree::{Key, Value},
};
use crate::{
    authn::Accept,
    policy::{BackendRule, BackendTls, EndpointHost, HostTemplate, Scheme, SpnTemplate, UrlTemplate},
};

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
    let spns = spns(reader, &key, backend, &url, has_host);
    let target = Target { url: &url, hosts: file.hosts.as_deref(), spns: &spns };
    let approaches = approach::read(around, &key, backend, &target, accept);
    let tls = BackendTls { ca_file: ca_file(reader, &key, backend, &url) };
    Some(BackendRule { approaches: approaches?, spns: spns.unwrap_or_default(), url, tls })
}

/// Where a route goes.
pub(super) struct Target<'a> {
    pub(super) url: &'a UrlTemplate,
    pub(super) hosts: Option<&'a [String]>,
    /// Whom it expects there; none where what is written is wrong.
    pub(super) spns: &'a Option<Vec<SpnTemplate>>,
}

fn ca_file(reader: &Reader, key: &Key, file: &BackendFile, url: &UrlTemplate) -> Option<std::path::PathBuf> {
    let path = file.ca_file.as_ref()?;
    let key = key.name("ca_file");
    if url.scheme == Scheme::Http {
        reader.wrong(&key, "an http URL has no certificate to check; use https, or remove it");
    }
    Some(reader.file(&key, path, false))
}

/// Whether every host that the URL could become is in `client.trusted_hosts`.
pub(super) fn is_trusted(around: Surroundings<'_>, Target { url, hosts, .. }: &Target<'_>) -> bool {
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

/// The names in `spn`, or the URL's host's own; empty where that is an address and nothing is written.
fn spns(
    reader: &Reader,
    key: &Key,
    file: &BackendFile,
    url: &UrlTemplate,
    has_host: bool,
) -> Option<Vec<SpnTemplate>> {
    let key = key.name("spn");
    let wrong = || {
        reader.wrong(&key, "this is no service principal name; write HTTP/name, or a list of such names");
        None
    };
    let written = match &file.spn {
        None | Some(Value::Null) => return Some(SpnTemplate::for_host(&url.host).into_iter().collect()),
        Some(Value::Text(text)) => vec![(key.clone(), text.as_str())],
        Some(Value::List(items)) if (1..=MOST_NAMES).contains(&items.len()) => {
            let texts = items.iter().enumerate().map(|(index, item)| match &item.value {
                Value::Text(text) => Some((key.index(index), text.as_str())),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => None,
            });
            match texts.collect::<Option<Vec<_>>>() {
                Some(texts) => texts,
                None => return wrong(),
            }
        }
        Some(Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Map(_)) => return wrong(),
    };
    written.into_iter().map(|(key, text)| spn(reader, &key, text, url, has_host)).collect()
}

fn spn(reader: &Reader, key: &Key, text: &str, url: &UrlTemplate, has_host: bool) -> Option<SpnTemplate> {
    let result =
        SpnTemplate::parse(text).map_err(|error| format!("`{text}` is no service principal name: {error}"));
    let spn = reader.take(key, result)?;
    if spn.is_placed() && !has_host {
        reader.wrong(
            key,
            "the name has {host} and `match` has not; put {host} into the path or the server name of `match`",
        );
    }
    if !spn.is_placed() && url.host.is_placed() {
        reader.wrong(key, "the URL has {host} and the name has not, so one host could pass for another; use {host} in the name");
    }
    Some(spn)
}

/// More names than a host has.
const MOST_NAMES: usize = 8;
