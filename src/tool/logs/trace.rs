//! Which messages belong to one request? [`TraceLog`]: who spoke when under which trace id, in bounded memory.

use std::collections::BTreeMap;

use super::names::Names;

/// Messages that one log keeps. Over that, half of the traces are dropped, by their ids, so that those kept stay whole.
const KEPT: usize = 2_000_000;

/// A message under a trace id.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    /// The trace id's hash.
    pub trace: u64,
    /// Microseconds since the epoch.
    pub time: i64,
    /// Who.
    pub service: u32,
    /// What: the number of a template, 0 where it does not matter.
    pub template: u32,
    /// Whether it is an error.
    pub error: bool,
}

/// Messages under trace ids.
#[derive(Default)]
pub(super) struct TraceLog {
    said: Vec<Said>,
    /// Traces whose hash has one of its lowest `dropped` bits set are dropped.
    dropped: u32,
}

impl TraceLog {
    /// Adds a message.
    pub fn add(&mut self, trace: &str, time: i64, service: u32, template: u32, error: bool) {
        self.put(Said { trace: hash(trace), time, service, template, error });
    }

    /// Adds what a later file gave; services and templates are numbered anew by `renumber`.
    pub fn merge(&mut self, later: Self, mut renumber: impl FnMut(u32, u32) -> (u32, u32)) {
        while self.dropped < later.dropped {
            self.drop_half();
        }
        for said in later.said {
            let (service, template) = renumber(said.service, said.template);
            self.put(Said { service, template, ..said });
        }
    }

    /// Every trace with its messages in time order; traces in the order of their first message.
    pub fn traces(mut self) -> Vec<Vec<Said>> {
        self.said.sort_by_key(|said| (said.trace, said.time));
        let mut traces: Vec<Vec<Said>> = self.said.chunk_by(|a, b| a.trace == b.trace).map(<[Said]>::to_vec).collect();
        traces.sort_by_key(|trace| (trace[0].time, trace[0].trace));
        traces
    }

    /// What part of the traces was kept, as one of so many; 1 for all.
    pub fn one_of(&self) -> u64 {
        1 << self.dropped
    }

    /// Who spoke last in the trace before each error, by the error's service and template.
    pub fn before_errors(self) -> BTreeMap<(u32, u32), BTreeMap<u32, u64>> {
        let mut all: BTreeMap<(u32, u32), BTreeMap<u32, u64>> = BTreeMap::new();
        for trace in self.traces() {
            for pair in trace.windows(2) {
                if pair[1].error {
                    *all.entry((pair[1].service, pair[1].template)).or_default().entry(pair[0].service).or_default() += 1;
                }
            }
        }
        all
    }

    fn put(&mut self, said: Said) {
        if said.trace & (self.one_of() - 1) != 0 {
            return;
        }
        self.said.push(said);
        if self.said.len() > KEPT {
            self.drop_half();
        }
    }

    fn drop_half(&mut self) {
        self.dropped = (self.dropped + 1).min(63);
        let mask = self.one_of() - 1;
        self.said.retain(|said| said.trace & mask == 0);
    }
}

/// Counts by service as a map from name to count.
pub(super) fn by_name(counts: &BTreeMap<u32, u64>, names: &Names) -> crate::value::Value {
    crate::value::Value::map(counts.iter().map(|(service, n)| (names.name(*service), crate::tool::count(*n))))
}

fn hash(trace: &str) -> u64 {
    let digest = blake3::hash(trace.as_bytes());
    u64::from_le_bytes(digest.as_bytes()[..8].try_into().expect("a digest has more than 8 bytes"))
}
