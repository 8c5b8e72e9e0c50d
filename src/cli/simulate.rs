//! `synod simulate`: how would a team do, before a token is spent?

use clap::Args;

use super::{
    CommandError, Exit, Global, Outcome,
    args::{InputArgs, TaskArgs, TeamArgs},
    output,
};
use crate::{
    engine::{Engine, FileSources, Prepared},
    graph::NodeKind,
    simulate::{Assumed, MAX_RUNS, Quantiles, Timing},
    team::{Latencies, Latency, did_you_mean, load_latencies},
    tool::permits,
    value::Value,
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
/// An input that is missing is made up; one that is given must be as `run` takes it.
///
/// A file of latencies has `models`, `tools` and `people`, such as {models: {default: {p50: 2s, p90: 8s, fails: 0.01}}, tools: {Bash:
/// {p50: 300ms}}, people: {p50: 10m}}.
#[derive(Debug, Args)]
pub(super) struct Simulate {
    #[command(flatten)]
    team: TeamArgs,
    /// How many runs
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_RUNS)))]
    runs: u32,
    /// Where chance begins
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    task: TaskArgs,
    #[command(flatten)]
    inputs: InputArgs,
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
        let team = self.team.load(&engine, true)?;
        let assumed = self.assumed(&engine, &team, past, global)?;
        let scenario = engine.scenario(&team, self.task.of(&team), self.inputs.of(&team)?, assumed, self.seed)?;
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
        if !global.quiet {
            unused(file, &latencies, team);
        }
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

/// Says which names of a file of latencies the team does not use.
fn unused(file: &str, latencies: &Latencies, team: &Prepared) {
    let members = || team.plan.teams.iter().flat_map(|team| team.members.iter().chain(&team.coordinator));
    let profiles = || members().map(|member| &member.profile);
    let models: Vec<&str> =
        profiles().flat_map(|p| std::iter::once(&p.model).chain(&p.fallback_models)).map(|model| &**model).collect();
    let nodes = team.plan.graphs.iter().flat_map(|graph| graph.dag.node_weights());
    let mut tools: Vec<&str> =
        nodes.filter_map(|node| if let NodeKind::Tool(tool) = &node.kind { Some(&*tool.tool) } else { None }).collect();
    tools.extend(profiles().flat_map(|p| &p.allowed_tools).filter(|tool| !tool.contains('*')).map(|tool| &**tool));
    let calls =
        |tool: &str| tools.contains(&tool) || profiles().any(|p| permits(&p.allowed_tools, &p.mcp_servers, tool, &Value::Null));
    let of_models =
        latencies.models.keys().filter(|name| !["default", "script"].contains(&&***name) && !models.contains(&&***name));
    let of_tools = latencies.tools.keys().filter(|name| &***name != "default" && !calls(name));
    for (what, name, known) in of_models.map(|name| ("model", name, &models)).chain(of_tools.map(|name| ("tool", name, &tools))) {
        let near = did_you_mean(name, known.iter().copied()).map(|near| format!("; {near}")).unwrap_or_default();
        eprintln!("{file}: the team has no {what} `{name}`, so that its latency counts for nothing{near}");
    }
}

fn set(timing: &mut Timing, Latency { millis: [p10, p50, p90, p99], fails }: Latency) {
    *timing = Timing { millis: Quantiles::of(p10, p50, p90, p99), fails: fails.unwrap_or(timing.fails) };
}
