//! `synod completions`: for the shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Exit, Global, Outcome, output};

/// Print shell completions
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self, _global: &Global) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "synod", &mut script);
        output::raw(&String::from_utf8_lossy(&script))?;
        Ok(Exit::Done)
    }
}
