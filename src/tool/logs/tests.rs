//! Tests of the tool on files of many kinds.

use std::{io::Write, path::Path, sync::Arc};

use super::*;
use crate::tool::{
    Blocking, Roots, Stop, Tool,
    suite::{Suite, call_in, call_on, json, suite},
};

fn tool() -> Arc<dyn Tool> {
    Arc::new(Blocking::new(SearchLogs::default()))
}

fn search(folder: &Path, args: &str) -> Value {
    call_in(tool(), folder, &json(args)).unwrap_or_else(|e| panic!("{args}: {e}"))
}

fn rows<'v>(result: &'v Value, name: &str) -> &'v [Value] {
    result.get(name).and_then(Value::as_list).unwrap_or_else(|| panic!("{name} is a list in {result}"))
}

fn text<'v>(row: &'v Value, name: &str) -> &'v str {
    row.get(name).and_then(Value::as_str).unwrap_or_else(|| panic!("{name} is a text in {row}"))
}

fn int(row: &Value, name: &str) -> i64 {
    row.get(name).and_then(Value::as_int).unwrap_or_else(|| panic!("{name} is an integer in {row}"))
}

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, content).expect("a file");
    }
    folder
}

fn gzip(text: &str) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(text.as_bytes()).expect("it packs");
    packer.finish().expect("it packs")
}

/// A quiet hour in which `gateway` calls `orders`, then from 14:30 on a pool that is exhausted in `orders`.
fn incident() -> tempfile::TempDir {
    let (mut gateway, mut orders) = (String::new(), String::new());
    for n in 0..120 {
        let (hour, minute, second) = (13 + (30 + n / 2) / 60, (30 + n / 2) % 60, n % 2 * 30);
        let broken = n >= 120 - 10;
        let stamp = |millis: u32| format!("2026-01-05T{hour:02}:{minute:02}:{second:02}.{millis:03}Z");
        let trace = format!("TraceID: {n:032x} SpanID: {n:016x}");
        gateway.push_str(&format!("{} INFO gateway {trace} GET /orders/{n}\n", stamp(0)));
        orders.push_str(&format!("{} INFO {trace} load order {n} for user{n}\n", stamp(10)));
        if broken {
            orders.push_str(&format!("{} ERROR {trace} connection pool exhausted after {}ms\n", stamp(900), 800 + n));
            orders.push_str("java.lang.IllegalStateException: pool\n\tat shop.Pool.take(Pool.java:12)\nCaused by: java.sql.SQLException: full\n");
        } else {
            orders.push_str(&format!("{} INFO {trace} order {n} loaded\n", stamp(20)));
        }
        gateway.push_str(&format!("{} INFO gateway {trace} GET /orders/{n} done\n", stamp(if broken { 950 } else { 30 })));
    }
    folder(&[
        ("logs/gateway-64469b5b48-25zj6.log", gateway.as_bytes()),
        ("logs/orders.log.gz", &gzip(&orders)),
        ("metrics/cpu.csv", b"time,value\n"),
        ("logs/metrics.jsonl", b"{\"time\":1,\"metric\":\"cpu\",\"value\":1}\n"),
    ])
}

#[test]
fn it_keeps_the_rules_of_tools() {
    let folder = incident();
    suite(&Suite {
        tool: tool(),
        workspace: folder.path(),
        good: json(r#"{"path": "logs", "op": "lines", "limit": 1000}"#),
        bad: vec![
            (json(r#"{"op": "line"}"#), "did you mean \"lines\"?"),
            (json(r#"{"sinc": 3}"#), "did you mean `since`?"),
            (json(r#"{"since": "yesterday"}"#), "`since` is no time"),
            (json(r#"{"since": true}"#), "`since` must be a number or a string"),
            (json(r#"{"baseline": {"since": "x"}}"#), "`baseline.since` is no time"),
            (json(r#"{"since": 1700000000, "until": 1600000000}"#), "`since` must be before `until`"),
            (json(r#"{"pattern": "("}"#), "is no regular expression"),
            (json(r#"{"group_by": "capture", "pattern": "x"}"#), "wants a `pattern` with a group"),
            (json(r#"{"zone": "Mars"}"#), "`zone` is no offset"),
            (json(r#"{"level": "eror"}"#), "did you mean \"error\"?"),
            (json(r#"{"path": "log"}"#), "did you mean logs?"),
            (json(r#"{"files": "*.xyz"}"#), "no file below . matches"),
            (json(r#"{"limit": 0}"#), "`limit` must be at least 1"),
        ],
        path: Some("path"),
    });
}

#[test]
fn lines_have_place_time_level_and_service() {
    let folder = incident();
    let result = search(folder.path(), r#"{"level": "error", "pattern": "exhausted", "limit": 2}"#);
    assert_eq!(int(&result, "matched"), 10);
    let first = &rows(&result, "rows")[0];
    assert_eq!(text(first, "file"), "logs/orders.log.gz");
    assert_eq!(int(first, "line"), 222);
    assert_eq!(text(first, "time"), "2026-01-05T14:25:00.9Z");
    assert_eq!((text(first, "level"), text(first, "service")), ("error", "orders"));
    assert!(text(first, "more").contains("Caused by: java.sql.SQLException"));
    let result = search(folder.path(), r#"{"service": "gate*", "newest": true, "limit": 1}"#);
    assert_eq!(text(&rows(&result, "rows")[0], "time"), "2026-01-05T14:29:30.95Z");
    let notes = rows(&result, "notes");
    assert!(notes.iter().any(|n| n.to_string().contains("1 lines that are samples of metrics")), "{result}");
}

#[test]
fn templates_are_counted_in_the_window_and_against_the_baseline() {
    let folder = incident();
    let result = search(folder.path(), r#"{"group_by": "template", "since": "2026-01-05T14:25:00Z"}"#);
    let row =
        (rows(&result, "rows").iter()).find(|r| text(r, "template").contains("exhausted")).expect("the new template is there");
    assert_eq!(text(row, "template"), "connection pool exhausted after <n>ms");
    assert_eq!((text(row, "service"), int(row, "count"), int(row, "baseline_count")), ("orders", 10, 0));
    assert_eq!((row.get("new"), row.get("ratio")), (Some(&Value::Bool(true)), Some(&Value::Null)));
    assert!(row.get("z").and_then(Value::as_f64).is_some_and(|z| z > 3.0), "{row}");
    let gone =
        (rows(&result, "rows").iter()).find(|r| text(r, "template").contains("loaded")).expect("the old template is there");
    assert!(gone.get("z").and_then(Value::as_f64).is_some_and(|z| z < -3.0), "{gone}");
    let steady = (rows(&result, "rows").iter()).find(|r| text(r, "template").contains("load order")).expect("it is there");
    assert_eq!(int(steady, "count"), 10);
    assert!(steady.get("z").and_then(Value::as_f64).is_some_and(|z| z.abs() < 1.0), "{steady}");
}

#[test]
fn errors_are_counted_per_service_minute_capture_and_exception() {
    let folder = incident();
    let first = |args: &str, name: &str| {
        let result = search(folder.path(), args);
        let row = &rows(&result, "rows")[0];
        (text(row, name).to_owned(), int(row, "count"))
    };
    assert_eq!(first(r#"{"group_by": "service", "level": "error"}"#, "service"), ("orders".to_owned(), 10));
    assert_eq!(first(r#"{"group_by": "minute", "level": "error"}"#, "time"), ("2026-01-05T14:25:00Z".to_owned(), 2));
    assert_eq!(first(r#"{"group_by": "capture", "pattern": "for (user1)\\b"}"#, "capture"), ("user1".to_owned(), 1));
    let name = "java.lang.IllegalStateException, caused by java.sql.SQLException, at shop.Pool.take";
    assert_eq!(first(r#"{"group_by": "exception"}"#, "exception"), (name.to_owned(), 10));
    assert_eq!(first(r#"{"group_by": "level"}"#, "level"), ("info".to_owned(), 470));
}

#[test]
fn a_pattern_that_began_has_its_moment_and_who_spoke_before() {
    let folder = incident();
    let result = search(folder.path(), r#"{"op": "patterns", "since": "2026-01-05T14:20:00Z", "until": "2026-01-05T14:35:00Z"}"#);
    let row = &rows(&result, "rows")[0];
    assert_eq!(text(row, "onset"), "2026-01-05T14:25:00.9Z");
    assert_eq!((int(row, "before"), int(row, "after")), (0, 10));
    assert!(row.get("score").and_then(Value::as_f64).is_some_and(|s| s > 1.0), "{row}");
    assert_eq!(row.get("spoke_last").map(ToString::to_string).as_deref(), Some(r#"{"orders":10}"#));
}

#[test]
fn traces_tell_who_calls_whom_what_slowed_down_and_what_stays_away() {
    let folder = incident();
    let result = search(folder.path(), r#"{"op": "traces", "since": "2026-01-05T14:20:00Z", "until": "2026-01-05T14:35:00Z"}"#);
    assert_eq!(int(&result, "traces"), 120);
    assert_eq!(
        result.get("edges").map(ToString::to_string).as_deref(),
        Some(r#"[{"callee":"orders","caller":"gateway","count":120}]"#)
    );
    let slow = &rows(&result, "slow")[0];
    assert_eq!((slow.get("caller"), text(slow, "service")), (Some(&Value::Null), "orders"));
    assert_eq!(text(slow, "onset"), "2026-01-05T14:25:00Z");
    assert!(slow.get("score").and_then(Value::as_f64).is_some_and(|s| s > 1.0), "{slow}");
    let lines: Vec<&str> = rows(&result, "lines").iter().map(|l| text(l, "template")).collect();
    assert_eq!(lines.len(), 2, "one line came and one stays away: {lines:?}");
}

#[test]
fn damaged_files_are_survived_and_told() {
    let mut broken = gzip(&"2026-01-05T14:25:00Z ERROR a broken file\n".repeat(50_000));
    broken.truncate(broken.len() / 2);
    let mut long = b"2026-01-05T14:25:00Z ERROR ".to_vec();
    long.extend(vec![b'x'; 50 << 20]);
    long.extend(b"\n2026-01-05T14:25:01Z ERROR after it\n");
    let folder = folder(&[
        ("empty.log", b""),
        ("broken.log.gz", &broken),
        ("long.log", &long),
        ("latin.log", b"2026-01-05T14:25:00Z ERROR gr\xfc\xdfe\n"),
        ("binary.log", b"\0\0\0"),
        ("blank.log", b"\n\n\n"),
        ("nothing.log.gz", b"\x1f\x8b"),
        ("undated.log", b"ERROR without time\n"),
    ]);
    let result = search(folder.path(), r#"{"level": "error", "group_by": "service"}"#);
    let notes = result.get("notes").map(ToString::to_string).unwrap_or_default();
    for expected in [
        "broken.log.gz",
        "long.log: 1 lines longer",
        "latin.log: 1 lines that are not valid",
        "binary.log: binary",
        "1 messages have no time",
        "nothing.log.gz",
    ] {
        assert!(notes.contains(expected), "{expected} in {notes}");
    }
    let services: Vec<&str> = rows(&result, "rows").iter().map(|r| text(r, "service")).collect();
    assert_eq!(services, ["broken", "long", "latin", "undated"]);
    let all = search(folder.path(), r#"{"pattern": "after it"}"#);
    assert_eq!(int(&all, "matched"), 1);
}

#[test]
fn a_line_without_a_date_takes_that_of_the_line_before() {
    let folder = folder(&[("a.log", b"2026-01-05 14:25:00 INFO one\ntwo\n14:26:00 three\n")]);
    let result = search(folder.path(), r#"{"zone": "+01:00"}"#);
    let times: Vec<&str> = rows(&result, "rows").iter().map(|r| text(r, "time")).collect();
    assert_eq!(times, ["2026-01-05T13:25:00Z"; 3]);
}

#[test]
fn a_search_stops_soon_after_it_is_told_to() {
    let line = "2026-01-05 14:25:00 INFO one\n".repeat(1_000);
    let names: Vec<String> = (0..200).map(|n| format!("s{n}.log")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), line.as_bytes())).collect();
    let folder = folder(&files);
    let stop = Stop::default();
    let (canceller, words) = (stop.clone(), Arc::new(std::sync::atomic::AtomicUsize::new(0)));
    let heard = words.clone();
    let progress = crate::tool::Progress::to(move |_| {
        heard.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        canceller.cancel();
    });
    let roots = Arc::new(Roots::new(folder.path()).expect("a root"));
    let call = CallContext { stop, progress, ..CallContext::on(roots) };
    let failure = SearchLogs::default().run(&call, &json(r#"{"group_by": "template"}"#)).expect_err("it was cancelled");
    assert_eq!(failure.kind, FailureKind::Cancelled);
    assert!(words.load(std::sync::atomic::Ordering::Relaxed) <= 4, "each thread ends at most the file that it reads");
}

#[test]
fn what_containers_and_terminals_put_around_a_message_is_taken_off() {
    let folder = folder(&[
        (
            "docker.log",
            b"{\"log\":\"14:22:08 ERROR pool is full\\n\",\"stream\":\"stderr\",\"time\":\"2026-01-05T14:25:00.5Z\"}\n",
        ),
        ("cri.log", b"2026-01-05T14:25:01.5Z stderr F \x1b[31mERROR\x1b[0m pool is full\n"),
    ]);
    let result = search(folder.path(), "{}");
    for (row, time) in rows(&result, "rows").iter().zip(["2026-01-05T14:25:00.5Z", "2026-01-05T14:25:01.5Z"]) {
        assert_eq!((text(row, "time"), text(row, "level"), text(row, "text")), (time, "error", "pool is full"));
    }
}

#[test]
fn a_trace_id_of_ones_own_is_found_by_its_pattern() {
    let lines: String = (0..10)
        .map(|n| format!("2026-01-05T14:25:{n:02}Z a-svc flow<{}> one\n2026-01-05T14:25:{n:02}.1Z b-svc flow<{}> two\n", n, n))
        .collect();
    let folder = folder(&[("all.log", lines.as_bytes())]);
    assert_eq!(int(&search(folder.path(), r#"{"op": "traces"}"#), "traces"), 0);
    let result = search(folder.path(), r#"{"op": "traces", "trace_pattern": "flow<(\\d+)>"}"#);
    assert_eq!(int(&result, "traces"), 10);
    assert_eq!(
        result.get("edges").map(ToString::to_string).as_deref(),
        Some(r#"[{"callee":"b-svc","caller":"a-svc","count":10}]"#)
    );
}

#[test]
fn the_result_is_the_same_every_time() {
    let files: Vec<(String, String)> = (0..60)
        .map(|n| {
            (
                format!("s{n}.log"),
                (0..50).map(|i| format!("2026-01-05 14:{:02}:00 INFO word{} item {i}\n", i % 60, i % 7)).collect(),
            )
        })
        .collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(n, t)| (n.as_str(), t.as_bytes())).collect();
    let folder = folder(&files);
    let once = search(folder.path(), r#"{"group_by": "template", "limit": 1000}"#);
    for _ in 0..3 {
        assert_eq!(search(folder.path(), r#"{"group_by": "template", "limit": 1000}"#), once);
    }
    assert_eq!(rows(&once, "rows").len(), 60);
}

#[test]
fn real_incidents_are_read_without_loss() {
    let Ok(shared) = std::env::var("SYNOD_SHARED") else {
        println!("SYNOD_SHARED is not set: skipped");
        return;
    };
    let data = Path::new(&shared).join("incidents");
    let roots = || Roots::new(Path::new(&shared)).expect("the shared data");
    let search = |args: &str| call_on(tool(), roots(), Stop::default(), &json(args)).unwrap_or_else(|e| panic!("{args}: {e}"));
    let result = search(
        r#"{"path": "incidents/tt-02/logs", "op": "patterns", "since": "2023-01-29T10:20:00Z", "until": "2023-01-29T10:23:00Z"}"#,
    );
    let row = &rows(&result, "rows")[0];
    assert_eq!(text(row, "service"), "ts-travel-service");
    assert!(data.join("tt-01/logs").is_dir());
    let result = search(
        r#"{"path": "incidents/tt-01/logs", "op": "traces", "since": "2023-01-29T14:23:00Z", "until": "2023-01-29T14:26:00Z"}"#,
    );
    assert!(int(&result, "traces") > 100 && rows(&result, "edges").len() > 20);
    assert_eq!(rows(&result, "notes").len(), 0, "{:?}", result.get("notes"));
}
