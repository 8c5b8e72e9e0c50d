//! Which words of a query count, and which words mean nearly the same?

/// Terms of one query at most.
const TERMS: usize = 64;

/// Words that every document has.
const STOP: &[&str] = &[
    "a", "about", "all", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can", "cannot", "could", "did", "do",
    "does", "for", "from", "had", "has", "have", "how", "i", "if", "in", "into", "is", "it", "its", "just", "many", "more",
    "most", "much", "no", "not", "of", "off", "on", "one", "only", "or", "other", "our", "out", "over", "please", "so", "some",
    "than", "that", "the", "their", "them", "then", "there", "these", "they", "this", "to", "too", "under", "up", "was", "we",
    "were", "what", "when", "where", "which", "who", "why", "will", "with", "within", "would", "you", "your",
];

/// Words of operations that stand for each other in how people describe a symptom. A line counts half of what the words themselves do.
const ALIKE: &[&[&str]] = &[
    &["disk", "filesystem", "volume"],
    &["full", "space"],
    &["nearly", "almost", "close"],
    &["nic", "interface", "network"],
    &["restart", "crash", "crashloop"],
    &["clock", "time", "ntp"],
    &["machine", "host", "node"],
    &["certificate", "cert", "tls"],
    &["memory", "oom", "ram"],
    &["cpu", "throttling"],
    &["latency", "slow", "duration"],
    &["load", "reload"],
    &["config", "configuration"],
    &["fail", "error"],
    &["stuck", "hang"],
    &["unreachable", "down", "unavailable"],
    &["disappear", "absent", "missing"],
    &["maximum", "limit"],
    &["synchronise", "sync"],
    &["notification", "alert", "page"],
    &["kill", "terminate", "evict"],
    &["start", "startup"],
    &["exceed", "overcommit"],
    &["scrape", "target"],
    &["lag", "behind"],
    &["database", "db", "sql"],
    &["login", "sign-in", "authentication"],
    &["deploy", "rollout", "release"],
    &["connection", "pool"],
    &["cost", "bill", "spend"],
];

/// `KubePodCrashLooping` as `Kube Pod Crash Looping`; other text as it is.
pub(super) fn spaced(text: &str) -> String {
    let mut spaced = String::with_capacity(text.len() + 16);
    let mut chars = text.chars().peekable();
    let mut last = None::<char>;
    while let Some(c) = chars.next() {
        let starts = c.is_uppercase()
            && last.is_some_and(|last| {
                last.is_lowercase()
                    || last.is_ascii_digit()
                    || (last.is_uppercase() && chars.peek().is_some_and(|next| next.is_lowercase()))
            });
        if starts {
            spaced.push(' ');
        }
        spaced.push(c);
        last = Some(c);
    }
    spaced
}

/// The query as SQLite's FTS5 reads it: any of its words counts twice, and each that means nearly the same once. `None` where no word is.
pub(super) fn expression(query: &str) -> Option<String> {
    let whole = words(query);
    let parts = words(&spaced(query));
    let mut terms: Vec<String> = Vec::new();
    for word in parts.iter().chain(&whole) {
        if terms.len() < TERMS && !STOP.contains(&word.as_str()) && !terms.contains(word) {
            terms.push(word.clone());
        }
    }
    if terms.is_empty() {
        terms.extend(whole.into_iter().take(TERMS));
    }
    let mut alike: Vec<&str> = Vec::new();
    for term in &terms {
        for line in ALIKE.iter().filter(|line| line.iter().any(|word| stem(word) == stem(term))) {
            for word in line.iter().filter(|word| !terms.iter().any(|term| stem(term) == stem(word))) {
                if !alike.contains(word) {
                    alike.push(word);
                }
            }
        }
    }
    let quoted: Vec<String> =
        terms.iter().chain(&terms).map(String::as_str).chain(alike).map(|word| format!("\"{word}\"")).collect();
    (!quoted.is_empty()).then(|| quoted.join(" OR "))
}

fn words(text: &str) -> Vec<String> {
    let split = text.split(|c: char| !c.is_alphanumeric());
    split.filter(|word| word.chars().nth(1).is_some()).map(str::to_lowercase).collect()
}

/// A word without its ending, roughly: only to find it in the lists above. The index has a stemmer of its own.
fn stem(word: &str) -> &str {
    ["ing", "ed", "es", "s"].iter().find_map(|ending| word.strip_suffix(ending).filter(|stem| stem.len() >= 3)).unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_camel_case_come_apart() {
        for (name, parts) in [
            ("KubePodCrashLooping", "Kube Pod Crash Looping"),
            ("CPUThrottlingHigh", "CPU Throttling High"),
            ("etcdGRPCRequestsSlow", "etcd GRPC Requests Slow"),
            ("plain words", "plain words"),
            ("ÄrgerÜberAll", "Ärger Über All"),
            ("", ""),
        ] {
            assert_eq!(spaced(name), parts);
        }
    }

    #[test]
    fn a_query_is_words_and_nothing_that_the_index_could_take_for_an_operator() {
        assert_eq!(expression("the pods"), Some("\"pods\" OR \"pods\"".to_owned()));
        assert_eq!(expression("\"; NEAR( x:y* OR AND^"), Some("\"near\" OR \"near\"".to_owned()));
        assert_eq!(expression("what is it"), Some("\"what\" OR \"is\" OR \"it\" OR \"what\" OR \"is\" OR \"it\"".to_owned()));
        assert_eq!(expression(" … "), None);
        let alike = expression("disk full").unwrap_or_default();
        assert!(alike.contains("\"filesystem\"") && alike.contains("\"space\""), "{alike}");
    }

    #[test]
    fn an_endless_query_has_an_end() {
        let long: String = (0..10_000).map(|n| format!("word{n} ")).collect();
        assert_eq!(expression(&long).map(|e| e.matches(" OR ").count() + 1), Some(2 * TERMS));
    }
}
