//! What did the author ask for?
//!
//! As written ([`TeamFile`], [`ProfileFile`]) and resolved ([`Team`], [`crate::value::Profile`]) are two types. Reading goes
//! through [`Sources`], so that nothing here touches a file system.

mod catalog;
mod code;
mod detect;
mod diagnostic;
mod file;
mod latency;
mod load;
mod node;
mod node_file;
mod not_yet;
mod overrides;
mod profile;
mod read;
mod render;
mod resolve;
mod rules;
mod scalar;
mod schema;
mod sources;
mod spec;
mod suggest;
mod suite;
mod syntax;
mod tools;
mod tree;

pub use catalog::{Model, ModelCatalog, Price, Provider, ProviderKind, RateLimits, Structured, Timeouts};
pub use code::Code;
pub(crate) use diagnostic::printable;
pub use diagnostic::{Diagnostic, Severity, finish};
pub use latency::{Latencies, Latency, load_latencies};
pub use load::{
    Known, Loaded, LoadedProfile, MAX_FILES, MAX_TEAM_DEPTH, MAX_TEAMS, check, is_profile, load_profile, load_team, read_team,
};
pub use overrides::{MAX_OVERRIDES, OVERRIDES_NAME, Overrides};
pub use profile::{DEFAULT_PROMPT, LETTER_NAMES, PROMPT_NAMES};
pub use render::render;
pub use resolve::COORDINATOR;
pub use rules::fits;
pub use scalar::parse_span;
pub use schema::{schema_profile, schema_team};
pub use sources::{LIBRARY, MapSources, SourceError, Sources, beside};
pub use spec::{
    After, AfterOn, AskSpec, Body, Coordination, Delegation, InputKind, InputSpec, MemberSpec, NodeSpec, Pattern, ResultBy,
    Script, Team, Text, ToolSpecNode, What,
};
pub use suggest::{did_you_mean, nearest};
pub use suite::{
    At, Budget, Case, DecisionWant, EscalationWant, Expect, FindingWant, MAX_CASES, MessageWant, NodeWant, ScriptedReply,
    StandIn, Suite, TEST_FILES, Table, ToolAnswer, Want, is_suite, load_suite, schema_test,
};
pub use tree::{MAX_ALIASES, MAX_DEPTH, MAX_FILE_BYTES, MAX_NODES, MAX_RECORDING_BYTES, max_bytes};

#[cfg(test)]
mod tests;
