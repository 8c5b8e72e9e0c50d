//! How does a message reach a child process? [`Pipes`]: one line of JSON each way.
//!
//! Lines that are no JSON are passed over: many servers greet on the wrong stream. What a server says on its error stream is kept, the
//! last of it, for the message of a failure.

use std::{
    borrow::Cow,
    collections::VecDeque,
    io,
    process::ExitStatus,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rmcp::{
    RoleClient,
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::Transport,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{ChildStderr, ChildStdin, ChildStdout},
    sync::watch,
};

use crate::tool::process::{Group, Running};

/// The longest message, in bytes.
const LONGEST: usize = 16 << 20;
/// How long a server may take to end once nothing more comes from us.
const GRACE: Duration = Duration::from_secs(2);
/// What is kept of the error stream, in bytes.
const KEPT: usize = 2_048;

/// The pipes of a child, and the child.
pub(super) struct Pipes {
    stdin: Arc<tokio::sync::Mutex<Option<ChildStdin>>>,
    stdout: BufReader<ChildStdout>,
    line: Vec<u8>,
    ended: Ended,
    group: Option<Group>,
}

/// How the child ended, once it has.
#[derive(Clone)]
struct Ended(watch::Receiver<Option<ExitStatus>>);

/// The last words of a server on its error stream, and how it ended.
pub(super) struct LastWords {
    kept: Arc<Mutex<VecDeque<u8>>>,
    listener: tokio::task::JoinHandle<()>,
    ended: Ended,
}

impl Ended {
    /// Waits for it, but not for long.
    async fn wait(&mut self) -> Option<ExitStatus> {
        let ended = tokio::time::timeout(GRACE, self.0.wait_for(Option::is_some)).await;
        *ended.ok()?.ok()?
    }
}

impl LastWords {
    /// Its exit code, where it ended with one: it was not killed, by us or by anybody.
    pub(super) async fn code(&mut self) -> Option<i32> {
        self.ended.wait().await?.code()
    }

    /// They, if there are any, once the server has ended.
    pub(super) async fn text(self) -> Option<String> {
        // What is read by then is what there is.
        let _ = tokio::time::timeout(GRACE, self.listener).await;
        let kept: Vec<u8> = self.kept.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        let text = String::from_utf8_lossy(&kept).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }
}

impl Pipes {
    /// Those of a child that was started with all three.
    pub(super) fn of(running: Running, server: &str) -> io::Result<(Self, LastWords)> {
        let Running { mut child, group } = running;
        let missing = || io::Error::other("the child has no pipes");
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let stderr = child.stderr.take().ok_or_else(missing)?;
        let kept = Arc::new(Mutex::new(VecDeque::new()));
        let listener = tokio::spawn(listen(stderr, kept.clone(), server.to_owned()));
        let (tell, ended) = watch::channel(None);
        // It waits for the child even when nobody else does: whoever drops the group has killed it.
        tokio::spawn(async move { tell.send_replace(child.wait().await.ok()) });
        let words = LastWords { kept, listener, ended: Ended(ended.clone()) };
        let stdin = Arc::new(tokio::sync::Mutex::new(Some(stdin)));
        Ok((Self { stdin, stdout: BufReader::new(stdout), line: Vec::new(), ended: Ended(ended), group: Some(group) }, words))
    }

    /// The next line, without its end; `None` at the end of the stream or after a line that is too long. What was read of a line
    /// stays when the future is dropped.
    async fn next_line(&mut self) -> Option<Vec<u8>> {
        loop {
            let chunk = self.stdout.fill_buf().await.ok().filter(|chunk| !chunk.is_empty())?;
            let end = memchr::memchr(b'\n', chunk);
            let taken = end.unwrap_or(chunk.len());
            self.line.extend_from_slice(&chunk[..taken]);
            self.stdout.consume(end.map_or(taken, |end| end + 1));
            if self.line.len() > LONGEST {
                tracing::warn!("an MCP server sent a message of more than {LONGEST} bytes: it is cut off");
                return None;
            }
            if end.is_some() {
                return Some(std::mem::take(&mut self.line));
            }
        }
    }
}

impl Transport<RoleClient> for Pipes {
    type Error = io::Error;

    fn name() -> Cow<'static, str> {
        "stdio".into()
    }

    fn send(&mut self, item: TxJsonRpcMessage<RoleClient>) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let stdin = self.stdin.clone();
        async move {
            let mut line = serde_json::to_vec(&item)?;
            line.push(b'\n');
            let mut stdin = stdin.lock().await;
            let stdin = stdin.as_mut().ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))?;
            stdin.write_all(&line).await?;
            stdin.flush().await
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            let line = self.next_line().await?;
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            match serde_json::from_slice(line) {
                Ok(message) => return Some(message),
                Err(error) => {
                    let begins = String::from_utf8_lossy(&line[..line.len().min(200)]).into_owned();
                    tracing::debug!(%error, begins, "an MCP server wrote a line that is no message");
                }
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        self.stdin.lock().await.take();
        // Whatever comes of it: the group dies next.
        let _ = self.ended.wait().await;
        self.group.take();
        Ok(())
    }
}

/// Reads the error stream until it ends.
async fn listen(mut stderr: ChildStderr, kept: Arc<Mutex<VecDeque<u8>>>, server: String) {
    let mut buffer = [0; 4_096];
    while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(&buffer[..count]);
        let over = kept.len().saturating_sub(KEPT);
        kept.drain(..over);
        drop(kept);
        tracing::debug!(target: "synod::mcp", server, "{}", String::from_utf8_lossy(&buffer[..count]).trim_end());
    }
}
