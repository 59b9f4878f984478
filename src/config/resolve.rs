//! `resolve`: names that are looked up here before DNS is asked.

use super::{reader::Reader, tree::Key};
use crate::policy::{HostName, HostPattern};
use std::{collections::HashMap, net::IpAddr};

/// Addresses for names, `*.suffix` standing for all names below the suffix.
///
/// A route's `networks` holds for these addresses like for any other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct StaticNames {
    exact: HashMap<String, IpAddr>,
    below: HashMap<String, IpAddr>,
}

impl StaticNames {
    /// The address of `name`, where one is configured: the name's own, else that of the longest suffix.
    pub(crate) fn lookup(&self, name: &HostName) -> Option<IpAddr> {
        if let Some(address) = self.exact.get(name.as_str()) {
            return Some(*address);
        }
        let mut rest = name.as_str();
        while let Some((_, suffix)) = rest.split_once('.') {
            if let Some(address) = self.below.get(suffix) {
                return Some(*address);
            }
            rest = suffix;
        }
        None
    }
}

pub(super) fn read(reader: &Reader) -> StaticNames {
    let mut names = StaticNames::default();
    for (key, name, text) in reader.entries::<String>("resolve") {
        let address = text
            .parse::<IpAddr>()
            .map_err(|_| format!("`{text}` is no IP address; write one, as in 10.0.0.1"));
        let (Some(address), Some(pattern)) = (reader.take(&key, address), pattern(reader, &key, &name))
        else {
            continue;
        };
        match pattern {
            HostPattern::Exact(name) => names.exact.insert(name.to_string(), address),
            HostPattern::Below(suffix) => names.below.insert(suffix.to_string(), address),
            HostPattern::Any => {
                reader.wrong(&key, "`*` alone would send every host to one address; write `*.suffix`");
                None
            }
        };
    }
    names
}

fn pattern(reader: &Reader, key: &Key, name: &str) -> Option<HostPattern> {
    reader.take(key, HostPattern::parse(name).map_err(|error| format!("`{name}` is no host name: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_names_own_address_comes_before_that_of_the_longest_suffix() {
        let address = |last: u8| IpAddr::from([10, 0, 0, last]);
        let names = StaticNames {
            exact: HashMap::from([("web01.corp.example".to_owned(), address(1))]),
            below: HashMap::from([
                ("corp.example".to_owned(), address(2)),
                ("web.corp.example".to_owned(), address(3)),
            ]),
        };
        for (name, wanted) in [
            ("web01.corp.example", Some(1)),
            ("x.web01.corp.example", Some(2)),
            ("a.web.corp.example", Some(3)),
            ("corp.example", None),
            ("evilcorp.example", None),
        ] {
            assert_eq!(names.lookup(&HostName::parse(name).unwrap()), wanted.map(address), "{name}");
        }
    }
}
