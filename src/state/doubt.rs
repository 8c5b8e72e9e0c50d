//! Which irreversible calls may or may not have happened? What made one is not tried again.

use std::collections::BTreeSet;

use super::{CallState, State};
use crate::{
    event::{Ask, AskFor, AskOutcome, Outcome},
    graph::NodeKind,
    value::{EffectClass, FailureKind, NodeIx, Value},
};

impl State {
    /// The first node, of this one and those below it, that made an irreversible call of which nobody knows whether it happened:
    /// it is in flight, a person is asked, or it was given up.
    pub fn in_doubt(&self, node: NodeIx) -> Option<NodeIx> {
        let mut all = BTreeSet::from([node]);
        self.below(node, &mut all);
        all.into_iter().find(|node| self.unsure.contains(node) || self.is_firing(*node))
    }

    /// Keeps in mind that a node ends with a call in doubt. One that its tool answered, or that a rule knows of, is none.
    pub(super) fn give_up(&mut self, node: NodeIx, outcome: &Outcome) {
        let doubtful = match outcome {
            Outcome::Ok(_) => false,
            Outcome::Failed(failure) => {
                failure.kind == FailureKind::InDoubt && !matches!(self.node(node).kind, NodeKind::Scope(_))
            }
            Outcome::Skipped(_) | Outcome::Cancelled => self.is_firing(node),
        };
        if doubtful {
            self.unsure.insert(node);
        }
    }

    /// Whether an irreversible call of a node is in flight, or a person is asked whether it happened and nobody has said so.
    fn is_firing(&self, node: NodeIx) -> bool {
        let calls = self.calling.contains(&node)
            && matches!(&self.node(node).kind, NodeKind::Tool(tool) if tool.effect == EffectClass::Irreversible);
        let asks = |ask: &Ask| ask.node == node && is_about_doubt(&ask.purpose);
        let heard = self.answered.get(&node).is_some_and(|(ask, outcome)| is_unknown(&ask.purpose, outcome));
        let acts = self.activations.get(&node).is_some_and(|activation| {
            activation.calls().iter().zip(&activation.effects).any(|(call, effect)| match call {
                CallState::InFlight(_) => *effect == EffectClass::Irreversible,
                CallState::Heard(_, purpose, outcome) => is_unknown(purpose, outcome),
                CallState::New(_)
                | CallState::Allowed(_)
                | CallState::Waiting(..)
                | CallState::Back(..)
                | CallState::AtPerson(_)
                | CallState::Answered(..) => false,
            })
        });
        calls || heard || acts || self.asks.values().any(|ask| asks(ask))
    }
}

/// Whether a question is about a call in doubt: whether it happened, or what becomes of the agent that made it.
fn is_about_doubt(purpose: &AskFor) -> bool {
    match purpose {
        AskFor::InDoubt(..) => true,
        AskFor::Failure(failure) => failure.kind == FailureKind::InDoubt,
        AskFor::Node
        | AskFor::Uncertain
        | AskFor::Settle(_)
        | AskFor::Permit(..)
        | AskFor::Escalation(..)
        | AskFor::Elicited(..) => false,
    }
}

/// Whether somebody was asked about a call in doubt and it stays so. Whoever orders a retry takes it for one that did not happen.
fn is_unknown(purpose: &AskFor, outcome: &AskOutcome) -> bool {
    let known = |value: &Value| matches!(value.as_str(), Some("happened" | "not_happened" | "retry"));
    is_about_doubt(purpose) && !matches!(outcome, AskOutcome::Answered { value, .. } if known(value))
}
