//! How long is a conversation that grows turn by turn, and what is its digest? [`Tally`] takes in what is new and remembers the rest.
//!
//! The length that it says is what [`tokens`](super::tokens) says of the whole [`conversation`](super::conversation); a test holds the two
//! together. So it is no state: who lost it counts again.

use std::sync::Arc;

use blake3::Hash;
use serde::Serialize;

use super::{Letters, Spoken, Told, add, conversation, first_message, fit, go_on, house, own_finding};
use crate::value::{Entry, Judge, Map, Profile, Request, Role, RuleError, ToolSpec, Value};

/// What the names of MCP servers' tools begin with. What a server offers is its own affair and is not on the machine of a replay.
const OF_SERVERS: &str = "mcp__";

/// What was counted of an activation's conversation. The thread that it counts only ever grows.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// What others read as well.
    letters: Arc<Letters>,
    /// What stands beside the messages.
    fixed: Option<Fixed>,
    /// What the thread begins with.
    given: Option<Given>,
    /// Entries of the thread in which findings of the agent's own were looked for, and how many there are.
    found: (usize, usize),
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
    /// Of the profile and of the tools.
    digests: [Hash; 2],
}

/// What an agent is told before all else. It rarely changes from turn to turn.
#[derive(Clone, Debug)]
struct Given {
    role: Role,
    node: Arc<str>,
    task: Arc<str>,
    input: Value,
    inputs: Arc<Map>,
    context: Value,
    /// How many findings of the agent's own its thread has: they are left out of the context.
    found: usize,
    /// Of input and inputs, and of the context.
    digests: [Hash; 2],
    /// In words, once these were wanted.
    first: Option<Arc<str>>,
}

impl Given {
    fn of(request: &Request, found: usize) -> Self {
        Self {
            role: request.role.clone(),
            node: request.node.clone(),
            task: request.task.clone(),
            input: request.input.clone(),
            inputs: request.inputs.clone(),
            context: request.context.clone(),
            found,
            digests: [of_json(&(&request.input, &request.inputs)), of_json(&request.context)],
            first: None,
        }
    }

    fn is_of(&self, request: &Request, found: usize) -> bool {
        // The default prompt does not name the node, which is another whenever a member of a circle is woken.
        let same_node = request.profile.prompt_template.is_none() || self.node == request.node;
        let who = self.role == request.role && same_node && self.task == request.task;
        let same_inputs = Arc::ptr_eq(&self.inputs, &request.inputs) || self.inputs == request.inputs;
        who && self.found == found && same_inputs && self.input == request.input && self.context == request.context
    }
}

/// The digest of a part of a request, as JSON.
pub fn of_json(part: &impl Serialize) -> Hash {
    // What has no JSON would have none in a replay either.
    blake3::hash(&serde_json::to_vec(part).unwrap_or_default())
}

impl Fixed {
    fn of(request: &Request) -> Self {
        let system = house::system(request);
        let own: Vec<_> = request.tools.iter().filter(|tool| !tool.name.starts_with(OF_SERVERS)).collect();
        Self {
            digests: [of_json(&request.profile), of_json(&own)],
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
    /// Of an agent that shares its letters with others.
    pub fn sharing(letters: Arc<Letters>) -> Self {
        Self { letters, ..Self::default() }
    }

    /// Entries of the thread that it has taken in.
    pub fn entries(&self) -> usize {
        self.read.0.max(self.heard).max(self.found.0)
    }

    /// The digests of a request's profile and tools.
    pub fn of_kind(&mut self, request: &Request) -> [Hash; 2] {
        self.fixed(request).digests
    }

    /// The digests of what a request is given: input and inputs, and the context.
    pub fn of_given(&mut self, request: &Request) -> [Hash; 2] {
        self.given(request).digests
    }

    /// The digest of a request's thread.
    pub fn thread(&mut self, request: &Request) -> [u8; 32] {
        self.fits(request);
        let (read, chain) = &mut self.read;
        for entry in &request.thread[*read..] {
            chain.add(&json(entry, &self.letters));
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
        if known.is_none()
            && let Some(given) = &mut self.given
        {
            // Profile, phase and tools stand in the first message too.
            given.first = None;
        }
        self.fixed.insert(known.unwrap_or_else(|| Fixed::of(request)))
    }

    fn given(&mut self, request: &Request) -> &mut Given {
        self.fits(request);
        let (looked, found) = &mut self.found;
        *found += request.thread[*looked..].iter().filter(|entry| own_finding(entry).is_some()).count();
        *looked = request.thread.len();
        let found = *found;
        let known = self.given.take().filter(|given| given.is_of(request, found));
        self.given.insert(known.unwrap_or_else(|| Given::of(request, found)))
    }

    /// The first message of a request, made again only where something in it is another.
    fn first(&mut self, request: &Request, judge: &dyn Judge) -> Result<Arc<str>, RuleError> {
        self.fixed(request);
        let given = self.given(request);
        if let Some(text) = &given.first {
            return Ok(text.clone());
        }
        let text: Arc<str> = Arc::from(first_message(request, judge)?);
        given.first = Some(text.clone());
        Ok(text)
    }

    /// A thread that is shorter than what was taken in is another one.
    fn fits(&mut self, request: &Request) {
        if self.entries() > request.thread.len() {
            *self = Self { fixed: self.fixed.take(), ..Self::sharing(self.letters.clone()) };
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
        let letters = &self.letters;
        for entry in &request.thread[self.heard..] {
            add(&mut self.open, entry, &|message, text| letters.say(message, request, judge, text));
            let last = self.open.iter().rposition(|message| matches!(message, Spoken::Said { .. })).unwrap_or(0);
            for message in self.open.drain(..last) {
                *tokens += fit::of_message(&message);
                say(said, &message);
            }
        }
        self.heard = request.thread.len();
    }
}

/// An entry of a thread as JSON.
pub(super) fn json(entry: &Entry, letters: &Letters) -> Vec<u8> {
    let Entry::Mail(mail) = entry else { return serde_json::to_vec(entry).unwrap_or_default() };
    // An entry without letters ends with the list that they stand in.
    let mut bytes = serde_json::to_vec(&Entry::Mail(Arc::default())).unwrap_or_default();
    let end = bytes.split_off(bytes.len().saturating_sub(END.len()));
    for (nth, message) in mail.iter().enumerate() {
        if nth > 0 {
            bytes.push(b',');
        }
        letters.write(message, &mut bytes);
    }
    bytes.extend(end);
    bytes
}

/// What an entry of letters ends with, as JSON.
const END: &[u8] = b"]}";

/// Adds the words of a message; what an agent called stands in its thread.
fn say(said: &mut Chain, message: &Spoken) {
    match message {
        Spoken::Told(told) => told.iter().for_each(|part| match part {
            Told::Result { text, .. } | Told::Known(text) | Told::Text(text) => said.add(text.as_bytes()),
        }),
        Spoken::Said { text, .. } => said.add(text.as_deref().unwrap_or_default().as_bytes()),
    }
}
