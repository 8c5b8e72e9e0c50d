//! Who answers without a model? [`Script`]: a Rhai function `turn(view)`, pure, free and the same every time.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{Answer, Model, view};
use crate::{
    rule::{RuleDiagnostic, ScriptAgent, ScriptCall, ScriptTurn, Source},
    value::{Call, Failure, FailureKind, Reply, Request, Stop},
};

/// A script agent.
pub struct Script {
    agent: Arc<ScriptAgent>,
}

/// Stops a script when nobody waits for it any more.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Script {
    /// Compiles a script, the first of `sources`, with the files that it uses.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn compile(sources: &[Source]) -> Result<Self, Vec<RuleDiagnostic>> {
        Ok(Self { agent: Arc::new(ScriptAgent::compile(sources)?) })
    }
}

impl Model for Script {
    fn reply<'a>(&'a self, request: &'a Request, _key: &'a str) -> Answer<'a> {
        Box::pin(async move {
            let (agent, seen) = (self.agent.clone(), view(request));
            let stop = StopOnDrop(Arc::default());
            let flag = stop.0.clone();
            let turn = tokio::task::spawn_blocking(move || agent.turn_until(&seen, &flag)).await;
            drop(stop);
            match turn {
                Ok(Ok(turn)) => Ok(reply_of(turn)),
                Ok(Err(error)) => Err(Failure { place: Some(error.place), ..Failure::new(FailureKind::Rule, error.message) }),
                Err(error) => Err(Failure::new(FailureKind::Model, format!("the script broke off: {error}"))),
            }
        })
    }
}

fn reply_of(turn: ScriptTurn) -> Reply {
    let plain = Reply::default();
    match turn {
        ScriptTurn::Finish { say, value } => Reply { text: say, finish: Some(value), ..plain },
        ScriptTurn::Calls { say, calls } => {
            let calls = (0..).zip(calls).map(|(ix, call)| named(ix, call)).collect();
            Reply { text: say, calls, stop: Stop::Calls, ..plain }
        }
    }
}

/// A call goes by the name that the script gave it, else by its place.
fn named(ix: usize, call: ScriptCall) -> Call {
    let id = call.name.unwrap_or_else(|| Arc::from(format!("call_{ix}")));
    Call { id, tool: call.tool, args: call.args }
}
