//! Do MCP servers start here? Each is started as a session would start it, asked for its tools, and ended.

use super::{Area, Diagnosis, Health, agents::Agents};
use crate::{
    tool::{McpGreeting, McpPool, McpServer, server_prefix},
    value::Failure,
};

/// Characters of a name or version that are shown: they are a stranger's.
const SHOWN: usize = 60;

pub(super) async fn look(pool: &McpPool, agents: Option<&Agents>) -> Vec<Diagnosis> {
    let pool = pool.anew();
    let greetings = pool.greet().await;
    pool.close().await;
    let mut found = Vec::new();
    for (name, config) in pool.servers() {
        let wanted = agents.is_none_or(|agents| agents.need_server(name));
        match greetings.get(name) {
            Some(Ok(greeting)) => {
                found.push(started(name, greeting));
                found.extend(agents.map_or_else(Vec::new, |agents| not_offered(agents, name, greeting)));
            }
            Some(Err(failure)) => found.push(failed(name, config, failure, wanted)),
            None => found.push(Diagnosis::new(Area::Mcp, Health::Fail, name, "nobody knows what became of it: try again")),
        }
    }
    let unknown = agents.map(Agents::servers).into_iter().flatten().filter(|(name, _)| !greetings.contains_key(&**name));
    found.extend(unknown.map(|(name, needed)| {
        let detail = format!("it is needed {}, and no file of MCP servers has it", needed.whose());
        let help = format!(
            "declare it in .mcp.json or in a file for --mcp: {{ \"mcpServers\": {{ \"{name}\": {{ \"command\": \"…\" }} }} }}; one that is \"disabled\" there does not count"
        );
        Diagnosis::new(Area::Mcp, Health::Fail, name.to_string(), detail).help(help)
    }));
    found
}

fn started(name: &str, greeting: &McpGreeting) -> Diagnosis {
    let plain = |text: &str| text.chars().filter(|c| !c.is_control()).take(SHOWN).collect::<String>();
    let itself = format!("{} {}", plain(&greeting.server), plain(&greeting.version));
    let (count, took) = (greeting.tools.len(), greeting.took.as_millis());
    let itself = if itself.trim().is_empty() { "it starts".to_owned() } else { format!("{} starts", itself.trim()) };
    if count == 0 {
        return Diagnosis::new(Area::Mcp, Health::Warn, name, format!("{itself} in {took} ms and offers no tools"))
            .help("only tools are used here: an agent gains nothing from this server");
    }
    let tools = if count == 1 { "1 tool".to_owned() } else { format!("{count} tools") };
    Diagnosis::new(Area::Mcp, Health::Ok, name, format!("{itself} in {took} ms and offers {tools}"))
}

fn failed(name: &str, config: &McpServer, failure: &Failure, wanted: bool) -> Diagnosis {
    let why = failure.message.strip_prefix(&format!("the MCP server {name} ")).unwrap_or(&failure.message);
    // As it stands in the file, before any variable is put in.
    let help = match (&config.command, &config.url) {
        (Some(command), _) => {
            let words: Vec<String> = std::iter::once(command).chain(&config.args).map(|word| quoted(word)).collect();
            format!("see what it says when you start it: {}", words.join(" "))
        }
        (None, url) => format!("see whether {} can be reached from here", url.as_deref().unwrap_or("it")),
    };
    let (status, unused) = if wanted { (Health::Fail, "") } else { (Health::Warn, " (this team does not need it)") };
    Diagnosis::new(Area::Mcp, status, name, format!("{why}{unused}")).help(help)
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || "-_./:=@,+%".contains(c));
    if is_plain { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// Tools of the server that an agent may call by name, and that it does not offer.
fn not_offered(agents: &Agents, server: &str, greeting: &McpGreeting) -> Vec<Diagnosis> {
    let prefix = server_prefix(server);
    let mut found = Vec::new();
    for (role, profile) in &agents.profiles {
        let names = profile.allowed_tools.iter().map(|pattern| pattern.split('(').next().unwrap_or_default().trim());
        for name in names.filter(|name| name.starts_with(&prefix) && !name.contains('*')) {
            if !greeting.tools.iter().any(|tool| tool == name) {
                let detail = format!("it does not offer {name}, which `allowed_tools` of {role} names");
                found.push(Diagnosis::new(Area::Mcp, Health::Warn, server, detail).help(offers(greeting, &prefix)));
            }
        }
    }
    found
}

fn offers(greeting: &McpGreeting, prefix: &str) -> String {
    /// Tools that are named.
    const NAMED: usize = 12;
    let names: Vec<&str> = greeting.tools.iter().map(|tool| tool.strip_prefix(prefix).unwrap_or(tool)).take(NAMED).collect();
    let more = if greeting.tools.len() > NAMED { ", …" } else { "" };
    format!("it offers {}{more}", names.join(", "))
}
