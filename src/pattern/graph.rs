//! `graph`: the nodes as the file spells them out.

use super::{Fragment, missing};
use crate::team::{Diagnostic, Team};

pub(super) fn expand(team: &Team) -> Result<Fragment, Vec<Diagnostic>> {
    if team.nodes.is_empty() {
        return Err(vec![missing(team, "nodes", "it is made of nothing else", "add `nodes: { first: { agent: ROLE } }`")]);
    }
    Ok(Fragment { nodes: team.nodes.clone(), output: team.output.clone() })
}
