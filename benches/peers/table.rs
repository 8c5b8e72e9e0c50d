//! Who does which workload, and how is each asked to? [`PEERS`].

/// Sessions at once where there are many.
const SESSIONS: usize = 200;

/// A workload, and whether what happened must be on the disk.
pub struct Workload {
    pub name: &'static str,
    pub file: &'static str,
    pub durable: bool,
    pub sessions: usize,
}

pub const WORKLOADS: [Workload; 6] = [
    Workload { name: "w1", file: "w1_chain1000", durable: false, sessions: 1 },
    Workload { name: "w3", file: "w3_dag1000", durable: false, sessions: 1 },
    Workload { name: "w5", file: "w5_team", durable: false, sessions: SESSIONS },
    Workload { name: "w1d", file: "w1_chain1000", durable: true, sessions: 1 },
    Workload { name: "w3d", file: "w3_dag1000", durable: true, sessions: 1 },
    Workload { name: "w5d", file: "w5_team", durable: true, sessions: SESSIONS },
];

/// A program that does them.
pub struct Peer {
    pub name: &'static str,
    pub program: &'static str,
    pub script: Option<&'static str>,
    /// Whether it can do without a disk; it is asked for `w1`, `w3` and `w5` then.
    in_memory: bool,
    /// What it is asked for `w1d`, `w3d` and `w5d`.
    durable: [Option<&'static str>; 3],
}

impl Peer {
    /// Its arguments for a workload; `None` where it cannot do it.
    pub fn args(&self, workload: &Workload) -> Option<Vec<&'static str>> {
        let [w1, w3, w5] = self.durable;
        let case = match workload.name {
            "w1d" => w1?,
            "w3d" => w3?,
            "w5d" => w5?,
            name => return self.in_memory.then(|| vec![name, "1"]),
        };
        Some(case.split(' ').chain(["1"]).collect())
    }
}

const fn rust(name: &'static str, program: &'static str, w5d: Option<&'static str>) -> Peer {
    Peer { name, program, script: None, in_memory: true, durable: [Some("w4c"), Some("w4"), w5d] }
}

const fn python(name: &'static str, program: &'static str, script: &'static str, durable: [Option<&'static str>; 3]) -> Peer {
    Peer { name, program, script: Some(script), in_memory: true, durable }
}

pub const PEERS: [Peer; 10] = [
    rust("ideal", "rust/target/release/limits", Some("w5d")),
    // Its durable store is Postgres, whose address is in PEERS_PG_URL.
    rust("graph-flow", "rust/target/release/gf", None),
    rust("dagrs", "rust/target/release/dg", Some("w5h")),
    python("langgraph", "venv/langgraph/bin/python", "py/langgraph_bench.py", [Some("w4c"), Some("w4s"), Some("w5s")]),
    // Its durable chain has a hundred nodes, which compares with nothing here, and its file store does not sync.
    python("agent-framework", "venv/agent_framework/bin/python", "py/maf_bench.py", [None, Some("w4"), Some("w5d")]),
    // It has no mode that is not durable.
    Peer {
        name: "dbos",
        program: "venv/dbos/bin/python",
        script: Some("py/dbos_bench.py"),
        in_memory: false,
        durable: [Some("w1 sqlite-wal"), Some("w3 sqlite-wal"), Some("w5 sqlite-wal")],
    },
    python("adk", "venv/adk/bin/python", "py/adk_bench.py", [Some("w4c"), Some("w4"), Some("w5d")]),
    python("crewai", "venv/crewai/bin/python", "py/crewai_bench.py", [Some("w4c"), Some("w4"), Some("w5d")]),
    python("openai-agents", "venv/openai_agents/bin/python", "py/openai_agents_bench.py", [Some("w4c"), Some("w4"), None]),
    python("pydantic-graph", "venv/pydantic_graph/bin/python", "py/pydantic_graph_bench.py", [None; 3]),
];
