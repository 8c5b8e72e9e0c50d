//! What if the database panics? It does on pages that contradict each other; [`quietly`] makes a value of that, and nothing is printed.

use std::{
    cell::Cell,
    panic::{self, AssertUnwindSafe},
    sync::Once,
    thread,
};

thread_local! {
    /// Whether a panic of this thread is expected.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// What `work` returns; `None` when it panicked. The process's panic hook hears nothing of it: a reader of a damaged file is told what is
/// damaged, not where in the database's code that was found. Panics of other threads, and of this one outside `work`, are reported as ever.
pub fn quietly<T>(work: impl FnOnce() -> T) -> Option<T> {
    silence_hook();
    let before = QUIET.replace(true);
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    QUIET.set(before);
    let told = |panic: &(dyn std::any::Any + Send)| match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (None, Some(text)) => text.clone(),
        (None, None) => "no text".to_owned(),
    };
    done.inspect_err(|panic| tracing::debug!(panic = told(&**panic), "the database panicked")).ok()
}

/// Puts a hook before the one there is, once for the process. A thread that panics may not change hooks; the next one will.
fn silence_hook() {
    static INSTALLED: Once = Once::new();
    if thread::panicking() {
        return;
    }
    INSTALLED.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !QUIET.try_with(Cell::get).unwrap_or(false) {
                others(panic);
            }
        }));
    });
}
