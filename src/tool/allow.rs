//! May this call be made at all? [`allows`]: what the patterns of a profile's `allowed_tools` cover.

use crate::value::Value;

/// The arguments that a pattern in brackets is about, the first that the call has.
const SUBJECTS: [&str; 6] = ["command", "path", "file", "url", "query", "pattern"];
/// What lets one command line run another: a prefix says nothing of what follows it.
const CHAINING: [char; 10] = [';', '&', '|', '<', '>', '`', '$', '\n', '\r', '\\'];

/// Whether one of the patterns covers a call of `tool` with `args`. Without a pattern nothing is covered.
///
/// - `Read`, `mcp__*`: tools by name, `*` for any characters. A call with `write: true` is not covered.
/// - `sql_query(write)`: also its calls with `write: true`.
/// - `Bash(git log:*)`: calls whose command, path or address is `git log` or starts with it as a word. A command that chains
///   another (`;`, `|`, `$(…)`, …) is not covered.
/// - `Write(reports/*)`: calls whose command, path or address matches as a whole.
pub fn allows<S: AsRef<str>>(patterns: &[S], tool: &str, args: &Value) -> bool {
    patterns.iter().any(|pattern| covers(pattern.as_ref().trim(), tool, args))
}

fn covers(pattern: &str, tool: &str, args: &Value) -> bool {
    let writes = args.get("write").and_then(Value::as_bool) == Some(true);
    let Some((name, rest)) = pattern.split_once('(') else {
        return matches(pattern, tool) && !writes;
    };
    let Some(inner) = rest.strip_suffix(')') else { return false };
    if !matches(name.trim_end(), tool) {
        return false;
    }
    if inner == "write" {
        return true;
    }
    let subject = SUBJECTS.iter().find_map(|key| args.get(key).and_then(Value::as_str));
    !writes && subject.is_some_and(|subject| covers_subject(inner, subject.trim()))
}

fn covers_subject(inner: &str, subject: &str) -> bool {
    if subject.split('/').any(|part| part == "..") && inner.contains('/') {
        return false;
    }
    let Some(prefix) = inner.strip_suffix(":*") else { return matches(inner, subject) };
    if subject.contains(CHAINING) {
        return false;
    }
    subject.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

/// Whether `text` matches `pattern` as a whole, `*` standing for any characters.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.len() >= last.len() && rest.ends_with(last)
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
