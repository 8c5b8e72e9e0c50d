//! Does the binary keep its contracts: JSON on stdout, the rest on stderr, exit codes that scripts rely on?

mod common;

use std::{fs, path::Path, process::Command};

use common::{json, synod};
use serde_json::Value as Json;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("a file can be written");
    }
    folder
}

const ASKS: &str = r#"
name: Release
collaboration_pattern: graph
nodes:
  decide: { ask: "Ship it?", options: ["yes", "no"], deadline: 2h }
  ship: { gate: '"shipped"', after: { decide: 'output.answer == "yes"' } }
  hold: { gate: '"held"', after: { decide: else } }
output: 'if ship.output == () { hold.output } else { ship.output }'
"#;

#[test]
fn a_question_parks_the_session_and_its_answer_ends_it() {
    let folder = folder(&[("release.yaml", ASKS)]);
    let (code, out, _) = synod(folder.path(), &["run", "release.yaml", "--json"]);
    let report = json(&out);
    assert_eq!((code, report["status"].as_str()), (3, Some("parked")), "{out}");
    let session = report["session"].as_str().expect("a session has an id");
    let (_, page, _) = synod(folder.path(), &["report", session]);
    assert!(page.contains("| one after another | 0.0 ms"), "the sum of nothing has no sign: {page}");
    let (code, _, said) = synod(folder.path(), &["answer", session, "q0", "maybe"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("yes, no"), "a wrong answer is told the right ones: {said}");
    let (code, _, said) = synod(folder.path(), &["answer", session, "q7", "yes"]);
    assert!(code == 2 && said.contains("q0"), "an unknown question is told the open ones: {said}");
    let (code, out, said) = synod(folder.path(), &["answer", session, "q0", "no", "--json"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(json(&out)["output"], "held");
    let (code, out, _) = synod(folder.path(), &["resume", session, "--json"]);
    assert_eq!((code, json(&out)["output"].as_str()), (0, Some("held")), "a session that is over gives its result again");
}

#[test]
fn what_is_kept_for_the_synthesis_and_what_is_left_of_a_limit_is_shown_in_words_and_as_json() {
    let agent = |role: &str, model: &str| format!("name: A\nrole: {role}\nmodel: {model}\n");
    let team =
        "name: T\ncollaboration_pattern: coordinator_worker\ncoordinator: lead\nmember_agents: [{ agent: one, role: one }]\n";
    let (lead, one) = (agent("coordinator", "gpt-4.1"), agent("worker", "gpt-4o-mini"));
    let limited = format!("{team}limits: {{ tokens: 100000, cost_usd: 2.0 }}\n");
    let gate = "name: G\ncollaboration_pattern: graph\nnodes: { a: { gate: '1' } }\nlimits: { tokens: 1000 }\n";
    let folder = folder(&[("lead.yaml", &lead), ("one.yaml", &one), ("team.yaml", &limited), ("gate.yaml", gate)]);
    let (code, page, said) = synod(folder.path(), &["plan", "team.yaml"]);
    assert_eq!(code, 0, "{said}");
    assert!(page.contains("kept for the synthesis: 10,000 tokens, $0.2000 (10% of the limit)"), "{page}");
    let (_, plan, _) = synod(folder.path(), &["plan", "team.yaml", "--json"]);
    let kept = serde_json::json!({ "percent": 10, "tokens": 10000, "cost_usd": 0.2 });
    assert_eq!(json(&plan)["kept_for_synthesis"], kept);
    let (_, plan, _) = synod(folder.path(), &["plan", "gate.yaml", "--json"]);
    assert_eq!(json(&plan)["kept_for_synthesis"], Json::Null, "nobody synthesizes");

    let (_, report, _) = synod(folder.path(), &["run", "gate.yaml", "--json"]);
    let session = json(&report)["session"].as_str().expect("a session has an id").to_owned();
    let (_, page, _) = synod(folder.path(), &["show", &session]);
    assert!(page.contains("budget of session, tokens: 0 spent, 0 reserved, 1000 left of 1000"), "{page}");
    let (_, rows, _) = synod(folder.path(), &["show", &session, "--json"]);
    let rows = json(&rows);
    let (last, others) = rows.as_array().and_then(|rows| rows.split_last()).expect("there are records");
    assert_eq!((&last["budget"][0]["limit"], &last["budget"][0]["left"]), (&"tokens".into(), &1000.into()));
    assert!(others.iter().all(|row| row.get("budget").is_none()), "it stands once");
}

#[test]
fn a_parked_session_can_be_cancelled() {
    let folder = folder(&[("release.yaml", ASKS)]);
    let (_, out, _) = synod(folder.path(), &["run", "release.yaml", "--json"]);
    let report = json(&out);
    let session = report["session"].as_str().expect("a session has an id");
    let (code, _, said) = synod(folder.path(), &["cancel", session, "--reason", "not today"]);
    assert_eq!(code, 0, "{said}");
    let (_, out, _) = synod(folder.path(), &["sessions", "--json"]);
    assert_eq!(json(&out)[0]["status"], "cancelled");
}

#[test]
fn mistakes_are_listed_all_at_once_and_exit_with_2() {
    let folder = folder(&[("bad.yaml", "name: Bad\ncollaboration_pattern: graf\nnodes:\n  a: { gate: '1 +', aftr: b }\n")]);
    let (code, out, _) = synod(folder.path(), &["check", "bad.yaml", "--json"]);
    let found = json(&out);
    let found = found.as_array().expect("a list");
    assert_eq!(code, 2);
    assert!(found.len() >= 2, "{out}");
    for diagnostic in found {
        for key in ["file", "line", "column", "severity", "code", "message", "help"] {
            assert!(diagnostic.get(key).is_some(), "{key} is missing in {diagnostic}");
        }
    }
    let (code, out, said) = synod(folder.path(), &["run", "bad.yaml", "--json"]);
    assert_eq!((code, out.as_str()), (2, ""), "{said}");
    assert!(said.contains("did you mean"), "{said}");
}

#[test]
fn what_does_not_exist_is_named() {
    let folder = folder(&[]);
    let (code, _, said) = synod(folder.path(), &["run", "nowhere.yaml"]);
    assert!(code == 2 && said.contains("nowhere.yaml"), "{code} {said}");
    let (code, _, said) = synod(folder.path(), &["report", "ffff"]);
    assert!(code == 2 && said.contains("ffff"), "{code} {said}");
    let (code, _, said) = synod(folder.path(), &["run", "incident-response", "--input", "dta=x"]);
    assert!(code == 2 && said.contains("data"), "{code} {said}");
    let (code, _, said) = synod(folder.path(), &["run", "incident-response", "--input", "data=missing"]);
    assert!(code == 2 && said.contains("missing"), "{code} {said}");
}

#[test]
fn every_shipped_team_checks_plans_and_expands_to_the_same_plan() {
    let folder = folder(&[]);
    let teams = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("graphs/teams")).expect("there are teams");
    let mut seen = 0;
    for team in teams {
        let path = team.expect("a readable folder").path();
        let name = path.file_stem().and_then(|n| n.to_str()).expect("a name").to_owned();
        if name.ends_with(".test") {
            continue;
        }
        let (code, _, said) = synod(folder.path(), &["check", &name]);
        assert_eq!(code, 0, "{name}: {said}");
        let (code, plan, said) = synod(folder.path(), &["plan", &name, "--json"]);
        assert_eq!(code, 0, "{name}: {said}");
        let plan = json(&plan);
        for key in ["nodes", "edges", "bounds", "permissions", "lints"] {
            assert!(plan.get(key).is_some(), "{name}: {key} is missing");
        }
        let (code, spelled, said) = synod(folder.path(), &["plan", &name, "--expand"]);
        assert_eq!(code, 0, "{name}: {said}");
        fs::write(folder.path().join("spelled.yaml"), &spelled).expect("a file can be written");
        let (code, again, said) = synod(folder.path(), &["plan", "spelled.yaml", "--json"]);
        assert_eq!(code, 0, "{name}: {said}\n{spelled}");
        let again = json(&again);
        assert_eq!(
            (&again["nodes"], &again["edges"], &again["bounds"]),
            (&plan["nodes"], &plan["edges"], &plan["bounds"]),
            "{name}"
        );
        seen += 1;
    }
    assert!(seen >= 3, "only {seen} teams are shipped");
}

#[test]
fn a_team_that_init_copied_runs_from_its_own_files() {
    let folder = folder(&[]);
    let (code, out, said) = synod(folder.path(), &["init", "mine"]);
    assert_eq!(code, 0, "{said}");
    assert!(out.contains("synod run"), "{out}");
    let mine = folder.path().join("mine");
    let (code, _, said) = synod(&mine, &["check", "incident-response.yaml"]);
    assert_eq!(code, 0, "{said}");
    fs::remove_file(mine.join("scripts/agents/logs.rhai")).expect("the script was copied");
    fs::write(mine.join("scripts/agents/logs.rhai"), "fn turn(view) { nonsense( }").expect("a file can be written");
    let (code, _, said) = synod(&mine, &["check", "incident-response.yaml"]);
    assert!(code == 2 && said.contains("logs.rhai"), "the copied script is the one that counts: {said}");
    let (code, _, said) = synod(folder.path(), &["init", "mine"]);
    assert!(code == 2 && said.contains("--force"), "files are not overwritten: {said}");
}

#[test]
fn rules_are_tested_and_explained() {
    let folder = folder(&[("r.rhai", "fn test_one() { assert(1 == 1); }\nfn test_two() { assert(1 == 2, \"no\"); }\n")]);
    let (code, out, _) = synod(folder.path(), &["rules", "test", "r.rhai", "--json"]);
    let rows = json(&out);
    assert_eq!((code, rows[0]["passed"].as_bool(), rows[1]["passed"].as_bool()), (1, Some(true), Some(false)), "{out}");
    let (code, out, said) = synod(folder.path(), &["rules", "test", "incident-response"]);
    assert_eq!(code, 0, "{out}{said}");
    let (code, out, _) = synod(folder.path(), &["rules", "facts", "turn"]);
    assert!(code == 0 && out.contains("fn turn(view)") && out.contains("\"knowledge\": ["), "{out}");
    let (code, out, _) = synod(folder.path(), &["rules", "facts", "settle", "--json"]);
    assert!(code == 0 && json(&out)[0]["sample"]["positions"].is_array(), "{out}");
}

#[test]
fn agents_are_found_by_skill_and_schemas_and_completions_print() {
    let folder = folder(&[]);
    let (code, out, _) = synod(folder.path(), &["agents", "--json"]);
    assert_eq!(code, 0);
    let all = json(&out).as_array().map_or(0, Vec::len);
    let (_, out, _) = synod(folder.path(), &["agents", "gdpr", "--json"]);
    let some = json(&out).as_array().map_or(0, Vec::len);
    assert!(some > 0 && some < all, "{some} of {all}");
    for kind in ["team", "profile"] {
        let (code, out, _) = synod(folder.path(), &["schema", kind]);
        assert!(code == 0 && json(&out)["properties"].is_object());
    }
    let (code, out, _) = synod(folder.path(), &["completions", "bash"]);
    assert!(code == 0 && out.contains("synod"));
}

#[test]
fn check_reports_what_is_wrong_in_all_files_and_stages_at_once_and_nothing_that_follows() {
    let team = "name: T\ncollaboration_pattern: graph\ncoordinatr: x\nmember_agents:\n\
        \x20 - { agent: a, role: a }\n  - { agent: b, role: b }\n  - { agent: c, role: c }\n\
        rules: [r.rhai, gone.rhai]\nlimits: { turns: many }\nnodes:\n\
        \x20 one: { agent: a, task: \"Do {{ inpt.x }}\" }\n\
        \x20 two: { agent: zz, after: { one: 'otput == 1' } }\n\
        \x20 three: { gate: \"two.output +\", after: two }\n\
        \x20 four: { rule: elsewhere, after: three }\n\
        \x20 five: { gaet: \"1\", after: four }\n\
        output: '[five.output, b.output]'\n";
    let profile = "role: worker\nsystem_prompt: x\nname: ";
    let folder = folder(&[
        ("t.yaml", team),
        ("a.yaml", &format!("{profile}A\nmodel: claude-sonnet-4\nsytem: x\n")),
        ("b.yaml", "name: B\nrole: [worker\n"),
        ("c.yaml", &format!("{profile}C\nmodel: script:c.rhai\n")),
        ("c.rhai", "fn turn(view) { frob(view) }\n"),
        ("r.rhai", "fn settle(facts) { frob(facts) }\n"),
    ]);
    let (code, out, _) = synod(folder.path(), &["check", "t.yaml", "--json"]);
    let found: Vec<String> = json(&out)
        .as_array()
        .expect("a list")
        .iter()
        // Which keys are missing is the machine's matter.
        .filter(|d| d["severity"] == "error")
        .map(|d| format!("{}:{} {}", d["file"].as_str().unwrap_or_default(), d["line"], d["code"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(code, 2);
    let expected = [
        "a.yaml:5 unknown-key",
        "b.yaml:2 syntax",
        "c.rhai:1 bad-script",
        "r.rhai:1 bad-rule",
        "t.yaml:3 unknown-key",
        "t.yaml:8 missing-reference",
        "t.yaml:9 wrong-type",
        "t.yaml:11 unknown-name",
        "t.yaml:12 unknown-role",
        "t.yaml:12 unknown-name",
        "t.yaml:13 bad-expression",
        "t.yaml:15 unknown-key",
        "t.yaml:16 unknown-name",
    ];
    assert_eq!(found, expected, "{out}");
}

#[test]
fn check_finds_typos_in_expressions_before_a_run_does() {
    let team = "name: T\ncollaboration_pattern: graph\ninputs: { many: { type: integer, default: 3 } }\nnodes:\n\
        \x20 one: { ask: \"Which of {{ input.mny }}?\" }\n\
        \x20 two: { gate: \"one.otput.answer\", after: { one: \"outptu.answer == 1\" } }\n\
        \x20 three: { gate: \"input.may\", after: { one: \"output = 1\" } }\n\
        \x20 four: { gate: \"input.many.size\", after: { one: \"one.status\" } }\n\
        \x20 five: { gate: \"let n = 0; n = input.many; [n].map(|x| x + input.many)\", after: one }\n\
        output: '[two.output, three.output, four.output, five.output]'\n";
    let folder = folder(&[("t.yaml", team)]);
    let (code, out, _) = synod(folder.path(), &["check", "t.yaml", "--json"]);
    let found: Vec<String> = json(&out)
        .as_array()
        .expect("a list")
        .iter()
        .map(|d| {
            let text = |key: &str| d[key].as_str().unwrap_or_default();
            format!("{}:{} {}: {}; {}", d["line"], d["column"], text("severity"), text("message"), text("help"))
        })
        .collect();
    assert_eq!(code, 2);
    let expected = [
        "5:34 error: the team has no input `mny`; did you mean `many`?",
        "6:21 error: the node `one` has no `otput`; did you mean `output`?",
        "6:51 error: `outptu` is neither a node nor anything else that is known here; did you mean `output`?",
        "7:25 error: the team has no input `may`; did you mean `many`?",
        "7:46 error: this expression does not compile: it assigns to `output`, which an expression cannot change; `==` compares; ",
        "8:29 warning: this expression fails on sample facts: no property `size` in `integer`; ",
        "8:51 warning: a condition is true or false; this is on sample facts a text; ",
    ];
    assert_eq!(found, expected, "{out}");
}

#[test]
fn a_folder_input_must_be_a_folder_before_a_run_starts() {
    let team = "name: T\ncollaboration_pattern: graph\ninputs: { data: { type: folder }, log: { type: file, default: log.txt } }\n\
        nodes: { one: { gate: '1' } }\n";
    let folder = folder(&[("t.yaml", team), ("log.txt", "x")]);
    fs::create_dir(folder.path().join("empty")).expect("a folder can be made");
    fs::create_dir(folder.path().join("full")).expect("a folder can be made");
    fs::write(folder.path().join("full/a.log"), "x").expect("a file can be written");
    let run = |inputs: &[&str]| {
        let pairs = inputs.iter().flat_map(|input| ["--input", input]);
        let (code, out, said) = synod(folder.path(), &["run", "t.yaml"].into_iter().chain(pairs).collect::<Vec<_>>());
        assert!(code == 0 || out.is_empty(), "nothing starts: {out}");
        (code, said)
    };
    for (inputs, told) in [
        (&["data=nowhere"][..], "the input data: nowhere cannot be opened"),
        (&["data=log.txt"], "the input data: log.txt is a file, and a folder is wanted"),
        (&["data=empty"], "the input data: the folder empty has nothing in it"),
        (&["data="], "the input data is empty"),
        (&["data=full", "log=full"], "the input log: full is a folder, and a file is wanted"),
    ] {
        let (code, said) = run(inputs);
        assert!(code == 2 && said.contains(told), "{inputs:?}: {code} {said}");
    }
    assert_eq!(run(&["data=full"]).0, 0);
}

#[test]
fn what_a_script_agent_sees_is_documented_beside_the_rules() {
    let folder = folder(&[]);
    let (code, out, _) = synod(folder.path(), &["rules", "facts", "--json"]);
    let names: Vec<Json> = json(&out).as_array().expect("a list").iter().map(|page| page["function"].clone()).collect();
    assert_eq!(code, 0);
    assert_eq!(names, ["route", "handoff", "settle", "escalate", "permit", "reconcile", "merge", "turn"]);
    let (_, out, _) = synod(folder.path(), &["rules", "facts", "turn"]);
    assert!(out.contains("view.turns_left") && out.contains("\"turns_left\": 8"), "{out}");
}

#[test]
fn an_expanded_team_is_written_whole_or_not_at_all() {
    let folder = folder(&[("release.yaml", ASKS), ("empty.yaml", ""), ("kept.yaml", "kept")]);
    let (code, out, said) = synod(folder.path(), &["plan", "release.yaml", "--expand", "--out", "release.yaml"]);
    assert_eq!((code, out.as_str()), (0, ""), "{said}");
    let (code, ..) = synod(folder.path(), &["check", "release.yaml"]);
    assert_eq!(code, 0, "what it wrote over its own file is a team");
    let (code, _, said) = synod(folder.path(), &["plan", "empty.yaml", "--expand", "--out", "kept.yaml"]);
    assert!(code == 2 && said.contains("--out FILE"), "{said}");
    assert_eq!(fs::read_to_string(folder.path().join("kept.yaml")).expect("it is there"), "kept");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 3, "nothing is left behind");
}

#[test]
fn messages_of_somebody_who_is_not_there_are_an_error() {
    let folder = folder(&[("t.yaml", ASKS)]);
    let (_, out, _) = synod(folder.path(), &["run", "t.yaml", "--json"]);
    let report = json(&out);
    let session = report["session"].as_str().expect("a session has an id");
    for flag in ["--from", "--to"] {
        let (code, _, said) = synod(folder.path(), &["messages", session, flag, "nobody"]);
        assert!(code == 2 && said.contains("nobody in the session is called that"), "{said}");
    }
    let (code, _, said) = synod(folder.path(), &["messages", session, "--type", "qestion"]);
    assert!(code == 2 && said.contains("did you mean `question`?"), "{said}");
    let (code, _, said) = synod(folder.path(), &["messages", session, "--since", "yesterday"]);
    assert!(code == 2 && said.contains("2026-01-05T14:30:00Z"), "{said}");
    let (_, _, said) = synod(folder.path(), &["check", "t.yaml"]);
    assert!(said.contains("1 file checked: 0 errors, 0 warnings"), "{said}");
}

/// `a` writes to `b`, `c` and to all; `b` and `d` come after it, `c` has ended by then.
const TALKS: &str = r#"
name: Talk
collaboration_pattern: graph
member_agents: [{ agent: talks, role: a, writes: x }, { agent: works, role: b }, { agent: works, role: c }, { agent: works, role: d }]
nodes:
  c: { agent: c }
  a: { agent: a, after: c }
  b: { agent: b, after: a }
  d: { agent: d, after: a }
"#;
const TALKER: &str = r#"fn turn(view) {
    if view.turn > 0 { return #{ finish: "said" }; }
    #{ calls: [
        #{ tool: "send_message", args: #{ to: "b", content: "for b", "private": true } },
        #{ tool: "send_message", args: #{ to: "c", content: "too late" } },
        #{ tool: "broadcast_finding", args: #{ topic: "t", claim: "so it is", value: 7, confidence: 0.9 } },
        #{ tool: "set_variable", args: #{ variable: "x", value: 1 } },
        #{ tool: "send_message", args: #{ to: "all", content: "for all; \"really\" #1" } },
    ] }
}"#;

/// A folder where the team has run, and its session.
fn talked() -> (tempfile::TempDir, String) {
    let agent = |model: &str| format!("name: A\nrole: worker\nmodel: script:{model}.rhai\n");
    let (talks, works) = (agent("talks"), agent("works"));
    let folder = folder(&[
        ("t.yaml", TALKS),
        ("talks.yaml", &talks),
        ("works.yaml", &works),
        ("talks.rhai", TALKER),
        ("works.rhai", "fn turn(view) { #{ finish: \"done\" } }"),
    ]);
    let (code, out, said) = synod(folder.path(), &["run", "t.yaml", "--json"]);
    assert_eq!(code, 0, "{said}");
    let session = json(&out)["session"].as_str().expect("a session has an id").to_owned();
    (folder, session)
}

#[test]
fn messages_are_filtered_by_who_what_when_and_whether_they_arrived() {
    let (folder, session) = talked();
    let rows = |flags: &[&str]| {
        let all = [&["messages", &session, "--json"], flags].concat();
        let (code, out, said) = synod(folder.path(), &all);
        assert_eq!(code, 0, "{said}");
        json(&out).as_array().expect("a list").clone()
    };
    let texts = |flags: &[&str]| -> Vec<String> {
        rows(flags).iter().map(|row| row["content"].as_str().expect("a text").to_owned()).collect()
    };
    let all = "for all; \"really\" #1";
    assert_eq!(texts(&["--type", "note"]), ["for b", "too late", all]);
    assert_eq!(texts(&["--from", "a", "--type", "note"]), ["for b", "too late", all]);
    assert_eq!(texts(&["--from", "b"]), ["done"]);
    assert_eq!(texts(&["--to", "b", "--type", "note"]), ["for b"]);
    assert_eq!(texts(&["--to", "all", "--type", "note"]), [all]);
    assert_eq!(texts(&["--undelivered"]), ["too late"]);
    assert_eq!(texts(&["--type", "question", "--type", "note"]).len(), 3);
    let last = &rows(&["--to", "all", "--type", "note"])[0];
    assert_eq!(texts(&["--since", &last["seq"].to_string()])[0], all);
    assert_eq!(texts(&["--since", "2999-01-01T00:00:00Z"]), [""; 0]);
    assert_eq!(texts(&["--since", last["created_at"].as_str().expect("a time"), "--to", "all", "--type", "note"]), [all]);
    let keys: Vec<&String> = last.as_object().expect("a map").keys().collect();
    let expected = [
        "content",
        "created_at",
        "from",
        "id",
        "is_broadcast",
        "is_private",
        "metadata",
        "origins",
        "read_at",
        "seq",
        "to",
        "type",
        "undelivered",
    ];
    assert_eq!(keys, expected);
    assert_eq!((&rows(&["--to", "b", "--type", "note"])[0]["is_private"], &last["is_broadcast"]), (&true.into(), &true.into()));
    let (_, page, _) = synod(folder.path(), &["messages", &session, "--undelivered"]);
    assert!(page.contains("a → c  note, never read\n        too late\n"), "{page}");
}

/// Somebody's disk went bad, and what the database said of it was a backtrace.
#[test]
fn a_damaged_journal_is_named_without_a_panic_and_the_rest_goes_on() {
    let folder = folder(&[("release.yaml", ASKS)]);
    let (_, out, _) = synod(folder.path(), &["run", "release.yaml", "--json"]);
    let session = json(&out)["session"].as_str().expect("a session has an id").to_owned();
    let journal = folder.path().join(".synod/journals/0001.redb");
    let whole = fs::read(&journal).expect("a journal");
    for at in (0..whole.len()).step_by(4_096) {
        for command in ["show", "report"] {
            let mut bytes = whole.clone();
            bytes[at..at + 16].iter_mut().for_each(|byte| *byte ^= 0x5a);
            fs::write(&journal, &bytes).expect("a file can be written");
            let (code, _, said) = synod(folder.path(), &[command, &session]);
            assert!(!said.contains("panicked") && !said.contains("backtrace"), "{at}: {said}");
            assert_eq!(code != 0, said.contains("0001.redb is damaged"), "{at}: {code} {said}");
        }
    }
    let (code, out, said) = synod(folder.path(), &["sessions", "--json"]);
    assert_eq!((code, json(&out).as_array().map(Vec::len)), (0, Some(1)), "{said}");
    let (code, _, said) = synod(folder.path(), &["run", "release.yaml"]);
    assert_eq!(code, 3, "a new session is not touched: {said}");
}

/// One that could not be resumed kept all others waiting.
#[test]
fn a_session_that_cannot_be_resumed_does_not_keep_the_other_due_ones_waiting() {
    let asks = ASKS.replace("deadline: 2h", "deadline: 1ms");
    let input = asks.replace("nodes:", "inputs: { data: { type: folder } }\nnodes:");
    let folder = folder(&[("asks.yaml", &asks), ("input.yaml", &input)]);
    fs::create_dir(folder.path().join("data")).expect("a folder");
    fs::write(folder.path().join("data/a.log"), "x").expect("a file");
    let run = |args: &[&str]| json(&synod(folder.path(), args).1)["session"].as_str().expect("an id").to_owned();
    let fine = run(&["run", "asks.yaml", "--json"]);
    let broken = run(&["run", "input.yaml", "--input", "data=data", "--json"]);
    fs::remove_dir_all(folder.path().join("data")).expect("a folder");
    let (code, out, said) = synod(folder.path(), &["resume", "--due", "--json"]);
    let rows = json(&out);
    let of = |session: &str| rows.as_array().and_then(|rows| rows.iter().find(|row| row["session"] == *session)).cloned();
    assert_eq!(code, 1, "{said}");
    assert!(said.contains(&broken) && of(&broken).is_some_and(|row| row["error"].is_string()), "{out} {said}");
    assert!(of(&fine).is_some_and(|row| row["status"] != "parked"), "{out}");
    let (_, page, _) = synod(folder.path(), &["report", &fine]);
    assert!(page.contains("nobody answered in time: Ship it?"), "{page}");
}

#[test]
fn a_killed_run_is_interrupted_in_the_list_and_in_its_report_and_shows_how_it_goes_on() {
    let team = "name: Slow\ncollaboration_pattern: graph\nnodes:\n  wait: { tool: Read, args: { path: gone }, retry: { max_attempts: 3, backoff: 20s, on: [tool] } }\n";
    let folder = folder(&[("slow.yaml", team)]);
    let mut run = Command::new(env!("CARGO_BIN_EXE_synod"));
    let run = run.current_dir(folder.path()).args(["run", "slow.yaml", "--quiet"]).env_remove("SYNOD_STORE");
    let mut run = run.spawn().expect("the binary starts");
    let listed = || json(&synod(folder.path(), &["sessions", "--json"]).1)[0].clone();
    while synod(folder.path(), &["report", listed()["session"].as_str().unwrap_or("0"), "--json"]).0 != 0 {
        assert!(run.try_wait().expect("a process").is_none(), "it waits for its second attempt");
    }
    let session = listed()["session"].as_str().expect("an id").to_owned();
    let status = || {
        let report = json(&synod(folder.path(), &["report", &session, "--json"]).1);
        (listed()["status"].clone(), report["status"].clone())
    };
    let filtered =
        |status: &str| json(&synod(folder.path(), &["sessions", "--status", status, "--json"]).1).as_array().map(Vec::len);
    assert!(status() == ("running".into(), "running".into()) || status().1 == "initializing", "{:?}", status());
    assert_eq!(filtered("interrupted"), Some(0));
    run.kill().expect("it is killed");
    run.wait().expect("it is gone");
    assert_eq!(status(), ("interrupted".into(), "interrupted".into()));
    assert_eq!((filtered("interrupted"), filtered("running")), (Some(1), Some(0)));
    let (code, _, said) = synod(folder.path(), &["cancel", &session]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("wait (resumed) started"), "it shows what goes on: {said}");
    let (_, out, _) = synod(folder.path(), &["report", &session]);
    assert!(out.contains("**Cancelled** by default"), "{out}");
    assert!(!out.contains("-0.0"), "{out}");
}

#[test]
fn a_session_is_shown_as_it_stood_after_a_record_and_as_an_agent_knew_it() {
    let (folder, session) = talked();
    let show = |flags: &[&str]| {
        let (code, out, said) = synod(folder.path(), &[&["show", &session, "--json"], flags].concat());
        assert_eq!(code, 0, "{said}");
        json(&out)
    };
    let texts = |moment: &Json| -> Vec<String> {
        let all = moment["messages"].as_array().expect("a list").iter();
        all.filter(|m| m["type"] == "note").map(|m| m["content"].as_str().expect("a text").to_owned()).collect()
    };
    let all = "for all; \"really\" #1";
    let end = show(&["--seen-by", "b"]);
    assert_eq!((texts(&end), end["seen_by"]["node"].as_str()), (vec!["for b".to_owned(), all.to_owned()], Some("b")));
    assert_eq!(texts(&show(&["--seen-by", "d"])), [all], "a private message has two ends");
    let x = serde_json::json!({ "name": "x", "value": 1, "version": 1, "author": "a", "seq": end["variables"][0]["seq"] });
    assert_eq!((&end["variables"], end["findings"][0]["value"].as_i64()), (&serde_json::json!([x]), Some(7)));
    let early = show(&["--seen-by", "c"]);
    assert_eq!((&early["variables"], &early["findings"]), (&serde_json::json!([]), &serde_json::json!([])));
    assert_eq!(texts(&show(&["--seen-by", "c"])), [""; 0], "it had ended");
    assert_eq!(texts(&show(&["--seen-by", "a"])), ["for b", "too late", all], "it said them");
    let first = show(&["--as-of", "0"]);
    assert_eq!((&first["messages"], &first["seen_by"]), (&serde_json::json!([]), &Json::Null));
    assert_eq!(show(&["--as-of", "0", "--seen-by", "b"])["seen_by"]["read_upto"], Json::Null, "it has not begun");
    let found = x["seq"].as_u64().expect("a number");
    assert_eq!(show(&["--as-of", &found.to_string()])["variables"], serde_json::json!([]), "it counts once its node succeeds");
    let (_, page, _) = synod(folder.path(), &["show", &session, "--as-of", "1"]);
    assert!(page.contains("at work\n  c (c, work), attempt 1, waits for"), "{page}");
    for (flags, why) in [
        (&["--as-of", "9999"], "the last record of the session is"),
        (&["--seen-by", "bb"], "nobody in the session is called that"),
    ] {
        let (code, _, said) = synod(folder.path(), &[&["show", &session], &flags[..]].concat());
        assert!(code == 2 && said.contains(why), "{said}");
    }
}

#[test]
fn a_report_is_drawn_in_mermaid_as_who_said_what_and_as_the_plan_that_grew() {
    let (folder, session) = talked();
    let draw = |format: &str| {
        let (code, page, said) = synod(folder.path(), &["report", &session, "--format", format]);
        assert_eq!(code, 0, "{said}");
        page
    };
    let page = draw("mermaid");
    assert!(page.starts_with("sequenceDiagram\n  participant p0 as synod\n  participant p1 as a\n"), "{page}");
    for line in ["p1->>p2: note, private: for b\n", "note: for all#59; #34;really#34; #35;1\n"] {
        assert!(page.contains(line), "{line}:\n{page}");
    }
    let page = draw("mermaid-plan");
    assert!(page.starts_with("flowchart TD\n  n0(\"c<br/>c, work<br/>ok\")\n"), "{page}");
    assert!(page.contains("  n0 --> n1\n") && page.contains("class n0,n1,n2,n3 ok\n"), "{page}");
    let asks = self::folder(&[("release.yaml", ASKS)]);
    let (_, out, _) = synod(asks.path(), &["run", "release.yaml", "--json"]);
    let session = json(&out)["session"].as_str().expect("a session has an id").to_owned();
    let (_, _, _) = synod(asks.path(), &["answer", &session, "q0", "no"]);
    let (_, page, _) = synod(asks.path(), &["report", &session, "--format", "mermaid"]);
    for line in ["  actor p1 as ", "  p0->>p", ": q0: Ship it?\n", "-->>p0: q0 answer: no\n", "the session is over: completed\n"]
    {
        assert!(page.contains(line), "{line}:\n{page}");
    }
}
