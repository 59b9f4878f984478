//! What `verify` finds, and that it finds nothing where nothing is wrong.

use std::fs;

use super::*;

/// A log of several files, signed and with a head.
pub(super) struct Log {
    parent: tempfile::TempDir,
}

impl Log {
    pub(super) fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        sign::generate(&parent.path().join("audit.key"), None).unwrap();
        Self { parent }
    }

    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.parent.path().join(name)
    }

    pub(super) fn settings(&self) -> Settings {
        Settings {
            keeping: Keeping {
                head: Some(self.at("audit.head")),
                signing_key: Some(self.at("audit.key")),
                checkpoint_records: 20,
                rotate_bytes: 12_000,
                ..Keeping::default()
            },
            ..Settings::new(self.at("audit"))
        }
    }

    pub(super) fn claim(&self) -> VerifyClaim {
        VerifyClaim {
            directory: self.at("audit"),
            head: Some(self.at("audit.head")),
            public_key: Some(self.at("audit.key.pub")),
        }
    }

    /// Opens, records `count` requests, and closes.
    async fn write(&self, settings: &Settings, count: usize) {
        let audit = Audit::open(settings).unwrap();
        for number in 0..count {
            let pending = pending(&audit, &format!("user{number}@CORP.EXAMPLE"));
            audit.intend(pending, BeforeRun::Durable).await.unwrap().finish(&succeeded());
        }
        audit.close().await.unwrap();
    }

    fn files(&self) -> Vec<files::LogFile> {
        files::list(&self.at("audit")).unwrap()
    }
}

fn refusal(claim: &VerifyClaim) -> String {
    verify(claim).unwrap_err().to_string()
}

#[tokio::test]
async fn an_untouched_log_of_several_files_and_starts_is_intact() {
    let log = Log::new();
    for _ in 0..3 {
        log.write(&log.settings(), 20).await;
        let shown = verify(&log.claim()).unwrap().to_string();
        assert!(shown.starts_with("intact: "), "{shown}");
    }
    let intact = verify(&log.claim()).unwrap();
    assert!(intact.records() >= 120 && log.files().len() > 3, "{intact}");
    assert!(intact.to_string().contains(", 0 after it; head: "), "{intact}");
    let bare = VerifyClaim { head: None, public_key: None, ..log.claim() };
    let shown = verify(&bare).unwrap().to_string();
    assert!(shown.contains("no head was given") && shown.contains("no public key was given"), "{shown}");
}

/// A small generator, so that the same damage is done in every run (Steele, Lea and Flood, `SplitMix64`).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }
}

/// Does one thing to the files that nobody may do, and says what.
fn tamper(files: &mut Vec<Vec<u8>>, dice: &mut Dice) -> String {
    let lines =
        |text: &[u8]| text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
    let at = dice.below(files.len());
    let mut all = lines(&files[at]);
    let (line, kind) = (dice.below(all.len()), dice.below(8));
    match kind {
        0 => {
            let byte = dice.below(files[at].len());
            files[at][byte] ^= 1 << dice.below(8);
            return format!("file {at}, byte {byte} flipped");
        }
        1 => drop(all.remove(line)),
        2 => {
            let other = (line + 1 + dice.below(all.len() - 1)) % all.len();
            all.swap(line, other);
        }
        3 => all.insert(dice.below(all.len() + 1), all[line].clone()),
        4 => {
            let mut forged = chain::Link { seq: line as u64, ..chain::Link::default() };
            let mut text = Vec::new();
            forged.append(b"{\"@timestamp\":\"2026-01-01T00:00:00.000Z\",\"event.action\":\"gap\",\"event.id\":\"0\",\"winrm.lost\":1}\n", &mut text);
            all.insert(line, text);
        }
        5 => {
            // The end of the last file, whole lines or not.
            let last = files.len() - 1;
            let keep = dice.below(files[last].len());
            files[last].truncate(keep);
            return format!("the last file cut to {keep} bytes");
        }
        6 => {
            files.remove(at);
            return format!("file {at} removed");
        }
        _ => {
            let byte = dice.below(files[at].len() + 1);
            files[at].insert(byte, b"\n0 x{}\"\0"[dice.below(8)]);
            return format!("file {at}, a byte put in at {byte}");
        }
    }
    files[at] = all.concat();
    format!("file {at}, line {line}, kind {kind}")
}

#[tokio::test]
async fn a_thousand_tamperings_are_all_found_and_none_where_there_is_none() {
    let log = Log::new();
    log.write(&log.settings(), 40).await;
    let paths: Vec<PathBuf> = log.files().iter().map(|file| file.path.clone()).collect();
    let good: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(good.len() >= 4, "{} files", good.len());
    let mut dice = Dice(20_261_125);
    for round in 0..1000 {
        let mut bad = good.clone();
        let what = tamper(&mut bad, &mut dice);
        assert_ne!(bad, good, "{what}");
        // A file that is removed leaves its name to nobody.
        let removed = bad.len() < good.len();
        if removed {
            let gone = (0..good.len()).find(|at| bad.get(*at) != good.get(*at)).unwrap();
            fs::rename(&paths[gone], log.at("gone")).unwrap();
            assert!(verify(&log.claim()).is_err(), "round {round}: {what}");
            fs::rename(log.at("gone"), &paths[gone]).unwrap();
        } else {
            let changed = (0..good.len()).find(|at| bad[*at] != good[*at]).unwrap();
            fs::write(&paths[changed], &bad[changed]).unwrap();
            assert!(verify(&log.claim()).is_err(), "round {round}: {what}");
            fs::write(&paths[changed], &good[changed]).unwrap();
        }
        if round % 100 == 0 {
            verify(&log.claim()).unwrap();
        }
    }
    verify(&log.claim()).unwrap();
}

#[tokio::test]
async fn the_first_bad_record_is_named_by_file_line_and_number() {
    let log = Log::new();
    log.write(&log.settings(), 40).await;
    let file = &log.files()[1];
    let text = fs::read_to_string(&file.path).unwrap();
    let seq = file.first + 4;
    fs::write(
        &file.path,
        text.replacen(&format!("\"event.sequence\":{seq},"), &format!("\"event.sequence\":{seq}1,"), 1),
    )
    .unwrap();
    let said = refusal(&log.claim());
    assert!(
        said.starts_with(&format!("{}, line 5 (record {seq}): the record was altered", file.name())),
        "{said}"
    );
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    lines.remove(2);
    fs::write(&file.path, lines.concat()).unwrap();
    let (missing, next) = (file.first + 2, file.first + 3);
    let said = refusal(&log.claim());
    assert!(
        said.contains(&format!("line 3 (record {next}): the records {missing} to {missing} are missing")),
        "{said}"
    );
}

#[tokio::test]
async fn a_tail_that_was_cut_is_found_against_the_head_even_after_the_next_start() {
    let log = Log::new();
    log.write(&log.settings(), 5).await;
    let file = log.files()[0].path.clone();
    let text = fs::read_to_string(&file).unwrap();
    let kept: Vec<&str> = text.split_inclusive('\n').take(3).collect();
    fs::write(&file, kept.concat()).unwrap();
    assert!(refusal(&log.claim()).contains("the tail was cut"), "{}", refusal(&log.claim()));
    let blind = VerifyClaim { head: None, public_key: None, ..log.claim() };
    verify(&blind).unwrap();
    log.write(&log.settings(), 1).await;
    assert!(refusal(&blind).contains("are missing before it"), "{}", refusal(&blind));
}

#[tokio::test]
async fn a_log_made_anew_has_the_wrong_signature_or_none() {
    let log = Log::new();
    log.write(&log.settings(), 5).await;
    let forger = Log::new();
    forger.write(&forger.settings(), 5).await;
    let claim = VerifyClaim { directory: forger.at("audit"), head: None, ..log.claim() };
    assert!(refusal(&claim).contains("no checkpoint is signed by the given key"), "{}", refusal(&claim));
    let bare = Log::new();
    let unsigned = Settings { keeping: Keeping::default(), ..bare.settings() };
    bare.write(&unsigned, 5).await;
    let claim = VerifyClaim { directory: bare.at("audit"), head: None, public_key: None };
    assert!(verify(&claim).unwrap().to_string().contains("hashed, not signed"));
    let claim = VerifyClaim { public_key: Some(log.at("audit.key.pub")), ..claim };
    assert!(refusal(&claim).contains("no checkpoint is signed"));
    let claim = VerifyClaim { head: Some(forger.at("audit.head")), ..log.claim() };
    verify(&claim).unwrap_err();
}

#[tokio::test]
async fn a_wrong_signature_over_a_chain_that_holds_is_found() {
    let log = Log::new();
    log.write(&log.settings(), 5).await;
    let file = log.files()[0].path.clone();
    // All is chained anew after one byte of the signature was changed, as somebody would who has no key.
    let mut link = chain::Link::default();
    let mut forged = Vec::new();
    for line in fs::read_to_string(&file).unwrap().lines() {
        let (content, _) = line.split_once(",\"event.sequence\":").unwrap();
        let mut content = format!("{content}}}\n");
        if let Some(at) = content.find("\"winrm.signature\":\"") {
            let at = at + "\"winrm.signature\":\"".len();
            let other = if content.as_bytes()[at] == b'A' { "B" } else { "A" };
            content.replace_range(at..=at, other);
        }
        link.append(content.as_bytes(), &mut forged);
    }
    fs::write(&file, forged).unwrap();
    let claim = VerifyClaim { head: None, public_key: None, ..log.claim() };
    assert!(refusal(&claim).contains("signature is wrong"), "{}", refusal(&claim));
}

#[tokio::test]
async fn a_key_is_followed_by_the_one_that_it_endorsed_and_by_no_other() {
    let log = Log::new();
    log.write(&log.settings(), 3).await;
    sign::generate(&log.at("next.key"), Some(&log.at("audit.key"))).unwrap();
    let mut settings = log.settings();
    settings.keeping.signing_key = Some(log.at("next.key"));
    log.write(&settings, 3).await;
    let first = log.claim();
    let next = VerifyClaim { public_key: Some(log.at("next.key.pub")), ..log.claim() };
    assert!(verify(&first).unwrap().to_string().contains(", 0 after it"));
    assert!(verify(&next).unwrap().to_string().contains(", 0 after it"));
    sign::generate(&log.at("stranger.key"), None).unwrap();
    settings.keeping.signing_key = Some(log.at("stranger.key"));
    log.write(&settings, 3).await;
    assert!(refusal(&first).contains("has not endorsed it"), "{}", refusal(&first));
}

#[tokio::test]
async fn a_head_that_is_behind_is_no_alarm() {
    let log = Log::new();
    log.write(&log.settings(), 5).await;
    let behind = fs::read(log.at("audit.head")).unwrap();
    log.write(&log.settings(), 5).await;
    fs::write(log.at("audit.head"), behind).unwrap();
    verify(&log.claim()).unwrap();
}

#[tokio::test]
async fn files_are_removed_for_their_age_and_a_record_says_so() {
    let log = Log::new();
    log.write(&log.settings(), 40).await;
    let old = log.files();
    assert!(old.len() > 3);
    for file in &old[..2] {
        let file = fs::File::options().append(true).open(&file.path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000)).unwrap();
    }
    let mut settings = log.settings();
    settings.keeping.keep = Some(Duration::from_secs(86_400));
    log.write(&settings, 40).await;
    assert!(old[..2].iter().all(|file| !file.path.exists()));
    assert!(old[2].path.exists());
    verify(&log.claim()).unwrap();
    fs::remove_file(&old[2].path).unwrap();
    assert!(refusal(&log.claim()).contains("none says that they were removed"), "{}", refusal(&log.claim()));
}

#[tokio::test]
async fn a_log_rotation_from_outside_is_followed() {
    let log = Log::new();
    let audit = Audit::open(&log.settings()).unwrap();
    drop(audit.intend(pending(&audit, "a@X"), BeforeRun::Durable).await.unwrap());
    audit.flush().await.unwrap();
    let directory = log.at("audit");
    fs::rename(directory.join("audit.jsonl"), directory.join("audit.jsonl-20260101")).unwrap();
    audit.reopen();
    audit.flush().await.unwrap();
    assert!(directory.join("audit.jsonl").exists());
    drop(audit.intend(pending(&audit, "b@X"), BeforeRun::Durable).await.unwrap());
    audit.close().await.unwrap();
    assert_eq!(log.files().len(), 2);
    verify(&log.claim()).unwrap();
}

#[tokio::test]
async fn what_a_crash_left_is_kept_named_and_closed() {
    let log = Log::new();
    let audit = Audit::open(&log.settings()).unwrap();
    let recorded = audit.intend(pending(&audit, "alice@X"), BeforeRun::Durable).await.unwrap();
    let id = recorded.request_id().to_string();
    let directory = log.at("audit");
    let mut crashed = fs::read(directory.join("audit.jsonl")).unwrap();
    crashed.extend_from_slice(b"{\"@timestamp\":\"2026-");
    recorded.finish(&succeeded());
    audit.close().await.unwrap();
    fs::write(directory.join("audit.jsonl"), &crashed).unwrap();
    fs::remove_file(log.at("audit.head")).unwrap();
    log.write(&log.settings(), 1).await;
    let intact = verify(&log.claim()).unwrap().to_string();
    assert!(intact.contains("1 crashes or disk errors"), "{intact}");
    assert_eq!(fs::read(&log.files()[0].path).unwrap(), crashed);
    let lines = file(&directory);
    assert_eq!(lines[0]["event.action"], "recovered");
    assert_eq!(lines[0]["winrm.debris_bytes"], 20);
    let closed = &of_kind(&lines, "outcome")[0];
    assert_eq!((&closed["event.id"], &closed["winrm.result"]), (&id.into(), &"abandoned".into()));
    assert_eq!((&closed["user.name"], &closed["winrm.stage"]), (&"alice@X".into(), &"recovery".into()));
    let mut altered = crashed.clone();
    *altered.last_mut().unwrap() = b'7';
    fs::write(&log.files()[0].path, altered).unwrap();
    assert!(refusal(&log.claim()).contains("it was altered"));
}

#[tokio::test]
async fn a_record_that_was_altered_is_not_taken_for_a_crash() {
    for line in [0, 2, 5] {
        let log = Log::new();
        log.write(&log.settings(), 5).await;
        let path = log.at("audit/audit.jsonl");
        let text = fs::read_to_string(&path).unwrap();
        let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
        lines[line] = lines[line].replacen("CORP", "COPR", 1).replacen("key", "kye", 1);
        fs::write(&path, lines.concat()).unwrap();
        log.write(&log.settings(), 2).await;
        let said = refusal(&log.claim());
        assert!(said.contains(&format!("line {} ", line + 1)) && said.contains("altered"), "{line}: {said}");
    }
}

#[tokio::test]
async fn a_head_or_key_that_fails_turns_readiness_red_or_refuses_the_start() {
    let log = Log::new();
    fs::create_dir(log.at("heads")).unwrap();
    let mut settings = log.settings();
    settings.keeping.head = Some(log.at("heads/audit.head"));
    let audit = Audit::open(&settings).unwrap();
    drop(audit.intend(pending(&audit, "a@X"), BeforeRun::Durable).await.unwrap());
    assert!(audit.healthy());
    fs::remove_dir_all(log.at("heads")).unwrap();
    drop(audit.intend(pending(&audit, "b@X"), BeforeRun::Durable).await.unwrap());
    audit.flush().await.unwrap();
    let red = async {
        while audit.healthy() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), red).await.expect("health stays green without a head");
    audit.close().await.unwrap();
    settings.keeping.signing_key = Some(log.at("no.key"));
    assert!(matches!(Audit::open(&settings), Err(AuditError::Open { .. })));
    fs::write(log.at("audit.head"), b"garbage").unwrap();
    assert!(Audit::open(&log.settings()).is_err());
}

/// A file on a disk that takes half of what it is given, or does not sync, now and then.
struct Flaky(FileSink, Dice);

impl Sink for Flaky {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.1.below(5) > 0 {
            return self.0.append(lines);
        }
        let part = self.1.below(lines.len() + 1);
        self.0.append(&lines[..part])?;
        Err(io::ErrorKind::StorageFull.into())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.1.below(5) > 0 { self.0.sync() } else { Err(io::Error::other("input/output error")) }
    }

    fn recover(&mut self, next: u64) -> io::Result<Option<files::Debris>> {
        if self.1.below(5) > 0 { self.0.recover(next) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    fn size(&self) -> u64 {
        self.0.size()
    }

    fn rotate(&mut self, next: u64) -> io::Result<()> {
        self.0.rotate(next)
    }

    fn directory(&self) -> Option<&Path> {
        self.0.directory()
    }
}

#[tokio::test]
async fn threat_63_a_disk_that_fails_now_and_then_leaves_a_log_that_is_intact_and_lacks_nothing() {
    let log = Log::new();
    let settings = Settings { sync_deadline: Duration::from_secs(60), ..log.settings() };
    let head = HeadFile::open(&log.at("audit.head")).unwrap();
    let signer = Signer::read(&log.at("audit.key")).unwrap();
    let (sink, start) = FileSink::open(&log.at("audit"), chain::Link::default()).unwrap();
    let ledger = Ledger::new(settings.keeping.clone(), &start, Some(signer), Some(head));
    let sink = Box::new(Flaky(sink, Dice(63)));
    let audit = Audit::start_at(&settings, sink, ledger, Arc::new(SystemClock), &start).unwrap();
    for number in 0..60 {
        let pending = pending(&audit, &format!("user{number}@X"));
        audit.intend(pending, BeforeRun::Durable).await.unwrap().finish(&succeeded());
    }
    audit.close().await.unwrap();
    let intact = verify(&log.claim()).unwrap().to_string();
    assert!(intact.contains("crashes or disk errors"), "{intact}");
    let mut records = Records::open(&log.at("audit")).unwrap();
    let mut counts = (0, 0);
    while let Some(entry) = records.next().unwrap() {
        counts.0 += u32::from(entry.text("event.action") == "intent");
        counts.1 += u32::from(entry.text("event.action") == "outcome");
    }
    assert_eq!(counts, (60, 60), "each once");
}

#[tokio::test]
async fn threat_60_no_key_appears_in_what_is_written() {
    let log = Log::new();
    log.write(&log.settings(), 3).await;
    let pem = fs::read_to_string(log.at("audit.key")).unwrap();
    let secret = pem.lines().nth(1).unwrap();
    assert!(secret.len() > 20, "{pem}");
    for path in log
        .files()
        .iter()
        .map(|file| file.path.clone())
        .chain([log.at("audit.head"), log.at("audit.key.pub")])
    {
        assert!(!fs::read_to_string(&path).unwrap().contains(secret), "{}", path.display());
    }
}

/// Not run by itself: `cargo test --release --lib audit::tests::proof::cost -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "a measurement"]
async fn cost_of_a_record() {
    const RECORDS: u32 = 100_000;
    let log = Log::new();
    let audit = Audit::open(&Settings {
        max_pending: 1_000_000,
        ..Settings {
            keeping: Keeping { rotate_bytes: 1 << 30, checkpoint_records: 1000, ..log.settings().keeping },
            ..log.settings()
        }
    })
    .unwrap();
    let began = Instant::now();
    for _ in 0..RECORDS / 2 {
        audit
            .intend(pending(&audit, "alice@CORP.EXAMPLE"), BeforeRun::BestEffort)
            .await
            .unwrap()
            .finish(&succeeded());
    }
    let queued = began.elapsed();
    audit.flush().await.ok();
    eprintln!("queued in {:?} a record, on the disk in {:?}", queued / RECORDS, began.elapsed() / RECORDS);
    let began = Instant::now();
    verify(&log.claim()).map(drop).ok();
    eprintln!("verified in {:?} a record", began.elapsed() / RECORDS);
    audit.close().await.ok();
}

#[tokio::test]
async fn the_configuration_in_force_is_kept_beside_the_records() {
    let log = Log::new();
    let audit = Audit::open(&log.settings()).unwrap();
    audit.configured("0011223344556677", "{\"routes\":[]}").unwrap();
    audit.configured("0011223344556677", "{\"routes\":[]}").unwrap();
    audit.close().await.unwrap();
    let lines = file(&log.at("audit"));
    let record = of_kind(&lines, "configuration")[0];
    assert_eq!(record["winrm.generation"], "0011223344556677");
    let copy = log.at("audit").join(record["file.name"].as_str().unwrap());
    assert_eq!(fs::read_to_string(copy).unwrap(), "{\"routes\":[]}");
}
