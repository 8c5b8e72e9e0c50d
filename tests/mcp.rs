//! Do MCP servers serve? Real processes over pipes, and one over HTTP on this machine: this file is their client and, started with
//! [`AS_SERVER`] set, itself the server.

#[path = "mcp/server.rs"]
mod server;

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use server::{AS_SERVER, LOG, Server, processes, this_program};
use synod::{
    engine::{Engine, Prepared},
    event::{Event, Status},
    model::{Answer, Model},
    secret::Env,
    team::Overrides,
    tool::{CallContext, McpPool, McpServer, McpServers, Outcome, People, Progress, Roots, Stop},
    value::{AskId, Call, EffectClass, FailureKind, FormAnswer, Map, Reply, Request, Value},
};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn serve() {
    if std::env::var_os(AS_SERVER).is_some() {
        server::on_pipes();
    }
}

/// A folder, a server's log in it, and a pool.
struct Bench {
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Bench {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Self { folder: tempfile::tempdir().unwrap(), runtime }
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }

    fn lines(&self, name: &str) -> Vec<String> {
        std::fs::read_to_string(self.log(name)).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    fn until(&self, name: &str, line: &str) {
        let began = Instant::now();
        while !self.lines(name).iter().any(|l| l == line) {
            assert!(began.elapsed() < PATIENCE, "{name} never says {line}: {:#?}", self.lines(name));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// This program as a server of that name.
    fn server(&self, name: &str) -> McpServer {
        this_program(&self.log(name))
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// This program as the server `t` of the folder.
    fn declare(&self) {
        let McpServer { command, args, env, .. } = self.server("t");
        let servers = serde_json::json!({ "mcpServers": { "t": { "command": command, "args": args, "env": env } } });
        self.write(".mcp.json", &servers.to_string());
    }

    /// The program, in the folder.
    fn synod(&self, args: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_synod"));
        command.current_dir(self.folder.path()).args(args).stdin(std::process::Stdio::null());
        command
    }

    fn pool(&self, server: McpServer) -> McpPool {
        let pool = McpPool::new(&McpServers::default().with("t", server), self.folder.path(), &Env::process());
        self.runtime.block_on(pool.open(["t"]));
        pool
    }

    fn context(&self) -> CallContext {
        CallContext { key: "s/n/1/0/0".into(), ..CallContext::on(Arc::new(Roots::new(self.folder.path()).unwrap())) }
    }

    fn call(&self, pool: &McpPool, tool: &str, args: &str) -> Outcome {
        self.call_with(pool, tool, args, &self.context())
    }

    fn call_with(&self, pool: &McpPool, tool: &str, args: &str, context: &CallContext) -> Outcome {
        let tools = pool.tools("t").expect("it was opened");
        self.runtime.block_on(tools.call(&format!("mcp__t__{tool}"), context, &json(args)))
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn texts(outcome: Outcome) -> String {
    let value = outcome.unwrap();
    value.get("text").and_then(Value::as_str).unwrap_or_else(|| panic!("{value} has no text")).to_owned()
}

#[test]
fn tools_are_listed_checked_and_called() {
    let bench = Bench::new();
    let pool = bench.pool(bench.server("t"));
    let tools = pool.tools("t").unwrap();
    assert!(tools.names().any(|name| name == "mcp__t__echo") && tools.names().all(|name| name.starts_with("mcp__t__")));
    assert_eq!(texts(bench.call(&pool, "echo", r#"{"text": "grüß dich"}"#)), "grüß dich");
    assert_eq!(bench.call(&pool, "add", r#"{"a": 2, "b": 3}"#).unwrap(), json(r#"{"structured": {"sum": 5}}"#));
    let failure = bench.call(&pool, "add", r#"{"a": "x"}"#).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Schema);
    assert!(!bench.lines("t").iter().any(|line| line.contains("\"x\"")), "what does not fit is not sent");
    let failure = bench.call(&pool, "fail", "{}").unwrap_err();
    assert_eq!((failure.kind, failure.message.as_ref()), (FailureKind::Tool, "mcp__t__fail: it does not work today"));
    let picture = bench.call(&pool, "picture", "{}").unwrap().to_string();
    assert!(picture.contains("image/png") && picture.contains("inside") && !picture.contains("aGVsbG8"), "{picture}");
}

#[test]
fn a_server_learns_the_root_and_the_key_and_no_variable_that_it_was_not_given() {
    let bench = Bench::new();
    let pool = bench.pool(bench.server("t"));
    let folder = bench.folder.path().display().to_string();
    assert_eq!(texts(bench.call(&pool, "roots", "{}")), format!("file://{folder}"));
    assert_eq!(texts(bench.call(&pool, "key", "{}")), "s/n/1/0/0");
    let names = texts(bench.call(&pool, "environment", "{}"));
    let known = [
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "TERM",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "TZ",
        "TMPDIR",
        "DO_NOT_TRACK",
        AS_SERVER,
        LOG,
        "SYNOD_JOB",
    ];
    let other: Vec<&str> = names.split(' ').filter(|name| !known.contains(name)).collect();
    assert!(other.is_empty(), "{other:?}");
}

#[test]
fn servers_know_the_folders_of_a_session_as_long_as_it_is_at_work() {
    let bench = Bench::new();
    let (data, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(
        bench.folder.path().join("team.yaml"),
        "name: Team\ncollaboration_pattern: graph\ninputs: { data: { type: folder } }\nnodes:\n  roots: { tool: mcp__t__roots }\noutput: roots.output.text\n",
    )
    .unwrap();
    let engine = Engine::builder().workspace(bench.folder.path()).mcp(McpServers::default().with("t", bench.server("t"))).build();
    let team = engine.load("team.yaml", &Overrides::default()).unwrap();
    let uri = |folder: &Path| format!("file://{}", folder.canonicalize().unwrap().display());
    for folder in [data.path(), other.path()] {
        std::fs::write(folder.join("a.txt"), "a").unwrap();
        let inputs = Map::from([("data".to_owned(), Value::text(folder.to_string_lossy()))]);
        let ended = bench.runtime.block_on(async { engine.start(&team, "go", inputs).await.unwrap().wait().await.unwrap() });
        let both = format!("{} {}", uri(bench.folder.path()), uri(folder));
        assert_eq!(ended.report.output, Value::text(both), "{}", ended.report.markdown());
    }
    bench.until("t", "roots changed");
    bench.runtime.block_on(engine.close());
}

#[test]
fn the_progress_of_a_call_is_shown_while_it_runs() {
    let bench = Bench::new();
    bench.declare();
    bench.write(
        "team.yaml",
        "name: Team\ncollaboration_pattern: graph\nnodes:\n  wait: { tool: mcp__t__slow, args: { steps: 3 } }\n",
    );
    let output = bench.synod(&["run", "team.yaml"]).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stderr);
    assert!(shown.contains("wait: t: 1/3 on the way"), "{shown}");
}

#[test]
fn hints_count_only_where_the_file_trusts_them() {
    let bench = Bench::new();
    let effect = |pool: &McpPool, tool: &str| pool.tools("t").unwrap().effect(&format!("mcp__t__{tool}"), &Value::Null);
    let pool = bench.pool(bench.server("t"));
    assert_eq!(effect(&pool, "echo"), EffectClass::Irreversible);
    let pool = bench.pool(McpServer { trust_annotations: true, ..bench.server("t") });
    assert_eq!(effect(&pool, "echo"), EffectClass::Read);
    assert_eq!(effect(&pool, "note"), EffectClass::Idempotent);
    assert_eq!(effect(&pool, "add"), EffectClass::Irreversible);
}

#[test]
fn what_a_server_says_comes_from_outside_unless_the_file_trusts_it() {
    let bench = Bench::new();
    let untrusted = |pool: &McpPool| pool.tools("t").unwrap().spec("mcp__t__echo").unwrap().untrusted;
    assert!(untrusted(&bench.pool(bench.server("t"))));
    assert!(untrusted(&bench.pool(McpServer { trust_annotations: true, ..bench.server("t") })));
    assert!(!untrusted(&bench.pool(McpServer { trusted: true, ..bench.server("t") })));
}

#[test]
fn a_server_that_dies_in_a_call_fails_it_and_serves_the_next() {
    let bench = Bench::new();
    let pool = bench.pool(bench.server("t"));
    for _ in 0..3 {
        let failure = bench.call(&pool, "crash", "{}").unwrap_err();
        assert_eq!(failure.kind, FailureKind::Transport, "{failure}");
        assert_eq!(texts(bench.call(&pool, "echo", r#"{"text": "again"}"#)), "again");
    }
    let first = processes(&bench.log("t"))[0];
    std::process::Command::new("kill").args(["-9", &first.to_string()]).status().unwrap();
    let began = Instant::now();
    // The call may meet the dying server; the one after does not.
    while bench.call(&pool, "echo", r#"{"text": "x"}"#).is_err() {
        assert!(began.elapsed() < PATIENCE, "it does not come back");
    }
}

/// Makes a slow call and cancels it, until the server has heard of both.
fn cancel_one(bench: &Bench, pool: &McpPool) {
    let stop = Stop::default();
    let context = CallContext { stop: stop.clone(), ..bench.context() };
    std::thread::scope(|scope| {
        let call = scope.spawn(|| bench.call_with(pool, "slow", r#"{"steps": 600}"#, &context));
        bench.until("t", r#"call slow {"steps":600}"#);
        stop.cancel();
        assert_eq!(call.join().unwrap().unwrap_err().kind, FailureKind::Cancelled);
    });
    bench.until("t", "cancelled");
}

#[test]
fn a_cancelled_call_is_cancelled_there_too() {
    let bench = Bench::new();
    let pool = bench.pool(bench.server("t"));
    cancel_one(&bench, &pool);
    let tools = pool.tools("t").unwrap();
    let context = bench.context();
    let task = bench.runtime.spawn(async move { tools.call("mcp__t__slow", &context, &json(r#"{"steps": 700}"#)).await });
    bench.until("t", r#"call slow {"steps":700}"#);
    task.abort();
    let began = Instant::now();
    while bench.lines("t").iter().filter(|line| *line == "cancelled").count() < 2 {
        assert!(began.elapsed() < PATIENCE, "the server was not told");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(texts(bench.call(&pool, "echo", r#"{"text": "x"}"#)), "x");
}

#[test]
fn silence_times_out_and_progress_keeps_a_call_alive() {
    let bench = Bench::new();
    let words = Arc::new(Mutex::new(Vec::new()));
    let heard = words.clone();
    let progress = Progress::to(move |word| heard.lock().unwrap().push(word.to_owned()));
    let context = CallContext { progress, ..bench.context() };
    let pool = bench.pool(McpServer { timeout_seconds: Some(1.0), ..bench.server("t") });
    assert_eq!(texts(bench.call_with(&pool, "slow", r#"{"steps": 15}"#, &context)), "done");
    assert!(words.lock().unwrap().iter().any(|word| word == "t: 15/15 on the way"), "{words:?}");
    let pool = bench.pool(McpServer { timeout_seconds: Some(0.05), ..bench.server("t") });
    let failure = bench.call(&pool, "slow", r#"{"steps": 100}"#).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Timeout, "{failure}");
    bench.until("t", "cancelled");
}

/// Somebody who answers every question with that, and the questions.
fn somebody(answer: FormAnswer) -> (People, Arc<Mutex<Vec<String>>>) {
    let questions = Arc::new(Mutex::new(Vec::new()));
    let (asked, slot) = (questions.clone(), Arc::new(OnceLock::<People>::new()));
    let own = slot.clone();
    let people = People::to(move |question| {
        asked.lock().unwrap().push(format!("{} {}", question.text, question.form.outline()));
        let asking = own.get().and_then(|people| people.asking(question.nth)).unwrap();
        asking.send(answer.clone()).unwrap();
    });
    assert!(slot.set(people.clone()).is_ok());
    (people, questions)
}

#[test]
fn what_a_server_asks_in_a_call_reaches_a_person_and_the_answer_the_server() {
    let bench = Bench::new();
    let pool = bench.pool(bench.server("t"));
    for (answer, heard) in [
        (FormAnswer::Accept(json(r#"{"size": "M"}"#)), r#"Accept {"size":"M"}"#),
        (FormAnswer::Decline, "Decline null"),
        (FormAnswer::Cancel, "Cancel null"),
    ] {
        let (people, questions) = somebody(answer);
        let context = CallContext { people, ..bench.context() };
        assert_eq!(texts(bench.call_with(&pool, "order", "{}", &context)), heard);
        assert_eq!(*questions.lock().unwrap(), ["Which size? size (one of S, M)"]);
    }
    assert_eq!(texts(bench.call(&pool, "order", "{}")), "Cancel null", "nobody is there");
    let (people, questions) = somebody(FormAnswer::Decline);
    let context = CallContext { people, ..bench.context() };
    assert_eq!(texts(bench.call_with(&pool, "visit", "{}", &context)), "Decline null");
    assert!(questions.lock().unwrap().is_empty(), "nobody is sent anywhere");
}

#[test]
fn a_call_waits_for_a_person_beyond_its_own_limits_and_is_cancelled_when_nobody_answers() {
    let bench = Bench::new();
    let limits = McpServer { timeout_seconds: Some(0.2), answer_timeout_seconds: Some(1.0), ..bench.server("t") };
    let pool = bench.pool(limits);
    let stop = Stop::new(Some(Instant::now() + Duration::from_millis(600)));
    let context = CallContext { people: People::to(|_| {}), stop, ..bench.context() };
    let failure = bench.call_with(&pool, "order", "{}", &context).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unanswered, "{failure}");
    bench.until("t", "told Cancel null");
    let cancelled = Stop::default();
    let context = CallContext { people: People::to(|_| {}), stop: cancelled.clone(), ..bench.context() };
    std::thread::scope(|scope| {
        let call = scope.spawn(|| bench.call_with(&pool, "order", "{}", &context));
        let began = Instant::now();
        while bench.lines("t").iter().filter(|line| *line == "call order {}").count() < 2 {
            assert!(began.elapsed() < PATIENCE);
            std::thread::sleep(Duration::from_millis(10));
        }
        cancelled.cancel();
        assert_eq!(call.join().unwrap().unwrap_err().kind, FailureKind::Cancelled);
    });
}

#[test]
fn a_question_waits_until_it_is_clear_which_call_asks() {
    let bench = Bench::new();
    let pool = bench.pool(bench.server("t"));
    let (people, questions) = somebody(FormAnswer::Decline);
    let context = CallContext { people, ..bench.context() };
    let stop = Stop::default();
    let other = CallContext { stop: stop.clone(), ..bench.context() };
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| bench.call_with(&pool, "slow", r#"{"steps": 600}"#, &other));
        bench.until("t", r#"call slow {"steps":600}"#);
        let order = scope.spawn(|| bench.call_with(&pool, "order", "{}", &context));
        bench.until("t", "call order {}");
        assert!(questions.lock().unwrap().is_empty(), "either of them may have asked");
        stop.cancel();
        assert!(slow.join().unwrap().is_err());
        assert_eq!(texts(order.join().unwrap()), "Decline null");
    });
    assert_eq!(questions.lock().unwrap().len(), 1);
}

/// A team that makes one call, which asks and waits so long for a person: of a node, or of an agent whose server is trusted.
fn asking_team(bench: &Bench, by_agent: bool, seconds: f64) -> (Engine, Prepared) {
    let write = |name: &str, text: &str| std::fs::write(bench.folder.path().join(name), text).unwrap();
    write("a.yaml", "name: A\nrole: specialist\nmodel: model-a\nmcp_servers: [t]\n");
    let (members, node) = match by_agent {
        true => ("member_agents: [{ agent: a, role: a }]\n", "{ agent: a }"),
        false => ("", "{ tool: mcp__t__order }"),
    };
    write(
        "team.yaml",
        &format!("name: Team\ncollaboration_pattern: graph\n{members}nodes:\n  order: {node}\noutput: order.output\n"),
    );
    let server = McpServer { trust_annotations: true, answer_timeout_seconds: Some(seconds), ..bench.server("t") };
    let model = Once { tool: "mcp__t__order", told: Mutex::default(), heard: Mutex::default() };
    let servers = McpServers::default().with("t", server);
    let engine = Engine::builder().workspace(bench.folder.path()).mcp(servers).model("model-a", Arc::new(model)).build();
    let team = engine.load("team.yaml", &Overrides::default()).unwrap();
    (engine, team)
}

fn orders(bench: &Bench) -> usize {
    bench.lines("t").iter().filter(|line| line.starts_with("call order")).count()
}

#[test]
fn a_session_asks_what_its_server_asks_and_the_call_in_flight_gets_the_answer() {
    let bench = Bench::new();
    let (engine, team) = asking_team(&bench, false, 60.0);
    let ended = bench.runtime.block_on(async {
        let mut handle = engine.start(&team, "go", Map::new()).await.unwrap();
        let (session, mut events) = (handle.session(), handle.events());
        let question = loop {
            if let Event::Asked(ask) = &events.recv().await.unwrap().event {
                break ask.clone();
            }
        };
        assert_eq!(&*question.question, "mcp__t__order asks: Which size? It takes size (one of S, M)");
        let wrong = engine.answer(session, question.id, Value::text("L"), "ann").await.err().unwrap().to_string();
        assert!(wrong.contains("one of S, M"), "{wrong}");
        assert!(
            engine.answer(session, question.id, Value::text("S"), "ann").await.unwrap().is_none(),
            "its owner has the answer"
        );
        handle.wait().await.unwrap()
    });
    assert_eq!(ended.report.output, json(r#"{"text": "Accept {\"size\":\"S\"}"}"#), "{}", ended.report.markdown());
    assert_eq!(orders(&bench), 1);
}

#[test]
fn another_process_answers_what_a_call_asks_while_it_waits() {
    let bench = Bench::new();
    bench.declare();
    bench.write(
        "team.yaml",
        "name: Team\ncollaboration_pattern: graph\nnodes:\n  order: { tool: mcp__t__order }\noutput: order.output.text\n",
    );
    let mut run = bench.synod(&["run", "team.yaml", "--json", "--quiet"]);
    let running = run.stdout(std::process::Stdio::piped()).spawn().unwrap();
    bench.until("t", "call order {}");
    let said = bench.synod(&["sessions", "--json"]).output().unwrap().stdout;
    let id = serde_json::from_slice::<serde_json::Value>(&said).unwrap()[0]["session"].as_str().unwrap().to_owned();
    let (began, mut listed) = (Instant::now(), String::new());
    while !listed.contains("size (one of S, M)\n") {
        assert!(began.elapsed() < PATIENCE, "{listed}");
        listed = String::from_utf8_lossy(&bench.synod(&["answer", &id]).output().unwrap().stdout).into_owned();
    }
    let wrong = bench.synod(&["answer", &id, "q0", "XL"]).output().unwrap();
    assert!(!wrong.status.success() && String::from_utf8_lossy(&wrong.stderr).contains("one of S, M"), "{wrong:?}");
    let right = bench.synod(&["answer", &id, "q0", r#"{"size": "M"}"#]).output().unwrap();
    assert!(right.status.success(), "{right:?}");
    let ended = running.wait_with_output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(report["output"], r#"Accept {"size":"M"}"#, "{report}");
}

#[test]
fn a_session_parks_when_nobody_answers_and_goes_on_with_the_answer_that_comes_later() {
    for by_agent in [true, false] {
        let bench = Bench::new();
        let (engine, team) = asking_team(&bench, by_agent, 0.3);
        bench.runtime.block_on(async {
            let handle = engine.start(&team, "go", Map::new()).await.unwrap();
            let session = handle.session();
            assert_eq!(handle.wait().await.unwrap().status, Status::Parked);
            assert_eq!(orders(&bench), 1);
            let answer = |ask, text| engine.answer(session, AskId(ask), Value::text(text), "ann");
            let mut ended = answer(0, "M").await.unwrap().unwrap().wait().await.unwrap();
            if !by_agent {
                assert_eq!((ended.status, orders(&bench)), (Status::Parked, 1), "nobody has said that it did not happen");
                ended = answer(1, "not_happened").await.unwrap().unwrap().wait().await.unwrap();
            }
            assert_eq!(ended.status, Status::Completed, "{}", ended.report.markdown());
            assert_eq!(bench.lines("t").last().unwrap(), r#"told Accept {"size":"M"}"#);
            let records = engine.store().read_all(session).unwrap();
            let replayed = engine.replay(&records).unwrap();
            assert_eq!((replayed.difference.map(|d| d.to_string()), replayed.status), (None, Status::Completed));
        });
        assert_eq!(orders(&bench), 2);
    }
}

#[test]
fn a_tool_that_a_server_learns_is_there_at_once() {
    let bench = Bench::new();
    let pool = bench.pool(bench.server("t"));
    assert!(bench.call(&pool, "grown", "{}").is_err());
    bench.call(&pool, "grow", "{}").unwrap();
    let began = Instant::now();
    while pool.tools("t").unwrap().get("mcp__t__grown").is_none() {
        assert!(began.elapsed() < PATIENCE, "it is never listed");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(texts(bench.call(&pool, "grown", "{}")), "new");
}

#[test]
fn a_server_that_cannot_be_reached_says_why_and_can_be_tried_again() {
    let bench = Bench::new();
    let missing = |command: &str, args: &[&str]| McpServer {
        command: Some(command.to_owned()),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        ..McpServer::default()
    };
    let unset = McpServer { env: [("KEY".to_owned(), "${SYNOD_TEST_NOT_SET}".to_owned())].into(), ..missing("cat", &[]) };
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).unwrap();
    let web = McpServer { url: Some(format!("http://{nobody}/mcp")), ..McpServer::default() };
    for (server, expected) in [
        (missing("no-such-program-at-all", &[]), "there is no program `no-such-program-at-all`; install it"),
        (missing("sh", &["-c", "echo 'out of coffee' >&2; exit 1"]), "ended at once with exit code 1; it said: out of coffee"),
        (McpServer { startup_timeout_seconds: Some(0.3), ..missing("sleep", &["30"]) }, "did not answer within 0.3 s"),
        (unset, "needs the variable SYNOD_TEST_NOT_SET"),
        (web, "does not answer"),
    ] {
        let pool = bench.pool(server);
        let tools = pool.tools("t").expect("it has a tool to try again");
        assert_eq!(tools.names().collect::<Vec<_>>(), ["mcp__t__connect"]);
        let told = tools.spec("mcp__t__connect").unwrap().description.to_string();
        assert!(told.contains(expected), "{told} should say {expected}");
        let failure = bench.call(&pool, "connect", "{}").unwrap_err();
        assert_eq!(failure.kind, FailureKind::Tool, "nothing was asked, so nothing is in doubt: {failure}");
    }
    let late = bench.folder.path().join("late");
    let here = bench.server("t");
    let script = format!("test -e {} || exit 1; exec {} {}", late.display(), here.command.as_ref().unwrap(), here.args.join(" "));
    let pool = bench.pool(McpServer { command: Some("sh".to_owned()), args: vec!["-c".to_owned(), script], ..here });
    assert!(bench.call(&pool, "connect", "{}").is_err());
    std::fs::write(late, "").unwrap();
    let tools = bench.call(&pool, "connect", "{}").unwrap();
    assert!(tools.to_string().contains("mcp__t__echo"), "{tools}");
    assert_eq!(texts(bench.call(&pool, "echo", r#"{"text": "late"}"#)), "late");
}

#[test]
fn servers_end_with_their_pool() {
    let bench = Bench::new();
    let gone = |log: &Path| {
        let began = Instant::now();
        while !processes(log).is_empty() {
            assert!(began.elapsed() < PATIENCE, "{:?} live on", processes(log));
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let pool = bench.pool(bench.server("closed"));
    assert!(!processes(&bench.log("closed")).is_empty());
    bench.runtime.block_on(pool.close());
    gone(&bench.log("closed"));
    let pool = bench.pool(bench.server("dropped"));
    assert!(!processes(&bench.log("dropped")).is_empty());
    drop(pool);
    gone(&bench.log("dropped"));
}

#[test]
fn a_server_over_http_serves_as_one_over_pipes_does() {
    let bench = Bench::new();
    let url = bench.runtime.block_on(server::over_http(Server { log: Some(bench.log("t")), ..Server::default() }));
    let pool = bench.pool(McpServer { url: Some(url), ..McpServer::default() });
    assert_eq!(texts(bench.call(&pool, "echo", r#"{"text": "hello"}"#)), "hello");
    assert_eq!(bench.call(&pool, "add", r#"{"a": 2, "b": 3}"#).unwrap(), json(r#"{"structured": {"sum": 5}}"#));
    bench.call(&pool, "grow", "{}").unwrap();
    let began = Instant::now();
    while pool.tools("t").unwrap().get("mcp__t__grown").is_none() {
        assert!(began.elapsed() < PATIENCE, "it is never listed");
        std::thread::sleep(Duration::from_millis(10));
    }
    cancel_one(&bench, &pool);
}

#[test]
fn a_server_that_wants_a_sign_in_says_so_and_headers_are_sent() {
    let bench = Bench::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let heads = Arc::new(Mutex::new(String::new()));
    let seen = heads.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut bytes = [0; 8_192];
            let count = stream.read(&mut bytes).unwrap_or(0);
            seen.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]).to_lowercase());
            let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer resource_metadata=\"http://x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    let headers = [("X-Token".to_owned(), "${SYNOD_TEST_NOT_SET:-the-token}".to_owned())].into();
    let pool = bench.pool(McpServer { url: Some(url), headers, ..McpServer::default() });
    let told = pool.tools("t").unwrap().spec("mcp__t__connect").unwrap().description.to_string();
    assert!(told.contains("sign-in (OAuth)") && told.contains("`headers`"), "{told}");
    assert!(heads.lock().unwrap().contains("x-token: the-token"), "{heads:?}");
}

/// A model that makes one call at its first turn and ends at its second; it remembers which tools it was told of.
struct Once {
    tool: &'static str,
    told: Mutex<BTreeSet<String>>,
    heard: Mutex<Vec<String>>,
}

impl Model for Once {
    fn reply<'a>(&'a self, request: &'a Request, _key: &'a str) -> Answer<'a> {
        self.told.lock().unwrap().extend(request.tools.iter().map(|tool| tool.name.to_string()));
        let first = request.thread.is_empty();
        for entry in &request.thread {
            self.heard.lock().unwrap().push(format!("{entry:?}"));
        }
        let call = Call { id: "c".into(), tool: self.tool.into(), args: json(r#"{"line": "from the agent"}"#) };
        let calls = if first { vec![call] } else { Vec::new() };
        let stop = if first { synod::value::Stop::Calls } else { synod::value::Stop::End };
        let finish = (!first).then(|| Value::text("done"));
        Box::pin(std::future::ready(Ok(Reply { calls, finish, stop, ..Reply::default() })))
    }
}

#[test]
fn each_agent_sees_the_servers_that_its_profile_names_and_no_other() {
    let bench = Bench::new();
    let write = |name: &str, text: &str| std::fs::write(bench.folder.path().join(name), text).unwrap();
    write("a.yaml", "name: A\nrole: specialist\nmodel: model-a\nmcp_servers: [one]\n");
    write("b.yaml", "name: B\nrole: specialist\nmodel: model-b\nallowed_tools: ['*', mcp__two__note]\nmcp_servers: [two]\n");
    write("c.yaml", "name: C\nrole: specialist\nmodel: model-c\nallowed_tools: ['*']\n");
    write(
        "team.yaml",
        "name: Team\ncollaboration_pattern: parallel\nresult: { by: merge }\nmember_agents:\n  - { agent: a, role: a }\n  - { agent: b, role: b }\n  - { agent: c, role: c }\n",
    );
    let servers = McpServers::default()
        .with("one", bench.server("one"))
        .with("two", bench.server("two"))
        .with("three", bench.server("three"));
    let model = |tool| Arc::new(Once { tool, told: Mutex::default(), heard: Mutex::default() });
    let (a, b, c) = (model("mcp__one__note"), model("mcp__two__note"), model("mcp__one__note"));
    let engine = Engine::builder()
        .workspace(bench.folder.path())
        .mcp(servers)
        .model("model-a", a.clone())
        .model("model-b", b.clone())
        .model("model-c", c.clone())
        .build();
    let team = engine.load("team.yaml", &Overrides::default()).unwrap();
    assert!(team.warnings.iter().all(|w| !w.line().contains("MCP server")), "{:?}", team.warnings);
    let ended = bench.runtime.block_on(async {
        let ended = engine.start(&team, "go", Map::new()).await.unwrap().wait().await.unwrap();
        engine.close().await;
        ended
    });
    assert_eq!(ended.status, Status::Completed, "{}", ended.report.markdown());
    let of_servers = |model: &Once| -> BTreeSet<String> {
        model.told.lock().unwrap().iter().filter(|name| name.starts_with("mcp__")).cloned().collect()
    };
    let seen = of_servers(&a);
    assert!(seen.contains("mcp__one__echo") && seen.iter().all(|name| name.starts_with("mcp__one__")), "{seen:?}");
    assert_eq!(of_servers(&b), BTreeSet::from(["mcp__two__note".to_owned()]));
    assert_eq!(of_servers(&c), BTreeSet::new());
    assert!(c.heard.lock().unwrap().iter().any(|entry| entry.contains("Denied")), "{:?}", c.heard);
    for (name, calls) in [("one", 1), ("two", 1)] {
        let lines = bench.lines(name);
        assert_eq!(lines.iter().filter(|line| line.starts_with("call")).count(), calls, "{name}: {lines:?}");
    }
    assert!(bench.lines("three").is_empty(), "a server that nobody names is not started");
}

/// Whether a process with that word on its command line lives.
fn lives(word: &str) -> bool {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok()).any(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).split('\0').any(|part| part == word)
    })
}

#[test]
fn children_die_with_an_engine_that_is_killed() {
    let bench = Bench::new();
    bench.declare();
    bench.write(
        "team.yaml",
        "name: Team\ncollaboration_pattern: graph\nnodes:\n  \
         bash: { tool: Bash, args: { command: 'setsid sleep 7401.5 & sleep 7402.5 & sleep 7403.5' } }\n  \
         serve: { tool: mcp__t__slow, args: { steps: 6000 } }\n",
    );
    let mut engine = std::process::Command::new(env!("CARGO_BIN_EXE_synod"))
        .current_dir(bench.folder.path())
        .args(["run", "team.yaml", "--quiet"])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let words = ["7401.5", "7402.5", "7403.5"];
    let began = Instant::now();
    while !words.iter().all(|word| lives(word)) || !bench.lines("t").iter().any(|line| line.starts_with("call slow")) {
        assert!(began.elapsed() < PATIENCE && engine.try_wait().unwrap().is_none(), "they never begin");
        std::thread::sleep(Duration::from_millis(10));
    }
    engine.kill().unwrap();
    engine.wait().unwrap();
    let began = Instant::now();
    while words.iter().any(|word| lives(word)) || !processes(&bench.log("t")).is_empty() {
        assert!(began.elapsed() < PATIENCE, "they live on: {:?}", words.iter().filter(|word| lives(word)).collect::<Vec<_>>());
        std::thread::sleep(Duration::from_millis(10));
    }
}
