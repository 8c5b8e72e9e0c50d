//! What does the program do, as a process of its own? [`Bench::synod`] runs it in the folder of a bench.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::{Bench, PATIENCE};
use synod::{
    event::Record,
    store::{Filter, RedbStore, Store},
    value::{SessionId, Tenant},
};

/// What a process said.
pub struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    /// Its stdout as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {:?}\n{}\n{}", self.code, self.stdout, self.stderr))
    }
}

/// The program with such arguments in a folder, with nothing of this machine's settings.
fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synod"));
    for name in ["SYNOD_STORE", "SYNOD_ORG", "SYNOD_USER", "SYNOD_LOG"] {
        command.env_remove(name);
    }
    command.current_dir(folder).args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the program in a folder to its end: its exit code, stdout and stderr.
pub fn synod(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let output = command(folder, args).env("NO_COLOR", "1").output().expect("the binary starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// What a program printed, as JSON.
#[track_caller]
pub fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("no JSON: {e}\n{text}"))
}

impl Bench {
    fn command(&self, args: &[&str]) -> Command {
        command(self.folder(), args)
    }

    /// Runs the program to its end.
    pub fn synod(&self, args: &[&str]) -> Said {
        let out = self.command(args).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { code: out.status.code(), stdout: text(out.stdout), stderr: text(out.stderr) }
    }

    /// Starts the program; nobody reads what it says.
    pub fn spawn(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// The store of the processes, as another process sees it.
    pub fn disk(&self) -> RedbStore {
        RedbStore::open(self.path(".synod")).unwrap()
    }

    /// Waits until the records of the only session that a process writes are such, or the process has ended.
    pub fn watch(&self, child: &mut Child, so: impl Fn(&[Record]) -> bool) -> SessionId {
        let (store, began) = (self.disk(), Instant::now());
        loop {
            assert!(began.elapsed() < PATIENCE, "the session never came that far");
            let rows = store.list(&Filter::of(&Tenant::default(), 1)).unwrap();
            if let Some(session) = rows.first().map(|row| row.session) {
                let records = store.read_all(session).unwrap_or_default();
                if so(&records) || child.try_wait().unwrap().is_some() {
                    return session;
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Kills a process with SIGKILL and waits for its end.
pub fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}
