//! What do the tests of whole sessions share? A [`Bench`]: a folder with team files, tools that can be watched, and an engine.
//!
//! Everything is real but the tools and models that a test needs to hold, count or break. Nothing sleeps: a tool waits until
//! something has happened, and what must have happened is read from the journal or from the [`Board`] that the tools write on.

#![allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]

mod board;
mod models;
mod process;
mod ran;
mod tools;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

pub use board::Board;
pub use models::{finish, reply, reply_with, say};
pub use process::{Said, json, kill, synod};
pub use ran::Ran;

use synod::{
    engine::{Ended, Engine, Prepared, SessionHandle},
    event::Record,
    model::Model,
    state::State,
    store::{MemoryStore, RedbStore, Store},
    team::{Diagnostic, ModelCatalog, Overrides},
    value::{Map, SessionId, Timestamp, Value},
};

/// The longest that a session of a test may take; no test waits for it unless the product hangs.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The key of every provider of a bench.
pub const KEY: &str = "sk-test-0123456789abcdef";

/// A folder, tools, models, a store, and an engine on them.
pub struct Bench {
    folder: tempfile::TempDir,
    pub board: Board,
    pub clock: Arc<TestClock>,
    models: Mutex<Vec<(String, Arc<dyn Model>)>>,
    catalog: Mutex<Option<ModelCatalog>>,
    store: Arc<dyn Store>,
    runtime: tokio::runtime::Runtime,
}

/// The machine's clock, which a test may set ahead.
#[derive(Default)]
pub struct TestClock {
    ahead: Mutex<Duration>,
}

impl TestClock {
    /// Lets `span` pass at once.
    pub fn pass(&self, span: Duration) {
        *self.ahead.lock().unwrap() += span;
    }
}

impl synod::engine::Clock for TestClock {
    fn now(&self) -> Timestamp {
        synod::engine::SystemClock.now().after(*self.ahead.lock().unwrap())
    }
}

impl Bench {
    /// With a store in memory.
    pub fn new() -> Self {
        Self::with(tempfile::tempdir().unwrap(), Arc::new(MemoryStore::new()))
    }

    /// With a redb store in the folder `.synod`.
    pub fn on_disk() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = RedbStore::open(folder.path().join(".synod")).unwrap();
        Self::with(folder, Arc::new(store))
    }

    fn with(folder: tempfile::TempDir, store: Arc<dyn Store>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (board, clock, models, catalog) = Default::default();
        let bench = Self { folder, board, clock, models, catalog, store, runtime };
        bench.file("agent.yaml", "name: Agent\nrole: worker\nmodel: script:agent.rhai\nallowed_tools: ['*']\n");
        bench.file("agent.rhai", "fn turn(view) { #{ finish: view.role } }\n");
        bench.file("lead.yaml", "name: Lead\nrole: coordinator\nmodel: script:lead.rhai\nallowed_tools: ['*']\n");
        bench.file("lead.rhai", "fn turn(view) { #{ finish: #{ summary: \"all is well\", confidence: 0.9 } } }\n");
        bench
    }

    /// The folder that files, tools and sessions are in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file of the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file; indentation that all its lines share is dropped.
    pub fn file(&self, name: &str, text: &str) -> &Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, dedent(text)).unwrap();
        self
    }

    /// An agent `NAME.yaml` whose script `turn(view)` is `body`.
    pub fn script(&self, name: &str, body: &str) -> &Self {
        self.file(
            &format!("{name}.yaml"),
            &format!("name: {name}\nrole: worker\nmodel: script:{name}.rhai\nallowed_tools: ['*']\n"),
        );
        self.file(&format!("{name}.rhai"), &format!("fn turn(view) {{\n{}\n}}\n", dedent(body)))
    }

    /// A team of two who say what they find, write a variable and call a tool.
    pub fn finders(&self) -> &'static str {
        self.script(
            "finder",
            r#"
            if view.turn == 0 {
                #{ calls: [
                    #{ tool: "broadcast_finding", args: #{ topic: view.role, claim: "it is " + view.role, value: view.role, confidence: 0.7 } },
                    #{ tool: "set_variable", args: #{ variable: "seen", value: view.role } },
                    #{ tool: "say", args: #{ value: 1 } },
                ] }
            } else { #{ finish: view.task } }
            "#,
        );
        "
        name: Team
        collaboration_pattern: coordinator_worker
        coordinator: lead
        member_agents:
          - { agent: finder, role: a, writes: { variable: seen, merge: append } }
          - { agent: finder, role: b, writes: { variable: seen, merge: append } }
        "
    }

    /// A model that profiles may name.
    pub fn model(&self, name: &str, model: Arc<dyn Model>) -> &Self {
        self.models.lock().unwrap().push((name.to_owned(), model));
        self
    }

    /// A model catalog over the built-in one; every key is `KEY`.
    pub fn catalog(&self, text: &str) -> &Self {
        let mut catalog = ModelCatalog::built_in();
        assert_eq!(catalog.extend("models.yaml", &dedent(text)), []);
        *self.catalog.lock().unwrap() = Some(catalog);
        self
    }

    /// The store that its engines share.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// A new engine on the folder, as a new process would have it.
    pub fn engine(&self) -> Engine {
        self.engine_on(self.store.clone())
    }

    /// A new engine on another store.
    pub fn engine_on(&self, store: Arc<dyn Store>) -> Engine {
        let mut builder =
            Engine::builder().workspace(self.folder()).state_folder(self.path(".synod")).store(store).clock(self.clock.clone());
        for tool in tools::all(&self.board) {
            builder = builder.tool(tool).unwrap();
        }
        for (name, model) in self.models.lock().unwrap().iter() {
            builder = builder.model(name, model.clone());
        }
        if let Some(catalog) = &*self.catalog.lock().unwrap() {
            builder = builder.catalog(catalog.clone()).env(synod::secret::Env::of(|_| Some(KEY.to_owned())));
        }
        builder.build()
    }

    /// The team of the text, written to `team.yaml`, loaded and compiled.
    pub fn load(&self, team: &str) -> Prepared {
        self.file("team.yaml", team);
        match self.engine().load("team.yaml", &Overrides::default()) {
            Ok(prepared) => prepared,
            Err(error) => panic!("the team does not load: {error}\n{}", lines(&self.engine().check("team.yaml"))),
        }
    }

    /// What is wrong with the team of the text.
    pub fn check(&self, team: &str) -> Vec<Diagnostic> {
        self.file("team.yaml", team);
        self.engine().check("team.yaml")
    }

    /// Runs the team of the text until it is over or parked.
    pub fn run(&self, team: &str) -> Ran {
        self.run_with(team, Map::new())
    }

    /// The same, with inputs.
    pub fn run_with(&self, team: &str, inputs: Map) -> Ran {
        let prepared = self.load(team);
        self.block_on(async {
            let handle = self.engine().start(&prepared, "the task", inputs).await.unwrap();
            self.drive(handle).await
        })
    }

    /// The same, and once `what` is on the board the session is acted upon.
    pub fn run_and(&self, team: &str, what: &str, act: impl FnOnce(&SessionHandle)) -> Ran {
        let prepared = self.load(team);
        self.block_on(async {
            let mut handle = self.engine().start(&prepared, "the task", Map::new()).await.unwrap();
            self.follow(&mut handle);
            self.until(what).await;
            act(&handle);
            self.ended(handle).await
        })
    }

    /// Goes on with a session, in a new engine on its store.
    pub fn resume(&self, session: SessionId) -> Ran {
        self.block_on(async {
            let handle = self.engine().resume(session).await.unwrap();
            self.drive(handle).await
        })
    }

    /// Answers a question of a parked session and drives it on; `Err` has the refusal.
    pub fn answer(&self, session: SessionId, ask: u32, value: &str) -> Result<Ran, String> {
        self.block_on(async {
            let ask = synod::value::AskId(ask);
            match self.engine().answer(session, ask, Value::text(value), "somebody").await {
                Ok(handle) => Ok(self.drive(handle.expect("nobody else owns it")).await),
                Err(error) => Err(error.to_string()),
            }
        })
    }

    /// Waits until `what` is on the board.
    pub async fn until(&self, what: &str) {
        let waited = tokio::time::timeout(PATIENCE, self.board.until(|seen| seen.facts.contains(what))).await;
        assert!(waited.is_ok(), "{what} never happened: {:#?}", self.board.facts());
    }

    /// Waits until a call of a node was broken off, which is soon after its node ended, and counts how often that happened.
    pub fn stops(&self, path: &str) -> usize {
        let line = format!("stop {path}");
        self.block_on(async {
            let waited = tokio::time::timeout(PATIENCE, self.board.until(|seen| seen.log.contains(&line))).await;
            assert!(waited.is_ok(), "the call of {path} goes on: {:#?}", self.board.log());
        });
        self.board.count(&line)
    }

    /// Puts `started PATH`, `turn N of PATH`, `found TOPIC`, `asked PATH` and `ended PATH` on the board, as the facts come.
    pub fn follow(&self, handle: &mut SessionHandle) {
        let (mut events, board) = (handle.events(), self.board.clone());
        self.runtime.spawn(async move {
            let mut state: Option<State> = None;
            while let Ok(record) = events.recv().await {
                let state = match &mut state {
                    // A resumed session: its start was not seen here, so that its nodes have no names.
                    None => match State::start(&record) {
                        Ok(first) => state.insert(first),
                        Err(_) => return,
                    },
                    Some(state) => {
                        state.apply(&record).unwrap();
                        state
                    }
                };
                board.record(state, &record);
            }
        });
    }

    async fn drive(&self, mut handle: SessionHandle) -> Ran {
        self.follow(&mut handle);
        self.ended(handle).await
    }

    /// The end of a session.
    pub async fn ended(&self, handle: SessionHandle) -> Ran {
        let session = handle.session();
        let Ok(ended) = tokio::time::timeout(PATIENCE, handle.wait()).await else {
            let records = self.store.read_all(session).unwrap();
            panic!("the session does not end: {:#?}\n{:#?}", self.board.log(), short(&records));
        };
        self.ran(ended.unwrap())
    }

    fn ran(&self, ended: Ended) -> Ran {
        let records = self.store.read_all(ended.report.session).unwrap();
        // Whatever a test does, its session can be told again from its record.
        let replayed = self.engine().replay(&records).unwrap();
        assert_eq!(replayed.difference.map(|difference| difference.to_string()), None);
        Ran::new(ended, records)
    }

    /// Runs something async to its end.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

/// A graph team with these nodes and whatever else `body` says. Its first two lines are its name and its pattern.
pub fn graph(body: &str) -> String {
    format!("name: Team\ncollaboration_pattern: graph\n{}", dedent(body))
}

/// The text without its first empty line and without the indentation that all its lines share.
pub fn dedent(text: &str) -> String {
    let text = text.strip_prefix('\n').unwrap_or(text);
    let depth = text.lines().filter(|l| !l.trim().is_empty()).map(|l| l.len() - l.trim_start().len()).min().unwrap_or(0);
    let mut out: String = text.lines().map(|l| format!("{}\n", l.get(depth..).unwrap_or(""))).collect();
    if !text.ends_with('\n') && text.lines().last().is_some_and(|l| l.trim().is_empty()) {
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    out
}

/// Diagnostics as lines.
pub fn lines(found: &[Diagnostic]) -> String {
    found.iter().map(|d| format!("{}\n", d.line())).collect()
}

/// The only error among diagnostics, as `(code, line, column, message)`.
pub fn sole_error(found: &[Diagnostic]) -> (&'static str, u32, u32, String) {
    let errors: Vec<_> = found.iter().filter(|d| d.is_error()).collect();
    assert_eq!(errors.len(), 1, "{}", lines(found));
    (errors[0].code.name(), errors[0].line, errors[0].column, errors[0].message.clone())
}

fn short(records: &[Record]) -> Vec<String> {
    records.iter().skip(1).map(|r| format!("{} {:?}", r.seq, r.event)).collect()
}
