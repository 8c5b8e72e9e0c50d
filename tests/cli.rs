//! Does the binary keep its contracts: JSON on stdout, the rest on stderr, exit codes that scripts rely on?

use std::{fs, path::Path, process::Command};

use serde_json::Value as Json;

fn synod(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synod"));
    let output = command.current_dir(folder).args(args).env("NO_COLOR", "1").env_remove("SYNOD_STORE").output();
    let output = output.expect("the binary starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("no JSON: {e}\n{text}"))
}

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
