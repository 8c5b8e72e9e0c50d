//! Does the shipped incident team work with models that servers of other people play? `aimock` (npm) says what fixtures say, in
//! the language of five providers; `llmock` (PyPI) breaks calls on demand and judges the client. `.ci/run` installs them into
//! `target/servers` and runs these tests with `--ignored`; a server that is not there fails its test.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};

/// The longest that a server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where they are installed.
fn installed(path: &str) -> PathBuf {
    let found = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/servers").join(path);
    assert!(found.exists(), "{} is not installed: run .ci/run", found.display());
    found
}

/// A server on loopback, which ends with the test.
struct Mock {
    child: Child,
    port: u16,
}

impl Drop for Mock {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Mock {
    fn start(mut command: Command, port: u16, health: &str) -> Self {
        command.env("DO_NOT_TRACK", "1").env("AIMOCK_TELEMETRY_DISABLED", "1").stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let (mut mock, began) = (Self { child, port }, Instant::now());
        while mock.try_ask("GET", health, None).is_none_or(|(status, _)| status != 200) {
            assert!(began.elapsed() < PATIENCE, "it does not start");
            assert!(mock.child.try_wait().unwrap().is_none(), "it ended at once");
            std::thread::sleep(Duration::from_millis(50));
        }
        mock
    }

    fn try_ask(&self, method: &str, path: &str, body: Option<&Json>) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let body = body.map_or_else(String::new, Json::to_string);
        let head = format!(
            "{method} {path} HTTP/1.0\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).ok()?;
        let mut said = String::new();
        stream.read_to_string(&mut said).ok()?;
        let (head, body) = said.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// What it says to a request of its own interface.
    fn ask(&self, method: &str, path: &str, body: Option<&Json>) -> Json {
        let (status, said) = self.try_ask(method, path, body).unwrap_or_else(|| panic!("{path}: no answer"));
        assert!((200..300).contains(&status), "{path}: {status} {said}");
        serde_json::from_str(&said).unwrap_or(Json::Null)
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The folder of a run: a catalog whose model `m` a server plays, and a store.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new(kind: &str, base: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "providers:\n  local: {{ kind: {kind}, base_url: \"{base}\", api_key_env: LOCAL_KEY, timeouts: {{ idle: 5s }} }}\n\
             models:\n  m: {{ provider: local, id: big, context_window: 128000, price: {{ input: 2.0, output: 8.0 }} }}\n"
        );
        std::fs::write(folder.path().join("models.yaml"), text).unwrap();
        Self { folder }
    }

    fn synod(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_synod"));
        for name in ["SYNOD_STORE", "SYNOD_ORG", "SYNOD_USER", "SYNOD_LOG"] {
            command.env_remove(name);
        }
        command.current_dir(self.folder.path()).env("LOCAL_KEY", "sk-local").args(args).stdin(Stdio::null()).output().unwrap()
    }

    /// The incident team on the shipped sample, every agent of which has the model `m`: the exit code and the report.
    fn incident(&self, more: &[&str]) -> (i32, Json) {
        let mut args = vec![
            "run",
            "incident-response",
            "--set",
            "*.model=m",
            "--set",
            "*.fallback_models=[]",
            "--models",
            "models.yaml",
            "--json",
        ];
        args.extend(more);
        let out = self.synod(&args);
        let report = serde_json::from_slice(&out.stdout).unwrap_or_else(|e| {
            panic!("{e}: {:?}\n{}\n{}", out.status, String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
        });
        (out.status.code().unwrap_or(-1), report)
    }
}

/// The base address of a kind on `aimock`.
fn aimock_base(kind: &str, port: u16) -> String {
    let path = match kind {
        "openai" | "openai_responses" => "/v1",
        "gemini" => "/v1beta",
        _ => "",
    };
    format!("http://127.0.0.1:{port}{path}")
}

/// What one agent's model says, one after another; `phase` is what its system prompt has beside its role.
fn says(role: &str, phase: &str, replies: &[Json]) -> Vec<Json> {
    let system = json!([format!("You are `{role}`, an agent"), phase]);
    let one = replies.len() == 1;
    let fixture = |(ix, reply): (usize, &Json)| {
        let mut fixture = reply.clone();
        fixture["match"] = json!({ "systemMessage": system });
        if !one {
            fixture["match"]["sequenceIndex"] = ix.into();
        }
        fixture
    };
    replies.iter().enumerate().map(fixture).collect()
}

fn calls(calls: &[(&str, Json)]) -> Json {
    let calls: Vec<Json> = calls.iter().map(|(tool, args)| json!({ "name": tool, "arguments": args })).collect();
    json!({ "response": { "toolCalls": calls } })
}

fn finish(result: Json) -> Json {
    calls(&[("finish", json!({ "result": result }))])
}

fn refuses(status: u16) -> Json {
    json!({ "response": { "error": { "message": "later", "type": "overloaded_error" }, "status": status } })
}

const WORK: &str = "When your task is done";
const VOTE: &str = "You vote on the proposal";
const SUM: &str = "You make one result";

/// Everything that goes wrong with models, an agent each.
fn fixtures() -> Vec<Json> {
    let glob = || calls(&[("Glob", json!({ "pattern": "**/*" }))]);
    let found = json!({ "topic": "cause", "claim": "the pool of payment-service ran dry", "value": "payment-service", "confidence": 0.9,
        "evidence": [{ "source": "metrics/database.csv", "excerpt": "connections at the limit" }] });
    let mut all = Vec::new();
    for role in ["performance", "logs", "security", "cost", "compliance"] {
        all.extend(says(role, VOTE, &[finish(json!({ "vote": "approve", "confidence": 0.9, "reason": "it fits" }))]));
    }
    // Rounds of tools, parallel ones among them.
    let both =
        [("Glob", json!({ "pattern": "**/*.csv" })), ("Read", json!({ "path": "alert.json" })), ("broadcast_finding", found)];
    all.extend(says("performance", WORK, &[calls(&both), glob(), finish(json!({ "saturated": "payment-service" }))]));
    // 429, then 529, then success; later a reply that ran into its limit.
    let cut = json!({ "response": { "content": "It all beg", "finishReason": "length" } });
    all.extend(says("logs", WORK, &[refuses(429), refuses(529), glob(), cut, finish(json!({ "first": "payment-service" }))]));
    // A stream that breaks off, then a tool that nobody has.
    let broken = json!({ "response": { "content": "I will look at the audit trail and then at the logs of all services." }, "chunkSize": 5, "truncateAfterChunks": 3 });
    all.extend(says(
        "security",
        WORK,
        &[broken, calls(&[("nmap", json!({ "host": "db" }))]), finish(json!({ "intruder": false }))],
    ));
    // Arguments that are no JSON.
    let malformed = json!({ "response": { "toolCalls": [{ "name": "Read", "arguments": "{\"path\": \"billing" }] } });
    all.extend(says("cost", WORK, &[malformed, finish(json!({ "usd_an_hour": 4 }))]));
    // The same call for ever.
    all.extend(says("compliance", WORK, &[glob()]));
    // Words where JSON of a shape is due.
    let words = json!({ "response": { "content": "It was the pool, I am rather sure." } });
    let result = json!({ "root_cause": "the pool ran dry", "service": "payment-service", "confidence": 0.9 });
    all.extend(says("coordinator", SUM, &[words, finish(result)]));
    all
}

/// What one agent did.
fn part<'r>(report: &'r Json, role: &str) -> &'r Json {
    let parts = report["contributions"].as_array().unwrap_or_else(|| panic!("no contributions: {report}"));
    parts.iter().find(|part| part["agent"] == role).unwrap_or_else(|| panic!("no {role}: {parts:#?}"))
}

#[test]
#[ignore = "needs target/servers, which .ci/run installs"]
fn the_incident_team_gets_by_with_everything_that_models_do_in_the_language_of_every_provider() {
    for kind in ["openai", "openai_responses", "anthropic", "gemini", "ollama"] {
        let port = free_port();
        let desk = Desk::new(kind, &aimock_base(kind, port));
        let file = |name: &str, json: Json| {
            let path = desk.folder.path().join(name);
            std::fs::write(&path, json.to_string()).unwrap();
            path
        };
        let said = file("fixtures.json", json!({ "fixtures": fixtures() }));
        let config = file("aimock.json", json!({ "llm": { "fixtures": said } }));
        let mut command = Command::new(installed("node_modules/.bin/aimock"));
        command.arg("--config").arg(config).args(["--port", &port.to_string(), "--host", "127.0.0.1"]);
        let mock = Mock::start(command, port, "/__aimock/health");
        let (code, report) = desk.incident(&[]);
        assert_eq!((code, &report["status"]), (0, &json!("completed")), "{kind}: {report:#}");
        let output = |role: &str| part(&report, role)["output"].clone();
        assert_eq!(output("performance"), json!({ "saturated": "payment-service" }), "{kind}");
        assert_eq!(part(&report, "performance")["tool_calls"], 5, "{kind}: two of them in one turn, and two look-ups");
        assert_eq!(report["findings"][0]["claim"], "the pool of payment-service ran dry", "{kind}");
        // Ollama as it is played there has one reason only to stop, so that words which were cut off are a result.
        let first = if kind == "ollama" { json!({ "text": "It all beg" }) } else { json!({ "first": "payment-service" }) };
        assert_eq!(output("logs"), first, "{kind}");
        assert_eq!(output("security"), json!({ "intruder": false }), "{kind}");
        assert_eq!(output("cost"), json!({ "usd_an_hour": 4 }), "{kind}");
        assert_eq!(part(&report, "compliance")["status"], "failed", "{kind}");
        let loops = report["warnings"].to_string();
        assert!(
            loops.contains("work/compliance: stalled: repeated_call: Glob was called with the same again"),
            "{kind}: {loops}"
        );
        let calls = &part(&report, "compliance")["tool_calls"];
        assert_eq!(calls, 4, "{kind}: two look-ups, and the same call is carried out twice and then refused");
        assert_eq!(report["output"]["service"], "payment-service", "{kind}: the words were sent back");

        let journal = mock.ask("GET", "/__aimock/journal", None);
        let served = journal.as_array().unwrap();
        let count = |so: &dyn Fn(&Json) -> bool| served.iter().filter(|entry| so(&entry["response"])).count();
        let answers = |status: u16| count(&move |response: &Json| response["status"] == status);
        let broken = count(&|response: &Json| response["interrupted"] == true);
        assert_eq!((answers(429), answers(529), broken), (1, 1, 1), "{kind}");
        assert_eq!(answers(200), served.len() - 2, "{kind}: no request is one that it does not know");
        let asked =
            served.iter().filter(|entry| entry["body"].to_string().contains("It was the pool, I am rather sure.")).count();
        assert_eq!(asked, 1, "{kind}: one repair");
        println!("{kind}: {} requests, of them 429, 529 and a broken stream once each", served.len());
    }
}

/// Faults that one run of the team meets. No call can meet more than two of those that name no time to wait, so that how the
/// client backs off is not judged on three draws of a die.
const FAULTS: [&[&str]; 3] = [
    &[
        r#"{ "type": "fail", "status": 429, "retry_after": 0.3, "times": 3 }"#,
        r#"{ "type": "fail", "status": 529 }"#,
        r#"{ "type": "tool_fault", "kind": "unknown_tool", "times": 2 }"#,
    ],
    &[
        r#"{ "type": "stream_fault", "kind": "truncate", "after_chunks": CHUNKS }"#,
        r#"{ "type": "tool_fault", "kind": "malformed_arguments", "times": 2 }"#,
    ],
    &[
        r#"{ "type": "stream_fault", "kind": "malformed", "after_chunks": CHUNKS }"#,
        r#"{ "type": "fail", "status": 503, "retry_after": 0.1 }"#,
    ],
];

#[test]
#[ignore = "needs target/servers, which .ci/run installs"]
fn a_judge_of_clients_finds_nothing_to_say_against_the_incident_team() {
    for (kind, prefix) in
        [("openai", "/v1"), ("openai_responses", "/v1"), ("anthropic", "/anthropic"), ("gemini", "/gemini/v1beta")]
    {
        let port = free_port();
        let address = format!("http://127.0.0.1:{port}");
        let desk = Desk::new(kind, &format!("{address}{prefix}"));
        let mut command = Command::new(installed("venv-llmock/bin/llmock"));
        command.args(["serve", "--host", "127.0.0.1", "--port", &port.to_string()]);
        let mock = Mock::start(command, port, "/_llmock/requests");
        // Gemini says all of a call in one chunk, after which nothing is left to break.
        let chunks = if kind == "gemini" { "0" } else { "1" };
        for faults in FAULTS {
            let judged = |fault: &&&str| kind != "gemini" || !fault.contains("malformed\"");
            let faults: Vec<Json> =
                faults.iter().filter(judged).map(|f| serde_json::from_str(&f.replace("CHUNKS", chunks)).unwrap()).collect();
            mock.ask("POST", "/_llmock/scenario", Some(&json!({ "behaviors": faults })));
            let (code, report) = desk.incident(&[]);
            assert_eq!((code, &report["status"]), (0, &json!("completed")), "{kind}: {report:#}");
            assert!(report["output"]["confidence"].is_number(), "{kind}: {}", report["output"]);
            let left = mock.ask("GET", "/_llmock/scenario", None);
            assert!(!left.to_string().contains("\"type\""), "{kind}: a fault never came: {left}");
        }
        let out = Command::new(installed("venv-llmock/bin/llmock")).args(["report", "--url", &address]).output().unwrap();
        let verdict = String::from_utf8_lossy(&out.stdout);
        assert!(out.status.success(), "{kind}:\n{verdict}");
        let injected = mock.ask("GET", "/_llmock/verdict", None)["faults_injected"].clone();
        let expected = if kind == "gemini" { 6 } else { 7 };
        assert_eq!(injected, expected, "{kind}: 429 three times, 529, 503, a stream cut short and one garbled");
        println!("{kind}: {}", verdict.lines().next().unwrap_or_default());
        if kind == "gemini" {
            let garbled = json!({ "type": "stream_fault", "kind": "malformed", "after_chunks": 0 });
            mock.ask("POST", "/_llmock/scenario", Some(&json!({ "behaviors": [garbled] })));
            assert_eq!(desk.incident(&[]).0, 0);
        }
        // A short reply is written whole before anybody can stop reading, and the judge then takes a garbled one for read to its end
        // (a warning, which is why it is not asked to be strict). Its journal says whether it was asked again.
        let journal = mock.ask("GET", "/_llmock/requests", None);
        let all = journal.as_array().or_else(|| journal["requests"].as_array()).unwrap_or_else(|| panic!("{journal}"));
        let at = all.iter().position(|one| one["fault"].as_str().is_some_and(|f| f.starts_with("stream:malformed"))).unwrap();
        let again = all[at + 1..].iter().filter(|one| one["fingerprint"] == all[at]["fingerprint"]).count();
        assert_eq!(again, 1, "{kind}: it was asked again");
    }
}
