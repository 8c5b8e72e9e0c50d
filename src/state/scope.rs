//! How far has a scope grown? [`ScopeState`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::value::{AskId, HandoffRequest, NodeIx, Origins, Position, Role, Value};

/// A scope that was opened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScopeState {
    /// Its items, inputs or sub-tasks.
    pub bound: Value,
    /// Its instances, in order of growth.
    pub instances: Vec<u32>,
    /// Instances over all its attempts.
    pub grown: u32,
    /// Instances with a node that has not ended.
    pub open: u32,
    /// Nodes below it that succeeded (`quorum`).
    pub succeeded: u32,
    /// What the team is to do that works here, where that is not what the team around it has to do.
    pub task: Option<Arc<str>>,
    /// Where what its earlier instances came to comes from, where they come one after another.
    pub origins: Origins,
    /// What it settles.
    pub topics: Vec<TopicState>,
    /// Activations of a relay or circle, in order.
    pub seats: Vec<(Role, NodeIx)>,
    /// The same by member, in order.
    pub own_seats: BTreeMap<Role, Vec<NodeIx>>,
    /// Whether its deadline has passed: it goes on with what has ended.
    pub expired: bool,
    /// What the last one of a relay asked for, until the next one is seated.
    pub wish: Option<HandoffRequest>,
    /// Members of a circle who rest and have mail that wakes them, and turns left to read it.
    pub woken: BTreeSet<Role>,
    /// How much of the session's mail each member of a circle had looked at when it came to rest.
    pub rested: BTreeMap<Role, usize>,
    /// Whether a member of a circle has come to rest and the `settle` rule has not been asked since.
    pub unjudged: bool,
}

impl ScopeState {
    /// The activations of a member of a relay or circle, in order.
    pub fn seats_of(&self, member: &Role) -> &[NodeIx] {
        self.own_seats.get(member).map(Vec::as_slice).unwrap_or_default()
    }
}

/// A topic that is being settled.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicState {
    /// What it is about.
    pub topic: Arc<str>,
    /// What everybody holds.
    pub positions: Vec<Position>,
    /// Who was heard and holds nothing.
    pub abstained: Vec<Role>,
    /// Instances of debates about it, in order.
    pub debates: Vec<u32>,
    /// The open question to a person about it.
    pub asked: Option<AskId>,
    /// The person's answer, once it is there; null when nobody answered in time.
    pub answer: Option<(Value, Arc<str>)>,
}
