//! What came of a session? [`Ran`]: its report, its records, and short questions to both.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use synod::{
    engine::Ended,
    event::{Event, Outcome, Record, Status},
    graph::{Detect, EscalationPolicy, TeamPlan},
    report::Report,
    state::State,
    value::{Failure, NodeIx, Seq, SessionId, Value},
};

/// A session that is over, parked or broken off.
pub struct Ran {
    pub status: Status,
    pub report: Arc<Report>,
    pub records: Vec<Record>,
    pub state: State,
}

impl Ran {
    pub fn new(ended: Ended, records: Vec<Record>) -> Self {
        let state = State::fold(&records).unwrap();
        // A team that does not tune its detectors does honest work here: none of them has anything to say.
        let tuned = |team: &TeamPlan| team.detect.as_ref().is_some_and(|detect| *detect != Detect::default());
        if !state.started.plan.teams.iter().any(tuned) {
            let fired = records.iter().filter(|r| matches!(&r.event, Event::Noted { detector: Some(_), .. }));
            let stalled =
                records.iter().filter(|r| matches!(&r.event, Event::Escalated { cause: Some(EscalationPolicy::OnStall), .. }));
            assert_eq!(fired.chain(stalled).collect::<Vec<_>>(), Vec::<&Record>::new(), "a detector fired");
        }
        Self { status: ended.status, report: ended.report, records, state }
    }

    pub fn session(&self) -> SessionId {
        self.report.session
    }

    /// The result, as JSON.
    pub fn output(&self) -> serde_json::Value {
        self.report.output.to_json()
    }

    /// Asserts that the session completed, and gives its result.
    #[track_caller]
    pub fn completed(&self) -> serde_json::Value {
        assert_eq!(self.status, Status::Completed, "{:?}\n{:#?}", self.report.failure, self.outcomes());
        self.output()
    }

    /// What it came to, without who paid for it.
    pub fn essence(&self) -> serde_json::Value {
        let json = serde_json::to_value(&*self.report).unwrap();
        let parts = ["output", "findings", "decisions", "variables"].map(|part| json[part].clone());
        serde_json::json!([parts, json["metrics"]["turns"]])
    }

    /// `ok`, `failed`, `timed_out`, `skipped`, `cancelled` or `pending`; `absent` where there is no such node.
    pub fn of(&self, path: &str) -> &'static str {
        self.state.find(path).map_or("absent", |node| self.state.status_name(node))
    }

    /// The output of a node, as JSON.
    pub fn output_of(&self, path: &str) -> serde_json::Value {
        self.state.output(self.node(path)).to_json()
    }

    /// Why a node failed.
    #[track_caller]
    pub fn failure_of(&self, path: &str) -> Failure {
        match self.state.outcome(self.node(path)) {
            Some(Outcome::Failed(failure)) => (**failure).clone(),
            other => panic!("{path} did not fail: {other:?}"),
        }
    }

    /// How every node ended, by path.
    pub fn outcomes(&self) -> BTreeMap<String, String> {
        let nodes = (0..self.state.nodes.len()).map(|n| NodeIx(u32::try_from(n).unwrap()));
        nodes.map(|n| (self.state.path(n).to_string(), format!("{:?}", self.state.outcome(n)))).collect()
    }

    #[track_caller]
    fn node(&self, path: &str) -> NodeIx {
        self.state.find(path).unwrap_or_else(|| panic!("there is no node {path}: {:#?}", self.outcomes()))
    }

    /// The records of attempts of a node, in order.
    pub fn starts(&self, path: &str) -> Vec<Seq> {
        let Some(wanted) = self.state.find(path) else { return Vec::new() };
        let is =
            |event: &Event| matches!(event, Event::NodeStarted { node, .. } | Event::ScopeOpened { node, .. } if *node == wanted);
        self.records.iter().filter(|r| is(&r.event)).map(|r| r.seq).collect()
    }

    /// The record at which a node ended.
    #[track_caller]
    pub fn end(&self, path: &str) -> Seq {
        let wanted = self.node(path);
        let ended = self.records.iter().find(|r| matches!(&r.event, Event::NodeEnded { node, .. } if *node == wanted));
        ended.unwrap_or_else(|| panic!("{path} has not ended")).seq
    }

    /// The waits before further attempts of a node.
    pub fn waits(&self, path: &str) -> Vec<Duration> {
        let wanted = self.node(path);
        let wait = |r: &Record| match &r.event {
            Event::NodeRetried { node, not_before, .. } if *node == wanted => Some(not_before.since(r.at)),
            _ => None,
        };
        self.records.iter().filter_map(wait).collect()
    }

    /// How many of the nodes whose path begins so were at work at once, at most, as the journal tells it.
    pub fn most_at_once(&self, prefix: &str) -> usize {
        let (mut now, mut most) = (0_usize, 0);
        for record in &self.records {
            match &record.event {
                Event::NodeStarted { node, .. } if self.state.path(*node).starts_with(prefix) => now += 1,
                Event::NodeEnded { node, .. } | Event::NodeRetried { node, .. }
                    if self.state.path(*node).starts_with(prefix) && !self.starts(&self.state.path(*node)).is_empty() =>
                {
                    now = now.saturating_sub(1);
                }
                _ => {}
            }
            most = most.max(now);
        }
        most
    }

    /// Events of one kind.
    pub fn events<'r, T>(&'r self, pick: impl Fn(&'r Event) -> Option<T>) -> Vec<T> {
        self.records.iter().filter_map(|r| pick(&r.event)).collect()
    }

    /// A variable of the shared context at the end.
    pub fn variable(&self, name: &str) -> Option<&Value> {
        self.report.variables.get(name)
    }
}
