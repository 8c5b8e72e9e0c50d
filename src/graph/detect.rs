//! Which loops does a team watch for? [`Detect`]: the detectors that are on, each with its bounds.
//!
//! What a detector looks for stands in a file of its own in `turn/detect`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A way in which an agent goes round in circles, or stops too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detector {
    /// The same call, with the same result.
    RepeatedCall,
    /// The same words to the same colleague.
    RepeatedMessage,
    /// Turn after turn nearly the same words and arguments, and nothing new came of it.
    NearRepetition,
    /// One tool fails again and again, in the same way.
    FailingCall,
    /// Two agents write to each other, or hand over to each other, back and forth, and find nothing.
    PingPong,
    /// Turns without a finding, a result or a variable that is new.
    NoProgress,
    /// A finish without the evidence that is declared.
    PrematureEnd,
    /// Rounds of delegation that bring nothing new, or a new plan that gives again what has failed.
    LoopingLedger,
}

impl Detector {
    /// All of them, in the order in which they are looked at.
    pub const ALL: [Self; 8] = [
        Self::RepeatedCall,
        Self::RepeatedMessage,
        Self::FailingCall,
        Self::NearRepetition,
        Self::PingPong,
        Self::NoProgress,
        Self::PrematureEnd,
        Self::LoopingLedger,
    ];

    /// The name that files and reasons use.
    pub fn name(self) -> &'static str {
        match self {
            Self::RepeatedCall => "repeated_call",
            Self::RepeatedMessage => "repeated_message",
            Self::NearRepetition => "near_repetition",
            Self::FailingCall => "failing_call",
            Self::PingPong => "ping_pong",
            Self::NoProgress => "no_progress",
            Self::PrematureEnd => "premature_end",
            Self::LoopingLedger => "looping_ledger",
        }
    }

    /// Its bounds where a team does not say.
    pub fn default_bounds(self) -> Watch {
        let (times, similarity) = match self {
            Self::RepeatedCall | Self::RepeatedMessage => (2, 1.0),
            Self::NearRepetition => (4, 0.9),
            Self::FailingCall => (4, 0.8),
            Self::PingPong => (4, 1.0),
            Self::NoProgress => (6, 0.9),
            Self::PrematureEnd => (1, 1.0),
            Self::LoopingLedger => (1, 0.9),
        };
        Watch { times, similarity, evidence: Evidence::Declared }
    }
}

/// The bounds of a detector.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    /// How often the same is answered (repeated calls and messages), or how many turns, failures or exchanges in a row it takes.
    pub times: u32,
    /// From which similarity, from 0 to 1, two texts count as the same.
    pub similarity: f64,
    /// Who must give evidence before it finishes.
    pub evidence: Evidence,
}

/// Who must give evidence before it finishes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Agents whose `output_schema` names `evidence` among what is required.
    #[default]
    Declared,
    /// Every agent, for its own work.
    Required,
}

/// The detectors of a team that are on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Detect(pub BTreeMap<Detector, Watch>);

impl Default for Detect {
    /// All, with their default bounds.
    fn default() -> Self {
        Self(Detector::ALL.into_iter().map(|detector| (detector, detector.default_bounds())).collect())
    }
}

impl Detect {
    /// The bounds of a detector that is on.
    pub fn get(&self, detector: Detector) -> Option<&Watch> {
        self.0.get(&detector)
    }
}
