//! What may a child reach? [`Confinement`]: Landlock for files and TCP, a filter of system calls for every other socket (Linux).

#[cfg(target_os = "linux")]
pub(in crate::tool) use linux::{Confinement, abilities};
#[cfg(not(target_os = "linux"))]
pub(in crate::tool) use none::{Confinement, abilities};

use std::path::PathBuf;

/// What a child may reach.
#[derive(Clone, Debug, Default)]
pub(in crate::tool) struct Policy {
    /// Files and folders to read and execute, beside the system's.
    pub read: Vec<PathBuf>,
    /// Files and folders to write as well.
    pub write: Vec<PathBuf>,
    /// Whether it may use the network.
    pub network: bool,
}

/// What this machine can enforce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// The version of the kernel's Landlock; 0 where it has none or it is switched off.
    pub landlock: u32,
    /// Whether a filter of system calls can refuse every socket.
    pub filter: bool,
}

impl Abilities {
    /// Whether it keeps a child inside its folders.
    pub fn files(self) -> bool {
        self.landlock > 0
    }

    /// Whether it keeps a child off the network.
    pub fn network(self) -> bool {
        self.filter || self.landlock >= LANDLOCK_TCP
    }
}

/// The first Landlock that knows of TCP.
pub const LANDLOCK_TCP: u32 = 4;

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        io,
        os::fd::{AsRawFd, OwnedFd},
        path::{Path, PathBuf},
        sync::OnceLock,
    };

    use landlock::{
        ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr,
        RulesetError, Scope, path_beneath_rules,
    };

    use super::{Abilities, Policy};

    /// The newest rules that we know; an older kernel enforces what it has.
    const NEWEST: ABI = ABI::V6;
    /// Where programs and libraries live.
    const SYSTEM: &[&str] = &[
        "/bin",
        "/sbin",
        "/lib",
        "/lib32",
        "/lib64",
        "/libx32",
        "/usr",
        "/opt",
        "/nix/store",
        "/run/current-system",
        "/etc/static",
    ];
    /// What programs want to know of the machine; nothing here is secret.
    const FACTS: &[&str] = &[
        "/etc/ld.so.cache",
        "/etc/ld.so.conf",
        "/etc/ld.so.conf.d",
        "/etc/ld.so.preload",
        "/etc/passwd",
        "/etc/group",
        "/etc/nsswitch.conf",
        "/etc/localtime",
        "/etc/timezone",
        "/etc/os-release",
        "/etc/alternatives",
        "/etc/ssl",
        "/etc/pki",
        "/etc/ca-certificates",
        "/etc/ca-certificates.conf",
        "/etc/host.conf",
        "/etc/hosts",
        "/etc/resolv.conf",
        "/etc/gai.conf",
        "/etc/services",
        "/etc/protocols",
        "/etc/hostname",
        "/etc/locale.conf",
        "/etc/locale.alias",
        "/etc/default/locale",
        "/etc/terminfo",
        "/etc/inputrc",
        "/etc/mime.types",
        "/etc/magic",
        "/etc/fonts",
        "/etc/gitconfig",
        "/etc/perl",
        "/etc/python3",
        "/etc/java",
        "/run/systemd/resolve",
        "/proc/cpuinfo",
        "/proc/meminfo",
        "/proc/stat",
        "/proc/loadavg",
        "/proc/uptime",
        "/proc/version",
        "/proc/filesystems",
        "/proc/sys",
        "/sys/devices/system/cpu",
        "/sys/fs/cgroup",
        "/sys/kernel/mm",
    ];
    /// Devices that are no way out.
    const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

    /// A ruleset and a filter, ready for a child to put on itself.
    pub(in crate::tool) struct Confinement {
        ruleset: Option<OwnedFd>,
        filter: Vec<libc::sock_filter>,
    }

    impl Confinement {
        /// The confinement of that policy, as far as this kernel has it.
        ///
        /// # Errors
        /// The kernel has it and refuses it.
        pub(in crate::tool) fn of(policy: &Policy) -> io::Result<Self> {
            let ruleset = if version() > 0 { ruleset(policy).map_err(io::Error::other)? } else { None };
            let filter = if policy.network { Vec::new() } else { no_sockets() };
            Ok(Self { ruleset, filter })
        }

        /// Confines this process and all that it starts, for ever. Called between fork and exec.
        pub(in crate::tool) fn apply(&self) -> io::Result<()> {
            // SAFETY: plain system calls; the program points to memory that outlives the call, which copies it.
            unsafe {
                if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
                    return Err(io::Error::last_os_error());
                }
                if let Some(ruleset) = &self.ruleset
                    && libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0_u32) != 0
                {
                    return Err(io::Error::last_os_error());
                }
                if !self.filter.is_empty() {
                    let program = libc::sock_fprog { len: self.filter.len() as u16, filter: self.filter.as_ptr().cast_mut() };
                    let done = libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program, 0, 0);
                    // A kernel built without filters says EINVAL; `abilities` has told so.
                    if done != 0 && io::Error::last_os_error().raw_os_error() != Some(libc::EINVAL) {
                        return Err(io::Error::last_os_error());
                    }
                }
            }
            Ok(())
        }
    }

    fn ruleset(policy: &Policy) -> Result<Option<OwnedFd>, RulesetError> {
        let (read, all) = (AccessFs::from_read(NEWEST), AccessFs::from_all(NEWEST));
        let device: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::WriteFile;
        let mut rules = Ruleset::default().set_compatibility(CompatLevel::BestEffort).handle_access(all)?;
        if !policy.network {
            rules = rules.handle_access(AccessNet::from_all(NEWEST))?;
        }
        let created = rules
            .scope(Scope::from_all(NEWEST))?
            .create()?
            .add_rules(path_beneath_rules(SYSTEM.iter().chain(FACTS), read))?
            .add_rules(path_beneath_rules(programs(), read))?
            .add_rules(path_beneath_rules(DEVICES, device))?
            .add_rules(path_beneath_rules(&policy.read, read))?
            .add_rules(path_beneath_rules(&policy.write, all))?;
        Ok(created.into())
    }

    /// The folders of the `PATH`, without those that hold more than programs: a home, a root.
    fn programs() -> Vec<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let holds_home = |folder: &Path| home.starts_with(folder);
        std::env::split_paths(&path).filter(|folder| folder.is_absolute() && !holds_home(folder)).collect()
    }

    /// Refuses to open a socket of any kind, and the ring through which one could be opened unseen. Pairs of sockets stay.
    fn no_sockets() -> Vec<libc::sock_filter> {
        #[cfg(target_arch = "x86_64")]
        const ARCHITECTURE: Option<u32> = Some(0xC000_003E);
        #[cfg(target_arch = "aarch64")]
        const ARCHITECTURE: Option<u32> = Some(0xC000_00B7);
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        const ARCHITECTURE: Option<u32> = None;
        /// On x86-64, numbers from here on belong to a second set of calls.
        const SECOND_SET: u32 = 0x4000_0000;
        let Some(architecture) = ARCHITECTURE else { return Vec::new() };
        let load = |at: u32| step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at, 0, 0);
        let equal = |value: u32, yes: u8, no: u8| step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, yes, no);
        let end = |value: u32| step(libc::BPF_RET | libc::BPF_K, value, 0, 0);
        let refuse = libc::SECCOMP_RET_ERRNO | libc::EACCES as u32;
        vec![
            // The architecture stands at 4, the number of the call at 0.
            load(4),
            equal(architecture, 0, 5),
            load(0),
            step(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, SECOND_SET, 3, 0),
            equal(libc::SYS_socket as u32, 2, 0),
            equal(libc::SYS_io_uring_setup as u32, 1, 0),
            end(libc::SECCOMP_RET_ALLOW),
            end(refuse),
        ]
    }

    fn step(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
        libc::sock_filter { code: code as u16, jt, jf, k }
    }

    /// The version of the kernel's Landlock; 0 where it has none or it is switched off.
    fn version() -> u32 {
        static VERSION: OnceLock<u32> = OnceLock::new();
        *VERSION.get_or_init(|| {
            const ASK_VERSION: u32 = 1;
            // SAFETY: with these arguments the call reads no memory and answers a version.
            let answer =
                unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0_usize, ASK_VERSION) };
            u32::try_from(answer).unwrap_or(0)
        })
    }

    /// What this kernel can enforce.
    pub(in crate::tool) fn abilities() -> Abilities {
        // SAFETY: the call only asks.
        let filters = unsafe { libc::prctl(libc::PR_GET_SECCOMP, 0, 0, 0, 0) } >= 0 && !no_sockets().is_empty();
        Abilities { landlock: version(), filter: filters }
    }
}

#[cfg(not(target_os = "linux"))]
mod none {
    use std::io;

    use super::{Abilities, Policy};

    /// No confinement: this system has none that we use.
    pub(in crate::tool) struct Confinement;

    impl Confinement {
        pub(in crate::tool) fn of(_policy: &Policy) -> io::Result<Self> {
            Ok(Self)
        }

        pub(in crate::tool) fn apply(&self) -> io::Result<()> {
            Ok(())
        }
    }

    pub(in crate::tool) fn abilities() -> Abilities {
        Abilities { landlock: 0, filter: false }
    }
}
