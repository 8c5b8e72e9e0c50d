//! How is a plan written in a few lines? [`Plans`] holds its graphs, [`Flow`] adds nodes to one of them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use petgraph::{
    Direction,
    graph::{DiGraph, NodeIndex},
};

use super::synod::{
    graph::{
        AgentNode, AskNode, Backoff, Bounds, CallCap, Deadline, Edge, GateBy, Graph, Join, Limits, Member, MemberTeam, Node,
        NodeKind, On, Phase, Plan, Retry, ScopeKind, Stragglers, TeamPlan, ToolNode,
    },
    value::{
        EffectClass, Expr, FailureKind, KnowledgeSpec, Map, Merge, Place, Profile, ProfileRole, Ref, Role, Style, TeamIx,
        TemplateIx, TextTemplate, Value, WriteSpec,
    },
};

/// An agent that may call every tool, with 10 turns.
pub fn agent(role: &str) -> Member {
    let profile = Profile {
        name: Arc::from(role),
        role: ProfileRole::Worker,
        specialization: None,
        description: None,
        skills: Vec::new(),
        model: Arc::from("some-model"),
        model_config: Map::new(),
        fallback_models: Vec::new(),
        system_prompt: Arc::from(""),
        prompt_template: None,
        allowed_tools: vec![Arc::from("*")],
        mcp_servers: Vec::new(),
        knowledge: KnowledgeSpec::default(),
        style: Style::Detailed,
        max_turns: 10,
        escalate_on_uncertainty: true,
        uncertainty_threshold: 0.6,
        output_schema: None,
        tags: Vec::new(),
    };
    Member {
        reuse: Default::default(),
        role: Role::new(role),
        profile: Arc::new(profile),
        priority: 1,
        writes: Vec::new(),
        call: CallCap::default(),
        limits: Limits::default(),
        team: None,
    }
}

/// A member that is the team of that graph.
pub fn member_team(role: &str, body: TemplateIx) -> Member {
    Member { team: Some(MemberTeam { body, with: Vec::new(), timeout: None, open: false }), ..agent(role) }
}

/// A team of agents without a coordinator, rules or escalation.
pub fn team(roles: &[&str]) -> TeamPlan {
    TeamPlan {
        name: Arc::from("test"),
        members: roles.iter().map(|r| agent(r)).collect(),
        coordinator: None,
        scripts: Vec::new(),
        rules: Vec::new(),
        escalation_policy: Vec::new(),
        escalation: Vec::new(),
        fail_fast: false,
        calls_per_turn: 8,
        may_write: BTreeMap::new(),
        max_asks: 3,
        max_tasks: 8,
        max_depth: 1,
        untrusted: super::synod::graph::Untrusted::Ask,
        detect: None,
        letters: Arc::default(),
        limits: Limits::default(),
    }
}

/// The graphs of a plan in the making.
#[derive(Default)]
pub struct Plans {
    graphs: Vec<Option<Graph>>,
    names: Vec<Vec<String>>,
    teams: Vec<TeamIx>,
}

impl Plans {
    /// A plan whose root is `root`; the team is `team` alone.
    pub fn root(root: impl FnOnce(&mut Flow<'_>)) -> Plan {
        Self::with_finally(root, None::<fn(&mut Flow<'_>)>)
    }

    /// As [`Plans::root`], with nodes that run at the very end.
    pub fn with_finally(root: impl FnOnce(&mut Flow<'_>), finally: Option<impl FnOnce(&mut Flow<'_>)>) -> Plan {
        let mut plans = Self { teams: vec![TeamIx(0)], ..Self::default() };
        plans.graph(root);
        let finally = finally.map(|build| {
            let ids = plans.graphs[0].as_ref().map(|g| g.dag.node_weights().map(|n| n.id.to_string()).collect());
            plans.names.push(ids.unwrap_or_default());
            let ix = plans.graph(build);
            plans.names.pop();
            ix
        });
        Plan {
            graphs: plans.graphs.into_iter().flatten().map(Arc::new).collect(),
            teams: vec![team(&["a", "b", "c", "d"])],
            finally,
            max_parallel: 100,
            limits: Limits::default(),
            bounds: Bounds::default(),
            inputs: Map::new(),
            roots: Vec::new(),
            tools: super::synod::value::TeamTools::default(),
            digests: BTreeMap::new(),
        }
    }

    fn graph(&mut self, build: impl FnOnce(&mut Flow<'_>)) -> TemplateIx {
        let ix = self.graphs.len();
        self.graphs.push(None);
        self.names.push(Vec::new());
        let mut flow = Flow { plans: self, dag: DiGraph::new(), output: None, single: false, concurrency: None };
        build(&mut flow);
        let Flow { dag, output, single, concurrency, .. } = flow;
        let mut rank = vec![1_u32; dag.node_count()];
        for node in (0..dag.node_count()).rev() {
            let after = dag.neighbors_directed(NodeIndex::new(node), Direction::Outgoing);
            rank[node] = 1 + after.map(|n| rank[n.index()]).max().unwrap_or(0);
        }
        self.names.pop();
        let team = *self.teams.last().expect("a plan has a team");
        self.graphs[ix] = Some(Graph { dag, output, team, single, concurrency, rank });
        TemplateIx(ix as u32)
    }

    fn refs(&self, text: &str) -> Vec<Ref> {
        let mut refs = BTreeMap::new();
        for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.' || c == '"')) {
            let head = word.split('.').next().unwrap_or_default();
            if !head.starts_with(|c: char| c.is_ascii_lowercase()) || ["len", "hash", "true", "false", "null"].contains(&head) {
                continue;
            }
            let name: Arc<str> = Arc::from(head);
            let node = self
                .names
                .iter()
                .rev()
                .enumerate()
                .find_map(|(up, names)| names.iter().position(|n| n == head).map(|local| (up as u32, local as u32)));
            let found = match node {
                Some((up, local)) => Ref::Node { name, up, local },
                None => Ref::Binding { name, up: 0 },
            };
            refs.insert(head.to_owned(), found);
        }
        refs.into_values().collect()
    }

    /// An expression whose names are nodes of the graph around it, of graphs further out, or bindings.
    fn expr(&self, text: &str) -> Expr {
        Expr { source: Arc::from(text), place: Place::default(), refs: self.refs(text) }
    }

    /// As [`Plans::expr`], on an edge: `output`, `status` and `error` are the source's.
    fn condition(&self, text: &str) -> Expr {
        let mut expr = self.expr(text);
        for r in &mut expr.refs {
            if ["output", "status", "error"].contains(&r.name().as_ref()) {
                *r = Ref::Source { name: r.name().clone() };
            }
        }
        expr
    }
}

/// A graph in the making.
pub struct Flow<'p> {
    plans: &'p mut Plans,
    dag: DiGraph<Node, Edge>,
    /// Its output.
    output: Option<Expr>,
    /// Whether it has one node, which goes by the path of the instance.
    pub single: bool,
    /// Calls in flight at most inside one instance.
    pub concurrency: Option<u32>,
}

/// A node in the making.
pub struct Spot<'f, 'p> {
    flow: &'f mut Flow<'p>,
    ix: NodeIndex,
}

impl<'p> Flow<'p> {
    /// Says what the graph comes to.
    pub fn output(&mut self, text: &str) {
        self.output = Some(self.plans.expr(text));
    }

    /// Adds a node.
    pub fn add(&mut self, id: &str, kind: NodeKind) -> Spot<'_, 'p> {
        let ix = self.dag.add_node(Node::new(id, kind));
        self.plans.names.last_mut().expect("a graph is open").push(id.to_owned());
        Spot { flow: self, ix }
    }

    /// Adds a call of a tool of that effect, with its id as the only argument.
    pub fn call(&mut self, id: &str, tool: &str, effect: EffectClass) -> Spot<'_, 'p> {
        let args = Value::map([("id", Value::text(id))]);
        self.add(
            id,
            NodeKind::Tool(Box::new(ToolNode { tool: Arc::from(tool), args, templates: Vec::new(), effect, untrusted: false })),
        )
    }

    /// Adds a call that reads.
    pub fn tool(&mut self, id: &str) -> Spot<'_, 'p> {
        self.call(id, "read", EffectClass::Read)
    }

    /// Adds an activation.
    pub fn agent(&mut self, id: &str, role: &str) -> Spot<'_, 'p> {
        self.phase(id, role, Phase::Work)
    }

    /// Adds an activation for something else than work.
    pub fn phase(&mut self, id: &str, role: &str, phase: Phase) -> Spot<'_, 'p> {
        let agent = AgentNode { brief: Some(Arc::from(id)), ..AgentNode::new(Role::new(role), phase) };
        self.add(id, NodeKind::Agent(Box::new(agent)))
    }

    /// Adds a gate with an expression.
    pub fn gate(&mut self, id: &str, text: &str) -> Spot<'_, 'p> {
        let expr = self.plans.expr(text);
        self.add(id, NodeKind::Gate(GateBy::Expr(expr)))
    }

    /// Adds a question.
    pub fn ask(&mut self, id: &str, options: &[&str], deadline: Option<u64>, default: Option<Value>) -> Spot<'_, 'p> {
        let question = TextTemplate { source: Arc::from(id), place: Place::default(), refs: Vec::new() };
        let options = options.iter().map(|o| Arc::from(*o)).collect();
        let deadline = deadline.map(Duration::from_secs);
        self.add(id, NodeKind::Ask(Box::new(AskNode { question, options, deadline, default, to: None, notify: None })))
    }

    /// Adds a scope.
    pub fn scope(&mut self, id: &str, kind: ScopeKind) -> Spot<'_, 'p> {
        self.add(id, NodeKind::Scope(Box::new(kind)))
    }

    /// Adds a scope with one instance per item.
    pub fn for_each(
        &mut self,
        id: &str,
        items: &str,
        max: u32,
        parallel: Option<u32>,
        build: impl FnOnce(&mut Flow<'_>),
    ) -> Spot<'_, 'p> {
        let items = self.plans.expr(items);
        let body = self.plans.graph(build);
        self.scope(id, ScopeKind::ForEach { items, name: Arc::from("item"), max, parallel, body })
    }

    /// Adds a loop; `until` names nodes of the body.
    pub fn repeat(&mut self, id: &str, max: u32, until: &str, build: impl FnOnce(&mut Flow<'_>)) -> Spot<'_, 'p> {
        let body = self.plans.graph(build);
        let inside = self.plans.graphs[body.index()].as_ref().map(|g| g.dag.node_weights().map(|n| n.id.to_string()).collect());
        self.plans.names.push(inside.unwrap_or_default());
        let until = (!until.is_empty()).then(|| self.plans.expr(until));
        self.plans.names.pop();
        self.scope(id, ScopeKind::Repeat { max, until, body })
    }

    /// Adds a group.
    pub fn group(&mut self, id: &str, build: impl FnOnce(&mut Flow<'_>)) -> Spot<'_, 'p> {
        let body = self.plans.graph(build);
        self.scope(id, ScopeKind::Group { body, with: None, seat: None })
    }

    /// Adds a sub-team of that number with its inputs.
    pub fn sub_team(&mut self, id: &str, team: TeamIx, with: &[(&str, &str)], build: impl FnOnce(&mut Flow<'_>)) -> Spot<'_, 'p> {
        let with = with.iter().map(|(name, text)| (Arc::from(*name), self.plans.expr(text))).collect();
        self.plans.teams.push(team);
        let body = self.plans.graph(build);
        self.plans.teams.pop();
        self.scope(id, ScopeKind::Group { body, with: Some(with), seat: None })
    }

    /// Adds the graph of a team of that number, for members that are teams: see [`member_team`].
    pub fn team_graph(&mut self, team: TeamIx, build: impl FnOnce(&mut Flow<'_>)) -> TemplateIx {
        let outside = std::mem::take(&mut self.plans.names);
        self.plans.teams.push(team);
        let body = self.plans.graph(build);
        self.plans.teams.pop();
        self.plans.names = outside;
        body
    }

    /// A template that is one expression in this graph.
    pub fn template(&self, text: &str) -> TextTemplate {
        TextTemplate { source: Arc::from(format!("{{{{{text}}}}}")), place: Place::default(), refs: self.plans.refs(text) }
    }

    /// An expression in this graph.
    pub fn expr(&self, text: &str) -> Expr {
        self.plans.expr(text)
    }

    fn find(&self, id: &str) -> NodeIndex {
        self.dag.node_indices().find(|ix| &*self.dag[*ix].id == id).unwrap_or_else(|| panic!("there is no node {id}"))
    }
}

impl Spot<'_, '_> {
    /// The node.
    pub fn node(&mut self) -> &mut Node {
        &mut self.flow.dag[self.ix]
    }

    fn change(mut self, change: impl FnOnce(&mut Node)) -> Self {
        change(self.node());
        self
    }

    fn edge(self, id: &str, on: On) -> Self {
        let source = self.flow.find(id);
        if matches!(on, On::Failed | On::Done) {
            self.flow.dag[source].caught = true;
        }
        self.flow.dag.add_edge(source, self.ix, Edge { on });
        self
    }

    /// After the success of these.
    pub fn after(self, ids: &[&str]) -> Self {
        ids.iter().fold(self, |spot, id| spot.edge(id, On::Ok))
    }

    /// After the end of that one, however it ended.
    pub fn done(self, id: &str) -> Self {
        self.edge(id, On::Done)
    }

    /// After its failure.
    pub fn failed(self, id: &str) -> Self {
        self.edge(id, On::Failed)
    }

    /// When no sibling condition is met.
    pub fn otherwise(self, id: &str) -> Self {
        self.edge(id, On::Else)
    }

    /// When an expression over its output is true.
    pub fn when(self, id: &str, text: &str) -> Self {
        let expr = self.flow.plans.condition(text);
        self.edge(id, On::When(expr))
    }

    /// At the first source.
    pub fn any(self) -> Self {
        self.change(|n| n.join = Join::Any)
    }

    /// At that many sources.
    pub fn quorum(self, count: u32) -> Self {
        self.change(|n| n.join = Join::Quorum(count))
    }

    /// Stragglers finish.
    pub fn leave(self) -> Self {
        self.change(|n| n.stragglers = Stragglers::Leave)
    }

    /// With what there is, if its join cannot be met.
    pub fn short(self) -> Self {
        self.change(|n| n.short_run = true)
    }

    /// Tried that often, with waits of 2 s that double up to a minute.
    pub fn retry(self, max_attempts: u32, on: &[FailureKind]) -> Self {
        let backoff = Backoff { first: Duration::from_secs(2), factor: 2.0, max: Duration::from_secs(60) };
        self.change(|n| n.retry = Some(Retry { max_attempts, backoff, on: on.to_vec() }))
    }

    /// With a time limit in seconds.
    pub fn timeout(self, seconds: u64) -> Self {
        self.change(|n| n.timeout = Some(Duration::from_secs(seconds)))
    }

    /// It waits for its join so many seconds, for at least so many.
    pub fn waits(self, seconds: u64, at_least: u32) -> Self {
        self.change(|n| n.join_deadline = Some(Deadline { after: Duration::from_secs(seconds), at_least }))
    }

    /// What it grows has so many seconds, for at least so many.
    pub fn within(self, seconds: u64, at_least: u32) -> Self {
        self.change(|n| n.work_deadline = Some(Deadline { after: Duration::from_secs(seconds), at_least }))
    }

    /// Its failure is a warning.
    pub fn allow_failure(self) -> Self {
        self.change(|n| n.allow_failure = true)
    }

    /// It may write that variable.
    pub fn writes(self, variable: &str, merge: Option<Merge>) -> Self {
        self.change(|n| n.writes.push(WriteSpec { variable: Arc::from(variable), merge }))
    }

    /// What it sees of the nodes before it.
    pub fn input(self, text: &str) -> Self {
        let expr = self.flow.plans.expr(text);
        self.change(|n| n.input = Some(expr))
    }

    /// Its arguments, as a template.
    pub fn args(self, text: &str) -> Self {
        let template = self.flow.template(text);
        self.change(|n| {
            if let NodeKind::Tool(tool) = &mut n.kind {
                tool.args = Value::map([("value", Value::Null)]);
                tool.templates = vec![(Arc::from("/value"), template)];
            }
        })
    }
}
