//! Does the doctor see what is there? Real servers, stores and providers on this machine, sound and broken: this file is their
//! client and, started with [`AS_SERVER`] set, itself an MCP server.

#[path = "common/mod.rs"]
mod common;
#[path = "mcp/server.rs"]
mod server;
#[path = "wire/mod.rs"]
mod wire;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use common::{Bench, graph, kill};
use server::{AS_SERVER, Server, processes, this_program};
use synod::{
    engine::{Area, Diagnosis, Engine, Health},
    event::Event,
    secret::Env,
    store::{Closing, NewSession, Store},
    team::{ModelCatalog, Overrides},
    tool::{McpServer, McpServers},
    value::{SessionId, Tenant, Timestamp},
};
use wire::{Provider, Says};

const KEY: &str = "sk-doctor-0123456789abcdef";

#[test]
fn serve() {
    if std::env::var_os(AS_SERVER).is_some() {
        server::on_pipes();
    }
}

fn shell(line: &str) -> McpServer {
    McpServer { command: Some("sh".to_owned()), args: vec!["-c".to_owned(), line.to_owned()], ..McpServer::default() }
}

/// An engine on the folder of a bench, with such variables.
fn engine(bench: &Bench, set: &[(&'static str, &'static str)], servers: McpServers, catalog: ModelCatalog) -> Engine {
    let set: BTreeMap<_, _> = set.iter().copied().collect();
    let env = Env::of(move |name| set.get(name).map(|value| (*value).to_owned()));
    let builder = Engine::builder().workspace(bench.folder()).state_folder(bench.path(".synod")).env(env);
    builder.mcp(servers).catalog(catalog).build()
}

/// What the doctor says of a machine, or of what the team of `text` needs there.
fn examine(bench: &Bench, engine: &Engine, team: Option<&str>, online: bool) -> Vec<Diagnosis> {
    let prepared = team.map(|text| {
        bench.file("team.yaml", text);
        engine.load("team.yaml", &Overrides::default()).unwrap()
    });
    bench.block_on(engine.doctor(prepared.as_ref(), online)).unwrap()
}

/// The only diagnosis of that subject.
#[track_caller]
fn of<'d>(found: &'d [Diagnosis], area: Area, subject: &str) -> &'d Diagnosis {
    let own: Vec<_> = found.iter().filter(|one| one.area == area && one.subject == subject).collect();
    assert_eq!(own.len(), 1, "{subject}: {found:#?}");
    own[0]
}

#[track_caller]
fn check(found: &[Diagnosis], area: Area, subject: &str, status: Health, detail: &str) {
    let one = of(found, area, subject);
    assert!(one.status == status && one.detail.contains(detail), "{one:#?} should be {status:?} and say {detail}");
    assert!(one.status == Health::Ok || one.help.is_some() || area == Area::Store, "{one:#?} says how to mend it");
}

fn nothing() -> (McpServers, ModelCatalog) {
    (McpServers::default(), ModelCatalog::built_in())
}

const ONE_AGENT: &str = "name: T\ncollaboration_pattern: parallel\nmember_agents: [{ agent: one, role: one }]\n";

fn profile(model: &str, more: &str) -> String {
    format!("name: One\nrole: worker\nmodel: {model}\n{more}\n")
}

#[test]
fn a_key_is_told_by_its_name_and_never_by_its_value() {
    let bench = Bench::new();
    let (servers, catalog) = nothing();
    let engine = engine(&bench, &[("OPENAI_API_KEY", KEY), ("GEMINI_API_KEY", "  ")], servers, catalog);
    let found = examine(&bench, &engine, None, false);
    check(&found, Area::Keys, "openai", Health::Ok, "OPENAI_API_KEY is set");
    check(&found, Area::Keys, "anthropic", Health::Warn, "ANTHROPIC_API_KEY is not set");
    check(&found, Area::Keys, "gemini", Health::Warn, "GEMINI_API_KEY is not set");
    check(&found, Area::Keys, "ollama", Health::Ok, "no key");
    assert!(!serde_json::to_string(&found).unwrap().contains(KEY));
}

#[test]
fn a_key_that_a_team_needs_fails_and_one_that_it_does_not_need_is_fine() {
    let bench = Bench::new();
    let (servers, mut catalog) = nothing();
    assert_eq!(catalog.extend("m.yaml", "models: { odd: { provider: openai, id: odd } }"), []);
    let engine = engine(&bench, &[("OPENAI_API_KEY", KEY)], servers, catalog);
    bench.file("one.yaml", &profile("claude-haiku", "fallback_models: [gpt-4o, gemini-2.5-pro, gpt-99, odd]"));
    let found = examine(&bench, &engine, Some(ONE_AGENT), false);
    check(&found, Area::Keys, "anthropic", Health::Fail, "ANTHROPIC_API_KEY is not set, and is needed for one");
    check(&found, Area::Keys, "gemini", Health::Warn, "as a fallback for one");
    check(&found, Area::Keys, "openrouter", Health::Ok, "does not need it");
    check(&found, Area::Models, "claude-haiku", Health::Fail, "ANTHROPIC_API_KEY");
    check(&found, Area::Models, "gpt-4o", Health::Ok, "a window of 128000 tokens, $2.5 in and $10 out");
    check(&found, Area::Models, "gpt-99", Health::Warn, "no catalog has it");
    check(&found, Area::Models, "odd", Health::Warn, "its price is not known");
}

#[test]
fn a_script_needs_nothing_and_nothing_falls_back_from_it() {
    let bench = Bench::new();
    let (servers, catalog) = nothing();
    let engine = engine(&bench, &[], servers, catalog);
    bench.file("one.yaml", &profile("script:agent.rhai", "fallback_models: [gpt-4]"));
    let found = examine(&bench, &engine, Some(ONE_AGENT), false);
    let models: Vec<_> = found.iter().filter(|one| one.area == Area::Models).collect();
    assert!(models.len() == 1 && models[0].status == Health::Ok, "{models:#?}");
    assert!(found.iter().all(|one| one.status == Health::Ok || one.area == Area::Sandbox), "{found:#?}");
}

#[test]
fn every_server_is_started_and_ended_and_those_that_do_not_start_say_why() {
    let bench = Bench::new();
    let url = bench.block_on(server::over_http(Server::default()));
    let unset = McpServer { env: [("TOKEN".to_owned(), "${NOT_SET_HERE}".to_owned())].into(), ..shell("cat") };
    let silent = McpServer { startup_timeout_seconds: Some(0.3), ..shell("sleep 100") };
    let missing = McpServer { command: Some("no-such-program-at-all".to_owned()), ..McpServer::default() };
    let servers = McpServers::default()
        .with("good", this_program(&bench.path("log")))
        .with("web", McpServer { url: Some(url), ..McpServer::default() })
        .with("bad", shell("echo 'out of coffee' >&2; exit 3"))
        .with("unset", unset)
        .with("silent", silent)
        .with("missing", missing);
    let engine = engine(&bench, &[], servers, ModelCatalog::built_in());
    let found = examine(&bench, &engine, None, false);
    check(&found, Area::Mcp, "good", Health::Ok, "offers 13 tools");
    check(&found, Area::Mcp, "web", Health::Ok, "offers 13 tools");
    check(&found, Area::Mcp, "bad", Health::Fail, "ended at once with exit code 3; it said: out of coffee");
    check(&found, Area::Mcp, "unset", Health::Fail, "NOT_SET_HERE, which is not set");
    check(&found, Area::Mcp, "silent", Health::Fail, "did not answer within 0.3 s");
    check(&found, Area::Mcp, "missing", Health::Fail, "there is no program `no-such-program-at-all`; install it");
    let left = processes(&bench.path("log"));
    assert!(left.is_empty(), "{left:?} outlive the doctor");
}

#[test]
fn a_team_is_told_of_its_servers_that_nobody_declares_and_of_tools_that_they_do_not_offer() {
    let bench = Bench::new();
    let servers = McpServers::default().with("good", this_program(&bench.path("log"))).with("bad", shell("exit 3"));
    let engine = engine(&bench, &[], servers, ModelCatalog::built_in());
    let tools = "mcp_servers: [good, trivy]\nallowed_tools: [mcp__good__echo, mcp__good__scan, Nonsense]";
    bench.file("one.yaml", &profile("script:agent.rhai", tools));
    let found = examine(&bench, &engine, Some(ONE_AGENT), false);
    check(&found, Area::Mcp, "trivy", Health::Fail, "no file of MCP servers has it");
    check(&found, Area::Mcp, "bad", Health::Warn, "this team does not need it");
    let good: Vec<_> = found.iter().filter(|one| one.subject == "good").map(|one| (one.status, one.detail.as_str())).collect();
    assert!(good.len() == 2 && good[0].0 == Health::Ok, "{good:?}");
    assert_eq!(good[1], (Health::Warn, "it does not offer mcp__good__scan, which `allowed_tools` of one names"));
    assert!(found.iter().any(|one| one.area == Area::Tools && one.detail.contains("Nonsense")), "{found:#?}");
}

#[test]
fn a_server_that_only_the_plan_calls_is_needed_too() {
    let bench = Bench::new();
    let engine = engine(&bench, &[], McpServers::default().with("bad", shell("exit 3")), ModelCatalog::built_in());
    let found = examine(&bench, &engine, Some(&graph("nodes: { a: { tool: mcp__bad__stir } }")), false);
    check(&found, Area::Mcp, "bad", Health::Fail, "ended at once with exit code 3");
}

#[test]
fn commands_of_a_team_are_looked_for_where_they_will_be() {
    let bench = Bench::new();
    let (servers, catalog) = nothing();
    let engine = engine(&bench, &[], servers, catalog);
    let tool = |name: &str, program: &str, more: &str| {
        format!(
            "  {name}: {{ description: D, parameters: {{ p: {{ type: string, description: P }} }}, command: [{program}]{more} }}\n"
        )
    };
    bench.file("one.yaml", &profile("script:agent.rhai", "allowed_tools: [here, Bash]"));
    let team = format!(
        "{ONE_AGENT}tools:\n{}{}{}{}",
        tool("here", "sh", ", env: [A_TOKEN], read: [/no/such/folder]"),
        tool("gone", "no-such-program-at-all", ""),
        tool("beside", "./bin/x", ""),
        tool("homeless", "sh", ", folder: nowhere"),
    );
    let found = examine(&bench, &engine, Some(&team), false);
    let of_here: Vec<_> = found.iter().filter(|one| one.subject == "here").map(|one| (one.status, one.detail.as_str())).collect();
    assert!(of_here[0].0 == Health::Ok && of_here[0].1.ends_with("/sh"), "{of_here:?}");
    assert_eq!(
        of_here[1..],
        [
            (Health::Warn, "it may read /no/such/folder, which is not there"),
            (Health::Warn, "it is given A_TOKEN, which is not set"),
        ]
    );
    check(&found, Area::Sandbox, "gone", Health::Fail, "no program `no-such-program-at-all`");
    check(&found, Area::Sandbox, "beside", Health::Fail, "no program `./bin/x`");
    check(&found, Area::Sandbox, "homeless", Health::Fail, "there is no such folder");
    check(&found, Area::Sandbox, "Bash", Health::Ok, "it runs");
}

#[test]
fn documents_that_are_not_as_they_are_meant_are_named() {
    let bench = Bench::new();
    let (servers, catalog) = nothing();
    let engine = engine(&bench, &[], servers, catalog);
    bench.file("books/good.md", "---\ntags: [db]\n---\n# Good\n").file("books/odd.md", "---\ntags: [db\n---\n# Odd\n");
    bench.file("books/open.md", "---\ntags: [db]\n# Open\n").file("books/note.txt", "not Markdown");
    bench.file("books/large.md", &"x".repeat((1 << 20) + 1)).file("empty/x", "");
    bench.file(
        "one.yaml",
        &profile(
            "script:agent.rhai",
            "knowledge: { folders: [books, empty, lib:runbooks, none] }\nknowledge_base_filters: { tags: [network] }",
        ),
    );
    let found = examine(&bench, &engine, Some(ONE_AGENT), false);
    let books: Vec<_> = found.iter().filter(|one| one.area == Area::Knowledge && one.subject.ends_with("books")).collect();
    let says = |words: &str| assert!(books.iter().any(|one| one.detail.contains(words)), "{words}: {books:#?}");
    says("3 documents");
    says("odd.md: its front matter is no YAML map");
    says("open.md: its front matter is not closed");
    says("large.md: it has 1048578 bytes");
    says("no document passes the filters of one (tags: network)");
    assert!(found.iter().any(|one| one.detail.contains("no document that can be read")), "{found:#?}");
    assert!(found.iter().any(|one| one.subject == "lib:runbooks" && one.status == Health::Ok), "{found:#?}");
    assert!(found.iter().any(|one| one.subject.ends_with("none") && one.status == Health::Fail), "{found:#?}");
    assert!(!bench.path(".synod").exists(), "the library is not unpacked to be looked at");
}

#[test]
fn folders_that_a_team_takes_are_looked_at_where_they_have_a_default() {
    let bench = Bench::new();
    let (servers, catalog) = nothing();
    let engine = engine(&bench, &[], servers, catalog);
    bench.file("logs/a.log", "x");
    let team = graph(
        "
        inputs:
          logs: { type: folder, default: logs }
          gone: { type: folder, default: gone }
          file: { type: file, default: logs }
          given: { type: folder }
          service: { type: string, default: x }
        nodes: { a: { gate: '1' } }
        ",
    );
    let found = examine(&bench, &engine, Some(&team), false);
    check(&found, Area::Folders, "logs", Health::Ok, "is there");
    check(&found, Area::Folders, "gone", Health::Fail, "cannot be read");
    check(&found, Area::Folders, "file", Health::Fail, "a file is wanted");
    check(&found, Area::Folders, "given", Health::Ok, "--input given=FOLDER");
    check(&found, Area::Folders, "workspace", Health::Ok, "");
    assert!(!found.iter().any(|one| one.subject == "service"));
}

#[test]
fn a_provider_is_asked_for_its_models_with_its_key_and_a_refusal_is_told_without_it() {
    let bench = Bench::new();
    let good = Provider::start(|_| Says::Models(vec!["small", "large"]));
    let bad =
        Provider::start(|asked| Says::Refusal(401, format!("{{\"error\": {{\"message\": \"no such key: {}\"}}}}", asked.bearer)));
    let bare = Provider::start(|_| Says::Refusal(404, String::new()));
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).unwrap();
    let mut catalog = ModelCatalog::default();
    let text = format!(
        "providers:\n  good: {{ kind: openai, base_url: \"{}\", api_key_env: GOOD }}\n  bad: {{ kind: openai_responses, base_url: \"{}\", api_key_env: BAD }}\n  bare: {{ kind: anthropic, base_url: \"{}\" }}\n  away: {{ kind: ollama, base_url: \"http://{nobody}\" }}\n  unset: {{ kind: openai, base_url: \"http://{nobody}\", api_key_env: UNSET }}\nmodels:\n  s: {{ provider: good, id: small }}\n  t: {{ provider: good, id: tiny }}\n",
        good.address, bad.address, bare.address
    );
    assert_eq!(catalog.extend("m.yaml", &text), []);
    let engine = engine(&bench, &[("GOOD", KEY), ("BAD", "sk-another-0123456789")], McpServers::default(), catalog);
    let asked: Vec<Diagnosis> =
        examine(&bench, &engine, None, true).into_iter().filter(|one| one.area == Area::Models).skip(5).collect();
    check(&asked, Area::Models, "good", Health::Ok, "lists 2 models");
    check(&asked, Area::Models, "bad", Health::Fail, "401: no such key: Bearer [redacted BAD]");
    check(&asked, Area::Models, "bare", Health::Warn, "not with a list of models");
    check(&asked, Area::Models, "away", Health::Warn, "cannot be reached");
    assert!(!asked.iter().any(|one| one.subject == "unset"), "without its key a provider is not asked: {asked:#?}");
    let seen = good.asked();
    assert_eq!((seen[0].what.as_str(), seen[0].bearer.as_str()), ("GET /v1/models", format!("Bearer {KEY}").as_str()));
    assert_eq!(bare.asked()[0].what, "GET /v1/models?limit=1000");

    bench.file("one.yaml", &profile("s", "fallback_models: [t]"));
    let found = examine(&bench, &engine, Some(ONE_AGENT), true);
    check(&found, Area::Models, "good", Health::Ok, "lists 2 models");
    assert!(found.iter().any(|one| one.subject == "t" && one.detail.contains("does not list tiny")), "{found:#?}");
    assert!(!found.iter().any(|one| one.area == Area::Models && one.subject == "away"), "the team does not need it");
}

/// Every file below a folder with its bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { drop(found.insert(path.clone(), std::fs::read(path).unwrap())) }
    }
    found
}

fn store_of(bench: &Bench) -> Vec<Diagnosis> {
    let (servers, catalog) = nothing();
    let found = examine(bench, &engine(bench, &[], servers, catalog), None, false);
    found.into_iter().filter(|one| one.area == Area::Store).collect()
}

#[test]
fn a_store_that_is_not_there_is_not_made() {
    let bench = Bench::new();
    let found = store_of(&bench);
    check(&found, Area::Store, &bench.path(".synod").display().to_string(), Health::Ok, "it will be made on the first run");
    assert!(!bench.path(".synod").exists());
    bench.file(".synod", "a file");
    check(&store_of(&bench), Area::Store, &bench.path(".synod").display().to_string(), Health::Fail, ".synod");
}

#[test]
fn a_killed_run_is_found_without_a_change_to_its_files() {
    let bench = Bench::new();
    bench.file("team.yaml", &graph("nodes: { a: { tool: Bash, args: { command: 'sleep 100' } } }"));
    let mut child = bench.spawn(&["run", "team.yaml"]);
    let session = bench.watch(&mut child, |records| records.iter().any(|r| matches!(r.event, Event::NodeStarted { .. })));
    let pid = child.id();
    let live = store_of(&bench);
    check(&live, Area::Store, &session.to_string(), Health::Ok, &format!("process {pid} has it"));
    kill(child);
    let before = files(&bench.path(".synod"));
    let found = store_of(&bench);
    check(&found, Area::Store, &session.to_string(), Health::Warn, "its process died");
    assert_eq!(of(&found, Area::Store, &session.to_string()).help, Some(format!("go on with: synod resume {session}")));
    check(&found, Area::Store, "0001.redb", Health::Ok, "its last writer died");
    assert!(found.iter().any(|one| one.detail.contains("1 session in 1 journal")), "{found:#?}");
    assert!(before == files(&bench.path(".synod")), "nothing is repaired, made or locked");
}

#[test]
fn a_damaged_session_is_named_and_the_others_are_counted() {
    let bench = Bench::new();
    bench.file("team.yaml", &graph("nodes: { ok: { ask: 'Go on?' } }"));
    let park = || bench.synod(&["run", "team.yaml", "--json", "--quiet"]).json()["session"].as_str().unwrap().to_owned();
    let (damaged, sound) = (park(), park());
    damage(&bench.path(".synod/journals/0001.redb"), damaged.parse::<uuid::Uuid>().unwrap().as_u128());
    let before = files(&bench.path(".synod"));
    let found = store_of(&bench);
    check(&found, Area::Store, &damaged, Health::Fail, "record 2");
    assert!(!found.iter().any(|one| one.subject == sound), "{found:#?}");
    assert!(found.iter().any(|one| one.detail.contains("2 sessions")), "{found:#?}");
    assert!(before == files(&bench.path(".synod")));
    std::fs::write(bench.path(".synod/catalog.redb"), "no database").unwrap();
    check(&store_of(&bench), Area::Store, "index", Health::Fail, "damaged");
    std::fs::remove_file(bench.path(".synod/catalog.redb")).unwrap();
    check(&store_of(&bench), Area::Store, "index", Health::Warn, "is not there");
    assert!(!bench.path(".synod/catalog.redb").exists());
}

#[test]
fn a_store_that_somebody_blocks_or_that_was_damaged_once_says_so() {
    let bench = Bench::new();
    bench.file("team.yaml", &graph("nodes: { ok: { gate: '1' } }"));
    assert_eq!(bench.synod(&["run", "team.yaml", "--quiet"]).code, Some(0));
    bench.file(".synod/journals/0001.damaged", "it was");
    check(&store_of(&bench), Area::Store, "0001.redb", Health::Warn, "nothing more is written to it");
    let (path, own) = (bench.path(".synod/catalog.lock"), std::process::id());
    std::fs::write(&path, format!("{own:>10} {}\n", uuid::Uuid::now_v7().simple())).unwrap();
    let lock = std::fs::File::open(&path).unwrap();
    lock.lock().unwrap();
    check(&store_of(&bench), Area::Store, "index", Health::Fail, &format!("process {own} has it for writing"));
    drop(lock);
    assert!(!store_of(&bench).iter().any(|one| one.subject == "index"));
}

/// Changes a byte of record 2 of a session, behind the store's back.
fn damage(path: &Path, session: u128) {
    const RECORDS: redb::TableDefinition<'_, (u128, u32, u64), &[u8]> = redb::TableDefinition::new("records_v1");
    let db = redb::Database::open(path).unwrap();
    let write = db.begin_write().unwrap();
    {
        let mut records = write.open_table(RECORDS).unwrap();
        let mut row =
            redb::ReadableTable::get(&records, (session, 1, 2)).unwrap().expect("the session has a record 2").value().to_vec();
        *row.last_mut().unwrap() ^= 1;
        records.insert((session, 1, 2), row.as_slice()).unwrap();
    }
    write.commit().unwrap();
}

#[test]
fn the_program_says_it_all_as_json_and_by_its_exit_code() {
    let bench = Bench::new();
    let store = bench.disk();
    let at = Timestamp(1_767_623_400_000_000);
    let session = SessionId(uuid::Uuid::now_v7());
    let new = NewSession { session, tenant: Tenant::default(), team: "t".into(), task: "x".into(), started_at: at };
    let claim = store.create(new).unwrap();
    store.append(&claim, synod::value::Seq(0), &[]).unwrap().wait().unwrap();
    let said = bench.synod(&["doctor", "--json"]);
    let found = said.json();
    let found = found.as_array().unwrap();
    assert_eq!(said.code, Some(0), "{found:#?}");
    for one in found {
        let keys: Vec<&str> = one.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys.len(), 5, "{one}");
        for key in ["area", "subject", "status", "detail", "help"] {
            assert!(keys.contains(&key), "{key} is missing in {one}");
        }
    }
    let has = |area: &str| found.iter().any(|one| one["area"] == area);
    assert!(["keys", "models", "sandbox", "store", "folders"].into_iter().all(has), "{found:#?}");
    let held = found.iter().find(|one| one["subject"] == session.to_string().as_str()).expect("the session is held");
    assert!(held["detail"].as_str().unwrap().contains(&format!("process {} has it", std::process::id())), "{held}");
    store.release(claim, Closing { status: synod::event::Status::Parked, at }).wait().unwrap();
    drop(store);

    bench.file(".mcp.json", "{\"mcpServers\": {\n \"a\": {}\n}}");
    let said = bench.synod(&["doctor"]);
    assert_eq!(said.code, Some(1), "{}", said.stdout);
    assert!(said.stdout.contains("fail") && said.stdout.contains(".mcp.json:2"), "{}", said.stdout);
    assert!(said.stderr.contains("1 failure"), "{}", said.stderr);
    bench.file("team.yaml", "name: T\ncollaboration_pattern: grph\n");
    let said = bench.synod(&["doctor", "team.yaml", "--json"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{}", said.stderr);
    let said = bench.synod(&["doctor", "--help"]);
    assert!(said.stdout.contains("exit code is 1"), "what stands below the first line is shown: {}", said.stdout);
}
