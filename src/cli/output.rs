//! How is something printed? JSON or text on stdout, and a closed pipe is no error.

use std::io::{IsTerminal, Write};

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
