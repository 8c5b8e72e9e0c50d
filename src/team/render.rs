//! How does a mistake look on a terminal? [`render`] draws diagnostics with the offending line, through `miette`.

use std::fmt;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};

use super::{Diagnostic, Severity, diagnostic::printable};

/// Columns of a rendered diagnostic.
const WIDTH: usize = 110;

/// The diagnostics as text, one after the other; `colour` adds ANSI codes.
pub fn render(diagnostics: &[Diagnostic], colour: bool) -> String {
    let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(WIDTH).with_links(false).with_context_lines(1);
    let mut out = String::new();
    for diagnostic in diagnostics {
        if handler.render_report(&mut out, &Shown::new(diagnostic)).is_err() {
            out.push_str(&diagnostic.line());
        }
        out.push('\n');
    }
    out
}

/// A diagnostic as `miette` wants it: byte spans into a text without control characters.
#[derive(Debug)]
struct Shown<'a> {
    diagnostic: &'a Diagnostic,
    message: String,
    source: Option<NamedSource<String>>,
    labels: Vec<LabeledSpan>,
}

impl<'a> Shown<'a> {
    fn new(diagnostic: &'a Diagnostic) -> Self {
        let text = diagnostic.source.as_ref().filter(|_| diagnostic.line > 0).map(|s| printable(&s.replace("\r\n", "\n")));
        let Some(text) = text else {
            let message = format!("{} ({})", diagnostic.message, diagnostic.place());
            return Self { diagnostic, message, source: None, labels: Vec::new() };
        };
        let label = Some(diagnostic.label.clone().unwrap_or_else(|| "here".to_owned()));
        let (at, len) = span(&text, diagnostic.line, diagnostic.column, diagnostic.length);
        let mut labels = vec![LabeledSpan::new_primary_with_span(label, (at, len))];
        for (place, label) in diagnostic.related.iter().filter(|(p, _)| p.file == diagnostic.file && p.line > 0) {
            let other = span(&text, place.line, place.column, 0);
            if other.0 != at {
                labels.push(LabeledSpan::new_with_span(Some(label.clone()), other));
            }
        }
        let mut message = diagnostic.message.clone();
        for (place, label) in diagnostic.related.iter().filter(|(p, _)| p.file != diagnostic.file || p.line == 0) {
            message.push_str(&format!("\n{label}: {place}"));
        }
        Self { diagnostic, message, source: Some(NamedSource::new(&*diagnostic.file, text)), labels }
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn code<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        Some(Box::new(self.diagnostic.code.name()))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        self.diagnostic.help.as_ref().map(|h| Box::new(h) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|s| s as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}

/// The byte span of `length` characters (0: one word) at a line and column; the end of the text when it is shorter.
fn span(text: &str, line: u32, column: u32, length: u32) -> (usize, usize) {
    let mut start = 0;
    for _ in 1..line {
        match text[start..].find('\n') {
            Some(end) => start += end + 1,
            None => return (text.len(), 0),
        }
    }
    let line = text[start..].split('\n').next().unwrap_or("");
    let skip: usize = line.chars().take(column.saturating_sub(1) as usize).map(char::len_utf8).sum();
    let rest = line[skip..].trim_end_matches('\r');
    let chars = if length == 0 { word(rest) } else { length as usize };
    (start + skip, rest.chars().take(chars).map(char::len_utf8).sum())
}

/// How many characters the word (or quoted text) at the start of `rest` has, at least one.
fn word(rest: &str) -> usize {
    let mut chars = rest.chars();
    match chars.next() {
        Some(quote @ ('"' | '\'')) => rest.chars().skip(1).position(|c| c == quote).map_or(rest.chars().count(), |end| end + 2),
        _ => rest.chars().take_while(|c| !c.is_whitespace() && !",:{}[]#".contains(*c)).count().max(1),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use super::*;
    use crate::{
        team::{Code, finish},
        value::Place,
    };

    fn place(line: u32, column: u32) -> Place {
        Place { file: Arc::from("team.yaml"), line, column }
    }

    fn sources(text: &str) -> BTreeMap<String, Arc<str>> {
        BTreeMap::from([("team.yaml".to_owned(), Arc::from(text))])
    }

    #[test]
    fn a_diagnostic_shows_its_line_and_remedy() {
        let mut found = vec![Diagnostic::error(Code::UnknownKey, &place(2, 1), "`rôle` is no key").help("did you mean `role`?")];
        finish(&mut found, &sources("name: a\nrôle: b\n"));
        let text = render(&found, false);
        assert_eq!(found[0].excerpt(), Some("rôle: b"));
        assert!(text.contains("unknown-key") && text.contains("team.yaml:2:1") && text.contains("did you mean"), "{text}");
    }

    #[test]
    fn line_ends_of_windows_leave_no_trace_in_excerpts() {
        let mut found = vec![Diagnostic::error(Code::UnknownKey, &place(2, 1), "`b` is no key")];
        finish(&mut found, &sources("a: 1\r\nb: 2\r\nc: 3\r\n"));
        let text = render(&found, false);
        assert!(text.contains("b: 2\n") && !text.contains('\u{fffd}') && !text.contains('\r'), "{text:?}");
    }

    #[test]
    fn diagnostics_are_sorted_and_said_once() {
        let at = |line| Diagnostic::error(Code::Cycle, &place(line, 1), "circle");
        let mut found = vec![at(9), at(2), at(9)];
        finish(&mut found, &BTreeMap::new());
        assert_eq!(found.iter().map(|d| d.line).collect::<Vec<_>>(), [2, 9]);
    }

    #[test]
    fn a_place_outside_of_the_text_is_no_panic() {
        let mut found = vec![Diagnostic::error(Code::Syntax, &place(9, 9), "gone").related(&place(7, 3), "there")];
        finish(&mut found, &sources("é"));
        assert!(render(&found, true).contains("gone"));
    }

    #[test]
    fn no_file_can_steer_the_terminal() {
        let mut found = vec![Diagnostic::error(Code::Syntax, &place(1, 1), "bad \u{1b}[31m").help("\u{7}")];
        finish(&mut found, &sources("\u{1b}[2Jx: 1"));
        let text = render(&found, false);
        assert!(!text.contains('\u{1b}') && !text.contains('\u{7}'), "{text:?}");
    }
}
