//! What is wrong with a configuration, where, and what to do about it.

use std::fmt;

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}{}{key}: {what}", if .key.is_empty() { "" } else { ": " })]
pub struct ConfigError {
    place: String,
    key: String,
    what: String,
    order: (usize, u64, u64),
}

impl ConfigError {
    /// `what` is wrong with `key`, which stands at `place` (`file:line:column`); `order` sorts by file, line and column.
    pub(super) fn new(place: String, order: (usize, u64, u64), key: String, what: String) -> Self {
        Self { place, key, what, order }
    }

    /// The key that is wrong, `routes[2].backend.url`; empty where the file as a whole is.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// Everything that is wrong with the configuration: one line each, in the order of the files. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    pub(super) fn new(mut errors: Vec<ConfigError>) -> Self {
        errors.sort_by_key(|error| error.order);
        errors.dedup();
        Self(errors)
    }

    /// All of `errors`, if there are any.
    ///
    /// # Errors
    /// Those.
    pub(crate) fn of(errors: Vec<ConfigError>) -> Result<(), Self> {
        if errors.is_empty() { Ok(()) } else { Err(Self::new(errors)) }
    }

    /// The errors one by one.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, error) in self.0.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}
