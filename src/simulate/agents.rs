//! What do agents say whom nobody asks? What they said in a past activation, else something of the declared kind.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    assume::{Assumed, CALLS, Course, DISSENT, LEADING_TURNS, READ, TURNS, UNSURE, WRITTEN},
    random::Random,
};
use crate::{
    event::{Key, ModelCall},
    graph::Plan,
    plan::{DEFAULT_MAX_TOKENS, Models},
    turn::is_collaboration,
    value::{Call, EffectClass, NodeIx, Reply, Request, Stop, Usage, Usd, Value, is_offline},
};

/// The topic on which agents agree, or do not.
const TOPIC: &str = "simulated";
/// Levels of a result that is made up from its schema.
const DEPTH: usize = 6;

/// The agents of one run.
pub(super) struct Agents<'a> {
    assumed: &'a Assumed,
    plan: &'a Plan,
    prices: &'a dyn Models,
    /// What each activation does: a past one, or a number of turns.
    plays: BTreeMap<(NodeIx, u32), Play<'a>>,
    /// Numbers for what must differ.
    count: u64,
}

#[derive(Clone, Copy)]
enum Play<'a> {
    Past(&'a Course),
    Made(u32),
}

impl<'a> Agents<'a> {
    pub(super) fn new(assumed: &'a Assumed, plan: &'a Plan, prices: &'a dyn Models) -> Self {
        Self { assumed, plan, prices, plays: BTreeMap::new(), count: 0 }
    }

    /// What comes of a request.
    pub(super) fn reply(&mut self, call: &ModelCall, random: &mut Random) -> Reply {
        let request = &*call.request;
        let play = self.play(call.key, request, random);
        let turn = request.turn.0;
        match play {
            Play::Past(course) => match course.replies.get(turn as usize) {
                Some(reply) => Reply { usage: self.usage_now(course, reply.usage, request, random), ..(**reply).clone() },
                // It is asked for more than it said then: it comes to its end.
                None => self.made(request, true, random),
            },
            Play::Made(turns) => self.made(request, turn + 1 >= turns || request.turns_left == 0, random),
        }
    }

    fn play(&mut self, key: Key, request: &Request, random: &mut Random) -> Play<'a> {
        let assumed = self.assumed;
        *self.plays.entry((key.node, key.attempt)).or_insert_with(|| {
            let past = assumed.courses.get(&(request.role.clone(), request.phase.clone()));
            if let Some(course) = past.and_then(|courses| random.one(courses)) {
                return Play::Past(course);
            }
            let table = match &*request.phase {
                "work" => TURNS,
                "delegate" | "synthesize" => LEADING_TURNS,
                _ => [1.0; 4],
            };
            Play::Made(Assumed::draw(random, table).round().max(1.0) as u32)
        })
    }

    fn made(&mut self, request: &Request, ends: bool, random: &mut Random) -> Reply {
        let mut calls: Vec<(Arc<str>, Value)> = Vec::new();
        let has = |tool: &str| request.tools.iter().any(|spec| &*spec.name == tool);
        if has("acknowledge") {
            let brief = request.context.get("handoff").and_then(|handoff| handoff.get("brief"));
            let constraints = brief.and_then(|brief| brief.get("constraints")).cloned();
            let args = Value::map([("constraints", constraints.unwrap_or_else(|| Value::list([])))]);
            calls.push((Arc::from("acknowledge"), args));
        }
        if request.turn.0 == 0 && &*request.phase == "work" && has("broadcast_finding") {
            let value = if random.chance(DISSENT) { "another" } else { "one" };
            let finding = [
                ("topic", Value::text(TOPIC)),
                ("claim", Value::text("what it found")),
                ("value", Value::text(value)),
                ("confidence", Value::Float(0.8)),
            ];
            calls.push((Arc::from("broadcast_finding"), Value::map(finding)));
        }
        let own: Vec<&Arc<str>> = request
            .tools
            .iter()
            .filter(|spec| !is_collaboration(&spec.name) && spec.effect != EffectClass::Irreversible)
            .map(|spec| &spec.name)
            .collect();
        let ends = ends || own.is_empty();
        if ends {
            calls.push((Arc::from("finish"), Value::map([("result", self.result(request, random))])));
        } else {
            for _ in 0..Assumed::draw(random, CALLS).round().max(1.0) as u32 {
                self.count += 1;
                let args = Value::map([("simulated", Value::Int(i64::try_from(self.count).unwrap_or(i64::MAX)))]);
                calls.extend(random.one(&own).map(|tool| ((*tool).clone(), args)));
            }
        }
        let named = calls.into_iter().zip(0_u32..);
        let calls = named.map(|((tool, args), n)| Call { id: Arc::from(format!("call_{n}")), tool, args }).collect();
        Reply { calls, stop: Stop::Calls, usage: self.usage(request, random), ..Reply::default() }
    }

    /// What a reply of the past takes with the model that the agent has now.
    fn usage_now(&self, course: &Course, then: Usage, request: &Request, random: &mut Random) -> Usage {
        let model = &request.profile.model;
        match (is_offline(model), is_offline(&course.model)) {
            _ if *model == course.model => then,
            (true, _) => Usage::default(),
            // A script counts no tokens.
            (false, true) => self.usage(request, random),
            (false, false) => Usage { cost: self.cost(model, then.input, then.output), ..then },
        }
    }

    fn cost(&self, model: &str, input: u64, output: u64) -> Usd {
        let price = self.prices.facts(model).and_then(|facts| facts.price).unwrap_or_default();
        let millionths = u128::from(input) * u128::from(price.0.0) + u128::from(output) * u128::from(price.1.0);
        Usd(u64::try_from(millionths.div_ceil(1_000_000)).unwrap_or(u64::MAX))
    }

    fn usage(&self, request: &Request, random: &mut Random) -> Usage {
        let profile = &request.profile;
        if is_offline(&profile.model) {
            return Usage::default();
        }
        let most = profile.model_config.get("max_tokens").and_then(Value::as_int).and_then(|n| u64::try_from(n).ok());
        let input = Assumed::draw(random, READ) as u64;
        let output = (Assumed::draw(random, WRITTEN) as u64).min(most.unwrap_or(DEFAULT_MAX_TOKENS));
        Usage { input, cached: 0, output, cost: self.cost(&profile.model, input, output) }
    }

    /// A result of the kind that is wanted.
    fn result(&mut self, request: &Request, random: &mut Random) -> Value {
        self.count += 1;
        let confidence = Value::Float(if random.chance(UNSURE) { 0.05 } else { 0.9 });
        match &*request.phase {
            "validate" => {
                let vote = if random.chance(DISSENT) { "object" } else { "approve" };
                Value::map([("vote", Value::text(vote)), ("reason", Value::text("simulated")), ("confidence", Value::Float(0.8))])
            }
            "delegate" => self.division(request),
            _ => {
                let made = request.profile.output_schema.as_ref().map(|schema| instance(schema, random, DEPTH));
                let mut map = made.as_ref().and_then(Value::as_map).cloned().unwrap_or_default();
                map.insert("confidence".to_owned(), confidence);
                map.entry("summary".to_owned()).or_insert_with(|| Value::from(format!("simulated {}", self.count)));
                map.entry("value".to_owned())
                    .or_insert_with(|| Value::text(if random.chance(DISSENT) { "another" } else { "one" }));
                Value::Map(Arc::new(map))
            }
        }
    }

    /// One sub-task for each member, as far as the team allows so many.
    fn division(&self, request: &Request) -> Value {
        let is_own = |member: &crate::graph::Member| member.role == request.role;
        let team = self.plan.teams.iter().find(|team| team.coordinator.as_ref().is_some_and(is_own));
        let most = team.map_or(0, |team| team.max_tasks as usize);
        let tasks = team.into_iter().flat_map(|team| &team.members).take(most).map(|member| {
            let role = member.role.as_str();
            Value::map([
                ("id", Value::text(role)),
                ("agent", Value::text(role)),
                ("task", Value::from(format!("the part of {role}"))),
            ])
        });
        Value::map([("subtasks", Value::list(tasks))])
    }
}

/// Something that fits the usual part of a JSON Schema.
fn instance(schema: &Value, random: &mut Random, depth: usize) -> Value {
    if let Some(fixed) = schema.get("const") {
        return fixed.clone();
    }
    if let Some(one) = schema.get("enum").and_then(Value::as_list).and_then(|all| random.one(all)) {
        return one.clone();
    }
    let kind = schema.get("type").and_then(|kind| kind.as_str().or_else(|| kind.as_list()?.first()?.as_str()));
    let bound = |key: &str, other: f64| schema.get(key).and_then(Value::as_f64).unwrap_or(other);
    match kind {
        _ if depth == 0 => Value::Null,
        Some("object") | None if schema.get("properties").is_some() => {
            let properties = schema.get("properties").and_then(Value::as_map);
            Value::map(properties.into_iter().flatten().map(|(key, schema)| (key.clone(), instance(schema, random, depth - 1))))
        }
        Some("array") => {
            let count = 1 + random.below(3);
            Value::list((0..count).map(|_| schema.get("items").map_or(Value::Null, |items| instance(items, random, depth - 1))))
        }
        Some("boolean") => Value::Bool(random.chance(0.5)),
        Some("integer") => {
            Value::Int((bound("minimum", 0.0) + random.share() * (bound("maximum", 10.0) - bound("minimum", 0.0))) as i64)
        }
        Some("number") => {
            let number = bound("minimum", 0.0) + random.share() * (bound("maximum", 1.0) - bound("minimum", 0.0));
            Value::float(number).unwrap_or_default()
        }
        Some("string") => Value::text("simulated"),
        Some(_) | None => Value::map::<String>([]),
    }
}
