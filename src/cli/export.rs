//! `synod export`: a session as one portable file.

use std::io::{BufWriter, Write};

use clap::Args;

use super::{CommandError, Global, Outcome};

/// Write the records of a session as JSON lines: a cassette for `replay:FILE` models
#[derive(Debug, Args)]
pub(super) struct Export {
    /// The session's id, or the beginning of it
    session: String,
}

impl Export {
    pub(super) fn run(&self, global: &Global) -> Outcome {
        let engine = global.engine()?;
        let session = global.session(&engine, &self.session)?;
        let mut out = BufWriter::new(std::io::stdout().lock());
        let (records, exit) = global.records(&engine, session)?;
        for record in records {
            serde_json::to_writer(&mut out, &record).map_err(|e| CommandError::Output(e.into()))?;
            writeln!(out).map_err(CommandError::Output)?;
        }
        out.flush().map_err(CommandError::Output)?;
        Ok(exit)
    }
}
