//! Which lines say such a thing? The tool `Grep`.

use std::collections::VecDeque;

use regex::bytes::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    BlockingTool, CallContext, Found, Outcome, glob,
    lines::{LineError, Lines, shorten},
    spec,
};
use crate::value::{EffectClass, Failure, FailureKind, ToolSpec, Value};

/// Matches of one call where the call does not say.
const MATCHES: usize = 200;
/// Matches of one call at most.
const MATCHES_LIMIT: usize = 2_000;
/// Lines before and after a match at most.
const CONTEXT_LIMIT: usize = 20;
/// Characters of a line.
const WIDTH: usize = 500;
/// Memory of a compiled pattern, in bytes.
const PATTERN_LIMIT: usize = 1 << 20;

/// The tool `Grep`.
pub(super) struct Grep(ToolSpec);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// A regular expression, matched line by line.
    pattern: String,
    /// The file or folder to search. Default: the workspace.
    #[serde(default)]
    path: Option<String>,
    /// Only files whose path below the folder matches: `*.rs`, `**/*.log`.
    #[serde(default)]
    glob: Option<String>,
    /// Whether upper and lower case are the same. Default: false.
    #[serde(default)]
    ignore_case: bool,
    /// Lines to show before and after each match. Default: 0.
    #[serde(default)]
    #[schemars(range(max = CONTEXT_LIMIT))]
    context: usize,
    /// How many matches to show; all are counted. Default: 200.
    #[serde(default)]
    #[schemars(range(max = MATCHES_LIMIT))]
    limit: Option<usize>,
}

impl Default for Grep {
    fn default() -> Self {
        let description = "Searches text files (also gzipped ones) line by line for a regular expression. Returns `matches` (`file`, `line`, \
                           `text`, with `before` and `after` where `context` is given), `files` with their counts, the `count` of all, and `notes`.";
        Self(spec::<Args>("Grep", EffectClass::Read, description))
    }
}

impl BlockingTool for Grep {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    fn run(&self, call: &CallContext, args: &Value) -> Outcome {
        let args: Args = super::parse(args)?;
        let mut search = Search {
            pattern: pattern(&args.pattern, args.ignore_case)?,
            context: args.context,
            limit: args.limit.unwrap_or(MATCHES),
            matches: Vec::new(),
            files: Vec::new(),
            count: 0,
            notes: Vec::new(),
        };
        let matcher = args.glob.as_deref().map(glob::matcher).transpose()?;
        let base = call.roots.find(args.path.as_deref().unwrap_or("."))?;
        let walk = base.walk(false, &call.stop)?;
        search.notes = walk.notes;
        for file in walk.files.iter().filter(|file| matcher.as_ref().is_none_or(|m| m.is_match(file.below(&base)))) {
            search.file(file, call)?;
        }
        if search.count as usize > search.matches.len() {
            search.notes.push(format!("{} lines match, the first {} are shown", search.count, search.matches.len()));
        }
        Ok(Value::map([
            ("matches", Value::list(search.matches)),
            ("files", Value::list(search.files)),
            ("count", super::count(search.count)),
            ("notes", Value::list(search.notes.into_iter().map(Value::from))),
        ]))
    }
}

/// The regular expression, bounded in memory; matching takes time linear in the text.
pub(super) fn pattern(text: &str, ignore_case: bool) -> Result<Regex, Failure> {
    RegexBuilder::new(text).case_insensitive(ignore_case).size_limit(PATTERN_LIMIT).build().map_err(|e| {
        let reason = e.to_string();
        let last = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        Failure::new(FailureKind::Tool, format!("`pattern` is no regular expression: {last}"))
    })
}

struct Search {
    pattern: Regex,
    context: usize,
    limit: usize,
    matches: Vec<Value>,
    files: Vec<Value>,
    count: u64,
    notes: Vec<String>,
}

/// A match that still waits for lines after it.
struct Open {
    line: u64,
    text: String,
    before: Vec<Value>,
    after: Vec<Value>,
}

impl Search {
    fn file(&mut self, file: &Found, call: &CallContext) -> Result<(), Failure> {
        let mut lines = match Lines::open(file, &call.stop) {
            Ok(lines) => lines,
            Err(failure) => {
                self.notes.push(failure.message.to_string());
                return Ok(());
            }
        };
        match lines.is_binary() {
            Ok(false) => {}
            Ok(true) => {
                self.notes.push(format!("{}: binary, left out", file.shown()));
                return Ok(());
            }
            Err(e) => return self.broken(file, 0, e),
        }
        let (mut count, mut last) = (0, 0);
        let mut before: VecDeque<Value> = VecDeque::new();
        let mut open: VecDeque<Open> = VecDeque::new();
        let ended = loop {
            let line = match lines.next() {
                Ok(Some(line)) => line,
                Ok(None) => break Ok(()),
                Err(e) => break self.broken(file, last, e),
            };
            last = line.number;
            let hit = self.pattern.is_match(line.bytes);
            let wanted = hit && self.matches.len() + open.len() < self.limit;
            if self.context > 0 || wanted {
                let text = shorten(&line.text(), WIDTH);
                for earlier in &mut open {
                    earlier.after.push(Value::from(text.as_str()));
                }
                if wanted {
                    let before = before.iter().cloned().collect();
                    open.push_back(Open { line: line.number, text: text.clone(), before, after: Vec::new() });
                }
                before.push_back(Value::from(text));
                if before.len() > self.context {
                    before.pop_front();
                }
            }
            while open.front().is_some_and(|first| first.after.len() >= self.context) {
                self.close(file, open.pop_front());
            }
            count += u64::from(hit);
        };
        while !open.is_empty() {
            self.close(file, open.pop_front());
        }
        if count > 0 {
            self.files.push(Value::map([("file", Value::from(file.shown())), ("count", super::count(count))]));
            self.count += count;
        }
        ended
    }

    fn close(&mut self, file: &Found, open: Option<Open>) {
        let Some(open) = open else { return };
        let mut entry =
            vec![("file", Value::from(file.shown())), ("line", super::count(open.line)), ("text", Value::from(open.text))];
        if self.context > 0 {
            entry.extend([("before", Value::list(open.before)), ("after", Value::list(open.after))]);
        }
        self.matches.push(Value::map(entry));
    }

    fn broken(&mut self, file: &Found, line: u64, error: LineError) -> Result<(), Failure> {
        match error {
            LineError::Stopped(failure) => Err(failure),
            LineError::Broken(e) => {
                self.notes.push(format!("{}; only its first {line} lines were searched", file.failure("read", &e).message));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::tool::{
        Blocking, Tool,
        suite::{Suite, call_in, json, suite},
    };

    fn tool() -> Arc<dyn Tool> {
        Arc::new(Blocking::new(Grep::default()))
    }

    #[test]
    fn it_keeps_the_rules_of_tools() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(
            folder.path().join("a.txt"),
            "x".repeat(900).as_str().to_owned().repeat(3) + "\nxyz".repeat(5000).as_str(),
        )
        .expect("a file");
        suite(&Suite {
            tool: tool(),
            workspace: folder.path(),
            good: json(r#"{"pattern": "x", "path": "a.txt", "limit": 2000}"#),
            bad: vec![
                (json(r#"{"pattern": "("}"#), "is no regular expression: unclosed group"),
                (json(r#"{"pattern": "x", "context": 21}"#), "`context` must be at most 20"),
                (json(r#"{"pattern": "x", "ignorecase": true}"#), "did you mean `ignore_case`?"),
            ],
            path: Some("path"),
        });
    }

    #[test]
    fn matches_have_their_place_and_their_surroundings() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("a"), "1\nhit 2\nHIT 3\n4\n5\nhit 6").expect("a file");
        std::fs::write(folder.path().join("b"), "hit\0").expect("a file");
        let result = call_in(tool(), folder.path(), &json(r#"{"pattern": "^hit", "context": 1}"#)).expect("it searches");
        let expected = r#"[{"after":["HIT 3"],"before":["1"],"file":"a","line":2,"text":"hit 2"},{"after":[],"before":["5"],"file":"a","line":6,"text":"hit 6"}]"#;
        assert_eq!(result.get("matches").map(ToString::to_string).as_deref(), Some(expected));
        assert_eq!(result.get("notes").map(ToString::to_string).as_deref(), Some(r#"["b: binary, left out"]"#));
        let result =
            call_in(tool(), folder.path(), &json(r#"{"pattern": "hit", "ignore_case": true, "limit": 1}"#)).expect("it searches");
        assert_eq!(result.get("count"), Some(&Value::from(3)));
        assert_eq!(result.get("matches").and_then(Value::as_list).map(<[Value]>::len), Some(1));
        assert_eq!(result.get("files").map(ToString::to_string).as_deref(), Some(r#"[{"count":3,"file":"a"}]"#));
    }
}
