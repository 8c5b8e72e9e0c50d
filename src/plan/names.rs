//! What does a name in an expression stand for? [`Scope`] resolves it lexically, from the innermost graph outwards.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    team::{Code, Diagnostic, nearest},
    value::{Place, Ref},
};

/// From where in a graph an expression looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// A node, before it starts: it sees what is before it.
    Node(u32),
    /// A condition on an edge out of this node: it sees the node and what is before it.
    Edge(u32),
    /// The end of the graph: everything is before it.
    End,
}

/// What one graph adds to the names of its surroundings.
pub(super) struct Frame {
    /// Its nodes by id.
    pub ids: BTreeMap<Arc<str>, u32>,
    /// What its scope binds: an item by its name, `round`, and in `finally` how the session ended.
    pub bindings: Vec<Arc<str>>,
    /// Nodes that follow a failure, where `error` and `status` are the failure's.
    pub handlers: BTreeSet<u32>,
    /// From where it is looked at just now.
    pub view: View,
    /// What must be before what, to be answered when its edges are known.
    pub questions: Vec<Question>,
}

/// Whether `early` is before the node or edge from which it was named.
pub(super) struct Question {
    pub view: View,
    pub early: u32,
    pub name: Arc<str>,
    pub place: Place,
}

/// The graphs around an expression, outermost first. It ends at the team: a sub-team sees its inputs only.
#[derive(Default)]
pub(super) struct Scope {
    pub frames: Vec<Frame>,
}

/// Words that stand for the node at which an edge starts, or for the round that has just ended.
const SOURCE: [&str; 3] = ["output", "status", "error"];

impl Scope {
    /// What `name` stands for, seen from `view` in the innermost graph. `source`: whether `output`, `status` and `error` have a
    /// meaning there.
    pub fn resolve(&mut self, name: &Arc<str>, place: &Place, view: View, source: bool) -> Result<Ref, Box<Diagnostic>> {
        if let Some(innermost) = self.frames.last_mut() {
            innermost.view = view;
        }
        if source && SOURCE.contains(&&**name) {
            return Ok(Ref::Source { name: name.clone() });
        }
        for (up, frame) in self.frames.iter_mut().rev().enumerate() {
            let up = up as u32;
            if let Some(&local) = frame.ids.get(name) {
                frame.questions.push(Question { view: frame.view, early: local, name: name.clone(), place: place.clone() });
                return Ok(Ref::Node { name: name.clone(), up, local });
            }
            let handled = |name: &str| matches!(name, "error" | "status");
            let handler = matches!(frame.view, View::Node(n) if frame.handlers.contains(&n));
            if frame.bindings.contains(name) || (handler && handled(name)) {
                return Ok(Ref::Binding { name: name.clone(), up });
            }
        }
        if matches!(&**name, "input" | "task") {
            return Ok(Ref::Binding { name: name.clone(), up: self.frames.len().saturating_sub(1) as u32 });
        }
        Err(Box::new(self.unknown(name, place, source)))
    }

    fn unknown(&self, name: &str, place: &Place, source: bool) -> Diagnostic {
        let help = match name {
            "item" => Some("`item` is there inside a `for_each` that does not name it otherwise".to_owned()),
            "round" => Some("`round` is there inside a `repeat`".to_owned()),
            "output" => Some(
                "`output` is there in a condition of `after` and in `until`; elsewhere name the node: `triage.output`".to_owned(),
            ),
            "error" | "status" => Some(format!(
                "`{name}` is there in a condition, in a node that follows a failure and in `finally`; elsewhere name the node: `lint.{name}`"
            )),
            _ => self.nearest(name, source),
        };
        Diagnostic::error(Code::UnknownName, place, format!("`{name}` is neither a node nor anything else that is known here"))
            .maybe_help(help)
    }

    fn nearest(&self, name: &str, source: bool) -> Option<String> {
        let fixed = ["input", "task"].into_iter().chain(SOURCE.into_iter().filter(|_| source));
        let known = self.frames.iter().flat_map(|f| f.ids.keys().chain(&f.bindings).map(|k| &**k)).chain(fixed);
        Some(match nearest(name, known.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", listed(known)),
        })
    }
}

/// `did you mean …` where something is near, else what there is.
pub(super) fn suggest<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(word, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known: {}", listed(known)),
    }
}

/// Names that are listed at most.
const LISTED: usize = 12;

/// `a`, `b` and `c`, cut when there are many.
pub(super) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let all: Vec<String> = names.into_iter().map(|n| format!("`{n}`")).collect();
    match all.len() {
        0 => "nothing".to_owned(),
        n if n > LISTED => format!("{} and {} more", all[..LISTED].join(", "), n - LISTED),
        _ => all.join(", "),
    }
}
