//! `synod run`: a team, a task, a session.

use clap::Args;

use super::{
    CommandError, Exit, Global, Outcome,
    args::{InputArgs, TaskArgs, TeamArgs},
    live, output, runtime,
};
use crate::{
    engine::{Engine, PrepareError, Prepared},
    team::{InputKind, InputSpec, Overrides},
    value::{Map, Value},
};

/// Run a team on a task
#[derive(Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    team: TeamArgs,
    #[command(flatten)]
    task: TaskArgs,
    #[command(flatten)]
    inputs: InputArgs,
    /// Take over what models replied in an earlier session to the same requests, and say of the rest why not
    ///
    /// Whoever would be asked the same again is not asked: same profile, model, prompt, task, input, context and conversation. Rules
    /// judge anew, and tools look again, so that a change of what they read is seen. A node that made an irreversible call works
    /// anew, unless it says `reuse: always`; `reuse: false` takes nothing over.
    #[arg(long, value_name = "SESSION")]
    reuse: Option<String>,
}

impl Run {
    pub(super) fn run(&self, global: &Global) -> Outcome {
        let engine = global.engine()?;
        let team = self.team.load(&engine, global.quiet)?;
        let (task, inputs) = (self.task.of(&team), self.inputs.of(&team)?);
        let earlier = self.reuse.as_ref().map(|earlier| global.session(&engine, earlier)).transpose()?;
        runtime()?.block_on(async {
            let handle = match earlier {
                Some(earlier) => engine.start_reusing(&team, task, inputs, earlier).await?,
                None => engine.start(&team, task, inputs).await?,
            };
            live::follow(&engine, handle, global).await
        })
    }
}

/// What a team is for, which is what it does when nobody says.
pub(super) fn purpose(team: &Prepared) -> String {
    team.purpose().to_string()
}

/// Loads a team and shows what is wrong with it.
pub(super) fn load(engine: &Engine, team: &str, set: &[String], quiet: bool) -> Result<Prepared, CommandError> {
    let overrides = Overrides::parse(set).map_err(|found| {
        output::diagnostics(&found);
        CommandError::Invalid
    })?;
    match engine.load(team, &overrides) {
        Ok(prepared) => {
            if !quiet {
                output::diagnostics(&prepared.warnings);
            }
            Ok(prepared)
        }
        Err(PrepareError::Invalid(found)) => {
            output::diagnostics(&found);
            Err(CommandError::Invalid)
        }
        Err(other) => Err(CommandError::Engine(other.into())),
    }
}

/// The inputs as the team declares them.
pub(super) fn inputs(team: &Prepared, given: &[String]) -> Result<Map, CommandError> {
    let mut inputs = Map::new();
    for pair in given {
        let Some((key, text)) = pair.split_once('=') else {
            return Err(CommandError::Usage(format!("--input {pair}: write it as KEY=VALUE")));
        };
        let value = parse_input(team, key, text).map_err(|why| CommandError::Usage(format!("--input {pair}: {why}")))?;
        if inputs.insert(key.to_owned(), value).is_some() {
            return Err(CommandError::Usage(format!("--input {key} is given twice")));
        }
    }
    Ok(inputs)
}

/// An input that is given as text.
pub(super) fn parse_input(team: &Prepared, name: &str, text: &str) -> Result<Value, String> {
    let spec = team.input(name).map_err(|help| format!("the team has no input {name}; {help}"))?;
    parse(spec, text)
}

/// The text of an input: as it stands, or as JSON where the team takes a number, boolean, list or map.
pub(super) fn parse(spec: &InputSpec, text: &str) -> Result<Value, String> {
    match spec.kind {
        InputKind::String | InputKind::Folder | InputKind::File => Ok(Value::text(text)),
        InputKind::Integer | InputKind::Number | InputKind::Boolean | InputKind::List | InputKind::Map => {
            let json = serde_json::from_str::<serde_json::Value>(text).map_err(|e| e.to_string());
            let value = json.and_then(|json| Value::try_from(json).map_err(|e| e.to_string()));
            value.map_err(|why| format!("{} takes JSON here: {why}", spec.name))
        }
    }
}

/// Prints what came of a session, and says how the command ends.
pub(super) fn conclude(ended: &crate::engine::Ended, global: &Global) -> Outcome {
    let exit = Exit::of(ended.status);
    if global.json {
        output::json(&*ended.report)?;
    } else {
        output::text(&ended.report.markdown())?;
    }
    if !global.quiet {
        let id = ended.report.session;
        match exit {
            Exit::Interrupted => eprintln!("interrupted; go on with: synod resume {id}"),
            Exit::Parked => eprintln!("parked: a person must answer before it goes on; see: synod report {id}"),
            Exit::Done | Exit::Failed | Exit::Usage | Exit::OutOfBudget | Exit::Cancelled => {}
        }
    }
    Ok(exit)
}
