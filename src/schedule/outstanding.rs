//! What should be in flight? The effects that a state calls for, whoever performs them.

use super::Scheduler;
use crate::{
    event::Effect,
    state::{CallState, Stage},
    value::CallIx,
};

/// Calls of tool nodes, then of agents, then open questions and who is to be told of them, each in order. Calls in doubt are not among them.
pub(super) fn outstanding(scheduler: &Scheduler) -> Vec<Effect> {
    let state = &scheduler.state;
    if state.finished.is_some() {
        return Vec::new();
    }
    let doubted = |node, call: Option<CallIx>| state.todo.doubts.iter().any(|key| key.node == node && key.call == call);
    let mut effects = Vec::new();
    for node in &state.calling {
        if !doubted(*node, None) {
            effects.extend(scheduler.tool_call(*node));
        }
    }
    for (node, activation) in &state.activations {
        match &activation.stage {
            Stage::Asked => effects.extend(scheduler.model_call(*node)),
            Stage::Calls(_) | Stage::Looking(_) => {
                for (ix, call) in activation.numbered() {
                    if matches!(call, CallState::InFlight(_)) && !doubted(*node, Some(ix)) {
                        effects.extend(scheduler.agent_call(*node, ix));
                    }
                }
            }
            Stage::Due | Stage::Unsure(_) | Stage::Failing(_) => {}
        }
    }
    effects.extend(state.asks.keys().copied().map(Effect::Ask));
    effects.extend(state.notices.keys().filter_map(|ask| scheduler.notice(*ask)).map(Effect::Notify));
    effects
}
