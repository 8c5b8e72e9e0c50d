//! What is taken for granted? [`Assumed`]: how long things take, how often they fail, and what agents do, declared or seen before.

use std::{collections::BTreeMap, sync::Arc};

use super::{quantiles::Quantiles, random::Random};
use crate::value::{Reply, Role, is_offline};

/// How long something takes, in milliseconds, and which share of it fails.
#[derive(Clone, Debug, PartialEq)]
pub struct Timing {
    /// How long.
    pub millis: Quantiles,
    /// The share that fails, from 0 to 1.
    pub fails: f64,
}

/// What agents do where nobody has seen them: turns of an activation that works.
pub(super) const TURNS: [f64; 4] = [1.0, 2.0, 4.0, 8.0];
/// Turns of an activation that divides a task or makes the result.
pub(super) const LEADING_TURNS: [f64; 4] = [1.0, 1.0, 2.0, 3.0];
/// Calls of a turn that is not the last.
pub(super) const CALLS: [f64; 4] = [1.0, 1.0, 3.0, 6.0];
/// Tokens that a turn reads.
pub(super) const READ: [f64; 4] = [800.0, 3_000.0, 12_000.0, 40_000.0];
/// Tokens that a turn writes.
pub(super) const WRITTEN: [f64; 4] = [80.0, 350.0, 1_200.0, 3_000.0];
/// The chance that an agent holds something else than its colleagues, or objects to a proposal.
pub(super) const DISSENT: f64 = 0.1;
/// The chance that an agent is not sure of its result.
pub(super) const UNSURE: f64 = 0.02;
/// The chance that a condition is met whose value the simulation cannot know.
pub(super) const CONDITION: f64 = 0.5;

const MODEL: ([f64; 4], f64) = ([900.0, 2_500.0, 9_000.0, 30_000.0], 0.01);
const SCRIPT: ([f64; 4], f64) = ([1.0, 3.0, 12.0, 60.0], 0.0);
const TOOL: ([f64; 4], f64) = ([20.0, 120.0, 900.0, 6_000.0], 0.02);
const PERSON: [f64; 4] = [60_000.0, 600_000.0, 7_200_000.0, 43_200_000.0];

/// An activation that was seen: its replies in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// The model that the agent had.
    pub model: Arc<str>,
    /// What was said, turn by turn.
    pub replies: Vec<Arc<Reply>>,
}

/// What a simulation takes for granted.
#[derive(Clone, Debug)]
pub struct Assumed {
    /// Models by name.
    pub models: BTreeMap<Arc<str>, Timing>,
    /// Every other model that is asked over a network.
    pub model: Timing,
    /// Every other script and recording.
    pub script: Timing,
    /// Tools by name.
    pub tools: BTreeMap<Arc<str>, Timing>,
    /// Every other tool.
    pub tool: Timing,
    /// How long people take, in milliseconds.
    pub people: Quantiles,
    /// What agents did, by role and phase.
    pub courses: BTreeMap<(Role, Arc<str>), Vec<Course>>,
    /// How many sessions were read.
    pub sessions: usize,
}

fn quantiles([p10, p50, p90, p99]: [f64; 4]) -> Quantiles {
    Quantiles::of(p10, p50, p90, p99)
}

fn timing((millis, fails): ([f64; 4], f64)) -> Timing {
    Timing { millis: quantiles(millis), fails }
}

impl Default for Assumed {
    fn default() -> Self {
        Self {
            models: BTreeMap::new(),
            model: timing(MODEL),
            script: timing(SCRIPT),
            tools: BTreeMap::new(),
            tool: timing(TOOL),
            people: quantiles(PERSON),
            courses: BTreeMap::new(),
            sessions: 0,
        }
    }
}

impl Assumed {
    pub(super) fn of_model(&self, name: &str) -> &Timing {
        let other = if is_offline(name) { &self.script } else { &self.model };
        self.models.get(name).unwrap_or(other)
    }

    pub(super) fn of_tool(&self, name: &str) -> &Timing {
        self.tools.get(name).unwrap_or(&self.tool)
    }

    /// In sentences.
    pub fn sentences(&self) -> Vec<String> {
        let mut said = Vec::new();
        let line = |what: &str, timing: &Timing| {
            let [p10, p50, p90, p99] = [0.1, 0.5, 0.9, 0.99].map(|share| millis(timing.millis.at(share)));
            format!("{what}: {p10}, {p50}, {p90}, {p99} at 10, 50, 90 and 99 %; {:.1} % fail", timing.fails * 100.0)
        };
        said.push(line("a model over the network, where nothing else is known", &self.model));
        said.push(line("a script", &self.script));
        said.push(line("a tool, where nothing else is known", &self.tool));
        said.extend(self.models.iter().map(|(name, timing)| line(&format!("the model {name}"), timing)));
        said.extend(self.tools.iter().map(|(name, timing)| line(&format!("the tool {name}"), timing)));
        let [p10, p50, p90, p99] = [0.1, 0.5, 0.9, 0.99].map(|share| millis(self.people.at(share)));
        said.push(format!("a person: {p10}, {p50}, {p90}, {p99}; that time is not in the makespan"));
        if self.sessions > 0 {
            let seen: Vec<String> =
                self.courses.iter().map(|((role, phase), all)| format!("{role} {phase} {}", all.len())).collect();
            said.push(format!(
                "from {} past sessions: agents do what they did in one of their activations ({})",
                self.sessions,
                if seen.is_empty() { "none was found".to_owned() } else { seen.join(", ") }
            ));
        }
        let (turns, calls) = (TURNS.map(|n| n.to_string()).join(", "), CALLS.map(|n| n.to_string()).join(", "));
        said.push(format!(
            "agents that were not seen before work {turns} turns at 10, 50, 90 and 99 %, with {calls} calls in each but the last; \
             1 in {:.0} holds something else than its colleagues, 1 in {:.0} is not sure; a condition on what they would say is met in \
             {:.0} % of cases; nobody goes round in circles",
            1.0 / DISSENT,
            1.0 / UNSURE,
            CONDITION * 100.0
        ));
        said
    }

    pub(super) fn draw(random: &mut Random, table: [f64; 4]) -> f64 {
        quantiles(table).draw(random)
    }
}

/// Milliseconds as people say them.
pub(super) fn millis(millis: f64) -> String {
    match millis {
        ms if ms < 1_000.0 => format!("{ms:.0} ms"),
        ms if ms < 60_000.0 => format!("{:.1} s", ms / 1e3),
        ms if ms < 3_600_000.0 => format!("{:.1} min", ms / 6e4),
        ms => format!("{:.1} h", ms / 3.6e6),
    }
}
