//! Which thread starts children? One that never ends.
//!
//! On Linux the signal that a parent's death sends is sent when the *thread* that started the child ends, and tokio's threads come
//! and go.

use std::{
    io,
    sync::{OnceLock, mpsc},
};

use tokio::{runtime::Handle, sync::oneshot};

type Job = Box<dyn FnOnce() + Send>;

/// Runs `work` on the thread that starts children, inside the runtime of the caller.
pub(super) async fn on_spawner<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let handle = Handle::current();
    let (said, heard) = oneshot::channel();
    let job: Job = Box::new(move || {
        let _inside = handle.enter();
        // Whoever asked may have gone: then what was started is dropped, which ends it.
        let _ = said.send(work());
    });
    let ended = || io::Error::other("the thread that starts children ended");
    thread()?.send(job).map_err(|_| ended())?;
    heard.await.map_err(|_| ended())?
}

fn thread() -> io::Result<&'static mpsc::Sender<Job>> {
    static THREAD: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    if let Some(sender) = THREAD.get() {
        return Ok(sender);
    }
    let (sender, jobs) = mpsc::channel::<Job>();
    let name = std::thread::Builder::new().name("synod-spawner".to_owned());
    name.spawn(move || jobs.into_iter().for_each(|job| job()))?;
    // Where two threads come here at once, the second one's channel is dropped, and with it its thread ends.
    Ok(THREAD.get_or_init(|| sender))
}
