//! Do two agents write to each other, ask each other or hand over to each other, back and forth, while neither finds anything?
//!
//! Who said what is a matter of the team's messages ([`Exchange`](super::Exchange)); that nothing came of it, of this thread. A
//! handoff begins an activation: the one that is one too many is told, the next gets no turn.

use super::{Sighting, seen::Seen};
use crate::{graph::Watch, value::Call};

/// So many rounds with one colleague, in turns that brought nothing new beside its answers.
pub(super) fn seen(seen: &Seen<'_>, watch: &Watch) -> Option<Sighting> {
    let times = usize::try_from(watch.times).unwrap_or(usize::MAX).max(1);
    let idle = seen.trailing(|_, turn| !turn.own_news);
    if seen.handed_back >= times {
        let what = format!(
            "two agents handed over to each other {} times, back and forth, and neither found anything",
            seen.handed_back
        );
        let one_more = seen.handed_back > times;
        return Some(Sighting { turns: vec![0; if one_more { 2 } else { 1 }], told: one_more.then_some(0), what });
    }
    for exchange in &seen.exchanges {
        let to = |call: &Call| call.args.get("to").and_then(crate::value::Value::as_str) == Some(exchange.with.as_str());
        let talks = |call: &Call| matches!(&*call.tool, "send_message" | "ask_agent") && to(call);
        let turns: Vec<usize> =
            idle.iter().filter(|turn| turn.calls.iter().any(|(call, _)| talks(call))).map(|turn| turn.at).collect();
        let rounds = turns.len().min(exchange.rounds);
        if rounds >= times {
            let what = format!("{rounds} rounds of words with {}, back and forth, led to no finding", exchange.with);
            return Some(Sighting { turns, told: None, what });
        }
    }
    None
}
