//! Who notices what other processes leave for the sessions of this one? A thread that looks for all of them at one number: how many items
//! were ever left. Without a session it sleeps.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{catalog::Catalog, claims::Claims, file::io_error, index};
use crate::store::StoreError;

/// How long an item of another process goes unnoticed at most.
const PAUSE: Duration = Duration::from_millis(100);

/// Rings the bells of this process's claims.
#[derive(Debug)]
pub struct Watch {
    claims: Arc<Claims>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts the thread.
    pub fn start(catalog: Arc<Catalog>, claims: Arc<Claims>) -> Result<Self, StoreError> {
        let watched = Arc::clone(&claims);
        let thread = thread::Builder::new().name("mail".to_owned()).spawn(move || watch(&catalog, &watched));
        Ok(Self { claims, thread: Some(thread.map_err(|e| io_error("a thread".as_ref(), &e))?) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.claims.close();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// A claim reads its mail at its beginning by itself, and many end before the first look.
fn watch(catalog: &Catalog, claims: &Claims) {
    let mut seen = None;
    let mut failed = false;
    while claims.wait(PAUSE) {
        let found = catalog.read(None, |read| index::news(read, seen));
        match &found {
            Ok(None) => {}
            Ok(Some((last, sessions))) => {
                seen = Some(*last);
                claims.ring(sessions);
            }
            Err(_) if failed => {}
            Err(error) => {
                tracing::warn!(%error, "what other processes leave for sessions is not seen until the catalog can be read")
            }
        }
        failed = found.is_err();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::{
        store::{
            Claim, InboxItem, MailId, RedbStore, Store,
            conformance::{has_rung, new_session, records},
        },
        value::{Seq, Timestamp},
    };

    fn begun(store: &RedbStore) -> Claim {
        let claim = store.create(new_session()).unwrap();
        store.append(&claim, Seq(0), &records(0, 1)).unwrap().wait().unwrap();
        assert!(has_rung(&claim));
        claim
    }

    /// Returns when it rings; a test that waits so long has failed.
    fn await_ring(claim: &Claim) {
        let began = Instant::now();
        while !has_rung(claim) {
            assert!(began.elapsed() < Duration::from_secs(60), "it does not ring");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn what_another_process_leaves_rings_for_its_session_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let open = || RedbStore::open(folder.path().join(".synod")).unwrap();
        let (mine, theirs) = (open(), open());
        let claims: Vec<Claim> = (0..5).map(|_| begun(&mine)).collect();
        let cancel = |reason: &str| InboxItem::Cancel { by: "bob".into(), reason: reason.into(), at: Timestamp(8) };
        for reason in ["one", "two"] {
            for claim in &claims[1..4] {
                theirs.post(claim.session(), cancel(reason)).unwrap();
            }
            for claim in &claims[1..4] {
                await_ring(claim);
                let mail = mine.poll(claim).unwrap();
                assert_eq!(mail.last().map(|mail| &mail.item), Some(&cancel(reason)));
            }
        }
        assert!(!has_rung(&claims[0]) && !has_rung(&claims[4]));
        // Whoever was alone when it was left, and whoever comes later.
        drop(claims);
        let claim = begun(&mine);
        theirs.post(claim.session(), cancel("three")).unwrap();
        await_ring(&claim);
        assert_eq!(mine.poll(&claim).unwrap()[0].id, MailId(7));
    }
}
