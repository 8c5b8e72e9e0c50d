//! What does a declared command do? [`Command`] fills in its arguments and runs the program, without a shell.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use minijinja::{Environment, UndefinedBehavior};

use super::job::{Job, find};
use crate::{
    secret::Env,
    tool::{CallContext, Outcome, Tool, Work},
    value::{CommandSpec, CommandWord, Failure, FailureKind, ToolSpec, Value},
};

/// Steps that the template of one argument may take.
const FUEL: u64 = 10_000;
/// Arguments of a command line at most.
const MAX_ARGUMENTS: usize = 1_000;

/// A program that the author of a team declared as a tool.
#[derive(Debug)]
pub struct Command {
    spec: ToolSpec,
    command: CommandSpec,
    /// Where the variables that it is given come from.
    env: Env,
}

/// Where the program of a declared command is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// There.
    Found(PathBuf),
    /// Not on this machine, by the name that was looked for.
    Missing(String),
    /// Whoever calls the tool names it.
    Chosen,
}

impl Command {
    /// The tool of that declaration, given the variables that it names from `env`.
    pub fn new(command: CommandSpec, env: Env) -> Self {
        // They are secrets from now on, whoever says them.
        command.env.iter().for_each(|name| drop(env.get(name)));
        let spec = ToolSpec {
            name: command.name.clone(),
            description: command.description.clone(),
            parameters: command.parameters.clone(),
            effect: command.effect,
            untrusted: command.untrusted,
        };
        Self { spec, command, env }
    }

    /// Where its program is, for a session in `workspace`.
    pub fn program(&self, workspace: &Path) -> Program {
        let Some(CommandWord::One(word)) = self.command.command.first() else { return Program::Chosen };
        if word.contains("{{") || word.contains("{%") {
            return Program::Chosen;
        }
        find(word, &self.folder(workspace)).map_or_else(|| Program::Missing(word.to_string()), Program::Found)
    }

    /// Where it runs, for a session in `workspace`.
    pub fn folder(&self, workspace: &Path) -> PathBuf {
        self.command.folder.as_ref().map_or_else(|| workspace.to_owned(), |folder| workspace.join(&**folder))
    }

    /// What it may read outside the workspace.
    pub fn reads(&self) -> Vec<PathBuf> {
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let read = self.command.read.iter();
        read.map(|path| path.strip_prefix("~/").map_or_else(|| PathBuf::from(&**path), |rest| home.join(rest))).collect()
    }

    /// The variables that it names and that are not set.
    pub fn unset(&self) -> Vec<&str> {
        self.command.env.iter().filter(|name| self.env.get(name).is_none()).map(|name| &**name).collect()
    }

    fn job(&self, call: &CallContext, args: &Value) -> Result<Job, Failure> {
        let mut words = words(&self.command.command, args).map_err(|why| self.wrong(&why))?.into_iter();
        let program = words.next().filter(|program| !program.is_empty()).ok_or_else(|| self.wrong("the command is empty"))?;
        let env = |name: &str| self.env.get(name).map(|value| (OsString::from(name), OsString::from(value)));
        Ok(Job {
            tool: self.spec.name.clone(),
            program: program.into(),
            args: words.map(Into::into).collect(),
            folder: self.folder(call.roots.workspace()),
            env: self.command.env.iter().filter_map(|name| env(name)).collect(),
            timeout: self.command.timeout,
            network: self.command.network,
            read: self.reads(),
            success: self.command.success.clone(),
            input: Vec::new(),
        })
    }

    fn wrong(&self, why: &str) -> Failure {
        Failure::new(FailureKind::Schema, format!("the command line of {} cannot be made: {why}", self.spec.name))
    }

    /// The result with its output read as JSON, where the author says that it is.
    fn read(&self, outcome: Value) -> Outcome {
        if !self.command.json {
            return Ok(outcome);
        }
        let text = outcome.get("stdout").and_then(Value::as_str).unwrap_or_default();
        let json = serde_json::from_str::<serde_json::Value>(text).map_err(|e| e.to_string());
        json.and_then(|json| Value::try_from(json).map_err(|e| e.to_string())).map_err(|why| {
            let begins: String = text.chars().take(200).collect();
            let message = format!("{} did not write JSON: {why}; it wrote: {begins}", self.spec.name);
            Failure::new(FailureKind::Tool, message)
        })
    }
}

impl Tool for Command {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn call<'a>(&'a self, call: &'a CallContext, args: &'a Value) -> Work<'a> {
        Box::pin(async move {
            let outcome = self.job(call, args)?.run(call).await?;
            self.read(outcome)
        })
    }
}

/// The words of the command line.
fn words(command: &[CommandWord], args: &Value) -> Result<Vec<String>, String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    let mut words = Vec::new();
    for word in command {
        match word {
            CommandWord::One(template) => render(&environment, template, args, &mut words)?,
            CommandWord::Optional(templates) => {
                if templates.iter().all(|template| is_given(&environment, template, args)) {
                    for template in templates {
                        render(&environment, template, args, &mut words)?;
                    }
                }
            }
        }
        if words.len() > MAX_ARGUMENTS {
            return Err(format!("it has more than {MAX_ARGUMENTS} arguments"));
        }
    }
    Ok(words)
}

/// Whether every argument that the template names is there.
fn is_given(environment: &Environment<'_>, template: &str, args: &Value) -> bool {
    let Ok(template) = environment.template_from_str(template) else { return true };
    let given = |name: &String| args.get(name).is_some_and(|value| !value.is_null());
    template.undeclared_variables(false).iter().all(given)
}

fn render(environment: &Environment<'_>, template: &str, args: &Value, words: &mut Vec<String>) -> Result<(), String> {
    let sole = template.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")).map(str::trim);
    if let Some(items) = sole.and_then(|name| args.get(name)).and_then(Value::as_list) {
        for item in items {
            let word = item.as_str().map_or_else(|| item.to_string(), str::to_owned);
            words.push(argument(template, word, item)?);
        }
        return Ok(());
    }
    let text = environment.render_str(template, minijinja::value::Serde(args)).map_err(|e| match e.detail() {
        Some(detail) => format!("`{template}`: {detail}"),
        None => format!("`{template}`: {}", e.kind()),
    })?;
    let value = sole.and_then(|name| args.get(name)).cloned().unwrap_or_default();
    words.push(argument(template, text, &value)?);
    Ok(())
}

/// The word, if the program cannot mistake what an agent gave for an option of its own.
fn argument(template: &str, word: String, value: &Value) -> Result<String, String> {
    let is_number = matches!(value, Value::Int(_) | Value::Float(_));
    if template.trim_start().starts_with("{{") && word.starts_with('-') && !is_number {
        return Err(format!(
            "`{template}` becomes {word}, which the program would take for an option; give a value that does not begin with -"
        ));
    }
    if word.contains('\0') {
        return Err(format!("`{template}` has a zero byte in it"));
    }
    Ok(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::suite::json;

    fn check(command: &[CommandWord], args: &str, expected: Result<&[&str], &str>) {
        let found = words(command, &json(args));
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            (found, expected) => panic!("{found:?} is not {expected:?}"),
        }
    }

    fn one(template: &str) -> CommandWord {
        CommandWord::One(template.into())
    }

    #[test]
    fn an_argument_stays_one_word_whatever_is_in_it() {
        let command = [one("echo"), one("--name={{ name }}"), one("{{ name }}")];
        check(&command, r#"{"name": "a; rm -rf $(x) 'b'"}"#, Ok(&["echo", "--name=a; rm -rf $(x) 'b'", "a; rm -rf $(x) 'b'"]));
    }

    #[test]
    fn a_list_becomes_as_many_words() {
        check(&[one("ls"), one("{{ files }}")], r#"{"files": ["a b", "c"]}"#, Ok(&["ls", "a b", "c"]));
        check(&[one("ls"), one("{{ files }}")], r#"{"files": []}"#, Ok(&["ls"]));
    }

    #[test]
    fn what_is_optional_goes_when_it_is_not_given() {
        let command = [one("kubectl"), CommandWord::Optional(vec!["-n".into(), "{{ namespace }}".into()])];
        check(&command, "{}", Ok(&["kubectl"]));
        check(&command, r#"{"namespace": null}"#, Ok(&["kubectl"]));
        check(&command, r#"{"namespace": "shop"}"#, Ok(&["kubectl", "-n", "shop"]));
    }

    #[test]
    fn an_agent_cannot_smuggle_in_an_option() {
        check(&[one("cat"), one("{{ path }}")], r#"{"path": "--output=/x"}"#, Err("take for an option"));
        check(&[one("cat"), one("{{ paths }}")], r#"{"paths": ["a", "-x"]}"#, Err("take for an option"));
        check(&[one("head"), one("{{ lines }}")], r#"{"lines": -3}"#, Ok(&["head", "-3"]));
        check(&[one("cat"), one("{{ path }}")], r#"{}"#, Err("path"));
    }
}
