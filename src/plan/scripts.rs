//! What do the scripts of a team define, and do they hold up? [`check`] tries them, [`rule_book`] makes the judge of a plan.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    graph::{GateBy, Member, Node, NodeKind, On, Plan, ScopeKind, TeamPlan},
    rule::{RuleBook, RuleDiagnostic, Severity, Source, TeamScripts},
    team::{Code, Diagnostic, MemberSpec, Team},
    value::{AgentFacts, Expr, Map, Profile, Role, TeamIx, TextTemplate, Value},
};

/// The names of the functions that the rule scripts of `team` define, sorted, and what is wrong with the scripts: each rule is
/// tried on sample facts with this team's agents and inputs.
pub(super) fn check(team: &Team) -> (Vec<Arc<str>>, Vec<Diagnostic>) {
    if team.rules.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let scripts = TeamScripts {
        sources: team.rules.iter().map(|script| Source::new(&script.file, &script.text)).collect(),
        agents: team.members.iter().map(|m: &MemberSpec| facts(&m.role, &m.profile, m.priority)).collect(),
        inputs: team.inputs.iter().map(|i| (i.name.to_string(), i.default.clone().unwrap_or(Value::Null))).collect(),
    };
    let scripts = [scripts];
    match RuleBook::build(&scripts, [], []) {
        Ok(book) => {
            let found = book.check(&scripts).iter().map(|d| diagnostic(Code::BadRule, d)).collect();
            (book.rules(TeamIx(0)), found)
        }
        Err(wrong) => (Vec::new(), wrong.iter().map(|d| diagnostic(Code::BadScript, d)).collect()),
    }
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
    }
}

/// The judge of `plan`: the scripts of its teams, whose texts are in `sources` by name, and all its expressions and templates.
///
/// # Errors
/// All that does not compile, and scripts whose text is not there.
pub fn rule_book(plan: &Plan, sources: &BTreeMap<String, Arc<str>>) -> Result<RuleBook, Vec<RuleDiagnostic>> {
    let teams: Vec<TeamScripts> = plan.teams.iter().map(|team| scripts_of(team, &plan.inputs, sources)).collect();
    let mut texts = Texts::default();
    for graph in &plan.graphs {
        texts.exprs.extend(&graph.output);
        texts.exprs.extend(graph.dag.edge_weights().filter_map(|edge| match &edge.on {
            On::When(expr) => Some(expr),
            On::Ok | On::Failed | On::Done | On::Else => None,
        }));
        graph.dag.node_weights().for_each(|node| texts.add(node));
    }
    RuleBook::build(&teams, texts.exprs, texts.templates)
}

fn scripts_of(team: &TeamPlan, inputs: &Map, sources: &BTreeMap<String, Arc<str>>) -> TeamScripts {
    let source = |file: &Arc<str>| sources.get(&**file).map(|text| Source::new(file, text));
    TeamScripts {
        sources: team.scripts.iter().filter_map(source).collect(),
        agents: team.members.iter().map(|m: &Member| facts(&m.role, &m.profile, m.priority)).collect(),
        inputs: inputs.clone(),
    }
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
                ScopeKind::Group { with, .. } => self.exprs.extend(with.iter().flatten().map(|(_, expr)| expr)),
                ScopeKind::Subtasks { from, .. } => self.exprs.push(from),
                ScopeKind::Relay { .. } | ScopeKind::Settle(_) => {}
            },
        }
    }
}
