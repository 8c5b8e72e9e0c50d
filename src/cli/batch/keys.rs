//! Which keys are there already? [`Keys`] remembers them by their digests, about sixty bytes each: the only thing of a batch that grows.

use std::collections::{HashMap, hash_map::Entry};

use crate::engine::TaskDigest;

/// A key, in short.
pub(super) type Digest = [u8; 16];

/// The keys of the output and of the tasks that were read.
#[derive(Debug, Default)]
pub(super) struct Keys {
    seen: HashMap<Digest, Seen>,
}

/// Where a key was seen.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// It has a result, which may say of what.
    done: Option<Option<TaskDigest>>,
    /// The line of its task; 0 before it was read.
    line: u32,
}

/// What a task's key says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// It is to be run.
    New,
    /// It has a result, of this task as far as is known.
    Done(Option<TaskDigest>),
    /// It stands in this line already.
    Twice(u32),
}

impl Keys {
    /// Remembers that `key` has a result, of what `task` tells; false where it had one.
    pub(super) fn has_result(&mut self, key: &str, task: Option<TaskDigest>) -> bool {
        self.seen.entry(digest(key)).or_default().done.replace(task).is_none()
    }

    /// Takes the task of `key` in line `line`.
    pub(super) fn take(&mut self, key: &str, line: u64) -> Key {
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        match self.seen.entry(digest(key)) {
            Entry::Vacant(free) => {
                free.insert(Seen { done: None, line });
                Key::New
            }
            Entry::Occupied(mut seen) => match seen.get().line {
                0 => {
                    seen.get_mut().line = line;
                    seen.get().done.map_or(Key::New, Key::Done)
                }
                first => Key::Twice(first),
            },
        }
    }

    /// Whether a task of that key was taken.
    pub(super) fn has_task(&self, key: &Digest) -> bool {
        self.seen.get(key).is_some_and(|seen| seen.line > 0)
    }
}

/// A key, in short.
pub(super) fn digest(key: &str) -> Digest {
    let mut digest = Digest::default();
    digest.copy_from_slice(&blake3::hash(key.as_bytes()).as_bytes()[..16]);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_new_once_done_where_it_has_a_result_and_refused_when_it_comes_again() {
        let mut keys = Keys::default();
        assert!(keys.has_result("a", None) && !keys.has_result("a", None));
        assert!(!keys.has_task(&digest("a")));
        assert_eq!(
            [keys.take("a", 1), keys.take("b", 2), keys.take("b", 3), keys.take("a", 4)],
            [Key::Done(None), Key::New, Key::Twice(2), Key::Twice(1)]
        );
        assert!(keys.has_task(&digest("a")) && keys.has_task(&digest("b")));
    }
}
