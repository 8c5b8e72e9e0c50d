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
      nodes: { pay: ok, billin: ok }
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
        "nodes/billin",
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
    assert!(texts(&case["unmet"], "got")[5].contains("did you mean `billing`?"), "{case}");
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
