//! Is anything tried again while nobody knows whether an irreversible call of it happened? [`Doubts`], from the journal alone.

use std::collections::BTreeSet;

use synod::{
    event::{AskFor, AskOutcome, Event, Outcome},
    graph::NodeKind,
    state::State,
    value::{AskId, EffectClass, Failure, FailureKind, NodeIx, RuleKind, Value, Verdict},
};

use crate::world::Violation;

/// The nodes with an irreversible call that may or may not have happened.
#[derive(Default)]
pub struct Doubts {
    nodes: BTreeSet<NodeIx>,
    asked: BTreeSet<(AskId, NodeIx)>,
}

impl Doubts {
    /// Takes the next fact in; `state` only says what a node is and where.
    pub fn follow(&mut self, event: &Event, state: &State) -> Result<(), Violation> {
        match event {
            Event::NodeStarted { node, .. } if is_irreversible(*node, state) => {
                self.nodes.insert(*node);
            }
            Event::ToolCalled(call) if call.effect == EffectClass::Irreversible => {
                self.nodes.insert(call.node);
            }
            Event::ToolReturned { node, result, .. } if !is_in_doubt(&result.outcome) => {
                self.nodes.remove(node);
            }
            Event::NotHappened { node, .. } => {
                self.nodes.remove(node);
            }
            Event::LetGo { node, .. } if self.nodes.contains(node) => {
                return Err(format!("{} lets go of an irreversible call, which is made again then", state.path(*node)));
            }
            Event::Judged { node, rule: RuleKind::Reconcile, verdict: Some(verdict) } if knows(verdict) => {
                self.nodes.remove(node);
            }
            Event::Asked(ask) => {
                let orders = matches!(ask.purpose, AskFor::InDoubt(..) | AskFor::Failure(_));
                self.asked.extend(orders.then_some((ask.id, ask.node)));
            }
            Event::AskClosed { ask, outcome } => {
                let Some(asked) = self.asked.iter().find(|(id, _)| id == ask).copied() else { return Ok(()) };
                self.asked.remove(&asked);
                let known = ["happened", "not_happened", "retry"].map(Value::text);
                if matches!(outcome, AskOutcome::Answered { value, .. } if known.contains(value)) {
                    self.nodes.remove(&asked.1);
                }
            }
            Event::NodeEnded { node, outcome: Outcome::Ok(_) } => {
                self.nodes.remove(node);
            }
            Event::NodeEnded { node, outcome: Outcome::Failed(failure) } if is_answer(failure.kind) => {
                self.nodes.remove(node);
            }
            Event::NodeRetried { node, failure, .. } => {
                let is_tool = matches!(state.node(*node).kind, NodeKind::Tool(_));
                if is_tool && is_answer(failure.kind) {
                    self.nodes.remove(node);
                }
                if let Some(doubt) = self.nodes.iter().find(|doubt| is_within(**doubt, *node, state)) {
                    let (tried, call) = (state.path(*node), state.path(*doubt));
                    return Err(format!("{tried} is tried again, and nobody knows whether the call of {call} happened"));
                }
            }
            Event::Started(_)
            | Event::Resumed { .. }
            | Event::Forked(_)
            | Event::TakenOver(_)
            | Event::Anew { .. }
            | Event::Parked
            | Event::NodeStarted { .. }
            | Event::RetryDue { .. }
            | Event::NodeEnded { .. }
            | Event::EdgesJudged { .. }
            | Event::ScopeOpened { .. }
            | Event::Grown(_)
            | Event::Judged { .. }
            | Event::TurnStarted { .. }
            | Event::TurnHeld { .. }
            | Event::TurnEnded { .. }
            | Event::ToolCalled(_)
            | Event::ToolReturned { .. }
            | Event::LetGo { .. }
            | Event::Said { .. }
            | Event::Noted { .. }
            | Event::Delegated(_)
            | Event::Found { .. }
            | Event::Retracted { .. }
            | Event::Wrote { .. }
            | Event::Decided { .. }
            | Event::Escalated { .. }
            | Event::AskMoved { .. }
            | Event::Notified { .. }
            | Event::LimitReached { .. }
            | Event::DeadlinePassed { .. }
            | Event::HandedOff { .. }
            | Event::Undelivered { .. }
            | Event::CancelRequested { .. }
            | Event::LateResult { .. }
            | Event::Finished(_) => {}
        }
        Ok(())
    }
}

fn is_irreversible(node: NodeIx, state: &State) -> bool {
    matches!(&state.node(node).kind, NodeKind::Tool(tool) if tool.effect == EffectClass::Irreversible)
}

fn is_in_doubt(outcome: &Result<Value, Failure>) -> bool {
    matches!(outcome, Err(failure) if failure.kind == FailureKind::InDoubt)
}

fn knows(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Reconcile(Some(_)))
}

/// Whether a tool that failed like this has said what came of its call.
fn is_answer(kind: FailureKind) -> bool {
    !matches!(kind, FailureKind::Timeout | FailureKind::Transport | FailureKind::Cancelled | FailureKind::InDoubt)
}

fn is_within(inner: NodeIx, outer: NodeIx, state: &State) -> bool {
    std::iter::successors(Some(inner), |node| state.instance_of(*node).scope).any(|node| node == outer)
}
