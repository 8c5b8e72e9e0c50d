//! What do detectors look at? [`Seen`]: the last turns of an activation, each with what was new in it.
//!
//! New is a finding, a variable, and a successful result that did not come before. What a call that changes the world gives is
//! often only a word (`ok`): there new arguments count too. That a message was sent is nothing new.

use std::collections::{BTreeMap, BTreeSet};

use super::words::{folded, similarity};
use crate::{
    graph::Detector,
    value::{Call, CallResult, Entry, Role, Value},
};

/// Turns that are looked back on at most.
const WINDOW: usize = 64;
/// From which similarity on what was said or written counts as said before, numbers not folded.
const SAME_NEWS: f64 = 0.9;
/// From which similarity on an error counts as seen before, numbers folded.
const SAME_ERROR: f64 = 0.8;
/// From which similarity on the arguments of a call that changes the world count as used before, numbers not folded.
const SAME_CHANGE: f64 = 0.95;

/// What an activation did so far, as detectors see it.
#[derive(Clone, Debug)]
pub struct Seen<'a> {
    /// Its last turns, oldest first; each is closed.
    pub(super) turns: Vec<TurnSeen<'a>>,
    /// What it and its colleagues said to each other lately.
    pub(super) exchanges: Vec<Exchange>,
    /// How often two agents handed over to each other, up to this activation, since either found something.
    pub(super) handed_back: usize,
    told: &'a BTreeMap<Detector, usize>,
    entries: usize,
}

/// What two agents said to each other since either of them found something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The colleague.
    pub with: Role,
    /// How often a word of the agent was answered by one of the colleague.
    pub rounds: usize,
}

/// A closed turn.
#[derive(Clone, Debug)]
pub(super) struct TurnSeen<'a> {
    /// The place of its reply in the thread.
    pub at: usize,
    /// What was said beside calls.
    pub text: &'a str,
    /// Its calls, with what came of them.
    pub calls: Vec<(&'a Call, &'a CallResult)>,
    /// Whether a call that may change the world succeeded in it.
    pub changed: bool,
    /// Whether it brought anything new.
    pub news: bool,
    /// Whether it did so otherwise than by a colleague's answer.
    pub own_news: bool,
    /// Whether a call failed in it as none did before: no success, and yet something to learn from.
    pub new_error: bool,
}

impl<'a> Seen<'a> {
    /// What a thread shows, whose detectors told the agent what they did at the places in `told`. `changes` says whether a call may
    /// change the world.
    pub fn new(
        thread: &'a [Entry],
        told: &'a BTreeMap<Detector, usize>,
        exchanges: Vec<Exchange>,
        changes: impl Fn(&Call) -> bool,
    ) -> Self {
        let replies = thread.iter().enumerate().rev().filter(|(_, entry)| matches!(entry, Entry::Reply(_)));
        let first = replies.take(WINDOW).last().map_or(thread.len(), |(at, _)| at);
        let mut turns: Vec<TurnSeen<'a>> = Vec::new();
        let mut news = News::default();
        for (at, entry) in thread.iter().enumerate().skip(first) {
            match entry {
                Entry::Reply(reply) => {
                    let text = reply.text.as_deref().unwrap_or_default();
                    turns.push(TurnSeen {
                        at,
                        text,
                        calls: Vec::new(),
                        changed: false,
                        news: false,
                        own_news: false,
                        new_error: false,
                    });
                }
                Entry::Result { call, result } => {
                    let Some(turn) = turns.last_mut() else { continue };
                    let change = changes(call);
                    let new = news.take(call, result, change);
                    turn.changed |= change && !failed(result);
                    turn.news |= new;
                    turn.own_news |= new && &*call.tool != "ask_agent";
                    turn.new_error |= news.is_new_error(result);
                    turn.calls.push((call, result));
                }
                // A person's word is always new.
                Entry::Answer { .. } => {
                    if let Some(turn) = turns.last_mut() {
                        (turn.news, turn.own_news) = (true, true);
                    }
                }
                Entry::Mail(_) | Entry::Note(_) | Entry::Known { .. } => {}
            }
        }
        Self { turns, exchanges, handed_back: 0, told, entries: thread.len() }
    }

    /// The same, in an activation that another agent handed over to, for the so manieth time.
    #[must_use]
    pub fn handed_back(self, times: usize) -> Self {
        Self { handed_back: times, ..self }
    }

    /// From which place in the thread on the agent knows what that detector saw.
    pub(super) fn told(&self, detector: Detector) -> Option<usize> {
        self.told.get(&detector).copied()
    }

    /// Whether a detector has told it something since its last turn.
    pub(super) fn just_told(&self) -> bool {
        self.turns.last().is_some_and(|turn| self.told.values().any(|told| (turn.at..=self.entries).contains(told)))
    }

    /// How many of the last turns brought something new otherwise than by a colleague's answer.
    pub fn news_in_last(&self, turns: usize) -> usize {
        self.turns.iter().rev().take(turns).filter(|turn| turn.own_news).count()
    }

    /// The last turns that `holds` for, oldest first.
    pub(super) fn trailing(&self, holds: impl Fn(usize, &TurnSeen<'a>) -> bool) -> Vec<&TurnSeen<'a>> {
        let mut run: Vec<&TurnSeen<'a>> =
            self.turns.iter().enumerate().rev().take_while(|(n, turn)| holds(*n, turn)).map(|(_, turn)| turn).collect();
        run.reverse();
        run
    }
}

/// Whether a text says what another said, but for a word.
pub fn says_the_same(one: &str, other: &str) -> bool {
    similarity(&folded(one, false), &folded(other, false)) >= SAME_NEWS
}

/// Whether a call came to nothing: it failed, or its result says so.
pub(super) fn failed(result: &CallResult) -> bool {
    error_of(result).is_some()
}

/// Why a call came to nothing.
pub(super) fn error_of(result: &CallResult) -> Option<String> {
    let value = match &result.outcome {
        Err(failure) => return Some(failure.to_string()),
        Ok(value) => value,
    };
    let says_so = match value {
        Value::Map(map) => {
            let error = map.get("error").or_else(|| map.get("is_error"));
            let error = error.is_some_and(|e| !matches!(e, Value::Null | Value::Bool(false)) && e.as_str() != Some(""));
            let not_ok = ["ok", "success"].iter().any(|key| map.get(*key).and_then(Value::as_bool) == Some(false));
            let code = ["exit_code", "exit", "returncode"].iter().find_map(|key| map.get(*key)?.as_int());
            error || not_ok || code.is_some_and(|code| code != 0)
        }
        Value::Text(text) => {
            let start: String = text.trim_start().chars().take(9).flat_map(char::to_lowercase).collect();
            start.starts_with("error:") || start.starts_with("traceback")
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) => false,
    };
    says_so.then(|| value.to_string())
}

/// What came so far.
#[derive(Default)]
struct News<'a> {
    claims: Vec<(String, &'a Value, String)>,
    writes: Vec<(String, String)>,
    answers: Vec<String>,
    results: BTreeSet<(String, String)>,
    changes: BTreeMap<&'a str, Vec<(String, String)>>,
    errors: Vec<String>,
}

impl<'a> News<'a> {
    /// Whether a call failed as none did before.
    fn is_new_error(&mut self, result: &CallResult) -> bool {
        let Some(error) = error_of(result).map(|error| folded(&error, true)) else { return false };
        let known = self.errors.iter().any(|e| similarity(e, &error) >= SAME_ERROR);
        if !known {
            self.errors.push(error);
        }
        !known
    }

    /// Whether it brings something new.
    fn take(&mut self, call: &'a Call, result: &'a CallResult, changes: bool) -> bool {
        let Ok(value) = &result.outcome else { return false };
        let text = |key: &str| call.args.get(key).map(|v| folded(&v.to_string(), false)).unwrap_or_default();
        match &*call.tool {
            "send_message" | "acknowledge" | "handoff" | "finish" => false,
            "broadcast_finding" => {
                let (topic, claim) = (text("topic"), text("claim"));
                let value = call.args.get("value").unwrap_or(&Value::Null);
                let known = self.claims.iter().any(|(t, v, c)| *t == topic && *v == value && similarity(c, &claim) >= SAME_NEWS);
                self.claims.push((topic, value, claim));
                !known
            }
            "set_variable" => {
                let (variable, value) = (text("variable"), text("value"));
                let known = self.writes.iter().any(|(n, v)| *n == variable && similarity(v, &value) >= SAME_NEWS);
                self.writes.push((variable, value));
                !known
            }
            "ask_agent" => {
                let answer = folded(&value.to_string(), false);
                let known = self.answers.iter().any(|a| similarity(a, &answer) >= SAME_NEWS);
                self.answers.push(answer);
                !known
            }
            _ if failed(result) => false,
            tool => {
                let result = value.to_string();
                let first = self.results.insert((tool.to_owned(), result.clone()));
                if !changes {
                    return first;
                }
                let args = folded(&call.args.to_string(), false);
                let before = self.changes.entry(&*call.tool).or_default();
                let known = before.iter().any(|(a, r)| *r == result && similarity(a, &args) >= SAME_CHANGE);
                before.push((args, result));
                !known
            }
        }
    }
}
