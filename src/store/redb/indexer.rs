//! Who keeps the index up to date? A thread beside the journal's, so that a run waits for no index but its first row.

use std::{
    path::PathBuf,
    sync::Arc,
    thread::{self, JoinHandle},
};

use super::{
    catalog::Catalog,
    file::io_error,
    index::{Entry, Tables},
    journal::Journal,
    queue::Queue,
};
use crate::{
    store::{AppendError, Closing, Completer, MailId, Release, StoreError, Ticket},
    value::{Epoch, Seq, SessionId},
};

/// Changes of the catalog that nobody blocks for. They are made in order, many in one commit.
#[derive(Debug)]
pub struct Indexer {
    path: PathBuf,
    queue: Arc<Queue<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// A session to be given back.
#[derive(Debug)]
pub struct Close {
    /// Which.
    pub session: SessionId,
    /// By which claim.
    pub epoch: Epoch,
    /// How many records it has.
    pub length: Seq,
    /// How.
    pub closing: Closing,
    /// Its last append.
    pub after: Option<Ticket>,
    /// Its journal, whose lock is held until the catalog says that the session is free.
    #[expect(dead_code, reason = "it is held, not used")]
    pub journal: Arc<Journal>,
}

#[derive(Debug)]
enum Job {
    Create(Box<Entry>, Completer<()>),
    Close(Close, Completer<bool>),
    Ack { session: SessionId, mail: MailId, after: Ticket },
    Repair(Box<Entry>),
    Forget(SessionId, Epoch),
    Flush(Completer<()>),
}

impl Indexer {
    /// Starts the thread.
    pub fn start(catalog: Arc<Catalog>) -> Result<Self, StoreError> {
        let queue = Arc::new(Queue::new());
        let (jobs, path) = (Arc::clone(&queue), catalog.path().to_owned());
        let run = move || {
            while let Some(batch) = jobs.batch(1) {
                perform(&catalog, batch);
            }
        };
        let thread = thread::Builder::new().name("index".to_owned()).spawn(run);
        Ok(Self { path, queue, thread: Some(thread.map_err(|e| io_error("a thread".as_ref(), &e))?) })
    }

    /// Adds a session.
    pub fn create(&self, entry: Entry) -> Ticket {
        let taken = AppendError::Fenced { session: entry.session, epoch: entry.epoch };
        let (completer, ticket) = Ticket::new(taken);
        self.push(Job::Create(Box::new(entry), completer));
        ticket
    }

    /// Gives a session back.
    pub fn close(&self, close: Close) -> Release {
        let fenced = AppendError::Fenced { session: close.session, epoch: close.epoch };
        let (completer, release) = Release::new(fenced);
        self.push(Job::Close(close, completer));
        release
    }

    /// Removes an item of an inbox once `after` is durable.
    pub fn ack(&self, session: SessionId, mail: MailId, after: Ticket) {
        self.push(Job::Ack { session, mail, after });
    }

    /// Writes what was found of a session whose owner died, unless somebody took it over since.
    pub fn repair(&self, found: Entry) {
        self.push(Job::Repair(Box::new(found)));
    }

    /// Forgets a session that never began, unless somebody took it over since.
    pub fn forget(&self, session: SessionId, epoch: Epoch) {
        self.push(Job::Forget(session, epoch));
    }

    /// Waits until all that came before is done.
    pub fn flush(&self) {
        let closed = StoreError::Io { path: self.path.clone(), why: Arc::from("it was closed"), remedy: "open the store again" };
        let (completer, ticket) = Ticket::new(closed.into());
        self.push(Job::Flush(completer));
        drop(ticket.wait());
    }

    /// A closed queue drops the job, and its completer says so.
    fn push(&self, job: Job) {
        drop(self.queue.push(job, 0));
    }
}

impl Drop for Indexer {
    /// Does what waits.
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// New rows come first: what follows may wait for tickets that wait for them. What waits for nothing any more goes with them, so that a batch
/// of short sessions costs one commit and not two.
fn perform(catalog: &Catalog, batch: Vec<Job>) {
    let (mut first, mut rest): (Vec<_>, Vec<_>) = batch.into_iter().partition(|job| matches!(job, Job::Create(..)));
    let pending = |job: &Job| job.waits_for().is_some_and(|ticket| ticket.outcome().is_none());
    let later = rest.split_off(rest.iter().position(pending).unwrap_or(rest.len()));
    first.extend(ready(rest));
    commit(catalog, first);
    commit(catalog, ready(later));
}

/// Those of `jobs` whose tickets are durable, once all are known. The others fail.
fn ready(jobs: Vec<Job>) -> Vec<Job> {
    let mut ready = Vec::with_capacity(jobs.len());
    for job in jobs {
        match job.waits_for().map_or(Ok(()), Ticket::wait) {
            Ok(()) => ready.push(job),
            Err(error) => job.complete(Err(error)),
        }
    }
    ready
}

fn commit(catalog: &Catalog, jobs: Vec<Job>) {
    if jobs.iter().all(|job| matches!(job, Job::Flush(_))) {
        return jobs.into_iter().for_each(|job| job.complete(Ok(Some(false))));
    }
    let done = catalog.write(|tables| jobs.iter().map(|job| job.apply(tables)).collect::<Result<Vec<_>, _>>());
    match done {
        Ok(done) => jobs.into_iter().zip(done).for_each(|(job, done)| job.complete(Ok(done))),
        Err(error) => {
            tracing::warn!(%error, "the session index was not written");
            jobs.into_iter().for_each(|job| job.complete(Err(error.clone().into())));
        }
    }
}

impl Job {
    /// What has to be durable before.
    fn waits_for(&self) -> Option<&Ticket> {
        match self {
            Self::Close(close, _) => close.after.as_ref(),
            Self::Ack { after, .. } => Some(after),
            Self::Create(..) | Self::Repair(_) | Self::Forget(..) | Self::Flush(_) => None,
        }
    }

    /// `None` when the session is somebody else's; otherwise whether mail waits, where that matters.
    fn apply(&self, tables: &mut Tables<'_>) -> Result<Option<bool>, redb::Error> {
        match self {
            Self::Create(entry, _) => return Ok(tables.add(entry)?.then_some(false)),
            Self::Close(close, _) => return tables.close(close.session, close.epoch, close.length, close.closing),
            Self::Ack { session, mail, .. } => tables.remove_mail(*session, *mail)?,
            Self::Repair(found) => drop(tables.replace(found.epoch, found)?),
            Self::Forget(session, epoch) => tables.forget(*session, *epoch)?,
            Self::Flush(_) => {}
        }
        Ok(Some(false))
    }

    /// Dropping a completer says that the session is somebody else's.
    fn complete(self, done: Result<Option<bool>, AppendError>) {
        match (self, done.transpose()) {
            (Self::Create(_, completer) | Self::Flush(completer), Some(done)) => completer.complete(done.map(drop)),
            (Self::Close(_, completer), Some(done)) => completer.complete(done),
            (Self::Create(..) | Self::Close(..) | Self::Flush(_), None)
            | (Self::Ack { .. } | Self::Repair(_) | Self::Forget(..), _) => {}
        }
    }
}
