//! Which arguments do several commands take? [`TeamArgs`], [`TaskArgs`] and [`InputArgs`], each with what it says of itself.

use std::sync::Arc;

use clap::Args;

use super::{CommandError, run};
use crate::{
    engine::{Engine, Prepared},
    value::Map,
};

/// A team, and what is changed of it.
#[derive(Debug, Args)]
pub(super) struct TeamArgs {
    /// A team file, or the name of a shipped team
    pub(super) team: String,
    /// Change a field of an agent's profile for this call; `*` is every agent
    ///
    /// A model is an alias that `synod models` lists, provider/id, script:FILE, replay:FILE (what was replied in an exported session,
    /// by the agent of the same name) or replay:FILE#ROLE (by that agent).
    #[arg(long = "set", value_name = "ROLE.FIELD=VALUE")]
    pub(super) set: Vec<String>,
}

impl TeamArgs {
    /// Loads it and shows what is wrong with it.
    pub(super) fn load(&self, engine: &Engine, quiet: bool) -> Result<Prepared, CommandError> {
        run::load(engine, &self.team, &self.set, quiet)
    }
}

/// What a team is to do.
#[derive(Debug, Args)]
pub(super) struct TaskArgs {
    /// What is to be done, in words; what the team is for by default
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    task: String,
}

impl TaskArgs {
    /// The task; where none is given, what the team is for.
    pub(super) fn of(&self, team: &Prepared) -> Arc<str> {
        if self.task.is_empty() { team.purpose() } else { Arc::from(&*self.task) }
    }
}

/// What a team is given.
#[derive(Debug, Args)]
pub(super) struct InputArgs {
    /// An input of the team; the value is text, or JSON where the input is a number, boolean, list or map
    #[arg(long = "input", value_name = "KEY=VALUE")]
    inputs: Vec<String>,
}

impl InputArgs {
    /// The inputs as the team declares them.
    pub(super) fn of(&self, team: &Prepared) -> Result<Map, CommandError> {
        run::inputs(team, &self.inputs)
    }
}
