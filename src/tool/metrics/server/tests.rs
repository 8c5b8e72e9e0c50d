//! Does `query_metrics` ask servers only what it may, and say what came of it? A real server is asked in `tests/prometheus.rs`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use super::*;
use crate::{
    tool::{
        Blocking, Tool,
        metrics::QueryMetrics,
        suite::{Suite, call_in, json, reply, serve, suite},
    },
    value::Value,
};

/// What was asked, as `path key=value …`, and the value of the `Authorization` header.
type Log = Arc<Mutex<Vec<(String, Option<String>)>>>;

/// A server that answers a path and its arguments with what `answer` makes of them: a status and a body.
fn server(answer: impl Fn(&str, &BTreeMap<String, String>) -> (&'static str, String) + Send + 'static) -> (u16, Log) {
    let log = Log::default();
    let seen = log.clone();
    let port = serve(move |head, body| {
        let target = head.split(' ').nth(1).unwrap_or_default();
        let mark = if body.is_empty() { "" } else { "?" };
        let url = Url::parse(&format!("http://x{target}{mark}{body}")).expect("an address");
        let arguments: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        let words: Vec<String> = arguments.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let key = head.lines().find_map(|line| Some(line.split_once(": ")?).filter(|(name, _)| *name == "authorization"));
        let key = key.map(|(_, value)| value.trim().to_owned());
        seen.lock().expect("a log").push((format!("{} {}", url.path(), words.join(" ")), key));
        let (status, body) = answer(url.path(), &arguments);
        reply(status, "Location: http://127.0.0.1:1/\r\n", &body)
    });
    (port, log)
}

/// A server that answers everything with this.
fn always(status: &'static str, body: &str) -> u16 {
    let body = body.to_owned();
    server(move |_, _| (status, body.clone())).0
}

fn data(data: &str) -> (&'static str, String) {
    ("200 OK", format!(r#"{{"status": "success", "data": {data}}}"#))
}

fn vector(number: &str) -> (&'static str, String) {
    data(&format!(r#"{{"resultType": "vector", "result": [{{"metric": {{}}, "value": [0, "{number}"]}}]}}"#))
}

fn declared(port: u16, private: bool, key: Option<&str>) -> TeamTools {
    let url = format!("http://127.0.0.1:{port}/base/").into();
    let server = MetricsSpec { name: "prom".into(), url, private, authorization_env: key.map(Arc::from) };
    TeamTools { metrics: vec![server], ..TeamTools::default() }
}

fn env() -> Env {
    Env::of(|name| match name {
        "TOKEN" => Some("token-of-the-server".to_owned()),
        "BASIC" => Some("Basic dXNlcjpwYXNzd29yZA==".to_owned()),
        _ => None,
    })
}

fn tool(tools: &TeamTools) -> Arc<dyn Tool> {
    Arc::new(Blocking::new(QueryMetrics::of_team(tools, &env()).expect("it has servers")))
}

/// Asks the server `prom`, unless the arguments name another.
fn ask_of(tools: &TeamTools, args: &str) -> Result<Value, Failure> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut args = json(args).as_map().expect("arguments").clone();
    args.entry("server".to_owned()).or_insert(Value::text("prom"));
    call_in(tool(tools), folder.path(), &Value::map(args))
}

fn ask(port: u16, args: &str) -> Result<Value, Failure> {
    ask_of(&declared(port, true, None), args)
}

fn rows(answer: &Value) -> Vec<Value> {
    answer.get("rows").and_then(Value::as_list).expect("rows").to_vec()
}

fn notes(answer: &Value) -> String {
    answer.get("notes").expect("notes").to_string()
}

const INSTANT: &str = r#"{"op": "range", "query": "up", "server": "prom"}"#;

#[test]
fn it_does_what_every_tool_must() {
    let (port, _) = server(|path, _| match path {
        "/base/api/v1/label/__name__/values" => data(r#"["cpu"]"#),
        _ => data(r#"[{"__name__": "cpu", "job": "a"}]"#),
    });
    let folder = tempfile::tempdir().expect("a folder");
    let long = format!(r#"{{"op": "list", "server": "prom", "query": "{}"}}"#, "x".repeat(20_000));
    suite(&Suite {
        tool: tool(&declared(port, true, None)),
        workspace: folder.path(),
        good: json(r#"{"op": "list", "server": "prom"}"#),
        bad: vec![
            (json(r#"{"server": "prom"}"#), "`op` is missing"),
            (json(r#"{"op": "list", "server": "prom", "path": "x"}"#), "stands in place of `path`"),
            (json(r#"{"op": "list", "query": "up", "path": "x"}"#), "`query`: is for a server"),
            (json(r#"{"op": "list"}"#), "name a file or folder, or a `server`: prom"),
            (json(r#"{"op": "list", "server": "prm"}"#), "did you mean `prom`?"),
            (json(r#"{"op": "list", "server": "http://x/?y=1"}"#), "more than an address"),
            (json(r#"{"op": "list", "server": "http://"}"#), "is no address"),
            (json(r#"{"op": "range", "server": "prom", "query": " "}"#), "from 1 to 10000 bytes"),
            (json(&long), "from 1 to 10000 bytes"),
            (json(r#"{"op": "compare", "server": "prom", "baseline": "normal.csv"}"#), "of a server is a time"),
            (json(r#"{"op": "compare", "server": "prom", "baseline": {"since": 1}}"#), "names both `since` and `until`"),
        ],
        path: None,
    });
}

#[test]
fn without_servers_nothing_is_different() {
    assert!(QueryMetrics::of_team(&TeamTools::default(), &env()).is_none());
    let spec = tool(&declared(1, true, None)).spec().clone();
    assert!(spec.description.contains("with `server` in place of `path`: prom."), "{}", spec.description);
    let has = |tool: &dyn Tool| tool.spec().parameters.get("properties").is_some_and(|all| all.get("server").is_some());
    assert!(has(&*tool(&declared(1, true, None))) && !has(&Blocking::new(QueryMetrics::new())));
}

#[test]
fn samples_come_as_they_were_scraped_where_they_are_few() {
    let (port, log) = server(|path, arguments| match (path, arguments.get("query").map(String::as_str).unwrap_or_default()) {
        ("/base/api/v1/label/__name__/values", _) => data(r#"["cpu_ratio", "http_requests_total", "up"]"#),
        (_, query) if query.starts_with("count") => vector("2"),
        (_, query) if query.starts_with("sum") => vector("6"),
        _ => data(
            r#"{"resultType": "matrix", "result": [
                {"metric": {"__name__": "cpu_ratio", "service": "cart", "pod": "cart-7d9f8b6c5d-x2k4j", "zone": "b"},
                 "values": [[1767625200, "1"], [1767625215.5, "2"], [1767625230, "NaN"], [1767625245, "+Inf"], [1767625260, "-Inf"]]}
            ]}"#,
        ),
    });
    let args = r#"{"op": "range", "metric": "cpu", "since": 1767625200, "until": 1767628800}"#;
    let answer = ask(port, args).expect("it answers");
    let row = &rows(&answer)[0];
    let expected = r#"[["2026-01-05T15:00:00Z",1.0],["2026-01-05T15:00:15.5Z",2.0]]"#;
    assert_eq!(row.get("points").map(|points| points.to_json().to_string()).as_deref(), Some(expected));
    for (key, value) in [("service", "cart"), ("metric", "cpu_ratio"), ("labels", "zone=b"), ("source", "prom"), ("kind", "cpu")]
    {
        assert_eq!(row.get(key).and_then(Value::as_str), Some(value));
    }
    assert!(notes(&answer).contains("3 values are NaN or infinite"), "{answer}");
    let asked: Vec<String> = log.lock().expect("a log").iter().map(|(asked, _)| asked.clone()).collect();
    let stretch = r#"{__name__="cpu_ratio"}[3600000ms]"#;
    assert_eq!(
        asked,
        [
            "/base/api/v1/label/__name__/values end=1767628800.000 start=1767625200.000".to_owned(),
            format!("/base/api/v1/query query=count(count_over_time({stretch})) time=1767628800.000"),
            format!("/base/api/v1/query query=sum(count_over_time({stretch})) time=1767628800.000"),
            format!("/base/api/v1/query query={stretch} time=1767628800.000"),
        ]
    );
}

#[test]
fn a_step_is_chosen_that_keeps_within_limits() {
    for (series, samples, width, expected) in [
        ("2", "1000001", 3600, "step=15.000"),
        ("5000", "9000000", 3600, "step=30.000"),
        ("10", "2000000", 864_000, "step=900.000"),
    ] {
        let (port, log) =
            server(move |path, arguments| match (path, arguments.get("query").map(String::as_str).unwrap_or_default()) {
                ("/base/api/v1/label/__name__/values", _) => data(r#"["cpu_ratio", "cpu_usage"]"#),
                (_, query) if query.starts_with("count") => vector(series),
                (_, query) if query.starts_with("sum") => vector(samples),
                _ => data(r#"{"resultType": "matrix", "result": []}"#),
            });
        let until = 1_767_625_207 + width;
        let args = format!(r#"{{"op": "outliers", "metric": "cpu", "since": 1767625207, "until": {until}}}"#);
        let answer = ask(port, &args).expect("it answers");
        assert!(notes(&answer).contains("samples are more than 1000000"), "{answer}");
        let asked = log.lock().expect("a log").last().expect("it was asked").0.clone();
        assert!(asked.starts_with("/base/api/v1/query_range") && asked.contains(expected), "{asked}");
        assert!(asked.contains(r#"query={__name__=~"cpu_ratio|cpu_usage"}"#), "{asked}");
        assert!(!asked.contains("start=1767625207"), "the first step is a multiple of the step: {asked}");
    }
}

#[test]
fn an_expression_is_evaluated_at_the_step_that_was_asked_for_or_at_one_instant() {
    let (port, log) = server(|_, arguments| match arguments.get("step") {
        Some(_) => data(r#"{"resultType": "matrix", "result": [{"metric": {}, "values": [[1767625200, "1"]]}]}"#),
        None => vector("3"),
    });
    let last = || log.lock().expect("a log").last().expect("it was asked").0.clone();
    let args = r#"{"op": "range", "query": "sum(rate(http_requests_total[5m]))", "since": 1767625200, "until": 1767628800, "step": "5m"}"#;
    let answer = ask(port, args).expect("it answers");
    assert!(last().ends_with("step=300.000"), "{}", last());
    assert_eq!(rows(&answer)[0].get("metric").and_then(Value::as_str), Some("sum(rate(http_requests_total[5m]))"));
    ask(port, r#"{"op": "aggregate", "query": "up", "since": 1767625200, "until": 1767628800, "step": "5m"}"#)
        .expect("it answers");
    assert!(last().ends_with("step=15.000"), "buckets are filled with several points: {}", last());
    let answer = ask(port, r#"{"op": "range", "query": "up", "until": 1767628800}"#).expect("it answers");
    assert_eq!(last(), "/base/api/v1/query query=up time=1767628800.000");
    assert_eq!(rows(&answer).len(), 1);
    ask(port, r#"{"op": "changes", "query": "up", "since": 1767625200, "until": 1767625800}"#).expect("it answers");
    assert!(last().contains("start=1767621600.000"), "an hour before the window is normal: {}", last());
    let failure = ask(port, r#"{"op": "range", "query": "up", "since": 1767625200, "until": 1767711600, "step": "1s"}"#);
    let failure = failure.expect_err("it is too much").message;
    assert!(failure.contains("makes 86401 points of each of 3 series") && failure.contains("`2m` fits"), "{failure}");
}

#[test]
fn a_long_query_is_posted() {
    let (port, log) = server(|_, _| vector("3"));
    let query = format!("sum({})", "up + ".repeat(600) + "up");
    let answer = ask(port, &format!(r#"{{"op": "range", "query": "{query}"}}"#)).expect("it answers");
    assert!(rows(&answer)[0].get("metric").and_then(Value::as_str).is_some_and(|name| name.ends_with('…')), "{answer}");
    assert!(log.lock().expect("a log")[0].0.contains(&query));
}

#[test]
fn what_the_server_calls_an_error_is_told_with_its_kind() {
    for (status, body, kind, expected) in [
        (
            "400 Bad Request",
            r#"{"status": "error", "errorType": "bad_data", "error": "1:3: parse error"}"#,
            FailureKind::Tool,
            "bad_data: 1:3: parse error",
        ),
        (
            "503 Service Unavailable",
            r#"{"status": "error", "errorType": "timeout", "error": "query timed out"}"#,
            FailureKind::Timeout,
            "timeout: query timed out",
        ),
        (
            "422 Unprocessable Entity",
            r#"{"status": "error", "errorType": "execution", "error": "too many samples"}"#,
            FailureKind::Tool,
            "execution: too many samples",
        ),
        ("200 OK", r#"{"status": "error", "errorType": "internal", "error": "x"}"#, FailureKind::Tool, "internal: x"),
        ("200 OK", r#"{"status": "success"}"#, FailureKind::Tool, "no data"),
        ("401 Unauthorized", "who are you?", FailureKind::Denied, "`authorization_env`"),
        ("429 Too Many Requests", "later", FailureKind::RateLimit, "later"),
        ("302 Found", "", FailureKind::Tool, "sends us on"),
        ("404 Not Found", "404 page not found", FailureKind::Tool, "is there a Prometheus"),
        ("502 Bad Gateway", "<html>", FailureKind::Tool, "<html>"),
        ("200 OK", "<html><body>Grafana", FailureKind::Tool, "does not answer as Prometheus does"),
        ("200 OK", r#"{"status": "success", "data": {"resultType": "matrix", "res"#, FailureKind::Tool, "breaks off after"),
        (
            "200 OK",
            r#"{"status": "success", "data": {"resultType": "streams", "result": []}}"#,
            FailureKind::Tool,
            "as Prometheus does",
        ),
        ("200 OK", "", FailureKind::Tool, "breaks off"),
        ("200 OK", "[1]", FailureKind::Tool, "does not answer as Prometheus does"),
    ] {
        let failure = ask(always(status, body), INSTANT).expect_err(body);
        assert!(failure.kind == kind && failure.message.contains(expected), "{body}: {failure:?}");
    }
}

#[test]
fn warnings_are_notes() {
    let body = r#"{"status": "success", "warnings": ["PromQL warning: 7"], "infos": ["PromQL info: 8"], "data": {"resultType": "vector", "result": []}}"#;
    let answer = ask(always("200 OK", body), INSTANT).expect("it answers");
    assert!(notes(&answer).contains("PromQL warning: 7") && notes(&answer).contains("PromQL info: 8"), "{answer}");
}

#[test]
fn what_has_no_samples_is_said_and_numbers_are_series_too() {
    for (body, rows_expected, expected) in [
        (r#"{"resultType": "vector", "result": []}"#, 0, "no samples match"),
        (r#"{"resultType": "scalar", "result": [1767625200, "42"]}"#, 1, "[]"),
        (r#"{"resultType": "scalar", "result": [1767625200, "NaN"]}"#, 0, "1 values are NaN"),
        (r#"{"resultType": "string", "result": [1767625200, "hello"]}"#, 0, "result is a text"),
        (
            r#"{"resultType": "vector", "result": [{"metric": {"__name__": "h"}, "histogram": [1, {"count": "3"}]}]}"#,
            0,
            "histograms",
        ),
        (r#"{"resultType": "vector", "result": [{"metric": {}, "value": [1, "many"]}]}"#, 0, "no numbers"),
        (r#"{"resultType": "vector", "result": [{"metric": {}, "value": [1e300, "7"]}]}"#, 1, "[]"),
    ] {
        let (_, body) = data(body);
        let answer = ask(always("200 OK", &body), INSTANT).unwrap_or_else(|e| panic!("{body}: {e}"));
        assert_eq!(rows(&answer).len(), rows_expected, "{body}: {answer}");
        assert!(notes(&answer).contains(expected), "{body}: {answer}");
    }
    let (port, _) = server(|_, _| data("[]"));
    for op in ["list", "range", "changes", "outliers", "aggregate"] {
        let answer = ask(port, &format!(r#"{{"op": "{op}"}}"#)).expect("nothing is an answer");
        assert!(rows(&answer).is_empty(), "{answer}");
    }
}

#[test]
fn too_much_is_refused_with_what_would_help() {
    let (port, _) = server(|path, arguments| match path {
        "/base/api/v1/label/__name__/values" => {
            let names: Vec<String> = (0..101).map(|n| format!("\"cpu_{n}\"")).collect();
            data(&format!("[{}]", names.join(",")))
        }
        _ if arguments.get("query").is_some_and(|query| query.starts_with("count")) => vector("5001"),
        _ => panic!("it should ask no further: {path}"),
    });
    let failure = ask(port, r#"{"op": "range", "metric": "cpu"}"#).expect_err("too many metrics");
    assert!(failure.message.contains("101 metrics of prom match"), "{failure}");
    let failure = ask(port, r#"{"op": "range", "metric": "cpu_7*"}"#).expect_err("too many series");
    assert!(failure.kind == FailureKind::Limit && failure.message.contains("5001 series match"), "{failure}");
    let failure = ask(port, r#"{"op": "outliers", "query": "up"}"#).expect_err("too many series");
    assert!(failure.kind == FailureKind::Limit && failure.message.contains("sum by (service)"), "{failure}");
    let answer = ask(port, r#"{"op": "list"}"#).expect("names are no matter");
    assert!(notes(&answer).contains("101 metrics: these are their names") && rows(&answer).len() == 50, "{answer}");
}

#[test]
fn a_flood_is_cut_off() {
    let huge = format!(r#"{{"status": "success", "data": "{}"}}"#, "x".repeat(ask::MAX_BYTES));
    let failure = ask(always("200 OK", &huge), INSTANT).expect_err("it is too much");
    assert!(failure.kind == FailureKind::Limit && failure.message.contains("more than 64 MiB"), "{failure}");
    let failure = ask(always("500 Internal Server Error", &huge), INSTANT).expect_err("it is an error");
    assert!(failure.kind == FailureKind::Tool && failure.message.len() < 2_000, "{}", failure.message.len());
}

#[test]
fn an_answer_that_ends_too_soon_is_no_answer() {
    let port = serve(|_, _| "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"status\": \"success\", ".to_owned());
    let failure = ask(port, INSTANT).expect_err("it breaks off");
    assert!(failure.kind == FailureKind::Transport && failure.message.contains("did not answer"), "{failure:?}");
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    assert_eq!(ask(port, INSTANT).expect_err("nobody listens").kind, FailureKind::Tool);
}

#[test]
fn a_cancelled_question_does_not_wait_for_a_server_that_says_nothing() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let stop = crate::tool::Stop::default();
    let other = stop.clone();
    std::thread::spawn(move || {
        let held = listener.accept();
        other.cancel();
        std::thread::park();
        drop(held);
    });
    let folder = tempfile::tempdir().expect("a folder");
    let roots = crate::tool::Roots::new(folder.path()).expect("a root");
    let failure = crate::tool::suite::call_on(tool(&declared(port, true, None)), roots, stop, &json(INSTANT));
    assert_eq!(failure.expect_err("it is cancelled").kind, FailureKind::Cancelled);
}

#[test]
fn a_key_goes_to_its_server_and_nowhere_else() {
    let (port, log) = server(|_, _| vector("3"));
    let key = || log.lock().expect("a log").last().expect("it was asked").1.clone();
    let listed = |key: &str| TeamTools {
        http: Some(HttpSpec { private_hosts: vec![format!("127.0.0.1:{port}").into()], ..HttpSpec::default() }),
        ..declared(port, true, Some(key))
    };
    ask_of(&listed("TOKEN"), INSTANT).expect("it answers");
    assert_eq!(key().as_deref(), Some("Bearer token-of-the-server"));
    ask_of(&listed("BASIC"), INSTANT).expect("it answers");
    assert_eq!(key().as_deref(), Some("Basic dXNlcjpwYXNzd29yZA=="));
    ask_of(&listed("TOKEN"), &format!(r#"{{"op": "range", "query": "up", "server": "http://127.0.0.1:{port}/base"}}"#))
        .expect("it answers");
    assert_eq!(key().as_deref(), Some("Bearer token-of-the-server"), "its address names it too");
    ask_of(&listed("TOKEN"), &format!(r#"{{"op": "range", "query": "up", "server": "http://127.0.0.1:{port}/other"}}"#))
        .expect("it answers");
    assert_eq!(key(), None);
    let failure = ask_of(&listed("NONE"), INSTANT).expect_err("there is no key");
    assert!(failure.kind == FailureKind::Denied && failure.message.contains("set the variable NONE"), "{failure}");
    let env = env();
    let _ = QueryMetrics::of_team(&listed("TOKEN"), &env);
    assert_eq!(env.redactor().text("is token-of-the-server"), "is [redacted TOKEN]");
}

#[test]
fn only_servers_that_the_team_names_are_asked() {
    let (port, log) = server(|_, _| vector("3"));
    let failure = ask_of(&declared(port, false, None), INSTANT).expect_err("it is private");
    assert!(failure.kind == FailureKind::Denied && failure.message.contains("says `private: true`"), "{failure}");
    let others = ["http://127.0.0.1:1", "http://169.254.169.254/latest", "file:///etc/passwd", "http://a:b@127.0.0.1/"];
    for other in others {
        let args = format!(r#"{{"op": "range", "query": "up", "server": "{other}"}}"#);
        let failure = ask_of(&declared(port, true, None), &args).expect_err(other);
        assert_eq!(failure.kind, FailureKind::Denied, "{other}: {failure}");
    }
    assert!(log.lock().expect("a log").is_empty());
}
