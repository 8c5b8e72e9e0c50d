//! What changes where a session parts from the one whose past it shares?

use std::sync::Arc;

use crate::{
    event::{Forked, Key, Record},
    state::{FoldError, Given, State, Theirs, Timer},
    value::NodeIx,
};

impl State {
    /// Calls in flight are made anew and paid by whoever goes on; the irreversible ones are the other session's, and in doubt.
    /// Time stood still since the last record, for questions to people too: each has as much time left as it had.
    pub(super) fn parted(&mut self, forked: &Forked, record: &Record) -> Result<(), FoldError> {
        if forked.from.at.next() != record.seq {
            return Err(self.contradiction(format!("the fork is at record {}, which is not the one before it", forked.from.at)));
        }
        let gap = record.at.since(self.now);
        self.timers.shift(gap);
        for (id, ask) in &mut self.asks {
            if let Some(deadline) = ask.deadline.map(|deadline| deadline.after(gap)) {
                Arc::make_mut(ask).deadline = Some(deadline);
                self.timers.set(Timer::Deadline(*id), deadline);
            }
        }
        self.release_reserved();
        self.late.clear();
        self.doubt_irreversible();
        let became = |key: &Key| forked.meanwhile.iter().find(|(other, _)| other == key).map(|(_, words)| words.clone());
        let theirs: Theirs = self.todo.doubts.iter().map(|key| (*key, became(key))).collect();
        self.forked = Some((forked.from, theirs));
        let started = Arc::make_mut(&mut self.started);
        if let Some(task) = &forked.task {
            started.task = task.clone();
        }
        if !forked.inputs.is_empty() {
            Arc::make_mut(&mut started.inputs).extend(forked.inputs.clone());
        }
        for (name, value) in &forked.variables {
            self.give(&Arc::from(name.as_str()), Given { value: value.clone(), version: 1 });
        }
        Ok(())
    }

    /// A variable of the session's own team gets a value, in place of all that was written to it so far.
    fn give(&mut self, name: &Arc<str>, given: Given) {
        let own = |node: NodeIx| self.instances[self.nodes[node.index()].instance as usize].frame == 0;
        let replaced = self.context.writes.get_mut(name).map_or(0, |writes| {
            let before = writes.len();
            writes.retain(|(node, _)| !own(*node));
            before - writes.len()
        });
        let earlier = self.context.given.get(name).map_or(0, |given| given.version);
        let version = given.version.saturating_add(earlier).saturating_add(u32::try_from(replaced).unwrap_or(u32::MAX));
        self.context.given.insert(name.clone(), Given { version, ..given });
    }
}
