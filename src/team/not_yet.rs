//! Which keys does this version read without acting on them? [`without_effect`] warns of each, so that nobody relies on it.

use super::{Code, Diagnostic, file::TeamFile, read::Found, scalar::Whole, tree::Key};

/// Warns of what `team` asks for and a later version will do.
pub(super) fn without_effect(team: &TeamFile, found: &mut Found) {
    let mut warn = |key: Option<&Key>, why: &str, help: &str| {
        if let Some(key) = key {
            let message = format!("`{}` has no effect yet: {why}", key.name);
            found.push(Diagnostic::warning(Code::NotYet, &key.place, message).length(key.length).help(help));
        }
    };
    if let Some(rules) = &team.coordination_rules {
        let key = |name: &str, asked: bool| rules.keys.get(name).filter(|_| asked);
        let some = |count: Option<u32>, more_than: u32| count.is_some_and(|count| count > more_than);
        let remove = "remove it; nothing changes";
        let depth = some(rules.max_depth.map(Whole::count), 1);
        warn(key("max_depth", depth), "nobody can delegate a sub-task further in this version", remove);
        let replans = some(rules.max_replans.map(Whole::count), 0);
        warn(key("max_replans", replans), "a plan is made once in this version", remove);
    }
}
