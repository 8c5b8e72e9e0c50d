//! `synod fork`: a session that shares the past of another one.

use clap::Args;

use super::{CommandError, Exit, Global, Outcome, live, output, run, runtime};
use crate::{
    engine::{Changes, EngineError},
    event::Started,
    state::State,
    team::InputSpec,
    value::{Seq, Value},
};

/// Go on from a point in the past of a session, as a session of its own
///
/// The new session has a copy of the records up to that one and goes on from there, with what `--set` and `--task` change; the
/// other session stays as it is. `synod show` lists the records of a session with their numbers, `synod diff` tells two sessions
/// apart. What was in flight at that point is asked and called anew; whether an irreversible call without a result there happened,
/// a person is asked. What the shared past took counts against the limits, as it does in the other session.
#[derive(Debug, Args)]
pub(super) struct Fork {
    /// The session's id, or the beginning of it
    session: String,
    /// The last record that is shared
    #[arg(long, value_name = "SEQ")]
    at: u64,
    /// Give an input or a variable of the team another value from there on; `input.NAME` or `variable.NAME` where both have the name
    ///
    /// The value of an input is read as `run --input` reads it; for a variable whatever is JSON is JSON.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// What is to be done from there on; who has begun keeps the task that it was given
    #[arg(long, value_name = "TEXT")]
    task: Option<String>,
    /// Only make the session; `synod resume` goes on with it
    #[arg(long)]
    no_run: bool,
}

impl Fork {
    pub(super) fn run(&self, global: &Global) -> Outcome {
        let engine = global.engine()?;
        let session = global.session(&engine, &self.session)?;
        let records = engine.store().read(session, Seq(0), 1)?;
        let started = State::fold(&records)?.started;
        let takes = engine.inputs_of(&started);
        let mut changes = Changes { task: self.task.clone(), ..Changes::default() };
        for pair in &self.set {
            set(&mut changes, pair, &started, &takes)?;
        }
        runtime()?.block_on(async {
            let fork = engine.fork(session, Seq(self.at), changes).await?;
            let first = engine.store().read(fork, Seq(0), 1)?;
            let at = State::fold(&first)?.started.forked.map_or(Seq(self.at), |from| from.at);
            if at.0 != self.at && !global.quiet {
                eprintln!("record {} is a part of what ends with record {at}: that is shared as well", self.at);
            }
            if !self.no_run {
                let made = |_: &EngineError| eprintln!("the fork is {fork}; `synod resume {fork}` goes on with it");
                let handle = engine.resume(fork).await.inspect_err(made)?;
                return live::follow(&engine, handle, global).await;
            }
            if global.json {
                output::json(&serde_json::json!({ "session": fork, "forked_from": session, "at": at }))?;
            } else {
                output::text(&format!("{fork}\n"))?;
            }
            Ok(Exit::Done)
        })
    }
}

/// Reads one `--set`. A name that is no input is a variable's; the engine says which there are.
fn set(changes: &mut Changes, pair: &str, started: &Started, takes: &[InputSpec]) -> Result<(), CommandError> {
    let wrong = |why: &str| CommandError::Usage(format!("--set {pair}: {why}"));
    let (name, text) = pair.split_once('=').ok_or_else(|| wrong("write it as NAME=VALUE"))?;
    let (is_input, name) = match name.split_once('.') {
        Some(("input", name)) => (true, name),
        Some(("variable", name)) => (false, name),
        _ => (started.inputs.contains_key(name) || started.plan.inputs.contains_key(name), name),
    };
    let json = || serde_json::from_str::<serde_json::Value>(text).ok().and_then(|json| Value::try_from(json).ok());
    let value = match takes.iter().find(|spec| is_input && *spec.name == *name) {
        Some(spec) => run::parse(spec, text).map_err(|why| wrong(&why))?,
        None => json().unwrap_or_else(|| Value::text(text)),
    };
    let all = if is_input { &mut changes.inputs } else { &mut changes.variables };
    match all.insert(name.to_owned(), value) {
        Some(_) => Err(wrong("it is given twice")),
        None => Ok(()),
    }
}
