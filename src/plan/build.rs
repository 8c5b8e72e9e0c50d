//! How do nodes of the graph language become graphs? [`Builder`] goes through teams and bodies and collects what is wrong.

use std::{collections::BTreeMap, sync::Arc};

use petgraph::graph::{DiGraph, NodeIndex};

use super::{
    compile::Machine,
    edges,
    models::{self, Models},
    names::{Frame, Question, Scope, View},
    scripts, text,
    topo::{self, Order},
    trial::{self, Wanted},
    writes::Writers,
};
use crate::{
    graph::{Edge, Graph, Limits, Member, Node, NodeKind, ScopeKind, TeamPlan},
    pattern::{self, Fragment},
    rule::FreeName,
    team::{Code, Diagnostic, MemberSpec, NodeSpec, Team, Text},
    value::{EffectClass, Expr, Place, Ref, Role, TeamIx, TemplateIx, TextTemplate, ToolSpec, Value, WriteSpec},
};

/// Nodes of all graphs of a plan together, at most.
pub const MAX_NODES: usize = 100_000;

/// Graphs inside each other at most, sub-teams included.
pub const MAX_DEPTH: usize = 16;

/// Expressions that are evaluated at compile time, at most.
const MAX_TRIALS: usize = 1_000;

/// What is being compiled: the graphs so far and what is wrong with them.
pub(super) struct Builder<'a> {
    pub tools: BTreeMap<&'a str, &'a ToolSpec>,
    pub effect: &'a dyn Fn(&str, &Value) -> Option<EffectClass>,
    models: &'a dyn Models,
    pub found: Vec<Diagnostic>,
    /// Whether parts of the team are missing because of mistakes that were told, so that its order says nothing.
    pub incomplete: bool,
    /// The texts of all files, by name.
    sources: &'a BTreeMap<String, Arc<str>>,
    pub graphs: Vec<Option<Graph>>,
    pub teams: Vec<TeamPlan>,
    /// The files of the teams around this one, outermost first.
    inside: Vec<Arc<str>>,
    /// The graphs of the members that are teams; `None` for one that could not be made.
    pub member_teams: BTreeMap<(TeamIx, Role), Option<TemplateIx>>,
    /// The names of the root graph, which `finally` sees.
    root: BTreeMap<Arc<str>, u32>,
    nodes: usize,
    trials: usize,
    /// Where the nodes of each graph stand.
    pub places: Vec<Vec<Place>>,
    /// What the nodes of each graph write, with everything inside them.
    writes: Vec<Vec<WriteSpec>>,
}

/// The team whose nodes are being compiled, and the graphs around them.
pub(super) struct Around<'t> {
    pub team: &'t Team,
    pub ix: TeamIx,
    pub functions: Vec<Arc<str>>,
    pub scope: Scope,
}

/// A graph to compile.
#[derive(Default)]
pub(super) struct Source<'s> {
    pub nodes: &'s [NodeSpec],
    pub output: Option<&'s Text>,
    pub until: Option<&'s Text>,
    pub single: bool,
    pub concurrency: Option<u32>,
    pub bindings: Vec<Arc<str>>,
}

/// A compiled graph, and the condition that ends its repetition.
pub(super) struct Built {
    pub ix: TemplateIx,
    pub until: Option<Expr>,
}

impl<'a> Builder<'a> {
    pub fn new(machine: &Machine<'a>, sources: &'a BTreeMap<String, Arc<str>>) -> Self {
        Self {
            sources,
            tools: machine.tools.iter().map(|t| (&*t.name, t)).collect(),
            effect: machine.effect,
            models: machine.models,
            found: Vec::new(),
            incomplete: false,
            graphs: Vec::new(),
            teams: Vec::new(),
            inside: Vec::new(),
            member_teams: BTreeMap::new(),
            root: BTreeMap::new(),
            nodes: 0,
            trials: 0,
            places: Vec::new(),
            writes: Vec::new(),
        }
    }

    /// Compiles a team with what runs at its very end, whose graph is returned.
    pub fn all(&mut self, team: &Team) -> Option<TemplateIx> {
        self.team(team);
        (!team.finally.is_empty()).then(|| self.finally(team)).flatten()
    }

    /// Compiles a team and returns its graph; `None` when that could not be made.
    pub fn team(&mut self, team: &Team) -> Option<TemplateIx> {
        if let Some(first) = self.inside.iter().position(|file| !file.is_empty() && *file == team.file) {
            let way: Vec<&str> = self.inside[first..].iter().chain([&team.file]).map(|f| &**f).collect();
            let message = format!("the team contains itself: {}", way.join(" → "));
            self.found.push(Diagnostic::error(Code::RecursiveTeam, &file_of(team), message));
            return None;
        }
        let (functions, wrong) = scripts::check(team, self.sources);
        self.found.extend(wrong);
        let ix = TeamIx(self.teams.len() as u32);
        self.teams.push(team_plan(team, &functions, self.models));
        let Fragment { nodes, output } = match pattern::expand(team, &functions) {
            Ok(fragment) => fragment,
            Err(errors) => {
                self.found.extend(errors);
                return None;
            }
        };
        self.inside.push(team.file.clone());
        let mut around = Around { team, ix, functions, scope: Scope::default() };
        // The session's own limit holds for all its calls together; a sub-team's within it.
        let concurrency = (ix != TeamIx(0)).then_some(team.coordination.max_parallel);
        let built = self.graph(&mut around, Source { nodes: &nodes, output: output.as_ref(), concurrency, ..Source::default() });
        self.inside.pop();
        if ix != TeamIx(0) && !team.finally.is_empty() {
            let message =
                format!("the team `{}` has `finally`: for a team inside another that comes with a later version", team.name);
            self.found.push(Diagnostic::error(Code::NotYet, &team.finally[0].place, message));
        }
        if ix == TeamIx(0) {
            // They are the plan's.
            self.teams[0].limits = Limits::default();
        }
        built.map(|b| b.ix)
    }

    /// Compiles what runs at the very end. Its surroundings are the root graph, all of which has ended.
    pub fn finally(&mut self, team: &Team) -> Option<TemplateIx> {
        let mut around = Around { team, ix: TeamIx(0), functions: self.teams[0].rules.clone(), scope: Scope::default() };
        let ids = std::mem::take(&mut self.root);
        around.scope.frames.push(Frame {
            ids,
            bindings: Vec::new(),
            handlers: Default::default(),
            view: View::End,
            questions: Vec::new(),
        });
        let bindings = ["output", "status", "error"].map(Arc::from).to_vec();
        self.graph(&mut around, Source { nodes: &team.finally, bindings, ..Source::default() }).map(|b| b.ix)
    }

    /// Compiles a graph and all graphs inside it.
    pub fn graph(&mut self, around: &mut Around<'_>, source: Source<'_>) -> Option<Built> {
        let first = source.nodes.first()?;
        if around.scope.frames.len() + self.inside.len() > MAX_DEPTH {
            let message = format!("more than {MAX_DEPTH} graphs and teams inside each other");
            self.found.push(Diagnostic::error(Code::TooLarge, &first.place, message).help("flatten the team, or split it"));
            return None;
        }
        let fits = self.nodes <= MAX_NODES;
        self.nodes = self.nodes.saturating_add(source.nodes.len());
        if self.nodes > MAX_NODES {
            if fits {
                let message = format!("the plan has more than {MAX_NODES} nodes");
                self.found
                    .push(Diagnostic::error(Code::TooLarge, &first.place, message).help("a `for_each` says the same with one"));
            }
            return None;
        }
        let ix = TemplateIx(self.graphs.len() as u32);
        self.graphs.push(None);
        self.writes.push(Vec::new());
        self.places.push(source.nodes.iter().map(|n| n.place.clone()).collect());
        let ids = self.ids(source.nodes);
        let handlers = edges::handlers(source.nodes, &ids);
        if ix == TemplateIx(0) {
            self.root.clone_from(&ids);
        }
        around.scope.frames.push(Frame { ids, bindings: source.bindings, handlers, view: View::End, questions: Vec::new() });
        let mut dag = DiGraph::with_capacity(source.nodes.len(), source.nodes.len());
        for (n, spec) in source.nodes.iter().enumerate() {
            let node = self.node(around, spec, n as u32);
            dag.add_node(node);
        }
        self.edges(around, source.nodes, &mut dag);
        let output = source.output.map(|o| self.expression(around, o, View::End, Wanted::Value));
        let until = source.until.map(|u| self.expression(around, u, View::End, Wanted::Condition));
        let rank = self.rank(around, ix, source.nodes, &dag);
        around.scope.frames.pop();
        let Source { single, concurrency, .. } = source;
        self.graphs[ix.index()] = Some(Graph { dag, output, team: around.ix, single, concurrency, rank });
        Some(Built { ix, until })
    }

    /// The nodes by id; the first of two with one id keeps it.
    fn ids(&mut self, nodes: &[NodeSpec]) -> BTreeMap<Arc<str>, u32> {
        let mut ids: BTreeMap<Arc<str>, u32> = BTreeMap::new();
        for (n, spec) in nodes.iter().enumerate() {
            if let Some(&first) = ids.get(&spec.id) {
                let message = format!("two nodes have the id `{}`", spec.id);
                let first = &nodes[first as usize].place;
                self.found.push(Diagnostic::error(Code::DuplicateId, &spec.place, message).related(first, "the first is here"));
                continue;
            }
            if pattern::is_reserved(&spec.id) {
                let message = format!("`{}` cannot be the id of a node: it has a meaning in expressions", spec.id);
                self.found
                    .push(Diagnostic::error(Code::BadId, &spec.place, message).help(format!("call it `{}_step`, say", spec.id)));
            }
            ids.insert(spec.id.clone(), n as u32);
        }
        ids
    }

    /// Reports circles, answers what had to be before what and who may write at the same time, and ranks the nodes.
    fn rank(&mut self, around: &mut Around<'_>, ix: TemplateIx, specs: &[NodeSpec], dag: &DiGraph<Node, Edge>) -> Vec<u32> {
        let questions = around.scope.frames.last_mut().map(|f| std::mem::take(&mut f.questions)).unwrap_or_default();
        let Some(order) = Order::of(dag) else {
            for circle in topo::circles(dag) {
                self.found.push(edges::circle(specs, &circle));
            }
            return vec![1; specs.len()];
        };
        if !self.incomplete {
            self.answer(specs, dag, &order, &questions);
        }
        let team = &self.teams[around.ix.index()];
        let writers = Writers { specs, dag, order: &order, team, inside: &self.writes };
        let (conflicts, all) = (writers.conflicts(), writers.all());
        self.found.extend(conflicts);
        self.writes[ix.index()] = all;
        let length = |n: NodeIndex| specs[n.index()].expect_seconds.unwrap_or_else(|| self.length(around.ix, &dag[n]));
        topo::ranks(dag, &order, length)
    }

    fn answer(&mut self, specs: &[NodeSpec], dag: &DiGraph<Node, Edge>, order: &Order, questions: &[Question]) {
        let open: Vec<(&Question, u32)> = questions
            .iter()
            .filter_map(|q| match q.view {
                View::Node(late) => Some((q, late)),
                View::Edge(source) if source != q.early => Some((q, source)),
                View::Edge(_) | View::End => None,
            })
            .collect();
        let pairs: Vec<_> =
            open.iter().map(|(q, late)| (NodeIndex::new(*late as usize), NodeIndex::new(q.early as usize))).collect();
        for ((question, late), before) in open.iter().zip(topo::ancestors(dag, order, &pairs)) {
            if !before {
                self.found.push(edges::not_before(specs, question, *late));
            }
        }
    }

    /// How long a node is, in seconds expected, where its author does not say: a scope as long as what it runs.
    fn length(&self, team: TeamIx, node: &Node) -> u32 {
        let NodeKind::Scope(scope) = &node.kind else { return 1 };
        let longest = |body: &TemplateIx| {
            self.graphs.get(body.index()).and_then(Option::as_ref).and_then(|g| g.rank.iter().max().copied()).unwrap_or(1)
        };
        match &**scope {
            ScopeKind::ForEach { body, .. } | ScopeKind::Repeat { body, .. } | ScopeKind::Group { body, .. } => longest(body),
            ScopeKind::Relay { members, .. } => self.lengths(team, longest, |m| members.contains(&m.role)).sum::<u32>().max(1),
            ScopeKind::Circle { members, .. } => self.lengths(team, longest, |m| members.contains(&m.role)).max().unwrap_or(1),
            ScopeKind::Subtasks { .. } => self.lengths(team, longest, |_| true).max().unwrap_or(1),
            ScopeKind::Settle(_) => 1,
        }
    }

    /// How long the members of a team are that a scope may set to work.
    fn lengths(
        &self,
        team: TeamIx,
        longest: impl Fn(&TemplateIx) -> u32,
        works: impl Fn(&Member) -> bool,
    ) -> impl Iterator<Item = u32> {
        let members = self.teams[team.index()].members.iter().filter(move |m| works(m));
        members.map(move |m| m.team.as_ref().map_or(1, |team| longest(&team.body)))
    }

    /// An expression with its names bound. One that names nothing is evaluated, to see whether it is what is `wanted`.
    pub fn expression(&mut self, around: &mut Around<'_>, text: &Text, view: View, wanted: Wanted) -> Expr {
        let source = wanted == Wanted::Condition;
        let broken = self.found.len();
        let names = text::of_expression(text);
        let read = names.as_ref().cloned().unwrap_or_default();
        let refs = self.bind(around, names, view, source);
        let expr = Expr { source: text.source.clone(), place: text.place.clone(), refs };
        if broken == self.found.len() && self.trials < MAX_TRIALS {
            self.trials += 1;
            self.found.extend(trial::check(&expr, &read, around.team, wanted));
        }
        expr
    }

    /// A template with its names bound.
    pub fn template(&mut self, around: &mut Around<'_>, text: &Text, view: View) -> TextTemplate {
        let plain = TextTemplate { source: text.source.clone(), place: text.place.clone(), refs: Vec::new() };
        if plain.is_plain() {
            return plain;
        }
        let refs = self.bind(around, text::of_template(text), view, false);
        TextTemplate { refs, ..plain }
    }

    fn bind(
        &mut self,
        around: &mut Around<'_>,
        names: Result<Vec<FreeName>, Box<Diagnostic>>,
        view: View,
        source: bool,
    ) -> Vec<Ref> {
        let mut refs = Vec::new();
        match names {
            Ok(names) => {
                for FreeName { name, place, fields, .. } in names {
                    match around.scope.resolve(&name, &place, view, source) {
                        Ok(found) => {
                            self.found.extend(fields.iter().filter_map(|field| trial::unknown_field(&found, around.team, field)));
                            refs.push(found);
                        }
                        Err(unknown) => self.found.push(*unknown),
                    }
                }
            }
            Err(broken) => self.found.push(*broken),
        }
        refs
    }
}

/// The file of a team, where nothing more exact is known.
pub(super) fn file_of(team: &Team) -> Place {
    Place { file: team.file.clone(), line: 0, column: 0 }
}

fn team_plan(team: &Team, functions: &[Arc<str>], models: &dyn Models) -> TeamPlan {
    let member = |m: &MemberSpec| Member {
        role: m.role.clone(),
        profile: m.profile.clone(),
        priority: m.priority,
        writes: m.writes.clone(),
        call: models::cap(&m.profile, models),
        limits: m.limits,
        reuse: m.reuse,
        team: None,
    };
    TeamPlan {
        name: team.name.clone(),
        members: team.members.iter().map(member).collect(),
        coordinator: team.coordinator.as_ref().map(member),
        scripts: team.rules.iter().map(|script| script.file.clone()).collect(),
        rules: functions.to_vec(),
        escalation_policy: team.coordination.escalation_policy.clone(),
        escalation: team.escalation.clone(),
        fail_fast: team.coordination.fail_fast,
        calls_per_turn: team.coordination.calls_per_turn,
        may_write: team.may_write.clone(),
        max_asks: team.coordination.max_asks,
        max_tasks: team.coordination.max_tasks,
        max_depth: team.coordination.max_depth,
        untrusted: team.coordination.untrusted,
        detect: Some(team.coordination.detect.clone()),
        letters: Arc::new(team.letters.iter().map(|(kind, text)| (*kind, letter(text))).collect()),
        limits: team.limits,
    }
}

/// Its names are those of the message that is read.
fn letter(text: &Text) -> TextTemplate {
    TextTemplate { source: text.source.clone(), place: text.place.clone(), refs: Vec::new() }
}
