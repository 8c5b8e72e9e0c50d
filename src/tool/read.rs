//! What does a file say? The tool `Read`: numbered lines of a text file of any size.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    BlockingTool, CallContext, Outcome,
    lines::{LineError, Lines, shorten},
    spec,
};
use crate::value::{EffectClass, Failure, FailureKind, ToolSpec, Value};

/// Lines of one call where the call does not say.
const LINES: u64 = 2_000;
/// Lines of one call at most.
const LINES_LIMIT: u64 = 100_000;
/// Characters of a line.
const WIDTH: usize = 2_000;
/// Bytes of text of one call.
const TEXT_LIMIT: usize = 128 * 1024;

/// The tool `Read`.
pub(super) struct Read(ToolSpec);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// The file, relative to the workspace or absolute. A gzipped file is unpacked.
    path: String,
    /// The first line to read, from 1. Default: 1.
    #[serde(default)]
    #[schemars(range(min = 1))]
    offset: Option<u64>,
    /// How many lines. Default: 2000.
    #[serde(default)]
    #[schemars(range(min = 1, max = LINES_LIMIT))]
    limit: Option<u64>,
}

impl Default for Read {
    fn default() -> Self {
        let description = "Reads a text file. Returns `text`, each line with its number and a tab in front; `more` says that the file \
                           goes on, `next_offset` where. Works on files of any size.";
        Self(spec::<Args>("Read", EffectClass::Read, description))
    }
}

impl BlockingTool for Read {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    fn run(&self, call: &CallContext, args: &Value) -> Outcome {
        let args: Args = super::parse(args)?;
        let found = call.roots.find(&args.path)?;
        let mut lines = Lines::open(&found, &call.stop)?;
        let broken = |e: LineError| match e {
            LineError::Stopped(failure) => failure,
            LineError::Broken(e) => found.failure("read", &e),
        };
        if lines.is_binary().map_err(broken)? {
            let message = format!("{} is binary, not text", args.path);
            return Err(Failure::new(FailureKind::Tool, message));
        }
        let first = args.offset.unwrap_or(1);
        let limit = args.limit.unwrap_or(LINES);
        let (mut text, mut count, mut more, mut seen) = (String::new(), 0, false, 0);
        while let Some(line) = lines.next().map_err(broken)? {
            seen = line.number;
            if line.number < first {
                continue;
            }
            if count == limit || text.len() > TEXT_LIMIT {
                more = true;
                break;
            }
            let shown = shorten(&line.text(), WIDTH);
            text.push_str(&format!("{}\t{shown}\n", line.number));
            count += 1;
        }
        if count == 0 && first > 1 {
            let message = format!("{} has {seen} lines; `offset` {first} is behind its end", args.path);
            return Err(Failure::new(FailureKind::Tool, message));
        }
        let mut result = vec![("path", Value::from(args.path)), ("text", Value::from(text))];
        result.extend([("lines", super::count(count)), ("more", Value::Bool(more))]);
        if more {
            result.push(("next_offset", super::count(first + count)));
        }
        Ok(Value::map(result))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::tool::{
        Blocking, Roots, Tool,
        suite::{Suite, call_in, call_on, json, suite},
    };

    fn tool() -> Arc<dyn Tool> {
        Arc::new(Blocking::new(Read::default()))
    }

    #[test]
    fn it_keeps_the_rules_of_tools() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("a.txt"), "one\n".repeat(200_000)).expect("a file");
        suite(&Suite {
            tool: tool(),
            workspace: folder.path(),
            good: json(r#"{"path": "a.txt", "limit": 100000}"#),
            bad: vec![
                (json(r#"{}"#), "`path` is missing"),
                (json(r#"{"pth": "a.txt", "path": "a.txt"}"#), "did you mean `path`?"),
                (json(r#"{"path": 3}"#), "`path` must be a string, not 3"),
                (json(r#"{"path": "a.txt", "offset": 0}"#), "`offset` must be at least 1"),
                (json(r#"{"path": "a.txt", "limit": "x"}"#), "`limit` must be an integer"),
                (json(r#"{"path": "a.tx"}"#), "did you mean a.txt?"),
                (json(r#"{"path": "."}"#), "is a folder"),
                (json(r#"{"path": "a.txt", "offset": 300000}"#), "has 200000 lines"),
            ],
            path: Some("path"),
        });
    }

    #[test]
    fn lines_are_numbered_and_a_page_says_where_the_next_begins() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("a"), "one\ntwo\nthree\nfour").expect("a file");
        let page = call_in(tool(), folder.path(), &json(r#"{"path": "a", "offset": 2, "limit": 2}"#)).expect("it reads");
        assert_eq!(page.to_string(), r#"{"lines":2,"more":true,"next_offset":4,"path":"a","text":"2\ttwo\n3\tthree\n"}"#);
        let rest = call_in(tool(), folder.path(), &json(r#"{"path": "a", "offset": 4}"#)).expect("it reads");
        assert_eq!(rest.to_string(), r#"{"lines":1,"more":false,"path":"a","text":"4\tfour\n"}"#);
    }

    #[test]
    fn a_binary_file_a_pipe_and_an_empty_file_are_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("b"), b"ELF\0\0").expect("a file");
        std::fs::write(folder.path().join("e"), b"").expect("a file");
        let made = std::process::Command::new("mkfifo").arg(folder.path().join("p")).status().expect("mkfifo runs");
        assert!(made.success());
        let fails =
            |path: &str| call_in(tool(), folder.path(), &Value::map([("path", Value::from(path))])).expect_err("it refuses");
        assert!(fails("b").message.contains("is binary"));
        assert!(fails("p").message.contains("a pipe, socket or device"));
        let empty = call_in(tool(), folder.path(), &json(r#"{"path": "e"}"#)).expect("it reads");
        assert_eq!(empty.get("lines"), Some(&Value::from(0)));
    }

    #[test]
    fn an_input_is_in_reach_by_its_absolute_path_and_a_file_input_alone() {
        let [workspace, input] = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
        std::fs::write(input.path().join("a.log"), "hello").expect("a file");
        std::fs::write(input.path().join("b.log"), "hello").expect("a file");
        let args = |name: &str| Value::map([("path", Value::from(input.path().join(name).display().to_string()))]);
        let reads = |roots: Roots, name: &str| call_on(tool(), roots, Default::default(), &args(name)).is_ok();
        let roots = || Roots::new(workspace.path()).expect("a root");
        assert!(!reads(roots(), "a.log"));
        assert!(reads(roots().with_input(input.path()).expect("an input"), "a.log"));
        let one = || roots().with_input(&input.path().join("a.log")).expect("an input");
        assert!(reads(one(), "a.log"));
        assert!(!reads(one(), "b.log"));
    }

    #[test]
    fn an_input_that_the_store_unpacked_is_read_and_nothing_around_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let library = folder.path().join(".synod/library/sample");
        std::fs::create_dir_all(&library).expect("a folder");
        for file in ["library/sample/a.log", "library/other.log", "catalog.redb"] {
            std::fs::write(folder.path().join(".synod").join(file), "x").expect("a file");
        }
        let reads = |input: &str, path: &str| {
            let roots = Roots::new(folder.path()).expect("a root").with_input(&folder.path().join(input)).expect("an input");
            let roots = roots.without(std::path::Path::new(".synod")).sparing(std::path::Path::new(".synod/library"));
            let args = Value::map([("path", Value::from(folder.path().join(".synod").join(path).display().to_string()))]);
            call_on(tool(), roots, Default::default(), &args).is_ok()
        };
        assert!(reads(".synod/library/sample", "library/sample/a.log"));
        assert!(!reads(".synod/library/sample", "library/other.log"));
        assert!(!reads(".synod/library/sample", "catalog.redb"));
        assert!(!reads(".synod", "catalog.redb"), "not even where somebody hands the store itself to a session");
        assert!(!reads("..", "library/sample/a.log"), "it is not the workspace's either");
    }

    #[test]
    fn what_belongs_to_the_store_is_out_of_reach_by_name_and_by_link() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join(".synod")).expect("a folder");
        std::fs::write(folder.path().join(".synod/j"), "x").expect("a file");
        std::os::unix::fs::symlink(".synod", folder.path().join("l")).expect("a link");
        for path in [".synod/j", "l/j", "./x/../.synod/j"] {
            let roots = Roots::new(folder.path()).expect("a root").without(std::path::Path::new(".synod"));
            let failure =
                call_on(tool(), roots, Default::default(), &Value::map([("path", Value::from(path))])).expect_err("it refuses");
            assert!(failure.message.contains("engine's own store"), "{failure}");
        }
    }
}
