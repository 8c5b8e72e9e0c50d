//! Behaviours 36 and 37: what people are asked, and what comes of their answers.

use std::time::Duration;

use serde_json::json;
use synod::{
    engine::Clock,
    store::InboxItem,
    value::{AskId, Value},
};

use crate::common::{Bench, graph};

const TWO_QUESTIONS: &str = "
    nodes:
      price: { ask: 'Which price?', options: [low, high] }
      name: { ask: 'Which name?' }
      priced: { tool: say, args: { value: '{{ price.output.answer }}' }, after: price }
      named: { tool: say, args: { value: '{{ name.output.answer }}' }, after: name }
    output: '[priced.output, named.output]'
";

#[test]
fn behaviour_36_one_answer_lets_its_step_go_on_and_the_other_question_outlasts_a_restart() {
    let bench = Bench::on_disk();
    let ran = bench.run(&graph(TWO_QUESTIONS));
    assert_eq!(ran.status.name(), "parked");
    let open = |ran: &crate::common::Ran| -> Vec<String> {
        let rows = ran.report.escalations.iter().filter(|row| row.state == Some("open"));
        rows.map(|row| row.question.as_deref().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(open(&ran), ["Which price?", "Which name?"]);

    let ran = bench.answer(ran.session(), 0, "low").unwrap();
    assert_eq!(ran.status.name(), "parked");
    assert_eq!((ran.of("priced"), ran.of("named")), ("ok", "pending"));
    assert_eq!(open(&ran), ["Which name?"]);

    let ran = bench.resume(ran.session());
    assert_eq!(ran.status.name(), "parked");
    assert_eq!(open(&ran), ["Which name?"], "after a restart it is shown again");
    assert_eq!(bench.board.calls("priced"), 1);

    let ran = bench.answer(ran.session(), 1, "Synod").unwrap();
    assert_eq!(ran.completed(), json!(["low", "Synod"]));
    assert_eq!(["priced", "named"].map(|n| bench.board.calls(n)), [1, 1]);
}

#[test]
fn behaviour_36_an_answer_that_no_open_question_takes_is_refused() {
    let bench = Bench::on_disk();
    let ran = bench.run(&graph(TWO_QUESTIONS));
    let refused = |ask, value: &str| bench.answer(ran.session(), ask, value).err().unwrap();
    assert_eq!(refused(7, "low"), "q7 is not open; open are q0, q1");
    assert_eq!(refused(0, "free"), "q0 takes one of low, high");
    let ran = bench.answer(ran.session(), 0, "high").unwrap();
    let again = bench.answer(ran.session(), 0, "low").err().unwrap();
    assert!(again.starts_with("q0 is not open; open are q1 (somebody answered it at "), "not twice: {again}");
    assert!(again.ends_with(": high)"), "{again}");
}

#[test]
fn a_session_answered_a_week_later_goes_on_with_the_profiles_scripts_and_rules_that_it_was_started_with() {
    let bench = Bench::on_disk();
    bench.script("late", "#{ finish: view.profile.specialization + \", \" + view.context.variables.get(\"mood\", \"calm\") }");
    let profile = |words: &str, turns: u32| {
        let text = format!(
            "name: late\nrole: worker\nmodel: script:late.rhai\nspecialization: {words}\nmax_conversation_turns: {turns}\n"
        );
        bench.file("late.yaml", &text);
    };
    profile("as it was", 3);
    bench.file("own.rhai", "fn last(facts) { facts.input.report + \", by the old rule\" }\n");
    let team = "
        member_agents: [{ agent: late, role: late }]
        rules: [own.rhai]
        nodes:
          approve: { ask: 'Go on?', options: [yes, no] }
          report: { agent: late, after: { approve: 'output.answer == \"yes\"' } }
          last: { rule: last, after: report }
        output: last.output
    ";
    let parked = bench.run(&graph(team));
    assert_eq!(parked.status.name(), "parked");

    bench.clock.pass(Duration::from_secs(7 * 24 * 3600));
    profile("as it is today", 1);
    bench.file("late.rhai", "fn turn(view) { throw \"a new script\" }\n");
    bench.file("own.rhai", "fn last(facts) { \"by a new rule\" }\n");
    bench.file("team.yaml", "name: Another\ncollaboration_pattern: graph\nnodes: { other: { gate: '1' } }\n");

    let ran = bench.answer(parked.session(), 0, "yes").unwrap();
    assert_eq!(ran.completed(), json!("as it was, calm, by the old rule"));
}

/// A deployment that somebody must approve.
const GUARDED: &str = "
    nodes:
      build: { tool: say, args: { value: v1 } }
      approve: { ask: 'Deploy {{ build.output }}?', options: [yes, no], deadline: 24h, default: no, after: build }
      deploy: { tool: pay, args: { value: deployed }, after: { approve: 'output.answer == \"yes\"' } }
      keep: { tool: say, args: { value: kept }, after: { approve: else } }
";

#[test]
fn behaviour_37_after_a_denied_approval_the_tool_did_not_run_and_the_declared_branch_does() {
    let bench = Bench::on_disk();
    let ran = bench.run(&graph(GUARDED));
    assert_eq!(ran.report.escalations[0].question.as_deref(), Some("Deploy v1?"));
    let ran = bench.answer(ran.session(), 0, "no").unwrap();
    assert_eq!(ran.completed(), json!({ "keep": "kept" }));
    assert_eq!(["deploy", "keep"].map(|n| bench.board.calls(n)), [0, 1]);
    let ran = bench.run(&graph(GUARDED));
    let ran = bench.answer(ran.session(), 0, "yes").unwrap();
    assert_eq!(ran.completed(), json!({ "deploy": "deployed" }), "approved, it does run");
}

#[test]
fn behaviour_37_after_an_approval_that_times_out_the_declared_branch_runs_at_the_next_resume() {
    let bench = Bench::on_disk();
    let parked = bench.run(&graph(GUARDED));
    bench.clock.pass(Duration::from_secs(23 * 3600));
    assert_eq!(bench.resume(parked.session()).status.name(), "parked", "there is time left");
    bench.clock.pass(Duration::from_secs(2 * 3600));
    let late = bench.answer(parked.session(), 0, "yes").err().unwrap();
    assert!(late.starts_with("q0 lapsed at "), "an answer after the deadline is refused: {late}");
    let ran = bench.resume(parked.session());
    assert_eq!(ran.completed(), json!({ "keep": "kept" }));
    assert_eq!(["deploy", "keep"].map(|n| bench.board.calls(n)), [0, 1]);
    assert_eq!(ran.report.escalations[0].state, Some("lapsed"));
}

#[test]
fn behaviour_37_without_a_default_an_approval_that_times_out_fails_its_step() {
    let bench = Bench::on_disk();
    let parked = bench.run(&graph(
        "
        nodes:
          approve: { ask: 'Deploy?', options: [yes, no], deadline: 1h }
          deploy: { tool: pay, args: { value: deployed }, after: approve }
          late: { gate: error.kind, after: { approve: failed } }
        output: late.output
        ",
    ));
    bench.clock.pass(Duration::from_secs(2 * 3600));
    assert_eq!(bench.resume(parked.session()).completed(), json!("unanswered"));
    assert_eq!(bench.board.calls("deploy"), 0);
}

#[test]
fn behaviour_37_a_call_with_words_from_outside_that_a_person_denies_is_not_made_and_the_agent_reads_why() {
    for (answer, calls) in [("deny", 0), ("allow", 1)] {
        let bench = Bench::on_disk();
        bench.script(
            "payer",
            "
            if view.turn == 0 { return #{ calls: [#{ tool: \"look\", args: #{} }] }; }
            if view.turn == 1 { return #{ calls: [#{ tool: \"pay\", args: #{ value: \"account17\" }, \"as\": \"p\" }] }; }
            #{ finish: #{ paid: view.results.get(\"p\", ()), refused: view.errors.get(\"p\", ()) } }
            ",
        );
        let parked = bench.run(
            "
            name: Team
            collaboration_pattern: graph
            tools: { look: { description: Looks, command: [echo, pay account17], effect: read, trusted: false } }
            member_agents: [{ agent: payer, role: payer }]
            nodes: { step: { agent: payer } }
            ",
        );
        assert_eq!(parked.status.name(), "parked");
        let question = parked.report.escalations[0].question.clone().unwrap_or_default();
        assert!(
            question.contains("its argument `value` has words from outside (\"account17\"), which came with a result of look"),
            "{question}"
        );
        let ran = bench.answer(parked.session(), 0, answer).unwrap();
        let expected = match answer {
            "deny" => json!({ "paid": null, "refused": { "kind": "denied", "message": "somebody denied the call" } }),
            _ => json!({ "paid": "account17", "refused": null }),
        };
        assert_eq!(ran.completed(), expected);
        assert_eq!(bench.board.calls("step"), calls);
    }
}

#[test]
fn behaviour_37_a_call_of_an_agent_that_a_person_denies_is_not_made_and_the_agent_reads_why() {
    for (answer, calls) in [("deny", 0), ("allow", 1)] {
        let bench = Bench::on_disk();
        bench.file("permit.rhai", "fn permit(facts) { if facts.tool == \"pay\" { \"ask\" } else { \"allow\" } }\n");
        bench.script(
            "payer",
            "
            if view.turn == 0 {
                #{ calls: [#{ tool: \"pay\", args: #{ value: \"paid\" }, \"as\": \"p\" }, #{ tool: \"say\", args: #{ value: 1 }, \"as\": \"s\" }] }
            } else {
                #{ finish: #{ paid: view.results.get(\"p\", ()), refused: view.errors.get(\"p\", ()), said: view.results.s } }
            }
            ",
        );
        let parked = bench.run(
            "
            name: Team
            collaboration_pattern: graph
            rules: [permit.rhai]
            member_agents: [{ agent: payer, role: payer }]
            nodes: { step: { agent: payer } }
            ",
        );
        assert_eq!(parked.status.name(), "parked");
        let ran = bench.answer(parked.session(), 0, answer).unwrap();
        let expected = match answer {
            "deny" => json!({ "paid": null, "refused": { "kind": "denied", "message": "somebody denied the call" }, "said": 1 }),
            _ => json!({ "paid": "paid", "refused": null, "said": 1 }),
        };
        assert_eq!(ran.completed(), expected);
        assert_eq!(bench.board.calls("step"), 1 + calls);
    }
}

#[test]
fn behaviour_36_on_the_command_line_an_answer_without_a_question_is_refused() {
    let bench = Bench::new();
    bench.file(
        "team.yaml",
        &graph(
            "
            nodes:
              price: { ask: 'Which price?', options: [low, high] }
              name: { ask: 'Which name?' }
            output: '[price.output.answer, name.output.answer]'
            ",
        ),
    );
    let parked = bench.synod(&["run", "team.yaml", "--json", "--quiet"]);
    assert_eq!(parked.code, Some(3), "{}", parked.stderr);
    let session = parked.json()["session"].as_str().unwrap().to_owned();
    let without = bench.synod(&["answer", &session, "low"]);
    assert_eq!(without.code, Some(2), "{}{}", without.stdout, without.stderr);
    let stranger = bench.synod(&["answer", &session, "low", "low"]);
    assert_eq!(stranger.code, Some(2));
    assert!(stranger.stderr.contains("low is no question's id"), "{}", stranger.stderr);
    let first = bench.synod(&["answer", &session, "q1", "Synod", "--json", "--quiet"]);
    assert_eq!(first.code, Some(3), "{}", first.stderr);
    let open = bench.synod(&["answer", &session, "--json"]);
    assert_eq!(open.json()[0]["ask"], json!("q0"), "the other question is shown again: {}", open.stdout);
    assert_eq!(open.json().as_array().unwrap().len(), 1);
    let last = bench.synod(&["answer", &session, "q0", "low", "--json", "--quiet"]);
    assert_eq!(last.code, Some(0), "{}", last.stderr);
    assert_eq!(last.json()["output"], json!(["low", "Synod"]));
}

#[test]
fn behaviour_37_an_answer_that_was_given_in_time_counts_even_if_it_is_read_after_the_deadline() {
    let bench = Bench::on_disk();
    let parked = bench.run(&graph(GUARDED));
    // Left by a process that died before it could take the session over.
    let item = InboxItem::Answer { ask: AskId(0), value: Value::text("yes"), by: "ann".into(), at: bench.clock.now() };
    bench.store().post(parked.session(), item).unwrap();
    bench.clock.pass(Duration::from_secs(48 * 3600));
    let ran = bench.resume(parked.session());
    assert_eq!(ran.completed(), json!({ "deploy": "deployed" }));
}
