//! What may an agent know? Its causal past: what was said by nodes that had ended before its own could start.
//!
//! Arrival order has no part in it, so that the same facts give the same view in every run.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Found, Knows, Settled, State, TakenBack};
use crate::{
    graph::{MAX_MERGED, NodeKind, ScopeKind, VoteProtocol},
    value::{Decision, Finding, FindingStatus, Merge, NodeIx, Seq, TeamIx, Value, Variable, abstains},
};

impl State {
    /// The nodes that ended before this one could start, itself excluded.
    pub fn past(&self, node: NodeIx) -> BTreeSet<NodeIx> {
        let mut past = BTreeSet::new();
        let mut look = vec![node];
        while let Some(node) = look.pop() {
            let instance = self.instance_of(node);
            for source in self.followed(node) {
                if past.insert(source) {
                    look.push(source);
                    self.below(source, &mut past);
                }
            }
            if self.finale == Some(self.nodes[node.index()].instance) {
                past.extend((0..instance.base).map(NodeIx));
            }
            if let Some(scope) = instance.scope {
                self.earlier_instances(scope, self.nodes[node.index()].instance, &mut past);
                look.push(scope);
            }
        }
        past
    }

    /// Everything that ran inside a scope; of one that has ended only what had ended by then. What it left at work is nobody's past.
    pub(super) fn below(&self, scope: NodeIx, past: &mut BTreeSet<NodeIx>) {
        let Some(state) = self.scopes.get(&scope) else { return };
        let upto = self.nodes[scope.index()].outcome.as_ref().map(|_| self.nodes[scope.index()].ended_at);
        for instance in &state.instances {
            self.all_of(*instance, upto, past);
        }
    }

    fn all_of(&self, instance: u32, upto: Option<Seq>, past: &mut BTreeSet<NodeIx>) {
        let instance = &self.instances[instance as usize];
        let size = u32::try_from(instance.graph.dag.node_count()).unwrap_or(0);
        for child in (instance.base..instance.base + size).map(NodeIx) {
            if upto.is_none_or(|upto| self.had_ended(child, upto)) && past.insert(child) {
                self.below(child, past);
            }
        }
    }

    /// Whether a node had ended by that record.
    pub fn had_ended(&self, node: NodeIx, upto: Seq) -> bool {
        let state = &self.nodes[node.index()];
        state.outcome.is_some() && state.ended_at <= upto
    }

    /// Rounds, those of delegation too, seats of a relay and debates come one after another: the earlier ones are past.
    fn earlier_instances(&self, scope: NodeIx, instance: u32, past: &mut BTreeSet<NodeIx>) {
        let NodeKind::Scope(kind) = &self.node(scope).kind else { return };
        match &**kind {
            ScopeKind::Repeat { .. } | ScopeKind::Relay { .. } | ScopeKind::Subtasks { .. } | ScopeKind::Settle(_) => {
                let Some(state) = self.scopes.get(&scope) else { return };
                for earlier in state.instances.iter().filter(|ix| **ix < instance) {
                    self.all_of(*earlier, None, past);
                }
            }
            ScopeKind::ForEach { .. } | ScopeKind::Group { .. } | ScopeKind::Circle { .. } => {}
        }
    }

    /// The findings that a node may see: those that it knows of and its own, in declared order of their nodes, and how they stand
    /// by the decisions that it knows of.
    pub fn visible_findings(&self, knows: &Knows) -> Vec<Arc<Finding>> {
        let seen = |f: &Found| f.frame == knows.frame && (f.node == knows.node || knows.sees(f.node, f.seq));
        let taken = |t: &TakenBack| t.node == knows.node || (self.frame_of(t.node) == knows.frame && knows.sees(t.node, t.seq));
        let stand = self.stand_by_node(seen, |settled| self.knows_decision(knows, settled), taken);
        stand.into_iter().map(|(_, finding)| finding).filter(|f| f.status != FindingStatus::Retracted).collect()
    }

    fn knows_decision(&self, knows: &Knows, settled: &Settled) -> bool {
        self.frame_of(settled.node) == knows.frame && knows.sees(settled.node, settled.seq)
    }

    /// Every finding in declared order of their nodes, and how they stand in the end.
    pub fn findings(&self) -> Vec<Arc<Finding>> {
        self.findings_by_node().into_iter().map(|(_, finding)| finding).collect()
    }

    /// Every finding in declared order of their nodes, with the team that knows of it.
    pub fn findings_by_team(&self) -> Vec<(TeamIx, &Arc<Finding>)> {
        let mut found: Vec<&Found> = self.context.findings.iter().collect();
        found.sort_by_cached_key(|f| self.position(f.node));
        let team = |f: &Found| self.instances.get(f.frame as usize).map_or(TeamIx(0), |instance| instance.graph.team);
        found.into_iter().map(|f| (team(f), &f.finding)).collect()
    }

    /// The same, each with the node where it was found.
    pub fn findings_by_node(&self) -> Vec<(NodeIx, Arc<Finding>)> {
        self.stand_by_node(|_| true, |_| true, |_| true)
    }

    /// Some findings in declared order, as some decisions leave them (the last one about each, in declared order, counts) and what
    /// their authors took back.
    fn stand_by_node(
        &self,
        wanted: impl Fn(&Found) -> bool,
        known: impl Fn(&Settled) -> bool,
        taken: impl Fn(&TakenBack) -> bool,
    ) -> Vec<(NodeIx, Arc<Finding>)> {
        let mut found: Vec<(usize, &Found)> = self.context.findings.iter().enumerate().filter(|(_, f)| wanted(f)).collect();
        if found.is_empty() {
            return Vec::new();
        }
        found.sort_by_cached_key(|(_, f)| self.position(f.node));
        let settled = self.settled(known);
        let taken: BTreeSet<usize> = self.context.taken_back.iter().filter(|t| taken(t)).map(|t| t.finding).collect();
        let stands = |index: usize, f: &Found| {
            if f.finding.status == FindingStatus::Retracted || taken.contains(&index) {
                return Some(FindingStatus::Retracted);
            }
            let decision = settled.iter().rev().find(|s| s.about.contains(&index)).map(|s| &s.decision)?;
            if abstains(&f.finding.value) {
                return None;
            }
            let agrees = f.finding.value == decision.outcome || approves(decision, &f.finding.value);
            Some(if agrees { FindingStatus::Confirmed } else { FindingStatus::Disputed })
        };
        let row = |(index, f): (usize, &Found)| match stands(index, f) {
            Some(status) if f.finding.status != status => (f.node, Arc::new(Finding { status, ..(*f.finding).clone() })),
            Some(_) | None => (f.node, f.finding.clone()),
        };
        found.into_iter().map(row).collect()
    }

    /// Some decisions in declared order of the nodes where they were taken.
    fn settled(&self, known: impl Fn(&Settled) -> bool) -> Vec<&Settled> {
        let mut settled: Vec<&Settled> = self.context.decisions.iter().filter(|s| known(s)).collect();
        settled.sort_by_cached_key(|s| self.position(s.node));
        settled
    }

    /// The decisions that a node knows of, in declared order.
    pub fn visible_decisions(&self, knows: &Knows) -> Vec<Arc<Decision>> {
        self.settled(|s| self.knows_decision(knows, s)).into_iter().map(|s| s.decision.clone()).collect()
    }

    /// Every decision, in declared order.
    pub fn decisions(&self) -> Vec<Arc<Decision>> {
        self.settled(|_| true).into_iter().map(|s| s.decision.clone()).collect()
    }

    /// The variables that a node knows of, parallel writes merged in declared order.
    pub fn visible_variables(&self, knows: &Knows) -> BTreeMap<String, Value> {
        let known = |node: NodeIx, seq: Seq| self.frame_of(node) == knows.frame && knows.sees(node, seq);
        self.variables_of(knows.frame == 0, |node, variable| known(node, variable.seq))
    }

    /// Variables as written in nodes that one knows of; `given` says whether what was set from outside is known too.
    fn variables_of(&self, given: bool, known: impl Fn(NodeIx, &Variable) -> bool) -> BTreeMap<String, Value> {
        let given = self.context.given.iter().filter(|_| given);
        let mut seen: BTreeMap<String, Value> = given.map(|(name, given)| (name.to_string(), given.value.clone())).collect();
        for (name, versions) in &self.context.writes {
            let mut writes: Vec<_> = versions.iter().filter(|(node, variable)| known(*node, variable)).collect();
            writes.sort_by_cached_key(|(node, variable)| (self.position(*node), variable.seq));
            let writes = self.not_overwritten(writes);
            let Some((last, _)) = writes.last() else { continue };
            let merge = self.node(*last).writes.iter().find(|w| w.variable == *name).and_then(|w| w.merge.clone());
            let values: Vec<&Value> = writes.iter().map(|(_, variable)| &variable.value).collect();
            // Whoever reads it sees why it has no value: there is no one place that could fail.
            let value = merged(merge.as_ref(), &values);
            seen.insert(name.to_string(), value.unwrap_or_else(|why| Value::map([("error", Value::text(why))])));
        }
        seen
    }

    /// Of writes in declared order, those that no later one knew of and replaced: one per node, and parallel ones all.
    pub(super) fn not_overwritten<'w>(&self, writes: Vec<&'w (NodeIx, Variable)>) -> Vec<&'w (NodeIx, Variable)> {
        if writes.len() < 2 {
            return writes;
        }
        let writers: BTreeSet<NodeIx> = writes.iter().map(|(node, _)| *node).collect();
        let known: BTreeSet<NodeIx> = writers.iter().flat_map(|node| self.past(*node)).filter(|n| writers.contains(n)).collect();
        let lasts = writes.iter().enumerate().filter(|(at, write)| writes.get(at + 1).is_none_or(|next| next.0 != write.0));
        lasts.map(|(_, write)| *write).filter(|(node, _)| !known.contains(node)).collect()
    }

    /// Every variable as it stands at the end, for reports.
    pub fn variables(&self) -> BTreeMap<String, Value> {
        self.variables_of(true, |_, _| true)
    }
}

/// Whether a value that lists several is for what was decided, where one may approve several.
fn approves(decision: &Decision, value: &Value) -> bool {
    *decision.protocol == *VoteProtocol::Approval.name() && value.as_list().is_some_and(|all| all.contains(&decision.outcome))
}

/// What parallel writes come to.
///
/// # Errors
/// They come to more than [`MAX_MERGED`] entries.
fn merged(merge: Option<&Merge>, values: &[&Value]) -> Result<Value, String> {
    let too_many = |what: &str, count: usize| {
        let help = "write fewer, or merge with sum, min, max or last";
        format!("{count} {what} are more than the {MAX_MERGED} that one variable may hold: {help}")
    };
    match merge {
        Some(Merge::Append) if values.len() > MAX_MERGED => Err(too_many("parallel writes", values.len())),
        Some(Merge::Union) => {
            let entries = values.iter().filter_map(|v| v.as_map()).flatten();
            let all = Value::map(entries.map(|(k, v)| (k.clone(), v.clone())));
            match all.as_map().map_or(0, |map| map.len()) {
                count if count > MAX_MERGED => Err(too_many("entries", count)),
                _ => Ok(all),
            }
        }
        None | Some(Merge::Append | Merge::Sum | Merge::Min | Merge::Max | Merge::Last) => Ok(one_of(merge, values)),
    }
}

/// The same for what cannot grow too long.
fn one_of(merge: Option<&Merge>, values: &[&Value]) -> Value {
    let numbers = || values.iter().filter_map(|v| v.as_f64());
    let number = |n: f64| Value::float(n).unwrap_or_default();
    // Integers stay what they are: a float cannot hold them all.
    let whole: Option<Vec<i64>> = values.iter().map(|v| v.as_int()).collect();
    let whole = whole.and_then(|ints| match merge {
        Some(Merge::Sum) => i64::try_from(ints.into_iter().map(i128::from).sum::<i128>()).ok(),
        Some(Merge::Min) => ints.into_iter().min(),
        Some(Merge::Max) => ints.into_iter().max(),
        None | Some(Merge::Last | Merge::Append | Merge::Union) => None,
    });
    if let Some(whole) = whole {
        return Value::Int(whole);
    }
    match merge {
        None | Some(Merge::Last) => values.last().copied().cloned().unwrap_or_default(),
        Some(Merge::Append) => Value::list(values.iter().copied().cloned()),
        Some(Merge::Sum) => number(numbers().sum()),
        Some(Merge::Min) => numbers().reduce(f64::min).map_or(Value::Null, number),
        Some(Merge::Max) => numbers().reduce(f64::max).map_or(Value::Null, number),
        Some(Merge::Union) => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Merges of integers went through floats, which cannot tell 2^53 from its successor.
    #[test]
    fn merged_integers_stay_exact_and_a_sum_that_is_none_becomes_a_float() {
        let large = (1_i64 << 53) + 1;
        let merge = |how, values: &[Value]| merged(Some(&how), &values.iter().collect::<Vec<_>>()).unwrap();
        let two = [Value::Int(large), Value::Int(large - 3)];
        assert_eq!(merge(Merge::Max, &two), Value::Int(large));
        assert_eq!(merge(Merge::Min, &[Value::Int(large), Value::Int(large + 2)]), Value::Int(large));
        assert_eq!(merge(Merge::Sum, &two), Value::Int(2 * large - 3));
        assert_eq!(merge(Merge::Sum, &[Value::Int(i64::MAX), Value::Int(1), Value::Int(-1)]), Value::Int(i64::MAX));
        assert_eq!(merge(Merge::Sum, &[Value::Int(i64::MAX), Value::Int(i64::MAX)]), Value::Float(2.0 * i64::MAX as f64));
        assert_eq!(merge(Merge::Sum, &[Value::Int(1), Value::Float(0.5)]), Value::Float(1.5));
        assert_eq!(merge(Merge::Sum, &[]), Value::Int(0));
        assert_eq!(merge(Merge::Max, &[]), Value::Null);
    }

    #[test]
    fn what_is_merged_has_a_limit_that_is_named() {
        let check = |how, values: &[Value], expected: &str| {
            let found = merged(Some(&how), &values.iter().collect::<Vec<_>>()).unwrap_err();
            assert!(found.starts_with(expected) && found.contains("10000"), "{found}");
        };
        let many: Vec<Value> = (0..=MAX_MERGED as i64).map(Value::Int).collect();
        check(Merge::Append, &many, "10001 parallel writes are more");
        let maps: Vec<Value> = many.iter().map(|n| Value::map([(n.to_string(), Value::Null)])).collect();
        check(Merge::Union, &maps, "10001 entries are more");
        let fits = |how| merged(Some(&how), &many[1..].iter().collect::<Vec<_>>());
        assert_eq!(fits(Merge::Append).unwrap().as_list().map(<[Value]>::len), Some(MAX_MERGED));
        assert_eq!(fits(Merge::Max).unwrap(), Value::Int(MAX_MERGED as i64));
    }
}
