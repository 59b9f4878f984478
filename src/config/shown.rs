//! The configuration in force, for records: all of the operator's keys, and none of his secrets.

use super::tree::{Node, Value};

/// `tree` as JSON. Anchors are resolved, `x-…` is left out, and what a key of a secret's name holds is not shown, unless it only says where the
/// secret is.
pub(super) fn without_secrets(tree: &Node) -> String {
    let value = shown(&tree.value, false);
    serde_json::to_string_pretty(&value).unwrap_or_default()
}

fn shown(value: &Value, is_secret: bool) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Text(text) if is_secret && text.starts_with("${") && text.ends_with('}') => {
            text.as_str().into()
        }
        Value::Bool(_) | Value::Number(_) | Value::Text(_) if is_secret => "[redacted]".into(),
        Value::Bool(value) => (*value).into(),
        Value::Number(text) | Value::Text(text) => text.as_str().into(),
        Value::List(nodes) => nodes.iter().map(|node| shown(&node.value, is_secret)).collect(),
        Value::Map(entries) => {
            let entries = entries.iter().filter(|(name, _)| !name.starts_with("x-"));
            entries
                .map(|(name, node)| (name.clone(), shown(&node.value, is_secret || names_a_secret(name))))
                .collect()
        }
    }
}

fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["password", "secret", "token", "passphrase"].iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_60_no_secret_is_shown_and_everything_else_is() {
        let text = "x-anchors: { pw: &pw canary-1 }\n\
                    accounts:\n  one: { username: 'h\\A', password: *pw }\n  two: { password: 4711 }\n  three: { password: \"${env:PW}\" }\n  \
                    four: { passwords: [canary-2, { x: canary-3 }] }\nroutes: [{ name: web, on: true, n: 7 }]\n";
        let json = without_secrets(&Node::parse(text, 0).unwrap());
        for secret in ["canary", "4711"] {
            assert!(!json.contains(secret), "{json}");
        }
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["accounts"]["three"]["password"], "${env:PW}");
        assert_eq!(
            read["accounts"]["one"],
            serde_json::json!({ "username": "h\\A", "password": "[redacted]" })
        );
        assert_eq!(read["routes"][0], serde_json::json!({ "name": "web", "on": true, "n": "7" }));
    }
}
