//! Does a comparison of two sessions name what differed first, all that did, and nothing else?

mod common;

use std::sync::Arc;

use common::{Bench, Ran, graph};
use serde_json::json;
use synod::{
    engine::Changes,
    event::Event,
    report::{About, Diff, Difference},
    value::{CallResult, Map, Seq, Value},
};

fn diff(a: &Ran, b: &Ran) -> Diff {
    Diff::of(&a.records, &b.records).unwrap()
}

/// What differs, each as `about node name`.
fn named(diff: &Diff) -> Vec<String> {
    let line = |d: &Difference| {
        let about = serde_json::to_value(d.about).unwrap().as_str().unwrap().to_owned();
        let node = d.node.as_deref().map(|node| format!(" {node}")).unwrap_or_default();
        let name = if d.name.is_empty() { String::new() } else { format!(" {}", d.name) };
        format!("{about}{node}{name}")
    };
    diff.differences.iter().map(line).collect()
}

const TEAM: &str = r#"
    rules: [rules.rhai]
    inputs: { who: { type: string, default: world } }
    member_agents: [{ agent: teller, role: teller }]
    nodes:
      tell: { agent: teller, task: "greet" }
      pick: { rule: pick, after: tell }
      say: { tool: say, args: { value: "{{ pick.output }}" }, after: pick }
    output: say.output
"#;

fn bench() -> Bench {
    let bench = Bench::new();
    bench.script("teller", "#{ finish: view.task }").file("rules.rhai", "fn pick(facts) { 1 }\n");
    bench
}

#[test]
fn two_runs_of_the_same_differ_in_nothing_and_the_table_has_every_node() {
    let bench = bench();
    let (a, b) = (bench.run(&graph(TEAM)), bench.run(&graph(TEAM)));
    let same = diff(&a, &b);
    assert_eq!((named(&same), same.shared), (Vec::new(), 0));
    assert_eq!(same.first, None);
    let nodes: Vec<&str> = same.nodes.iter().map(|node| &*node.node).collect();
    assert_eq!(nodes, ["tell", "pick", "say"]);
    assert!(same.nodes.iter().all(|node| node.same_output && node.a.is_some() && node.b.is_some()));
    assert!(same.text().contains("nothing differs"), "{}", same.text());
}

#[test]
fn another_input_is_what_differs_first_and_what_follows_comes_after_it() {
    let bench = bench();
    let a = bench.run(&graph(TEAM));
    let b = bench.run_with(&graph(TEAM), Map::from([("who".to_owned(), Value::text("moon"))]));
    let found = diff(&a, &b);
    let first = found.first.clone().unwrap();
    assert_eq!(
        (first.about, first.name.as_str(), first.a, first.b),
        (About::Input, "who", Some(json!("world")), Some(json!("moon")))
    );
    assert_eq!(named(&found), ["input who", "request tell turn 1"]);
    assert!(found.text().contains("differed first: the input who: \"world\" | \"moon\""), "{}", found.text());
    assert!(found.text().contains("what was asked in turn 1 of tell: another input"), "{}", found.text());
}

#[test]
fn another_rule_is_named_by_its_file_and_its_verdict_and_outputs_by_their_nodes() {
    let bench = bench();
    let a = bench.run(&graph(TEAM));
    bench.file("rules.rhai", "fn pick(facts) { 2 }\n");
    let b = bench.run(&graph(TEAM));
    let found = diff(&a, &b);
    let all = named(&found);
    assert!(all[0].starts_with("file ") && all[0].ends_with("rules.rhai"), "{all:?}");
    assert_eq!(all[1..], ["verdict pick pick", "output pick", "output say", "result"]);
    let say = found.nodes.iter().find(|node| &*node.node == "say").unwrap();
    assert!(!say.same_output);
}

#[test]
fn another_profile_is_named_by_its_field_and_another_script_by_its_file() {
    let bench = bench();
    let a = bench.run(&graph(TEAM));
    let team = graph(&TEAM.replace("role: teller }", "role: teller, set: { system_prompt: 'Be kind.' } }"));
    bench.script("teller", "#{ finish: \"hello\" }");
    let b = bench.run(&team);
    let all = named(&diff(&a, &b));
    assert!(all.contains(&"profile teller.system_prompt".to_owned()), "{all:?}");
    assert!(all.iter().any(|line| line.starts_with("file ") && line.ends_with("teller.rhai")), "{all:?}");
    assert!(all.contains(&"reply tell turn 1".to_owned()) && all.contains(&"output tell".to_owned()), "{all:?}");
}

#[test]
fn results_of_one_turn_that_came_in_another_order_are_the_same() {
    let bench = Bench::new();
    bench.script(
        "teller",
        r#"
        let say = |n| #{ tool: "say", args: #{ value: n } };
        if view.turn == 0 { #{ calls: [say.call(1), say.call(2)] } } else { #{ finish: view.results } }
        "#,
    );
    let ran = bench.run(&graph("member_agents: [{ agent: teller, role: teller }]\nnodes: { tell: { agent: teller } }\n"));
    let mut other = ran.records.clone();
    let returned = other.iter().enumerate().filter(|(_, record)| matches!(record.event, Event::ToolReturned { .. }));
    let [one, two] = returned.map(|(ix, _)| ix).collect::<Vec<_>>()[..] else { panic!("two calls returned") };
    let (before, after) = other.split_at_mut(two);
    std::mem::swap(&mut before[one].event, &mut after[0].event);
    let same = Diff::of(&ran.records, &other).unwrap();
    assert_eq!(named(&same), Vec::<String>::new());
    let Event::ToolReturned { call, result, .. } = &mut other[two].event else { panic!("it was swapped") };
    *result = Arc::new(CallResult { outcome: Ok(Value::Int(3)), ..(**result).clone() });
    let name = format!("call tell turn 1, call {}, say", call.0 + 1);
    assert_eq!(named(&Diff::of(&ran.records, &other).unwrap()), [name]);
}

#[test]
fn what_a_fork_shares_is_passed_over_and_what_it_set_comes_first() {
    let bench = bench();
    let team = graph(&TEAM.replace("{{ pick.output }}", "{{ pick.output }} {{ input.who }}"));
    let a = bench.run(&team);
    let at = a.end("tell");
    let inputs = Map::from([("who".to_owned(), Value::text("moon"))]);
    let fork =
        bench.block_on(async { bench.engine().fork(a.session(), at, Changes { inputs, ..Changes::default() }).await.unwrap() });
    let b = bench.resume(fork);
    let found = diff(&a, &b);
    assert_eq!(found.shared, at.0 + 1);
    assert_eq!(named(&found), ["fork input who", "output say", "result"]);
    assert!(found.differences.iter().all(|d| d.seq_a.or(d.seq_b) > Some(at)));
    // Two forks of one session share its past too.
    let other = bench.block_on(async { bench.engine().fork(a.session(), at, Changes::default()).await.unwrap() });
    let other = bench.resume(other);
    assert_eq!(diff(&b, &other).shared, at.0 + 1);
    assert_eq!(named(&diff(&a, &other)), Vec::<String>::new());
    assert!(found.text().contains(&format!("share their past up to record {at}")), "{}", found.text());
    assert_ne!(at, Seq(0));
}

#[test]
fn the_program_compares_sessions_and_files() {
    let bench = Bench::on_disk();
    bench.file(
        "team.yaml",
        &graph("inputs: { n: { type: integer, default: 1 } }\nnodes: { a: { gate: 'input.n + 1' } }\noutput: a.output\n"),
    );
    let run = |n: &str| {
        let ran = bench.synod(&["run", "team.yaml", "--task", "t", "--input", n, "--json"]);
        ran.json()["session"].as_str().unwrap().to_owned()
    };
    let (a, b, c) = (run("n=1"), run("n=2"), run("n=1"));
    let found = bench.synod(&["diff", &a, &b, "--json"]);
    assert_eq!(found.code, Some(0), "{}", found.stderr);
    let first = found.json()["first"].clone();
    assert_eq!([&first["about"], &first["name"], &first["a"], &first["b"]], [&json!("input"), &json!("n"), &json!(1), &json!(2)]);
    assert_eq!(bench.synod(&["diff", &a, &b, "--exit-code"]).code, Some(1));
    let same = bench.synod(&["diff", &a, &c, "--exit-code"]);
    assert_eq!((same.code, same.stdout.contains("nothing differs")), (Some(0), true), "{}", same.stdout);
    assert_eq!(bench.synod(&["export", &b, "--out", "b.jsonl"]).code, Some(0));
    let page = bench.synod(&["diff", &a, "b.jsonl"]).stdout;
    assert!(page.contains("differed first: the input n: 1 | 2") && page.contains("| a | ok"), "{page}");
    // A file that was changed is compared as it is, and that is said.
    let text = std::fs::read_to_string(bench.path("b.jsonl")).unwrap();
    bench.file("c.jsonl", &text.replace("\"ok\":3", "\"ok\":4"));
    let changed = bench.synod(&["diff", "b.jsonl", "c.jsonl"]);
    assert!(changed.stdout.contains("differed first"), "{}", changed.stdout);
    assert!(changed.stderr.contains("c.jsonl: line ") && changed.stderr.contains("not what was exported"), "{}", changed.stderr);
}
