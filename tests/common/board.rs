//! What has happened so far? The [`Board`], on which tools and a follower of the journal write, and for which others wait.

use std::collections::{BTreeMap, BTreeSet};

use synod::{
    event::{Event, Record},
    state::State,
};
use tokio::sync::watch;

/// Shared by all tools of a test.
#[derive(Clone)]
pub struct Board(watch::Sender<Seen>);

/// What is on it.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// What the tools say, in order: `start PATH`, `end PATH`, and `stop PATH` where a call was broken off.
    pub log: Vec<String>,
    /// What the journal says, what tools raised, and `called PATH` once a tool is at it.
    pub facts: BTreeSet<String>,
    /// The keys of these calls.
    pub keys: BTreeMap<String, Vec<String>>,
    /// Calls so far, by path of the node.
    pub calls: BTreeMap<String, u32>,
    /// Calls at work now, and at most ever, by meeting place.
    pub meeting: BTreeMap<String, (u32, u32)>,
}

impl Default for Board {
    fn default() -> Self {
        Self(watch::Sender::new(Seen::default()))
    }
}

impl Board {
    /// Changes what is on it.
    pub fn change<T>(&self, change: impl FnOnce(&mut Seen) -> T) -> T {
        let mut out = None;
        self.0.send_modify(|seen| out = Some(change(seen)));
        out.expect("send_modify calls its argument once")
    }

    /// Waits until `so` holds.
    pub async fn until(&self, so: impl FnMut(&Seen) -> bool) {
        self.0.subscribe().wait_for(so).await.expect("the board has its sender");
    }

    /// Puts a fact on it.
    pub fn raise(&self, fact: impl Into<String>) {
        self.change(|seen| seen.facts.insert(fact.into()));
    }

    /// What the tools said.
    pub fn log(&self) -> Vec<String> {
        self.0.borrow().log.clone()
    }

    /// What happened.
    pub fn facts(&self) -> BTreeSet<String> {
        self.0.borrow().facts.clone()
    }

    /// How often the tool of a node was called.
    pub fn calls(&self, path: &str) -> u32 {
        self.0.borrow().calls.get(path).copied().unwrap_or(0)
    }

    /// The keys under which the tool of a node was called.
    pub fn keys(&self, path: &str) -> Vec<String> {
        self.0.borrow().keys.get(path).cloned().unwrap_or_default()
    }

    /// How often each node's tool was called.
    pub fn all_calls(&self) -> BTreeMap<String, u32> {
        self.0.borrow().calls.clone()
    }

    /// How many calls were at a meeting place at once, at most.
    pub fn most(&self, place: &str) -> u32 {
        self.0.borrow().meeting.get(place).map_or(0, |(_, most)| *most)
    }

    /// How often the log says this.
    pub fn count(&self, line: &str) -> usize {
        self.0.borrow().log.iter().filter(|l| *l == line).count()
    }

    /// Writes down what a record says.
    pub fn record(&self, state: &State, record: &Record) {
        let fact = match &record.event {
            Event::NodeStarted { node, .. } => format!("started {}", state.path(*node)),
            Event::NodeEnded { node, .. } => format!("ended {}", state.path(*node)),
            Event::NodeRetried { node, .. } => format!("retried {}", state.path(*node)),
            Event::Asked(ask) => format!("asked {}", state.path(ask.node)),
            Event::Found { finding, .. } => format!("found {}", finding.topic),
            Event::TurnStarted { node, turn, .. } => format!("turn {turn} of {}", state.path(*node)),
            _ => return,
        };
        self.raise(fact);
    }
}
