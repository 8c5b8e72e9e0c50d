//! Does an agent say and do nearly the same, turn after turn?
//!
//! A turn repeats when its words, calls and arguments are like those of one of the three turns before, numbers not counted, and
//! nothing new came of it, not even another error: so polling goes on while results change.

use std::cell::OnceCell;

use super::{
    Sighting,
    seen::{Seen, TurnSeen},
    words::{folded, similarity},
};
use crate::graph::Watch;

/// The longest circle: how many turns back a turn is compared with.
const PERIOD: usize = 3;

/// So many turns in a row of which each repeats, the first apart.
pub(super) fn seen(seen: &Seen<'_>, watch: &Watch) -> Option<Sighting> {
    let times = usize::try_from(watch.times).unwrap_or(usize::MAX);
    // Most turns bring news, so that hardly any are ever compared.
    let prints: Vec<OnceCell<String>> = vec![OnceCell::new(); seen.turns.len()];
    let print = |n: usize| prints[n].get_or_init(|| print(&seen.turns[n]));
    let like = |n: usize| (n.saturating_sub(PERIOD)..n).rev().any(|other| similarity(print(other), print(n)) >= watch.similarity);
    let run = seen.trailing(|n, turn| !turn.news && !turn.new_error && !turn.calls.is_empty() && like(n));
    if run.is_empty() || run.len() + 1 < times {
        return None;
    }
    let what = format!("the last {} turns say and do nearly the same, and nothing new came of it", run.len() + 1);
    Some(Sighting { turns: run.iter().map(|turn| turn.at).collect(), told: None, what })
}

/// What was said and done in a turn.
fn print(turn: &TurnSeen<'_>) -> String {
    let calls = turn.calls.iter().map(|(call, _)| format!(" {} {}", call.tool, call.args));
    folded(&std::iter::once(turn.text.to_owned()).chain(calls).collect::<String>(), true)
}
