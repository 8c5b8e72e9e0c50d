//! What do messages cost? A circle of a hundred agents whose models answer at once, so that all the time is the engine's.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use synod::{
    engine::{Engine, Prepared},
    event::{Event, Record, Status},
    model::{Answer, Model},
    store::RedbStore,
    team::Overrides,
    value::{Call, Map, MessageKind, Reply, Request, Stop, Value},
};

use crate::Failure;

/// Agents of the circle.
pub const AGENTS: u32 = 100;
/// Messages of a turn; the last of them goes to all.
const A_TURN: u32 = 10;
/// Turns of an agent beside those in which it writes: it finishes, and is woken by mail.
const SPARE: u32 = 10;

/// A circle that writes for so many turns.
pub struct Circle {
    engine: Engine,
    team: Prepared,
    turns: u32,
}

impl Circle {
    /// In `folder`, with journals on disk or in memory.
    pub fn new(folder: &Path, turns: u32, on_disk: bool) -> Result<Self, Failure> {
        let profile = format!("name: Talker\nrole: worker\nmodel: talker\nmax_conversation_turns: {}\n", turns + SPARE);
        std::fs::write(folder.join("talker.yaml"), profile)?;
        let members: String = (0..AGENTS).map(|n| format!("  - {{ agent: talker, role: a{n} }}\n")).collect();
        let rules = format!(
            "coordination_rules: {{ max_parallel: {AGENTS}, calls_per_turn: {A_TURN}, max_asks: 0, escalation_policy: never }}"
        );
        let team = format!(
            "name: Talk\ncollaboration_pattern: peer_to_peer\nmember_agents:\n{members}{rules}\nresult: {{ by: merge }}\n"
        );
        std::fs::write(folder.join("talk.yaml"), team)?;
        let builder = Engine::builder().workspace(folder).state_folder(folder.join(".synod")).model("talker", Arc::new(Talker));
        let builder = if on_disk { builder.store(Arc::new(RedbStore::open(folder.join(".synod"))?)) } else { builder };
        let engine = builder.build();
        let team = engine.load("talk.yaml", &Overrides::default())?;
        Ok(Self { engine, team, turns })
    }

    /// How many messages are said.
    pub fn messages(&self) -> u32 {
        AGENTS * self.turns * A_TURN
    }

    /// How long it takes.
    pub async fn run(&self) -> Result<Duration, Failure> {
        let began = Instant::now();
        let ended = self.engine.start(&self.team, "bench", Map::new()).await?.wait().await?;
        let took = began.elapsed();
        if ended.status != Status::Completed {
            return Err(format!("it ended as {:?}", ended.status).into());
        }
        let records = self.engine.store().read_all(ended.report.session)?;
        let is_said =
            |record: &&Record| matches!(&record.event, Event::Said { message, .. } if message.kind == MessageKind::Response);
        let said = records.iter().filter(is_said).count();
        if said != self.messages() as usize {
            return Err(format!("{said} messages were said, not {}", self.messages()).into());
        }
        Ok(took)
    }
}

/// Writes in its first turns, and finishes in all others.
struct Talker;

impl Model for Talker {
    fn reply<'a>(&'a self, request: &'a Request, _: &'a str) -> Answer<'a> {
        Box::pin(std::future::ready(Ok(said(request))))
    }
}

fn said(request: &Request) -> Reply {
    if request.turns_left < SPARE {
        return Reply { finish: Some(Value::Bool(true)), stop: Stop::End, ..Reply::default() };
    }
    let own: u32 = request.role.as_str()[1..].parse().unwrap_or_default();
    let call = |n: u32| {
        // Each time somebody else; never itself.
        let other = (own + 1 + (request.turns_left * A_TURN + n) % (AGENTS - 1)) % AGENTS;
        let to = if n + 1 == A_TURN { "all".to_owned() } else { format!("a{other}") };
        let words =
            format!("message {n} of {own}, with {} turns to go: the pool of service {other} looks as before", request.turns_left);
        // It wakes whoever rests.
        let kind = Value::text("response");
        let args = Value::map([("to", Value::from(to)), ("type", kind), ("content", Value::from(words))]);
        Call { id: Arc::from(format!("c{n}")), tool: Arc::from("send_message"), args }
    };
    Reply { calls: (0..A_TURN).map(call).collect(), stop: Stop::Calls, ..Reply::default() }
}
