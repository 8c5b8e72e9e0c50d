//! Which MCP servers are there? [`McpServers`], from the `mcpServers` JSON that other agent tools read too.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

/// The file that is looked for in the workspace and upwards.
pub const MCP_FILE: &str = ".mcp.json";
/// The largest file, in bytes.
const MAX_BYTES: u64 = 1 << 20;
/// Servers at most.
const MAX_SERVERS: usize = 256;
/// How long a server may take to start, where the file does not say: a package runner may have to fetch it first.
const STARTUP: Duration = Duration::from_secs(60);
/// How long a call may go without an answer or progress, where the file does not say.
const CALL: Duration = Duration::from_secs(120);

/// How long a call waits in flight for a person whom its server asks, where the file does not say.
const ANSWER: Duration = Duration::from_secs(120);

/// The MCP servers that this machine knows, by name. None is started before an agent needs it.
#[derive(Clone, Debug, Default)]
pub struct McpServers {
    /// Where they are declared.
    file: Option<PathBuf>,
    servers: BTreeMap<String, McpServer>,
}

/// How a server is reached.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "snake_case")]
pub struct McpServer {
    /// `stdio`, `http`; told by `command` or `url` where it is not there.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The program.
    pub command: Option<String>,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment, beside a few harmless variables.
    pub env: BTreeMap<String, String>,
    /// Where it runs, relative to the file; the workspace by default.
    pub cwd: Option<String>,
    /// The address of a server over streamable HTTP.
    #[serde(alias = "httpUrl", alias = "serverUrl")]
    pub url: Option<String>,
    /// Headers of each request.
    pub headers: BTreeMap<String, String>,
    /// Whether what its tools say of their effects is believed. By default every call counts as irreversible.
    #[serde(alias = "trustAnnotations")]
    pub trust_annotations: bool,
    /// Whether what its tools return can be relied on. By default it counts as coming from outside: before an irreversible call on
    /// what it said a person is asked.
    pub trusted: bool,
    /// Seconds that a call may go without an answer or progress.
    #[serde(alias = "tool_timeout_sec", alias = "timeoutSeconds")]
    pub timeout_seconds: Option<f64>,
    /// Seconds that a call waits for a person whom the server asks. Then it is let go, and the question stands.
    #[serde(alias = "answerTimeoutSeconds")]
    pub answer_timeout_seconds: Option<f64>,
    /// The same as `timeout_seconds` in milliseconds, as some tools write it.
    pub timeout: Option<f64>,
    /// Seconds that it may take to start.
    #[serde(alias = "startup_timeout_sec", alias = "startupTimeoutSeconds")]
    pub startup_timeout_seconds: Option<f64>,
    /// Whether it is switched off.
    pub disabled: bool,
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "mcpServers", alias = "servers", default)]
    servers: BTreeMap<String, McpServer>,
}

/// Why a file of MCP servers cannot be used: the file, the place and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read the MCP servers of {place}: {reason}")]
pub struct McpFileError {
    /// The file, with line and column where they are known.
    pub place: String,
    /// What is wrong.
    pub reason: String,
}

impl McpServers {
    /// Those of a file.
    ///
    /// # Errors
    /// It cannot be read, is no such JSON, or a server in it has neither `command` nor `url`.
    pub fn read(path: &Path) -> Result<Self, McpFileError> {
        let fail = |reason: String| McpFileError { place: path.display().to_string(), reason };
        let about = std::fs::metadata(path).map_err(|e| fail(format!("{e}; name one that exists with --mcp FILE")))?;
        if about.len() > MAX_BYTES {
            return Err(fail(format!("it has {} bytes, more than the {MAX_BYTES} allowed", about.len())));
        }
        let text = std::fs::read_to_string(path).map_err(|e| fail(e.to_string()))?;
        Self::parse(path, &text)
    }

    /// Those of a text, which stands in `path`.
    ///
    /// # Errors
    /// As [`McpServers::read`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, McpFileError> {
        let place = path.display().to_string();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let options = serde_saphyr::options! { with_snippet: false };
        let file: File = serde_saphyr::from_str_with_options(text, options).map_err(|e| {
            let at = e.location().filter(|l| l.line() > 0).map_or_else(String::new, |l| format!(":{}:{}", l.line(), l.column()));
            let said = e.to_string();
            let said = said.split(" at line ").next().unwrap_or(&said);
            let help = r#"write { "mcpServers": { "NAME": { "command": "…", "args": ["…"] } } }"#;
            McpFileError { place: format!("{place}{at}"), reason: format!("{said}; {help}") }
        })?;
        if file.servers.len() > MAX_SERVERS {
            return Err(McpFileError { place, reason: format!("it has more than {MAX_SERVERS} servers") });
        }
        for (name, server) in &file.servers {
            if let Err(why) = server.check() {
                let line = text.lines().position(|line| line.contains(&format!("\"{name}\""))).map_or(0, |at| at + 1);
                let place = if line == 0 { place } else { format!("{place}:{line}") };
                return Err(McpFileError { place, reason: format!("the server `{name}` {why}") });
            }
        }
        let servers = file.servers.into_iter().filter(|(_, server)| !server.disabled).collect();
        Ok(Self { file: Some(path.to_owned()), servers })
    }

    /// Those of the first [`MCP_FILE`] in a folder or above it; none where there is no such file.
    ///
    /// # Errors
    /// As [`McpServers::read`].
    pub fn find(folder: &Path) -> Result<Self, McpFileError> {
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let found = folder.ancestors().map(|above| above.join(MCP_FILE)).find(|file| file.is_file());
        found.map_or_else(|| Ok(Self::default()), |file| Self::read(&file))
    }

    /// Adds a server, or replaces the one of that name.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, server: McpServer) -> Self {
        self.servers.insert(name.into(), server);
        self
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.servers.keys().map(String::as_str)
    }

    /// The servers with their names.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &McpServer)> {
        self.servers.iter().map(|(name, server)| (name.as_str(), server))
    }

    /// The folder of the file, if there is one.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.file.as_deref().and_then(Path::parent)
    }
}

impl McpServer {
    fn check(&self) -> Result<(), String> {
        match (self.kind.as_deref(), &self.command, &self.url) {
            (Some("sse"), ..) => Err(
                "wants the old SSE transport, which is not supported: use its streamable HTTP address with \"type\": \"http\""
                    .to_owned(),
            ),
            (Some(kind), ..) if !matches!(kind, "stdio" | "http" | "streamable-http" | "streamable_http" | "streamableHttp") => {
                Err(format!("has the unknown type \"{kind}\": write \"stdio\" or \"http\""))
            }
            (_, None, None) => Err("has neither a command nor a url: give one".to_owned()),
            (_, Some(_), Some(_)) => Err("has both a command and a url: give one".to_owned()),
            (Some("stdio"), None, _) => Err("has the type \"stdio\" and no command".to_owned()),
            (Some(_), _, None) if self.kind.as_deref() != Some("stdio") => Err("has the type \"http\" and no url".to_owned()),
            (_, _, Some(url)) if !url.starts_with("http://") && !url.starts_with("https://") && !url.starts_with("${") => {
                Err(format!("has the url {url}, which begins with neither http:// nor https://"))
            }
            _ if [self.timeout_seconds, self.timeout, self.startup_timeout_seconds, self.answer_timeout_seconds]
                .iter()
                .flatten()
                .any(|s| s.is_nan() || *s <= 0.0) =>
            {
                Err("has a timeout that is no positive number".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// How long a call may go without an answer or progress.
    pub(super) fn call_timeout(&self) -> Duration {
        let seconds = self.timeout_seconds.or(self.timeout.map(|ms| ms / 1000.0));
        seconds.and_then(|s| Duration::try_from_secs_f64(s).ok()).unwrap_or(CALL)
    }

    /// How long a call waits in flight for a person.
    pub(super) fn answer_timeout(&self) -> Duration {
        self.answer_timeout_seconds.and_then(|s| Duration::try_from_secs_f64(s).ok()).unwrap_or(ANSWER)
    }

    /// How long it may take to start.
    pub(super) fn startup_timeout(&self) -> Duration {
        self.startup_timeout_seconds.and_then(|s| Duration::try_from_secs_f64(s).ok()).unwrap_or(STARTUP)
    }
}

/// The text with `${NAME}` and `${NAME:-default}` replaced by the environment.
///
/// # Errors
/// The name of a variable that is not set and has no default.
pub(super) fn expand(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let Some(end) = rest[at..].find('}') else { break };
        let inner = &rest[at + 2..at + end];
        let (name, default) = inner.split_once(":-").map_or((inner, None), |(name, default)| (name, Some(default)));
        out.push_str(&rest[..at]);
        match (variable(name).filter(|value| !value.is_empty() || default.is_none()), default) {
            (Some(value), _) => out.push_str(&value),
            (None, Some(default)) => out.push_str(default),
            (None, None) => return Err(name.to_owned()),
        }
        rest = &rest[at + end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&[&str], &str>) {
        let found = McpServers::parse(Path::new(MCP_FILE), text);
        match (found, expected) {
            (Ok(found), Ok(names)) => assert_eq!(found.names().collect::<Vec<_>>(), names),
            (Err(found), Err(expected)) => assert!(found.to_string().contains(expected), "{found} should say {expected}"),
            (found, expected) => panic!("{found:?} is not {expected:?}"),
        }
    }

    #[test]
    fn the_file_is_the_one_that_other_tools_read() {
        check(
            r#"{"mcpServers": {
                "git": {"command": "uvx", "args": ["mcp-server-git"], "env": {"A": "${B:-c}"}, "autoApprove": ["x"]},
                "web": {"type": "http", "url": "https://example.com/mcp", "headers": {"Authorization": "Bearer ${T}"}},
                "off": {"command": "x", "disabled": true}}}"#,
            Ok(&["git", "web"]),
        );
        check(
            r#"{"servers": {"a": {"url": "http://127.0.0.1:1/mcp", "trust_annotations": true, "timeout_seconds": 5}}}"#,
            Ok(&["a"]),
        );
        check("{}", Ok(&[]));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place_and_remedy() {
        check("{\"mcpServers\": {\n \"a\": {\"command\": 3x}\n}", Err(".mcp.json:"));
        check("{\"mcpServers\": {\n \"a\": {\"args\": \"x\"}\n}}", Err(".mcp.json:2:"));
        check("{\"mcpServers\": {\n \"a\": {}\n}}", Err(".mcp.json:2: the server `a` has neither a command nor a url: give one"));
        check(r#"{"mcpServers": {"a": {"command": "x", "url": "http://y"}}}"#, Err("both"));
        check(r#"{"mcpServers": {"a": {"type": "sse", "url": "http://y"}}}"#, Err("streamable HTTP"));
        check(r#"{"mcpServers": {"a": {"url": "ftp://y"}}}"#, Err("neither http:// nor https://"));
        check(r#"{"mcpServers": {"a": {"command": "x", "timeout_seconds": -1}}}"#, Err("no positive number"));
        check(r#"{"mcpServers": {"a": {"type": "carrier-pigeon", "command": "x"}}}"#, Err("unknown type"));
    }

    #[test]
    fn variables_come_from_the_environment_or_have_a_default() {
        let variable = |name: &str| match name {
            "A" => Some("1".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        for (text, expected) in [
            ("x", Ok("x")),
            ("${A}-${A}", Ok("1-1")),
            ("${B:-d}${EMPTY:-e}", Ok("de")),
            ("${EMPTY}", Ok("")),
            ("${B:-}", Ok("")),
            ("${B}", Err("B")),
            ("$A ${A", Ok("$A ${A")),
        ] {
            assert_eq!(expand(text, &variable).as_deref().map_err(String::as_str), expected, "{text}");
        }
    }

    #[test]
    fn the_file_is_looked_for_upwards() {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("a/b");
        std::fs::create_dir_all(&inner).expect("folders");
        std::fs::write(folder.path().join(MCP_FILE), r#"{"mcpServers": {"x": {"command": "x"}}}"#).expect("a file");
        let found = McpServers::find(&inner).expect("it reads");
        assert_eq!((found.names().collect::<Vec<_>>(), found.folder()), (vec!["x"], Some(folder.path())));
    }
}
