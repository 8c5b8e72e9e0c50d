//! Does a case come to the same when the engine is killed, or when things arrive in another order? [`press`] tries it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value as Json;

use super::{
    Kill, Moment, Pressure, Tried, Unmet,
    act::{Act, Run},
    stage::Made,
    words::shown_json,
};
use crate::{
    engine::replay::first_difference,
    event::{Event, Record},
    graph::NodeKind,
    report::Report,
    state::{FoldError, State},
    team::Expect,
    value::{EffectClass, Seq},
};

/// Troubles after which a case is not tried any further.
const ENOUGH: usize = 10;

/// Something that went wrong under pressure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trouble {
    /// When the engine was killed, or in which order things arrived.
    pub when: String,
    /// What went wrong.
    pub what: String,
    /// What runs exactly that again, as arguments of `synod test`.
    pub again: String,
}

/// Runs a case again under pressure, and compares with the calm run.
pub(super) async fn press(act: &Act, calm: &Run, pressure: &Pressure, tried: &mut Tried, progress: &(dyn Fn(&str) + Sync)) {
    let positions = positions(calm, pressure.kill);
    for (nth, (seq, moment)) in positions.iter().enumerate() {
        if tried.troubles.len() >= ENOUGH {
            return;
        }
        progress(&format!("{}: kill {} of {}", act.case.name, nth + 1, positions.len()));
        let word = match moment {
            Moment::Early => "early",
            Moment::Late => "late",
        };
        let when = format!("killed after record {seq}, {word}");
        let again = format!("--kill-at {seq}:{word}");
        tried.runs += 1;
        match act.run(None, Some((*seq, *moment))).await {
            Ok(run) => {
                tried.kills += u32::from(run.killed.is_some());
                let in_doubt = run.doubts > calm.doubts;
                tried.doubts += u32::from(in_doubt);
                let wrong = effects(calm, &run).unwrap_or_else(|error| Some(error.to_string()));
                let wrong = wrong.or_else(|| if in_doubt { other_end(calm, &run) } else { result(act, calm, &run, tried) });
                // A call that was lost is paid for, and what a doubt leads to is not what the case is about.
                let expected = Expect { budget: Default::default(), ..act.case.expect.clone() };
                let wrong = wrong.or_else(|| if in_doubt { None } else { unmet(&act.unmet_of(&expected, &run)) });
                tried.troubles.extend(wrong.map(|what| Trouble { when, what, again }));
            }
            Err(error) => tried.troubles.push(Trouble { when, what: format!("it does not go on: {error}"), again }),
        }
    }
    if let (Kill::At(seq, _), 0, true) = (pressure.kill, tried.kills, tried.troubles.is_empty()) {
        let count = calm.records.len();
        let what = format!("nothing was killed: the run has only {count} records, and after the last one nothing follows");
        tried.troubles.push(Trouble { when: format!("killed after record {seq}"), what, again: format!("--kill-at {seq}") });
    }
    for nth in 0..pressure.orders {
        if tried.troubles.len() >= ENOUGH {
            return;
        }
        let seed = pressure.seed.wrapping_add(nth.into());
        progress(&format!("{}: order {} of {}", act.case.name, nth + 1, pressure.orders));
        let (when, again) = (format!("arrivals in the order of seed {seed}"), format!("--shuffle 1 --seed {seed}"));
        tried.runs += 1;
        match act.run(Some(seed), None).await {
            Ok(run) => {
                let wrong = result(act, calm, &run, tried).or_else(|| unmet(&act.unmet(&run)));
                tried.troubles.extend(wrong.map(|what| Trouble { when, what, again }));
            }
            Err(error) => tried.troubles.push(Trouble { when, what: format!("it does not run: {error}"), again }),
        }
    }
}

/// Where the engine is killed: what is appended at once is on record at once or not at all, so that each append is a position.
fn positions(calm: &Run, kill: Kill) -> Vec<(Seq, Moment)> {
    let both = |seq: Seq| [(seq, Moment::Early), (seq, Moment::Late)];
    match kill {
        Kill::Nowhere => Vec::new(),
        Kill::At(seq, Some(moment)) => vec![(seq, moment)],
        Kill::At(seq, None) => both(seq).to_vec(),
        // Nothing follows from the last one.
        Kill::Everywhere => calm.ends.iter().rev().skip(1).rev().flat_map(|seq| both(*seq)).collect(),
    }
}

/// What differs from the result of the calm run and may not: where the order of arrival matters, another result is right if the same
/// record comes to it again.
fn result(act: &Act, calm: &Run, run: &Run, tried: &mut Tried) -> Option<String> {
    let (was, is) = (lasting(&calm.report), lasting(&run.report));
    let (path, was, is) = first_difference(&was, &is)?;
    let differs =
        format!("the report differs at {path}: {} in the calm run, {} here", shown_json(was.as_ref()), shown_json(is.as_ref()));
    if !act.ordered {
        return Some(differs);
    }
    match run.staged.replay(&run.records) {
        Ok(replayed) => match replayed.difference {
            None => {
                tried.other_results += 1;
                None
            }
            Some(difference) => Some(format!("{differs}; and its own record does not come to it again: {difference}")),
        },
        Err(error) => Some(format!("{differs}; and its record cannot be replayed: {error}")),
    }
}

/// The other end to which a run came.
fn other_end(calm: &Run, run: &Run) -> Option<String> {
    let (was, is) = (calm.report.status.name(), run.report.status.name());
    (was != is).then(|| {
        format!("a call was left in doubt, a person said whether it happened, and the run is {is}: {was} in the calm run")
    })
}

/// The first of what is not as expected.
fn unmet(unmet: &[Unmet]) -> Option<String> {
    let Unmet { place, what, expected, got } = unmet.first()?;
    Some(format!("{what} is not as expected ({place}): expected {expected}, got {got}"))
}

/// What was done too often after a kill.
fn effects(calm: &Run, run: &Run) -> Result<Option<String>, FoldError> {
    let Some(killed) = &run.killed else { return Ok(None) };
    Ok(repeated(&calm.made, &run.made, &journaled(killed)?))
}

/// The first thing that was done too often: something that was on record, that cannot be taken back, or more than once more.
fn repeated(calm: &BTreeMap<String, Made>, here: &BTreeMap<String, Made>, journaled: &BTreeSet<String>) -> Option<String> {
    here.iter().find_map(|(key, made)| {
        let before = calm.get(key).map_or(1, |made| made.count);
        let on_record = journaled.iter().any(|known| key == known || (known.ends_with('/') && key.starts_with(known.as_str())));
        let wrong = match (made.count.saturating_sub(before), on_record, made.effect) {
            (0, _, _) => return None,
            (_, true, _) => "although that was on record",
            (_, false, Some(EffectClass::Irreversible)) => "although that cannot be taken back",
            (1, false, _) => return None,
            (_, false, _) => "for one kill",
        };
        let what = if made.effect.is_some() { "was called" } else { "asked its model" };
        Some(format!("{} {what} {} times under the key {key}, {wrong} ({before} in the calm run)", made.what, made.count))
    })
}

/// The calls of which the records have the result: of models by their key, of tools by what their key begins with.
fn journaled(records: &[Record]) -> Result<BTreeSet<String>, FoldError> {
    let Some(first) = records.first() else { return Ok(BTreeSet::new()) };
    let (mut state, mut found) = (State::start(first)?, BTreeSet::new());
    for record in &records[1..] {
        match &record.event {
            Event::TurnEnded { node, turn, .. } => {
                if let Some(activation) = state.activations.get(node) {
                    found.insert(format!("{}/{}/{turn}", state.path(*node), activation.attempt));
                }
            }
            Event::ToolReturned { node, turn, call, .. } => {
                found.insert(format!("{}/{turn}/{call}/", state.path(*node)));
            }
            Event::NodeEnded { node, .. } if matches!(state.node(*node).kind, NodeKind::Tool(_)) => {
                found.insert(format!("{}/0/", state.path(*node)));
            }
            _ => {}
        }
        state.apply(record)?;
    }
    Ok(found)
}

/// A report without what differs from run to run: ids, times, and what calls took that were lost in a crash.
fn lasting(report: &Report) -> Json {
    const PASSING: [&str; 4] = ["session", "metrics", "budget", "models"];
    const OF_ROWS: [&str; 6] = ["tokens", "cost_usd", "deadline", "waits_for", "notified", "ask"];
    let is_time = |key: &str| key.ends_with("_at") || key.ends_with("_ms");
    let mut json = serde_json::to_value(report).unwrap_or_default();
    let Some(map) = json.as_object_mut() else { return json };
    map.retain(|key, _| !PASSING.contains(&key.as_str()) && !is_time(key));
    for table in ["contributions", "threads", "escalations"] {
        let rows = match map.get_mut(table) {
            Some(Json::Array(rows)) => rows.iter_mut().collect::<Vec<_>>(),
            Some(Json::Object(rows)) => rows.values_mut().collect(),
            Some(Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_)) | None => Vec::new(),
        };
        for row in rows.into_iter().filter_map(Json::as_object_mut) {
            row.retain(|key, _| !OF_ROWS.contains(&key.as_str()) && !is_time(key));
        }
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    fn calls(all: &[(&str, Option<EffectClass>, u32)]) -> BTreeMap<String, Made> {
        let made = |(key, effect, count): &(&str, Option<EffectClass>, u32)| {
            (key.to_string(), Made { effect: *effect, what: "it".into(), args: Value::Null, count: *count })
        };
        all.iter().map(made).collect()
    }

    #[test]
    fn what_was_on_record_or_cannot_be_taken_back_is_never_done_again_and_nothing_twice_more() {
        const READ: Option<EffectClass> = Some(EffectClass::Read);
        const FIRE: Option<EffectClass> = Some(EffectClass::Irreversible);
        let check = |key: &str, effect, count, journaled: &[&str], expected: Option<&str>| {
            let journaled = journaled.iter().map(|key| key.to_string()).collect();
            let found = repeated(&calls(&[(key, effect, 1)]), &calls(&[(key, effect, count)]), &journaled);
            assert_eq!(found.is_some(), expected.is_some(), "{found:?}");
            assert!(found.unwrap_or_default().contains(expected.unwrap_or_default()));
        };
        check("a/1/0", None, 1, &["a/1/0"], None);
        check("a/1/0", None, 2, &[], None);
        check("a/1/0", None, 2, &["a/1/0"], Some("asked its model 2 times under the key a/1/0, although that was on record"));
        check("a/0/1/cafe", READ, 2, &["a/0/"], Some("on record"));
        check("a/0/1/cafe", READ, 2, &["b/0/"], None);
        check("a/0/1/cafe", READ, 3, &[], Some("for one kill"));
        check("a/0/1/cafe", FIRE, 2, &[], Some("cannot be taken back"));
        let new = repeated(&BTreeMap::new(), &calls(&[("a/0/1/cafe", FIRE, 1)]), &BTreeSet::new());
        assert_eq!(new, None, "a call in another order is no repetition");
    }
}
