//! How is a file written? The tool `Write`: whole files at once or not at all, or text added to an end.

use std::io::Write as _;

use cap_std::fs::{Dir, OpenOptions};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{BlockingTool, CallContext, Found, Outcome, spec};
use crate::value::{EffectClass, Failure, FailureKind, ToolSpec, Value};

/// The longest content of one call, in bytes.
const CONTENT_LIMIT: usize = 4 * 1024 * 1024;

/// The tool `Write`.
pub(super) struct Write(ToolSpec);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// The file, inside the workspace. Folders on the way are made.
    path: String,
    /// What the file shall say.
    content: String,
    /// Add to the end of the file instead of replacing it. Default: false.
    #[serde(default)]
    append: bool,
}

impl Default for Write {
    fn default() -> Self {
        let description = "Writes a text file in the workspace: a new one, or in place of what was there, all of it or nothing. \
                           With `append` it adds to the end instead. Returns `bytes` and whether the file was `created`.";
        Self(spec::<Args>("Write", EffectClass::Idempotent, description))
    }
}

impl BlockingTool for Write {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    /// Replacing a file twice is replacing it once; appending twice is not.
    fn effect(&self, args: &Value) -> EffectClass {
        match args.get("append") {
            None | Some(Value::Bool(false)) => EffectClass::Idempotent,
            Some(_) => EffectClass::Irreversible,
        }
    }

    fn run(&self, call: &CallContext, args: &Value) -> Outcome {
        let args: Args = super::parse(args)?;
        let found = call.roots.find(&args.path)?;
        found.writable()?;
        if args.content.len() > CONTENT_LIMIT {
            let message = format!("the content has {} bytes; the limit is {CONTENT_LIMIT}", args.content.len());
            return Err(Failure::new(FailureKind::Limit, message));
        }
        let created = prepare(&found)?;
        call.stop.check()?;
        if args.append {
            append(&found, &args.content)?
        } else {
            replace(&found, &args.content, &call.key)?
        }
        let bytes = super::count(args.content.len() as u64);
        Ok(Value::map([("path", Value::from(args.path)), ("bytes", bytes), ("created", Value::Bool(created))]))
    }
}

/// Makes the folders on the way and says whether the file is new; refuses what is there and no regular file.
fn prepare(found: &Found) -> Result<bool, Failure> {
    let (dir, path) = found.at();
    if found.name().is_empty() {
        return Err(Failure::new(FailureKind::Tool, format!("{} is the folder itself; name a file in it", found.shown())));
    }
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        match dir.metadata(parent) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                dir.create_dir_all(parent).map_err(|e| found.failure("make the folder of", &e))?;
            }
            Err(e) => return Err(found.failure("write", &e)),
            Ok(_) => {}
        }
        found.refuse_links_to_protected_parent(parent)?;
    }
    match dir.symlink_metadata(path) {
        Ok(kind) if kind.is_symlink() => {
            let message = format!("{} is a link; name the file that it points to", found.shown());
            Err(Failure::new(FailureKind::Denied, message))
        }
        Ok(_) => found.open().map(|_| false),
        Err(_) => Ok(true),
    }
}

fn append(found: &Found, content: &str) -> Result<(), Failure> {
    let (dir, path) = found.at();
    let fail = |e| found.failure("append to", &e);
    let mut file = dir.open_with(path, OpenOptions::new().append(true).create(true)).map_err(fail)?;
    file.write_all(content.as_bytes()).map_err(fail)?;
    file.sync_all().map_err(fail)
}

/// Writes beside the file and renames: a reader sees the old file or the new one.
fn replace(found: &Found, content: &str, key: &str) -> Result<(), Failure> {
    let (dir, path) = found.at();
    // Named after the call, so that a repetition after a crash takes the place of what the first left behind.
    let mark = blake3::hash(format!("{key}\0{}", found.shown()).as_bytes()).to_hex();
    let beside = path.with_file_name(format!(".{}.{}.tmp", found.name(), &mark[..12]));
    let done = write_beside(dir, &beside, path, content);
    if done.is_err() {
        // The failure of the write is what counts; a file that cannot be removed either changes nothing.
        let _ = dir.remove_file(&beside);
    }
    done.map_err(|e| found.failure("write", &e))
}

fn write_beside(dir: &Dir, beside: &std::path::Path, path: &std::path::Path, content: &str) -> std::io::Result<()> {
    let _ = dir.remove_file(beside);
    let mut file = dir.open_with(beside, OpenOptions::new().write(true).create_new(true))?;
    if let Ok(old) = dir.metadata(path) {
        file.set_permissions(old.permissions())?;
    }
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    dir.rename(beside, dir, path)
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use super::*;
    use crate::tool::{
        Blocking, Roots, Tool,
        suite::{Suite, call_in, call_on, json, suite},
    };

    fn tool() -> Arc<dyn Tool> {
        Arc::new(Blocking::new(Write::default()))
    }

    fn write(folder: &Path, args: &str) -> Outcome {
        call_in(tool(), folder, &json(args))
    }

    #[test]
    fn it_keeps_the_rules_of_tools() {
        let folder = tempfile::tempdir().expect("a folder");
        suite(&Suite {
            tool: tool(),
            workspace: folder.path(),
            good: json(r#"{"path": "a.txt", "content": "x"}"#),
            bad: vec![
                (json(r#"{"path": "a.txt"}"#), "`content` is missing"),
                (json(r#"{"path": "a.txt", "content": "x", "appendd": true}"#), "did you mean `append`?"),
                (json(r#"{"path": "", "content": "x"}"#), "is the folder itself"),
            ],
            path: Some("path"),
        });
    }

    #[test]
    fn a_file_is_made_with_its_folders_replaced_and_added_to() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a/b/c.txt");
        let result = write(folder.path(), r#"{"path": "a/b/c.txt", "content": "one"}"#).expect("it writes");
        assert_eq!(result.get("created"), Some(&Value::Bool(true)));
        let result = write(folder.path(), r#"{"path": "a/b/c.txt", "content": "two"}"#).expect("it writes");
        assert_eq!(result.get("created"), Some(&Value::Bool(false)));
        write(folder.path(), r#"{"path": "a/b/c.txt", "content": "+", "append": true}"#).expect("it writes");
        assert_eq!(std::fs::read_to_string(&file).expect("it is there"), "two+");
        assert_eq!(std::fs::read_dir(folder.path().join("a/b")).expect("the folder").count(), 1, "nothing is left beside it");
    }

    #[test]
    fn the_mode_of_a_replaced_file_stays() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("run.sh");
        std::fs::write(&file, "old").expect("a file");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o750)).expect("a mode");
        write(folder.path(), r#"{"path": "run.sh", "content": "new"}"#).expect("it writes");
        assert_eq!(file.metadata().expect("it is there").permissions().mode() & 0o777, 0o750);
    }

    #[test]
    fn inputs_links_and_folders_are_not_written() {
        let [workspace, input] = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
        std::fs::write(workspace.path().join("f"), "x").expect("a file");
        std::os::unix::fs::symlink("f", workspace.path().join("l")).expect("a link");
        std::fs::create_dir(workspace.path().join("d")).expect("a folder");
        for path in ["l", "d", "f/g"] {
            write(workspace.path(), &format!(r#"{{"path": "{path}", "content": "x"}}"#)).expect_err("it refuses");
        }
        let args = json(&format!(r#"{{"path": "{}/x", "content": "x"}}"#, input.path().display()));
        let roots = Roots::new(workspace.path()).expect("a root").with_input(input.path()).expect("an input");
        let failure = call_on(tool(), roots, Default::default(), &args).expect_err("it refuses");
        assert!(failure.message.contains("to be read only"), "{failure}");
        assert_eq!(std::fs::read_dir(input.path()).expect("the input").count(), 0);
    }

    #[test]
    fn only_appending_is_not_repeatable() {
        assert_eq!(tool().effect(&json(r#"{"append": true}"#)), EffectClass::Irreversible);
        assert_eq!(tool().effect(&json(r#"{"append": false}"#)), EffectClass::Idempotent);
    }
}
