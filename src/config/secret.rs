//! Secret values: where they come from, and how they stay out of everything else.

use secrecy::SecretString;
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Where a secret comes from; it is read when it is needed and not before.
#[derive(Debug, Clone)]
pub(crate) enum Secret {
    /// `${file:/path}`: the file's first line.
    File(PathBuf),
    /// `${env:NAME}`.
    Env(String),
    /// Written in the configuration, which nobody else can read.
    Literal(SecretString),
}

/// Why a secret cannot be had. No text shows any part of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    /// A literal in a file that others can read.
    #[error(
        "a secret stands in a file that others can read; write ${{file:/path}} or ${{env:NAME}}, or make the file mode 0600"
    )]
    Exposed,
    /// `${…}` that is neither.
    #[error("this is neither ${{file:/path}} nor ${{env:NAME}}; write one of them")]
    Reference,
    /// Nothing there.
    #[error("the secret is empty; write ${{file:/path}} or ${{env:NAME}}")]
    Empty,
    /// The variable does not exist.
    #[error("the environment has no variable {0}; set it where the gateway is started")]
    NoVariable(String),
    /// The file cannot be read.
    #[error("the file cannot be read; check that it exists and belongs to the gateway's user")]
    Unreadable(#[source] std::io::Error),
}

impl Secret {
    /// The source that `text` names; a literal counts only where the file that it stands in is `private`.
    ///
    /// # Errors
    /// When it is a malformed reference, or a literal that others can read.
    pub(super) fn parse(text: &str, private: bool) -> Result<Self, SecretError> {
        if text.is_empty() {
            return Err(SecretError::Empty);
        }
        let Some(reference) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) else {
            return if private {
                Ok(Self::Literal(SecretString::from(text)))
            } else {
                Err(SecretError::Exposed)
            };
        };
        let variable = |name: &str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        match reference.split_once(':') {
            Some(("file", path)) if Path::new(path).is_absolute() => Ok(Self::File(PathBuf::from(path))),
            Some(("env", name)) if variable(name) => Ok(Self::Env(name.to_owned())),
            Some(_) | None => Err(SecretError::Reference),
        }
    }

    /// The file that it is in, where it is in one of its own.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Env(_) | Self::Literal(_) => None,
        }
    }

    /// The secret; a file's last line break does not belong to it.
    ///
    /// # Errors
    /// When the variable does not exist or the file cannot be read.
    pub(crate) fn read(&self) -> Result<SecretString, SecretError> {
        match self {
            Self::Literal(secret) => Ok(secret.clone()),
            Self::Env(name) => {
                env::var(name).map(SecretString::from).map_err(|_| SecretError::NoVariable(name.clone()))
            }
            Self::File(path) => {
                let text =
                    zeroize::Zeroizing::new(fs::read_to_string(path).map_err(SecretError::Unreadable)?);
                Ok(SecretString::from(text.trim_end_matches(['\r', '\n'])))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn a_literal_counts_only_where_nobody_else_can_read_it() {
        assert!(matches!(Secret::parse("hunter2", false), Err(SecretError::Exposed)));
        let secret = Secret::parse("hunter2", true).unwrap();
        assert_eq!(secret.read().unwrap().expose_secret(), "hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
    }

    #[test]
    fn references_name_an_absolute_file_or_a_variable() {
        for text in ["${file:relative}", "${env:}", "${env:A B}", "${vault:x}", "${}", "${file:}"] {
            assert!(matches!(Secret::parse(text, true), Err(SecretError::Reference)), "{text}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "from file\n").unwrap();
        let secret = Secret::parse(&format!("${{file:{}}}", file.path().display()), false).unwrap();
        assert_eq!(secret.read().unwrap().expose_secret(), "from file");
        let variable = Secret::parse("${env:WINRM_GATEWAY_NO_SUCH_VARIABLE}", false).unwrap();
        assert!(matches!(variable.read(), Err(SecretError::NoVariable(_))));
    }
}
