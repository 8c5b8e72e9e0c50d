//! Do sessions hold what they promise, whatever happens? Random plans in random worlds, in virtual time.
//!
//! A run has a seed. `SYNOD_SIM_RUNS` says how many runs there are (2,000), `SYNOD_SIM_EVERYWHERE` how many of them are
//! repeated with a crash at every position of their journal (20), `SYNOD_SIM_FROM` where their seeds begin (0),
//! `SYNOD_SIM_SLOW` how many others take as long as they may (2,000), `SYNOD_SIM_DAMAGED` how many journals are damaged (200); `SYNOD_SIM_SEED` runs one seed alone. The big one:
//! `SYNOD_SIM_RUNS=100000 SYNOD_SIM_EVERYWHERE=1000 cargo test --release --test sim`.
//!
//! `SYNOD_SIM_WORST` says how often a shipped team of each pattern runs with agents that do their worst (40), `SYNOD_SIM_SHUFFLES` in
//! how many orders of arrival every shipped team runs (10).

extern crate synod;

#[path = "sim/audit.rs"]
mod audit;
#[path = "sim/damage.rs"]
mod damage;
#[path = "sim/doubts.rs"]
mod doubts;
#[path = "sim/ledger.rs"]
mod ledger;
#[path = "sim/life.rs"]
mod life;
#[path = "sim/plan.rs"]
mod plan;
#[path = "sim/random.rs"]
mod random;
#[path = "sim/shipped.rs"]
mod shipped;
#[allow(dead_code, unused_imports, reason = "shared with the unit tests of the scheduler, which use other parts")]
#[path = "../src/schedule/tests/world/mod.rs"]
mod world;

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use life::{Crash, Fault, Told, live, slow};
use random::Random;
use shipped::{Shipped, bounded, shuffled};
use world::{Sabotage, Violation};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e}")))
}

/// Runs that many seeds on all cores; the first violation fails the test.
fn each(count: u64, name: &str, simulate: impl Fn(u64) -> Result<Told, Violation> + Sync) {
    if let Ok(seed) = std::env::var("SYNOD_SIM_SEED") {
        let seed = seed.parse().expect("SYNOD_SIM_SEED is a number");
        simulate(seed).unwrap_or_else(|violation| panic!("{name}, seed {seed}: {violation}"));
        return;
    }
    let from = number("SYNOD_SIM_FROM", 0);
    let next = AtomicU64::new(from);
    let broken = Mutex::new(BTreeMap::new());
    let sum = Mutex::new(Told::default());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed - from >= count {
                break;
            }
            match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| simulate(seed))) {
                Ok(Ok(told)) => sum.lock().expect("no thread panics with it").add(&told),
                Ok(Err(violation)) => {
                    broken.lock().expect("no thread panics with it").insert(seed, violation);
                    break;
                }
                Err(_) => {
                    broken.lock().expect("no thread panics with it").insert(seed, "it panicked".to_owned());
                    break;
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let broken = broken.into_inner().expect("no thread panics with it");
    if let Some((seed, violation)) = broken.first_key_value() {
        panic!("{name}: {violation}\nrerun it alone: SYNOD_SIM_SEED={seed} cargo test --test sim {name}");
    }
    println!("{name}: {count} seeds from {from}, {}", sum.into_inner().expect("no thread panics with it"));
}

/// A run without a crash, one with another order of arrival, one with random crashes, each with all checks.
fn simulate(seed: u64) -> Result<Told, Violation> {
    let calm = live(seed, 1, &[], Fault::None)?;
    let mut random = Random::new(seed ^ 0xc4a5);
    let crashes: Vec<Crash> = (0..1 + random.below(3)).map(|_| Crash::random(&mut random, calm.steps)).collect();
    let crashed = live(seed, 1, &crashes, Fault::None)?;
    let other = live(seed, 2, &[], Fault::None)?;
    calm.same_as(&other, "another order of arrival")?;
    if !calm.fires {
        calm.same_as(&crashed, &format!("{crashes:?}"))?;
    }
    let mut told = calm;
    told.add(&crashed);
    told.add(&other);
    Ok(told)
}

/// The same run with a crash at each of its positions, before, in the middle of and after what follows there.
fn everywhere(seed: u64) -> Result<Told, Violation> {
    let calm = live(seed, 1, &[], Fault::None)?;
    let mut told = calm.clone();
    for at in 0..=calm.steps {
        for crash in Crash::at(at) {
            let crashed = live(seed, 1, &[crash], Fault::None).map_err(|violation| format!("{crash:?}: {violation}"))?;
            if !calm.fires {
                calm.same_as(&crashed, &format!("{crash:?}"))?;
            }
            told.add(&crashed);
        }
    }
    Ok(told)
}

#[test]
fn random_sessions_keep_their_promises() {
    each(number("SYNOD_SIM_RUNS", 2_000), "random_sessions_keep_their_promises", simulate);
}

/// A journal that was damaged could make the engine panic where it should say what is wrong.
#[test]
fn a_damaged_journal_is_refused_or_folded() {
    let damage = |seed| {
        let told = live(seed, 1, &[], Fault::None)?;
        damage::damaged(seed, &told.journal)?;
        Ok(told)
    };
    each(number("SYNOD_SIM_DAMAGED", 200), "a_damaged_journal_is_refused_or_folded", damage);
}

#[test]
fn a_crash_at_any_position_changes_nothing() {
    each(number("SYNOD_SIM_EVERYWHERE", 20), "a_crash_at_any_position_changes_nothing", everywhere);
}

#[test]
fn sessions_whose_calls_take_their_full_time_end_within_the_printed_bounds() {
    each(number("SYNOD_SIM_SLOW", 2_000), "sessions_whose_calls_take_their_full_time_end_within_the_printed_bounds", slow);
}

/// Shipped teams, one of each pattern.
const PATTERNS: [(&str, &str); 8] = [
    ("coordinator_worker", "incident-response"),
    ("coordinator_worker, divided by the coordinator", "change-review"),
    ("parallel", "code-review"),
    ("peer_to_peer", "change-window"),
    ("hierarchical", "incident-command"),
    ("sequential", "release-paperwork"),
    ("graph", "release-notes"),
    ("all of them", "release-train"),
];

#[test]
fn a_team_of_any_pattern_ends_within_its_printed_bounds_whatever_its_agents_do() {
    for (pattern, name) in PATTERNS {
        println!("{pattern}: {name}");
        let team = Shipped::load(name);
        let test = "a_team_of_any_pattern_ends_within_its_printed_bounds_whatever_its_agents_do";
        each(number("SYNOD_SIM_WORST", 40), test, |seed| bounded(&team, seed));
    }
}

/// How many sets of agents a shipped team has here.
const CASTS: u64 = 5;

#[test]
fn a_shipped_team_comes_to_the_same_in_any_order_of_arrival() {
    let teams = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/graphs/teams")).expect("the shipped teams");
    let mut names: Vec<String> = teams
        .filter_map(|entry| entry.expect("a file").path().file_stem().map(|stem| stem.to_string_lossy().into_owned()))
        .collect();
    names.retain(|name| !name.ends_with(".test"));
    names.sort_unstable();
    let shuffles = number("SYNOD_SIM_SHUFFLES", 10);
    for name in names {
        println!("{name}");
        let team = Shipped::load(&name);
        let calm = |agents| shuffled(&team, agents, 0).unwrap_or_else(|violation| panic!("{name}: {violation}"));
        let firsts: Vec<Told> = (0..CASTS).map(calm).collect();
        let shuffle = |seed: u64| {
            let cast = seed % CASTS;
            let other = shuffled(&team, cast, seed + 1)?;
            firsts[cast as usize].same_as(&other, "another order of arrival")?;
            Ok(other)
        };
        each(shuffles, "a_shipped_team_comes_to_the_same_in_any_order_of_arrival", shuffle);
    }
}

/// What the simulation says about a harness that does something wrong, over some seeds.
fn noticed(fault: Fault, seeds: std::ops::Range<u64>) -> Vec<Violation> {
    let sabotaged = |seed| {
        let calm = live(seed, 1, &[], Fault::None).unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
        let needed = fault != Fault::ByArrival;
        let crashes: Vec<Crash> = Crash::at(calm.steps / 2).into_iter().take(usize::from(needed)).collect();
        let one = live(seed, 1, &crashes, fault)?;
        let other = live(seed, 2, &[], fault)?;
        if crashes.is_empty() || !one.fires { one.same_as(&other, "another order of arrival") } else { Ok(()) }
    };
    let count = seeds.end - seeds.start;
    let found: Vec<Violation> = seeds.filter_map(|seed| sabotaged(seed).err().map(|why| format!("seed {seed}: {why}"))).collect();
    let first = found.first().map_or("nothing", String::as_str);
    println!("{fault:?}: noticed in {} of {count} seeds, first in {first}", found.len());
    found
}

#[test]
fn a_lost_record_is_noticed() {
    let found = noticed(Fault::Harness(Sabotage::LoseRecord), 0..40);
    assert!(found.len() >= 30, "{found:?}");
}

#[test]
fn a_record_that_is_there_twice_is_noticed() {
    let found = noticed(Fault::Harness(Sabotage::RepeatRecord), 0..40);
    assert!(found.len() >= 30, "{found:?}");
}

#[test]
fn an_irreversible_call_that_is_repeated_after_an_outage_is_noticed() {
    let found = noticed(Fault::Harness(Sabotage::RepeatInDoubt), 0..400);
    assert!(found.iter().any(|violation| violation.contains("twice")), "{found:?}");
}

#[test]
fn a_cancelled_call_that_stops_without_a_word_is_noticed() {
    let found = noticed(Fault::Harness(Sabotage::SilentStop), 0..200);
    assert!(found.iter().any(|violation| violation.contains("in flight are")), "{found:?}");
}

#[test]
fn a_decision_that_depends_on_the_order_of_arrival_is_noticed() {
    let found = noticed(Fault::ByArrival, 0..200);
    assert!(found.iter().any(|violation| violation.contains("another order of arrival")), "{found:?}");
}
