//! `synod show`: the facts of a session, in order.

use std::{collections::BTreeSet, fmt::Write as _, sync::Arc};

use clap::Args;
use serde::Serialize;

use super::{
    CommandError, Global, Outcome,
    messages::{nobody, roles},
    output,
};
use crate::{
    event::{Event, Record},
    report::{Moment, MomentError, PoolRow, budget},
    state::State,
    team::nearest,
    value::{CallIx, NodeIx, Seq},
};

/// Show the facts of a session, in order, or how it stood
///
/// Without further options it lists the facts that are on the record. With `--as-of` or `--seen-by` it shows how the session stood: its
/// findings, variables, decisions, messages, who was at work and what was open.
#[derive(Debug, Args)]
pub(super) struct Show {
    /// The session's id, or the beginning of it
    session: String,
    /// How it stood after this record
    #[arg(long, value_name = "SEQ")]
    as_of: Option<u64>,
    /// What this agent knew then, by its role or the path of its node: what it had read at its last turn, and private messages only
    /// where it is one of their two ends
    #[arg(long, value_name = "AGENT")]
    seen_by: Option<String>,
    /// Only the facts of nodes below this path
    #[arg(long, value_name = "PATH", conflicts_with_all = ["as_of", "seen_by"])]
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
        if self.as_of.is_some() || self.seen_by.is_some() {
            let moment = self.moment(&state, &records)?;
            if global.json {
                output::json(&moment)?;
            } else {
                output::text(&moment.text())?;
            }
            return Ok(exit);
        }
        self.refuse_unknown(&state)?;
        let shown: Vec<&Record> = records.iter().filter(|record| self.is_below(&state, record)).collect();
        let pools = budget(&state);
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

    fn moment(&self, state: &State, records: &[Record]) -> Result<Moment, CommandError> {
        let (as_of, seen_by) = (self.as_of, self.seen_by.as_deref());
        Moment::of(records, as_of.map(Seq), seen_by).map_err(|error| match error {
            MomentError::Fold(error) => error.into(),
            MomentError::Later { .. } => CommandError::Usage(format!("--as-of {}: {error}", as_of.unwrap_or_default())),
            MomentError::Nobody => {
                let name = seen_by.unwrap_or_default();
                CommandError::Usage(format!("--seen-by {name}: {}", nobody(name, &roles(state))))
            }
            MomentError::Several { .. } => CommandError::Usage(format!("--seen-by {}: {error}", seen_by.unwrap_or_default())),
        })
    }

    fn refuse_unknown(&self, state: &State) -> Result<(), CommandError> {
        let Some(wanted) = &self.node else { return Ok(()) };
        let paths: BTreeSet<Arc<str>> = (0..state.nodes.len()).map(|ix| state.path(NodeIx(ix as u32))).collect();
        if paths.iter().any(|path| is_at_or_below(path, wanted)) {
            return Ok(());
        }
        let hint = match nearest(wanted, paths.iter().map(|path| &**path)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`synod show SESSION` names all of them".to_owned(),
        };
        Err(CommandError::Usage(format!("--node {wanted}: no node of the session has that path; {hint}")))
    }

    fn is_below(&self, state: &State, record: &Record) -> bool {
        let Some(wanted) = &self.node else { return true };
        let Some(node) = node_of(&record.event) else { return false };
        is_at_or_below(&state.path(node), wanted)
    }
}

fn is_at_or_below(path: &str, wanted: &str) -> bool {
    path.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
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
        | Event::Anew { node, .. }
        | Event::Said { node, .. }
        | Event::Noted { node, .. }
        | Event::Wrote { node, .. }
        | Event::Decided { node, .. }
        | Event::Escalated { node, .. } => Some(*node),
        Event::Grown(grown) => Some(grown.node),
        Event::Delegated(delegated) => Some(delegated.node),
        Event::ToolCalled(called) => Some(called.node),
        Event::TakenOver(taken) => Some(taken.node),
        Event::Found { node, .. } | Event::Retracted { node, .. } => Some(*node),
        Event::Asked(ask) => Some(ask.node),
        Event::LateResult { key, .. } => Some(key.node),
        Event::Started(_)
        | Event::Resumed { .. }
        | Event::Forked(_)
        | Event::Parked
        | Event::AskClosed { .. }
        | Event::AskMoved { .. }
        | Event::Notified { .. }
        | Event::LimitReached { .. }
        | Event::DeadlinePassed { .. }
        | Event::HandedOff { .. }
        | Event::Undelivered { .. }
        | Event::CancelRequested { .. }
        | Event::Finished(_) => None,
    }
}
