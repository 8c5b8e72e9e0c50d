//! What were the tools then? [`RecordedTools`] answers as the records do, and knows the rest from this machine: no tool is called.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    event::{Event, Record, TurnEnd},
    state::{FoldError, State},
    turn::{Toolbox, is_collaboration},
    value::{EffectClass, FailureKind, Profile, ToolSpec, Value},
};

/// The tools of a session as it found them.
pub(in crate::engine) struct RecordedTools<T> {
    here: T,
    /// Those that were called and that this machine does not have, such as those of a server.
    elsewhere: BTreeMap<Arc<str>, Arc<ToolSpec>>,
    /// By tool and arguments: what repeating the call would do.
    effects: BTreeMap<(Arc<str>, String), EffectClass>,
    /// Calls that were made.
    made: BTreeSet<(Arc<str>, String)>,
    /// Those whose results came from outside.
    untrusted: BTreeSet<Arc<str>>,
    /// Calls that did not fit the schema, and what the agent was told.
    refused: BTreeMap<(Arc<str>, String), Arc<str>>,
}

impl<T: Toolbox> RecordedTools<T> {
    pub(in crate::engine) fn of(records: &[Record], here: T) -> Result<Self, FoldError> {
        let Some(first) = records.first() else { return Err(FoldError::NoStart) };
        let mut state = State::start(first)?;
        let (effects, made, refused) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        let untrusted = BTreeSet::new();
        let mut tools = Self { here, elsewhere: BTreeMap::new(), effects, made, untrusted, refused };
        for record in &records[1..] {
            tools.see(&state, &record.event);
            state.apply(record)?;
        }
        Ok(tools)
    }

    fn see(&mut self, state: &State, event: &Event) {
        match event {
            Event::TurnEnded { end: TurnEnd::Reply(reply), effects, .. } => {
                let calls = reply.calls.iter().zip(effects);
                self.effects.extend(calls.map(|(call, effect)| (key(&call.tool, &call.args), *effect)));
            }
            Event::ToolCalled(called) => {
                let call = state.activations.get(&called.node).and_then(|a| a.call(called.call)?.call().cloned());
                if let Some(call) = call {
                    self.made.insert(key(&call.tool, &call.args));
                    self.know(&call.tool);
                }
            }
            Event::ToolReturned { node, call, result, .. } => {
                let call = state.activations.get(node).and_then(|a| a.call(*call)?.call());
                if let Some(call) = call.filter(|call| result.untrusted && !is_collaboration(&call.tool)) {
                    self.untrusted.insert(call.tool.clone());
                }
                if let (Some(call), Err(failure)) = (call, &result.outcome)
                    && failure.kind == FailureKind::Schema
                    && !is_collaboration(&call.tool)
                {
                    self.refused.insert(key(&call.tool, &call.args), failure.message.clone());
                    self.know(&call.tool);
                }
            }
            Event::TurnEnded { end: TurnEnd::Failed(_), .. }
            | Event::Started(_)
            | Event::Resumed { .. }
            | Event::Forked(_)
            | Event::TakenOver(_)
            | Event::Anew { .. }
            | Event::Parked
            | Event::NodeStarted { .. }
            | Event::NodeRetried { .. }
            | Event::RetryDue { .. }
            | Event::NodeEnded { .. }
            | Event::EdgesJudged { .. }
            | Event::ScopeOpened { .. }
            | Event::Grown(_)
            | Event::Judged { .. }
            | Event::TurnStarted { .. }
            | Event::TurnHeld { .. }
            | Event::NotHappened { .. }
            | Event::Said { .. }
            | Event::Noted { .. }
            | Event::Delegated(_)
            | Event::DeadlinePassed { .. }
            | Event::HandedOff { .. }
            | Event::Undelivered { .. }
            | Event::LetGo { .. }
            | Event::Found { .. }
            | Event::Retracted { .. }
            | Event::Wrote { .. }
            | Event::Decided { .. }
            | Event::Escalated { .. }
            | Event::Asked(_)
            | Event::AskClosed { .. }
            | Event::AskMoved { .. }
            | Event::Notified { .. }
            | Event::LimitReached { .. }
            | Event::CancelRequested { .. }
            | Event::LateResult { .. }
            | Event::Finished(_) => {}
        }
    }

    fn know(&mut self, tool: &Arc<str>) {
        if self.here.spec(tool).is_none() {
            let spec = ToolSpec {
                name: tool.clone(),
                description: Arc::from("not on this machine; its results are on the record"),
                parameters: Value::map([("type", Value::text("object"))]),
                effect: EffectClass::Irreversible,
                untrusted: false,
            };
            self.elsewhere.insert(tool.clone(), Arc::new(spec));
        }
    }
}

fn key(tool: &Arc<str>, args: &Value) -> (Arc<str>, String) {
    (tool.clone(), args.to_string())
}

impl<T: Toolbox> Toolbox for RecordedTools<T> {
    fn spec(&self, tool: &str) -> Option<Arc<ToolSpec>> {
        let spec = self.here.spec(tool).or_else(|| self.elsewhere.get(tool).cloned())?;
        let untrusted = self.untrusted.contains(tool);
        Some(if spec.untrusted == untrusted { spec } else { Arc::new(ToolSpec { untrusted, ..(*spec).clone() }) })
    }

    fn check(&self, tool: &str, args: &Value) -> Result<(), String> {
        let call = key(&Arc::from(tool), args);
        match self.refused.get(&call) {
            _ if self.made.contains(&call) => Ok(()),
            Some(why) => Err(why.to_string()),
            None if self.elsewhere.contains_key(tool) => Ok(()),
            None => self.here.check(tool, args),
        }
    }

    fn effect(&self, tool: &str, args: &Value) -> EffectClass {
        self.effects.get(&key(&Arc::from(tool), args)).copied().unwrap_or_else(|| self.here.effect(tool, args))
    }

    fn allows(&self, profile: &Profile, tool: &str, args: &Value) -> bool {
        self.here.allows(profile, tool, args)
    }

    fn allowed(&self, profile: &Profile) -> Vec<Arc<ToolSpec>> {
        let mut all = self.here.allowed(profile);
        all.extend(self.elsewhere.values().filter(|spec| self.here.allows(profile, &spec.name, &Value::Null)).cloned());
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    fn fits(&self, schema: &Value, value: &Value) -> Result<(), String> {
        self.here.fits(schema, value)
    }
}
