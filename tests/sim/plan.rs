//! Which session is it? [`scene`]: a random plan, its rules, and what may disturb its order.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use synod::{
    graph::{
        AgentNode, Backoff, CallCap, Deadline, Divider, EscalationPolicy, EscalationStep, GateBy, Limits, MemberTeam, Node,
        NodeKind, Phase, Plan, Replan, Retry, ScopeKind, SettleOver, SettleSpec, TeamSeat, VoteProtocol,
    },
    value::{
        EffectClass, EscalateTo, FailureKind, Merge, Role, RuleKind, SettleVerdict, Subtask, TeamIx, Usd, Value, Verdict,
        is_offline,
    },
};

use crate::{
    random::Random,
    world::{Flow, Plans, Rules, Spot, agent, hash, team},
};

/// A session to run.
pub struct Scene {
    /// Its plan.
    pub plan: Plan,
    /// Its rules.
    pub rules: Rules,
    /// Whether its result may depend on the order in which results arrive: races, deadlines, budgets.
    pub ordered: bool,
    /// Whether it has irreversible calls.
    pub fires: bool,
}

/// What a failure says by which the rules know that a call did not happen.
pub const UNDONE: &str = "before it happened";
const ROLES: [&str; 3] = ["a", "b", "c"];
const PROTOCOLS: [VoteProtocol; 5] =
    [VoteProtocol::Weighted, VoteProtocol::TrackRecord, VoteProtocol::Majority, VoteProtocol::Unanimous, VoteProtocol::Approval];
/// Scopes inside each other at most.
const DEPTH: u32 = 3;

/// The session of a seed.
pub fn scene(seed: u64) -> Scene {
    let mut random = Random::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let ordered = random.percent(50);
    let fires = random.percent(50);
    let mut maker = Maker { random, ordered, fires, left: 24 };
    let finally = maker.random.percent(20);
    let mut end = Maker { random: Random::new(seed), ordered, fires, left: 3 };
    let with = finally.then_some(|flow: &mut Flow<'_>| end.graph(flow, DEPTH));
    // Members that are teams: `c` of the session's team, and `b` of that team.
    let nested = if maker.random.percent(40) { 1 + maker.random.below(2) as u32 } else { 0 };
    let mut bodies = Vec::new();
    let build = |flow: &mut Flow<'_>| {
        for level in 0..nested {
            bodies.push(flow.team_graph(TeamIx(2 + level), |flow| maker.graph(flow, DEPTH - 1)));
        }
        maker.graph(flow, 0);
    };
    let mut plan = Plans::with_finally(build, with);
    let mut random = maker.random;
    plan.max_parallel = 1 + random.below(6) as u32;
    plan.teams = (0..2 + nested).map(|_| a_team(&mut random, ordered)).collect();
    for (body, (team, role)) in bodies.into_iter().zip([(0, "c"), (2, "b")]) {
        let member = plan.teams[team].members.iter_mut().find(|member| member.role.as_str() == role).expect("every team has it");
        let timeout = (ordered && random.percent(30)).then(|| Duration::from_secs(1 + random.below(40)));
        member.team = Some(MemberTeam { body, with: Vec::new(), timeout, open: random.percent(30) });
        if ordered && random.percent(20) {
            plan.teams[2].limits.turns = Some(1 + random.below(12));
        }
    }
    if ordered && random.percent(40) {
        let some = |random: &mut Random, most| random.percent(30).then(|| 1 + random.below(most));
        plan.limits = Limits {
            turns: some(&mut random, 20),
            tokens: some(&mut random, 400),
            cost: some(&mut random, 4_000).map(Usd),
            wall_seconds: some(&mut random, 60),
        };
    }
    if random.percent(40) {
        price(&mut plan, &mut random, ordered);
    }
    let rules = rules(&mut random);
    for team in &mut plan.teams {
        team.rules = rules.keys().filter(|_| random.percent(70)).map(|name| Arc::from(*name)).collect();
    }
    Scene { plan, rules, ordered, fires }
}

/// Gives every model that is no script a price and a size, which no reply exceeds, and budgets that may be too small for them.
fn price(plan: &mut Plan, random: &mut Random, limited: bool) {
    for member in plan.teams.iter_mut().flat_map(|team| team.members.iter_mut().chain(&mut team.coordinator)) {
        if !is_offline(&member.profile.model) {
            let (read, written) = (20 + random.below(80), 5 + random.below(40));
            member.call = CallCap { read, written, input: Usd(5_000_000), output: Usd(10_000_000) };
        }
        if limited && random.percent(15) {
            let tokens = random.percent(50).then(|| 1 + random.below(500));
            let turns = random.percent(30).then(|| 1 + random.below(6));
            member.limits = Limits { tokens, turns, cost: Some(Usd(1 + random.below(5_000))), wall_seconds: None };
        }
    }
    if limited {
        plan.limits.tokens = random.percent(60).then(|| 1 + random.below(2_500));
        plan.limits.cost = random.percent(40).then(|| Usd(1 + random.below(20_000)));
    }
}

/// The session of a seed in which everything has a time limit, nothing else ends it, and limits on calls in flight are narrow.
pub fn timed(seed: u64) -> Scene {
    let mut scene = scene(seed);
    let mut random = Random::new(seed ^ 0x71e0);
    scene.plan.limits = Limits::default();
    scene.plan.max_parallel = 1 + random.below(3) as u32;
    for graph in &mut scene.plan.graphs {
        for node in Arc::make_mut(graph).dag.node_weights_mut() {
            limit(node, &mut random);
        }
    }
    scene
}

fn limit(node: &mut Node, random: &mut Random) {
    let mut time = |node: &mut Node| {
        node.timeout.get_or_insert(Duration::from_secs(1 + random.below(20)));
    };
    match &mut node.kind {
        NodeKind::Agent(_) | NodeKind::Tool(_) => time(node),
        NodeKind::Gate(_) | NodeKind::Ask(_) => {}
        NodeKind::Scope(scope) => match &mut **scope {
            ScopeKind::Subtasks { like, .. } | ScopeKind::Relay { like, .. } | ScopeKind::Circle { like, .. } => time(like),
            ScopeKind::Settle(spec) => time(&mut spec.like),
            ScopeKind::ForEach { .. } | ScopeKind::Repeat { .. } | ScopeKind::Group { .. } => {}
        },
    }
}

fn a_team(random: &mut Random, ordered: bool) -> synod::graph::TeamPlan {
    let mut made = team(&ROLES);
    for member in &mut made.members {
        member.writes = vec![synod::value::WriteSpec { variable: Arc::from("v"), merge: Some(Merge::Append) }];
        let profile = Arc::make_mut(&mut member.profile);
        profile.max_turns = 2 + random.below(5) as u32;
        profile.escalate_on_uncertainty = random.percent(60);
        profile.skills = vec![Arc::from(*random.one::<&str>(&["logs", "metrics"]))];
        if random.percent(15) {
            profile.output_schema = Some(Value::list([Value::text("value")]));
        }
        if random.percent(50) {
            profile.model = Arc::from("script:s");
        }
        if random.percent(20) {
            profile.allowed_tools = vec![Arc::from("read")];
        }
        if random.percent(30) {
            profile.knowledge.folders = vec![Arc::from("runbooks")];
            profile.knowledge.top_k = random.below(3) as u32;
        }
    }
    made.coordinator = random.percent(50).then(|| agent("boss"));
    if random.percent(60) {
        let mut detect = synod::graph::Detect::default();
        detect.0.retain(|_, _| random.percent(80));
        for watch in detect.0.values_mut() {
            watch.times = 1 + random.below(4) as u32;
        }
        made.detect = Some(detect);
    }
    made.calls_per_turn = 1 + random.below(4) as u32;
    made.max_asks = if ordered { random.below(4) as u32 } else { 0 };
    for role in ROLES {
        if random.percent(15) {
            made.may_write.insert(Role::new(role), vec![Role::new(random.one(&ROLES))]);
        }
    }
    made.max_tasks = 1 + random.below(4) as u32;
    made.max_depth = 1 + random.below(3) as u32;
    made.fail_fast = ordered && random.percent(20);
    use EscalationPolicy::{Always, Never, OnBudget, OnDisagreement, OnFailure, OnStall, OnTimeout, OnUncertainty};
    let policies = [Never, Always, OnDisagreement, OnUncertainty, OnFailure, OnTimeout, OnBudget, OnStall];
    made.escalation_policy = policies.into_iter().filter(|_| random.percent(20)).collect();
    let timed = ordered && random.percent(50);
    let people = ["on-call", "manager", "director"];
    let chain = people.into_iter().take(1 + random.below(3) as usize).map(|to| EscalationStep {
        to: Arc::from(to),
        deadline: timed.then(|| Duration::from_secs(1 + random.below(30))),
        notify: random.percent(50).then(|| Arc::from("page")),
    });
    made.escalation = chain.collect();
    made
}

fn rules(random: &mut Random) -> Rules {
    let salt = random.bits();
    let draw = move |facts: &Value, of: u64| hash(&format!("{salt}{facts}")) % of;
    let mut rules = Rules::new();
    if random.percent(40) {
        rules.insert(
            "settle",
            Box::new(move |facts| {
                use SettleVerdict::{Accept, Coordinator, Debate, Escalate, Vote};
                if draw(facts, 12) == 0 {
                    return Verdict::Permit(None);
                }
                let verdict = [Accept, Vote, Debate, Coordinator, Escalate][draw(facts, 5) as usize];
                Verdict::Settle { verdict, value: Value::Null, reason: Arc::from("by chance") }
            }),
        );
    }
    if random.percent(40) {
        rules.insert(
            "handoff",
            Box::new(move |facts| match draw(facts, 5) {
                0 => Verdict::Handoff(None),
                4 => Verdict::Handoff(Some((Role::new("stranger"), Value::Null))),
                n => Verdict::Handoff(Some((Role::new(ROLES[n as usize - 1]), Value::text("go on")))),
            }),
        );
    }
    if random.percent(30) {
        rules.insert(
            "permit",
            Box::new(move |facts| Verdict::Permit([Some(true), Some(true), Some(false), None][draw(facts, 4) as usize])),
        );
    }
    if random.percent(40) {
        rules.insert(
            "reconcile",
            Box::new(move |facts| {
                let why = facts.get("failure").and_then(|failure| failure.get("message")).map(ToString::to_string);
                let known = why.is_some_and(|why| why.contains(UNDONE)).then_some(None);
                Verdict::Reconcile(known.or_else(|| (draw(facts, 2) == 0).then_some(Some(Value::text("it happened")))))
            }),
        );
    }
    if random.percent(30) {
        rules.insert(
            "escalate",
            Box::new(move |facts| {
                let to = [EscalateTo::Coordinator, EscalateTo::Person, EscalateTo::None][draw(facts, 3) as usize];
                Verdict::Escalate { to, question: Arc::from("what now?"), options: Vec::new() }
            }),
        );
    }
    if random.percent(40) {
        rules.insert("merge", Box::new(move |facts| Verdict::Value(Value::Int(draw(facts, 9) as i64))));
    }
    if random.percent(70) {
        rules.insert("score", Box::new(move |facts| Verdict::Value(Value::Bool(draw(facts, 2) == 0))));
    }
    if random.percent(40) {
        rules.insert(
            "route",
            Box::new(move |facts| {
                let task = |n: u64| Subtask {
                    id: Arc::from(format!("part_{n}")),
                    agent: Role::new(ROLES[(draw(facts, 3) + n) as usize % ROLES.len()]),
                    task: Arc::from("a part"),
                    done_when: None,
                    depends_on: if n > 0 && draw(facts, 2) == 0 { vec![Arc::from("part_0")] } else { Vec::new() },
                    skills: Vec::new(),
                    tools: Vec::new(),
                    scores: Vec::new(),
                };
                Verdict::Route((0..draw(facts, 4)).map(task).collect())
            }),
        );
    }
    rules
}

struct Maker {
    random: Random,
    ordered: bool,
    fires: bool,
    left: u32,
}

impl Maker {
    fn graph(&mut self, flow: &mut Flow<'_>, depth: u32) {
        let most = if depth == 0 { 7 } else { 3 };
        let count = 1 + self.random.below(most) as usize;
        let ids: Vec<String> = (0..count).map(|n| format!("n{n}")).collect();
        for at in 0..count {
            self.left = self.left.saturating_sub(1);
            self.node(flow, &ids, at, depth);
        }
        if self.random.percent(15) {
            flow.concurrency = Some(1 + self.random.below(3) as u32);
        }
        flow.single = depth > 0 && count == 1 && self.random.percent(50);
        if self.random.percent(30) {
            flow.output(&format!("{}.output", self.random.one(&ids)));
        }
    }

    /// One node, and its edges from nodes before it. It reads of no other nodes: their outputs would depend on who is faster.
    fn node(&mut self, flow: &mut Flow<'_>, ids: &[String], at: usize, depth: u32) {
        let id = ids[at].as_str();
        let mut sources: Vec<&str> = ids[..at].iter().map(String::as_str).collect();
        let wanted = self.random.below(4) as usize;
        while sources.len() > wanted {
            sources.remove(self.random.below(sources.len() as u64) as usize);
        }
        let spot = self.what(flow, id, depth, sources.last().copied());
        let spot = self.how(spot, sources.last().copied());
        let count = sources.len() as u64;
        let spot = sources.into_iter().fold(spot, |spot, source| match self.random.below(20) {
            0..=10 => spot.after(&[source]),
            11..=14 => spot.done(source),
            15 => spot.failed(source),
            16..=17 => spot.when(source, "hash(output)"),
            18 => spot.when(source, "output"),
            _ => spot.otherwise(source),
        });
        let spot = if self.random.percent(15) { spot.short() } else { spot };
        let late = self.ordered && count > 0 && self.random.percent(20);
        let spot = if late { spot.waits(1 + self.random.below(20), 1 + self.random.below(2) as u32) } else { spot };
        if self.ordered && count > 0 && self.random.percent(30) {
            let spot = if self.random.percent(50) { spot.any() } else { spot.quorum(1 + self.random.below(count) as u32) };
            if self.random.percent(40) {
                spot.leave();
            }
        }
    }

    fn what<'f, 'p>(&mut self, flow: &'f mut Flow<'p>, id: &str, depth: u32, source: Option<&str>) -> Spot<'f, 'p> {
        let deep = depth >= DEPTH || self.left == 0;
        let roll = self.random.below(if deep { 66 } else { 104 });
        match roll {
            0..=25 => self.call(flow, id),
            26..=50 => self.agent(flow, id, source),
            51..=58 => self.gate(flow, id, source),
            59..=61 => {
                let deadline = (self.ordered && self.random.percent(50)).then(|| 1 + self.random.below(20));
                let default = self.random.percent(50).then(|| Value::text("yes"));
                let options: &[&str] = if self.random.percent(80) { &["yes", "no"] } else { &[] };
                let mut spot = flow.ask(id, options, deadline, default);
                if let NodeKind::Ask(ask) = &mut spot.node().kind {
                    ask.notify = self.random.percent(50).then(|| Arc::from("page"));
                }
                spot
            }
            62..=65 => {
                let phase = *self.random.one(&[Phase::Synthesize, Phase::Validate, Phase::Delegate]);
                flow.phase(id, "boss", phase)
            }
            66..=74 => {
                let items = *self.random.one(&["[]", "[1]", "[1, 2, 3]", "[1, 2, 3, 4]", "7"]);
                let parallel = self.random.percent(50).then(|| 1 + self.random.below(2) as u32);
                let deadline = self.deadline();
                let mut spot = flow.for_each(id, items, 3, parallel, |flow| self.graph(flow, depth + 1));
                spot.node().work_deadline = deadline;
                spot
            }
            75..=80 => {
                let max = 1 + self.random.below(3) as u32;
                let until = *self.random.one(&["", "hash(n0.output)", "hash(round)"]);
                flow.repeat(id, max, until, |flow| self.graph(flow, depth + 1))
            }
            81..=85 => flow.group(id, |flow| self.graph(flow, depth + 1)),
            86..=88 => {
                let seat = self.random.percent(50).then(|| TeamSeat {
                    member: Role::new("c"),
                    task: None,
                    brief: self.random.percent(50).then(|| Arc::from("a part")),
                    done_when: self.random.percent(20).then(|| Arc::from("it is right")),
                    open: self.random.percent(30),
                });
                let mut spot = flow.sub_team(id, TeamIx(1), &[("x", "1")], |flow| self.graph(flow, depth + 1));
                if let NodeKind::Scope(scope) = &mut spot.node().kind
                    && let ScopeKind::Group { seat: place, .. } = &mut **scope
                {
                    *place = seat.map(Box::new);
                }
                spot
            }
            89..=92 => self.subtasks(flow, id),
            93..=95 => {
                let members = ROLES.map(Role::new).to_vec();
                let max_handoffs = self.random.below(4) as u32;
                let like = self.like();
                if self.ordered && self.random.percent(50) {
                    let deadline = self.deadline();
                    let mut spot = flow.scope(id, ScopeKind::Circle { members, like });
                    spot.node().work_deadline = deadline;
                    return spot;
                }
                let targets = if self.random.percent(70) { self.targets(&members) } else { BTreeMap::new() };
                flow.scope(id, ScopeKind::Relay { members, max_handoffs, targets, like })
            }
            96..=99 => {
                let over = *self.random.one(&[SettleOver::Findings, SettleOver::Findings, SettleOver::Votes, SettleOver::Result]);
                let spec = self.spec(over);
                flow.scope(id, ScopeKind::Settle(spec))
            }
            _ => self.coordinated(flow, id),
        }
    }

    /// Whom each may hand over to: all others, or one.
    fn targets(&mut self, members: &[Role]) -> BTreeMap<Role, Vec<Role>> {
        let all = self.random.percent(60);
        let open = |(at, from): (usize, &Role)| {
            let mut others: Vec<Role> = members.iter().filter(|to| *to != from).cloned().collect();
            others.rotate_left(at % 2);
            others.truncate(if all { members.len() } else { 1 });
            (from.clone(), others)
        };
        members.iter().enumerate().map(open).collect()
    }

    fn agent<'f, 'p>(&mut self, flow: &'f mut Flow<'p>, id: &str, source: Option<&str>) -> Spot<'f, 'p> {
        use Merge::{Append, Last, Max, Min, Sum, Union};
        let merge = self.random.one(&[Append, Append, Append, Last, Sum, Min, Max, Union]).clone();
        let task = source.filter(|_| self.random.percent(20)).map(|source| flow.template(&format!("{source}.output")));
        let mut spot = flow.agent(id, self.random.one::<&str>(&ROLES)).writes("v", Some(merge));
        if let NodeKind::Agent(agent) = &mut spot.node().kind {
            agent.live = self.ordered && self.random.percent(30);
        }
        if let NodeKind::Agent(agent) = &mut spot.node().kind {
            agent.task = task;
            agent.done_when = self.random.percent(10).then(|| Arc::from("it is right"));
            agent.max_turns = self.random.percent(10).then(|| 1 + self.random.below(3) as u32);
        }
        spot
    }

    fn gate<'f, 'p>(&mut self, flow: &'f mut Flow<'p>, id: &str, source: Option<&str>) -> Spot<'f, 'p> {
        let members = || ROLES.map(Role::new).to_vec();
        match (self.random.below(10), source) {
            (0..=3, Some(source)) => flow.gate(id, &format!("hash({source}.output)")),
            (4, _) => flow.add(id, NodeKind::Gate(GateBy::Members(RuleKind::Merge, members()))),
            (5, _) => flow.add(id, NodeKind::Gate(GateBy::Rule(RuleKind::Merge))),
            (6, _) => flow.add(id, NodeKind::Gate(GateBy::Rule(RuleKind::Own(Arc::from("score"))))),
            (_, _) => flow.gate(id, self.random.one::<&str>(&["1", "true", "[1, 2]", "null", "fail"])),
        }
    }

    /// The shape of a coordinator's team: the task is divided and done, what differs is settled, a result is proposed and voted on.
    fn coordinated<'f, 'p>(&mut self, flow: &'f mut Flow<'p>, id: &str) -> Spot<'f, 'p> {
        let members = ROLES.map(Role::new).to_vec();
        let route = match self.random.below(4) {
            0 => NodeKind::Gate(GateBy::Rule(RuleKind::Route)),
            1 => NodeKind::Gate(GateBy::Members(RuleKind::Route, members)),
            _ => NodeKind::Agent(Box::new(AgentNode::new(Role::new("boss"), Phase::Delegate))),
        };
        let (replan, check) = (self.replan(), self.checker());
        let rounds = 1 + self.random.below(3) as u32;
        let one_by_one = self.random.percent(30);
        let (like, findings, votes) = (self.like(), self.spec(SettleOver::Findings), self.spec(SettleOver::Votes));
        let deadline = self.deadline();
        flow.group(id, |flow| {
            flow.add("delegate", route);
            let from = flow.expr("delegate.output");
            let work = ScopeKind::Subtasks { from, max: 4, like, one_by_one, quorum: None, replan, check };
            flow.scope("work", work).after(&["delegate"]).node().work_deadline = deadline;
            flow.scope("settle", ScopeKind::Settle(findings)).done("work");
            let review = flow.repeat("review", rounds, "verdict.output.accepted", |flow| {
                flow.phase("synthesize", "boss", Phase::Synthesize);
                for role in ROLES {
                    let mut spot = flow.phase(&format!("validate_{role}"), role, Phase::Validate).after(&["synthesize"]);
                    if let NodeKind::Agent(agent) = &mut spot.node().kind {
                        agent.proposal = Some(0);
                    }
                }
                let verdict = flow.scope("verdict", ScopeKind::Settle(votes));
                ROLES.iter().fold(verdict, |spot, role| spot.done(&format!("validate_{role}")));
                flow.output("verdict.output.value");
            });
            review.after(&["settle"]);
            flow.output("review.output");
        })
    }

    fn call<'f, 'p>(&mut self, flow: &'f mut Flow<'p>, id: &str) -> Spot<'f, 'p> {
        match self.random.below(4) {
            0 if self.fires => flow.call(id, "fire", EffectClass::Irreversible),
            1 => flow.call(id, "idem", EffectClass::Idempotent),
            _ => flow.tool(id),
        }
    }

    fn subtasks<'f, 'p>(&mut self, flow: &'f mut Flow<'p>, id: &str) -> Spot<'f, 'p> {
        let tasks = *self.random.one(&[
            r#"[{"id":"x","agent":"a","task":"x"},{"id":"y","agent":"b","task":"y"},{"id":"z","agent":"c","task":"z","depends_on":["x"]}]"#,
            r#"[{"id":"x","agent":"a","task":"x"},{"id":"y","agent":"a","task":"y"}]"#,
            r#"[{"id":"x","agent":"nobody","task":"x"}]"#,
            "[]",
        ]);
        let from = flow.expr(tasks);
        let quorum = (self.ordered && self.random.percent(40)).then(|| 1 + self.random.below(2) as u32);
        let one_by_one = self.random.percent(40);
        let like = self.like();
        let from = synod::value::Expr { refs: Vec::new(), ..from };
        let (replan, check, deadline) = (self.replan(), self.checker(), self.deadline());
        let mut spot = flow.scope(id, ScopeKind::Subtasks { from, max: 5, like, one_by_one, quorum, replan, check });
        spot.node().work_deadline = deadline;
        spot
    }

    fn replan(&mut self) -> Option<Replan> {
        let by = *self.random.one(&[Divider::Coordinator, Divider::Coordinator, Divider::Rule]);
        self.random.percent(60).then(|| Replan { by, max: 1 + self.random.below(3) as u32 })
    }

    fn checker(&mut self) -> Option<Role> {
        self.random.percent(40).then(|| Role::new(self.random.one(&["a", "b", "boss"])))
    }

    fn deadline(&mut self) -> Option<Deadline> {
        let some = self.ordered && self.random.percent(30);
        some.then(|| Deadline {
            after: Duration::from_secs(1 + self.random.below(30)),
            at_least: 1 + self.random.below(2) as u32,
        })
    }

    fn spec(&mut self, over: SettleOver) -> SettleSpec {
        SettleSpec {
            over,
            members: ROLES.map(Role::new).to_vec(),
            max_debate_rounds: self.random.below(3) as u32,
            protocol: *self.random.one(&PROTOCOLS),
            tie: self.random.percent(30).then(|| Role::new("b")),
            like: self.like(),
        }
    }

    fn like(&mut self) -> Box<Node> {
        let mut like = Node::new("like", NodeKind::Gate(GateBy::Members(RuleKind::Merge, Vec::new())));
        like.timeout = (self.ordered && self.random.percent(40)).then(|| Duration::from_secs(1 + self.random.below(20)));
        if self.random.percent(20) {
            let backoff = Backoff { first: Duration::from_secs(1), factor: 2.0, max: Duration::from_secs(8) };
            like.retry =
                Some(Retry { max_attempts: 2, backoff, on: vec![FailureKind::Limit, FailureKind::Schema, FailureKind::Model] });
        }
        Box::new(like)
    }

    fn how<'f, 'p>(&mut self, spot: Spot<'f, 'p>, source: Option<&str>) -> Spot<'f, 'p> {
        let spot = match source {
            Some(source) if self.random.percent(10) => spot.input(&format!("{source}.output")),
            Some(source) if self.random.percent(10) => spot.args(&format!("{source}.output")),
            None if self.random.percent(3) => spot.input("fail"),
            Some(_) | None => spot,
        };
        let spot = match self.random.below(10) {
            0 | 1 => spot.retry(2 + self.random.below(2) as u32, &[]),
            2 => spot.retry(2, &[FailureKind::Child, FailureKind::Schema, FailureKind::Tool, FailureKind::Limit]),
            _ => spot,
        };
        let spot = if self.ordered && self.random.percent(20) { spot.timeout(1 + self.random.below(15)) } else { spot };
        let spot = if self.random.percent(15) { spot.allow_failure() } else { spot };
        if self.ordered && self.random.percent(10) { spot.leave() } else { spot }
    }
}
