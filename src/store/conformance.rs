//! What must every store do? Each sentence here is run against each implementation.
//!
//! A new implementation adds a line of `conformance!`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Barrier, atomic::AtomicU32, atomic::Ordering},
    task::{Context, Waker},
    thread,
};

use uuid::Uuid;

use super::*;
use crate::{
    event::{Event, Finished, Outcome, Status, TurnEnd},
    value::{AskId, Epoch, Failure, FailureKind, NodeIx, Reply, Tenant, Timestamp, Turn, Value},
};

/// A store and what has to outlive it.
pub struct Fixture {
    pub store: Box<dyn Store>,
    pub _folder: Option<tempfile::TempDir>,
}

macro_rules! conformance {
    ($store:ident, $make:expr, $($sentence:ident),+ $(,)?) => {
        mod $store {
            $(#[test]
            fn $sentence() {
                super::$sentence(&*$make.store);
            })+
        }
    };
}

macro_rules! for_each_store {
    ($($sentence:ident),+ $(,)?) => {
        conformance!(memory, super::super::Fixture { store: Box::new(crate::store::MemoryStore::new()), _folder: None }, $($sentence),+);
        conformance!(redb, super::super::in_folder(), $($sentence),+);
    };
}

fn in_folder() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    Fixture { store: Box::new(RedbStore::open(folder.path().join(".synod")).unwrap()), _folder: Some(folder) }
}

pub fn new_session() -> NewSession {
    let tenant = Tenant::default();
    NewSession {
        session: SessionId(Uuid::now_v7()),
        tenant,
        team: "team".into(),
        task: "task".into(),
        started_at: Timestamp(1_000),
    }
}

pub fn record(seq: u64, event: Event) -> Record {
    Record { seq: Seq(seq), at: Timestamp(1_000 + i64::try_from(seq).unwrap()), event }
}

pub fn ended(seq: u64, output: Value) -> Record {
    record(seq, Event::NodeEnded { node: NodeIx(7), outcome: Outcome::Ok(output) })
}

/// `count` small records from `from` on.
pub fn records(from: u64, count: u64) -> Vec<Record> {
    (from..from + count)
        .map(|seq| record(seq, Event::NodeStarted { node: NodeIx(seq as u32), attempt: 1, lookup: None }))
        .collect()
}

pub fn park() -> Closing {
    Closing { status: Status::Parked, at: Timestamp(5_000) }
}

fn complete() -> Closing {
    Closing { status: Status::Completed, at: Timestamp(9_001_000) }
}

fn answer(ask: u32) -> InboxItem {
    InboxItem::Answer { ask: AskId(ask), value: Value::from("yes"), by: "ann".into(), at: Timestamp(7) }
}

/// Whether the bell of `claim` has rung since this was asked last.
pub fn has_rung(claim: &Claim) -> bool {
    let rung = std::pin::pin!(claim.bell().rung());
    rung.poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

mod sentences {
    use super::*;

    fn what_was_appended_is_read_back_in_order(store: &dyn Store) {
        let claim = store.create(new_session()).unwrap();
        assert_eq!((claim.epoch(), claim.length()), (Epoch(1), Seq(0)));
        let all = records(0, 10);
        let first = store.append(&claim, Seq(0), &all[..3]).unwrap();
        let second = store.append(&claim, Seq(3), &all[3..]).unwrap();
        second.wait().unwrap();
        assert!(matches!(first.outcome(), Some(Ok(()))), "appends become durable in order");
        assert_eq!(store.read_all(claim.session()).unwrap(), all);
    }

    fn reading_starts_where_asked_and_stops_where_asked(store: &dyn Store) {
        let claim = store.create(new_session()).unwrap();
        let all = records(0, 10);
        store.append(&claim, Seq(0), &all).unwrap().wait().unwrap();
        let read = |from, max| store.read(claim.session(), Seq(from), max).unwrap();
        assert_eq!(read(0, 4), all[..4]);
        assert_eq!(read(4, 100), all[4..]);
        assert_eq!(read(9, 1), all[9..]);
        assert_eq!(read(10, 5), []);
        assert_eq!(read(99, 5), []);
        assert_eq!(read(3, 0), []);
    }

    fn long_sessions_are_read_in_pages(store: &dyn Store) {
        let claim = store.create(new_session()).unwrap();
        let all = records(0, READ_PAGE as u64 + 10);
        store.append(&claim, Seq(0), &all).unwrap().wait().unwrap();
        assert_eq!(store.read(claim.session(), Seq(0), usize::MAX).unwrap().len(), READ_PAGE);
        assert_eq!(store.read_all(claim.session()).unwrap(), all);
    }

    fn every_shape_of_value_survives(store: &dyn Store) {
        let claim = store.create(new_session()).unwrap();
        let odd = [
            Value::Null,
            Value::from(false),
            Value::from(0),
            Value::from(i64::MIN),
            Value::from(i64::MAX),
            Value::Float(1.0),
            Value::Float(-0.0),
            Value::Float(f64::MIN_POSITIVE),
            Value::text(""),
            Value::text("\u{0}é𝄞"),
            Value::list([Value::Null, Value::list([])]),
            Value::map([("", Value::Null), ("ä", Value::map::<String>([]))]),
        ];
        let deep = (0..120).fold(Value::Null, |inner, _| Value::list([inner]));
        let large = Value::list((0..1_000).map(|i| Value::text(format!("{i} {}", "x".repeat(i)))));
        let values = odd.into_iter().chain([deep, large]);
        let mut all: Vec<_> = values.enumerate().map(|(seq, value)| ended(seq as u64, value)).collect();
        let failure = Failure::new(FailureKind::Tool, "it broke");
        all.push(record(
            all.len() as u64,
            Event::TurnEnded { node: NodeIx(1), turn: Turn(2), effects: Vec::new(), end: TurnEnd::Failed(Arc::new(failure)) },
        ));
        let reply = Reply { text: Some("hm".into()), carry: Some(Value::Null), elided: 2, ..Reply::default() };
        all.push(record(
            all.len() as u64,
            Event::TurnEnded { node: NodeIx(1), turn: Turn(2), effects: Vec::new(), end: TurnEnd::Reply(Arc::new(reply)) },
        ));
        store.append(&claim, Seq(0), &all).unwrap().wait().unwrap();
        assert_eq!(store.read_all(claim.session()).unwrap(), all);
    }

    fn a_session_is_made_once(store: &dyn Store) {
        let new = new_session();
        let claim = store.create(new.clone()).unwrap();
        assert!(matches!(store.create(new.clone()), Err(ClaimError::Exists(_))));
        store.release(claim, park()).wait().unwrap();
        assert!(matches!(store.create(new), Err(ClaimError::Exists(_))));
    }

    fn an_unknown_session_is_named(store: &dyn Store) {
        let nobody = SessionId(Uuid::now_v7());
        let all_of = |store: &dyn Store| {
            [
                store.claim(nobody).unwrap_err().to_string(),
                store.read_all(nobody).unwrap_err().to_string(),
                store.row(nobody).unwrap_err().to_string(),
                store.post(nobody, answer(0)).unwrap_err().to_string(),
            ]
        };
        // In a store that has nothing yet, and in one that has something.
        let before = all_of(store);
        let claim = store.create(new_session()).unwrap();
        store.append(&claim, Seq(0), &records(0, 1)).unwrap().wait().unwrap();
        for text in before.iter().chain(&all_of(store)) {
            assert!(text.starts_with(&format!("there is no session {nobody}")), "{text}");
        }
    }

    fn a_live_owner_is_named_and_keeps_the_session(store: &dyn Store) {
        let claim = store.create(new_session()).unwrap();
        let error = store.claim(claim.session()).unwrap_err();
        assert!(matches!(error, ClaimError::Owned { pid, .. } if pid == std::process::id()), "{error}");
        store.append(&claim, Seq(0), &records(0, 1)).unwrap().wait().unwrap();
        assert!(matches!(store.row(claim.session()).unwrap().owner, Owner::Live { .. }));
    }

    fn a_released_session_is_claimed_with_the_next_epoch_and_goes_on(store: &dyn Store) {
        let claim = store.create(new_session()).unwrap();
        let session = claim.session();
        let all = records(0, 9);
        store.append(&claim, Seq(0), &all[..4]).unwrap();
        store.release(claim, park()).wait().unwrap();
        let claim = store.claim(session).unwrap();
        assert_eq!((claim.epoch(), claim.length()), (Epoch(2), Seq(4)));
        store.append(&claim, Seq(4), &all[4..7]).unwrap();
        store.release(claim, park()).wait().unwrap();
        // A claim that appends nothing leaves no trace in the records.
        store.release(store.claim(session).unwrap(), park()).wait().unwrap();
        let claim = store.claim(session).unwrap();
        assert_eq!((claim.epoch(), claim.length()), (Epoch(4), Seq(7)));
        store.append(&claim, Seq(7), &all[7..]).unwrap().wait().unwrap();
        assert_eq!(store.read_all(session).unwrap(), all);
        for from in 0..9 {
            assert_eq!(store.read(session, Seq(from), 2).unwrap(), all[from as usize..9.min(from as usize + 2)]);
        }
    }

    fn a_dropped_claim_can_be_claimed_again(store: &dyn Store) {
        let claim = store.create(new_session()).unwrap();
        let session = claim.session();
        store.append(&claim, Seq(0), &records(0, 3)).unwrap();
        drop(claim);
        let claim = store.claim(session).unwrap();
        assert_eq!((claim.epoch(), claim.length()), (Epoch(2), Seq(3)));
    }

    fn records_that_do_not_follow_are_refused_and_end_the_claim(store: &dyn Store) {
        let check = |expected, given: &[Record]| {
            let claim = store.create(new_session()).unwrap();
            let session = claim.session();
            let kept = store.append(&claim, Seq(0), &records(0, 2)).unwrap();
            let refused = store.append(&claim, Seq(expected), given).unwrap_err();
            assert!(matches!(refused, AppendError::Sequence { length: Seq(2), .. }), "{refused}");
            let dead = store.append(&claim, Seq(2), &records(2, 1)).unwrap_err();
            assert!(matches!(dead, AppendError::Fenced { .. }), "{dead}");
            assert!(matches!(store.release(claim, park()).wait(), Err(AppendError::Fenced { .. })));
            kept.wait().unwrap();
            let again = store.claim(session).unwrap();
            assert_eq!(again.length(), Seq(2));
            store.append(&again, Seq(2), &records(2, 1)).unwrap().wait().unwrap();
        };
        check(1, &records(1, 1));
        check(3, &records(3, 1));
        check(2, &records(3, 1));
        check(2, &[records(2, 1), records(4, 1)].concat());
    }

    fn a_claim_of_another_store_is_refused(store: &dyn Store) {
        struct Other;
        let claim = Claim::new(SessionId(Uuid::now_v7()), Epoch(1), Seq(0), Bell::new(), Arc::new(Other));
        assert!(matches!(store.append(&claim, Seq(0), &records(0, 1)), Err(AppendError::Fenced { .. })));
        assert!(store.poll(&claim).unwrap().is_empty());
        assert!(matches!(store.release(claim, park()).wait(), Err(AppendError::Fenced { .. })));
    }

    fn an_empty_append_waits_for_those_before(store: &dyn Store) {
        let claim = store.create(new_session()).unwrap();
        store.append(&claim, Seq(0), &[]).unwrap().wait().unwrap();
        let before = store.append(&claim, Seq(0), &records(0, 2)).unwrap();
        store.append(&claim, Seq(2), &[]).unwrap().wait().unwrap();
        assert!(before.outcome().is_some());
    }

    fn a_ticket_can_be_awaited_by_many(store: &dyn Store) {
        let claim = store.create(new_session()).unwrap();
        let ticket = store.append(&claim, Seq(0), &records(0, 1)).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            let tasks: Vec<_> =
                (0..20).map(|_| ticket.clone()).map(|ticket| tokio::spawn(async move { ticket.durable().await })).collect();
            for task in tasks {
                task.await.unwrap().unwrap();
            }
        });
    }

    fn only_one_of_many_claims_succeeds(store: &dyn Store) {
        let claim = store.create(new_session()).unwrap();
        let session = claim.session();
        store.release(claim, park()).wait().unwrap();
        let (start, won) = (Barrier::new(8), AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    if let Ok(claim) = store.claim(session) {
                        won.fetch_add(1, Ordering::SeqCst);
                        start.wait();
                        drop(claim);
                    } else {
                        start.wait();
                    }
                });
            }
        });
        assert_eq!(won.into_inner(), 1);
    }

    fn many_sessions_append_at_once(store: &dyn Store) {
        let sessions: Vec<_> = thread::scope(|scope| {
            let run = |_| {
                scope.spawn(|| {
                    let claim = store.create(new_session()).unwrap();
                    for seq in 0..50 {
                        let ticket = store.append(&claim, Seq(seq), &records(seq, 1)).unwrap();
                        if seq % 10 == 0 {
                            ticket.wait().unwrap();
                        }
                    }
                    let session = claim.session();
                    store.release(claim, complete()).wait().unwrap();
                    session
                })
            };
            let threads: Vec<_> = (0..16).map(run).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for session in sessions {
            assert_eq!(store.read_all(session).unwrap(), records(0, 50));
        }
    }

    fn the_index_says_how_a_session_stands(store: &dyn Store) {
        let long = "wörk ".repeat(100);
        let claim = store.create(NewSession { task: long.as_str().into(), ..new_session() }).unwrap();
        let session = claim.session();
        store.append(&claim, Seq(0), &records(0, 1)).unwrap().wait().unwrap();
        let row = store.row(session).unwrap();
        assert_eq!((row.status, row.completed_at, row.duration_ms(), row.epoch), (Status::Running, None, None, Epoch(1)));
        assert_eq!(row.task.chars().count(), TASK_SHOWN);
        assert!(!row.is_interrupted());

        store.release(claim, park()).wait().unwrap();
        let row = store.row(session).unwrap();
        assert_eq!((row.status, row.completed_at, row.owner), (Status::Parked, None, Owner::Nobody));

        let claim = store.claim(session).unwrap();
        assert_eq!(store.row(session).unwrap().status, Status::Running);
        store.release(claim, Closing { status: Status::Running, at: Timestamp(1) }).wait().unwrap();
        assert!(store.row(session).unwrap().is_interrupted());

        store.release(store.claim(session).unwrap(), complete()).wait().unwrap();
        let row = store.row(session).unwrap();
        assert_eq!(
            (row.status, row.completed_at, row.duration_ms()),
            (Status::Completed, Some(Timestamp(9_001_000)), Some(9_000))
        );
        assert_eq!(store.list(&Filter::of(&Tenant::default(), 10)).unwrap(), [row]);
    }

    fn lists_are_of_one_tenant_newest_first_and_limited(store: &dyn Store) {
        let tenants = [("a", "ann"), ("a", "bob"), ("b", "ann"), ("a", "ann"), ("a", "")];
        let mut by_tenant: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (time, (org, user)) in tenants.iter().cycle().take(40).enumerate() {
            let tenant = Tenant { org: (*org).into(), user: (*user).into() };
            let started_at = Timestamp(i64::try_from(time).unwrap() - 20);
            let claim = store.create(NewSession { tenant, started_at, ..new_session() }).unwrap();
            by_tenant.entry((*org, *user)).or_default().push(claim.session());
            store.release(claim, complete()).wait().unwrap();
        }
        let list = |org: &str, user: Option<&str>, limit| -> Vec<_> {
            let filter = Filter { org: org.into(), user: user.map(Arc::from), limit };
            store.list(&filter).unwrap().iter().map(|row| row.session).collect()
        };
        for ((org, user), sessions) in &by_tenant {
            let newest_first: Vec<_> = sessions.iter().rev().copied().collect();
            assert_eq!(list(org, Some(user), 99), newest_first);
            assert_eq!(list(org, Some(user), 3), newest_first[..3]);
        }
        let all = list("a", None, 99);
        assert_eq!(all.len(), 32);
        let starts: Vec<_> = all.iter().map(|session| store.row(*session).unwrap().started_at).collect();
        assert!(starts.is_sorted_by(|newer, older| newer > older));
        assert_eq!(list("a", None, 5), all[..5]);
        assert_eq!(list("nobody", None, 5), []);
    }

    fn a_session_is_found_by_the_beginning_of_its_id(store: &dyn Store) {
        assert!(matches!(store.find("default", "0"), Err(FindError::Unknown(_))));
        let id = |text: &str| SessionId(text.parse().unwrap());
        let known = [
            id("01900000-0000-7000-8000-000000000000"),
            id("01900000-0000-7000-8000-00000000ab00"),
            id("ff900000-0000-7000-8000-00000000ab01"),
        ];
        for session in known {
            let claim = store.create(NewSession { session, ..new_session() }).unwrap();
            store.release(claim, park()).wait().unwrap();
        }
        assert_eq!(store.find("default", "f").unwrap(), known[2]);
        assert_eq!(store.find("default", "FF90-0000").unwrap(), known[2]);
        assert_eq!(store.find("default", "019000000000700080000000 0000ab".replace(' ', "").as_str()).unwrap(), known[1]);
        assert_eq!(store.find("default", &known[0].to_string()).unwrap(), known[0]);
        let several = store.find("default", "0190").unwrap_err().to_string();
        assert!(several.contains("2 session ids") && several.contains(&known[1].to_string()), "{several}");
        assert!(matches!(store.find("default", "8"), Err(FindError::Unknown(_))));
        assert!(matches!(store.find("other", "f"), Err(FindError::Unknown(_))));
        for wrong in ["", "-", "xyz", "+1", "é", &"0".repeat(33)] {
            assert!(matches!(store.find("default", wrong), Err(FindError::NotAnId(_))), "{wrong}");
        }
    }

    fn mail_is_delivered_once_and_in_order(store: &dyn Store) {
        let claim = store.create(new_session()).unwrap();
        let session = claim.session();
        let ticket = store.append(&claim, Seq(0), &records(0, 1)).unwrap();
        ticket.wait().unwrap();
        assert_eq!(store.poll(&claim).unwrap(), []);
        let cancel = InboxItem::Cancel { by: "bob".into(), reason: "enough".into(), at: Timestamp(8) };
        store.post(session, answer(1)).unwrap();
        store.post(session, cancel.clone()).unwrap();
        let mail = store.poll(&claim).unwrap();
        assert_eq!(mail.iter().map(|mail| mail.item.clone()).collect::<Vec<_>>(), [answer(1), cancel.clone()]);
        assert_eq!(store.poll(&claim).unwrap(), []);
        store.ack(&claim, mail[0].id, ticket.clone());
        // The next owner gets what this one did not acknowledge, and knows at the release that there is some.
        assert!(store.release(claim, park()).wait().unwrap());
        let claim = store.claim(session).unwrap();
        let mail = store.poll(&claim).unwrap();
        assert_eq!(mail.iter().map(|mail| mail.item.clone()).collect::<Vec<_>>(), [cancel]);
        store.ack(&claim, mail[0].id, ticket);
        store.post(session, answer(2)).unwrap();
        let last = store.poll(&claim).unwrap();
        assert_eq!(last.len(), 1);
        assert!(last[0].id > mail[0].id);
        store.ack(&claim, last[0].id, Ticket::ready(Ok(())));
        assert!(!store.release(claim, park()).wait().unwrap());
    }

    fn a_bell_rings_at_the_beginning_and_when_mail_comes(store: &dyn Store) {
        let claim = store.create(new_session()).unwrap();
        let session = claim.session();
        store.append(&claim, Seq(0), &records(0, 1)).unwrap().wait().unwrap();
        assert!(has_rung(&claim), "something may have been left before");
        assert!(!has_rung(&claim));
        let other = store.create(new_session()).unwrap();
        store.append(&other, Seq(0), &records(0, 1)).unwrap().wait().unwrap();
        assert!(has_rung(&other));
        store.post(session, answer(1)).unwrap();
        store.post(session, answer(2)).unwrap();
        assert!(has_rung(&claim));
        assert_eq!(store.poll(&claim).unwrap().len(), 2);
        assert!(!has_rung(&other), "it was left for another session");
        assert!(store.release(claim, park()).wait().unwrap());
        // Nobody has it: whoever claims it next hears of it.
        store.post(session, answer(3)).unwrap();
        let claim = store.claim(session).unwrap();
        assert!(has_rung(&claim));
        assert_eq!(store.poll(&claim).unwrap().len(), 3);
    }

    fn mail_stays_when_what_was_made_of_it_is_lost(store: &dyn Store) {
        let claim = store.create(new_session()).unwrap();
        let session = claim.session();
        store.append(&claim, Seq(0), &records(0, 1)).unwrap().wait().unwrap();
        store.post(session, answer(1)).unwrap();
        let mail = store.poll(&claim).unwrap();
        store.ack(&claim, mail[0].id, Ticket::ready(Err(AppendError::Fenced { session, epoch: Epoch(1) })));
        assert!(store.release(claim, park()).wait().unwrap());
    }

    fn mail_is_refused_by_a_session_that_is_over_and_by_a_full_inbox(store: &dyn Store) {
        let claim = store.create(new_session()).unwrap();
        let session = claim.session();
        store.release(claim, park()).wait().unwrap();
        for ask in 0..INBOX_LIMIT {
            store.post(session, answer(ask as u32)).unwrap();
        }
        assert!(matches!(store.post(session, answer(0)), Err(PostError::Full(_))));
        store.release(store.claim(session).unwrap(), complete()).wait().unwrap();
        assert!(matches!(store.post(session, answer(0)), Err(PostError::Over { status: Status::Completed, .. })));
    }

    fn a_finished_session_can_be_read_and_claimed(store: &dyn Store) {
        let claim = store.create(new_session()).unwrap();
        let session = claim.session();
        let finished = Finished { status: Status::Completed, output: Value::Null, failure: None };
        let all = [records(0, 1), vec![record(1, Event::Finished(Box::new(finished)))]].concat();
        store.append(&claim, Seq(0), &all).unwrap();
        store.release(claim, complete()).wait().unwrap();
        assert_eq!(store.read_all(session).unwrap(), all);
        assert_eq!(store.claim(session).unwrap().length(), Seq(2));
    }

    for_each_store!(
        what_was_appended_is_read_back_in_order,
        reading_starts_where_asked_and_stops_where_asked,
        long_sessions_are_read_in_pages,
        every_shape_of_value_survives,
        a_session_is_made_once,
        an_unknown_session_is_named,
        a_live_owner_is_named_and_keeps_the_session,
        a_released_session_is_claimed_with_the_next_epoch_and_goes_on,
        a_dropped_claim_can_be_claimed_again,
        records_that_do_not_follow_are_refused_and_end_the_claim,
        a_claim_of_another_store_is_refused,
        an_empty_append_waits_for_those_before,
        a_ticket_can_be_awaited_by_many,
        only_one_of_many_claims_succeeds,
        many_sessions_append_at_once,
        the_index_says_how_a_session_stands,
        lists_are_of_one_tenant_newest_first_and_limited,
        a_session_is_found_by_the_beginning_of_its_id,
        mail_is_delivered_once_and_in_order,
        a_bell_rings_at_the_beginning_and_when_mail_comes,
        mail_stays_when_what_was_made_of_it_is_lost,
        mail_is_refused_by_a_session_that_is_over_and_by_a_full_inbox,
        a_finished_session_can_be_read_and_claimed,
    );
}
