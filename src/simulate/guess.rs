//! Who decides where nobody knows what agents will say? The team's own [`Judge`] as far as it can; a [`Guess`] beyond that.

use std::sync::{Arc, Mutex, PoisonError};

use super::{assume::CONDITION, random::Random};
use crate::{
    graph::{NodeKind, Plan, ScopeKind},
    turn::Toolbox,
    value::{EffectClass, Expr, Judge, Profile, RuleError, RuleKind, TeamIx, TextTemplate, ToolSpec, Value, Verdict},
};

/// Rules as they are on what was made up; where an expression cannot be evaluated on that, chance.
pub(super) struct Guess {
    judge: Arc<dyn Judge>,
    /// The lists of `for_each`, with their bounds.
    lists: Vec<(Expr, u32)>,
    random: Mutex<Random>,
}

impl Guess {
    pub(super) fn new(judge: Arc<dyn Judge>, plan: &Plan, random: Random) -> Self {
        let nodes = plan.graphs.iter().flat_map(|graph| graph.dag.node_weights());
        let lists = nodes.filter_map(|node| match &node.kind {
            NodeKind::Scope(scope) => match &**scope {
                ScopeKind::ForEach { items, max, .. } => Some((items.clone(), *max)),
                ScopeKind::Repeat { .. }
                | ScopeKind::Group { .. }
                | ScopeKind::Subtasks { .. }
                | ScopeKind::Relay { .. }
                | ScopeKind::Circle { .. }
                | ScopeKind::Settle(_) => None,
            },
            NodeKind::Agent(_) | NodeKind::Tool(_) | NodeKind::Gate(_) | NodeKind::Ask(_) => None,
        });
        Self { judge, lists: lists.collect(), random: Mutex::new(random) }
    }
}

impl Judge for Guess {
    fn eval(&self, expr: &Expr, names: &[(&str, Value)]) -> Result<Value, RuleError> {
        let known = self.judge.eval(expr, names);
        let list = self.lists.iter().find(|(items, _)| items == expr);
        match (known, list) {
            (Ok(value), None) => Ok(value),
            (Ok(value), Some(_)) if value.as_list().is_some() => Ok(value),
            (_, Some((_, max))) => {
                let count = 1 + self.random.lock().unwrap_or_else(PoisonError::into_inner).below(*max as usize);
                Ok(Value::list((0..count).map(|nth| Value::from(format!("item {nth}")))))
            }
            (Err(_), None) => Ok(Value::Bool(self.random.lock().unwrap_or_else(PoisonError::into_inner).chance(CONDITION))),
        }
    }

    fn judge(&self, team: TeamIx, kind: &RuleKind, facts: &Value) -> Result<Option<Verdict>, RuleError> {
        Ok(self.judge.judge(team, kind, facts).unwrap_or_default())
    }

    fn render(&self, template: &TextTemplate, names: &[(&str, Value)]) -> Result<Arc<str>, RuleError> {
        Ok(self.judge.render(template, names).unwrap_or_else(|_| template.source.clone()))
    }

    fn fill(&self, template: &TextTemplate, names: &[(&str, Value)]) -> Result<Value, RuleError> {
        Ok(self.judge.fill(template, names).unwrap_or_else(|_| Value::Text(template.source.clone())))
    }
}

/// Tools that take whatever they are called with: nobody knows what agents will say.
pub(super) struct Lenient(pub(super) Arc<dyn Toolbox>);

impl Toolbox for Lenient {
    fn spec(&self, tool: &str) -> Option<Arc<ToolSpec>> {
        self.0.spec(tool).or_else(|| {
            let parameters = Value::map([("type", Value::text("object"))]);
            let (name, description, effect) = (Arc::from(tool), Arc::from(""), EffectClass::Read);
            Some(Arc::new(ToolSpec { name, description, parameters, effect, untrusted: false }))
        })
    }

    fn check(&self, _: &str, _: &Value) -> Result<(), String> {
        Ok(())
    }

    fn effect(&self, tool: &str, args: &Value) -> EffectClass {
        if self.0.spec(tool).is_some() { self.0.effect(tool, args) } else { EffectClass::Read }
    }

    fn allows(&self, profile: &Profile, tool: &str, args: &Value) -> bool {
        self.0.allows(profile, tool, args)
    }

    fn allowed(&self, profile: &Profile) -> Vec<Arc<ToolSpec>> {
        self.0.allowed(profile)
    }

    fn fits(&self, _: &Value, _: &Value) -> Result<(), String> {
        Ok(())
    }
}
