//! Which messages say the same? [`Miner`]: templates by their words, after Drain (He, Zhu, Zheng, Lyu: Drain, an online log parsing
//! approach with fixed depth tree, ICWS 2017).
//!
//! The tree has two levels, the number of words and the first word. Unlike Drain's, the similarity of a message and a template counts
//! only positions where one of them has a word of its own, so that masked ids make no two messages alike.

use std::collections::HashMap;

use super::{mask::masked, names::Names};

/// Templates of one miner; messages that fit none of them share one more.
const TEMPLATES: usize = 5_000;
/// Templates of one number of words and first word.
const SIBLINGS: usize = 200;
/// Masked messages whose template is remembered.
const REMEMBERED: usize = 50_000;
/// The share of words that a message and its template have in common; more than this.
const ALIKE: f64 = 0.65;
/// Stands for a word that differs from message to message.
const ANY: &str = "<*>";
/// The template of messages that came when there were too many already.
const OTHER: &str = "<others>";

/// Templates of messages, and which message has which.
pub(super) struct Miner {
    words: Names,
    any: u32,
    templates: Vec<Vec<u32>>,
    tree: HashMap<(usize, u32), Vec<u32>>,
    remembered: HashMap<Box<str>, u32>,
    buffer: String,
}

impl Default for Miner {
    fn default() -> Self {
        let mut words = Names::default();
        let any = words.id(ANY);
        let other = words.id(OTHER);
        Self { words, any, templates: vec![vec![other]], tree: HashMap::new(), remembered: HashMap::new(), buffer: String::new() }
    }
}

impl Miner {
    /// The template of a message.
    pub fn learn(&mut self, message: &str) -> u32 {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        masked(message, &mut buffer);
        let template = match self.remembered.get(buffer.as_str()) {
            Some(template) => *template,
            None => self.fit(&buffer),
        };
        self.buffer = buffer;
        template
    }

    /// The template here of a template of another miner.
    pub fn adopt(&mut self, other: &Self, template: u32) -> u32 {
        if template == 0 { 0 } else { self.fit(&other.text(template)) }
    }

    /// A template as text.
    pub fn text(&self, template: u32) -> String {
        let words = self.templates.get(template as usize).map(Vec::as_slice).unwrap_or_default();
        words.iter().map(|word| self.words.name(*word)).collect::<Vec<_>>().join(" ")
    }

    fn fit(&mut self, masked: &str) -> u32 {
        let words: Vec<u32> = masked.split_ascii_whitespace().map(|word| self.words.id(word)).collect();
        let first = words.first().map_or(self.any, |word| if self.is_mask(*word) { self.any } else { *word });
        let siblings = self.tree.entry((words.len(), first)).or_default();
        let mut best: Option<(f64, u32)> = None;
        for candidate in siblings.iter() {
            let alike = likeness(&self.words, self.any, &self.templates[*candidate as usize], &words);
            if best.is_none_or(|(most, _)| alike > most) {
                best = Some((alike, *candidate));
            }
        }
        let full = self.templates.len() >= TEMPLATES || siblings.len() >= SIBLINGS;
        let template = match best {
            Some((alike, found)) if alike > ALIKE => {
                for (slot, word) in self.templates[found as usize].iter_mut().zip(&words) {
                    if slot != word {
                        *slot = self.any;
                    }
                }
                found
            }
            Some(_) | None if full => 0,
            Some(_) | None => {
                let new = u32::try_from(self.templates.len()).expect("there are at most TEMPLATES templates");
                siblings.push(new);
                self.templates.push(words);
                new
            }
        };
        if self.remembered.len() < REMEMBERED {
            self.remembered.insert(masked.into(), template);
        }
        template
    }

    fn is_mask(&self, word: u32) -> bool {
        is_mask(self.words.name(word))
    }
}

/// The share of equal words among the positions where the template or the message has a word of its own.
fn likeness(names: &Names, any: u32, template: &[u32], words: &[u32]) -> f64 {
    let (mut own, mut equal) = (0, 0);
    for (a, b) in template.iter().zip(words) {
        if a == b {
            let counts = *a != any && !is_mask(names.name(*a));
            own += u32::from(counts);
            equal += u32::from(counts);
        } else {
            own += 1;
        }
    }
    if own == 0 { 1.0 } else { f64::from(equal) / f64::from(own) }
}

/// Whether a word is nothing but a mask and marks around it.
fn is_mask(word: &str) -> bool {
    word.contains('<') && !word.bytes().scan(false, outside).any(|letter| letter)
}

/// Steps through a word; true for a letter outside of `<…>`.
#[expect(clippy::unnecessary_wraps, reason = "`scan` wants an option")]
fn outside(inside: &mut bool, byte: u8) -> Option<bool> {
    match byte {
        b'<' => *inside = true,
        b'>' => *inside = false,
        _ => return Some(!*inside && byte.is_ascii_alphabetic()),
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_differ_in_what_varies_share_a_template() {
        let mut miner = Miner::default();
        let a = miner.learn("user alice logged in from 10.0.0.1");
        let b = miner.learn("user bob logged in from 10.0.0.2");
        assert_eq!(a, b);
        assert_eq!(miner.text(a), "user <*> logged in from <ip>");
        assert_ne!(a, miner.learn("user bob was refused from 10.0.0.2"));
        assert_eq!(miner.learn("user carol logged in from 10.0.0.3"), a);
    }

    #[test]
    fn ids_alone_make_no_two_messages_alike() {
        let mut miner = Miner::default();
        assert_ne!(miner.learn("17 18 19 20 opened"), miner.learn("17 18 19 20 refused"));
        assert_ne!(miner.learn("connection reset"), miner.learn("connection refused"));
    }

    #[test]
    fn there_are_never_more_templates_than_the_limit() {
        let mut miner = Miner::default();
        let word = |mut n: usize| -> String {
            std::iter::repeat_with(|| {
                let c = char::from(b'a' + (n % 26) as u8);
                n /= 26;
                c
            })
            .take(4)
            .collect()
        };
        for n in 0..TEMPLATES * 2 {
            miner.learn(&format!("{} {}", word(n), word(n * 7 + 1)));
        }
        assert_eq!(miner.templates.len(), TEMPLATES);
        assert_eq!(miner.text(miner.remembered.values().copied().min().unwrap_or(1)), OTHER);
    }

    #[test]
    fn templates_of_one_miner_are_adopted_by_another() {
        let (mut one, mut two) = (Miner::default(), Miner::default());
        let a = one.learn("user alice logged in");
        let b = two.learn("user bob logged in");
        let adopted = one.adopt(&two, b);
        assert_eq!(adopted, a);
        assert_eq!(one.text(a), "user <*> logged in");
    }
}
