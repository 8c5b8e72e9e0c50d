//! What does a script agent see? [`view`]: a request as one map.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    turn::passages,
    value::{
        Brief, Call, CallResult, Entry, Failure, KnowledgeSpec, Map, Message, MessageKind, Profile, ProfileRole, Request, Role,
        SEARCH_KNOWLEDGE, Style, Turn, Value,
    },
};

/// What a view has, and what each part of it means.
pub const VIEW_FIELDS: [(&str, &str); 17] = [
    ("answers", "what people answered: a list of #{ question, answer, by }"),
    (
        "context",
        "what the team shares: #{ findings, decisions, variables, results, team, proposal, objections, undelivered, ledger }",
    ),
    ("errors", "the calls that failed, by name: #{ kind, message }"),
    (
        "handoff",
        "how it was handed the work in a relay: #{ from, by, reason, brief, content }, where `brief` is \
         #{ goal, done, open, constraints, artifacts } or (); () where nobody handed it anything",
    ),
    ("input", "the node's input: its `input` filter, else the outputs of the nodes that it follows, by id"),
    ("inputs", "the inputs of the session, by name"),
    (
        "knowledge",
        "what was looked up before its first turn, if its profile has a `top_k`: a list of #{ document, title, section, line, text, score }; \
         where that failed, errors.knowledge says why",
    ),
    ("mail", "messages to this agent since it was last woken: a list of #{ id, type, from, to, content, metadata, private }"),
    ("node", "the path of its node, such as work/performance"),
    ("notes", "remarks of the engine, such as why a finish was refused"),
    (
        "phase",
        "what it is asked for: work or synthesize (finish with the result), delegate (call `delegate`), validate (finish with #{ vote: \"approve\" or \"object\", confidence, reason }), debate (with #{ value, confidence, reason }) or answer (with #{ answer, confidence, reason })",
    ),
    ("profile", "who it is: #{ name, specialization, skills, style, allowed_tools, tags, uncertainty_threshold }"),
    ("results", "the values of the calls that succeeded, by name (`name`, or \"as\", of the call); a later call wins"),
    ("role", "its role in the team"),
    ("task", "what is to be done"),
    ("turn", "which turn of this activation it is, from 0"),
    ("turns_left", "turns that are left to it after this one"),
];

/// What a script agent may see in its second turn.
pub fn sample_view() -> Value {
    let texts = |words: &[&str]| words.iter().map(|word| Arc::from(*word)).collect();
    let profile = Profile {
        name: Arc::from("Performance Specialist"),
        role: ProfileRole::Specialist,
        specialization: Some(Arc::from("performance")),
        description: Some(Arc::from("Finds what is slow and why.")),
        skills: texts(&["latency", "saturation"]),
        model: Arc::from("script:performance.rhai"),
        model_config: Map::new(),
        fallback_models: Vec::new(),
        system_prompt: Arc::from(""),
        prompt_template: None,
        allowed_tools: texts(&["Read", "Grep"]),
        mcp_servers: Vec::new(),
        knowledge: KnowledgeSpec { folders: texts(&["runbooks"]), top_k: 1, ..KnowledgeSpec::default() },
        style: Style::Concise,
        max_turns: 10,
        escalate_on_uncertainty: true,
        uncertainty_threshold: 0.6,
        output_schema: None,
        tags: texts(&["devops"]),
    };
    let args = Value::map([("pattern", Value::text("ERROR")), ("path", Value::text("incidents/payment-outage/logs"))]);
    let call = Call { id: Arc::from("errors"), tool: Arc::from("Grep"), args };
    let found = Value::map([("count", Value::Int(3))]);
    let query = Value::map([("query", Value::text("latency of payment above 2 s")), ("limit", Value::Int(1))]);
    let lookup = Call { id: Arc::from("knowledge"), tool: Arc::from(SEARCH_KNOWLEDGE), args: query };
    let passage = Value::map([
        ("document", Value::text("runbooks/latency.md")),
        ("title", Value::text("A service answers slowly")),
        ("section", Value::text("Check")),
        ("line", Value::Int(12)),
        ("text", Value::text("Look at its own dependencies first.")),
        ("score", Value::Float(7.5)),
    ]);
    let passages = Value::map([("passages", Value::list([passage]))]);
    let result = |value| Arc::new(CallResult::of(Ok(value)));
    let inputs = Value::map([("data", Value::text("incidents/payment-outage"))]);
    let nothing = || Value::list([]);
    let shared = ["findings", "decisions", "results", "team", "objections", "undelivered"].map(|name| (name, nothing()));
    let rest = [("variables", Value::Map(Arc::default())), ("proposal", Value::Null), ("ledger", Value::Null)];
    view(&Request {
        role: Role::new("performance"),
        profile: Arc::new(profile),
        node: Arc::from("work/performance"),
        phase: Arc::from("work"),
        turn: Turn(1),
        turns_left: 8,
        task: Arc::from("Find the cause of the alert: latency of payment above 2 s since 14:30"),
        input: Value::Map(Arc::default()),
        inputs: Arc::new(inputs.as_map().cloned().unwrap_or_default()),
        context: Value::map(shared.into_iter().chain(rest)),
        earlier: 0,
        letters: Arc::default(),
        thread: vec![Entry::Known { call: lookup, result: result(passages) }, Entry::Result { call, result: result(found) }],
        tools: Vec::new(),
    })
}

/// A request as a map with the fields [`VIEW_FIELDS`]. `results` has the value of every call that succeeded by its name,
/// `errors` of every call that failed; a later call of the same name wins.
pub fn view(request: &Request) -> Value {
    let mut results = BTreeMap::new();
    let mut errors = BTreeMap::new();
    let (mut mail, mut answers, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    let mut handoff = Value::Null;
    let mut knowledge: &[Value] = &[];
    for (at, entry) in request.thread.iter().enumerate() {
        match entry {
            Entry::Result { call, result } => {
                let name = call.id.to_string();
                match &result.outcome {
                    Ok(value) => {
                        errors.remove(&name);
                        results.insert(name, value.clone());
                    }
                    Err(failure) => {
                        results.remove(&name);
                        errors.insert(name, error(failure));
                    }
                }
            }
            Entry::Known { call, result } => {
                knowledge = passages(result);
                errors.extend(result.outcome.as_ref().err().map(|failure| (call.id.to_string(), error(failure))));
            }
            Entry::Mail(_) if at < request.earlier => {}
            Entry::Mail(messages) => {
                let last = messages.iter().rfind(|message| message.kind == MessageKind::Handoff);
                handoff = last.map_or(handoff, |message| handed(message));
                mail.extend(messages.iter().map(|m| Value::of(&**m).unwrap_or_default()));
            }
            Entry::Answer { question, answer, by } => answers.push(Value::map([
                ("question", Value::Text(question.clone())),
                ("answer", answer.clone()),
                ("by", Value::Text(by.clone())),
            ])),
            Entry::Note(note) => notes.push(Value::Text(note.clone())),
            Entry::Reply(_) => {}
        }
    }
    let profile = &request.profile;
    let texts = |list: &[Arc<str>]| Value::list(list.iter().cloned().map(Value::Text));
    let about = Value::map([
        ("name", Value::Text(profile.name.clone())),
        ("specialization", profile.specialization.clone().map_or(Value::Null, Value::Text)),
        ("skills", texts(&profile.skills)),
        ("style", Value::of(&profile.style).unwrap_or_default()),
        ("allowed_tools", texts(&profile.allowed_tools)),
        ("tags", texts(&profile.tags)),
        ("uncertainty_threshold", Value::float(profile.uncertainty_threshold).unwrap_or_default()),
    ]);
    Value::map([
        ("role", Value::Text(request.role.0.clone())),
        ("phase", Value::Text(request.phase.clone())),
        ("node", Value::Text(request.node.clone())),
        ("turn", Value::Int(i64::from(request.turn.0))),
        ("turns_left", Value::Int(i64::from(request.turns_left))),
        ("task", Value::Text(request.task.clone())),
        ("handoff", handoff),
        ("input", request.input.clone()),
        ("inputs", Value::Map(request.inputs.clone())),
        ("results", Value::map(results)),
        ("errors", Value::map(errors)),
        ("mail", Value::list(mail)),
        ("context", request.context.clone()),
        ("answers", Value::list(answers)),
        ("notes", Value::list(notes)),
        ("knowledge", Value::list(knowledge.iter().cloned())),
        ("profile", about),
    ])
}

/// A handoff with all its parts.
fn handed(message: &Message) -> Value {
    let texts = |list: Vec<Arc<str>>| Value::list(list.into_iter().map(Value::Text));
    let brief = message.brief().map_or(Value::Null, |Brief { goal, done, open, constraints, artifacts }| {
        Value::map([
            ("goal", Value::Text(goal)),
            ("done", texts(done)),
            ("open", texts(open)),
            ("constraints", texts(constraints)),
            ("artifacts", texts(artifacts)),
        ])
    });
    let part = |name: &str| message.metadata.get(name).cloned().unwrap_or_default();
    Value::map([
        ("from", message.from.clone().map_or(Value::Null, |role| Value::Text(role.0))),
        ("by", part("by")),
        ("reason", part("reason")),
        ("brief", brief),
        ("content", Value::Text(message.content.clone())),
    ])
}

fn error(failure: &Failure) -> Value {
    Value::map([("kind", Value::text(failure.kind.name())), ("message", Value::Text(failure.message.clone()))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_a_view_has_a_meaning() {
        let sample = sample_view();
        let fields: Vec<&str> = sample.as_map().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        assert_eq!(fields, VIEW_FIELDS.map(|(name, _)| name));
        assert_eq!(sample.get("knowledge").and_then(Value::as_list).map(<[Value]>::len), Some(1));
    }
}
