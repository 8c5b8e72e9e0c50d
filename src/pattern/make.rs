//! How is a node written from code? [`Make`] gives those of one team short names and places.

use std::sync::Arc;

use super::place_of;
use crate::{
    graph::{Join, Phase, Reuse, Stragglers},
    team::{After, AfterOn, NodeSpec, Team, Text, What},
    value::{Place, Role},
};

/// Makes nodes that stand at the place of the team's file.
pub(super) struct Make {
    place: Place,
}

impl Make {
    pub(super) fn of(team: &Team) -> Self {
        Self { place: place_of(team) }
    }

    /// A node with nothing but what it does.
    pub(super) fn node(&self, id: impl AsRef<str>, what: What) -> NodeSpec {
        NodeSpec {
            id: Arc::from(id.as_ref()),
            place: self.place.clone(),
            what,
            after: Vec::new(),
            join: Join::All,
            short_run: false,
            stragglers: Stragglers::Cancel,
            join_deadline: None,
            work_deadline: None,
            input: None,
            on_error: None,
            retry: None,
            timeout: None,
            allow_failure: false,
            concurrency: None,
            writes: Vec::new(),
            reuse: Reuse::default(),
            expect_seconds: None,
        }
    }

    /// An agent with the session's task.
    pub(super) fn agent(&self, role: &Role, phase: Phase) -> What {
        What::Agent { role: role.clone(), task: None, phase, proposal: None, done_when: None, max_turns: None, live: false }
    }

    /// A dependency.
    pub(super) fn after(&self, node: impl AsRef<str>, on: AfterOn) -> After {
        After { node: Arc::from(node.as_ref()), place: self.place.clone(), on }
    }

    /// An expression.
    pub(super) fn text(&self, source: impl AsRef<str>) -> Text {
        Text { source: Arc::from(source.as_ref()), place: self.place.clone() }
    }

    /// The place of everything that it makes.
    pub(super) fn place(&self) -> Place {
        self.place.clone()
    }
}

/// Names that expressions and templates give a meaning of their own, so that no node may have them.
#[rustfmt::skip]
const RESERVED: &[&str] = &[
    // What the engine binds.
    "input", "item", "round", "output", "status", "error", "task", "finally",
    // The words of Rhai, those included that it keeps for later.
    "as", "async", "await", "break", "case", "catch", "const", "continue", "default", "do", "else", "eval", "exit", "export",
    "false", "fn", "for", "global", "go", "goto", "if", "import", "in", "is", "let", "loop", "match", "module", "new", "nil", "null",
    "package", "private", "protected", "public", "return", "shared", "spawn", "static", "super", "switch", "sync", "this", "thread",
    "throw", "true", "try", "until", "use", "var", "void", "while", "with", "yield",
    // The words of minijinja.
    "and", "none", "not", "or", "self",
];

/// Whether no node may have this id, because expressions could not name it.
pub fn is_reserved(id: &str) -> bool {
    RESERVED.contains(&id)
}

/// `wanted`, or `wanted_2`, `wanted_3`, … when that is taken.
pub(super) fn free_id(wanted: &str, taken: impl Fn(&str) -> bool) -> Arc<str> {
    if !taken(wanted) {
        return Arc::from(wanted);
    }
    let mut id = String::new();
    for number in 2_u32.. {
        id = format!("{wanted}_{number}");
        if !taken(&id) {
            break;
        }
    }
    Arc::from(id)
}
