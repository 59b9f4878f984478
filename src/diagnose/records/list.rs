//! Records as text.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::Path,
    time::Duration,
};

use serde_json::Value;

use super::{RecordsError, Wanted};
use crate::audit::{Entry, Records, visible};

/// Writes one line for each record that is wanted, or with `json` the record itself; with `follow` it goes on until it is ended.
///
/// # Errors
/// Where the records cannot be read or the text cannot be written; a reader who has had enough is none.
pub fn list(wanted: &Wanted, json: bool, follow: bool, to: &mut dyn Write) -> Result<(), RecordsError> {
    let filter = wanted.filter()?;
    let mut records = open(&wanted.directory)?;
    let mut running = BTreeMap::new();
    let result = loop {
        let Some(entry) = records.next().map_err(|source| unreadable(&wanted.directory, source))? else {
            if !follow {
                break running.values().try_for_each(|row| writeln!(to, "{row}"));
            }
            if let Err(error) = to.flush() {
                break Err(error);
            }
            std::thread::park_timeout(PAUSE);
            continue;
        };
        let action = entry.text("event.action");
        if action == "outcome" {
            running.remove(entry.text("event.id"));
        }
        if !filter.admits(&entry) {
            continue;
        }
        let written = if json {
            writeln!(to, "{}", visible(&String::from_utf8_lossy(&entry.line)))
        } else if action == "intent" && !follow {
            running.insert(entry.text("event.id").to_owned(), row(&entry));
            Ok(())
        } else if action == "checkpoint" {
            Ok(())
        } else {
            writeln!(to, "{}", row(&entry))
        };
        if written.is_err() {
            break written;
        }
    };
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(RecordsError::Write(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes all that is known of the request whose id begins with `id`.
///
/// # Errors
/// Where there is none, or several begin so.
pub fn show(directory: &Path, id: &str, to: &mut dyn Write) -> Result<(), RecordsError> {
    let mut records = open(directory)?;
    let mut found: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    while let Some(entry) = records.next().map_err(|source| unreadable(directory, source))? {
        let name = entry.text("event.id");
        if !id.is_empty() && name.starts_with(id) && (found.len() < SEVERAL || found.contains_key(name)) {
            found.entry(name.to_owned()).or_default().push(entry);
        }
    }
    if found.len() > 1 {
        return Err(RecordsError::Ambiguous(found.keys().map(|name| visible(name)).collect()));
    }
    let Some(entries) = found.into_values().next() else { return Err(RecordsError::Unknown(visible(id))) };
    for entry in entries {
        let text = page(&entry);
        to.write_all(text.as_bytes()).map_err(RecordsError::Write)?;
    }
    Ok(())
}

fn open(directory: &Path) -> Result<Records, RecordsError> {
    Records::open(directory).map_err(|source| unreadable(directory, source))
}

fn unreadable(directory: &Path, source: io::Error) -> RecordsError {
    RecordsError::Unreadable { path: directory.to_path_buf(), source }
}

/// One record in one line: when, which, who, where, what, how it ended.
fn row(entry: &Entry) -> String {
    let or_dash =
        |name| Some(entry.text(name)).filter(|text| !text.is_empty()).map_or_else(|| "-".to_owned(), visible);
    let mut row = format!("{}  {}", or_dash("@timestamp"), or_dash("event.id"));
    let action = entry.text("event.action");
    if !matches!(action, "intent" | "outcome") {
        row.push_str(&format!("  {}", or_dash("event.action")));
    }
    if matches!(action, "intent" | "outcome" | "connection") {
        let who = if entry.text("user.name").is_empty() { "source.address" } else { "user.name" };
        row.push_str(&format!("  {}", or_dash(who)));
    }
    if matches!(action, "intent" | "outcome") {
        row.push_str(&format!("  {}  {}", or_dash("destination.domain"), or_dash("winrm.operation")));
        let ended = if action == "intent" { "running".to_owned() } else { or_dash("winrm.result") };
        row.push_str(&format!("  {ended}"));
    }
    for (name, word) in DETAILS {
        if let Some(value) = entry.record.get(*name) {
            row.push_str(&format!("  {word}{}", text_of(value)));
        }
    }
    row
}

/// One record, a field a line.
fn page(entry: &Entry) -> String {
    let mut page = format!("{} {}\n", visible(entry.text("event.action")), visible(entry.text("event.id")));
    let Some(fields) = entry.record.as_object() else { return page };
    let width = fields.keys().map(String::len).max().unwrap_or_default();
    for (name, value) in fields {
        if name != "event.action" && name != "event.id" {
            page.push_str(&format!("  {:width$}  {}\n", visible(name), text_of(value)));
        }
    }
    page
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => visible(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            visible(&value.to_string())
        }
    }
}

/// What a row says more, where there is more.
const DETAILS: &[(&str, &str)] = &[
    ("event.reason", ""),
    ("http.response.status_code", "status "),
    ("process.exit_code", "exit "),
    ("winrm.lost", "lost "),
    ("winrm.generation", "generation "),
    ("winrm.debris_bytes", "debris "),
    ("file.name", ""),
];
/// How long a follower waits before it looks again.
const PAUSE: Duration = Duration::from_millis(200);
/// How many ids are named where several fit.
const SEVERAL: usize = 10;
