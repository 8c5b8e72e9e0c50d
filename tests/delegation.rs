//! Does a team whose coordinator divides the work by skills, has it checked and divides anew what failed leave that on record?

extern crate synod;

mod common;

use std::sync::Arc;

use common::Ran;
use serde_json::json;
use synod::{
    engine::Engine,
    event::Event,
    store::{MemoryStore, Store},
    team::Overrides,
    value::Map,
};

/// The shipped team on the shipped sample.
fn run() -> Ran {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let workspace = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let engine = Engine::builder().workspace(workspace.path()).store(store.clone()).build();
    let team = engine.load("change-review", &Overrides::default()).unwrap();
    runtime.block_on(async {
        let handle = engine.start(&team, "What changed before the alert?", Map::new()).await.unwrap();
        let ended = handle.wait().await.unwrap();
        let records = store.read_all(ended.report.session).unwrap();
        Ran::new(ended, records)
    })
}

#[test]
fn the_shipped_review_divides_by_skills_checks_what_comes_back_and_asks_somebody_else() {
    let ran = run();
    assert_eq!(ran.completed()["change"]["service"], json!("payment-service"));
    let plans = ran.events(|e| if let Event::Delegated(d) = e { Some((ran.state.path(d.node), d)) } else { None });
    let given = plans.iter().map(|(path, plan)| {
        assert_eq!(plan.fallback, None);
        let tasks = plan.subtasks.iter().map(|task| format!("{} to {}", task.id, task.agent));
        (path.to_string(), tasks.collect::<Vec<_>>())
    });
    assert_eq!(
        given.collect::<Vec<_>>(),
        [
            ("delegate".to_owned(), vec!["change to audit".to_owned(), "cost to bills".to_owned()]),
            ("work/2".to_owned(), vec!["change to releases".to_owned()]),
        ]
    );
    assert!(plans.iter().flat_map(|(_, plan)| &plan.subtasks).all(|task| task.scores[0].agent == task.agent), "and why");
    assert_eq!((ran.of("work/change"), ran.of("work/2/change")), ("ok", "ok"));
    let objection = ran.failure_of("work/change_check");
    assert_eq!((objection.kind.name(), &*objection.message), ("rejected", "coordinator objects: nothing is said of service"));
    assert_eq!(ran.starts("work/cost").len(), 1, "what is done is not done again");
    let rows = ran.report.delegations.iter().map(|row| {
        let parts = row.subtasks.iter().map(|part| format!("{}: {}", part.id, part.status));
        format!("{} by {}: {}", row.node, row.by, parts.collect::<Vec<_>>().join(", "))
    });
    assert_eq!(
        rows.collect::<Vec<_>>(),
        ["work by coordinator: change: failed, cost: done", "work/2 by coordinator: change: done"]
    );
    let page = ran.report.markdown();
    assert!(page.contains(
        "- change (audit): failed (rejected: coordinator objects: nothing is said of service), chosen by skills: audit"
    ));
}
