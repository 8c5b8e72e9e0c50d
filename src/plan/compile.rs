//! How does a team become a plan? [`compile`] builds its graphs, derives the worst case and says everything that is wrong.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    bounds,
    build::{Builder, file_of},
    models::Models,
    names::listed,
    outline::bodies,
};
use crate::{
    graph::{Bounds, Member, Plan},
    team::{self, Code, Diagnostic, Team},
    value::{EffectClass, Map, Place, Role, TeamIx, ToolSpec, Usd, Value, is_offline},
};

/// What a machine offers to a plan.
pub struct Machine<'a> {
    /// The tools.
    pub tools: &'a [ToolSpec],
    /// What repeating a call of one of them would do, where that depends on its arguments; one that is only known during the run
    /// is null. `None`: what its spec says.
    pub effect: &'a dyn Fn(&str, &Value) -> Option<EffectClass>,
    /// The models.
    pub models: &'a dyn Models,
}

/// A plan and what its author should look at.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The plan.
    pub plan: Plan,
    /// Warnings.
    pub warnings: Vec<Diagnostic>,
}

/// Compiles `team` for `machine`.
///
/// # Errors
/// All that is wrong with the team, at once, by place; the warnings are among them.
pub fn compile<'a>(team: &'a Team, machine: &Machine<'a>) -> Result<Compiled, Vec<Diagnostic>> {
    let mut builder = Builder::new(machine, &team.sources);
    let finally = builder.all(team);
    let mut found = std::mem::take(&mut builder.found);
    if found.iter().any(|d| d.code == Code::BadScript) {
        found.retain(|d| d.code != Code::UnknownRule);
    }
    if found.iter().any(Diagnostic::is_error) {
        team::finish(&mut found, &team.sources);
        return Err(found);
    }
    let mut plan = Plan {
        graphs: builder.graphs.into_iter().flatten().map(Arc::new).collect(),
        teams: builder.teams,
        finally,
        max_parallel: team.coordination.max_parallel,
        limits: team.limits,
        bounds: Bounds::default(),
        inputs: defaults(team),
        roots: roots(team),
        tools: team.tools.clone(),
        digests: team.sources.iter().map(|(file, text)| (file.clone(), digest(text))).collect(),
    };
    match bounds::worst_case(&plan, machine.models) {
        Ok(bounds) => plan.bounds = bounds,
        Err(overflow) => {
            let place =
                overflow.node.map_or_else(|| file_of(team), |n| builder.places[overflow.graph.index()][n.index()].clone());
            let what = bounds::overflowing(&plan.graphs, overflow);
            let message = format!("the worst case of {what} does not fit into 64 bits");
            let help = "lower `max`, `max_tasks`, `max_attempts` or the turns of its agents";
            found.push(Diagnostic::error(Code::BoundOverflow, &place, message).help(help));
        }
    }
    found.extend(check_cost(team, &plan, machine.models));
    team::finish(&mut found, &team.sources);
    if found.iter().any(Diagnostic::is_error) { Err(found) } else { Ok(Compiled { plan, warnings: found }) }
}

/// What else is wrong with a team whose loader `found` mistakes in its files, as far as it does not follow from these: its
/// scripts and expressions, above all.
pub fn mistakes_beside<'a>(found: &[Diagnostic], team: &'a Team, machine: &Machine<'a>) -> Vec<Diagnostic> {
    let mut builder = Builder::new(machine, &team.sources);
    builder.incomplete = true;
    builder.all(team);
    let more = std::mem::take(&mut builder.found);
    let told: BTreeSet<Place> = found.iter().filter(|d| d.is_error()).map(Diagnostic::place).collect();
    let lacks_scripts = more.iter().chain(found).any(|d| matches!(d.code, Code::BadScript | Code::MissingReference));
    let follows =
        |d: &Diagnostic| matches!(d.code, Code::MissingKey | Code::UnknownRole) || (d.code == Code::UnknownRule && lacks_scripts);
    let mut more: Vec<_> = more.into_iter().filter(|d| d.is_error() && !follows(d) && !told.contains(&d.place())).collect();
    team::finish(&mut more, &team.sources);
    more
}

/// A limit on a cost that cannot be known. Models that the catalog lacks are the loader's to report.
fn check_cost(team: &Team, plan: &Plan, models: &dyn Models) -> Option<Diagnostic> {
    let all = plan.teams.iter().zip(costs(plan));
    let all = all.flat_map(|(t, cost)| t.members.iter().chain(&t.coordinator).map(move |m| (m, cost.or(m.limits.cost))));
    let limited: Vec<_> = all.filter_map(|(m, cost)| Some((m, cost?))).collect();
    let (_, limit) = *limited.first()?;
    let agents: Vec<_> = limited.into_iter().map(|(m, _)| m).collect();
    let mut names: Vec<&str> =
        agents.iter().flat_map(|m| std::iter::once(&m.profile.model).chain(&m.profile.fallback_models)).map(|n| &**n).collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| !is_offline(name) && models.facts(name).is_some_and(|facts| facts.price.is_none()));
    if names.is_empty() || plan.bounds.cost.is_some() {
        return None;
    }
    let message = format!("`limits.cost_usd` of {limit} cannot be kept: {} has no price", listed(names));
    let help = "give it a `price` in the model catalog, or limit `tokens` instead";
    Some(Diagnostic::error(Code::Unpriced, &file_of(team), message).help(help))
}

/// For each team a limit on cost that holds for it: its own, that of the member that it is, or one of a team around it. Teams come
/// before those inside them.
fn costs(plan: &Plan) -> Vec<Option<Usd>> {
    let mut costs: Vec<Option<Usd>> = plan.teams.iter().map(|team| team.limits.cost.or(plan.limits.cost)).collect();
    let nodes = plan.graphs.iter().flat_map(|graph| graph.dag.node_weights().map(|node| (graph.team, node)));
    let at_nodes =
        nodes.flat_map(|(team, node)| bodies(plan, team, node).into_iter().map(move |(body, _)| (team, node.role(), body)));
    let mut inside: Vec<(TeamIx, Option<&Role>, TeamIx)> = at_nodes
        .map(|(team, role, body)| (team, role, plan.graph(body).team))
        .filter(|(outer, _, inner)| inner > outer)
        .collect();
    inside.sort_unstable_by_key(|(_, _, inner)| *inner);
    for (outer, role, inner) in inside {
        let grown = |m: &&Member| m.team.as_ref().is_some_and(|team| plan.graph(team.body).team == inner);
        let team = plan.team(outer);
        let member = role.and_then(|role| team.agent(role)).or_else(|| team.members.iter().find(grown));
        let around = member.and_then(|m| m.limits.cost).or(costs[outer.index()]);
        costs[inner.index()] = costs[inner.index()].or(around);
    }
    costs
}

fn digest(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

fn roots(team: &Team) -> Vec<Arc<str>> {
    let is_root = |kind: team::InputKind| matches!(kind, team::InputKind::Folder | team::InputKind::File);
    team.inputs.iter().filter(|input| is_root(input.kind)).map(|input| input.name.clone()).collect()
}

fn defaults(team: &Team) -> Map {
    team.inputs.iter().map(|i| (i.name.to_string(), i.default.clone().unwrap_or(Value::Null))).collect()
}
