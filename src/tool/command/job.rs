//! How is a command run? [`Job`]: one process and all that it starts, within limits, until it ends or has to.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::io::AsyncWriteExt;

use super::{MEMORY, PROCESSES, output::Output, scratch::Scratch};
use crate::{
    tool::{
        CallContext, Outcome,
        process::{Confinement, Launch, Limits, Policy, Running},
    },
    value::{Failure, FailureKind, Value},
};

/// Bytes that a command may write in all: what is over is thrown away, but not for ever.
const WRITES: u64 = 64 << 20;
/// How often the use of memory and processes is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How long to wait for the rest of the output once everything is dead.
const REST: Duration = Duration::from_secs(1);
/// Variables of the engine's environment that commands get.
const INHERITED: &[&str] = &["PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ"];
/// Where programs are looked for, where the engine has no `PATH`.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What to run.
pub(super) struct Job {
    /// The name of the tool.
    pub tool: Arc<str>,
    /// The program.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Where it runs.
    pub folder: PathBuf,
    /// Variables that it gets beside the usual ones.
    pub env: Vec<(OsString, OsString)>,
    /// How long it may take.
    pub timeout: Duration,
    /// Whether it may use the network.
    pub network: bool,
    /// Files and folders that it may read beside those of the session.
    pub read: Vec<PathBuf>,
    /// Exit statuses that are no failure.
    pub success: Vec<i32>,
    /// What it is given to read; nothing where it is empty.
    pub input: Vec<u8>,
}

/// Why a command ended.
enum End {
    Exited(io::Result<ExitStatus>),
    TooLong,
    Stopped(Failure),
    TooMuch(String),
}

/// Where the program of a command is, as a command that runs in `folder` finds it.
pub(super) fn find(program: &str, folder: &Path) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(folder.join(program)).filter(|path| is_executable(path));
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| PATH.into());
    std::env::split_paths(&path).map(|place| folder.join(place).join(program)).find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

impl Job {
    /// Runs it for that call.
    ///
    /// # Errors
    /// `exit` for a status other than success, `timeout`, `cancelled`, `limit` for too much memory, processes or output, `tool` where
    /// it cannot be started.
    pub(super) async fn run(mut self, call: &CallContext) -> Outcome {
        call.stop.check()?;
        let scratch = Scratch::new().map_err(|e| self.cannot_start(&format!("make a folder for it: {e}")))?;
        let limits = Limits { memory: Some(MEMORY), processes: Some(PROCESSES), cpu: Some(self.timeout) };
        let launch = self.launch(call, &scratch, limits)?;
        let began = Instant::now();
        let mut running = launch.start().await.map_err(|e| self.not_started(&e))?;
        if let Some(mut pipe) = running.child.stdin.take() {
            let input = std::mem::take(&mut self.input);
            // Whoever does not read it to its end has no use for it. The pipe breaks when the command ends.
            tokio::spawn(async move { pipe.write_all(&input).await });
        }
        let (mut stdout, mut stderr) = (Output::default(), Output::default());
        let end = self.wait(call, &mut running, &limits, &mut stdout, &mut stderr).await;
        let Running { child: _child, group } = running;
        drop(group);
        self.outcome(end, began.elapsed(), &stdout, &stderr)
    }

    fn launch(&self, call: &CallContext, scratch: &Scratch, limits: Limits) -> Result<Launch, Failure> {
        let mut policy = Policy { read: self.read.clone(), write: vec![scratch.path().to_owned()], network: self.network };
        for (path, writable) in call.roots.reach() {
            if writable { policy.write.push(path) } else { policy.read.push(path) }
        }
        let confinement = Confinement::of(&policy).map_err(|e| self.cannot_start(&format!("confine it: {e}")))?;
        let home = scratch.path().as_os_str().to_owned();
        let mut env: Vec<(OsString, OsString)> = vec![("PATH".into(), PATH.into()), ("LANG".into(), "C.UTF-8".into())];
        env.extend(INHERITED.iter().filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?))));
        env.extend([("HOME".into(), home.clone()), ("TMPDIR".into(), home), ("SYNOD_KEY".into(), (*call.key).into())]);
        env.extend(self.env.iter().cloned());
        Ok(Launch {
            program: self.program.clone(),
            args: self.args.clone(),
            env,
            folder: self.folder.clone(),
            stdin: !self.input.is_empty(),
            limits,
            confinement: Some(confinement),
            supervised: true,
        })
    }

    async fn wait(
        &self,
        call: &CallContext,
        running: &mut Running,
        limits: &Limits,
        stdout: &mut Output,
        stderr: &mut Output,
    ) -> End {
        let (Some(mut out), Some(mut err)) = (running.child.stdout.take(), running.child.stderr.take()) else {
            return End::Exited(Err(io::Error::other("its output cannot be read")));
        };
        let mut looks = tokio::time::interval(LOOK);
        let deadline = tokio::time::sleep(self.timeout);
        tokio::pin!(deadline);
        let mut within = async || tokio::try_join!(stdout.read(&mut out, WRITES), stderr.read(&mut err, WRITES));
        let mut reading = std::pin::pin!(within());
        let mut read = false;
        let end = loop {
            tokio::select! {
                biased;
                status = running.child.wait() => break End::Exited(status),
                failure = call.stop.stopped() => break End::Stopped(failure),
                () = &mut deadline => break End::TooLong,
                fits = &mut reading, if !read => {
                    read = true;
                    if fits.is_err() {
                        break End::TooMuch(format!("it wrote more than {} MiB", WRITES >> 20));
                    }
                }
                _ = looks.tick() => if let Some(excess) = running.group.excess(limits) {
                    break End::TooMuch(excess);
                }
            }
        };
        // Whoever still holds the pipes dies first, so that they end.
        running.group.kill();
        if !read {
            let _ = tokio::time::timeout(REST, reading).await;
        }
        end
    }

    fn outcome(&self, end: End, took: Duration, stdout: &Output, stderr: &Output) -> Outcome {
        let status = match end {
            End::Exited(Ok(status)) => status,
            End::Exited(Err(error)) => {
                return Err(self.failure(FailureKind::Tool, &format!("its end is unknown: {error}"), stdout, stderr));
            }
            End::Stopped(failure) => {
                return Err(self.failure(failure.kind, "it was killed: the call ended before it did", stdout, stderr));
            }
            End::TooLong => {
                let why = format!("it was killed after {} s", self.timeout.as_secs());
                return Err(self.failure(FailureKind::Timeout, &why, stdout, stderr));
            }
            End::TooMuch(why) => return Err(self.failure(FailureKind::Limit, &format!("it was killed: {why}"), stdout, stderr)),
        };
        let (code, why) = said(status);
        if !self.success.contains(&code) {
            let mut failure = self.failure(FailureKind::Exit, &why, stdout, stderr);
            failure.status = Some(i64::from(code));
            return Err(failure);
        }
        let millis = i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
        Ok(Value::map([
            ("status", Value::from(i64::from(code))),
            ("stdout", Value::text(stdout.text())),
            ("stderr", Value::text(stderr.text())),
            ("milliseconds", Value::Int(millis)),
        ]))
    }

    /// A failure that shows what the command said.
    fn failure(&self, kind: FailureKind, why: &str, stdout: &Output, stderr: &Output) -> Failure {
        let mut message = format!("{} failed: {why}", self.tool);
        for (name, output) in [("stderr", stderr), ("stdout", stdout)] {
            let text = output.text();
            let text = text.trim_end();
            if !text.is_empty() {
                message.push_str(&format!("\n{name}:\n{}", ends(text)));
            }
        }
        Failure::new(kind, message)
    }

    fn cannot_start(&self, why: &str) -> Failure {
        Failure::new(FailureKind::Tool, format!("{} cannot be started: {why}", self.tool))
    }

    fn not_started(&self, error: &io::Error) -> Failure {
        let program = self.program.to_string_lossy();
        match error.kind() {
            io::ErrorKind::NotFound if !self.folder.is_dir() => {
                self.cannot_start(&format!("there is no folder {}", self.folder.display()))
            }
            io::ErrorKind::NotFound => self.cannot_start(&format!("there is no program `{program}` on this machine; install it")),
            io::ErrorKind::PermissionDenied => self.cannot_start(&format!("`{program}` may not be executed")),
            _ => self.cannot_start(&error.to_string()),
        }
    }
}

/// Characters of an output that a failure shows, from each end.
const SHOWN: usize = 4_000;

fn ends(text: &str) -> String {
    if text.len() <= 2 * SHOWN {
        return text.to_owned();
    }
    let (head, tail) = (text.floor_char_boundary(SHOWN), text.ceil_char_boundary(text.len() - SHOWN));
    format!("{}\n[… {} bytes left out …]\n{}", &text[..head], tail - head, &text[tail..])
}

/// The exit status as shells count it, and in words.
fn said(status: ExitStatus) -> (i32, String) {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        let hint = match signal {
            libc::SIGKILL => " (killed: out of memory, or by itself)",
            libc::SIGXCPU => " (it used up its processor time)",
            libc::SIGSEGV => " (it crashed)",
            _ => "",
        };
        return (128 + signal, format!("it was ended by signal {signal}{hint}"));
    }
    let code = status.code().unwrap_or(-1);
    (code, format!("exit status {code}"))
}
