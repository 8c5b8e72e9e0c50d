//! What does a command line do? [`Bash`] runs it.

use std::sync::OnceLock;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{CommandPolicy, DEFAULT_TIMEOUT, MAX_TIMEOUT, job::Job, seconds};
use crate::{
    tool::{CallContext, Tool, Work, parse, spec},
    value::{EffectClass, ToolSpec, Value},
};

/// The longest command line, in bytes: what one argument of a program may hold.
const LONGEST: usize = 100_000;

/// Runs a command line in the workspace.
#[derive(Debug)]
pub struct Bash {
    spec: ToolSpec,
    policy: CommandPolicy,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// The command line.
    #[schemars(length(min = 1, max = LONGEST))]
    command: String,
    /// Seconds after which it is killed; 120 where it is not given.
    #[schemars(range(min = 1, max = MAX_TIMEOUT))]
    timeout: Option<u64>,
}

impl Bash {
    /// It, with what the machine lets it reach.
    pub fn new(policy: CommandPolicy) -> Self {
        let network = if policy.network { "" } else { ", without network" };
        let description = format!(
            "Runs a command line with bash, in the workspace{network}. It sees the workspace and the inputs of the session, a few \
             harmless variables of the environment, and a home that is empty and goes with it. Answers status, stdout and stderr; a \
             status other than 0 is a failure that shows them. Nothing that it starts outlives the call."
        );
        let spec = spec::<Args>("Bash", EffectClass::Irreversible, &description);
        Self { spec: ToolSpec { untrusted: policy.network, ..spec }, policy }
    }
}

impl Default for Bash {
    fn default() -> Self {
        Self::new(CommandPolicy::default())
    }
}

impl Tool for Bash {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn call<'a>(&'a self, call: &'a CallContext, args: &'a Value) -> Work<'a> {
        Box::pin(async move {
            let args: Args = parse(args)?;
            let (program, mut options) = shell();
            options.extend(["-c".to_owned(), args.command]);
            let job = Job {
                tool: self.spec.name.clone(),
                program: program.into(),
                args: options.into_iter().map(Into::into).collect(),
                folder: call.roots.workspace().to_owned(),
                env: Vec::new(),
                timeout: seconds(args.timeout.unwrap_or(DEFAULT_TIMEOUT)),
                network: self.policy.network,
                read: self.policy.read.clone(),
                success: vec![0],
                input: Vec::new(),
            };
            job.run(call).await
        })
    }
}

/// The shell, and the options that keep it from reading files of its own: `bash`, and `sh` where there is none.
pub fn shell() -> (&'static str, Vec<String>) {
    static BASH: OnceLock<bool> = OnceLock::new();
    let found = *BASH.get_or_init(|| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join("bash").is_file()) || std::path::Path::new("/bin/bash").is_file()
    });
    if found { ("bash", vec!["--noprofile".to_owned(), "--norc".to_owned()]) } else { ("sh", Vec::new()) }
}
