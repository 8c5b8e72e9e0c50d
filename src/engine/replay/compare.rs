//! Where do two runs of the same session part? [`difference`] finds the first request that is another one, else the first record.

use std::{borrow::Cow, collections::BTreeMap, fmt, sync::Arc};

use serde::Serialize;
use serde_json::Value as Json;

use crate::{
    event::{EVENT_VERSION, Event, Record, Started},
    report::shown,
    schedule::Scheduler,
    state::{FoldError, State},
    turn::Toolbox,
    value::{Judge, Seq, Turn},
};

/// The first difference between a session and its replay.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The record at which they part.
    pub seq: Seq,
    /// The path of the node whose request or record is another one.
    pub node: Option<Arc<str>>,
    /// The turn, where it is a request.
    pub turn: Option<Turn>,
    /// Where in the request or record, as a JSON pointer.
    pub path: String,
    /// What is on the record; nothing where it has no such part.
    pub recorded: Option<Json>,
    /// What the replay has there; nothing where it has no such part.
    pub replayed: Option<Json>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.node.as_deref().unwrap_or("the session");
        match self.turn {
            Some(turn) => write!(f, "turn {turn} of {node}: the request differs at {}", self.path)?,
            None => write!(f, "record {} ({node}) differs at {}", self.seq, if self.path.is_empty() { "/" } else { &self.path })?,
        }
        write!(f, ": recorded {}, replayed {}", shown(self.recorded.as_ref()), shown(self.replayed.as_ref()))
    }
}

/// Which request: the path of its node, the attempt and the turn.
type Asked = (Arc<str>, u32, Turn);

/// Where `replayed` leaves `recorded`; nothing where they are the same.
pub(super) fn difference(
    recorded: &[Record],
    replayed: &[Record],
    judge: &Arc<dyn Judge>,
    tools: &Arc<dyn Toolbox>,
) -> Result<Option<Difference>, FoldError> {
    let same = recorded.iter().zip(replayed).take_while(|(a, b)| json(a) == like(a, b)).count();
    if same == recorded.len() && same == replayed.len() {
        return Ok(None);
    }
    let was = requests(recorded, same, judge, tools)?;
    let is: BTreeMap<Asked, Json> = requests(replayed, same, judge, tools)?.into_iter().collect();
    for ((node, attempt, turn), was) in was {
        let Some(is) = is.get(&(node.clone(), attempt, turn)) else { continue };
        if let Some((path, recorded, replayed)) = first_difference(&was, is) {
            return Ok(Some(Difference { seq: Seq(same as u64), node: Some(node), turn: Some(turn), path, recorded, replayed }));
        }
    }
    if let (Some(was), Some(is)) = (recorded.get(same), replayed.get(same))
        && let Some((part, turn, was, is)) = sent_otherwise(&was.event, &is.event)
    {
        let node = node_of(recorded, same)?;
        let (recorded, replayed) = (Some(Json::from(was)), Some(Json::from(is)));
        return Ok(Some(Difference {
            seq: Seq(same as u64),
            node,
            turn: Some(turn),
            path: format!("/{part}"),
            recorded,
            replayed,
        }));
    }
    let (was, is) = (
        recorded.get(same).map(json),
        replayed.get(same).map(|is| recorded.get(same).map_or_else(|| json(is), |was| like(was, is))),
    );
    let (path, was, is) = match (was, is) {
        (Some(was), Some(is)) => first_difference(&was, &is).unwrap_or_default(),
        (was, is) => (String::new(), was, is),
    };
    let node = node_of(recorded, same)?.or(node_of(replayed, same)?);
    Ok(Some(Difference { seq: Seq(same as u64), node, turn: None, path, recorded: was, replayed: is }))
}

/// The records of a journal as this build can compare them: the digests of older ones are made otherwise, and so are the messages of
/// their exchanges.
pub(super) fn comparable<'r>(records: &'r [Record], started: &Started) -> Cow<'r, [Record]> {
    if started.version == EVENT_VERSION {
        return Cow::Borrowed(records);
    }
    let mut records = records.to_vec();
    for record in &mut records {
        match &mut record.event {
            Event::TurnStarted { sent, .. } if !started.digests_comparable() => *sent = None,
            Event::Said { message, .. } => *message = started.message(message),
            _ => {}
        }
    }
    Cow::Owned(records)
}

/// A record of a replay as one of the recorded version: without what that version does not say.
fn like(recorded: &Record, replayed: &Record) -> Json {
    let mut replayed = replayed.clone();
    if let (Event::TurnStarted { sent: None, .. }, Event::TurnStarted { sent, .. }) = (&recorded.event, &mut replayed.event) {
        *sent = None;
    }
    json(&replayed)
}

/// The first part of a turn's request that is not the one that was sent, with its digests then and now.
fn sent_otherwise<'e>(was: &'e Event, is: &'e Event) -> Option<(&'static str, Turn, &'e str, &'e str)> {
    let (
        Event::TurnStarted { node, turn, sent: Some(was), .. },
        Event::TurnStarted { node: other, turn: same, sent: Some(is), .. },
    ) = (was, is)
    else {
        return None;
    };
    let (part, was, is) = was.first_difference(is).filter(|_| node == other && turn == same)?;
    Some((part, *turn, was, is))
}

/// The requests of the turns that begin at record `from` or later, in order.
fn requests(
    records: &[Record],
    from: usize,
    judge: &Arc<dyn Judge>,
    tools: &Arc<dyn Toolbox>,
) -> Result<Vec<(Asked, Json)>, FoldError> {
    let Some(first) = records.first() else { return Ok(Vec::new()) };
    let (mut state, mut found) = (State::start(first)?, Vec::new());
    for (ix, record) in records.iter().enumerate().skip(1) {
        state.apply(record)?;
        if let Event::TurnStarted { node, turn, attempt, .. } = &record.event
            && ix >= from
        {
            let asked = (state.path(*node), *attempt, *turn);
            let scheduler = Scheduler::resume(state, judge.clone(), tools.clone());
            found.extend(scheduler.request(*node).map(|request| (asked, json(&request))));
            state = scheduler.into_state();
        }
    }
    Ok(found)
}

/// The path of the node that a record is of.
fn node_of(records: &[Record], ix: usize) -> Result<Option<Arc<str>>, FoldError> {
    let Some(record) = records.get(ix).filter(|_| ix > 0) else { return Ok(None) };
    let state = State::fold(&records[..ix])?;
    let event = json(&record.event);
    let node = event.as_object().and_then(|event| event.values().next()?.get("node")?.as_u64());
    let node = node.and_then(|node| u32::try_from(node).ok()).map(crate::value::NodeIx);
    Ok(node.filter(|node| node.index() < state.nodes.len()).map(|node| state.path(node)))
}

fn json(thing: &impl Serialize) -> Json {
    serde_json::to_value(thing).unwrap_or_default()
}

pub(in crate::engine) type Parts = (String, Option<Json>, Option<Json>);

/// The JSON pointer of the first part that differs, and both.
pub(in crate::engine) fn first_difference(was: &Json, is: &Json) -> Option<Parts> {
    match (was, is) {
        (Json::Object(a), Json::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            keys.into_iter().find_map(|key| inside(&key.replace('~', "~0").replace('/', "~1"), a.get(key), b.get(key)))
        }
        (Json::Array(a), Json::Array(b)) => {
            (0..a.len().max(b.len())).find_map(|ix| inside(&ix.to_string(), a.get(ix), b.get(ix)))
        }
        (was, is) => (was != is).then(|| (String::new(), Some(was.clone()), Some(is.clone()))),
    }
}

fn inside(key: &str, was: Option<&Json>, is: Option<&Json>) -> Option<Parts> {
    match (was, is) {
        (Some(was), Some(is)) => first_difference(was, is).map(|(path, was, is)| (format!("/{key}{path}"), was, is)),
        (was, is) => Some((format!("/{key}"), was.cloned(), is.cloned())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_part_that_differs_is_named_with_both_values() {
        let check = |was: Json, is: Json, expected: Option<Parts>| assert_eq!(first_difference(&was, &is), expected);
        check(json!({ "a": [1, { "b": 2 }] }), json!({ "a": [1, { "b": 2 }] }), None);
        let (one, two) = (Some(json!(2)), Some(json!(3)));
        check(json!({ "a": [1, { "b/c": 2 }] }), json!({ "a": [1, { "b/c": 3 }] }), Some(("/a/1/b~1c".to_owned(), one, two)));
        check(json!([1]), json!([1, 2]), Some(("/1".to_owned(), None, Some(json!(2)))));
        check(json!({ "x": 1 }), json!({}), Some(("/x".to_owned(), Some(json!(1)), None)));
    }
}
