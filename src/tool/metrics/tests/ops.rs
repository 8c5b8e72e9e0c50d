//! Are the answers those that the data has in it?

use super::{ask, ask_csv, float, notes, rows, text};
use crate::value::Value;

const START: i64 = 1_767_621_600; // 2026-01-05T14:00:00Z

/// A minute a row: `service,metric` with the value of `of(minute)`.
fn series(service: &str, metric: &str, minutes: i64, of: impl Fn(i64) -> f64) -> String {
    (0..minutes).map(|i| format!("{},{service},{metric},{}\n", START + 60 * i, of(i))).collect()
}

/// A little noise that is the same each time.
fn noise(i: i64) -> f64 {
    ((i * 7919 + 13) % 101) as f64 / 101.0 - 0.5
}

fn table(parts: &[String]) -> String {
    format!("timestamp,service,metric,value\n{}", parts.concat())
}

/// Three services; the latency of `b` triples for ten minutes from minute 90 on.
fn incident() -> String {
    let quiet = |level: f64| move |i: i64| level * (1.0 + 0.04 * noise(i));
    table(&[
        series("a", "latency_p95(s)", 240, quiet(0.2)),
        series("b", "latency_p95(s)", 240, |i| {
            0.2 * (1.0 + 0.04 * noise(i + 3)) * if (90..100).contains(&i) { 3.0 } else { 1.0 }
        }),
        series("c", "latency_p95(s)", 240, |i| if i == 95 { 9.0 } else { quiet(0.2)(i + 5) }),
        series("b", "success_rate(%)", 240, |i| if (92..100).contains(&i) { 80.0 } else { 100.0 }),
        series("a", "NodeCpuUsage(%)", 240, |i| if i > 90 { 99.0 } else { 10.0 + noise(i) }),
    ])
}

#[test]
fn a_change_in_a_window_is_ranked_with_its_onset_and_levels() {
    let args = format!(r#"{{"path": "m.csv", "op": "changes", "since": {}, "until": {}}}"#, START + 85 * 60, START + 105 * 60);
    let answer = ask_csv(&incident(), &args);
    let rows = rows(&answer);
    let names: Vec<String> = rows.iter().map(|row| format!("{} {}", text(row, "service"), text(row, "metric"))).collect();
    assert_eq!(names.len(), 4, "{answer}");
    assert_eq!(&names[..2], ["b success_rate(%)", "b latency_p95(s)"], "{answer}");
    assert_eq!(
        (text(&rows[1], "onset"), text(&rows[1], "last_good")),
        ("2026-01-05T15:30:00Z".into(), "2026-01-05T15:29:00Z".into())
    );
    assert_eq!(float(&rows[1], "onset_unix"), (START + 90 * 60) as f64);
    assert_eq!((float(&rows[1], "hits"), float(&rows[1], "samples"), float(&rows[1], "reference_samples")), (10.0, 21.0, 85.0));
    assert_eq!((text(&rows[1], "direction"), text(&rows[1], "against")), ("up".into(), "earlier".into()));
    assert!((float(&rows[1], "before") - 0.2).abs() < 0.01 && (float(&rows[1], "after") - 0.6).abs() < 0.02, "{}", rows[1]);
    // 20 points of a hundred fail: the usual share is 0, its scale the floor of half a percent.
    assert_eq!((float(&rows[0], "z"), float(&rows[0], "worse_by")), (40.0, 0.2));
    assert_eq!((float(&rows[0], "before"), float(&rows[0], "after"), text(&rows[0], "direction")), (100.0, 80.0, "down".into()));
    assert_eq!(text(&rows[0], "onset"), "2026-01-05T15:32:00Z");
    // One blip, however high, is no change; series of a machine are said and left out.
    assert!(rows[2..].iter().all(|row| float(row, "score") < 1.0), "{answer}");
    assert!(notes(&answer).contains("1 series of machines"), "{answer}");
    assert_eq!(float(&answer, "step_s"), 60.0);
}

#[test]
fn a_change_is_found_without_being_told_where_to_look() {
    let answer = ask_csv(&incident(), r#"{"path": "m.csv", "op": "changes", "min_score": 1.5, "hosts": false}"#);
    let rows = rows(&answer);
    let onsets: Vec<(String, String)> =
        rows.iter().map(|row| (format!("{} {}", text(row, "service"), text(row, "kind")), text(row, "onset"))).collect();
    assert_eq!(
        onsets,
        [("b availability".into(), "2026-01-05T15:32:00Z".into()), ("b latency".into(), "2026-01-05T15:30:00Z".into())],
        "{answer}"
    );
    let calm = table(&[series("a", "latency", 120, |i| 1.0 + 0.1 * noise(i)), series("b", "cpu", 120, |i| 5.0 + noise(i))]);
    let answer = ask_csv(&calm, r#"{"path": "m.csv", "op": "changes", "min_score": 1.0}"#);
    assert!(super::rows(&answer).is_empty(), "{answer}");
}

#[test]
fn a_series_that_begins_bad_did_not_become_bad() {
    let bad_first = table(&[series("a", "errors", 100, |i| if i < 10 { 50.0 } else { 1.0 + 0.1 * noise(i) })]);
    let answer = ask_csv(&bad_first, r#"{"path": "m.csv", "op": "changes", "min_score": 1.0}"#);
    assert!(rows(&answer).is_empty(), "{answer}");
}

#[test]
fn a_baseline_on_its_own_clock_says_what_is_normal() {
    let shift = |text: String| text.replace("17676", "17576");
    let baseline =
        shift(table(&[series("a", "latency", 100, |i| 1.0 + 0.1 * noise(i)), series("b", "latency", 100, |i| 5.0 + noise(i))]));
    // Six samples only: too few for a past of their own.
    let now = table(&[series("a", "latency", 6, |i| if i < 2 { 1.0 } else { 4.0 }), series("b", "latency", 6, |_| 5.0)]);
    let files = [("baseline_week.csv", baseline.as_str()), ("now.csv", now.as_str())];
    let answer = ask(&files, &format!(r#"{{"path": ".", "op": "changes", "since": {}, "until": {}}}"#, START, START + 600));
    let found = rows(&answer);
    assert_eq!(
        (found.len(), text(&found[0], "service"), text(&found[0], "against")),
        (2, "a".into(), "baseline".into()),
        "{answer}"
    );
    assert_eq!(text(&found[0], "onset"), "2026-01-05T14:02:00Z");
    assert!(float(&found[0], "score") > 2.0 && float(&found[1], "score") < 1.0, "{answer}");
    assert!(notes(&answer).contains("taken as normal: baseline_week.csv"), "{answer}");
    let without =
        ask(&files, &format!(r#"{{"path": ".", "op": "changes", "since": {START}, "baseline": "none", "service": "a"}}"#));
    assert!(notes(&without).contains("too few samples"), "{without}");
    let alone = ask(&files[..1], r#"{"path": ".", "op": "list"}"#);
    assert_eq!(rows(&alone).len(), 2, "a baseline alone is what is asked about");
}

#[test]
fn a_level_that_the_series_had_before_is_forgiven_though_the_baseline_lies_elsewhere() {
    let baseline = table(&[series("a", "latency", 60, |i| 1.0 + 0.1 * noise(i))]).replace("17676", "17576");
    let now = table(&[series("a", "latency", 60, |i| 4.0 + 0.1 * noise(i))]);
    let files = [("baseline.csv", baseline.as_str()), ("now.csv", now.as_str())];
    let answer = ask(&files, &format!(r#"{{"path": ".", "op": "changes", "since": {}}}"#, START + 1800));
    assert!(float(&rows(&answer)[0], "score") < 1.0, "{answer}");
}

#[test]
fn statistics_are_by_series_by_group_and_by_bucket() {
    let text_of = table(&[series("a", "cpu", 4, |i| [1.0, 2.0, 3.0, 10.0][i as usize]), series("b", "cpu", 4, |_| 5.0)]);
    let args = r#"{"path": "m.csv", "op": "aggregate", "agg": ["max", "mean", "median", "sum", "count", "min", "p95", "stddev", "rate"]}"#;
    let answer = ask_csv(&text_of, args);
    let first = &rows(&answer)[0];
    let all: Vec<f64> =
        ["max", "mean", "median", "sum", "count", "min", "p95", "stddev", "rate"].iter().map(|key| float(first, key)).collect();
    assert_eq!(all, [10.0, 4.0, 2.5, 16.0, 4.0, 1.0, 8.95, 4.08248, 0.05]);
    let by_metric = ask_csv(&text_of, r#"{"path": "m.csv", "op": "aggregate", "by": "metric", "agg": "sum", "step": "2m"}"#);
    let row = &rows(&by_metric)[0];
    assert_eq!((float(row, "sum"), row.get("service")), (36.0, None));
    let windows = row.get("windows").and_then(Value::as_list).expect("windows");
    assert_eq!(windows.iter().map(|w| float(w, "sum")).collect::<Vec<_>>(), [13.0, 23.0]);
    assert_eq!(text(&windows[1], "since"), "2026-01-05T14:02:00Z");
}

#[test]
fn a_cost_spike_is_found_from_the_rows_of_a_bill() {
    let mut bill = "usage_start_time,service,usage_type,cost\n".to_owned();
    for hour in 0..72 {
        for (kind, cost) in [("instances", 10.0), ("storage", 2.0)] {
            let spike = if (60..66).contains(&hour) && kind == "instances" { 8.0 } else { 1.0 };
            bill.push_str(&format!("{},compute,{kind},{}\n", START + 3600 * hour, cost * spike + 0.2 * noise(hour)));
            bill.push_str(&format!("{},database,{kind},{}\n", START + 3600 * hour, cost + 0.2 * noise(hour + 7)));
        }
    }
    let answer =
        ask_csv(&bill, r#"{"path": "m.csv", "op": "changes", "by": "service", "step": "1h", "agg": "sum", "min_score": 1}"#);
    let rows = rows(&answer);
    assert_eq!((rows.len(), text(&rows[0], "service"), text(&rows[0], "kind")), (1, "compute".into(), "cost".into()), "{answer}");
    assert_eq!(text(&rows[0], "onset"), "2026-01-08T02:00:00Z");
    assert!((float(&rows[0], "after") - 82.0).abs() < 1.0, "{answer}");
}

#[test]
fn single_points_stand_out_against_a_baseline_or_their_own_series() {
    let text_of = table(&[
        series("a", "latency", 200, |i| if i == 150 { 30.0 } else { 10.0 + noise(i) }),
        series("b", "latency", 200, |i| 10.0 + noise(i)),
        series("c", "latency", 200, |i| if i == 20 { 40.0 } else { 10.0 }),
    ]);
    let answer = ask_csv(&text_of, r#"{"path": "m.csv", "op": "outliers"}"#);
    let found = rows(&answer);
    let names: Vec<String> = found.iter().map(|row| text(row, "service")).collect();
    assert_eq!(names, ["c", "a"], "{answer}");
    let worst = &found[1].get("worst").and_then(Value::as_list).expect("stretches")[0];
    assert_eq!(
        (text(worst, "peak_at"), float(worst, "peak"), text(worst, "direction")),
        ("2026-01-05T16:30:00Z".into(), 30.0, "up".into())
    );
    let window = format!(
        r#"{{"path": "m.csv", "op": "outliers", "service": "b", "since": {0}, "baseline": {{"until": {0}}}}}"#,
        START + 100 * 60
    );
    assert!(rows(&ask_csv(&text_of, &window)).is_empty());
}

#[test]
fn an_instance_unlike_its_peers_stands_out_though_all_of_them_moved() {
    let mut text_of = "timestamp,service,pod,cpu\n".to_owned();
    for i in 0..60 {
        for pod in 0..5 {
            let level = if i < 30 { 10.0 } else { 50.0 };
            let own = if pod == 3 && i >= 40 { 40.0 } else { 0.0 };
            text_of.push_str(&format!("{},web,web-{pod},{}\n", START + 60 * i, level + own + noise(i + pod)));
        }
    }
    let answer = ask_csv(&text_of, r#"{"path": "m.csv", "op": "outliers", "peers": "instances"}"#);
    let found = rows(&answer);
    assert_eq!(
        (found.len(), text(&found[0], "instance"), text(&found[0], "since")),
        (1, "web-3".into(), "2026-01-05T14:40:00Z".into()),
        "{answer}"
    );
    assert!((float(&found[0], "score") - 20.0 / 60.0).abs() < 1e-5);
}

#[test]
fn two_windows_are_compared_by_how_far_the_level_moved() {
    let text_of = table(&[series("a", "cpu", 100, |i| if i < 50 { 10.0 } else { 30.0 }), series("b", "cpu", 100, |_| 10.0)]);
    let args =
        format!(r#"{{"path": "m.csv", "op": "compare", "since": {}, "baseline": {{"until": {}}}}}"#, START + 3000, START + 2999);
    let answer = ask_csv(&text_of, &args);
    let found = rows(&answer);
    assert_eq!(
        (text(&found[0], "service"), float(&found[0], "ratio"), float(&found[0], "change")),
        ("a".into(), 3.0, 20.0),
        "{answer}"
    );
    // The scale of a constant level of 10 is its floor of five percent.
    assert_eq!((float(&found[0], "score"), float(&found[1], "score")), (40.0, 0.0));
    assert_eq!(float(found[0].get("normal").expect("normal"), "count"), 50.0);
}

#[test]
fn gaps_ranges_and_units_are_listed() {
    let text_of =
        table(&[series("a", "LatencyP95(s)", 60, |i| i as f64)]).replace(&format!("{},a,LatencyP95(s),30\n", START + 1800), "");
    let holes: String = text_of
        .lines()
        .filter(|line| {
            !line.split(',').next().and_then(|t| t.parse::<i64>().ok()).is_some_and(|t| (START + 600..START + 1200).contains(&t))
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let answer = ask_csv(&holes, r#"{"path": "m.csv", "op": "list"}"#);
    let row = &rows(&answer)[0];
    assert_eq!(
        (text(row, "unit"), text(row, "kind"), float(row, "points"), float(row, "step_s")),
        ("seconds".into(), "latency".into(), 49.0, 60.0)
    );
    let gaps = row.get("gaps").expect("a gap");
    assert_eq!(
        (float(gaps, "count"), float(gaps, "longest_s"), text(gaps, "longest_since")),
        (1.0, 660.0, "2026-01-05T14:09:00Z".into())
    );
    assert_eq!(answer.get("services").map(ToString::to_string), Some("{\"a\":1}".into()));
}

#[test]
fn a_long_series_is_shown_in_wider_buckets() {
    let text_of = table(&[series("a", "cpu", 3000, |i| (i % 2) as f64)]);
    let answer = ask_csv(&text_of, r#"{"path": "m.csv", "op": "range"}"#);
    let row = &rows(&answer)[0];
    let points = row.get("points").and_then(Value::as_list).expect("points");
    assert!(points.len() <= 500 && points.len() > 250, "{}", points.len());
    assert_eq!(text(row, "step"), "10m");
    assert!(points.iter().all(|p| p.as_list().expect("a pair")[1].as_f64() == Some(0.5)));
    assert!(notes(&answer).contains("more than 500 points"), "{answer}");
}

#[test]
fn filters_take_names_patterns_kinds_and_times() {
    let text_of = incident();
    let count = |filter: &str| rows(&ask_csv(&text_of, &format!(r#"{{"path": "m.csv", "op": "list", {filter}}}"#))).len();
    assert_eq!(count(r#""service": "b""#), 2);
    assert_eq!(count(r#""service": ["a", "C"]"#), 3);
    assert_eq!(count(r#""metric": "latency""#), 3);
    assert_eq!(count(r#""metric": "success_rate(%)""#), 1);
    assert_eq!(count(r#""metric": "*(s)""#), 3);
    assert_eq!(count(r#""kind": ["cpu", "availability"]"#), 2);
    assert_eq!(count(r#""until": "2026-01-05T13:00:00Z""#), 0);
    let answer = ask_csv(&text_of, r#"{"path": "m.csv", "op": "list", "service": "zzz"}"#);
    assert!(notes(&answer).contains("no samples match"), "{answer}");
    let limited = ask_csv(&text_of, r#"{"path": "m.csv", "op": "list", "limit": 2}"#);
    assert_eq!((rows(&limited).len(), float(&limited, "left_out")), (2, 3.0));
}
