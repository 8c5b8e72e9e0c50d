//! `synod init`: a shipped team as files of one's own.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{CommandError, Exit, Global, Outcome, output, run::load};
use crate::{engine::library_files, team::is_suite};

/// Copy a shipped team, with all that it consists of, into a folder to change it
#[derive(Debug, Args)]
pub(super) struct Init {
    /// The folder; it is made where it does not exist
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Which shipped team
    #[arg(long, value_name = "NAME", default_value = "incident-response")]
    team: String,
    /// Overwrite files that are there
    #[arg(long)]
    force: bool,
}

impl Init {
    pub(super) fn run(&self, global: &Global) -> Outcome {
        let engine = global.bare_engine()?;
        let known: Vec<String> =
            library_files().into_iter().map(|f| f.name()).filter(|n| n.starts_with("teams/") && !is_suite(n)).collect();
        let file = format!("teams/{}.yaml", self.team.trim_start_matches("teams/").trim_end_matches(".yaml"));
        if !known.contains(&file) {
            let names: Vec<&str> = known.iter().map(|n| n.trim_start_matches("teams/").trim_end_matches(".yaml")).collect();
            return Err(CommandError::Usage(format!("no shipped team is called {}; there are {}", self.team, names.join(", "))));
        }
        let prepared = load(&engine, &format!("lib:{file}"), &[], true)?;
        let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
        for (name, text) in &prepared.sources {
            if let Some(path) = name.strip_prefix("lib:") {
                files.push((self.target(path, &file), rewritten(path, &file, text).into_bytes()));
            }
        }
        let suite = format!("teams/{}.test.yaml", file.trim_start_matches("teams/").trim_end_matches(".yaml"));
        let tests = library_files().into_iter().find(|f| f.name() == suite);
        if let Some(tests) = &tests {
            let text = String::from_utf8_lossy(tests.bytes);
            let name = file.trim_start_matches("teams/");
            // The team beside it, not the shipped one.
            let text = text.replacen(&format!("team: {}\n", name.trim_end_matches(".yaml")), &format!("team: {name}\n"), 1);
            files.push((self.target(&suite, &suite), rewritten(&suite, &suite, &text).into_bytes()));
        }
        for entry in library_files().into_iter().filter(|f| f.name().starts_with("schema/")) {
            files.push((self.folder.join(entry.name()), entry.bytes.to_vec()));
        }
        self.refuse_existing(&files)?;
        for (path, bytes) in &files {
            write(path, bytes)?;
        }
        let team = self.target(&file, &file);
        let mut page: String = files.iter().map(|(path, _)| format!("{}\n", path.display())).collect();
        page.push_str(&format!("\nCheck it: synod check {0}\nRun it:   synod run {0}\n", team.display()));
        if tests.is_some() {
            page.push_str(&format!("Test it:  synod test {}\n", self.folder.display()));
        }
        if global.json {
            output::json(&files.iter().map(|(path, _)| path.display().to_string()).collect::<Vec<_>>())?;
        } else {
            output::text(&page)?;
        }
        Ok(Exit::Done)
    }

    /// Where a library file goes: the team's own file to the top, so that what it refers to is found beside it.
    fn target(&self, path: &str, team: &str) -> PathBuf {
        if path == team { self.folder.join(path.trim_start_matches("teams/")) } else { self.folder.join(path) }
    }

    fn refuse_existing(&self, files: &[(PathBuf, Vec<u8>)]) -> Result<(), CommandError> {
        let there: Vec<String> =
            files.iter().filter(|(path, _)| path.exists()).map(|(path, _)| path.display().to_string()).collect();
        if there.is_empty() || self.force {
            return Ok(());
        }
        Err(CommandError::Usage(format!("these files exist; --force overwrites them: {}", there.join(", "))))
    }
}

/// The team's file moves up one folder, and its schema line with it.
fn rewritten(path: &str, team: &str, text: &str) -> String {
    if path == team { text.replacen("$schema=../schema/", "$schema=schema/", 1) } else { text.to_owned() }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    let failed = |e: std::io::Error| CommandError::Usage(format!("write {}: {e}", path.display()));
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    std::fs::write(path, bytes).map_err(failed)
}
