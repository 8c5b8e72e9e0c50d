//! `synod batch`: a team, a file of tasks, a file of results.

mod keys;
mod out;
mod summary;
mod tasks;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use clap::Args;

use self::{
    keys::{Key, Keys},
    out::{Out, Written},
    summary::{Progress, Summary},
    tasks::{Common, Tasks, Wrong},
};
use super::{CommandError, Exit, Global, Outcome, live, output, run, runtime};
use crate::{
    engine::{Batch, BatchOptions, BatchTask, Engine, MAX_CONCURRENCY, Prepared},
    report::Standing,
};

/// Lines that are no tasks and are shown; the others are counted.
const WRONG_SHOWN: u64 = 20;

/// Run a team on many tasks, each once
///
/// A line of the tasks is {"key": "…", "task": "…", "inputs": {…}}; task and inputs may be left out. A file that ends in .csv has the
/// columns key, task and inputs.NAME. A line of the results is {"key", "session", "status", "output", "metrics", "digest"}; with "error" where
/// it is not completed, and "changed" where its session began with other files of the team than there are now. The digest is one of the task.
///
/// A key stands for one task of the batch: killed and started again, the command goes on with what had begun, does nothing twice and
/// completes the results. Ctrl-C leaves everything so that it can go on. A session that `gc` has removed is known by its result alone: keep
/// the file of results.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 all completed, 1 some failed or could not be run, 2 usage or an invalid line, 3 some are parked for a \
                        person, 4 some ran out of budget, 5 some were cancelled, 130 interrupted (run it again). The first of 130, 2, 1, \
                        4, 5, 3 that holds counts."
)]
pub(super) struct BatchCommand {
    /// A team file, or the name of a shipped team
    team: String,
    /// The tasks: a file of JSON lines, a .csv file, or - for JSON lines on stdin
    #[arg(long, value_name = "FILE")]
    tasks: PathBuf,
    /// Where results go, a JSON line each; what is there already stands. With /dev/stdout the summary goes to stderr
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Sessions that run at once
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=MAX_CONCURRENCY as i64))]
    concurrency: u16,
    /// Write results in the order of the tasks, not as they come, and none after the first that is not there yet. The result of a task that
    /// is put among the others later comes last, as does that of a line that is put right after --skip-invalid
    #[arg(long)]
    ordered: bool,
    /// Do tasks again that failed, ran out of budget or were cancelled
    #[arg(long)]
    retry_failed: bool,
    /// The batch that keys belong to; by default the path of the file of tasks, as seen from the folder of the store
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    batch: Option<String>,
    /// An input of every task that does not set it
    #[arg(long = "input", value_name = "KEY=VALUE")]
    inputs: Vec<String>,
    /// Change a field of an agent's profile, as in `synod run`
    #[arg(long = "set", value_name = "ROLE.FIELD=VALUE")]
    set: Vec<String>,
    /// Leave lines out that are no tasks; otherwise no task is begun after one
    #[arg(long)]
    skip_invalid: bool,
}

/// What the thread that reads tasks has seen.
#[derive(Debug, Default)]
struct Intake {
    /// Tasks, those that were done before among them.
    tasks: u64,
    done_before: u64,
    invalid: u64,
    /// Tasks whose key has the result of another task.
    not_run: u64,
}

impl BatchCommand {
    pub(super) fn run(&self, global: &Global) -> Outcome {
        if self.batch.is_none() && tasks::is_pipe(&self.tasks) {
            let why = "what comes through a pipe has no name; give one with --batch NAME";
            return Err(CommandError::Usage(format!("--tasks {}: {why}", self.tasks.display())));
        }
        let place = |path: &Path| path.canonicalize().ok();
        if place(&self.out).is_some_and(|out| place(&self.tasks) == Some(out)) {
            return Err(CommandError::Usage("--tasks and --out are the same file: name another one with --out".to_owned()));
        }
        let engine = global.engine()?;
        let team = run::load(&engine, &self.team, &self.set, global.quiet)?;
        let inputs = run::inputs(&team, &self.inputs)?;
        let common = Common { engine: engine.clone(), team: team.clone(), task: run::purpose(&team).into(), inputs };
        let from = self.open(common.clone())?;
        let name = self.batch.clone().or_else(|| engine.known_as(&self.tasks));
        let name: Arc<str> = name.unwrap_or_else(|| self.tasks.to_string_lossy().into_owned()).into();
        let (mut keys, mut summary) = (Keys::default(), Summary::new(&name, &team.name, &self.out));
        let mut out = Out::open(&self.out)?;
        let removed = self.take_over(&mut out, &engine, &team, &name, common, (&mut keys, &mut summary))?;
        if removed > 0 && !global.quiet {
            eprintln!("{removed} results in {} make way for new ones of their tasks", self.out.display());
        }
        let total = tasks::is_file(&self.tasks).then(|| tasks::count(&self.tasks).ok());
        let progress = Progress::new(total.flatten(), global.quiet);
        let intake = Arc::new(Mutex::new(Intake::default()));
        let pulled = self.pulled(from, keys, intake.clone(), progress.clone());
        let options = BatchOptions {
            name,
            concurrency: usize::from(self.concurrency),
            ordered: self.ordered,
            retry_failed: self.retry_failed,
        };
        let is_stdout = out.is_stdout();
        let interrupted = runtime()?.block_on(async {
            let batch = engine.batch(&team, pulled, options);
            let interrupted = write(batch, out, self.ordered, &mut summary, &progress).await;
            engine.close().await;
            interrupted
        })?;
        progress.close();
        summary.read(&intake.lock().unwrap_or_else(PoisonError::into_inner), interrupted);
        match (global.json, is_stdout) {
            (true, false) => output::json(&summary)?,
            (false, false) => output::text(&summary.text())?,
            (true, true) => eprintln!("{}", serde_json::to_string(&summary).map_err(|e| CommandError::Output(e.into()))?),
            (false, true) => eprint!("{}", summary.text()),
        }
        Ok(summary.exit())
    }

    fn open(&self, common: Common) -> Result<Tasks, CommandError> {
        Tasks::open(&self.tasks, common).map_err(|wrong| CommandError::Usage(tasks::place(&self.tasks, &wrong)))
    }

    /// Whether a result of an earlier run is the last word on its task.
    fn stands(&self, written: &Written) -> bool {
        match (written.session, written.status.as_str()) {
            (Some(_), "completed") => true,
            (Some(_), "failed" | "out_of_budget" | "cancelled") => !self.retry_failed,
            // It was parked; or it never began, and nothing is on record.
            _ => false,
        }
    }

    /// Counts the results of earlier runs, and takes those away whose tasks are done again: those that do not stand, and where the order counts
    /// those after the first of them too, which come again in their place. Says how many these were.
    fn take_over(
        &self,
        out: &mut Out,
        engine: &Engine,
        team: &Prepared,
        name: &Arc<str>,
        common: Common,
        (keys, summary): (&mut Keys, &mut Summary),
    ) -> Result<u64, CommandError> {
        let identity = engine.batch_identity(team, name);
        let mut again = HashSet::new();
        out.read(|written| {
            let foreign = written.session.filter(|session| !identity.is_session(&written.key, *session));
            if let Some(session) = foreign {
                return Err(format!(
                    "session {session} of the key {} is of another batch, team, user or store than {name} of {}; say with --batch which batch it is, or \
                     name another file with --out",
                    written.key, team.name
                ));
            }
            if !self.stands(written) || (self.ordered && !again.is_empty()) {
                again.insert(keys::digest(&written.key));
            }
            Ok(())
        })?;
        if !again.is_empty() {
            let tasks = self.checked(common)?;
            again.retain(|key| tasks.has_task(key));
        }
        let mut all = false;
        out.take_over(|written| {
            if again.contains(&keys::digest(&written.key)) && (all || !self.stands(written)) {
                all = self.ordered;
                return Ok(false);
            }
            if !keys.has_result(&written.key, written.digest) {
                return Err(format!("the key {} has a result already; remove one of them", written.key));
            }
            summary.stands(written);
            Ok(true)
        })
    }

    /// The keys of all tasks. Before results make way for new ones it must be certain that these will come.
    fn checked(&self, common: Common) -> Result<Keys, CommandError> {
        let out = self.out.display();
        if !tasks::is_file(&self.tasks) {
            let why = "some of its tasks are to be done again, and what comes through a pipe cannot be looked at beforehand";
            let remedy = "give --tasks a file, or name another file with --out: nothing is done twice";
            return Err(CommandError::Usage(format!("--out {out}: {why}; {remedy}")));
        }
        let (mut from, mut keys) = (self.open(common)?, Keys::default());
        while let Some(read) = next(&mut from, &mut keys) {
            match read {
                Ok(_) => {}
                Err(_) if self.skip_invalid && !from.is_broken() => {}
                Err(wrong) => {
                    let wrong = tasks::place(&self.tasks, &wrong);
                    let why = "it has results that make way for new ones, and no task is begun after a line that is none";
                    return Err(CommandError::Usage(format!(
                        "{wrong}\n{out} is left as it is: {why}; put the line right, or leave it out with --skip-invalid"
                    )));
                }
            }
        }
        Ok(keys)
    }

    /// The tasks that have no result. Lines that are none are said; after the first, the others are only checked, unless they are to be skipped.
    fn pulled(
        &self,
        mut from: Tasks,
        mut keys: Keys,
        intake: Arc<Mutex<Intake>>,
        progress: Progress,
    ) -> impl Iterator<Item = BatchTask> + Send + 'static {
        let (path, skip, has_end) = (self.tasks.clone(), self.skip_invalid, tasks::is_file(&self.tasks));
        let mut more = true;
        std::iter::from_fn(move || {
            while more {
                let Some(read) = next(&mut from, &mut keys) else { break };
                let mut intake = intake.lock().unwrap_or_else(PoisonError::into_inner);
                match read {
                    Ok((Key::Done(then), task)) => {
                        intake.tasks += 1;
                        let is_other = then.is_some_and(|then| from.digest(&task).is_ok_and(|now| now != then));
                        if is_other {
                            intake.not_run += 1;
                            let why = "its key has the result of a task with other words or inputs";
                            let remedy = "give it another key, or name another batch and another file with --out";
                            progress.say(&format!("synod: run task {}: {why}; {remedy}", task.key));
                        } else {
                            intake.done_before += 1;
                            progress.done_before();
                        }
                    }
                    Ok((_, task)) => {
                        intake.tasks += 1;
                        if intake.invalid == 0 || skip {
                            return Some(task);
                        }
                    }
                    Err(wrong) => {
                        intake.invalid += 1;
                        if intake.invalid <= WRONG_SHOWN {
                            progress.say(&format!("synod: {}", tasks::place(&path, &wrong)));
                        }
                        // A pipe may have no end.
                        more = skip || has_end;
                    }
                }
            }
            None
        })
    }
}

/// The next task, and what its key says of it.
fn next(from: &mut Tasks, keys: &mut Keys) -> Option<Result<(Key, BatchTask), Wrong>> {
    let (line, task) = match from.next()? {
        Ok(read) => read,
        Err(wrong) => return Some(Err(wrong)),
    };
    Some(match keys.take(&task.key, line) {
        Key::Twice(first) => {
            let why = format!("the key {} stands in line {first} already; a key names one task", task.key);
            Err(Wrong { line, column: from.column_of("key"), why })
        }
        key => Ok((key, task)),
    })
}

/// Writes results as they come; where their order counts, none after one that is not there. True when it was interrupted.
async fn write(
    mut batch: Batch,
    mut out: Out,
    ordered: bool,
    summary: &mut Summary,
    progress: &Progress,
) -> Result<bool, CommandError> {
    let interrupt = batch.interrupter();
    let stop = interrupt.clone();
    let signals = tokio::spawn(async move {
        if live::signal().await {
            stop.cancel();
            if live::signal().await {
                #[expect(clippy::exit, reason = "whoever presses Ctrl-C twice wants out now; what was done is on the record")]
                std::process::exit(Exit::Interrupted as i32);
            }
        }
    });
    let (mut fatal, mut gap) = (false, false);
    while let Some(result) = batch.next().await {
        match result {
            // What was broken off comes again, with its end.
            Ok(result) if result.status == Standing::Interrupted => {
                gap |= ordered;
                summary.add(&result);
            }
            Ok(_) if gap => summary.held_back(),
            Ok(result) => {
                out.write(&result)?;
                if summary.add(&result) {
                    progress.note(&format!(
                        "task {} began with other files of the team than there are now ({}); it keeps to those, and so does every other that did: \
                         to do all with what there is now, name another batch and another file with --out",
                        result.key,
                        result.changed.join(", ")
                    ));
                }
                progress.add(summary);
            }
            Err(error) => {
                gap |= ordered;
                fatal |= error.is_fatal();
                progress.say(&format!("synod: {error}"));
                summary.not_run();
            }
        }
    }
    // The batch ends itself after what would stop every other task as well.
    let interrupted = interrupt.is_cancelled() && !fatal;
    signals.abort();
    out.sync()?;
    Ok(interrupted)
}
