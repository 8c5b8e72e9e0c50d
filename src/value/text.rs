//! What is written with `{{ … }}` in it? A [`Template`]: minijinja source and what its names stand for.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

use super::{Place, Ref};

/// A minijinja template of a team file: a task, a tool's argument, a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// The text as written.
    pub source: Arc<str>,
    /// Where it stands.
    pub place: Place,
    /// Its free names, sorted by name; filled by the compiler.
    pub refs: Vec<Ref>,
}

impl Template {
    /// Whether it has nothing to fill in.
    pub fn is_plain(&self) -> bool {
        !self.source.contains("{{") && !self.source.contains("{%") && !self.source.contains("{#")
    }
}
