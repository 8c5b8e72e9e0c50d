//! How does a session move? One task: inputs in, records to the store, effects out.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    Ended, EngineError, Inner, SessionHandle, blocking,
    claimed::Claimed,
    followers::{Ear, Followers},
    inbox::{Hearing, Inbox},
    perform::{Means, Performer},
    publish::Publisher,
};
use crate::{
    event::{Input, Record, Status},
    report::Report,
    schedule::{Scheduler, Step},
    store::{AppendError, ClaimError, Closing, InboxItem, Mail, MailId, Release, Ticket},
    tool::Progress,
    value::{Epoch, SessionId, Timestamp},
};

/// Inputs that one step takes at most.
const BATCH: usize = 1_024;
/// Records of a session that are kept for its report. Of a longer one they are read again at its end.
const KEPT: usize = 32;
/// How often the inbox is read before its failure ends the drive, and the pause in between: what hinders that is often over in a moment.
const LOOKS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(100);
/// The longest sleep without a look at the clock while a timer runs: a machine that was suspended, or whose clock was set, catches up.
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
    claim: Claimed,
    scheduler: Scheduler,
    first: First,
    means: Means,
) -> SessionHandle {
    let (inbox, hearing) = Inbox::new();
    let followers = Arc::new(Followers::new());
    let interrupt = CancellationToken::new();
    let heard = followers.clone();
    let env = inner.env.clone();
    let progress = Progress::to(move |word| heard.say(Arc::from(env.redactor().text(word))));
    let max_parallel = scheduler.state().started.plan.max_parallel;
    let performer = Performer::new(session, means, inbox.clone(), progress, max_parallel);
    let (clock, env) = (inner.clock.clone(), inner.env.clone());
    let drive = Box::new(Drive {
        inner,
        claim: Some(claim),
        scheduler,
        performer,
        hearing,
        publisher: Publisher::new(followers.clone()),
        interrupt: interrupt.clone(),
        ticket: None,
        kept: matches!(first, First::Step(_)).then(Vec::new),
        mail: Vec::new(),
    });
    let task = tokio::spawn(drive.run(first));
    SessionHandle { session, inbox, clock, env, followers: Ear(followers), interrupt, task }
}

struct Drive {
    inner: Arc<Inner>,
    /// Present until the session is released.
    claim: Option<Claimed>,
    scheduler: Scheduler,
    performer: Performer,
    hearing: Hearing,
    publisher: Publisher,
    interrupt: CancellationToken,
    ticket: Option<Ticket>,
    /// All records of the session, while they are few: most sessions of a batch are short, and a journal is not read for nothing.
    kept: Option<Vec<Arc<Record>>>,
    mail: Vec<MailId>,
}

impl Drive {
    async fn run(mut self: Box<Self>, mut first: First) -> Result<Ended, EngineError> {
        loop {
            let outcome = self.work(first).await;
            self.performer.stop_all();
            let shown = self.publisher.finish().await;
            let status = match outcome {
                // Of what waited behind an append that failed nothing is known but that the claim is dead; the first one says why.
                Err(fenced @ EngineError::Append(AppendError::Fenced { .. })) => return Err(shown.err().unwrap_or(fenced)),
                outcome => outcome?,
            };
            shown?;
            let release = self.release(status).await?;
            // While the index is written.
            let report = Arc::new(self.report().await?);
            let waiting = match release {
                Some(release) => release.durable().await?,
                None => false,
            };
            if status != Status::Parked || (!waiting && !self.hearing.is_spoken_to()) {
                return Ok(Ended { status, report });
            }
            let (store, session, at) = (self.inner.store.clone(), self.performer.session, self.now());
            let claim = match blocking(move || Claimed::take(store, session, at)).await? {
                Ok(claim) => claim,
                // Whoever left something goes on with it.
                Err(ClaimError::Owned { .. } | ClaimError::Raced(_)) => return Ok(Ended { status, report }),
                Err(error) => return Err(error.into()),
            };
            first = First::Resume(claim.epoch());
            self.claim = Some(claim);
        }
    }

    async fn work(&mut self, first: First) -> Result<Status, EngineError> {
        match first {
            First::Step(step) => self.carry_out(step)?,
            First::Resume(epoch) => {
                if self.is_over() {
                    return Ok(self.scheduler.state().status());
                }
                let mut inputs = vec![Input::Resume { epoch }];
                inputs.extend(self.mail().await?);
                inputs.push(Input::Tick);
                let step = self.scheduler.on(self.now(), inputs)?;
                let ticket = self.keep(step)?;
                self.acknowledge();
                for effect in self.scheduler.outstanding() {
                    self.performer.perform(effect, ticket.as_ref());
                }
            }
        }
        loop {
            if self.is_over() {
                return Ok(self.scheduler.state().status());
            }
            if self.scheduler.state().parked {
                let (mut inputs, mail) = (self.hearing.take(BATCH), self.mail().await?);
                inputs.extend(mail);
                if !inputs.is_empty() {
                    self.step(inputs).await?;
                    continue;
                }
                if self.scheduler.state().notices.is_empty() {
                    return Ok(Status::Parked);
                }
            }
            let next = self.scheduler.next_timer();
            let sleep = self.until(next);
            let mut inputs = Vec::new();
            tokio::select! {
                biased;
                () = self.interrupt.cancelled() => return Ok(self.scheduler.state().status()),
                error = self.publisher.failed() => return Err(error),
                () = rung(self.claim.as_ref()) => inputs = self.mail().await?,
                () = self.hearing.filled() => {}
                () = tokio::time::sleep(sleep), if next.is_some() => inputs.push(Input::Tick),
            }
            inputs.extend(self.hearing.take(BATCH));
            if !inputs.is_empty() {
                self.step(inputs).await?;
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

    /// Takes inputs. Before a question lapses the mail is read: an answer that was given in time may wait there.
    async fn step(&mut self, mut inputs: Vec<Input>) -> Result<(), EngineError> {
        if self.scheduler.next_deadline().is_some_and(|deadline| deadline <= self.now()) {
            inputs.extend(self.mail().await?);
        }
        inputs.sort_by_key(|input| !matches!(input, Input::Answered { .. }));
        for input in &inputs {
            self.performer.landed(input);
        }
        let step = self.scheduler.on(self.now(), inputs)?;
        self.carry_out(step)?;
        self.acknowledge();
        Ok(())
    }

    fn carry_out(&mut self, mut step: Step) -> Result<(), EngineError> {
        let effects = std::mem::take(&mut step.effects);
        let ticket = self.keep(step)?;
        for effect in effects {
            self.performer.perform(effect, ticket.as_ref());
        }
        Ok(())
    }

    /// Appends the records of a step; they are shown to whoever follows once they are durable.
    fn keep(&mut self, step: Step) -> Result<Option<Ticket>, EngineError> {
        if let (Some(first), Some(claim)) = (step.records.first(), &self.claim) {
            let appended = self.inner.store.append(claim.get(), first.seq, &step.records);
            // A claim dies of an earlier append, whose ticket says why.
            let ticket = appended.map_err(|fenced| match self.ticket.as_ref().and_then(Ticket::outcome) {
                Some(Err(earlier)) => earlier,
                Some(Ok(())) | None => fenced,
            })?;
            let records: Vec<Arc<Record>> = step.records.into_iter().map(Arc::new).collect();
            self.kept = self.kept.take().filter(|kept| kept.len() + records.len() <= KEPT);
            if let Some(kept) = &mut self.kept {
                kept.extend_from_slice(&records);
            }
            self.publisher.publish(ticket.clone(), records);
            self.ticket = Some(ticket);
        }
        Ok(self.ticket.clone())
    }

    /// What other processes left for this session.
    async fn mail(&mut self) -> Result<Vec<Input>, EngineError> {
        let mut look = 1;
        let mail = loop {
            let Some(claim) = self.claim.take() else { return Ok(Vec::new()) };
            let store = self.inner.store.clone();
            let (claim, mail) = blocking(move || {
                let mail = store.poll(claim.get());
                (claim, mail)
            })
            .await?;
            self.claim = Some(claim);
            match mail {
                Err(error) if look < LOOKS => {
                    tracing::warn!(%error, session = %self.performer.session, "the inbox cannot be read")
                }
                mail => break mail?,
            }
            look += 1;
            tokio::time::sleep(PAUSE).await;
        };
        let input = |letter: Mail| {
            self.mail.push(letter.id);
            match letter.item {
                InboxItem::Answer { ask, value, by, at } => Input::Answered { ask, value, by, at },
                InboxItem::Cancel { by, reason, .. } => Input::Cancel { by, reason },
            }
        };
        Ok(mail.into_iter().map(input).collect())
    }

    /// Lets the store forget the mail that was taken, once what came of it is durable.
    fn acknowledge(&mut self) {
        if let (Some(claim), Some(ticket)) = (&self.claim, &self.ticket) {
            for id in self.mail.drain(..) {
                self.inner.store.ack(claim.get(), id, ticket.clone());
            }
        }
    }

    /// Waits until everything is durable and gives the session back. What comes of that says whether something was left for it meanwhile.
    async fn release(&mut self, status: Status) -> Result<Option<Release>, EngineError> {
        if let Some(ticket) = self.ticket.take() {
            ticket.durable().await?;
        }
        let Some(claim) = self.claim.take() else { return Ok(None) };
        let at = self.scheduler.state().now;
        Ok(claim.release(Closing { status, at }))
    }

    /// What came of the session, which nobody works on now.
    async fn report(&self) -> Result<Report, EngineError> {
        if let Some(kept) = &self.kept {
            let kept: Vec<Record> = kept.iter().map(|record| Record::clone(record)).collect();
            return Ok(Report::of(&kept)?.left_alone());
        }
        let (store, session) = (self.inner.store.clone(), self.performer.session);
        blocking(move || -> Result<Report, EngineError> { Ok(Report::of(&store.read_all(session)?)?.left_alone()) }).await?
    }
}

/// Waits until there may be mail.
async fn rung(claim: Option<&Claimed>) {
    match claim {
        Some(claim) => claim.get().bell().rung().await,
        None => std::future::pending().await,
    }
}
