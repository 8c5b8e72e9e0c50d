//! Do the shipped teams of teams come to their results level by level, and does each level hear only what it may?

use synod::{
    engine::Engine,
    event::{Event, Record, Status},
    graph::Limits,
    state::State,
    team::{Overrides, Pattern},
    value::{Map, MessageKind, TeamIx, Value},
};

/// A session that is over.
struct Ran {
    records: Vec<Record>,
    state: State,
    output: Value,
}

/// Runs a shipped team to its end.
fn run(name: &str, inputs: &[(&str, Value)]) -> Ran {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let workspace = tempfile::tempdir().expect("a folder");
    runtime.block_on(async {
        let engine = Engine::builder().workspace(workspace.path()).state_folder(workspace.path().join(".state")).build();
        let team = engine.load(name, &Overrides::default()).unwrap_or_else(|e| panic!("{e}"));
        assert!(team.warnings.is_empty(), "{:?}", team.warnings);
        let given: Map = inputs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let handle = engine.start(&team, "Go ahead", given).await.expect("it starts");
        let session = handle.session();
        let ended = handle.wait().await.expect("it runs");
        assert_eq!(ended.status, Status::Completed, "{:?}", ended.report.output);
        let records = engine.store().read_all(session).expect("its records");
        let told =
            records.iter().filter(|r| matches!(&r.event, Event::Noted { detector: Some(_), .. } | Event::Escalated { .. }));
        assert_eq!(told.count(), 0, "somebody needed help in honest work");
        let state = State::fold(&records).expect("its records fold");
        Ran { records, state, output: ended.report.output.clone() }
    })
}

impl Ran {
    /// Messages of that kind: `node from>to`.
    fn said(&self, kind: MessageKind) -> Vec<String> {
        let role = |role: &Option<synod::value::Role>| role.as_ref().map_or("all".to_owned(), ToString::to_string);
        let all = self
            .records
            .iter()
            .filter_map(|r| if let Event::Said { node, message } = &r.event { Some((*node, message)) } else { None });
        let of_kind = all.filter(|(_, message)| message.kind == kind);
        of_kind.map(|(node, m)| format!("{} {}>{}", self.state.path(node), role(&m.from), role(&m.to))).collect()
    }

    /// Who found something on a topic: `node agent`.
    fn found(&self, topic: &str) -> Vec<String> {
        let findings = self.state.context.findings.iter().filter(|f| &*f.finding.topic == topic);
        findings.map(|f| format!("{} {}", self.state.path(f.node), f.finding.agent)).collect()
    }

    /// Who voted for what.
    fn votes(&self) -> Vec<String> {
        let votes = self.output.get("validation").and_then(Value::as_list).unwrap_or_default();
        let part = |vote: &Value, key| vote.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        votes.iter().map(|vote| format!("{} {}", part(vote, "agent"), part(vote, "vote"))).collect()
    }
}

#[test]
fn an_incident_commander_hears_of_each_team_what_its_coordinator_says() {
    let ran = run("incident-command", &[]);
    assert_eq!(ran.output.get("service").and_then(Value::as_str), Some("payment-service"), "{}", ran.output);
    assert_eq!(ran.output.get("attack"), Some(&Value::Bool(false)));
    assert_eq!(ran.votes(), ["cause approve", "exposure approve"]);
    // The work is given to the teams, and by their coordinators to their members.
    let mut given = ran.said(MessageKind::TaskAssignment);
    given.retain(|line| line.starts_with("work"));
    for line in ["work/cause coordinator>cause", "work/exposure coordinator>exposure", "work/cause/work/logs coordinator>logs"] {
        assert!(given.contains(&line.to_owned()), "{line}: {given:?}");
    }
    // What the coordinator of a team concludes is known above by the name of the team; what its members found is not.
    assert_eq!(ran.found("conclusion"), ["work/cause/synthesize coordinator", "work/cause/synthesize cause"]);
    let above = |f: &&synod::state::Found| f.frame == 0;
    let mut known: Vec<&str> = ran.state.context.findings.iter().filter(above).map(|f| f.finding.agent.as_str()).collect();
    known.sort_unstable();
    assert_eq!(known, ["cause", "exposure"]);
    assert!(ran.state.context.findings.len() > 10, "the members found more than that");
}

#[test]
fn a_train_of_every_pattern_comes_to_one_result() {
    let ran = run("release-train", &[]);
    assert_eq!(ran.output.get("ok"), Some(&Value::Bool(true)), "{}", ran.output);
    assert_eq!(ran.output.get("window").map(ToString::to_string).as_deref(), Some(r#"{"from":27,"to":29}"#));
    assert!(ran.output.get("notes").is_some(), "{}", ran.output);
    assert_eq!(ran.votes(), ["readiness approve", "paperwork approve"]);
    let teams: Vec<&str> = ran.state.started.plan.teams.iter().map(|team| &*team.name).collect();
    let expected =
        ["Release Train", "Release Readiness", "Release Window", "Release Paperwork", "Release Review", "Release Notes"];
    assert_eq!(teams, expected);
    let runs = |team: usize| {
        ran.state
            .instances
            .iter()
            .enumerate()
            .filter(|(ix, i)| i.frame as usize == *ix && i.graph.team == TeamIx(team as u32))
            .count()
    };
    assert!((0..teams.len()).all(|team| runs(team) == 1), "each team works once");
    assert!(ran.state.find("work/readiness/work/window/circle/database/1").is_some(), "a circle in a team in a team");
    assert!(ran.state.find("work/paperwork/relay/2/draft").is_some(), "a graph in a relay");
    assert!(ran.state.spent.turns <= ran.state.started.plan.bounds.turns);
}

#[test]
fn the_lead_of_a_team_that_said_no_makes_the_answer_no_at_the_top() {
    let change = r#"{"name":"checkout 4.2","hours":2,"failed_tests":3,"load":60,"limit":80,"files":["src/cart.rs"]}"#;
    let change = serde_json::from_str::<Value>(change).expect("JSON");
    let ran = run("release-train", &[("change", change)]);
    assert_eq!(ran.output.get("ok"), Some(&Value::Bool(false)));
    let why = ran.output.get("why").and_then(Value::as_str).unwrap_or_default();
    assert_eq!(why, "readiness: tests: 3 tests failed");
}

#[test]
fn the_train_has_a_team_of_each_pattern_and_the_limits_of_those_inside_hold() {
    let engine = Engine::builder().build();
    let team = engine.load("release-train", &Overrides::default()).unwrap_or_else(|e| panic!("{e}"));
    let mut patterns = Vec::new();
    let mut look: Vec<_> = team.team.clone().into_iter().collect();
    while let Some(team) = look.pop() {
        patterns.push(team.pattern);
        look.extend(team.members.iter().filter_map(|member| member.team.clone()));
    }
    patterns.sort_unstable();
    use Pattern::{CoordinatorWorker, Graph, Hierarchical, Parallel, PeerToPeer, Sequential};
    assert_eq!(patterns, [CoordinatorWorker, PeerToPeer, Hierarchical, Sequential, Parallel, Graph]);
    let limits: Vec<&Limits> = team.plan.teams.iter().map(|team| &team.limits).collect();
    assert_eq!((limits[1].turns, limits[1].wall_seconds), (Some(100), Some(3_600)));
}
