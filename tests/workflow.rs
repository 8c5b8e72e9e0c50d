//! Does the outage of the payment service go as the workflow says that an incident goes: who is asked what, what they find, what the
//! coordinator makes of it, who validates it in which words, and who decides where two of them disagree?
//!
//! All of it is read from the journal. The agents are scripts on the shipped sample.

mod common;

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{Arc, LazyLock},
};

use common::{Bench, Ran};
use serde_json::{Value as Json, json};
use synod::{
    engine::{Engine, library_files, library_text},
    event::{AskOutcome, Event, Record, Status, TurnEnd},
    model::{Answer, Model, Script},
    rule::{Source, run_tests},
    state::State,
    store::Store,
    team::Overrides,
    value::{AskId, Decision, Finding, Map, Message, MessageKind, Origin, Request, Seq, SessionId, Value},
};

const TASK: &str = "Investigate production outage in payment service";
const TEAMS: [&str; 3] = ["payment-outage", "payment-outage-disputed", "payment-outage-person"];
const ROLES: [&str; 4] = ["security", "performance", "cost", "logs"];

/// An agent's script that takes its first turn only once something is on the board.
struct Held {
    script: Script,
    board: common::Board,
    until: String,
}

impl Model for Held {
    fn reply<'a>(&'a self, request: &'a Request, key: &'a str) -> Answer<'a> {
        Box::pin(async move {
            self.board.until(|seen| seen.facts.contains(&self.until)).await;
            self.script.reply(request, key).await
        })
    }
}

/// The shipped script of a role, with the files that it uses.
fn script_of(role: &str) -> Script {
    let files = [&format!("outage/{role}"), "outage/shared", "changes", "common"];
    let source = |name: &str| {
        let path = format!("scripts/agents/{name}.rhai");
        Source::new(&path, library_text(&path).unwrap_or_else(|| panic!("{path} is not shipped")))
    };
    Script::compile(&files.map(source)).unwrap_or_else(|wrong| panic!("{role}: {wrong:?}"))
}

/// Lets the members end their work in this order, whatever their work takes.
fn one_after_another(bench: &Bench, order: &[&str]) -> Overrides {
    let pairs = order.windows(2).map(|pair| (pair[0], pair[1]));
    let sets: Vec<String> = pairs
        .map(|(before, role)| {
            let until = format!("ended work/{before}");
            bench.model(&format!("held_{role}"), Arc::new(Held { script: script_of(role), board: bench.board.clone(), until }));
            format!("{role}.model=held_{role}")
        })
        .collect();
    Overrides::parse(&sets).expect("they are overrides")
}

/// Runs a shipped team until it is over or parked.
fn run(bench: &Bench, team: &str, overrides: &Overrides, inputs: Map) -> Ran {
    let engine = bench.engine();
    let prepared = engine.load(team, overrides).unwrap_or_else(|error| panic!("{team}: {error}"));
    bench.block_on(async {
        let mut handle = engine.start(&prepared, TASK, inputs).await.expect("it starts");
        bench.follow(&mut handle);
        bench.ended(handle).await
    })
}

/// The same on a folder.
fn run_on(folder: &Path, team: &str) -> (Bench, Ran) {
    let bench = Bench::new();
    let data = Value::from(folder.to_string_lossy().into_owned());
    let ran = run(&bench, team, &Overrides::default(), [("data".to_owned(), data)].into_iter().collect());
    (bench, ran)
}

/// The workflow on the shipped sample, run once.
fn workflow() -> &'static Ran {
    static RAN: LazyLock<Ran> = LazyLock::new(|| run(&Bench::new(), "payment-outage", &Overrides::default(), Map::new()));
    &RAN
}

/// A copy of the sample, its texts changed by `change` (name, text).
fn sample(change: impl Fn(&str, &str) -> Option<String>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for file in library_files() {
        let Some(name) = file.path.strip_prefix("samples/payment-outage/") else { continue };
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        let changed = std::str::from_utf8(file.bytes).ok().and_then(|text| change(name, text));
        fs::write(path, changed.as_deref().map_or(file.bytes, str::as_bytes)).expect("a file");
    }
    folder
}

/// The metrics of the payment service with other numbers in its pool: `(active, waiting)` of each sample.
fn pool(text: &str, change: impl Fn(u32, u32) -> (u32, u32)) -> String {
    let line = |line: &str| {
        let mut cells: Vec<String> = line.split(',').map(str::to_owned).collect();
        if let [.., active, waiting] = cells.as_mut_slice()
            && let (Ok(used), Ok(held)) = (active.parse(), waiting.parse())
        {
            let (used, held) = change(used, held);
            (*active, *waiting) = (used.to_string(), held.to_string());
        }
        cells.join(",") + "\n"
    };
    text.lines().map(line).collect()
}

fn findings(records: &[Record]) -> Vec<&Finding> {
    records.iter().filter_map(|r| if let Event::Found { finding, .. } = &r.event { Some(&**finding) } else { None }).collect()
}

/// What an agent found on a topic.
#[track_caller]
fn finding<'r>(records: &'r [Record], agent: &str, topic: &str) -> &'r Finding {
    let all = findings(records);
    let own: Vec<&&Finding> = all.iter().filter(|f| f.agent.as_str() == agent && &*f.topic == topic).collect();
    assert_eq!(own.len(), 1, "{agent} on {topic}: {all:#?}");
    own[0]
}

#[track_caller]
fn decision<'r>(records: &'r [Record], topic: &str) -> &'r Decision {
    let decisions: Vec<&Decision> = records
        .iter()
        .filter_map(|r| if let Event::Decided { decision, .. } = &r.event { Some(&**decision) } else { None })
        .filter(|decision| &*decision.topic == topic)
        .collect();
    assert_eq!(decisions.len(), 1, "{decisions:#?}");
    decisions[0]
}

/// `(agent, value, reason)` of each position of a decision.
fn positions(decision: &Decision) -> Vec<(&str, String, &str)> {
    decision.positions.iter().map(|p| (p.agent.as_str(), p.value.to_string(), &*p.reason)).collect()
}

fn dissent(decision: &Decision) -> Vec<&str> {
    decision.dissent.iter().map(|role| role.as_str()).collect()
}

fn messages(records: &[Record]) -> Vec<&Message> {
    records.iter().filter_map(|r| if let Event::Said { message, .. } = &r.event { Some(&**message) } else { None }).collect()
}

/// The node path of an event's record, for starts and ends.
fn at(ran: &Ran, path: &str) -> (Seq, Seq) {
    (ran.starts(path)[0], ran.end(path))
}

/// That the journal has the whole workflow up to the solution and its validation.
#[track_caller]
fn concludes(output: &Json, records: &[Record]) {
    assert_eq!(output["root_cause"], "Database connection pool exhausted");
    assert_eq!(output["solution"], "Increase connection pool size from 20 to 50, add connection timeout monitoring");
    assert_eq!(output["service"], "payment-service");
    let proposal = decision(records, "proposal");
    assert_eq!(
        positions(proposal),
        [
            ("security", "approve".to_owned(), "No security impact from this change"),
            ("cost", "approve".to_owned(), "Minimal cost increase (~$50/month)"),
            ("performance", "approve".to_owned(), "Should resolve bottleneck"),
        ]
    );
    assert_eq!((proposal.outcome.to_string().as_str(), dissent(proposal).len()), ("approve", 0));
}

// ------------------------------------------------------------------------------------------------ the workflow

#[test]
fn the_coordinator_assigns_to_each_of_four_agents_its_own_sub_task() {
    let ran = workflow();
    let assigned: Vec<(Option<&str>, &str, &str)> = messages(&ran.records)
        .into_iter()
        .filter(|m| m.kind == MessageKind::TaskAssignment)
        .filter(|m| m.metadata.get("node").and_then(Value::as_str).is_some_and(|node| node.starts_with("work/")))
        .map(|m| (m.from.as_ref().map(|r| r.as_str()), m.to.as_ref().map_or("", |r| r.as_str()), &*m.content))
        .collect();
    assert_eq!(
        assigned,
        [
            (Some("coordinator"), "security", "Check for security incidents"),
            (Some("coordinator"), "performance", "Analyze performance metrics"),
            (Some("coordinator"), "cost", "Assess cost impact"),
            (Some("coordinator"), "logs", "Search for error patterns"),
        ]
    );
    assert_eq!(&*ran.state.started.task, TASK);
}

#[test]
fn the_four_agents_are_at_work_before_any_of_them_has_ended() {
    let ran = workflow();
    let spans = ROLES.map(|role| at(ran, &format!("work/{role}")));
    let (last_start, first_end) = (spans.iter().map(|s| s.0).max(), spans.iter().map(|s| s.1).min());
    assert!(last_start < first_end, "{spans:?}");
    assert_eq!(ran.most_at_once("work/"), 4);
}

#[test]
fn each_agent_finds_in_the_data_what_the_workflow_says() {
    let records = &workflow().records;
    let expected = [
        ("security", "No security anomalies detected", json!({ "anomalies": [] })),
        (
            "performance",
            "Database connection pool exhausted at 14:30 UTC",
            json!({
                "resource": "Database connection pool", "service": "payment-service", "at": "2025-10-14T14:30:00Z",
                "limit": 20, "waiting": 31.0, "needed": 33,
            }),
        ),
        (
            "cost",
            "Spike in RDS costs due to increased connections",
            json!({
                "service": "rds", "at": "2025-10-14T14:30:00Z", "until": "2025-10-14T14:50:00Z", "step": 900.0,
                "usd_an_hour": 4.52, "usual_usd_an_hour": 2.94, "usd_an_hour_each": 0.1744,
            }),
        ),
        (
            "logs",
            "Connection timeout errors starting 14:29 UTC",
            json!({
                "service": "payment-service", "error": "Connection timeout", "errors": 142, "at": "2025-10-14T14:29:54Z",
                "template": "[db] Timeout after <n> ms waiting for a database connection (order <n>)",
            }),
        ),
    ];
    for (agent, claim, value) in expected {
        let found = finding(records, agent, agent);
        assert_eq!((&*found.claim, found.value.to_json()), (claim, value));
        assert!(found.confidence >= 0.8 && found.origin == Origin::Tool, "{found:?}");
        assert!(!found.evidence.is_empty() && found.evidence.iter().all(|e| !e.source.is_empty()), "{found:?}");
    }
    let seen = |agent: &str, words: &str| {
        let found = finding(records, agent, agent);
        assert!(found.evidence.iter().any(|e| e.excerpt.contains(words)), "{words} is no evidence of {agent}: {found:#?}");
    };
    seen("security", "0 changes of access rights, 0 changes of network policies");
    seen("security", "deploy of payment-service 2.14.0 (settle refunds in one transaction), approved by maria.silva");
    seen("performance", "db_pool_active_connections at 20 in every sample");
    seen("cost", "database_connections 18.1 -> 44");
    seen("logs", "Timeout after 3000 ms waiting for a database connection");
}

#[test]
fn each_agent_looks_into_the_data_with_the_tools_of_its_field() {
    let ran = workflow();
    let called = |role: &str| -> BTreeSet<&str> {
        let node = ran.state.find(&format!("work/{role}"));
        let replies = ran.events(|event| {
            if let Event::TurnEnded { node: of, end: TurnEnd::Reply(reply), .. } = event { Some((*of, reply)) } else { None }
        });
        replies
            .iter()
            .filter(|(of, _)| Some(*of) == node)
            .flat_map(|(_, reply)| reply.calls.iter().map(|call| &*call.tool))
            .collect()
    };
    for role in ["security", "logs"] {
        assert_eq!(called(role), BTreeSet::from(["Glob", "Read", "broadcast_finding", "finish", "search_logs"]), "{role}");
    }
    for role in ["performance", "cost"] {
        assert_eq!(called(role), BTreeSet::from(["Glob", "Read", "broadcast_finding", "finish", "query_metrics"]), "{role}");
    }
}

#[test]
fn the_coordinator_makes_root_cause_solution_and_timeline_of_it_and_three_agents_validate() {
    let ran = workflow();
    let output = ran.completed();
    concludes(&output, &ran.records);
    let said = [
        "Performance Agent identified connection pool issue",
        "Logs Agent confirmed with error messages",
        "Timeline correlates across all agents",
    ];
    assert_eq!(output["analysis"], json!(said));
    let times: Vec<&str> = output["timeline"].as_array().expect("a list").iter().filter_map(|e| e["by"].as_str()).collect();
    assert_eq!(times, ["logs", "cost", "performance"]);
    assert_eq!(output["validation"].as_array().map(Vec::len), Some(3));
    assert_eq!(&*finding(&ran.records, "coordinator", "root cause").claim, "Database connection pool exhausted");
    let validated: Vec<bool> = ROLES.map(|role| ran.of(&format!("review/1/validate_{role}")) == "ok").to_vec();
    assert_eq!(validated, [true, true, true, false], "the logs are not asked");
}

// ------------------------------------------------------------------------------------------------ other data

#[test]
fn a_larger_pool_is_told_with_its_own_size() {
    let folder = sample(|name, text| name.contains("payment-service").then(|| pool(text, |used, held| (used * 2, held))));
    let (_, ran) = run_on(folder.path(), TEAMS[0]);
    assert_eq!(ran.completed()["solution"], "Increase connection pool size from 40 to 70, add connection timeout monitoring");
}

#[test]
fn where_no_pool_ran_out_the_team_says_so_and_asks_a_person() {
    let folder = sample(|name, text| name.contains("payment-service").then(|| pool(text, |used, _| (used, 0))));
    let (bench, ran) = run_on(folder.path(), TEAMS[0]);
    let claim = &finding(&ran.records, "performance", "performance").claim;
    assert!(claim.starts_with("No resource exhausted: payment-service changed most, error_rate_percent"), "{claim}");
    assert_eq!((ran.status, ran.output()["root_cause"].as_str()), (Status::Parked, Some("Unknown")));
    let answered = bench.answer(ran.session(), 0, "a slow disk").expect("it takes the answer");
    assert_eq!(answered.completed()["root_cause"], "a slow disk");
}

#[test]
fn a_deployment_that_nobody_approved_is_an_anomaly_to_which_security_objects() {
    let unapproved = |text: &str| text.replace("\"approved_by\": \"maria.silva\"", "\"approved_by\": null");
    let folder = sample(|name, text| (name == "deploys.jsonl").then(|| unapproved(text)));
    let (_, ran) = run_on(folder.path(), TEAMS[0]);
    let claim = &finding(&ran.records, "security", "security").claim;
    assert!(claim.starts_with("Security anomalies detected: the deploy of payment-service 2.14.0"), "{claim}");
    assert_eq!(ran.completed()["analysis"][2], "Timeline does not correlate across all agents");
    assert_eq!(dissent(decision(&ran.records, "proposal")), ["security"]);
}

#[test]
fn a_folder_without_data_is_evidence_of_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("notes.md"), "nothing yet").expect("a file");
    let (_, ran) = run_on(folder.path(), TEAMS[0]);
    assert_eq!((ran.status, ran.output()["root_cause"].as_str()), (Status::Parked, Some("Unknown")));
    for role in ROLES {
        let found = finding(&ran.records, role, role);
        assert!(found.claim.starts_with("No evidence") && found.confidence <= 0.1, "{found:?}");
    }
}

// ------------------------------------------------------------------------------------------------ disagreement

/// That two members name different culprits, each for its own reason.
#[track_caller]
fn disputed(records: &[Record]) -> &Decision {
    let culprit = decision(records, "culprit");
    assert_eq!(
        positions(culprit),
        [
            (
                "performance",
                "payment-db".to_owned(),
                "payment-db is the deepest service that changed: database_connections 18.1 -> 44 since 14:28 UTC"
            ),
            ("logs", "payment-service".to_owned(), "payment-service complains loudest: 283 of 425 new error lines"),
        ]
    );
    culprit
}

#[test]
fn where_two_disagree_the_settle_rule_decides_and_the_dissent_is_kept() {
    let ran = run(&Bench::new(), "payment-outage-disputed", &Overrides::default(), Map::new());
    let culprit = disputed(&ran.records);
    assert_eq!((culprit.outcome.to_string().as_str(), &*culprit.rule), ("payment-service", "settle"));
    assert_eq!(&*culprit.reason, "a service that complains of itself is believed before one that is only busier");
    assert_eq!(dissent(culprit), ["performance"]);
    let output = ran.completed();
    concludes(&output, &ran.records);
    assert_eq!(output["culprit"]["dissent"], json!(["performance"]));
    assert!(ran.events(|e| matches!(e, Event::Asked(_)).then_some(())).is_empty(), "nobody is asked");
}

#[test]
fn where_no_resource_ran_out_what_a_rule_decides_is_not_enough() {
    let folder = sample(|name, text| name.contains("payment-service").then(|| pool(text, |used, _| (used, 0))));
    let (bench, ran) = run_on(folder.path(), TEAMS[1]);
    assert_eq!(&*disputed(&ran.records).rule, "settle");
    assert_eq!((ran.status, ran.output()["service"].as_str()), (Status::Parked, Some("payment-service")));
    let answered = bench.answer(ran.session(), 0, "a slow disk").expect("it takes the answer");
    assert_eq!(answered.completed()["root_cause"], "a slow disk");
}

#[test]
fn where_a_person_must_decide_the_process_ends_with_3_and_an_answer_goes_on_to_the_end() {
    let bench = Bench::new();
    let said = bench.synod(&["run", "payment-outage-person", "--task", TASK, "--json"]);
    assert_eq!((said.code, said.json()["status"].as_str()), (Some(3), Some("parked")), "{}", said.stderr);
    let session = said.json()["session"].as_str().expect("an id").to_owned();
    let refused = bench.synod(&["answer", &session, "q0", "the network", "--by", "on-call"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("payment-db, payment-service"), "{}", refused.stderr);
    let said = bench.synod(&["answer", &session, "q0", "payment-service", "--by", "on-call", "--json"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);

    let id = SessionId(session.parse().expect("a UUID"));
    let records = bench.disk().read_all(id).expect("its records");
    let asks: Vec<_> = records.iter().filter_map(|r| if let Event::Asked(ask) = &r.event { Some(ask) } else { None }).collect();
    assert_eq!(asks.len(), 1);
    assert_eq!((asks[0].id, asks[0].to.as_deref()), (AskId(0), Some("on-call")));
    assert!(
        asks[0].question.contains("culprit is not settled (metrics and logs name different services)"),
        "{}",
        asks[0].question
    );
    let options: Vec<&str> = asks[0].options.iter().map(AsRef::as_ref).collect();
    assert_eq!(options, ["payment-db", "payment-service"]);
    let answers: Vec<_> = records
        .iter()
        .filter_map(|r| {
            if let Event::AskClosed { outcome: AskOutcome::Answered { value, by }, .. } = &r.event {
                Some((value.to_string(), &**by))
            } else {
                None
            }
        })
        .collect();
    assert_eq!(answers, [("payment-service".to_owned(), "on-call")]);
    let culprit = disputed(&records);
    assert_eq!((culprit.outcome.to_string().as_str(), &*culprit.rule), ("payment-service", "on-call"));
    assert_eq!(dissent(culprit), ["performance"]);
    concludes(&said.json()["output"], &records);
    assert!(State::fold(&records).is_ok_and(|state| state.finished.is_some()));
}

#[test]
fn a_person_who_names_the_other_service_is_followed_and_performance_objects() {
    let bench = Bench::new();
    let parked = run(&bench, "payment-outage-person", &Overrides::default(), Map::new());
    assert_eq!(parked.status, Status::Parked);
    let ran = bench.answer(parked.session(), 0, "payment-db").expect("it takes the answer");
    assert_eq!(dissent(disputed(&ran.records)), ["logs"]);
    let output = ran.completed();
    assert_eq!(output["service"], "payment-db");
    assert_eq!(output["solution"], "Examine payment-db before anything is changed");
    let proposal = decision(&ran.records, "proposal");
    assert_eq!(dissent(proposal), ["performance"]);
    let objection = proposal.positions.iter().find(|p| p.agent.as_str() == "performance").expect("it voted");
    assert_eq!(&*objection.reason, "The database connection pool of payment-service stays exhausted");
}

// ------------------------------------------------------------------------------------------------ order

#[test]
fn the_result_is_the_same_in_whatever_order_the_members_come_to_theirs() {
    let backward = ["logs", "cost", "performance", "security"];
    let mixed = ["performance", "logs", "security", "cost"];
    for team in TEAMS {
        let in_order = |order: &[&str]| {
            let bench = Bench::new();
            let mut ran = run(&bench, team, &one_after_another(&bench, order), Map::new());
            if ran.status == Status::Parked {
                ran = bench.answer(ran.session(), 0, "payment-service").expect("it takes the answer");
            }
            let ends: Vec<Seq> = order.iter().map(|role| ran.end(&format!("work/{role}"))).collect();
            assert!(ends.is_sorted(), "{team}: {order:?} ended at {ends:?}");
            concludes(&ran.completed(), &ran.records);
            (ran.completed(), decisions_of(&ran))
        };
        assert_eq!(in_order(&backward), in_order(&mixed), "{team}");
    }
}

fn decisions_of(ran: &Ran) -> Vec<Decision> {
    ran.events(|event| if let Event::Decided { decision, .. } = event { Some((**decision).clone()) } else { None })
}

// ------------------------------------------------------------------------------------------------ what is shipped

#[test]
fn nothing_about_these_teams_needs_a_look_and_only_the_person_is_a_matter_of_time() {
    let engine = Engine::builder().build();
    for team in TEAMS {
        let prepared = engine.load(team, &Overrides::default()).unwrap_or_else(|error| panic!("{team}: {error}"));
        assert!(prepared.warnings.is_empty(), "{team}: {:?}", prepared.warnings);
        let review = engine.review(&prepared);
        assert!(review.lints.is_empty(), "{team}: {:?}", review.lints);
        assert_eq!(review.order_sensitive.is_empty(), team != "payment-outage-person", "{team}: {:?}", review.order_sensitive);
    }
}

#[test]
fn the_rules_of_these_teams_pass_their_own_tests() {
    for (name, least) in [("outage", 1), ("outage-disputed", 3), ("outage-person", 1)] {
        let text = library_text(&format!("scripts/rules/{name}.rhai")).expect("the rules are shipped");
        let outcomes = run_tests(&[Source::new(format!("{name}.rhai"), text)]).unwrap_or_else(|wrong| panic!("{wrong:?}"));
        assert!(outcomes.len() >= least);
        for outcome in outcomes {
            assert!(outcome.passed(), "{}: {:?}", outcome.name, outcome.failure);
        }
    }
}
