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
