//! The operator's files as one tree in which every value knows where it stands.
//!
//! Why not straight into types: later files override keys of earlier ones, and an error in the result must still name the file and line that
//! the operator has to edit.

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use std::fmt;

/// A place in one of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Place {
    /// Which of the files, in the order of reading.
    pub(super) file: usize,
    /// From 1; 0 where nothing is known.
    pub(super) line: u64,
    /// From 1.
    pub(super) column: u64,
}

/// One value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// Where its key stands, or the value itself in a list.
    pub(super) place: Place,
    /// The value.
    pub(super) value: Value,
}

/// A YAML value. Scalars keep their text: a thumbprint of digits is no number.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Nothing is written, or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it is written.
    Number(String),
    /// Any other scalar.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file.
    Map(Vec<(String, Node)>),
}

/// Steps from the root of the tree to a key: `routes[2].backend.url`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Key(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Name(String),
    Index(usize),
}

/// A file that is no YAML.
#[derive(Debug)]
pub(super) struct NotYaml {
    /// Where reading stopped.
    pub(super) place: Place,
    /// What the reader says.
    pub(super) what: String,
}

impl Key {
    /// The key called `name` at the root.
    pub(super) fn root(name: &str) -> Self {
        Self::default().name(name)
    }

    /// The key called `name` under this one.
    pub(super) fn name(&self, name: &str) -> Self {
        self.with(Step::Name(name.to_owned()))
    }

    /// The entry number `index` of this list.
    pub(super) fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Name(name) if number == 0 => f.write_str(name)?,
                Step::Name(name) => write!(f, ".{name}")?,
            }
        }
        Ok(())
    }
}

impl Node {
    /// The tree of `text`, which is the file number `file`.
    pub(super) fn parse(text: &str, file: usize) -> Result<Self, NotYaml> {
        // Its errors would quote neighbouring lines, which may hold secrets.
        let options = serde_saphyr::options! { with_snippet: false };
        let raw: Option<Spanned<Raw>> =
            serde_saphyr::from_str_with_options(text, options).map_err(|error| {
                let place = error.location().map(|at| Place { file, line: at.line(), column: at.column() });
                NotYaml {
                    place: place.unwrap_or_else(|| Place { file, ..Place::default() }),
                    what: without_position(&error.to_string()),
                }
            })?;
        Ok(raw.map_or_else(
            || Self { place: Place { file, line: 1, column: 1 }, value: Value::Null },
            |raw| raw_node(raw, text, file),
        ))
    }

    /// This tree with `later` laid over it: maps are joined, anything else is replaced.
    pub(super) fn overlaid(self, later: Self) -> Self {
        match (self.value, later.value) {
            (Value::Map(mut entries), Value::Map(new)) => {
                for (name, node) in new {
                    let old =
                        entries.iter().position(|(known, _)| *known == name).map(|at| entries.remove(at));
                    let joined = match old {
                        Some((_, old)) => old.overlaid(node),
                        None => node,
                    };
                    entries.push((name, joined));
                }
                Self { place: self.place, value: Value::Map(entries) }
            }
            (old, Value::Null) => Self { place: self.place, value: old },
            (_, new) => Self { place: later.place, value: new },
        }
    }

    /// The value under `name`.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.entries().iter().find(|(known, _)| known == name).map(|(_, node)| node)
    }

    /// The entries of a map; none of anything else.
    pub(super) fn entries(&self) -> &[(String, Self)] {
        match &self.value {
            Value::Map(entries) => entries,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => &[],
        }
    }

    /// The value at `key`.
    pub(super) fn at(&self, key: &Key) -> Option<&Self> {
        key.0.iter().try_fold(self, Self::step)
    }

    /// The place of `key`, or of the nearest thing above it that is written.
    pub(super) fn place_of(&self, key: &Key) -> Place {
        let mut node = self;
        for step in &key.0 {
            match node.step(step) {
                Some(next) => node = next,
                None => break,
            }
        }
        node.place
    }

    fn step(&self, step: &Step) -> Option<&Self> {
        match (step, &self.value) {
            (Step::Index(index), Value::List(items)) => items.get(*index),
            (Step::Name(name), _) => self.child(name),
            (
                Step::Index(_),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Map(_),
            ) => None,
        }
    }
}

/// What the YAML reader hands over, before places are numbered by file.
enum Raw {
    Null,
    Bool(bool),
    Number,
    Text(String),
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<Raw, E> {
        Err(E::custom("binary values have no place here"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries: Vec<(Spanned<String>, Spanned<Raw>)> = Vec::new();
        while let Some(key) = access.next_key::<Spanned<String>>()? {
            if entries.iter().any(|(known, _)| known.value == key.value) {
                return Err(A::Error::custom(format!("the key `{}` stands twice", key.value)));
            }
            entries.push((key, access.next_value()?));
        }
        Ok(Raw::Map(entries))
    }
}

fn raw_node(raw: Spanned<Raw>, text: &str, file: usize) -> Node {
    let place = place(raw.referenced, file);
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Bool(value) => Value::Bool(value),
        Raw::Number => Value::Number(written(raw.defined, text)),
        Raw::Text(value) => Value::Text(value),
        Raw::List(items) => Value::List(items.into_iter().map(|item| raw_node(item, text, file)).collect()),
        Raw::Map(entries) => {
            Value::Map(entries.into_iter().map(|entry| raw_entry(entry, text, file)).collect())
        }
    };
    Node { place, value }
}

fn raw_entry((key, value): (Spanned<String>, Spanned<Raw>), text: &str, file: usize) -> (String, Node) {
    let mut node = raw_node(value, text, file);
    if key.referenced.line() > 0 {
        node.place = place(key.referenced, file);
    }
    (key.value, node)
}

fn place(at: serde_saphyr::Location, file: usize) -> Place {
    Place { file, line: at.line(), column: at.column() }
}

/// The characters of a scalar as they stand in the file.
fn written(at: serde_saphyr::Location, text: &str) -> String {
    let span = at.span();
    let bytes = span.byte_offset().zip(span.byte_len()).and_then(|(start, len)| {
        let start = usize::try_from(start).ok()?;
        let end = start.checked_add(usize::try_from(len).ok()?)?;
        text.get(start..end)
    });
    bytes.unwrap_or_default().trim().to_owned()
}

/// The reader's message without the position, which stands in front of ours.
fn without_position(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    let end = first.find(" at line ").or_else(|| first.find(", line ")).unwrap_or(first.len());
    let what = first.get(..end).unwrap_or(first).trim_start_matches("error: ");
    // The parser's advice to whoever programs it is none to who writes the file.
    what.split(", set DuplicateKeyPolicy").next().unwrap_or(what).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Node {
        Node::parse(text, 0).unwrap()
    }

    fn text_at(node: &Node, key: &Key) -> String {
        match &node.at(key).unwrap().value {
            Value::Text(text) | Value::Number(text) => text.clone(),
            other @ (Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_)) => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_value_knows_its_line_and_a_number_its_digits() {
        let tree =
            tree("a: 1\nb:\n  - x: 0012\n    y: 11223344556677889900112233445566778899e1\n  - null\nc:\n");
        let key = Key::root("b").index(0);
        assert_eq!(text_at(&tree, &key.name("x")), "0012");
        assert_eq!(text_at(&tree, &key.name("y")), "11223344556677889900112233445566778899e1");
        assert_eq!(tree.place_of(&key.name("y")), Place { file: 0, line: 4, column: 5 });
        assert_eq!(tree.place_of(&key.name("missing")).line, 3);
        assert_eq!(tree.place_of(&Key::root("c")).line, 6);
    }

    #[test]
    fn a_later_file_replaces_values_and_lists_and_joins_maps() {
        let first = Node::parse("a: { x: 1, y: 2 }\nl: [1, 2]\n", 0).unwrap();
        let later = Node::parse("a: { y: 3, z: 4 }\nl: [9]\n", 1).unwrap();
        let joined = first.overlaid(later);
        for (name, wanted) in [("x", "1"), ("y", "3"), ("z", "4")] {
            assert_eq!(text_at(&joined, &Key::root("a").name(name)), wanted);
        }
        assert_eq!(joined.place_of(&Key::root("a").name("y")).file, 1);
        assert_eq!(text_at(&joined, &Key::root("l").index(0)), "9");
        assert!(joined.at(&Key::root("l").index(1)).is_none());
    }

    #[test]
    fn anchors_and_merge_keys_mean_what_they_mean_in_yaml() {
        let tree = tree("x: &x { a: 1 }\ny: *x\nz:\n  <<: *x\n  b: 2\n");
        assert_eq!(text_at(&tree, &Key::root("y").name("a")), "1");
        assert_eq!(text_at(&tree, &Key::root("z").name("a")), "1");
        assert_eq!(text_at(&tree, &Key::root("z").name("b")), "2");
    }

    #[test]
    fn an_error_names_its_line_and_quotes_nothing() {
        let error = Node::parse("password: hunter2\nb: [1, 2\nc: 3\n", 0).unwrap_err();
        assert!(error.place.line >= 2, "{error:?}");
        assert!(!error.what.contains("hunter2") && !error.what.contains("line"), "{error:?}");
        let twice = Node::parse("a: 1\na: 2\n", 0).unwrap_err();
        assert_eq!(twice.place.line, 2, "{twice:?}");
    }
}
