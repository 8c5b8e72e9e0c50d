//! How long may it take? [`Wall`] adds up times, and what waiting for slots adds to them.
//!
//! With slots for everybody a graph takes its longest path. A limiter of `c` slots adds the time in which it is full and somebody
//! waits. While it is full it does `c` seconds of work a second, and while it is not full the longest path goes on, so that a
//! session never takes longer than `path + (work - path) / c` (Graham, "Bounds on multiprocessing timing anomalies", 1969). Nor
//! does it ever take longer than everything in a row.
//!
//! Three things differ from Graham's jobs. The clock of an activation runs from its start to its end and one activation may hold
//! several slots, one for each call of a turn: its work is its time × those slots. A wait before a retry holds no slot and counts
//! as work all the same, which can only lengthen the bound. And limiters nest: seen from outside, a limited scope is a job that
//! takes what it takes when nothing around it is ever full, and every limiter adds its own waiting once, where it stands.

use std::time::Duration;

use petgraph::{
    Direction,
    graph::{DiGraph, NodeIndex},
};

use super::topo::Order;
use crate::graph::{Edge, Join, Node, NodeKind, Retry, Stragglers};

/// What something may take, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wall {
    /// When nothing outside of it is ever full: what waits in it, waits for limiters inside.
    pub path: u64,
    /// All of it in a row.
    pub serial: u64,
    /// The slots that it holds × how long, and the waits between attempts.
    pub work: u64,
    /// Slots that it may want at once.
    pub demand: u64,
}

impl Wall {
    /// All attempts of `node` with the waits between them, each with up to `slots` calls in flight.
    pub fn calls(node: &Node, slots: u32, second_chances: u32) -> Option<Self> {
        let once = node.timeout.map_or(0, millis);
        let attempts = u64::from(attempts(node.retry.as_ref())).checked_add(second_chances.into())?;
        let (busy, waits) = (once.checked_mul(attempts)?, waits(node.retry.as_ref())?);
        let path = busy.checked_add(waits)?;
        let work = busy.checked_mul(slots.into())?.checked_add(waits)?;
        Some(Self { path, serial: path, work, demand: slots.into() })
    }

    /// `count` times, of which `at_once` at the same time.
    pub fn times(self, count: u64, at_once: u64) -> Option<Self> {
        let at_once = at_once.clamp(1, count.max(1));
        Some(Self {
            path: self.path.checked_mul(count.div_ceil(at_once))?,
            serial: self.serial.checked_mul(count)?,
            work: self.work.checked_mul(count)?,
            demand: self.demand.checked_mul(at_once)?,
        })
    }

    /// One after the other.
    pub fn then(self, next: Self) -> Option<Self> {
        Some(Self {
            path: self.path.checked_add(next.path)?,
            serial: self.serial.checked_add(next.serial)?,
            work: self.work.checked_add(next.work)?,
            demand: self.demand.max(next.demand),
        })
    }

    /// At the same time.
    pub fn beside(self, other: Self) -> Option<Self> {
        Some(Self {
            path: self.path.max(other.path),
            serial: self.serial.checked_add(other.serial)?,
            work: self.work.checked_add(other.work)?,
            demand: self.demand.checked_add(other.demand)?,
        })
    }

    /// One of both, whichever takes more.
    pub fn or(self, other: Self) -> Self {
        Self {
            path: self.path.max(other.path),
            serial: self.serial.max(other.serial),
            work: self.work.max(other.work),
            demand: self.demand.max(other.demand),
        }
    }

    /// With so many slots for all of it.
    pub fn limited(self, slots: u32) -> Option<Self> {
        let slots = u64::from(slots.max(1));
        if self.demand <= slots {
            return Some(self);
        }
        let waits = self.work.saturating_sub(self.path).div_ceil(slots);
        Some(Self { path: self.path.checked_add(waits)?.min(self.serial), demand: slots, ..self })
    }

    /// As a scope: an attempt ends at its timeout, and there may be several.
    pub fn attempts_of(self, scope: &Node) -> Option<Self> {
        // What a scope leaves at work when it ends is not bound by its timeout.
        let cap = scope.timeout.filter(|_| scope.stragglers == Stragglers::Cancel).map_or(u64::MAX, millis);
        let once = Self { path: self.path.min(cap), serial: self.serial.min(cap), ..self };
        let waits = waits(scope.retry.as_ref())?;
        let waits = Self { path: waits, serial: waits, work: waits, demand: 0 };
        once.times(attempts(scope.retry.as_ref()).into(), 1)?.then(waits)
    }
}

/// What the nodes of a graph take together, `walls` being what each of them takes.
pub(super) fn together(dag: &DiGraph<Node, Edge>, walls: &[Wall]) -> Option<Wall> {
    let order = Order::of(dag)?;
    let mut sum = Wall::default();
    let mut until = vec![0_u64; walls.len()];
    for &node in &order.nodes {
        let wall = walls[node.index()];
        let before = dag.neighbors_directed(node, Direction::Incoming).map(|n| until[n.index()]).max();
        until[node.index()] = before.unwrap_or(0).checked_add(wall.path)?;
        sum.path = sum.path.max(until[node.index()]);
        sum.serial = sum.serial.checked_add(wall.serial)?;
        sum.work = sum.work.checked_add(wall.work)?;
    }
    sum.demand = demand(dag, &order, walls)?;
    Some(sum)
}

/// Slots that nodes may want at once: the graph falls into chains whose nodes are never at work together.
fn demand(dag: &DiGraph<Node, Edge>, order: &Order, walls: &[Wall]) -> Option<u64> {
    let mut chain_of: Vec<Option<usize>> = vec![None; walls.len()];
    let mut chains: Vec<u64> = Vec::new();
    for &node in &order.nodes {
        let before = (dag[node].join == Join::All).then(|| {
            let mut sources = dag.neighbors_directed(node, Direction::Incoming);
            sources.find(|source| chain_of[source.index()].is_some() && ends_as_one(&dag[*source]))
        });
        let chain = before.flatten().and_then(|source: NodeIndex| chain_of[source.index()].take());
        let chain = chain.unwrap_or_else(|| {
            chains.push(0);
            chains.len() - 1
        });
        chains[chain] = chains[chain].max(walls[node.index()].demand);
        chain_of[node.index()] = Some(chain);
    }
    chains.into_iter().try_fold(0_u64, u64::checked_add)
}

/// Whether nothing of a node is at work once it has ended.
fn ends_as_one(node: &Node) -> bool {
    match &node.kind {
        NodeKind::Scope(_) => node.stragglers == Stragglers::Cancel,
        NodeKind::Agent(_) | NodeKind::Tool(_) | NodeKind::Gate(_) | NodeKind::Ask(_) => true,
    }
}

/// Attempts at most.
pub(super) fn attempts(retry: Option<&Retry>) -> u32 {
    retry.map_or(1, |r| r.max_attempts.max(1))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX)
}

/// Waits that are added up one by one; the rest count as the longest.
const WAITS: u32 = 64;

/// All waits between attempts.
fn waits(retry: Option<&Retry>) -> Option<u64> {
    let Some(retry) = retry else { return Some(0) };
    let last = attempts(Some(retry));
    let mut sum = 0_u64;
    for attempt in 2..=last.min(WAITS) {
        sum = sum.checked_add(millis(retry.backoff.before(attempt)))?;
    }
    u64::from(last.saturating_sub(WAITS)).checked_mul(millis(retry.backoff.max))?.checked_add(sum)
}
