//! What does `synod simulate` print, and what does it refuse? Through the real program.

mod common;

use std::{fs, path::Path};

use common::{json, synod};
use serde_json::Value as Json;

fn simulated(folder: &Path, args: &[&str]) -> Json {
    let (code, out, said) = synod(folder, &[&["simulate", "--json", "--runs", "12"], args].concat());
    assert_eq!(code, 0, "{said}");
    json(&out)
}

#[test]
fn a_shipped_team_is_simulated_within_the_bounds_that_its_plan_prints() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let run = |args: &[&str]| simulated(folder.path(), &[&["change-review"], args].concat());
    let first = run(&["--set", "*.model=claude-sonnet-4"]);
    assert_eq!(first, run(&["--set", "*.model=claude-sonnet-4"]), "the same seed");
    assert_ne!(first["measures"], run(&["--set", "*.model=claude-sonnet-4", "--seed", "2"])["measures"]);
    let ended: u64 = first["ended"].as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum();
    assert_eq!((first["runs"].as_u64(), ended), (Some(12), 12));
    for measure in ["makespan_ms", "cost_usd", "tokens", "turns"] {
        let (spread, bound) = (&first["measures"][measure], first["bounds"][measure].as_f64().expect("a bound"));
        let values: Vec<f64> = ["p10", "p50", "p90", "p99", "max"].iter().filter_map(|key| spread[*key].as_f64()).collect();
        assert!(values.len() == 5 && values.is_sorted() && values[0] > 0.0 && values[4] <= bound, "{measure}: {spread} {bound}");
    }
    let leads: f64 = first["critical"].as_array().into_iter().flatten().filter_map(|row| row["leads"].as_f64()).sum();
    assert!((leads - 1.0).abs() < 1e-9, "one leads in each run: {}", first["critical"]);
    assert!(first["assumptions"].as_array().is_some_and(|said| said.len() >= 5), "{first}");
}

#[test]
fn people_read_a_table_with_the_critical_agent_and_what_was_assumed() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let (code, out, said) = synod(folder.path(), &["simulate", "change-review", "--runs", "5"]);
    assert_eq!((code, &*said), (0, ""));
    for part in ["5 runs of seed 1", "makespan", "worst case", "speed-up", "\ncritical: ", "assumed:", "a script:"] {
        assert!(out.contains(part), "{part} in {out}");
    }
}

#[test]
fn latencies_come_from_a_file_or_from_past_sessions() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = |text: &str| fs::write(folder.path().join("latency.yaml"), text).expect("a file can be written");
    file("models: { script: { p10: 1h, p50: 1h, p90: 1h, p99: 1h } }\n");
    let slow = simulated(folder.path(), &["change-review", "--latency", "latency.yaml"]);
    // An activation has two minutes.
    assert_eq!(slow["failed"].as_f64(), Some(1.0), "{slow}");
    file("models: { script: { p50: 1s, p9: 2s } }\n");
    let (code, _, said) = synod(folder.path(), &["simulate", "change-review", "--latency", "latency.yaml"]);
    assert!(code == 2 && said.contains("did you mean `p90`?") && said.contains("latency.yaml:1"), "{code} {said}");
    let (code, _, said) = synod(folder.path(), &["simulate", "change-review", "--latency", "missing.yaml"]);
    assert!(code == 2 && said.contains("missing.yaml"), "{code} {said}");
    let (_, _, said) = synod(folder.path(), &["simulate", "change-review", "--runs", "2", "--from-store"]);
    assert!(said.contains("no finished session"), "{said}");
    let (code, _, said) = synod(folder.path(), &["run", "change-review"]);
    assert_eq!(code, 0, "{said}");
    let known = simulated(folder.path(), &["change-review", "--latency", "past"]);
    let assumed = known["assumptions"].to_string();
    assert!(assumed.contains("from 1 past sessions") && assumed.contains("releases work 1"), "{assumed}");
}

#[test]
fn every_shipped_team_stays_within_its_bounds_and_people_take_no_running_time() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let teams = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/graphs/teams")).expect("the teams are there");
    let names = teams.filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".yaml").map(str::to_owned));
    let names: Vec<String> = names.filter(|name| !name.ends_with(".test")).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        let (code, out, said) =
            synod(folder.path(), &["simulate", &name, "--json", "--runs", "4", "--set", "*.model=claude-sonnet-4"]);
        assert_eq!(code, 0, "{name}: {said}");
        let simulated = json(&out);
        for measure in ["makespan_ms", "cost_usd", "tokens", "turns"] {
            let (max, bound) = (simulated["measures"][measure]["max"].as_f64(), simulated["bounds"][measure].as_f64());
            assert!(max <= bound, "{name}: {measure} {max:?}, at most {bound:?}");
        }
    }
}

const ASKS: &str = "name: Sub\ncollaboration_pattern: graph\ncoordinator: lead\nlimits: { wall_seconds: 3600 }\n\
    nodes:\n  sure: { ask: \"Go?\", options: [\"yes\", \"no\"] }\n";
const ABOVE: &str =
    "name: Top\ncollaboration_pattern: graph\nmember_agents: [{ team: sub, role: s }]\nnodes:\n  s: { agent: s }\n";
const LEAD: &str = "name: L\nrole: coordinator\nmodel: script:w.rhai\n";
const SAYS: &str = "fn turn(view) { #{ finish: #{ summary: \"x\" } } }\n";

#[test]
fn a_question_inside_a_team_with_a_time_limit_parks_the_session() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    for (name, text) in [("sub.yaml", ASKS), ("top.yaml", ABOVE), ("lead.yaml", LEAD), ("w.rhai", SAYS)] {
        fs::write(folder.path().join(name), text).expect("a file can be written");
    }
    let slow = "people: { p10: 30m, p50: 30m, p90: 30m, p99: 30m }\n";
    fs::write(folder.path().join("slow.yaml"), slow).expect("a file can be written");
    let simulated = simulated(folder.path(), &["top.yaml", "--latency", "slow.yaml"]);
    let most = simulated["measures"]["makespan_ms"]["max"].as_f64().expect("a number");
    assert!(most < 60_000.0, "half an hour of a person counts: {most}");
    let (code, out, said) = synod(folder.path(), &["run", "top.yaml"]);
    assert_eq!(code, 3, "it is parked: {out}{said}");
}

#[test]
fn what_a_run_refuses_is_refused_and_names_that_mean_nothing_are_said() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let refused = |args: &[&str], what: &str| {
        let (code, _, said) = synod(folder.path(), &[&["simulate", "incident-response", "--runs", "1"], args].concat());
        assert!(code == 2 && said.contains(what), "{args:?}: {code} {said}");
    };
    refused(&["--input", "data=missing"], "missing cannot be opened");
    refused(&["--input", "dat=x"], "did you mean `data`?");
    let file = "models: { claud-sonnet-4: { p50: 1s } }\ntools: { serch_logs: { p50: 1s } }\n";
    fs::write(folder.path().join("latency.yaml"), file).expect("a file can be written");
    let args = ["simulate", "change-review", "--runs", "1", "--set", "*.model=claude-sonnet-4", "--latency", "latency.yaml"];
    let (code, _, said) = synod(folder.path(), &args);
    assert!(
        code == 0 && said.contains("no model `claud-sonnet-4`") && said.contains("did you mean `claude-sonnet-4`?"),
        "{said}"
    );
    assert!(said.contains("no tool `serch_logs`"), "{said}");
}
