//! What do the scripts of a team define, and do they hold up? [`check`] tries them, [`rule_book`] makes the judge of a plan.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    graph::{GateBy, Member, Node, NodeKind, On, Plan, ScopeKind, TeamPlan},
    rule::{RuleBook, RuleDiagnostic, ScriptAgent, Severity, Source, TeamScripts},
    team::{Code, DEFAULT_PROMPT, Diagnostic, MemberSpec, Team},
    value::{AgentFacts, Expr, Map, Place, Profile, Role, TeamIx, TextTemplate, Value},
};

/// The names of the functions that the rule scripts of `team` define, sorted, and what is wrong with the scripts: each rule is
/// tried on sample facts with this team's agents and inputs.
///
/// `texts` are all files of the team by name: scripts may use others. Script agents must compile as well.
pub(super) fn check(team: &Team, texts: &BTreeMap<String, Arc<str>>) -> (Vec<Arc<str>>, Vec<Diagnostic>) {
    let mut found = check_agents(team, texts);
    let mut sources: Vec<Source> = Vec::new();
    for script in &team.rules {
        let with_others = with_includes(&script.file, texts);
        let alone = with_others.is_empty().then(|| Source::new(&script.file, &script.text));
        for source in with_others.into_iter().chain(alone) {
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
    }
    if sources.is_empty() {
        return (Vec::new(), found);
    }
    let scripts = TeamScripts {
        sources,
        agents: team.members.iter().map(|m: &MemberSpec| facts(&m.role, &m.profile, m.priority)).collect(),
        inputs: team.inputs.iter().map(|i| (i.name.to_string(), i.default.clone().unwrap_or(Value::Null))).collect(),
    };
    let scripts = [scripts];
    match RuleBook::build(&scripts, [], []) {
        Ok(book) => {
            found.extend(book.check(&scripts).iter().map(|d| diagnostic(Code::BadRule, d)));
            (book.rules(TeamIx(0)), found)
        }
        Err(wrong) => {
            found.extend(wrong.iter().map(|d| diagnostic(Code::BadScript, d)));
            (Vec::new(), found)
        }
    }
}

/// What is wrong with the scripts that sit where models would, each once.
fn check_agents(team: &Team, texts: &BTreeMap<String, Arc<str>>) -> Vec<Diagnostic> {
    let models = team
        .members
        .iter()
        .chain(&team.coordinator)
        .flat_map(|m| std::iter::once(&m.profile.model).chain(&m.profile.fallback_models));
    let mut files: Vec<&str> = models.filter_map(|model| model.strip_prefix("script:")).collect();
    files.sort_unstable();
    files.dedup();
    let compiled = files
        .into_iter()
        .map(|file| with_includes(file, texts))
        .filter(|sources| !sources.is_empty())
        .map(|s| ScriptAgent::compile(&s));
    compiled.filter_map(Result::err).flatten().map(|d| diagnostic(Code::BadScript, &d)).collect()
}

fn diagnostic(code: Code, found: &RuleDiagnostic) -> Diagnostic {
    let diagnostic = match found.severity {
        Severity::Error => Diagnostic::error(code, &found.place, &found.message),
        Severity::Warning => Diagnostic::warning(code, &found.place, &found.message),
    };
    diagnostic.maybe_help(found.help.clone())
}

fn facts(role: &Role, profile: &Profile, priority: u32) -> AgentFacts {
    AgentFacts {
        role: role.clone(),
        name: profile.name.clone(),
        specialization: profile.specialization.clone(),
        skills: profile.skills.clone(),
        description: profile.description.clone(),
        priority,
        tools: profile.allowed_tools.clone(),
    }
}

/// The judge of `plan`: the scripts of its teams, whose texts are in `sources` by name, and all its expressions and templates.
///
/// # Errors
/// All that does not compile, and scripts whose text is not there.
pub fn rule_book(plan: &Plan, sources: &BTreeMap<String, Arc<str>>) -> Result<RuleBook, Vec<RuleDiagnostic>> {
    let teams: Vec<TeamScripts> = plan.teams.iter().map(|team| scripts_of(team, &plan.inputs, sources)).collect();
    let mut texts = Texts::default();
    for team in plan.teams.iter().flat_map(|team| &team.members).filter_map(|member| member.team.as_ref()) {
        texts.exprs.extend(team.with.iter().map(|(_, expr)| expr));
    }
    for graph in &plan.graphs {
        texts.exprs.extend(&graph.output);
        texts.exprs.extend(graph.dag.edge_weights().filter_map(|edge| match &edge.on {
            On::When(expr) => Some(expr),
            On::Ok | On::Failed | On::Done | On::Else => None,
        }));
        graph.dag.node_weights().for_each(|node| texts.add(node));
    }
    let prompts = prompts(plan);
    texts.templates.extend(&prompts);
    texts.templates.extend(plan.teams.iter().flat_map(|team| team.letters.values()));
    RuleBook::build(&teams, texts.exprs, texts.templates)
}

/// The templates of first messages.
fn prompts(plan: &Plan) -> Vec<TextTemplate> {
    let members = plan.teams.iter().flat_map(|team| team.members.iter().chain(&team.coordinator));
    let own: BTreeSet<&Arc<str>> = members.filter_map(|member| member.profile.prompt_template.as_ref()).collect();
    let template = |source: Arc<str>| TextTemplate { source, place: Place::default(), refs: Vec::new() };
    std::iter::once(Arc::from(DEFAULT_PROMPT)).chain(own.into_iter().cloned()).map(template).collect()
}

/// A script with all that it uses, itself first.
pub fn with_includes(file: &str, sources: &BTreeMap<String, Arc<str>>) -> Vec<Source> {
    let mut found: Vec<Source> = Vec::new();
    let mut look = vec![file.to_owned()];
    while let Some(name) = look.pop() {
        if found.iter().any(|source| *source.file == *name) {
            continue;
        }
        let Some(text) = sources.get(&name) else { continue };
        look.extend(crate::value::includes(&name, text).iter().filter_map(|include| crate::team::beside(&name, &include.path)));
        found.push(Source::new(&name, text));
    }
    found
}

/// Digest of the texts behind a `script:` or `replay:` model; nothing for any other.
pub fn model_digest(model: &str, sources: &BTreeMap<String, Arc<str>>) -> Option<String> {
    let path = model.strip_prefix("script:").or_else(|| crate::value::cassette(model).map(|(path, _)| path))?;
    let mut hasher = blake3::Hasher::new();
    for source in with_includes(path, sources) {
        for text in [&*source.file, &*source.text] {
            hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        }
    }
    Some(hasher.finalize().to_hex().to_string())
}

fn scripts_of(team: &TeamPlan, inputs: &Map, sources: &BTreeMap<String, Arc<str>>) -> TeamScripts {
    let mut scripts: Vec<Source> = Vec::new();
    for source in team.scripts.iter().flat_map(|file| with_includes(file, sources)) {
        if !scripts.contains(&source) {
            scripts.push(source);
        }
    }
    TeamScripts { sources: scripts, agents: team.members.iter().map(Member::facts).collect(), inputs: inputs.clone() }
}

/// The expressions and templates of nodes.
#[derive(Default)]
struct Texts<'p> {
    exprs: Vec<&'p Expr>,
    templates: Vec<&'p TextTemplate>,
}

impl<'p> Texts<'p> {
    fn add(&mut self, node: &'p Node) {
        self.exprs.extend(&node.input);
        match &node.kind {
            NodeKind::Agent(agent) => self.templates.extend(&agent.task),
            NodeKind::Tool(tool) => self.templates.extend(tool.templates.iter().map(|(_, template)| template)),
            NodeKind::Gate(GateBy::Expr(expr)) => self.exprs.push(expr),
            NodeKind::Gate(GateBy::Rule(_) | GateBy::Members(..)) => {}
            NodeKind::Ask(ask) => self.templates.push(&ask.question),
            NodeKind::Scope(scope) => match &**scope {
                ScopeKind::ForEach { items, .. } => self.exprs.push(items),
                ScopeKind::Repeat { until, .. } => self.exprs.extend(until),
                ScopeKind::Group { with, seat, .. } => {
                    self.exprs.extend(with.iter().flatten().map(|(_, expr)| expr));
                    self.templates.extend(seat.iter().flat_map(|seat| &seat.task));
                }
                ScopeKind::Subtasks { from, .. } => self.exprs.push(from),
                ScopeKind::Relay { .. } | ScopeKind::Circle { .. } | ScopeKind::Settle(_) => {}
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_a_model_is_that_of_its_files_and_of_those_that_they_use() {
        let files = |one: &str, other: &str| {
            BTreeMap::from([("a.rhai".to_owned(), Arc::from(one)), ("b.rhai".to_owned(), Arc::from(other))])
        };
        let uses = "//! use b.rhai\nfn turn(view) { b() }";
        let digest = |model: &str, one: &str, other: &str| model_digest(model, &files(one, other));
        let first = digest("script:a.rhai", uses, "fn b() { 1 }");
        assert!(first.is_some());
        assert_eq!(digest("script:a.rhai", uses, "fn b() { 1 }"), first);
        assert_ne!(digest("script:a.rhai", uses, "fn b() { 2 }"), first, "a file that it uses changed");
        assert_ne!(digest("script:b.rhai", uses, "fn b() { 1 }"), first);
        assert_eq!(digest("replay:a.rhai#role", "x", ""), digest("replay:a.rhai", "x", ""), "one cassette");
        assert_eq!(digest("gpt-4", "", ""), None);
    }
}
