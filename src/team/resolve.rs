//! What does a team file come to? [`team`] fills in defaults, follows references and checks what is said in two places.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Code, Diagnostic, InputSpec, MemberSpec, NodeSpec, Pattern, ResultBy, Script, Team, Text,
    file::{self, CoordinatorFile, MemberFile, RulesFile, TeamFile},
    load::{LoadedProfile, Loader},
    node::{self, Scope},
    node_file::{NodeFile, WriteFile},
    not_yet::without_effect,
    profile::stand_in,
    read::{Found, Named, OneOrMany, Spot, mistyped},
    rules,
    scalar::{Expression, Id, Whole, Words},
    sources::SCRIPTS,
    suggest::{did_you_mean, list},
    tools,
    tree::quoted,
};
use crate::{
    graph::Limits,
    value::{Place, Profile, ProfileRole, Role, WriteSpec},
};

/// The coordinator's id in every team.
pub const COORDINATOR: &str = "coordinator";

/// The team of a file, as far as it can be made out; what is missing was reported. `path` is what its agents' names start with in overrides.
pub(super) fn team(written: TeamFile, place: &Place, path: &str, loader: &mut Loader<'_>) -> Team {
    let pattern = written.collaboration_pattern.0.as_ref().map(|p| p.value);
    if let Some(active) = written.is_active.as_ref().filter(|a| !a.value) {
        loader.found.push(active.error(Code::Inactive, "the team is not active").help("set `is_active: true`"));
    }
    let tools = tools::resolve(&written, loader.known.tools, &mut loader.found);
    if let Some(tools) = &tools {
        loader.declare(tools, place);
    }
    let coordinator = written.coordinator.as_ref().map(|c| resolve_coordinator(c, path, loader));
    let files = written.member_agents.as_deref().unwrap_or_default();
    let roles = roles(files, written.coordinator.is_some(), &mut loader.found);
    let members: Vec<_> = files.iter().map(|m| resolve_member(m, path, loader)).collect();
    if let Some(pattern) = &written.collaboration_pattern.0 {
        check_shape(pattern, &written, place, &mut loader.found);
    }
    let defaults = RulesFile::default();
    let rules_file = written.coordination_rules.as_ref().unwrap_or(&defaults);
    without_effect(&written, &mut loader.found);
    let coordination = rules::coordination(rules_file, &roles, workers(files), &mut loader.found);
    let may_write = rules::by_role(written.may_write.as_ref(), &roles, &mut loader.found);
    let may_hand_off = rules::by_role(written.may_hand_off.as_ref(), &roles, &mut loader.found);
    let letters = rules::letters(written.messages.as_ref(), &mut loader.found);
    let result = rules::result_by(written.result.as_ref(), pattern, &roles, &mut loader.found);
    let scripts = written.rules.as_ref().map_or(&[][..], |r| &r.0);
    let scripts: Vec<_> = scripts.iter().map(|rule| loader.text(rule, &rule.value.0, SCRIPTS, "script")).collect();
    let inputs = rules::inputs(written.inputs.as_ref(), &mut loader.found);
    let scope = Scope { roles: &roles, coordination: &coordination, path };
    let nodes = nodes_of(written.nodes.as_ref(), &scope, loader);
    let finally = nodes_of(written.finally.as_ref(), &scope, loader);

    let mut members: Vec<_> = members.into_iter().flatten().collect();
    members.sort_by_key(|m| m.priority);
    Team {
        file: place.file.clone(),
        name: written.name.0.map_or_else(|| Arc::from(""), |w| w.0),
        description: written.description.map(|w| w.0),
        use_case: written.use_case.map(|w| w.0),
        tags: written.tags.unwrap_or_default().into_iter().map(|w| w.0).collect(),
        is_public: written.is_public.unwrap_or(false),
        // A pattern that nobody knows is taken for the one that says all it does itself.
        pattern: pattern.unwrap_or(Pattern::Graph),
        coordinator,
        members,
        coordination,
        may_write,
        may_hand_off,
        letters,
        result: result.unwrap_or(ResultBy::Merge),
        rules: scripts.into_iter().flatten().map(|(file, text)| Script { file, text }).collect(),
        tools: tools.unwrap_or_default(),
        limits: written.limits.as_ref().map_or_else(Limits::default, rules::limits),
        inputs,
        escalation: written.escalation.unwrap_or_default().into_iter().map(rules::step).collect(),
        nodes,
        finally,
        output: written.output.map(|e| e.0),
        sources: BTreeMap::new(),
    }
}

/// The nodes of a map, in the order of the file. One with a mistake keeps its id and conditions.
pub(super) fn nodes_of(written: Option<&Named<NodeFile>>, scope: &Scope<'_>, loader: &mut Loader<'_>) -> Vec<NodeSpec> {
    let Some(written) = written else { return Vec::new() };
    let mut read = written.entries.iter().peekable();
    let mut nodes = Vec::new();
    for key in written.keys.iter() {
        let entry = read.next_if(|(entry, _)| entry.place == key.place);
        let node = entry.and_then(|(key, file)| node::resolve(key, file, scope, loader));
        nodes.push(node.unwrap_or_else(|| node::stand_in(key, entry.map(|(_, file)| file))));
    }
    nodes
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

fn resolve_coordinator(written: &CoordinatorFile, path: &str, loader: &mut Loader<'_>) -> MemberSpec {
    let CoordinatorFile(written) = written;
    let loaded = loader.profile(&written.agent, written.set.as_ref(), &format!("{path}{COORDINATOR}"));
    if let Some(LoadedProfile { profile, role_place, .. }) = &loaded
        && profile.role != ProfileRole::Coordinator
    {
        loader.found.push(
            written
                .agent
                .error(
                    Code::WrongCoordinator,
                    format!("the profile {} does not have the role `coordinator`", quoted(&written.agent.value.0)),
                )
                .label("leads the team")
                .related(role_place, "its role")
                .help("use a profile with `role: coordinator`"),
        );
    }
    MemberSpec {
        role: Role::new(COORDINATOR),
        place: written.agent.place.clone(),
        priority: 0,
        profile: loaded.map_or_else(stand_in, |loaded| loaded.profile),
        team: None,
        with: Vec::new(),
        open: false,
        writes: writes(written.writes.as_ref()),
        limits: rules::own_limits(written.limits.as_ref()),
        reuse: written.reuse.map(|reuse| reuse.0).unwrap_or_default(),
    }
}

fn resolve_member(written: &MemberFile, path: &str, loader: &mut Loader<'_>) -> Option<MemberSpec> {
    let (profile, team) = who(written, path, loader).unwrap_or_else(|| (stand_in(), None));
    let role = written.role.0.as_ref()?;
    Some(MemberSpec {
        role: Role(role.value.0.clone()),
        place: role.place.clone(),
        priority: priority(written),
        profile,
        team,
        with: with(written.with.as_ref()),
        open: written.open.unwrap_or(false),
        writes: writes(written.writes.as_ref()),
        limits: rules::own_limits(written.limits.as_ref()),
        reuse: written.reuse.map(|reuse| reuse.0).unwrap_or_default(),
    })
}

/// The profile of a member, and the team where it is one; `None` only after an error was reported.
fn who(written: &MemberFile, path: &str, loader: &mut Loader<'_>) -> Option<(Arc<Profile>, Option<Arc<Team>>)> {
    let role = written.role.0.as_ref();
    let agent = format!("{path}{}", role.map_or("", |r| &r.value.0));
    match (&written.agent, &written.team) {
        (Some(_), Some(team)) => {
            loader.found.push(
                team.error(Code::InvalidValue, "a member is an agent or a team, not both")
                    .help("remove `agent` or `team`, or make two members"),
            );
            None
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
            None
        }
        (Some(profile), None) => {
            if let Some(key) = written.keys.get("with") {
                loader.found.push(key.error(Code::UnknownKey, "`with` belongs to a member that is a team").help("remove it"));
            }
            if let Some(key) = written.keys.get("open") {
                let help = "remove it; whom an agent may write to stands in `may_write`";
                loader.found.push(key.error(Code::UnknownKey, "`open` belongs to a member that is a team").help(help));
            }
            loader.profile(profile, written.set.as_ref(), &agent).map(|loaded| (loaded.profile, None))
        }
        (None, Some(file)) => {
            if let Some(key) = written.keys.get("set") {
                let help = "a team's agents are changed in its own file, or with `--set ROLE/AGENT.FIELD=VALUE`";
                loader.found.push(key.error(Code::UnknownKey, "`set` belongs to a member that is an agent").help(help));
            }
            if let Some(key) = written.keys.get("reuse") {
                let help = "remove it; what is taken over of a team stands at its own agents and nodes";
                loader.found.push(key.error(Code::UnknownKey, "`reuse` belongs to a member that is an agent").help(help));
            }
            let team = sub_team(file, &format!("{agent}/"), written.with.as_ref(), loader)?;
            let Some(coordinator) = &team.coordinator else {
                let error = file.error(Code::MissingKey, format!("the team {} has no coordinator", quoted(&file.value.0)));
                loader.found.push(error.help("a team that is a member needs one: it speaks and votes for the team"));
                return None;
            };
            Some((coordinator.profile.clone(), Some(Arc::new(team))))
        }
    }
}

/// The team that `at` refers to, given what it needs. One with mistakes of its own may have lost inputs, and is not compared.
pub(super) fn sub_team(at: &Spot<Words>, path: &str, given: Option<&Named<Expression>>, loader: &mut Loader<'_>) -> Option<Team> {
    let before = loader.errors();
    let team = loader.team_at(at, path)?;
    if loader.errors() == before {
        check_with(&team, given, &at.place, &mut loader.found);
    }
    Some(team)
}

/// A member's place among equals.
fn priority(written: &MemberFile) -> u32 {
    written.priority.map_or(file::DEFAULT_PRIORITY, Whole::count)
}

/// The roles of members by priority, then as declared.
fn workers(members: &[MemberFile]) -> Vec<Role> {
    let mut members: Vec<_> = members.iter().collect();
    members.sort_by_key(|m| priority(m));
    members.iter().filter_map(|m| m.role.0.as_ref()).map(|role| Role(role.value.0.clone())).collect()
}

/// The inputs that a sub-team is given, by name.
pub(super) fn with(written: Option<&Named<Expression>>) -> Vec<(Arc<str>, Text)> {
    written.iter().flat_map(|w| &w.entries).map(|(key, expression)| (key.name.clone(), expression.0.clone())).collect()
}

/// A sub-team is given the inputs that it declares, and all that it must have.
fn check_with(team: &Team, written: Option<&Named<Expression>>, place: &Place, found: &mut Found) {
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
    let has_relay = matches!(pattern.value, Pattern::Sequential | Pattern::Graph);
    if let Some(key) = written.keys.get("may_hand_off").filter(|_| !has_relay) {
        let message = format!("`may_hand_off` has no effect in a `{name}` team: nobody hands over there");
        let help = "members of a `sequential` team and of a `relay` hand over";
        found.push(Diagnostic::warning(Code::Lint, &key.place, message).length(key.length).help(help));
    }
    let deadline = written.coordination_rules.as_ref().and_then(|rules| rules.keys.get("deadline_seconds"));
    if let Some(key) = deadline.filter(|_| is_graph) {
        let message = "`deadline_seconds` has no effect in a `graph` team: its nodes have deadlines of their own";
        let help = "write `join: { deadline: 30s }`, or `deadline: 30s` at a `for_each`, `subtasks` or a `circle`";
        found.push(Diagnostic::warning(Code::Lint, &key.place, message).length(key.length).help(help));
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
