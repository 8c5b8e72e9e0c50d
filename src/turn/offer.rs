//! Which collaboration tools does an agent have? [`collaboration_tools`], by what its team lets it do ([`Offers`]).

use std::sync::Arc;

use super::{EVERYBODY, subtasks_schema};
use crate::value::{EffectClass, ToolSpec, Value};

/// The names of the collaboration tools; no other tool may have one of them.
pub const COLLABORATION: &[&str] = &[
    "broadcast_finding",
    "retract_finding",
    "send_message",
    "ask_agent",
    "read_context",
    "set_variable",
    "delegate",
    "escalate",
    "handoff",
    "acknowledge",
    "finish",
];

/// What an agent may do among its colleagues, beside what everybody may.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offers {
    /// Whom it may write to.
    pub writes_to: Vec<Arc<str>>,
    /// Whom it may ask.
    pub asks: Vec<Arc<str>>,
    /// Whom it may give sub-tasks to.
    pub delegates: Vec<Arc<str>>,
    /// Whom it may hand its work over to.
    pub hands_to: Vec<Arc<str>>,
    /// What it must acknowledge first.
    pub acknowledges: Vec<Arc<str>>,
}

/// The collaboration tools that an agent has, as a model is told of them.
pub fn collaboration_tools(offers: &Offers) -> Vec<Arc<ToolSpec>> {
    let text = |what: &str| Value::map([("type", Value::text("string")), ("description", Value::text(what))]);
    let list_of = |items: Value| Value::map([("type", Value::text("array")), ("items", items)]);
    let string = || Value::map([("type", Value::text("string"))]);
    let any = |what: &str| Value::map([("description", Value::text(what))]);
    let object = |properties: Value, required: &[&str]| {
        Value::map([
            ("type", Value::text("object")),
            ("properties", properties),
            ("required", Value::list(required.iter().map(Value::text))),
            ("additionalProperties", Value::Bool(false)),
        ])
    };
    let evidence = object(
        Value::map([
            ("source", text("a file, a tool, a document")),
            ("locator", text("a line, a series, a time, a row")),
            ("excerpt", text("the words or figures themselves")),
        ]),
        &["source"],
    );
    let whole = |what: &str| {
        Value::map([("type", Value::text("integer")), ("minimum", Value::Int(0)), ("description", Value::text(what))])
    };
    let number = || Value::map([("type", Value::text("number")), ("minimum", Value::Int(0)), ("maximum", Value::Int(1))]);
    let one_of = |names: &[&str]| Value::map([("enum", Value::list(names.iter().map(|name| Value::text(*name))))]);
    let roles = |roles: &[Arc<str>], all: &[&str]| {
        one_of(&roles.iter().map(|role| &**role).chain(all.iter().copied()).collect::<Vec<_>>())
    };
    let mut tools = vec![
        (
            "broadcast_finding",
            "Tell the team what you found. Findings on one topic with different values count as a disagreement.",
            object(
                Value::map([
                    ("topic", text("what it is about")),
                    ("claim", text("what you found, in words")),
                    ("value", any("what you found, as a value")),
                    ("confidence", number()),
                    ("evidence", list_of(evidence)),
                    ("origin", one_of(&["tool", "model", "person"])),
                ]),
                &["topic", "claim", "confidence"],
            ),
        ),
        (
            "read_context",
            "Read what the team knows: findings, variables with their versions, decisions.",
            object(
                Value::map([
                    ("only", list_of(one_of(&["findings", "variables", "decisions"]))),
                    ("topic", text("findings and decisions on this")),
                    ("agent", text("findings of this agent")),
                    ("status", one_of(&["open", "confirmed", "disputed"])),
                    ("min_confidence", number()),
                ]),
                &[],
            ),
        ),
        (
            "set_variable",
            "Write a variable of the shared context; others see it once you have finished.",
            object(
                Value::map([
                    ("variable", text("its name")),
                    ("value", any("its value")),
                    ("version", whole("the version that you read (0: none yet); refused if it has another by now")),
                ]),
                &["variable", "value"],
            ),
        ),
        (
            "retract_finding",
            "Take a finding of your own back that turned out to be wrong.",
            object(Value::map([("finding", text("its id")), ("reason", text("why"))]), &["finding", "reason"]),
        ),
        (
            "escalate",
            "Ask the coordinator or a person for help when you are stuck or not sure.",
            object(
                Value::map([("reason", text("why")), ("question", text("what to ask a person")), ("options", list_of(string()))]),
                &["reason"],
            ),
        ),
        ("finish", "End your work with a result.", object(Value::map([("result", any("your result"))]), &["result"])),
    ];
    if !offers.writes_to.is_empty() {
        let arguments = Value::map([
            ("to", roles(&offers.writes_to, &[EVERYBODY])),
            ("content", text("what you say")),
            ("type", one_of(&["note", "question", "response"])),
            ("metadata", any("what goes with it, as a value")),
            ("private", Value::map([("type", Value::text("boolean")), ("description", Value::text("only you two see it"))])),
        ]);
        let about = "Write to a colleague, or to all; it is read at the next turn of whoever gets it. A note asks for nothing.";
        tools.push(("send_message", about, object(arguments, &["to", "content"])));
    }
    if !offers.asks.is_empty() {
        let arguments = Value::map([("to", roles(&offers.asks, &[])), ("question", text("what you want to know"))]);
        let about = "Ask a colleague something that it may know from its work so far, and get its answer as the result.";
        tools.push(("ask_agent", about, object(arguments, &["to", "question"])));
    }
    if !offers.delegates.is_empty() {
        let arguments = Value::map([("subtasks", subtasks_schema(&offers.delegates))]);
        let about = "Divide your task into sub-tasks for your colleagues; those that wait for nothing are done at the same time.";
        tools.push(("delegate", about, object(arguments, &["subtasks"])));
    }
    if !offers.hands_to.is_empty() {
        let texts = |what: &str| {
            let items = Value::map([("type", Value::text("string"))]);
            Value::map([("type", Value::text("array")), ("items", items), ("description", Value::text(what))])
        };
        let brief = object(
            Value::map([
                ("goal", text("what is to be reached")),
                ("done", texts("what is done")),
                ("open", texts("what is still to do")),
                ("constraints", texts("what your colleague must keep to; it acknowledges them first")),
                ("artifacts", texts("files, documents and findings to build on")),
            ]),
            &["goal"],
        );
        let arguments = Value::map([
            ("to", roles(&offers.hands_to, &[])),
            ("brief", brief),
            ("reason", text("why you hand over; needed to hand back what you did not acknowledge")),
            ("result", any("your result so far; without it the brief is")),
        ]);
        let about = "Hand the work over to a colleague: ends your part, as `finish` does, and says who goes on.";
        tools.push(("handoff", about, object(arguments, &["to", "brief"])));
    }
    if !offers.acknowledges.is_empty() {
        let listed: Vec<&str> = offers.acknowledges.iter().map(AsRef::as_ref).collect();
        let arguments = Value::map([("constraints", list_of(one_of(&listed))), ("note", text("what you have to say to them"))]);
        let about = "Acknowledge the constraints of the handoff that you were given, all of them. Nothing else goes before this.";
        tools.push(("acknowledge", about, object(arguments, &["constraints"])));
    }
    tools
        .into_iter()
        .map(|(name, description, parameters)| {
            let (name, description) = (name.into(), description.into());
            Arc::new(ToolSpec { name, description, parameters, effect: EffectClass::Read, untrusted: false })
        })
        .collect()
}
