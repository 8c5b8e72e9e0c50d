//! How does a command hear what it is to pass on? [`tell_command`] gives it to read.

use std::{ffi::OsString, sync::Arc, time::Duration};

use super::{CommandPolicy, bash::shell, job::Job};
use crate::{tool::CallContext, value::Failure};

/// Runs a command line of the author's as `Bash` runs those of agents, confined in the same way, with `input` to read and `env`
/// beside the usual variables.
///
/// # Errors
/// As a call of `Bash`: its exit status is not 0, it takes longer than `limit`, or it cannot be started.
pub async fn tell_command(
    policy: &CommandPolicy,
    call: &CallContext,
    line: &str,
    input: Vec<u8>,
    env: Vec<(OsString, OsString)>,
    limit: Duration,
) -> Result<(), Failure> {
    let (program, mut options) = shell();
    options.extend(["-c".to_owned(), line.to_owned()]);
    let job = Job {
        tool: Arc::from("notify"),
        program: program.into(),
        args: options.into_iter().map(Into::into).collect(),
        folder: call.roots.workspace().to_owned(),
        env,
        timeout: limit,
        network: policy.network,
        read: policy.read.clone(),
        success: vec![0],
        input,
    };
    job.run(call).await.map(drop)
}
