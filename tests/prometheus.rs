//! Does `query_metrics` ask a real Prometheus, and read what it says? `.ci/run` puts Debian's package into `target/servers/prometheus` and
//! runs these tests with `--ignored`; where it is not there, they fail.

use std::{
    fmt::Write as _,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};
use synod::{engine::Engine, secret::Env, team::Overrides, value::Map};

/// The first sample: 2026-01-05T15:00:00Z.
const FIRST: i64 = 1_767_625_200;
/// Samples of a series, one every 15 s: two hours.
const SAMPLES: i64 = 480;
/// When the processor of `payment` gets busy: 90 minutes later.
const BUSY: i64 = FIRST + 5_400;
/// What `open sesame` is as a password of `synod`, by bcrypt.
const PASSWORD: &str = "$2y$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW";
const KEY: &str = "Basic c3lub2Q6b3BlbiBzZXNhbWU=";

fn program(name: &str) -> PathBuf {
    let found = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/servers/prometheus/usr/bin").join(name);
    assert!(found.exists(), "{} is not there: run .ci/run", found.display());
    found
}

/// The samples, as OpenMetrics.
fn samples() -> String {
    let mut text = String::from("# TYPE process_cpu_ratio gauge\n");
    let times = || (0..SAMPLES).map(|n| (n, FIRST + 15 * n));
    for service in ["cart", "checkout", "payment"] {
        for (n, at) in times() {
            let calm = 0.3 + 0.02 * ((n * 7 % 11) as f64 / 11.0);
            let value = if service == "payment" && at >= BUSY { 0.95 } else { calm };
            writeln!(text, "process_cpu_ratio{{service=\"{service}\",pod=\"{service}-7d9f8b6c5d-x2k4j\"}} {value} {at}").unwrap();
        }
    }
    text.push_str("# TYPE http_requests counter\n");
    for service in ["checkout", "payment"] {
        for (n, at) in times() {
            writeln!(text, "http_requests_total{{service=\"{service}\",code=\"200\"}} {} {at}", 150 * n).unwrap();
        }
    }
    text.push_str("# TYPE odd_ratio gauge\n");
    for (n, at) in times() {
        writeln!(text, "odd_ratio{{service=\"cart\"}} {} {at}", ["NaN", "+Inf", "-Inf", "1"][n as usize % 4]).unwrap();
    }
    text + "# EOF\n"
}

struct Prometheus {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Prometheus {
    /// With the samples, on loopback only.
    fn start(web: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("samples.om"), samples()).unwrap();
        std::fs::write(path("prometheus.yml"), "global: { scrape_interval: 15s }\n").unwrap();
        std::fs::write(path("web.yml"), web).unwrap();
        let made = Command::new(program("promtool"))
            .args(["tsdb", "create-blocks-from", "openmetrics"])
            .args([path("samples.om"), path("tsdb")])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(program("prometheus"))
            .arg(format!("--config.file={}", path("prometheus.yml").display()))
            .arg(format!("--web.config.file={}", path("web.yml").display()))
            .arg(format!("--storage.tsdb.path={}", path("tsdb").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--storage.tsdb.retention.time=100y")
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(path("log")).unwrap())
            .spawn()
            .unwrap();
        let mut server = Self { child, port, folder };
        let began = Instant::now();
        while !server.is_ready() {
            let log = || std::fs::read_to_string(server.folder.path().join("log")).unwrap_or_default();
            assert!(server.child.try_wait().unwrap().is_none(), "it ended: {}", log());
            assert!(began.elapsed() < Duration::from_secs(60), "it does not get ready: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    fn is_ready(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        let mut answer = String::new();
        stream.write_all(b"GET /-/ready HTTP/1.0\r\n\r\n").is_ok()
            && stream.read_to_string(&mut answer).is_ok()
            && (answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.0 401"))
    }

    /// What a session's node says, that asks the server with these arguments: its output, or why it failed.
    fn ask(&self, mut args: Json) -> Result<Json, String> {
        args["server"] = json!("prom");
        args["limit"] = json!(1000);
        let folder = tempfile::tempdir().unwrap();
        let team = format!(
            "name: Team\ncollaboration_pattern: graph\nmetrics: {{ prom: {{ url: 'http://127.0.0.1:{}', private: true, \
             authorization_env: PROM_KEY }} }}\nnodes: {{ ask: {{ tool: query_metrics, args: {args} }} }}\noutput: ask.output\n",
            self.port
        );
        std::fs::write(folder.path().join("team.yaml"), team).unwrap();
        self.run(folder.path())
    }

    fn run(&self, folder: &Path) -> Result<Json, String> {
        let engine =
            Engine::builder().workspace(folder).env(Env::of(|name| (name == "PROM_KEY").then(|| KEY.to_owned()))).build();
        let prepared = engine.load("team.yaml", &Overrides::default()).unwrap_or_else(|found| panic!("{found:?}"));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let ended = runtime.block_on(async { engine.start(&prepared, "ask", Map::new()).await.unwrap().wait().await.unwrap() });
        let report = ended.report.markdown();
        assert!(!report.contains("c3lub2Q6b3BlbiBzZXNhbWU"), "the key is not told: {report}");
        if ended.report.output.is_null() { Err(report) } else { Ok(ended.report.output.to_json()) }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn rows(answer: &Json) -> &Vec<Json> {
    answer["rows"].as_array().unwrap_or_else(|| panic!("{answer} has rows"))
}

#[test]
#[ignore = "wants Debian's prometheus: .ci/run gets it"]
fn a_real_prometheus_is_asked_like_files() {
    let server = Prometheus::start("");
    let (since, until) = (FIRST, FIRST + 15 * SAMPLES);

    let names = server.ask(json!({ "op": "list", "since": since, "until": until })).unwrap();
    assert_eq!(names["metrics"], json!({ "http_requests_total": 2, "odd_ratio": 1, "process_cpu_ratio": 3 }));
    assert_eq!(names["services"], json!({ "cart": 2, "checkout": 2, "payment": 2 }));
    let series = server.ask(json!({ "op": "list", "since": since, "until": until, "kind": "cpu", "service": "pay*" })).unwrap();
    assert_eq!(rows(&series).len(), 1, "{series}");
    assert_eq!(rows(&series)[0]["instance"], "payment-7d9f8b6c5d-x2k4j");

    // Every sample comes as it was written.
    let raw = json!({ "op": "range", "metric": "http_requests_total", "service": "payment", "counters": "raw",
                      "since": since + 1, "until": since + 60 });
    let raw = server.ask(raw).unwrap();
    let points = json!([
        ["2026-01-05T15:00:15Z", 150.0],
        ["2026-01-05T15:00:30Z", 300.0],
        ["2026-01-05T15:00:45Z", 450.0],
        ["2026-01-05T15:01:00Z", 600.0]
    ]);
    assert_eq!(rows(&raw)[0]["points"], points, "{raw}");
    let counted =
        server.ask(json!({ "op": "aggregate", "agg": ["count", "rate"], "metric": "*", "since": since, "until": until }));
    let counted = counted.unwrap();
    let row = |metric: &str| rows(&counted).iter().find(|row| row["metric"] == metric).unwrap_or_else(|| panic!("{counted}"));
    assert_eq!(row("process_cpu_ratio")["count"], SAMPLES as f64);
    assert_eq!(row("odd_ratio")["count"], (SAMPLES / 4) as f64);
    assert_eq!(row("http_requests_total")["rate"], 10.0);
    assert!(counted["notes"].to_string().contains("360 values are NaN or infinite"), "{}", counted["notes"]);

    // What changed, and when.
    let changed = server.ask(json!({ "op": "changes", "kind": "cpu", "since": BUSY, "until": until })).unwrap();
    assert_eq!(rows(&changed)[0]["service"], "payment", "{changed}");
    let outliers = json!({ "op": "changes", "kind": "cpu", "since": BUSY, "until": until, "baseline": { "since": since, "until": BUSY - 60 } });
    assert_eq!(rows(&server.ask(outliers).unwrap())[0]["service"], "payment");

    // Expressions: over a window, at one instant, a stretch, a number.
    let rate = json!({ "op": "range", "query": "sum by (service) (rate(http_requests_total[5m]))", "since": since + 600, "until": since + 1200, "step": "5m" });
    let rate = server.ask(rate).unwrap();
    let expected = json!([["2026-01-05T15:10:00Z", 10.0], ["2026-01-05T15:15:00Z", 10.0], ["2026-01-05T15:20:00Z", 10.0]]);
    assert!(rows(&rate).len() == 2 && rows(&rate).iter().all(|row| row["points"] == expected), "{rate}");
    let instant = json!({ "op": "range", "query": "max(process_cpu_ratio)", "until": BUSY + 60 });
    assert_eq!(rows(&server.ask(instant).unwrap())[0]["points"], json!([["2026-01-05T16:31:00Z", 0.95]]));
    let stretch =
        json!({ "op": "aggregate", "agg": "count", "query": "process_cpu_ratio{service=\"cart\"}[1m]", "until": BUSY + 7 });
    assert_eq!(rows(&server.ask(stretch).unwrap())[0]["count"], 4.0);
    let number = json!({ "op": "range", "query": "scalar(vector(42))", "since": since, "until": since + 60 });
    assert_eq!(rows(&server.ask(number).unwrap())[0]["points"][0][1], 42.0);
    let long = format!("sum({}process_cpu_ratio)", "process_cpu_ratio + ".repeat(200));
    assert_eq!(
        rows(&server.ask(json!({ "op": "range", "query": long, "until": BUSY })).unwrap()).len(),
        1,
        "a long question is posted"
    );

    // Nothing, and what is wrong.
    let nothing = server.ask(json!({ "op": "range", "query": "no_such_metric", "until": BUSY })).unwrap();
    assert!(rows(&nothing).is_empty() && nothing["notes"].to_string().contains("no samples match"), "{nothing}");
    let wrong = server.ask(json!({ "op": "range", "query": "sum(" })).unwrap_err();
    assert!(wrong.contains("bad_data") && wrong.contains("1:5: parse error: unclosed left parenthesis"), "{wrong}");
    let wrong = server.ask(json!({ "op": "range", "query": "sum(", "since": since, "until": until })).unwrap_err();
    assert!(wrong.contains("unclosed left parenthesis"), "{wrong}");
    let wrong = server
        .ask(json!({ "op": "range", "query": "up", "since": since, "until": since + 86_400 * 30, "step": "15s" }))
        .unwrap_err();
    assert!(wrong.contains("`1h` fits"), "{wrong}");
    let wrong = json!({ "op": "range", "query": "process_cpu_ratio * on () process_cpu_ratio", "until": BUSY });
    let wrong = server.ask(wrong).unwrap_err();
    assert!(wrong.contains("execution") && wrong.contains("many-to-many"), "{wrong}");
}

#[test]
#[ignore = "wants Debian's prometheus: .ci/run gets it"]
fn a_real_prometheus_that_wants_a_key_gets_it() {
    let server = Prometheus::start(&format!("basic_auth_users: {{ synod: '{PASSWORD}' }}\n"));
    let answer = server.ask(json!({ "op": "list", "since": FIRST, "until": FIRST + 60 })).unwrap();
    assert_eq!(rows(&answer).len(), 6);
    let folder = tempfile::tempdir().unwrap();
    let team = format!(
        "name: Team\ncollaboration_pattern: graph\nhttp: {{ private_hosts: '127.0.0.1:{0}' }}\nnodes: {{ ask: {{ tool: query_metrics, \
         args: {{ op: list, server: 'http://127.0.0.1:{0}' }} }} }}\noutput: ask.output\n",
        server.port
    );
    std::fs::write(folder.path().join("team.yaml"), team).unwrap();
    let refused = server.run(folder.path()).unwrap_err();
    assert!(refused.contains("401") && refused.contains("authorization_env"), "{refused}");
}
