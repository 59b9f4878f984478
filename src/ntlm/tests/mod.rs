//! The module as its callers see it.
