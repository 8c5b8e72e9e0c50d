//! Does `synod test` say what a team does, and notice what it does not do? The shipped tests through the real program, and teams with a
//! known flaw.

mod common;

use std::{fs, path::Path};

use common::{json, synod};
use serde_json::Value as Json;

const REPO: &str = env!("CARGO_MANIFEST_DIR");

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("a file can be written");
    }
    folder
}

/// The exit code and what is said of the only case of a file.
#[track_caller]
fn case(folder: &Path, args: &[&str]) -> (i32, Json) {
    let (code, out, said) = synod(folder, &[&["test", "--json"], args].concat());
    let files = json(&out);
    let cases: Vec<&Json> = files.as_array().into_iter().flatten().flat_map(|file| file["cases"].as_array()).flatten().collect();
    assert_eq!(cases.len(), 1, "{out}\n{said}");
    (code, cases[0].clone())
}

fn texts(rows: &Json, key: &str) -> Vec<String> {
    rows.as_array().into_iter().flatten().map(|row| row[key].as_str().unwrap_or_default().to_owned()).collect()
}

const WORKER: &str = "name: Worker\nrole: worker\nmodel: gpt-4\nallowed_tools: ['*']\n";
const SUPPORT: &str = r#"
name: Support
collaboration_pattern: graph
member_agents: [{ agent: worker, role: triage }, { agent: worker, role: billing }]
tools:
  refund: { description: Gives money back., command: [sh, refund.sh, '{{ id }}'], parameters: { id: { type: string, description: which } } }
inputs: { ticket: string }
nodes:
  triage: { agent: triage, task: "Classify {{ input.ticket }}" }
  billing: { agent: billing, after: { triage: 'output.kind == "billing"' } }
  other: { gate: '"nobody"', after: { triage: else } }
  sure: { ask: "Refund?", options: ["yes", "no"], after: billing }
  pay: { tool: refund, args: { id: "7" }, after: { sure: 'output.answer == "yes"' } }
"#;
const REFUNDED: &str = r#"
team: support
cases:
  - name: a bill is refunded once a person agrees
    inputs: { ticket: "charged twice" }
    models:
      triage: [{ finish: { kind: billing } }]
      gpt-4: [{ calls: [{ tool: refund, args: { id: "3" } }], usage: { input: 100, output: 5, cost_usd: 0.01 } }, { finish: { amount: 12 } }]
    tools: { refund: [{ when: { id: "3" }, returns: checked }, { returns: { ok: true } }] }
    answers: { sure: "yes" }
    expect:
      output: { at: { /pay/ok: true } }
      nodes: { other: skipped, billing: { output: { is: { amount: 12.0 } } } }
      order: [[triage, billing, sure, pay]]
      calls: { refund: 2 }
      budget: { turns: 3, tokens: 105, cost_usd: 0.01 }
      escalations: 1
      never: { calls: [{ tool: refund, args: { id: "9" } }], nodes: [other] }
"#;

fn support() -> tempfile::TempDir {
    folder(&[("worker.yaml", WORKER), ("support.yaml", SUPPORT), ("support.test.yaml", REFUNDED)])
}

#[test]
fn the_tests_of_the_shipped_teams_pass() {
    let (code, out, said) = synod(Path::new(REPO), &["test", "graphs/teams"]);
    assert_eq!(code, 0, "{out}\n{said}");
    assert!(out.lines().filter(|line| line.starts_with("ok")).count() >= 6, "{out}");
}

#[test]
fn a_shipped_team_comes_to_the_same_wherever_it_is_killed_and_in_any_order() {
    let empty = folder(&[]);
    let (code, case) = case(empty.path(), &["change-review", "--filter", "another", "--kill-everywhere", "--shuffle", "4"]);
    assert_eq!((code, &case["passed"]), (0, &Json::Bool(true)), "{case}");
    assert!(case["kills"].as_u64() >= Some(30), "{case}");
}

#[test]
fn models_tools_and_people_are_stood_in_for_and_no_kill_repeats_what_is_done() {
    let (code, case) = case(support().path(), &["--kill-everywhere", "--shuffle", "2"]);
    assert_eq!((code, &case["unmet"], &case["troubles"]), (0, &Json::from(Vec::<Json>::new()), &Json::from(Vec::<Json>::new())));
    assert!(case["kills"].as_u64() >= Some(10), "{case}");
    // The refund cannot be taken back: killed while it is in flight, a person is asked.
    assert!(case["doubts"].as_u64() >= Some(2), "{case}");
}

#[test]
fn everything_that_is_not_as_expected_is_said_with_its_place() {
    let test = r#"
team: support
cases:
  - name: all wrong
    inputs: { ticket: hello }
    models: { triage: [{ finish: { kind: question } }] }
    expect:
      status: failed
      output: { contains: { pay: 1 }, matches: { required: [pay] }, at: { /other: somebody } }
      nodes: { pay: ok, other: skipped }
      order: [[triage, billing]]
      messages: [{ from: triage, contains: hi }]
      findings: [{ agent: triage }]
      decisions: [{ topic: culprit }]
      escalations: 1
      calls: { refund: 1 }
      budget: { turns: 0 }
      never: { nodes: [triage], messages: [{ type: response }] }
"#;
    let folder = folder(&[("worker.yaml", WORKER), ("support.yaml", SUPPORT), ("support.test.yaml", test)]);
    let (code, case) = case(folder.path(), &[]);
    assert_eq!(code, 1);
    let expected = [
        "status",
        "output",
        "output",
        "output/other",
        "nodes/pay",
        "nodes/other",
        "order/triage before billing",
        "messages/0",
        "findings/0",
        "decisions/0",
        "escalations",
        "calls/refund",
        "budget/turns",
        "never/messages",
        "never/nodes",
    ];
    assert_eq!(texts(&case["unmet"], "what"), expected, "{case}");
    let lines: Vec<u64> = case["unmet"].as_array().into_iter().flatten().filter_map(|row| row["line"].as_u64()).collect();
    assert_eq!(lines, [8, 9, 9, 9, 10, 10, 11, 12, 13, 14, 15, 16, 17, 18, 18]);
}

#[test]
fn nobody_asks_a_network_and_who_is_not_answered_for_is_named() {
    let test = REFUNDED.replace("gpt-4: [", "gpt-9: [");
    let folder = folder(&[("worker.yaml", WORKER), ("support.yaml", SUPPORT), ("support.test.yaml", &test)]);
    let (code, out, said) = synod(folder.path(), &["test"]);
    assert!(code == 2 && said.contains("no agent and no model `gpt-9`") && said.contains("did you mean `gpt-4`?"), "{out}{said}");
    let test = REFUNDED.replace("      gpt-4: [", "      billing/gpt: [").replace("billing/gpt", "triage/billing");
    fs::write(folder.path().join("support.test.yaml"), test).expect("a file can be written");
    let (code, case) = case(folder.path(), &[]);
    assert_eq!(code, 1);
    assert!(texts(&case["unmet"], "got")[0].contains("nobody for billing"), "{case}");
}

/// A tool that says it only reads, and counts.
const COUNTS: &str = r#"
name: Counts
collaboration_pattern: graph
tools:
  count: { description: Counts., command: [sh, -c, 'echo x >> count.log; wc -l < count.log'], effect: read }
nodes:
  first: { tool: count }
  second: { tool: count }
  both: { gate: "first.output.stdout + second.output.stdout", after: [first, second] }
  last: { ask: "Go on?", options: ["yes"], after: both }
output: both.output
"#;

#[test]
fn a_team_that_comes_to_something_else_after_a_kill_or_in_another_order_is_noticed() {
    let test = "team: counts\ncases:\n  - { name: it counts, answers: { last: \"yes\" }, expect: {} }\n";
    let folder = folder(&[("counts.yaml", COUNTS), ("counts.test.yaml", test)]);
    for args in [&["--kill-everywhere"][..], &["--shuffle", "2"]] {
        let (code, case) = case(folder.path(), args);
        assert_eq!((code, &case["passed"]), (1, &Json::Bool(false)), "{args:?}: {case}");
        let (what, again) = (texts(&case["troubles"], "what"), texts(&case["troubles"], "again"));
        assert!(what[0].contains("the report differs at /output"), "{args:?}: {case}");
        let again: Vec<&str> = again[0].split(' ').collect();
        let (code, _) = self::case(folder.path(), &again);
        assert_eq!(code, 1, "it happens again with {again:?}");
    }
}

#[test]
fn junit_has_each_case_with_its_failure_and_a_filter_that_meets_nothing_is_said() {
    let folder = support();
    let broken = "team: support\ncases:\n  - { name: \"it < fails & \\\"quotes\\\"\", inputs: { ticket: x }, models: { \"*\": [{ finish: { kind: x } }] }, expect: { output: 5 } }\n";
    fs::write(folder.path().join("a.test.yaml"), broken).expect("a file can be written");
    let (code, out, said) = synod(folder.path(), &["test", "--junit", "report.xml"]);
    assert_eq!(code, 1, "{out}{said}");
    assert!(out.contains("FAIL  a.test.yaml: it < fails") && out.contains("expected  5"), "{out}");
    let junit = fs::read_to_string(folder.path().join("report.xml")).expect("it is written");
    for part in [
        "<testsuite name=\"a.test.yaml\" tests=\"1\" failures=\"1\" errors=\"0\"",
        "name=\"it &lt; fails &amp; &quot;quotes&quot;\"",
        "<failure message=\"output: expected 5, got",
        "<testsuite name=\"support.test.yaml\" tests=\"1\" failures=\"0\" errors=\"0\"",
    ] {
        assert!(junit.contains(part), "{part} in {junit}");
    }
    let (code, _, said) = synod(folder.path(), &["test", "--filter", "nothing has this"]);
    assert!(code == 2 && said.contains("no case has that in its name"), "{code} {said}");
    let (code, out, said) = synod(folder.path(), &["test", "--junit", "missing/report.xml"]);
    assert!(code == 2 && out.is_empty() && said.contains("--junit missing/report.xml"), "before anything runs: {out}{said}");
}

#[test]
fn check_reads_tests_too() {
    let folder = support();
    let (code, _, said) = synod(folder.path(), &["check", "."]);
    assert!(code == 0 && said.contains("3 files checked"), "{code} {said}");
    let test = REFUNDED.replace("ticket:", "tickt:");
    fs::write(folder.path().join("support.test.yaml"), test).expect("a file can be written");
    let (code, out, said) = synod(folder.path(), &["check", "support.test.yaml", "--json"]);
    let found = json(&out);
    assert!(code == 2 && texts(&found, "message") == ["the team has no input `tickt`"], "{out}{said}");
    assert_eq!((found[0]["line"].as_u64(), found[0]["help"].as_str()), (Some(5), Some("did you mean `ticket`?")));
}

/// Two agents at once, who use a tool before they finish.
const PAIR: &str = r#"
name: Pair
collaboration_pattern: graph
member_agents: [{ agent: worker, role: a }, { agent: worker, role: b }]
tools:
  look: { description: Looks., command: ["true"], effect: read }
nodes:
  a: { agent: a }
  b: { agent: b }
  both: { gate: '#{ a: a.output, b: b.output }', after: [a, b] }
output: both.output
"#;

#[test]
fn agents_that_share_replies_or_results_each_begin_with_the_first_whoever_is_faster() {
    let test = r#"
team: pair
cases:
  - name: shared
    models: { gpt-4: [{ calls: [{ tool: look }] }, { calls: [{ tool: look }] }, { finish: { n: 3 } }] }
    tools: { look: [{ returns: 1 }, { returns: 2, takes: 5ms }] }
    expect: { output: { is: { a: { n: 3 }, b: { n: 3 } } }, budget: { turns: 6 }, calls: { look: 4 } }
"#;
    let folder = folder(&[("worker.yaml", WORKER), ("pair.yaml", PAIR), ("pair.test.yaml", test)]);
    let (code, case) = case(folder.path(), &["--shuffle", "6", "--kill-everywhere"]);
    assert_eq!((code, &case["unmet"], &case["troubles"]), (0, &Json::from(Vec::<Json>::new()), &Json::from(Vec::<Json>::new())));
}

/// A team whose only tools leave a trace.
const FIRES: &str = r#"
name: Fires
collaboration_pattern: graph
tools:
  fire: { description: Fires., command: [sh, -c, 'echo x >> fired.log'], effect: irreversible }
http: { hosts: ['*.example.com'] }
nodes:
  a: { tool: fire }
  b: { gate: '"done"', after: { a: done } }
output: b.output
"#;

#[test]
fn what_cannot_be_taken_back_is_only_done_where_the_case_says_so() {
    let test = "team: fires\ncases:\n  - { name: f, expect: { output: done } }\n";
    let folder = folder(&[("fires.yaml", FIRES), ("fires.test.yaml", test)]);
    let log = folder.path().join("fired.log");
    let write = |test: &str| fs::write(folder.path().join("fires.test.yaml"), test).expect("a file can be written");
    let (code, out) = case(folder.path(), &[]);
    assert_eq!((code, texts(&out["unmet"], "what")), (1, vec!["tools".to_owned()]), "{out}");
    assert!(!log.exists() && texts(&out["unmet"], "expected")[0].starts_with("fire in `tools`"), "{out}");
    write(&test.replace("name: f,", "name: f, tools: { fire: { returns: 1 } },"));
    assert_eq!(case(folder.path(), &[]).0, 0);
    assert!(!log.exists());
    write(&test.replace("name: f,", "name: f, real: [fire],"));
    assert_eq!(case(folder.path(), &[]).0, 0);
    assert!(log.exists());
    let get = "{ tool: http, args: { method: GET, url: \"http://a.example.com/\" } }";
    fs::write(folder.path().join("fires.yaml"), FIRES.replace("{ tool: fire }", get)).expect("a file can be written");
    write(test);
    let (code, out) = case(folder.path(), &[]);
    assert_eq!((code, texts(&out["unmet"], "what")), (1, vec!["tools".to_owned()]), "a read over the network too: {out}");
}

#[test]
fn names_that_the_team_does_not_have_are_mistakes_with_the_nearest_one() {
    let test = REFUNDED
        .replace("tools: { refund:", "tools: { refnd:")
        .replace("answers: { sure:", "answers: { suer:")
        .replace("calls: { refund: 2 }", "calls: { refunds: 2 }")
        .replace("calls: [{ tool: refund, args: { id: \"9\" } }], nodes: [other]", "calls: [refundd], nodes: [othr]")
        .replace("nodes: { other: skipped", "nodes: { others: skipped")
        .replace("[[triage, billing, sure, pay]]", "[[triag, billing]]")
        .replace("    models:", "    real: [rfund]\n    models:");
    let folder = folder(&[("worker.yaml", WORKER), ("support.yaml", SUPPORT), ("support.test.yaml", &test)]);
    let (code, out, said) = synod(folder.path(), &["check", "support.test.yaml", "--json"]);
    let found = json(&out);
    let mut wrong: Vec<(String, String)> = texts(&found, "message").into_iter().zip(texts(&found, "help")).collect();
    wrong.sort();
    let expected = [
        ("node `others`", "other"),
        ("node `othr`", "other"),
        ("node `suer`", "sure"),
        ("node `triag`", "triage"),
        ("tool `refnd`", "refund"),
        ("tool `refundd`", "refund"),
        ("tool `refunds`", "refund"),
        ("tool `rfund`", "refund"),
    ];
    let expected = expected.map(|(what, near)| (format!("the team has no {what}"), format!("did you mean `{near}`?")));
    assert_eq!((code, wrong), (2, expected.to_vec()), "{said}");
}

#[test]
fn an_expectation_that_every_run_meets_is_refused_and_an_empty_list_means_none() {
    let refused = |expect: &str, what: &str| {
        let test = format!("team: support\ncases:\n  - {{ name: x, inputs: {{ ticket: x }}, expect: {expect} }}\n");
        let folder = folder(&[("worker.yaml", WORKER), ("support.yaml", SUPPORT), ("support.test.yaml", &test)]);
        let (code, _, said) = synod(folder.path(), &["check", "support.test.yaml"]);
        assert!(code == 2 && said.contains(what), "{expect}: {code} {said}");
    };
    refused("{ output: {} }", "an empty map expects nothing");
    refused("{ output: { at: {} } }", "it expects nothing of the value");
    refused("{ nodes: { pay: {} } }", "an empty map expects nothing");
    refused("{ order: [[pay]] }", "a chain of fewer than two nodes");
    refused("{ output: { at: { pay: 1 } } }", "write `/pay`");
    refused("{ output: { matches: { type: objct } } }", "`matches` is no JSON Schema");
    let test = REFUNDED
        .replace("      escalations: 1\n", "      escalations: []\n      messages: []\n      findings: []\n      decisions: []\n")
        .replace("[[triage, billing, sure, pay]]", "[[triage, other]]");
    let folder = folder(&[("worker.yaml", WORKER), ("support.yaml", SUPPORT), ("support.test.yaml", &test)]);
    let (code, case) = case(folder.path(), &[]);
    let unmet = texts(&case["unmet"], "what");
    assert!(code == 1 && unmet.contains(&"escalations".to_owned()), "{case}");
    assert!(unmet.contains(&"order/triage before other".to_owned()), "what is skipped never began: {case}");
    let ended = REFUNDED.replace("[[triage, billing, sure, pay]]", "[[other, pay]]");
    fs::write(folder.path().join("support.test.yaml"), ended).expect("a file can be written");
    let (code, case) = self::case(folder.path(), &[]);
    assert_eq!((code, texts(&case["unmet"], "what")), (1, vec!["order/other before pay".to_owned()]), "nor did it end: {case}");
}

/// A plan that says that the order of arrival matters.
const RACE: &str = r#"
name: Race
collaboration_pattern: graph
member_agents: [{ agent: worker, role: a }, { agent: worker, role: b }]
nodes:
  a: { agent: a }
  b: { agent: b }
  first: { gate: 'if a.output != () { "safe" } else { "UNSAFE" }', after: [a, b], join: any }
output: first.output
"#;

#[test]
fn under_pressure_all_must_be_as_expected_too_and_a_kill_must_happen() {
    let test = r#"
team: race
cases:
  - name: it is safe
    models: { a: [{ finish: { n: 1 } }], b: [{ finish: { n: 2 }, takes: 3ms }] }
    expect: { output: safe }
"#;
    let folder = folder(&[("worker.yaml", WORKER), ("race.yaml", RACE), ("race.test.yaml", test)]);
    let (code, out) = case(folder.path(), &["--shuffle", "12"]);
    let what = texts(&out["troubles"], "what");
    assert!(code == 1 && what[0].contains("output is not as expected") && what[0].contains("UNSAFE"), "{out}");
    let (code, out) = case(folder.path(), &["--kill-at", "5000"]);
    assert!(code == 1 && texts(&out["troubles"], "what")[0].contains("nothing was killed: the run has only"), "{out}");
}

#[test]
fn how_long_a_command_took_is_no_difference_between_runs() {
    let team = "name: One\ncollaboration_pattern: graph\ntools:\n  say: { description: Says., command: [sh, -c, 'sleep 0.0$(($$ % 10))'], effect: read }\n\
                nodes:\n  a: { tool: say }\n";
    let folder = folder(&[("one.yaml", team), ("one.test.yaml", "team: one\ncases:\n  - { name: says, expect: {} }\n")]);
    let (code, out) = case(folder.path(), &["--shuffle", "8"]);
    assert_eq!((code, &out["passed"]), (0, &Json::Bool(true)), "{out}");
}

#[test]
fn mistakes_of_a_case_are_said_where_the_case_has_them() {
    let folder = support();
    let run = |test: &str| {
        fs::write(folder.path().join("support.test.yaml"), test).expect("a file can be written");
        synod(folder.path(), &["test", "support.test.yaml"])
    };
    let (code, _, said) = run("team: support\ncases: []\n");
    assert!(code == 2 && said.contains("there is no case in support.test.yaml"), "{said}");
    let (code, _, said) = run(&REFUNDED.replace("    models:", "    set: [nobody.model=gpt-4]\n    models:"));
    assert!(code == 2 && said.contains("support.test.yaml:6:") && !said.contains("--set:1"), "{said}");
    let (code, out, _) = run(&REFUNDED.replace("sure: \"yes\"", "sure: maybe"));
    assert!(code == 1 && out.contains("the answer to sure") && out.contains("takes one of yes, no"), "{out}");
    // A second case comes to its end, whatever happens to the first.
    let two = "team: pair\ncases:\n  - { name: it's 1, models: { \"*\": [{ finish: 1 }] }, expect: { output: { at: { /a: 2 } } } }\n  - { name: it's 12, expect: { status: failed } }\n";
    fs::write(folder.path().join("pair.yaml"), PAIR).expect("a file can be written");
    fs::write(folder.path().join("pair.test.yaml"), two).expect("a file can be written");
    let (_, out, _) = synod(folder.path(), &["test", "pair.test.yaml", "--filter", "it's 1"]);
    assert_eq!(out.matches("FAIL").count(), 1, "a whole name is that case alone: {out}");
    let broken = "name: B\ncollaboration_pattern: graph\ntools:\n  fire: { command: [sh] }\nnodes:\n  a: { tool: fire }\n";
    fs::write(folder.path().join("broken.yaml"), broken).expect("a file can be written");
    let test = "team: broken\ncases:\n  - { name: f, tools: { fire: { returns: 1 } }, expect: {} }\n";
    fs::write(folder.path().join("broken.test.yaml"), test).expect("a file can be written");
    let (code, _, said) = synod(folder.path(), &["test", "broken.test.yaml"]);
    assert!(code == 2 && said.contains("description") && !said.contains("another tool"), "{said}");
}

#[test]
fn more_cases_than_a_file_may_have_are_a_mistake() {
    let cases: String =
        (0..=1_000).map(|n| format!("  - {{ name: case {n}, inputs: {{ ticket: x }}, expect: {{}} }}\n")).collect();
    let folder = support();
    fs::write(folder.path().join("support.test.yaml"), format!("team: support\ncases:\n{cases}")).expect("a file can be written");
    let (code, _, said) = synod(folder.path(), &["check", "support.test.yaml"]);
    assert!(code == 2 && said.contains("the file has 1001 cases, more than the 1000 allowed"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_link_is_searched_as_what_it_leads_to_and_one_that_leads_nowhere_is_said() {
    let folder = support();
    fs::rename(folder.path().join("support.test.yaml"), folder.path().join("elsewhere")).expect("it can be moved");
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, folder.path().join(name)).expect("a link can be made");
    link("elsewhere", "here.test.yaml");
    let (code, out, said) = synod(folder.path(), &["test", "."]);
    assert!(code == 0 && out.starts_with("ok    here.test.yaml"), "{code} {out}{said}");
    link("nothing", "gone.test.yaml");
    let (code, _, said) = synod(folder.path(), &["test", "."]);
    assert!(code == 2 && said.contains("gone.test.yaml"), "{code} {said}");
}
