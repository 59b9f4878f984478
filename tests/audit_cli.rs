//! Audit records from the outside: the commands, over a log that a second implementation of its format has written.
#![expect(clippy::expect_used, reason = "a test that can't set up its log must fail")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use sha2::{Digest as _, Sha256};

/// A directory of records, chained here by the format's description alone.
struct Log {
    dir: tempfile::TempDir,
    lines: Vec<String>,
    hash: [u8; 32],
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Log {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a directory"), lines: Vec::new(), hash: [0; 32] }
    }

    /// Chains `fields`, JSON without its braces, and writes the file.
    fn put(mut self, action: &str, id: u8, fields: &str) -> Self {
        let seq = self.lines.len() + 1;
        let content = format!(
            "{{\"@timestamp\":\"2026-03-01T12:00:{id:02}.000Z\",\"event.action\":\"{action}\",\"event.id\":\"{}\",{fields},\
             \"event.sequence\":{seq},\"winrm.previous_hash\":\"{}\"",
            format!("{id:02x}").repeat(16),
            hex(&self.hash)
        );
        let digest = Sha256::digest(content.as_bytes());
        self.hash = Sha256::digest([self.hash.as_slice(), digest.as_slice()].concat()).into();
        self.lines.push(format!("{content},\"event.hash\":\"{}\"}}\n", hex(&self.hash)));
        fs::write(self.file(), self.lines.concat()).expect("the file");
        self
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("audit.jsonl")
    }

    fn audit(&self, command: &str, arguments: &[&str]) -> Output {
        let directory = self.dir.path().to_str().expect("a path");
        run(&[&["audit", command, "--directory", directory], arguments].concat())
    }

    fn text(&self, command: &str, arguments: &[&str]) -> String {
        let output = self.audit(command, arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    }
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_winrm-gateway")).args(arguments).output().expect("the program runs")
}

/// Two requests that ended, one that did not, and one whose texts are an attacker's.
fn log() -> Log {
    let forged = "evil\\r\\n2026-03-01T12:00:09.000Z  forged  root@X  web01  Command  succeeded\\u001b[2J\\u202e\\u009b31m";
    Log::new()
        .put("intent", 1, "\"user.name\":\"alice@CORP.EXAMPLE\",\"destination.domain\":\"web01.corp.example\",\"winrm.operation\":\"Command\"")
        .put("outcome", 1, "\"user.name\":\"alice@CORP.EXAMPLE\",\"destination.domain\":\"web01.corp.example\",\"winrm.operation\":\"Command\",\
                            \"winrm.result\":\"succeeded\",\"process.exit_code\":3")
        .put("outcome", 2, "\"user.name\":\"bob@CORP.EXAMPLE\",\"destination.domain\":\"db02.corp.example\",\"winrm.result\":\"refused\",\
                            \"event.reason\":\"no_rule\"")
        .put("intent", 3, "\"user.name\":\"carol@CORP.EXAMPLE\",\"winrm.command_id\":\"canary-text\"")
        .put("outcome", 4, &format!("\"user.name\":\"{forged}\",\"winrm.result\":\"refused\",\"error.message\":\"{forged}\""))
}

#[test]
fn a_log_by_the_description_alone_is_intact_and_a_flipped_byte_is_named() {
    let log = log();
    assert!(log.text("verify", &[]).starts_with("intact: 5 records in 1 file, 1 to 5; hashed, not signed"));
    let mut bytes = fs::read(log.file()).expect("the file");
    let at = log.lines.iter().take(2).map(String::len).sum::<usize>() + 90;
    *bytes.get_mut(at).expect("a byte") ^= 1;
    fs::write(log.file(), bytes).expect("the file");
    let output = log.audit("verify", &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("audit.jsonl, line 3 (record 3)"), "{said}");
}

#[test]
fn the_list_is_filtered_by_person_host_time_text_and_outcome() {
    let log = log();
    let count = |arguments: &[&str]| log.text("list", arguments).lines().count();
    assert_eq!(count(&[]), 4, "{}", log.text("list", &[]));
    assert_eq!(count(&["--person", "ALICE"]), 1);
    assert_eq!(count(&["--host", "db02"]), 1);
    assert_eq!(count(&["--outcome", "refused"]), 2);
    assert_eq!(count(&["--since", "2026-03-01T12:00:02"]), 3);
    assert_eq!(count(&["--until", "2026-03-01T12:00:02"]), 1);
    assert_eq!(count(&["--since", "2026-03-02"]), 0);
    assert_eq!(count(&["--text", "canary-TEXT"]), 1);
    assert_eq!(count(&["--json"]), 5);
    assert!(log.text("list", &["--person", "carol"]).contains("running"));
    assert!(
        log.text("list", &["--person", "alice"]).contains("web01.corp.example  Command  succeeded  exit 3")
    );
    assert_eq!(log.audit("list", &["--since", "yesterday"]).status.code(), Some(1));
    assert_eq!(log.audit("list", &["--outcome", "unknown"]).status.code(), Some(2));
}

#[test]
fn threat_61_no_text_of_a_peer_forges_a_line_or_reaches_the_terminal() {
    let log = log();
    let hostile = |text: &str| {
        text.chars().any(|c| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}'))
    };
    let id = "04".repeat(16);
    for (arguments, lines) in [(vec!["list"], 4), (vec!["list", "--json"], 5), (vec!["show", &id], 8)] {
        let shown = log.text(arguments.first().expect("a command"), arguments.get(1..).expect("the rest"));
        assert!(!hostile(&shown), "{shown:?}");
        assert_eq!(shown.lines().count(), lines, "{shown}");
        assert!(!shown.lines().any(|line| line.starts_with("2026-03-01T12:00:09")), "{shown}");
    }
    // A file that somebody has written by other means holds the characters themselves.
    let raw = "{\"@timestamp\":\"T\",\"event.action\":\"outcome\",\"event.id\":\"aa\",\"user.name\":\"\u{202e}\u{9b}31m\u{85}x\"}\n";
    fs::write(log.file(), raw).expect("the file");
    for arguments in [vec!["list"], vec!["list", "--json"], vec!["show", "aa"]] {
        let shown = log.text(arguments.first().expect("a command"), arguments.get(1..).expect("the rest"));
        assert!(!hostile(&shown), "{shown:?}");
    }
}

#[test]
fn one_request_is_shown_by_the_beginning_of_its_id() {
    let log = log();
    let shown = log.text("show", &["0101"]);
    assert!(
        shown.contains("intent 0101")
            && shown.contains("outcome 0101")
            && shown.contains("process.exit_code"),
        "{shown}"
    );
    assert_eq!(log.audit("show", &["0"]).status.code(), Some(1));
    assert_eq!(log.audit("show", &["ff"]).status.code(), Some(1));
}

#[test]
fn a_reader_sees_rotated_files_and_a_line_that_grows() {
    let log = log();
    let (first, rest) = log.lines.split_at(2);
    fs::write(log.dir.path().join("audit-00000000000000000001.jsonl"), first.concat())
        .expect("the former file");
    fs::write(log.file(), format!("{}{{\"@timestamp\":\"20", rest.concat())).expect("the file");
    assert_eq!(log.text("list", &["--json"]).lines().count(), 5);
    assert!(log.text("verify", &[]).contains("5 records in 2 files"));
}

#[test]
fn a_pack_verifies_offline_and_a_change_in_it_is_found() {
    let log = log();
    let out = log.dir.path().join("pack");
    let path = out.to_str().expect("a path").to_owned();
    let said = log.text("export", &["--out", &path, "--person", "alice"]);
    assert!(said.contains("2 records whole and 3 as digests"), "{said}");
    let records = fs::read_to_string(out.join("records.jsonl")).expect("the records");
    assert!(
        records.contains("alice") && !records.contains("bob") && !records.contains("canary"),
        "{records}"
    );
    assert!(verify_pack(&out).contains("intact: 2 records whole and 3 as digests"), "{}", verify_pack(&out));
    fs::write(out.join("records.jsonl"), records.replacen("web01", "web02", 1)).expect("the records");
    assert!(verify_pack(&out).contains("NOT INTACT: record 1 was altered"), "{}", verify_pack(&out));
    assert_eq!(log.audit("export", &["--out", &path]).status.code(), Some(1), "a pack is never written over");
    assert_eq!(
        log.audit("export", &["--out", &format!("{path}2"), "--person", "nobody"]).status.code(),
        Some(1)
    );
}

fn verify_pack(pack: &Path) -> String {
    let output = Command::new("python3").arg(pack.join("verify.py")).output().expect("python runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_key_is_made_once_and_openssl_reads_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let key = dir.path().join("audit.key");
    let path = key.to_str().expect("a path");
    assert!(run(&["audit", "keygen", "--out", path]).status.success());
    assert_eq!(run(&["audit", "keygen", "--out", path]).status.code(), Some(1));
    let shown = Command::new("openssl")
        .args(["pkey", "-pubin", "-noout", "-text", "-in", &format!("{path}.pub")])
        .output();
    assert!(String::from_utf8_lossy(&shown.expect("openssl runs").stdout).contains("ED25519"));
    let next = dir.path().join("next.key");
    assert!(
        run(&["audit", "keygen", "--out", next.to_str().expect("a path"), "--former", path]).status.success()
    );
    assert!(dir.path().join("next.key.endorsement").exists());
}

#[test]
fn help_says_what_each_command_does() {
    for (command, words) in [
        ("verify", &["--head", "--public-key", "names the first record", "Examples:"][..]),
        ("list", &["--person", "--host", "--since", "--until", "--text", "--outcome", "--follow", "--json"]),
        ("show", &["<ID>"]),
        ("export", &["--out", "offline"]),
        ("keygen", &["--former", "endorses"]),
    ] {
        let help = String::from_utf8_lossy(&run(&["audit", command, "--help"]).stdout).into_owned();
        for word in words {
            assert!(help.contains(word), "{command}: {word} is missing in {help}");
        }
    }
}
