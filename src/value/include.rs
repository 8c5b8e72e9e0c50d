//! Which other files does a script use? [`includes`].

use std::sync::Arc;

use super::Place;

/// A line `//! use PATH` at the top of a script: functions of that file can be called as if they stood in this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Include {
    /// The path as written, relative to the script.
    pub path: Arc<str>,
    /// Where the path is written.
    pub place: Place,
}

/// What a script of that name and text wants to use: the `//! use PATH` lines before its first line of code.
///
/// ```
/// let found = synod::value::includes("scripts/agents/a.rhai", "//! Looks for causes.\n//! use ../lib/time.rhai\nfn turn(view) {}");
/// assert_eq!(&*found[0].path, "../lib/time.rhai");
/// assert_eq!(found[0].place.line, 2);
/// ```
pub fn includes(file: &str, text: &str) -> Vec<Include> {
    let mut found = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let trimmed = line.trim_start();
        if !trimmed.is_empty() && !trimmed.starts_with("//") {
            break;
        }
        let Some(rest) = trimmed.strip_prefix("//!").map(str::trim_start).and_then(|rest| rest.strip_prefix("use ")) else {
            continue;
        };
        // A sentence such as "use the fastest one" is no path.
        let path = rest.trim();
        if path.is_empty() || path.contains(char::is_whitespace) || !path.ends_with(".rhai") {
            continue;
        }
        let offset = line.len() - line.trim_end().len() + path.len();
        let column = line.chars().count() - line[line.len() - offset..].chars().count() + 1;
        found
            .push(Include { path: Arc::from(path), place: Place { file: Arc::from(file), line: number, column: column as u32 } });
    }
    found
}
