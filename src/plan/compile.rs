//! How does a team become a plan? [`compile`] builds its graphs, derives the worst case and says everything that is wrong.

use std::sync::Arc;

use super::{
    bounds,
    build::{Builder, file_of},
    models::Models,
    names::listed,
};
use crate::{
    graph::{Bounds, Plan},
    team::{self, Code, Diagnostic, Team},
    value::{Map, ToolSpec, Value, is_offline},
};

/// What a machine offers to a plan.
pub struct Machine<'a> {
    /// The tools.
    pub tools: &'a [ToolSpec],
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
    builder.team(team);
    let finally = (!team.finally.is_empty()).then(|| builder.finally(team)).flatten();
    let mut found = builder.found;
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

/// A limit on a cost that cannot be known. Models that the catalog lacks are the loader's to report.
fn check_cost(team: &Team, plan: &Plan, models: &dyn Models) -> Option<Diagnostic> {
    let limit = plan.limits.cost?;
    let agents = plan.teams.iter().flat_map(|t| t.members.iter().chain(&t.coordinator));
    let mut names: Vec<&str> =
        agents.flat_map(|m| std::iter::once(&m.profile.model).chain(&m.profile.fallback_models)).map(|n| &**n).collect();
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
