//! May two nodes write one variable at the same time? [`conflicts`] finds those of a graph for which nobody says how to merge.

use std::{collections::BTreeMap, sync::Arc};

use petgraph::graph::{DiGraph, NodeIndex};

use super::{
    exclusive::exclusive,
    topo::{self, Order},
};
use crate::{
    graph::{Edge, Node, NodeKind, ScopeKind, TeamPlan},
    team::{Code, Diagnostic, NodeSpec},
    value::{Merge, Role, WriteSpec},
};

/// Writers of one variable that are compared pair by pair; of more, each with the next.
const COMPARED: usize = 64;

/// Pairs that are reported for one variable at most.
const REPORTED: usize = 3;

/// A graph whose writers are looked at, and what is known of its surroundings.
pub(super) struct Writers<'a> {
    pub specs: &'a [NodeSpec],
    pub dag: &'a DiGraph<Node, Edge>,
    pub order: &'a Order,
    pub team: &'a TeamPlan,
    /// What the nodes of each graph so far write, with everything inside them.
    pub inside: &'a [Vec<WriteSpec>],
}

impl Writers<'_> {
    /// What the node writes, with everything inside it. A sub-team writes into a context of its own.
    fn of(&self, node: &Node) -> Vec<WriteSpec> {
        let grown = |roles: &[Role], like: &Node| {
            // What a member that is a team writes, it writes for itself.
            let members = roles.iter().filter_map(|role| self.team.agent(role)).filter(|m| m.team.is_none());
            let members = members.flat_map(|m| m.writes.clone());
            members.chain(like.writes.clone()).collect()
        };
        let mut all: Vec<WriteSpec> = match &node.kind {
            NodeKind::Scope(scope) => match &**scope {
                ScopeKind::Group { with: Some(_), .. } => Vec::new(),
                ScopeKind::ForEach { body, .. } | ScopeKind::Repeat { body, .. } | ScopeKind::Group { body, with: None, .. } => {
                    self.inside.get(body.index()).cloned().unwrap_or_default()
                }
                ScopeKind::Subtasks { like, .. } => {
                    let roles: Vec<Role> = self.team.members.iter().map(|m| m.role.clone()).collect();
                    grown(&roles, like)
                }
                ScopeKind::Relay { members, like, .. } | ScopeKind::Circle { members, like } => grown(members, like),
                ScopeKind::Settle(settle) => grown(&settle.members, &settle.like),
            },
            NodeKind::Agent(_) | NodeKind::Tool(_) | NodeKind::Gate(_) | NodeKind::Ask(_) => Vec::new(),
        };
        all.extend(node.writes.iter().cloned());
        all
    }

    /// What all nodes of the graph write.
    pub fn all(&self) -> Vec<WriteSpec> {
        let mut all: BTreeMap<Arc<str>, Vec<Option<Merge>>> = BTreeMap::new();
        for WriteSpec { variable, merge } in self.dag.node_weights().flat_map(|node| self.of(node)) {
            let merges = all.entry(variable).or_default();
            if !merges.contains(&merge) {
                merges.push(merge);
            }
        }
        let each = |(variable, merges): (Arc<str>, Vec<_>)| {
            merges.into_iter().map(move |merge| WriteSpec { variable: variable.clone(), merge })
        };
        all.into_iter().flat_map(each).collect()
    }

    /// The variables for which a merge is missing, an error each.
    pub fn conflicts(&self) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        let mut writers: BTreeMap<Arc<str>, Vec<(NodeIndex, Option<Merge>)>> = BTreeMap::new();
        for node in self.dag.node_indices() {
            for write in self.of(&self.dag[node]) {
                writers.entry(write.variable).or_default().push((node, write.merge));
            }
            found.extend(self.among_instances(node));
        }
        for (variable, mut writers) in writers {
            writers.sort_by_key(|(node, _)| self.order.place[node.index()]);
            let merged = writers.iter().all(|(_, merge)| merge.is_some() && *merge == writers[0].1);
            writers.dedup_by_key(|(node, _)| *node);
            if !merged && writers.len() > 1 {
                found.extend(self.unordered(&variable, &writers));
            }
        }
        found
    }

    fn unordered(&self, variable: &str, writers: &[(NodeIndex, Option<Merge>)]) -> Vec<Diagnostic> {
        // Writers in a row, each after the one before, are all ordered: the usual case, in one sweep.
        let mut pairs: Vec<_> = writers.windows(2).map(|w| (w[1].0, w[0].0)).collect();
        let open = |pairs: &[(NodeIndex, NodeIndex)]| -> Vec<(NodeIndex, NodeIndex)> {
            let answers = topo::ancestors(self.dag, self.order, pairs);
            pairs.iter().zip(answers).filter(|(_, before)| !before).map(|(pair, _)| *pair).collect()
        };
        let mut left = open(&pairs);
        if !left.is_empty() && writers.len() <= COMPARED {
            pairs = (0..writers.len()).flat_map(|a| (0..a).map(move |b| (writers[a].0, writers[b].0))).collect();
            left = open(&pairs);
        }
        left.retain(|(a, b)| !exclusive(self.dag, *a, *b));
        left.sort_by_key(|(a, b)| (a.min(b).index(), a.max(b).index()));
        left.iter().take(REPORTED).map(|(a, b)| self.conflict(variable, *a.min(b), *a.max(b))).collect()
    }

    fn conflict(&self, variable: &str, first: NodeIndex, second: NodeIndex) -> Diagnostic {
        let (a, b) = (&self.specs[first.index()], &self.specs[second.index()]);
        let message = format!("`{}` and `{}` may run at the same time and both write `{variable}`", a.id, b.id);
        let help = format!(
            "let one be `after` the other, or give both the same merge: `writes: [{{ variable: {variable}, merge: append }}]`"
        );
        Diagnostic::error(Code::WriteConflict, &b.place, message).related(&a.place, "the other is here").help(help)
    }

    /// Instances of one body, or members at sub-tasks, that write one variable at the same time.
    fn among_instances(&self, node: NodeIndex) -> Vec<Diagnostic> {
        let NodeKind::Scope(scope) = &self.dag[node].kind else { return Vec::new() };
        let spec = &self.specs[node.index()];
        let error = |variable: &str, who: &str| {
            let message = format!("{who} of `{}` may run at the same time and write `{variable}`", spec.id);
            let help = format!("say how the values become one: `writes: [{{ variable: {variable}, merge: append }}]`");
            Diagnostic::error(Code::WriteConflict, &spec.place, message).help(help)
        };
        match &**scope {
            ScopeKind::ForEach { max, parallel, body, .. } if *max > 1 && *parallel != Some(1) => {
                let inside = self.inside.get(body.index()).map(|w| &w[..]).unwrap_or_default();
                inside.iter().filter(|w| w.merge.is_none()).map(|w| error(&w.variable, "the instances")).collect()
            }
            // What is given to colleagues below a sub-task is done side by side.
            ScopeKind::Subtasks { one_by_one, .. } if !one_by_one || self.team.max_depth > 1 => {
                self.among_members(|_| true, error)
            }
            ScopeKind::Circle { members, .. } => self.among_members(|role| members.contains(role), error),
            ScopeKind::ForEach { .. }
            | ScopeKind::Subtasks { .. }
            | ScopeKind::Repeat { .. }
            | ScopeKind::Group { .. }
            | ScopeKind::Relay { .. }
            | ScopeKind::Settle(_) => Vec::new(),
        }
    }

    /// Members at work at the same time, in sub-tasks or a circle, that write one variable.
    fn among_members(&self, of: impl Fn(&Role) -> bool, error: impl Fn(&str, &str) -> Diagnostic) -> Vec<Diagnostic> {
        let mut by: BTreeMap<&str, Vec<(&Role, &Option<Merge>)>> = BTreeMap::new();
        for member in self.team.members.iter().filter(|member| of(&member.role)) {
            for write in &member.writes {
                by.entry(&write.variable).or_default().push((&member.role, &write.merge));
            }
        }
        let clash = |m: &[(&Role, &Option<Merge>)]| m.len() > 1 && m.iter().any(|(_, merge)| merge.is_none() || *merge != m[0].1);
        by.into_iter()
            .filter(|(_, members)| clash(members))
            .map(|(variable, m)| error(variable, &format!("`{}` and `{}`, members", m[0].0, m[1].0)))
            .collect()
    }
}
