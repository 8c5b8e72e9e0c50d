//! `synod simulate`: how would a team do, before a token is spent?

use clap::Args;

use super::{
    CommandError, Exit, Global, Outcome, output,
    run::{inputs, load},
};
use crate::{
    engine::{Engine, FileSources, Prepared},
    simulate::{Assumed, MAX_RUNS, Quantiles, Timing},
    team::{Latency, load_latencies},
};

/// What stands for past sessions in place of a file.
const PAST: &str = "past";

/// Run a team many times in virtual time: how long, how dear, who is critical
///
/// The scheduler, the plan and the rules are the real ones. Models, tools and people take as long and fail as often as a table says: a
/// built-in one, a file (--latency FILE), or what was seen in past sessions of the team in the store (--from-store), from which agents
/// also take what they say: each activation plays one that was seen. Without that they work a few turns and agree nine times out of
/// ten; the output states all that was assumed. The same seed gives the same runs.
///
/// A file of latencies has `models`, `tools` and `people`, such as {models: {default: {p50: 2s, p90: 8s, fails: 0.01}}, tools: {Bash:
/// {p50: 300ms}}, people: {p50: 10m}}.
#[derive(Debug, Args)]
pub(super) struct Simulate {
    /// A team file, or the name of a shipped team
    team: String,
    /// How many runs
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_RUNS)))]
    runs: u32,
    /// Where chance begins
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// What is to be done, in words
    #[arg(long, value_name = "TEXT", default_value = "")]
    task: String,
    /// An input of the team, as `run` takes it; one that is missing is made up
    #[arg(long = "input", value_name = "KEY=VALUE")]
    inputs: Vec<String>,
    /// Change a field of an agent's profile, as `run` takes it; `*` is every agent
    #[arg(long = "set", value_name = "ROLE.FIELD=VALUE")]
    set: Vec<String>,
    /// How long things take: a file, or `past` for what was seen in the store
    #[arg(long, value_name = "FILE|past")]
    latency: Option<String>,
    /// Take times and what agents say from past sessions of the team; the same as --latency past
    #[arg(long)]
    from_store: bool,
}

impl Simulate {
    pub(super) fn run(&self, global: &Global) -> Outcome {
        let past = self.from_store || self.latency.as_deref() == Some(PAST);
        let engine = if past { global.engine()? } else { global.bare_engine()? };
        let team = load(&engine, &self.team, &self.set, true)?;
        let assumed = self.assumed(&engine, &team, past, global)?;
        let scenario = engine.scenario(&team, &self.task, inputs(&team, &self.inputs)?, assumed, self.seed)?;
        let simulated = engine.simulate(&scenario, self.runs)?;
        if global.json {
            output::json(&simulated)?;
        } else {
            output::text(&simulated.text())?;
        }
        Ok(Exit::Done)
    }

    fn assumed(&self, engine: &Engine, team: &Prepared, past: bool, global: &Global) -> Result<Assumed, CommandError> {
        let mut assumed = Assumed::default();
        if past {
            assumed = engine.seen(team)?.assumed();
            if assumed.sessions == 0 && !global.quiet {
                eprintln!("the store has no finished session of {}: what is assumed is declared", team.name);
            }
        }
        let Some(file) = self.latency.as_deref().filter(|file| *file != PAST) else { return Ok(assumed) };
        let (latencies, _) = load_latencies(file, &FileSources::new(".")).map_err(|found| {
            output::diagnostics(&found);
            CommandError::Invalid
        })?;
        for (name, latency) in latencies.models {
            match &*name {
                "default" => set(&mut assumed.model, latency),
                "script" => set(&mut assumed.script, latency),
                _ => set(assumed.models.entry(name).or_insert(assumed.model.clone()), latency),
            }
        }
        for (name, latency) in latencies.tools {
            match &*name {
                "default" => set(&mut assumed.tool, latency),
                _ => set(assumed.tools.entry(name).or_insert(assumed.tool.clone()), latency),
            }
        }
        if let Some(Latency { millis: [p10, p50, p90, p99], .. }) = latencies.people {
            assumed.people = Quantiles::of(p10, p50, p90, p99);
        }
        Ok(assumed)
    }
}

fn set(timing: &mut Timing, Latency { millis: [p10, p50, p90, p99], fails }: Latency) {
    *timing = Timing { millis: Quantiles::of(p10, p50, p90, p99), fails: fails.unwrap_or(timing.fails) };
}
