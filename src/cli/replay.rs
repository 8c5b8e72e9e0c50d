//! `synod replay`: a session once more, from its record alone.

use std::path::PathBuf;

use clap::Args;

use super::{CommandError, Exit, Global, Outcome, export, output};
use crate::event::Cassette;

/// Run a session again from its record: without network, keys or tools, to the same report
///
/// Its pinned plan is run again with the replies, results, answers and times of the record. With --strict the command fails (exit
/// code 1) when anything comes out differently, and names the first difference: node, turn, path and both values.
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// The session's id or the beginning of it, or a file that `export` wrote
    #[arg(value_name = "SESSION|FILE")]
    session: String,
    /// Fail when a request or a record differs
    #[arg(long)]
    strict: bool,
}

impl Replay {
    pub(super) fn run(&self, global: &Global) -> Outcome {
        let path = PathBuf::from(&self.session);
        let (engine, records) = if path.is_file() {
            let Cassette { records, changed } = export::read(&path)?;
            export::fits(&path, &records)?;
            if !changed.is_empty() && !global.quiet {
                eprintln!("{}: {}; this is a replay of what it says now", self.session, changed.join("; "));
            }
            (global.bare_engine()?, records)
        } else if !self.session.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
            return Err(CommandError::Usage(format!(
                "there is no file {}, and no session's id begins like that",
                path.display()
            )));
        } else {
            let engine = global.engine()?;
            let session = global.session(&engine, &self.session)?;
            let records = engine.store().read_all(session)?;
            (engine, records)
        };
        let replayed = engine.replay(&records)?;
        if global.json {
            output::json(&replayed.report)?;
        } else {
            output::text(&replayed.report.markdown())?;
        }
        match &replayed.difference {
            Some(difference) if self.strict => {
                eprintln!("synod: the replay differs: {difference}");
                Ok(Exit::Failed)
            }
            Some(difference) => {
                if !global.quiet {
                    eprintln!("the replay differs: {difference}");
                }
                Ok(Exit::of(replayed.status))
            }
            None => Ok(Exit::of(replayed.status)),
        }
    }
}
