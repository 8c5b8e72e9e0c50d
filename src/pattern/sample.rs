//! Teams made in code, for tests.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::make::Make;
use crate::{
    graph::{EscalationPolicy, Phase, Stragglers},
    team::{AfterOn, Coordination, MemberSpec, NodeSpec, Pattern, ResultBy, Script, Team, Text, ToolSpecNode, What},
    value::{KnowledgeSpec, Map, Place, Profile, ProfileRole, Role, Style, Value},
};

pub(crate) fn profile(name: &str, role: ProfileRole) -> Profile {
    Profile {
        name: Arc::from(name),
        role,
        specialization: None,
        description: None,
        skills: Vec::new(),
        model: Arc::from("script:agent.rhai"),
        model_config: Map::new(),
        fallback_models: Vec::new(),
        system_prompt: Arc::from("You are one of us."),
        prompt_template: None,
        allowed_tools: Vec::new(),
        mcp_servers: Vec::new(),
        knowledge: KnowledgeSpec::default(),
        style: Style::Detailed,
        max_turns: 10,
        escalate_on_uncertainty: false,
        uncertainty_threshold: 0.6,
        output_schema: None,
        tags: Vec::new(),
    }
}

pub(crate) fn member(role: &str, priority: u32) -> MemberSpec {
    let kind = if role == "coordinator" { ProfileRole::Coordinator } else { ProfileRole::Specialist };
    MemberSpec {
        role: Role::new(role),
        place: Place::default(),
        priority,
        profile: Arc::new(profile(role, kind)),
        team: None,
        with: Vec::new(),
        writes: Vec::new(),
    }
}

/// A team of that pattern with these members and a coordinator.
pub(crate) fn team(pattern: Pattern, members: &[&str]) -> Team {
    Team {
        file: Arc::from("team.yaml"),
        name: Arc::from("Sample"),
        description: None,
        use_case: None,
        tags: Vec::new(),
        is_public: false,
        pattern,
        coordinator: Some(member("coordinator", 1)),
        members: (1..).zip(members).map(|(n, role)| member(role, n)).collect(),
        coordination: Coordination {
            parallel_execution: true,
            quorum: None,
            stragglers: Stragglers::Cancel,
            timeout_per_agent: Duration::from_secs(300),
            escalation_policy: vec![EscalationPolicy::OnDisagreement],
            validate: Vec::new(),
            max_revisions: 1,
            max_tasks: 8,
            max_depth: 3,
            max_replans: 1,
            max_handoffs: 8,
            max_asks: 3,
            max_debate_rounds: 1,
            calls_per_turn: 8,
            max_parallel: 4,
            fail_fast: false,
            retry: None,
        },
        may_write: BTreeMap::new(),
        result: ResultBy::Coordinator,
        rules: Vec::new(),
        limits: Default::default(),
        inputs: Vec::new(),
        escalation: Vec::new(),
        nodes: Vec::new(),
        finally: Vec::new(),
        output: None,
        sources: BTreeMap::new(),
    }
}

/// A `graph` team with these nodes.
pub(crate) fn graph(nodes: Vec<NodeSpec>) -> Team {
    let mut team = team(Pattern::Graph, &["writer", "reviewer"]);
    team.nodes = nodes;
    team
}

/// A script that defines these functions.
pub(crate) fn script(functions: &[&str]) -> Script {
    let text: String = functions.iter().map(|f| format!("fn {f}(facts) {{ [] }}\n")).collect();
    Script { file: Arc::from("rules.rhai"), text: Arc::from(text) }
}

pub(crate) fn text(source: &str) -> Text {
    Text { source: Arc::from(source), place: Place::default() }
}

fn make(id: &str, what: What) -> NodeSpec {
    Make::of(&team(Pattern::Graph, &[])).node(id, what)
}

pub(crate) fn node(id: &str, what: What) -> NodeSpec {
    make(id, what)
}

pub(crate) fn gate(id: &str, expression: &str) -> NodeSpec {
    make(id, What::Gate(text(expression)))
}

pub(crate) fn agent(id: &str, role: &str, task: Option<&str>) -> NodeSpec {
    let what = What::Agent {
        role: Role::new(role),
        task: task.map(text),
        phase: Phase::Work,
        proposal: None,
        done_when: None,
        max_turns: None,
    };
    make(id, what)
}

pub(crate) fn tool(id: &str, tool: &str, args: Value) -> NodeSpec {
    make(id, What::Tool(ToolSpecNode { tool: Arc::from(tool), args, place: Place::default(), effect: None }))
}

/// Chained words for what a node waits for.
pub(crate) trait Waits: Sized {
    fn after(self, node: &str) -> Self {
        self.on(node, AfterOn::Ok)
    }
    fn when(self, node: &str, condition: &str) -> Self {
        self.on(node, AfterOn::When(text(condition)))
    }
    fn on(self, node: &str, on: AfterOn) -> Self;
    fn on_error(self, node: &str) -> Self;
    fn writing(self, variable: &str) -> Self;
}

impl Waits for NodeSpec {
    fn on(mut self, node: &str, on: AfterOn) -> Self {
        self.after.push(Make::of(&team(Pattern::Graph, &[])).after(node, on));
        self
    }
    fn on_error(mut self, node: &str) -> Self {
        self.on_error = Some((Arc::from(node), Place::default()));
        self
    }
    fn writing(mut self, variable: &str) -> Self {
        self.writes.push(crate::value::WriteSpec { variable: Arc::from(variable), merge: None });
        self
    }
}
