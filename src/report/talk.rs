//! Who said what to whom, as a drawing? [`talk`]: a sequence diagram in Mermaid.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::Arc,
};

use crate::{
    event::{AskOutcome, Event, GrownFrom, Record},
    graph::{NodeKind, ScopeKind},
    plan::mermaid_text,
    state::{FoldError, State},
    value::{AskId, EscalateTo, Finding, Message, MessageKind, NodeIx, Role, TeamIx},
};

/// Arrows and notes of a diagram at most.
const MAX_LINES: usize = 200;
/// Bytes of a diagram at most, but for its participants; Mermaid reads 50,000 characters.
const MAX_BYTES: usize = 36_000;
/// Characters of a text that an arrow shows.
const SHOWN: usize = 80;
/// Characters of a name.
const NAME: usize = 40;

/// Who takes part: the engine, then agents in declared order with the coordinator first, then people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Engine,
    Agent(TeamIx, usize, Role),
    Person(Arc<str>),
}

/// An arrow, or a note over all that take part.
#[derive(Debug, PartialEq)]
struct Line {
    from: Who,
    /// `None`: all.
    to: Option<Who>,
    /// Whether it answers something.
    back: bool,
    text: String,
}

/// What was said in the session of `records`, in the order in which it was. What is beyond the bounds of a diagram is counted.
///
/// # Errors
/// The records are no session.
pub fn talk(records: &[Record]) -> Result<String, FoldError> {
    let state = State::fold(records)?;
    let mut talk = Talk { state: &state, lines: Vec::new(), asks: BTreeMap::new(), seats: BTreeMap::new() };
    for record in records {
        talk.see(&record.event);
    }
    Ok(draw(&state, &talk.lines))
}

struct Talk<'s> {
    state: &'s State,
    lines: Vec<Line>,
    /// Open questions: who asked, and whom.
    asks: BTreeMap<AskId, (Who, Who)>,
    /// Who had the word last in a relay.
    seats: BTreeMap<NodeIx, Role>,
}

impl Talk<'_> {
    fn see(&mut self, event: &Event) {
        match event {
            Event::Said { node, message } => self.said(*node, message),
            Event::Found { node, finding } => self.found(*node, finding),
            Event::Retracted { node, finding, reason } => {
                let from = self.of(*node, self.state.role_of(*node));
                self.tell(from, None, format!("takes back {finding}: {reason}"));
            }
            Event::Decided { node: _, decision } => {
                self.tell(Who::Engine, None, format!("decided on {}: {} ({})", decision.topic, decision.outcome, decision.rule));
            }
            Event::Escalated { node, from, reason, to, .. } => {
                let from = self.of(*node, from.as_ref());
                let (whom, towards) = match to {
                    EscalateTo::Coordinator => (self.coordinator(*node), ""),
                    EscalateTo::Person => (Some(Who::Engine), " to a person"),
                    EscalateTo::None => (Some(Who::Engine), " for the record"),
                };
                self.tell(from, whom, format!("escalation{towards}: {reason}"));
            }
            Event::Asked(ask) => {
                let from = self.of(ask.node, self.state.role_of(ask.node));
                let to = person(ask.to.as_deref());
                self.tell(from.clone(), Some(to.clone()), format!("q{}: {}", ask.id, ask.question));
                self.asks.insert(ask.id, (from, to));
            }
            Event::AskMoved { ask, to, .. } => {
                let Some((from, asked)) = self.asks.get_mut(ask) else { return };
                *asked = person(Some(to));
                let line =
                    Line { from: from.clone(), to: Some(asked.clone()), back: false, text: format!("q{ask} goes on to you") };
                self.lines.push(line);
            }
            Event::AskClosed { ask, outcome } => {
                let Some((from, asked)) = self.asks.remove(ask) else { return };
                let (by, text) = match outcome {
                    AskOutcome::Answered { value, by } => (person(Some(by)), format!("q{ask} answer: {value}")),
                    AskOutcome::Lapsed => (asked, format!("q{ask}: no answer in time")),
                    AskOutcome::Moot => return,
                };
                self.lines.push(Line { from: by, to: Some(from), back: true, text });
            }
            Event::CancelRequested { by, reason } => self.tell(person(Some(by)), Some(Who::Engine), format!("cancel: {reason}")),
            Event::ScopeOpened { node, .. } => {
                self.seats.remove(node);
            }
            Event::Grown(grown) => {
                if let GrownFrom::Made { graph, .. } = &grown.of
                    && let Some(role) = graph.dag.node_weights().next().and_then(|node| node.role())
                {
                    self.handed(grown.node, role);
                }
            }
            Event::Finished(finished) => self.tell(Who::Engine, None, format!("the session is over: {}", finished.status.name())),
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
            | Event::Judged { .. }
            | Event::TurnStarted { .. }
            | Event::TurnHeld { .. }
            | Event::TurnEnded { .. }
            | Event::ToolCalled(_)
            | Event::ToolReturned { .. }
            | Event::NotHappened { .. }
            | Event::DeadlinePassed { .. }
            | Event::HandedOff { .. }
            | Event::Undelivered { .. }
            | Event::LetGo { .. }
            | Event::Noted { .. }
            | Event::Delegated(_)
            | Event::Wrote { .. }
            | Event::Notified { .. }
            | Event::LimitReached { .. }
            | Event::LateResult { .. } => {}
        }
    }

    fn tell(&mut self, from: Who, to: Option<Who>, text: String) {
        self.lines.push(Line { from, to, back: false, text });
    }

    fn said(&mut self, node: NodeIx, message: &Message) {
        let team = self.team(node, message.from.as_ref());
        let from = self.one(team, message.from.as_ref());
        let to = message.to.as_ref().map(|to| self.one(team, Some(to)));
        let kind = match message.kind {
            MessageKind::TaskAssignment => "task",
            kind => kind.name(),
        };
        let private = if message.private { ", private" } else { "" };
        let text = format!("{kind}{private}: {}", message.content);
        self.lines.push(Line { from, to, back: message.kind == MessageKind::Response, text });
    }

    fn found(&mut self, node: NodeIx, finding: &Finding) {
        let from = self.one(self.team(node, Some(&finding.agent)), Some(&finding.agent));
        self.tell(from, None, format!("finding on {} ({:.2}): {}", finding.topic, finding.confidence, finding.claim));
    }

    /// The next one has the word in a relay; a message that says so has been drawn.
    fn handed(&mut self, scope: NodeIx, to: &Role) {
        if !matches!(&self.state.node(scope).kind, NodeKind::Scope(kind) if matches!(**kind, ScopeKind::Relay { .. })) {
            return;
        }
        let Some(from) = self.seats.insert(scope, to.clone()) else { return };
        let (from, to) = (self.of(scope, Some(&from)), Some(self.of(scope, Some(to))));
        let said = |line: &Line| line.from == from && line.to == to && line.text.starts_with(MessageKind::Handoff.name());
        if !self.lines.last().is_some_and(said) {
            self.tell(from, to, "handoff".to_owned());
        }
    }

    /// An agent of the team of a node; without a role the engine.
    fn of(&self, node: NodeIx, role: Option<&Role>) -> Who {
        self.one(self.state.team_of(node).0, role)
    }

    /// The team in which something is said at a node: that of the node, or the one around that for which its agent speaks.
    fn team(&self, node: NodeIx, by: Option<&Role>) -> TeamIx {
        self.state.instances.get(self.state.said_in(node, by) as usize).map_or(TeamIx(0), |instance| instance.graph.team)
    }

    /// An agent of a team; without a role the engine.
    fn one(&self, ix: TeamIx, role: Option<&Role>) -> Who {
        let team = self.state.started.plan.team(ix);
        let Some(role) = role else { return Who::Engine };
        let place = team.coordinator.iter().chain(&team.members).position(|member| member.role == *role);
        Who::Agent(ix, place.unwrap_or(usize::MAX), role.clone())
    }

    fn coordinator(&self, node: NodeIx) -> Option<Who> {
        let role = self.state.team_of(node).1.coordinator.as_ref().map(|member| member.role.clone());
        role.map(|role| self.of(node, Some(&role)))
    }
}

fn person(name: Option<&str>) -> Who {
    Who::Person(Arc::from(name.unwrap_or("a person")))
}

fn draw(state: &State, lines: &[Line]) -> String {
    let mut texts = Vec::new();
    let mut bytes = 0_usize;
    for line in lines.iter().take(MAX_LINES) {
        let text = mermaid_text(&line.text, SHOWN);
        bytes = bytes.saturating_add(text.len());
        if bytes > MAX_BYTES {
            break;
        }
        texts.push((line, text));
    }
    let ends = texts.iter().flat_map(|(line, _)| [Some(&line.from), line.to.as_ref()].into_iter().flatten());
    let mut taking_part: BTreeSet<&Who> = ends.collect();
    taking_part.insert(&Who::Engine);
    let places: BTreeMap<&Who, usize> = taking_part.into_iter().enumerate().map(|(place, who)| (who, place)).collect();
    let (first, last) = (0, places.len() - 1);
    let over = if first == last { format!("p{first}") } else { format!("p{first},p{last}") };
    let mut page = String::from("sequenceDiagram\n");
    for (who, place) in &places {
        let (what, name) = name(state, who);
        writeln!(page, "  {what} p{place} as {}", mermaid_text(&name, NAME)).ok();
    }
    let shown = texts.len();
    for (line, text) in texts {
        let from = places.get(&line.from).copied().unwrap_or(first);
        match line.to.as_ref().and_then(|to| places.get(to)) {
            Some(to) => writeln!(page, "  p{from}{}p{to}: {text}", if line.back { "-->>" } else { "->>" }),
            None => writeln!(page, "  Note over {over}: {}, {text}", mermaid_text(&name(state, &line.from).1, NAME)),
        }
        .ok();
    }
    match lines.len() - shown {
        0 if lines.is_empty() => writeln!(page, "  Note over {over}: nobody has said anything"),
        0 => Ok(()),
        left => writeln!(page, "  Note over {over}: {left} more are not drawn (synod messages has all)"),
    }
    .ok();
    page
}

/// The name of one who takes part; agents of teams within the team have that team's name before theirs.
fn name(state: &State, who: &Who) -> (&'static str, String) {
    match who {
        Who::Engine => ("participant", "synod".to_owned()),
        Who::Agent(TeamIx(0), _, role) => ("participant", role.to_string()),
        Who::Agent(team, _, role) => ("participant", format!("{}: {role}", state.started.plan.team(*team).name)),
        Who::Person(name) => ("actor", name.to_string()),
    }
}
