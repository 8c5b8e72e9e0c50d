//! Who hears of it when somebody is stuck, and how is a person asked?

use std::sync::Arc;

use super::{Scheduler, rule_failure};
use crate::{
    event::{Ask, AskFor, AskOutcome, Event},
    graph::EscalationPolicy,
    state::FoldError,
    value::{AskId, EscalateFacts, EscalateTo, Failure, Form, NodeIx, Role, RuleKind, Timestamp, Value, Verdict},
};

/// Whom an escalation reaches, with the question and the answers to choose from.
pub(super) type Escalation = (EscalateTo, Arc<str>, Vec<Arc<str>>);

impl Scheduler {
    /// Whether the team of a node escalates on these grounds.
    pub(super) fn escalates(&self, node: NodeIx, cause: EscalationPolicy) -> bool {
        let policy = &self.state.team_of(node).1.escalation_policy;
        policy.contains(&cause) || policy.contains(&EscalationPolicy::Always)
    }

    /// Asks the `escalate` rule, or takes the default: a member's goes to the coordinator, the coordinator's to a person.
    pub(super) fn judge_escalation(
        &mut self,
        node: NodeIx,
        cause: Option<EscalationPolicy>,
        reason: &Arc<str>,
        output: &Value,
        confidence: Option<(f64, f64)>,
        failure: Option<&Arc<Failure>>,
    ) -> Result<Result<Escalation, Failure>, FoldError> {
        let role = self.state.role_of(node).cloned();
        let (ix, team) = self.state.team_of(node);
        let coordinator = team.coordinator.as_ref().map(|c| c.role.clone());
        let has_coordinator = coordinator.is_some() && coordinator != role;
        let people: Vec<Arc<str>> = team.escalation.iter().map(|step| step.to.clone()).collect();
        let never = team.escalation_policy.contains(&EscalationPolicy::Never);
        let ruled = team.rules.iter().any(|r| &**r == "escalate");
        let who = role.as_ref().map_or("the team", Role::as_str);
        let question: Arc<str> = Arc::from(format!("{who} needs help: {reason}"));
        if never {
            return Ok(Ok((EscalateTo::None, question, Vec::new())));
        }
        if ruled {
            let facts = EscalateFacts {
                task: self.state.task_at(node).clone(),
                inputs: self.state.inputs_at(node),
                node: self.state.path(node),
                from: role,
                cause: cause.map(|c| Arc::from(c.name())),
                reason: reason.clone(),
                confidence: confidence.map(|(c, _)| c),
                threshold: confidence.map(|(_, t)| t),
                output: output.clone(),
                failure: failure.map(|f| (**f).clone()),
                has_coordinator,
                people,
            };
            match self.judge.judge(ix, &RuleKind::Escalate, &Value::of(&facts).unwrap_or_default()) {
                Ok(Some(verdict)) => {
                    let escalation = if let Verdict::Escalate { to, question: asked, options } = &verdict {
                        (*to, if asked.is_empty() { question } else { asked.clone() }, options.clone())
                    } else {
                        (EscalateTo::None, question, Vec::new())
                    };
                    self.emit(Event::Judged { node, rule: RuleKind::Escalate, verdict: Some(Arc::new(verdict)) })?;
                    return Ok(Ok(escalation));
                }
                Ok(None) => {}
                Err(error) => return Ok(Err(rule_failure(error))),
            }
        }
        let to = if has_coordinator { EscalateTo::Coordinator } else { EscalateTo::Person };
        Ok(Ok((to, question, Vec::new())))
    }

    /// Asks a person: a durable question, to the first of the team's escalation chain.
    pub(super) fn ask(
        &mut self,
        node: NodeIx,
        purpose: AskFor,
        question: Arc<str>,
        options: Vec<Arc<str>>,
    ) -> Result<(), FoldError> {
        self.ask_with(node, purpose, question, options, None)
    }

    /// The same, with a form that the answer must fit.
    pub(super) fn ask_with(
        &mut self,
        node: NodeIx,
        purpose: AskFor,
        question: Arc<str>,
        options: Vec<Arc<str>>,
        form: Option<Form>,
    ) -> Result<(), FoldError> {
        let plain = Ask { form, ..self.question(node, purpose, question, options) };
        let Some(first) = self.state.team_of(node).1.escalation.first() else { return self.put(plain) };
        let deadline = first.deadline.map(|span| self.now.after(span));
        self.put(Ask { deadline, to: Some(first.to.clone()), step: Some(0), ..plain })
    }

    /// A question's deadline has passed: the next in the chain is asked, after the last it lapses. Their time counts from that
    /// deadline, not from now, so that nobody gets more of it because no process lived.
    pub(super) fn deadline_passed(&mut self, ask: AskId, at: Timestamp) -> Result<(), FoldError> {
        let next = self.state.asks.get(&ask).and_then(|open| {
            let next = usize::try_from(open.step?).ok()?.checked_add(1)?;
            self.state.team_of(open.node).1.escalation.get(next).cloned()
        });
        let Some(next) = next else {
            return self.close_ask(ask, AskOutcome::Lapsed);
        };
        let deadline = next.deadline.map(|span| at.after(span));
        self.emit(Event::AskMoved { ask, to: next.to, deadline })?;
        self.show(ask);
        Ok(())
    }

    /// A question without a deadline.
    pub(super) fn question(&self, node: NodeIx, purpose: AskFor, question: Arc<str>, options: Vec<Arc<str>>) -> Ask {
        let known = format!("{}/{}/{}", self.state.path(node), self.state.seq, self.state.context.findings.len());
        let digest = blake3::hash(known.as_bytes()).to_hex();
        Ask {
            id: self.state.next_ask,
            node,
            purpose,
            question,
            options,
            form: None,
            deadline: None,
            default: None,
            to: None,
            step: None,
            context_digest: Arc::from(&digest[..16]),
        }
    }

    /// Puts a question on the record and shows it.
    pub(super) fn put(&mut self, ask: Ask) -> Result<(), FoldError> {
        let id = ask.id;
        self.emit(Event::Asked(Arc::new(ask)))?;
        self.show(id);
        Ok(())
    }
}
