//! `synod plan`: the worst case, before anything happens.

use clap::{Args, ValueEnum};

use super::{CommandError, Exit, Global, Outcome, output, run::load};
use crate::plan as planner;

/// How a plan is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For Markdown pages
    Mermaid,
    /// For Graphviz
    Dot,
    /// For machines
    Json,
}

/// Show what a team would do at worst, before it does anything
#[derive(Debug, Args)]
pub(super) struct Plan {
    /// A team file, or the name of a shipped team
    team: String,
    /// How to draw it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Print the team as a `graph` team file that compiles to the same plan
    #[arg(long)]
    expand: bool,
    /// Change a field of an agent's profile; `*` is every agent
    #[arg(long = "set", value_name = "ROLE.FIELD=VALUE")]
    set: Vec<String>,
}

impl Plan {
    pub(super) fn run(&self, global: &Global) -> Outcome {
        let engine = global.bare_engine();
        let prepared = load(&engine, &self.team, &self.set, global.quiet)?;
        let Some(team) = &prepared.team else { return Err(CommandError::Usage("the plan has no team".to_owned())) };
        if self.expand {
            let spelled = planner::expand(team).map_err(|found| {
                output::diagnostics(&found);
                CommandError::Invalid
            })?;
            output::text(&spelled)?;
            return Ok(Exit::Done);
        }
        let review = engine.review(&prepared);
        let format = if global.json { Format::Json } else { self.format };
        match format {
            Format::Text => output::text(&planner::describe(&prepared.plan, &review))?,
            Format::Mermaid => output::text(&planner::draw_mermaid(&prepared.plan))?,
            Format::Dot => output::text(&planner::draw_dot(&prepared.plan))?,
            Format::Json => output::json(&planner::draw_json(&prepared.plan, &review))?,
        }
        Ok(Exit::Done)
    }
}
