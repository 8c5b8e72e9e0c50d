//! `synod run`: a team, a task, a session.

use clap::Args;

use super::{CommandError, Exit, Global, Outcome, live, output, runtime};
use crate::{
    engine::{Engine, PrepareError, Prepared},
    team::{InputKind, InputSpec, Overrides, did_you_mean},
    value::{Map, Value},
};

/// Run a team on a task
#[derive(Debug, Args)]
pub(super) struct Run {
    /// A team file, or the name of a shipped team
    team: String,
    /// What is to be done, in words
    #[arg(long, value_name = "TEXT", default_value = "")]
    task: String,
    /// An input of the team; the value is text, or JSON where the input is a number, boolean, list or map
    #[arg(long = "input", value_name = "KEY=VALUE")]
    inputs: Vec<String>,
    /// Change a field of an agent's profile for this run; `*` is every agent
    ///
    /// A model is an alias that `synod models` lists, provider/id, script:FILE, replay:FILE (what was replied in an exported session,
    /// by the agent of the same name) or replay:FILE#ROLE (by that agent).
    #[arg(long = "set", value_name = "ROLE.FIELD=VALUE")]
    set: Vec<String>,
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
        let team = load(&engine, &self.team, &self.set, global.quiet)?;
        let inputs = inputs(&team, &self.inputs)?;
        let task = self.task(&team);
        let earlier = self.reuse.as_ref().map(|earlier| global.session(&engine, earlier)).transpose()?;
        runtime()?.block_on(async {
            let handle = match earlier {
                Some(earlier) => engine.start_reusing(&team, task, inputs, earlier).await?,
                None => engine.start(&team, task, inputs).await?,
            };
            live::follow(&engine, handle, global).await
        })
    }

    /// The task; where none is given, what the team is for.
    fn task(&self, team: &Prepared) -> String {
        if self.task.is_empty() { purpose(team) } else { self.task.clone() }
    }
}

/// What a team is for, which is what it does when nobody says.
pub(super) fn purpose(team: &Prepared) -> String {
    let described = team.team.as_ref().and_then(|t| t.description.clone());
    described.map_or_else(|| team.name.to_string(), |d| d.to_string())
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
    let specs = team.inputs();
    let Some(spec) = specs.iter().find(|s| *s.name == *name) else {
        let names: Vec<&str> = specs.iter().map(|s| s.name.as_ref()).collect();
        let hint = did_you_mean(name, names.iter().copied());
        let hint = hint.unwrap_or_else(|| {
            if names.is_empty() { "it takes none".to_owned() } else { format!("it takes {}", names.join(", ")) }
        });
        return Err(format!("the team has no input {name}; {hint}"));
    };
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
