//! Do realistic files come to what they say?

use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    graph::{EscalationPolicy, Join, Phase, Stragglers, VoteProtocol},
    value::{Merge, Role, Style, Usd, Value},
};

/// The profiles of the shipped library, as they stand.
pub(super) fn library() -> MapSources {
    MapSources::default()
        .with("lib:profiles/devops/security.yaml", include_str!("../../graphs/profiles/devops/security.yaml"))
        .with("lib:profiles/devops/performance.yaml", include_str!("../../graphs/profiles/devops/performance.yaml"))
        .with("lib:profiles/data/data-engineer.yaml", include_str!("../../graphs/profiles/data/data-engineer.yaml"))
        .with("lib:profiles/devops/lead.yaml", "name: Lead\nrole: coordinator\nmodel: claude-sonnet-4\n")
        .with("lib:scripts/agents/security.rhai", "fn turn(view) { #{ finish: 1 } }")
        .with("lib:scripts/rules/incident.rhai", "fn merge(facts) { 1 }")
}

/// The team `text`, with overrides; mistakes are a failure of the test.
fn load(text: &str, sets: &[&str]) -> (Team, Vec<Diagnostic>) {
    let sources = library().with("team.yaml", text);
    let models = ModelCatalog::built_in();
    let overrides = Overrides::parse(sets).unwrap();
    load_team("team.yaml", &sources, &overrides, &Known::models(&models))
        .unwrap_or_else(|found| panic!("{}", render(&found, false)))
}

/// What is wrong with the team `text`: line and code of each.
fn mistakes(text: &str) -> Vec<(u32, Code)> {
    let sources = library().with("team.yaml", text);
    let models = ModelCatalog::built_in();
    let found =
        load_team("team.yaml", &sources, &Overrides::default(), &Known::models(&models)).map(|(team, _)| team).unwrap_err();
    found.iter().map(|d| (d.line, d.code)).collect()
}

const INCIDENT: &str = r#"
name: DevOps Incident Response
use_case: incident_response
collaboration_pattern: coordinator_worker
coordinator: profiles/devops/lead
member_agents:
  - { agent: profiles/devops/performance, role: performance, priority: 2 }
  - { agent: profiles/devops/security, role: security, priority: 1, set: { model: "script:scripts/agents/security.rhai" } }
coordination_rules:
  wait_for_all: false
  quorum: 1
  stragglers: leave
  timeout_per_agent_seconds: 5m
  escalation_policy: on_disagreement
  validate: true
  max_revisions: 2
may_write: { security: [performance] }
result: { by: coordinator }
rules: [scripts/rules/incident.rhai]
limits: { turns: 300, tokens: 2000000, cost_usd: 2.00, wall_seconds: 900 }
inputs: { service: { type: string, default: payment }, data: { type: folder } }
escalation: [ { to: on-call, deadline: 30m, notify: "page" }, { to: manager, deadline: 2h } ]
"#;

#[test]
fn the_three_example_profiles_load_unchanged() {
    let (sources, models) = (library(), ModelCatalog::built_in());
    for (name, tools, servers) in
        [("profiles/devops/security", 3, 3), ("devops/performance", 3, 3), ("lib:profiles/data/data-engineer.yaml", 4, 3)]
    {
        let (loaded, warnings) = load_profile(name, &sources, &Known::models(&models)).unwrap();
        assert_eq!(warnings, []);
        let profile = loaded.profile;
        assert_eq!((profile.allowed_tools.len(), profile.mcp_servers.len()), (tools, servers), "{name}");
        assert_eq!(&*profile.model, "claude-sonnet-4");
        assert!(profile.system_prompt.starts_with("You are a ") && profile.system_prompt.ends_with('\n'));
        assert_eq!((profile.max_turns, profile.style, profile.escalate_on_uncertainty), (10, Style::Detailed, true));
    }
    let (loaded, _) = load_profile("devops/security", &sources, &Known::models(&models)).unwrap();
    assert_eq!(loaded.profile.knowledge.filters["tags"], ["security", "compliance", "vulnerabilities"]);
}

#[test]
fn a_coordinator_worker_team_comes_to_what_it_says() {
    let (team, warnings) = load(INCIDENT, &[]);
    assert!(warnings.iter().all(|d| d.code == Code::NotYet), "{warnings:?}");
    assert_eq!(team.pattern, Pattern::CoordinatorWorker);
    assert_eq!(team.members.iter().map(|m| m.role.as_str()).collect::<Vec<_>>(), ["security", "performance"]);
    assert_eq!(&*team.members[0].profile.model, "script:lib:scripts/agents/security.rhai");
    assert_eq!(&*team.members[1].profile.model, "claude-sonnet-4");
    let rules = &team.coordination;
    assert_eq!((rules.quorum, rules.stragglers, rules.timeout_per_agent), (Some(1), Stragglers::Leave, Duration::from_secs(300)));
    assert_eq!(rules.escalation_policy, [EscalationPolicy::OnDisagreement]);
    assert_eq!(rules.validate, [Role::new("security"), Role::new("performance")]);
    assert_eq!((rules.max_revisions, rules.max_tasks, rules.max_debate_rounds), (2, 8, 1));
    assert_eq!(team.may_write[&Role::new("security")], [Role::new("performance")]);
    assert_eq!((team.limits.turns, team.limits.cost, team.limits.wall_seconds), (Some(300), Some(Usd(2_000_000)), Some(900)));
    assert_eq!(
        team.inputs.iter().map(|i| (&*i.name, i.kind, i.default.is_some())).collect::<Vec<_>>(),
        [("service", InputKind::String, true), ("data", InputKind::Folder, false)]
    );
    assert_eq!(team.escalation[1].deadline, Some(Duration::from_secs(7_200)));
    let read: Vec<_> = team.sources.keys().map(String::as_str).collect();
    assert_eq!(
        read,
        [
            "lib:profiles/devops/lead.yaml",
            "lib:profiles/devops/performance.yaml",
            "lib:profiles/devops/security.yaml",
            "lib:scripts/agents/security.rhai",
            "lib:scripts/rules/incident.rhai",
            "team.yaml"
        ]
    );
}

#[test]
fn the_same_team_in_json_is_the_same_team() {
    let node = serde_saphyr::from_str::<serde_json::Value>(INCIDENT).unwrap();
    let sources = library().with("team.json", serde_json::to_string_pretty(&node).unwrap());
    let models = ModelCatalog::built_in();
    let (json, _) = load_team("team", &sources, &Overrides::default(), &Known::models(&models)).unwrap();
    let (yaml, _) = load(INCIDENT, &[]);
    assert_eq!((&json.coordination, json.inputs.len(), &json.limits), (&yaml.coordination, yaml.inputs.len(), &yaml.limits));
    assert_eq!(json.members[0].profile, yaml.members[0].profile);
}

const GRAPH: &str = r#"
name: Tickets
collaboration_pattern: graph
member_agents:
  - { agent: profiles/devops/security, role: triage }
  - { agent: profiles/devops/performance, role: billing }
  - { agent: profiles/data/data-engineer, role: fixer }
rules: scripts/rules/incident
nodes:
  triage:  { agent: triage, task: "Classify {{ input.ticket }}" }
  billing: { agent: billing, after: { triage: 'output.kind == "billing"' } }
  other:   { agent: fixer, after: { triage: else }, writes: [{ variable: answer, merge: append }] }
  fixes:   { for_each: "triage.output.items", as: fix, max: 20, parallel: 5, agent: fixer, task: "{{ fix }}", after: triage, timeout: 30s, on_error: oops }
  each:    { for_each: "triage.output.parts", as: part, max: 10, team: ./one.yaml, with: { part: "part" }, after: triage }
  draft:   { repeat: { max: 3, until: 'review.output.answer == "send"' }, nodes: { write: { agent: billing }, review: { ask: "Send this?", options: [send, revise], deadline: 24h, default: revise, after: write } }, output: write.output, after: [billing, other], join: any }
  lint:    { tool: Bash, args: { command: "make lint" }, retry: { max_attempts: 3, backoff: 2s, on: [timeout, exit] }, timeout: 30s, allow_failure: true, after: fixes }
  oops:    { agent: fixer, after: { lint: failed } }
  count:   { gate: "fixes.output.len() + 1", after: fixes }
  score:   { rule: score, after: count, short: run, join: { quorum: 1 } }
  plan:    { agent: triage, phase: delegate, after: score }
  work:    { subtasks: plan.output, after: plan }
  pass:    { relay: [triage, billing], after: { work: done } }
  agree:   { settle: findings, members: [triage], protocol: majority, tie: triage, after: pass }
finally:   { tidy: { tool: Bash, args: { command: "make clean" } } }
output: draft.output
"#;

const ONE: &str = r#"
name: One
collaboration_pattern: graph
member_agents: [{ agent: profiles/devops/security, role: solo }]
inputs: { part: string }
nodes: { look: { agent: solo, task: "{{ input.part }}" } }
"#;

fn graph(sets: &[&str]) -> Team {
    let sources = library().with("team.yaml", GRAPH).with("one.yaml", ONE);
    let models = ModelCatalog::built_in();
    let overrides = Overrides::parse(sets).unwrap();
    let loaded = load_team("team.yaml", &sources, &overrides, &Known::models(&models));
    loaded.unwrap_or_else(|found| panic!("{}", render(&found, false))).0
}

fn node<'t>(team: &'t Team, id: &str) -> &'t NodeSpec {
    team.nodes.iter().find(|n| &*n.id == id).unwrap()
}

#[test]
fn a_graph_team_comes_to_its_nodes() {
    let team = graph(&[]);
    assert_eq!(team.nodes.len(), 14);
    assert!(matches!(&node(&team, "billing").after[0].on, AfterOn::When(text) if &*text.source == "output.kind == \"billing\""));
    assert_eq!(node(&team, "other").after[0].on, AfterOn::Else);
    assert_eq!(node(&team, "other").writes[0].merge, Some(Merge::Append));
    let fixes = node(&team, "fixes");
    let What::ForEach { name, max: 20, parallel: Some(5), body: Body::One(one), .. } = &fixes.what else { panic!("{fixes:?}") };
    assert_eq!((&**name, one.timeout, fixes.timeout), ("fix", Some(Duration::from_secs(30)), None));
    assert_eq!((fixes.on_error.as_ref().map(|(id, _)| &**id), one.on_error.is_none()), (Some("oops"), true));
    let What::ForEach { body: Body::Team { team: inner, with }, .. } = &node(&team, "each").what else { panic!("a team") };
    assert_eq!((&*inner.name, &*with[0].0, &*with[0].1.source), ("One", "part", "part"));
    let draft = node(&team, "draft");
    let What::Repeat { max: 3, until: Some(_), body: Body::Nodes { nodes, output: Some(_) } } = &draft.what else {
        panic!("{draft:?}")
    };
    let What::Ask(ask) = &nodes[1].what else { panic!("an ask") };
    assert_eq!((ask.deadline, ask.default.clone()), (Some(Duration::from_secs(86_400)), Some(Value::text("revise"))));
    assert_eq!((draft.join, draft.after.len()), (Join::Any, 2));
    let lint = node(&team, "lint");
    assert!(lint.allow_failure && lint.retry.as_ref().is_some_and(|r| r.max_attempts == 3 && r.on.len() == 2));
    assert_eq!((node(&team, "score").join, node(&team, "score").short_run), (Join::Quorum(1), true));
    assert!(matches!(node(&team, "plan").what, What::Agent { phase: Phase::Delegate, .. }));
    assert!(matches!(node(&team, "work").what, What::Subtasks { max: 8, .. }));
    assert!(matches!(&node(&team, "pass").what, What::Relay { members, max_handoffs: 8 } if members.len() == 2));
    let What::Settle { protocol: VoteProtocol::Majority, tie: Some(tie), .. } = &node(&team, "agree").what else {
        panic!("a vote")
    };
    assert_eq!((tie.as_str(), team.finally.len()), ("triage", 1));
    assert!(team.sources.contains_key("one.yaml"));
}

#[test]
fn places_of_expressions_are_those_of_their_first_character() {
    let team = graph(&[]);
    let AfterOn::When(text) = &node(&team, "billing").after[0].on else { panic!("a condition") };
    let line = GRAPH.lines().nth(text.place.line as usize - 1).unwrap();
    assert!(line.chars().skip(text.place.column as usize - 1).collect::<String>().starts_with("output.kind"), "{line}");
}

#[test]
fn an_override_reaches_agents_of_teams_inside_the_team() {
    let team = graph(&["*.model=gpt-4", "each/solo.model=claude-haiku", "fixer.max_conversation_turns=3"]);
    let What::ForEach { body: Body::Team { team: inner, .. }, .. } = &node(&team, "each").what else { panic!("a team") };
    assert_eq!(&*inner.members[0].profile.model, "claude-haiku");
    assert_eq!((&*team.members[0].profile.model, team.members[2].profile.max_turns), ("gpt-4", 3));
}

#[test]
fn an_override_that_meets_nobody_or_no_key_is_an_error() {
    let sources = library().with("team.yaml", INCIDENT);
    let models = ModelCatalog::built_in();
    let overrides = Overrides::parse(&["securty.model=x", "security.modle=x"]).unwrap();
    let found = load_team("team.yaml", &sources, &overrides, &Known::models(&models)).map(|(t, _)| t.name).unwrap_err();
    assert_eq!(
        found.iter().filter(|d| d.is_error()).map(Diagnostic::line).collect::<Vec<_>>(),
        [
            "--set:1:1: error[bad-override]: the team has no agent `securty`",
            "--set:2:10: error[unknown-key]: a profile has no key `modle`",
        ]
    );
    assert_eq!(found[1].excerpt(), Some("security.modle=x"));
}

/// What is said of keys that have no effect yet: line and message.
fn not_yet(rest: &str) -> Vec<(u32, String)> {
    let text = format!(
        "name: T\ncollaboration_pattern: parallel\nmember_agents: [{{ agent: profiles/devops/security, role: a }}]\n{rest}\n"
    );
    let (_, warnings) = load(&text, &[]);
    warnings.iter().filter(|d| d.code == Code::NotYet).map(|d| (d.line, d.message.to_string())).collect()
}

#[test]
fn what_has_no_effect_yet_is_a_warning_at_its_key() {
    match &not_yet("coordination_rules:\n  delegation: all\n  max_replans: 1")[..] {
        [(line, message)] => {
            assert_eq!(*line, 6);
            assert!(message.starts_with("`max_replans` has no effect yet: "), "{message}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_asks_for_nothing_more_than_there_is_needs_no_warning() {
    let none = "coordination_rules: { max_asks: 3, max_depth: 1, max_replans: 0, escalation_policy: always }";
    assert_eq!(not_yet(none), []);
}

#[test]
fn what_a_machine_lacks_is_a_warning() {
    let sources = library().with("team.yaml", INCIDENT);
    let models = ModelCatalog::built_in();
    let overrides = Overrides::parse(&["performance.model=claude-sonet-4"]).unwrap();
    let known =
        Known { models: &models, tools: Some(&["Read", "Bash", "query_metrics", "search_logs"]), mcp_servers: Some(&["trivy"]) };
    let (_, warnings) = load_team("team.yaml", &sources, &overrides, &known).unwrap();
    let codes: Vec<_> = warnings.iter().map(|d| d.code.name()).collect();
    assert_eq!(codes.iter().filter(|c| **c == "unresolved-tool").count(), 1);
    assert_eq!(codes.iter().filter(|c| **c == "unresolved-mcp-server").count(), 5);
    assert_eq!(warnings[0].help.as_deref(), Some("did you mean `claude-sonnet-4`?"));
}

#[test]
fn all_mistakes_are_said_at_once() {
    let text = "name: X\ncollaboration_pattern: coordinator_wrker\nmember_agents:\n  - { agent: nowhere, role: a }\n  - { agent: profiles/devops/security, role: a }\ncoordinator: profiles/devops/security\nlimits: { turns: many }\n";
    let expected = [
        (2, Code::UnknownValue),
        (4, Code::MissingReference),
        (5, Code::DuplicateId),
        (6, Code::WrongCoordinator),
        (7, Code::WrongType),
    ];
    assert_eq!(mistakes(text), expected);
}

#[test]
fn a_team_that_contains_itself_is_named_with_its_circle() {
    let member = |file: &str| {
        format!(
            "name: T\ncollaboration_pattern: parallel\ncoordinator: profiles/devops/lead\nmember_agents: [{{ team: ./{file}, role: t }}]\n"
        )
    };
    let sources = library().with("a.yaml", member("b")).with("b.yaml", member("a"));
    let models = ModelCatalog::built_in();
    let found = load_team("a", &sources, &Overrides::default(), &Known::models(&models)).map(|(t, _)| t.name).unwrap_err();
    assert_eq!(found[0].message, "a team contains itself: a.yaml → b.yaml → a.yaml");
    assert_eq!((found[0].code, &*found[0].file, found[0].line), (Code::RecursiveTeam, "b.yaml", 4));
}

#[test]
fn many_teams_inside_teams_are_bounded() {
    let mut sources = library();
    for n in 0..12 {
        let uses: String = (0..4).map(|m| format!("  n{m}: {{ team: ./t{}.yaml }}\n", n + 1)).collect();
        sources = sources.with(format!("t{n}.yaml"), format!("name: T\ncollaboration_pattern: graph\nnodes:\n{uses}"));
    }
    let models = ModelCatalog::built_in();
    let found = load_team("t0.yaml", &sources, &Overrides::default(), &Known::models(&models)).map(|(t, _)| t.name).unwrap_err();
    assert!(found.iter().any(|d| d.code == Code::TooLarge));
}

#[test]
fn a_shipped_team_goes_by_its_name() {
    let sources = library().with("lib:teams/incident-response.yaml", INCIDENT);
    let models = ModelCatalog::built_in();
    let (team, _) = load_team("incident-response", &sources, &Overrides::default(), &Known::models(&models)).unwrap();
    assert_eq!(&*team.file, "lib:teams/incident-response.yaml");
    let found =
        load_team("incident-respons", &sources, &Overrides::default(), &Known::models(&models)).map(|(t, _)| t.name).unwrap_err();
    assert_eq!((found[0].code, found[0].help.as_deref()), (Code::MissingReference, Some("did you mean `incident-response`?")));
}

#[test]
fn knowledge_is_looked_for_beside_the_profile_and_then_in_the_library() {
    let profile = "name: P\nrole: worker\nmodel: gpt-4\nknowledge: { folders: [runbooks, notes, gone], top_k: 3 }\n";
    let sources = library().with("me/p.yaml", profile).with("me/notes/a.md", "x").with("lib:runbooks/b.md", "y");
    let models = ModelCatalog::built_in();
    let (loaded, warnings) = load_profile("me/p", &sources, &Known::models(&models)).unwrap();
    let folders: Vec<Arc<str>> = loaded.profile.knowledge.folders.clone();
    assert_eq!(folders.iter().map(|f| &**f).collect::<Vec<_>>(), ["lib:runbooks", "me/notes", "me/gone"]);
    assert_eq!(warnings.iter().map(|d| (d.line, d.code)).collect::<Vec<_>>(), [(4, Code::UnresolvedPath)]);
}

/// Sources in which one file cannot be read.
struct Broken(MapSources, SourceError);

impl Sources for Broken {
    fn read(&self, name: &str) -> Result<Arc<str>, SourceError> {
        if name == "p.yaml" { Err(self.1.clone()) } else { self.0.read(name) }
    }

    fn exists(&self, name: &str) -> bool {
        self.0.exists(name)
    }
}

#[test]
fn a_file_that_cannot_be_read_is_reported_where_it_is_named() {
    let text = "name: T\ncollaboration_pattern: parallel\nmember_agents: [{ agent: p, role: a }]\n";
    let models = ModelCatalog::built_in();
    for error in [SourceError::NotText, SourceError::TooLarge(5_000_000), SourceError::Other("permission denied".to_owned())] {
        let sources = Broken(MapSources::default().with("t.yaml", text), error.clone());
        let found = load_team("t", &sources, &Overrides::default(), &Known::models(&models)).map(|(t, _)| t.name).unwrap_err();
        assert_eq!((found.len(), found[0].code, found[0].line, found[0].column), (1, Code::Unreadable, 3, 26));
        assert!(found[0].message.contains(&error.to_string()), "{}", found[0].message);
    }
}

#[test]
fn the_text_of_every_script_is_kept_for_the_run() {
    let (team, _) = load(INCIDENT, &["performance.fallback_models=['script:scripts/agents/security']"]);
    assert_eq!(&*team.members[1].profile.fallback_models[0], "script:lib:scripts/agents/security.rhai");
    assert!(team.sources["lib:scripts/agents/security.rhai"].starts_with("fn turn"));
    assert_eq!((&*team.rules[0].file, &*team.rules[0].text), ("lib:scripts/rules/incident.rhai", "fn merge(facts) { 1 }"));
}

#[test]
fn a_byte_order_mark_shifts_no_column() {
    let sources =
        MapSources::default().with("t.yaml", "\u{feff}nam: X\ncollaboration_pattern: graph\nnodes: { x: { gate: \"1\" } }\n");
    let found = check("t.yaml", &sources, &Known::models(&ModelCatalog::built_in()));
    assert_eq!(found.iter().map(|d| (d.line, d.column, d.code)).collect::<Vec<_>>(), [(1, 1, Code::UnknownKey)]);
    assert_eq!(found[0].excerpt(), Some("nam: X"));
}
