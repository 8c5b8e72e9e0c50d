//! How does a team file tune what its agents are watched for? [`DetectFile`], the key `detect` of `coordination_rules`.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::{
    file::Positive,
    read::{Found, Read, words, written},
    scalar::{Fraction, Whole},
    tree::{Kind, Node},
};
use crate::graph::{Detect, Detector, Evidence, Watch};

words! {
    Evidence, "a word for who must give evidence": Declared = "declared", Required = "required";
    Off, "the word that turns it off": Off = "off";
}

/// The word that turns something off.
#[derive(Clone, Copy, Debug, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(super) enum Off {
    /// It is not looked for.
    Off,
}

/// What agents are watched for: nothing, or all but what is turned off.
#[derive(Clone, Debug)]
pub(super) struct DetectFile(Switch<DetectMap>);

/// A detector that is turned off, or its bounds.
#[derive(Clone, Debug)]
pub(super) enum Switch<T> {
    Off,
    On(T),
}

written! {
    /// What agents are watched for; what is not named keeps its default.
    struct DetectMap is "`detect`", hints &[
        ("repetition", "did you mean `near_repetition`?"),
        ("loops", "write `detect: off` to turn all of it off"),
    ];
    /// The same call with the same result: from then on it is refused.
    repeated_call: Option<Switch<TimesFile>>,
    /// The same words to the same colleague: from then on they are refused.
    repeated_message: Option<Switch<TimesFile>>,
    /// One tool that fails in a row, in the same way.
    failing_call: Option<Switch<LikeFile>>,
    /// Turns in a row that say and do nearly the same, and bring nothing new.
    near_repetition: Option<Switch<LikeFile>>,
    /// Rounds of words between two agents, neither of which finds anything.
    ping_pong: Option<Switch<TimesFile>>,
    /// Turns in a row without a finding, a result or a variable that is new.
    no_progress: Option<Switch<TimesFile>>,
    /// Rounds of delegation in a row that bring no finding and no result that is new; or a new plan of what has failed, nearly in
    /// the same words to the same agents.
    looping_ledger: Option<Switch<LikeFile>>,
    /// A finish without the evidence that is declared.
    premature_end: Option<Switch<EvidenceFile>>,
}

written! {
    /// How often.
    struct TimesFile is "a detector", hints &[("similarity", "this detector compares nothing; it has `times` alone")];
    /// How often, or how many in a row.
    times: Option<Positive>,
}

written! {
    /// How often, and how alike.
    struct LikeFile is "a detector", hints &[("threshold", "did you mean `similarity`?")];
    /// How many in a row.
    times: Option<Positive>,
    /// From which similarity on two of them count as the same; 1 is the same but for case, marks and numbers.
    similarity: Option<Fraction>,
}

written! {
    /// Who must give evidence.
    struct EvidenceFile is "a detector", hints &[("times", "an agent is told once, and stopped the second time")];
    /// Agents whose `output_schema` requires `evidence` (`declared`), or every member (`required`).
    #[schemars(extend("default" = "declared"))]
    evidence: Option<Evidence>,
}

impl DetectFile {
    /// The detectors that are on, with their bounds.
    pub(super) fn detect(&self) -> Detect {
        let Switch::On(map) = &self.0 else { return Detect(std::collections::BTreeMap::new()) };
        let times = |written: &Option<Switch<TimesFile>>| written.as_ref().map(|s| s.map(|w| (w.times, None, None)));
        let like = |written: &Option<Switch<LikeFile>>| written.as_ref().map(|s| s.map(|w| (w.times, w.similarity, None)));
        let tuned = |detector: Detector| match detector {
            Detector::RepeatedCall => times(&map.repeated_call),
            Detector::RepeatedMessage => times(&map.repeated_message),
            Detector::NearRepetition => like(&map.near_repetition),
            Detector::FailingCall => like(&map.failing_call),
            Detector::PingPong => times(&map.ping_pong),
            Detector::NoProgress => times(&map.no_progress),
            Detector::LoopingLedger => like(&map.looping_ledger),
            Detector::PrematureEnd => map.premature_end.as_ref().map(|s| s.map(|w| (None, None, w.evidence))),
        };
        let on = Detector::ALL.into_iter().filter_map(|detector| {
            let default = detector.default_bounds();
            let watch = match tuned(detector) {
                None => default,
                Some(Switch::Off) => return None,
                Some(Switch::On((times, similarity, evidence))) => Watch {
                    times: times.map_or(default.times, Whole::count),
                    similarity: similarity.map_or(default.similarity, |fraction| fraction.0),
                    evidence: evidence.unwrap_or(default.evidence),
                },
            };
            Some((detector, watch))
        });
        Detect(on.collect())
    }
}

impl<T> Switch<T> {
    fn map<U>(&self, with: impl FnOnce(&T) -> U) -> Switch<U> {
        match self {
            Self::Off => Switch::Off,
            Self::On(thing) => Switch::On(with(thing)),
        }
    }
}

impl<T: Read> Read for Switch<T> {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        match node.kind {
            Kind::Text(_) => Off::read(node, found).map(|Off::Off| Self::Off),
            _ => T::read(node, found).map(Self::On),
        }
    }
}

impl Read for DetectFile {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        Switch::read(node, found).map(Self)
    }
}

impl<T: JsonSchema> JsonSchema for Switch<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("{}OrOff", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (off, on) = (generator.subschema_for::<Off>(), generator.subschema_for::<T>());
        schemars::json_schema!({ "anyOf": [off, on] })
    }
}

impl JsonSchema for DetectFile {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DetectFile".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Switch<DetectMap>>()
    }
}
