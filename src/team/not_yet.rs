//! Which keys does this version read without acting on them? [`without_effect`] warns of each, so that nobody relies on it.

use super::{Code, Delegation, Diagnostic, file::TeamFile, read::Found, scalar::Whole, tree::Key};

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
        let all = rules.delegation.as_ref().is_some_and(|word| word.value == Delegation::All);
        let replans = all && rules.max_replans.map(Whole::count).is_some_and(|count| count > 0);
        let why = "with `delegation: all` nobody divides the task, and so nobody divides it anew";
        warn(key("max_replans", replans), why, "remove it, or let the coordinator or a `route` rule divide the task");
    }
}
