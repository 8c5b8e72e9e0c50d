//! What does a team file come to? [`team`] fills in defaults, follows references and checks what is said in two places.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{
    Code, Coordination, Diagnostic, InputKind, InputSpec, MemberSpec, NodeSpec, Pattern, ResultBy, Script, Team, Text,
    file::{self, CoordinatorFile, InputFile, MemberFile, ResultFile, ResultWord, RulesFile, StepFile, TeamFile, ValidateFile},
    load::{LoadedProfile, Loader},
    node::{self, Scope},
    node_file::{NodeFile, RetryFile, WriteFile},
    read::{Found, Named, OneOrMany, Spot, count as counted, did_you_mean, list, mistyped},
    scalar::{Expression, Id, Whole, Words, describe, id_help, is_id},
    sources::SCRIPTS,
    tree::quoted,
};
use crate::{
    graph::{Backoff, EscalationPolicy, EscalationStep, Limits, Retry},
    value::{Place, ProfileRole, Role, Value, WriteSpec},
};

/// The coordinator's id in every team.
pub const COORDINATOR: &str = "coordinator";

/// The team of a file; `None` only after an error was reported. `path` is what its agents' names start with in overrides.
pub(super) fn team(written: TeamFile, place: &Place, path: &str, loader: &mut Loader<'_>) -> Option<Team> {
    let pattern = written.collaboration_pattern.0.as_ref().map(|p| p.value);
    if let Some(active) = written.is_active.as_ref().filter(|a| !a.value) {
        loader.found.push(active.error(Code::Inactive, "the team is not active").help("set `is_active: true`"));
    }
    let coordinator = written.coordinator.as_ref().map(|c| resolve_coordinator(c, path, loader));
    let files = written.member_agents.as_deref().unwrap_or_default();
    let roles = roles(files, written.coordinator.is_some(), &mut loader.found);
    let members: Vec<_> = files.iter().map(|m| resolve_member(m, path, loader)).collect();
    if let Some(pattern) = &written.collaboration_pattern.0 {
        check_shape(pattern, &written, place, &mut loader.found);
    }
    let defaults = RulesFile::nothing();
    let rules_file = written.coordination_rules.as_ref().unwrap_or(&defaults);
    let coordination = coordination(rules_file, &roles, files, &mut loader.found);
    let may_write = may_write(written.may_write.as_ref(), &roles, &mut loader.found);
    let result = result_by(written.result.as_ref(), pattern, &roles, &mut loader.found);
    let rules = written.rules.as_ref().map_or(&[][..], |r| &r.0);
    let rules: Vec<_> = rules.iter().map(|rule| loader.text(rule, &rule.value.0, SCRIPTS, "script")).collect();
    let inputs = inputs(written.inputs.as_ref(), &mut loader.found);
    let scope = Scope { roles: &roles, coordination: &coordination, path };
    let nodes = nodes_of(written.nodes.as_ref(), &scope, loader);
    let finally = nodes_of(written.finally.as_ref(), &scope, loader);

    let mut members = members.into_iter().collect::<Option<Vec<_>>>()?;
    members.sort_by_key(|m| m.priority);
    Some(Team {
        file: place.file.clone(),
        name: written.name.0?.0,
        description: written.description.map(|w| w.0),
        use_case: written.use_case.map(|w| w.0),
        tags: written.tags.unwrap_or_default().into_iter().map(|w| w.0).collect(),
        is_public: written.is_public.unwrap_or(false),
        pattern: pattern?,
        coordinator: match coordinator {
            Some(coordinator) => Some(coordinator?),
            None => None,
        },
        members,
        coordination,
        may_write,
        result: result?,
        rules: rules.into_iter().map(|r| r.map(|(file, text)| Script { file, text })).collect::<Option<_>>()?,
        limits: written.limits.as_ref().map_or_else(Limits::default, limits),
        inputs: inputs?,
        escalation: written.escalation.unwrap_or_default().into_iter().map(step).collect(),
        nodes: nodes?,
        finally: finally?,
        output: written.output.map(|e| e.0),
        sources: BTreeMap::new(),
    })
}

/// The nodes of a map, in the order of the file.
pub(super) fn nodes_of(written: Option<&Named<NodeFile>>, scope: &Scope<'_>, loader: &mut Loader<'_>) -> Option<Vec<NodeSpec>> {
    let entries = written.map_or(&[][..], |n| &n.entries);
    let nodes: Vec<_> = entries.iter().map(|(key, file)| node::resolve(key, file, scope, loader)).collect();
    nodes.into_iter().collect()
}

/// The ids of a team's agents; two with one id are reported.
fn roles(members: &[MemberFile], coordinator: bool, found: &mut Found) -> BTreeSet<Role> {
    let mut places: BTreeMap<&str, &Place> = BTreeMap::new();
    for role in members.iter().filter_map(|m| m.role.0.as_ref()) {
        if &*role.value.0 == COORDINATOR {
            let help = if coordinator {
                "give the member a role of its own"
            } else {
                "name the profile in `coordinator:`, not among the members"
            };
            found.push(role.error(Code::DuplicateId, "`coordinator` is the id of the team's coordinator").help(help));
        } else if let Some(first) = places.insert(&role.value.0, &role.place) {
            found.push(
                role.error(Code::DuplicateId, format!("two members have the role `{}`", role.value.0))
                    .label("again")
                    .related(first, "first")
                    .help("a role is a member's id: give each one of its own"),
            );
        }
    }
    places.into_keys().chain(coordinator.then_some(COORDINATOR)).map(Role::new).collect()
}

/// The role that is named; one that nobody has is reported.
pub(super) fn role_of(id: &Spot<Id>, roles: &BTreeSet<Role>, found: &mut Found) -> Option<Role> {
    let role = Role(id.value.0.clone());
    if roles.contains(&role) {
        return Some(role);
    }
    let names = || roles.iter().map(Role::as_str);
    let help = did_you_mean(&id.value.0, names()).unwrap_or_else(|| match roles.is_empty() {
        true => "declare it in `member_agents`".to_owned(),
        false => format!("the agents are {}", list(names())),
    });
    found.push(id.error(Code::UnknownRole, format!("the team has no agent `{}`", id.value.0)).label("unknown").help(help));
    None
}

/// All roles that are named; those that nobody has are reported and left out.
pub(super) fn roles_of(ids: &[Spot<Id>], roles: &BTreeSet<Role>, found: &mut Found) -> Vec<Role> {
    let mut named = Vec::new();
    for id in ids {
        if let Some(role) = role_of(id, roles, found) {
            if named.contains(&role) {
                found.push(id.error(Code::DuplicateId, format!("`{role}` is named twice")).help("remove one"));
            } else {
                named.push(role);
            }
        }
    }
    named
}

fn resolve_coordinator(written: &CoordinatorFile, path: &str, loader: &mut Loader<'_>) -> Option<MemberSpec> {
    let CoordinatorFile(written) = written;
    let loaded = loader.profile(&written.agent, written.set.as_ref(), &format!("{path}{COORDINATOR}"))?;
    let LoadedProfile { profile, role_place, .. } = loaded;
    if profile.role != ProfileRole::Coordinator {
        loader.found.push(
            written
                .agent
                .error(
                    Code::WrongCoordinator,
                    format!("the profile {} does not have the role `coordinator`", quoted(&written.agent.value.0)),
                )
                .label("leads the team")
                .related(&role_place, "its role")
                .help("use a profile with `role: coordinator`"),
        );
    }
    Some(MemberSpec {
        role: Role::new(COORDINATOR),
        place: written.agent.place.clone(),
        priority: 0,
        profile,
        team: None,
        with: Vec::new(),
        writes: writes(written.writes.as_ref()),
    })
}

fn resolve_member(written: &MemberFile, path: &str, loader: &mut Loader<'_>) -> Option<MemberSpec> {
    let role = written.role.0.as_ref();
    let agent = format!("{path}{}", role.map_or("", |r| &r.value.0));
    let (profile, team) = match (&written.agent, &written.team) {
        (Some(_), Some(team)) => {
            loader.found.push(
                team.error(Code::InvalidValue, "a member is an agent or a team, not both")
                    .help("remove `agent` or `team`, or make two members"),
            );
            return None;
        }
        (None, None) => {
            // A key that is unknown may be what was meant, and was reported.
            let unknown = written.keys.iter().any(|key| !MemberFile::KEYS.contains(&&*key.name));
            if !unknown && written.keys.get("agent").is_none() && written.keys.get("team").is_none() {
                let place = role.map(|r| r.place.clone()).or_else(|| written.keys.iter().next().map(|k| k.place.clone()));
                let error =
                    Diagnostic::error(Code::MissingKey, &place.unwrap_or_default(), "a member needs the key `agent` or `team`");
                loader.found.push(error.help("add `agent:` with the path of a profile"));
            }
            return None;
        }
        (Some(profile), None) => {
            if let Some(key) = written.keys.get("with") {
                loader.found.push(key.error(Code::UnknownKey, "`with` belongs to a member that is a team").help("remove it"));
            }
            (loader.profile(profile, written.set.as_ref(), &agent).map(|l| l.profile), None)
        }
        (None, Some(file)) => {
            if let Some(key) = written.keys.get("set") {
                let help = "a team's agents are changed in its own file, or with `--set ROLE/AGENT.FIELD=VALUE`";
                loader.found.push(key.error(Code::UnknownKey, "`set` belongs to a member that is an agent").help(help));
            }
            let team = loader.team_at(file, &format!("{agent}/"))?;
            check_with(&team, written.with.as_ref(), &file.place, &mut loader.found);
            let Some(coordinator) = &team.coordinator else {
                let error = file.error(Code::MissingKey, format!("the team {} has no coordinator", quoted(&file.value.0)));
                loader.found.push(error.help("a team that is a member needs one: it speaks and votes for the team"));
                return None;
            };
            (Some(coordinator.profile.clone()), Some(Arc::new(team)))
        }
    };
    let role = role?;
    Some(MemberSpec {
        role: Role(role.value.0.clone()),
        place: role.place.clone(),
        priority: priority(written),
        profile: profile?,
        team,
        with: with(written.with.as_ref()),
        writes: writes(written.writes.as_ref()),
    })
}

/// A member's place among equals.
fn priority(written: &MemberFile) -> u32 {
    written.priority.map_or(file::DEFAULT_PRIORITY, Whole::count)
}

/// The inputs that a sub-team is given, by name.
pub(super) fn with(written: Option<&Named<Expression>>) -> Vec<(Arc<str>, Text)> {
    written.iter().flat_map(|w| &w.entries).map(|(key, expression)| (key.name.clone(), expression.0.clone())).collect()
}

/// A sub-team is given the inputs that it declares, and all that it must have.
pub(super) fn check_with(team: &Team, written: Option<&Named<Expression>>, place: &Place, found: &mut Found) {
    let given: Vec<_> = written.iter().flat_map(|w| w.keys.iter()).collect();
    let names = || team.inputs.iter().map(|i| &*i.name);
    let known: Vec<_> = names().collect();
    for key in given.iter().filter(|key| !known.contains(&&*key.name)) {
        let help = did_you_mean(&key.name, names()).unwrap_or_else(|| format!("its inputs are {}", list(names())));
        found
            .push(key.error(Code::UnknownKey, format!("the team `{}` has no input {}", team.name, quoted(&key.name))).help(help));
    }
    let lacks = |i: &&InputSpec| !given.iter().any(|key| key.name == i.name) && !mistyped(&i.name, given.iter().copied(), &known);
    for input in team.inputs.iter().filter(|i| i.default.is_none()).filter(lacks) {
        let message = format!("the team `{}` needs the input `{}`", team.name, input.name);
        found.push(Diagnostic::error(Code::MissingKey, place, message).help(format!("add `with: {{ {}: \"…\" }}`", input.name)));
    }
}

/// Variables that may be written.
pub(super) fn writes(written: Option<&OneOrMany<WriteFile>>) -> Vec<WriteSpec> {
    written
        .iter()
        .flat_map(|w| &w.0)
        .map(|WriteFile(w)| WriteSpec { variable: w.variable.value.0.clone(), merge: w.merge.clone() })
        .collect()
}

/// How often something is tried.
pub(super) fn retry(written: Option<&RetryFile>) -> Option<Retry> {
    use super::node_file::{DEFAULT_BACKOFF_FACTOR, DEFAULT_BACKOFF_FIRST, DEFAULT_BACKOFF_MAX};
    let default = Backoff { first: DEFAULT_BACKOFF_FIRST, factor: DEFAULT_BACKOFF_FACTOR, max: DEFAULT_BACKOFF_MAX };
    written.map(|w| Retry {
        max_attempts: w.max_attempts.count(),
        backoff: w.backoff.as_ref().map_or(default, |b| b.0),
        on: w.on.as_ref().map_or_else(Vec::new, |on| on.0.clone()),
    })
}

/// What each pattern needs and what has a meaning in it.
fn check_shape(pattern: &Spot<Pattern>, written: &TeamFile, place: &Place, found: &mut Found) {
    let name = pattern.value.name();
    let (needs_coordinator, needs_members, is_graph) = match pattern.value {
        Pattern::CoordinatorWorker | Pattern::Hierarchical => (true, true, false),
        Pattern::PeerToPeer | Pattern::Sequential | Pattern::Parallel => (false, true, false),
        Pattern::Graph => (false, false, true),
    };
    let mut needs = |key: &str, help: &str| {
        if written.keys.get(key).is_none() && !mistyped(key, written.keys.iter(), TeamFile::KEYS) {
            found.push(pattern.error(Code::MissingKey, format!("a `{name}` team needs the key `{key}`")).help(help));
        }
    };
    if needs_coordinator {
        needs("coordinator", "name the coordinator's profile");
    }
    if needs_members {
        needs("member_agents", "list the members: `- { agent: PROFILE, role: NAME }`");
    }
    if is_graph {
        needs("nodes", "spell the nodes out: `nodes: { first: { agent: ROLE } }`");
    }
    if needs_members && written.member_agents.as_ref().is_some_and(Vec::is_empty) {
        let key = written.keys.get("member_agents").map_or(place, |k| &k.place);
        // Members with mistakes of their own were left out, and reported.
        if !found.iter().any(Diagnostic::is_error) {
            found.push(Diagnostic::error(Code::MissingKey, key, "the team has no members").help("list at least one"));
        }
    }
    if is_graph && written.nodes.as_ref().is_some_and(|n| n.entries.is_empty()) && !found.iter().any(Diagnostic::is_error) {
        let key = written.keys.get("nodes").map_or(place, |k| &k.place);
        found.push(Diagnostic::error(Code::MissingKey, key, "the team has no nodes").help("spell at least one out"));
    }
    for key in ["nodes", "output"].iter().filter(|_| !is_graph).filter_map(|key| written.keys.get(key)) {
        let message = format!("`{}` belongs to a `graph` team, and this one is `{name}`", key.name);
        found.push(key.error(Code::UnknownKey, message).help("`synod plan --expand` prints any team as a graph"));
    }
    let no_result = match pattern.value {
        Pattern::Graph => Some("`output` says what its result is"),
        Pattern::Sequential => Some("its result is the last agent's"),
        Pattern::CoordinatorWorker | Pattern::PeerToPeer | Pattern::Hierarchical | Pattern::Parallel => None,
    };
    if let (Some(help), Some(key)) = (no_result, written.keys.get("result")) {
        found.push(
            Diagnostic::warning(Code::Lint, &key.place, format!("`result` has no effect in a `{name}` team"))
                .length(key.length)
                .help(help),
        );
    }
}

impl RulesFile {
    /// What stands for `coordination_rules` that are not there.
    fn nothing() -> Self {
        Self {
            parallel_execution: None,
            wait_for_all: None,
            quorum: None,
            stragglers: None,
            timeout_per_agent_seconds: None,
            escalation_policy: None,
            validate: None,
            max_revisions: None,
            max_tasks: None,
            max_depth: None,
            max_replans: None,
            max_handoffs: None,
            max_asks: None,
            max_debate_rounds: None,
            calls_per_turn: None,
            max_parallel: None,
            fail_fast: None,
            retry: None,
            keys: super::read::Keys::default(),
        }
    }
}

fn coordination(written: &RulesFile, roles: &BTreeSet<Role>, members: &[MemberFile], found: &mut Found) -> Coordination {
    let or = |count: Option<file::Positive>, default: u32| count.map_or(default, Whole::count);
    let or0 = |count: Option<file::Count>, default: u32| count.map_or(default, Whole::count);
    let mut by_priority: Vec<_> = members.iter().collect();
    by_priority.sort_by_key(|m| priority(m));
    let workers: Vec<Role> = by_priority.iter().filter_map(|m| m.role.0.as_ref()).map(|r| Role(r.value.0.clone())).collect();
    let steps = u32::try_from(workers.len().saturating_sub(1)).unwrap_or(u32::MAX);
    Coordination {
        parallel_execution: written.parallel_execution.unwrap_or(true),
        quorum: quorum(written, workers.len(), found),
        stragglers: written.stragglers.unwrap_or_default(),
        timeout_per_agent: written
            .timeout_per_agent_seconds
            .map_or(Duration::from_secs(file::DEFAULT_TIMEOUT_SECONDS), |span| span.0),
        escalation_policy: escalation_policy(written.escalation_policy.as_ref(), found),
        validate: match &written.validate {
            None | Some(ValidateFile::All(false)) => Vec::new(),
            Some(ValidateFile::All(true)) => workers,
            Some(ValidateFile::Roles(ids)) => roles_of(ids, roles, found),
        },
        max_revisions: or0(written.max_revisions, file::DEFAULT_MAX_REVISIONS),
        max_tasks: or(written.max_tasks, file::DEFAULT_MAX_TASKS),
        max_depth: or(written.max_depth, file::DEFAULT_MAX_DEPTH),
        max_replans: or0(written.max_replans, file::DEFAULT_MAX_REPLANS),
        max_handoffs: or0(written.max_handoffs, file::DEFAULT_MAX_HANDOFFS.max(steps)),
        max_asks: or0(written.max_asks, file::DEFAULT_MAX_ASKS),
        max_debate_rounds: or0(written.max_debate_rounds, file::DEFAULT_MAX_DEBATE_ROUNDS),
        calls_per_turn: or(written.calls_per_turn, file::DEFAULT_CALLS_PER_TURN),
        max_parallel: or(written.max_parallel, file::DEFAULT_MAX_PARALLEL),
        fail_fast: written.fail_fast.unwrap_or(false),
        retry: retry(written.retry.as_ref()),
    }
}

/// How many must succeed; `None` when all must end.
fn quorum(written: &RulesFile, members: usize, found: &mut Found) -> Option<u32> {
    let waits = written.wait_for_all.unwrap_or(true);
    let Some(quorum) = &written.quorum else { return (!waits).then_some(1) };
    if waits {
        let error = quorum.error(Code::InvalidValue, "a quorum has no effect while the team waits for all");
        found.push(error.help("add `wait_for_all: false`, or remove `quorum`"));
    }
    let count = quorum.value.count();
    if members > 0 && count as usize > members {
        let error =
            quorum.error(Code::OutOfRange, format!("a quorum of {count} cannot be met by {}", counted(members, "member")));
        found.push(error.help(format!("at most {members}")));
    }
    Some(count)
}

fn escalation_policy(written: Option<&Spot<OneOrMany<EscalationPolicy>>>, found: &mut Found) -> Vec<EscalationPolicy> {
    let Some(written) = written else { return vec![EscalationPolicy::OnDisagreement, EscalationPolicy::OnUncertainty] };
    let mut policies = written.value.0.clone();
    let alone = |p: &EscalationPolicy| matches!(p, EscalationPolicy::Never | EscalationPolicy::Always);
    policies.sort_unstable();
    policies.dedup();
    if policies.len() > 1 && policies.iter().any(alone) {
        let error = written.error(Code::InvalidValue, "`never` and `always` stand alone in an escalation policy");
        found.push(error.help("remove them, or all others"));
    }
    policies
}

fn may_write(
    written: Option<&Named<OneOrMany<Spot<Id>>>>,
    roles: &BTreeSet<Role>,
    found: &mut Found,
) -> BTreeMap<Role, Vec<Role>> {
    let mut may = BTreeMap::new();
    for (key, to) in written.iter().flat_map(|w| &w.entries) {
        let from = Spot { value: Id(key.name.clone()), place: key.place.clone(), length: key.length };
        let to = roles_of(&to.0, roles, found);
        if let Some(from) = role_of(&from, roles, found) {
            may.insert(from, to);
        }
    }
    may
}

fn result_by(
    written: Option<&Spot<ResultFile>>,
    pattern: Option<Pattern>,
    roles: &BTreeSet<Role>,
    found: &mut Found,
) -> Option<ResultBy> {
    let led = roles.contains(&Role::new(COORDINATOR));
    let Some(at) = written else {
        let by_coordinator = led && pattern.is_some_and(|p| !matches!(p, Pattern::Sequential | Pattern::Graph));
        return Some(if by_coordinator { ResultBy::Coordinator } else { ResultBy::Merge });
    };
    let ResultFile(map) = &at.value;
    let word = match (map.by, &map.vote, &map.rapporteur) {
        (Some(by), None, None) => by,
        (None | Some(ResultWord::Vote), Some(_), None) => ResultWord::Vote,
        (None | Some(ResultWord::Rapporteur), None, Some(_)) => ResultWord::Rapporteur,
        _ => {
            let error = at.error(Code::InvalidValue, "`result` says who makes the result, once");
            found.push(
                error.help("write one of `by: coordinator`, `by: merge`, `vote: { protocol, tie }` and `rapporteur: ROLE`"),
            );
            return None;
        }
    };
    if word != ResultWord::Vote {
        for key in ["protocol", "tie"].iter().filter_map(|key| map.keys.get(key)) {
            found.push(
                key.error(Code::UnknownKey, format!("`{}` belongs to a vote", key.name)).help("write `by: vote`, or remove it"),
            );
        }
    }
    match word {
        ResultWord::Coordinator if !led => {
            found.push(
                at.error(Code::MissingKey, "the result is the coordinator's, and the team has none").help("add `coordinator:`"),
            );
            None
        }
        ResultWord::Coordinator => Some(ResultBy::Coordinator),
        ResultWord::Merge => Some(ResultBy::Merge),
        ResultWord::Vote => {
            let (protocol, tie) = map.vote.as_ref().map_or((map.protocol, map.tie.as_ref()), |v| (v.protocol, v.tie.as_ref()));
            let tie = match tie {
                Some(tie) => Some(role_of(tie, roles, found)?),
                None => None,
            };
            Some(ResultBy::Vote { protocol: protocol.unwrap_or_default(), tie })
        }
        ResultWord::Rapporteur => match &map.rapporteur {
            Some(role) => role_of(role, roles, found).map(ResultBy::Rapporteur),
            None => {
                found.push(at.error(Code::MissingKey, "`rapporteur` needs a role").help("write `result: { rapporteur: ROLE }`"));
                None
            }
        },
    }
}

fn limits(written: &file::LimitsFile) -> Limits {
    Limits {
        turns: written.turns.map(|w| w.0),
        tokens: written.tokens.map(|w| w.0),
        cost: written.cost_usd.map(|d| d.0),
        // A fraction of a second counts as a whole one: a limit is never 0.
        wall_seconds: written.wall_seconds.map(|s| s.0.as_secs() + u64::from(s.0.subsec_nanos() > 0)),
    }
}

fn inputs(written: Option<&Named<InputFile>>, found: &mut Found) -> Option<Vec<InputSpec>> {
    let mut inputs = Vec::new();
    for (key, InputFile(map)) in written.iter().flat_map(|w| &w.entries) {
        if !is_id(&key.name) {
            found.push(key.error(Code::BadId, format!("{} is not an id", quoted(&key.name))).help(id_help(&key.name)));
        }
        let default = map.default.as_ref().map(|d| &d.0);
        if let Some(default) = default.filter(|d| !fits(map.r#type, &d.value)) {
            let kind = input_name(map.r#type);
            let error = Diagnostic::error(
                Code::WrongType,
                &default.place,
                format!("the default is {} and the input is of type `{kind}`", describe(&default.value)),
            );
            found.push(error.length(default.length).help("write a default of that type, or `null` for none"));
        }
        inputs.push(InputSpec {
            name: key.name.clone(),
            kind: map.r#type,
            default: default.map(|d| d.value.clone()),
            description: map.description.as_ref().map(|w| w.0.clone()),
        });
    }
    Some(inputs)
}

/// Whether a value may be given to an input; nothing always may.
pub fn fits(kind: InputKind, value: &Value) -> bool {
    match (kind, value) {
        (_, Value::Null) => true,
        (InputKind::String | InputKind::Folder | InputKind::File, value) => value.as_str().is_some(),
        (InputKind::Integer, value) => value.as_int().is_some(),
        (InputKind::Number, value) => value.as_f64().is_some(),
        (InputKind::Boolean, value) => value.as_bool().is_some(),
        (InputKind::List, value) => value.as_list().is_some(),
        (InputKind::Map, value) => value.as_map().is_some(),
    }
}

/// The name that files use.
fn input_name(kind: InputKind) -> &'static str {
    match kind {
        InputKind::String => "string",
        InputKind::Integer => "integer",
        InputKind::Number => "number",
        InputKind::Boolean => "boolean",
        InputKind::List => "list",
        InputKind::Map => "map",
        InputKind::Folder => "folder",
        InputKind::File => "file",
    }
}

fn step(written: StepFile) -> EscalationStep {
    let text = |words: Words| words.0;
    EscalationStep { to: text(written.to), deadline: written.deadline.map(|s| s.0), notify: written.notify.map(text) }
}
