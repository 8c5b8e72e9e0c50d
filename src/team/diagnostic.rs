//! What is wrong, where, and what would be right? A [`Diagnostic`] names file, line and column and says the remedy.
//!
//! All of them are returned at once, sorted by place. Whoever finds a mistake says where it stands; the offending line is
//! looked up when the diagnostic is shown, in the text that [`finish`] attaches.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use serde::Serialize;

use super::Code;
use crate::value::Place;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It may be meant; the file compiles.
    Warning,
    /// The file does not compile.
    Error,
}

impl Severity {
    /// `error` or `warning`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Something wrong in a file of the author's. Its JSON is the contract of `synod check --json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diagnostic {
    /// The file, as the author would write it.
    pub file: Arc<str>,
    /// Line, from 1; 0 when it concerns the whole file.
    pub line: u32,
    /// Column in characters, from 1; 0 when it concerns the whole file.
    pub column: u32,
    /// How bad it is.
    pub severity: Severity,
    /// The kind of mistake.
    pub code: Code,
    /// What is wrong, a lowercase fragment.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
    /// How many characters are meant; 0: the word that stands there.
    #[serde(skip)]
    pub length: u32,
    /// What stands at the place, for people: `not a key of a profile`.
    #[serde(skip)]
    pub label: Option<String>,
    /// Other places that belong to it, such as the first of two ids or the other nodes of a cycle.
    #[serde(skip)]
    pub related: Vec<(Place, String)>,
    /// The text of the file; see [`finish`].
    #[serde(skip)]
    pub source: Option<Arc<str>>,
}

impl Diagnostic {
    /// An error at `place`.
    pub fn error(code: Code, place: &Place, message: impl AsRef<str>) -> Self {
        Self::new(Severity::Error, code, place, message.as_ref())
    }

    /// A warning at `place`.
    pub fn warning(code: Code, place: &Place, message: impl AsRef<str>) -> Self {
        Self::new(Severity::Warning, code, place, message.as_ref())
    }

    fn new(severity: Severity, code: Code, place: &Place, message: &str) -> Self {
        Self {
            file: place.file.clone(),
            line: place.line,
            column: place.column,
            severity,
            code,
            message: printable(message),
            help: None,
            length: 0,
            label: None,
            related: Vec::new(),
            source: None,
        }
    }

    /// The same, with a remedy.
    #[must_use]
    pub fn help(mut self, help: impl AsRef<str>) -> Self {
        self.help = Some(printable(help.as_ref()));
        self
    }

    /// The same, with a remedy where there is one.
    #[must_use]
    pub fn maybe_help(self, help: Option<String>) -> Self {
        match help {
            Some(help) => self.help(help),
            None => self,
        }
    }

    /// The same, with words at the underlined place.
    #[must_use]
    pub fn label(mut self, label: impl AsRef<str>) -> Self {
        self.label = Some(printable(label.as_ref()));
        self
    }

    /// The same, with a second place.
    #[must_use]
    pub fn related(mut self, place: &Place, label: impl AsRef<str>) -> Self {
        self.related.push((place.clone(), printable(label.as_ref())));
        self
    }

    /// The same, underlining `length` characters.
    #[must_use]
    pub fn length(mut self, length: u32) -> Self {
        self.length = length;
        self
    }

    /// Whether it keeps the file from compiling.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Where it stands.
    pub fn place(&self) -> Place {
        Place { file: self.file.clone(), line: self.line, column: self.column }
    }

    /// The offending line, where the text is attached.
    pub fn excerpt(&self) -> Option<&str> {
        self.source.as_ref()?.lines().nth(self.line.checked_sub(1)? as usize)
    }

    /// As one line without the excerpt: `file:line:column: severity[code]: message`.
    pub fn line(&self) -> String {
        format!("{}: {}[{}]: {}", self.place(), self.severity.name(), self.code.name(), self.message)
    }
}

/// Attaches the texts to show excerpts from (by file name), sorts by place, and drops what is said twice.
pub fn finish(diagnostics: &mut Vec<Diagnostic>, sources: &BTreeMap<String, Arc<str>>) {
    for diagnostic in diagnostics.iter_mut().filter(|d| d.source.is_none()) {
        diagnostic.source = sources.get(&*diagnostic.file).cloned();
    }
    diagnostics.sort_by(|a, b| key(a).cmp(&key(b)));
    diagnostics.dedup_by(|a, b| key(a) == key(b));
}

fn key(d: &Diagnostic) -> (&str, u32, u32, Reverse<Severity>, Code, &str) {
    (&d.file, d.line, d.column, Reverse(d.severity), d.code, &d.message)
}

/// Control characters made visible, and those that turn the direction of writing, so that no file, task or reply can steer the terminal
/// that shows it.
pub(crate) fn printable(text: &str) -> String {
    let steers =
        |c: char| c.is_control() && c != '\n' && c != '\t' || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}
