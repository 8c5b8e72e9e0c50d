//! What in a message is variable for sure? [`masked`]: its words with numbers, ids, addresses and times replaced by what they are.

/// How many words of a message its template has; what follows is the same for all.
const WORDS: usize = 20;
/// How many bytes of a message are looked at for its template.
const BYTES: usize = 400;
/// From how many characters on a run of letters and digits is an id.
const ID: usize = 16;
/// From how many characters on a run of hexadecimal digits with a digit in it is an id.
const HEX: usize = 8;
/// Fields that carry an id of the request and nothing of what happened, in lower case.
const IDS: [&str; 8] = ["traceid", "spanid", "trace_id", "span_id", "trace-id", "span-id", "requestid", "request_id"];

/// Appends the masked words of `text`, each followed by a space, to `out`; `<n>` stands for a number, `<id>`, `<ip>`, `<time>` and `<date>`
/// for what they say, `…` for what was cut.
pub(super) fn masked(text: &str, out: &mut String) {
    let mut end = text.len().min(BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let (mut words, mut skip, mut in_list) = (0, false, false);
    for word in text[..end].split_ascii_whitespace().flat_map(brackets) {
        if skip || is_id_field(word) {
            skip = !skip && word.ends_with([':', '=']);
            continue;
        }
        // Lists of any length are alike: of their items the first and the last stay.
        let item = word.ends_with(',');
        if item && std::mem::replace(&mut in_list, item) {
            continue;
        }
        in_list = item;
        if words == WORDS {
            out.push_str("… ");
            return;
        }
        mask(word, out);
        out.push(' ');
        words += 1;
    }
    if end < text.len() {
        out.push_str("… ");
    }
}

/// `[a][b` as `[a]` and `[b`.
fn brackets(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(word);
    std::iter::from_fn(move || {
        let whole = rest?;
        match whole.find("][") {
            Some(at) => {
                rest = Some(&whole[at + 1..]);
                Some(&whole[..=at])
            }
            None => rest.take(),
        }
    })
}

fn is_id_field(word: &str) -> bool {
    let bytes = word.as_bytes();
    if bytes.len() < 6 || !matches!(bytes[0], b't' | b'T' | b's' | b'S' | b'r' | b'R' | b'[' | b'"') {
        return false;
    }
    let name = word.trim_start_matches(['[', '"']);
    IDS.iter().any(|id| {
        name.get(..id.len()).is_some_and(|head| head.eq_ignore_ascii_case(id)) && name[id.len()..].starts_with([':', '=', '"'])
    })
}

/// Masks one word. Runs of letters and digits are looked at one by one; what is between them stays.
fn mask(word: &str, out: &mut String) {
    let bytes = word.as_bytes();
    if !bytes.iter().any(u8::is_ascii_digit) && bytes.len() < ID {
        out.push_str(word);
        return;
    }
    let mut at = 0;
    while at < bytes.len() {
        let length = run(bytes, at);
        if length == 0 {
            let next = word[at..].char_indices().find(|(_, c)| c.is_ascii_alphanumeric()).map_or(bytes.len(), |(i, _)| at + i);
            out.push_str(&word[at..next]);
            at = next;
            continue;
        }
        at = mask_run(word, at, length, out);
    }
}

/// Masks the run of `length` letters and digits at `at`, or what larger thing begins there; returns where it ends.
fn mask_run(word: &str, at: usize, length: usize, out: &mut String) -> usize {
    let bytes = word.as_bytes();
    let part = &bytes[at..at + length];
    if let Some(end) = uuid(bytes, at) {
        out.push_str("<id>");
        return end;
    }
    let digits = part.iter().filter(|b| b.is_ascii_digit()).count();
    if digits == 0 {
        out.push_str(&word[at..at + length]);
        return at + length;
    }
    if digits == length {
        let (name, end) = number(bytes, at);
        out.push_str(name);
        return end;
    }
    let hex = part.iter().all(u8::is_ascii_hexdigit) || part.starts_with(b"0x");
    if (hex && length >= HEX) || (length >= ID && digits >= 3) {
        out.push_str("<id>");
    } else {
        letters(&word[at..at + length], out);
    }
    at + length
}

/// A number, a time, a date, an address or a version that begins with digits: its name and where it ends.
fn number(bytes: &[u8], at: usize) -> (&'static str, usize) {
    let mut end = at;
    let (mut dots, mut colons, mut dashes) = (0, 0, 0);
    while end < bytes.len() {
        let here = run(bytes, end);
        if here == 0 || !bytes[end..end + here].iter().all(|b| b.is_ascii_digit() || matches!(b, b'T' | b'Z')) {
            break;
        }
        end += here;
        match bytes.get(end) {
            Some(b'.' | b',') if bytes.get(end + 1).is_some_and(u8::is_ascii_digit) => dots += 1,
            Some(b':') if bytes.get(end + 1).is_some_and(u8::is_ascii_digit) => colons += 1,
            Some(b'-' | b'/') if bytes.get(end + 1).is_some_and(u8::is_ascii_digit) => dashes += 1,
            _ => break,
        }
        end += 1;
    }
    // A number followed by letters keeps them (`12ms`); a separator that nothing follows stays outside.
    while end > at && !bytes[end - 1].is_ascii_alphanumeric() {
        end -= 1;
    }
    let name = match (dots, colons, dashes) {
        (3, 0 | 1, 0) => "<ip>",
        (_, 2.., 0) => "<time>",
        (_, _, 2..) => "<date>",
        _ => "<n>",
    };
    (name, if end == at { at + 1 } else { end })
}

/// Letters with digits among them: each run of digits is a number.
fn letters(part: &str, out: &mut String) {
    let mut in_number = false;
    for c in part.chars() {
        if c.is_ascii_digit() {
            if !in_number {
                out.push_str("<n>");
            }
            in_number = true;
        } else {
            out.push(c);
            in_number = false;
        }
    }
}

/// Where a UUID that begins at `at` ends.
fn uuid(bytes: &[u8], at: usize) -> Option<usize> {
    let candidate = bytes.get(at..at + 36)?;
    let fits =
        candidate.iter().enumerate().all(|(i, b)| if matches!(i, 8 | 13 | 18 | 23) { *b == b'-' } else { b.is_ascii_hexdigit() });
    (fits && run(bytes, at) == 8).then_some(at + 36)
}

/// How many letters and digits stand at `at`.
fn run(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().take_while(|b| b.is_ascii_alphanumeric()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let mut out = String::new();
        masked(text, &mut out);
        assert_eq!(out.trim_end(), expected, "{text}");
    }

    #[test]
    fn what_varies_is_replaced_by_what_it_is() {
        check("order 82b6f89a-e5ca-46e4-8ffd-b3366a842b47 paid", "order <id> paid");
        check("TrainNumber: G1236", "TrainNumber: G<n>");
        check("took 12ms, 3.5 s", "took <n>ms, <n> s");
        check("from 10.1.2.3:8080 to [10.1.2.4]", "from <ip> to [<ip>]");
        check("at 2023-01-29 15:38:06,", "at <date> <time>,");
        check("2023-01-29T15:38:06Z x", "<date> x");
        check("GET /api/v1/orders/4711?x=1", "GET /api/v<n>/orders/<n>?x=<n>");
        check("addr 0x7ffe12ab deadbeef01 facade", "addr <id> <id> facade");
        check("TraceID: ab51f0bb SpanID: b016471d [pay] ok", "[pay] ok");
        check("trace_id=ab51f0bb pay", "pay");
        check("größe 5 März", "größe <n> März");
        check("[checkSecurity][Check]", "[checkSecurity] [Check]");
        check("stops [a, b, c, d] of 3", "stops [a, d] of <n>");
        check("stops [a, d] of 3", "stops [a, d] of <n>");
        check("SeatServiceImpl#137", "SeatServiceImpl#<n>");
    }

    #[test]
    fn a_long_message_ends_after_its_first_words() {
        let mut out = String::new();
        masked(&"word ".repeat(100), &mut out);
        assert_eq!(out.split_whitespace().count(), WORDS + 1);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            masked(&text, &mut String::new());
        }

        #[test]
        fn no_mixture_of_digits_and_separators_makes_it_panic(text in "[0-9a-fT:./, -]{0,80}") {
            masked(&text, &mut String::new());
        }
    }
}
