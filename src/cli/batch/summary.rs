//! How far is it, and what came of it? [`Progress`] while it runs, a [`Summary`] at the end.

use std::{
    io::IsTerminal,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{Intake, out::Written};
use crate::{cli::Exit, engine::BatchResult, event::Status, report::Standing, value::SessionId};

/// Failures that are listed; the results have them all.
const FAILURES_SHOWN: usize = 100;

/// How far lines of progress are apart where there is no terminal.
const LINES_APART: Duration = Duration::from_secs(10);

/// How often a bar is drawn.
const TICK: Duration = Duration::from_millis(200);

/// What came of a batch: what `--json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    batch: String,
    team: String,
    out: String,
    /// Tasks that were read, those that were done before among them.
    tasks: u64,
    /// Tasks that had a result when the command began.
    done_before: u64,
    /// Results of this run.
    ran: u64,
    /// The statuses of all results, earlier ones included.
    completed: u64,
    failed: u64,
    parked: u64,
    out_of_budget: u64,
    cancelled: u64,
    /// Broken off in the middle: the next run goes on with them.
    interrupted: u64,
    /// Tasks that the engine could not run, or whose key stands for another.
    not_run: u64,
    /// Results that are not written, since an earlier one in the order is not: the next run looks them up.
    held_back: u64,
    /// Results whose sessions began with other files of the team.
    changed: u64,
    /// Lines that are no tasks.
    invalid: u64,
    seconds: f64,
    tasks_per_second: f64,
    /// What failed, was cancelled or ran out of budget, the first hundred.
    failures: Vec<FailureRow>,
    #[serde(skip)]
    began: Instant,
    #[serde(skip)]
    is_interrupted: bool,
}

#[derive(Debug, Serialize)]
struct FailureRow {
    key: String,
    session: Option<SessionId>,
    status: &'static str,
    error: Option<String>,
}

impl Summary {
    pub(super) fn new(batch: &str, team: &str, out: &Path) -> Self {
        Self {
            batch: batch.to_owned(),
            team: team.to_owned(),
            out: out.display().to_string(),
            tasks: 0,
            done_before: 0,
            ran: 0,
            completed: 0,
            failed: 0,
            parked: 0,
            out_of_budget: 0,
            cancelled: 0,
            interrupted: 0,
            not_run: 0,
            held_back: 0,
            changed: 0,
            invalid: 0,
            seconds: 0.0,
            tasks_per_second: 0.0,
            failures: Vec::new(),
            began: Instant::now(),
            is_interrupted: false,
        }
    }

    /// Counts a result that an earlier run wrote.
    pub(super) fn stands(&mut self, written: &Written) {
        let statuses = [Status::Completed, Status::Failed, Status::Parked, Status::OutOfBudget, Status::Cancelled];
        let Some(status) = statuses.into_iter().find(|status| status.name() == written.status) else { return };
        self.count(Standing::As(status));
        self.list(status, || FailureRow {
            key: written.key.clone(),
            session: written.session,
            status: status.name(),
            error: written.error.clone(),
        });
    }

    /// Counts a result. True for the first whose session began with other files of the team.
    pub(super) fn add(&mut self, result: &BatchResult) -> bool {
        self.count(result.status);
        let Standing::As(status) = result.status else { return false };
        self.ran += 1;
        let has_changed = !result.changed.is_empty();
        self.changed += u64::from(has_changed);
        self.list(status, || FailureRow {
            key: result.key.to_string(),
            session: result.session,
            status: status.name(),
            error: result.error.as_ref().map(ToString::to_string),
        });
        has_changed && self.changed == 1
    }

    /// Counts a result that is not written.
    pub(super) fn held_back(&mut self) {
        self.held_back += 1;
    }

    /// Counts a task that the engine could not run.
    pub(super) fn not_run(&mut self) {
        self.not_run += 1;
    }

    /// Takes over what was read of the tasks, and stops the clock.
    pub(super) fn read(&mut self, intake: &Intake, interrupted: bool) {
        let Intake { tasks, done_before, invalid, not_run } = *intake;
        (self.tasks, self.done_before, self.invalid, self.is_interrupted) = (tasks, done_before, invalid, interrupted);
        self.not_run += not_run;
        self.seconds = self.began.elapsed().as_secs_f64();
        self.tasks_per_second = if self.seconds > 0.0 { self.ran as f64 / self.seconds } else { 0.0 };
    }

    fn count(&mut self, status: Standing) {
        let count = match status {
            Standing::As(Status::Completed) => &mut self.completed,
            Standing::As(Status::Failed) => &mut self.failed,
            Standing::As(Status::Parked) => &mut self.parked,
            Standing::As(Status::OutOfBudget) => &mut self.out_of_budget,
            Standing::As(Status::Cancelled) => &mut self.cancelled,
            Standing::As(Status::Initializing | Status::Running | Status::Aggregating) | Standing::Interrupted => {
                &mut self.interrupted
            }
        };
        *count += 1;
    }

    fn list(&mut self, status: Status, row: impl FnOnce() -> FailureRow) {
        let failed = matches!(status, Status::Failed | Status::OutOfBudget | Status::Cancelled);
        if failed && self.failures.len() < FAILURES_SHOWN {
            self.failures.push(row());
        }
    }

    /// How the command ends.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self { is_interrupted: true, .. } => Exit::Interrupted,
            Self { invalid: 1.., .. } => Exit::Usage,
            Self { failed: 1.., .. } | Self { not_run: 1.., .. } => Exit::Failed,
            Self { out_of_budget: 1.., .. } => Exit::OutOfBudget,
            Self { cancelled: 1.., .. } => Exit::Cancelled,
            Self { parked: 1.., .. } => Exit::Parked,
            _ => Exit::Done,
        }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut page = String::new();
        let mut line = |text: String| {
            page.push_str(&text);
            page.push('\n');
        };
        let counts = [
            ("completed", self.completed),
            ("failed", self.failed),
            ("parked", self.parked),
            ("out of budget", self.out_of_budget),
            ("cancelled", self.cancelled),
            ("interrupted", self.interrupted),
            ("not run", self.not_run),
            ("held back", self.held_back),
        ];
        let counts: Vec<String> =
            counts.iter().filter(|(name, count)| *count > 0 || *name == "completed").map(|(n, c)| format!("{c} {n}")).collect();
        let before = if self.done_before > 0 { format!("; {} were done before", self.done_before) } else { String::new() };
        line(format!("batch {}: {} tasks, {}{before}", self.batch, self.tasks, counts.join(", ")));
        line(format!("{} in {:.1} s, {:.0} tasks/s; results in {}", self.ran, self.seconds, self.tasks_per_second, self.out));
        for row in &self.failures {
            let session = row.session.map_or_else(String::new, |id| format!(" ({id})"));
            line(format!("{} {}{session}: {}", row.status, row.key, row.error.as_deref().unwrap_or_default()));
        }
        let failed = self.failed + self.out_of_budget + self.cancelled;
        if failed > self.failures.len() as u64 {
            line(format!("… and {} more: see {}", failed - self.failures.len() as u64, self.out));
        }
        if failed > 0 {
            line(format!("do {failed} again with --retry-failed"));
        }
        if self.parked > 0 {
            line("parked tasks wait for a person: `synod sessions --status parked` lists them; run the batch again when they are answered".to_owned());
        }
        if self.changed > 0 {
            line(format!("{} results are of sessions that began with other files of the team than there are now", self.changed));
        }
        if self.invalid > 0 {
            line(format!("{} lines are no tasks; put them right and run the batch again: nothing is done twice", self.invalid));
        }
        if self.is_interrupted || self.not_run > 0 {
            line("run the batch again to go on".to_owned());
        }
        page
    }
}

/// What is shown while a batch runs, on stderr: a bar on a terminal, lines elsewhere.
#[derive(Clone)]
pub(super) struct Progress {
    total: Option<u64>,
    bar: Option<ProgressBar>,
    quiet: bool,
    before: Arc<AtomicU64>,
    began: Instant,
    last: Arc<Mutex<Instant>>,
}

impl Progress {
    pub(super) fn new(total: Option<u64>, quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{bar:30} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new(total.unwrap_or(0)).with_style(style);
            bar.enable_steady_tick(TICK);
            bar
        });
        let now = Instant::now();
        Self { total, bar, quiet, before: Arc::default(), began: now, last: Arc::new(Mutex::new(now)) }
    }

    /// Counts a task that had a result.
    pub(super) fn done_before(&self) {
        self.before.fetch_add(1, Ordering::Relaxed);
    }

    /// Shows where it stands after a result.
    pub(super) fn add(&self, summary: &Summary) {
        let before = self.before.load(Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.set_position(before + summary.ran);
            bar.set_message(standing(summary, before, self.total, self.began.elapsed()));
            return;
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if self.quiet || last.elapsed() < LINES_APART {
            return;
        }
        *last = Instant::now();
        eprintln!("{}", standing(summary, before, self.total, self.began.elapsed()));
    }

    /// Says something beside it that is no error.
    pub(super) fn note(&self, line: &str) {
        if !self.quiet {
            self.say(line);
        }
    }

    /// Says something beside it.
    pub(super) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }

    /// Takes the bar away.
    pub(super) fn close(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// How far it is `after` its beginning. What was done before tells nothing of how long the rest takes.
fn standing(summary: &Summary, before: u64, total: Option<u64>, after: Duration) -> String {
    let (done, rate) = (summary.ran + before, summary.ran as f64 / after.as_secs_f64().max(f64::EPSILON));
    let of = total.map_or_else(String::new, |total| {
        let left = total.saturating_sub(done) as f64 / rate.max(f64::EPSILON);
        // A century is as good as never.
        let left = HumanDuration(Duration::from_secs_f64(left.min(3e9)));
        format!(" of {total}, about {left} left")
    });
    let troubles = [("failed", summary.failed), ("parked", summary.parked), ("out of budget", summary.out_of_budget)];
    let troubles = troubles.iter().filter(|(_, n)| *n > 0).map(|(name, n)| format!(", {n} {name}"));
    format!("{done}{of}, {rate:.0} tasks/s{}", troubles.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_before_makes_the_rest_neither_faster_nor_shorter() {
        let mut summary = Summary::new("b", "t", Path::new("out"));
        summary.ran = 10;
        let said = standing(&summary, 80, Some(100), Duration::from_secs(5));
        assert_eq!(said, "90 of 100, about 5 seconds left, 2 tasks/s");
        assert_eq!(standing(&summary, 80, None, Duration::from_secs(5)), "90, 2 tasks/s");
    }
}
