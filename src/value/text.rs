//! What is written in words? A [`Template`], minijinja source and what its names stand for; the article of a noun ([`a`]); and what was meant ([`nearest`]).

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

/// The known name that `name` was most likely meant to be.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    /// Longer names are nobody's typing error, and comparing them is slow.
    const LONGEST: usize = 200;
    if name.len() > LONGEST {
        return None;
    }
    let limit = if name.chars().count() <= 4 { 1 } else { 2 };
    known
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(far, _)| (1..=limit).contains(far))
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_noun_has_the_article_that_its_sound_asks_for() {
        let said = ["integer", "list", "number", "expression", "bool"].map(super::a);
        assert_eq!(said, ["an integer", "a list", "a number", "an expression", "a bool"]);
    }
}
