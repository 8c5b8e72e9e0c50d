//! `synod diff`: where two sessions part.

use std::path::PathBuf;

use clap::Args;

use super::{CommandError, Exit, Global, Outcome, export, output};
use crate::{
    engine::Engine,
    event::{Cassette, Record},
    report::Diff,
};

/// Show where two sessions part: what differed first, all that did, and what each node took
///
/// Inputs, files, profiles and models are compared, then requests, replies, results of tools, verdicts of rules, findings, answers,
/// decisions and outputs, each with its counterpart whenever it came. Of a fork, what it shares with the other is passed over.
#[derive(Debug, Args)]
pub(super) struct DiffCommand {
    /// A session's id or the beginning of it, or a file that `export` wrote
    #[arg(value_name = "SESSION|FILE")]
    a: String,
    /// The other
    #[arg(value_name = "SESSION|FILE")]
    b: String,
    /// Exit with 1 when anything differs
    #[arg(long)]
    exit_code: bool,
}

impl DiffCommand {
    pub(super) fn run(&self, global: &Global) -> Outcome {
        let engine = global.engine()?;
        let diff = Diff::of(&records(global, &engine, &self.a)?, &records(global, &engine, &self.b)?)?;
        if global.json {
            output::json(&diff)?;
        } else {
            output::text(&diff.text())?;
        }
        Ok(if self.exit_code && diff.first.is_some() { Exit::Failed } else { Exit::Done })
    }
}

fn records(global: &Global, engine: &Engine, named: &str) -> Result<Vec<Record>, CommandError> {
    let path = PathBuf::from(named);
    if path.is_file() {
        let Cassette { records, changed } = export::read(&path)?;
        export::fits(&path, &records)?;
        if !changed.is_empty() && !global.quiet {
            eprintln!("{named}: {}; this is a comparison with what it says now", changed.join("; "));
        }
        return Ok(records);
    }
    Ok(engine.store().read_all(global.session(engine, named)?)?)
}
