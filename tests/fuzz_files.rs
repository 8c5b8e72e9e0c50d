//! Does any text make the readers of files panic, or point outside of the file?
//!
//! Valid files are mutated at random. `SYNOD_FUZZ_SECONDS=600 cargo test --test fuzz_files` goes on for that long.

use std::time::{Duration, Instant};

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use synod::team::{Diagnostic, Known, MapSources, ModelCatalog, Overrides, check, load_team, render};

/// Mutated files of one batch.
const BATCH: u32 = 300;
/// Mutations of one file at most.
const MUTATIONS: usize = 6;

const TEAM: &str = r#"name: DevOps Incident Response
use_case: incident_response
collaboration_pattern: coordinator_worker
coordinator: { agent: lead, set: { fallback_models: [gpt-4] } }
member_agents:
  - { agent: profile, role: security, priority: 1, set: { model: "script:rule.rhai" } }
  - { agent: profile, role: logs, priority: 2, writes: [{ variable: cause, merge: last }, other] }
coordination_rules:
  wait_for_all: false
  quorum: 1
  timeout_per_agent_seconds: 5m
  escalation_policy: [on_disagreement, on_uncertainty]
  validate: [security]
  retry: { max_attempts: 3, backoff: { first: 1s, factor: 2.5, max: 1m }, on: [timeout] }
may_write: { security: [logs] }
may_hand_off: { security: [logs] }
messages: { question: "{{ from }} asks: {{ content }}" }
result: { vote: { protocol: majority, tie: security } }
rules: [rule]
limits: { turns: 300, tokens: 2000000, cost_usd: 2.00, wall_seconds: 900 }
inputs: { service: { type: string, default: payment }, data: folder }
escalation: [ { to: on-call, deadline: 30m, notify: "…" } ]
"#;

const GRAPH: &str = r#"name: Tickets
collaboration_pattern: graph
member_agents: [&m { agent: profile, role: triage }, { agent: profile, role: fixer }]
nodes:
  triage:  { agent: triage, task: "Classify {{ input.ticket }}" }
  other:   { agent: fixer, after: { triage: 'output.kind == "billing"' } }
  fixes:   { for_each: "triage.output.items", as: fix, max: 20, parallel: 5, agent: fixer, task: "{{ fix }}", after: triage }
  sub:     { team: team, with: { data: "input.x" }, after: [other, fixes], join: any }
  draft:
    repeat: { max: 3, until: 'review.output.answer == "send"' }
    nodes:
      write: { agent: fixer, timeout: 30s, on_error: review }
      review: { ask: "Send?", options: [send, revise], deadline: 24h, default: revise, after: write }
    output: |
      write
        .output
  lint:    { tool: Bash, args: { command: "make lint" }, allow_failure: true, after: { fixes: done }, short: run }
  count:   { gate: "fixes.output.len() + 1", after: fixes, join: { quorum: 1 } }
  agree:   { settle: findings, members: [triage], after: count }
finally:   { tidy: { relay: [triage, fixer], max_handoffs: 3 } }
output: draft.output
"#;

const PROFILE: &str = r#"name: "Security Specialist"
role: specialist
specialization: security
skills: [rbac, network-policies]
model: claude-sonnet-4
model_config: { temperature: 0.2, max_tokens: 2000, stop: ["a", 1e3, null] }
system_prompt: |
  You are a specialist — for émigrés.
    1. Look.
prompt_template: "Hello {{ task }} {% if role %}y{% endif %}"
allowed_tools: ['Read', 'Bash(git log:*)']
mcp_servers: &s ['trivy']
knowledge: { folders: [runbooks], top_k: 3 }
knowledge_base_filters: { tags: *s, kind: alert }
communication_style: concise
uncertainty_threshold: 0.6
output_schema: { type: object, properties: { a: { type: [string, "null"] } } }
tags: [devops]
"#;

/// What gets put in: what means something to YAML, to JSON, to us or to a terminal.
const PIECES: &[&str] = &[
    ":",
    ": ",
    "-",
    "- ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "\"",
    "'",
    "|",
    ">",
    "&a ",
    "*a",
    "<<: *m",
    "!t ",
    "#",
    "%",
    "@",
    "`",
    "\n",
    "\r\n",
    "\t",
    "  ",
    "---\n",
    "...",
    "\u{0}",
    "\u{1b}[2J",
    "\u{feff}",
    "\u{2028}",
    "é",
    "👩‍👩‍👧",
    "~",
    "null",
    "true",
    ".nan",
    "-.inf",
    "1e999",
    "-1",
    "99999999999999999999",
    "0x7f",
    "{{ x",
    "{% raw",
    "nodes:",
    "team: team",
    "agent",
    "max",
    "lib:../..",
    "..",
    "/",
    "script:",
    "replay:",
    "? ",
    "\\u0000",
    "\\ud800",
    "$ref",
    "file:///etc/passwd",
    "http://127.0.0.1/",
    "after: {",
    "1d1h",
    "9999999999999d",
];

/// A change at some place of a text.
#[derive(Clone, Debug)]
enum Mutation {
    Insert(usize, usize),
    Remove(usize, usize),
    Double(usize, usize),
    Move(usize, usize, usize),
    Replace(usize, char),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = 0usize..10_000;
    prop_oneof![
        (at.clone(), 0..PIECES.len()).prop_map(|(at, piece)| Mutation::Insert(at, piece)),
        (at.clone(), 1usize..30).prop_map(|(at, length)| Mutation::Remove(at, length)),
        (at.clone(), 1usize..80).prop_map(|(at, length)| Mutation::Double(at, length)),
        (at.clone(), 1usize..40, at.clone()).prop_map(|(from, length, to)| Mutation::Move(from, length, to)),
        (at, any::<char>()).prop_map(|(at, c)| Mutation::Replace(at, c)),
    ]
}

fn mutated(text: &str, mutations: &[Mutation]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for mutation in mutations {
        let size = chars.len().max(1);
        let range = |at: usize, length: usize| at % size..(at % size + length).min(chars.len());
        match *mutation {
            Mutation::Insert(at, piece) => drop(chars.splice(range(at, 0), PIECES[piece].chars())),
            Mutation::Remove(at, length) => drop(chars.drain(range(at, length))),
            Mutation::Double(at, length) => {
                let part = chars[range(at, length)].to_vec();
                drop(chars.splice(range(at, 0), part));
            }
            Mutation::Move(from, length, to) => {
                let part: Vec<char> = chars.drain(range(from, length)).collect();
                let to = to % (chars.len() + 1);
                drop(chars.splice(to..to, part));
            }
            Mutation::Replace(at, c) => {
                if let Some(old) = chars.get_mut(at % size) {
                    *old = c;
                }
            }
        }
    }
    chars.into_iter().collect()
}

fn sources() -> MapSources {
    MapSources::default()
        .with("lead.yaml", "name: Lead\nrole: coordinator\nmodel: gpt-4\n")
        .with("rule.rhai", "fn merge(facts) { 1 }")
        .with("profile.yaml", PROFILE)
        .with("team.yaml", TEAM)
        .with("graph.yaml", GRAPH)
        .with("runbooks/a.md", "")
}

/// What has to hold for every text.
fn holds(name: &str, text: &str, models: &ModelCatalog) -> Result<(), TestCaseError> {
    let sources = sources().with(name, text);
    let known = Known { models, tools: Some(&["Read", "Bash"]), mcp_servers: Some(&["trivy"]) };
    let mut found = check(name, &sources, &known);
    // The same mistakes in the place where others refer to it.
    for team in ["team.yaml", "graph.yaml"] {
        let overrides = Overrides::parse(&["*.model=gpt-4o"]).unwrap_or_default();
        match load_team(team, &sources, &overrides, &known) {
            Ok((_, warnings)) => prop_assert!(!warnings.iter().any(Diagnostic::is_error)),
            Err(errors) => {
                prop_assert!(errors.iter().any(Diagnostic::is_error), "no error, and no team");
                found.extend(errors);
            }
        }
    }
    for diagnostic in &found {
        prop_assert!(diagnostic.line == 0 || diagnostic.source.is_some(), "{} has no text", diagnostic.line());
    }
    let shown = render(&found, false);
    prop_assert!(!shown.contains('\u{1b}') && !shown.contains('\u{0}'), "a control character reached the terminal");
    Ok(())
}

fn run_batch(models: &ModelCatalog) {
    let config = Config { cases: BATCH, failure_persistence: None, ..Config::default() };
    let files = prop_oneof![Just(("team.yaml", TEAM)), Just(("graph.yaml", GRAPH)), Just(("profile.yaml", PROFILE))];
    let cases = (files, vec(mutation(), 0..MUTATIONS)).prop_map(|((name, text), mutations)| (name, mutated(text, &mutations)));
    let result = TestRunner::new(config).run(&cases, |(name, text)| holds(name, &text, models));
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn the_files_are_valid_before_they_are_mutated() {
    let models = ModelCatalog::built_in();
    let known = Known::models(&models);
    for name in ["team.yaml", "graph.yaml", "profile.yaml"] {
        let found = check(name, &sources(), &known);
        assert!(!found.iter().any(Diagnostic::is_error), "{}", render(&found, false));
    }
}

#[test]
fn no_mutation_of_a_file_makes_a_reader_panic() {
    let seconds = std::env::var("SYNOD_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    let end = Instant::now() + Duration::from_secs(seconds);
    let models = ModelCatalog::built_in();
    let mut files = 0;
    loop {
        run_batch(&models);
        files += BATCH;
        if Instant::now() >= end {
            break;
        }
    }
    println!("{files} mutated files");
}

#[test]
fn no_text_at_all_makes_a_reader_panic() {
    let models = ModelCatalog::built_in();
    let config = Config { cases: BATCH, failure_persistence: None, ..Config::default() };
    proptest!(config, |(text in ".{0,200}", args in vec(".{0,40}", 0..4))| {
        holds("team.yaml", &text, &models)?;
        if let Err(found) = Overrides::parse(&args) {
            prop_assert!(!render(&found, true).is_empty());
        }
    });
}
