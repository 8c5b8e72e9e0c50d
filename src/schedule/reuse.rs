//! What does a session take over from an earlier one? The replies to requests that are the same, one by one.
//!
//! A reply follows from its request and its model: who the agent is, its task, its input, what the team knows, the conversation so far,
//! the tools it may call. Where all that is the same, the reply is the earlier one, and nobody is asked. What follows from it is done as
//! ever: rules judge it as they are now, and tools are called again, since what they see may have changed; where they return something
//! else the next request is another one, and from there on the node works anew. So a result is taken over exactly where asking
//! for it would be asking the same again. Idempotent calls are made under the key that they had, irreversible ones never silently:
//! an agent that made one works anew, unless its node says `reuse: always`; then results of its tools are taken over too.

use std::sync::Arc;

use super::{
    Scheduler,
    past::{Asked, Earlier, Known, Past, Said, Word},
};
use crate::{
    event::{Event, Outcome, Started, TakenOver, TurnEnd},
    graph::{NodeKind, Reuse},
    plan::model_digest,
    state::FoldError,
    value::{Call, CallIx, EffectClass, Entry, NodeIx, Profile, RequestDigest, SessionId, Turn},
};

/// What the names of MCP servers' tools begin with: how these are declared is not on any record.
const OF_SERVERS: &str = "mcp__";

impl Scheduler {
    /// Takes results over from there, where they are the same.
    #[must_use]
    pub fn reusing(mut self, past: Option<Arc<Past>>) -> Self {
        self.past = past;
        self
    }

    /// Takes the reply to an agent's next request over; false where a model is to be asked.
    pub(super) fn takes_over_turn(
        &mut self,
        node: NodeIx,
        (turn, attempt): (Turn, u32),
        sent: Option<RequestDigest>,
    ) -> Result<bool, FoldError> {
        let word = self.word(node, turn, None, |scheduler, past| past.on_turn(scheduler, node, turn, sent.as_ref()));
        match word {
            Some(Word::Taken(session, saved, Said::Reply(reply))) => {
                let effects = reply.calls.iter().map(|c| self.tools.effect(&c.tool, &c.args)).collect();
                let read_upto = self.state.seq;
                self.emit(Event::TurnStarted { node, turn, attempt, read_upto, reserved: Default::default(), sent })?;
                self.emit(Event::TakenOver(Box::new(TakenOver { node, turn, call: None, session, saved })))?;
                self.emit(Event::TurnEnded { node, turn, end: TurnEnd::Reply(reply), effects })?;
                Ok(true)
            }
            Some(Word::Anew(why, under)) => self.emit(Event::Anew { node, turn, why, under }).map(|()| false),
            Some(Word::Taken(..)) | None => Ok(false),
        }
    }

    /// Takes the result of an agent's call over, where its node wants that; false where the call is to be made.
    pub(super) fn takes_over_call(&mut self, node: NodeIx, ix: CallIx) -> Result<bool, FoldError> {
        let Some(activation) = self.state.activations.get(&node) else { return Ok(false) };
        let turn = activation.turn;
        if self.state.taken.get(&node).is_none_or(|taken| taken.turns == 0) {
            return Ok(false);
        }
        match self.word(node, turn, Some(ix), |scheduler, past| past.on_call(scheduler, node, turn, ix)) {
            Some(Word::Taken(session, saved, Said::Result(result))) => {
                self.emit(Event::TakenOver(Box::new(TakenOver { node, turn, call: Some(ix), session, saved })))?;
                self.answer_with(node, ix, (*result).clone())?;
                Ok(true)
            }
            Some(Word::Taken(..) | Word::Anew(..)) | None => Ok(false),
        }
    }

    /// Takes the result of a tool node over; false where its tool is to be called.
    pub(super) fn takes_over_tool(&mut self, node: NodeIx) -> Result<bool, FoldError> {
        let turn = super::agent::ONLY_TURN;
        match self.word(node, turn, None, |scheduler, past| past.on_tool(scheduler, node)) {
            Some(Word::Taken(session, saved, Said::Output(value))) => {
                self.emit(Event::TakenOver(Box::new(TakenOver { node, turn, call: None, session, saved })))?;
                self.end_returned(node, Outcome::Ok(value))?;
                Ok(true)
            }
            Some(Word::Anew(why, under)) => self.emit(Event::Anew { node, turn, why, under }).map(|()| false),
            Some(Word::Taken(..)) | None => Ok(false),
        }
    }

    /// Says that a person is asked, whatever was answered in an earlier session.
    pub(super) fn says_a_person_is_asked(&mut self, node: NodeIx) -> Result<(), FoldError> {
        match self.word(node, Turn(0), None, |_, _| Some(anew("a person is asked again"))) {
            Some(Word::Anew(why, under)) => self.emit(Event::Anew { node, turn: Turn(0), why, under }),
            Some(Word::Taken(..)) | None => Ok(()),
        }
    }

    /// The word on something; none where nothing is taken over, or the node works anew already.
    fn word(
        &self,
        node: NodeIx,
        turn: Turn,
        call: Option<CallIx>,
        earlier: impl FnOnce(&Self, &Earlier) -> Option<Word>,
    ) -> Option<Word> {
        let past = self.past.as_deref()?;
        if self.state.taken.get(&node).is_some_and(|taken| taken.anew.is_some()) {
            return None;
        }
        match &past.0 {
            Known::Earlier(past) => earlier(self, past),
            Known::Own(words) => words.get(&(node, self.state.nodes[node.index()].attempt, turn, call)).cloned(),
        }
    }

    /// What the file says of a node, or of its agent.
    fn reuse_of(&self, node: NodeIx) -> Reuse {
        match self.state.node(node).reuse {
            Reuse::Unchanged => self.member(node).map(|member| member.reuse).unwrap_or_default(),
            own @ (Reuse::Never | Reuse::Always) => own,
        }
    }
}

impl Earlier {
    fn on_turn(&self, scheduler: &Scheduler, node: NodeIx, turn: Turn, sent: Option<&RequestDigest>) -> Option<Word> {
        let path = scheduler.state.path(node);
        let policy = scheduler.reuse_of(node);
        if policy == Reuse::Never {
            return Some(anew("its file says `reuse: false`"));
        }
        if self.turns.range((path.clone(), Turn(0))..=(path.clone(), Turn(u32::MAX))).next().is_none() {
            return Some(anew(format!("no model replied at {path} there")));
        }
        if let Some(tool) = self.irreversible.get(&path).filter(|_| policy != Reuse::Always) {
            return Some(anew(format!("it called {tool} there, which is irreversible; `reuse: always` would take that over")));
        }
        let all = self.turns.get(&(path, turn)).map(Vec::as_slice).unwrap_or_default();
        let Some(last) = all.last() else { return Some(anew("there it had come to its result by then")) };
        if policy != Reuse::Always && scheduler.has_server_tools(node) {
            return Some(anew("it may call tools of MCP servers, and how these were declared is on no record"));
        }
        let same = all.iter().rfind(|asked| asked.sent.is_some() && asked.sent.as_ref() == sent);
        match same.map(|asked| (asked, self.other_model(scheduler, &asked.profile))) {
            Some((asked, None)) => Some(Word::Taken(asked.origin, asked.reply.usage, Said::Reply(asked.reply.clone()))),
            Some((_, Some(why))) => Some(anew(why)),
            None => Some(anew(self.why_other(scheduler, node, turn, last, sent))),
        }
    }

    fn on_call(&self, scheduler: &Scheduler, node: NodeIx, turn: Turn, ix: CallIx) -> Option<Word> {
        let state = &scheduler.state;
        if scheduler.reuse_of(node) != Reuse::Always {
            return None;
        }
        let activation = state.activations.get(&node)?;
        let call: &Call = activation.call(ix)?.call()?;
        let reply =
            activation.thread.iter().rev().find_map(|entry| if let Entry::Reply(reply) = entry { Some(reply) } else { None })?;
        let (origin, result) = self.result(&state.path(node), turn, reply, (ix, call))?;
        Some(Word::Taken(origin, Default::default(), Said::Result(result)))
    }

    fn on_tool(&self, scheduler: &Scheduler, node: NodeIx) -> Option<Word> {
        let NodeKind::Tool(tool) = &scheduler.state.node(node).kind else { return None };
        let policy = scheduler.reuse_of(node);
        if policy == Reuse::Never {
            return Some(anew("its file says `reuse: false`"));
        }
        let path = scheduler.state.path(node);
        let called = self.tools.get(&path).filter(|called| called.tool == tool.tool);
        let Some(called) = called else { return Some(anew(format!("{} did not succeed at {path} there", tool.tool))) };
        if scheduler.tool_args(node).ok().as_ref() != Some(&called.args) {
            return Some(anew("its arguments changed"));
        }
        match (policy, tool.effect) {
            (Reuse::Always, _) => Some(Word::Taken(called.origin, Default::default(), Said::Output(called.output.clone()))),
            (_, EffectClass::Read) => Some(anew("its tool looks again: what it reads may have changed")),
            (_, EffectClass::Idempotent) => {
                let why = Arc::from("its tool is called again, under the key that it had: what it sees may have changed");
                Some(Word::Anew(why, Some(called.origin)))
            }
            (_, EffectClass::Irreversible) => {
                Some(anew("its call is irreversible; `reuse: always` would take the result over without another one"))
            }
        }
    }

    /// Why a profile's models are not those that replied, where they are not.
    fn other_model(&self, scheduler: &Scheduler, profile: &Profile) -> Option<String> {
        let now = &scheduler.state.started;
        let names = std::iter::once(&profile.model).chain(&profile.fallback_models);
        let mut others = names.filter_map(|name| {
            let file = |started: &Started| model_digest(name, &started.sources);
            let meant = |started: &Started| started.models.get(name).cloned().unwrap_or_else(|| Arc::from("not on record"));
            if file(now) != file(&self.started) {
                return Some(format!("the text of {name} changed"));
            }
            let (is, was) = (meant(now), meant(&self.started));
            (is != was).then(|| format!("the model {name} is {is} now and was {was}"))
        });
        others.next()
    }

    /// Why a request is not the one that was sent.
    fn why_other(&self, scheduler: &Scheduler, node: NodeIx, turn: Turn, asked: &Asked, sent: Option<&RequestDigest>) -> String {
        let (Some(was), Some(is)) = (&asked.sent, sent) else {
            return "an earlier version ran that session, and did not record what was asked as this one does".to_owned();
        };
        match was.first_difference(is).map_or("words", |(part, ..)| part) {
            "profile" => self.profile_changed(scheduler, node, asked),
            "task" => "its task, or the turns it has left, changed".to_owned(),
            "input" => self.input_changed(scheduler, node),
            "context" => "what its team knows changed".to_owned(),
            "thread" => self.thread_changed(scheduler, node, turn),
            "tools" => "the tools that it may call changed".to_owned(),
            _ => "its prompt changed".to_owned(),
        }
    }

    fn profile_changed(&self, scheduler: &Scheduler, node: NodeIx, asked: &Asked) -> String {
        let json = |profile: &Profile| serde_json::to_value(profile).unwrap_or_default();
        let (was, is) = (json(&asked.profile), scheduler.member(node).map(|member| json(&member.profile)).unwrap_or_default());
        let fields = is.as_object().into_iter().flatten().filter(|(key, value)| was.get(key.as_str()) != Some(value));
        let names: Vec<&str> = fields.map(|(key, _)| key.as_str()).collect();
        format!("its profile changed: {}", names.join(", "))
    }

    /// Which of the nodes that it follows, or of the session's inputs, came to something else.
    fn input_changed(&self, scheduler: &Scheduler, node: NodeIx) -> String {
        let state = &scheduler.state;
        let others = state.followed(node).into_iter().map(|source| (state.path(source), state.output(source)));
        let others: Vec<_> =
            others.filter(|(path, output)| self.outputs.get(path) != Some(output)).map(|(path, _)| path).collect();
        if !others.is_empty() {
            return format!("its input changed: {} came to something else", others.join(", "));
        }
        let (is, was) = (&state.started.inputs, &self.started.inputs);
        let names: Vec<&str> = is
            .keys()
            .chain(was.keys().filter(|key| !is.contains_key(*key)))
            .filter(|key| is.get(*key) != was.get(*key))
            .map(String::as_str)
            .collect();
        if names.is_empty() {
            "its input changed".to_owned()
        } else {
            format!("the session's input changed: {}", names.join(", "))
        }
    }

    /// Which call of the turn before returned something else.
    fn thread_changed(&self, scheduler: &Scheduler, node: NodeIx, turn: Turn) -> String {
        let state = &scheduler.state;
        let before = turn.0.checked_sub(1).map(|before| (state.path(node), Turn(before)));
        let Some(asked) = before.and_then(|before| self.turns.get(&before)?.last()) else {
            return "what it was told before its first turn changed".to_owned();
        };
        let thread = state.activations.get(&node).map(|a| a.thread.as_slice()).unwrap_or_default();
        let returned = thread
            .iter()
            .rev()
            .map_while(|entry| if let Entry::Result { call, result } = entry { Some((call, result)) } else { None });
        let other = returned.filter(|(call, result)| {
            let ix = asked.reply.calls.iter().position(|own| own.id == call.id).and_then(|ix| u32::try_from(ix).ok());
            ix.and_then(|ix| asked.results.get(&CallIx(ix))).is_none_or(|was| was != *result)
        });
        match other.last() {
            Some((call, _)) => format!("{} returned something else", call.tool),
            None => "its conversation changed".to_owned(),
        }
    }
}

impl Scheduler {
    /// Whether an agent is offered tools of MCP servers.
    fn has_server_tools(&self, node: NodeIx) -> bool {
        let allowed = self.member(node).map(|member| self.tools.allowed(&member.profile)).unwrap_or_default();
        allowed.iter().any(|tool| tool.name.starts_with(OF_SERVERS))
    }

    /// The session under whose keys the idempotent calls of a node are made, where that is an earlier one.
    pub(super) fn keyed_by(&self, node: NodeIx, effect: EffectClass) -> Option<SessionId> {
        let taken = self.state.taken.get(&node).filter(|_| effect == EffectClass::Idempotent)?;
        let is_tool = matches!(self.state.node(node).kind, NodeKind::Tool(_));
        taken.session.filter(|_| is_tool || taken.anew.is_none())
    }
}

fn anew(why: impl AsRef<str>) -> Word {
    Word::Anew(Arc::from(why.as_ref()), None)
}
