//! Does a key stay out of everything that a run leaves behind?
//!
//! A session whose models, tools, servers and errors all say the keys that they were given; then every byte of the store, of what the
//! program printed and of what it prints later is searched.

mod wire;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value as Json, json};
use wire::{Asked, Provider, Says};

/// Variable and value: of the provider, of the MCP server, of the declared command.
const KEYS: [(&str, &str); 3] = [
    ("LOCAL_KEY", "lk-7d1f0a93c5e24b68"),
    ("MCP_TOKEN", "mcp/token+41e8=\"q\""),
    ("TOOL_SECRET", "tool-secret-5b2c9d7e3f10a846"),
];

const TEAM: &str = r"
name: Leaks
collaboration_pattern: graph
tools:
  teller: { description: Tells., command: [sh, tell.sh], env: [TOOL_SECRET], effect: read }
  breaker: { description: Breaks., command: [sh, break.sh], env: [TOOL_SECRET], effect: read }
member_agents: [{ agent: leaky, role: leaky }, { agent: refused, role: refused }]
nodes:
  talk: { agent: leaky }
  reject: { agent: refused, allow_failure: true }
  tell: { tool: teller }
  smash: { tool: breaker, allow_failure: true }
output: talk.output
";

const SERVER: &str = r#"
echo "the token is $TOKEN" >&2
while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  said=$(printf '%s' "$TOKEN" | sed 's/"/\\"/g')
  case "$line" in
    *'"initialize"'*) r='{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"leaky","version":"1"}}' ;;
    *'"tools/list"'*) r="{\"tools\":[{\"name\":\"echo\",\"description\":\"uses $said\",\"inputSchema\":{\"type\":\"object\"}}]}" ;;
    *'"tools/call"'*) r="{\"content\":[{\"type\":\"text\",\"text\":\"token: $said\"}]}" ;;
    *) r='{}' ;;
  esac
  [ -n "$id" ] && printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$r"
done
"#;

/// Says every key that it knows of.
fn says(asked: &Asked) -> Says {
    let key = asked.bearer.trim_start_matches("Bearer ").to_owned();
    if asked.body["model"] == "other" {
        return Says::Refusal(400, json!({ "error": { "message": format!("no such thing for {key}") } }).to_string());
    }
    let calls = |calls: &[(&str, Json)]| calls.iter().map(|(tool, args)| ((*tool).to_owned(), args.clone())).collect();
    let answered = asked.body["messages"].as_array().is_some_and(|all| all.iter().any(|message| message["role"] == "tool"));
    let first = calls(&[
        ("teller", json!({})),
        ("breaker", json!({})),
        ("mcp__leaky__echo", json!({ "why": key })),
        ("nothing_like_it", json!({ key.clone(): key })),
        ("broadcast_finding", json!({ "topic": "key", "claim": format!("it is {key}"), "value": key, "confidence": 1 })),
    ]);
    let last = calls(&[("finish", json!({ "result": { "key": key, "first half": &key[..13], "confidence": 1 } }))]);
    Says::Reply(format!("my key is {key}"), if answered { last } else { first })
}

fn synod(folder: &Path, args: &[&str]) -> (Option<i32>, Vec<u8>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synod"));
    command.current_dir(folder).args(args).env_remove("SYNOD_STORE").env("SYNOD_LOG", "trace").envs(KEYS);
    let output = command.output().expect("the binary starts");
    (output.status.code(), [output.stdout, output.stderr].concat())
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// Whether the bytes hold a key, as it is, as JSON has it, or its longer half.
fn leak(bytes: &[u8]) -> Option<&'static str> {
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    let held = KEYS.iter().find(|(_, key)| {
        let quoted = json!(key).to_string();
        holds(key) || holds(&quoted[1..quoted.len() - 1]) || holds(&key[..13])
    });
    held.map(|(name, _)| *name)
}

#[test]
fn no_key_is_in_any_byte_that_a_run_leaves_behind() {
    let provider = Provider::start(says);
    let folder = tempfile::tempdir().expect("a folder can be made");
    let agent = |model: &str| {
        format!(
            "name: {model}\nrole: worker\nmodel: {model}\nsystem_prompt: Talk.\nmcp_servers: [leaky]\n\
             allowed_tools: [teller, breaker, mcp__leaky__echo]\n"
        )
    };
    let config =
        json!({ "mcpServers": { "leaky": { "command": "sh", "args": ["server.sh"], "env": { "TOKEN": "${MCP_TOKEN}" } } } });
    for (name, text) in [
        ("leaks.yaml", TEAM.to_owned()),
        ("leaky.yaml", agent("small")),
        ("refused.yaml", agent("other")),
        ("tell.sh", "echo \"out $TOOL_SECRET\"; echo \"err $TOOL_SECRET\" >&2\n".to_owned()),
        ("break.sh", "echo \"broken by $TOOL_SECRET\" >&2; exit 3\n".to_owned()),
        ("server.sh", SERVER.to_owned()),
        (".mcp.json", config.to_string()),
        ("models.yaml", provider.catalog()),
    ] {
        fs::write(folder.path().join(name), text).expect("a file can be written");
    }
    let task = format!("Use {} well", KEYS[0].1);
    let run = ["run", "leaks.yaml", "--models", "models.yaml", "--task", &task, "--json"];
    let mut said = vec![("run", synod(folder.path(), &run))];
    let text = String::from_utf8_lossy(&said[0].1.1).into_owned();
    assert_eq!(said[0].1.0, Some(0), "{text}");
    let (_, rows) = synod(folder.path(), &["sessions", "--json", "--quiet"]);
    let rows = String::from_utf8_lossy(&rows).into_owned();
    let begin = rows.find("[{").unwrap_or_else(|| panic!("no rows: {rows}"));
    let rows: Vec<Json> = serde_json::Deserializer::from_str(&rows[begin..]).into_iter::<Vec<Json>>().next().unwrap().unwrap();
    let session = rows[0]["session"].as_str().expect("an id");
    for command in ["report", "show", "messages", "export", "replay", "resume"] {
        said.push((command, synod(folder.path(), &[command, session, "--models", "models.yaml"])));
    }
    for (command, (_, bytes)) in &said {
        let line = bytes.split(|byte| *byte == b'\n').find(|line| leak(line).is_some()).map(String::from_utf8_lossy);
        assert_eq!(leak(bytes), None, "synod {command} prints a key: {line:?}");
    }
    // What each of them said is there, without its key.
    let exported = &said.iter().find(|(command, _)| *command == "export").expect("it was exported").1.1;
    let exported = String::from_utf8_lossy(exported);
    for trace in [
        "my key is [redacted LOCAL_KEY]",
        "it is [redacted LOCAL_KEY]",
        "no such thing for [redacted LOCAL_KEY]",
        "Use [redacted LOCAL_KEY] well",
        "out [redacted TOOL_SECRET]",
        "err [redacted TOOL_SECRET]",
        "broken by [redacted TOOL_SECRET]",
        "token: [redacted MCP_TOKEN]",
    ] {
        assert!(exported.contains(trace), "{trace} is not on the record: {exported}");
    }
    let mut left = Vec::new();
    files(folder.path(), &mut left);
    assert!(left.iter().any(|path| path.extension().is_some_and(|e| e == "redb")), "{left:?}");
    for path in left {
        assert_eq!(leak(&fs::read(&path).expect("a file can be read")), None, "{} holds a key", path.display());
    }
}
