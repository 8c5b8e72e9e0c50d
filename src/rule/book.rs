//! Who answers for the scripts? [`RuleBook`], the [`Judge`] of a session.

use std::{collections::BTreeMap, sync::Arc};

use rhai::AST;

use super::{
    check,
    engine::Tier,
    error::RuleDiagnostic,
    expr, kind,
    source::Source,
    template::{self, Compiled},
    unit::Unit,
};
use crate::value::{AgentFacts, Expr, Judge, Map, RuleError, RuleKind, TeamIx, TextTemplate, Value, Verdict};

/// The rule scripts of a team, and what is known of it for a trial of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TeamScripts {
    /// Its scripts and the files that they use, each once.
    pub sources: Vec<Source>,
    /// Its members, where they are known; else sample agents are used in trials.
    pub agents: Vec<AgentFacts>,
    /// Its inputs with their defaults, where they are known.
    pub inputs: Map,
}

impl TeamScripts {
    /// A team of which only the scripts are known.
    pub fn new(sources: Vec<Source>) -> Self {
        Self { sources, ..Self::default() }
    }

    /// Sample facts with this team's agents and inputs in them.
    pub(super) fn in_terms_of(&self, sample: Value) -> Value {
        let Value::Map(mut map) = sample else { return sample };
        let entries = Arc::make_mut(&mut map);
        if !self.inputs.is_empty()
            && let Some(inputs) = entries.get_mut("inputs")
        {
            *inputs = Value::Map(Arc::new(self.inputs.clone()));
        }
        if let Ok(agents) = Value::of(&self.agents)
            && !self.agents.is_empty()
        {
            for key in ["agents", "candidates"] {
                entries.entry(key.to_owned()).and_modify(|known| *known = agents.clone());
            }
        }
        Value::Map(map)
    }
}

/// All scripts, expressions and templates of a plan, compiled: the [`Judge`] of its sessions.
///
/// ```
/// use synod::{rule::{RuleBook, Source, TeamScripts}, value::{Judge, RuleKind, TeamIx, Value, Verdict}};
/// let script = Source::new("rules.rhai", r#"fn permit(facts) { if facts.effect == "read" { "allow" } else { "ask" } }"#);
/// let book = RuleBook::build(&[TeamScripts::new(vec![script])], [], []).unwrap();
/// let verdict = book.judge(TeamIx(0), &RuleKind::Permit, &Value::map([("effect", Value::text("read"))])).unwrap();
/// assert_eq!(verdict, Some(Verdict::Permit(Some(true))));
/// ```
#[derive(Debug, Default)]
pub struct RuleBook {
    /// By [`TeamIx`].
    teams: Vec<Unit>,
    /// By source text.
    exprs: BTreeMap<Arc<str>, AST>,
    /// By source text.
    templates: BTreeMap<Arc<str>, Compiled>,
}

impl RuleBook {
    /// Compiles the scripts of `teams`, by [`TeamIx`], and all expressions and templates. What is not among them is
    /// compiled each time that it is asked for.
    ///
    /// # Errors
    /// All that does not compile. [`RuleBook::check`] finds more.
    pub fn build<'a>(
        teams: &[TeamScripts],
        exprs: impl IntoIterator<Item = &'a Expr>,
        templates: impl IntoIterator<Item = &'a TextTemplate>,
    ) -> Result<Self, Vec<RuleDiagnostic>> {
        let mut book = Self::default();
        let mut wrong = Vec::new();
        for team in teams {
            match Unit::compile(&team.sources) {
                Ok(unit) => book.teams.push(unit),
                Err(diagnostics) => wrong.extend(diagnostics),
            }
        }
        for text in exprs {
            if !book.exprs.contains_key(&text.source) {
                match expr::compile(&text.source, &text.place) {
                    Ok(ast) => drop(book.exprs.insert(text.source.clone(), ast)),
                    Err(error) => wrong.push(RuleDiagnostic::error("expression", error.message, error.place)),
                }
            }
        }
        for text in templates {
            if !text.is_plain() && !book.templates.contains_key(&text.source) {
                match template::compile(&text.source, &text.place) {
                    Ok(compiled) => drop(book.templates.insert(text.source.clone(), compiled)),
                    Err(error) => wrong.push(RuleDiagnostic::error("template", error.message, error.place)),
                }
            }
        }
        if wrong.is_empty() { Ok(book) } else { Err(wrong) }
    }

    /// What is wrong with the scripts beyond their syntax: calls of unknown functions, misspelt facts, and what a trial
    /// of each rule on sample facts shows. `teams` is what the book was built from.
    pub fn check(&self, teams: &[TeamScripts]) -> Vec<RuleDiagnostic> {
        self.teams.iter().zip(teams).flat_map(|(unit, team)| check::check(unit, team)).collect()
    }

    /// The rules of a team: its public functions with one parameter, sorted by name.
    pub fn rules(&self, team: TeamIx) -> Vec<Arc<str>> {
        let functions = self.teams.get(team.index()).map(|unit| unit.functions.as_slice()).unwrap_or_default();
        let mut names: Vec<Arc<str>> = functions
            .iter()
            .filter(|function| function.public && function.params.len() == 1)
            .map(|function| function.name.clone())
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

impl Judge for RuleBook {
    fn eval(&self, text: &Expr, names: &[(&str, Value)]) -> Result<Value, RuleError> {
        match self.exprs.get(&text.source) {
            Some(ast) => expr::eval(ast, &text.place, names),
            None => expr::eval(&expr::compile(&text.source, &text.place)?, &text.place, names),
        }
    }

    fn judge(&self, team: TeamIx, kind: &RuleKind, facts: &Value) -> Result<Option<Verdict>, RuleError> {
        let Some(unit) = self.teams.get(team.index()) else { return Ok(None) };
        let Some(function) = unit.function(kind.function(), 1).filter(|function| function.public) else { return Ok(None) };
        let said = unit.call(Tier::Rule, None, function, &[facts])?;
        kind::verdict(kind, said, facts).map(Some).map_err(|wrong| RuleError {
            message: format!("the verdict of `{}` is wrong: {}", function.name, wrong.message()),
            place: function.place.clone(),
        })
    }

    fn render(&self, text: &TextTemplate, names: &[(&str, Value)]) -> Result<Arc<str>, RuleError> {
        if text.is_plain() {
            return Ok(text.source.clone());
        }
        let (source, place) = (&text.source, &text.place);
        let rendered = match self.templates.get(source) {
            Some(compiled) => compiled.render(source, place, names)?,
            None => template::compile(source, place)?.render(source, place, names)?,
        };
        Ok(Arc::from(rendered))
    }

    fn fill(&self, text: &TextTemplate, names: &[(&str, Value)]) -> Result<Value, RuleError> {
        if text.is_plain() {
            return Ok(Value::Text(text.source.clone()));
        }
        let (source, place) = (&text.source, &text.place);
        match self.templates.get(source) {
            Some(compiled) => compiled.fill(source, place, names),
            None => template::compile(source, place)?.fill(source, place, names),
        }
    }
}
