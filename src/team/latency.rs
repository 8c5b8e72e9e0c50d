//! How long do models, tools and people take, as an author says it? [`load_latencies`] reads the file that `simulate --latency` takes.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Code, Diagnostic, Loaded, Sources, finish,
    read::{Found, Must, Named, Read, Spot, written},
    scalar::{Fraction, Span},
    tree,
};
use crate::value::Place;

written! {
    /// How long models, tools and people take.
    #[schemars(title = "Synod latencies", inline)]
    struct LatencyFile is "a file of latencies", hints &[("model", "did you mean `models`?"), ("tool", "did you mean `tools`?")];
    /// Models by name; `default` is every other one that is asked over a network, `script` every other script.
    models: Option<Named<Spot<RowFile>>>,
    /// Tools by name; `default` is every other one.
    tools: Option<Named<Spot<RowFile>>>,
    /// People who are asked.
    people: Option<Spot<RowFile>>,
}

written! {
    /// How long something takes.
    struct RowFile is "a latency", hints &[("median", "did you mean `p50`?"), ("failure", "did you mean `fails`?")];
    /// What a tenth stays below; half of the median where it is not said.
    p10: Option<Span>,
    /// The median.
    p50: Must<Span>,
    /// What nine tenths stay below; three times the median where it is not said.
    p90: Option<Span>,
    /// What 99 % stay below; three times that where it is not said.
    p99: Option<Span>,
    /// The share that fails, from 0 to 1.
    fails: Option<Fraction>,
}

/// How long something takes, as a file says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// Milliseconds at 10, 50, 90 and 99 %.
    pub millis: [f64; 4],
    /// The share that fails; `None` where the file does not say.
    pub fails: Option<f64>,
}

/// What a file says of how long things take.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Latencies {
    /// Of models, by name, `default` or `script`.
    pub models: BTreeMap<Arc<str>, Latency>,
    /// Of tools, by name or `default`.
    pub tools: BTreeMap<Arc<str>, Latency>,
    /// Of people.
    pub people: Option<Latency>,
}

/// The latencies in the file of that name.
///
/// # Errors
/// Every mistake in it.
pub fn load_latencies(name: &str, sources: &dyn Sources) -> Loaded<Latencies> {
    let file: Arc<str> = Arc::from(name);
    let place = Place { file: file.clone(), line: 0, column: 0 };
    let text = sources.read(name).map_err(|error| {
        let message = format!("{name} cannot be read: {error}");
        vec![Diagnostic::error(Code::Unreadable, &place, message).help("give the path of a file, or `past`")]
    })?;
    let mut found = Vec::new();
    let read = match tree::parse(&file, &text) {
        Ok(node) => LatencyFile::read(&node, &mut found),
        Err(error) => {
            found.push(*error);
            None
        }
    };
    let mut latencies = Latencies::default();
    if let Some(file) = read {
        latencies.models = rows(file.models, &mut found);
        latencies.tools = rows(file.tools, &mut found);
        latencies.people = file.people.and_then(|people| row(people, &mut found));
    }
    finish(&mut found, &BTreeMap::from([(name.to_owned(), text)]));
    if found.iter().any(Diagnostic::is_error) { Err(found) } else { Ok((latencies, found)) }
}

fn rows(written: Option<Named<Spot<RowFile>>>, found: &mut Found) -> BTreeMap<Arc<str>, Latency> {
    let rows = written.into_iter().flat_map(|named| named.entries);
    rows.filter_map(|(key, written)| Some((key.name, row(written, found)?))).collect()
}

fn row(written: Spot<RowFile>, found: &mut Found) -> Option<Latency> {
    let millis = |span: Span| span.0.as_secs_f64() * 1e3;
    let p50 = millis(written.p50.0?);
    let p10 = written.p10.map_or(p50 / 2.0, millis);
    let p90 = written.p90.map_or(p50 * 3.0, millis);
    let p99 = written.p99.map_or(p90 * 3.0, millis);
    if !(p10 <= p50 && p50 <= p90 && p90 <= p99) {
        let error = written.error(Code::OutOfRange, "the times do not rise from p10 to p99");
        found.push(error.help("p10 is at most p50, p50 at most p90, and p90 at most p99"));
        return None;
    }
    Some(Latency { millis: [p10, p50, p90, p99], fails: written.fails.map(|share| share.0) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::team::MapSources;

    fn read(text: &str) -> Loaded<Latencies> {
        load_latencies("l.yaml", &MapSources::default().with("l.yaml", text))
    }

    #[test]
    fn what_is_not_said_follows_from_the_median() {
        let (read, _) =
            read("models: { default: { p50: 2s, fails: 0.1 } }\ntools: { Bash: { p10: 1s, p50: 2s, p90: 3s, p99: 4s } }\n")
                .unwrap();
        assert_eq!(read.models["default"], Latency { millis: [1e3, 2e3, 6e3, 18e3], fails: Some(0.1) });
        assert_eq!(read.tools["Bash"], Latency { millis: [1e3, 2e3, 3e3, 4e3], fails: None });
        assert_eq!(read.people, None);
    }

    #[test]
    fn mistakes_have_their_place() {
        let found = read("models: { default: { p50: 2s, p90: 1s } }\ntools: { Bash: { p90: soon } }\npeopl: {}\n").unwrap_err();
        let places: Vec<_> = found.iter().map(|d| (d.code, d.line)).collect();
        assert_eq!(places, [(Code::OutOfRange, 1), (Code::MissingKey, 2), (Code::BadDuration, 2), (Code::UnknownKey, 3)]);
    }
}
