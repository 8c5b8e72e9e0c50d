//! What does an agent without a model do next? [`ScriptAgent`]: a pure function `turn(view)`.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::AtomicBool},
};

use super::{
    check,
    engine::Tier,
    error::{RuleDiagnostic, Severity, nearest},
    source::Source,
    unit::Unit,
};
use crate::value::{Map, Place, RuleError, Value};

/// What `turn` returns.
pub const TURN_SHAPE: &str = "#{ calls: [#{ tool: text, args: map, name: text (optional) }], say: text (optional) } or #{ finish: value, say: text (optional) }";

/// A script that sits where a model would.
#[derive(Debug)]
pub struct ScriptAgent {
    unit: Unit,
}

/// What a script agent does next.
#[derive(Clone, Debug, PartialEq)]
pub enum ScriptTurn {
    /// It wants its calls answered.
    Calls {
        /// What it says beside them.
        say: Option<Arc<str>>,
        /// The calls, at least one.
        calls: Vec<ScriptCall>,
    },
    /// It is done.
    Finish {
        /// What it says beside its result.
        say: Option<Arc<str>>,
        /// The result.
        value: Value,
    },
}

/// A tool call of a script agent.
#[derive(Clone, Debug, PartialEq)]
pub struct ScriptCall {
    /// The tool.
    pub tool: Arc<str>,
    /// The arguments, a map.
    pub args: Value,
    /// What the script calls the result, unique in its turn. Written `name`, or `"as"` in quotes: Rhai reserves the bare word.
    pub name: Option<Arc<str>>,
}

impl ScriptAgent {
    /// Compiles an agent's script, the first of `sources`, with the files that it uses.
    ///
    /// # Errors
    /// All that is wrong: it does not compile, it calls a function that does not exist, it has no `turn(view)`.
    pub fn compile(sources: &[Source]) -> Result<Self, Vec<RuleDiagnostic>> {
        let unit = Unit::compile(sources)?;
        let mut wrong = check::unknown_calls(&unit.ast, &unit.functions, |position| unit.place(position));
        wrong.retain(|diagnostic| diagnostic.severity == Severity::Error);
        if unit.function("turn", 1).is_none_or(|function| !function.public) {
            let place = Place { file: sources.first().map(|source| source.file.clone()).unwrap_or_default(), line: 1, column: 1 };
            let help = format!("`fn turn(view)` returns {TURN_SHAPE}");
            wrong.push(
                RuleDiagnostic::error("script-turn", "an agent's script has a function `turn(view)`", place)
                    .with_help(Some(help)),
            );
        }
        if wrong.is_empty() { Ok(Self { unit }) } else { Err(wrong) }
    }

    /// What the agent does when it sees `view`. It runs for as long as it takes, at most 20 million operations: call it
    /// where that is no harm.
    ///
    /// # Errors
    /// The script failed, ran into a limit, or returned something else than a turn.
    pub fn turn(&self, view: &Value) -> Result<ScriptTurn, RuleError> {
        self.turn_until(view, &Arc::default())
    }

    /// The same; ends soon with an error once `stop` is true.
    ///
    /// # Errors
    /// As [`ScriptAgent::turn`].
    pub fn turn_until(&self, view: &Value, stop: &Arc<AtomicBool>) -> Result<ScriptTurn, RuleError> {
        let function = self.unit.function("turn", 1).expect("a compiled agent has a turn: compile() refuses one without");
        let said = self.unit.call(Tier::Agent, Some(stop), function, &[view])?;
        turn_of(&said).map_err(|message| RuleError {
            message: format!("{message}; `turn` returns {TURN_SHAPE}"),
            place: function.place.clone(),
        })
    }
}

fn turn_of(said: &Value) -> Result<ScriptTurn, String> {
    let map = said.as_map().ok_or_else(|| format!("`turn` returned {}", said.a_kind()))?;
    known_keys(map, &["calls", "finish", "say"])?;
    let say = text(map, "say")?;
    match (map.get("calls"), map.get("finish")) {
        (Some(calls), None) => {
            let calls = calls.as_list().ok_or_else(|| format!("`calls` is {}", calls.a_kind()))?;
            if calls.is_empty() {
                return Err("`calls` is empty".to_owned());
            }
            let calls =
                calls.iter().enumerate().map(|(index, call)| call_of(call).map_err(|wrong| format!("`calls[{index}]`: {wrong}")));
            let calls = calls.collect::<Result<Vec<_>, _>>()?;
            let mut names = BTreeSet::new();
            match calls.iter().filter_map(|call| call.name.as_ref()).find(|name| !names.insert(*name)) {
                Some(twice) => Err(format!("two calls have the name \"{twice}\"")),
                None => Ok(ScriptTurn::Calls { say, calls }),
            }
        }
        (None, Some(value)) => Ok(ScriptTurn::Finish { say, value: value.clone() }),
        (Some(_), Some(_)) => Err("`turn` returned both `calls` and `finish`".to_owned()),
        (None, None) => Err("`turn` returned neither `calls` nor `finish`".to_owned()),
    }
}

fn call_of(said: &Value) -> Result<ScriptCall, String> {
    let map = said.as_map().ok_or_else(|| format!("it is {}", said.a_kind()))?;
    known_keys(map, &["tool", "args", "name", "as"])?;
    let args = match map.get("args") {
        None | Some(Value::Null) => Value::Map(Arc::default()),
        Some(args @ Value::Map(_)) => args.clone(),
        Some(other) => return Err(format!("`args` is {}", other.a_kind())),
    };
    let tool = text(map, "tool")?.filter(|tool| !tool.is_empty()).ok_or("`tool` is missing")?;
    let name = match (text(map, "name")?, text(map, "as")?) {
        (Some(_), Some(_)) => return Err("it has both a `name` and an `as`".to_owned()),
        (name, alias) => name.or(alias),
    };
    Ok(ScriptCall { tool, args, name })
}

fn text(map: &Map, key: &str) -> Result<Option<Arc<str>>, String> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text.clone())),
        Some(other) => Err(format!("`{key}` is {}", other.a_kind())),
    }
}

fn known_keys(map: &Map, known: &[&str]) -> Result<(), String> {
    match map.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => {
            let hint = nearest(key, known.iter().copied()).map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
            Err(format!("there is no `{key}`{hint}"))
        }
        None => Ok(()),
    }
}
