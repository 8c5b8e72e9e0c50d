//! `synod show`: the facts of a session, in order.

use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;

use super::{CommandError, Global, Outcome, output};
use crate::{
    event::{Event, Record},
    report::{PoolRow, budget},
    state::State,
    value::{CallIx, NodeIx, Seq},
};

/// Show the facts of a session, in order
#[derive(Debug, Args)]
pub(super) struct Show {
    /// The session's id, or the beginning of it
    session: String,
    /// Only what was known up to this record
    #[arg(long, value_name = "SEQ")]
    as_of: Option<u64>,
    /// Only the facts of nodes below this path
    #[arg(long, value_name = "PATH")]
    node: Option<String>,
}

/// A record as `--json` prints it.
#[derive(Serialize)]
struct Row<'a> {
    seq: Seq,
    at: String,
    node: Option<String>,
    event: &'a Event,
    /// What is used of the limits once all this is known: in the last row, where there are limits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    budget: Vec<PoolRow>,
}

impl Show {
    pub(super) fn run(&self, global: &Global) -> Outcome {
        let engine = global.engine()?;
        let session = global.session(&engine, &self.session)?;
        let (records, exit) = global.records(&engine, session)?;
        let state = State::fold(&records)?;
        let shown: Vec<&Record> = records
            .iter()
            .filter(|record| self.as_of.is_none_or(|seq| record.seq.0 <= seq))
            .filter(|record| self.is_below(&state, record))
            .collect();
        let known = State::fold(records.iter().filter(|record| self.as_of.is_none_or(|seq| record.seq.0 <= seq)))?;
        let pools = budget(&known);
        if global.json {
            let mut rows: Vec<Row<'_>> = shown.iter().map(|record| row(&state, record)).collect();
            if let Some(last) = rows.last_mut() {
                last.budget = pools;
            }
            output::json(&rows)?;
            return Ok(exit);
        }
        let mut page = lines(&state, &shown).map_err(|e| CommandError::Usage(e.to_string()))?;
        for pool in pools {
            page.push_str(&format!("{pool}\n"));
        }
        output::text(&page)?;
        Ok(exit)
    }

    fn is_below(&self, state: &State, record: &Record) -> bool {
        let Some(wanted) = &self.node else { return true };
        let Some(node) = node_of(&record.event) else { return false };
        let path = state.path(node);
        *path == **wanted || path.strip_prefix(wanted.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }
}

fn row<'a>(state: &State, record: &'a Record) -> Row<'a> {
    let node = node_of(&record.event).map(|node| state.path(node).to_string());
    Row { seq: record.seq, at: record.at.rfc3339(), node, event: &record.event, budget: Vec::new() }
}

fn lines(state: &State, records: &[&Record]) -> Result<String, std::fmt::Error> {
    let mut page = String::new();
    for record in records {
        let mut json = serde_json::to_value(&record.event).unwrap_or_default();
        name_lookup(&mut json);
        let (name, detail) = match &json {
            serde_json::Value::Object(map) => map.iter().next().map_or(("event", String::new()), |(k, v)| (k.as_str(), brief(v))),
            serde_json::Value::String(name) => (name.as_str(), String::new()),
            _ => ("event", String::new()),
        };
        let detail = if matches!(record.event, Event::Started(_)) { state.started.task.to_string() } else { detail };
        let node = node_of(&record.event).map_or_else(String::new, |node| format!(" {}", state.path(node)));
        writeln!(page, "{:>6}  {}  {name}{node}  {detail}", record.seq.0, record.at)?;
    }
    Ok(page)
}

/// Calls the look-up before the first turn by its name, which as a number tells people nothing.
fn name_lookup(event: &mut serde_json::Value) {
    let calls = event.as_object_mut().into_iter().flat_map(serde_json::Map::values_mut).filter_map(|fact| fact.get_mut("call"));
    for call in calls.filter(|call| **call == CallIx::LOOKUP.0) {
        *call = "lookup".into();
    }
}

/// A fact in at most 160 characters.
fn brief(value: &serde_json::Value) -> String {
    let text = match value {
        serde_json::Value::Object(map) => {
            let rest: serde_json::Map<_, _> =
                map.iter().filter(|(k, _)| *k != "node").map(|(k, v)| (k.clone(), v.clone())).collect();
            serde_json::Value::Object(rest).to_string()
        }
        other => other.to_string(),
    };
    if text.chars().count() <= 160 { text } else { text.chars().take(159).chain(['…']).collect() }
}

/// The node that a fact is about.
fn node_of(event: &Event) -> Option<NodeIx> {
    match event {
        Event::NodeStarted { node, .. }
        | Event::NodeRetried { node, .. }
        | Event::RetryDue { node }
        | Event::NodeEnded { node, .. }
        | Event::EdgesJudged { node, .. }
        | Event::ScopeOpened { node, .. }
        | Event::Judged { node, .. }
        | Event::TurnStarted { node, .. }
        | Event::TurnHeld { node, .. }
        | Event::TurnEnded { node, .. }
        | Event::ToolReturned { node, .. }
        | Event::NotHappened { node, .. }
        | Event::LetGo { node, .. }
        | Event::Said { node, .. }
        | Event::Noted { node, .. }
        | Event::Wrote { node, .. }
        | Event::Decided { node, .. }
        | Event::Escalated { node, .. } => Some(*node),
        Event::Grown(grown) => Some(grown.node),
        Event::ToolCalled(called) => Some(called.node),
        Event::Found { node, .. } => Some(*node),
        Event::Asked(ask) => Some(ask.node),
        Event::LateResult { key, .. } => Some(key.node),
        Event::Started(_)
        | Event::Resumed { .. }
        | Event::Parked
        | Event::AskClosed { .. }
        | Event::AskMoved { .. }
        | Event::LimitReached { .. }
        | Event::Undelivered { .. }
        | Event::CancelRequested { .. }
        | Event::Finished(_) => None,
    }
}
