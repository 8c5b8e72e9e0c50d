//! `synod cancel`: end a session, wherever it runs.

use clap::Args;

use super::{Exit, Global, Outcome, live, runtime};

/// End a session
#[derive(Debug, Args)]
pub(super) struct Cancel {
    /// The session's id, or the beginning of it
    session: String,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

impl Cancel {
    pub(super) fn run(&self, global: &Global) -> Outcome {
        let engine = global.engine()?;
        let session = global.session(&engine, &self.session)?;
        runtime()?.block_on(async {
            match engine.cancel(session, &global.user, &self.reason).await? {
                // Nobody ran it: it ends here, `finally` included.
                Some(handle) => match live::follow(&engine, handle, global).await? {
                    Exit::Cancelled => Ok(Exit::Done),
                    other => Ok(other),
                },
                None => {
                    if !global.quiet {
                        eprintln!("the process that runs the session was told");
                    }
                    Ok(Exit::Done)
                }
            }
        })
    }
}
