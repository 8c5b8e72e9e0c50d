//! Which shapes have names?
//!
//! A pattern turns a [`Team`] into a [`Fragment`]: nodes of the graph language, as an author could have written them. One file
//! each; the compiler and the run know none of them. To add one: a file here and a line in [`expand`].

mod coordinator_worker;
mod graph;
mod hierarchical;
mod make;
mod parallel;
mod peer_to_peer;
mod result;
mod sequential;

use std::sync::Arc;

pub use make::is_reserved;

use crate::{
    graph::Deadline,
    team::{Code, Diagnostic, NodeSpec, Pattern, Team, Text},
    value::Place,
};

/// What a team comes to in the graph language.
#[derive(Clone, Debug)]
pub struct Fragment {
    /// The nodes.
    pub nodes: Vec<NodeSpec>,
    /// The result; `None`: the sole sink's output, or a map of the sinks'.
    pub output: Option<Text>,
}

/// What `team` comes to. `functions` are the names that its rule scripts define.
///
/// # Errors
/// The team lacks what its pattern needs.
pub fn expand(team: &Team, functions: &[Arc<str>]) -> Result<Fragment, Vec<Diagnostic>> {
    match team.pattern {
        Pattern::CoordinatorWorker => coordinator_worker::expand(team, functions),
        Pattern::Sequential => sequential::expand(team),
        Pattern::Parallel => parallel::expand(team),
        Pattern::Graph => graph::expand(team),
        Pattern::PeerToPeer => peer_to_peer::expand(team),
        Pattern::Hierarchical => hierarchical::expand(team, functions),
    }
}

/// The file of a team, where nothing more exact is known.
fn place_of(team: &Team) -> Place {
    Place { file: team.file.clone(), line: 0, column: 0 }
}

/// One error for each of `lacking`, at the place of the whole file.
fn missing(team: &Team, key: &str, why: &str, help: &str) -> Diagnostic {
    let pattern = team.pattern.name();
    Diagnostic::error(Code::MissingKey, &place_of(team), format!("a `{pattern}` team needs `{key}`: {why}")).help(help)
}

/// How long the work of all members has; one result is enough.
fn deadline_of(team: &Team) -> Option<Deadline> {
    team.coordination.deadline.map(|after| Deadline { after, at_least: 1 })
}
