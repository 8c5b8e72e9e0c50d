//! Does the scheduler do what the design says? One sentence per test, in virtual time.

use crate as synod;

mod agents;
mod budgets;
mod circles;
mod deadlines;
mod delegation;
mod divided;
mod doubts;
mod failures;
mod handoffs;
mod joins;
mod limits;
mod lookups;
mod nested;
mod order;
mod people;
mod provenance;
mod questions;
mod repeats;
mod scopes;
mod settling;
mod shared;
mod stalls;
mod talk;
#[allow(dead_code, unused_imports, reason = "shared with tests/sim.rs, which uses other parts")]
mod world;

use std::{collections::BTreeMap, sync::Arc};

use synod::{
    event::{Key, ModelCall, ToolCall},
    graph::Plan,
    value::{Call, Failure, FailureKind, Reply, Request, Usage, Usd, Value},
};
pub use world::{Flow, Plans, Rules, Run, TestJudge, World};

/// What a script of a test answers to a call, and after how many seconds.
type Answer = (u64, Result<Value, Failure>);
/// What an agent says.
type Speaker = Box<dyn FnMut(&Request) -> Said>;

/// The tool results and model replies of a test. What no table names succeeds after a second: a tool with the id of its
/// node, an agent with its role.
#[derive(Default)]
pub struct Script {
    tools: BTreeMap<&'static str, Vec<Answer>>,
    agents: BTreeMap<&'static str, Speaker>,
    late: u64,
    requests: Vec<Arc<Request>>,
}

/// A model's turn in a test, a second long.
pub enum Said {
    /// It ends with a value.
    Finish(Value),
    /// It calls tools.
    Calls(Vec<(&'static str, Value)>),
    /// It says something else.
    Reply(Reply),
    /// It fails.
    Fails(FailureKind),
    /// It does not reply.
    Nothing,
    /// The same, after so many seconds.
    After(u64, Box<Self>),
}

pub fn fails(kind: FailureKind) -> Result<Value, Failure> {
    Err(Failure::new(kind, "as the script says"))
}

pub fn json(text: &str) -> Value {
    serde_json::from_str::<Value>(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

pub fn reply(text: Option<&str>, calls: Vec<(&str, Value)>) -> Reply {
    let calls = calls.into_iter().enumerate().map(|(n, (tool, args))| Call {
        id: Arc::from(format!("call_{n}")),
        tool: Arc::from(tool),
        args,
    });
    let usage = Usage { input: 10, cached: 0, output: 5, cost: Usd(100) };
    Reply { text: text.map(Arc::from), calls: calls.collect(), usage, ..Reply::default() }
}

impl Script {
    /// The results of a tool node (by path) or of an agent's tool (by name), one per attempt; the last one stays.
    pub fn tool(mut self, path: &'static str, answers: Vec<Answer>) -> Self {
        self.tools.insert(path, answers);
        self
    }

    /// Tool nodes that take so many seconds.
    pub fn takes(self, seconds: &[(&'static str, u64)]) -> Self {
        seconds.iter().fold(self, |script, (path, wait)| script.tool(path, vec![(*wait, Ok(Value::text(path)))]))
    }

    /// What an agent says at each turn, by role or by path.
    pub fn agent(mut self, who: &'static str, speaks: impl FnMut(&Request) -> Said + 'static) -> Self {
        self.agents.insert(who, Box::new(speaks));
        self
    }

    /// Cancelled calls that take so many seconds to stop.
    pub fn stops_after(mut self, seconds: u64) -> Self {
        self.late = seconds;
        self
    }
}

fn spoken(said: Said, wait: u64) -> Vec<(u64, Result<Reply, Failure>)> {
    match said {
        Said::Finish(value) => vec![(wait, Ok(Reply { finish: Some(value), ..reply(None, Vec::new()) }))],
        Said::Calls(calls) => vec![(wait, Ok(reply(None, calls)))],
        Said::Reply(reply) => vec![(wait, Ok(reply))],
        Said::Fails(kind) => vec![(wait, Err(Failure::new(kind, "as the script says")))],
        Said::Nothing => Vec::new(),
        Said::After(seconds, said) => spoken(*said, seconds * 1000),
    }
}

impl World for Script {
    fn model(&mut self, call: &ModelCall) -> Vec<(u64, Result<Reply, Failure>)> {
        self.requests.push(call.request.clone());
        let who = [&*call.request.node, call.request.role.as_str()].into_iter().find(|w| self.agents.contains_key(w));
        let said = who.and_then(|who| self.agents.get_mut(who)).map(|speaks| speaks(&call.request));
        spoken(said.unwrap_or_else(|| Said::Finish(Value::text(call.request.role.as_str()))), 1000)
    }

    fn tool(&mut self, call: &ToolCall) -> Vec<(u64, Result<Value, Failure>)> {
        let table = self.tools.get(&*call.path).or_else(|| self.tools.get(&*call.tool));
        let nth = if call.role.is_none() { call.key.attempt as usize - 1 } else { 0 };
        let answer = table.map(|answers| answers.get(nth).or(answers.last()).cloned());
        match answer {
            Some(Some((wait, result))) => vec![(wait * 1000, result)],
            Some(None) => Vec::new(),
            None => vec![(1000, Ok(call.args.get("value").cloned().unwrap_or_else(|| Value::text(&call.path))))],
        }
    }

    fn cancel(&mut self, _: Key) -> u64 {
        self.late * 1000
    }
}

/// A session with that script, run until it is over or waits for people.
pub fn run(plan: Plan, script: Script) -> Run<Script> {
    run_by(plan, script, Rules::new())
}

/// As [`run`], with rules.
pub fn run_by(plan: Plan, script: Script, rules: Rules) -> Run<Script> {
    let mut run = begin(plan, script, rules);
    go(&mut run);
    run
}

/// A session that has only begun.
pub fn begin(mut plan: Plan, script: Script, rules: Rules) -> Run<Script> {
    for team in &mut plan.teams {
        team.rules = rules.keys().map(|name| Arc::from(*name)).collect();
    }
    Run::start(plan, Arc::new(TestJudge { rules }), script).unwrap_or_else(|violation| panic!("{violation}"))
}

/// Runs on until it is over or waits for people, and checks the fold.
pub fn go(run: &mut Run<Script>) {
    run.run().and_then(|()| run.check_fold()).unwrap_or_else(|violation| panic!("{violation}\n{}", run.outcomes()));
}

/// Runs a plan and compares how it ended, and how its nodes ended (one line each, the times apart).
pub fn check(plan: Plan, script: Script, result: &str, outcomes: &str) -> Run<Script> {
    let run = run(plan, script);
    compare(&run, result, outcomes);
    run
}

/// Compares how a session ended and how its nodes ended.
pub fn compare(run: &Run<Script>, result: &str, outcomes: &str) {
    let lines = |text: &str| text.lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join("\n");
    assert_eq!((run.result(), lines(&run.outcomes())), (result.to_owned(), lines(outcomes)));
}
