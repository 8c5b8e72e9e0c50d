//! Does `query_metrics` answer what is asked, from whatever form the data has?

mod forms;
mod ops;
mod random;
mod shared;
mod stats;

use std::{io::Write, path::Path, sync::Arc};

use super::QueryMetrics;
use crate::{
    tool::{Blocking, suite},
    value::{Failure, Value},
};

/// Asks about files that are written for the purpose; names that end with `.gz` are compressed.
fn outcome(files: &[(&str, &str)], args: &str) -> Result<Value, Failure> {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("the folder of a file");
        let bytes = if name.ends_with(".gz") { zipped(text.as_bytes()) } else { text.as_bytes().to_vec() };
        std::fs::write(path, bytes).expect("a file");
    }
    outcome_in(folder.path(), args)
}

fn outcome_in(folder: &Path, args: &str) -> Result<Value, Failure> {
    suite::call_in(Arc::new(Blocking::new(QueryMetrics::new())), folder, &suite::json(args))
}

fn ask(files: &[(&str, &str)], args: &str) -> Value {
    outcome(files, args).unwrap_or_else(|failure| panic!("{args}: {failure}"))
}

/// One file called `m.csv`.
fn ask_csv(text: &str, args: &str) -> Value {
    ask(&[("m.csv", text)], args)
}

fn failure(files: &[(&str, &str)], args: &str) -> String {
    outcome(files, args).expect_err("it fails").message.to_string()
}

fn rows(answer: &Value) -> Vec<Value> {
    answer.get("rows").and_then(Value::as_list).expect("rows").to_vec()
}

fn notes(answer: &Value) -> String {
    answer.get("notes").expect("notes").to_string()
}

fn text(row: &Value, key: &str) -> String {
    row.get(key).map(ToString::to_string).unwrap_or_default()
}

fn float(row: &Value, key: &str) -> f64 {
    row.get(key).and_then(Value::as_f64).unwrap_or_else(|| panic!("{row} has the number {key}"))
}

/// `service metric: time value, …` of every series, times without the date.
fn points(files: &[(&str, &str)]) -> Vec<String> {
    points_of(files, r#"{"path": ".", "op": "range", "counters": "raw", "limit": 100}"#)
}

fn points_of(files: &[(&str, &str)], args: &str) -> Vec<String> {
    let shown = |row: &Value| {
        let points = row.get("points").and_then(Value::as_list).expect("points");
        let pairs = points.iter().filter_map(Value::as_list).map(|pair| {
            let time = pair[0].as_str().unwrap_or_default();
            format!("{} {}", time.trim_start_matches("2026-01-05T").trim_end_matches('Z'), pair[1])
        });
        let names: Vec<String> =
            ["service", "metric", "labels", "instance"].iter().map(|key| text(row, key)).filter(|t| !t.is_empty()).collect();
        format!("{}: {}", names.join(" "), pairs.collect::<Vec<_>>().join(", "))
    };
    rows(&ask(files, args)).iter().map(shown).collect()
}

fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory takes bytes");
    encoder.finish().expect("memory takes bytes")
}

#[test]
fn it_does_what_every_tool_must() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("m.csv"), "time,service,cpu\n2026-01-05T14:00:00Z,a,1\n").expect("a file");
    let args = suite::json;
    suite::suite(&suite::Suite {
        tool: Arc::new(Blocking::new(QueryMetrics::new())),
        workspace: folder.path(),
        good: args(r#"{"path": "m.csv", "op": "list"}"#),
        bad: vec![
            (args(r#"{"path": "m.csv"}"#), "`op` is missing"),
            (args(r#"{"path": "m.csv", "op": "lst"}"#), "did you mean \"list\""),
            (args(r#"{"path": "m.csv", "op": "list", "limit": 0}"#), "from 1 to 1000"),
            (args(r#"{"path": "m.csv", "op": "list", "limit": 9999}"#), "from 1 to 1000"),
            (args(r#"{"path": "m.csv", "op": "list", "since": "noon"}"#), "`noon` is no time"),
            (args(r#"{"path": "m.csv", "op": "list", "since": 1700000000, "until": 1600000000}"#), "before the begin"),
            (args(r#"{"path": "m.csv", "op": "list", "step": "soon"}"#), "`soon` is no length of time"),
            (args(r#"{"path": "m.csv", "op": "list", "kind": "cpus"}"#), "`cpus` is none of latency"),
            (args(r#"{"path": "m.csv", "op": "aggregate", "agg": ["men"]}"#), "did you mean `mean`"),
            (args(r#"{"path": "m.csv", "op": "list", "service": 7}"#), "`service` must be"),
            (args(r#"{"path": "m.csv", "op": "compare", "baseline": {"from": 7}}"#), "baseline"),
            (args(r#"{"path": "m.csv", "op": "list", "zone": "Mars/Base"}"#), "`Mars/Base` is no time zone"),
            (args(r#"{"path": "m.csv", "op": "outliers", "threshold": -1}"#), "above 0"),
            (args(r#"{"path": "m.csv", "op": "compare"}"#), "what to compare with"),
            (args(r#"{"path": [], "op": "list"}"#), "names 0 paths"),
            (args(r#"{"path": "n.csv", "op": "list"}"#), "nothing of that name"),
        ],
        path: Some("path"),
    });
}
