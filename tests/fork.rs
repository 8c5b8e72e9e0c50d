//! Does a fork share the past of a session, and go its own way from there?

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use common::{Bench, Ran, finish, graph, reply_with, say};
use serde_json::json;
use synod::{
    engine::Changes,
    event::{Event, Status},
    value::{Map, Seq, SessionId, Usage, Usd, Value},
};

/// The record after which a fork begins: the first that is so.
#[track_caller]
fn at(ran: &Ran, so: impl Fn(&Event) -> bool) -> Seq {
    ran.records.iter().find(|record| so(&record.event)).expect("there is such a record").seq
}

fn ended(ran: &Ran, path: &str) -> Seq {
    ran.end(path)
}

fn fork(bench: &Bench, session: SessionId, at: Seq, changes: Changes) -> Result<SessionId, String> {
    bench.block_on(async { bench.engine().fork(session, at, changes).await.map_err(|error| error.to_string()) })
}

fn forked(bench: &Bench, session: SessionId, at: Seq, changes: Changes) -> Ran {
    let id = fork(bench, session, at, changes).unwrap();
    bench.resume(id)
}

const LINE: &str = r#"
    inputs: { who: { type: string, default: world }, n: { type: integer, default: 1 } }
    nodes:
      first: { tool: say, args: { value: "{{ input.who }}" } }
      second: { tool: say, args: { value: "{{ first.output }} and {{ input.who }} {{ input.n }}" }, after: first }
    output: second.output
"#;

#[test]
fn a_fork_has_the_same_past_and_takes_a_changed_input_from_there_on() {
    for bench in [Bench::new(), Bench::on_disk()] {
        let ran = bench.run(&graph(LINE));
        assert_eq!(ran.completed(), json!("world and world 1"));
        let point = ended(&ran, "first");
        let changes = Changes { inputs: Map::from([("who".to_owned(), Value::text("moon"))]), ..Changes::default() };
        let fork = forked(&bench, ran.session(), point, changes);
        assert_eq!(fork.completed(), json!("world and moon 1"));
        assert_ne!(fork.session(), ran.session());
        assert_eq!((bench.board.calls("first"), bench.board.calls("second")), (1, 2), "what had ended is not done again");
        let shared = point.index() + 1;
        assert_eq!(fork.records[1..shared], ran.records[1..shared]);
        let first = fork.state.started.forked.expect("its first record says where it comes from");
        assert_eq!((first.session, first.at), (ran.session(), point));
        assert!(matches!(&fork.records[shared].event, Event::Forked(forked) if forked.from == first));
        let past = fork.report.forked_from.clone().expect("the report says so too");
        assert_eq!((past.session, past.at), (ran.session(), point));
        assert_eq!(bench.resume(ran.session()).completed(), json!("world and world 1"), "the other stays as it was");
    }
}

#[test]
fn a_session_can_be_forked_at_every_record_before_its_end_and_comes_to_the_same() {
    let bench = Bench::new();
    let ran = bench.run(&graph(LINE));
    let end = at(&ran, |event| matches!(event, Event::Finished(_)));
    // The last step says that the node ended and that the session did: what ends it cannot be shared.
    for seq in 0..end.0 {
        let again = forked(&bench, ran.session(), Seq(seq), Changes::default());
        assert_eq!(again.completed(), ran.output(), "forked at {seq}");
        let twice = forked(&bench, again.session(), Seq(seq + 1), Changes::default());
        assert_eq!(twice.completed(), ran.output(), "and its fork");
    }
    let over = fork(&bench, ran.session(), end, Changes::default()).unwrap_err();
    assert!(over.contains("over") && over.contains(&end.0.to_string()), "{over}");
    let none = fork(&bench, ran.session(), Seq(10_000), Changes::default()).unwrap_err();
    assert!(none.contains("no record 10000"), "{none}");
}

/// What one step says of one thing is shared whole: a message would be said twice, a task never, where only a part of that were.
#[test]
fn a_team_that_talks_can_be_forked_at_every_record() {
    let bench = Bench::new();
    let ran = bench.run(bench.finders());
    ran.completed();
    let mut points = std::collections::BTreeSet::new();
    for seq in 0..ran.records.len() - 2 {
        match fork(&bench, ran.session(), Seq(seq as u64), Changes::default()) {
            Ok(id) => {
                let again = bench.resume(id);
                assert_eq!(again.essence(), ran.essence(), "forked at {seq}");
                points.insert(again.state.started.forked.unwrap().at.0);
            }
            // What ends the session belongs to that record.
            Err(why) => assert!(why.contains("the session is over at record"), "{why}"),
        }
    }
    assert!(points.len() * 2 > ran.records.len(), "most records are points to fork at: {points:?} of {}", ran.records.len());
}

#[test]
fn a_changed_variable_is_what_everybody_reads_until_it_is_written_again() {
    let bench = Bench::new();
    bench.script(
        "writer",
        "if view.turn == 0 { #{ calls: [#{ tool: \"set_variable\", args: #{ variable: \"level\", value: 1 } }] } } else { #{ finish: 1 } }",
    );
    bench.script("reader", "#{ finish: view.context.variables }");
    let team = graph(
        r#"
        member_agents: [{ agent: writer, role: writer }, { agent: reader, role: reader }]
        nodes:
          write: { agent: writer, writes: level }
          read: { agent: reader, after: write }
          again: { agent: writer, writes: level, after: read }
          last: { agent: reader, after: again }
        output: "[read.output, last.output]"
        "#,
    );
    let ran = bench.run(&team);
    assert_eq!(ran.completed(), json!([{ "level": 1 }, { "level": 1 }]));
    let changes = Changes { variables: Map::from([("level".to_owned(), Value::Int(7))]), ..Changes::default() };
    let fork = forked(&bench, ran.session(), ended(&ran, "write"), changes.clone());
    assert_eq!(fork.completed(), json!([{ "level": 7 }, { "level": 1 }]));
    let late = forked(&bench, ran.session(), ended(&ran, "again"), changes);
    assert_eq!(late.completed(), json!([{ "level": 1 }, { "level": 7 }]));
    assert_eq!(late.variable("level"), Some(&Value::Int(7)));
    let wrong = Changes { variables: Map::from([("levle".to_owned(), Value::Int(7))]), ..Changes::default() };
    let wrong = refused(&bench, ran.session(), wrong);
    assert!(wrong.contains("no variable levle") && wrong.contains("level"), "{wrong}");
    let wrong = Changes { inputs: Map::from([("x".to_owned(), Value::Int(7))]), ..Changes::default() };
    let wrong = refused(&bench, ran.session(), wrong);
    assert!(wrong.contains("no input x"), "{wrong}");
}

fn refused(bench: &Bench, session: SessionId, changes: Changes) -> String {
    fork(bench, session, Seq(1), changes).unwrap_err()
}

#[test]
fn a_changed_task_is_what_whoever_begins_later_is_asked() {
    let bench = Bench::new();
    bench.script("teller", "#{ finish: view.task }");
    let team = graph(
        "
        member_agents: [{ agent: teller, role: teller }]
        nodes: { one: { agent: teller }, two: { agent: teller, after: one } }
        output: '[one.output, two.output]'
        ",
    );
    let ran = bench.run(&team);
    let changes = Changes { task: Some("another task".to_owned()), ..Changes::default() };
    let fork = forked(&bench, ran.session(), ended(&ran, "one"), changes);
    assert_eq!(fork.completed(), json!(["the task", "another task"]));
    assert_eq!(&*fork.report.task, "another task");
}

/// A model call in flight at the fork is the other session's to pay; the fork asks under a key of its own.
#[test]
fn a_model_call_in_flight_is_asked_again_and_nothing_of_the_first_is_counted() {
    let bench = Bench::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    bench.catalog("models: { paid: { provider: openai, id: paid, context_window: 100000, price: { input: 1.0, output: 1.0 } } }");
    bench.model(
        "paid",
        say(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            let usage = Usage { input: 10, output: 10, cost: Usd::from_dollars(0.5).unwrap_or_default(), ..Usage::default() };
            Ok(reply_with(finish(Value::text("done")), usage))
        }),
    );
    bench.file("paid.yaml", "name: Paid\nrole: worker\nmodel: paid\nmodel_config: { max_tokens: 100 }\n");
    let ran = bench.run(&graph(
        "
        member_agents: [{ agent: paid, role: paid }]
        nodes: { one: { agent: paid } }
        ",
    ));
    ran.completed();
    let point = at(&ran, |event| matches!(event, Event::TurnStarted { .. }));
    let fork = forked(&bench, ran.session(), point, Changes::default());
    fork.completed();
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    assert_eq!(fork.state.spent.usage, ran.state.spent.usage, "the reply of the fork, and nothing that was lost");
    assert_eq!(fork.state.spent.lost, Usage::default());
    assert_eq!(fork.state.spent_on, ran.state.spent_on, "one call of the model, as in the other session");
}

#[test]
fn an_irreversible_call_in_flight_belongs_to_the_other_session_and_is_asked_about() {
    let bench = Bench::new();
    let ran = bench.run(&graph("nodes: { charge: { tool: pay, args: { value: 5 } } }\noutput: charge.output\n"));
    ran.completed();
    let point = at(&ran, |event| matches!(event, Event::NodeStarted { .. }));
    let fork = forked(&bench, ran.session(), point, Changes::default());
    assert_eq!(fork.status, Status::Parked);
    assert_eq!(bench.board.calls("charge"), 1, "it is not made again");
    let question = fork.events(|event| if let Event::Asked(ask) = event { Some(ask.question.to_string()) } else { None });
    assert!(question[0].contains(&ran.session().to_string()) && question[0].contains("forked"), "{question:?}");
    assert!(question[0].contains("there it returned 5"), "the other session knows what came of it: {question:?}");
    let ended = bench.answer(fork.session(), 0, "not_happened").unwrap();
    assert_eq!(ended.completed(), json!(5));
    assert_eq!(bench.board.calls("charge"), 2, "somebody said that it never happened");
}

#[test]
fn an_open_question_has_as_much_time_left_as_it_had_and_a_fork_of_a_parked_session_is_parked() {
    let bench = Bench::new();
    let ran = bench.run(&graph("nodes: { ask: { ask: 'Ship it?', deadline: 1h } }\noutput: ask.output.answer\n"));
    assert_eq!(ran.status, Status::Parked);
    bench.clock.pass(std::time::Duration::from_secs(7_200));
    let last = ran.records.last().unwrap().seq;
    let fork = forked(&bench, ran.session(), last, Changes::default());
    assert_eq!(fork.status, Status::Parked, "it did not lapse");
    assert_eq!(bench.answer(fork.session(), 0, "yes").unwrap().completed(), json!("yes"));
    let other = bench.resume(ran.session());
    assert_eq!(other.status, Status::Failed, "in the other session it did");
}

#[test]
fn the_program_forks_with_changes_and_says_where_from() {
    let bench = Bench::on_disk();
    bench.file("team.yaml", &graph("inputs: { who: { type: string, default: world }, n: { type: integer, default: 1 } }\nnodes:\n  first: { gate: 'input.who' }\n  ask: { ask: 'Go on?', after: first }\n  second: { gate: 'first.output + \" and \" + input.who + input.n', after: ask }\noutput: second.output\n"));
    let ran = bench.synod(&["run", "team.yaml", "--json", "--task", "a"]);
    let session = ran.json()["session"].as_str().unwrap().to_owned();
    let rows = bench.synod(&["show", &session, "--json"]).json();
    let last = rows.as_array().unwrap().len() - 1;
    let at = last.to_string();
    let made = bench.synod(&["fork", &session, "--at", &at, "--set", "who=moon", "--set", "n=2", "--no-run", "--json"]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let fork = made.json()["session"].as_str().unwrap().to_owned();
    assert_eq!(made.json()["forked_from"], session.as_str());
    let answered = bench.synod(&["answer", &fork, "q0", "yes", "--json"]).json();
    assert_eq!(answered["output"], "world and moon2");
    assert_eq!((&answered["forked_from"]["session"], &answered["forked_from"]["at"]), (&json!(session), &json!(last)));
    let page = bench.synod(&["report", &fork]);
    assert!(page.stdout.contains(&format!("Forked from `{session}` at record {last}")), "{}", page.stdout);
    assert_eq!(bench.synod(&["fork", &session, "--at", &at]).code, Some(3), "it runs at once, and parks");
    let wrong = bench.synod(&["fork", &session, "--at", &at, "--set", "whom=moon"]);
    assert!(wrong.code == Some(2) && wrong.stderr.contains("no variable whom"), "{}", wrong.stderr);
    let wrong = bench.synod(&["fork", &session, "--at", "9999"]);
    assert!(wrong.code == Some(2) && wrong.stderr.contains("no record 9999"), "{}", wrong.stderr);
}

#[test]
fn a_fork_can_be_exported_imported_and_replayed_by_itself() {
    let bench = Bench::on_disk();
    bench.script("teller", "#{ finish: view.task }");
    let team = "
        inputs: { who: { type: string, default: world } }
        member_agents: [{ agent: teller, role: teller }]
        nodes: { one: { agent: teller, task: one }, two: { agent: teller, task: 'two {{ input.who }}', after: one } }
        output: '[one.output, two.output]'
        ";
    bench.file("team.yaml", &graph(team));
    let ran = bench.synod(&["run", "team.yaml", "--json"]).json();
    let forked = bench.synod(&["fork", ran["session"].as_str().unwrap(), "--at", "3", "--set", "who=moon", "--json"]).json();
    assert_eq!(forked["output"], json!(["one", "two moon"]));
    let fork = forked["session"].as_str().unwrap();
    assert_eq!(bench.synod(&["export", fork, "--out", "fork.jsonl"]).code, Some(0));
    let elsewhere = Bench::on_disk();
    std::fs::copy(bench.path("fork.jsonl"), elsewhere.path("fork.jsonl")).unwrap();
    assert_eq!(elsewhere.synod(&["import", "fork.jsonl", "--json"]).json()["session"], fork);
    assert_eq!(elsewhere.synod(&["report", fork, "--json"]).json(), forked);
    for what in [fork, "fork.jsonl"] {
        let replayed = elsewhere.synod(&["replay", what, "--strict", "--json"]);
        assert_eq!((replayed.code, &replayed.json()["output"]), (Some(0), &forked["output"]), "{}", replayed.stderr);
    }
}

/// `fork --set` takes what `run --input` takes, and nothing else.
#[test]
fn a_changed_input_is_checked_as_one_of_a_run_is() {
    let bench = Bench::on_disk();
    bench.file("data/a.txt", "a\n").file("other/b.txt", "b\n").file("top.txt", "top\n");
    std::fs::create_dir(bench.path("empty")).unwrap();
    bench.file(
        "team.yaml",
        &graph(
            "
            inputs: { data: { type: folder, default: data }, ratio: { type: number, default: 0.5 }, n: { type: integer, default: 1 } }
            nodes: { ask: { ask: 'Go?' }, end: { gate: '[input.ratio, input.n]', after: ask } }
            output: end.output
            ",
        ),
    );
    let ran = bench.synod(&["run", "team.yaml", "--json"]).json();
    let session = ran["session"].as_str().unwrap();
    let fork = |set: &str| bench.synod(&["fork", session, "--at", "1", "--no-run", "--set", set]);
    for (set, why) in [
        ("data=", "the input data is empty"),
        ("data=top.txt", "top.txt is a file, and a folder is wanted"),
        ("data=empty", "the folder empty has nothing in it"),
        ("data=nowhere", "nowhere cannot be opened"),
        ("n=1.5", "the input n takes an integer"),
        ("n=many", "n takes JSON here"),
    ] {
        let (forked, run) = (fork(set), bench.synod(&["run", "team.yaml", "--input", set]));
        assert!(forked.code == Some(2) && forked.stderr.contains(why), "{set}: {}", forked.stderr);
        assert!(run.code == Some(2) && run.stderr.contains(why), "{set}: {}", run.stderr);
    }
    for set in ["data=other", "ratio=2", "ratio=0.25", "n=2"] {
        let forked = fork(set);
        assert_eq!(forked.code, Some(0), "{set}: {}", forked.stderr);
    }
    let fork = fork("ratio=2").stdout.trim().to_owned();
    assert_eq!(bench.synod(&["answer", &fork, "q0", "yes", "--json"]).json()["output"], json!([2, 1]));
}

#[test]
fn a_fork_that_cannot_go_on_is_named() {
    let bench = Bench::on_disk();
    bench.file("data/a.txt", "a\n");
    bench.file(
        "team.yaml",
        &graph("inputs: { data: { type: folder, default: data } }\nnodes: { ask: { ask: 'Go?' } }\noutput: ask.output\n"),
    );
    let ran = bench.synod(&["run", "team.yaml", "--json"]).json();
    std::fs::remove_dir_all(bench.path("data")).unwrap();
    let fork = bench.synod(&["fork", ran["session"].as_str().unwrap(), "--at", "1"]);
    assert_ne!(fork.code, Some(0));
    let rows = bench.synod(&["sessions", "--json"]).json();
    let ids: Vec<&str> = rows.as_array().unwrap().iter().map(|row| row["session"].as_str().unwrap()).collect();
    let made = ids.iter().find(|id| ran["session"] != **id).unwrap();
    assert!(fork.stderr.contains(&format!("`synod resume {made}` goes on with it")), "{}", fork.stderr);
}
