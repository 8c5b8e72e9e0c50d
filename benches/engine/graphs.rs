//! Which graphs are run? [`Dag`]: nodes that take some milliseconds, and who waits for whom.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    path::Path,
    time::Duration,
};

use serde::Deserialize;

use crate::Failure;

/// Nodes of one layer.
const WIDTH: usize = 100;

/// A graph of work. A node waits for nodes before it only.
#[derive(Clone, Debug, Default)]
pub struct Dag {
    /// How many milliseconds each node takes; 0 returns at once.
    pub millis: Vec<u64>,
    /// The nodes that each node waits for.
    pub deps: Vec<Vec<usize>>,
}

impl Dag {
    pub fn len(&self) -> usize {
        self.millis.len()
    }

    fn node(&mut self, millis: u64, deps: impl IntoIterator<Item = usize>) -> usize {
        self.millis.push(millis);
        self.deps.push(deps.into_iter().collect());
        self.len() - 1
    }

    /// One after another.
    pub fn chain(size: usize) -> Self {
        let mut dag = Self::default();
        (0..size).for_each(|n| {
            dag.node(0, n.checked_sub(1));
        });
        dag
    }

    /// One, then all, then one.
    pub fn fan(size: usize) -> Self {
        let mut dag = Self::default();
        let first = dag.node(0, []);
        let middle: Vec<_> = (0..size - 2).map(|_| dag.node(0, [first])).collect();
        dag.node(0, middle);
        dag
    }

    /// Layers in which each node waits for three of the layer before.
    pub fn layers(size: usize) -> Self {
        let mut dag = Self::default();
        for n in 0..size {
            let sources = [n % WIDTH, (n * 7 + 1) % WIDTH, (n * 13 + 2) % WIDTH];
            match (n / WIDTH).checked_sub(1) {
                Some(layer) => dag.node(0, sources.map(|s| layer * WIDTH + s)),
                None => dag.node(0, []),
            };
        }
        dag
    }

    /// A coordinator, four specialists that take 50 ms, and the coordinator again.
    pub fn team() -> Self {
        let mut dag = Self::default();
        let first = dag.node(0, []);
        let work = [(); 4].map(|()| dag.node(50, [first]));
        dag.node(0, work);
        dag
    }

    /// Two chains of `length` nodes, one slow where the other is fast: who waits for both at each step takes twice as long.
    pub fn alternating(length: usize, fast: u64, slow: u64) -> Self {
        let mut dag = Self::default();
        let mut last = [None; 2];
        for n in 0..length {
            for (chain, last) in last.iter_mut().enumerate() {
                let millis = if (n + chain) % 2 == 0 { slow } else { fast };
                *last = Some(dag.node(millis, *last));
            }
        }
        dag
    }

    /// `chains` chains of `length` nodes, each of which is slow once in ten, at other places than its neighbours.
    pub fn many_chains(chains: usize, length: usize) -> Self {
        let mut dag = Self::default();
        for chain in 0..chains {
            let mut last = None;
            for n in 0..length {
                let millis = if (n + chain) % 10 == 0 { 100 } else { 5 };
                last = Some(dag.node(millis, last));
            }
        }
        dag
    }

    /// Layers of nodes of 5 to 50 ms, each of which waits for three of the layer before: whoever waits for a whole layer waits for its slowest.
    pub fn slow_layers(layers: usize, width: usize) -> Self {
        let mut dag = Self::default();
        for n in 0..layers * width {
            let millis = 5 + (n as u64 * 7_919) % 46;
            let sources = [n % width, (n * 7 + 1) % width, (n * 13 + 2) % width];
            match (n / width).checked_sub(1) {
                Some(layer) => dag.node(millis, sources.map(|s| layer * width + s)),
                None => dag.node(millis, []),
            };
        }
        dag
    }

    /// The longest path from each node to the end, itself included.
    pub fn ranks(&self) -> Vec<u64> {
        let mut ranks = self.millis.clone();
        for n in (0..self.len()).rev() {
            for dep in &self.deps[n] {
                ranks[*dep] = ranks[*dep].max(self.millis[*dep] + ranks[n]);
            }
        }
        ranks
    }

    /// The nodes that wait for each.
    pub fn waiters(&self) -> Vec<Vec<usize>> {
        let mut waiters = vec![Vec::new(); self.len()];
        for (n, deps) in self.deps.iter().enumerate() {
            deps.iter().for_each(|dep| waiters[*dep].push(n));
        }
        waiters
    }
}

/// How long it takes `workers` workers, each of which takes the ready node with the longest remaining path, in milliseconds.
pub fn list_schedule(dag: &Dag, workers: usize) -> u64 {
    let (ranks, waiters) = (dag.ranks(), dag.waiters());
    let mut missing: Vec<usize> = dag.deps.iter().map(Vec::len).collect();
    let ready = |n: usize| (ranks[n], Reverse(n));
    let mut waiting: BinaryHeap<_> = (0..dag.len()).filter(|n| missing[*n] == 0).map(ready).collect();
    let mut running: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    let mut now = 0;
    loop {
        while running.len() < workers
            && let Some((_, Reverse(n))) = waiting.pop()
        {
            running.push(Reverse((now + dag.millis[n], n)));
        }
        let Some(Reverse((at, n))) = running.pop() else { return now };
        now = at;
        for waiter in &waiters[n] {
            missing[*waiter] -= 1;
            if missing[*waiter] == 0 {
                waiting.push(ready(*waiter));
            }
        }
    }
}

#[derive(Deserialize)]
struct Workflow {
    tasks: Vec<Task>,
}

#[derive(Deserialize)]
struct Task {
    id: String,
    deps: Vec<String>,
    runtime_s: f64,
}

/// The workflows of a folder by name, scaled so that the critical path of each takes `path`.
pub fn real(folder: &Path, path: Duration) -> Result<Vec<(String, Dag)>, Failure> {
    let mut files: Vec<_> = folder.read_dir()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "json"));
    files.sort();
    files
        .iter()
        .map(|file| {
            let workflow: Workflow = serde_json::from_slice(&std::fs::read(file)?)?;
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            Ok((name, scaled(&workflow, path)?))
        })
        .collect()
}

fn scaled(workflow: &Workflow, path: Duration) -> Result<Dag, Failure> {
    let by_id: BTreeMap<&str, usize> = workflow.tasks.iter().enumerate().map(|(n, task)| (task.id.as_str(), n)).collect();
    let edges = workflow.tasks.iter().enumerate().flat_map(|(n, task)| task.deps.iter().map(move |dep| (dep, n)));
    let edges: Vec<(usize, usize)> = edges.filter_map(|(dep, n)| Some((*by_id.get(dep.as_str())?, n))).collect();
    let graph = petgraph::graph::DiGraph::<(), ()>::from_edges(edges.iter().map(|(a, b)| (*a as u32, *b as u32)));
    let mut order: Vec<usize> =
        petgraph::algo::toposort(&graph, None).map_err(|_| "a workflow with a circle")?.into_iter().map(|n| n.index()).collect();
    order.extend(graph.node_count()..workflow.tasks.len());
    let mut place = vec![0; workflow.tasks.len()];
    order.iter().enumerate().for_each(|(at, n)| place[*n] = at);
    let mut dag = Dag::default();
    for n in &order {
        let task = &workflow.tasks[*n];
        // In microseconds first, to find the scale.
        dag.node((task.runtime_s * 1e6) as u64, task.deps.iter().map(|dep| place[by_id[dep.as_str()]]));
    }
    let longest = dag.ranks().into_iter().max().unwrap_or(1).max(1);
    let scale = path.as_millis() as f64 / longest as f64;
    dag.millis.iter_mut().for_each(|millis| *millis = (*millis as f64 * scale).round() as u64);
    Ok(dag)
}
