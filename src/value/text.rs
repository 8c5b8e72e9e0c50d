//! What is written in words? A [`Template`], minijinja source and what its names stand for; and the article of a noun ([`a`]).

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

/// A noun with its indefinite article, for messages: `a list`, `an integer`.
pub fn a(noun: &str) -> String {
    let vowel = noun.starts_with(['a', 'e', 'i', 'o', 'u', 'A', 'E', 'I', 'O', 'U']);
    format!("{} {noun}", if vowel { "an" } else { "a" })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_noun_has_the_article_that_its_sound_asks_for() {
        let said = ["integer", "list", "number", "expression", "bool"].map(super::a);
        assert_eq!(said, ["an integer", "a list", "a number", "an expression", "a bool"]);
    }
}
