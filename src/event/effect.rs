//! What must be done in the world, and what does the world say?

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::value::{
    AskId, CallIx, CallQuestion, EffectClass, Epoch, Failure, FormAnswer, NodeIx, Reply, Request, SessionId, Timestamp, Turn,
    Value,
};

/// Which model or tool call of a session: stable over retries of the engine, so that it can serve as an idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// The node.
    pub node: NodeIx,
    /// Its attempt, from 1.
    pub attempt: u32,
    /// The turn; 0 for a tool node.
    pub turn: Turn,
    /// The call of the turn; `None` for the model call itself and for a tool node.
    pub call: Option<CallIx>,
}

/// What the engine must do. Everything in it can be serialized, so that another host could do it elsewhere.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Ask a model.
    Model(ModelCall),
    /// Call a tool.
    Tool(ToolCall),
    /// Stop a call that is in flight; what still comes of it is late.
    Cancel(Key),
    /// Show a question to a person.
    Ask(AskId),
    /// Tell a person that a question waits: at least once, under the same key.
    Notify(Notice),
    /// Pass a person's answer to a call in flight that asked for it.
    Tell {
        /// Which call.
        key: Key,
        /// Which of its questions, from 0.
        nth: u32,
        /// The answer.
        answer: FormAnswer,
    },
}

/// Word of a question to whoever it waits for.
#[derive(Clone, Debug, Serialize)]
pub struct Notice {
    /// Of which question.
    pub ask: AskId,
    /// To which of its chain, from 0.
    pub nth: u32,
    /// `session/question/nth`: the same whenever it is told again.
    pub key: Arc<str>,
    /// How: a command line or an address, see [`crate::value::Notify`].
    pub target: Arc<str>,
    /// What is told.
    pub payload: Value,
}

/// A call of a model.
#[derive(Clone, Debug, Serialize)]
pub struct ModelCall {
    /// Which.
    pub key: Key,
    /// What is asked.
    pub request: Arc<Request>,
    /// Whether it costs nothing and may leave before its intent is durable.
    pub free: bool,
}

/// A call of a tool.
#[derive(Clone, Debug, Serialize)]
pub struct ToolCall {
    /// Which.
    pub key: Key,
    /// For whom; `None` for a tool node.
    pub role: Option<crate::value::Role>,
    /// The path of the node, for the record.
    pub path: Arc<str>,
    /// The tool.
    pub tool: Arc<str>,
    /// Its arguments, which fit its schema.
    pub args: Value,
    /// What repeating it would do. `Read` leaves at once; the others wait until their intent is durable.
    pub effect: EffectClass,
    /// The longest it may take.
    pub timeout: Option<Duration>,
    /// The session under whose key it is made, where an earlier one made it: repeating it there does nothing more.
    pub under: Option<SessionId>,
}

impl ToolCall {
    /// The name of the call in its session, `node/turn/call` and a digest of what is called with what: a repetition of the same
    /// call has it too, in whichever attempt, and another call in its place has not.
    pub fn name(&self) -> String {
        let mut what = format!("{} ", self.tool).into_bytes();
        serde_json::to_writer(&mut what, &self.args).expect("a value has text for keys, and a vector takes all that is written");
        let what = blake3::hash(&what).to_hex();
        let call = self.key.call.map_or_else(String::new, |call| format!("/{call}"));
        format!("{}/{}{call}/{}", self.path, self.key.turn, &what[..16])
    }
}

/// What the world says to a session.
#[derive(Clone, Debug)]
pub enum Input {
    /// A model replied or failed.
    Replied {
        /// To which call.
        key: Key,
        /// What.
        reply: Result<Arc<Reply>, Failure>,
    },
    /// A tool returned or failed.
    Returned {
        /// From which call.
        key: Key,
        /// What.
        result: Result<Value, Failure>,
    },
    /// A tool asks a person something while its call is in flight.
    Elicited {
        /// In which call.
        key: Key,
        /// What.
        question: Arc<CallQuestion>,
    },
    /// A person answered.
    Answered {
        /// Which question.
        ask: AskId,
        /// What.
        value: Value,
        /// Who.
        by: Arc<str>,
        /// When it was given, which may be before it is read; the question's deadline is measured by this.
        at: Timestamp,
    },
    /// A person was told that a question waits, or could not be.
    Notified {
        /// Of which question.
        ask: AskId,
        /// Which of its chain, from 0.
        nth: u32,
        /// Why not.
        result: Result<(), Failure>,
    },
    /// Somebody wants the session to end.
    Cancel {
        /// Who.
        by: Arc<str>,
        /// Why.
        reason: Arc<str>,
    },
    /// A new owner takes over. Answers that were given meanwhile follow, then a [`Input::Tick`] for what is overdue.
    Resume {
        /// Its claim.
        epoch: Epoch,
    },
    /// The next timer is due.
    Tick,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The attempt was part of it: a call that was tried again had another key, and happened twice.
    #[test]
    fn a_call_keeps_its_name_when_it_is_repeated_and_another_call_in_its_place_has_another() {
        let call = |node, attempt, call: Option<u32>, args: &str| ToolCall {
            key: Key { node: NodeIx(node), attempt, turn: Turn(0), call: call.map(CallIx) },
            role: None,
            path: "all/1/a".into(),
            tool: "put".into(),
            args: Value::text(args),
            effect: EffectClass::Idempotent,
            timeout: None,
            under: None,
        };
        let name = call(3, 1, None, "x").name();
        assert!(name.starts_with("all/1/a/0/"), "{name}");
        assert_eq!(call(3, 2, None, "x").name(), name, "in the next attempt");
        assert_eq!(call(9, 1, None, "x").name(), name, "in the next attempt of the scope around it");
        assert_ne!(call(3, 2, None, "y").name(), name);
        assert_ne!(call(3, 1, Some(0), "x").name(), call(3, 1, Some(1), "x").name());
    }

    /// Sessions go on under a later version: what a service was told by one must be known to the next.
    #[test]
    fn the_digest_of_a_call_is_that_of_its_tool_and_of_its_arguments_as_compact_json() {
        let parts = [Value::Int(-1), Value::Float(2.5), Value::Null, Value::Bool(true), Value::text("\"ä\"\n")];
        let call = ToolCall {
            key: Key { node: NodeIx(0), attempt: 1, turn: Turn(0), call: None },
            role: None,
            path: "a".into(),
            tool: "put".into(),
            args: Value::map([("b", Value::list(parts)), ("a", Value::map::<&str>([]))]),
            effect: EffectClass::Idempotent,
            timeout: None,
            under: None,
        };
        let what = blake3::hash(r#"put {"a":{},"b":[-1,2.5,null,true,"\"ä\"\n"]}"#.as_bytes()).to_hex();
        assert_eq!(call.name(), format!("a/0/{}", &what[..16]));
    }
}
