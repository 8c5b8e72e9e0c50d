//! What `knowledge` does: searches of an agent's own, and what it begins with.

use std::sync::{Arc, Mutex};

use serde_json::{Value as Json, json};
use synod::{
    event::Event,
    value::{CallIx, Entry, Map, Request, Value},
};

use crate::common::{Bench, finish, reply, say};

const POOL: &str = "---\ntitle: Connection pool exhausted\ntags: [db]\n---\n# Signs\n\nCallers wait.\n\n# Act\n\nRaise the maximum of the pool.\n";
const DISK: &str = "---\ntitle: Disk full\ntags: [host]\n---\nRemove old images.\n";

/// A bench with two runbooks, and a team of one agent whose profile says `set` beside its folder.
fn bench(set: &str) -> (Bench, String) {
    let bench = Bench::new();
    bench.file("runbooks/pool.md", POOL).file("runbooks/disk.md", DISK);
    bench.file(
        "reader.yaml",
        &format!("name: Reader\nrole: worker\nmodel: script:reader.rhai\nknowledge: {{ folders: [runbooks] }}\n{set}\n"),
    );
    let team = "
        name: Team
        collaboration_pattern: parallel
        inputs: { alert: { type: string, default: '' }, data: { type: folder, default: runbooks } }
        member_agents: [{ agent: reader, role: a, set: { SET } }]
        ";
    (bench, team.to_owned())
}

fn alert(name: &str) -> Map {
    Map::from([("alert".to_owned(), Value::text(name))])
}

#[test]
fn top_k_passages_are_there_before_the_first_turn_of_a_script() {
    let (bench, team) = bench("");
    bench.file(
        "reader.rhai",
        "fn turn(view) { #{ finish: #{ turn: view.turn, errors: view.errors, known: view.knowledge.map(|p| [p.document, p.section, p.line]) } } }\n",
    );
    let team = |set: &str| team.replace("SET", set);
    let one = |ran: &crate::common::Ran| ran.output_of("a");
    let ran = bench.run_with(&team("knowledge: { folders: [runbooks], top_k: 2 }"), alert("the pool of connections"));
    ran.completed();
    assert_eq!(one(&ran), json!({ "turn": 0, "errors": {}, "known": [["runbooks/pool.md", "Act", 9]] }));
    assert_eq!((ran.report.metrics.tool_calls, ran.report.warnings.len()), (1, 0));
    let looked = ran
        .events(|event| if let Event::NodeStarted { lookup: Some(call), .. } = event { Some(call.args.to_json()) } else { None });
    assert_eq!(
        looked,
        [json!({ "query": "the task\nthe pool of connections", "limit": 2 })],
        "the path of the folder is no word of the case"
    );
    let ran = bench.run_with(&team("knowledge: { folders: [runbooks], top_k: 0 }"), alert("the pool of connections"));
    ran.completed();
    assert_eq!((one(&ran)["known"].clone(), ran.report.metrics.tool_calls), (json!([]), 0));
}

#[test]
fn knowledge_base_filters_narrow_what_is_looked_up() {
    let (bench, team) = bench("knowledge_base_filters: { tags: host }");
    bench.file("reader.rhai", "fn turn(view) { #{ finish: view.knowledge.map(|p| p.title) } }\n");
    let ran = bench.run_with(&team.replace("SET", "knowledge: { folders: [runbooks], top_k: 2 }"), alert("pool images"));
    ran.completed();
    assert_eq!(ran.output_of("a"), json!(["Disk full"]));
}

#[test]
fn a_folder_that_is_gone_fails_no_session() {
    let (bench, team) = bench("");
    bench.file("reader.rhai", "fn turn(view) { #{ finish: #{ known: view.knowledge, why: view.errors.knowledge.kind } } }\n");
    let ran = bench.run_with(&team.replace("SET", "knowledge: { folders: [nowhere], top_k: 2 }"), alert("x"));
    ran.completed();
    assert_eq!(ran.output_of("a"), json!({ "known": [], "why": "tool" }));
    let [warning] = &ran.report.warnings[..] else { panic!("{:?}", ran.report.warnings) };
    assert!(warning.starts_with("a: it began without its knowledge: tool: ") && warning.contains("nowhere"), "{warning}");
}

#[test]
fn a_model_begins_with_the_passages_and_may_search_on() {
    let (bench, team) = bench("allowed_tools: []");
    let told: Arc<Mutex<Vec<Request>>> = Arc::default();
    let seen = told.clone();
    bench.model(
        "gpt-4",
        say(move |request| {
            seen.lock().unwrap().push(request.clone());
            let args = Value::map([("document", Value::from("runbooks/disk.md"))]);
            Ok(if request.turn.0 == 0 { reply(&[("search_knowledge", args)]) } else { finish(Value::Null) })
        }),
    );
    let ran = bench.run_with(&team.replace("SET", "model: gpt-4, knowledge: { folders: [runbooks], top_k: 1 }"), alert("pool"));
    ran.completed();
    let requests = told.lock().unwrap();
    let Entry::Known { result, .. } = &requests[0].thread[0] else { panic!("{:?}", requests[0].thread) };
    let found = result.outcome.as_ref().unwrap().to_json();
    assert_eq!(found["passages"].as_array().map(Vec::len), Some(1));
    assert_eq!(found["passages"][0]["text"], "Raise the maximum of the pool.");
    let Entry::Result { result, .. } = &requests[1].thread[2] else { panic!("{:?}", requests[1].thread) };
    assert_eq!(result.outcome.as_ref().unwrap().to_json()["text"], DISK);
    let calls: Vec<CallIx> = ran.events(|event| if let Event::ToolCalled(called) = event { Some(called.call) } else { None });
    assert_eq!(calls, [CallIx::LOOKUP, CallIx(0)], "both are calls on the record");
    assert_eq!(ran.report.metrics.tool_calls, 2);
    let contributions: Vec<Json> = ran.report.contributions.iter().map(|c| json!([c.agent, c.tool_calls])).collect();
    assert_eq!(contributions, [json!(["a", 2])]);
}
