//! Which text is at which line? [`Source`] is a script file, [`Lines`] finds the file again after several became one.
//!
//! The scripts of a team, or an agent's script and the files that it uses, are compiled as one text, so that each
//! can call the others' functions. Positions in that text map back to the file that the author wrote.

use std::sync::Arc;

use rhai::Position;

use crate::value::Place;

/// A script file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its name, as the author would write it.
    pub file: Arc<str>,
    /// Its text.
    pub text: Arc<str>,
}

impl Source {
    /// The script of that name and text.
    pub fn new(file: impl AsRef<str>, text: impl AsRef<str>) -> Self {
        Self { file: Arc::from(file.as_ref()), text: Arc::from(text.as_ref()) }
    }
}

/// From a position in several sources joined to the place in one of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    /// The first line of each source in the whole, ascending, with its file.
    starts: Vec<(u32, Arc<str>)>,
}

impl Lines {
    /// The sources as one text. Each starts on a line of its own, and a `;` ends a last statement that has none.
    pub fn join(sources: &[Source]) -> (String, Self) {
        let mut text = String::new();
        let mut starts = Vec::new();
        let mut line = 1;
        for source in sources {
            starts.push((line, source.file.clone()));
            text.push_str(&source.text);
            text.push_str("\n;\n");
            line += source.text.matches('\n').count() as u32 + 2;
        }
        (text, Self { starts })
    }

    /// The lines of one source.
    pub fn of(source: &Source) -> Self {
        Self { starts: vec![(1, source.file.clone())] }
    }

    /// Where that position is in the author's files.
    pub fn place(&self, position: Position) -> Place {
        let line = position.line().unwrap_or(0) as u32;
        let column = position.position().unwrap_or(1) as u32;
        let Some((start, file)) = self.starts.iter().rev().find(|(start, _)| *start <= line).or(self.starts.first()) else {
            return Place::default();
        };
        if line < *start {
            return Place { file: file.clone(), line: 0, column: 0 };
        }
        Place { file: file.clone(), line: line - start + 1, column }
    }
}

/// Where line `line` and column `column` of a text that starts at `place` are in its file.
///
/// `place` is that of the text's first character; following lines are taken to be indented as far as the first, as
/// they are in a block scalar.
pub(super) fn within(place: &Place, line: u32, column: u32) -> Place {
    if place.line == 0 {
        return place.clone();
    }
    Place {
        file: place.file.clone(),
        line: place.line.saturating_add(line.saturating_sub(1)),
        column: place.column.max(1).saturating_add(column.saturating_sub(1)),
    }
}

/// The same for a byte offset into `text`.
pub(super) fn within_offset(place: &Place, text: &str, offset: usize) -> Place {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() as u32 + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) as u32 + 1;
    within(place, line, column)
}
