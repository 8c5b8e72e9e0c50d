//! Does an argument of a call come from outside? [`Scheduler::args_from`] compares words, and the team's policy decides.
//!
//! An argument counts as untrusted where a word of it, four letters or digits long at least, stands in a text that the agent has
//! read, that came from outside, and stands in nothing that people said: the task, the session's inputs, the profile's prompts, an
//! answer. That is no proof of where a word comes from: a model may say the same in other words. It is a trip wire before what
//! cannot be undone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::Scheduler;
use crate::{
    event::Outcome,
    graph::Untrusted,
    value::{Call, EffectClass, Entry, NodeIx, Origin, Role, Value},
};

/// Letters and digits of a word that tells anything.
const WORD: usize = 4;
/// Words that a question names at most.
const NAMED: usize = 5;

/// Where an argument comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ArgFrom {
    /// The words that came from outside.
    pub words: Vec<String>,
    /// By what the first of them came: a tool, a message.
    pub source: Arc<str>,
}

/// What becomes of a call with an argument from outside, where no rule says so.
pub(super) enum Screened {
    /// A person is asked.
    Ask(String),
    /// It is refused.
    Deny(String),
}

impl Scheduler {
    /// The arguments of a call that come from outside, by JSON pointer.
    pub(super) fn args_from(&self, node: NodeIx, args: &Value) -> BTreeMap<Arc<str>, ArgFrom> {
        let mut found = BTreeMap::new();
        if !self.state.origins_at(node).is_untrusted() {
            return found;
        }
        let (outside, vouched) = (self.outside(node), self.vouched(node));
        leaves(args, &mut String::new(), &mut |pointer, text| {
            let from = |word: String| (!vouched.contains(&word)).then(|| Some((outside.get(&word)?.clone(), word))).flatten();
            let mut told: Vec<(Arc<str>, String)> = words(text).filter_map(from).collect();
            told.dedup_by(|a, b| a.1 == b.1);
            if let Some((source, _)) = told.first().cloned() {
                let words = told.into_iter().map(|(_, word)| word).take(NAMED).collect();
                found.insert(Arc::from(pointer), ArgFrom { words, source });
            }
        });
        found
    }

    /// What the team's policy says of a call, where no rule does; `None`: nothing against it.
    pub(super) fn screen(&self, node: NodeIx, call: &Call, effect: EffectClass) -> Option<Screened> {
        let policy = self.state.team_of(node).1.untrusted;
        if policy == Untrusted::Allow || effect != EffectClass::Irreversible {
            return None;
        }
        let from = self.args_from(node, &call.args);
        let why: Vec<String> = from.iter().map(|(pointer, from)| why(pointer, from)).collect();
        if why.is_empty() {
            return None;
        }
        let (path, tool, why) = (self.state.path(node), &call.tool, why.join("; "));
        Some(match policy {
            Untrusted::Deny => Screened::Deny(format!(
                "{tool} cannot be undone, and {why}. This team denies that: say what you would do, or take what people gave you"
            )),
            Untrusted::Ask | Untrusted::Allow => {
                Screened::Ask(format!("May {path} call {tool} with {}? It cannot be undone, and {why}.", call.args))
            }
        })
    }

    /// The words of texts from outside that an agent has read, each with what brought the first such text.
    fn outside(&self, node: NodeIx) -> BTreeMap<String, Arc<str>> {
        let mut known: BTreeMap<String, Arc<str>> = BTreeMap::new();
        let mut add = |source: String, text: &str| {
            let source: Arc<str> = Arc::from(source);
            for word in words(text) {
                known.entry(word).or_insert_with(|| source.clone());
            }
        };
        let thread = self.state.activations.get(&node).map(|activation| activation.thread.as_slice()).unwrap_or_default();
        for entry in thread {
            match entry {
                Entry::Result { call, result } | Entry::Known { call, result } if result.untrusted => match &result.outcome {
                    Ok(value) => add(format!("a result of {}", call.tool), &value.to_string()),
                    Err(failure) => add(format!("a failure of {}", call.tool), &failure.message),
                },
                Entry::Mail(mail) => {
                    for message in mail.iter().filter(|message| message.origins.is_untrusted()) {
                        let from = message.from.as_ref().map_or("the engine", Role::as_str);
                        add(format!("a {} of {from}", message.kind.name()), &format!("{} {}", message.content, message.metadata));
                    }
                }
                Entry::Result { .. } | Entry::Known { .. } | Entry::Reply(_) | Entry::Answer { .. } | Entry::Note(_) => {}
            }
        }
        // What was given by an agent at work that waits for it is nobody's past.
        let mut given = node;
        while let Some(above) = self.state.instance_of(given).scope {
            if let (Some(from), Some(task)) = (self.state.role_of(above), self.state.node(given).brief())
                && self.state.origins_at(above).is_untrusted()
            {
                add(format!("the task from {from}"), task);
            }
            given = above;
        }
        let knows = self.state.knows(node);
        for finding in
            self.state.visible_findings(&knows).iter().filter(|f| f.origins.is_untrusted() && f.origin != Origin::Person)
        {
            let evidence: Vec<&str> = finding.evidence.iter().map(|piece| &*piece.excerpt).collect();
            add(
                format!("a finding of {}", finding.agent),
                &format!("{} {} {}", finding.claim, finding.value, evidence.join(" ")),
            );
        }
        for before in knows.past.iter().filter(|before| self.state.origins_at(**before).is_untrusted()) {
            if let Some(Outcome::Ok(value)) = self.state.outcome(*before) {
                add(format!("the result of {}", self.state.path(*before)), &value.to_string());
            }
        }
        if self.state.origins_before(node).is_untrusted() {
            for (name, value) in self.state.visible_variables(&knows) {
                add(format!("the variable {name}"), &value.to_string());
            }
        }
        known
    }

    /// The words of what people said to an agent.
    fn vouched(&self, node: NodeIx) -> BTreeSet<String> {
        let started = &self.state.started;
        let mut texts: Vec<String> = vec![started.task.to_string(), Value::Map(started.inputs.clone()).to_string()];
        if let Some(activation) = self.state.activations.get(&node) {
            // A task that an agent wrote which had read what came from outside is not a person's.
            if !self.state.origins_before(node).is_untrusted() {
                texts.push(activation.task.to_string());
            }
            texts.extend(activation.thread.iter().filter_map(|entry| match entry {
                Entry::Answer { answer, .. } => Some(answer.to_string()),
                Entry::Result { call, result } if &*call.tool == "escalate" => result.outcome.as_ref().ok().map(Value::to_string),
                Entry::Result { .. } | Entry::Known { .. } | Entry::Mail(_) | Entry::Reply(_) | Entry::Note(_) => None,
            }));
        }
        if let Some(member) = self.member(node) {
            texts.push(member.profile.system_prompt.to_string());
            texts.extend(member.profile.prompt_template.as_ref().map(ToString::to_string));
        }
        texts.iter().flat_map(|text| words(text)).collect()
    }
}

fn why(pointer: &str, from: &ArgFrom) -> String {
    let words: Vec<String> = from.words.iter().map(|word| format!("{word:?}")).collect();
    let place = if pointer.is_empty() { "the argument".to_owned() } else { format!("its argument `{}`", &pointer[1..]) };
    format!("{place} has words from outside ({}), which came with {}", words.join(", "), from.source)
}

/// The words of a text that tell anything, in small letters.
fn words(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c: char| !c.is_alphanumeric());
    words.filter(|word| word.chars().count() >= WORD).map(str::to_lowercase)
}

/// Each text and number in a value, with its JSON pointer.
fn leaves(value: &Value, pointer: &mut String, found: &mut impl FnMut(&str, &str)) {
    let below = |pointer: &mut String, key: &str, value: &Value, found: &mut _| {
        let length = pointer.len();
        pointer.push('/');
        pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
        leaves(value, pointer, found);
        pointer.truncate(length);
    };
    match value {
        Value::Text(text) => found(pointer, text),
        Value::Int(_) | Value::Float(_) => found(pointer, &value.to_string()),
        Value::List(items) => items.iter().enumerate().for_each(|(at, item)| below(pointer, &at.to_string(), item, found)),
        Value::Map(map) => map.iter().for_each(|(key, item)| below(pointer, key, item, found)),
        Value::Null | Value::Bool(_) => {}
    }
}
