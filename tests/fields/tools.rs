//! What the keys `tools`, `http` and `metrics` of a team do.

use std::io::{Read, Write};

use serde_json::json;
use synod::{event::Status, value::Value};

use crate::common::{Bench, finish, graph, reply, say, sole_error};

fn scanner(more: &str) -> String {
    graph(&format!(
        "
        tools:
          security_scanner:
            description: Says what it was given.
            command: [printf, '%s|', '{{{{ path }}}}', ['--level', '{{{{ level }}}}'], 7]
            parameters: {{ type: object, properties: {{ path: {{ type: string, description: which }}, level: {{ type: string, description: how }} }}, required: [path] }}
            {more}
        nodes:
          scan: {{ tool: security_scanner, args: {{ path: 'a b; c' }} }}
        output: scan.output.stdout
        "
    ))
}

#[test]
fn a_declared_command_is_a_tool_of_the_team() {
    let ran = Bench::new().run(&scanner("timeout: 30s"));
    assert_eq!((ran.status, ran.report.output.as_str()), (Status::Completed, Some("a b; c|7|")), "{}", ran.report.markdown());
}

#[test]
fn an_agent_whose_profile_names_it_is_told_of_it_and_may_call_it() {
    let bench = Bench::new();
    bench.model(
        "gpt-4",
        say(|request| {
            if request.turn.0 > 0 {
                return Ok(finish(Value::text(format!("{:?}", request.thread))));
            }
            let told = request.tools.iter().find(|tool| &*tool.name == "security_scanner").expect("it is told of the tool");
            assert_eq!(&*told.description, "Says what it was given.");
            let args = |path: &str| Value::map([("path", Value::text(path)), ("level", Value::text("high"))]);
            Ok(reply(&[("security_scanner", args("x")), ("security_scanner", args("--evil"))]))
        }),
    );
    let ran = bench.run(
        "
        name: Team
        collaboration_pattern: parallel
        tools:
          security_scanner:
            description: Says what it was given.
            command: [printf, '%s|', '{{ path }}', ['--level', '{{ level }}']]
            parameters: { path: { type: string, description: which }, level: { type: string, description: how } }
            effect: read
        member_agents: [{ agent: agent, role: a, set: { model: gpt-4, allowed_tools: [security_scanner] } }]
        ",
    );
    let heard = ran.report.output.to_string();
    assert!(heard.contains("x|--level|high|") && heard.contains("would take for an option"), "{heard}");
}

#[test]
fn what_is_wrong_with_a_declaration_is_said_with_its_place() {
    let check = |tools: &str, code: &str, expected: &str| {
        let found = Bench::new().check(&graph(&format!("\ntools:\n{tools}\nnodes: {{ n: {{ gate: '1' }} }}\n")));
        let (found, _, _, message) = sole_error(&found);
        assert!(found == code && message.contains(expected), "{found}: {message}");
    };
    check("  scan: { description: x, command: [] }", "invalid-value", "begins with the name of a program");
    check(
        "  scan: { description: x, command: ['{{ a }}'], parameters: { a: {} } }",
        "invalid-value",
        "begins with the name of a program",
    );
    check(
        "  scan: { description: x, command: [ls, '{{ pth }}'], parameters: { path: {} } }",
        "unknown-name",
        "no argument `pth`",
    );
    check("  scan: { description: x, command: [ls, '{{ a'] }", "bad-expression", "does not compile");
    check("  scan: { description: x, command: [ls], parameters: { type: string } }", "invalid-value", "not `object`");
    check("  scan: { description: x, command: [ls], folder: ../x }", "invalid-value", "leads out of the workspace");
    check("  Read: { description: x, command: [ls] }", "duplicate-id", "is the name of another tool");
    check("  finish: { description: x, command: [ls] }", "duplicate-id", "another tool");
    check("  'a b': { description: x, command: [ls] }", "bad-id", "no name of a tool");
    check("  scan: { command: [ls] }", "missing-key", "description");
    check("  scan: { description: x, command: [ls], argv: [x] }", "unknown-key", "argv");
}

#[test]
fn http_asks_the_hosts_that_the_team_lists() {
    let bench = Bench::new();
    let prepared = bench.load(&graph(
        "
        http: { hosts: ['*.example.com'], private_hosts: '127.0.0.1:9' }
        nodes:
          far: { tool: http, args: { url: 'http://example.org/' } }
        ",
    ));
    assert_eq!(prepared.plan.tools.http.as_ref().map(|http| http.hosts.len()), Some(1));
    let ran = bench.run(&graph(
        "\nhttp: { hosts: ['*.example.com'] }\nnodes: { far: { tool: http, args: { url: 'http://example.org/' } } }\n",
    ));
    assert!(ran.report.markdown().contains("example.org:80 is not among the hosts"), "{}", ran.report.markdown());
    let (code, .., message) = sole_error(&bench.check(&graph("\nhttp: { hosts: ['http://x/'] }\nnodes: { n: { gate: '1' } }\n")));
    assert!(code == "invalid-value" && message.contains("is no host"), "{message}");
}

#[test]
fn plan_says_whether_commands_are_confined_where_an_agent_may_run_any() {
    let bench = Bench::new();
    bench.file("agent.yaml", "name: A\nrole: specialist\nmodel: gpt-4\nallowed_tools: [Bash]\n");
    bench.file("team.yaml", "name: Team\ncollaboration_pattern: parallel\nmember_agents: [{ agent: agent, role: a }]\n");
    let text = bench.synod(&["plan", "team.yaml"]).stdout;
    assert!(text.contains("\ncommands\n  commands are"), "{text}");
    assert!(bench.synod(&["plan", "team.yaml", "--json"]).json()["confined"] == json!(synod::tool::is_confined()));
}

#[test]
fn servers_of_the_file_are_known_and_others_are_a_warning() {
    let bench = Bench::new();
    bench.file("agent.yaml", "name: A\nrole: specialist\nmodel: gpt-4\nmcp_servers: [git, tme]\n");
    bench.file(".mcp.json", r#"{"mcpServers": {"git": {"command": "x"}, "time": {"command": "y"}}}"#);
    let said = bench.synod(&["check", "agent.yaml"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let all = format!("{}{}", said.stdout, said.stderr);
    assert!(all.contains("no MCP server is called `tme`") && all.contains("`time`") && !all.contains("`git`"), "{all}");
    bench.file("other.json", r#"{"mcpServers": {"tme": {"cmd": "x"}}}"#);
    let said = bench.synod(&["check", "agent.yaml", "--mcp", "other.json"]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("other.json:1: the server `tme` has neither a command nor a url: give one"), "{}", said.stderr);
}

#[test]
fn metrics_names_the_servers_that_query_metrics_may_ask() {
    let bench = Bench::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 4096];
            let count = stream.read(&mut head).unwrap_or(0);
            assert!(String::from_utf8_lossy(&head[..count]).starts_with("GET /api/v1/query?query=up&time=7.000 "));
            let body = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"a"},"value":[7,"1"]}]}}"#;
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    let team = |private: bool| {
        graph(&format!(
            "
            metrics: {{ prom: {{ url: 'http://127.0.0.1:{port}', private: {private} }} }}
            nodes: {{ ask: {{ tool: query_metrics, args: {{ server: prom, op: range, query: up, until: 7 }} }} }}
            output: ask.output
            "
        ))
    };
    let answer = bench.run(&team(true)).completed();
    assert_eq!(answer["rows"][0]["points"], json!([["1970-01-01T00:00:07Z", 1.0]]), "{answer}");
    let refused = bench.run(&team(false)).report.markdown();
    assert!(refused.contains("says `private: true`"), "{refused}");

    let check = |servers: &str, code: &str, expected: &str| {
        let found = bench.check(&graph(&format!("\nmetrics: {servers}\nnodes: {{ n: {{ gate: '1' }} }}\n")));
        let (found, _, _, message) = sole_error(&found);
        assert!(found == code && message.contains(expected), "{servers}: {found}: {message}");
    };
    for (url, expected) in [
        ("prometheus:9090", "neither `http://` nor `https://`"),
        ("ftp://x", "neither `http://` nor `https://`"),
        ("http://", "names no host"),
        ("http://a b/", "a blank"),
        ("http://me:secret@x/", "a name or password"),
        ("http://x/?token=1", "the tool's to ask"),
        ("http://x:99999/", "its port"),
        ("http://x:/", "its port"),
        ("http://[::1/", "names no host"),
        ("http://x!/", "names no host"),
    ] {
        check(&format!("{{ p: {{ url: '{url}' }} }}"), "invalid-value", expected);
    }
    check("{ P-1: { url: 'http://x' } }", "bad-id", "no name of a server");
    check("{ p: { url: 'http://x', authorization_env: 'my key' } }", "invalid-value", "no name of a variable");
    check("{ p: { private: true } }", "missing-key", "url");
    check("{ p: { url: 'http://x', token: abc } }", "unknown-key", "token");
    let fine = "{ a: { url: 'http://x' }, b: { url: 'https://[::1]:9090/prom/' }, c: { url: 'http://münchen.example:80' } }";
    assert!(bench.check(&graph(&format!("\nmetrics: {fine}\nnodes: {{ n: {{ gate: '1' }} }}\n"))).is_empty());
}

#[test]
fn plan_shows_all_that_tools_reach() {
    let bench = Bench::new();
    bench.file(".mcp.json", r#"{"mcpServers": {"git": {"command": "x"}, "time": {"command": "y"}}}"#);
    bench.file("agent.yaml", "name: A\nrole: specialist\nmodel: gpt-4\nallowed_tools: ['Bash(git log:*)', 'Bash(echo (x))', 'scan', 'http', 'query_metrics', 'Write(reports/*)', 'mcp__git__log', 'Bash(kubectl --context production --namespace payments get pods --selector app=checkout:*)']\nmcp_servers: [git, time]\n");
    bench.file("permit.rhai", "fn permit(facts) { \"allow\" }\n");
    let team = "
        name: Team
        collaboration_pattern: parallel
        member_agents: [{ agent: agent, role: a }]
        rules: permit.rhai
        inputs: { logs: { type: folder }, note: { type: string } }
        tools:
          scan: { description: Scans, command: [scan], effect: read, network: true, read: [~/.trivy, /opt/db], env: SCAN_TOKEN }
          tidy: { description: Tidies, command: [tidy] }
        http: { hosts: ['*.example.com'], private_hosts: 'build:8080' }
        metrics:
          prom: { url: 'http://prometheus:9090', private: true, authorization_env: PROM_KEY }
          far: { url: 'https://far.example.com/prom' }
        ";
    bench.file("team.yaml", team);
    let text = bench.synod(&["plan", "team.yaml"]).stdout;
    for expected in [
        "Bash(git log:*) (irreversible)",
        "Bash(echo (x)) (irreversible)",
        "Bash(kubectl --context production --namespace payments get pods --selector app=checkout:*) (irreversible)",
        "scan (read)",
        "http (irreversible)",
        "query_metrics (read)",
        "Write(reports/*) (",
        "mcp git",
        "mcp time",
        "of mcp only mcp__git__log",
        "each call asks the rule `permit`",
        "\nreach of tools\n",
        "the workspace (read and write), input logs (read)\n",
        "the network, ~/.trivy (read), /opt/db (read), the variable SCAN_TOKEN",
        "  tidy           no network\n",
        "host *.example.com, host build:8080 (private addresses too)",
        "server prom at http://prometheus:9090 (private addresses too) with the key PROM_KEY, server far at https://far.example.com/prom, host",
        "\ncommands\n  commands are",
    ] {
        assert!(text.contains(expected), "{expected} in\n{text}");
    }
    let drawn = bench.synod(&["plan", "team.yaml", "--json"]).json();
    assert_eq!(drawn["reach"][0], json!({ "what": "files", "reaches": ["the workspace (read and write)", "input logs (read)"] }));
    assert_eq!(drawn["permissions"][0]["mcp_only"], json!(["mcp__git__log"]));
    assert!(drawn["confinement"].as_str().is_some_and(|text| text.starts_with("commands are")), "{}", drawn["confinement"]);
}

#[test]
fn plan_says_how_commands_are_confined_where_a_node_runs_one() {
    let bench = Bench::new();
    bench.file("team.yaml", &graph("nodes: { n: { tool: Bash, args: { command: ls } } }"));
    assert!(bench.synod(&["plan", "team.yaml"]).stdout.contains("\ncommands\n  commands are"));
    let mut open = std::process::Command::new(env!("CARGO_BIN_EXE_synod"));
    open.args(["plan", "team.yaml"]).current_dir(bench.folder());
    open.env("SYNOD_COMMANDS_NETWORK", "1").env("SYNOD_COMMANDS_READ", "/srv/data");
    let text = String::from_utf8(open.output().unwrap().stdout).unwrap();
    assert!(text.contains("Bash may use the network") && text.contains("commands may read /srv/data"), "{text}");
    assert!(text.contains("commands reach the store .synod with the workspace"), "{text}");
    let elsewhere = bench.synod(&["plan", "team.yaml", "--store", "../elsewhere"]).stdout;
    assert!(elsewhere.contains("\ncommands\n") && !elsewhere.contains("reach the store"), "{elsewhere}");
}
