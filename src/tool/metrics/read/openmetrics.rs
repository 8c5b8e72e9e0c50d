//! What does OpenMetrics or Prometheus text hold? Samples with labels, as exporters and `promtool tsdb dump` write them.

use std::{borrow::Cow, collections::BTreeMap};

use super::{
    super::{error::MetricsError, number},
    File, Identity, Sink,
    open::Input,
};

/// The most families whose type is remembered.
const MAX_FAMILIES: usize = 100_000;
/// The most labels of one sample.
const MAX_LABELS: usize = 64;
/// A sample line, taken apart.
struct Line<'a> {
    name: &'a str,
    labels: Vec<(&'a str, Cow<'a, str>)>,
    value: &'a str,
    time: Option<&'a str>,
}

/// Reads OpenMetrics text.
pub fn read(mut input: Input, file: &File, sink: &mut Sink<'_>) -> Result<(), MetricsError> {
    let mut counters: BTreeMap<String, bool> = BTreeMap::new();
    let mut line = Vec::new();
    let mut number = 0u64;
    let mut timeless = 0u64;
    while input.line(&mut line).map_err(|e| Input::fault(&input.stop(), file, &e))? {
        number += 1;
        let text = String::from_utf8_lossy(&line);
        let text = text.trim();
        if let Some(comment) = text.strip_prefix('#') {
            if let Some((name, kind)) = comment.trim_start().strip_prefix("TYPE ").and_then(|rest| rest.trim().split_once(' '))
                && counters.len() < MAX_FAMILIES
            {
                counters.insert(name.to_owned(), matches!(kind.trim(), "counter"));
            }
            continue;
        }
        if text.is_empty() {
            continue;
        }
        let Some(parsed) = parse(text) else {
            sink.broken(number, text);
            continue;
        };
        let Some(time) = parsed.time else {
            timeless += 1;
            continue;
        };
        let Some(at) = sink.time(time, number) else { continue };
        let Some(value) = sink.cell(number::read(parsed.value, false), parsed.value, number) else { continue };
        let family = parsed.name.strip_suffix("_total").unwrap_or(parsed.name);
        let counter = counters.get(parsed.name).or_else(|| counters.get(family)).copied();
        // The parts of histograms and summaries are counters by their suffix.
        let counter = counter.or(if super::kind::is_counter_name(parsed.name) { None } else { Some(false) });
        sink.sample(Identity::of(parsed.name, &parsed.labels).sample(counter, at, value));
    }
    if timeless > 0 && sink.samples() == 0 {
        let problem =
            format!("none of its {timeless} samples has a timestamp: it shows one moment, not a series; export a range instead");
        return Err(MetricsError::file(&file.name, 0, problem));
    }
    if timeless > 0 {
        sink.remarks.push(format!("{timeless} samples without a timestamp were left out"));
    }
    Ok(())
}

fn parse(text: &str) -> Option<Line<'_>> {
    let end = text.find(|c: char| c == '{' || c.is_whitespace())?;
    let (name, mut rest) = text.split_at(end);
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = parse_labels(inner, &mut labels)?;
    }
    // `promtool` writes the name among the labels.
    let named = labels.iter().find(|(key, _)| *key == "__name__");
    let name = match (name.is_empty(), named) {
        (false, _) => name,
        (true, Some((_, Cow::Borrowed(name)))) => name,
        (true, Some((_, Cow::Owned(_))) | None) => return None,
    };
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == ':') {
        return None;
    }
    let mut words = rest.split_ascii_whitespace();
    let value = words.next()?;
    let time = words.next().filter(|word| *word != "#");
    Some(Line { name, labels, value, time })
}

/// Reads labels up to the closing brace; what follows it.
fn parse_labels<'a>(mut text: &'a str, labels: &mut Vec<(&'a str, Cow<'a, str>)>) -> Option<&'a str> {
    loop {
        text = text.trim_start().trim_start_matches(',').trim_start();
        if let Some(rest) = text.strip_prefix('}') {
            return Some(rest);
        }
        let (key, rest) = text.split_once('=')?;
        let rest = rest.trim_start().strip_prefix('"')?;
        let mut escaped = false;
        let end = rest.bytes().position(|b| {
            let closes = b == b'"' && !escaped;
            escaped = b == b'\\' && !escaped;
            closes
        })?;
        let raw = &rest[..end];
        let value = if raw.contains('\\') {
            Cow::Owned(raw.replace("\\\"", "\"").replace("\\n", "\n").replace("\\\\", "\\"))
        } else {
            Cow::Borrowed(raw)
        };
        if labels.len() >= MAX_LABELS {
            return None;
        }
        labels.push((key.trim(), value));
        text = &rest[end + 1..];
    }
}
