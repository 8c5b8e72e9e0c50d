//! Does a session travel, and come to the same again? Through the real program, and by what the journal of a long thread holds.

mod common;

use std::{fs, path::Path, sync::Arc};

use common::{Bench, graph, json, reply, say, synod};
use redb::{Database, ReadableDatabase, ReadableTableMetadata, TableDefinition};
use serde_json::Value as Json;
use synod::{
    engine::EngineError,
    event::Event,
    store::RedbStore,
    value::{Map, Value},
};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder can be made")
}

/// A run of the shipped team, exported to `FOLDER/run.jsonl`, and its report.
fn exported(folder: &Path) -> (String, Json) {
    let (code, out, said) = synod(folder, &["run", "incident-response", "--json", "--quiet"]);
    assert_eq!(code, 0, "{said}");
    let report = json(&out);
    let session = report["session"].as_str().expect("an id").to_owned();
    let (code, out, said) = synod(folder, &["export", &session, "--out", "run.jsonl"]);
    assert_eq!((code, out.as_str()), (0, ""), "{said}");
    (session, report)
}

#[test]
fn a_session_is_replayed_imported_and_exported_to_the_same() {
    let (here, there) = (folder(), folder());
    let (session, report) = exported(here.path());
    let (code, out, said) = synod(here.path(), &["replay", &session, "--strict", "--json"]);
    assert_eq!((code, json(&out)), (0, report.clone()), "from the store: {said}");
    // Elsewhere there is neither the team's input nor a store.
    fs::copy(here.path().join("run.jsonl"), there.path().join("run.jsonl")).expect("a file can be copied");
    fs::remove_dir_all(here.path().join(".synod")).expect("a store can be removed");
    let (code, out, said) = synod(there.path(), &["replay", "run.jsonl", "--strict", "--json"]);
    assert_eq!((code, json(&out)), (0, report.clone()), "from the file: {said}");
    assert!(!there.path().join(".synod/journals").exists(), "a replay leaves nothing behind");
    for _ in 0..2 {
        let (code, out, said) = synod(there.path(), &["import", "run.jsonl"]);
        assert_eq!((code, out.trim()), (0, session.as_str()), "{said}");
    }
    let (_, out, _) = synod(there.path(), &["report", &session, "--json"]);
    assert_eq!(json(&out), report);
    let (_, out, _) = synod(there.path(), &["export", &session]);
    assert_eq!(out, fs::read_to_string(there.path().join("run.jsonl")).expect("a file can be read"), "not a byte is lost");
    let (_, out, _) = synod(there.path(), &["sessions", "--json"]);
    assert_eq!((json(&out)[0]["status"].as_str(), json(&out).as_array().map(Vec::len)), (Some("completed"), Some(1)));
}

#[test]
fn an_import_that_was_broken_off_is_ended_by_the_next_one() {
    let bench = Bench::on_disk();
    let ran = bench.run(&graph("nodes: { a: { gate: '1' }, b: { gate: '2', after: a } }\noutput: b.output\n"));
    let there = Bench::on_disk();
    // As when the process was killed after it.
    let half = there.engine().import(&ran.records[..2]).unwrap();
    assert_eq!((half, there.store().read_all(half).unwrap().len()), (ran.session(), 2));
    for _ in 0..2 {
        assert_eq!(there.engine().import(&ran.records).unwrap(), half);
        assert_eq!(there.store().read_all(half).unwrap(), ran.records);
    }
    assert_eq!(there.store().row(half).unwrap().status, synod::event::Status::Completed);
    // One that went on meanwhile is left as it is.
    assert!(there.engine().import(&ran.records[..2]).is_err());
    assert_eq!(there.store().read_all(half).unwrap(), ran.records);
}

#[test]
fn a_session_that_begins_otherwise_is_not_added_to_the_one_that_has_its_id() {
    let bench = Bench::on_disk();
    let ran = bench.run(&graph(
        "inputs: { who: { type: string, default: world } }\nnodes: { a: { gate: 'input.who' } }\noutput: a.output\n",
    ));
    let mut other = ran.records.clone();
    let Event::Started(started) = &mut other[0].event else { panic!("it begins with {:?}", other[0].event) };
    Arc::make_mut(started).inputs = Arc::new(Map::from([("who".to_owned(), Value::text("moon"))]));
    let there = Bench::on_disk();
    there.engine().import(&ran.records[..1]).unwrap();
    let refused = there.engine().import(&other).unwrap_err().to_string();
    assert!(refused.contains("is another one from record 0 on") && refused.contains("--store"), "{refused}");
    assert_eq!(there.store().read_all(ran.session()).unwrap().len(), 1, "nothing is added");
    there.engine().import(&ran.records).unwrap();
}

/// A part of a session could be resumed, and its calls made again.
#[test]
fn a_long_session_is_imported_whole_or_not_at_all() {
    let bench = Bench::new();
    let nodes: Vec<String> = (0..600).map(|n| format!("n{n}: {{ tool: say, args: {{ value: {n} }} }}")).collect();
    let ran = bench.run(&graph(&format!("nodes: {{ {} }}\noutput: n0.output\n", nodes.join(", "))));
    assert!(ran.records.len() > 1_024, "more than a page");
    let (there, session) = (Bench::on_disk(), ran.session());
    let mut seen = Vec::new();
    let imported = there.engine().import_from::<EngineError>(|take| {
        ran.records.iter().try_for_each(|record| take(record.clone()))?;
        seen.push(there.store().read_all(session).map_or(0, |records| records.len()));
        Ok(())
    });
    assert_eq!((imported.unwrap(), seen.iter().max()), (session, Some(&0)), "nothing is there before all of it is");
    assert_eq!(there.store().read_all(session).unwrap(), ran.records);
}

#[test]
fn a_changed_cassette_is_not_imported_and_a_strict_replay_names_the_first_request_that_differs() {
    let here = folder();
    let (_, report) = exported(here.path());
    let task = report["task"].as_str().expect("a task");
    let text = fs::read_to_string(here.path().join("run.jsonl")).expect("a file can be read");
    // Only in the first record: what was made of the task then stays as it was.
    let changed = text.replacen(&format!("\"task\":{}", Json::from(task)), "\"task\":\"something else\"", 1);
    assert_ne!(changed, text);
    fs::write(here.path().join("changed.jsonl"), &changed).expect("a file can be written");
    let (code, _, said) = synod(here.path(), &["import", "changed.jsonl"]);
    assert!(code == 2 && said.contains("line 2 is not what was exported"), "{said}");
    let (code, out, said) = synod(here.path(), &["replay", "changed.jsonl", "--json"]);
    assert_eq!((code, json(&out)["task"].as_str()), (0, Some("something else")), "{said}");
    let (code, _, said) = synod(here.path(), &["replay", "changed.jsonl", "--strict"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("turn 0 of ") && said.contains("the request differs at /"), "{said}");
    assert!(said.contains("recorded \"") && said.contains("something else"), "both values: {said}");
}

/// The digests of a cassette's requests, where they stand in it.
fn digests(text: &str) -> Vec<std::ops::Range<usize>> {
    let before = "\"sent\":\"";
    let ranges =
        text.match_indices(before).map(|(at, _)| at + before.len()).map(|at| at..at + text[at..].find('"').expect("an end"));
    ranges.collect()
}

#[test]
fn a_strict_replay_compares_what_was_sent_with_what_would_be_sent_now() {
    let here = folder();
    exported(here.path());
    let text = fs::read_to_string(here.path().join("run.jsonl")).expect("a file can be read");
    let all = digests(&text);
    assert!(all.len() > 5 && all.iter().all(|digest| digest.len() == 56), "{all:?}");
    let strict = |text: &str| {
        fs::write(here.path().join("other.jsonl"), text).expect("a file can be written");
        let (code, _, said) = synod(here.path(), &["replay", "other.jsonl", "--strict"]);
        (code, said)
    };
    // The tools that were sent with the third request were others, and nothing else on the record shows it.
    let tools = all[2].start + 5 * 8;
    let mut other = text.clone();
    other.replace_range(tools..tools + 8, "00000000");
    let (code, said) = strict(&other);
    let now = &text[tools..tools + 8];
    let expected = format!("the request differs at /tools: recorded \"00000000\", replayed \"{now}\"");
    assert!(code == 1 && said.contains("turn ") && said.contains(&expected), "{said}");
    // A journal of the first version does not say what was sent.
    let mut old = text.clone();
    for digest in all.iter().rev() {
        old.replace_range(digest.start - ",\"sent\":\"".len()..digest.end + 1, "");
    }
    let old = old.replacen("\"version\":2", "\"version\":1", 1);
    assert!(old.len() < text.len() && digests(&old).is_empty());
    let (code, said) = strict(&old);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn agents_whose_model_is_a_cassette_say_what_was_said_then() {
    let here = folder();
    let (_, report) = exported(here.path());
    let again = |set: &str| {
        let (code, out, said) = synod(here.path(), &["run", "incident-response", "--json", "--quiet", "--set", set]);
        assert_eq!(code, 0, "{set}: {said}");
        json(&out)["output"].clone()
    };
    assert_eq!(again("*.model=replay:run.jsonl"), report["output"]);
    let role = report["contributions"][0]["agent"].as_str().expect("an agent").to_owned();
    assert_eq!(again(&format!("{role}.model=replay:run.jsonl")), report["output"], "one among scripts");
}

#[test]
fn an_agent_may_take_the_part_of_another_one_of_the_cassette() {
    let here = folder();
    let (_, report) = exported(here.path());
    let role = report["contributions"][0]["agent"].as_str().expect("an agent").to_owned();
    let write = |name: &str, text: &str| fs::write(here.path().join(name), text).expect("a file can be written");
    write("heir.yaml", "name: Heir\nrole: worker\nmodel: script:nobody.rhai\nallowed_tools: ['*']\n");
    write("nobody.rhai", "fn turn(view) { #{ finish: #{} } }\n");
    write(
        "team.yaml",
        "name: Heirs\ncollaboration_pattern: graph\nmember_agents: [{ agent: heir, role: heir }]\nnodes: { work: { agent: heir } }\noutput: work.output\n",
    );
    let run =
        |model: String| synod(here.path(), &["run", "team.yaml", "--json", "--quiet", "--set", &format!("heir.model={model}")]);
    let (code, _, said) = run("replay:run.jsonl#nobody".to_owned());
    assert!(code == 2 && said.contains("called nobody; it has ") && said.contains(&role), "{said}");
    // Only the first turns: what that agent called then is not on this team's record, and its next words are the cassette's again.
    let (_, out, said) = run(format!("replay:run.jsonl#{role}"));
    let spent = json(&out)["metrics"]["turns"].as_u64();
    assert!(spent.is_some_and(|turns| turns > 0), "{said}{out}");
    let (_, out, said) = run("replay:run.jsonl".to_owned());
    assert!(out.contains("the cassette has no reply for turn 0 of work"), "without a name it is nobody's part: {said}{out}");
}

#[test]
fn what_is_no_cassette_is_refused_with_file_line_and_remedy() {
    let here = folder();
    for (name, text, expected) in [
        ("empty.jsonl", "", "empty.jsonl: the cassette is empty"),
        ("words.jsonl", "hello\n", "line 1 is no record"),
        ("newer.jsonl", "{\"synod_cassette\":7}\n", "use the version that wrote it"),
        ("none.jsonl", "{\"seq\":0,\"at\":1,\"event\":\"parked\"}\n", "does not begin with the start of a session"),
    ] {
        fs::write(here.path().join(name), text).expect("a file can be written");
        for command in ["import", "replay"] {
            let (code, _, said) = synod(here.path(), &[command, name]);
            assert!(code == 2 && said.contains(expected), "{command} {name}: {said}");
        }
    }
    let (code, _, said) = synod(here.path(), &["import", "nowhere.jsonl"]);
    assert!(code == 2 && said.contains("nowhere.jsonl"), "{said}");
}

/// Bytes in the tables of a journal, without pages and indices.
fn stored(path: &Path) -> u64 {
    let copy = path.with_extension("copy");
    fs::copy(path, &copy).expect("a closed journal can be copied");
    let database = Database::create(&copy).expect("a journal is a database");
    let read = database.begin_read().expect("it can be read");
    let records: TableDefinition<(u128, u32, u64), &[u8]> = TableDefinition::new("records_v1");
    let blobs: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("blobs_v1");
    let records = read.open_table(records).expect("it has records").stats().expect("and statistics").stored_bytes();
    records + read.open_table(blobs).map_or(0, |blobs| blobs.stats().expect("it has statistics").stored_bytes())
}

#[test]
fn a_journal_of_a_hundred_turns_grows_with_what_is_said_and_not_with_its_square() {
    const TURNS: u32 = 100;
    let words = |turn: u32, count: u32| (0..count).map(|n| format!("word {turn}.{n}, ")).collect::<String>();
    let bench = Bench::new();
    bench.file(
        "agent.yaml",
        &format!("name: A\nrole: worker\nmodel: gpt-4\nmax_conversation_turns: {TURNS}\nallowed_tools: [say]\n"),
    );
    bench.model(
        "gpt-4",
        say(move |request| {
            let turn = request.turn.0;
            let value = Value::text(words(turn, 150));
            let last = turn + 1 == TURNS;
            let call = if last { ("finish", Value::map([("result", value)])) } else { ("say", Value::map([("value", value)])) };
            let mut said = reply(&[call]);
            said.text = Some(words(turn, 100).into());
            Ok(said)
        }),
    );
    let prepared = bench.load(&graph("member_agents: [{ agent: agent, role: a }]\nnodes:\n  work: { agent: a }\n"));
    let folder = folder();
    let messages = {
        let store = std::sync::Arc::new(RedbStore::open(folder.path()).expect("a store can be made"));
        let engine = bench.engine_on(store);
        let session = bench.block_on(async {
            let handle = engine.start(&prepared, "talk", synod::value::Map::new()).await.expect("it starts");
            let session = handle.session();
            let ended = handle.wait().await.expect("it ends");
            assert_eq!(ended.status.name(), "completed", "{}", ended.report.markdown());
            session
        });
        let records = engine.store().read_all(session).expect("it can be read");
        let size = |event: &synod::event::Event| match event {
            synod::event::Event::TurnEnded { end: synod::event::TurnEnd::Reply(reply), .. } => {
                let calls: usize = reply.calls.iter().map(|call| call.args.to_string().len() + call.tool.len()).sum();
                reply.text.as_deref().map_or(0, str::len) + calls
            }
            synod::event::Event::ToolReturned { result, .. } => {
                result.outcome.as_ref().map_or(0, |value| value.to_string().len())
            }
            _ => 0,
        };
        records.iter().map(|record| size(&record.event)).sum::<usize>()
    };
    let journals = fs::read_dir(folder.path().join("journals")).expect("journals").flatten();
    let journal = journals.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|e| e == "redb"));
    let stored = stored(&journal.expect("there is a journal"));
    println!("{TURNS} turns: {messages} bytes of messages, {stored} bytes of records");
    assert!(messages > 200_000, "it is a long talk: {messages}");
    assert!(stored * 10 <= messages as u64 * 12, "{stored} bytes of records for {messages} bytes of messages");
}
