//! Behaviours 31 to 35: what a crash, a change of files, damage and a second resume do to a session.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::json;
use synod::{
    event::{Event, Outcome, Record, Status},
    state::State,
    store::{Closing, MemoryStore, NewSession, Store},
    value::{NodeIx, Seq},
};

use crate::common::{Bench, Ran, graph, kill};

/// The paths of the nodes that had ended by then.
fn ended(records: &[Record]) -> Vec<String> {
    let Ok(state) = State::fold(records) else { return Vec::new() };
    let ended = records.iter().filter_map(|r| match &r.event {
        Event::NodeEnded { node, .. } => Some(state.path(*node).to_string()),
        _ => None,
    });
    ended.collect()
}

/// What a report says, but for times and for the ids of findings, which are given as findings come in.
fn essence(report: &serde_json::Value) -> serde_json::Value {
    let rows = |key: &str| report[key].as_array().unwrap().iter();
    let findings: Vec<_> =
        rows("findings").map(|f| json!([f["agent"], f["topic"], f["claim"], f["value"], f["status"]])).collect();
    let contributions: Vec<_> = rows("contributions").map(|c| json!([c["agent"], c["output"], c["status"]])).collect();
    let same = ["status", "output", "decisions", "variables", "warnings"].map(|key| report[key].clone());
    json!([same, findings, contributions])
}

#[test]
fn behaviour_31_after_a_failure_only_the_failed_step_runs_again() {
    let bench = Bench::on_disk();
    bench.script(
        "worker",
        "
        switch view.turn {
            0 => #{ calls: [#{ tool: \"say\", args: #{ value: 1 } }] },
            1 => #{ calls: [#{ tool: \"count\", \"as\": \"calls\" }] },
            _ => {
                if view.role == \"b\" && view.results.calls < 4 { throw \"it broke\" }
                #{ finish: view.results.calls }
            }
        }
        ",
    );
    let parked = bench.run(
        "
        name: Team
        collaboration_pattern: parallel
        member_agents: [{ agent: worker, role: a }, { agent: worker, role: b }, { agent: worker, role: c }]
        coordination_rules: { escalation_policy: on_failure }
        ",
    );
    assert_eq!(parked.status, Status::Parked, "{:#?}", parked.outcomes());
    assert_eq!(["a", "b", "c"].map(|n| bench.board.calls(n)), [2, 2, 2]);
    assert_eq!(["a", "b", "c"].map(|n| parked.of(n)), ["ok", "pending", "ok"]);
    let ran = bench.answer(parked.session(), 0, "retry").unwrap();
    assert_eq!(ran.completed(), json!({ "a": 2, "b": 4, "c": 2 }));
    assert_eq!(["a", "b", "c"].map(|n| bench.board.calls(n)), [2, 4, 2], "finished siblings did not run again");
}

#[test]
fn behaviour_31_after_a_kill_a_finished_sibling_is_not_run_again_and_the_unfinished_one_is() {
    let bench = Bench::new();
    // The script counts for a while, so that the process is killed in the middle of it.
    bench.script(
        "slow",
        "
        if view.turn == 0 {
            let n = 0;
            while n < 1500000 { n += 1; }
            #{ calls: [#{ tool: \"Write\", args: #{ path: \"slow.txt\", content: \"slow\\n\", append: true } }] }
        } else {
            #{ finish: \"slow\" }
        }
        ",
    );
    bench.file(
        "team.yaml",
        "
        name: Team
        collaboration_pattern: graph
        member_agents: [{ agent: slow, role: slow }]
        nodes:
          quick: { tool: Write, args: { path: quick.txt, content: \"quick\\n\", append: true } }
          slow: { agent: slow }
          end: { gate: '[quick.status, slow.output]', after: [quick, slow] }
        output: end.output
        ",
    );
    let mut child = bench.spawn(&["run", "team.yaml", "--quiet"]);
    let session = bench.watch(&mut child, |records| ended(records).contains(&"quick".to_owned()));
    kill(child);
    let before = bench.disk().read_all(session).unwrap();
    assert_eq!(ended(&before), ["quick"], "it was killed while the other step was at it");
    let said = bench.synod(&["resume", &session.to_string(), "--json", "--quiet"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert_eq!(said.json()["output"], json!(["ok", "slow"]));
    let file = |name: &str| std::fs::read_to_string(bench.path(name)).unwrap();
    assert_eq!((file("quick.txt").as_str(), file("slow.txt").as_str()), ("quick\n", "slow\n"));
}

/// A team with most kinds of nodes in it.
const MANY: &str = "
    name: Team
    collaboration_pattern: graph
    member_agents:
      - { agent: worker, role: one, writes: [{ variable: seen, merge: append }] }
      - { agent: worker, role: two, writes: [{ variable: seen, merge: append }] }
    nodes:
      list: { tool: say, args: { value: [1, 2, 3] } }
      each: { for_each: list.output, max: 5, parallel: 2, tool: put, args: { value: '{{ item * 10 }}' }, after: list }
      one: { agent: one, after: list }
      two: { agent: two, after: list }
      broken: { tool: fail, after: list, on_error: mended, retry: { max_attempts: 2, backoff: 1ms } }
      mended: { tool: say, args: { value: '{{ error.message }}' } }
      skipped: { tool: say, args: { value: 1 }, after: { list: 'output.len() > 3' } }
      rounds: { repeat: { max: 3, until: 'again.output >= 2' }, nodes: { again: { gate: round } }, after: each }
      join: { gate: '[each.output, one.output, two.output, mended.output, rounds.output]', after: [each, one, two, mended, rounds] }
    finally:
      tidy: { tool: put, args: { value: '{{ status }}' } }
    output: join.output
";

fn many() -> Bench {
    let bench = Bench::new();
    bench.script(
        "worker",
        "
        switch view.turn {
            0 => #{ calls: [#{ tool: \"say\", args: #{ value: view.role }, \"as\": \"said\" },
                            #{ tool: \"put\", args: #{ value: 1 } },
                            #{ tool: \"set_variable\", args: #{ variable: \"seen\", value: view.role } },
                            #{ tool: \"broadcast_finding\", args: #{ topic: \"t\", claim: view.role, value: view.role, confidence: 0.7 } }] },
            _ => #{ finish: view.results.said }
        }
        ",
    );
    bench
}

#[test]
fn behaviour_32_after_a_crash_between_any_two_journal_writes_nothing_finished_is_repeated_and_the_result_is_the_same() {
    let undisturbed = many();
    let whole = undisturbed.run(MANY);
    assert_eq!(whole.completed(), json!([[10, 20, 30], "one", "two", "it broke", 2]));
    let expected = essence(&serde_json::to_value(&*whole.report).unwrap());
    // What one step appends is written as one; its records have one time.
    let writes = (1..whole.records.len()).filter(|n| whole.records[*n].at != whole.records[n - 1].at);
    for length in writes {
        let before = &whole.records[..length];
        let bench = many();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        keep(&*store, &whole, before);
        let ran = bench.block_on(async {
            let handle = bench.engine_on(store.clone()).resume(whole.session()).await.unwrap();
            handle.wait().await.unwrap()
        });
        let report = serde_json::to_value(&*ran.report).unwrap();
        assert_eq!(essence(&report), expected, "after a crash at record {length}");
        let repeated: Vec<_> = repeats(before, &bench.board.all_calls()).into_iter().collect();
        assert!(repeated.is_empty(), "after a crash at record {length}, nodes that had ended were called again: {repeated:?}");
    }
}

/// A store in which only so much of a session was written when its owner died.
fn keep(store: &dyn Store, whole: &Ran, records: &[Record]) {
    let started = &whole.state.started;
    let claim = store
        .create(NewSession {
            session: started.session,
            tenant: started.tenant.clone(),
            team: started.team.clone(),
            task: started.task.clone(),
            started_at: records[0].at,
        })
        .unwrap();
    store.append(&claim, Seq(0), records).unwrap().wait().unwrap();
    store.release(claim, Closing { status: Status::Running, at: records[records.len() - 1].at }).wait().unwrap();
}

/// Nodes that had ended by then and were called all the same.
fn repeats(before: &[Record], calls: &BTreeMap<String, u32>) -> Vec<(String, u32)> {
    ended(before).into_iter().filter_map(|path| Some((path.clone(), *calls.get(&path)?))).collect()
}

#[test]
fn behaviour_32_a_process_that_is_killed_goes_on_and_repeats_no_finished_step() {
    let bench = Bench::new();
    // Every step leaves a line behind; as its author knows, a second one would do no harm.
    let step = |n: u32| {
        let after = if n.is_multiple_of(4) { String::new() } else { format!(", after: s{}", n - 1) };
        format!(
            "  s{n}: {{ tool: Write, args: {{ path: s{n}.txt, content: \"line\\n\", append: true }}, effect: idempotent{after} }}\n"
        )
    };
    let nodes: String = (0..24).map(step).collect();
    bench.file("team.yaml", &format!("name: Team\ncollaboration_pattern: graph\nnodes:\n{nodes}output: 's23.output.bytes'\n"));
    let mut killed = 0;
    for length in [1, 4, 9, 16, 25, 36, 44, 52] {
        for n in 0..24 {
            let _ = std::fs::remove_file(bench.path(&format!("s{n}.txt")));
        }
        let _ = std::fs::remove_dir_all(bench.path(".synod"));
        let mut child = bench.spawn(&["run", "team.yaml", "--quiet"]);
        let session = bench.watch(&mut child, |records| records.len() >= length);
        kill(child);
        let before = bench.disk().read_all(session).unwrap();
        killed += usize::from(!before.iter().any(|r| matches!(r.event, Event::Finished(_))));
        let said = bench.synod(&["resume", &session.to_string(), "--json", "--quiet"]);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        assert_eq!(said.json()["output"], json!(5));
        let after = bench.disk().read_all(session).unwrap();
        assert_eq!(after[..before.len()], before, "what was written stays");
        let (state, done) = (State::fold(&before).ok(), ended(&before));
        for n in 0..24 {
            let lines = std::fs::read_to_string(bench.path(&format!("s{n}.txt"))).unwrap().lines().count();
            let path = format!("s{n}");
            let at_work = state.as_ref().is_some_and(|s| s.find(&path).is_some_and(|ix: NodeIx| s.calling.contains(&ix)));
            assert!(lines == 1 || (at_work && lines == 2), "{path} ran {lines} times, killed at record {}", before.len());
            assert!(!done.contains(&path) || lines == 1, "{path} had ended and ran again");
        }
        assert_eq!(ended(&after).len(), 24);
    }
    assert!(killed >= 4, "only {killed} of the processes were killed in time");
}

#[test]
fn behaviour_32_an_irreversible_call_that_was_in_flight_is_asked_about_and_not_repeated() {
    let bench = Bench::on_disk();
    let ran = bench.run_and(
        &graph("nodes:\n  pay: { tool: stuck, args: { times: 1 }, effect: irreversible }\n  after: { gate: pay.status, after: pay }\n"),
        "called pay",
        |session| session.interrupt(),
    );
    assert_eq!(ran.of("pay"), "pending");
    let parked = bench.resume(ran.session());
    assert_eq!(parked.status, Status::Parked);
    assert_eq!(
        parked.report.escalations[0].options.iter().map(|o| &**o).collect::<Vec<_>>(),
        ["happened", "not_happened", "unknown"]
    );
    assert_eq!(bench.board.calls("pay"), 1);
    let ran = bench.answer(parked.session(), 0, "happened").unwrap();
    assert_eq!(ran.completed(), json!("ok"));
    assert_eq!(bench.board.calls("pay"), 1, "a call that may have happened is not made again");
}

#[test]
fn behaviour_32_a_reconcile_rule_knows_what_became_of_a_call_and_nobody_is_asked() {
    for (verdict, output, calls) in [("#{ happened: \"paid\" }", json!("paid"), 1), ("\"not_happened\"", json!(2), 2)] {
        let bench = Bench::on_disk();
        bench.file(
            "reconcile.rhai",
            &format!("fn reconcile(facts) {{ if facts.tool == \"stuck\" {{ {verdict} }} else {{ \"unknown\" }} }}\n"),
        );
        let text = "rules: [reconcile.rhai]\nnodes:\n  pay: { tool: stuck, args: { times: 1 }, effect: irreversible }\noutput: pay.output\n";
        let ran = bench.run_and(&graph(text), "called pay", |session| session.interrupt());
        let ended = bench.resume(ran.session());
        assert_eq!((ended.completed(), bench.board.calls("pay")), (output, calls), "{verdict}");
        let judged = ended.events(|e| if let Event::Judged { verdict, .. } = e { verdict.clone() } else { None });
        assert_eq!(judged.len(), 1, "the verdict is on the record");
    }
}

#[test]
fn behaviour_33_a_changed_team_file_is_named_and_the_pinned_plan_goes_on_unless_strict() {
    let bench = Bench::new();
    let team = |word: &str| {
        graph(&format!(
            "
            nodes:
              ok: {{ ask: 'Go on?', options: [yes, no] }}
              end: {{ gate: '\"{word}\"', after: ok }}
            output: end.output
            "
        ))
    };
    bench.file("team.yaml", &team("as it was"));
    let parked = bench.synod(&["run", "team.yaml", "--json", "--quiet"]);
    assert_eq!(parked.code, Some(3), "{}", parked.stderr);
    let session = parked.json()["session"].as_str().unwrap().to_owned();
    let same = bench.synod(&["resume", &session, "--strict"]);
    assert_eq!((same.code, same.stderr.contains("differ")), (Some(3), false), "{}", same.stderr);

    bench.file("team.yaml", &team("changed"));
    let strict = bench.synod(&["resume", &session, "--strict", "--json"]);
    assert_eq!(strict.code, Some(2));
    assert!(strict.stderr.contains("team.yaml") && strict.stderr.contains("differ"), "{}", strict.stderr);
    let lenient = bench.synod(&["resume", &session]);
    assert_eq!(lenient.code, Some(3));
    assert!(lenient.stderr.contains("team.yaml") && lenient.stderr.contains("differ"), "{}", lenient.stderr);
    let ended = bench.synod(&["answer", &session, "q0", "yes", "--json", "--quiet"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.json()["output"], json!("as it was"));
}

#[test]
fn behaviour_34_a_damaged_entry_is_a_clear_error_for_its_run_and_other_runs_stay_usable() {
    let bench = Bench::new();
    bench.file("team.yaml", &graph("nodes:\n  ok: { ask: 'Go on?' }\n  end: { gate: '1', after: ok }\noutput: end.output\n"));
    let park = || bench.synod(&["run", "team.yaml", "--json", "--quiet"]).json()["session"].as_str().unwrap().to_owned();
    let (damaged, sound) = (park(), park());
    let id = damaged.parse::<uuid::Uuid>().unwrap().as_u128();
    let mut hits = 0;
    for entry in std::fs::read_dir(bench.path(".synod/journals")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "redb") {
            hits += usize::from(damage(&path, id));
        }
    }
    assert_eq!(hits, 1, "one journal has the session's records");
    for command in [["resume", &damaged], ["report", &damaged], ["show", &damaged]] {
        let said = bench.synod(&command);
        assert_eq!(said.code, Some(1), "{command:?}: {}", said.stderr);
        assert!(said.stderr.contains(&damaged) && said.stderr.contains("damaged"), "{command:?}: {}", said.stderr);
        assert!(said.stderr.contains("record 2"), "{command:?}: {}", said.stderr);
    }
    let listed = bench.synod(&["sessions", "--json"]);
    assert_eq!(listed.code, Some(0), "{}", listed.stderr);
    assert_eq!(listed.json().as_array().unwrap().len(), 2);
    let said = bench.synod(&["answer", &sound, "q0", "yes", "--json", "--quiet"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert_eq!(said.json()["output"], json!(1));
    assert_eq!(bench.synod(&["run", "team.yaml", "--quiet"]).code, Some(3), "and new ones start");
}

/// Changes a byte of record 2 of a session, behind the store's back; false where the file has no such record.
fn damage(path: &std::path::Path, session: u128) -> bool {
    use redb::ReadableTable;
    const RECORDS: redb::TableDefinition<'_, (u128, u32, u64), &[u8]> = redb::TableDefinition::new("records_v1");
    let db = redb::Database::open(path).unwrap();
    let write = db.begin_write().unwrap();
    let changed = {
        let mut records = write.open_table(RECORDS).unwrap();
        let row = records.get((session, 1, 2)).unwrap().map(|row| row.value().to_vec());
        if let Some(mut row) = row.clone() {
            let last = row.len() - 1;
            row[last] ^= 1;
            records.insert((session, 1, 2), row.as_slice()).unwrap();
        }
        row.is_some()
    };
    write.commit().unwrap();
    changed
}

#[test]
fn behaviour_35_resuming_a_finished_run_runs_nothing_and_shows_the_same_result() {
    for bench in [Bench::new(), Bench::on_disk()] {
        let ran = bench.run(&graph(
            "
            nodes:
              a: { tool: pay, args: { value: 1 } }
              b: { tool: fail, after: a, allow_failure: true }
            finally: { tidy: { tool: put, args: { value: 1 } } }
            output: a.output
            ",
        ));
        assert_eq!(ran.completed(), json!(1));
        let (calls, length) = (bench.board.all_calls(), ran.records.len());
        for _ in 0..2 {
            let again = bench.resume(ran.session());
            assert_eq!(again.completed(), json!(1));
            assert_eq!(
                essence(&serde_json::to_value(&*again.report).unwrap()),
                essence(&serde_json::to_value(&*ran.report).unwrap())
            );
            assert_eq!(again.records.len(), length, "nothing is written");
        }
        assert_eq!(bench.board.all_calls(), calls, "nothing runs");
    }
}

#[test]
fn behaviour_35_a_failed_run_stays_failed_when_it_is_resumed() {
    let bench = Bench::on_disk();
    let ran = bench.run(&graph("nodes:\n  a: { tool: fail }\n"));
    assert_eq!(ran.status, Status::Failed);
    let again = bench.resume(ran.session());
    assert_eq!(again.status, Status::Failed);
    assert!(matches!(again.state.outcome(NodeIx(0)), Some(Outcome::Failed(_))));
    assert_eq!(bench.board.calls("a"), 1);
}
