//! Who belongs to a group or descends from a process, and what do they use? Read from `/proc`.

use std::{collections::BTreeMap, fs};

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
    let all = stats();
    sum(all.iter().map(|(_, stat)| stat).filter(|stat| stat.group == group))
}

/// What descends from `root` uses, without itself.
pub(super) fn below_used(root: i32) -> Used {
    let all = stats();
    let below = descendants(&all, root);
    sum(all.iter().filter(|(id, _)| below.contains(id)).map(|(_, stat)| stat))
}

/// The processes that descend from `root`, without zombies.
pub(super) fn below(root: i32) -> Vec<i32> {
    descendants(&stats(), root)
}

fn descendants(all: &[(i32, Stat)], root: i32) -> Vec<i32> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for (id, stat) in all {
        children.entry(stat.parent).or_default().push(*id);
    }
    let mut found = Vec::new();
    let mut next = vec![root];
    while let Some(parent) = next.pop() {
        // Taken out, so that no list is gone through twice, whatever changed between two reads.
        let own = children.remove(&parent).unwrap_or_default();
        found.extend(&own);
        next.extend(own);
    }
    found
}

fn sum<'a>(stats: impl Iterator<Item = &'a Stat>) -> Used {
    // SAFETY: sysconf has no memory effects.
    let page = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
    stats.fold(Used::default(), |used, stat| Used { processes: used.processes + 1, memory: used.memory + stat.pages * page })
}

/// What is to know of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    parent: i32,
    group: i32,
    /// Pages that are in memory.
    pages: u64,
}

/// All processes but zombies.
fn stats() -> Vec<(i32, Stat)> {
    processes().filter_map(|id| Some((id, stat(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)?))).collect()
}

/// A line of `stat`; `None` of a zombie. The name in brackets may hold anything.
fn stat(line: &str) -> Option<Stat> {
    let fields: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
    if fields.first() == Some(&"Z") {
        return None;
    }
    let number = |at: usize| fields.get(at)?.parse().ok();
    Some(Stat { parent: number(1)?, group: number(2)?, pages: fields.get(21)?.parse().ok()? })
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
        assert_eq!(stat(&format!("7 (a) b (c) S 1 42 {rest}")), Some(Stat { parent: 1, group: 42, pages: 19 }));
        assert_eq!(stat(&format!("7 (a) Z 1 42 {rest}")), None);
        assert_eq!(stat("garbage"), None);
    }

    #[test]
    fn children_of_children_are_found_and_circles_end() {
        let of = |parent| Stat { parent, group: 0, pages: 0 };
        let mut found = descendants(&[(2, of(1)), (3, of(2)), (4, of(3)), (5, of(9)), (1, of(4))], 2);
        found.sort_unstable();
        assert_eq!(found, [1, 2, 3, 4]);
        assert_eq!(descendants(&[(2, of(1)), (3, of(2)), (4, of(3)), (5, of(9))], 3), [4]);
    }

    #[test]
    fn this_process_is_in_its_own_group() {
        // SAFETY: getpgrp has no memory effects.
        let used = of_group(unsafe { libc::getpgrp() });
        assert!(used.processes >= 1 && used.memory > 0, "{used:?}");
    }
}
