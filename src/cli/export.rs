//! `synod export`: a session as one portable file. `synod import`: back into a store.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
};

use clap::Args;

use super::{CommandError, Exit, Global, Outcome, output, output::WholeFile};
use crate::{
    engine::EngineError,
    event::{Cassette, CassetteReader, CassetteWriter, Event, Record},
    state::FoldError,
    store::{READ_PAGE, ReadError, Store},
    value::{Seq, SessionId},
};

/// The longest line of a cassette that is imported, in bytes: a record as JSON.
const MAX_LINE: u64 = 1 << 30;

/// The largest cassette that is replayed, in bytes.
const MAX_BYTES: u64 = 1 << 30;

/// About how much of a session is in memory at once when it is exported, in bytes.
const PAGE: usize = 4 << 20;

/// Records that are read first, when nobody knows yet how large they are.
const FIRST: usize = 64;

/// Write a session as one file, which `import`, `replay` and `replay:FILE` and `replay:FILE#ROLE` models read
///
/// The file is called a cassette: JSON lines, a header and then each record with its hash, all payloads in it. Secrets were taken out
/// before they were recorded. `import` puts it into another store, `replay` runs it again, and with the model `replay:FILE` an agent
/// says what the agent of its role said in it. Of a damaged session what stands before the damage is written, and its header says so: it
/// can be replayed, but not imported. The exit code is 1 then.
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
        let store = engine.store().as_ref();
        // The header has the last hash, so that all is read twice, a page at a time.
        let (mut writer, mut started) = (CassetteWriter::default(), None);
        let (records, damage) = each_page(store, session, u64::MAX, &mut |page| {
            if let (None, Some(Event::Started(first))) = (&started, page.first().map(|record| &record.event)) {
                started = Some(first.clone());
            }
            page.iter().try_fold(0, |bytes, record| Ok(bytes + line(&mut writer, record)?.len()))
        })?;
        let cut = damage.as_ref().map(|damage| match damage {
            ReadError::Damaged { seq, why, .. } => format!("record {seq} is damaged: {why}"),
            ReadError::Unknown(_) | ReadError::Store { .. } => damage.to_string(),
        });
        let header = started.map(|started| writer.header(&started, cut.clone())).transpose();
        let header = header.map_err(|e| CommandError::Output(e.into()))?.unwrap_or_default();
        let mut file = self.out.as_ref().map(|path| WholeFile::create(path)).transpose().map_err(|e| self.unwritten(&e))?;
        let mut put = |text: &str| match &mut file {
            None => output::raw(text),
            Some(file) => file.write_all(text.as_bytes()).map_err(|e| self.unwritten(&e)),
        };
        put(&header)?;
        let mut writer = CassetteWriter::default();
        let (again, other) = each_page(store, session, records, &mut |page| {
            page.iter().try_fold(0, |bytes, record| {
                let line = line(&mut writer, record)?;
                put(&line)?;
                Ok(bytes + line.len())
            })
        })?;
        if again < records {
            let why = other.map_or_else(|| "it has fewer records by now".to_owned(), |damage| damage.to_string());
            return Err(CommandError::Output(io::Error::other(why)));
        }
        if let (Some(file), Some(path)) = (file, &self.out) {
            file.finish().map_err(|e| self.unwritten(&e))?;
            if global.json {
                let said = serde_json::json!({ "session": session, "file": path, "records": records, "cut": cut });
                output::json(&said)?;
            } else if !global.quiet {
                eprintln!("{records} records of {session} are in {}", path.display());
            }
        }
        Ok(damage.map_or(Exit::Done, |damage| {
            eprintln!("synod: {damage}");
            Exit::Failed
        }))
    }

    fn unwritten(&self, error: &io::Error) -> CommandError {
        let path = self.out.as_deref().unwrap_or(Path::new("the output"));
        CommandError::Usage(format!("write {}: {error}", path.display()))
    }
}

fn line(writer: &mut CassetteWriter, record: &Record) -> Result<String, CommandError> {
    writer.line(record).map_err(|e| CommandError::Output(e.into()))
}

/// Hands out the first `most` records of a session page by page, as far as they can be read; returns how many there were, and what is damaged.
/// `take` says how many bytes a page had, which tells how many records the next one may have.
fn each_page(
    store: &dyn Store,
    session: SessionId,
    most: u64,
    take: &mut dyn FnMut(&[Record]) -> Result<usize, CommandError>,
) -> Result<(u64, Option<ReadError>), CommandError> {
    let (mut from, mut most, mut damaged) = (0, most, None);
    let mut room = FIRST;
    loop {
        let want = usize::try_from(most - from).unwrap_or(READ_PAGE).min(room);
        match store.read(session, Seq(from), want) {
            Ok(page) => {
                let bytes = take(&page)?;
                from += page.len() as u64;
                if page.len() < want || from == most {
                    return Ok((from, damaged));
                }
                room = (PAGE / (bytes / page.len()).max(1)).clamp(1, (2 * room).min(READ_PAGE));
            }
            // What stands before it is read once more.
            Err(damage @ ReadError::Damaged { seq, .. }) if seq.0 > from => {
                most = seq.0;
                damaged = Some(damage);
            }
            Err(damage @ ReadError::Damaged { .. }) if from > 0 => return Ok((from, Some(damage))),
            Err(error) => return Err(error.into()),
        }
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
        let wrong = |why: String| CommandError::Usage(format!("import {}: {why}", self.file.display()));
        let mut records = 0;
        let mut each = |take: &mut dyn FnMut(Record) -> Result<(), CommandError>| {
            let mut lines = BufReader::new(File::open(&self.file).map_err(|e| wrong(e.to_string()))?);
            let (mut reader, mut line) = (CassetteReader::default(), String::new());
            records = 0;
            loop {
                line.clear();
                let read = lines.by_ref().take(MAX_LINE).read_line(&mut line).map_err(|e| wrong(e.to_string()))?;
                if read == 0 {
                    break;
                }
                if let Some(record) = reader.line(&line).map_err(|e| wrong(e.to_string()))? {
                    records += 1;
                    take(record).map_err(|error| match error {
                        CommandError::Engine(EngineError::Fold(why)) => wrong(why.to_string()),
                        error => error,
                    })?;
                }
            }
            let changed = reader.finish().map_err(|e| wrong(e.to_string()))?;
            if changed.is_empty() { Ok(()) } else { Err(wrong(format!("{}; export the session again", changed.join("; ")))) }
        };
        // Nothing is made of a file that was changed.
        each(&mut |_| Ok(()))?;
        let session = global.engine()?.import_from(&mut each)?;
        if global.json {
            output::json(&serde_json::json!({ "session": session, "records": records }))?;
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
