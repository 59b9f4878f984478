//! Names that travel in envelopes: what they may hold, and when two are the same.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// A name that cannot be: empty, too long, or with characters that no such name has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {kind}")]
pub struct IdError {
    kind: &'static str,
}

/// A name that is shown as it came and compared without regard to (ASCII) case, as Windows does.
macro_rules! folded_name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name(String);

        impl $name {
            /// As it came, byte for byte.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.eq_ignore_ascii_case(&other.0)
            }
        }

        impl Eq for $name {}

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                for byte in self.0.bytes() {
                    state.write_u8(byte.to_ascii_lowercase());
                }
                state.write_u8(0xff);
            }
        }

        name!($name, $kind, $valid);
    };
}

/// A name that is compared byte for byte.
macro_rules! exact_name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub struct $name(String);

        impl $name {
            /// As it came, byte for byte.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        name!($name, $kind, $valid);
    };
}

macro_rules! name {
    ($name:ident, $kind:literal, $valid:expr) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.to_owned())) } else { Err(IdError { kind: $kind }) }
            }
        }

        impl TryFrom<&str> for $name {
            type Error = IdError;

            fn try_from(text: &str) -> Result<Self, IdError> {
                text.parse()
            }
        }
    };
}

folded_name!(
    /// Names a shell ([MS-WSMV] 2.2.4.37): visible ASCII, at most 128 characters. Compared without regard to case.
    ShellId, "shell id", |text| token(text, 128));
folded_name!(
    /// Names a command or pipeline within a shell ([MS-WSMV] 2.2.4.7). Compared without regard to case.
    CommandId, "command id", |text| token(text, 128));
folded_name!(
    /// Names one message, `uuid:…` ([WS-Addressing] 3). Echoed byte for byte, compared without regard to case.
    MessageId, "message id", |text| token(text, 512));
folded_name!(
    /// The class of things that an operation is about (DSP0226 5.4.1). Compared without regard to case.
    ///
    /// INVARIANT: visible ASCII; no `%`, `\`, `..`, `#`, no segment `.`, no `/` at its end, and `//` only after the scheme, so
    /// that no reader can normalise it into another resource.
    ResourceUri, "resource URI", unambiguous);
exact_name!(
    /// What is to be done: the URI of `a:Action`. Compared exactly.
    Action, "action", |text| token(text, 2048));
exact_name!(
/// Where an enumeration stands ([WS-Enumeration] 3.1); opaque, compared exactly.
EnumerationContext, "enumeration context", |text| {
    (1..=4096).contains(&text.len()) && !text.chars().any(char::is_control)
});
folded_name!(
    /// `p:OperationID`: an operation of a robust connection ([MS-WSMV] 2.2.4.26).
    OperationId, "operation id", |text| token(text, 128));
folded_name!(
    /// `p:SessionId`: the client's own session ([MS-WSMV] 2.2.4.34).
    SessionId, "session id", |text| token(text, 128));

impl ResourceUri {
    /// The resource itself, without the query that may pick one of its instances: what rules and mappings are about.
    #[must_use]
    pub fn without_query(&self) -> &str {
        self.0.split_once('?').map_or(self.0.as_str(), |(resource, _)| resource)
    }

    /// Whether it names a shell, a shell endpoint or a PowerShell configuration.
    #[must_use]
    pub fn is_shell(&self) -> bool {
        starts_with_folded(&self.0, SHELL) || starts_with_folded(&self.0, POWERSHELL)
    }

    /// Whether it is one of the service's own resources that can never hold a shell: configuration, CIM, WMI, events.
    pub(super) fn is_management(&self) -> bool {
        MANAGEMENT.iter().any(|prefix| starts_with_folded(&self.0, prefix))
    }

    /// Whether `action` is a method of this resource: `<resource without its query>/<Method>`. Gives the method.
    pub(super) fn method_of<'a>(&self, action: &'a Action) -> Option<&'a str> {
        let class = self.without_query();
        let prefix = action.as_str().get(..class.len())?;
        let method = action.as_str().get(class.len()..)?.strip_prefix('/')?;
        let named = !method.is_empty() && method.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        (named && prefix.eq_ignore_ascii_case(class)).then_some(method)
    }
}

fn starts_with_folded(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

fn token(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

fn unambiguous(text: &str) -> bool {
    let path = text.split_once("://").map_or(text, |(_, path)| path);
    token(text, 2048)
        && !path.contains("//")
        && !text.contains("..")
        && !path.split(['/', '?']).any(|segment| segment == ".")
        && !path.split('?').next().is_some_and(|resource| resource.ends_with('/'))
        && !text.bytes().any(|b| matches!(b, b'%' | b'\\' | b'#' | b'<' | b'>' | b'"'))
}

const SHELL: &str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell";
const POWERSHELL: &str = "http://schemas.microsoft.com/powershell";
const MANAGEMENT: [&str; 6] = [
    "http://schemas.microsoft.com/wbem/wsman/1/config",
    "http://schemas.microsoft.com/wbem/wsman/1/wmi",
    "http://schemas.microsoft.com/wbem/wsman/1/windows/EventLog",
    "http://schemas.microsoft.com/wbem/wsman/1/SubscriptionManager",
    "http://schemas.microsoft.com/wbem/wsman/1/subscription",
    "http://schemas.dmtf.org/wbem/wscim/1",
];

#[cfg(test)]
mod tests {
    use super::{Action, MessageId, ResourceUri, ShellId};
    use std::collections::HashSet;

    #[test]
    fn ids_compare_without_case_and_show_what_came() {
        let upper: ShellId = "03E536DD-DF92".parse().unwrap();
        let lower: ShellId = "03e536dd-df92".parse().unwrap();
        assert_eq!(upper, lower);
        assert!(HashSet::from([upper.clone()]).contains(&lower));
        assert_eq!(upper.to_string(), "03E536DD-DF92");
        assert_ne!(upper, "03E536DD-DF93".parse().unwrap());
    }

    #[test]
    fn names_that_two_readers_may_read_differently_are_refused() {
        for uri in [
            "",
            "http://a/%2e",
            "http://a/./b",
            "http://a/.",
            "http://a/b/",
            "http://a/b/?x=y",
            "http://a/../b",
            "http://a//b",
            "http://a/b c",
            "http://a/\u{212a}",
            "http://a\\b",
            "http://a/b\u{7}",
            "http://a/http://b//c",
        ] {
            assert!(uri.parse::<ResourceUri>().is_err(), "{uri:?}");
        }
        assert!("uuid:\u{1}".parse::<MessageId>().is_err());
        assert!("a".repeat(129).parse::<ShellId>().is_err());
    }

    #[test]
    fn a_method_is_the_resource_and_one_name() {
        let uri: ResourceUri = "http://x/wmi/root/cimv2/Win32_Process?a=b".parse().unwrap();
        let action = |text: &str| text.parse::<Action>().unwrap();
        assert_eq!(uri.method_of(&action("http://x/wmi/root/cimv2/Win32_Process/Create")), Some("Create"));
        assert_eq!(uri.method_of(&action("http://x/wmi/root/cimv2/Win32_Process/Create/More")), None);
        assert_eq!(uri.method_of(&action("http://x/wmi/root/cimv2/Win32_Process")), None);
        assert_eq!(uri.method_of(&action("http://x/wmi/root/cimv2/Other/Create")), None);
    }
}
