//! Within which walls does a script run? Two [`Tier`]s of a Rhai engine with hand-picked packages and limits on
//! operations, depth and sizes that are the same in debug and release builds.
//!
//! A script has no file, no terminal, no clock, no chance, no `eval`, no `import`, and gives the same answer every time.
//!
//! What a script builds may nest as deep as it is large, and dropping it takes stack in proportion. So a script first
//! runs where it is called, within sizes that any stack bears; one that outgrows these runs once more, on a stack of
//! its own, within the limits of its tier. Scripts are pure, so the second run can do no harm.

use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
};

use rhai::{
    Dynamic, Engine, EvalAltResult, Module, OptimizationLevel, Position, Shared,
    packages::{BasicArrayPackage, BasicMapPackage, BasicMathPackage, CorePackage, LogicPackage, MoreStringPackage, Package},
};

use super::helpers;
use crate::value::Value;

/// How deep expressions and blocks of a script may nest.
pub(super) const MAX_EXPR_DEPTH: usize = 64;
/// Operations of an expression or a rule.
pub(super) const RULE_OPERATIONS: u64 = 500_000;
/// Operations of a turn of a script agent.
pub(super) const AGENT_OPERATIONS: u64 = 20_000_000;
/// Items of lists, and entries of maps, that one value may hold, nested ones included.
pub(super) const MAX_ITEMS: usize = 100_000;
/// Bytes of text that one value may hold, nested ones included.
pub(super) const MAX_TEXT: usize = 32 << 20;
/// Calls within calls.
const MAX_CALLS: usize = 64;
/// Variables at a time.
const MAX_VARIABLES: usize = 1_000;
/// Functions of a script.
const MAX_FUNCTIONS: usize = 1_000;

/// The same where the script is called: together they need less than 1.5 MB of stack.
const INLINE_ITEMS: usize = 500;
const INLINE_TEXT: usize = 1 << 20;
const INLINE_CALLS: usize = 16;
/// Enough for two times [`MAX_ITEMS`] levels (200 bytes a list, 340 a map) and [`MAX_CALLS`] (52 KB each).
const OWN_STACK: usize = 128 << 20;

/// How often a running script looks whether it should stop, in operations.
const STOP_EVERY: u64 = 1 << 10;
/// What a script is ended with that somebody stopped.
pub(super) const STOPPED: &str = "stopped";
/// What a script is ended with that has used up its operations.
const EXHAUSTED: &str = "exhausted";

/// How much a script may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tier {
    /// An expression or a rule.
    Rule,
    /// A turn of a script agent.
    Agent,
}

static RULE_INLINE: LazyLock<Engine> = LazyLock::new(|| inline(RULE_OPERATIONS));
static RULE_FULL: LazyLock<Engine> = LazyLock::new(|| full(RULE_OPERATIONS));
static AGENT_INLINE: LazyLock<Engine> = LazyLock::new(|| inline(AGENT_OPERATIONS));
static AGENT_FULL: LazyLock<Engine> = LazyLock::new(|| full(AGENT_OPERATIONS));

thread_local! {
    /// What stops the script that runs on this thread.
    static STOP: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
    /// Operations of the script that runs on this thread. Rhai's own count forgets those of closures that a function such
    /// as `map` calls, so that nested ones would never end.
    static OPERATIONS: Cell<u64> = const { Cell::new(0) };
}

impl Tier {
    fn inline(self) -> &'static Engine {
        match self {
            Self::Rule => &RULE_INLINE,
            Self::Agent => &AGENT_INLINE,
        }
    }

    fn full(self) -> &'static Engine {
        match self {
            Self::Rule => &RULE_FULL,
            Self::Agent => &AGENT_FULL,
        }
    }
}

fn inline(operations: u64) -> Engine {
    let mut engine = sandbox(operations);
    engine.set_max_call_levels(INLINE_CALLS);
    engine.set_max_array_size(INLINE_ITEMS).set_max_map_size(INLINE_ITEMS).set_max_string_size(INLINE_TEXT);
    engine
}

fn full(operations: u64) -> Engine {
    let mut engine = sandbox(operations);
    engine.set_max_call_levels(MAX_CALLS);
    engine.set_max_array_size(MAX_ITEMS).set_max_map_size(MAX_ITEMS).set_max_string_size(MAX_TEXT);
    engine
}

/// The engine that compiles scripts; syntax does not depend on the tier.
pub(super) fn compiler() -> &'static Engine {
    &RULE_INLINE
}

/// The engine that compiles expressions, which read names that are bound only when they run.
pub(super) fn parser() -> &'static Engine {
    static PARSER: LazyLock<Engine> = LazyLock::new(|| {
        let mut engine = sandbox(RULE_OPERATIONS);
        engine.set_strict_variables(false);
        engine
    });
    &PARSER
}

/// Runs `job`, which must be pure, within the limits of `tier`; `given` is what it works on. A `stop` that becomes true
/// ends it with an error.
pub(super) fn run<'a, T: Send>(
    tier: Tier,
    given: impl IntoIterator<Item = &'a Value>,
    stop: Option<&Arc<AtomicBool>>,
    job: impl Fn(&Engine) -> Result<T, Box<EvalAltResult>> + Sync,
) -> Result<T, Box<EvalAltResult>> {
    let mut room = INLINE_ITEMS;
    if !given.into_iter().all(|value| fits(value, &mut room)) {
        return on_own_stack(|| caught(stop, || job(tier.full())));
    }
    match caught(stop, || job(tier.inline())) {
        Err(error) if outgrown(&error) => on_own_stack(|| caught(stop, || job(tier.full()))),
        result => result,
    }
}

/// Whether `value` has at most `room` parts; takes them off.
fn fits(value: &Value, room: &mut usize) -> bool {
    let mut take = |parts: usize| room.checked_sub(parts).map(|rest| *room = rest).is_some();
    match value {
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => true,
        Value::List(items) => take(items.len()) && items.iter().all(|item| fits(item, room)),
        Value::Map(map) => take(map.len()) && map.values().all(|item| fits(item, room)),
    }
}

/// Whether the error is one of those that the larger limits may lift.
fn outgrown(error: &EvalAltResult) -> bool {
    match error {
        EvalAltResult::ErrorInFunctionCall(_, _, inner, _) => outgrown(inner),
        EvalAltResult::ErrorStackOverflow(_) | EvalAltResult::ErrorDataTooLarge(..) => true,
        _ => false,
    }
}

/// The result of `job`, run on a thread with a large stack.
fn on_own_stack<T: Send>(job: impl FnOnce() -> Result<T, Box<EvalAltResult>> + Send) -> Result<T, Box<EvalAltResult>> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("script".to_owned()).stack_size(OWN_STACK).spawn_scoped(scope, job);
        match thread.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(internal("the script's thread ended")),
            Err(error) => Err(internal(&format!("no thread for a large script: {error}"))),
        }
    })
}

/// The result of `job`; a panic in the engine is an error of the script that provoked it.
fn caught<T>(
    stop: Option<&Arc<AtomicBool>>,
    job: impl FnOnce() -> Result<T, Box<EvalAltResult>>,
) -> Result<T, Box<EvalAltResult>> {
    let outer = (STOP.replace(stop.cloned()), OPERATIONS.replace(0));
    let result = catch_unwind(AssertUnwindSafe(job));
    STOP.set(outer.0);
    OPERATIONS.set(outer.1);
    result.unwrap_or_else(|_| Err(internal("the script engine failed")))
}

fn internal(message: &str) -> Box<EvalAltResult> {
    Box::new(EvalAltResult::ErrorRuntime(Dynamic::from(message.to_owned()), Position::NONE))
}

/// All functions that scripts may call, as one module: a call looks through every module that there is.
static LIBRARY: LazyLock<Shared<Module>> = LazyLock::new(|| {
    let mut library = Module::new();
    CorePackage::init(&mut library);
    LogicPackage::init(&mut library);
    BasicMathPackage::init(&mut library);
    BasicArrayPackage::init(&mut library);
    BasicMapPackage::init(&mut library);
    MoreStringPackage::init(&mut library);
    // It cannot be disabled as a symbol, and no limit on operations stops it.
    helpers::function("sleep", &mut library, |_: i64| no_sleep());
    helpers::function("sleep", &mut library, |_: f64| no_sleep());
    helpers::register(&mut library);
    // Packages list their functions in manifests, which are searched from end to end at each call.
    library.register_lazy_functions();
    library.build_index();
    library.into()
});

/// An engine without a way out.
fn sandbox(operations: u64) -> Engine {
    let mut engine = Engine::new_raw();
    engine.register_global_module(LIBRARY.clone());
    // The optimizer takes time exponential in the nesting of `switch`, and scripts this small gain nothing by it.
    engine.set_optimization_level(OptimizationLevel::None);
    engine.set_strict_variables(true);
    engine.set_fail_on_invalid_map_property(true);
    engine.set_max_expr_depths(MAX_EXPR_DEPTH, MAX_EXPR_DEPTH);
    engine.set_max_variables(MAX_VARIABLES).set_max_functions(MAX_FUNCTIONS).set_max_modules(0);
    for symbol in ["eval", "print", "debug", "import", "export"] {
        engine.disable_symbol(symbol);
    }
    engine.on_progress(move |_| {
        let done = OPERATIONS.get() + 1;
        OPERATIONS.set(done);
        if done > operations {
            return Some(EXHAUSTED.into());
        }
        if !done.is_multiple_of(STOP_EVERY) {
            return None;
        }
        let stopped = STOP.with_borrow(|stop| stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed)));
        stopped.then(|| STOPPED.into())
    });
    engine
}

fn no_sleep() -> Result<(), Box<EvalAltResult>> {
    Err("a script cannot sleep".into())
}
