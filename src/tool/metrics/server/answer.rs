//! What does a server say? [`Envelope`] around [`Found`], the JSON of Prometheus' HTTP API, version 1.

use std::collections::BTreeMap;

use serde::{Deserialize, de::IgnoredAny};

use super::super::{
    clock::SECOND,
    read::{Identity, NAME, Sink},
};

/// Characters of a query that stand for the name of a metric where an expression has none.
const MAX_NAME: usize = 120;

/// What every answer is wrapped in.
#[derive(Debug, Deserialize)]
pub struct Envelope<T> {
    /// `success` or `error`.
    pub status: String,
    /// What was asked for.
    pub data: Option<T>,
    /// What kind of error: `bad_data`, `execution`, `timeout`, …
    #[serde(default, rename = "errorType")]
    pub error_type: String,
    /// The error.
    #[serde(default)]
    pub error: String,
    /// What was wrong although there is an answer.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// What may be wrong with the query.
    #[serde(default)]
    pub infos: Vec<String>,
}

/// The result of a query.
#[derive(Debug, Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
pub enum Found {
    /// Series.
    Matrix(Vec<Line>),
    /// Series at one time.
    Vector(Vec<Line>),
    /// A number.
    Scalar(Pair),
    /// A text.
    String(IgnoredAny),
}

/// One series of a result.
#[derive(Debug, Deserialize)]
pub struct Line {
    /// Its labels.
    #[serde(default)]
    metric: BTreeMap<String, String>,
    /// Of a matrix.
    #[serde(default)]
    values: Vec<Pair>,
    /// Of a vector.
    value: Option<Pair>,
    /// Distributions, of a matrix.
    #[serde(default)]
    histograms: Vec<IgnoredAny>,
    /// A distribution, of a vector.
    histogram: Option<IgnoredAny>,
}

/// Seconds since the epoch, and a value as text: `NaN` and `+Inf` are no JSON.
#[derive(Debug, Deserialize)]
pub struct Pair(f64, String);

/// What of an answer is no sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Odd {
    /// Distributions.
    pub histograms: usize,
    /// Values that are no numbers.
    pub wordy: usize,
    /// Whether it was a text.
    pub text: bool,
}

impl Found {
    /// Its only number, where it has one: of `count(…)` or `sum(…)`.
    pub fn number(&self) -> Option<f64> {
        let pair = match self {
            Self::Matrix(_) | Self::String(_) => None,
            Self::Vector(lines) => lines.first().and_then(|line| line.value.as_ref()),
            Self::Scalar(pair) => Some(pair),
        };
        pair?.1.parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// Gives its samples to `sink`. What has no name is called as it was asked for, by `query`.
    pub fn take(&self, query: &str, sink: &mut Sink<'_>) -> Odd {
        let mut odd = Odd::default();
        let name = name_of(query);
        match self {
            Self::Matrix(lines) | Self::Vector(lines) => lines.iter().for_each(|line| line.take(&name, sink, &mut odd)),
            Self::Scalar(pair) => pair.take(&Identity::of(&name, &[] as &[(&str, &str)]), Some(false), sink, &mut odd),
            Self::String(_) => odd.text = true,
        }
        odd
    }
}

impl Line {
    fn take(&self, name: &str, sink: &mut Sink<'_>, odd: &mut Odd) {
        let labels: Vec<(&String, &String)> = self.metric.iter().collect();
        let named = self.metric.get(NAME);
        let identity = Identity::of(named.map_or(name, String::as_str), &labels);
        // What an expression makes of a counter is none any more, or the author of the expression wants to see it as it is.
        let counter = if named.is_some() { None } else { Some(false) };
        for pair in self.values.iter().chain(&self.value) {
            pair.take(&identity, counter, sink, odd);
        }
        odd.histograms += self.histograms.len() + usize::from(self.histogram.is_some());
    }
}

impl Pair {
    fn take(&self, identity: &Identity<'_>, counter: Option<bool>, sink: &mut Sink<'_>, odd: &mut Odd) {
        match self.1.parse::<f64>() {
            // The cast saturates; no server has samples at such times.
            Ok(value) => sink.sample(identity.sample(counter, (self.0 * SECOND as f64).round() as i64, value)),
            Err(_) => odd.wordy += 1,
        }
    }
}

/// The query in one line, shortened.
fn name_of(query: &str) -> String {
    let words: Vec<&str> = query.split_whitespace().collect();
    let line = words.join(" ");
    if line.chars().count() <= MAX_NAME { line } else { format!("{}…", line.chars().take(MAX_NAME).collect::<String>()) }
}
