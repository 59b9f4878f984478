//! A pack of a log that is signed.

use std::process::Command;

use super::*;
use crate::audit::{Audit, BeforeRun, Ending, Keeping, Outcome, Settings};

async fn signed(parent: &Path) -> Settings {
    let settings = Settings {
        keeping: Keeping {
            signing_key: Some(parent.join("audit.key")),
            checkpoint_records: 5,
            ..Keeping::default()
        },
        ..Settings::new(parent.join("audit"))
    };
    let audit = Audit::open(&settings).unwrap();
    audit.configured("00", "{\"routes\":[]}").unwrap();
    for number in 0..20 {
        let mut pending = audit.begin();
        pending.facts().principal = Some(format!("user{}@CORP.EXAMPLE", number % 4));
        let recorded = audit.intend(pending, BeforeRun::Durable).await.unwrap();
        recorded.finish(&Outcome { result: Ending::Succeeded, stage: "backend", ..Outcome::default() });
    }
    audit.close().await.unwrap();
    settings
}

fn verified(pack: &Path, key: Option<&Path>) -> String {
    let mut command = Command::new("python3");
    command.arg(pack.join("verify.py"));
    if let Some(key) = key {
        command.arg("--public-key").arg(key);
    }
    String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned()
}

#[tokio::test]
async fn a_signed_pack_over_a_change_of_keys_verifies_offline_against_the_published_key() {
    let parent = tempfile::tempdir().unwrap();
    let parent = parent.path();
    keygen(&parent.join("audit.key"), None).unwrap();
    signed(parent).await;
    std::fs::rename(parent.join("audit.key"), parent.join("former.key")).unwrap();
    std::fs::rename(parent.join("audit.key.pub"), parent.join("former.key.pub")).unwrap();
    keygen(&parent.join("audit.key"), Some(&parent.join("former.key"))).unwrap();
    let settings = signed(parent).await;
    let pack = parent.join("pack");
    let wanted =
        Wanted { directory: settings.directory, person: Some("user2@".to_owned()), ..Wanted::default() };
    export(&wanted, &pack).unwrap();
    let published = parent.join("audit.key.pub");
    let said = verified(&pack, Some(&published));
    assert!(said.starts_with("intact: ") && said.contains("as digests"), "{said}");
    assert!(!said.contains("after the last signature") && !said.contains(" 0 signatures"), "{said}");
    assert!(
        verified(&pack, Some(&parent.join("former.key.pub"))).contains("is not the key that signed last")
    );
    let readme = std::fs::read_to_string(pack.join("README.md")).unwrap();
    assert!(readme.contains("person `user2@`") && readme.contains("the whole log was: intact"), "{readme}");
    let configuration =
        std::fs::read_dir(pack.join("configurations")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&configuration, "{}").unwrap();
    assert!(verified(&pack, None).contains("was altered"), "{}", verified(&pack, None));
    std::fs::write(&configuration, "{\"routes\":[]}").unwrap();
    let records = std::fs::read_to_string(pack.join("records.jsonl")).unwrap();
    let dropped: Vec<&str> = records.lines().filter(|line| !line.starts_with("{\"digest\"")).collect();
    std::fs::write(pack.join("records.jsonl"), dropped.join("\n") + "\n").unwrap();
    assert!(verified(&pack, None).contains("does not follow"), "{}", verified(&pack, None));
}
