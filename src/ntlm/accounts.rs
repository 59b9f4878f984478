//! The accounts that are local to the gateway.

use super::crypto::{NtHash, uppercase};
use std::collections::HashMap;
use zeroize::Zeroizing;

/// Who may prove themselves by NTLM, and with which hash. Names are compared as Windows does, without regard to case.
pub(crate) struct Accounts(HashMap<String, Account>);

/// One of them.
pub(super) struct Account {
    /// As the file writes it.
    pub(super) name: String,
    pub(super) hash: NtHash,
}

/// Why a file of accounts is not one. Neither text nor `Debug` shows anything of a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AccountsError {
    /// Not `name:hash`.
    #[error("line {line}: this is not `name:` and the 32 hexadecimal digits of an NT hash")]
    Form {
        /// Counted from one.
        line: usize,
    },
    /// A name that no account has.
    #[error("line {line}: this can't be an account's name; write it without a domain")]
    Name {
        /// Counted from one.
        line: usize,
    },
    /// The same name as above, in whichever case.
    #[error("line {line}: this account is listed already, in line {first}")]
    Twice {
        /// Counted from one.
        line: usize,
        /// Where it was.
        first: usize,
    },
    /// The hash of nothing.
    #[error("line {line}: this is the hash of an empty password; give the account one")]
    EmptyPassword {
        /// Counted from one.
        line: usize,
    },
    /// More than a gateway should know.
    #[error("line {line}: there are more than {MAX_ACCOUNTS} accounts")]
    TooMany {
        /// Counted from one.
        line: usize,
    },
}

/// The accounts of a file: one `name:NT hash in hexadecimal` in each line; a `#` begins a line that is a comment. An empty file lists nobody.
///
/// The caller sees to it that nobody else can read the file, and wipes `text`.
///
/// # Errors
/// Names the first line that is not so.
pub(crate) fn accounts_from(text: &str) -> Result<Accounts, AccountsError> {
    let (mut accounts, mut lines) = (HashMap::new(), HashMap::new());
    for (line, written) in (1..).zip(text.lines()) {
        if written.trim().is_empty() || written.starts_with('#') {
            continue;
        }
        let (name, digits) = written.split_once(':').ok_or(AccountsError::Form { line })?;
        if !is_name(name) {
            return Err(AccountsError::Name { line });
        }
        let bytes = hash_from(digits.trim_end()).ok_or(AccountsError::Form { line })?;
        let hash = NtHash::from_bytes(*bytes).map_err(|_| AccountsError::EmptyPassword { line })?;
        if let Some(first) = lines.insert(folded(name), line) {
            return Err(AccountsError::Twice { line, first });
        }
        if accounts.len() == MAX_ACCOUNTS {
            return Err(AccountsError::TooMany { line });
        }
        accounts.insert(folded(name), Account { name: name.to_owned(), hash });
    }
    Ok(Accounts(accounts))
}

impl Accounts {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether `user` is one of them.
    pub(crate) fn contains(&self, user: &str) -> bool {
        self.find(user).is_some()
    }

    /// The account that a client calls `user`.
    pub(super) fn find(&self, user: &str) -> Option<&Account> {
        self.0.get(&folded(user))
    }
}

fn folded(name: &str) -> String {
    name.chars().map(uppercase).collect()
}

/// A user's name as Windows allows it, or a user principal name; never one with a domain before it.
fn is_name(name: &str) -> bool {
    let allowed = |c: char| !c.is_control() && !r#""/\[]:;|=,+*?<>"#.contains(c);
    let trimmed = name.trim() == name;
    trimmed && !name.is_empty() && name.chars().count() <= MAX_NAME && name.chars().all(allowed)
}

fn hash_from(digits: &str) -> Option<Zeroizing<[u8; 16]>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if pairs.len() != 16 || !rest.is_empty() {
        return None;
    }
    let mut hash = Zeroizing::new([0; 16]);
    for (to, [high, low]) in hash.iter_mut().zip(pairs) {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *to = digit(*high)? << 4 | digit(*low)?;
    }
    Some(hash)
}

const MAX_ACCOUNTS: usize = 10_000;
const MAX_NAME: usize = 256;
