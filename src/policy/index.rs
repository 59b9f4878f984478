//! Finds the route of a request without looking at the others.

use super::{
    endpoint::PLACEHOLDER,
    route::{MAX_PARTS, MAX_PATH, Route},
};
use std::{collections::HashMap, sync::Arc};

/// Routes by path, then by server name; both as the configuration writes them, `{host}` included.
///
/// A request of n segments and m labels costs at most (n + 1) lookups of a path and (m + 2) of a server name, however many routes there are.
#[derive(Debug, Default)]
pub(super) struct RouteIndex {
    by_path: HashMap<String, HashMap<Option<String>, Vec<Arc<Route>>>>,
}

/// A route, and what the request puts in the place of `{host}`.
#[derive(Debug)]
pub(super) struct Found<'r> {
    /// The one route that matches.
    pub(super) route: &'r Arc<Route>,
    /// The client's words for the host, unchecked.
    pub(super) host: Option<&'r str>,
}

impl RouteIndex {
    /// An index of `routes`, no two of which overlap.
    pub(super) fn new(routes: &[Arc<Route>]) -> Self {
        let mut index = Self::default();
        for route in routes {
            let by_name = index.by_path.entry(route.matches.path.as_str().to_owned()).or_default();
            let name = route.matches.server_name.as_ref().map(|name| name.as_str().to_owned());
            by_name.entry(name).or_default().push(Arc::clone(route));
        }
        index
    }

    /// The route of a request for `path` under `server_name` (in lower case) on `listener`.
    pub(super) fn find<'r>(
        &'r self,
        listener: &str,
        server_name: Option<&'r str>,
        path: &'r str,
    ) -> Option<Found<'r>> {
        if path.len() > MAX_PATH {
            return None;
        }
        let names = match server_name {
            Some(name) => spellings(name, '.')?,
            None => Vec::new(),
        };
        for (spelling, in_path) in spellings(path, '/')? {
            let Some(by_name) = self.by_path.get(&spelling) else { continue };
            let without = (None, None);
            let names = names.iter().map(|(spelling, host)| (Some(spelling.clone()), *host));
            for (name, in_name) in std::iter::once(without).chain(names) {
                let here =
                    |route: &&Arc<Route>| route.matches.listener.as_ref().is_none_or(|name| name == listener);
                if let Some(route) = by_name.get(&name).and_then(|routes| routes.iter().find(here)) {
                    return Some(Found { route, host: in_path.or(in_name) });
                }
            }
        }
        None
    }
}

/// `text` itself, and `text` with each of its parts in turn replaced by `{host}`, with the part replaced.
/// None where it has too many parts, or spells the placeholder itself.
fn spellings(text: &str, separator: char) -> Option<Vec<(String, Option<&str>)>> {
    if text.contains('{') || text.split(separator).count() > MAX_PARTS {
        return None;
    }
    let mut all = vec![(text.to_owned(), None)];
    let mut start = 0;
    for part in text.split(separator) {
        let end = start + part.len();
        if let (Some(before), Some(after), false) = (text.get(..start), text.get(end..), part.is_empty()) {
            all.push((format!("{before}{PLACEHOLDER}{after}"), Some(part)));
        }
        start = end + separator.len_utf8();
    }
    Some(all)
}
