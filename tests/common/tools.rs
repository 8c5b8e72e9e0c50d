//! Which tools do tests need? Those that say, count, wait, fail and get stuck.

use std::{future::Future, pin::Pin, sync::Arc};

use synod::{
    tool::{CallContext, Tool, Work},
    value::{EffectClass, Failure, FailureKind, ToolSpec, Value},
};

use super::Board;

type Act = fn(Board, CallContext, Value) -> Pin<Box<dyn Future<Output = Result<Value, Failure>> + Send>>;

/// A tool that writes on the board when a call starts, ends and is broken off.
struct Watched {
    spec: ToolSpec,
    board: Board,
    act: Act,
}

/// Says that a call was broken off, unless it ended.
struct Leaving {
    board: Board,
    node: Arc<str>,
    word: &'static str,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.board.change(|seen| seen.log.push(format!("{} {}", self.word, self.node)));
    }
}

impl Tool for Watched {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn call<'a>(&'a self, call: &'a CallContext, args: &'a Value) -> Work<'a> {
        Box::pin(async move {
            self.board.change(|seen| {
                seen.log.push(format!("start {}", call.node));
                seen.keys.entry(call.node.to_string()).or_default().push(call.key.to_string());
                *seen.calls.entry(call.node.to_string()).or_default() += 1;
                seen.facts.insert(format!("called {}", call.node));
            });
            let mut leaving = Leaving { board: self.board.clone(), node: call.node.clone(), word: "stop" };
            tokio::select! {
                result = (self.act)(self.board.clone(), call.clone(), args.clone()) => {
                    leaving.word = "end";
                    result
                }
                stopped = call.stop.stopped() => Err(stopped),
            }
        })
    }
}

/// The tools of the tests:
/// - `say { value }`, `put { value }` and `pay { value }` return the value; repeating them would do nothing, nothing more, or harm.
/// - `count` returns how often the node has called a tool, itself included.
/// - `hold { until, value }` returns the value once a fact is on the board.
/// - `raise { fact, value }` puts a fact on the board.
/// - `meet { of, at }` returns once so many calls were at one place at once.
/// - `fail { times, kind, message, status, then }` fails so often (by default always) at a node, then returns `then`.
/// - `stuck { times }` never ends so often (by default always) at a node, then returns how often it was called there.
pub fn all(board: &Board) -> Vec<Arc<dyn Tool>> {
    let tools: [(&str, EffectClass, Act); 9] = [
        ("say", EffectClass::Read, |_, _, args| Box::pin(async move { Ok(value(&args)) })),
        ("put", EffectClass::Idempotent, |_, _, args| Box::pin(async move { Ok(value(&args)) })),
        ("pay", EffectClass::Irreversible, |_, _, args| Box::pin(async move { Ok(value(&args)) })),
        ("count", EffectClass::Read, |board, call, _| {
            Box::pin(async move { Ok(Value::from(i64::from(board.calls(&call.node)))) })
        }),
        ("hold", EffectClass::Read, |board, _, args| {
            Box::pin(async move {
                let fact = text(&args, "until");
                board.until(|seen| seen.facts.contains(&fact)).await;
                Ok(value(&args))
            })
        }),
        ("raise", EffectClass::Read, |board, _, args| {
            Box::pin(async move {
                board.raise(text(&args, "fact"));
                Ok(value(&args))
            })
        }),
        ("meet", EffectClass::Read, |board, _, args| Box::pin(meet(board, args))),
        ("fail", EffectClass::Read, |board, call, args| Box::pin(async move { fail(&board, &call, &args) })),
        ("stuck", EffectClass::Read, |board, call, args| {
            Box::pin(async move {
                let calls = board.calls(&call.node);
                if calls <= number(&args, "times") {
                    std::future::pending::<()>().await;
                }
                Ok(Value::from(i64::from(calls)))
            })
        }),
    ];
    tools.into_iter().map(|(name, effect, act)| watched(name, effect, board, act)).collect()
}

fn watched(name: &str, effect: EffectClass, board: &Board, act: Act) -> Arc<dyn Tool> {
    let parameters = Value::map([("type", Value::text("object"))]);
    let spec = ToolSpec { name: name.into(), description: "a tool of the tests".into(), parameters, effect, untrusted: false };
    Arc::new(Watched { spec, board: board.clone(), act })
}

async fn meet(board: Board, args: Value) -> Result<Value, Failure> {
    let place = args.get("at").map_or("anywhere".to_owned(), Value::to_string);
    let of = number(&args, "of");
    board.change(|seen| {
        let (now, most) = seen.meeting.entry(place.clone()).or_default();
        *now += 1;
        *most = (*most).max(*now);
    });
    board.until(|seen| seen.meeting.get(&place).is_some_and(|(_, most)| *most >= of)).await;
    board.change(|seen| seen.meeting.get_mut(&place).expect("it was entered above").0 -= 1);
    Ok(value(&args))
}

fn fail(board: &Board, call: &CallContext, args: &Value) -> Result<Value, Failure> {
    if board.calls(&call.node) > number(args, "times") {
        return Ok(args.get("then").cloned().unwrap_or_default());
    }
    let kind = args.get("kind").map_or(FailureKind::Tool, |kind| kind.to().expect("a kind of failure"));
    let message = args.get("message").map_or("it broke".to_owned(), Value::to_string);
    Err(Failure { status: args.get("status").and_then(Value::as_int), ..Failure::new(kind, message) })
}

fn value(args: &Value) -> Value {
    args.get("value").cloned().unwrap_or_default()
}

fn text(args: &Value, key: &str) -> String {
    args.get(key).map_or_else(String::new, Value::to_string)
}

/// A number; without one, as large as they come.
fn number(args: &Value, key: &str) -> u32 {
    args.get(key).and_then(Value::as_int).map_or(u32::MAX, |n| u32::try_from(n).expect("a small number"))
}
