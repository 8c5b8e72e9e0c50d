//! Does it hold on real incidents? These tests read `SYNOD_SHARED`, the folder with the data, and say so when it is not set.

use std::path::PathBuf;

use super::{float, notes, outcome_in, rows, text};
use crate::value::Value;

fn shared() -> Option<PathBuf> {
    let Some(path) = std::env::var_os("SYNOD_SHARED") else {
        println!("skipped: SYNOD_SHARED is not set");
        return None;
    };
    Some(PathBuf::from(path).join("incidents"))
}

fn changes(folder: &std::path::Path, args: &str) -> Value {
    outcome_in(folder, args).unwrap_or_else(|failure| panic!("{args}: {failure}"))
}

fn named(row: &Value) -> String {
    format!("{} {}", text(row, "service"), text(row, "metric"))
}

#[test]
fn cpu_contention_is_first_with_its_onset() {
    let Some(folder) = shared() else { return };
    let window = r#""since": "2023-01-29T14:23:00Z", "until": "2023-01-29T14:27:00Z""#;
    let answer = changes(&folder, &format!(r#"{{"path": "tt-01", "op": "changes", {window}}}"#));
    let found = rows(&answer);
    assert_eq!(named(&found[0]), "ts-verification-code-service CpuUsage(m)");
    assert_eq!(text(&found[0], "onset"), "2023-01-29T14:24:11Z");
    assert_eq!((float(&found[0], "score"), float(&found[0], "z")), (4.23642, 354.289));
    assert_eq!(float(&answer, "judged"), 741.0);
    assert!(notes(&answer).contains("138 series of machines"));
    let alone = changes(&folder, r#"{"path": "tt-01", "op": "changes"}"#);
    assert_eq!(text(&rows(&alone)[0], "service"), "ts-verification-code-service");
}

#[test]
fn a_slow_dependency_stands_out_against_a_baseline_on_another_clock() {
    let Some(folder) = shared() else { return };
    let window = r#""since": 1681855503, "until": 1681856403"#;
    let answer = changes(&folder, &format!(r#"{{"path": "ps-01", "op": "changes", {window}}}"#));
    let first = &rows(&answer)[0];
    assert_eq!((text(first, "service"), text(first, "against")), ("PetSearch_AWS::ECS::Fargate".into(), "baseline".into()));
    assert_eq!(float(first, "score"), 3.25024);
    let window = r#""since": 1681389908, "until": 1681390808"#;
    let answer = changes(&folder, &format!(r#"{{"path": "ps-02", "op": "changes", {window}}}"#));
    assert!(rows(&answer)[..4].iter().any(|row| text(row, "service") == "PetSearch_AWS::ECS::Fargate"), "{answer}");
}

#[test]
fn an_incident_without_a_loud_metric_shows_no_loud_change() {
    let Some(folder) = shared() else { return };
    let window = r#""since": "2023-01-29T10:20:00Z", "until": "2023-01-29T10:24:00Z""#;
    let answer = changes(&folder, &format!(r#"{{"path": "tt-02", "op": "changes", {window}}}"#));
    assert_eq!(float(&answer, "judged"), 729.0);
    assert!(float(&rows(&answer)[0], "score") < 1.5, "{answer}");
}

#[test]
fn single_series_have_their_anomalies() {
    let Some(folder) = shared() else { return };
    let answer = changes(&folder, r#"{"path": "nab/cpu_utilization_asg_misconfiguration.csv", "op": "outliers"}"#);
    assert_eq!(rows(&answer).len(), 1, "{answer}");
    let answer = changes(&folder, r#"{"path": "nab/rogue_agent_key_hold.csv", "op": "aggregate", "agg": ["count", "max"]}"#);
    assert_eq!(float(&rows(&answer)[0], "count"), 1882.0);
}
