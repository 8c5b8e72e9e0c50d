//! What was meant? The nearest known name, and lists of names, for remedies.

/// `a`, `b` and `c`, in backquotes.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a (impl AsRef<str> + ?Sized + 'a)>) -> String {
    let names: Vec<_> = names.into_iter().map(|name| format!("`{}`", name.as_ref())).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => "none".to_owned(),
    }
}

/// `1 member`, `2 members`.
pub(super) fn count(number: usize, thing: &str) -> String {
    match (number, thing.strip_suffix('y')) {
        (1, _) => format!("1 {thing}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {thing}s"),
    }
}

/// ``did you mean `x`?``, where a known name is near to `name`.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, known).map(|near| format!("did you mean `{near}`?"))
}

/// The known name that is nearest to a mistyped one, if one is near enough to be meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// From 0 (nothing in common) to 1 (the same).
    const NEAR: f64 = 0.6;
    /// Below it, containing a word is chance.
    const WORD: usize = 4;
    /// Longer names are nobody's typing error, and comparing them is slow.
    const LONGEST: usize = 200;
    let plain = |s: &str| s.to_lowercase().replace(['-', ' ', '.'], "_");
    let wanted = plain(name);
    if wanted.len() > LONGEST {
        return None;
    }
    let score = |candidate: &str| {
        let candidate = plain(candidate);
        let near = strsim::normalized_damerau_levenshtein(&wanted, &candidate);
        let within = wanted.len().min(candidate.len()) >= WORD && (candidate.contains(&wanted) || wanted.contains(&candidate));
        if within { near.max(NEAR) } else { near }
    };
    let scored = known.into_iter().filter(|c| c.len() <= LONGEST).map(|candidate| (score(candidate), candidate));
    let best = scored.fold(None::<(f64, &str)>, |best, next| if best.is_some_and(|b| b.0 >= next.0) { best } else { Some(next) });
    best.filter(|(score, _)| *score >= NEAR).map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_a_hyphen_or_a_part_of_the_name_finds_it() {
        let known = ["allowed_tools", "max_conversation_turns", "model", "model_config"];
        for (typed, meant) in [
            ("allowed_tols", Some("allowed_tools")),
            ("Allowed-Tools", Some("allowed_tools")),
            ("tools", Some("allowed_tools")),
            ("modle", Some("model")),
            ("colour", None),
            ("x", None),
        ] {
            assert_eq!(nearest(typed, known), meant, "{typed}");
        }
    }

    #[test]
    fn a_very_long_name_is_nobodys_typing_error() {
        assert_eq!(nearest(&"a".repeat(1_000_000), ["a"]), None);
    }

    #[test]
    fn names_and_counts_read_as_one_says_them() {
        assert_eq!((list(&["a", "b", "c"]), list(&["a"])), ("`a`, `b` and `c`".to_owned(), "`a`".to_owned()));
        assert_eq!(
            (count(1, "dependency"), count(2, "dependency"), count(0, "member")),
            ("1 dependency".into(), "2 dependencies".into(), "0 members".into())
        );
    }
}
