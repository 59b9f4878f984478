//! `kill -9` at any moment.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use super::{proof::Log, *};

const DIRECTORY: &str = "WINRM_GATEWAY_TEST_WRITER";

/// Not a test of its own: what the test below starts, again and again, and kills.
#[test]
fn writer_that_is_to_be_killed() {
    let Some(parent) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let settings = Settings {
        keeping: Keeping {
            head: Some(parent.join("audit.head")),
            signing_key: Some(parent.join("audit.key")),
            checkpoint_records: 7,
            rotate_bytes: 30_000,
            ..Keeping::default()
        },
        sync_deadline: Duration::from_secs(60),
        ..Settings::new(parent.join("audit"))
    };
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap().block_on(
        async {
            let audit = Arc::new(Audit::open(&settings).unwrap());
            let tasks: Vec<_> = (0..4).map(|_| tokio::spawn(write_for_ever(Arc::clone(&audit)))).collect();
            for task in tasks {
                task.await.unwrap();
            }
        },
    );
}

async fn write_for_ever(audit: Arc<Audit>) {
    loop {
        let recorded = audit.intend(pending(&audit, "alice@X"), BeforeRun::Durable).await.unwrap();
        // One write of one line: the test reads what was acknowledged.
        let line = format!("acknowledged {}\n", recorded.request_id());
        io::Write::write_all(&mut io::stdout(), line.as_bytes()).unwrap();
        recorded.finish(&succeeded());
    }
}

#[test]
fn killed_at_a_hundred_moments_nothing_acknowledged_is_lost_and_the_log_stays_intact() {
    let log = Log::new();
    let mut acknowledged = Vec::new();
    for round in 0..100_usize {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "audit::tests::crash::writer_that_is_to_be_killed",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(DIRECTORY, log.at(""))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let wanted = round * 7 % 23;
        let mut seen = 0;
        while seen < wanted {
            let line = lines.next().expect("the writer lives").unwrap();
            // Where the harness has no line of its own before it, the word stands at the line's end.
            if let Some((_, id)) = line.split_once("acknowledged ") {
                acknowledged.push(id.to_owned());
                seen += 1;
            }
        }
        // Somewhere between two records, in a start, in a rotation: a few moments of the processor's own choice.
        for _ in 0..(round * 37 % 101) * 200 {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had said before it died counts as well.
        for line in lines.map_while(Result::ok) {
            if let Some((_, id)) = line.split_once("acknowledged ").filter(|(_, id)| id.len() == 32) {
                acknowledged.push(id.to_owned());
            }
        }
        verify_after_a_start(&log, round);
    }
    let mut intents = std::collections::HashMap::<String, (u32, u32)>::new();
    let mut records = Records::open(&log.at("audit")).unwrap();
    while let Some(entry) = records.next().unwrap() {
        let counts = intents.entry(entry.text("event.id").to_owned()).or_default();
        match entry.text("event.action") {
            "intent" => counts.0 += 1,
            "outcome" => counts.1 += 1,
            _ => {}
        }
    }
    assert!(acknowledged.len() > 500, "{} acknowledged", acknowledged.len());
    for id in &acknowledged {
        assert_eq!(intents.get(id), Some(&(1, 1)), "{id}: intents and outcomes");
    }
}

/// Verifies what the crash left, and again after a start has closed it.
fn verify_after_a_start(log: &Log, round: usize) {
    if log.at("audit.head").metadata().is_ok_and(|metadata| metadata.len() > 0) {
        let before = VerifyClaim { public_key: None, ..log.claim() };
        verify(&before).unwrap_or_else(|error| panic!("round {round}, before the start: {error}"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let audit =
            Audit::open(&Settings { sync_deadline: Duration::from_secs(60), ..log.settings() }).unwrap();
        audit.close().await.unwrap();
    });
    verify(&log.claim()).map(drop).unwrap_or_else(|error| panic!("round {round}: {error}"));
}
