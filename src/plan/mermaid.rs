//! How does a text stand in a Mermaid diagram without being read as a part of it? [`mermaid_text`].

use std::fmt::Write;

use super::outline::whole;

/// What Mermaid reads: marks of its own (`"`, `;`, `#`, `%`, `|`, `\`), HTML, Markdown and formulas, and the characters by which it
/// keeps its own codes apart.
const SPECIAL: &str = "\"#;%|\\<>&`$ﬂ¶";

/// An author's or an agent's text on one line of at most `most` characters, as Mermaid takes it in a label or a message: what it would
/// read as its own stands as `#code;`, the word `end` included.
pub fn mermaid_text(text: &str, most: usize) -> String {
    let whole = whole(text);
    let cut: String =
        if whole.chars().count() <= most { whole } else { whole.chars().take(most.saturating_sub(1)).chain(['…']).collect() };
    // Behind these words Mermaid takes what follows a colon for a colour, and cuts off its last semicolon.
    let styled = ["style", "classDef"].iter().any(|word| cut.contains(word));
    let mut out = String::new();
    let mut rest = cut.as_str();
    while !rest.is_empty() {
        let letters = rest.len() - rest.trim_start_matches(char::is_alphanumeric).len();
        let next = rest.chars().next().map_or(rest.len(), char::len_utf8);
        let (part, after) = rest.split_at(letters.max(next));
        let is_end = part.eq_ignore_ascii_case("end");
        for (at, c) in part.chars().enumerate() {
            if SPECIAL.contains(c) || (is_end && at == 0) || (styled && c == ':') {
                write!(out, "#{};", u32::from(c)).ok();
            } else {
                out.push(c);
            }
        }
        rest = after;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_mermaid_reads_as_its_own_stands_as_a_code() {
        for (text, expected) in [
            ("a plain text: fine", "a plain text: fine"),
            ("say \"yes\"; now", "say #34;yes#34;#59; now"),
            ("#1", "#35;1"),
            ("&amp; <b>", "#38;amp#59; #60;b#62;"),
            ("two\nlines\r\n\tand more", "two lines and more"),
            ("the end. The END, endless friend", "the #101;nd. The #69;ND, endless friend"),
            ("%%{init: {}}%%", "#37;#37;{init: {}}#37;#37;"),
            ("style x:y", "style x#58;y"),
            ("ﬂ°°35¶ß", "#64258;°°35#182;ß"),
            ("bell\u{7}", "bell\u{fffd}"),
            ("a|b`c`$d$\\n", "a#124;b#96;c#96;#36;d#36;#92;n"),
            ("", ""),
        ] {
            assert_eq!(mermaid_text(text, 100), expected, "{text}");
        }
    }

    #[test]
    fn a_long_text_is_cut_before_it_is_escaped() {
        assert_eq!(mermaid_text("ab;cd", 4), "ab#59;…");
        assert_eq!(mermaid_text("ééééé", 3), "éé…");
        assert_eq!(mermaid_text("ab", 0), "…");
    }
}
