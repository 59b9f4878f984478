//! Collects values out of the tree and everything that is wrong with them.

use super::{
    de,
    error::{ConfigError, ConfigErrors},
    tree::{Key, Node, Place, Value},
};
use serde::de::DeserializeOwned;
use std::{
    cell::RefCell,
    fmt::Display,
    path::{Path, PathBuf},
};

/// The joined tree of all files, and the errors found so far.
#[derive(Debug)]
pub(super) struct Reader {
    tree: Node,
    files: Vec<SourceFile>,
    errors: RefCell<Vec<ConfigError>>,
    uses: RefCell<Vec<FileUse>>,
}

/// One of the configuration's own files.
#[derive(Debug)]
pub(super) struct SourceFile {
    /// Its path as it was given.
    pub(super) path: PathBuf,
    /// Whether nobody but its owner may read it (mode 0600 or stricter).
    pub(super) private: bool,
}

/// A file that the configuration names, to be looked at on the machine that serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileUse {
    /// The path.
    pub(crate) path: PathBuf,
    /// Whether it holds keys or passwords.
    pub(crate) secret: bool,
    place: String,
    order: (usize, u64, u64),
    key: String,
}

impl FileUse {
    /// The error that `what` is wrong with this file.
    pub(super) fn error(&self, what: String) -> ConfigError {
        ConfigError::new(self.place.clone(), self.order, self.key.clone(), what)
    }
}

impl Reader {
    /// A reader of `tree`, whose places count through `files`.
    pub(super) fn new(tree: Node, files: Vec<SourceFile>) -> Self {
        Self { tree, files, errors: RefCell::default(), uses: RefCell::default() }
    }

    /// Notes that `what` is wrong with `key`; `what` also says what to do.
    pub(super) fn wrong(&self, key: &Key, what: impl Display) {
        let (place, order) = self.located(key);
        self.errors.borrow_mut().push(ConfigError::new(place, order, key.to_string(), what.to_string()));
    }

    /// The value of `result`, or a note that `key` is wrong.
    pub(super) fn take<T, E: Display>(&self, key: &Key, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.wrong(key, error)).ok()
    }

    /// Notes that `key` names a file, and returns its path.
    pub(super) fn file(&self, key: &Key, path: &Path, secret: bool) -> PathBuf {
        if !path.is_absolute() {
            self.wrong(key, "the path is not absolute; write it from `/` on, so that it means the same wherever the gateway is started");
        }
        let (place, order) = self.located(key);
        self.uses.borrow_mut().push(FileUse {
            path: path.to_owned(),
            secret,
            place,
            order,
            key: key.to_string(),
        });
        path.to_owned()
    }

    /// Whether the file in which `key` stands can be read by its owner only.
    pub(super) fn is_private(&self, key: &Key) -> bool {
        self.files.get(self.tree.place_of(key).file).is_some_and(|file| file.private)
    }

    /// The map at the root key `name`, or its defaults.
    pub(super) fn section<T: DeserializeOwned + Default>(&self, name: &str) -> T {
        let key = Key::root(name);
        self.tree.at(&key).and_then(|node| self.read(node, &key)).unwrap_or_default()
    }

    /// The value at the root key `name`, where it is written.
    pub(super) fn value<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let key = Key::root(name);
        self.tree.at(&key).filter(|node| node.value != Value::Null).and_then(|node| self.read(node, &key))
    }

    /// The entries of the list at the root key `name` that could be read.
    pub(super) fn items<T: DeserializeOwned>(&self, name: &str) -> Vec<(Key, T)> {
        let key = Key::root(name);
        match self.tree.at(&key).map(|node| &node.value) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::List(items)) => {
                let keyed = items.iter().enumerate().map(|(index, node)| (key.index(index), node));
                keyed.filter_map(|(key, node)| self.read(node, &key).map(|item| (key, item))).collect()
            }
            Some(Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Map(_)) => {
                self.wrong(&key, "a list is needed here; begin every entry with `- `");
                Vec::new()
            }
        }
    }

    /// Whether nothing at all is written at the root key `name`, right or wrong.
    pub(super) fn is_missing(&self, name: &str) -> bool {
        match self.tree.at(&Key::root(name)).map(|node| &node.value) {
            None | Some(Value::Null) => true,
            Some(Value::List(items)) => items.is_empty(),
            Some(Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Map(_)) => false,
        }
    }

    /// The entries of the map at the root key `name` that could be read.
    pub(super) fn entries<T: DeserializeOwned>(&self, name: &str) -> Vec<(Key, String, T)> {
        let key = Key::root(name);
        match self.tree.at(&key).map(|node| &node.value) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Map(entries)) => entries
                .iter()
                .filter_map(|(name, node)| {
                    let key = key.name(name);
                    self.read(node, &key).map(|entry| (key, name.clone(), entry))
                })
                .collect(),
            Some(Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_)) => {
                self.wrong(&key, "a map is needed here; write one `name: { … }` per entry");
                Vec::new()
            }
        }
    }

    /// Notes every key of the root that does not exist.
    pub(super) fn only_keys(&self, known: &[&str]) {
        for (name, _) in self.tree.entries() {
            if !known.contains(&name.as_str()) {
                self.wrong(
                    &Key::root(name),
                    format!("there is no such key here; there are {}", known.join(", ")),
                );
            }
        }
        if !matches!(self.tree.value, Value::Map(_) | Value::Null) {
            self.wrong(&Key::default(), "the file is not a map of keys; write `key: value` lines");
        }
    }

    /// What was found wrong, and the files that the configuration names.
    pub(super) fn finish(self) -> Result<Vec<FileUse>, ConfigErrors> {
        let errors = self.errors.into_inner();
        if errors.is_empty() { Ok(self.uses.into_inner()) } else { Err(ConfigErrors::new(errors)) }
    }

    fn read<T: DeserializeOwned>(&self, node: &Node, key: &Key) -> Option<T> {
        de::read(node, key).map_err(|(key, error)| self.wrong(&key, error)).ok()
    }

    fn located(&self, key: &Key) -> (String, (usize, u64, u64)) {
        let Place { file, line, column } = self.tree.place_of(key);
        let path = self.files.get(file).map(|file| file.path.display().to_string()).unwrap_or_default();
        (format!("{path}:{line}:{column}"), (file, line, column))
    }
}
