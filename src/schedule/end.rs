//! When is a session over, and when does it only wait for people?

use super::{Scheduler, rule_failure};
use crate::{
    event::{Event, Finished, Grown, GrownFrom, Status},
    state::{At, FoldError},
    value::{Failure, NodeIx, Value},
};

impl Scheduler {
    /// Runs `finally` once all else has ended, then ends the session.
    pub(super) fn finish(&mut self) -> Result<(), FoldError> {
        if let Some(finally) = self.state.started.plan.finally
            && self.state.finale.is_none()
        {
            let (status, output, failure) = self.result();
            let error = failure.as_ref().map_or(Value::Null, crate::state::seen_failure);
            let bound = Value::map([("output", output), ("status", Value::text(status.name())), ("error", error)]);
            let of = GrownFrom::Plan(finally);
            return self.emit(Event::Grown(Box::new(Grown { node: NodeIx(0), of, first: 0, count: 1, call: None, bound })));
        }
        let (mut status, output, mut failure) = self.result();
        if let (Status::Completed, Some(failed)) = (status, self.finale_failure()) {
            (status, failure) = (Status::Failed, Some(failed));
        }
        let undelivered: Vec<_> = self.state.undelivered().map(|spoken| spoken.message.id.clone()).collect();
        if !undelivered.is_empty() {
            self.emit(Event::Undelivered { messages: undelivered })?;
        }
        self.emit(Event::Finished(Box::new(Finished { status, output, failure })))
    }

    fn result(&self) -> (Status, Value, Option<Failure>) {
        let best = || self.state.provisional.as_ref().map(|(_, value)| value.clone()).unwrap_or_default();
        let status = self.state.verdict_so_far();
        if status != Status::Completed {
            let failed = self.state.instances.first().and_then(|root| root.failed);
            return (status, best(), failed.map(|node| self.child_failure(node)));
        }
        let Some(root) = self.state.instances.first() else { return (Status::Failed, Value::Null, None) };
        let output = match &root.graph.output {
            None => Ok(self.state.sinks(0)),
            Some(expr) => {
                let names = self.state.names(&expr.refs, At { instance: 0, node: None, source: None });
                self.judge.eval(expr, &names).map_err(rule_failure)
            }
        };
        match output {
            Ok(output) => (status, output, None),
            Err(failure) => (Status::Failed, best(), Some(failure)),
        }
    }

    fn finale_failure(&self) -> Option<Failure> {
        let finale = self.state.finale.and_then(|ix| self.state.instances.get(ix as usize))?;
        finale.failed.map(|node| self.child_failure(node))
    }

    /// Records that only questions to people are open, once that is so.
    pub(super) fn park(&mut self) -> Result<(), FoldError> {
        let state = &self.state;
        let waits = state.finished.is_none()
            && !state.parked
            && !state.asks.is_empty()
            && state.in_flight() == 0
            && state.ready.is_empty()
            && state.budget.held.is_empty()
            && state.todo.is_empty()
            && !state.timers.has_work();
        if waits { self.emit(Event::Parked) } else { Ok(()) }
    }
}
