//! How does a session move? One task: inputs in, records to the store, effects out.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{broadcast, mpsc},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    Ended, EngineError, Inner, SessionHandle, blocking,
    perform::{Means, Performer},
};
use crate::{
    event::{Input, Record, Status},
    report::Report,
    schedule::{Scheduler, Step},
    store::{Claim, Closing, InboxItem, MailId, Release, Ticket},
    tool::Progress,
    value::{Epoch, SessionId, Timestamp},
};

/// Inputs that one step takes at most.
const BATCH: usize = 1_024;
/// Records that a slow follower may be behind before it misses some.
const EVENTS_KEPT: usize = 4_096;
/// Words of progress that are kept for a slow follower.
const WORDS_KEPT: usize = 64;
/// How often the inbox for other processes is read.
const POLL: Duration = Duration::from_millis(400);
/// The longest sleep without a look at the clock: a machine that was suspended, or whose clock was set, catches up.
const NAP: Duration = Duration::from_secs(30);

/// How a drive begins.
pub(super) enum First {
    /// With the first step of a new session.
    Step(Step),
    /// With what is outstanding, under this claim.
    Resume(Epoch),
}

/// Drives a session in a task of its own.
pub(super) fn spawn(
    inner: Arc<Inner>,
    session: SessionId,
    claim: Claim,
    scheduler: Scheduler,
    first: First,
    means: Means,
) -> SessionHandle {
    let (inbox, inputs) = mpsc::unbounded_channel();
    let (events, follower) = broadcast::channel(EVENTS_KEPT);
    let (words, _) = broadcast::channel::<Arc<str>>(WORDS_KEPT);
    let interrupt = CancellationToken::new();
    let heard = words.clone();
    let progress = Progress::to(move |word| {
        // Nobody may be listening.
        let _ = heard.send(Arc::from(word));
    });
    let performer = Performer::new(session, means, inbox.clone(), progress);
    let drive = Drive {
        inner,
        claim: Some(claim),
        scheduler,
        performer,
        inputs,
        events: events.clone(),
        interrupt: interrupt.clone(),
        ticket: None,
        mail: Vec::new(),
    };
    let task = tokio::spawn(drive.run(first));
    SessionHandle { session, inbox, events, words, first: Some(follower), interrupt, task }
}

struct Drive {
    inner: Arc<Inner>,
    /// Present until the session is released.
    claim: Option<Claim>,
    scheduler: Scheduler,
    performer: Performer,
    inputs: mpsc::UnboundedReceiver<Input>,
    events: broadcast::Sender<Arc<Record>>,
    interrupt: CancellationToken,
    ticket: Option<Ticket>,
    mail: Vec<MailId>,
}

impl Drive {
    async fn run(mut self, mut first: First) -> Result<Ended, EngineError> {
        loop {
            let outcome = self.work(first).await;
            self.performer.stop_all();
            let status = outcome?;
            let release = self.release(status).await?;
            // While the index is written.
            let report = self.report().await?;
            let waiting = match release {
                Some(release) => release.durable().await?,
                None => false,
            };
            if !waiting || status != Status::Parked {
                return Ok(Ended { status, report: Arc::new(report) });
            }
            let (store, session) = (self.inner.store.clone(), self.performer.session);
            let claim = blocking(move || store.claim(session)).await??;
            first = First::Resume(claim.epoch());
            self.claim = Some(claim);
        }
    }

    async fn work(&mut self, first: First) -> Result<Status, EngineError> {
        match first {
            // Nobody has left anything for it yet.
            First::Step(step) => self.carry_out(step)?,
            First::Resume(epoch) => {
                if self.is_over() {
                    return Ok(self.scheduler.state().status());
                }
                let step = self.scheduler.on(self.now(), [Input::Resume { epoch }])?;
                let ticket = self.keep(step)?;
                for effect in self.scheduler.outstanding() {
                    self.performer.perform(effect, ticket.as_ref());
                }
                self.read_mail().await?;
            }
        }
        let mut batch = Vec::new();
        let mut poll = tokio::time::interval_at(Instant::now() + POLL, POLL);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            if self.is_over() {
                return Ok(self.scheduler.state().status());
            }
            if self.scheduler.state().parked {
                self.read_mail().await?;
                if self.scheduler.state().parked {
                    return Ok(Status::Parked);
                }
                continue;
            }
            let next = self.scheduler.next_timer();
            let sleep = self.until(next);
            tokio::select! {
                biased;
                () = self.interrupt.cancelled() => return Ok(self.scheduler.state().status()),
                count = self.inputs.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        return Err(EngineError::Broken("its inbox closed".to_owned()));
                    }
                    for input in &batch {
                        self.performer.landed(input);
                    }
                    self.step(std::mem::take(&mut batch))?;
                }
                () = tokio::time::sleep(sleep) => self.step(vec![Input::Tick])?,
                _ = poll.tick() => self.read_mail().await?,
            }
        }
    }

    fn is_over(&self) -> bool {
        self.scheduler.state().finished.is_some()
    }

    fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    fn until(&self, timer: Option<Timestamp>) -> Duration {
        timer.map_or(NAP, |at| at.since(self.now()).min(NAP).max(Duration::from_micros(100)))
    }

    fn step(&mut self, inputs: Vec<Input>) -> Result<(), EngineError> {
        let step = self.scheduler.on(self.now(), inputs)?;
        self.carry_out(step)
    }

    fn carry_out(&mut self, mut step: Step) -> Result<(), EngineError> {
        let effects = std::mem::take(&mut step.effects);
        let ticket = self.keep(step)?;
        for effect in effects {
            self.performer.perform(effect, ticket.as_ref());
        }
        Ok(())
    }

    /// Appends the records of a step and shows them to whoever follows.
    fn keep(&mut self, step: Step) -> Result<Option<Ticket>, EngineError> {
        if let (Some(first), Some(claim)) = (step.records.first(), &self.claim) {
            self.ticket = Some(self.inner.store.append(claim, first.seq, &step.records)?);
            if self.events.receiver_count() > 0 {
                for record in step.records {
                    // Nobody may be following any more.
                    let _ = self.events.send(Arc::new(record));
                }
            }
        }
        Ok(self.ticket.clone())
    }

    /// Takes what other processes left for this session.
    async fn read_mail(&mut self) -> Result<(), EngineError> {
        let Some(claim) = self.claim.take() else { return Ok(()) };
        let store = self.inner.store.clone();
        let (claim, mail) = blocking(move || {
            let mail = store.poll(&claim);
            (claim, mail)
        })
        .await?;
        self.claim = Some(claim);
        let mail = mail?;
        if mail.is_empty() {
            return Ok(());
        }
        let mut inputs = Vec::new();
        for letter in mail {
            self.mail.push(letter.id);
            inputs.push(match letter.item {
                InboxItem::Answer { ask, value, by, .. } => Input::Answered { ask, value, by },
                InboxItem::Cancel { by, reason, .. } => Input::Cancel { by, reason },
            });
        }
        self.step(inputs)?;
        if let (Some(claim), Some(ticket)) = (&self.claim, &self.ticket) {
            for id in self.mail.drain(..) {
                self.inner.store.ack(claim, id, ticket.clone());
            }
        }
        Ok(())
    }

    /// Waits until everything is durable and gives the session back. What comes of that says whether something was left for it meanwhile.
    async fn release(&mut self, status: Status) -> Result<Option<Release>, EngineError> {
        if let Some(ticket) = self.ticket.take() {
            ticket.durable().await?;
        }
        let Some(claim) = self.claim.take() else { return Ok(None) };
        let at = self.scheduler.state().now;
        Ok(Some(self.inner.store.release(claim, Closing { status, at })))
    }

    /// What came of the session.
    async fn report(&self) -> Result<Report, EngineError> {
        let (store, session) = (self.inner.store.clone(), self.performer.session);
        blocking(move || -> Result<Report, EngineError> { Ok(Report::of(&store.read_all(session)?)?) }).await?
    }
}
