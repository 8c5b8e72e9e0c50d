//! What does an expression of a team file come to, and which names does it read?

use std::{collections::BTreeMap, sync::Arc};

use rhai::{AST, ASTNode, Dynamic, Engine, Expr as Node, Position, Scope, Stmt};

use super::{
    check,
    convert::{to_dynamic, to_value},
    engine::{Tier, parser, run},
    error::{RuleDiagnostic, describe_parse, rule_error},
    source::within,
};
use crate::value::{Place, RuleError, Value};

/// Bytes of an expression.
const MAX_EXPR: usize = 64 << 10;

/// A name that an expression or a template reads and does not itself define.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreeName {
    /// The name.
    pub name: Arc<str>,
    /// Where it stands first.
    pub place: Place,
    /// The fields of it that are read, and where: of `triage.output.kind`, `output`.
    pub fields: Vec<(Arc<str>, Place)>,
    /// Whether it is read otherwise, too, so that any part of it may matter.
    pub whole: bool,
}

/// The names that the Rhai expression `source`, which stands at `place`, reads from its surroundings, sorted by name.
///
/// ```
/// use synod::{rule::free_names, value::Place};
/// let names = free_names("triage.output.items.filter(|x| x.cost < limit)", &Place::default()).unwrap();
/// let names: Vec<&str> = names.iter().map(|free| &*free.name).collect();
/// assert_eq!(names, ["limit", "triage"]);
/// ```
///
/// # Errors
/// It is not a Rhai expression, it calls a function that does not exist, or it assigns to what is not its own.
pub fn free_names(source: &str, place: &Place) -> Result<Vec<FreeName>, RuleError> {
    let ast = compile(source, place)?;
    let mut found: BTreeMap<String, FreeName> = BTreeMap::new();
    let mut assigned = None;
    // What a closure captures stands at the place of the closure, too, so that closures' bodies need not be read.
    ast.clone_statements_only().walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Stmt(Stmt::Assignment(assignment))) = path.last()
            && let Some((name, position)) = free_root(&assignment.1.lhs)
        {
            assigned.get_or_insert((name.to_owned(), at(place, position)));
        }
        let Some(ASTNode::Expr(node @ Node::Variable(..))) = path.last() else { return true };
        let Some((name, position)) = free_root(node) else { return true };
        let here = at(place, position);
        let free = found.entry(name.to_owned()).or_insert_with(|| FreeName {
            name: name.into(),
            place: here.clone(),
            fields: Vec::new(),
            whole: false,
        });
        if here < free.place {
            free.place = here;
        }
        let parent = path.len().checked_sub(2).map(|parent| &path[parent]);
        match parent {
            Some(ASTNode::Expr(Node::Dot(pair, ..))) if std::ptr::eq(&pair.lhs, *node) => {
                match check::first_property(&pair.rhs) {
                    Some((field, position)) => free.fields.push((field.into(), at(place, position))),
                    None => free.whole = true,
                }
            }
            _ => free.whole = true,
        }
        true
    });
    match assigned {
        Some((name, place)) => {
            let message = format!("it assigns to `{name}`, which an expression cannot change; `==` compares");
            Err(RuleError { message, place })
        }
        None => Ok(found.into_values().collect()),
    }
}

/// The variable of its surroundings that a chain such as `a.b[0]` starts with.
fn free_root(node: &Node) -> Option<(&str, Position)> {
    match node {
        Node::Variable(variable, _, position) if variable.0.is_none() && variable.2.is_empty() => {
            Some((variable.1.as_str(), *position))
        }
        Node::Dot(pair, ..) | Node::Index(pair, ..) => free_root(&pair.lhs),
        _ => None,
    }
}

/// The expression, ready to be evaluated.
pub(super) fn compile(source: &str, place: &Place) -> Result<AST, RuleError> {
    if source.len() > MAX_EXPR {
        return Err(RuleError { message: format!("an expression has at most {MAX_EXPR} bytes"), place: place.clone() });
    }
    let ast = parser().compile(source).map_err(|error| {
        let (message, help) = describe_parse(&error);
        let message = help.map_or(message.clone(), |help| format!("{message}; {help}"));
        RuleError { message, place: at(place, error.position()) }
    })?;
    if ast.statements().is_empty() {
        return Err(RuleError { message: "the expression is empty".to_owned(), place: place.clone() });
    }
    if let Some(function) = ast.iter_functions().find(|function| !function.name.starts_with("anon$")) {
        let message = format!("an expression cannot define the function `{}`; rules can, in a script", function.name);
        return Err(RuleError { message, place: place.clone() });
    }
    match check::unknown_calls(&ast, &[], |position| at(place, position)).into_iter().next() {
        Some(RuleDiagnostic { message, help, place, .. }) => {
            Err(RuleError { message: help.map_or(message.clone(), |help| format!("{message}; {help}")), place })
        }
        None => Ok(ast),
    }
}

/// The value of a compiled expression.
pub(super) fn eval(ast: &AST, place: &Place, names: &[(&str, Value)]) -> Result<Value, RuleError> {
    let result = run(Tier::Rule, names.iter().map(|(_, value)| value), None, |engine: &Engine| {
        let mut scope = Scope::new();
        for (name, value) in names {
            scope.push_dynamic(*name, to_dynamic(value).map_err(|error| format!("`{name}`: {error}"))?);
        }
        let result: Dynamic = engine.eval_ast_with_scope(&mut scope, ast)?;
        Ok(to_value(result).map_err(|error| error.to_string())?)
    });
    result.map_err(|error| rule_error(&error, |position| at(place, position)))
}

/// Where that position of an expression that stands at `place` is in its file.
fn at(place: &Place, position: Position) -> Place {
    match position.line() {
        Some(line) => within(place, line as u32, position.position().unwrap_or(1) as u32),
        None => place.clone(),
    }
}
