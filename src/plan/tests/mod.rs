//! What compiles, what does not, and what it is told. Teams are files, read by the team loader.

mod bounds;
mod checks;
mod draw;
mod expand;
mod names;
mod nested;
mod patterns;
mod random;

use std::sync::LazyLock;

use super::{Compiled, Machine, compile};
use crate::{
    graph::{Node, Plan},
    team::{Diagnostic, Known, MapSources, ModelCatalog, Overrides, Team, load_team, render},
    value::{EffectClass, ToolSpec, Value},
};

/// A priced model, one without a price, and a fallback.
const MODELS: &str = r#"
providers: { own: { kind: openai } }
models:
  large: { provider: own, id: large, context_window: 100000, price: { input: 3.0, output: 15.0 } }
  small: { provider: own, id: small, context_window: 10000, price: { input: 1.0, output: 2.0 } }
  local: { provider: own, id: local, context_window: 8000 }
"#;

const SCRIPTED: &str = "role: specialist\nmodel: script:agent.rhai\nmax_conversation_turns: 10\n";

pub(super) fn models() -> ModelCatalog {
    let mut models = ModelCatalog::built_in();
    assert_eq!(models.extend("models.yaml", MODELS), []);
    models
}

/// Profiles and scripts that the teams of the tests refer to.
pub(super) fn sources() -> MapSources {
    let scripted = |name: &str| format!("name: {name}\n{SCRIPTED}");
    MapSources::default()
        .with("lead.yaml", "name: Lead\nrole: coordinator\nmodel: script:agent.rhai\nmax_conversation_turns: 12\n")
        .with("a.yaml", scripted("Ann"))
        .with("b.yaml", scripted("Bob"))
        .with("c.yaml", scripted("Cid"))
        .with(
            "llm.yaml",
            "name: Large\nrole: specialist\nmodel: large\nmodel_config: { max_tokens: 2000 }\nfallback_models: [small]\n\
             max_conversation_turns: 5\nallowed_tools: [Read, search_logs, Bash]\n",
        )
        .with("local.yaml", "name: Local\nrole: specialist\nmodel: local\nmax_conversation_turns: 5\n")
        .with("agent.rhai", "fn turn(view) { #{ finish: 1 } }")
        .with("route.rhai", "fn route(facts) { [] }")
        .with("settle.rhai", "fn settle(facts) { #{ verdict: \"vote\" } }")
        .with("own.rhai", "fn score(facts) { 1 }\nfn handoff(facts) { () }")
}

/// The team `team.yaml` among `sources`; nobody in it asks anybody, so that the figures of a test are those of its nodes.
pub(super) fn load_from(sources: &MapSources) -> Team {
    let mut team = load_as_written(sources);
    team.coordination.max_asks = 0;
    team
}

pub(super) fn load_as_written(sources: &MapSources) -> Team {
    let models = models();
    match load_team("team.yaml", sources, &Overrides::default(), &Known::models(&models)) {
        Ok((team, _)) => team,
        Err(found) => panic!("{}", render(&found, false)),
    }
}

/// The team `text`, as the file `team.yaml`.
pub(super) fn load(text: &str) -> Team {
    load_from(&sources().with("team.yaml", text))
}

/// A `graph` team of three agents with `rest`.
pub(super) fn graph(rest: &str) -> String {
    format!(
        "name: T\ncollaboration_pattern: graph\ncoordinator: lead\n\
         member_agents: [{{ agent: a, role: ann }}, {{ agent: b, role: bob }}, {{ agent: c, role: cid }}]\n{rest}"
    )
}

pub(super) fn tools() -> Vec<ToolSpec> {
    let spec = |name: &str, effect, properties: &str| ToolSpec {
        name: name.into(),
        description: "A tool.".into(),
        parameters: Value::try_from(serde_json::from_str::<serde_json::Value>(properties).unwrap()).unwrap(),
        effect,
        untrusted: false,
    };
    let bash = r#"{ "type": "object", "properties": { "command": { "type": "string" }, "seconds": { "type": "integer" } },
                    "required": ["command"], "additionalProperties": false }"#;
    let open = r#"{ "type": "object" }"#;
    vec![
        spec("Bash", EffectClass::Irreversible, bash),
        spec("Read", EffectClass::Read, open),
        spec("search_logs", EffectClass::Read, open),
    ]
}

pub(super) fn compiled(team: &Team) -> Result<Compiled, Vec<Diagnostic>> {
    static MODELS: LazyLock<ModelCatalog> = LazyLock::new(models);
    static TOOLS: LazyLock<Vec<ToolSpec>> = LazyLock::new(tools);
    compile(team, &Machine { tools: &TOOLS, effect: &effect, models: &*MODELS })
}

/// `Bash` only reads where it says so and what it is told is known.
pub(super) fn effect(tool: &str, args: &Value) -> Option<EffectClass> {
    let lists = tool == "Bash" && args.get("command").and_then(Value::as_str) == Some("ls");
    lists.then_some(EffectClass::Read)
}

pub(super) fn plan(text: &str) -> Plan {
    plan_of(&load(text))
}

pub(super) fn plan_of(team: &Team) -> Plan {
    match compiled(team) {
        Ok(compiled) => compiled.plan,
        Err(found) => panic!("{}", render(&found, false)),
    }
}

/// The node `n` of the graph `graph`.
pub(super) fn node(plan: &Plan, graph: usize, n: usize) -> &Node {
    &plan.graphs[graph].dag[petgraph::graph::NodeIndex::new(n)]
}

/// What is said of the team `text`, errors and warnings: a line each, then its remedy.
pub(super) fn said(text: &str) -> String {
    said_of(&load(text))
}

pub(super) fn said_of(team: &Team) -> String {
    let found = compiled(team).map_or_else(|found| found, |compiled| compiled.warnings);
    let line = |d: &Diagnostic| match &d.help {
        Some(help) => format!("{}\n  {help}\n", d.line()),
        None => format!("{}\n", d.line()),
    };
    found.iter().map(line).collect()
}
