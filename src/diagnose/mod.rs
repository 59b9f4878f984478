//! Asking a gateway how it is.
//!
//! Comes in: the URL of an admin listener. Goes out: its answer, or why there is none. Full checks of a configuration against its realm
//! will stand here too.

mod probe;
pub mod records;

pub use probe::{ProbeError, probe};
