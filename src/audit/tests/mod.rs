//! The record as a whole, over files that work and sinks that do not.

use std::{
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use serde_json::Value;
use tokio::sync::Notify;

use super::*;

mod crash;
mod proof;
mod schema;

/// What a sink does, decided by the test while it runs.
#[derive(Default)]
struct Disk {
    written: Mutex<Vec<u8>>,
    durable: Mutex<Vec<u8>>,
    /// How many bytes still fit; none means all.
    room: Mutex<Option<usize>>,
    failing_syncs: AtomicU64,
    syncs: AtomicU64,
    /// Held by a test to make the next sync wait.
    stall: Mutex<()>,
    failed: Notify,
}

impl Disk {
    fn lines(&self) -> Vec<Value> {
        parsed(&String::from_utf8(self.durable.lock().unwrap().clone()).unwrap())
    }

    fn give(&self, room: Option<usize>) {
        *self.room.lock().unwrap() = room;
    }
}

/// A disk that hangs until it is released.
struct Hung {
    end: std::sync::mpsc::Sender<()>,
    holder: JoinHandle<()>,
}

impl Hung {
    async fn on(disk: &Arc<Disk>) -> Self {
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let (held, ready) = oneshot::channel();
        let stalled = Arc::clone(disk);
        let holder = std::thread::spawn(move || {
            let _stall = stalled.stall.lock().unwrap();
            held.send(()).unwrap();
            ended.recv().unwrap_err();
        });
        ready.await.unwrap();
        Self { end, holder }
    }

    fn release(self) {
        drop(self.end);
        self.holder.join().unwrap();
    }
}

struct TestSink(Arc<Disk>);

impl Sink for TestSink {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut room = self.0.room.lock().unwrap();
        let fits = room.unwrap_or(lines.len()).min(lines.len());
        self.0.written.lock().unwrap().extend(&lines[..fits]);
        if let Some(room) = room.as_mut() {
            *room -= fits;
        }
        if fits < lines.len() {
            self.0.failed.notify_one();
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        drop(self.0.stall.lock().unwrap());
        let failing = &self.0.failing_syncs;
        if failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            // As Linux does: what was not yet on the disk is forgotten.
            *self.0.written.lock().unwrap() = self.0.durable.lock().unwrap().clone();
            self.0.failed.notify_one();
            return Err(io::Error::other("input/output error"));
        }
        self.0.syncs.fetch_add(1, Ordering::SeqCst);
        *self.0.durable.lock().unwrap() = self.0.written.lock().unwrap().clone();
        Ok(())
    }

    fn recover(&mut self, _next: u64) -> io::Result<Option<files::Debris>> {
        let torn = self.0.written.lock().unwrap().last().is_some_and(|byte| *byte != b'\n');
        if torn {
            self.append(b"\n")?;
        }
        let (written, durable) = (self.0.written.lock().unwrap(), self.0.durable.lock().unwrap());
        let tail = written.get(durable.len()..).unwrap_or_default();
        let debris = files::Debris { bytes: tail.len() as u64, sha256: chain::Hash::of(tail) };
        Ok(Some(debris).filter(|debris| debris.bytes > 0))
    }
}

/// The lines of `text` that are whole.
fn parsed(text: &str) -> Vec<Value> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn file(directory: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(directory.join(files::FILE_NAME)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

struct Noon;

impl Clock for Noon {
    fn now(&self) -> Duration {
        Duration::new(1_709_208_000, 42_000_000)
    }
}

fn on(disk: &Arc<Disk>, change: impl FnOnce(&mut Settings)) -> Audit {
    let mut settings = Settings::new("/nowhere");
    change(&mut settings);
    Audit::start(&settings, Box::new(TestSink(Arc::clone(disk))), Arc::new(Noon)).unwrap()
}

fn of_kind<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["event.action"] == kind).collect()
}

fn pending(audit: &Audit, principal: &str) -> Pending {
    let mut pending = audit.begin();
    pending.facts().principal = Some(principal.to_owned());
    pending.facts().route = Some("web".into());
    pending
}

fn succeeded() -> Outcome {
    Outcome { result: Ending::Succeeded, stage: "answer", status: Some(200), ..Outcome::default() }
}

#[tokio::test]
async fn a_request_leaves_its_intent_and_then_its_outcome_under_one_id() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("audit");
    let audit = Audit::open(&Settings::new(&directory)).unwrap();
    let mut recorded = audit.intend(pending(&audit, "alice@CORP.EXAMPLE"), BeforeRun::Durable).await.unwrap();
    let id = recorded.request_id().to_string();
    let intents = file(&directory);
    assert_eq!(intents.len(), 1, "the intent is in the file before anything may run");
    assert_eq!(intents[0]["event.action"], "intent");
    assert_eq!(intents[0]["winrm.durable"], true);
    recorded.facts().shell_id = Some("S1".to_owned());
    recorded.finish(&Outcome {
        exit_code: Some(3),
        durations: vec![("exchange", Duration::from_micros(1500))],
        ..succeeded()
    });
    audit.close().await.unwrap();
    let lines = file(&directory);
    assert_eq!(lines.len(), 2);
    let outcome = &lines[1];
    assert_eq!(
        (&outcome["event.action"], &outcome["event.id"]),
        (&"outcome".into(), &Value::from(id.clone()))
    );
    assert_eq!(lines[0]["event.id"], id.as_str());
    assert_eq!(id.len(), 32);
    assert_eq!(outcome["user.name"], "alice@CORP.EXAMPLE");
    assert_eq!(outcome["winrm.intended"], true);
    assert_eq!(outcome["winrm.shell_id"], "S1");
    assert_eq!(outcome["winrm.result"], "succeeded");
    assert_eq!(outcome["winrm.stages_us"]["exchange"], 1500);
    assert_eq!(outcome.get("winrm.fault_code"), None);
}

#[tokio::test]
async fn threat_61_whatever_a_peer_sends_every_event_is_one_line_that_says_what_it_is() {
    let disk = Arc::new(Disk::default());
    let audit = on(&disk, |_| ());
    let hostile = [
        "\r\n{\"record\":\"outcome\",\"result\":\"succeeded\"}\n",
        "\",\"result\":\"succeeded\",\"x\":\"",
        "\u{1b}[2J\u{85}\u{2028}\u{202e}\0",
    ];
    for text in hostile {
        let mut pending = pending(&audit, text);
        let facts = pending.facts();
        for field in [
            &mut facts.host,
            &mut facts.action,
            &mut facts.shell_id,
            &mut facts.message_id,
            &mut facts.client,
        ] {
            *field = Some(text.to_owned());
        }
        let refused = Outcome { result: Ending::Refused, text: Some(text.to_owned()), ..succeeded() };
        audit.intend(pending, BeforeRun::Durable).await.unwrap().finish(&refused);
    }
    audit.flush().await.unwrap();
    let raw = String::from_utf8(disk.durable.lock().unwrap().clone()).unwrap();
    assert_eq!(raw.lines().count(), 2 * hostile.len());
    assert!(!raw.chars().any(|c| c.is_control() && c != '\n'), "{raw}");
    let lines = disk.lines();
    for (pair, text) in lines.chunks(2).zip(hostile) {
        assert_eq!(
            (&pair[0]["event.action"], &pair[1]["event.action"]),
            (&"intent".into(), &"outcome".into())
        );
        assert_eq!(pair[1]["winrm.result"], "refused");
        for field in [
            "user.name",
            "destination.domain",
            "winrm.action",
            "winrm.shell_id",
            "winrm.message_id",
            "source.address",
            "error.message",
        ] {
            assert_eq!(pair[1][field], text, "{field}");
        }
    }
}

#[tokio::test]
async fn a_request_that_is_dropped_is_recorded_as_abandoned_once() {
    let disk = Arc::new(Disk::default());
    let audit = on(&disk, |_| ());
    drop(audit.intend(pending(&audit, "a@X"), BeforeRun::Durable).await.unwrap());
    drop(pending(&audit, "b@X"));
    pending(&audit, "c@X").finish(&Outcome {
        result: Ending::Refused,
        stage: "policy",
        reason: "no_rule",
        blame: Some(Blame::Client),
        status: Some(403),
        ..Outcome::default()
    });
    audit.flush().await.unwrap();
    let lines = disk.lines();
    let outcomes: Vec<_> = of_kind(&lines, "outcome")
        .iter()
        .map(|line| {
            (
                line["user.name"].to_string(),
                line["winrm.result"].to_string(),
                line["winrm.intended"].to_string(),
            )
        })
        .collect();
    let expected = [
        ("\"a@X\"", "\"abandoned\"", "true"),
        ("\"b@X\"", "\"abandoned\"", "false"),
        ("\"c@X\"", "\"refused\"", "false"),
    ];
    assert_eq!(outcomes, expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned())));
    assert_eq!(lines[0]["@timestamp"], "2024-02-29T12:00:00.042Z");
}

#[tokio::test]
async fn a_failed_connection_has_its_own_record() {
    let disk = Arc::new(Disk::default());
    let audit = on(&disk, |_| ());
    audit.connection_failed(&ConnectionFailure {
        listener: Some("fleet".into()),
        client: Some("192.0.2.7:4711".parse().unwrap()),
        reason: "tls_handshake",
        detail: "unknown ca\n".to_owned(),
    });
    audit.flush().await.unwrap();
    let line = &disk.lines()[0];
    assert_eq!(line["event.action"], "connection");
    assert_eq!(line["source.address"], "192.0.2.7:4711");
    assert_eq!(line["error.message"], "unknown ca\n");
}

#[tokio::test]
async fn many_intents_at_once_share_a_few_syncs() {
    let disk = Arc::new(Disk::default());
    let audit = Arc::new(on(&disk, |_| ()));
    let hung = Hung::on(&disk).await;
    let tasks: Vec<_> = (0..64)
        .map(|number| {
            let audit = Arc::clone(&audit);
            tokio::spawn(async move {
                let pending = pending(&audit, &format!("user{number}@X"));
                audit.intend(pending, BeforeRun::Durable).await.unwrap().finish(&succeeded());
            })
        })
        .collect();
    while audit.stats().pending < 64 {
        tokio::task::yield_now().await;
    }
    hung.release();
    for task in tasks {
        task.await.unwrap();
    }
    audit.flush().await.unwrap();
    assert_eq!(of_kind(&disk.lines(), "intent").len(), 64);
    let syncs = disk.syncs.load(Ordering::SeqCst);
    assert!(syncs <= 5, "{syncs} syncs for 64 intents");
    let stats = audit.stats();
    assert_eq!((stats.records, stats.syncs, stats.pending, stats.failures), (128, syncs, 0, 0));
}

#[tokio::test]
async fn threat_63_where_the_disk_is_full_the_request_is_refused_in_time_and_nothing_acknowledged_is_lost() {
    let disk = Arc::new(Disk::default());
    let audit = on(&disk, |settings| settings.sync_deadline = Duration::from_millis(300));
    let before = audit.intend(pending(&audit, "before@X"), BeforeRun::Durable).await.unwrap();
    disk.give(Some(25));
    let began = Instant::now();
    let refused = audit.intend(pending(&audit, "during@X"), BeforeRun::Durable).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(1));
    assert!(matches!(refused.error, AuditError::Deadline(_)));
    assert!(!audit.healthy());
    refused.pending.finish(&Outcome {
        result: Ending::Refused,
        stage: "audit",
        status: Some(503),
        ..Outcome::default()
    });
    before.finish(&succeeded());
    disk.give(None);
    audit.intend(pending(&audit, "after@X"), BeforeRun::Durable).await.unwrap().finish(&succeeded());
    audit.flush().await.unwrap();
    assert!(audit.healthy());
    let lines = disk.lines();
    let outcomes: Vec<_> = of_kind(&lines, "outcome").iter().map(|line| line["user.name"].clone()).collect();
    assert_eq!(outcomes, ["during@X", "before@X", "after@X"]);
    let intents: Vec<_> = of_kind(&lines, "intent").iter().map(|line| line["user.name"].clone()).collect();
    assert_eq!(intents, ["before@X", "after@X"], "an intent that was refused is not written later");
    let text = String::from_utf8(disk.durable.lock().unwrap().clone()).unwrap();
    let torn = text.lines().filter(|line| serde_json::from_str::<Value>(line).is_err()).count();
    assert_eq!(torn, 1, "the torn line stands apart: {text}");
}

#[tokio::test]
async fn threat_63_a_disk_that_hangs_refuses_in_time_and_turns_health_red() {
    let disk = Arc::new(Disk::default());
    let audit = on(&disk, |settings| settings.sync_deadline = Duration::from_millis(500));
    let hung = Hung::on(&disk).await;
    let refused = audit.intend(pending(&audit, "a@X"), BeforeRun::Durable).await.unwrap_err();
    assert!(matches!(refused.error, AuditError::Deadline(_)));
    // The writer began a little after the request did, and has its own time to be late.
    let red = async {
        while audit.healthy() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), red).await.expect("health stays green");
    drop(refused);
    hung.release();
    audit.intend(pending(&audit, "b@X"), BeforeRun::Durable).await.unwrap().finish(&succeeded());
    assert!(audit.healthy());
}

#[tokio::test]
async fn after_a_failed_sync_everything_unsynced_is_written_again() {
    let disk = Arc::new(Disk::default());
    let audit = on(&disk, |_| ());
    disk.failing_syncs.store(2, Ordering::SeqCst);
    let recorded = audit.intend(pending(&audit, "a@X"), BeforeRun::Durable).await.unwrap();
    assert_eq!(of_kind(&disk.lines(), "intent").len(), 1, "acknowledged means durable");
    recorded.finish(&succeeded());
    audit.flush().await.unwrap();
    assert_eq!(of_kind(&disk.lines(), "outcome").len(), 1);
    assert_eq!(audit.stats().failures, 2);
}

#[tokio::test]
async fn a_best_effort_intent_runs_while_the_disk_is_full_and_says_so() {
    let disk = Arc::new(Disk::default());
    let audit = on(&disk, |_| ());
    disk.give(Some(0));
    let recorded = audit.intend(pending(&audit, "a@X"), BeforeRun::BestEffort).await.unwrap();
    recorded.finish(&succeeded());
    disk.failed.notified().await;
    disk.give(None);
    audit.flush().await.unwrap();
    let lines = disk.lines();
    assert_eq!(of_kind(&lines, "intent")[0]["winrm.durable"], false);
    assert_eq!(of_kind(&lines, "outcome").len(), 1);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_or_counted_and_the_gap_is_told() {
    let disk = Arc::new(Disk::default());
    let audit = on(&disk, |settings| settings.max_pending = 8);
    let owed = audit.intend(pending(&audit, "owed@X"), BeforeRun::Durable).await.unwrap();
    disk.give(Some(0));
    for _ in 0..20 {
        pending(&audit, "stranger@X").finish(&succeeded());
    }
    let mut taken = 0;
    while audit.stats().pending < 8 {
        drop(audit.intend(pending(&audit, "quiet@X"), BeforeRun::BestEffort).await.unwrap());
        taken += 1;
    }
    assert_eq!(taken, 2, "strangers leave a quarter to intents");
    let refused = audit.intend(pending(&audit, "late@X"), BeforeRun::Durable).await.unwrap_err();
    assert!(matches!(refused.error, AuditError::Full));
    drop(refused);
    owed.finish(&succeeded());
    disk.give(None);
    audit.flush().await.unwrap();
    audit.flush().await.unwrap();
    let lines = disk.lines();
    assert_eq!(of_kind(&lines, "outcome").iter().filter(|line| line["user.name"] == "owed@X").count(), 1);
    assert_eq!(of_kind(&lines, "outcome").iter().filter(|line| line["user.name"] == "stranger@X").count(), 6);
    let lost: u64 = of_kind(&lines, "gap").iter().map(|line| line["winrm.lost"].as_u64().unwrap()).sum();
    assert_eq!(lost, audit.stats().lost);
    assert_eq!(lost, 14 + 2 + 2, "strangers, what the quiet and the late left behind");
    assert_eq!(audit.stats().pending, 0);
}

#[tokio::test]
async fn an_outcome_reaches_the_disk_though_nothing_follows_it() {
    let disk = Arc::new(Disk::default());
    let audit = on(&disk, |_| ());
    let synced = Arc::new(Notify::new());
    let told = Arc::clone(&synced);
    audit.on_sync(Box::new(move |_| told.notify_one()));
    pending(&audit, "a@X").finish(&succeeded());
    synced.notified().await;
    assert_eq!(disk.lines().len(), 1);
}

#[tokio::test]
async fn a_record_that_was_open_when_the_directory_vanished_is_written_once_it_is_back() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("audit");
    let aside = parent.path().join("aside");
    let audit =
        Audit::open(&Settings { sync_deadline: Duration::from_millis(300), ..Settings::new(&directory) })
            .unwrap();
    let recorded = audit.intend(pending(&audit, "a@X"), BeforeRun::Durable).await.unwrap();
    std::fs::rename(&directory, &aside).unwrap();
    let refused = audit.intend(pending(&audit, "b@X"), BeforeRun::Durable).await.unwrap_err();
    assert!(matches!(refused.error, AuditError::Deadline(_)));
    recorded.finish(&succeeded());
    std::fs::rename(&aside, &directory).unwrap();
    refused.pending.finish(&succeeded());
    audit.close().await.unwrap();
    let lines = file(&directory);
    assert_eq!(of_kind(&lines, "intent").len(), 1);
    assert_eq!(of_kind(&lines, "outcome").len(), 2);
}

#[tokio::test]
async fn after_close_the_directory_is_free_and_a_late_request_harms_nobody() {
    let parent = tempfile::tempdir().unwrap();
    let audit = Audit::open(&Settings::new(parent.path().join("audit"))).unwrap();
    let late = pending(&audit, "late@X");
    audit.close().await.unwrap();
    late.finish(&succeeded());
    let audit = Audit::open(&Settings::new(parent.path().join("audit"))).unwrap();
    assert!(audit.healthy());
}
