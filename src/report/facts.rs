//! Which facts of a session are compared with those of another? [`facts`], each with what it is about.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::diff::{About, Fact};
use crate::{
    event::{AskOutcome, Event, Outcome, Record, Started, TurnEnd},
    state::{FoldError, State},
    value::{CallIx, NodeIx, Reply, Seq, Value},
};

/// The facts of a session that a record from `from` on tells; those of its first record too, where nothing is shared. What its requests
/// looked like only where their `digests` can be compared with the other's.
///
/// # Errors
/// They are no session.
pub(super) fn facts(records: &[Record], from: usize, digests: bool) -> Result<Vec<Fact>, FoldError> {
    let (first, rest) = records.split_first().ok_or(FoldError::NoStart)?;
    let mut state = State::start(first)?;
    let mut all = Facts { digests, ..Facts::default() };
    if from == 0 {
        all.begin(&state.started);
    }
    for record in rest {
        if record.seq.index() >= from {
            all.see(&state, record);
        }
        state.apply(record)?;
    }
    Ok(all.found)
}

#[derive(Default)]
struct Facts {
    found: Vec<Fact>,
    /// Whether the digests of requests count.
    digests: bool,
    /// How often something of that name came up.
    times: BTreeMap<(About, Option<Arc<str>>, String), u32>,
}

impl Facts {
    /// Notes a fact; a later one of the same name is numbered.
    fn add(&mut self, about: About, node: Option<Arc<str>>, name: String, seq: Seq, value: Json) {
        let times = self.times.entry((about, node.clone(), name.clone())).or_default();
        *times += 1;
        let name = if *times > 1 { format!("{name} (time {times})").trim_start().to_owned() } else { name };
        self.found.push(((about, node, name), seq, value));
    }

    /// What the session starts from.
    fn begin(&mut self, started: &Started) {
        let mut add = |about, name: &str, value: Json| self.add(about, None, name.to_owned(), Seq(0), value);
        add(About::Task, "", json!(started.task));
        for (name, value) in started.inputs.iter() {
            add(About::Input, name, value.to_json());
        }
        for (file, digest) in &started.plan.digests {
            add(About::File, file, json!(digest));
        }
        for (name, model) in &started.models {
            add(About::Model, name, json!(model));
        }
        for (ix, team) in started.plan.teams.iter().enumerate() {
            let within = if ix == 0 { String::new() } else { format!("{}/", team.name) };
            for member in team.members.iter().chain(&team.coordinator) {
                for (field, value) in to_json(&member.profile).as_object().into_iter().flatten() {
                    add(About::Profile, &format!("{within}{}.{field}", member.role), value.clone());
                }
            }
        }
        // Of what is large only whether it is the same counts: the files tell what changed in it.
        add(About::Plan, "graphs", json!(digest(&started.plan.graphs)));
        add(About::Plan, "limits", to_json(&started.plan.limits));
    }

    fn see(&mut self, state: &State, record: &Record) {
        let seq = record.seq;
        let path = |node: NodeIx| (node.index() < state.nodes.len()).then(|| state.path(node));
        match &record.event {
            Event::Forked(forked) => {
                if let Some(task) = &forked.task {
                    self.add(About::Fork, None, "task".to_owned(), seq, json!(task));
                }
                for (what, values) in [("input", &forked.inputs), ("variable", &forked.variables)] {
                    for (name, value) in values {
                        self.add(About::Fork, None, format!("{what} {name}"), seq, value.to_json());
                    }
                }
            }
            Event::TurnStarted { node, turn, sent, .. } => {
                let parts = sent
                    .as_ref()
                    .filter(|_| self.digests)
                    .map_or(Json::Null, |sent| json!(sent.parts().collect::<BTreeMap<_, _>>()));
                self.add(About::Request, path(*node), format!("turn {}", turn.0 + 1), seq, parts);
            }
            Event::TurnEnded { node, turn, end, .. } => {
                let said = match end {
                    TurnEnd::Reply(reply) => words(reply),
                    TurnEnd::Failed(failure) => json!({ "error": failure.to_string() }),
                };
                self.add(About::Reply, path(*node), format!("turn {}", turn.0 + 1), seq, said);
            }
            Event::ToolReturned { node, turn, call, result } => {
                let tool = state.activations.get(node).and_then(|a| Some(a.call(*call)?.call()?.tool.clone()));
                // Results come in any order.
                let which =
                    if *call == CallIx::LOOKUP { "look-up".to_owned() } else { format!("call {}", u64::from(call.0) + 1) };
                let name = format!("turn {}, {which}, {}", turn.0 + 1, tool.as_deref().unwrap_or("unknown"));
                self.add(About::Call, path(*node), name, seq, outcome(&result.outcome));
            }
            Event::Judged { node, rule, verdict } => {
                self.add(About::Verdict, path(*node), rule.function().to_owned(), seq, to_json(verdict));
            }
            Event::Found { node, finding } => {
                let value = json!({ "value": finding.value.to_json(), "claim": finding.claim, "confidence": finding.confidence });
                self.add(About::Finding, path(*node), finding.topic.to_string(), seq, value);
            }
            Event::AskClosed { ask, outcome: AskOutcome::Answered { value, .. } } => {
                let node = state.asks.get(ask).and_then(|ask| path(ask.node));
                self.add(About::Answer, node, String::new(), seq, value.to_json());
            }
            Event::Decided { node, decision } => {
                self.add(About::Decision, path(*node), decision.topic.to_string(), seq, decision.outcome.to_json());
            }
            Event::NodeEnded { node, outcome } => {
                let ended = match outcome {
                    Outcome::Ok(value) => json!({ "output": value.to_json() }),
                    Outcome::Failed(failure) => json!({ "error": failure.to_string() }),
                    Outcome::Skipped(skip) => json!({ "skipped": skip }),
                    Outcome::Cancelled => json!("cancelled"),
                };
                self.add(About::Output, path(*node), String::new(), seq, ended);
            }
            Event::Finished(finished) => {
                let result = json!({ "status": finished.status, "output": finished.output.to_json() });
                self.add(About::Result, None, String::new(), seq, result);
            }
            _ => {}
        }
    }
}

/// What a model said, without what it took and what means nothing to anybody else.
fn words(reply: &Reply) -> Json {
    let calls: Vec<Json> = reply.calls.iter().map(|call| json!({ "tool": call.tool, "args": call.args.to_json() })).collect();
    json!({ "text": reply.text, "calls": calls, "finish": reply.finish.as_ref().map(Value::to_json) })
}

fn outcome(outcome: &Result<Value, crate::value::Failure>) -> Json {
    match outcome {
        Ok(value) => value.to_json(),
        Err(failure) => json!({ "error": failure.to_string() }),
    }
}

fn to_json(thing: &impl Serialize) -> Json {
    serde_json::to_value(thing).unwrap_or_default()
}

fn digest(thing: &impl Serialize) -> String {
    blake3::hash(&serde_json::to_vec(thing).unwrap_or_default()).to_hex().to_string()
}
