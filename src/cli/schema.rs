//! `synod schema`: the JSON Schema of a file, for editors.

use clap::{Args, ValueEnum};

use super::{Exit, Global, Outcome, output};
use crate::team::{schema_profile, schema_team, schema_test};

/// What kind of file.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// Who an agent is
    Profile,
    /// Who works together, and how
    Team,
    /// What must come of a team's runs
    Test,
}

/// Print the JSON Schema of a file
#[derive(Debug, Args)]
pub(super) struct Schema {
    /// What kind of file
    kind: Kind,
}

impl Schema {
    pub(super) fn run(&self, _global: &Global) -> Outcome {
        let schema = match self.kind {
            Kind::Profile => schema_profile(),
            Kind::Team => schema_team(),
            Kind::Test => schema_test(),
        };
        let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
        output::raw(&format!("{text}\n"))?;
        Ok(Exit::Done)
    }
}
