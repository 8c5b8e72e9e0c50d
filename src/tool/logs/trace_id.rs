//! Under which trace id was a message said? [`find`], in the spellings that loggers use.

use memchr::memmem;

/// The shortest id.
pub(super) const SHORTEST: usize = 8;
/// The longest id.
const LONGEST: usize = 64;
/// How far into a message the brackets of Spring Cloud Sleuth are looked for, in bytes.
const BRACKETS: usize = 100;
/// What an id's name ends with, without its first letter, which may be a capital; and what may follow it.
const NAMES: [(&str, &[&str]); 4] = [
    ("race", &["id", "_id", "-id", ".id", " id", "parent"]),
    ("RACE", &["_ID", "ID", "-ID"]),
    ("equest", &["id", "_id", "-id", ".id"]),
    ("orrelation", &["id", "_id", "-id", ".id"]),
];

/// The id in `TraceID: 4bf9…`, `trace_id=…`, `"traceId":"…"`, `traceparent: 00-…`, `[service,4bf9…,00f0…]`, `request-id=…`.
pub(super) fn find(text: &str) -> Option<&str> {
    for (stem, ends) in NAMES {
        for at in memmem::find_iter(text.as_bytes(), stem.as_bytes()) {
            let rest = &text[at + stem.len()..];
            let end = ends.iter().find(|end| rest.get(..end.len()).is_some_and(|head| head.eq_ignore_ascii_case(end)));
            if let Some(id) = end.and_then(|end| value(&rest[end.len()..])) {
                return Some(id);
            }
        }
    }
    sleuth(text)
}

/// What follows the name: marks, then the id.
fn value(rest: &str) -> Option<&str> {
    let marks = rest.bytes().take_while(|b| matches!(b, b'"' | b':' | b'=' | b' ' | b'[')).count();
    if !rest[..marks].contains([':', '=', '[']) {
        return None;
    }
    let rest = &rest[marks..];
    let rest = rest.strip_prefix("00-").map_or(rest, |id| id.split('-').next().unwrap_or(id));
    let length = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'-').count();
    (SHORTEST..=LONGEST).contains(&length).then(|| &rest[..length])
}

/// `[service,trace,span]` or `[service,trace,span,exported]`.
fn sleuth(text: &str) -> Option<&str> {
    let open = memchr::memchr(b'[', &text.as_bytes()[..text.len().min(BRACKETS)])?;
    let mut parts = text[open + 1..].split(']').next()?.split(',');
    let (_, trace, span) = (parts.next()?, parts.next()?.trim(), parts.next()?.trim());
    let hex = |part: &str, lengths: [usize; 2]| lengths.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_hexdigit());
    (hex(trace, [16, 32]) && hex(span, [16, 16])).then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_their_spellings() {
        let id = "ab51f0bbcfb19d1342ba4ef83dc1a8c5";
        for text in [
            format!("o.c.Order#39 TraceID: {id} SpanID: 7ce10937d56cde19 [x]"),
            format!("pay trace_id={id} done"),
            format!("x TRACE_ID={id}"),
            format!("{{\"traceId\":\"{id}\",\"a\":1}}"),
            format!("traceparent: 00-{id}-7ce10937d56cde19-01"),
            format!("[order-service,{id},7ce10937d56cde19,true] x"),
            format!("X-Request-Id: {id}"),
            format!("correlation.id=\"{id}\""),
            format!("no trace of it, but traceid: {id}"),
        ] {
            assert_eq!(find(&text), Some(id), "{text}");
        }
        for text in ["", "stack trace id", "traceid: ", "trace_id=ab", "request 12345678", "[a,b,c]", "größe ]["] {
            assert_eq!(find(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String, id in "[tT]race[_ ]?[iI]d[:= \"ä]{0,3}\\PC{0,20}") {
            let _ = find(&text);
            let _ = find(&id);
        }
    }
}
