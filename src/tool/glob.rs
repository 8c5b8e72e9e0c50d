//! Which files have such a name? The tool `Glob`.

use globset::{GlobBuilder, GlobMatcher};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{BlockingTool, CallContext, Found, Outcome, spec};
use crate::value::{EffectClass, Failure, FailureKind, ToolSpec, Value, fits_glob};

/// Paths of one call where the call does not say.
const PATHS: usize = 1_000;
/// Paths of one call at most.
const PATHS_LIMIT: usize = 5_000;

/// The tool `Glob`.
pub(super) struct Glob(ToolSpec);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// What the path below the folder must look like: `*.log`, `**/*.csv`, `{a,b}/*`. Names with a leading dot only match a dot.
    pattern: String,
    /// The folder to look in. Default: the workspace.
    #[serde(default)]
    path: Option<String>,
    /// How many paths. Default: 1000.
    #[serde(default)]
    #[schemars(range(min = 1, max = PATHS_LIMIT))]
    limit: Option<usize>,
}

impl Default for Glob {
    fn default() -> Self {
        let description = "Lists the files below a folder whose path matches a glob pattern (`**` for any folders), sorted. \
                           Returns `files` (paths that the other tools take), `count` of all that match, and `notes` on what was left out.";
        Self(spec::<Args>("Glob", EffectClass::Read, description))
    }
}

impl BlockingTool for Glob {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    fn run(&self, call: &CallContext, args: &Value) -> Outcome {
        let args: Args = super::parse(args)?;
        let matcher = matcher(&args.pattern)?;
        let base = call.roots.find(args.path.as_deref().unwrap_or("."))?;
        let hidden = args.pattern.starts_with('.') || args.pattern.contains("/.");
        let walk = base.walk(hidden, &call.stop)?;
        let matching: Vec<&Found> = walk.files.iter().filter(|file| matcher.is_match(file.below(&base))).collect();
        let limit = args.limit.unwrap_or(PATHS);
        let mut notes = walk.notes;
        if matching.len() > limit {
            notes.push(format!("{} files match, the first {limit} are listed", matching.len()));
        }
        let files = matching.iter().take(limit).map(|file| Value::from(file.shown()));
        Ok(Value::map([
            ("files", Value::list(files)),
            ("count", super::count(matching.len() as u64)),
            ("notes", Value::list(notes.into_iter().map(Value::from))),
        ]))
    }
}

/// A glob pattern whose `*` stays within a folder. One without a `/` also matches further down, as people expect of `*.log`.
pub(super) fn matcher(pattern: &str) -> Result<GlobMatcher, Failure> {
    if let Err(why) = fits_glob(pattern) {
        return Err(Failure::new(FailureKind::Tool, format!("the pattern is no glob that is taken: {why}")));
    }
    if pattern.starts_with('/') || pattern.split('/').any(|part| part == "..") {
        let message =
            format!("the pattern `{pattern}` leads out of the folder; name the folder in `path` and the rest in the pattern");
        return Err(Failure::new(FailureKind::Tool, message));
    }
    let anywhere = if pattern.contains('/') { pattern.to_owned() } else { format!("**/{pattern}") };
    let glob = GlobBuilder::new(&anywhere).literal_separator(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|e| {
        let message = format!("the pattern `{pattern}` is no glob: {}", e.kind().to_string().to_lowercase());
        Failure::new(FailureKind::Tool, message)
    })
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
        Arc::new(Blocking::new(Glob::default()))
    }

    fn files() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["b.log", "a.log", "x/c.log", "x/y/d.csv", ".git/e.log"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, "").expect("a file");
        }
        folder
    }

    #[test]
    fn it_keeps_the_rules_of_tools() {
        let folder = files();
        suite(&Suite {
            tool: tool(),
            workspace: folder.path(),
            good: json(r#"{"pattern": "*", "path": "x"}"#),
            bad: vec![
                (json(r#"{"patern": "*"}"#), "did you mean `pattern`?"),
                (json(r#"{"pattern": "["}"#), "is no glob"),
                (json(r#"{"pattern": "../*"}"#), "leads out of the folder"),
                (json(r#"{"pattern": "*", "limit": 100000}"#), "`limit` must be at most 5000"),
                (json(r#"{"pattern": "*", "path": "z"}"#), "there is nothing of that name"),
            ],
            path: Some("path"),
        });
    }

    #[test]
    fn a_pattern_too_long_or_too_deep_is_refused_and_overflows_nothing() {
        let deep = format!("{}a{}", "{".repeat(500), "}".repeat(500));
        let refused = |pattern: &str| matcher(pattern).expect_err("it is refused").message.to_string();
        assert!(refused(&deep).contains("deep"), "{}", refused(&deep));
        assert!(refused(&"{".repeat(1_000_000)).contains("bytes"));
        assert!(refused(&"*".repeat(2_000)).contains("bytes"));
        assert!(matcher("{a,{b,{c,d}}}/**/*.{log,csv}").is_ok());
    }

    #[test]
    fn paths_are_sorted_and_serve_as_arguments() {
        let folder = files();
        for (args, expected) in [
            (r#"{"pattern": "*.log"}"#, r#"["a.log","b.log","x/c.log"]"#),
            (r#"{"pattern": "./*.log"}"#, "[]"),
            (r#"{"pattern": "x/*"}"#, r#"["x/c.log"]"#),
            (r#"{"pattern": "**/*.csv", "path": "./x"}"#, r#"["./x/y/d.csv"]"#),
            (r#"{"pattern": ".git/*"}"#, r#"[".git/e.log"]"#),
            (r#"{"pattern": "*.log", "limit": 1}"#, r#"["a.log"]"#),
        ] {
            let result = call_in(tool(), folder.path(), &json(args)).expect("it lists");
            assert_eq!(result.get("files").map(ToString::to_string).as_deref(), Some(expected), "{args}");
        }
    }
}
