//! How long is a conversation that grows turn by turn, and what is its digest? [`Tally`] takes in what is new and remembers the rest.
//!
//! The length that it says is what [`tokens`](super::tokens) says of the whole [`conversation`](super::conversation); a test holds the two
//! together. So it is no state: who lost it counts again.

use std::sync::Arc;

use super::{Spoken, Told, conversation, first_message_of, fit, go_on, hear, house, names};
use crate::value::{Judge, Profile, Request, RuleError, ToolSpec, Value};

/// What was counted of an activation's conversation. The thread that it counts only ever grows.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// The first message, with what it was made of.
    first: Option<([Value; 10], Arc<str>)>,
    /// What stands beside the messages.
    fixed: Option<Fixed>,
    /// Entries of the thread that were read, and the digest of all of them.
    read: (usize, Chain),
    /// Entries of the thread that were put into words.
    heard: usize,
    /// Of the messages that no further entry can change: the tokens, and the digest of their words.
    closed: (u64, Chain),
    /// The others: what the agent said last, and what it was told since.
    open: Vec<Spoken>,
}

/// The digest of a growing list: of the digest before and what was added.
#[derive(Clone, Copy, Debug, Default)]
struct Chain([u8; 32]);

impl Chain {
    fn add(&mut self, bytes: &[u8]) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0).update(bytes);
        self.0 = *hasher.finalize().as_bytes();
    }
}

/// What is sent beside the messages, the same at each turn of an activation.
#[derive(Clone, Debug)]
struct Fixed {
    profile: Arc<Profile>,
    phase: Arc<str>,
    tools: Vec<Arc<ToolSpec>>,
    system: Arc<str>,
    tokens: u64,
}

impl Fixed {
    fn of(request: &Request) -> Self {
        let system = house::system(request);
        Self {
            profile: request.profile.clone(),
            phase: request.phase.clone(),
            tools: request.tools.clone(),
            tokens: fit::fixed(&system, &house::tools(request), house::schema(request).as_ref()),
            system: Arc::from(system),
        }
    }

    fn is_of(&self, request: &Request) -> bool {
        let same = self.tools.len() == request.tools.len();
        let same = same && self.tools.iter().zip(&request.tools).all(|(one, other)| Arc::ptr_eq(one, other));
        same && self.phase == request.phase && Arc::ptr_eq(&self.profile, &request.profile)
    }
}

impl Tally {
    /// Entries of the thread that it has taken in.
    pub fn entries(&self) -> usize {
        self.read.0.max(self.heard)
    }

    /// The digest of a request's thread.
    pub fn thread(&mut self, request: &Request) -> [u8; 32] {
        self.fits(request);
        let (read, chain) = &mut self.read;
        for entry in &request.thread[*read..] {
            // What has no JSON would have none in a replay either.
            chain.add(&serde_json::to_vec(entry).unwrap_or_default());
        }
        *read = request.thread.len();
        chain.0
    }

    /// The digest of the words of a request, all but what it ends with.
    ///
    /// # Errors
    /// The profile's template cannot be rendered.
    pub fn words(&mut self, request: &Request, judge: &dyn Judge) -> Result<[u8; 32], RuleError> {
        let (system, first) = (self.fixed(request).system.clone(), self.first(request, judge)?);
        self.hear(request, judge);
        let mut all = self.closed.1;
        self.open.iter().for_each(|message| say(&mut all, message));
        all.add(system.as_bytes());
        all.add(first.as_bytes());
        Ok(all.0)
    }

    /// About how many tokens the conversation of a request has, results left out where it has more than `room`.
    ///
    /// # Errors
    /// The profile's template cannot be rendered.
    pub fn tokens(&mut self, request: &Request, judge: &dyn Judge, room: u64) -> Result<u64, RuleError> {
        let first = fit::of_text(&self.first(request, judge)?);
        self.hear(request, judge);
        let mut open = self.open.clone();
        go_on(&mut open, request);
        let open: u64 = open.iter().map(fit::of_message).sum();
        let all = self.fixed(request).tokens + first + self.closed.0 + open;
        if all <= room { Ok(all) } else { conversation(request, judge, Some(room)).map(|whole| super::tokens(&whole)) }
    }

    fn fixed(&mut self, request: &Request) -> &Fixed {
        let known = self.fixed.take().filter(|fixed| fixed.is_of(request));
        self.fixed.insert(known.unwrap_or_else(|| Fixed::of(request)))
    }

    /// The first message of a request, made again only where something in it is another.
    fn first(&mut self, request: &Request, judge: &dyn Judge) -> Result<Arc<str>, RuleError> {
        let values = names(request);
        if let Some((_, text)) = self.first.as_ref().filter(|(made_of, _)| *made_of == values) {
            return Ok(text.clone());
        }
        let text: Arc<str> = Arc::from(first_message_of(request, &values, judge)?);
        self.first = Some((values, text.clone()));
        Ok(text)
    }

    /// A thread that is shorter than what was taken in is another one.
    fn fits(&mut self, request: &Request) {
        if self.entries() > request.thread.len() {
            *self = Self { first: self.first.take(), fixed: self.fixed.take(), ..Self::default() };
        }
    }

    /// Puts what is new in the thread into words.
    fn hear(&mut self, request: &Request, judge: &dyn Judge) {
        self.fits(request);
        // The first message stands before all of them, for what is told at once to be added to it.
        if self.open.is_empty() {
            self.open.push(Spoken::Told(Vec::new()));
        }
        let (tokens, said) = &mut self.closed;
        for entry in &request.thread[self.heard..] {
            hear(&mut self.open, std::slice::from_ref(entry), request, judge);
            let last = self.open.iter().rposition(|message| matches!(message, Spoken::Said { .. })).unwrap_or(0);
            for message in self.open.drain(..last) {
                *tokens += fit::of_message(&message);
                say(said, &message);
            }
        }
        self.heard = request.thread.len();
    }
}

/// Adds the words of a message; what an agent called stands in its thread.
fn say(said: &mut Chain, message: &Spoken) {
    match message {
        Spoken::Told(told) => told.iter().for_each(|part| match part {
            Told::Result { text, .. } | Told::Known(text) | Told::Text(text) => said.add(text.as_bytes()),
        }),
        Spoken::Said { text, .. } => said.add(text.as_deref().unwrap_or_default().as_bytes()),
    }
}
