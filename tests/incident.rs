//! Does the incident team find what happened, on the shipped sample, on real incidents, and on real ones that were changed?
//!
//! The real ones are read from the folder that `SYNOD_SHARED` names and skipped without it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value as Json;
use synod::{
    engine::{Engine, library_files, library_text},
    event::{Event, Status},
    graph::EscalationPolicy,
    rule::{Source, run_tests},
    team::{Known, ModelCatalog, Overrides, is_suite, load_profile, render},
    value::{AskId, Map, Value},
};

/// What came of a run.
struct Run {
    status: Status,
    report: Json,
}

impl Run {
    fn output(&self, key: &str) -> &Json {
        &self.report["output"][key]
    }

    fn confidence(&self) -> f64 {
        self.output("confidence").as_f64().unwrap_or_else(|| panic!("no confidence: {}", self.report["output"]))
    }

    /// The place of a service among the candidates, from 1.
    fn place_of(&self, service: &str) -> Option<usize> {
        let candidates = self.output("candidates").as_array()?;
        candidates.iter().position(|c| c["service"] == service).map(|at| at + 1)
    }

    /// Seconds between the time it names and `expected`.
    fn seconds_off(&self, expected: &str) -> i64 {
        let told = self.output("started_at").as_str().unwrap_or_else(|| panic!("no time: {}", self.report["output"]));
        (at(told) - at(expected)).abs()
    }

    fn claims_of(&self, agent: &str) -> Vec<&str> {
        let findings = self.report["findings"].as_array().expect("a list of findings");
        findings.iter().filter(|f| f["agent"] == agent).filter_map(|f| f["claim"].as_str()).collect()
    }
}

fn at(time: &str) -> i64 {
    time.parse::<jiff::Timestamp>().unwrap_or_else(|e| panic!("{time}: {e}")).as_second()
}

/// Runs the team on a folder, the shipped sample without one, and answers its question, if it has one and there is an answer.
fn run_with(folder: Option<&Path>, inputs: &[(&str, &str)], answer: Option<&str>) -> Run {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let workspace = tempfile::tempdir().expect("a folder");
    runtime.block_on(async {
        let engine = Engine::builder().workspace(workspace.path()).state_folder(workspace.path().join(".state")).build();
        let team = engine.load("incident-response", &Overrides::default()).unwrap_or_else(|e| panic!("{e}"));
        let mut given: Map = inputs.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect();
        if let Some(folder) = folder {
            given.insert("data".to_owned(), Value::from(folder.to_string_lossy().into_owned()));
        }
        let handle = engine.start(&team, "Find the cause", given).await.expect("it starts");
        let session = handle.session();
        let mut ended = handle.wait().await.expect("it runs");
        if let Some(answer) = answer {
            assert_eq!(ended.status, Status::Parked);
            let on = engine.answer(session, AskId(0), Value::from(answer), "on-call").await.expect("it takes the answer");
            ended = on.expect("nobody else drives it").wait().await.expect("it goes on");
        }
        let records = engine.store().read_all(session).expect("its records");
        let told = records.iter().filter(|r| matches!(&r.event, Event::Noted { detector: Some(_), .. }));
        let stalled =
            records.iter().filter(|r| matches!(&r.event, Event::Escalated { cause: Some(EscalationPolicy::OnStall), .. }));
        assert_eq!(told.chain(stalled).count(), 0, "a detector fired in honest work");
        Run { status: ended.status, report: serde_json::to_value(&*ended.report).expect("JSON") }
    })
}

fn run(folder: &Path) -> Run {
    run_with(Some(folder), &[], None)
}

/// The shared incident of that name; `None` where no shared data is at hand.
fn shared(name: &str) -> Option<PathBuf> {
    let Some(root) = std::env::var_os("SYNOD_SHARED") else {
        println!("skipped: SYNOD_SHARED is not set");
        return None;
    };
    let folder = PathBuf::from(root).join("incidents").join(name);
    assert!(folder.is_dir(), "{} is missing", folder.display());
    Some(folder)
}

/// A copy of a folder, each file's text changed by `change` (name, text), which may leave it out.
fn changed(from: &Path, change: &dyn Fn(&str, String) -> Option<String>) -> tempfile::TempDir {
    let to = tempfile::tempdir().expect("a folder");
    copy(from, to.path(), change);
    to
}

fn copy(from: &Path, to: &Path, change: &dyn Fn(&str, String) -> Option<String>) {
    for entry in fs::read_dir(from).expect("a folder").map(|e| e.expect("an entry").path()) {
        let name = entry.file_name().expect("a name").to_string_lossy().into_owned();
        if entry.is_dir() {
            fs::create_dir(to.join(&name)).expect("a folder");
            copy(&entry, &to.join(&name), change);
        } else if let Some(text) = change(&name, fs::read_to_string(&entry).expect("text")) {
            fs::write(to.join(&name), text).expect("a file");
        }
    }
}

/// Whether the service is named as the cause, with what confidence the report demands.
fn found(run: &Run, service: &str, start: &str, tolerance: i64) {
    assert_eq!(run.status, Status::Completed, "{}", run.report["output"]);
    assert_eq!(run.output("service"), service, "{}", run.report["output"]);
    assert_eq!(run.place_of(service), Some(1));
    assert!(run.confidence() >= 0.5);
    assert!(run.seconds_off(start) <= tolerance, "{} is not {start}", run.output("started_at"));
}

/// Whatever else it says, it is not sure of something wrong.
fn not_confidently_wrong(run: &Run, service: &str) {
    let wrong = run.output("service") != service || run.output("no_incident") == true;
    assert!(
        !(wrong && run.confidence() >= 0.5 && run.status == Status::Completed && run.output("no_incident") != true),
        "{}",
        run.report["output"]
    );
}

// ------------------------------------------------------------------------------------------------ what is shipped

#[test]
fn every_shipped_team_loads_and_compiles() {
    let engine = Engine::builder().build();
    let teams = library_files().into_iter().filter(|f| !f.is_script && f.path.starts_with("teams/") && !is_suite(f.path));
    let names: Vec<&str> = teams.map(|f| f.path.trim_start_matches("teams/").trim_end_matches(".yaml")).collect();
    assert!(names.len() >= 4, "{names:?}");
    for name in names {
        if let Err(error) = engine.load(name, &Overrides::default()) {
            panic!("{name}: {error}");
        }
    }
}

#[test]
fn the_incident_team_has_nothing_that_its_author_should_look_at() {
    let engine = Engine::builder().build();
    let team = engine.load("incident-response", &Overrides::default()).unwrap_or_else(|e| panic!("{e}"));
    assert!(team.warnings.is_empty(), "{}", render(&team.warnings, false));
}

#[test]
fn every_shipped_profile_has_a_prompt_and_loads() {
    let sources = synod::engine::FileSources::new(".");
    let models = ModelCatalog::built_in();
    for file in library_files().into_iter().filter(|f| !f.is_script && f.path.starts_with("profiles/")) {
        let name = format!("lib:{}", file.path);
        let (loaded, warnings) =
            load_profile(&name, &sources, &Known::models(&models)).unwrap_or_else(|found| panic!("{}", render(&found, false)));
        assert!(warnings.is_empty(), "{}", render(&warnings, false));
        assert!(loaded.profile.system_prompt.lines().count() >= 5, "{name} has a prompt that says little");
    }
}

#[test]
fn the_rules_of_the_incident_team_pass_their_own_tests() {
    let text = library_text("scripts/rules/incident.rhai").expect("the rules are shipped");
    let outcomes = run_tests(&[Source::new("incident.rhai", text)]).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    assert!(outcomes.len() >= 7);
    for outcome in outcomes {
        assert!(outcome.passed(), "{}: {:?}", outcome.name, outcome.failure);
    }
}

// ------------------------------------------------------------------------------------------------ the sample

#[test]
fn the_sample_is_explained_by_an_exhausted_connection_pool_at_half_past_two() {
    let run = run_with(None, &[], None);
    found(&run, "payment-service", "2025-10-14T14:30:00Z", 60);
    let cause = run.output("root_cause").as_str().expect("a text");
    assert!(cause.starts_with("Connection pool exhausted in payment-service from 14:30 UTC"), "{cause}");
    assert!(run.output("remedy").as_str().expect("a text").contains("connection pool"));

    let members = ["performance", "logs", "security", "cost", "compliance"];
    let contributions = run.report["contributions"].as_array().expect("a list");
    for member in members {
        assert!(contributions.iter().any(|c| c["agent"] == member), "{member} contributed nothing");
        let findings = run.report["findings"].as_array().expect("a list");
        let own: Vec<&Json> = findings.iter().filter(|f| f["agent"] == member).collect();
        assert!(!own.is_empty(), "{member} found nothing");
        assert!(own.iter().any(|f| f["evidence"].as_array().is_some_and(|e| !e.is_empty())), "{member} has no evidence");
    }
    assert!(
        run.claims_of("logs").iter().any(|c| c.contains("Timeout") && c.contains("14:29 UTC")),
        "{:?}",
        run.claims_of("logs")
    );
    assert!(run.claims_of("cost").iter().any(|c| c.starts_with("rds") && c.contains("14:30 UTC")), "{:?}", run.claims_of("cost"));
    assert!(run.claims_of("security").iter().any(|c| c.starts_with("No security anomaly")), "{:?}", run.claims_of("security"));
    assert!(run.claims_of("compliance").iter().any(|c| c.contains("has no approval on record")));
    let votes = run.output("validation").as_array().expect("votes");
    assert!(votes.len() >= 4 && votes.iter().all(|v| v["vote"] == "approve"), "{votes:?}");
    let times: Vec<&str> = run.output("timeline").as_array().expect("a list").iter().filter_map(|e| e["at"].as_str()).collect();
    assert!(times.len() > 5 && times.is_sorted(), "{times:?}");
}

#[test]
fn the_sample_is_found_without_logs_and_without_its_alert() {
    let sample = tempfile::tempdir().expect("a folder");
    for file in library_files().into_iter().filter(|f| f.path.starts_with("samples/payment-outage/")) {
        let name = file.path.trim_start_matches("samples/payment-outage/");
        if name == "alert.json" || name.starts_with("logs/") {
            continue;
        }
        let path = sample.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, file.bytes).expect("a file");
    }
    let run = run(sample.path());
    assert_eq!(run.place_of("payment-service"), Some(1), "{}", run.report["output"]);
    assert!(run.seconds_off("2025-10-14T14:30:00Z") <= 120, "{}", run.output("started_at"));
    assert!(run.claims_of("logs").iter().any(|c| c.contains("no logs")), "{:?}", run.claims_of("logs"));
}

// ------------------------------------------------------------------------------------------------ little or nothing

#[test]
fn an_empty_folder_is_said_to_be_empty_by_everyone_and_goes_to_a_person() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("logs")).expect("a folder");
    let run = run(folder.path());
    no_evidence(&run);
    for (member, words) in [
        ("performance", "no metrics"),
        ("logs", "no logs"),
        ("security", "no audit trail"),
        ("cost", "no billing"),
        ("compliance", "no record"),
    ] {
        assert!(run.claims_of(member).iter().any(|c| c.contains(words)), "{member}: {:?}", run.claims_of(member));
    }
}

/// That the run names nobody, and that none of its findings is sure of anything.
fn no_evidence(run: &Run) {
    assert_eq!(run.status, Status::Parked, "{}", run.report["output"]);
    assert_eq!(run.output("confidence"), 0.0);
    assert!(run.output("service").is_null(), "{}", run.report["output"]);
    for finding in run.report["findings"].as_array().expect("a list of findings") {
        assert!(finding["confidence"].as_f64().is_some_and(|sure| sure <= 0.1), "{finding}");
        assert!(finding["claim"].as_str().is_some_and(|claim| claim.starts_with("No evidence")), "{finding}");
    }
}

#[test]
fn random_bytes_are_evidence_of_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    // xorshift: the same bytes in every run.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = |length: usize| -> Vec<u8> {
        let mut byte = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        (0..length).map(|_| byte()).collect()
    };
    for (name, length) in [("payment.log", 100_000), ("metrics.csv", 20_000), ("deploys.jsonl", 3_000), ("audit.log", 20_000)] {
        fs::write(folder.path().join(name), noise(length)).expect("a file");
    }
    no_evidence(&run(folder.path()));
}

#[test]
fn logs_of_something_else_accuse_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let line = |n: usize| format!("2026-01-01T00:{:02}:{:02}Z INFO nginx GET /index.html 200\n", n / 60, n % 60);
    fs::write(folder.path().join("web.log"), (0..600).map(line).collect::<String>()).expect("a file");
    fs::write(folder.path().join("notes.txt"), "Lorem ipsum dolor sit amet").expect("a file");
    let run = run(folder.path());
    assert!(run.output("no_incident") == true || run.status == Status::Parked, "{}", run.report["output"]);
    assert!(run.output("service").is_null() && run.confidence() <= 0.6, "{}", run.report["output"]);
    assert!(run.claims_of("performance").iter().any(|claim| claim.starts_with("No evidence")));
}

#[test]
fn files_that_are_broken_are_no_reason_to_fail() {
    let folder = tempfile::tempdir().expect("a folder");
    let put = |name: &str, text: &[u8]| fs::write(folder.path().join(name), text).expect("a file");
    put("alert.json", b"{ \"alert\": ");
    put("metrics.csv", b"timestamp,service,value\nnot a time,a,NaN\n,,\n");
    put("app.log", b"\xff\xfe no time here\n\n{\"broken\": \n");
    put("audit.jsonl", b"[]\n\"text\"\n{\"actor\": 3}\n");
    put("deploys.jsonl", b"{\"time\": \"never\", \"service\": null}\n7\n");
    put("billing.csv", b"\n\n\n");
    put("graph.csv", b",a,b\na,0,x\n");
    let run = run(folder.path());
    assert!(matches!(run.status, Status::Parked | Status::Completed), "{:?}: {}", run.status, run.report);
    assert!(run.confidence() < 0.5 || run.output("no_incident") == true, "{}", run.report["output"]);
}

// ------------------------------------------------------------------------------------------------ real incidents

const PS_CULPRIT: &str = "PetSearch_AWS::ECS::Fargate";
const PS_01: &str = "2023-04-18T22:10:03Z";
const PS_02: &str = "2023-04-13T12:50:08Z";
const TT_CULPRIT: &str = "ts-verification-code-service";
const TT_01: &str = "2023-01-29T14:23:31Z";

#[test]
fn a_cpu_contention_is_found_in_metrics_and_logs() {
    if let Some(folder) = shared("tt-01") {
        found(&run(&folder), TT_CULPRIT, TT_01, 120);
    }
}

#[test]
fn an_exception_that_hardly_shows_goes_to_a_person_whose_choice_stands() {
    let Some(folder) = shared("tt-02") else { return };
    let parked = run(&folder);
    assert_eq!(parked.status, Status::Parked, "{}", parked.report["output"]);
    assert!(parked.place_of("ts-travel-service").is_some_and(|place| place <= 3), "{}", parked.output("candidates"));
    let decided = run_with(Some(&folder), &[], Some("ts-train-service"));
    assert_eq!(decided.status, Status::Completed, "{}", decided.report);
    assert_eq!(
        (decided.output("service"), decided.output("decided_by")),
        (&Json::from("ts-train-service"), &Json::from("on-call"))
    );
    assert!(decided.output("own_confidence").as_f64().is_some_and(|c| c < 0.5));
}

#[test]
fn slow_responses_are_laid_to_the_callee_and_not_to_what_alerts() {
    if let (Some(one), Some(two)) = (shared("ps-01"), shared("ps-02")) {
        found(&run(&one), PS_CULPRIT, PS_01, 300);
        found(&run(&two), PS_CULPRIT, PS_02, 300);
    }
}

#[test]
fn a_normal_period_is_no_incident() {
    for name in ["ps-01", "ps-02"] {
        let Some(folder) = shared(name) else { return };
        let alone = changed(&folder, &|file, text| (file == "baseline_long.csv").then_some(text));
        let run = run(alone.path());
        assert_eq!((run.status, run.output("no_incident")), (Status::Completed, &Json::from(true)), "{}", run.report["output"]);
        assert!(run.confidence() >= 0.5 && run.output("service").is_null());
    }
}

#[test]
fn other_names_make_no_difference() {
    let Some(folder) = shared("ps-01") else { return };
    let names = [
        ("PetSearch", "Quux"),
        ("PetSite", "Front"),
        ("servi-searc", "lb-1"),
        ("lambda_step", "fn"),
        ("adoptions", "zzz"),
        ("petsearch", "qq"),
    ];
    let renamed = changed(&folder, &|_, text| Some(names.iter().fold(text, |text, (old, new)| text.replace(old, new))));
    found(&run(renamed.path()), "Quux_AWS::ECS::Fargate", PS_01, 300);
}

#[test]
fn a_tenth_of_the_samples_may_be_lost() {
    let (Some(tt), Some(ps)) = (shared("tt-01"), shared("ps-02")) else { return };
    // The same rows in every run; the call graph is no time series.
    let thin = |seed: u64| {
        move |name: &str, text: String| {
            let lost = |row: usize| blake3::hash(format!("{seed}/{name}/{row}").as_bytes()).as_bytes()[0] < 26;
            let lossy = name.ends_with(".csv") && !name.starts_with("graph");
            let kept = text.lines().enumerate().filter(|(row, _)| *row == 0 || !lossy || !lost(*row));
            Some(kept.map(|(_, line)| format!("{line}\n")).collect())
        }
    };
    found(&run(changed(&tt, &thin(1)).path()), TT_CULPRIT, TT_01, 120);
    for seed in 1..=3 {
        // With so few samples left an answer may be unsure, and then a person decides; a sure answer is the right one.
        let thinned = run(changed(&ps, &thin(seed)).path());
        let sure = thinned.confidence() >= 0.5 && thinned.output("service").is_string();
        assert!(!sure || thinned.place_of(PS_CULPRIT) == Some(1), "{}", thinned.report["output"]);
    }
}

#[test]
fn a_window_that_is_a_little_off_gives_the_same_culprit() {
    let Some(folder) = shared("tt-01") else { return };
    for (begin, end) in [("14:22:00", "14:26:00"), ("14:23:20", "14:26:30"), ("14:23:00", "14:28:00")] {
        let moved = changed(&folder, &|name, text| {
            Some(if name == "alert.json" { text.replace("14:23:00", begin).replace("14:26:00", end) } else { text })
        });
        found(&run(moved.path()), TT_CULPRIT, TT_01, 120);
    }
}

#[test]
fn less_data_may_leave_it_open_but_never_makes_it_sure_of_something_wrong() {
    for (name, culprit) in [("tt-01", TT_CULPRIT), ("tt-02", "ts-travel-service"), ("ps-01", PS_CULPRIT), ("ps-02", PS_CULPRIT)] {
        let Some(folder) = shared(name) else { return };
        for lost in ["alert.json", ".log", "graph.csv", "baseline_long.csv"] {
            if lost == ".log" && name.starts_with("ps") || lost.starts_with(['g', 'b']) && name.starts_with("tt") {
                continue;
            }
            let less = changed(&folder, &|file, text| (!file.ends_with(lost)).then_some(text));
            not_confidently_wrong(&run(less.path()), culprit);
        }
    }
}
