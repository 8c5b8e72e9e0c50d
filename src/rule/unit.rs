//! What can be called? A [`Unit`] is the scripts of a team, or of an agent, compiled as one.
//!
//! A script is functions and constants; nothing in it runs when it is loaded. A function reads a constant as
//! `global::NAME`.

use std::sync::{Arc, atomic::AtomicBool};

use rhai::{AST, CallFnOptions, Dynamic, EvalAltResult, FnAccess, Position, Scope, Stmt};

use super::{
    convert::{to_dynamic, to_value},
    engine::{Tier, compiler, run},
    error::{RuleDiagnostic, describe_parse, rule_error},
    source::{Lines, Source},
};
use crate::value::{Place, RuleError, Value};

/// Bytes of a script file.
const MAX_SCRIPT: usize = 1 << 20;
/// Lines of all files of a unit; Rhai counts them with 16 bits.
const MAX_LINES: usize = 60_000;
/// How many lines a function's `{` may stand below its name.
const HEADER_LINES: usize = 20;

/// A function of a script.
#[derive(Clone, Debug)]
pub(super) struct Function {
    pub name: Arc<str>,
    pub params: Vec<String>,
    /// Whether it may be called from outside: not `private`.
    pub public: bool,
    /// Where its name stands.
    pub place: Place,
}

/// Scripts compiled as one.
#[derive(Debug)]
pub(super) struct Unit {
    pub ast: AST,
    /// In the order in which they stand.
    pub functions: Vec<Function>,
    lines: Lines,
    /// Whether the constants must be computed before a call.
    has_constants: bool,
}

impl Unit {
    /// Compiles the sources; gives all that is wrong with them.
    pub fn compile(sources: &[Source]) -> Result<Self, Vec<RuleDiagnostic>> {
        let mut wrong = Vec::new();
        let mut functions = 0;
        for source in sources {
            match compile_one(source) {
                Ok(ast) => functions += ast.iter_functions().count(),
                Err(diagnostic) => wrong.push(diagnostic),
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let (text, lines) = Lines::join(sources);
        let start = || Place { file: sources.first().map(|source| source.file.clone()).unwrap_or_default(), line: 0, column: 0 };
        if text.lines().count() > MAX_LINES {
            return Err(vec![RuleDiagnostic::error(
                "rule-size",
                format!("the scripts have more than {MAX_LINES} lines"),
                start(),
            )]);
        }
        let ast = compiler().compile(&text).map_err(|error| vec![syntax(&error, &text, |position| lines.place(position))])?;
        let mut unit = Self { functions: Vec::new(), has_constants: false, lines, ast };
        if unit.ast.iter_functions().count() != functions {
            return Err(vec![RuleDiagnostic::error(
                "rule-syntax",
                "a comment is not closed, and hides what follows it",
                start(),
            )]);
        }
        for statement in unit.ast.statements() {
            match statement {
                Stmt::Noop(_) => {}
                Stmt::Var(_, flags, _) if flags.contains(rhai::ASTFlags::CONSTANT) => unit.has_constants = true,
                other => wrong.push(
                    RuleDiagnostic::error(
                        "rule-top-level",
                        "only functions and constants may stand at the top of a script",
                        unit.place(other.position()),
                    )
                    .with_help(Some("put it into a function".to_owned())),
                ),
            }
        }
        unit.functions = functions_of(&unit.ast, &text, &unit.lines);
        if wrong.is_empty() { Ok(unit) } else { Err(wrong) }
    }

    /// The function of that name with so many parameters.
    pub fn function(&self, name: &str, params: usize) -> Option<&Function> {
        self.functions.iter().find(|function| &*function.name == name && function.params.len() == params)
    }

    /// Where that position is in the author's files.
    pub fn place(&self, position: Position) -> Place {
        self.lines.place(position)
    }

    /// What `function` returns.
    pub fn call(
        &self,
        tier: Tier,
        stop: Option<&Arc<AtomicBool>>,
        function: &Function,
        args: &[&Value],
    ) -> Result<Value, RuleError> {
        self.try_call(tier, stop, function, args).map_err(|error| self.error(&error, function))
    }

    /// The same with Rhai's own error.
    pub fn try_call(
        &self,
        tier: Tier,
        stop: Option<&Arc<AtomicBool>>,
        function: &Function,
        args: &[&Value],
    ) -> Result<Value, Box<EvalAltResult>> {
        run(tier, args.iter().copied(), stop, |engine| {
            let args =
                args.iter().map(|arg| to_dynamic(arg)).collect::<Result<Vec<Dynamic>, _>>().map_err(|error| error.to_string())?;
            let options = CallFnOptions::new().eval_ast(self.has_constants).rewind_scope(true);
            let result = match engine.call_fn_with_options(options, &mut Scope::new(), &self.ast, &function.name, args) {
                Err(error) if matches!(*error, EvalAltResult::Exit(..)) => match *error {
                    EvalAltResult::Exit(value, _) => value,
                    _ => Dynamic::UNIT,
                },
                result => result?,
            };
            Ok(to_value(result).map_err(|error| error.to_string())?)
        })
    }

    /// The error in the author's terms; one without a position is laid to the function.
    pub fn error(&self, error: &EvalAltResult, function: &Function) -> RuleError {
        rule_error(error, |position| if position.is_none() { function.place.clone() } else { self.place(position) })
    }
}

fn compile_one(source: &Source) -> Result<AST, RuleDiagnostic> {
    let place = |position: Position| Lines::of(source).place(position);
    if source.text.len() > MAX_SCRIPT {
        let message = format!("the script has {} bytes; at most {MAX_SCRIPT} are read", source.text.len());
        return Err(RuleDiagnostic::error("rule-size", message, place(Position::NONE)));
    }
    compiler().compile(&*source.text).map_err(|error| syntax(&error, &source.text, place))
}

fn syntax(error: &rhai::ParseError, text: &str, place: impl Fn(Position) -> Place) -> RuleDiagnostic {
    let (message, mut help) = describe_parse(error);
    if let rhai::ParseErrorType::VariableUndefined(name) = error.err_type()
        && text.contains(&format!("const {name}"))
    {
        help = Some(format!("a function reads a constant as `global::{name}`"));
    }
    RuleDiagnostic::error("rule-syntax", message, place(error.position())).with_help(help)
}

fn functions_of(ast: &AST, text: &str, lines: &Lines) -> Vec<Function> {
    let rows: Vec<&str> = text.lines().collect();
    let mut functions: Vec<(Position, Function)> = ast
        .iter_functions()
        .filter(|function| !function.name.starts_with("anon$"))
        .map(|function| {
            let body = ast
                .shared_lib()
                .get_script_fn(function.name, function.params.len())
                .map_or(Position::NONE, |found| found.body.start_position());
            let at = header(&rows, body, function.name);
            let params = function.params.iter().map(|&param| param.to_owned()).collect();
            let public = function.access == FnAccess::Public;
            (at, Function { name: Arc::from(function.name), params, public, place: lines.place(at) })
        })
        .collect();
    functions.sort_by_key(|(at, function)| (at.line(), at.position(), function.params.len()));
    functions.into_iter().map(|(_, function)| function).collect()
}

/// Where the name stands of the function whose `{` is at `body`.
fn header(rows: &[&str], body: Position, name: &str) -> Position {
    let Some(line) = body.line() else { return body };
    for row in (line.saturating_sub(HEADER_LINES).max(1)..=line).rev() {
        let text = rows.get(row - 1).copied().unwrap_or_default();
        for (at, _) in text.match_indices("fn ") {
            let rest = &text[at + 3..];
            let found = rest.trim_start();
            if found.strip_prefix(name).is_some_and(|after| after.trim_start().starts_with('(')) {
                let column = text[..at + 3 + rest.len() - found.len()].chars().count() + 1;
                return Position::new(u16::try_from(row).unwrap_or(u16::MAX), u16::try_from(column).unwrap_or(u16::MAX));
            }
        }
    }
    body
}
