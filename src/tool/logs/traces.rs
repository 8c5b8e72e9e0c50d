//! What takes longer between services, and which lines stay away? The operation `traces`.
//!
//! The messages of a trace in time order are walked with a stack of services: a service that is on the stack was returned to, any other
//! one was called. The time between two messages belongs to the crossing from one to the other, or to the service itself. For each
//! crossing and for each kind of line the most certain change inside the window is reported, if there is one.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    miner::Miner,
    names::Names,
    query::{Query, number, put_time},
    record::Record,
    scan::Sink,
    stamp::SECOND,
    stats::{best_rise, best_share_change, median},
    trace::{Said, TraceLog},
};
use crate::{
    tool::{Stop, count},
    value::{Failure, Value},
};

/// Traces on each side of a change at least.
const SIDE: usize = 3;
/// What standard deviations are divided by to make 1 a noteworthy score of a gap.
const GAP_Z: f64 = 2.5;
/// The factor by which a noteworthy gap grows at least.
const GAP_RATIO: f64 = 3.0;
/// What standard deviations are divided by to make 1 a noteworthy score of a share.
const SHARE_Z: f64 = 3.5;
/// How much a share must change to be reported.
const SHARE_CHANGE: f64 = 0.4;
/// From how much of a change on its size no longer counts.
const SHARE_FULL: f64 = 0.6;
/// Added to a gap before its logarithm is taken, in seconds: below it gaps are noise.
const GAP_FLOOR: f64 = 0.001;

/// The messages under trace ids.
pub(super) struct Traces<'q> {
    query: &'q Query,
    names: Names,
    miner: Miner,
    log: TraceLog,
}

/// A call of one service by another; the caller is `None` for the time inside a service.
type Crossing = (Option<u32>, u32);
/// Observations by start of the trace.
type Series<T> = Vec<(i64, T)>;

/// What the walks through all traces gave.
#[derive(Default)]
struct Walked {
    edges: BTreeMap<(u32, u32), u64>,
    /// Seconds per crossing, by crossing and the callee's first line.
    gaps: BTreeMap<(Crossing, u32), Series<f64>>,
    /// The lines of each visit, by service and its first line.
    visits: BTreeMap<(u32, u32), Series<BTreeSet<u32>>>,
}

impl<'q> Traces<'q> {
    /// For a file.
    pub fn new(query: &'q Query) -> Self {
        Self { query, names: Names::default(), miner: Miner::default(), log: TraceLog::default() }
    }

    /// The entries of the result and what was left out.
    pub fn result(self, stop: &Stop) -> Result<(BTreeMap<String, Value>, Option<String>), Failure> {
        let Self { query, names, miner, log } = self;
        let kept = log.one_of();
        let traces = log.traces();
        let mut walked = Walked::default();
        for (at, trace) in traces.iter().enumerate() {
            if at % 1024 == 0 {
                stop.check()?;
            }
            walked.walk(trace);
        }
        let told = Told { query, names: &names, miner: &miner };
        let edges = walked.edges.iter().map(|((caller, callee), n)| {
            Value::map([
                ("caller", Value::from(names.name(*caller))),
                ("callee", Value::from(names.name(*callee))),
                ("count", count(*n)),
            ])
        });
        let result = BTreeMap::from([
            ("traces".to_owned(), count(traces.len() as u64)),
            ("edges".to_owned(), Value::list(edges)),
            ("slow".to_owned(), Value::list(told.slow(walked.gaps, stop)?)),
            ("lines".to_owned(), Value::list(told.lines(walked.visits, stop)?)),
        ]);
        let note = (kept > 1).then(|| format!("too many messages for all traces: one of {kept} was looked at"));
        Ok((result, note))
    }
}

impl Sink for Traces<'_> {
    fn take(&mut self, record: &Record<'_>) {
        let Some(time) = record.time else { return };
        if self.query.window.1.is_some_and(|until| time >= until) || !self.query.fits(record) {
            return;
        }
        let Some(trace) = self.query.trace_of(record) else { return };
        let (service, template) = (self.names.id(&record.service), self.miner.learn(&record.text));
        self.log.add(trace, time, service, template, false);
    }

    fn merge(&mut self, later: Self) {
        let mut adopted: BTreeMap<u32, u32> = BTreeMap::new();
        let (names, miner) = (&mut self.names, &mut self.miner);
        self.log.merge(later.log, |service, template| {
            let template = *adopted.entry(template).or_insert_with(|| miner.adopt(&later.miner, template));
            (names.id(later.names.name(service)), template)
        });
    }
}

impl Walked {
    fn walk(&mut self, trace: &[Said]) {
        let Some(first) = trace.first() else { return };
        let mut stack = vec![first.service];
        let mut spent: BTreeMap<Crossing, (f64, u32)> = BTreeMap::new();
        let mut visits: BTreeMap<u32, (Said, BTreeSet<u32>)> = BTreeMap::new();
        visits.insert(first.service, (*first, BTreeSet::from([first.template])));
        for pair in trace.windows(2) {
            let (before, said) = (pair[0], pair[1]);
            visits.entry(said.service).or_insert_with(|| (said, BTreeSet::new())).1.insert(said.template);
            let crossing = self.step(&mut stack, said.service);
            let time = spent.entry(crossing).or_default();
            time.0 += (said.time - before.time).max(0) as f64 / SECOND as f64;
            time.1 += 1;
        }
        for (crossing, (seconds, times)) in spent {
            let Some((entry, _)) = visits.get(&crossing.1) else { continue };
            self.gaps.entry((crossing, entry.template)).or_default().push((first.time, seconds / f64::from(times)));
        }
        for (service, (entry, lines)) in visits {
            self.visits.entry((service, entry.template)).or_default().push((entry.time, lines));
        }
    }

    /// Goes on to the service that spoke next and says which way.
    fn step(&mut self, stack: &mut Vec<u32>, service: u32) -> Crossing {
        if stack.last() == Some(&service) {
            return (None, service);
        }
        if let Some(at) = stack.iter().rposition(|s| *s == service) {
            // Returned: what was called from here is left behind.
            let callee = stack[at + 1];
            stack.truncate(at + 1);
            return (Some(service), callee);
        }
        let caller = stack.last().copied();
        stack.push(service);
        if let Some(caller) = caller {
            *self.edges.entry((caller, service)).or_default() += 1;
        }
        (caller, service)
    }
}

/// What the rows need to be told in words.
struct Told<'t> {
    query: &'t Query,
    names: &'t Names,
    miner: &'t Miner,
}

impl Told<'_> {
    fn in_window(&self, time: i64) -> bool {
        self.query.window.0.is_none_or(|since| time >= since) && self.query.window.1.is_none_or(|until| time < until)
    }

    fn slow(&self, gaps: BTreeMap<(Crossing, u32), Series<f64>>, stop: &Stop) -> Result<Vec<Value>, Failure> {
        let mut rows = Vec::new();
        for (((caller, service), entry), mut series) in gaps {
            stop.check()?;
            series.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
            let logs: Vec<f64> = series.iter().map(|(_, seconds)| (seconds + GAP_FLOOR).ln()).collect();
            let Some((split, z)) = best_rise(&logs, SIDE, |at| self.in_window(series[at].0)) else { continue };
            let (before, after) = (median(&mut logs[..split].to_vec()), median(&mut logs[split..].to_vec()));
            let score = (z / GAP_Z).min((after - before) / GAP_RATIO.ln()).max(0.0);
            let mut row = BTreeMap::new();
            let mut put = |name: &str, value: Value| row.insert(name.to_owned(), value);
            put("caller", caller.map_or(Value::Null, |caller| Value::from(self.names.name(caller))));
            put("service", Value::from(self.names.name(service)));
            put("entry", Value::from(self.miner.text(entry)));
            put("n_before", count(split as u64));
            put("n_after", count((logs.len() - split) as u64));
            put("before_s", number((before.exp() - GAP_FLOOR).max(0.0)));
            put("after_s", number((after.exp() - GAP_FLOOR).max(0.0)));
            put("ratio", number((after - before).exp()));
            put("z", number(z));
            put("score", number(score));
            put_time(&mut row, "onset", series[split].0);
            rows.push((score, Value::map(row)));
        }
        Ok(self.best(rows))
    }

    fn lines(&self, visits: BTreeMap<(u32, u32), Series<BTreeSet<u32>>>, stop: &Stop) -> Result<Vec<Value>, Failure> {
        let mut rows = Vec::new();
        for ((service, entry), mut series) in visits {
            stop.check()?;
            if series.len() < 2 * SIDE {
                continue;
            }
            series.sort();
            let all: BTreeSet<u32> = series.iter().flat_map(|(_, lines)| lines.iter().copied()).collect();
            for template in all {
                stop.check()?;
                let hits: Vec<bool> = series.iter().map(|(_, lines)| lines.contains(&template)).collect();
                if hits.iter().all(|hit| *hit) {
                    continue;
                }
                let Some(change) = best_share_change(&hits, SIDE, |at| self.in_window(series[at].0)) else { continue };
                let size = (change.after - change.before).abs();
                if size <= SHARE_CHANGE {
                    continue;
                }
                let score = change.z.abs() / SHARE_Z * (size / SHARE_FULL).min(1.0);
                let mut row = BTreeMap::new();
                let mut put = |name: &str, value: Value| row.insert(name.to_owned(), value);
                put("service", Value::from(self.names.name(service)));
                put("entry", Value::from(self.miner.text(entry)));
                put("template", Value::from(self.miner.text(template)));
                put("share_before", number(change.before));
                put("share_after", number(change.after));
                put("z", number(change.z));
                put("score", number(score));
                put_time(&mut row, "onset", series[change.split].0);
                rows.push((score, Value::map(row)));
            }
        }
        Ok(self.best(rows))
    }

    fn best(&self, mut rows: Vec<(f64, Value)>) -> Vec<Value> {
        // Stable: rows of one score stay in the order of their services.
        rows.sort_by(|a, b| b.0.total_cmp(&a.0));
        rows.into_iter().take(self.query.limit).map(|(_, row)| row).collect()
    }
}
