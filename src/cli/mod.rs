//! What can be typed?
//!
//! One file per subcommand. Data goes to stdout, everything else to stderr; `--json` is for machines; every command ends
//! with an [`Exit`] that scripts may rely on.

mod agents;
mod answer;
mod args;
mod batch;
mod cancel;
mod check;
mod completions;
mod diff;
mod doctor;
mod export;
mod fork;
mod init;
mod live;
mod messages;
mod models;
mod output;
mod plan;
mod replay;
mod report;
mod resume;
mod retention;
mod rules;
mod run;
mod schema;
mod sessions;
mod show;
mod simulate;
mod test;
mod verify;

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::{Args, Parser, Subcommand};

use crate::{
    engine::{Engine, EngineError},
    event::{Record, Status},
    secret::{Env, Redactor},
    store::RedbStore,
    team::{Diagnostic, ModelCatalog},
    tool::{CommandPolicy, McpFileError, McpServers},
    value::{SessionId, Tenant},
};

/// Runs teams of AI agents from files: their worst case is known before they start, and every fact is journaled.
#[derive(Debug, Parser)]
#[command(name = "synod", version, max_term_width = 100, propagate_version = true)]
#[command(after_help = "Exit codes: 0 completed, 1 failed, 2 usage or an invalid file, 3 parked for a person, 4 out of budget, \
                        5 cancelled, 130 interrupted (resume it).")]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
struct Global {
    /// Where sessions are kept
    #[arg(long, global = true, value_name = "DIR", env = "SYNOD_STORE", default_value = ".synod")]
    store: PathBuf,
    /// The organization that sessions belong to
    #[arg(long, global = true, value_name = "NAME", env = "SYNOD_ORG", default_value = "default")]
    org: String,
    /// The user that sessions belong to
    #[arg(long, global = true, value_name = "NAME", env = "SYNOD_USER", default_value = "default")]
    user: String,
    /// A file of MCP servers; by default the first `.mcp.json` in this folder or above it
    #[arg(long, global = true, value_name = "FILE")]
    mcp: Option<PathBuf>,
    /// A model catalog that adds to the built-in one and overrides it; may be given more than once
    #[arg(long, global = true, value_name = "FILE", env = "SYNOD_MODELS")]
    models: Vec<PathBuf>,
    /// Print JSON on stdout
    #[arg(long, global = true)]
    json: bool,
    /// Say nothing on stderr but errors
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Where keys come from.
    #[arg(skip)]
    env: Env,
}

/// What can be typed first. What a command does is said where it is.
#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Init),
    Check(check::Check),
    Plan(plan::Plan),
    Run(run::Run),
    Batch(batch::BatchCommand),
    Resume(resume::Resume),
    Sessions(sessions::Sessions),
    Show(show::Show),
    Messages(messages::Messages),
    Answer(answer::Answer),
    Cancel(cancel::Cancel),
    Report(report::ReportCommand),
    Export(export::Export),
    Import(export::Import),
    Fork(fork::Fork),
    Diff(diff::DiffCommand),
    Replay(replay::Replay),
    Verify(verify::Verify),
    Gc(retention::Gc),
    Compact(retention::Compact),
    Agents(agents::Agents),
    Models(models::ModelsCommand),
    Doctor(doctor::Doctor),
    Rules(rules::Rules),
    Test(test::Test),
    Simulate(simulate::Simulate),
    Schema(schema::Schema),
    Completions(completions::Completions),
}

/// How a command ends; stable, for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It did what it was asked to; a session completed.
    Done = 0,
    /// It failed, or the session did.
    Failed = 1,
    /// It was called wrongly, or a file is invalid.
    Usage = 2,
    /// The session waits for a person.
    Parked = 3,
    /// A limit ended the session.
    OutOfBudget = 4,
    /// Somebody ended the session.
    Cancelled = 5,
    /// It was interrupted; the session can be resumed.
    Interrupted = 130,
}

impl Exit {
    /// Of a command that ended with a session in that status.
    pub fn of(status: Status) -> Self {
        match status {
            Status::Completed => Self::Done,
            Status::Failed => Self::Failed,
            Status::Parked => Self::Parked,
            Status::OutOfBudget => Self::OutOfBudget,
            Status::Cancelled => Self::Cancelled,
            Status::Initializing | Status::Running | Status::Aggregating => Self::Interrupted,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command could not do what it was asked to.
#[derive(Debug)]
enum CommandError {
    /// It was called wrongly: said already, or this.
    Usage(String),
    /// A file is invalid: the diagnostics were printed.
    Invalid,
    /// The engine could not do its job.
    Engine(EngineError),
    /// Output could not be written.
    Output(std::io::Error),
}

impl<E: Into<EngineError>> From<E> for CommandError {
    fn from(error: E) -> Self {
        Self::Engine(error.into())
    }
}

type Outcome = Result<Exit, CommandError>;

/// Runs a command.
pub fn run(cli: Cli) -> Exit {
    let Cli { global, command } = cli;
    let env = global.env.clone();
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_env("SYNOD_LOG"))
        .with_writer(move || Log(env.clone()))
        .try_init();
    let outcome = match command {
        Command::Init(args) => args.run(&global),
        Command::Check(args) => args.run(&global),
        Command::Plan(args) => args.run(&global),
        Command::Run(args) => args.run(&global),
        Command::Batch(args) => args.run(&global),
        Command::Resume(args) => args.run(&global),
        Command::Sessions(args) => args.run(&global),
        Command::Show(args) => args.run(&global),
        Command::Messages(args) => args.run(&global),
        Command::Answer(args) => args.run(&global),
        Command::Cancel(args) => args.run(&global),
        Command::Report(args) => args.run(&global),
        Command::Export(args) => args.run(&global),
        Command::Import(args) => args.run(&global),
        Command::Fork(args) => args.run(&global),
        Command::Diff(args) => args.run(&global),
        Command::Replay(args) => args.run(&global),
        Command::Verify(args) => args.run(&global),
        Command::Gc(args) => args.run(&global),
        Command::Compact(args) => args.run(&global),
        Command::Agents(args) => args.run(&global),
        Command::Models(args) => args.run(&global),
        Command::Doctor(args) => args.run(&global),
        Command::Rules(args) => args.run(&global),
        Command::Test(args) => args.run(&global),
        Command::Simulate(args) => args.run(&global),
        Command::Schema(args) => args.run(&global),
        Command::Completions(args) => args.run(&global),
    };
    outcome.unwrap_or_else(|error| error.show(&global.env.redactor()))
}

/// Where the log goes: to stderr, without secrets. Each event comes as one write.
struct Log(Env);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        std::io::stderr().write_all(self.0.redactor().text(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

impl CommandError {
    fn show(self, redactor: &Redactor) -> Exit {
        match self {
            Self::Usage(why) => {
                eprintln!("synod: {}", redactor.text(&why));
                Exit::Usage
            }
            Self::Invalid => Exit::Usage,
            Self::Engine(error) => {
                eprintln!("synod: {}", redactor.text(&error.to_string()));
                match error {
                    EngineError::Prepare(_)
                    | EngineError::Find(_)
                    | EngineError::Answer(_)
                    | EngineError::Fork(_)
                    | EngineError::Import(_) => Exit::Usage,
                    // What was not written did not happen; the session can be resumed.
                    EngineError::Append(_) => Exit::Interrupted,
                    EngineError::Claim(_)
                    | EngineError::Read(_)
                    | EngineError::Post(_)
                    | EngineError::Store(_)
                    | EngineError::Fold(_)
                    | EngineError::Tool(_)
                    | EngineError::Broken(_) => Exit::Failed,
                }
            }
            Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Done,
            Self::Output(error) => {
                eprintln!("synod: write the output: {error}");
                Exit::Failed
            }
        }
    }
}

impl Global {
    fn tenant(&self) -> Tenant {
        Tenant { org: Arc::from(self.org.as_str()), user: Arc::from(self.user.as_str()) }
    }

    /// An engine on the store of this command.
    fn engine(&self) -> Result<Engine, CommandError> {
        let store = RedbStore::open(&self.store)?;
        self.engine_on(Some(Arc::new(store)))
    }

    /// An engine that keeps nothing, for commands that only look at files.
    fn bare_engine(&self) -> Result<Engine, CommandError> {
        self.engine_on(None)
    }

    fn engine_on(&self, store: Option<Arc<RedbStore>>) -> Result<Engine, CommandError> {
        let servers = self.servers().map_err(|e| CommandError::Usage(e.to_string()))?;
        Ok(self.engine_with(store, servers, self.catalog()?))
    }

    fn engine_with(&self, store: Option<Arc<RedbStore>>, servers: McpServers, catalog: ModelCatalog) -> Engine {
        let mut builder = Engine::builder().tenant(self.tenant()).workspace(".").state_folder(&self.store);
        builder = builder.env(self.env.clone()).catalog(catalog).mcp(servers).commands(commands());
        if let Some(store) = store {
            builder = builder.store(store);
        }
        builder.build()
    }

    /// The MCP servers of `--mcp`, else of the file that is found.
    fn servers(&self) -> Result<McpServers, McpFileError> {
        self.mcp.as_ref().map_or_else(|| McpServers::find(Path::new(".")), |file| McpServers::read(file))
    }

    /// The built-in models and those of `--models`, later files over earlier ones.
    fn catalog(&self) -> Result<ModelCatalog, CommandError> {
        let mut catalog = ModelCatalog::built_in();
        for path in &self.models {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(path).map_err(|e| CommandError::Usage(format!("read --models {name}: {e}")))?;
            let found = catalog.extend(&name, &text);
            output::diagnostics(&found);
            if found.iter().any(Diagnostic::is_error) {
                return Err(CommandError::Invalid);
            }
        }
        Ok(catalog)
    }

    /// The records of a session, as far as they can be read, and how a command that shows them ends. What is damaged is said on stderr.
    fn records(&self, engine: &Engine, session: SessionId) -> Result<(Vec<Record>, Exit), CommandError> {
        let (records, damage) = engine.store().read_intact(session)?;
        let exit = damage.map_or(Exit::Done, |damage| {
            eprintln!("synod: {damage}");
            Exit::Failed
        });
        Ok((records, exit))
    }

    /// The session whose id begins with `prefix`.
    fn session(&self, engine: &Engine, prefix: &str) -> Result<SessionId, CommandError> {
        Ok(engine.store().find(&self.org, prefix)?)
    }
}

/// What commands may reach on this machine, as its owner says: folders to read, one after the other as in `PATH`.
fn commands() -> CommandPolicy {
    let read = std::env::var_os("SYNOD_COMMANDS_READ").unwrap_or_default();
    let network = std::env::var_os("SYNOD_COMMANDS_NETWORK").is_some_and(|set| set == "1");
    CommandPolicy { read: std::env::split_paths(&read).filter(|path| path.is_absolute()).collect(), network }
}

/// The runtime that sessions are driven on.
fn runtime() -> Result<tokio::runtime::Runtime, CommandError> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CommandError::Output)
}
