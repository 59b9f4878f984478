//! Child processes that end with the value that stands for them.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// A running child and the file that its output goes to.
pub struct Process {
    child: Child,
    pub output: PathBuf,
}

impl Process {
    /// Starts `command` with its output in `output`.
    pub fn start(command: &mut Command, output: &Path) -> Self {
        let file = File::create(output).expect("the output file");
        let errors = file.try_clone().expect("a second handle");
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} can't be started: {error}"));
        Self { child, output: output.to_owned() }
    }

    /// Waits until `ready` gives something; fails when the process ends first or takes longer than 30 seconds.
    pub fn wait_for<T>(&mut self, what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(value) = ready() {
                return value;
            }
            if let Some(status) = self.child.try_wait().expect("the child's state") {
                panic!("ended with {status} before {what}:\n{}", self.log());
            }
            assert!(started.elapsed() < PATIENCE, "no {what} within {PATIENCE:?}:\n{}", self.log());
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends `signal` by its name, such as `TERM`.
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([format!("-{signal}"), self.pid().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill -{signal}");
    }

    /// Asks it to end and waits until it has.
    pub fn stop(&mut self) -> ExitStatus {
        if let Some(status) = self.child.try_wait().expect("the child's state") {
            return status;
        }
        self.signal("TERM");
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the child's state") {
                return status;
            }
            if started.elapsed() > PATIENCE {
                self.child.kill().expect("a kill");
                return self.child.wait().expect("its end");
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The lines that were added to a file after `from` bytes.
pub fn lines_after(path: &Path, from: u64) -> Vec<String> {
    let Ok(mut file) = File::open(path) else { return Vec::new() };
    file.seek(SeekFrom::Start(from)).expect("a position");
    let mut text = String::new();
    file.read_to_string(&mut text).expect("text");
    text.lines().map(str::to_owned).collect()
}

/// Runs `command` to its end and returns what it printed; fails loudly where it fails.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} can't be started: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?} ended with {}:\n{text}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

const PATIENCE: Duration = Duration::from_secs(30);
