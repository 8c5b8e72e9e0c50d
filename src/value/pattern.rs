//! What does a pattern cover? [`fits_star`], where only `*` is special; [`fits_glob`] says whether a glob is small enough to be compiled:
//! globset follows braces within braces by recursion.

/// Bytes of a glob pattern.
const MAX_PATTERN: usize = 1_024;
/// Braces within braces.
const MAX_BRACES: usize = 8;

/// Why the pattern is not compiled; nothing where it may be.
///
/// # Errors
/// What it has too much of, a lowercase fragment.
pub fn fits_glob(pattern: &str) -> Result<(), String> {
    if pattern.len() > MAX_PATTERN {
        return Err(format!("it has {} bytes, and at most {MAX_PATTERN} are taken", pattern.len()));
    }
    let mut depth = 0_usize;
    for character in pattern.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_BRACES {
            return Err(format!("its braces stand more than {MAX_BRACES} deep in each other"));
        }
    }
    Ok(())
}

/// Whether `text` matches `pattern` as a whole, `*` standing for any characters.
pub fn fits_star(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.len() >= last.len() && rest.ends_with(last)
}
