//! Is a table without times a call graph? An adjacency matrix (row calls column) or a list of callers and callees.

use std::collections::BTreeSet;

use super::super::number::{self, Cell};

/// The most edges that are kept.
pub const MAX_EDGES: usize = 20_000;
const CALLERS: [&str; 5] = ["caller", "source", "src", "from", "parent"];
const CALLEES: [&str; 6] = ["callee", "target", "dst", "destination", "to", "child"];

/// Which service calls which.
pub type Edges = BTreeSet<(String, String)>;

/// How a table is a call graph.
#[derive(Clone, Debug)]
pub enum Graph {
    /// A row and a column for every service; the names of the columns.
    Matrix(Vec<String>),
    /// A row for every edge; the columns of the caller and the callee.
    List(usize, usize),
}

impl Graph {
    /// The form of the graph, if the table is one.
    pub fn tell(header: &[String], rows: &[Vec<String>]) -> Option<Self> {
        let lower: Vec<String> = header.iter().map(|name| name.to_lowercase()).collect();
        let at = |words: &[&str]| words.iter().find_map(|word| lower.iter().position(|name| name == word));
        if let (Some(caller), Some(callee)) = (at(&CALLERS), at(&CALLEES)) {
            return Some(Self::List(caller, callee));
        }
        let names: BTreeSet<&String> = header.iter().skip(1).collect();
        let known = rows.iter().filter_map(|row| row.first()).any(|name| names.contains(name));
        let numbers = rows.iter().all(|row| row.iter().skip(1).all(|cell| number::read(cell, false) != Cell::Text));
        (header.len() > 2 && known && numbers).then(|| Self::Matrix(header.to_vec()))
    }

    /// Adds the edges of a row; false when there is no room for more.
    pub fn take<'r>(&self, cell: impl Fn(usize) -> &'r str, edges: &mut Edges) -> bool {
        let mut add = |caller: &str, callee: &str| {
            if !caller.is_empty() && !callee.is_empty() && edges.len() < MAX_EDGES {
                edges.insert((caller.to_owned(), callee.to_owned()));
            }
        };
        match self {
            Self::List(caller, callee) => add(cell(*caller).trim(), cell(*callee).trim()),
            Self::Matrix(names) => {
                for (i, callee) in names.iter().enumerate().skip(1) {
                    if matches!(number::read(cell(i), false), Cell::Number(weight) if weight != 0.0) {
                        add(cell(0).trim(), callee);
                    }
                }
            }
        }
        edges.len() < MAX_EDGES
    }
}
