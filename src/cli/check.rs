//! `synod check`: everything that is wrong with files, at once.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{CommandError, Exit, Global, Outcome, output};
use crate::{
    engine::Engine,
    team::{Diagnostic, is_suite},
};

/// Files that one call looks at.
const MAX_FILES: usize = 10_000;

/// Say what is wrong with team and profile files, and files of tests
#[derive(Debug, Args)]
pub(super) struct Check {
    /// Files, folders (searched for YAML and JSON files), or names of shipped teams
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

impl Check {
    pub(super) fn run(&self, global: &Global) -> Outcome {
        let engine = global.bare_engine()?;
        let mut names = Vec::new();
        for path in &self.paths {
            if Path::new(path).is_dir() { files_below(Path::new(path), &mut names)? } else { names.push(path.clone()) }
        }
        let mut found: Vec<Diagnostic> = Vec::new();
        for name in &names {
            let wrong = if is_suite(name) { check_suite(&engine, name) } else { engine.check(name) };
            for diagnostic in wrong {
                if !found.contains(&diagnostic) {
                    found.push(diagnostic);
                }
            }
        }
        let errors = found.iter().filter(|d| d.is_error()).count();
        if global.json {
            output::json(&found)?;
        } else {
            output::diagnostics(&found);
            if !global.quiet {
                let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
                let (files, warnings) = (count(names.len(), "file"), count(found.len() - errors, "warning"));
                eprintln!("{files} checked: {}, {warnings}", count(errors, "error"));
            }
        }
        Ok(if errors > 0 { Exit::Usage } else { Exit::Done })
    }
}

/// What is wrong with a file of tests, its team included.
fn check_suite(engine: &Engine, name: &str) -> Vec<Diagnostic> {
    engine.load_suite(name).map_or_else(|found| found, |suite| engine.trial(&suite).check())
}

/// The YAML and JSON files below a folder, sorted; hidden folders, schemas and samples are left out.
fn files_below(folder: &Path, names: &mut Vec<String>) -> Result<(), CommandError> {
    let hidden = |path: &Path| path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with('.'));
    let wanted = |path: &Path| {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let is_test = path.to_str().is_some_and(is_suite);
        matches!(extension, "yaml" | "yml" | "json") && (is_test || is_team_or_profile(path))
    };
    let mut entries: Vec<PathBuf> = Vec::new();
    for entry in folder.read_dir().map_err(|e| CommandError::Usage(format!("read {}: {e}", folder.display())))? {
        entries.push(entry.map_err(CommandError::Output)?.path());
    }
    entries.sort();
    for path in entries {
        if hidden(&path) {
            continue;
        }
        if path.is_dir() {
            files_below(&path, names)?;
        } else if wanted(&path) {
            if names.len() >= MAX_FILES {
                return Err(CommandError::Usage(format!("there are more than {MAX_FILES} files; name a smaller folder")));
            }
            names.push(path.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

/// Whether a file looks like a team or profile: in a folder, other YAML and JSON files are not ours to judge.
fn is_team_or_profile(path: &Path) -> bool {
    let Ok(text) = std::fs::read_to_string(path) else { return false };
    let keys = ["collaboration_pattern", "member_agents", "system_prompt", "allowed_tools", "specialization", "nodes:"];
    let schema = text.contains("\"$schema\"");
    !schema && keys.iter().any(|key| text.contains(key))
}
