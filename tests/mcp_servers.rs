//! Do the servers that people use serve? From npm and PyPI, over pipes. `.ci/run` installs them into `target/servers` and runs these
//! tests with `--ignored`; a server that is not there fails its test.

use std::{path::PathBuf, process::Command, sync::Arc};

use synod::{
    secret::Env,
    tool::{CallContext, McpPool, McpServer, McpServers, Outcome, People, Registry, Roots},
    value::{FailureKind, Value},
};

/// Where they are installed.
fn installed(path: &str) -> PathBuf {
    let found = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/servers").join(path);
    assert!(found.exists(), "{} is not installed: run .ci/run", found.display());
    found
}

/// A server of npm, as an agent tool would start it.
fn npm(name: &str, args: &[&str]) -> McpServer {
    let script = installed(&format!("node_modules/.bin/{name}")).to_string_lossy().into_owned();
    McpServer { command: Some(script), args: args.iter().map(|arg| (*arg).to_owned()).collect(), ..McpServer::default() }
}

/// A server of PyPI.
fn pypi(name: &str, args: &[&str]) -> McpServer {
    let venv = if name == "mcp-server-sqlite" { "venv-sqlite" } else { "venv" };
    let script = installed(&format!("{venv}/bin/{name}")).to_string_lossy().into_owned();
    McpServer { command: Some(script), args: args.iter().map(|arg| (*arg).to_owned()).collect(), ..McpServer::default() }
}

struct Bench {
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    pool: McpPool,
}

impl Bench {
    /// That server, started, as `s`, in a new folder.
    fn on(server: impl FnOnce(&str) -> McpServer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        let pool = McpPool::new(&McpServers::default().with("s", server(&path.to_string_lossy())), &path, &Env::process());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let failed = runtime.block_on(pool.open(["s"]));
        assert!(failed.is_empty(), "{failed:?}");
        Self { folder, runtime, pool }
    }

    fn tools(&self) -> Arc<Registry> {
        self.pool.tools("s").unwrap()
    }

    fn call(&self, tool: &str, args: serde_json::Value) -> Outcome {
        let context = CallContext::on(Arc::new(Roots::new(self.folder.path()).unwrap()));
        let args = Value::try_from(args).unwrap();
        self.runtime.block_on(self.tools().call(&format!("mcp__s__{tool}"), &context, &args))
    }

    fn said(&self, tool: &str, args: serde_json::Value) -> String {
        self.call(tool, args)
            .unwrap_or_else(|e| panic!("{tool}: {e}; there are {:?}", self.tools().names().collect::<Vec<_>>()))
            .to_string()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.runtime.block_on(self.pool.close());
    }
}

macro_rules! json {
    ($($json:tt)*) => { serde_json::json!($($json)*) };
}

#[test]
#[ignore = "needs target/servers, which .ci/run installs"]
fn everything_from_npm() {
    let bench = Bench::on(|_| npm("mcp-server-everything", &["stdio"]));
    assert!(bench.said("echo", json!({ "message": "hello there" })).contains("hello there"));
    assert!(bench.said("get-sum", json!({ "a": 2, "b": 40 })).contains("42"));
    let picture = bench.said("get-tiny-image", json!({}));
    assert!(picture.contains("image/png") && picture.len() < 2_000, "{picture}");
    let long = bench.said("trigger-long-running-operation", json!({ "duration": 1, "steps": 4 }));
    assert!(long.contains("completed"), "{long}");
    let weather = bench.call("get-structured-content", json!({ "location": "New York" })).unwrap();
    assert!(weather.get("structured").and_then(|s| s.get("temperature")).is_some_and(|t| t.as_f64().is_some()), "{weather}");
    let resource = bench.call("get-resource-reference", json!({ "resourceType": "Text", "resourceId": 1 })).unwrap();
    let part = resource.get("parts").and_then(Value::as_list).and_then(|parts| parts.first()).cloned().unwrap_or_default();
    assert!(part.get("text").is_some() && part.get("uri").is_some(), "{resource}");
    let roots = bench.said("get-roots-list", json!({}));
    assert!(roots.contains(&format!("file://{}", bench.folder.path().canonicalize().unwrap().display())), "{roots}");
    let failure = bench.call("get-sum", json!({ "a": "x", "b": 1 })).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Schema);
}

#[test]
#[ignore = "needs target/servers, which .ci/run installs"]
fn everything_from_npm_asks_a_person() {
    let bench = Bench::on(|_| npm("mcp-server-everything", &["stdio"]));
    let answer = json!({ "name": "Ann", "check": true, "untitledMultipleSelectEnum": ["Piano"], "integer": 7 });
    let slot = Arc::new(std::sync::OnceLock::<People>::new());
    let (own, given) = (slot.clone(), answer.to_string());
    let people = People::to(move |question| {
        assert!(question.form.read(&Value::text(r#"{"check": true}"#)).unwrap_err().contains("\"name\" is a required"));
        let answer = question.form.read(&Value::text(&given)).unwrap();
        own.get().and_then(|people| people.asking(question.nth)).unwrap().send(answer).unwrap();
    });
    assert!(slot.set(people.clone()).is_ok());
    let context = CallContext { people, ..CallContext::on(Arc::new(Roots::new(bench.folder.path()).unwrap())) };
    let asked = "mcp__s__trigger-elicitation-request";
    // It offers the tool once it knows that somebody can be asked.
    let began = std::time::Instant::now();
    while bench.tools().get(asked).is_none() {
        assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", bench.tools().names().collect::<Vec<_>>());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let said = bench.runtime.block_on(bench.tools().call(asked, &context, &Value::map::<&str>([]))).unwrap().to_string();
    assert!(said.contains("- Name: Ann") && said.contains("- Favorite Integer: 7"), "{said}");
}

#[test]
#[ignore = "needs target/servers, which .ci/run installs"]
fn filesystem_from_npm_stays_in_its_folder() {
    let bench = Bench::on(|folder| npm("mcp-server-filesystem", &[folder]));
    let path = bench.folder.path().canonicalize().unwrap().join("a.txt");
    bench.said("write_file", json!({ "path": path, "content": "one line" }));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "one line");
    assert!(bench.said("read_text_file", json!({ "path": path })).contains("one line"));
    let failure = bench.call("read_text_file", json!({ "path": "/etc/passwd" })).unwrap_err();
    assert!(failure.kind == FailureKind::Tool && failure.message.to_lowercase().contains("denied"), "{failure}");
}

#[test]
#[ignore = "needs target/servers, which .ci/run installs"]
fn memory_from_npm_remembers() {
    let bench = Bench::on(|folder| McpServer {
        env: [("MEMORY_FILE_PATH".to_owned(), format!("{folder}/memory.json"))].into(),
        ..npm("mcp-server-memory", &[])
    });
    let pool = json!({ "entities": [{ "name": "pool", "entityType": "resource", "observations": ["it was exhausted"] }] });
    bench.said("create_entities", pool);
    assert!(bench.said("search_nodes", json!({ "query": "exhausted" })).contains("pool"));
}

#[test]
#[ignore = "needs target/servers, which .ci/run installs"]
fn time_from_pypi_tells_the_time_elsewhere() {
    let bench = Bench::on(|_| pypi("mcp-server-time", &["--local-timezone", "UTC"]));
    let said = bench.said("convert_time", json!({ "source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo" }));
    assert!(said.contains("21:00"), "{said}");
    assert!(bench.call("get_current_time", json!({ "timezone": "Mars/Olympus" })).is_err());
}

#[test]
#[ignore = "needs target/servers, which .ci/run installs"]
fn git_from_pypi_reads_a_repository() {
    let bench = Bench::on(|folder| {
        for args in [
            &["init", "-q"][..],
            &["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "the first"],
        ] {
            assert!(Command::new("git").current_dir(folder).args(args).status().unwrap().success());
        }
        pypi("mcp-server-git", &["--repository", folder])
    });
    let folder = bench.folder.path().canonicalize().unwrap();
    assert!(bench.said("git_log", json!({ "repo_path": folder })).contains("the first"));
    assert!(bench.said("git_status", json!({ "repo_path": folder })).contains("clean"));
}

#[test]
#[ignore = "needs target/servers, which .ci/run installs"]
fn sqlite_from_pypi_keeps_tables() {
    let bench = Bench::on(|folder| pypi("mcp-server-sqlite", &["--db-path", &format!("{folder}/x.db")]));
    bench.said("create_table", json!({ "query": "create table t (a integer)" }));
    bench.said("write_query", json!({ "query": "insert into t values (42)" }));
    assert!(bench.said("read_query", json!({ "query": "select a from t" })).contains("42"));
}

#[test]
#[ignore = "needs target/servers, which .ci/run installs"]
fn a_server_that_is_killed_serves_the_next_call() {
    let bench = Bench::on(|_| npm("mcp-server-everything", &["stdio"]));
    let tools = bench.tools();
    let context = CallContext::on(Arc::new(Roots::new(bench.folder.path()).unwrap()));
    let args = Value::try_from(json!({ "duration": 60, "steps": 600 })).unwrap();
    let call = bench.runtime.spawn(async move { tools.call("mcp__s__trigger-long-running-operation", &context, &args).await });
    let own = bench.folder.path().canonicalize().unwrap();
    let mut killed = 0;
    while killed == 0 {
        std::thread::sleep(std::time::Duration::from_millis(200));
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            if std::fs::read_link(entry.path().join("cwd")).is_ok_and(|folder| folder == own) {
                let id = entry.file_name().to_string_lossy().into_owned();
                killed += usize::from(Command::new("kill").args(["-9", &id]).status().unwrap().success());
            }
        }
    }
    let failure = bench.runtime.block_on(call).unwrap().unwrap_err();
    assert_eq!(failure.kind, FailureKind::Transport, "{failure}");
    assert!(bench.said("echo", json!({ "message": "again" })).contains("again"));
}
