//! What the keys `tools` and `http` of a team do.

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
