//! How would a team do, before a token is spent? [`simulate`] runs its plan many times in virtual time.
//!
//! The scheduler, the plan and the rules are the real ones; models, tools and people take as long and fail as often as [`Assumed`]
//! says, and agents say what they said in past journals ([`Past`]) or something of a declared kind. Deliberately absent: a clock and
//! randomness of the machine. The same seed gives the same runs.

mod agents;
mod assume;
mod guess;
mod past;
mod quantiles;
mod random;
#[cfg(test)]
mod tests;
mod world;

use std::{collections::BTreeMap, fmt::Write, ops::Range, sync::Arc, time::Duration};

use serde::Serialize;

pub use assume::{Assumed, Course, Timing};
pub use past::Past;
pub use quantiles::{Quantiles, Spread};

use crate::{
    event::Started,
    graph::Plan,
    plan::Models,
    report::Measured,
    state::FoldError,
    turn::Toolbox,
    value::{Judge, Map, Role, SessionId},
};
use agents::Agents;
use assume::millis;
use guess::{Guess, Lenient};
use random::Random;

/// Runs of one simulation at most.
pub const MAX_RUNS: u32 = 1_000_000;

/// What is simulated.
#[derive(Clone)]
pub struct Scenario {
    /// The team as it was named.
    pub team: Arc<str>,
    /// What is to be done.
    pub task: Arc<str>,
    /// The inputs, defaults filled in.
    pub inputs: Map,
    /// The plan.
    pub plan: Arc<Plan>,
    /// Who decides.
    pub judge: Arc<dyn Judge>,
    /// The tools there are.
    pub tools: Arc<dyn Toolbox>,
    /// What is taken for granted.
    pub assumed: Arc<Assumed>,
    /// Where chance begins.
    pub seed: u64,
}

/// What came of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// How it ended.
    pub status: &'static str,
    /// Its measures, in the order of [`MEASURES`].
    pub measures: [f64; MEASURES.len()],
    /// The agents on its critical path, with their part of it from 0 to 1.
    pub critical: Vec<(Role, f64)>,
}

/// What is measured of a run. Times are running time: what people take is not in them.
pub const MEASURES: [&str; 8] =
    ["makespan_ms", "cost_usd", "tokens", "turns", "utilization", "parallelism", "sequential_ms", "speedup"];

/// What came of many runs: what `synod simulate --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Simulated {
    /// The team.
    pub team: Arc<str>,
    /// How many runs.
    pub runs: usize,
    /// The seed of the first.
    pub seed: u64,
    /// How they ended.
    pub ended: BTreeMap<&'static str, usize>,
    /// The share that did not complete, those that wait for a person apart.
    pub failed: f64,
    /// The measures, by the names of [`MEASURES`]. `sequential_ms` is the time in which one agent would do all of it, one thing after
    /// another; `speedup` is that over the makespan.
    pub measures: BTreeMap<&'static str, Spread>,
    /// Who is on the critical path, the most important first.
    pub critical: Vec<CriticalRow>,
    /// The worst case that the plan prints.
    pub bounds: Worst,
    /// What was taken for granted, in sentences.
    pub assumptions: Vec<String>,
}

/// An agent on critical paths.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CriticalRow {
    /// Who.
    pub agent: Role,
    /// The share of runs with it on their critical path.
    pub on_path: f64,
    /// The share of runs in which nobody has more of it.
    pub leads: f64,
    /// Its mean part of the critical path.
    pub share: f64,
}

/// The worst case, as the plan has it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Worst {
    /// Running time in milliseconds.
    pub makespan_ms: f64,
    /// Cost; `None` where a model has no price.
    pub cost_usd: Option<f64>,
    /// Tokens.
    pub tokens: f64,
    /// Turns.
    pub turns: f64,
}

/// Those runs of a scenario. Whoever wants many at once divides the range: each run depends on the seed and its number only.
///
/// # Errors
/// The plan is not one.
pub fn runs(scenario: &Scenario, prices: &dyn Models, which: Range<u64>) -> Result<Vec<Run>, FoldError> {
    let mut plan = (*scenario.plan).clone();
    // What is made up goes round in circles, as no agent would.
    plan.teams.iter_mut().for_each(|team| team.detect = None);
    let plan = Arc::new(plan);
    let tools: Arc<dyn Toolbox> = Arc::new(Lenient(scenario.tools.clone()));
    which.map(|nth| one(scenario, &plan, &tools, prices, nth)).collect()
}

fn one(scenario: &Scenario, plan: &Arc<Plan>, tools: &Arc<dyn Toolbox>, prices: &dyn Models, nth: u64) -> Result<Run, FoldError> {
    let mut random = Random::of_run(scenario.seed, nth);
    let judge = Arc::new(Guess::new(scenario.judge.clone(), plan, Random::of_run(!scenario.seed, nth)));
    let session = SessionId(uuid::Uuid::from_u64_pair(scenario.seed, nth));
    let (team, task, inputs) = (scenario.team.clone(), scenario.task.clone(), scenario.inputs.clone());
    let started = Started::new(session, team, task, inputs, plan.clone());
    let agents = Agents::new(&scenario.assumed, plan, prices);
    let records = world::run(started, judge, tools.clone(), agents, &scenario.assumed, &mut random)?;
    let measured = Measured::of(&records)?;
    let m = &measured.metrics;
    let over = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 1.0 };
    let parallelism = over(m.sequential_ms, m.makespan_ms);
    let busy = over(measured.busy.as_secs_f64() * 1e3, m.makespan_ms);
    let path: Duration = measured.critical.iter().map(|(_, time)| *time).sum();
    let part = |time: Duration| over(time.as_secs_f64(), path.as_secs_f64());
    Ok(Run {
        status: measured.status.name(),
        measures: [m.makespan_ms, m.cost_usd, m.tokens as f64, m.turns as f64, m.utilization, busy, m.sequential_ms, parallelism],
        critical: measured.critical.iter().map(|(role, time)| (role.clone(), part(*time))).collect(),
    })
}

impl Simulated {
    /// What came of those runs.
    pub fn of(scenario: &Scenario, runs: &[Run]) -> Self {
        let mut ended = BTreeMap::new();
        for run in runs {
            *ended.entry(run.status).or_insert(0) += 1;
        }
        let count = runs.len().max(1) as f64;
        let good = ["completed", "parked"].iter().filter_map(|status| ended.get(status)).sum::<usize>();
        let spread = |ix: usize| Spread::of(&runs.iter().map(|run| run.measures[ix]).collect::<Vec<_>>());
        let bounds = &scenario.plan.bounds;
        Self {
            team: scenario.team.clone(),
            runs: runs.len(),
            seed: scenario.seed,
            failed: (runs.len() - good) as f64 / count,
            ended,
            measures: MEASURES.iter().enumerate().map(|(ix, name)| (*name, spread(ix))).collect(),
            critical: critical(runs),
            bounds: Worst {
                makespan_ms: bounds.wall_seconds as f64 * 1e3,
                cost_usd: bounds.cost.map(crate::value::Usd::dollars),
                tokens: bounds.tokens as f64,
                turns: bounds.turns as f64,
            },
            assumptions: scenario.assumed.sentences(),
        }
    }

    /// As people read it.
    pub fn text(&self) -> String {
        let mut page = String::new();
        let ended: Vec<String> = self.ended.iter().map(|(status, count)| format!("{count} {status}")).collect();
        let _ = writeln!(
            page,
            "{}: {} runs of seed {}: {}; {:.1} % fail\n",
            self.team,
            self.runs,
            self.seed,
            ended.join(", "),
            self.failed * 100.0
        );
        let _ = writeln!(page, "{:<14}{:>12}{:>12}{:>12}{:>12}{:>12}{:>14}", "", "p10", "p50", "p90", "p99", "max", "worst case");
        let cost = self.bounds.cost_usd.map_or_else(|| "no price".to_owned(), |usd| format!("${usd:.2}"));
        let (plain, percent) = (|v: f64| format!("{v:.0}"), |v: f64| format!("{:.0} %", v * 100.0));
        let (worst, none) = (&self.bounds, String::new());
        page.push_str(&self.row("makespan", "makespan_ms", &millis, &millis(worst.makespan_ms)));
        page.push_str(&self.row("cost", "cost_usd", &|v| format!("${v:.4}"), &cost));
        page.push_str(&self.row("tokens", "tokens", &plain, &plain(worst.tokens)));
        page.push_str(&self.row("turns", "turns", &plain, &plain(worst.turns)));
        page.push_str(&self.row("utilization", "utilization", &percent, &none));
        page.push_str(&self.row("parallelism", "parallelism", &|v| format!("{v:.2}"), &none));
        page.push_str(&self.row("one by one", "sequential_ms", &millis, &none));
        page.push_str(&self.row("speed-up", "speedup", &|v| format!("{v:.2} ×"), &none));
        if let Some(first) = self.critical.first() {
            let _ = writeln!(page, "\ncritical: {} leads the critical path in {:.0} % of runs", first.agent, first.leads * 100.0);
        }
        for row in &self.critical {
            let (on, leads, share) = (row.on_path * 100.0, row.leads * 100.0, row.share * 100.0);
            let _ = writeln!(
                page,
                "  {:<24} on the path in {on:>3.0} %, leads in {leads:>3.0} %, {share:>3.0} % of its time",
                row.agent.as_str()
            );
        }
        page.push_str("\nassumed:\n");
        for sentence in &self.assumptions {
            let _ = writeln!(page, "  - {sentence}");
        }
        page
    }

    fn row(&self, name: &str, measure: &str, show: &dyn Fn(f64) -> String, worst: &str) -> String {
        let s = self.measures.get(measure).copied().unwrap_or_default();
        let [p10, p50, p90, p99, max] = [s.p10, s.p50, s.p90, s.p99, s.max].map(show);
        let line = format!("{name:<14}{p10:>12}{p50:>12}{p90:>12}{p99:>12}{max:>12}{worst:>14}");
        format!("{}\n", line.trim_end())
    }
}

fn critical(runs: &[Run]) -> Vec<CriticalRow> {
    let count = runs.len().max(1) as f64;
    let mut rows: BTreeMap<Role, CriticalRow> = BTreeMap::new();
    for run in runs {
        let most = run.critical.iter().map(|(_, share)| *share).fold(0.0, f64::max);
        // The first of equals leads, so that one does in each run.
        let leader = run.critical.iter().find(|(_, share)| *share >= most).map(|(role, _)| role);
        for (role, share) in &run.critical {
            let fresh = || CriticalRow { agent: role.clone(), on_path: 0.0, leads: 0.0, share: 0.0 };
            let row = rows.entry(role.clone()).or_insert_with(fresh);
            row.on_path += 1.0 / count;
            row.share += share / count;
            if leader == Some(role) {
                row.leads += 1.0 / count;
            }
        }
    }
    let mut rows: Vec<CriticalRow> = rows.into_values().collect();
    rows.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.agent.cmp(&b.agent)));
    rows
}
