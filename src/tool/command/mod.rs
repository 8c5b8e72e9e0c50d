//! What does a command do? [`Bash`] runs a line that an agent wrote, [`Command`] a program that the author declared.
//!
//! Both run in the workspace with an environment of a few harmless variables, a home of their own that goes with them, limits on
//! time, output, memory and processes, and inside a [`Confinement`](super::process::Confinement) where the kernel has it. When a call ends,
//! however it ends, everything that it started is killed.

mod bash;
mod declared;
mod job;
mod output;
mod scratch;
mod tell;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, time::Duration};

pub use bash::{Bash, shell};
pub use declared::{Command, Program};
pub use tell::tell_command;

use super::process;

/// How long a command may take where nobody says, in seconds.
pub const DEFAULT_TIMEOUT: u64 = 120;
/// How long it may take at most, in seconds.
pub const MAX_TIMEOUT: u64 = 3_600;
/// Memory that a command and its children may hold, in bytes.
const MEMORY: u64 = 4 << 30;
/// Processes that a command may be at once.
const PROCESSES: u64 = 512;

/// What this machine lets commands reach, beside the files of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandPolicy {
    /// Files and folders outside the workspace that commands may read: where language runtimes live, for example.
    pub read: Vec<PathBuf>,
    /// Whether `Bash` may use the network. Declared commands say it themselves.
    pub network: bool,
}

/// What keeps commands inside their folders on this machine, in words; a sentence that says so where nothing does.
pub fn confinement() -> String {
    let able = process::abilities();
    match (able.files(), able.network()) {
        (true, true) => {
            "commands are confined: files by Landlock, the network by Landlock and a filter of system calls".to_owned()
        }
        (true, false) => {
            "commands are confined to their folders by Landlock, but this kernel cannot keep them off the network".to_owned()
        }
        (false, true) => {
            "commands are kept off the network, but this kernel has no Landlock: they can read and write whatever you can"
                .to_owned()
        }
        (false, false) => "commands are NOT confined on this machine: they can read, write and reach whatever you can".to_owned(),
    }
}

/// Whether commands are kept inside their folders on this machine.
pub fn is_confined() -> bool {
    process::abilities().files()
}

/// What this machine can keep commands from.
pub fn abilities() -> process::Abilities {
    process::abilities()
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count.clamp(1, MAX_TIMEOUT))
}
