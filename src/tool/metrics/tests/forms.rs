//! Is every form of file read, with every ugliness of real data?

use super::{ask, ask_csv, failure, notes, outcome_in, points, points_of, rows, text};
use crate::value::Value;

fn check(file: (&str, &str), expected: &[&str]) {
    assert_eq!(points(&[file]), expected, "{}", file.1);
}

#[test]
fn a_wide_table_has_a_metric_a_column() {
    check(
        ("m.csv", "timestamp,service,cpu,latency\n2026-01-05T14:00:00Z,a,1,0.5\n2026-01-05T14:01:00Z,a,2,0.6\n"),
        &["a cpu: 14:00:00 1.0, 14:01:00 2.0", "a latency: 14:00:00 0.5, 14:01:00 0.6"],
    );
}

#[test]
fn a_long_table_has_a_metric_a_row() {
    check(
        (
            "m.csv",
            "timestamp,service,metric,value\n2026-01-05T14:00:00Z,a,cpu,1\n2026-01-05T14:00:00Z,b,cpu,3\n2026-01-05T14:01:00Z,a,cpu,2\n",
        ),
        &["a cpu: 14:00:00 1.0, 14:01:00 2.0", "b cpu: 14:00:00 3.0"],
    );
}

#[test]
fn a_file_without_a_service_is_its_own() {
    check(
        ("folder/payment-7d9f8b6c5d-x2k4j_metric.csv", "time,value\n2026-01-05 14:00:00,1\n"),
        &["payment value: 14:00:00 1.0"],
    );
}

#[test]
fn pods_become_services_and_a_replaced_pod_goes_on() {
    let text = "time,pod,cpu\n\
        2026-01-05T14:00:00Z,pay-7d9f8b6c5d-x2k4j,1\n\
        2026-01-05T14:01:00Z,pay-7d9f8b6c5d-x2k4j,2\n\
        2026-01-05T14:02:00Z,pay-64469b5b48-25zj6,3\n\
        2026-01-05T14:00:00Z,web-7d9f8b6c5d-x2k4j,5\n\
        2026-01-05T14:00:00Z,web-7d9f8b6c5d-bcdf4,6\n";
    check(
        ("m.csv", text),
        &[
            "pay cpu pay-64469b5b48-25zj6: 14:00:00 1.0, 14:01:00 2.0, 14:02:00 3.0",
            "web cpu web-7d9f8b6c5d-bcdf4: 14:00:00 6.0",
            "web cpu web-7d9f8b6c5d-x2k4j: 14:00:00 5.0",
        ],
    );
}

#[test]
fn of_several_time_columns_the_absolute_one_counts() {
    let text = "Time,TimeStamp,PodName,CpuUsage(m)\n2026-01-05 22:00:00.25 m=+18780.29,1767621600,a,1\n";
    check(("m.csv", text), &["a CpuUsage(m): 14:00:00 1.0"]);
    let go = "Time,PodName,CpuUsage(m)\n2026-01-05 14:00:00.25 +0000 UTC m=+18780.29,a,1\n";
    check(("m.csv", go), &["a CpuUsage(m): 14:00:00.25 1.0"]);
    let parts = "date,time,service,cpu\n2026-01-05,14:00:30,a,1\n2026-01-05,14:01:30,a,2\n";
    check(("m.csv", parts), &["a cpu: 14:00:30 1.0, 14:01:30 2.0"]);
}

#[test]
fn what_was_not_measured_is_no_sample() {
    let text = "time,service,cpu\n1767621600,a,1\n1767621660,a,NaN\n1767621720,a,\n1767621780,a,inf\n1767621840,a,-Inf\n1767621900,a,n/a\n1767621960,a,2\n";
    check(("m.csv", text), &["a cpu: 14:00:00 1.0, 14:06:00 2.0"]);
    let answer = ask_csv("time,service,cpu\n1767621600,a,NaN\n", r#"{"path": "m.csv", "op": "list"}"#);
    assert!(notes(&answer).contains("all 1 values are missing"), "{answer}");
}

#[test]
fn rows_may_be_repeated_and_out_of_order() {
    let text = "time,service,cpu\n1767621660,a,2\n1767621600,a,1\n1767621660,a,2\n1767621660,a,3\n";
    check(("m.csv", text), &["a cpu: 14:00:00 1.0, 14:01:00 2.0, 14:01:00 3.0"]);
    assert!(notes(&ask_csv(text, r#"{"path": "m.csv", "op": "list"}"#)).contains("1 repeated samples"));
}

#[test]
fn rows_of_a_bill_that_differ_only_in_an_id_are_all_counted() {
    let mut text = "usage_date,service,resource_id,region,cost_usd\n".to_owned();
    for i in 0..100 {
        text.push_str(&format!("2026-01-05,compute,i-{i:04},eu,\"1,000.50\"\n"));
    }
    let answer = ask_csv(&text, r#"{"path": "m.csv", "op": "aggregate", "by": "service", "agg": "sum"}"#);
    assert_eq!(text_of(&answer, "sum"), "100050.0");
    assert!(notes(&answer).contains("resource_id"), "{answer}");
}

fn text_of(answer: &Value, key: &str) -> String {
    text(&rows(answer)[0], key)
}

#[test]
fn separators_quotes_marks_and_decimal_commas_are_understood() {
    check(
        ("m.csv", "\u{feff}time;service;latency\r\n2026-01-05 14:00;a;0,5\r\n2026-01-05 14:01;a;1.000,25\r\n"),
        &["a latency: 14:00:00 0.5, 14:01:00 1000.25"],
    );
    check(("m.tsv", "time\tservice\tcpu\n2026-01-05 14:00\ta\t1\n"), &["a cpu: 14:00:00 1.0"]);
    check(("m.csv", "time|service|cpu\n2026-01-05 14:00|a|1\n"), &["a cpu: 14:00:00 1.0"]);
    check(("m.csv", "time,\"service\",\"cpu, all\"\n2026-01-05 14:00,\"a, b\",1\n"), &["a, b cpu, all: 14:00:00 1.0"]);
    check(("m.csv", "#comment\ntime,service,cpu\n2026-01-05 14:00,a,1\n"), &["a cpu: 14:00:00 1.0"]);
    check(("m.csv", ",service,cpu,Unnamed: 3\n2026-01-05 14:00,a,1,7\n"), &["a cpu: 14:00:00 1.0"]);
}

#[test]
fn files_may_have_different_clocks() {
    let files = [
        ("a.csv", "time,cpu\n2026-01-05T14:00:00Z,1\n"),
        ("b.csv", "time,cpu\n1767621600000,2\n"),
        ("c.csv", "time,cpu\n1767621600000000000,3\n"),
        ("d.csv", "time,cpu\n05/01/2026 14:00:00,4\n13/01/2026 14:00:00,5\n"),
    ];
    let expected =
        ["a cpu: 14:00:00 1.0", "b cpu: 14:00:00 2.0", "c cpu: 14:00:00 3.0", "d cpu: 14:00:00 4.0, 2026-01-13T14:00:00 5.0"];
    assert_eq!(points(&files), expected);
    let shifted = points_of(
        &[("a.csv", "time,cpu\n2026-01-05 22:00:00,1\n")],
        r#"{"path": "a.csv", "op": "range", "zone": "Asia/Shanghai"}"#,
    );
    assert_eq!(shifted, ["a cpu: 14:00:00 1.0"]);
}

#[test]
fn text_columns_are_labels() {
    check(
        ("m.csv", "time,service,cpu,region,zone_id\n1767621600,a,1,eu,7\n1767621600,a,2,us,7\n"),
        &["a cpu region=eu,zone_id=7: 14:00:00 1.0", "a cpu region=us,zone_id=7: 14:00:00 2.0"],
    );
}

#[test]
fn json_lines_are_rows_by_their_fields() {
    check(
        (
            "m.jsonl",
            "{\"ts\":1767621600,\"service\":\"a\",\"cpu\":1,\"mem\":{\"used\":5}}\n\n{\"ts\":1767621660,\"service\":\"a\",\"cpu\":null}\n",
        ),
        &["a cpu: 14:00:00 1.0", "a mem.used: 14:00:00 5.0"],
    );
    check(
        (
            "m.ndjson",
            "{\"timestamp\":\"2026-01-05T14:00:00Z\",\"metric\":\"cpu\",\"value\":\"1.5\",\"labels\":{\"service\":\"a\"}}\n",
        ),
        &["a cpu: 14:00:00 1.5"],
    );
}

#[test]
fn json_lines_may_hold_a_series_each() {
    let export = "{\"metric\":{\"__name__\":\"up\",\"job\":\"a\",\"zone\":\"x\"},\"values\":[1,0],\"timestamps\":[1767621600000,1767621660000]}\n";
    check(("m.jsonl", export), &["a up zone=x: 14:00:00 1.0, 14:01:00 0.0"]);
    let response = "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[{\"metric\":{\"__name__\":\"up\",\"job\":\"a\"},\"values\":[[1767621600,\"1\"],[1767621660,\"NaN\"]]}]}}";
    check(("m.jsonl", response), &["a up: 14:00:00 1.0"]);
}

#[test]
fn openmetrics_text_is_read_with_labels_types_and_exemplars() {
    let text = "# HELP http_requests Requests.\n# TYPE http_requests counter\n\
        http_requests_total{service=\"a\",code=\"200\"} 10 1767621600\n\
        http_requests_total{service=\"a\",code=\"200\"} 16 1767621660 # {trace_id=\"x\"} 1.0\n\
        # TYPE temp gauge\ntemp{service=\"a\",path=\"C:\\\\x\\\"y\\\"\"} 21.5 1767621600.5\ntemp{service=\"a\"} NaN 1767621600\n# EOF\n";
    check(
        ("m.prom", text),
        &["a http_requests_total code=200: 14:00:00 10.0, 14:01:00 16.0", "a temp path=C:\\x\"y\": 14:00:00.5 21.5"],
    );
    let rates = points_of(&[("m.prom", text)], r#"{"path": "m.prom", "op": "range", "metric": "requests"}"#);
    assert_eq!(rates, ["a http_requests_total code=200: 14:01:00 0.1"]);
    check(("m.om", "up{instance=\"db-1\"} 1 1767621600000\n"), &["db-1 up: 14:00:00 1.0"]);
}

#[test]
fn folders_are_searched_through_and_what_is_no_metric_is_named() {
    let files = [
        ("metrics/a.csv.gz", "time,cpu\n1767621600,1\n"),
        ("graph.csv", ",a,b\na,0,1\nb,0,0\n"),
        ("odd.csv", "name,weight\na,7\n"),
        ("alert.json", "{}"),
        ("logs/a.log", "2026-01-05 ERROR cpu 7"),
        ("logs/b.jsonl", "{\"time\":\"2026-01-05T14:00:00Z\",\"level\":\"ERROR\",\"message\":\"x\",\"ms\":3}\n"),
        ("deep/er/b.jsonl", "{\"ts\":1767621600,\"cpu\":2}\n"),
        (".hidden/c.csv", "time,cpu\n1767621600,9\n"),
    ];
    let answer = ask(&files, r#"{"path": ".", "op": "list"}"#);
    let sources: Vec<String> = rows(&answer).iter().map(|row| text(row, "source")).collect();
    assert_eq!(sources, ["metrics/a.csv.gz", "deep/er/b.jsonl"]);
    let notes = notes(&answer);
    assert!(notes.contains("odd.csv:1: no column holds a time"), "{notes}");
    assert_eq!(text(&answer, "edges"), "[[\"a\",\"b\"]]");
    assert!(notes.contains("logs/b.jsonl: these are log lines"), "{notes}");
    let only = ask(&files, r#"{"path": ".", "op": "list", "files": "deep/**"}"#);
    assert_eq!(rows(&only).len(), 1);
    let rest = ask(&files, r#"{"path": ".", "op": "list", "exclude": ["deep", "odd.csv", "logs/**"]}"#);
    assert_eq!(rows(&rest).len(), 1);
}

#[test]
fn a_named_file_that_is_no_table_of_metrics_is_an_error_with_its_remedy() {
    for (text, expected) in [
        (
            "2026-01-05T14:00:00Z,a,cpu,1\n2026-01-05T14:01:00Z,a,cpu,2\n",
            "m.csv:1: the first line holds values, not the names of columns; add a header",
        ),
        ("1767621600,1,2\n", "m.csv:1: the first line holds values"),
        ("", "m.csv: the file is empty"),
        ("service,cpu\na,1\n", "m.csv:1: no column holds a time"),
        ("time,service\n1767621600,a\n", "m.csv:1: no column holds numbers"),
    ] {
        let message = failure(&[("m.csv", text)], r#"{"path": "m.csv", "op": "list"}"#);
        assert!(message.contains(expected), "{text:?}: {message}");
    }
    for (name, text, expected) in [
        ("m.jsonl", "not json\n", "no line is a JSON object"),
        ("m.json", "[{\"ts\": 1767621600, \"cpu\": 1}]", "m.json:1: a JSON array; write one object a line"),
        ("m.prom", "up 1\n", "none of its 1 samples has a timestamp"),
    ] {
        let message = failure(&[(name, text)], &format!(r#"{{"path": "{name}", "op": "list"}}"#));
        assert!(message.contains(expected), "{message}");
    }
    assert!(failure(&[("x.txt", "")], r#"{"path": ".", "op": "list"}"#).contains("no metrics at ."));
}

#[test]
fn what_is_wrong_with_rows_is_counted_with_its_first_line() {
    let mut text = "time,service,cpu\n".to_owned();
    for i in 0..300 {
        text.push_str(&format!("{},a,{i}\n", 1_767_621_600 + 60 * i));
    }
    text.push_str("gestern,a,1\n1767621600,a,viel\n1767621600,a,1,2,3\n1767621600\n\n");
    let notes = notes(&ask_csv(&text, r#"{"path": "m.csv", "op": "list"}"#));
    assert!(notes.contains("1 records without a readable time were left out (first: line 302, `gestern`)"), "{notes}");
    assert!(notes.contains("1 values are no numbers and were left out (first: line 303, `viel`)"), "{notes}");
    assert!(notes.contains("1 records could not be read and were left out (first: line 304"), "{notes}");
}

#[test]
fn bytes_that_are_no_utf8_and_utf16_are_handled() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("m.csv"), b"time,service,cpu\n1767621600,caf\xe9,1\n").expect("a file");
    std::fs::write(folder.path().join("u.csv"), b"\xff\xfet\0i\0").expect("a file");
    let answer = outcome_in(folder.path(), r#"{"path": "m.csv", "op": "list"}"#).expect("an answer");
    assert_eq!(text(&rows(&answer)[0], "service"), "caf\u{fffd}");
    let failure = outcome_in(folder.path(), r#"{"path": "u.csv", "op": "list"}"#).expect_err("it fails");
    assert!(failure.message.contains("UTF-16"), "{failure}");
}

#[test]
fn a_quote_left_open_ends_at_the_longest_record() {
    let mut text = "time,service,cpu\n1767621600,a,1\n1767621660,\"a,2\n".to_owned();
    text.push_str(&"1767621720,a,3\n".repeat(200_000));
    let message = failure(&[("m.csv", &text)], r#"{"path": "m.csv", "op": "list"}"#);
    assert!(message.contains("is a quote left open?"), "{message}");
}

#[test]
fn a_broken_gzip_is_an_error_not_a_short_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut bytes = super::zipped("time,service,cpu\n1767621600,a,1\n".repeat(1000).as_bytes());
    bytes.truncate(bytes.len() - 12);
    std::fs::write(folder.path().join("m.csv.gz"), bytes).expect("a file");
    let failure = outcome_in(folder.path(), r#"{"path": "m.csv.gz", "op": "list"}"#).expect_err("it fails");
    assert!(failure.message.contains("m.csv.gz"), "{failure}");
}

#[test]
fn a_call_graph_is_a_matrix_or_a_list() {
    let edges = |csv: &str| text(&ask_csv(csv, r#"{"path": "m.csv", "op": "list"}"#), "edges");
    assert_eq!(
        edges(",web,db,\"a, b\"\nweb,0,1,0.5\ndb,0,0,\n\"a, b\",0,1.0,0\n"),
        r#"[["a, b","db"],["web","a, b"],["web","db"]]"#
    );
    assert_eq!(edges("caller,callee,calls\nweb,db,7\nweb,db,8\n"), r#"[["web","db"]]"#);
}
