//! Who stays behind when a command ends, to end what it started? A supervisor: the process between the engine and the command (Linux).
//!
//! Whatever leaves its parent, its group, its session and its environment is still a descendant of the supervisor, because the kernel gives
//! orphans to it. It kills them all when the command ends, when the engine dies, and when it is told to; then it ends as the command did.
//!
//! Deliberately absent: anything but system calls. The supervisor is a copy of an engine with many threads, of which it is one.

use std::{ffi::CStr, io, mem::MaybeUninit, path::Path, ptr, sync::OnceLock};

/// The list of a process's own children, which not every kernel has.
const CHILDREN: &CStr = c"/proc/thread-self/children";
/// Bytes of that list that are read at once.
const LIST: usize = 4096;
/// Rounds of killing, a millisecond each, before what cannot be killed is left alone.
const ROUNDS: u32 = 10_000;

/// Whether this kernel lets a process see its children.
pub(super) fn is_possible() -> bool {
    static POSSIBLE: OnceLock<bool> = OnceLock::new();
    *POSSIBLE.get_or_init(|| CHILDREN.to_str().is_ok_and(|path| Path::new(path).exists()))
}

/// Makes two processes of this one: the supervisor, which never returns, and its child, which does. Called between fork and exec, by the
/// process that the engine knows.
///
/// # Errors
/// The system refuses.
pub(super) fn split() -> io::Result<()> {
    // SAFETY: system calls on memory of this function. The bare clone runs none of the handlers that a library hangs onto a fork; both
    // sides go on with a copy of this stack.
    unsafe {
        let (mut all, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        libc::sigfillset(all.as_mut_ptr());
        if libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0
            || libc::sigprocmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) != 0
        {
            return Err(io::Error::last_os_error());
        }
        let engine = libc::getppid();
        match libc::syscall(libc::SYS_clone, libc::SIGCHLD as libc::c_ulong, 0_usize, 0_usize, 0_usize, 0_usize) {
            0 => {
                let done = libc::sigprocmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut()) == 0
                    && libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) == 0;
                if done { Ok(()) } else { Err(io::Error::last_os_error()) }
            }
            command if command > 0 => watch(command as libc::pid_t, engine),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// What the supervisor does until nothing is left of the command.
unsafe fn watch(command: libc::pid_t, engine: libc::pid_t) -> ! {
    // SAFETY: as in `split`; no other thread is in this process.
    unsafe {
        // Its memory is the engine's, so that nobody may look at it, or find it in a core; its files are the command's.
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::setrlimit(libc::RLIMIT_CORE, &none);
        libc::syscall(libc::SYS_close_range, 0_u32, u32::MAX, 0_u32);
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM, 0, 0, 0);
        let mut ends = libc::getppid() != engine;
        let (mut status, mut rounds) = (0, 0);
        let mut signals = MaybeUninit::uninit();
        libc::sigemptyset(signals.as_mut_ptr());
        libc::sigaddset(signals.as_mut_ptr(), libc::SIGTERM);
        libc::sigaddset(signals.as_mut_ptr(), libc::SIGCHLD);
        loop {
            let mut ended = 0;
            match libc::waitpid(-1, &mut ended, libc::WNOHANG) {
                0 => {}
                child if child > 0 => {
                    if child == command {
                        (status, ends) = (ended, true);
                    }
                    continue;
                }
                // Nobody is left.
                _ => end_as(status),
            }
            if ends {
                rounds += 1;
                if rounds > ROUNDS {
                    end_as(status);
                }
                kill_children();
                let moment = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
                libc::sigtimedwait(signals.as_ptr(), ptr::null_mut(), &moment);
            } else if libc::sigwaitinfo(signals.as_ptr(), ptr::null_mut()) == libc::SIGTERM {
                ends = true;
            }
        }
    }
}

/// Kills the children that there are; theirs come to us next.
unsafe fn kill_children() {
    // SAFETY: the buffer outlives the call that fills it.
    unsafe {
        let list = libc::open(CHILDREN.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        let mut text = [0_u8; LIST];
        let mut id: libc::pid_t = 0;
        loop {
            let count = libc::read(list, text.as_mut_ptr().cast(), LIST);
            if count <= 0 {
                break;
            }
            for byte in text.iter().take(count as usize) {
                if byte.is_ascii_digit() {
                    id = id.saturating_mul(10).saturating_add(libc::pid_t::from(byte - b'0'));
                } else if id > 0 {
                    libc::kill(id, libc::SIGKILL);
                    id = 0;
                }
            }
        }
        if id > 0 {
            libc::kill(id, libc::SIGKILL);
        }
        libc::close(list);
    }
}

/// Ends with the status of the command, or by the signal that ended it.
unsafe fn end_as(status: libc::c_int) -> ! {
    // SAFETY: as in `split`.
    unsafe {
        if libc::WIFSIGNALED(status) {
            let signal = libc::WTERMSIG(status);
            let mut only = MaybeUninit::uninit();
            libc::sigemptyset(only.as_mut_ptr());
            libc::sigaddset(only.as_mut_ptr(), signal);
            libc::signal(signal, libc::SIG_DFL);
            libc::kill(libc::getpid(), signal);
            libc::sigprocmask(libc::SIG_UNBLOCK, only.as_ptr(), ptr::null_mut());
            libc::_exit(128 + signal);
        }
        libc::_exit(libc::WEXITSTATUS(status));
    }
}
