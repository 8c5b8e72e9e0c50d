//! How does a child process live, and how does it die? [`Launch`] starts one in a process group of its own, [`Group`] ends all of it.
//!
//! Nothing that the engine starts outlives it. A group dies when its [`Group`] is dropped: the processes in it, and those that left
//! it but carry the mark that it put into their environment. If the engine is killed, the kernel kills the child (Linux), and a
//! guard, a shell that waits for the engine's end of a pipe to close, kills the rest. What may try to get away, because an agent wrote it,
//! has a [supervisor](supervise) in place of the guard, from which nothing gets away (Linux).

#![expect(unsafe_code, reason = "what a child does between fork and exec, and signals to groups, are bare system calls")]

#[cfg(target_os = "linux")]
mod census;
mod confine;
mod spawner;
#[cfg(target_os = "linux")]
mod supervise;
/// There is no supervisor where orphans go to nobody in particular.
#[cfg(not(target_os = "linux"))]
mod supervise {
    pub(super) fn is_possible() -> bool {
        false
    }

    pub(super) fn split() -> std::io::Result<()> {
        Ok(())
    }
}

use std::{ffi::OsString, io, path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use tokio::process::{Child, ChildStdin, Command};
use uuid::Uuid;

pub use confine::{Abilities, LANDLOCK_TCP};
pub(super) use confine::{Confinement, Policy, abilities};

/// The variable that marks what belongs to a group.
const MARK: &str = "SYNOD_JOB";
/// Rounds of looking for marked processes: each kills what was forked during the one before.
#[cfg(target_os = "linux")]
const ROUNDS: usize = 20;
/// What the guard does: waits until the engine closes the pipe or dies, then kills the group and all that carry the mark.
const GUARD: &str = r#"trap '' HUP INT TERM QUIT
read -r _
kill -9 -- "-$1" 2>/dev/null
for round in 1 2 3 4 5; do
  found=
  for file in $(grep -lsF "$2" /proc/[0-9]*/environ 2>/dev/null); do
    pid=${file#/proc/}
    kill -9 "${pid%/environ}" 2>/dev/null && found=1
  done
  [ -n "$found" ] || break
done"#;

/// What to start.
pub(super) struct Launch {
    /// The program, looked up in the `PATH` of `env`.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// Where it starts.
    pub folder: PathBuf,
    /// Whether it is given a pipe to read from; nothing otherwise.
    pub stdin: bool,
    /// What it may use up.
    pub limits: Limits,
    /// What it may reach; everything where there is none.
    pub confinement: Option<Confinement>,
    /// Whether a supervisor stands over it, where the kernel has what that takes. Its own output ends only when all that it started has
    /// ended, and it holds a copy of the engine's memory: not for what lives long.
    pub supervised: bool,
}

/// What a child and its children may use up.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    /// Bytes of memory, of all together and of each.
    pub memory: Option<u64>,
    /// Processes in all.
    pub processes: Option<u64>,
    /// Processor time of each.
    pub cpu: Option<Duration>,
}

/// A child that runs.
pub(super) struct Running {
    /// All that it starts. Dropping it kills them; that comes first, because without a supervisor they would be nobody's.
    pub group: Group,
    /// The child; its output is piped.
    pub child: Child,
}

/// A process group and what left it. Killed when dropped.
pub(super) struct Group {
    id: i32,
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "marks are looked for in /proc"))]
    mark: Arc<str>,
    /// Whether the child is a supervisor, and all that the group started descend from it.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "there are no supervisors"))]
    supervised: bool,
    /// The guard, with the end of its pipe that keeps it waiting.
    guard: Option<(Child, Option<ChildStdin>)>,
}

impl Launch {
    /// Starts it.
    ///
    /// # Errors
    /// There is no such program or folder, or the system refuses.
    pub(super) async fn start(self) -> io::Result<Running> {
        let mark: Arc<str> = Arc::from(format!("{MARK}={}", Uuid::now_v7().simple()));
        spawner::on_spawner(move || self.spawn(mark)).await
    }

    fn spawn(self, mark: Arc<str>) -> io::Result<Running> {
        let mut command = Command::new(&self.program);
        command.args(&self.args).env_clear().envs(self.env).current_dir(&self.folder).process_group(0).kill_on_drop(true);
        if let Some((name, value)) = mark.split_once('=') {
            command.env(name, value);
        }
        command.stdin(if self.stdin { Stdio::piped() } else { Stdio::null() }).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (limits, confinement) = (self.limits, self.confinement);
        let engine = std::process::id();
        let supervised = self.supervised && supervise::is_possible();
        // SAFETY: between fork and exec the closure makes system calls only; it neither allocates nor takes a lock.
        unsafe {
            command.pre_exec(move || {
                die_with(engine)?;
                close_files()?;
                if supervised {
                    supervise::split()?;
                }
                limits.apply()?;
                confinement.as_ref().map_or(Ok(()), Confinement::apply)
            });
        }
        let child = command.spawn()?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).ok_or_else(|| io::Error::other("the child has no id"))?;
        let guard = if supervised { None } else { guard(id, &mark) };
        Ok(Running { child, group: Group { id, mark, supervised, guard } })
    }
}

/// Starts the guard of a group. Without one the group still dies with its handle, and the child with the engine.
fn guard(group: i32, mark: &str) -> Option<(Child, Option<ChildStdin>)> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", GUARD, "synod-guard"]).arg(group.to_string()).arg(mark).env_clear().env("PATH", "/usr/bin:/bin");
    command.current_dir("/").process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().inspect_err(|e| tracing::debug!("no guard: {e}")).ok()?;
    let pipe = child.stdin.take();
    Some((child, pipe))
}

impl Group {
    /// Kills all of it.
    pub(super) fn kill(&self) {
        #[cfg(target_os = "linux")]
        if self.supervised {
            self.kill_descendants();
        }
        // SAFETY: kill(2) has no memory effects. The group has the id of a child that this process started and named its leader.
        unsafe {
            libc::kill(-self.id, libc::SIGKILL);
        }
        #[cfg(target_os = "linux")]
        for _ in 0..ROUNDS {
            let left = census::marked(&self.mark);
            if left.is_empty() {
                break;
            }
            for id in left {
                // SAFETY: as above; the process carries the mark of this group.
                unsafe {
                    libc::kill(id, libc::SIGKILL);
                }
            }
        }
    }

    /// Kills all that descend from the supervisor, before it itself is killed: without it they would be nobody's.
    #[cfg(target_os = "linux")]
    fn kill_descendants(&self) {
        for round in 0..ROUNDS {
            let left = census::below(self.id);
            if left.is_empty() {
                break;
            }
            // What is stopped starts nothing new, so that the next look finds all.
            let signal = if round == 0 { libc::SIGSTOP } else { libc::SIGKILL };
            for id in left {
                // SAFETY: kill(2) has no memory effects; the process descends from a child that this process started and has not waited for.
                unsafe {
                    libc::kill(id, signal);
                }
            }
        }
    }

    /// Why it must end: it uses more than `limits` allows. Always `None` where nobody counts.
    pub(super) fn excess(&self, limits: &Limits) -> Option<String> {
        #[cfg(target_os = "linux")]
        {
            let used = if self.supervised { census::below_used(self.id) } else { census::of_group(self.id) };
            if limits.processes.is_some_and(|limit| used.processes > limit) {
                return Some(format!("it started more than {} processes", limits.processes.unwrap_or_default()));
            }
            if limits.memory.is_some_and(|limit| used.memory > limit) {
                return Some(format!("it used more than {} MiB of memory", limits.memory.unwrap_or_default() >> 20));
            }
        }
        #[cfg(not(target_os = "linux"))]
        let _ = limits;
        None
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
        if let Some((guard, pipe)) = &mut self.guard {
            // A guard that has gone already needs no killing.
            let _ = guard.start_kill();
            drop(pipe.take());
        }
    }
}

impl Limits {
    /// Lowers the limits of this process. Called between fork and exec.
    fn apply(&self) -> io::Result<()> {
        let lower = |resource, limit: u64| {
            let limit = libc::rlimit { rlim_cur: limit as libc::rlim_t, rlim_max: limit as libc::rlim_t };
            // SAFETY: the pointer is to a value that outlives the call.
            let _ = unsafe { libc::setrlimit(resource, &limit) };
        };
        // A lower limit than ours may be in force already, so a refusal is no error.
        lower(libc::RLIMIT_CORE, 0);
        if let Some(memory) = self.memory {
            lower(libc::RLIMIT_DATA, memory);
        }
        if let Some(cpu) = self.cpu {
            lower(libc::RLIMIT_CPU, cpu.as_secs().saturating_add(1));
        }
        Ok(())
    }
}

/// Has the kernel kill this process when the thread that started it ends. Called between fork and exec.
#[cfg(target_os = "linux")]
fn die_with(engine: u32) -> io::Result<()> {
    // SAFETY: prctl and getppid have no memory effects here.
    unsafe {
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) != 0 {
            return Err(io::Error::last_os_error());
        }
        // The engine may have died in between.
        if u32::try_from(libc::getppid()).is_ok_and(|parent| parent != engine && parent != 0) {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn die_with(_engine: u32) -> io::Result<()> {
    Ok(())
}

/// Keeps files that this process inherited without asking from the child. Called between fork and exec.
#[cfg(target_os = "linux")]
fn close_files() -> io::Result<()> {
    // SAFETY: it only marks descriptors, which close at exec. A kernel without it leaves those open that nobody marked.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn close_files() -> io::Result<()> {
    Ok(())
}
