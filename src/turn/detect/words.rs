//! How alike are two texts? [`similarity`], of their folded words.

use std::collections::BTreeSet;

/// Characters of a text that are compared at most.
const COMPARED: usize = 4_000;

/// `text` in lower case, with every run of anything but letters and digits as one space. With `digits`, every number is the same.
pub(super) fn folded(text: &str, digits: bool) -> String {
    let mut folded = String::with_capacity(text.len().min(COMPARED));
    let mut push = |c: char| {
        let c = match c {
            c if digits && c.is_numeric() => '0',
            c if c.is_alphanumeric() => c,
            _ => ' ',
        };
        if !(matches!(c, ' ' | '0') && folded.ends_with(c) && (c == ' ' || digits)) {
            folded.push(c);
        }
    };
    for c in text.chars().take(COMPARED) {
        if c.is_ascii() { push(c.to_ascii_lowercase()) } else { c.to_lowercase().for_each(&mut push) }
    }
    folded.trim().to_owned()
}

/// From 0 (nothing in common) to 1 (the same): how many of their triples of characters two folded texts share (Dice).
pub(super) fn similarity(one: &str, other: &str) -> f64 {
    if one == other {
        return 1.0;
    }
    let (a, b) = (triples(one), triples(other));
    if a.is_empty() || b.is_empty() {
        return 0.0;
    }
    let shared = a.intersection(&b).count();
    #[expect(clippy::cast_precision_loss, reason = "at most a few thousand triples")]
    let share = 2.0 * shared as f64 / (a.len() + b.len()) as f64;
    share
}

fn triples(text: &str) -> BTreeSet<[char; 3]> {
    let characters: Vec<char> = text.chars().collect();
    characters.windows(3).filter_map(|w| <[char; 3]>::try_from(w).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_spaces_and_marks_are_folded_and_numbers_if_asked() {
        assert_eq!(folded("  Try  #12,\tagain 7! ", true), "try 0 again 0");
        assert_eq!(folded("Try #12", false), "try 12");
        assert_eq!(folded("a 100", false), "a 100");
    }

    #[test]
    fn similarity_goes_from_nothing_to_the_same() {
        let check = |one: &str, other: &str, at_least: f64, at_most: f64| {
            let s = similarity(&folded(one, true), &folded(other, true));
            assert!((at_least..=at_most).contains(&s), "{one} / {other}: {s}");
        };
        check("Attempt 1: still checking the logs", "attempt 12:  still checking the logs.", 1.0, 1.0);
        check("I will check the error logs once more", "I will check the error logs one more time", 0.8, 0.95);
        check("the database is full", "nobody has deployed since noon", 0.0, 0.2);
        check("", "x", 0.0, 0.0);
        check("", "", 1.0, 1.0);
    }
}
