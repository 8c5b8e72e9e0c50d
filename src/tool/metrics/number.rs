//! What does a cell hold? A [`Cell`]: a number, nothing, or text.

/// What a cell holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell {
    /// A finite number.
    Number(f64),
    /// Nothing was measured: empty, `NaN`, `null`, infinite.
    Missing,
    /// Something else.
    Text,
}

/// Reads a cell. With `decimal_comma`, `1.234,5` is 1234.5; without, `1,234.5` is.
pub fn read(text: &str, decimal_comma: bool) -> Cell {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>()
        && !(decimal_comma && text.contains('.'))
    {
        return if number.is_finite() { Cell::Number(number) } else { Cell::Missing };
    }
    if is_missing(text) {
        return Cell::Missing;
    }
    let bare = text.trim_start_matches(['$', '€', '£', '"']).trim_end_matches(['%', '€', '$', '"']).trim();
    let plain =
        if decimal_comma { grouped(bare, '.', ',').map(|digits| digits.replace(',', ".")) } else { grouped(bare, ',', '.') };
    match plain.and_then(|digits| digits.parse::<f64>().ok()) {
        Some(number) if number.is_finite() => Cell::Number(number),
        Some(_) => Cell::Missing,
        None => Cell::Text,
    }
}

/// What exporters write where nothing was measured.
fn is_missing(text: &str) -> bool {
    text.is_empty()
        || ["-", "--", "?", "na", "n/a", "#n/a", "null", "nil", "none", "undefined", "nan", "1.#inf", "1.#qnan", "\\n"]
            .iter()
            .any(|word| text.eq_ignore_ascii_case(word))
}

/// The text without its thousands marks; `None` when they are not where such marks stand.
fn grouped(text: &str, mark: char, point: char) -> Option<String> {
    let whole = text.split(point).next().unwrap_or(text);
    let mut groups = whole.split(mark);
    let first = groups.next()?.trim_start_matches(['-', '+']);
    let has_groups = whole.contains(mark);
    if has_groups
        && (first.is_empty() || first.len() > 3 || !groups.all(|g| g.len() == 3 && g.bytes().all(|b| b.is_ascii_digit())))
    {
        return None;
    }
    Some(text.chars().filter(|c| *c != mark).collect())
}
