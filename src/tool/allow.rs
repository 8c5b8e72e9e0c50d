//! May this call be made at all? [`allows`]: what the patterns of a profile's `allowed_tools` cover.

use crate::value::{Value, fits_star as matches};

/// The arguments that a pattern in brackets is about, the first that the call has.
const SUBJECTS: [&str; 7] = [COMMAND, "path", "file", "url", "server", "query", "pattern"];
/// The argument that a shell reads.
const COMMAND: &str = "command";
/// What the names of the tools of MCP servers begin with.
pub(super) const MCP: &str = "mcp__";
/// What lets one command line run another: a prefix says nothing of what follows it.
const CHAINING: [char; 10] = [';', '&', '|', '<', '>', '`', '$', '\n', '\r', '\\'];
/// What makes the name of a program another one than it looks like: quotes, patterns, a home, a variable set before it, a function.
const DISGUISING: [char; 15] = ['\'', '"', '*', '?', '[', ']', '{', '}', '~', '=', '!', '(', ')', '^', '#'];
/// What separates words for a shell, whatever else Unicode calls a blank.
const BLANKS: [char; 2] = [' ', '\t'];
/// The tool whose calls with `write: true` its pattern `(write)` covers.
const WRITING: &str = "sql_query";

/// Whether one of the patterns covers a call of `tool` with `args`. Without a pattern nothing is covered.
///
/// - `Read`, `query_*`: tools by name, `*` for any characters. A call with `write: true` is not covered. Tools of MCP servers are
///   covered by patterns that begin with `mcp__` only.
/// - `sql_query(write)`: also its calls with `write: true`.
/// - `Bash(git log:*)`: calls whose command, path or address is `git log` or starts with it as a word. A command that chains
///   another (`;`, `|`, `$(…)`, …) is not covered.
/// - `Write(reports/*)`, `Bash(make *)`: calls whose command, path or address matches as a whole; a command that chains another
///   is not covered, but by `*` alone, and neither is one whose program is in disguise (quotes, patterns, a variable set before it).
///   What a program does with its arguments is its own: `Bash(cat logs/*)` also covers `cat logs/a /etc/passwd`.
pub fn allows<S: AsRef<str>>(patterns: &[S], tool: &str, args: &Value) -> bool {
    patterns.iter().any(|pattern| covers(pattern.as_ref().trim(), tool, args))
}

fn covers(pattern: &str, tool: &str, args: &Value) -> bool {
    let writes = args.get("write").and_then(Value::as_bool) == Some(true);
    let Some((name, rest)) = pattern.split_once('(') else {
        return names(pattern, tool) && !writes;
    };
    let Some(inner) = rest.strip_suffix(')') else { return false };
    if !names(name.trim_end(), tool) {
        return false;
    }
    if inner == "write" && tool == WRITING {
        return true;
    }
    let subject = SUBJECTS.iter().find_map(|key| Some((*key, args.get(key)?)));
    let Some((key, Some(subject))) = subject.map(|(key, value)| (key, value.as_str())) else { return false };
    !writes && covers_subject(inner, subject.trim(), key == COMMAND)
}

/// Whether a command line runs another program than the one that its first word names, or more than that one.
fn is_devious(command: &str) -> bool {
    let program = command.split(BLANKS).next().unwrap_or_default();
    command.contains(CHAINING) || command.chars().any(|c| c.is_control() && c != '\t') || program.contains(DISGUISING)
}

fn covers_subject(inner: &str, subject: &str, is_command: bool) -> bool {
    if is_command && inner != "*" && inner.contains('*') && is_devious(subject) {
        return false;
    }
    if subject.split('/').any(|part| part == "..") && inner.contains('/') {
        return false;
    }
    let Some(prefix) = inner.strip_suffix(":*") else { return matches(inner, subject) };
    if subject.contains(CHAINING) {
        return false;
    }
    subject.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(BLANKS))
}

/// Whether a pattern stands for a tool. `*` is for the tools of the machine: whoever means those of a server says so.
fn names(pattern: &str, tool: &str) -> bool {
    if !tool.starts_with(MCP) {
        return matches(pattern, tool);
    }
    // A server by its name alone stands for all that it has.
    let whole = pattern.strip_prefix(MCP).is_some_and(|rest| !rest.contains("__"));
    pattern.starts_with(MCP) && (matches(pattern, tool) || whole && matches(&format!("{pattern}__*"), tool))
}

/// Whether a pattern says which tools of that server are covered.
fn narrows(pattern: &str, server: &str) -> bool {
    let name = pattern.split('(').next().unwrap_or_default().trim();
    let Some(rest) = name.strip_prefix(MCP) else { return false };
    matches(rest.split_once("__").map_or(rest, |(server, _)| server), server)
}

/// Whether an agent with these patterns and MCP servers may call a tool with `args`: as [`allows`], and a tool of a server only where
/// the server is its own. All tools of its own server are covered, unless its patterns name the server: then those that they cover.
pub fn permits<S: AsRef<str>>(patterns: &[S], servers: &[S], tool: &str, args: &Value) -> bool {
    let Some(rest) = tool.strip_prefix(MCP) else { return allows(patterns, tool, args) };
    let own = |server: &S| {
        let server = fitting_server(server.as_ref());
        let below = rest.strip_prefix(&*server).is_some_and(|rest| rest.starts_with("__"));
        let narrowed = patterns.iter().any(|pattern| narrows(pattern.as_ref(), &server));
        below && (!narrowed || allows(patterns, tool, args))
    };
    servers.iter().any(own)
}

/// What the names of a server's tools begin with: `mcp__git__`. What no provider takes in a name becomes `_`.
pub fn server_prefix(server: &str) -> String {
    format!("{MCP}{}__", fitting_server(server))
}

/// A server's name as it stands in the names of its tools: two `_` end it.
fn fitting_server(server: &str) -> String {
    let mut name = fitting(server);
    while name.contains("__") {
        name = name.replace("__", "_");
    }
    name
}

/// The name with what no provider takes in one replaced by `_`.
pub(super) fn fitting(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, tool: &str, args: &[(&str, Value)], expected: bool) {
        let args = Value::map(args.iter().map(|(k, v)| (*k, v.clone())));
        assert_eq!(allows(&[pattern], tool, &args), expected, "{pattern} on {tool} {args}");
    }

    #[test]
    fn names_are_exact_and_case_sensitive() {
        check("Read", "Read", &[], true);
        check("read", "Read", &[], false);
        check("Read", "ReadAll", &[], false);
        assert!(!allows::<&str>(&[], "Read", &Value::Null));
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        check("*", "Read", &[], true);
        check("mcp__*__get", "mcp__k8s__get", &[], true);
        check("mcp__*__get", "mcp__k8s__set", &[], false);
        check("a*a", "a", &[], false);
    }

    #[test]
    fn brackets_narrow_to_a_command_and_what_starts_with_it() {
        for (command, expected) in [
            ("git log", true),
            ("git log -n 3", true),
            ("git logs", false),
            ("git push", false),
            ("git log; rm x", false),
            ("git log $(id)", false),
            ("git log\nid", false),
        ] {
            check("Bash(git log:*)", "Bash", &[("command", Value::from(command))], expected);
        }
        check("Bash(make lint)", "Bash", &[("command", Value::from("make lint"))], true);
        check("Bash(make lint)", "Bash", &[], false);
        check("Bash(make", "Bash", &[("command", Value::from("make"))], false);
    }

    #[test]
    fn no_pattern_with_a_star_covers_a_second_command() {
        let joined =
            ["; id", " && id", " || id", " | id", " & id", "\nid", "\rid", " $(id)", " `id`", " > x", " < x", " <(id)", " ${x}"];
        for pattern in ["Bash(git log:*)", "Bash(git log*)", "Bash(git*)", "Bash(git log *)"] {
            check(pattern, "Bash", &[("command", Value::from("git log --oneline"))], true);
            for rest in joined {
                check(pattern, "Bash", &[("command", Value::text(format!("git log {rest}")))], false);
            }
        }
        check("Bash(make lint && make test)", "Bash", &[("command", Value::from("make lint && make test"))], true);
        check("Bash(*)", "Bash", &[("command", Value::from("a | b"))], true);
        check("Bash(git log:*)", "Bash", &[("command", Value::from("env git log"))], false);
        check("Bash(git log:*)", "Bash", &[("command", Value::from("x=1 git log"))], false);
        check("Bash(git log:*)", "Bash", &[("command", Value::list([])), ("path", Value::from("git log"))], false);
    }

    #[test]
    fn no_trick_of_a_shell_makes_another_program_of_a_covered_one() {
        let log = ["Bash(git log:*)", "Bash(git log*)", "Bash(git log *)"];
        for command in [
            "git log; rm x",
            "git log;rm x",
            "git log && x",
            "git log || x",
            "git log | sh",
            "git log |& sh",
            "git log & x",
            "git log $(x)",
            "git log ${x}",
            "git log $'\\x3b' x",
            "git log `x`",
            "git log \"`x`\"",
            "git log \"$(x)\"",
            "git log <(x)",
            "git log > /etc/x",
            "git log >> /etc/x",
            "git log << x",
            "git log\nx",
            "git log\r\nx",
            "git log \\\nx",
            "git log \u{0}x",
            "git log \u{7f}",
            "A=1 git log",
            "PATH=. git log",
            "GIT_PAGER=x git log",
            "env git log",
            "command git log",
            "! git log",
            "{ git log",
            "( git log )",
            "time git log",
            "\"git\" log",
            "g\"i\"t log",
            "git 'log'",
            "git  log",
            "git\tlog",
            "git\u{a0}log",
            "git\u{2003}log",
            "\u{2028}x git log",
            "ｇｉｔ log",
            "gıt log",
            "git -c x=y log",
            "GIT LOG",
            "",
        ] {
            for pattern in log {
                check(pattern, "Bash", &[("command", Value::from(command))], false);
            }
        }
        for command in ["git logs", "git log\u{a0}x", "git log\u{2028}x", "git log\u{b}x", "git log-x"] {
            check("Bash(git log:*)", "Bash", &[("command", Value::from(command))], false);
        }
        for command in
            ["git log", " git log\t-n 3 \n", "git log --output=/etc/x", "git log --grep 'fix(api): a=b' -- \"src/*\" ü"]
        {
            check("Bash(git log:*)", "Bash", &[("command", Value::from(command))], true);
        }
        for (pattern, command, expected) in [
            ("Bash(./scripts/*)", "./scripts/lint --all", true),
            ("Bash(./scripts/*)", "./scripts/../evil", false),
            ("Bash(./scripts/*)", "./scripts/'..'/evil", false),
            ("Bash(./scripts/*)", "./scripts/\"..\"/evil", false),
            ("Bash(./scripts/*)", "./scripts/.?/evil", false),
            ("Bash(./scripts/*)", "./scripts/{.,}./evil", false),
            ("Bash(*lint)", "x=./evil lint", false),
            ("Bash(git*)", "git() ( x )", false),
            ("Bash(npm run *:*)", "npm run x", false),
            ("Bash(:*)", "x", false),
            ("Bash(**)", "a; b", false),
            ("Bash()", "x", false),
            ("Bash()", "", true),
            ("Bash(make lint", "make lint", false),
            ("Bash(make lint) ", "make lint", true),
            ("bash(make lint)", "make lint", false),
        ] {
            check(pattern, "Bash", &[("command", Value::from(command))], expected);
        }
    }

    #[test]
    fn a_program_called_write_is_not_the_permission_to_write() {
        check("Bash(write)", "Bash", &[("command", Value::from("rm x"))], false);
        check("Bash(write)", "Bash", &[("command", Value::from("write"))], true);
        check("Write(write)", "Write", &[("path", Value::from("x"))], false);
        check("*(write)", "Bash", &[("command", Value::from("rm x"))], false);
    }

    #[test]
    fn a_pattern_for_paths_covers_no_server() {
        let args = [("server", Value::from("prom")), ("query", Value::from("metrics/1"))];
        check("query_metrics(metrics/*)", "query_metrics", &args, false);
        check("query_metrics(prom)", "query_metrics", &args, true);
        check("query_metrics(metrics/*)", "query_metrics", &[("path", Value::from("metrics/a.csv"))], true);
    }

    #[test]
    fn the_tools_of_a_server_are_for_those_who_name_it() {
        let check = |patterns: &[&str], servers: &[&str], tool: &str, expected: bool| {
            assert_eq!(permits(patterns, servers, tool, &Value::Null), expected, "{patterns:?} {servers:?} on {tool}");
        };
        check(&[], &["git"], "mcp__git__log", true);
        check(&["*"], &[], "mcp__git__log", false);
        check(&["mcp__git__log"], &[], "mcp__git__log", false);
        check(&["*"], &["git"], "mcp__git__log", true);
        check(&["*"], &["git"], "mcp__github__log", false);
        check(&["mcp__git__log"], &["git"], "mcp__git__push", false);
        check(&["mcp__git__log"], &["git", "time"], "mcp__time__now", true);
        check(&["mcp__git__l*"], &["git"], "mcp__git__log", true);
        check(&["mcp__git"], &["git"], "mcp__git__log", true);
        check(&["mcp__git__log"], &["git", "github"], "mcp__github__push", true);
        check(&["mcp__*__log"], &["git"], "mcp__git__push", false);
        check(&["mcp__*"], &["git"], "mcp__git__push", true);
        check(&["Read"], &["my server"], "mcp__my_server__x", true);
        check(&["Read"], &["git"], "Read", true);
        check(&["Read"], &["git"], "Write", false);
    }

    #[test]
    fn brackets_narrow_to_paths_that_do_not_climb() {
        check("Write(reports/*)", "Write", &[("path", Value::from("reports/a.md"))], true);
        check("Write(reports/*)", "Write", &[("path", Value::from("reports/../src/a.rs"))], false);
        check("Write(reports/*)", "Write", &[("path", Value::from("src/a.rs"))], false);
    }

    #[test]
    fn writing_to_a_database_must_be_spelled_out() {
        let write = [("write", Value::Bool(true))];
        check("sql_query", "sql_query", &[], true);
        check("sql_query", "sql_query", &write, false);
        check("*", "sql_query", &write, false);
        check("sql_query(write)", "sql_query", &write, true);
        check("sql_query(write)", "sql_query", &[], true);
        check("sql_query(write)", "Write", &[], false);
    }
}
