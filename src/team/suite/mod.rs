//! What do the tests of a team say? [`load_suite`] reads a `*.test.yaml` file into a [`Suite`], or says all that is wrong with it.

mod check;
mod file;
mod resolve;
mod spec;

use std::{collections::BTreeMap, sync::Arc};

use file::SuiteFile;
pub use spec::{
    At, Budget, Case, DecisionWant, EscalationWant, Expect, FindingWant, MessageWant, NodeWant, ScriptedReply, StandIn, Suite,
    Table, ToolAnswer, Want,
};

use super::{
    Code, Diagnostic, Loaded, SourceError, Sources, finish,
    read::{Found, Read},
    sources::{FILES, beside, candidates},
    suggest::did_you_mean,
    tree::{self, max_bytes, quoted},
};
use crate::value::{Place, includes};

/// What the names of test files end with.
pub const TEST_FILES: &[&str] = &[".test.yaml", ".test.yml", ".test.json"];
/// Cases of one file at most.
pub const MAX_CASES: usize = 1_000;

/// The JSON Schema of a file of tests.
pub fn schema_test() -> serde_json::Value {
    super::schema::schema_of::<SuiteFile>()
}

/// Whether a file of that name holds tests.
pub fn is_suite(name: &str) -> bool {
    TEST_FILES.iter().any(|ending| name.ends_with(ending))
}

/// The tests in the file of that name.
///
/// # Errors
/// Every mistake in it, sorted by place. The team itself is not read here.
pub fn load_suite(name: &str, sources: &dyn Sources) -> Loaded<Suite> {
    let mut loader = Loader { sources, found: Vec::new(), texts: BTreeMap::new() };
    let suite = loader.suite(name);
    let mut found = loader.found;
    finish(&mut found, &loader.texts);
    match suite {
        Some(suite) if !found.iter().any(Diagnostic::is_error) => Ok((Suite { sources: loader.texts, ..suite }, found)),
        _ => Err(found),
    }
}

/// Follows the references of a test file.
struct Loader<'s> {
    sources: &'s dyn Sources,
    found: Found,
    texts: BTreeMap<String, Arc<str>>,
}

impl Loader<'_> {
    fn suite(&mut self, name: &str) -> Option<Suite> {
        let file: Arc<str> = Arc::from(name);
        let text = self.fetch(name, &Place { file: file.clone(), line: 0, column: 0 }, "file of tests")?;
        let node = match tree::parse(&file, &text) {
            Ok(node) => node,
            Err(error) => {
                self.found.push(*error);
                return None;
            }
        };
        let written = SuiteFile::read(&node, &mut self.found)?;
        self.resolve(&file, written)
    }

    /// The text of exactly that name; where there is none, that is reported at `place`.
    fn fetch(&mut self, name: &str, place: &Place, what: &str) -> Option<Arc<str>> {
        if let Some(text) = self.texts.get(name) {
            return Some(text.clone());
        }
        let wrong = match self.sources.read(name) {
            Ok(text) if text.len() <= max_bytes(name) => {
                let text = text.strip_prefix('\u{feff}').map_or(text.clone(), Arc::from);
                self.texts.insert(name.to_owned(), text.clone());
                return Some(text);
            }
            Ok(text) => (Code::TooLarge, format!("{name} has {} bytes, more than the {} allowed", text.len(), max_bytes(name))),
            Err(SourceError::NotFound) => (Code::MissingReference, format!("there is no {what} {}", quoted(name))),
            Err(error @ (SourceError::NotText | SourceError::TooLarge(_) | SourceError::Other(_))) => {
                (Code::Unreadable, format!("{name} cannot be read: {error}"))
            }
        };
        self.found.push(Diagnostic::error(wrong.0, place, wrong.1).help("a path is relative to the file of tests"));
        None
    }

    /// A script or recording, and the files that it uses.
    fn stand_in(&mut self, from: &str, path: &str, place: &Place) -> Option<Arc<str>> {
        let named = candidates(from, path, &[]);
        let name = named.iter().find(|name| self.sources.exists(name)).or(named.first())?.clone();
        let text = self.fetch(&name, place, "file")?;
        let mut look = vec![(name.clone(), text)];
        while let Some((file, text)) = look.pop() {
            for include in includes(&file, &text) {
                let Some(used) = beside(&file, &include.path).filter(|used| !self.texts.contains_key(used)) else { continue };
                if let Some(text) = self.fetch(&used, &include.place, "script") {
                    look.push((used, text));
                }
            }
        }
        Some(Arc::from(name))
    }

    /// The file of the team that a test file names.
    fn team(&mut self, from: &str, reference: &str, place: &Place) -> Option<Arc<str>> {
        let mut names = candidates(from, reference, FILES);
        names.extend(candidates("lib:", &format!("teams/{reference}"), FILES));
        let name = names.iter().find(|name| self.sources.exists(name) && self.sources.read(name).is_ok());
        if name.is_none() {
            let known: Vec<String> = ["", "lib:teams"].iter().flat_map(|folder| self.sources.list(folder)).collect();
            let stem = |name: &str| name.rsplit(['/', ':']).next().and_then(|file| file.strip_suffix(".yaml")).map(str::to_owned);
            let stems: Vec<String> = known.iter().filter(|name| !is_suite(name)).filter_map(|name| stem(name)).collect();
            let near = did_you_mean(reference, stems.iter().map(String::as_str));
            let help = near.unwrap_or_else(|| format!("looked for {}", super::suggest::list(&names)));
            let error = Diagnostic::error(Code::MissingReference, place, format!("there is no team {}", quoted(reference)));
            self.found.push(error.label("not found").help(help));
        }
        name.map(|name| Arc::from(name.as_str()))
    }
}
