//! How long is a conversation that grows turn by turn? [`Tally`] counts what is new in it and remembers the rest.
//!
//! What it says is what [`tokens`](super::tokens) says of the whole [`conversation`](super::conversation); a test holds the two
//! together. So it is no state: who lost it counts again.

use std::sync::Arc;

use super::{Spoken, conversation, first_message_of, fit, go_on, hear, house, names};
use crate::value::{Judge, Profile, Request, RuleError, ToolSpec, Value};

/// What was counted of an activation's conversation. The thread that it counts only ever grows.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// The first message, with what it was made of.
    first: Option<([Value; 10], Arc<str>)>,
    /// What stands beside the messages.
    fixed: Option<Fixed>,
    /// Entries of the thread that were counted.
    entries: usize,
    /// The tokens of the messages that no further entry can change.
    closed: u64,
    /// The others: what the agent said last, and what it was told since.
    open: Vec<Spoken>,
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
    /// Entries of the thread that it has counted.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// What of a request is the same at each turn, then what is new in it: the system prompt, the first message, what the agent said
    /// last and was told since.
    ///
    /// # Errors
    /// The profile's template cannot be rendered.
    pub fn news(&mut self, request: &Request, judge: &dyn Judge) -> Result<(Arc<str>, Arc<str>, &[Spoken]), RuleError> {
        let (system, first) = (self.fixed(request).system.clone(), self.first(request, judge)?);
        self.hear(request, judge);
        Ok((system, first, &self.open))
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
        let all = self.fixed(request).tokens + first + self.closed + open;
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

    /// Counts what is new in the thread.
    fn hear(&mut self, request: &Request, judge: &dyn Judge) {
        if self.entries > request.thread.len() {
            (self.entries, self.closed, self.open) = (0, 0, Vec::new());
        }
        // The first message stands before all of them, for what is told at once to be added to it.
        if self.open.is_empty() {
            self.open.push(Spoken::Told(Vec::new()));
        }
        for entry in &request.thread[self.entries..] {
            hear(&mut self.open, std::slice::from_ref(entry), request, judge);
            let said = self.open.iter().rposition(|message| matches!(message, Spoken::Said { .. })).unwrap_or(0);
            self.closed += self.open.drain(..said).map(|message| fit::of_message(&message)).sum::<u64>();
        }
        self.entries = request.thread.len();
    }
}
