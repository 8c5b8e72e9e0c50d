//! Who was stuck or unsure, and what were people asked? [`EscalationRow`].

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;

use super::maybe_rfc3339;
use crate::{
    event::{Ask, AskFor, AskOutcome, Event, Record},
    graph::EscalationPolicy,
    state::State,
    value::{AskId, EscalateTo, Form, NodeIx, Role, Timestamp, Value},
};

/// An escalation or a question to a person.
#[derive(Clone, Debug, Serialize)]
pub struct EscalationRow {
    /// Where.
    pub node: Arc<str>,
    /// Who; null for a node that only asks.
    pub from: Option<Role>,
    /// On what grounds, such as `on_uncertainty`.
    pub cause: Option<&'static str>,
    /// Why, in words.
    pub reason: Arc<str>,
    /// Whom it reached: `coordinator`, `person`, `none`.
    pub to: &'static str,
    /// The question's id, such as `q0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ask: Option<String>,
    /// The question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question: Option<Arc<str>>,
    /// The answers to choose from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<Arc<str>>,
    /// What an answer must fit, where a tool asks: a JSON Schema of flat fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<Form>,
    /// Whom of the people it waits for, or waited for last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<Arc<str>>,
    /// Until when.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "maybe_rfc3339")]
    pub deadline: Option<Timestamp>,
    /// Who was told of it by command or web address, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notified: Vec<NotifiedRow>,
    /// `open`, `answered`, `lapsed` or `moot`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    /// What was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
    /// Who answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Arc<str>>,
}

/// That somebody was told of a question, or could not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotifiedRow {
    /// Who.
    pub to: Option<Arc<str>>,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Arc<str>>,
}

impl EscalationRow {
    fn new(state: &State, node: NodeIx, from: Option<Role>, reason: Arc<str>, to: &'static str) -> Self {
        Self {
            node: state.path(node),
            from,
            cause: None,
            reason,
            to,
            ask: None,
            question: None,
            options: Vec::new(),
            form: None,
            waits_for: None,
            deadline: None,
            notified: Vec::new(),
            state: None,
            answer: None,
            by: None,
        }
    }

    /// Who could not be told of its question, a line each.
    pub fn untold(&self) -> impl Iterator<Item = String> {
        self.notified.iter().filter_map(|told| {
            let (who, ask) = (told.to.as_deref().unwrap_or("a person"), self.ask.as_deref().unwrap_or_default());
            Some(format!("{}: {who} could not be notified of {ask}: {}", self.node, told.failure.as_ref()?))
        })
    }

    fn asks(&mut self, ask: &Ask) {
        self.ask = Some(format!("q{}", ask.id));
        self.question = Some(ask.question.clone());
        self.options.clone_from(&ask.options);
        self.form.clone_from(&ask.form);
        self.waits_for.clone_from(&ask.to);
        self.deadline = ask.deadline;
        self.state = Some("open");
    }

    fn close(&mut self, outcome: &AskOutcome) {
        match outcome {
            AskOutcome::Answered { value, by } => {
                self.state = Some("answered");
                self.answer = Some(value.clone());
                self.by = Some(by.clone());
            }
            AskOutcome::Lapsed => self.state = Some("lapsed"),
            AskOutcome::Moot => self.state = Some("moot"),
        }
    }
}

/// The escalations of a session, in declared order of their nodes; a question stands in the row of the escalation that led to it.
pub(super) fn escalations(state: &State, records: &[Record]) -> Vec<EscalationRow> {
    let mut rows: Vec<(NodeIx, EscalationRow)> = Vec::new();
    let mut by_ask: BTreeMap<AskId, usize> = BTreeMap::new();
    for record in records {
        match &record.event {
            Event::Escalated { node, from, cause, reason, to } => {
                let row = EscalationRow::new(state, *node, from.clone(), reason.clone(), target(*to));
                rows.push((*node, EscalationRow { cause: cause.map(EscalationPolicy::name), ..row }));
            }
            Event::Asked(ask) => {
                let waits = |(node, row): &(NodeIx, EscalationRow)| *node == ask.node && row.to == "person" && row.ask.is_none();
                let own = !matches!(ask.purpose, AskFor::Node | AskFor::Permit(..) | AskFor::InDoubt(..) | AskFor::Elicited(..));
                let at = rows.iter().rposition(waits).filter(|_| own).unwrap_or_else(|| {
                    let (from, reason) = (state.role_of(ask.node).cloned(), Arc::from(purpose(&ask.purpose)));
                    rows.push((ask.node, EscalationRow::new(state, ask.node, from, reason, "person")));
                    rows.len() - 1
                });
                by_ask.insert(ask.id, at);
                rows[at].1.asks(ask);
            }
            Event::AskMoved { ask, to, deadline } => {
                if let Some((_, row)) = by_ask.get(ask).and_then(|at| rows.get_mut(*at)) {
                    (row.waits_for, row.deadline) = (Some(to.clone()), *deadline);
                }
            }
            Event::Notified { ask, failure, .. } => {
                if let Some((_, row)) = by_ask.get(ask).and_then(|at| rows.get_mut(*at)) {
                    let failure = failure.as_ref().map(|failure| failure.message.clone());
                    row.notified.push(NotifiedRow { to: row.waits_for.clone(), failure });
                }
            }
            Event::AskClosed { ask, outcome } => {
                if let Some((_, row)) = by_ask.get(ask).and_then(|at| rows.get_mut(*at)) {
                    row.close(outcome);
                }
            }
            Event::Started(_)
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
            | Event::TurnEnded { .. }
            | Event::ToolCalled(_)
            | Event::ToolReturned { .. }
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
            | Event::LimitReached { .. }
            | Event::CancelRequested { .. }
            | Event::LateResult { .. }
            | Event::Finished(_) => {}
        }
    }
    rows.sort_by_cached_key(|(node, _)| state.position(*node));
    rows.into_iter().map(|(_, row)| row).collect()
}

fn target(to: EscalateTo) -> &'static str {
    match to {
        EscalateTo::Coordinator => "coordinator",
        EscalateTo::Person => "person",
        EscalateTo::None => "none",
    }
}

fn purpose(purpose: &AskFor) -> &'static str {
    match purpose {
        AskFor::Node => "the plan asks a person here",
        AskFor::Uncertain => "an agent is not sure",
        AskFor::Failure(_) => "a node failed",
        AskFor::Settle(_) => "positions differ",
        AskFor::Permit(..) => "a call needs a permission",
        AskFor::Escalation(..) => "an agent asks for help",
        AskFor::Elicited(..) => "a tool asks",
        AskFor::InDoubt(..) => "nobody knows whether a call happened",
    }
}
