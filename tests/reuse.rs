//! Is exactly that taken over from an earlier session of which nothing changed, and is it said why the rest was not?

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use common::{Bench, Ran, finish, graph, reply, reply_with, say};
use serde_json::json;
use synod::{
    event::Event,
    report::ReuseRow,
    value::{Entry, Map, Request, SessionId, Usage, Usd, Value},
};

/// A bench with the model `paid`, which counts how often it is asked. It calls the tool that its task names, if any, with the value
/// in its input; then it finishes with what it has seen.
fn bench() -> (Bench, Arc<AtomicUsize>) {
    let (bench, asked) = (Bench::new(), Arc::new(AtomicUsize::new(0)));
    let count = asked.clone();
    let model = move |request: &Request| {
        count.fetch_add(1, Ordering::SeqCst);
        let usage = Usage { input: 60, output: 40, cost: Usd::from_dollars(0.25).unwrap_or_default(), ..Usage::default() };
        let seen = request.thread.iter().filter_map(|entry| match entry {
            Entry::Result { result, .. } => result.outcome.clone().ok(),
            _ => None,
        });
        let seen: Vec<Value> = seen.collect();
        let tool = request.task.strip_prefix("call ");
        let said = match tool {
            Some(tool) if seen.is_empty() => reply(&[(tool, Value::map([("value", Value::text("x"))]))]),
            _ => finish(Value::map([
                ("task", Value::text(&request.task)),
                ("input", request.input.clone()),
                ("seen", Value::list(seen)),
            ])),
        };
        Ok(reply_with(said, usage))
    };
    bench.catalog("models: { paid: { provider: openai, id: paid, context_window: 100000, price: { input: 1.0, output: 1.0 } } }");
    bench.model("paid", say(model));
    bench.file("paid.yaml", "name: Paid\nrole: worker\nmodel: paid\nmodel_config: { max_tokens: 100 }\nallowed_tools: ['*']\n");
    (bench, asked)
}

fn again(bench: &Bench, team: &str, inputs: Map, earlier: SessionId) -> Ran {
    let prepared = bench.load(team);
    bench.block_on(async {
        let handle = bench.engine().start_reusing(&prepared, "the task", inputs, earlier).await.unwrap();
        bench.ended(handle).await
    })
}

#[track_caller]
fn row(ran: &Ran, node: &str) -> ReuseRow {
    let report = ran.report.reuse.as_ref().expect("the report says what was taken over");
    report.nodes.iter().find(|row| *row.node == *node).unwrap_or_else(|| panic!("{node} is not among {report:?}")).clone()
}

/// `all`, `part` or `nothing` of a node, and why not all.
#[track_caller]
fn taken(ran: &Ran, node: &str) -> (&'static str, String) {
    let row = row(ran, node);
    (row.taken, row.why.map(|why| why.to_string()).unwrap_or_default())
}

fn input(name: &str, value: &str) -> Map {
    Map::from([(name.to_owned(), Value::text(value))])
}

const CHAIN: &str = r#"
    inputs: { who: { type: string, default: world } }
    member_agents: [{ agent: paid, role: a }, { agent: paid, role: b }]
    nodes:
      first: { agent: a, task: "greet" }
      second: { agent: b, task: "greet {{ input.who }}", after: first }
      third: { agent: a, task: "sum up", after: second }
    output: third.output.task
"#;

#[test]
fn an_unchanged_session_is_taken_over_whole_and_nobody_is_asked() {
    let (bench, asked) = bench();
    let ran = bench.run(&graph(CHAIN));
    assert_eq!((ran.completed(), asked.load(Ordering::SeqCst)), (json!("sum up"), 3));
    let second = again(&bench, &graph(CHAIN), Map::new(), ran.session());
    assert_eq!((second.completed(), asked.load(Ordering::SeqCst)), (json!("sum up"), 3));
    for node in ["first", "second", "third"] {
        assert_eq!(taken(&second, node), ("all", String::new()));
        let row = row(&second, node);
        assert_eq!((row.turns, row.saved_tokens, row.saved_usd, row.from), (1, 100, 0.25, Some(ran.session())));
    }
    let metrics = &second.report.metrics;
    assert_eq!((metrics.model_calls, metrics.tokens, metrics.cost_usd, metrics.turns), (0, 0, 0.0, 3));
    let saved = metrics.reused.as_ref().unwrap();
    assert_eq!((saved.nodes, saved.turns, saved.saved_tokens, saved.saved_usd), (3, 3, 300, 0.75));
    let page = second.report.markdown();
    assert!(page.contains(&format!("Taken over from `{}`", ran.session())) && page.contains("3 nodes"), "{page}");
    // What was taken over can be taken over again, and it is said who was really asked.
    let third = again(&bench, &graph(CHAIN), Map::new(), second.session());
    assert_eq!((third.completed(), asked.load(Ordering::SeqCst)), (json!("sum up"), 3));
    assert_eq!(row(&third, "first").from, Some(ran.session()));
}

#[test]
fn a_change_reaches_what_depends_on_it_and_the_reason_names_it() {
    let (bench, asked) = bench();
    let ran = bench.run(&graph(CHAIN));
    ran.completed();
    let other = again(&bench, &graph(CHAIN), input("who", "moon"), ran.session());
    other.completed();
    assert_eq!(taken(&other, "first"), ("nothing", "the session's input changed: who".to_owned()), "every agent sees the inputs");
    let before = asked.load(Ordering::SeqCst);
    let team = graph(&CHAIN.replace("\"greet {{ input.who }}\"", "\"greet the {{ input.who }}\""));
    let changed = again(&bench, &team, Map::new(), ran.session());
    changed.completed();
    assert_eq!(taken(&changed, "first"), ("all", String::new()));
    assert_eq!(taken(&changed, "second").0, "nothing");
    assert!(taken(&changed, "second").1.contains("its task"), "{:?}", taken(&changed, "second"));
    assert_eq!(taken(&changed, "third"), ("nothing", "its input changed: second came to something else".to_owned()));
    assert_eq!(asked.load(Ordering::SeqCst), before + 2);
}

#[test]
fn a_changed_profile_and_a_changed_model_are_named() {
    let (bench, _) = bench();
    let ran = bench.run(&graph(CHAIN));
    ran.completed();
    let team = graph(&CHAIN.replace("{ agent: paid, role: b }", "{ agent: paid, role: b, set: { system_prompt: 'Be kind.' } }"));
    let changed = again(&bench, &team, Map::new(), ran.session());
    assert_eq!(taken(&changed, "first").0, "all");
    assert_eq!(taken(&changed, "second"), ("nothing", "its profile changed: system_prompt".to_owned()));
    bench.catalog(
        "models: { paid: { provider: openai, id: another, context_window: 100000, price: { input: 1.0, output: 1.0 } } }",
    );
    let changed = again(&bench, &graph(CHAIN), Map::new(), ran.session());
    let why = "the model paid is openai/another at https://api.openai.com/v1 (openai_responses) now and was openai/paid at https://api.openai.com/v1 (openai_responses)";
    assert_eq!(taken(&changed, "first"), ("nothing", why.to_owned()));
    let price = "context_window: 100000, price: { input: 1.0, output: 1.0 }";
    for (provider, model, word) in [
        ("kind: openai, base_url: 'http://127.0.0.1:1/v1'", "", "at http://127.0.0.1:1/v1 (openai) now"),
        ("kind: openai", "", "(openai) now"),
        ("kind: openai", ", structured_output: finish", "(openai, structured_output: finish) now"),
    ] {
        bench.catalog(&format!(
            "providers: {{ openai: {{ {provider} }} }}\nmodels: {{ paid: {{ provider: openai, id: paid, {price}{model} }} }}\n"
        ));
        let changed = again(&bench, &graph(CHAIN), Map::new(), ran.session());
        let (much, why) = taken(&changed, "first");
        assert!(much == "nothing" && why.contains(word), "{why}");
    }
}

#[test]
fn a_changed_script_of_an_agent_is_seen() {
    let bench = Bench::new();
    bench.script("teller", "#{ finish: 1 }");
    let team =
        graph("member_agents: [{ agent: teller, role: teller }]\nnodes: { tell: { agent: teller } }\noutput: tell.output\n");
    let ran = bench.run(&team);
    assert_eq!(taken(&again(&bench, &team, Map::new(), ran.session()), "tell").0, "all");
    bench.script("teller", "#{ finish: 2 }");
    let changed = again(&bench, &team, Map::new(), ran.session());
    assert_eq!(changed.completed(), json!(2));
    assert!(taken(&changed, "tell").1.contains("teller.rhai changed"), "{:?}", taken(&changed, "tell"));
}

#[test]
fn a_changed_rule_decides_anew_and_reaches_what_follows_from_it() {
    let (bench, asked) = bench();
    let team = graph(
        "
        rules: [rules.rhai]
        member_agents: [{ agent: paid, role: a }]
        nodes: { first: { agent: a }, pick: { rule: pick, after: first }, second: { agent: a, after: pick } }
        ",
    );
    bench.file("rules.rhai", "fn pick(facts) { 1 }\n");
    let ran = bench.run(&team);
    ran.completed();
    bench.file("rules.rhai", "fn pick(facts) { 2 }\n");
    let changed = again(&bench, &team, Map::new(), ran.session());
    assert_eq!(taken(&changed, "first").0, "all");
    assert_eq!(taken(&changed, "second"), ("nothing", "its input changed: pick came to something else".to_owned()));
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

/// A tool that reads is called again: it costs nothing, and what it reads may have changed.
#[test]
fn a_changed_file_of_a_folder_is_seen_and_an_unchanged_one_taken_over() {
    let (bench, asked) = (Bench::new(), Arc::new(AtomicUsize::new(0)));
    let count = asked.clone();
    let model = move |request: &Request| {
        count.fetch_add(1, Ordering::SeqCst);
        let seen = request.thread.iter().find_map(|entry| match entry {
            Entry::Result { result, .. } => result.outcome.clone().ok(),
            _ => None,
        });
        let path = request.inputs.get("data").and_then(Value::as_str).unwrap_or_default();
        Ok(match seen {
            None => reply(&[("Read", Value::map([("path", Value::text(format!("{path}/a.txt")))]))]),
            Some(seen) => finish(seen),
        })
    };
    bench.model("reader", say(model));
    bench.file("data/a.txt", "one\n");
    bench.file("reader.yaml", "name: Reader\nrole: worker\nmodel: reader\nallowed_tools: [Read]\n");
    let team = graph(
        "
        inputs: { data: { type: folder, default: data } }
        member_agents: [{ agent: reader, role: reader }]
        nodes: { read: { agent: reader } }
        output: read.output
        ",
    );
    let ran = bench.run(&team);
    assert!(ran.completed().to_string().contains("one"), "{:?}", ran.output());
    let same = again(&bench, &team, Map::new(), ran.session());
    assert_eq!((taken(&same, "read").0, row(&same, "read").turns, asked.load(Ordering::SeqCst)), ("all", 2, 2));
    bench.file("data/a.txt", "two\n");
    let changed = again(&bench, &team, Map::new(), ran.session());
    assert!(changed.completed().to_string().contains("two"), "{:?}", changed.output());
    assert_eq!(taken(&changed, "read"), ("part", "from turn 2 on: Read returned something else".to_owned()));
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

fn calls(tool: &str, reuse: &str) -> String {
    graph(&format!(
        "
        member_agents: [{{ agent: paid, role: a }}]
        nodes: {{ act: {{ agent: a, task: 'call {tool}'{reuse} }} }}
        output: act.output.seen
        "
    ))
}

#[test]
fn an_agent_that_made_an_irreversible_call_works_anew_unless_its_node_wants_otherwise() {
    let (bench, asked) = bench();
    let ran = bench.run(&calls("pay", ""));
    assert_eq!(ran.completed(), json!(["x"]));
    let anew = again(&bench, &calls("pay", ""), Map::new(), ran.session());
    assert_eq!(anew.completed(), json!(["x"]));
    assert_eq!(taken(&anew, "act").0, "nothing");
    assert!(taken(&anew, "act").1.contains("pay there, which is irreversible"), "{:?}", taken(&anew, "act"));
    assert_eq!((bench.board.calls("act"), asked.load(Ordering::SeqCst)), (2, 4));
    let always = again(&bench, &calls("pay", ", reuse: always"), Map::new(), ran.session());
    assert_eq!(always.completed(), json!(["x"]));
    assert_eq!((taken(&always, "act").0, row(&always, "act").calls), ("all", 1));
    assert_eq!((bench.board.calls("act"), asked.load(Ordering::SeqCst)), (2, 4), "nothing is asked or called");
    assert_eq!(always.report.metrics.tool_calls, 0);
    // Whoever took the call over stands for it as whoever made it.
    let plain = again(&bench, &calls("pay", ""), Map::new(), always.session());
    assert_eq!(taken(&plain, "act").0, "nothing");
    assert!(taken(&plain, "act").1.contains("pay there, which is irreversible"), "{:?}", taken(&plain, "act"));
}

#[test]
fn an_idempotent_call_is_made_again_under_the_key_that_it_had() {
    let (bench, asked) = bench();
    let ran = bench.run(&calls("put", ""));
    let second = again(&bench, &calls("put", ""), Map::new(), ran.session());
    assert_eq!((second.completed(), taken(&second, "act").0), (json!(["x"]), "all"));
    assert_eq!((bench.board.calls("act"), asked.load(Ordering::SeqCst)), (2, 2));
    let keys = bench.board.keys("act");
    assert_eq!(keys[0], keys[1]);
    assert!(keys[0].starts_with(&ran.session().to_string()), "{keys:?}");
    let third = again(&bench, &calls("put", ""), Map::new(), second.session());
    third.completed();
    assert_eq!(bench.board.keys("act")[2], keys[0], "and so on");
}

#[test]
fn what_a_fork_shares_was_called_in_the_session_that_it_parts_from() {
    let (bench, _) = bench();
    let ran = bench.run(&calls("put", ""));
    let first = |ran: &Ran, so: fn(&Event) -> bool| ran.records.iter().find(|record| so(&record.event)).unwrap().seq;
    let mut parted = (ran.session(), first(&ran, |event| matches!(event, Event::ToolReturned { .. })));
    for _ in 0..2 {
        let (session, at) = parted;
        let fork = bench.block_on(async { bench.engine().fork(session, at, Default::default()).await.unwrap() });
        let fork = bench.resume(fork);
        assert_eq!(fork.completed(), json!(["x"]));
        let made = bench.board.calls("act");
        let second = again(&bench, &calls("put", ""), Map::new(), fork.session());
        assert_eq!((second.completed(), taken(&second, "act").0, bench.board.calls("act")), (json!(["x"]), "all", made + 1));
        let keys = bench.board.keys("act");
        assert_eq!(keys.first(), keys.last(), "one call, however often it is made");
        parted = (fork.session(), first(&fork, |event| matches!(event, Event::Forked(_))));
    }
}

#[test]
fn the_calls_of_tool_nodes_follow_the_same_rules() {
    let bench = Bench::new();
    let team = |reuse: &str| {
        graph(&format!(
            "
            inputs: {{ who: {{ type: string, default: x }} }}
            nodes:
              look: {{ tool: say, args: {{ value: 1 }}{reuse} }}
              put: {{ tool: put, args: {{ value: '{{{{ input.who }}}}' }}{reuse} }}
              pay: {{ tool: pay, args: {{ value: 3 }}{reuse} }}
            "
        ))
    };
    let ran = bench.run(&team(""));
    ran.completed();
    let plain = again(&bench, &team(""), Map::new(), ran.session());
    plain.completed();
    let why = |node| taken(&plain, node).1;
    assert!(
        why("look").contains("looks again") && why("put").contains("under the key that it had"),
        "{} {}",
        why("look"),
        why("put")
    );
    assert!(why("pay").contains("irreversible"), "{}", why("pay"));
    assert_eq!(["look", "put", "pay"].map(|node| bench.board.calls(node)), [2, 2, 2]);
    let keys = bench.board.keys("put");
    assert_eq!(keys[0], keys[1]);
    assert_ne!(bench.board.keys("pay")[0], bench.board.keys("pay")[1]);
    let always = again(&bench, &team(", reuse: always"), Map::new(), ran.session());
    assert_eq!(always.completed(), ran.output());
    assert_eq!(["look", "put", "pay"].map(|node| taken(&always, node).0), ["all", "all", "all"]);
    assert_eq!(["look", "put", "pay"].map(|node| bench.board.calls(node)), [2, 2, 2], "nothing is called");
    let other = again(&bench, &team(", reuse: always"), input("who", "y"), ran.session());
    assert_eq!((taken(&other, "put").1.as_str(), taken(&other, "pay").0), ("its arguments changed", "all"));
}

#[test]
fn a_node_or_member_may_opt_out() {
    let (bench, asked) = bench();
    let ran = bench.run(&graph(CHAIN));
    let team =
        CHAIN.replace("role: b }", "role: b, reuse: false }").replace("task: \"sum up\"", "task: \"sum up\", reuse: false");
    let second = again(&bench, &graph(&team), Map::new(), ran.session());
    second.completed();
    assert_eq!(taken(&second, "first").0, "all");
    for node in ["second", "third"] {
        assert_eq!(taken(&second, node), ("nothing", "its file says `reuse: false`".to_owned()));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 5);
}

#[test]
fn findings_messages_and_variables_come_with_the_replies_of_a_team() {
    let bench = Bench::new();
    let team = bench.finders();
    let ran = bench.run(team);
    ran.completed();
    let second = again(&bench, team, Map::new(), ran.session());
    assert_eq!(second.completed(), ran.output());
    let rows = &second.report.reuse.as_ref().unwrap().nodes;
    assert!(rows.len() >= 3 && rows.iter().all(|row| row.taken == "all"), "{rows:?}");
    assert_eq!(second.essence(), ran.essence());
}

#[test]
fn a_person_is_asked_again_and_the_answer_leads_on() {
    let (bench, asked) = bench();
    let team = graph(
        "
        member_agents: [{ agent: paid, role: a }]
        nodes: { ask: { ask: 'Which?' }, act: { agent: a, after: ask } }
        ",
    );
    let ran = bench.run(&team);
    let ran = bench.answer(ran.session(), 0, "this").unwrap();
    ran.completed();
    let second = again(&bench, &team, Map::new(), ran.session());
    let second = bench.answer(second.session(), 0, "this").unwrap();
    second.completed();
    assert_eq!(taken(&second, "ask"), ("nothing", "a person is asked again".to_owned()));
    assert_eq!((taken(&second, "act").0, asked.load(Ordering::SeqCst)), ("all", 1));
    let third = again(&bench, &team, Map::new(), ran.session());
    let third = bench.answer(third.session(), 0, "that").unwrap();
    assert_eq!(taken(&third, "act"), ("nothing", "its input changed: ask came to something else".to_owned()));
}

/// Every kill point: whoever goes on takes the rest over, and nobody is asked.
#[test]
fn a_session_that_was_broken_off_goes_on_taking_over() {
    let (bench, asked) = bench();
    let ran = bench.run(&graph(CHAIN));
    let whole = again(&bench, &graph(CHAIN), Map::new(), ran.session());
    let end = whole.records.iter().position(|record| matches!(record.event, Event::Finished(_))).unwrap();
    for at in 0..end - 1 {
        let fork = bench.block_on(async {
            bench.engine().fork(whole.session(), synod::value::Seq(at as u64), Default::default()).await.unwrap()
        });
        let on = bench.resume(fork);
        assert_eq!((on.completed(), asked.load(Ordering::SeqCst)), (whole.output(), 3), "after record {at}");
    }
}

#[test]
fn the_program_says_what_it_takes_over() {
    let bench = Bench::on_disk();
    bench.script("teller", "#{ finish: view.task }");
    bench.file(
        "team.yaml",
        &graph("member_agents: [{ agent: teller, role: teller }]\nnodes: { one: { agent: teller }, two: { tool: Read, args: { path: team.yaml }, after: one } }\noutput: one.output\n"),
    );
    let first = bench.synod(&["run", "team.yaml", "--task", "a", "--json"]);
    let session = first.json()["session"].as_str().unwrap().to_owned();
    let second = bench.synod(&["run", "team.yaml", "--task", "a", "--reuse", &session, "--json"]).json();
    assert_eq!((&second["reuse"]["session"], &second["metrics"]["reused"]["nodes"]), (&json!(session), &json!(1)));
    assert_eq!(second["reuse"]["nodes"][0]["taken"], "all");
    let page = bench.synod(&["run", "team.yaml", "--task", "b", "--reuse", &session]).stdout;
    assert!(page.contains("- one: nothing: its task") && page.contains("- two: nothing: its tool looks again"), "{page}");
    let wrong = bench.synod(&["run", "team.yaml", "--reuse", "ffff"]);
    assert!(wrong.code == Some(2) && wrong.stderr.contains("ffff"), "{}", wrong.stderr);
}
