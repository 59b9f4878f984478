//! The operator's file becomes finished values, or a list of what is wrong with it and where.
//!
//! In come the main file and `gateway.d/*.yaml` beside it, in the order of their names, later ones winning. Out comes a [`Config`] of each
//! stage's own settings: durations, paths and parsed names, nothing to be checked again.
//!
//! INVARIANT: file types never leave this module; a configuration that could not mean what it says is refused here; no message and no
//! `Debug` shows a secret.
//!
//! Specification: `winrm get winrm/config` for names and defaults, and the seed document "Authentication for Remote Connections" for what
//! is refused.
//!
//! Why the files can be checked apart from what they name: `check --syntax` runs where the configuration is written, not where keys are.

mod backend;
mod bounds;
mod de;
mod error;
mod file;
mod listeners;
mod people;
mod reader;
mod resolve;
mod routes;
mod secret;
mod service;
mod service_file;
#[cfg(test)]
mod tests;
mod tree;

pub(crate) use bounds::{Admin, Audit, BackendLimits, Envelopes, Kerberos};
pub use error::{ConfigError, ConfigErrors};
pub(crate) use listeners::{Listener, Peers};
pub(crate) use people::{Account, Group};
pub(crate) use reader::FileUse;
pub(crate) use resolve::StaticNames;
pub(crate) use secret::{Secret, SecretError};
pub(crate) use service::{Client, NtlmAccounts, Service};

use crate::{
    authn::{CertMappings, GroupName, Realms},
    policy::{self, AccountName},
};
use file::{AuditFile, ROOT_KEYS};
use people::People;
use reader::{Reader, SourceFile};
use routes::Surroundings;
use service_file::ServiceFile;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};
use tree::{Node, NotYaml, Value};

/// The configuration, complete and checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Which realms there are.
    pub(crate) realms: Realms,
    /// Which person a client certificate stands for.
    pub(crate) cert_mappings: CertMappings,
    /// Who is in which group.
    pub(crate) groups: BTreeMap<GroupName, Group>,
    /// The identities that the gateway owns.
    pub(crate) accounts: BTreeMap<AccountName, Account>,
    /// What clients may do to the gateway.
    pub(crate) service: Service,
    /// What the gateway may do to hosts.
    pub(crate) client: Client,
    /// Where clients come in.
    pub(crate) listeners: Vec<Listener>,
    /// Routes, rules and ownership.
    pub(crate) policy: policy::Settings,
    /// What bounds every request.
    pub(crate) envelopes: Envelopes,
    /// What bounds connections to hosts.
    pub(crate) backend: BackendLimits,
    /// How Kerberos is used.
    pub(crate) kerberos: Kerberos,
    /// Where records go.
    pub(crate) audit: Audit,
    /// Where metrics are served and changes taken.
    pub(crate) admin: Admin,
    /// Names that DNS is not asked for.
    pub(crate) resolve: StaticNames,
    /// Names this state of the files, for records: the same files, the same generation.
    pub(crate) generation: String,
    files: Vec<FileUse>,
}

impl Config {
    /// Reads the configuration at `path` and what lies in `gateway.d` beside it. What the configuration names is not looked at: see
    /// [`Config::check_files`].
    ///
    /// # Errors
    /// Everything that could be found wrong, each with file, line and key.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let sources = sources(path)?;
        let mut digest = Sha256::new();
        let mut trees = Vec::new();
        let mut errors = Vec::new();
        for (number, (file, text)) in sources.iter().enumerate() {
            digest.update(text.len().to_be_bytes());
            digest.update(text);
            match Node::parse(text, number) {
                Ok(tree) => trees.push(tree),
                Err(error) => errors.push(not_yaml(&file.path, &error)),
            }
        }
        if !errors.is_empty() {
            return Err(ConfigErrors::new(errors));
        }
        let empty = Node { place: tree::Place::default(), value: Value::Null };
        let tree = trees.into_iter().reduce(Node::overlaid).unwrap_or(empty);
        let files = sources.into_iter().map(|(file, _)| file).collect();
        let generation: String = digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self::build(Reader::new(tree, files), generation)
    }

    /// Looks at the files that the configuration names: whether they are there, can be read, and, where they hold keys or passwords, whether
    /// anybody else could read or replace them.
    ///
    /// # Errors
    /// Every file that the gateway could not or should not work with.
    pub fn check_files(&self) -> Result<(), ConfigErrors> {
        let wrong = self.files.iter().filter_map(|file| check_file(file).err().map(|what| file.error(what)));
        let errors: Vec<ConfigError> = wrong.collect();
        ConfigErrors::of(errors)
    }

    /// What there is, in one line for people.
    #[must_use]
    pub fn summary(&self) -> String {
        let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
        let rules = self.policy.routes.iter().map(|route| route.rules.len()).sum();
        [
            count(self.listeners.len(), "listener"),
            count(self.policy.routes.len(), "route"),
            count(rules, "rule"),
            count(self.accounts.len(), "account"),
        ]
        .join(", ")
    }

    /// Where libkrb5 is to find its configuration, if not where it looks by itself.
    #[must_use]
    pub fn kerberos_config(&self) -> Option<&Path> {
        self.kerberos.config.as_deref()
    }

    /// The error that `what` is wrong with the content of the file at `path`, which the configuration names.
    pub(crate) fn wrong_file(&self, path: &Path, what: String) -> ConfigError {
        match self.files.iter().find(|file| file.path == path) {
            Some(file) => file.error(what),
            None => ConfigError::new(path.display().to_string(), (0, 0, 0), String::new(), what),
        }
    }

    fn build(reader: Reader, generation: String) -> Result<Self, ConfigErrors> {
        reader.only_keys(&ROOT_KEYS);
        let envelopes = bounds::envelopes(&reader);
        let limits = bounds::limits(&reader, envelopes);
        let file = reader.section::<ServiceFile>("service");
        let people = People::read(&reader, &file);
        let (service, gate) = service::service(&reader, &people, &file);
        let client = service::client(&reader);
        let listeners = listeners::read(&reader, &people, &limits.listener);
        let audit = reader.section::<AuditFile>("audit");
        let around = Surroundings {
            reader: &reader,
            people: &people,
            service: &service,
            client: &client,
            listeners: &listeners,
        };
        let policy = policy::Settings {
            routes: routes::read(around, &audit),
            remote_access_groups: gate.remote_access_groups,
            deny: gate.deny,
            s4u_allow: gate.s4u_allow,
            ownership: limits.ownership,
        };
        routes::refuse_overlaps(&reader, &policy);
        let audit = bounds::audit(&reader, &audit);
        let (kerberos, admin, resolve) =
            (bounds::kerberos(&reader, &audit), bounds::admin(&reader), resolve::read(&reader));
        let files = reader.finish()?;
        Ok(Self {
            realms: people.realms,
            cert_mappings: people.cert_mappings,
            groups: people.groups,
            accounts: people.accounts,
            service,
            client,
            listeners,
            policy,
            envelopes,
            backend: limits.backend,
            kerberos,
            audit,
            admin,
            resolve,
            generation,
            files,
        })
    }
}

/// The main file and those beside it, with their texts.
fn sources(path: &Path) -> Result<Vec<(SourceFile, String)>, ConfigErrors> {
    let mut paths = vec![path.to_owned()];
    let beside = path.with_file_name("gateway.d");
    match fs::read_dir(&beside) {
        Ok(entries) => {
            let mut more: Vec<PathBuf> = entries
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| unreadable(&beside, &error))?
                .into_iter()
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
                .collect();
            more.sort();
            paths.extend(more);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(unreadable(&beside, &error)),
    }
    paths.into_iter().map(|path| source(&path).map_err(|error| unreadable(&path, &error))).collect()
}

fn source(path: &Path) -> io::Result<(SourceFile, String)> {
    let text = fs::read_to_string(path)?;
    let private = fs::metadata(path)?.mode() & OTHERS == 0;
    Ok((SourceFile { path: path.to_owned(), private }, text))
}

fn unreadable(path: &Path, error: &io::Error) -> ConfigErrors {
    let what = format!("the file cannot be read: {}; check the path and who owns it", without_number(error));
    ConfigErrors::new(vec![ConfigError::new(path.display().to_string(), (0, 0, 0), String::new(), what)])
}

fn not_yaml(path: &Path, error: &NotYaml) -> ConfigError {
    let place = format!("{}:{}:{}", path.display(), error.place.line, error.place.column);
    let order = (error.place.file, error.place.line, error.place.column);
    let what =
        format!("this is not YAML: {}; look for a missing bracket, quote or blank here or above", error.what);
    ConfigError::new(place, order, String::new(), what)
}

/// The permission bits of everybody but the owner.
const OTHERS: u32 = 0o077;

fn check_file(file: &FileUse) -> Result<(), String> {
    let path = file.path.display();
    let metadata = fs::metadata(&file.path).map_err(|error| {
        format!("{path}: {}; put the file there, or change the path", without_number(&error))
    })?;
    if !metadata.is_file() {
        return Err(format!("{path} is no file; name one"));
    }
    if file.secret {
        if metadata.mode() & OTHERS != 0 {
            return Err(format!("{path} can be read by others than its owner; run `chmod 0600 {path}`"));
        }
        let own = fs::metadata("/proc/self").map_or(0, |process| process.uid());
        if metadata.uid() != own && metadata.uid() != 0 {
            return Err(format!(
                "{path} belongs to another user, who could replace it; run `chown` to the gateway's user or root"
            ));
        }
    }
    fs::File::open(&file.path)
        .map(|_| ())
        .map_err(|error| format!("{path}: {}; let the gateway's user read it", without_number(&error)))
}

/// An error of the operating system in its words, without its number.
fn without_number(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
