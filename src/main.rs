//! The `synod` command: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = synod::cli::Cli::parse();
    synod::cli::run(cli).into()
}
