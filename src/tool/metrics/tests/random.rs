//! Does anything that a file or a question may hold make it panic, or make it forget its limits?

use std::sync::Arc;

use proptest::prelude::*;

use super::super::{
    QueryMetrics,
    notes::Notes,
    series::{Collector, MAX_SERIES, Point, Target},
};
use crate::tool::{BlockingTool, CallContext, Roots, suite::json};

const OPS: [&str; 6] = ["list", "range", "aggregate", "changes", "outliers", "compare"];
const NAMES: [&str; 4] = ["m.csv", "m.jsonl", "m.prom", "m.txt"];

fn survives(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let call = CallContext::on(Arc::new(Roots::new(folder.path()).expect("the folder is there")));
    let tool = QueryMetrics::new();
    for name in NAMES {
        std::fs::write(folder.path().join(name), bytes).expect("a file");
        for op in OPS {
            let args = format!(
                r#"{{"path": "{name}", "op": "{op}", "since": "2026-01-05T14:00:00Z", "baseline": {{"until": "2026-01-05T14:30:00Z"}}}}"#
            );
            // Called without a runtime in between, so that a panic is this test's own.
            if let Err(failure) = tool.run(&call, &json(&args)) {
                assert!(!failure.message.is_empty(), "{op} of {name} says why it has no answer");
            }
        }
    }
}

fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        (0i64..200).prop_map(|i| (1_767_621_600 + 60 * i).to_string()),
        "2026-01-0[1-9] 1[0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,12})?( \\+0[0-9]00 UTC m=\\+[0-9.]{1,6})?",
        any::<f64>().prop_map(|f| f.to_string()),
        any::<i64>().prop_map(|i| i.to_string()),
        Just("NaN".to_owned()),
        Just(String::new()),
        "[a-z]{1,4}-[0-9a-f]{8,10}-[0-9a-z]{5}",
        "[ -~äöü]{0,12}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        survives(&bytes);
    }

    #[test]
    fn no_table_makes_it_panic(
        separator in prop::sample::select(vec![",", ";", "\t"]),
        rows in prop::collection::vec(prop::collection::vec(cell(), 4), 0..80),
    ) {
        let mut text = ["timestamp", "service", "metric", "value"].join(separator) + "\n";
        for row in &rows {
            text.push_str(&row.join(separator));
            text.push('\n');
        }
        survives(text.as_bytes());
        survives(text.replacen("metric", "cpu", 1).as_bytes());
    }

    #[test]
    fn no_lines_make_it_panic(rows in prop::collection::vec((cell(), cell(), cell(), "[a-z_{}=\", ]{0,20}"), 0..40)) {
        let json: String = rows.iter().map(|(a, b, c, _)| format!("{}\n", serde_json::json!({"ts": a, "service": b, "cpu": c}))).collect();
        survives(json.as_bytes());
        let metrics: String = rows.iter().map(|(a, b, c, d)| format!("up{{service=\"{b}\",{d}}} {c} {a}\n")).collect();
        survives(metrics.as_bytes());
    }
}

fn target<'a>(service: &'a str, source: &'a Arc<str>) -> Target<'a> {
    Target { service, instance: "", metric: "cpu", labels: "", counter: None, source, keep_equal: false }
}

#[test]
fn series_beyond_the_limit_are_counted_and_said() {
    let source = Arc::from("m.csv");
    let mut collector = Collector::new();
    for i in 0..MAX_SERIES + 5 {
        collector.add(target(&format!("s{i}"), &source), Point { at: 0, value: 1.0 });
    }
    let mut notes = Notes::default();
    assert_eq!(collector.finish(&mut notes).len(), MAX_SERIES);
    assert!(notes.into_texts()[0].contains("5 samples of further ones"));
}

#[test]
fn samples_beyond_the_limit_are_thinned_over_the_whole_time() {
    let source = Arc::from("m.csv");
    let mut collector = Collector::with_limit(1000);
    for i in 0..10_000 {
        collector.add(target("a", &source), Point { at: i, value: i as f64 });
    }
    let mut notes = Notes::default();
    let series = collector.finish(&mut notes);
    let points = &series[0].points;
    assert!((500..=1000).contains(&points.len()), "{}", points.len());
    assert!(points.windows(2).all(|pair| pair[1].at - pair[0].at == 16), "evenly thinned");
    assert!(points[0].at < 32 && points[points.len() - 1].at > 9_960);
    assert!(notes.into_texts()[0].contains("one of 16 was kept"));
}
