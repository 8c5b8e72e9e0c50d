//! How is something printed? JSON or text on stdout, and a closed pipe is no error.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, IsTerminal, Write},
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::CommandError;
use crate::team::{Diagnostic, printable, render};

/// Prints one JSON document.
pub(super) fn json(thing: &impl Serialize) -> Result<(), CommandError> {
    let mut out = std::io::stdout().lock();
    let pretty = out.is_terminal();
    let written = if pretty { serde_json::to_writer_pretty(&mut out, thing) } else { serde_json::to_writer(&mut out, thing) };
    written.map_err(|e| CommandError::Output(e.into()))?;
    writeln!(out).map_err(CommandError::Output)
}

/// Prints text for people. What is quoted in it may come from anybody, and cannot steer the terminal.
pub(super) fn text(text: &str) -> Result<(), CommandError> {
    raw(&printable(text))
}

/// Prints text as it stands: for programs.
pub(super) fn raw(text: &str) -> Result<(), CommandError> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(CommandError::Output)
}

/// A file that is there whole or not at all: it is written beside its place and moved there by [`WholeFile::finish`]. A link stays a link, and a
/// file keeps its permissions. What is no file, such as a pipe, is written in its place.
#[derive(Debug)]
pub(super) struct WholeFile {
    place: PathBuf,
    /// Where it is written, until it is moved.
    beside: Option<PathBuf>,
    file: BufWriter<File>,
}

impl WholeFile {
    /// Begins to write what will be at `path`.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let there = fs::metadata(path).ok();
        let is_file = there.as_ref().map_or(!path.is_symlink(), fs::Metadata::is_file);
        if !is_file {
            return Ok(Self { place: path.to_owned(), beside: None, file: BufWriter::new(File::create(path)?) });
        }
        let place = if there.is_some() {
            // What may not be written may not be replaced.
            OpenOptions::new().write(true).open(path)?;
            path.canonicalize()?
        } else {
            path.to_owned()
        };
        let mut name = place.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let beside = place.with_file_name(name);
        let file = BufWriter::new(File::create(&beside)?);
        let whole = Self { place, beside: Some(beside), file };
        if let Some(there) = there {
            whole.file.get_ref().set_permissions(there.permissions())?;
        }
        Ok(whole)
    }

    /// Puts it in its place.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.file.flush()?;
        if let Some(beside) = &self.beside {
            self.file.get_ref().sync_all()?;
            fs::rename(beside, &self.place)?;
            self.beside = None;
        }
        Ok(())
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for WholeFile {
    /// What was not finished is of no use to anybody.
    fn drop(&mut self) {
        if let Some(beside) = &self.beside {
            let _ = fs::remove_file(beside);
        }
    }
}

/// Whether stderr takes colours.
pub(super) fn colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// Shows diagnostics on stderr, with their excerpts.
pub(super) fn diagnostics(found: &[Diagnostic]) {
    if !found.is_empty() {
        eprint!("{}", render(found, colours()));
    }
}

/// Characters of a cell of a table at most; `--json` has all.
const WIDTH: usize = 120;

/// A cell of a table: on one line, and cut when it is long.
fn cell(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= WIDTH { line } else { line.chars().take(WIDTH - 1).chain(['…']).collect() }
}

/// Rows as columns that line up; the first row is the head.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|text| cell(text)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|c| rows.iter().filter_map(|row| row.get(c)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let mut page = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let pad = width.saturating_sub(cell.chars().count());
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', pad + 2));
        }
        page.push_str(line.trim_end());
        page.push('\n');
    }
    page
}
