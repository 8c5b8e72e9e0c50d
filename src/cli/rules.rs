//! `synod rules`: tests of rule scripts, and what rules get to know.

use clap::{Args, Subcommand};

use super::{Exit, Global, Outcome};

/// Test rule scripts, and show what rules get to know
#[derive(Debug, Args)]
pub(super) struct Rules {
    #[command(subcommand)]
    command: RulesCommand,
}

#[derive(Debug, Subcommand)]
enum RulesCommand {
    /// Run the `test_*` functions of rule scripts
    Test {
        /// Script files, or teams whose rule scripts are tested
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<String>,
    },
    /// Print a sample of what a rule gets to know
    Facts {
        /// The rule, such as `settle`
        name: String,
    },
}

impl Rules {
    pub(super) fn run(&self, _global: &Global) -> Outcome {
        match &self.command {
            RulesCommand::Test { .. } | RulesCommand::Facts { .. } => Ok(Exit::Done),
        }
    }
}
