//! Who belongs to a group, and what do they use? Read from `/proc`.

use std::fs;

/// What the processes of a group use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Used {
    /// How many there are.
    pub processes: u64,
    /// Bytes of memory that they hold.
    pub memory: u64,
}

/// The processes whose environment holds `mark`.
pub(super) fn marked(mark: &str) -> Vec<i32> {
    let mark = memchr::memmem::Finder::new(mark.as_bytes());
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    processes()
        .filter(|id| *id != own)
        .filter(|id| fs::read(format!("/proc/{id}/environ")).is_ok_and(|text| mark.find(&text).is_some()))
        .collect()
}

/// What the processes of a group use; zombies use nothing.
pub(super) fn of_group(group: i32) -> Used {
    // SAFETY: sysconf has no memory effects.
    let page = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
    let mut used = Used::default();
    for id in processes() {
        let Some((of, pages)) = fs::read_to_string(format!("/proc/{id}/stat")).ok().as_deref().and_then(stat) else { continue };
        if of == group {
            used.processes += 1;
            used.memory += pages * page;
        }
    }
    used
}

/// The group and the resident pages in a line of `stat`; `None` of a zombie. The name in brackets may hold anything.
fn stat(line: &str) -> Option<(i32, u64)> {
    let fields: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
    if fields.first() == Some(&"Z") {
        return None;
    }
    Some((fields.get(2)?.parse().ok()?, fields.get(21)?.parse().ok()?))
}

fn processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_brackets_and_spaces() {
        let rest = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22";
        assert_eq!(stat(&format!("7 (a) b (c) S 1 42 {rest}")), Some((42, 19)));
        assert_eq!(stat(&format!("7 (a) Z 1 42 {rest}")), None);
        assert_eq!(stat("garbage"), None);
    }

    #[test]
    fn this_process_is_in_its_own_group() {
        // SAFETY: getpgrp has no memory effects.
        let used = of_group(unsafe { libc::getpgrp() });
        assert!(used.processes >= 1 && used.memory > 0, "{used:?}");
    }
}
