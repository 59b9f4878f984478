//! Reading the audit records: in a list, one by one, as a pack of evidence, and whether they are what was written.
//!
//! Comes in: a directory of records and what is wanted of it. Goes out: text, in which nothing that a peer sent can act on a terminal.

mod export;
mod list;

use std::{
    io,
    path::{Path, PathBuf},
};

pub use export::export;
pub use list::{list, show};

use crate::audit::{self, BadTime, Filter, Intact, NotIntact};

/// Which records are wanted, in the operator's words.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Where the records are.
    pub directory: PathBuf,
    /// A part of the person's name.
    pub person: Option<String>,
    /// A part of the host's name.
    pub host: Option<String>,
    /// Not before: a date, a date and time in UTC, or `12h` for so long ago.
    pub since: Option<String>,
    /// Before this.
    pub until: Option<String>,
    /// A part of any text.
    pub text: Option<String>,
    /// `succeeded`, `refused`, `failed` or `abandoned`.
    pub outcome: Option<String>,
}

impl Wanted {
    fn filter(&self) -> Result<Filter, BadTime> {
        Ok(Filter {
            person: self.person.clone(),
            host: self.host.clone(),
            text: self.text.clone(),
            outcome: self.outcome.clone(),
            ..Filter::between(self.since.as_deref(), self.until.as_deref())?
        })
    }
}

/// Why records cannot be read or exported.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// A file or directory.
    #[error("`{}` cannot be read", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The pack, or the terminal.
    #[error("cannot write")]
    Write(#[source] io::Error),
    /// A time.
    #[error(transparent)]
    Time(#[from] BadTime),
    /// No such record.
    #[error("no record has an id that begins with `{0}`")]
    Unknown(String),
    /// Several such records.
    #[error("several ids begin with it: {}", .0.join(", "))]
    Ambiguous(Vec<String>),
    /// A pack of nothing.
    #[error("no record is wanted, so there is nothing to export")]
    Nothing,
    /// A key that cannot be made.
    #[error("the key cannot be made")]
    Key(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Verifies the records in `directory`, against a head and a public key where they are given.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(
    directory: &Path,
    head: Option<&Path>,
    public_key: Option<&Path>,
) -> Result<Intact, Box<NotIntact>> {
    audit::verify(&audit::VerifyClaim {
        directory: directory.to_path_buf(),
        head: head.map(Path::to_path_buf),
        public_key: public_key.map(Path::to_path_buf),
    })
}

/// Makes a key that signs checkpoints, endorsed by the `former` one where that is given; returns its public half.
///
/// # Errors
/// Where a file is there already or cannot be written.
pub fn keygen(out: &Path, former: Option<&Path>) -> Result<String, RecordsError> {
    let key = audit::generate_key(out, former).map_err(|error| RecordsError::Key(Box::new(error)))?;
    Ok(key.to_string())
}

#[cfg(test)]
mod tests;
