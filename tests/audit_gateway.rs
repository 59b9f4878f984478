//! The audit log of a gateway that serves, and of one that was killed.
#![expect(clippy::expect_used, reason = "a test that can't set up its realm must fail")]

mod support;

use std::{fs, path::Path, process::Command};

use support::{Lab, envelope};

const WEB01: &str = "/hosts/web01.corp.example/wsman";

fn audit(lab: &Lab, command: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_winrm-gateway"));
    program.args(["audit", command, "--directory"]).arg(directory(lab)).args(arguments);
    let output = program.output().expect("the program runs");
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

fn directory(lab: &Lab) -> &Path {
    lab.gateway.audit.parent().expect("a directory")
}

#[test]
fn a_log_that_is_written_is_verified_listed_and_rotated_on_a_signal() {
    let mut lab = Lab::with().run();
    assert_eq!(lab.raw("alice").post(WEB01, &envelope::get_config()).expect("an answer").status, 200);
    lab.gateway.wait_for_records("outcome", 1);
    let (code, said) = audit(&lab, "verify", &[]);
    assert_eq!(code, Some(0), "{said}");
    let (_, listed) = audit(&lab, "list", &["--person", "alice"]);
    assert!(listed.contains("alice@CORP.EXAMPLE  web01.corp.example") && listed.contains("succeeded"), "{listed}");
    let configuration = &lab.gateway.records_of("configuration")[..];
    let name = configuration.first().and_then(|record| record["file.name"].as_str()).expect("its name");
    assert!(fs::read_to_string(directory(&lab).join(name)).expect("the copy").contains("\"routes\""));
    fs::rename(&lab.gateway.audit, lab.gateway.audit.with_extension("jsonl.1")).expect("a rotation");
    lab.gateway.signal("HUP");
    lab.gateway.wait_for_log("Configuration was read again");
    assert_eq!(lab.raw("alice").post(WEB01, &envelope::get_config()).expect("an answer").status, 200);
    lab.gateway.wait_for_records("outcome", 1);
    let (code, said) = audit(&lab, "verify", &[]);
    assert!(code == Some(0) && said.contains("in 2 files"), "{said}");
    lab.gateway.signal("KILL");
    let (code, said) = audit(&lab, "verify", &[]);
    assert_eq!(code, Some(0), "{said}");
    let mut bytes = fs::read(&lab.gateway.audit).expect("the log");
    *bytes.get_mut(100).expect("a byte") ^= 1;
    fs::write(&lab.gateway.audit, bytes).expect("the log");
    let (code, said) = audit(&lab, "verify", &[]);
    assert!(code == Some(1) && said.contains("audit.jsonl, line 1"), "{said}");
}
