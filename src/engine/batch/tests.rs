//! Is every task done once, in bounded memory, whatever happens to the batch?

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::{
    AHEAD, Batch, BatchError, BatchOptions, BatchResult, BatchTask, BatchTrouble, PULLED, UNREAD, identity::BatchIdentity,
};
use crate::{
    engine::{Engine, Prepared},
    event::{Record, Status},
    report::Standing,
    store::{
        AppendError, Claim, ClaimError, Closing, Filter, FindError, InboxItem, Mail, MailId, MemoryStore, NewSession, PostError,
        ReadError, RedbStore, Release, Retention, SessionRow, Store, StoreError, Ticket,
    },
    team::Overrides,
    value::{AskId, Seq, SessionId, Tenant, Value},
};

/// Twice an even number; an odd one fails.
const TEAM: &str = "
name: Double
collaboration_pattern: graph
inputs: { n: { type: integer } }
nodes:
  check: { gate: 'if input.n % 2 == 1 { throw \"odd\" } else { input.n }' }
  double: { gate: 'check.output * 2', after: check }
output: double.output
";

struct Bench {
    folder: tempfile::TempDir,
    engine: Engine,
    team: Prepared,
    store: Arc<MemoryStore>,
}

fn bench(team: &str) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("team.yaml"), team).unwrap();
    let store = Arc::new(MemoryStore::new());
    let engine = Engine::builder().workspace(folder.path()).store(store.clone()).build();
    let team = engine.load("team.yaml", &Overrides::default()).unwrap();
    Bench { folder, engine, team, store }
}

impl Bench {
    fn batch(&self, tasks: impl IntoIterator<Item = i64, IntoIter: Send + 'static>, options: BatchOptions) -> Batch {
        self.engine.batch(&self.team, tasks.into_iter().map(task), options)
    }

    fn sessions(&self) -> usize {
        self.store.list(&Filter::of(&Tenant::default(), usize::MAX)).unwrap().len()
    }
}

fn task(n: i64) -> BatchTask {
    BatchTask::new(format!("k{n}")).input("n", n)
}

fn options() -> BatchOptions {
    BatchOptions { concurrency: 4, ..BatchOptions::named("numbers") }
}

async fn all(mut batch: Batch) -> Vec<Result<BatchResult, BatchError>> {
    let mut found = Vec::new();
    while let Some(result) = batch.next().await {
        found.push(result);
    }
    found
}

async fn good(batch: Batch) -> Vec<BatchResult> {
    all(batch).await.into_iter().map(Result::unwrap).collect()
}

#[tokio::test]
async fn every_task_gives_a_result_and_an_ordered_batch_gives_them_in_the_order_of_its_tasks() {
    let bench = bench(TEAM);
    let found = good(bench.batch((0..100).map(|n| n * 2), BatchOptions { ordered: true, ..options() })).await;
    let outputs: Vec<_> = found.iter().map(|result| result.output.as_int().unwrap()).collect();
    assert_eq!(outputs, (0..100).map(|n| n * 4).collect::<Vec<_>>());
    assert!(found.iter().all(|result| result.status == Standing::As(Status::Completed) && result.error.is_none()));
    let line = serde_json::to_value(&found[3]).unwrap();
    let keys: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["digest", "key", "metrics", "output", "session", "status"], "{line}");
}

#[tokio::test]
async fn what_was_done_under_a_key_is_not_done_again_and_its_result_is_given() {
    let bench = bench(TEAM);
    let mut first = good(bench.batch(0..20, options())).await;
    let mut again = good(bench.batch(0..25, options())).await;
    assert_eq!(bench.sessions(), 25);
    let by_key = |results: &mut Vec<BatchResult>| results.sort_by_key(|result| result.session);
    again.retain(|result| first.iter().any(|earlier| earlier.key == result.key));
    by_key(&mut first);
    by_key(&mut again);
    let text = |results: &[BatchResult]| serde_json::to_string(results).unwrap();
    assert_eq!(text(&first), text(&again));
}

#[tokio::test]
async fn a_failed_task_is_done_again_only_when_asked_and_its_newest_result_counts() {
    let bench = bench(TEAM);
    let first = good(bench.batch([1], options())).await.remove(0);
    assert_eq!(first.status, Standing::As(Status::Failed));
    assert!(first.error.as_ref().is_some_and(|why| why.contains("odd")), "{:?}", first.error);
    let same = good(bench.batch([1], options())).await.remove(0);
    assert_eq!(same.session, first.session);
    let retried = good(bench.batch([1], BatchOptions { retry_failed: true, ..options() })).await.remove(0);
    assert_ne!(retried.session, first.session);
    let newest = good(bench.batch([1], options())).await.remove(0);
    assert_eq!(newest.session, retried.session);
    assert_eq!(bench.sessions(), 2);
}

#[tokio::test]
async fn a_key_stands_for_one_task_of_one_batch() {
    let bench = bench(TEAM);
    good(bench.batch([2], options())).await;
    let another = BatchTask::new("k2").input("n", 4);
    let found = all(bench.engine.batch(&bench.team, [another.clone()], options())).await.remove(0);
    assert!(
        matches!(&found, Err(BatchError { why: BatchTrouble::Differs { what, .. }, .. }) if &**what == "input n"),
        "{found:?}"
    );
    let words = all(bench.engine.batch(&bench.team, [task(2).task("else")], options())).await.remove(0);
    assert!(matches!(&words, Err(BatchError { why: BatchTrouble::Differs { what, .. }, .. }) if &**what == "task"), "{words:?}");
    let elsewhere = good(bench.engine.batch(&bench.team, [another], BatchOptions::named("others"))).await.remove(0);
    assert_eq!(elsewhere.output, Value::from(8));
}

#[tokio::test]
async fn a_task_that_the_team_does_not_take_fails_without_a_session_and_the_others_run() {
    let bench = bench(TEAM);
    let tasks = [BatchTask::new("none"), BatchTask::new("text").input("n", "two"), task(2), BatchTask::new("")];
    let found = all(bench.engine.batch(&bench.team, tasks, BatchOptions { ordered: true, ..options() })).await;
    let [none, text, two, nameless] = &found[..] else { panic!("{found:?}") };
    for (refused, why) in [(none, "missing"), (text, "takes an integer")] {
        let refused = refused.as_ref().unwrap();
        assert_eq!((refused.session, refused.status), (None, Standing::As(Status::Failed)));
        assert!(refused.error.as_ref().unwrap().contains(why), "{refused:?}");
    }
    assert_eq!(two.as_ref().unwrap().output, Value::from(4));
    assert!(matches!(nameless, Err(BatchError { why: BatchTrouble::Key(0), .. })), "{nameless:?}");
}

#[tokio::test]
async fn a_reader_that_is_slow_makes_the_batch_pull_no_more_tasks() {
    for ordered in [false, true] {
        let bench = bench(TEAM);
        let pulled = Arc::new(AtomicUsize::new(0));
        let count = pulled.clone();
        let tasks = (0..400).map(move |n| {
            count.fetch_add(1, Ordering::SeqCst);
            n * 2
        });
        let mut batch = bench.batch(tasks, BatchOptions { ordered, ..options() });
        // One more waits at each of the two channels, and one is in a hand on either side.
        let most = PULLED + UNREAD + 4 + if ordered { 4 * AHEAD } else { 4 } + 4;
        let mut read = 0;
        while let Some(result) = batch.next().await {
            result.unwrap();
            read += 1;
            // All that could run without a reader has run.
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            let ahead = pulled.load(Ordering::SeqCst) - read;
            assert!(ahead <= most, "{ahead} tasks are pulled that nobody has read, after {read}");
        }
        assert_eq!(read, 400);
    }
}

#[tokio::test]
async fn a_task_that_waits_for_a_person_is_parked_and_goes_on_when_the_batch_is_run_again() {
    let bench = bench(
        "name: Ask\ncollaboration_pattern: graph\nnodes:\n  ok: { ask: 'Ship it?', options: ['yes', 'no'] }\noutput: ok.output.answer\n",
    );
    let run = || bench.engine.batch(&bench.team, [BatchTask::new("a")], options());
    let parked = good(run()).await.remove(0);
    assert_eq!(parked.status, Standing::As(Status::Parked));
    assert!(parked.error.as_ref().is_some_and(|why| why.contains("open questions: 1")), "{parked:?}");
    let handle = bench.engine.answer(parked.session.unwrap(), AskId(0), "yes".into(), "me").await.unwrap();
    handle.unwrap().wait().await.unwrap();
    let done = good(run()).await.remove(0);
    assert_eq!((done.session, done.output), (parked.session, Value::from("yes")));
}

#[tokio::test]
async fn a_batch_that_is_interrupted_gives_what_it_broke_off_as_interrupted_and_finishes_it_when_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let team = "
name: Wait
collaboration_pattern: graph
tools:
  wait: { description: Waits., command: [sh, wait.sh], effect: idempotent }
nodes:
  wait: { tool: wait }
output: '\"gone\"'
";
    std::fs::write(folder.path().join("team.yaml"), team).unwrap();
    std::fs::write(folder.path().join("wait.sh"), "while [ ! -e go ]; do sleep 0.01; done\n").unwrap();
    let engine = Engine::builder().workspace(folder.path()).build();
    let team = engine.load("team.yaml", &Overrides::default()).unwrap();
    let tasks = || (0..10).map(|n| BatchTask::new(format!("k{n}")));
    let mut batch = engine.batch(&team, tasks(), options());
    let started = || engine.store().list(&Filter::of(&Tenant::default(), usize::MAX)).unwrap().len();
    while started() < 4 {
        tokio::task::yield_now().await;
    }
    batch.interrupter().cancel();
    let mut broken = 0;
    while let Some(result) = batch.next().await {
        assert_eq!(result.unwrap().status, Standing::Interrupted);
        broken += 1;
    }
    assert_eq!(broken, 4, "no task is begun any more");
    std::fs::write(folder.path().join("go"), "").unwrap();
    let found = good(engine.batch(&team, tasks(), options())).await;
    assert_eq!(found.len(), 10);
    assert!(found.iter().all(|result| result.status == Standing::As(Status::Completed)), "{found:?}");
}

#[test]
fn a_session_follows_from_whose_it_is_and_what_it_is_for() {
    let tenant = Tenant::default();
    let other = Tenant { org: "acme".into(), ..tenant.clone() };
    let of = |tenant: &Tenant, team: &str, batch: &str| BatchIdentity::new(tenant.clone(), team.into(), batch.into());
    let ours = of(&tenant, "t", "b");
    let first = ours.session("k", 1);
    assert_eq!(first, of(&tenant, "t", "b").session("k", 1));
    assert_eq!(first.0.get_version_num(), 8);
    let others = [
        of(&other, "t", "b").session("k", 1),
        of(&tenant, "tb", "").session("k", 1),
        of(&tenant, "t", "bk").session("", 1),
        ours.session("j", 1),
    ];
    assert!(others.iter().all(|id| *id != first && !ours.is_session("k", *id)));
    for attempt in [1, 2, 1_000] {
        let session = ours.session("k", attempt);
        assert!(ours.is_session("k", session) && session.0.simple().to_string().starts_with(&ours.prefix("k")));
        assert_eq!(session == first, attempt == 1);
    }
}

#[tokio::test]
async fn a_team_is_the_same_however_its_file_is_named_and_it_is_said_when_the_file_has_changed() {
    let bench = bench(TEAM);
    good(bench.batch([2], options())).await;
    let file = bench.folder.path().join("team.yaml");
    for name in ["./team.yaml", "team", file.to_str().unwrap()] {
        let team = bench.engine.load(name, &Overrides::default()).unwrap();
        let found = good(bench.engine.batch(&team, [task(2)], options())).await.remove(0);
        assert_eq!((bench.sessions(), found.changed.len()), (1, 0), "{name}");
    }
    std::fs::write(&file, TEAM.replace("* 2", "* 3")).unwrap();
    let team = bench.engine.load("team.yaml", &Overrides::default()).unwrap();
    let found = good(bench.engine.batch(&team, [task(2), task(4)], BatchOptions { ordered: true, ..options() })).await;
    let shown: Vec<_> = found.iter().map(|result| (result.output.as_int().unwrap(), result.changed.len())).collect();
    assert_eq!(shown, [(4, 1), (12, 0)]);
    assert_eq!(&*found[0].changed[0], "team.yaml");
    std::fs::create_dir(bench.folder.path().join("other")).unwrap();
    std::fs::copy(&file, bench.folder.path().join("other/team.yaml")).unwrap();
    let other = bench.engine.load("other/team.yaml", &Overrides::default()).unwrap();
    let found = good(bench.engine.batch(&other, [task(2)], options())).await.remove(0);
    assert_eq!(found.output, Value::from(6), "another file is another team");
}

#[tokio::test]
async fn a_result_stands_when_the_failures_before_it_were_removed() {
    let folder = tempfile::tempdir().unwrap();
    let team = "name: T\ncollaboration_pattern: graph\ntools:\n  t: { description: Tries., command: [sh, t.sh], effect: idempotent }\nnodes:\n  a: { tool: t }\noutput: '\"fine\"'\n";
    std::fs::write(folder.path().join("team.yaml"), team).unwrap();
    std::fs::write(folder.path().join("t.sh"), "test -e ok\n").unwrap();
    // A journal is swept when nobody writes it: each round is a process of its own.
    let round = async |retry_failed: bool, keep: usize| {
        let store = Arc::new(RedbStore::open(folder.path().join(".synod")).unwrap());
        let engine = Engine::builder().workspace(folder.path()).store(store.clone()).build();
        let team = engine.load("team.yaml", &Overrides::default()).unwrap();
        let tasks = [BatchTask::new("k")];
        let found = good(engine.batch(&team, tasks, BatchOptions { retry_failed, ..options() })).await.remove(0);
        drop((engine, store));
        let which = Retention { org: "default".into(), user: None, before: None, keep, parked: false };
        let removed = RedbStore::open(folder.path().join(".synod")).unwrap().remove(&which).unwrap();
        (found.status, found.session.unwrap(), removed.sessions.len())
    };
    let (failed, first, _) = round(false, 9).await;
    std::fs::write(folder.path().join("ok"), "").unwrap();
    let (completed, second, removed) = round(true, 1).await;
    assert_eq!((failed, completed, removed), (Standing::As(Status::Failed), Standing::As(Status::Completed), 1));
    assert_ne!(first, second);
    for retry_failed in [false, true] {
        assert_eq!(round(retry_failed, 9).await, (Standing::As(Status::Completed), second, 0));
    }
}

/// A store in which somebody else is quicker to make each session, once.
#[derive(Default)]
struct Contested {
    store: MemoryStore,
    elsewhere: MemoryStore,
}

impl Store for Contested {
    fn create(&self, new: NewSession) -> Result<Claim, ClaimError> {
        // A claim that is not of this store is fenced at the first append.
        self.elsewhere.create(new.clone()).or_else(|_| self.store.create(new))
    }
    fn claim(&self, session: SessionId) -> Result<Claim, ClaimError> {
        self.store.claim(session)
    }
    fn append(&self, claim: &Claim, expected: Seq, records: &[Record]) -> Result<Ticket, AppendError> {
        self.store.append(claim, expected, records)
    }
    fn read(&self, session: SessionId, from: Seq, max: usize) -> Result<Vec<Record>, ReadError> {
        self.store.read(session, from, max)
    }
    fn release(&self, claim: Claim, closing: Closing) -> Release {
        self.store.release(claim, closing)
    }
    fn list(&self, filter: &Filter) -> Result<Vec<SessionRow>, StoreError> {
        self.store.list(filter)
    }
    fn row(&self, session: SessionId) -> Result<SessionRow, FindError> {
        self.store.row(session)
    }
    fn find(&self, org: &str, prefix: &str) -> Result<SessionId, FindError> {
        self.store.find(org, prefix)
    }
    fn post(&self, session: SessionId, item: InboxItem) -> Result<(), PostError> {
        self.store.post(session, item)
    }
    fn poll(&self, claim: &Claim) -> Result<Vec<Mail>, StoreError> {
        self.store.poll(claim)
    }
    fn ack(&self, claim: &Claim, mail: MailId, after: Ticket) {
        self.store.ack(claim, mail, after);
    }
}

#[tokio::test]
async fn a_session_that_somebody_else_was_quicker_to_make_does_not_end_the_batch() {
    let bench = bench(TEAM);
    let store = Arc::new(Contested::default());
    let engine = Engine::builder().workspace(bench.folder.path()).store(store.clone()).build();
    let found = good(engine.batch(&bench.team, (0..20).map(|n| task(n * 2)), options())).await;
    assert_eq!(found.len(), 20);
    assert!(found.iter().all(|result| result.status == Standing::As(Status::Completed)), "{found:?}");
    assert_eq!(store.elsewhere.list(&Filter::of(&Tenant::default(), usize::MAX)).unwrap().len(), 20);
}
