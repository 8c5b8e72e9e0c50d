//! Who does what right now? A live view on a terminal, plain lines elsewhere, both on stderr.

use std::{
    collections::BTreeMap,
    io::IsTerminal,
    sync::Arc,
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{Global, Outcome, run::conclude};
use crate::{
    engine::{Engine, SessionHandle},
    event::{Event, Outcome as NodeOutcome, Record, TurnEnd},
    graph::NodeKind,
    state::State,
    store::Store,
    value::{NodeIx, Seq, SessionId},
};

/// How often a spinner turns.
const TICK: Duration = Duration::from_millis(120);
/// Spinners at most; further nodes are not shown while they run.
const SPINNERS: usize = 12;

/// How long the words of a node are apart where each is a line of its own.
const WORDS_APART: Duration = Duration::from_secs(10);

/// Follows a session to its end, ends the servers that it used and prints what came of it. Ctrl-C breaks it off; a second one ends the process.
pub(super) async fn follow(engine: &Engine, mut handle: SessionHandle, global: &Global) -> Outcome {
    let events = handle.events();
    let session = handle.session();
    if !global.quiet {
        eprintln!("session {session}");
    }
    let watcher = (!global.quiet).then(|| tokio::spawn(watch(events, handle.words(), engine.store().clone(), session)));
    let interrupt = handle.interrupter();
    let signals = tokio::spawn(async move {
        if signal().await {
            interrupt.cancel();
            if signal().await {
                #[expect(
                    clippy::exit,
                    reason = "whoever presses Ctrl-C twice wants out now; the journal holds what was acknowledged"
                )]
                std::process::exit(super::Exit::Interrupted as i32);
            }
        }
    });
    let ended = handle.wait().await;
    signals.abort();
    if let Some(watcher) = watcher {
        // The session has ended, and with it its events: the watcher ends by itself.
        let _ = watcher.await;
    }
    engine.close().await;
    conclude(&ended?, global)
}

/// Waits for Ctrl-C or a polite request to end. False when neither can be heard.
pub(super) async fn signal() -> bool {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut term) = signal(SignalKind::terminate()) else { return tokio::signal::ctrl_c().await.is_ok() };
        tokio::select! {
            heard = tokio::signal::ctrl_c() => heard.is_ok(),
            heard = term.recv() => heard.is_some(),
        }
    }
    #[cfg(not(unix))]
    {
        tokio::signal::ctrl_c().await.is_ok()
    }
}

async fn watch(mut events: Receiver<Arc<Record>>, mut words: Receiver<Arc<str>>, store: Arc<dyn Store>, session: SessionId) {
    let mut view = View::new();
    loop {
        let event = tokio::select! {
            biased;
            event = events.recv() => event,
            Ok(word) = words.recv() => {
                view.hear(&word);
                continue;
            }
        };
        match event {
            Ok(record) => {
                if !view.follows(&record) {
                    // A resumed session, or a gap: what was not seen here is in the journal.
                    let (store, before) = (store.clone(), record.seq);
                    let read = move || State::fold(&store.read_all(session).ok()?[..before.index()]).ok();
                    view.state = tokio::task::spawn_blocking(read).await.ok().flatten();
                }
                view.see(&record);
            }
            Err(RecvError::Lagged(_)) => view.state = None,
            Err(RecvError::Closed) => break,
        }
    }
    view.close();
}

/// The view folds the records for itself, so that it can name nodes.
struct View {
    state: Option<State>,
    bars: Option<MultiProgress>,
    spinners: BTreeMap<NodeIx, ProgressBar>,
    /// When a word of a node was last shown as a line.
    heard: BTreeMap<String, Instant>,
}

impl View {
    fn new() -> Self {
        let bars = std::io::stderr().is_terminal().then(MultiProgress::new);
        Self { state: None, bars, spinners: BTreeMap::new(), heard: BTreeMap::new() }
    }

    /// Whether the state is that before `record`.
    fn follows(&self, record: &Record) -> bool {
        self.state.is_some() || record.seq == Seq(0)
    }

    fn see(&mut self, record: &Record) {
        let Some(state) = &mut self.state else {
            // What cannot be folded is not shown: this is a view, and the driver says what is wrong.
            self.state = State::start(record).ok();
            return;
        };
        if state.apply(record).is_ok() {
            self.show(record);
        } else {
            self.state = None;
        }
    }

    fn show(&mut self, record: &Record) {
        let Some(state) = &self.state else { return };
        match &record.event {
            Event::Resumed { .. } => {
                let all = (0..state.nodes.len()).filter_map(|ix| u32::try_from(ix).ok().map(NodeIx));
                let is_work = |ix: &NodeIx| matches!(state.node(*ix).kind, NodeKind::Agent(_) | NodeKind::Tool(_));
                let at_work = all.filter(|ix| is_work(ix) && state.nodes[ix.index()].attempt > 0 && state.outcome(*ix).is_none());
                let names: Vec<_> = at_work.map(|node| (node, state.path(node))).collect();
                for (node, path) in names {
                    self.start(node, &format!("{path} (resumed)"));
                }
            }
            Event::NodeStarted { node, attempt, .. } => {
                let path = state.path(*node);
                let again = if *attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
                self.start(*node, &format!("{path}{again}"));
            }
            Event::TurnStarted { node, turn, .. } => self.update(*node, &format!("turn {}", turn.0 + 1)),
            Event::TurnEnded { node, end: TurnEnd::Reply(reply), .. } if !reply.calls.is_empty() => {
                let tools: Vec<&str> = reply.calls.iter().map(|c| c.tool.as_ref()).collect();
                self.update(*node, &tools.join(", "));
            }
            Event::Found { finding, .. } => {
                let line = format!("{} found ({:.2}): {}", finding.agent, finding.confidence, finding.claim);
                self.say(&line);
            }
            Event::Decided { decision, .. } => {
                let line = format!("decided on {}: {} ({})", decision.topic, decision.outcome, decision.rule);
                self.say(&line);
            }
            Event::Escalated { reason, to, .. } => {
                let line = format!("escalated to {to:?}: {reason}").to_lowercase();
                self.say(&line);
            }
            Event::Asked(ask) => {
                let to = ask.to.as_ref().map_or_else(String::new, |to| format!(" of {to}"));
                let line = format!("q{} asked{to}: {}", ask.id, ask.question);
                self.say(&line);
            }
            Event::AskMoved { ask, to, .. } => {
                let line = format!("q{ask} was not answered in time and goes to {to}");
                self.say(&line);
            }
            Event::NodeRetried { node, failure, .. } => {
                let line = format!("{} failed and is tried again: {failure}", state.path(*node));
                self.say(&line);
            }
            Event::NodeEnded { node, outcome } => self.end(*node, outcome),
            _ => {}
        }
    }

    /// A tool says how far it is: beside the spinner of its node, and elsewhere as a line, once in a while.
    fn hear(&mut self, word: &str) {
        let Some((path, what)) = word.split_once(": ") else { return };
        if self.bars.is_some() {
            let named = |node: &NodeIx| self.state.as_ref().is_some_and(|state| *state.path(*node) == *path);
            let node = self.spinners.keys().copied().find(named);
            return node.into_iter().for_each(|node| self.update(node, what));
        }
        if self.heard.get(path).is_none_or(|last| last.elapsed() >= WORDS_APART) {
            self.heard.insert(path.to_owned(), Instant::now());
            self.say(word);
        }
    }

    fn start(&mut self, node: NodeIx, name: &str) {
        let Some(bars) = &self.bars else { return eprintln!("{name} started") };
        if self.spinners.len() >= SPINNERS {
            return;
        }
        let style = ProgressStyle::with_template("{spinner} {prefix} {wide_msg} {elapsed}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = bars.add(ProgressBar::new_spinner().with_style(style).with_prefix(name.to_owned()));
        bar.enable_steady_tick(TICK);
        self.spinners.insert(node, bar);
    }

    fn update(&self, node: NodeIx, what: &str) {
        if let Some(bar) = self.spinners.get(&node) {
            bar.set_message(what.to_owned());
        }
    }

    fn end(&mut self, node: NodeIx, outcome: &NodeOutcome) {
        let Some(state) = &self.state else { return };
        let is_work = matches!(state.node(node).kind, NodeKind::Agent(_) | NodeKind::Tool(_));
        let line = match outcome {
            NodeOutcome::Failed(failure) => Some(format!("{} failed: {failure}", state.path(node))),
            NodeOutcome::Ok(_) if is_work => Some(format!("{} done", state.path(node))),
            NodeOutcome::Cancelled if is_work => Some(format!("{} cancelled", state.path(node))),
            NodeOutcome::Ok(_) | NodeOutcome::Skipped(_) | NodeOutcome::Cancelled => None,
        };
        if let Some(bar) = self.spinners.remove(&node) {
            bar.finish_and_clear();
        }
        if let Some(line) = line {
            self.say(&line);
        }
    }

    fn say(&self, line: &str) {
        match &self.bars {
            // The terminal may be gone; the journal has everything.
            Some(bars) => drop(bars.println(line)),
            None => eprintln!("{line}"),
        }
    }

    fn close(&mut self) {
        for (_, bar) in std::mem::take(&mut self.spinners) {
            bar.finish_and_clear();
        }
    }
}
