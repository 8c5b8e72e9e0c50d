//! What does a model say? Whatever a function makes of the request.

use std::sync::Arc;

use synod::{
    model::{Answer, Model},
    value::{Call, Failure, Reply, Request, Stop, Usage, Value},
};

struct Says<F>(F);

impl<F: Fn(&Request) -> Result<Reply, Failure> + Send + Sync> Model for Says<F> {
    fn reply<'a>(&'a self, request: &'a Request, _key: &'a str) -> Answer<'a> {
        Box::pin(std::future::ready((self.0)(request)))
    }
}

/// A model that says what `f` makes of the request.
pub fn say(f: impl Fn(&Request) -> Result<Reply, Failure> + Send + Sync + 'static) -> Arc<dyn Model> {
    Arc::new(Says(f))
}

/// A reply with calls, each a tool and its arguments; their ids are `c0`, `c1`, …
pub fn reply(calls: &[(&str, Value)]) -> Reply {
    let calls = calls.iter().enumerate();
    let calls: Vec<Call> =
        calls.map(|(n, (tool, args))| Call { id: format!("c{n}").into(), tool: (*tool).into(), args: args.clone() }).collect();
    let stop = if calls.is_empty() { Stop::End } else { Stop::Calls };
    Reply { calls, stop, ..Reply::default() }
}

/// A reply that ends an activation.
pub fn finish(value: Value) -> Reply {
    Reply { finish: Some(value), ..reply(&[]) }
}

/// The same reply, at a price.
pub fn reply_with(reply: Reply, usage: Usage) -> Reply {
    Reply { usage, ..reply }
}
