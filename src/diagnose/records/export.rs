//! A pack of evidence: what was asked for, and all that is needed to see that nothing of it was changed.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use serde_json::{Value, json};

use super::{RecordsError, Wanted, verify};
use crate::audit::{Entry, Records};

/// Writes the pack into `out`, which must not be there yet, and returns what it holds in one line.
///
/// The records that are wanted stand in it whole, all between them as digests, so that the chain and its signatures can be followed from the
/// first one to the checkpoint that follows the last.
///
/// # Errors
/// Where nothing is wanted, or something can't be read or written.
pub fn export(wanted: &Wanted, out: &Path) -> Result<String, RecordsError> {
    let range = Range::find(wanted)?;
    DirBuilder::new().mode(0o700).create(out).map_err(RecordsError::Write)?;
    let contents = range.copy(&wanted.directory, out)?;
    for (name, text) in [("verify.py", VERIFIER.to_owned()), ("README.md", readme(wanted, &contents))] {
        create(&out.join(name))
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(RecordsError::Write)?;
    }
    Ok(format!(
        "{}: {} records whole and {} as digests, {} to {}",
        out.display(),
        contents.whole,
        contents.digests,
        range.first,
        range.last
    ))
}

/// Which records go into the pack.
#[derive(Default)]
struct Range {
    /// From the configuration in force before the first one that is wanted.
    first: u64,
    /// To the checkpoint after the last one.
    last: u64,
    ids: BTreeSet<String>,
}

/// What went into the pack.
#[derive(Default)]
struct Contents {
    whole: u64,
    digests: u64,
    checkpoints: u64,
    configurations: BTreeSet<String>,
    key: Option<String>,
}

impl Range {
    fn find(wanted: &Wanted) -> Result<Self, RecordsError> {
        let filter = wanted.filter()?;
        let (mut range, mut configuration, mut is_closed) = (Self::default(), None, false);
        each(&wanted.directory, |entry| {
            let action = entry.text("event.action");
            let is_of_one = || filter.admits(entry) || range.ids.contains(entry.text("event.id"));
            if matches!(action, "intent" | "outcome" | "connection") && is_of_one() {
                range.ids.insert(entry.text("event.id").to_owned());
                if range.first == 0 {
                    range.first = configuration.unwrap_or_else(|| entry.seq());
                }
                (range.last, is_closed) = (entry.seq(), false);
            } else if action == "configuration" {
                configuration = Some(entry.seq());
            }
            // A checkpoint after the last one closes the range.
            if range.first > 0 && !is_closed {
                range.last = entry.seq();
                is_closed = action == "checkpoint";
            }
            Ok(())
        })?;
        if range.ids.is_empty() { Err(RecordsError::Nothing) } else { Ok(range) }
    }

    fn copy(&self, directory: &Path, out: &Path) -> Result<Contents, RecordsError> {
        let file = create(&out.join("records.jsonl")).map_err(RecordsError::Write)?;
        let mut file = BufWriter::new(file);
        let mut contents = Contents::default();
        each(directory, |entry| {
            if (self.first..=self.last).contains(&entry.seq()) {
                self.copy_one(entry, &mut file, &mut contents)?;
            }
            Ok(())
        })?;
        file.flush().map_err(RecordsError::Write)?;
        for name in &contents.configurations {
            let target = out.join(name);
            if let Some(folder) = target.parent() {
                DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(RecordsError::Write)?;
            }
            let source = directory.join(name);
            let text = fs::read(&source)
                .map_err(|error| RecordsError::Unreadable { path: source, source: error })?;
            create(&target).and_then(|mut file| file.write_all(&text)).map_err(RecordsError::Write)?;
        }
        if let Some(key) = &contents.key {
            let pem = crate::audit::pem_of(key);
            create(&out.join("public-key.pem"))
                .and_then(|mut file| file.write_all(pem.as_bytes()))
                .map_err(RecordsError::Write)?;
        }
        Ok(contents)
    }

    fn copy_one(
        &self,
        entry: &Entry,
        file: &mut impl Write,
        contents: &mut Contents,
    ) -> Result<(), RecordsError> {
        let action = entry.text("event.action");
        let of_a_request = matches!(action, "intent" | "outcome" | "connection");
        if of_a_request && !self.ids.contains(entry.text("event.id")) {
            let Some((seq, digest)) = entry.digest() else { return Ok(()) };
            contents.digests += 1;
            return writeln!(file, "{}", json!({ "digest": digest, "omitted": seq }))
                .map_err(RecordsError::Write);
        }
        contents.whole += 1;
        if action == "checkpoint" {
            contents.checkpoints += 1;
            contents.key = entry.record.get("winrm.key").and_then(Value::as_str).map(str::to_owned);
        }
        let name = entry.text("file.name");
        let is_plain = name.strip_prefix("configurations/").is_some_and(|rest| {
            rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.') && !rest.starts_with('.')
        });
        if action == "configuration" && is_plain {
            contents.configurations.insert(name.to_owned());
        }
        file.write_all(&entry.line).and_then(|()| file.write_all(b"\n")).map_err(RecordsError::Write)
    }
}

fn each(
    directory: &Path,
    mut take: impl FnMut(&Entry) -> Result<(), RecordsError>,
) -> Result<(), RecordsError> {
    let failed = |source| RecordsError::Unreadable { path: directory.to_path_buf(), source };
    let mut records = Records::open(directory).map_err(failed)?;
    while let Some(entry) = records.next().map_err(failed)? {
        take(&entry)?;
    }
    Ok(())
}

fn create(path: &Path) -> io::Result<fs::File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn readme(wanted: &Wanted, contents: &Contents) -> String {
    let state = match verify(&wanted.directory, None, None) {
        Ok(intact) => intact.to_string(),
        Err(error) => format!("NOT INTACT: {error}"),
    };
    let asked = [
        ("person", &wanted.person),
        ("host", &wanted.host),
        ("since", &wanted.since),
        ("until", &wanted.until),
        ("text", &wanted.text),
        ("outcome", &wanted.outcome),
    ];
    let asked = asked
        .iter()
        .filter_map(|(name, value)| Some(format!("{name} `{}`", crate::audit::visible(value.as_ref()?))));
    let asked: Vec<String> = asked.collect();
    let asked = if asked.is_empty() { "everything".to_owned() } else { asked.join(", ") };
    format!(
        "# Evidence from the audit records of winrm-gateway\n\n\
         Asked for: {asked}. Here are {} records whole and {} as digests, {} checkpoints, {} configurations.\n\n\
         When this was written, the whole log was: {state}\n\n{README}",
        contents.whole,
        contents.digests,
        contents.checkpoints,
        contents.configurations.len(),
    )
}

const VERIFIER: &str = include_str!("verify.py");
const README: &str = "\
- `records.jsonl`: the records, one JSON object a line; what was not asked for stands in its place as number and digest
- `configurations/`: what was in force, without secrets; a `configuration` record names each by its SHA-256
- `public-key.pem`: the key that signed the last checkpoint. Compare it with the one that the operator has published: a forger would
  have put in his own
- `verify.py`: follows the chain and checks every signature. Needs Python 3.8 and openssl 3, and nothing else:

      python3 verify.py                         # or: python3 verify.py --public-key KNOWN.pem

What a record says is in `config/audit-record.schema.json` of the program's source. The hash of a record is SHA-256 of the previous hash
(32 bytes) and its digest (32 bytes); its digest is SHA-256 of its line up to, and without, `,\"event.hash\":`.
";
