//! `synod batch`: a team, a file of tasks, a file of results.

mod keys;
mod out;
mod summary;
mod tasks;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use clap::Args;

use self::{
    keys::{Key, Keys},
    out::Out,
    summary::{Progress, Summary},
    tasks::{Common, STDIN, Tasks},
};
use super::{CommandError, Exit, Global, Outcome, live, output, run, runtime};
use crate::{
    engine::{Batch, BatchOptions, BatchTask, MAX_CONCURRENCY},
    report::Standing,
};

/// Lines that are no tasks and are shown; the others are counted.
const WRONG_SHOWN: u64 = 20;

/// Run a team on many tasks, each once
///
/// A line of the tasks is {"key": "…", "task": "…", "inputs": {…}}; task and inputs may be left out. A file that ends in .csv has the
/// columns key, task and inputs.NAME. A line of the results is {"key", "session", "status", "output", "metrics"}, and "error" where it is
/// not completed.
///
/// A key stands for one task of the batch: killed and started again, the command goes on with what had begun, does nothing twice and
/// completes the results. Ctrl-C leaves everything so that it can go on.
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
    /// Where results go, a JSON line each; what is there already stands
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Sessions that run at once
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=MAX_CONCURRENCY as i64))]
    concurrency: u16,
    /// Write results in the order of the tasks, not as they come
    #[arg(long)]
    ordered: bool,
    /// Do tasks again that failed, ran out of budget or were cancelled
    #[arg(long)]
    retry_failed: bool,
    /// The batch that keys belong to; by default the name of the file of tasks
    #[arg(long, value_name = "NAME")]
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
}

impl BatchCommand {
    pub(super) fn run(&self, global: &Global) -> Outcome {
        let Some(name) = self.batch.clone().or_else(|| tasks::name_of(&self.tasks)) else {
            return Err(CommandError::Usage("--tasks -: what comes on stdin has no name; give one with --batch NAME".to_owned()));
        };
        let engine = global.engine()?;
        let team = run::load(&engine, &self.team, &self.set, global.quiet)?;
        let inputs = run::inputs(&team, &self.inputs)?;
        let common = Common { engine: engine.clone(), team: team.clone(), task: run::purpose(&team).into(), inputs };
        let from = Tasks::open(&self.tasks, common).map_err(|wrong| CommandError::Usage(tasks::place(&self.tasks, &wrong)))?;
        let (mut keys, mut summary) = (Keys::default(), Summary::new(&name, &team.name, &self.out));
        let out = Out::open(&self.out, self.ordered, &mut keys, |written| {
            let stands = match written.status.as_str() {
                "completed" => true,
                "parked" => false,
                _ => !self.retry_failed,
            };
            if stands {
                summary.stands(written);
            }
            stands
        })?;
        let progress = Progress::new(self.total(), global.quiet);
        let intake = Arc::new(Mutex::new(Intake::default()));
        let pulled = self.pulled(from, keys, intake.clone(), progress.clone());
        let options = BatchOptions {
            name: Arc::from(name),
            concurrency: usize::from(self.concurrency),
            ordered: self.ordered,
            retry_failed: self.retry_failed,
        };
        let interrupted = runtime()?.block_on(async {
            let batch = engine.batch(&team, pulled, options);
            let interrupted = write(batch, out, &mut summary, &progress).await;
            engine.close().await;
            interrupted
        })?;
        progress.close();
        {
            let intake = intake.lock().unwrap_or_else(PoisonError::into_inner);
            summary.read(intake.tasks, intake.done_before, intake.invalid, interrupted);
        }
        if global.json {
            output::json(&summary)?;
        } else {
            output::text(&summary.text())?;
        }
        Ok(summary.exit())
    }

    /// How many tasks there are, where that can be told beforehand.
    fn total(&self) -> Option<u64> {
        (self.tasks != Path::new(STDIN)).then(|| tasks::count(&self.tasks).ok())?
    }

    /// The tasks that have no result. Lines that are none are said; after the first, the others are only checked, unless they are to be skipped.
    fn pulled(
        &self,
        mut from: Tasks,
        mut keys: Keys,
        intake: Arc<Mutex<Intake>>,
        progress: Progress,
    ) -> impl Iterator<Item = BatchTask> + Send + 'static {
        let (path, skip) = (self.tasks.clone(), self.skip_invalid);
        let mut more = true;
        std::iter::from_fn(move || {
            while more {
                let Some(read) = from.next() else { break };
                let mut intake = intake.lock().unwrap_or_else(PoisonError::into_inner);
                let read = read.and_then(|(line, task)| match keys.take(&task.key, line) {
                    Key::Twice(first) => {
                        let why = format!("the key {} stands in line {first} already; a key names one task", task.key);
                        Err(tasks::Wrong { line, column: from.column_of("key"), why })
                    }
                    key => Ok((key, task)),
                });
                match read {
                    Ok((Key::New, task)) => {
                        intake.tasks += 1;
                        if intake.invalid == 0 || skip {
                            return Some(task);
                        }
                    }
                    Ok(_) => {
                        intake.tasks += 1;
                        intake.done_before += 1;
                        progress.done_before();
                    }
                    Err(wrong) => {
                        intake.invalid += 1;
                        if intake.invalid <= WRONG_SHOWN {
                            progress.say(&format!("synod: {}", tasks::place(&path, &wrong)));
                        }
                        // A pipe may have no end.
                        more = skip || path != Path::new(STDIN);
                    }
                }
            }
            None
        })
    }
}

/// Writes results as they come. True when it was interrupted.
async fn write(mut batch: Batch, mut out: Out, summary: &mut Summary, progress: &Progress) -> Result<bool, CommandError> {
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
    let mut fatal = false;
    while let Some(result) = batch.next().await {
        match result {
            Ok(result) => {
                // What was broken off comes again, with its end.
                if result.status != Standing::Interrupted {
                    out.write(&result)?;
                }
                summary.add(&result);
                progress.add(summary);
            }
            Err(error) => {
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
