//! What is wrong with a script before it runs? Calls of functions that do not exist, misspelt facts, and what a trial on
//! sample facts shows.
//!
//! Some things are wrong whatever the facts: an unknown function, a field that no facts have, a verdict of the wrong
//! shape, a loop without end. These are errors. What may come of the facts being samples only (an index, an input that
//! the sample does not have, a `throw`) is a warning.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use rhai::{AST, ASTNode, EvalAltResult, Expr as Node, FnCallExpr, Position, Stmt};

use super::{
    book::TeamScripts,
    engine::{Tier, compiler},
    error::{DATA_RACE, RuleDiagnostic, count, describe, innermost, nearest},
    kind::{self, KINDS, Wrong},
    unit::{Function, Unit},
};
use crate::value::{Place, RuleKind, Value};

/// Functions that are part of the language.
const LANGUAGE: [&str; 8] = ["Fn", "call", "curry", "type_of", "is_shared", "is_def_fn", "is_def_var", "this"];
/// Field names shorter than this are too alike for a guess.
const GUESSED: usize = 4;

/// Names and numbers of parameters of all functions that every script may call.
static NATIVE: LazyLock<BTreeSet<(String, usize)>> = LazyLock::new(|| {
    compiler()
        .collect_fn_metadata(None, |info| Some((info.metadata.name.to_string(), info.metadata.num_params)), true)
        .into_iter()
        .collect()
});

/// All that is wrong with the rules of a team.
pub(super) fn check(unit: &Unit, team: &TeamScripts) -> Vec<RuleDiagnostic> {
    let mut found = unknown_calls(&unit.ast, &unit.functions, |position| unit.place(position));
    found.extend(self_captures(&unit.ast, |position| unit.place(position)));
    for kind in &KINDS {
        match unit.functions.iter().find(|function| &*function.name == kind.function()) {
            Some(function) if function.params.len() != 1 => found.push(
                RuleDiagnostic::error(
                    "rule-parameters",
                    format!("`{}` takes {}", function.name, count(function.params.len(), "parameter")),
                    function.place.clone(),
                )
                .with_help(Some("a rule takes one: the facts".to_owned())),
            ),
            Some(function) => {
                let unknown = unknown_facts(unit, function, kind);
                // What reads an unknown fact fails in the trial, too, and would be told twice.
                if found.is_empty() && unknown.is_empty() {
                    found.extend(trial(unit, function, kind, team));
                }
                found.extend(unknown);
            }
            None => {}
        }
    }
    found.extend(near_misses(unit));
    found.sort_by(|a, b| a.place.cmp(&b.place));
    let mut seen = BTreeSet::new();
    found.retain(|diagnostic| seen.insert((diagnostic.place.clone(), diagnostic.message.clone())));
    found
}

/// Calls of functions that neither the script nor the engine has.
pub(super) fn unknown_calls(ast: &AST, functions: &[Function], place: impl Fn(Position) -> Place) -> Vec<RuleDiagnostic> {
    let mut found = Vec::new();
    let held = held_names(ast);
    ast.walk(&mut |path: &[ASTNode]| {
        let (call, position, method) = match path.last() {
            Some(ASTNode::Expr(Node::FnCall(call, position)) | ASTNode::Stmt(Stmt::FnCall(call, position))) => {
                (call, *position, false)
            }
            Some(ASTNode::Expr(Node::MethodCall(call, position))) => (call, *position, true),
            _ => return true,
        };
        if is_unknown(call, method, functions) && !(method && held.contains(call.name.as_str())) {
            found.push(unknown(call, method, functions, place(position)));
        }
        true
    });
    // Functions are walked in the order of their hashes.
    found.sort_by(|a, b| a.place.cmp(&b.place));
    found
}

fn is_unknown(call: &FnCallExpr, method: bool, functions: &[Function]) -> bool {
    let arity = call.args.len() + usize::from(method);
    let own = |function: &Function| {
        // A method call of a script's function binds `this`, so that its first parameter is the first argument.
        *function.name == *call.name && (function.params.len() == arity || method && function.params.len() + 1 == arity)
    };
    call.namespace.is_empty()
        && call.op_token.is_none()
        && !LANGUAGE.contains(&call.name.as_str())
        && !call.name.starts_with("anon$")
        && !NATIVE.contains(&(call.name.to_string(), arity))
        && !functions.iter().any(own)
}

fn unknown(call: &FnCallExpr, method: bool, functions: &[Function], place: Place) -> RuleDiagnostic {
    let name = call.name.as_str();
    let given = call.args.len();
    let mut arities: BTreeSet<usize> =
        NATIVE.iter().filter(|(known, _)| known == name).map(|(_, params)| params.saturating_sub(usize::from(method))).collect();
    arities.extend(functions.iter().filter(|function| &*function.name == name).map(|function| function.params.len()));
    if !arities.is_empty() {
        let takes: Vec<String> = arities.iter().map(usize::to_string).collect();
        let message = format!("`{name}` is called with {}", count(given, "argument"));
        return RuleDiagnostic::error("rule-unknown-function", message, place)
            .with_help(Some(format!("it takes {}", takes.join(" or "))));
    }
    let help = match name {
        "sleep" | "timestamp" | "rand" => Some("a script has no clock and no chance".to_owned()),
        _ => {
            let known = NATIVE.iter().map(|(known, _)| known.as_str()).chain(functions.iter().map(|function| &*function.name));
            nearest(name, known).map(|near| format!("did you mean `{near}`?"))
        }
    };
    RuleDiagnostic::error("rule-unknown-function", format!("no function `{name}`"), place).with_help(help)
}

/// Methods of a variable, or of a part of it, that are given a closure which reads the variable: Rhai refuses these.
fn self_captures(ast: &AST, place: impl Fn(Position) -> Place) -> Vec<RuleDiagnostic> {
    let mut found = Vec::new();
    ast.walk(&mut |path: &[ASTNode]| {
        // A closure that captures is a block which first shares the variables.
        let [
            chain @ ..,
            ASTNode::Expr(Node::MethodCall(_, position)),
            ASTNode::Expr(Node::Stmt(_)),
            ASTNode::Stmt(Stmt::Share(shared)),
        ] = path
        else {
            return true;
        };
        let links = chain.iter().rev().map_while(|node| match node {
            ASTNode::Expr(Node::Dot(pair, ..) | Node::Index(pair, ..)) => Some(&pair.lhs),
            _ => None,
        });
        for (name, _) in shared.iter() {
            if links.clone().any(|start| is_variable(start, name.name.as_str())) {
                found.push(RuleDiagnostic::error("rule-capture", format!("`{}`: {DATA_RACE}", name.name), place(*position)));
            }
        }
        true
    });
    found
}

/// Names under which a map may hold a function: keys of map literals and assigned properties.
fn held_names(ast: &AST) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    ast.walk(&mut |path: &[ASTNode]| {
        match path.last() {
            Some(ASTNode::Expr(Node::Map(map, _))) => names.extend(map.0.iter().map(|(key, _)| key.name.to_string())),
            Some(ASTNode::Stmt(Stmt::Assignment(assignment))) => names.extend(last_property(&assignment.1.lhs)),
            _ => {}
        }
        true
    });
    names
}

/// `c` of `a.b.c`.
fn last_property(node: &Node) -> Option<String> {
    match node {
        Node::Property(property, _) => Some(property.2.to_string()),
        Node::Dot(pair, ..) | Node::Index(pair, ..) => last_property(&pair.rhs),
        _ => None,
    }
}

/// Reads of facts that rules of that kind are never given.
fn unknown_facts(unit: &Unit, function: &Function, kind: &RuleKind) -> Vec<RuleDiagnostic> {
    let sample = kind::sample(kind);
    let (Some(known), Some(param)) = (sample.as_map(), function.params.first()) else { return Vec::new() };
    // Not `clone_functions_only_filtered`: Rhai 1.27 keeps every function there.
    let mut body = unit.ast.clone_functions_only();
    body.retain_functions(|_, _, name, params| name == &*function.name && params == 1);
    let mut found = Vec::new();
    let mut rebound = false;
    body.walk(&mut |path: &[ASTNode]| {
        match path.last() {
            Some(ASTNode::Stmt(statement)) if binds(statement, param) => rebound = true,
            Some(ASTNode::Expr(Node::Dot(pair, ..))) if is_variable(&pair.lhs, param) => {
                if let Some((name, position)) = first_property(&pair.rhs)
                    && !known.contains_key(&name)
                {
                    let help = match nearest(&name, known.keys().map(String::as_str)) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("there are {}", known.keys().cloned().collect::<Vec<_>>().join(", ")),
                    };
                    let message = format!("the facts of `{}` have no `{name}`", function.name);
                    found.push(RuleDiagnostic::error("rule-unknown-fact", message, unit.place(position)).with_help(Some(help)));
                }
            }
            _ => {}
        }
        true
    });
    if rebound { Vec::new() } else { found }
}

fn is_variable(node: &Node, wanted: &str) -> bool {
    matches!(node, Node::Variable(variable, ..) if variable.1.as_str() == wanted)
}

/// Whether the statement gives the name another meaning, or writes to the variable or to a part of it.
fn binds(statement: &Stmt, wanted: &str) -> bool {
    match statement {
        Stmt::Var(var, ..) => var.0.name.as_str() == wanted,
        Stmt::For(parts, _) => parts.0.name.as_str() == wanted || parts.1.as_ref().is_some_and(|n| n.name.as_str() == wanted),
        Stmt::TryCatch(parts, _) => is_variable(&parts.expr, wanted),
        Stmt::Assignment(assignment) => match &assignment.1.lhs {
            Node::Dot(pair, ..) | Node::Index(pair, ..) => is_variable(&pair.lhs, wanted),
            other => is_variable(other, wanted),
        },
        _ => false,
    }
}

/// `b` of `.b.c[0]`.
pub(super) fn first_property(node: &Node) -> Option<(String, Position)> {
    match node {
        Node::Property(property, position) => Some((property.2.to_string(), *position)),
        Node::Dot(pair, ..) | Node::Index(pair, ..) => first_property(&pair.lhs),
        _ => None,
    }
}

/// What running the rule on sample facts shows.
fn trial(unit: &Unit, function: &Function, kind: &RuleKind, team: &TeamScripts) -> Vec<RuleDiagnostic> {
    let mut found = Vec::new();
    for facts in kind::samples(kind) {
        let facts = team.in_terms_of(facts);
        match unit.try_call(Tier::Rule, None, function, &[&facts]) {
            Err(error) => found.push(failed(unit, function, &error, &facts)),
            Ok(said) => match kind::verdict(kind, said, &facts) {
                Ok(_) => {}
                Err(Wrong::Shape(message)) => {
                    found.push(RuleDiagnostic::error(
                        "rule-verdict",
                        format!("`{}` on sample facts: {message}", function.name),
                        function.place.clone(),
                    ));
                }
                Err(Wrong::Facts(message)) => {
                    found.push(RuleDiagnostic::warning(
                        "rule-trial",
                        format!("`{}` on sample facts: {message}", function.name),
                        function.place.clone(),
                    ));
                }
            },
        }
    }
    found
}

fn failed(unit: &Unit, function: &Function, error: &EvalAltResult, facts: &Value) -> RuleDiagnostic {
    let told = unit.error(error, function);
    let message = format!("`{}` on sample facts: {}", function.name, told.message);
    match innermost(error).0 {
        EvalAltResult::ErrorTerminated(..) | EvalAltResult::ErrorStackOverflow(_) | EvalAltResult::ErrorDataTooLarge(..) => {
            RuleDiagnostic::error("rule-endless", message, told.place)
        }
        EvalAltResult::ErrorVariableNotFound(..) => RuleDiagnostic::error("rule-unknown-variable", message, told.place),
        EvalAltResult::ErrorPropertyNotFound(name, _) => {
            let mut known = BTreeSet::new();
            keys(facts, &mut known);
            let near = if name.len() < GUESSED { None } else { nearest(name, known.iter().map(String::as_str)) };
            match near {
                Some(near) if !known.contains(name) => RuleDiagnostic::error("rule-unknown-fact", message, told.place)
                    .with_help(Some(format!("did you mean `{near}`?"))),
                _ => RuleDiagnostic::warning("rule-trial", message, told.place),
            }
        }
        other => {
            RuleDiagnostic::warning("rule-trial", format!("`{}` on sample facts: {}", function.name, describe(other)), told.place)
        }
    }
}

/// All keys of the engine's own in the facts; what agents and teams name as they like is left out.
fn keys(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Map(map) => {
            for (key, value) in &**map {
                found.insert(key.clone());
                if !["inputs", "input", "args", "output", "value", "variables", "brief", "proposal"].contains(&key.as_str()) {
                    keys(value, found);
                }
            }
        }
        Value::List(items) => items.iter().for_each(|item| keys(item, found)),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {}
    }
}

/// Functions that nobody calls and whose name is almost that of a rule.
fn near_misses(unit: &Unit) -> Vec<RuleDiagnostic> {
    let mut called = BTreeSet::new();
    unit.ast.walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Expr(Node::FnCall(call, _) | Node::MethodCall(call, _)) | ASTNode::Stmt(Stmt::FnCall(call, _))) =
            path.last()
        {
            called.insert(call.name.to_string());
        }
        true
    });
    let candidates = unit
        .functions
        .iter()
        .filter(|function| function.public && function.params.len() == 1 && !called.contains(&*function.name));
    candidates
        .filter_map(|function| {
            let near = nearest(&function.name, KINDS.iter().map(RuleKind::function))?;
            let message = format!("`{}` is no rule that the engine asks", function.name);
            Some(
                RuleDiagnostic::warning("rule-name", message, function.place.clone())
                    .with_help(Some(format!("did you mean `{near}`?"))),
            )
        })
        .collect()
}
