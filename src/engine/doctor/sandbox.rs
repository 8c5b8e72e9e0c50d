//! What keeps commands inside their folders here, and are their programs at hand?

use std::{path::Path, sync::Arc, time::Instant};

use super::{Area, Diagnosis, Health, agents::Agents};
use crate::{
    engine::{Inner, Prepared},
    tool::{Abilities, CallContext, Command, LANDLOCK_TCP, Program, Roots, abilities, shell},
    value::{CommandSpec, Map, Value},
};

/// The tool that runs command lines.
const BASH: &str = "Bash";
/// What each version of Landlock added, and what holds without it.
const ADDED: &[(u32, &str)] = &[
    (2, "files cannot be moved between folders"),
    (3, "files outside that a command may not write can be cut short"),
    (5, "control calls to devices are not looked at"),
    (6, "processes of yours can be sent signals"),
];

pub(super) async fn look(inner: &Inner, team: Option<&Prepared>, agents: Option<&Agents>) -> Vec<Diagnosis> {
    let declared: &[CommandSpec] = team.map_or(&[], |team| &team.plan.tools.commands);
    let bash = agents.is_none_or(|agents| agents.may_call(BASH));
    let runs_any = bash || !declared.is_empty();
    let able = abilities();
    let mut found = vec![files(able), network(able, inner.commands.network)];
    if !runs_any {
        for one in &mut found {
            one.detail.push_str("; this team runs no commands");
            (one.status, one.help) = (Health::Ok, None);
        }
    }
    if bash {
        found.push(try_bash(inner).await);
    }
    for path in inner.commands.read.iter().filter(|path| !path.exists()) {
        found.push(
            Diagnosis::new(Area::Sandbox, Health::Warn, "SYNOD_COMMANDS_READ", format!("there is no {}", path.display()))
                .help("take it out of the variable, or make it"),
        );
    }
    for spec in declared {
        found.extend(command(&Command::new(spec.clone(), inner.env.clone()), spec, &inner.places.workspace));
    }
    found
}

fn files(able: Abilities) -> Diagnosis {
    let say = |status, detail: String| Diagnosis::new(Area::Sandbox, status, "files", detail);
    match able.landlock {
        0 => say(
            Health::Warn,
            "this kernel has no Landlock, or it is switched off: Bash and declared commands can read and write whatever you can"
                .to_owned(),
        )
        .help("use Linux 5.13 or newer with `landlock` in its list of security modules (lsm=…), or let the team run no commands"),
        version => {
            let lacking: Vec<&str> = ADDED.iter().filter(|(since, _)| version < *since).map(|(_, what)| *what).collect();
            let kept = format!("commands are kept inside their folders by Landlock (version {version})");
            if lacking.is_empty() {
                return say(Health::Ok, kept);
            }
            let status = if version < 3 { Health::Warn } else { Health::Ok };
            let found = say(status, format!("{kept}, but on this kernel {}", lacking.join(", ")));
            if status == Health::Ok { found } else { found.help("use a newer kernel: 6.2 for files, 6.12 for all of it") }
        }
    }
}

fn network(able: Abilities, allowed: bool) -> Diagnosis {
    let say = |status, detail: &str| Diagnosis::new(Area::Sandbox, status, "network", detail);
    if allowed {
        return say(
            Health::Warn,
            "the policy of this machine (SYNOD_COMMANDS_NETWORK=1) lets every command line of Bash use the network",
        )
        .help("unset it, and declare the commands that need the network with `network: true`");
    }
    match (able.filter, able.landlock >= LANDLOCK_TCP) {
        (true, _) => say(Health::Ok, "commands can open no socket, unless they are declared with `network: true`"),
        (false, true) => say(Health::Warn, "commands are kept off TCP by Landlock, but this kernel has no filter of system calls: UDP and local sockets are open")
            .help("use a kernel with CONFIG_SECCOMP_FILTER"),
        (false, false) => say(Health::Warn, "nothing keeps commands off the network on this kernel")
            .help("use a kernel with CONFIG_SECCOMP_FILTER, or let the team run no commands"),
    }
}

/// Runs the shell, confined as any command line is.
async fn try_bash(inner: &Inner) -> Diagnosis {
    let say = |status, detail: String| Diagnosis::new(Area::Sandbox, status, BASH, detail);
    let roots = match Roots::new(&inner.places.workspace) {
        Ok(roots) => Arc::new(roots),
        Err(error) => return say(Health::Fail, format!("it has no folder to run in: {error}")),
    };
    let began = Instant::now();
    let args = Value::Map(Map::from([("command".to_owned(), Value::text("exit 0"))]).into());
    let (program, _) = shell();
    match inner.tools.call_own(BASH, &CallContext::on(roots), &args).await {
        Err(failure) => say(Health::Fail, format!("it does not run: {}", failure.message)),
        Ok(_) if program == "bash" => say(Health::Ok, format!("it runs, in {} ms", began.elapsed().as_millis())),
        Ok(_) => say(Health::Warn, format!("it runs with {program}: there is no bash")).help("install bash: agents write for it"),
    }
}

fn command(tool: &Command, spec: &CommandSpec, workspace: &Path) -> Vec<Diagnosis> {
    let say = |status, detail: String| Diagnosis::new(Area::Sandbox, status, spec.name.to_string(), detail);
    let folder = tool.folder(workspace);
    let mut found = Vec::new();
    if folder.is_dir() {
        found.push(match tool.program(workspace) {
            Program::Found(path) => say(Health::Ok, format!("its program is {}", path.display())),
            Program::Chosen => say(Health::Ok, "each call names its program".to_owned()),
            Program::Missing(program) => say(Health::Fail, format!("there is no program `{program}` that can be executed")).help(
                if program.contains('/') {
                    format!("put it there, as seen from {}", folder.display())
                } else {
                    "install it, or put its folder on the PATH".to_owned()
                },
            ),
        });
    } else {
        found.push(say(Health::Fail, format!("it runs in {}, and there is no such folder", folder.display())).help("make it"));
    }
    for path in tool.reads().iter().filter(|path| !path.exists()) {
        found.push(say(Health::Warn, format!("it may read {}, which is not there", path.display())).help("look at its `read`"));
    }
    for variable in tool.unset() {
        found.push(
            say(Health::Warn, format!("it is given {variable}, which is not set"))
                .help(format!("set {variable} in the environment")),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(landlock: u32, filter: bool, expected: [(Health, &str); 2]) {
        let able = Abilities { landlock, filter };
        for (found, (status, words)) in [files(able), network(able, false)].into_iter().zip(expected) {
            assert!(found.status == status && found.detail.contains(words), "{landlock}: {found:#?}");
            assert!(status == Health::Ok || found.help.is_some(), "{found:#?} says how to mend it");
        }
    }

    #[test]
    fn what_a_kernel_lacks_is_said_with_what_it_means() {
        check(0, false, [(Health::Warn, "whatever you can"), (Health::Warn, "nothing keeps commands off the network")]);
        check(0, true, [(Health::Warn, "whatever you can"), (Health::Ok, "no socket")]);
        check(1, true, [(Health::Warn, "can be cut short"), (Health::Ok, "no socket")]);
        check(3, false, [(Health::Ok, "control calls to devices"), (Health::Warn, "off the network")]);
        check(4, false, [(Health::Ok, "can be sent signals"), (Health::Warn, "UDP and local sockets are open")]);
        check(6, true, [(Health::Ok, "by Landlock (version 6)"), (Health::Ok, "no socket")]);
        assert!(!files(Abilities { landlock: 6, filter: true }).detail.contains("but"));
    }

    #[test]
    fn a_network_that_its_owner_has_opened_is_said_to_be_open() {
        let found = network(Abilities { landlock: 6, filter: true }, true);
        assert!(found.status == Health::Warn && found.detail.contains("SYNOD_COMMANDS_NETWORK=1"), "{found:#?}");
    }
}
