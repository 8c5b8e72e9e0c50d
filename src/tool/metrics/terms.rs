//! Which words may a question use? The choices of [`super::args::Args`], each with its names in arguments and results.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// The series that there are.
    List,
    /// Their points.
    Range,
    /// Their statistics.
    Aggregate,
    /// What changed, and when.
    Changes,
    /// What stands out.
    Outliers,
    /// A window beside a baseline.
    Compare,
}

/// How series are grouped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// Not at all.
    #[default]
    Series,
    /// Instances and labels of a service together, metrics apart.
    Service,
    /// All services together, metrics apart.
    Metric,
    /// A service's metrics of one kind together.
    Kind,
    /// Everything together.
    All,
}

/// A statistic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agg {
    /// How many samples.
    Count,
    /// The least.
    Min,
    /// The most.
    Max,
    /// The mean.
    Mean,
    /// The middle.
    Median,
    /// The 90th percentile.
    P90,
    /// The 95th percentile.
    P95,
    /// The 99th percentile.
    P99,
    /// The sum; of a counter, its increase.
    Sum,
    /// The standard deviation of a sample.
    Stddev,
    /// The change per second between first and last; of a counter, its increase per second.
    Rate,
    /// The earliest.
    First,
    /// The latest.
    Last,
}

/// How counters are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Counters {
    /// As increase per second.
    Rate,
    /// As they are.
    Raw,
}

/// Who is compared with whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Peers {
    /// The instances of one service.
    Instances,
    /// All services.
    Services,
}

/// One text or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Texts {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

/// A time.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum When {
    /// Seconds (or milli-, micro-, nanoseconds) since the epoch.
    Number(f64),
    /// Any form that files may have.
    Text(String),
}

/// What is normal.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Baseline {
    /// A file or folder.
    Path(String),
    /// A part of it.
    Window(Window),
}

/// A part of a file or folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// A file or folder; the question's own when absent.
    #[serde(default)]
    pub path: Option<String>,
    /// Its beginning.
    #[serde(default)]
    pub since: Option<When>,
    /// Its end.
    #[serde(default)]
    pub until: Option<When>,
}

/// Begin and end, either open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Not before.
    pub from: Option<i64>,
    /// Not after.
    pub to: Option<i64>,
}

/// The schemas of what may be one thing or another: a plain list of types, which models read and complaints name.
macro_rules! schema_of {
    ($type:ident: $schema:tt) => {
        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }

            fn inline_schema() -> bool {
                true
            }
        }
    };
}
schema_of!(Texts: { "type": ["string", "array"], "items": { "type": "string" } });
schema_of!(When: { "type": ["string", "number"] });
schema_of!(Baseline: {
    "type": ["string", "object"],
    "properties": {
        "path": { "type": "string", "description": "A file or folder; the question's own when absent." },
        "since": { "type": ["string", "number"], "description": "Its beginning." },
        "until": { "type": ["string", "number"], "description": "Its end." }
    },
    "additionalProperties": false
});

impl Texts {
    /// The texts.
    pub fn list(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

impl Agg {
    /// All statistics.
    pub const ALL: [Self; 13] = [
        Self::Count,
        Self::Min,
        Self::Max,
        Self::Mean,
        Self::Median,
        Self::P90,
        Self::P95,
        Self::P99,
        Self::Sum,
        Self::Stddev,
        Self::Rate,
        Self::First,
        Self::Last,
    ];

    /// The name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Min => "min",
            Self::Max => "max",
            Self::Mean => "mean",
            Self::Median => "median",
            Self::P90 => "p90",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::Sum => "sum",
            Self::Stddev => "stddev",
            Self::Rate => "rate",
            Self::First => "first",
            Self::Last => "last",
        }
    }
}
