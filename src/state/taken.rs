//! What did a node take over from an earlier session? [`Taken`].

use std::sync::Arc;

use crate::value::{SessionId, Turn, Usage};

/// What a node took over, and from where on it worked anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Replies, or results of a tool node.
    pub turns: u32,
    /// Results of calls.
    pub calls: u32,
    /// The session in which the last of them was really asked or called; of a tool node that is called again, under whose key it is.
    pub session: Option<SessionId>,
    /// What they took there.
    pub saved: Usage,
    /// The first turn that it did anew, and why.
    pub anew: Option<(Turn, Arc<str>)>,
    /// Whether the end of its turn that comes next is taken over.
    pub pending: bool,
}

impl Taken {
    /// Whether all that the node came to is taken over.
    pub fn is_whole(&self) -> bool {
        self.turns > 0 && self.anew.is_none()
    }
}
