//! What becomes of the calls that an agent asks for, and of the call of a tool node?

use std::sync::Arc;

use super::{Scheduler, doubt::no_more_chances, provenance::Screened, rule_failure};
use crate::{
    event::{AskFor, AskOutcome, Effect, Event, Key, Outcome, ToolCall, ToolCalled},
    graph::{MAX_VARIABLE, NodeKind, Phase},
    state::{CallState, FoldError},
    turn::{Action, comes_last, cut, is_collaboration, knowledge_args, knowledge_tool, refusal, unreadable},
    value::{
        Call, CallIx, CallResult, EffectClass, Entry, EscalateTo, Failure, FailureKind, Finding, FindingStatus, Message, NodeIx,
        Origin, RuleKind, SEARCH_KNOWLEDGE, Value, Verdict,
    },
};

impl Scheduler {
    /// A slot is free for a tool node.
    pub(super) fn begin_tool(&mut self, node: NodeIx) -> Result<(), FoldError> {
        if let Err(failure) = self.tool_args(node) {
            return self.end(node, Outcome::Failed(Arc::new(failure)));
        }
        if self.takes_over_tool(node)? {
            return Ok(());
        }
        let attempt = self.state.nodes[node.index()].attempt + 1;
        self.emit(Event::NodeStarted { node, attempt, lookup: None })?;
        if let Some(effect) = self.tool_call(node) {
            self.effect(effect);
        }
        Ok(())
    }

    /// The call of a tool node.
    pub(super) fn tool_call(&self, node: NodeIx) -> Option<Effect> {
        let NodeKind::Tool(tool) = &self.state.node(node).kind else { return None };
        let key = Key { node, attempt: self.state.nodes[node.index()].attempt, turn: super::agent::ONLY_TURN, call: None };
        Some(Effect::Tool(ToolCall {
            key,
            role: None,
            path: self.state.path(node),
            tool: tool.tool.clone(),
            args: self.tool_args(node).ok()?,
            effect: tool.effect,
            timeout: self.state.node(node).timeout,
            under: self.keyed_by(node, tool.effect),
        }))
    }

    /// The arguments of a tool node, filled in and checked.
    pub(super) fn tool_args(&self, node: NodeIx) -> Result<Value, Failure> {
        let NodeKind::Tool(tool) = &self.state.node(node).kind else { return Ok(Value::Null) };
        if tool.templates.is_empty() {
            return Ok(tool.args.clone());
        }
        let mut args = tool.args.clone();
        for (pointer, template) in &tool.templates {
            let names = self.state.names(&template.refs, self.state.at(node));
            let value = self.judge.fill(template, &names).map_err(rule_failure)?;
            args = args.with(pointer, value);
        }
        self.tools.check(&tool.tool, &args).map_err(|why| Failure::new(FailureKind::Schema, why))?;
        Ok(args)
    }

    /// Looks at the calls of a turn that need no slot.
    pub(super) fn look_at_calls(&mut self, node: NodeIx) -> Result<(), FoldError> {
        let Some(activation) = self.state.activations.get(&node) else { return Ok(()) };
        let calls: Vec<(CallIx, CallState)> = activation.numbered().map(|(ix, state)| (ix, state.clone())).collect();
        for (ix, state) in &calls {
            match state {
                CallState::Heard(_, purpose, outcome) => return self.heard_call(node, *ix, purpose, outcome),
                CallState::Back(_, instance) => return self.answered_below(node, *ix, *instance),
                CallState::New(call) if is_collaboration(&call.tool) && !comes_last(&call.tool) => {
                    return self.collaborate(node, *ix, call);
                }
                CallState::New(_)
                | CallState::Allowed(_)
                | CallState::InFlight(_)
                | CallState::Waiting(..)
                | CallState::AtPerson(_)
                | CallState::Answered(..) => {}
            }
        }
        // Who divides a task does so when the other calls of the turn are answered.
        if let Some((ix, call)) = calls.iter().find_map(|(ix, state)| match state {
            CallState::New(call) if &*call.tool == "delegate" => Some((*ix, call)),
            _ => None,
        }) {
            return self.collaborate(node, ix, call);
        }
        // One that is refused is answered, and another may end the turn.
        let handoff = calls.iter().find_map(|(ix, state)| Some((*ix, state.call().filter(|call| &*call.tool == "handoff")?)));
        if let Some((ix, call)) = handoff {
            return self.collaborate(node, ix, call);
        }
        let finish = calls.iter().filter_map(|(_, state)| state.call()).find(|call| &*call.tool == "finish");
        if let Some(why) = finish.and_then(|call| unreadable(&call.args)) {
            return self.repair(node, Arc::from(format!("finish: {why}")));
        }
        match self.state.activations.get(&node).and_then(crate::state::Activation::result) {
            Some(value) => self.conclude(node, value),
            None => Err(FoldError::Contradiction { seq: self.state.seq, reason: format!("node {node} has no call to decide") }),
        }
    }

    pub(super) fn answer_call(&mut self, node: NodeIx, call: CallIx, outcome: Result<Value, Failure>) -> Result<(), FoldError> {
        self.answer_with(node, call, CallResult::of(outcome))
    }

    /// Answers a call with what may come from outside.
    pub(super) fn answer_with(&mut self, node: NodeIx, call: CallIx, result: CallResult) -> Result<(), FoldError> {
        let Some(turn) = self.state.activations.get(&node).map(|a| a.turn) else { return Ok(()) };
        self.close_questions(node, call)?;
        self.emit(Event::ToolReturned { node, turn, call, result: Arc::new(result) })
    }

    pub(super) fn refuse(
        &mut self,
        node: NodeIx,
        call: CallIx,
        kind: FailureKind,
        why: impl AsRef<str>,
    ) -> Result<(), FoldError> {
        self.answer_call(node, call, Err(Failure::new(kind, why)))
    }

    fn collaborate(&mut self, node: NodeIx, ix: CallIx, call: &Call) -> Result<(), FoldError> {
        if let Some((kind, why)) = self.one_too_many(node, ix).or_else(|| self.repeats(node, ix, call)) {
            return self.refuse(node, ix, kind, why);
        }
        let action = match Action::of(&call.tool, &call.args) {
            Some(Ok(action)) => action,
            Some(Err(error)) => return self.refuse(node, ix, FailureKind::Schema, error.to_string()),
            None => return self.refuse(node, ix, FailureKind::Tool, format!("there is no tool {}", call.tool)),
        };
        let answers = matches!(action, Action::Acknowledge { .. } | Action::HandOff { .. });
        if !answers && self.state.owes_acknowledgement(node, Some(ix)) {
            return self.refuse(node, ix, FailureKind::Denied, self.first_acknowledge(node));
        }
        match action {
            Action::Find { topic, claim, value, confidence, evidence, origin } => {
                let Some(member) = self.member(node) else { return self.refuse(node, ix, FailureKind::Denied, "no such member") };
                let by_script = member.profile.model.starts_with("script:");
                let finding = Finding {
                    id: self.state.next_finding(node),
                    agent: member.role.clone(),
                    topic,
                    claim: cut(&claim, member.profile.style.claim_limit()),
                    value,
                    confidence,
                    status: FindingStatus::Open,
                    origin: origin.unwrap_or(if by_script { Origin::Tool } else { Origin::Model }),
                    evidence,
                    origins: self.state.origins_at(node),
                };
                let answer = Value::map([("finding", Value::Text(finding.id.0.clone()))]);
                let above = self.state.voice(node).map(|voice| voice.member.clone());
                let finding = Arc::new(finding);
                self.emit(Event::Found { node, finding: finding.clone() })?;
                // What is found by one who speaks for the team is found in the team around it as well.
                if let Some(agent) = above {
                    let finding = Finding { id: self.state.next_finding(node), agent, ..(*finding).clone() };
                    self.emit(Event::Found { node, finding: Arc::new(finding) })?;
                }
                self.answer_call(node, ix, Ok(answer))
            }
            Action::Send { to, kind, content, metadata, private } => {
                let (id, from) = (self.state.next_message(node), self.state.role_of(node).cloned());
                self.send(
                    node,
                    ix,
                    Message {
                        id,
                        kind,
                        from,
                        to,
                        content,
                        metadata,
                        private,
                        exchange: None,
                        origins: self.state.origins_at(node),
                    },
                )
            }
            Action::Ask { to, question } => self.ask_agent(node, ix, &to, &question),
            Action::Read(asked) => {
                let knows = self.state.knows(node);
                let context = self.context_of(&knows, &asked);
                let found = self.state.visible_findings(&knows).iter().any(|finding| finding.origins.is_untrusted());
                let untrusted = found || self.state.origins_before(node).is_untrusted();
                self.answer_with(node, ix, CallResult { outcome: Ok(context), untrusted })
            }
            Action::Write { variable, value, version } => {
                let declared: Vec<&str> = self.state.node(node).writes.iter().map(|w| w.variable.as_ref()).collect();
                if !declared.contains(&variable.as_ref()) {
                    let why = if declared.is_empty() {
                        format!("{variable} is not among the `writes` of this agent, which has none")
                    } else {
                        format!("{variable} is not among the `writes` of this agent: {}", declared.join(", "))
                    };
                    return self.refuse(node, ix, FailureKind::Denied, why);
                }
                let bytes = value.to_json().to_string().len();
                if bytes > MAX_VARIABLE {
                    let why = format!("the value has {bytes} bytes of JSON, and a variable holds {MAX_VARIABLE}: write less");
                    return self.refuse(node, ix, FailureKind::Limit, why);
                }
                self.write(node, ix, variable, value, version)
            }
            Action::Delegate(said) if self.phase(node) == Phase::Delegate => self.divide(node, &said),
            Action::Delegate(said) => self.delegate_parts(node, ix, &said),
            Action::Retract { finding, reason } => self.retract(node, ix, &finding, &reason),
            Action::Escalate { reason, question, options } => self.escalate_call(node, ix, &reason, question, options),
            Action::HandOff { wish, result } => self.hand_off(node, ix, wish, result),
            Action::Acknowledge { constraints, note } => self.acknowledge(node, ix, &constraints, note),
            Action::Finish(_) => Ok(()),
        }
    }

    fn escalate_call(
        &mut self,
        node: NodeIx,
        ix: CallIx,
        reason: &Arc<str>,
        question: Option<Arc<str>>,
        options: Vec<Arc<str>>,
    ) -> Result<(), FoldError> {
        let (to, ruled, ruled_options) = match self.judge_escalation(node, None, reason, &Value::Null, None, None)? {
            Ok(verdict) => verdict,
            Err(failure) => return self.answer_call(node, ix, Err(failure)),
        };
        let from = self.state.role_of(node).cloned();
        self.emit(Event::Escalated { node, from, cause: None, reason: reason.clone(), to })?;
        let Some(turn) = self.state.activations.get(&node).map(|a| a.turn) else { return Ok(()) };
        match to {
            EscalateTo::Person => {
                let options = if options.is_empty() { ruled_options } else { options };
                self.ask(node, AskFor::Escalation(turn, ix), question.unwrap_or(ruled), options)
            }
            EscalateTo::Coordinator => self.answer_call(node, ix, Ok(Value::map([("escalated_to", Value::text("coordinator"))]))),
            EscalateTo::None => self.answer_call(node, ix, Ok(Value::map([("escalated_to", Value::Null)]))),
        }
    }

    fn heard_call(&mut self, node: NodeIx, ix: CallIx, purpose: &AskFor, outcome: &AskOutcome) -> Result<(), FoldError> {
        let answer = match outcome {
            AskOutcome::Answered { value, by } => Some((value.clone(), by.clone())),
            AskOutcome::Lapsed | AskOutcome::Moot => None,
        };
        let result = match (purpose, answer) {
            (AskFor::Permit(..), Some((_, by))) => Err(Failure::new(FailureKind::Denied, format!("{by} denied the call"))),
            (AskFor::Permit(..), None) => Err(Failure::new(FailureKind::Denied, "nobody allowed the call in time")),
            (AskFor::InDoubt(..), Some((value, _))) if value.as_str() == Some("happened") => {
                Ok(Value::map([("happened", Value::Bool(true))]))
            }
            (AskFor::InDoubt(..), Some((value, _))) if value.as_str() == Some("not_happened") => Err(no_more_chances()),
            (AskFor::InDoubt(..), _) => Err(Failure::new(FailureKind::InDoubt, "nobody knows whether the call happened")),
            (_, Some((value, by))) => Ok(Value::map([("answer", value), ("by", Value::Text(by))])),
            (_, None) => Err(Failure::new(FailureKind::Unanswered, "nobody answered in time")),
        };
        self.answer_call(node, ix, result)
    }

    /// A slot is free for a call of an agent.
    pub(super) fn begin_call(&mut self, node: NodeIx, ix: CallIx) -> Result<(), FoldError> {
        let Some(activation) = self.state.activations.get(&node) else { return Ok(()) };
        let (turn, effect) = (activation.turn, activation.effect(ix));
        let Some(state) = activation.call(ix).cloned() else { return Ok(()) };
        // Nobody is asked whether an agent may look up what its profile tells the engine to.
        if let CallState::New(call) = &state
            && ix != CallIx::LOOKUP
        {
            if let Some((kind, why)) = self.objection(node, ix, call) {
                return self.refuse(node, ix, kind, why);
            }
            match self.judge_permit(node, call, effect)? {
                Some(Ok(Some(true))) => {}
                Some(Ok(Some(false))) => return self.refuse(node, ix, FailureKind::Denied, "the permit rule denies this call"),
                Some(Ok(None)) => {
                    let question = format!("May {} call {} with {}?", self.state.path(node), call.tool, call.args);
                    return self.ask_permission(node, AskFor::Permit(turn, ix), question);
                }
                Some(Err(failure)) => return self.answer_call(node, ix, Err(failure)),
                None => match self.screen(node, call, effect) {
                    None => {}
                    Some(Screened::Deny(why)) => return self.refuse(node, ix, FailureKind::Denied, why),
                    Some(Screened::Ask(question)) => return self.ask_permission(node, AskFor::Permit(turn, ix), question),
                },
            }
        }
        if self.takes_over_call(node, ix)? {
            return Ok(());
        }
        self.emit(Event::ToolCalled(ToolCalled { node, turn, call: ix, effect }))?;
        if let Some(effect) = self.agent_call(node, ix) {
            self.effect(effect);
        }
        Ok(())
    }

    fn ask_permission(&mut self, node: NodeIx, purpose: AskFor, question: String) -> Result<(), FoldError> {
        let options = Self::options_of(&purpose).iter().map(|o| Arc::from(*o)).collect();
        self.ask(node, purpose, Arc::from(question), options)
    }

    /// The call of an agent that is in flight.
    pub(super) fn agent_call(&self, node: NodeIx, ix: CallIx) -> Option<Effect> {
        let activation = self.state.activations.get(&node)?;
        let call = activation.call(ix)?.call()?;
        let args = match self.member(node) {
            Some(member) if *call.tool == *SEARCH_KNOWLEDGE => knowledge_args(&call.args, &member.profile.knowledge),
            Some(_) | None => call.args.clone(),
        };
        Some(Effect::Tool(ToolCall {
            key: Key { node, attempt: activation.attempt, turn: activation.turn, call: Some(ix) },
            role: self.state.role_of(node).cloned(),
            path: self.state.path(node),
            tool: call.tool.clone(),
            args,
            effect: activation.effect(ix),
            timeout: self.state.node(node).timeout,
            under: self.keyed_by(node, activation.effect(ix)),
        }))
    }

    /// Why a call cannot be made at all.
    fn objection(&self, node: NodeIx, ix: CallIx, call: &Call) -> Option<(FailureKind, String)> {
        if let Some(objection) = self.one_too_many(node, ix).or_else(|| self.repeats(node, ix, call)) {
            return Some(objection);
        }
        if self.state.owes_acknowledgement(node, Some(ix)) {
            return Some((FailureKind::Denied, self.first_acknowledge(node)));
        }
        let profile = &self.member(node)?.profile;
        if *call.tool == *SEARCH_KNOWLEDGE {
            return match profile.knowledge.folders.is_empty() {
                true => Some((FailureKind::Denied, "the profile of this agent names no `knowledge` to search".to_owned())),
                false => self.tools.fits(&knowledge_tool().parameters, &call.args).err().map(|why| (FailureKind::Schema, why)),
            };
        }
        if self.tools.spec(&call.tool).is_none() {
            let names: Vec<String> = self.tools.allowed(profile).iter().map(|t| t.name.to_string()).collect();
            let have = if names.is_empty() { "none beside the collaboration tools".to_owned() } else { names.join(", ") };
            return Some((FailureKind::Tool, format!("there is no tool {}; you have {have}", call.tool)));
        }
        if !self.tools.allows(profile, &call.tool, &call.args) {
            return Some((FailureKind::Denied, format!("{} is not among the allowed_tools of this agent", call.tool)));
        }
        let wrong = unreadable(&call.args).or_else(|| self.tools.check(&call.tool, &call.args).err());
        wrong.map(|why| (FailureKind::Schema, why))
    }

    fn one_too_many(&self, node: NodeIx, ix: CallIx) -> Option<(FailureKind, String)> {
        let limit = self.state.team_of(node).1.calls_per_turn;
        (ix.0 >= limit).then(|| (FailureKind::Limit, format!("a turn has at most {limit} calls")))
    }

    /// Why a call is one too many of the same.
    fn repeats(&self, node: NodeIx, ix: CallIx, call: &Call) -> Option<(FailureKind, String)> {
        let activation = self.state.activations.get(&node)?;
        let reply = activation.thread.iter().rev().find_map(|e| if let Entry::Reply(reply) = e { Some(reply) } else { None })?;
        let earlier: Vec<&Call> = reply.calls.iter().take(ix.index()).collect();
        let detect = self.state.team_of(node).1.detect.as_ref();
        let refused = refusal(detect, &activation.thread, &earlier, call, |other| self.changes(other))?;
        Some((refused.kind, refused.message.to_string()))
    }

    /// What the `permit` rule says; `None` where the team has none, or it leaves the call to the policy of the team.
    fn judge_permit(
        &mut self,
        node: NodeIx,
        call: &Call,
        effect: EffectClass,
    ) -> Result<Option<Result<Option<bool>, Failure>>, FoldError> {
        let (ix, team) = self.state.team_of(node);
        if !team.rules.iter().any(|r| &**r == "permit") {
            return Ok(None);
        }
        let facts = self.permit_facts(node, call, effect);
        match self.judge.judge(ix, &RuleKind::Permit, &facts) {
            Ok(Some(verdict)) => {
                let permit = match &verdict {
                    Verdict::Permit(permit) => Some(Ok(*permit)),
                    // It leaves the call to the policy of the team.
                    Verdict::Value(Value::Null) => None,
                    Verdict::Route(_)
                    | Verdict::Handoff(_)
                    | Verdict::Settle { .. }
                    | Verdict::Escalate { .. }
                    | Verdict::Reconcile(_)
                    | Verdict::Value(_) => Some(Ok(Some(false))),
                };
                self.emit(Event::Judged { node, rule: RuleKind::Permit, verdict: Some(Arc::new(verdict)) })?;
                Ok(permit)
            }
            Ok(None) => Ok(None),
            Err(error) => Ok(Some(Err(rule_failure(error)))),
        }
    }
}
