//! Does an agent still get on? So many turns without a finding, a result or a variable that is new, and it does not.

use super::{Sighting, seen::Seen};
use crate::graph::Watch;

pub(super) fn seen(seen: &Seen<'_>, watch: &Watch) -> Option<Sighting> {
    let run = seen.trailing(|_, turn| !turn.news);
    if run.is_empty() || run.len() < usize::try_from(watch.times).unwrap_or(usize::MAX) {
        return None;
    }
    let what = format!("the last {} turns brought no new finding, result or variable", run.len());
    Some(Sighting { turns: run.iter().map(|turn| turn.at).collect(), told: None, what })
}
