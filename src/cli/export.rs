//! `synod export`: a session as one portable file. `synod import`: back into a store.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{CommandError, Exit, Global, Outcome, output};
use crate::{
    event::{Cassette, Record},
    state::FoldError,
};

/// The largest cassette that is read, in bytes.
const MAX_BYTES: u64 = 1 << 30;

/// Write a session as one file, which `import`, `replay` and `replay:FILE` and `replay:FILE#ROLE` models read
///
/// The file is called a cassette: JSON lines, a header and then each record with its hash, all payloads in it. Secrets were taken out
/// before they were recorded. `import` puts it into another store, `replay` runs it again, and with the model `replay:FILE` an agent
/// says what the agent of its role said in it.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// The session's id, or the beginning of it
    session: String,
    /// Write it there; to stdout by default
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Export {
    pub(super) fn run(&self, global: &Global) -> Outcome {
        let engine = global.engine()?;
        let session = global.session(&engine, &self.session)?;
        let (records, exit) = global.records(&engine, session)?;
        let text = Cassette::write(&records).map_err(|e| CommandError::Output(e.into()))?;
        match &self.out {
            None => output::text(&text)?,
            Some(path) => {
                let written = std::fs::File::create(path).and_then(|mut file| file.write_all(text.as_bytes()).map(|()| file));
                let written = written.and_then(|file| file.sync_all());
                written.map_err(|e| CommandError::Usage(format!("write {}: {e}", path.display())))?;
                if global.json {
                    output::json(&serde_json::json!({ "session": session, "file": path, "records": records.len() }))?;
                } else if !global.quiet {
                    eprintln!("{} records of {session} are in {}", records.len(), path.display());
                }
            }
        }
        Ok(exit)
    }
}

/// Put an exported session into the store, under its own id
///
/// From then on it is a session as any other: it can be shown, replayed and, if it is not over, resumed. A file that was changed since
/// its export is refused; to import one again changes nothing.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// The file that `export` wrote
    file: PathBuf,
}

impl Import {
    pub(super) fn run(&self, global: &Global) -> Outcome {
        let Cassette { records, changed } = read(&self.file)?;
        if !changed.is_empty() {
            let why = format!("import {}: {}; export the session again", self.file.display(), changed.join("; "));
            return Err(CommandError::Usage(why));
        }
        fits(&self.file, &records)?;
        let session = global.engine()?.import(&records)?;
        if global.json {
            output::json(&serde_json::json!({ "session": session, "records": records.len() }))?;
        } else {
            output::text(&format!("{session}\n"))?;
        }
        Ok(Exit::Done)
    }
}

/// Reads a cassette.
pub(super) fn read(path: &Path) -> Result<Cassette, CommandError> {
    let wrong = |why: String| CommandError::Usage(format!("read the cassette {}: {why}", path.display()));
    let size = path.metadata().map_err(|e| wrong(e.to_string()))?.len();
    if size > MAX_BYTES {
        return Err(wrong(format!("it has {size} bytes, more than the {MAX_BYTES} that are read")));
    }
    let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
    Cassette::read(&text).map_err(|e| wrong(e.to_string()))
}

/// Whether the records of a file are a session.
pub(super) fn fits(path: &Path, records: &[Record]) -> Result<(), CommandError> {
    let folded = crate::state::State::fold(records);
    folded.map(drop).map_err(|e: FoldError| CommandError::Usage(format!("read the cassette {}: {e}", path.display())))
}
