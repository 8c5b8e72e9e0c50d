//! Are two agents of one run kept apart? Each has a provider, tools and an MCP server of its own, all of them real programs on
//! this machine, and each tries what is the other's: every server must have seen what its agent may do, and nothing else.

#[allow(dead_code, reason = "shared with other tests, which use other parts")]
#[path = "providers/kinds.rs"]
mod kinds;
#[allow(dead_code, reason = "shared with other tests, which use other parts")]
#[path = "mcp/server.rs"]
mod mcp;
#[allow(dead_code, reason = "shared with other tests, which use other parts")]
#[path = "providers/requests.rs"]
mod requests;
#[allow(dead_code, reason = "shared with other tests, which use other parts")]
#[path = "providers/server.rs"]
mod server;

use std::collections::BTreeSet;

use kinds::{Kind, calls};
use mcp::AS_SERVER;
use server::{Response, Server};
use synod::{
    engine::Engine,
    event::Status,
    secret::Env,
    team::{ModelCatalog, Overrides},
    tool::{McpServer, McpServers},
    turn::COLLABORATION,
    value::Map,
};

/// This program as an MCP server.
#[test]
fn serve() {
    if std::env::var_os(AS_SERVER).is_some() {
        mcp::on_pipes();
    }
}

const CATALOG: &str = "providers:
  a: { kind: anthropic, base_url: \"ADDRESS_A\", api_key_env: KEY_A }
  b: { kind: openai, base_url: \"ADDRESS_B\", api_key_env: KEY_B }
models:
  one: { provider: a, id: big }
  two: { provider: b, id: big }
";
const TEAM: &str = "name: Team
collaboration_pattern: parallel
result: { by: merge }
member_agents:
  - { agent: logs, role: logs }
  - { agent: data, role: data }
";

/// The tools that a provider was told of, beside those of the team's own talk.
fn told(kind: Kind, server: &Server) -> BTreeSet<String> {
    let own: BTreeSet<String> = COLLABORATION.iter().map(ToString::to_string).collect();
    let all: BTreeSet<String> = server.seen().iter().flat_map(|seen| kind.tools(&seen.body)).collect();
    all.difference(&own).cloned().collect()
}

#[test]
fn each_server_sees_what_its_agent_may_do_and_nothing_of_the_other() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let write = |name: &str, text: &str| std::fs::write(file(name), text).unwrap();
    // Both ask for the same four things; two of them are the other's.
    let asked = [
        ("Read", r#"{"path": "logs.txt"}"#),
        ("Grep", r#"{"pattern": "zebra", "path": "data.txt"}"#),
        ("mcp__one__echo", r#"{"text": "it is one"}"#),
        ("mcp__two__add", r#"{"a": 20, "b": 22}"#),
    ];
    let play = |kind: Kind| {
        let turns = [calls(&asked), calls(&[("finish", r#"{"result": "done"}"#)])].map(|says| kind.stream(&says));
        runtime.block_on(Server::start(move |number, _| Response::stream(&turns[number.min(1)], 64)))
    };
    let (a, b) = (play(Kind::Anthropic), play(Kind::Openai));
    write("logs.txt", "the okapi ran dry\n");
    write("data.txt", "the zebra is full\n");
    write(
        "logs.yaml",
        "name: Logs\nrole: specialist\nmodel: one\nsystem_prompt: You know logs.\nallowed_tools: [Read]\nmcp_servers: [one]\n",
    );
    write(
        "data.yaml",
        "name: Data\nrole: specialist\nmodel: two\nsystem_prompt: You know data.\nallowed_tools: [Grep, mcp__two__add]\nmcp_servers: [two]\n",
    );
    write("team.yaml", TEAM);
    let mut catalog = ModelCatalog::default();
    let text = CATALOG.replace("ADDRESS_A", &a.address).replace("ADDRESS_B", &b.address);
    assert_eq!(catalog.extend("models.yaml", &text), []);
    let one = mcp::this_program(&file("one.log"));
    let url = runtime.block_on(mcp::over_http(mcp::Server { log: Some(file("two.log")), ..mcp::Server::default() }));
    let two = McpServer { url: Some(url), ..McpServer::default() };
    let engine = Engine::builder()
        .workspace(folder.path())
        .state_folder(file(".synod"))
        .catalog(catalog)
        .env(Env::of(|variable| Some(format!("sk-of-{variable}"))))
        .mcp(McpServers::default().with("one", one).with("two", two))
        .build();
    let team = engine.load("team.yaml", &Overrides::default()).unwrap_or_else(|e| panic!("{e}"));
    let ended = runtime.block_on(async {
        let ended = engine.start(&team, "the task", Map::new()).await.unwrap().wait().await.unwrap();
        engine.close().await;
        ended
    });
    assert_eq!(ended.status, Status::Completed, "{}", ended.report.markdown());

    let of_one = told(Kind::Anthropic, &a);
    assert!(of_one.contains("Read") && of_one.contains("mcp__one__echo"), "{of_one:?}");
    assert!(of_one.iter().all(|tool| tool == "Read" || tool.starts_with("mcp__one__")), "{of_one:?}");
    assert_eq!(told(Kind::Openai, &b), BTreeSet::from(["Grep", "mcp__two__add"].map(str::to_owned)));
    for (kind, server, allowed, own, other) in [
        (
            Kind::Anthropic,
            &a,
            [true, false, true, false],
            ["You know logs.", "okapi", "KEY_A"],
            ["You know data.", "the zebra is", "KEY_B"],
        ),
        (
            Kind::Openai,
            &b,
            [false, true, false, true],
            ["You know data.", "the zebra is", "KEY_B"],
            ["You know logs.", "okapi", "KEY_A"],
        ),
    ] {
        let seen = server.seen();
        assert_eq!(seen.len(), 2, "{kind:?}");
        let results = kind.results(&seen[1].body);
        let done: Vec<bool> = results.iter().map(|(_, text)| !text.starts_with("error: denied")).collect();
        assert_eq!(done, allowed, "{kind:?}: {results:#?}");
        let all = format!("{seen:?}");
        assert!(own.iter().all(|word| all.contains(word)), "{kind:?}: {all}");
        assert!(other.iter().all(|word| !all.contains(word)), "{kind:?}: {all}");
    }
    for (name, call) in [("one.log", r#"call echo {"text":"it is one"}"#), ("two.log", r#"call add {"a":20,"b":22}"#)] {
        let lines = std::fs::read_to_string(file(name)).unwrap();
        let called: Vec<&str> = lines.lines().filter(|line| line.starts_with("call")).collect();
        assert_eq!(called, [call], "{name}");
    }
}
