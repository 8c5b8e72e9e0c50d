//! How does a file declare tools of its own? [`ToolFile`], a program, [`HttpFile`], what may be asked on the web, and [`MetricsFile`], a
//! server of metrics.

use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::{
    Code, Diagnostic, Text,
    file::{TeamFile, short_or_map},
    read::{Found, Must, Named, OneOrMany, Read, Spot, words, written, wrong},
    scalar::{Anything, Span, Template, Whole, Words, describe, is_id},
    tree::{Key, Kind, Node, quoted},
};
use crate::value::{CommandSpec, CommandWord, EffectClass, HttpSpec, Map, MetricsSpec, TeamTools, Value};

/// The longest that a call of a declared command may take where it does not say, in seconds.
pub const DEFAULT_COMMAND_SECONDS: u64 = 120;
/// Names that no machine lists and that are taken all the same.
const TAKEN: &[&str] = &["http"];

/// What a command's output is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(super) enum OutputWord {
    /// Shown as it is.
    #[default]
    Text,
    /// Read as a value.
    Json,
}

words! {
    OutputWord, "a kind of output": Text = "text", Json = "json";
}

written! {
    /// A program that agents may call as a tool: no shell, each word of its command line one argument.
    struct ToolFile is "a tool", hints &[
        ("args", "put them into `command`, each a word of its own"),
        ("argv", "did you mean `command`?"),
        ("schema", "did you mean `parameters`?"),
        ("cwd", "did you mean `folder`?"),
    ];
    /// What it does, as a model is told.
    description: Must<Words>,
    /// The program and its arguments: templates over the call's arguments. A list among them is left out when an argument that it names is not given.
    command: Must<Spot<Vec<WordFile>>>,
    /// JSON Schema of the arguments: an object; or the properties alone, all of them required.
    parameters: Option<Anything>,
    /// What repeating a call would do.
    #[schemars(extend("default" = "irreversible"))]
    effect: Option<EffectClass>,
    /// The longest that a call may take.
    #[schemars(extend("default" = DEFAULT_COMMAND_SECONDS))]
    timeout: Option<Span>,
    /// Where it runs, relative to the workspace.
    folder: Option<Spot<Words>>,
    /// Variables of the environment that it gets, by name. It gets no other but a few harmless ones.
    env: Option<OneOrMany<Words>>,
    /// Files and folders outside the workspace that it may read; `~/` is the user's home.
    read: Option<OneOrMany<Words>>,
    /// Whether it may use the network.
    #[schemars(extend("default" = false))]
    network: Option<bool>,
    /// Whether its output can be relied on. By default that of a program that may use the network cannot: before an irreversible
    /// call on what it said a person is asked.
    trusted: Option<bool>,
    /// Exit statuses that are no failure.
    #[schemars(extend("default" = [0]))]
    success: Option<OneOrMany<Whole<0, 255>>>,
    /// Whether its output is JSON, to be read as a value.
    #[schemars(extend("default" = "text"))]
    output: Option<OutputWord>,
}

written! {
    /// What the tool `http` may ask. `*.example.com` is every host below one; a port other than 80 and 443 is named: `host:9090`.
    struct HttpFile is "`http`", hints &[("allow", "did you mean `hosts`?")];
    /// Hosts at public addresses.
    hosts: Option<OneOrMany<Spot<Words>>>,
    /// Hosts at private addresses too: of this machine, of this network.
    private_hosts: Option<OneOrMany<Spot<Words>>>,
}

written! {
    /// A server of metrics: Prometheus, or one that answers as it does.
    struct MetricsFile is "a server of metrics", hints &[
        ("base_url", "did you mean `url`?"),
        ("host", "write `url: http://HOST:9090`"),
        ("token", "keys come from the environment: name the variable in `authorization_env`"),
        ("authorization", "keys come from the environment: name the variable in `authorization_env`"),
        ("headers", "name the variable with the `Authorization` header in `authorization_env`"),
        ("api_key_env", "did you mean `authorization_env`?"),
    ];
    /// Where it is; what follows is `/api/v1/…`.
    url: Must<Spot<Words>>,
    /// Whether it may be at a private address: of this machine, of this network.
    #[schemars(extend("default" = false))]
    private: Option<bool>,
    /// The variable of the environment with the value of the `Authorization` header; one word alone is sent as a bearer token.
    authorization_env: Option<Spot<Words>>,
}

/// A word of a command line, or several that belong together.
#[derive(Clone, Debug)]
pub(super) enum WordFile {
    One(Text),
    Optional(Vec<Text>),
}

impl Read for WordFile {
    fn read(node: &Node, found: &mut Found) -> Option<Self> {
        match &node.kind {
            Kind::List(items) => Some(Self::Optional(items.iter().filter_map(|item| text(item, found)).collect())),
            _ => text(node, found).map(Self::One),
        }
    }
}

/// A word: a text, or a number that stands for itself.
fn text(node: &Node, found: &mut Found) -> Option<Text> {
    match &node.kind {
        Kind::Int(number) => Some(Text { source: Arc::from(number.to_string()), place: node.place.clone() }),
        Kind::List(_) => {
            found.push(
                wrong(node, "a word of the command line").help("words that belong together are one list, with no list in it"),
            );
            None
        }
        _ => Template::read(node, found).map(|template| template.0),
    }
}

short_or_map! {
    WordFile: Template | Vec<Template>;
}

/// The tools of a team; what is wrong with them is reported.
pub(super) fn resolve(team: &TeamFile, machine: Option<&[&str]>, found: &mut Found) -> Option<TeamTools> {
    let tools = team.tools.iter().flat_map(|named: &Named<ToolFile>| &named.entries);
    let commands: Vec<_> = tools.map(|(key, file)| command(key, file, machine.unwrap_or_default(), found)).collect();
    let servers = team.metrics.iter().flat_map(|named| &named.entries);
    let metrics: Vec<_> = servers.map(|(key, file)| server(key, file, found)).collect();
    Some(TeamTools {
        commands: commands.into_iter().collect::<Option<_>>()?,
        http: team.http.as_ref().map(|file| hosts(file, found)),
        metrics: metrics.into_iter().collect::<Option<_>>()?,
    })
}

fn server(key: &Key, file: &MetricsFile, found: &mut Found) -> Option<MetricsSpec> {
    if !is_id(&key.name) {
        let help = "a server's name has lower-case letters, digits and `_`, such as `prometheus`";
        found.push(key.error(Code::BadId, format!("{} is no name of a server", quoted(&key.name))).help(help));
    }
    if let Some(variable) = file.authorization_env.as_ref().filter(|name| !is_variable(&name.value.0)) {
        let help = "name a variable of the environment that holds the key, such as `PROMETHEUS_TOKEN`";
        let message = format!("{} is no name of a variable", quoted(&variable.value.0));
        found.push(variable.error(Code::InvalidValue, message).help(help));
    }
    let url = file.url.0.as_ref()?;
    if let Err(why) = is_base(&url.value.0) {
        let message = format!("{} is no address of a server: {why}", quoted(&url.value.0));
        found.push(url.error(Code::InvalidValue, message).help("write `http://HOST:9090` or `https://HOST/PATH`"));
    }
    Some(MetricsSpec {
        name: key.name.clone(),
        url: url.value.0.clone(),
        private: file.private.unwrap_or(false),
        authorization_env: file.authorization_env.as_ref().map(|name| name.value.0.clone()),
    })
}

fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Whether requests can be made below that address; why not.
fn is_base(url: &str) -> Result<(), &'static str> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let rest = rest.ok_or("it begins with neither `http://` nor `https://`")?;
    if url.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
        return Err("it has a blank or a backslash in it");
    }
    if rest.contains(['?', '#']) {
        return Err("the question is the tool's to ask; leave out what begins with `?` or `#`");
    }
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.contains('@') {
        return Err("a name or password does not stand in it; name their variable in `authorization_env`");
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        Some(_) | None => (authority, None),
    };
    if port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|number| number > 0)) {
        return Err("its port is no number from 1 to 65535");
    }
    let address = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    let fits = match address {
        Some(inner) => inner.contains(':') && inner.bytes().all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'.'),
        None => !host.is_empty() && host.chars().all(|c| c.is_alphanumeric() || "-._".contains(c)) && !host.contains(".."),
    };
    if fits { Ok(()) } else { Err("it names no host") }
}

fn command(key: &Key, file: &ToolFile, machine: &[&str], found: &mut Found) -> Option<CommandSpec> {
    let name = &key.name;
    if !is_id(name) && !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') || name.len() > 64 {
        let help = "a tool's name has letters, digits and `_`, and at most 64 characters";
        found.push(key.error(Code::BadId, format!("{} is no name of a tool", quoted(name))).help(help));
    } else if TAKEN.contains(&&**name) || machine.contains(&&**name) || name.starts_with("mcp__") {
        found.push(
            key.error(Code::DuplicateId, format!("{} is the name of another tool", quoted(name))).help("choose another name"),
        );
    }
    let parameters = match &file.parameters {
        Some(written) => parameters(written, found),
        None => Some(object(Map::new(), Vec::new())),
    };
    let line = file.command.0.as_ref()?;
    let command: Vec<CommandWord> = line.value.iter().map(word).collect();
    match line.value.first() {
        Some(WordFile::One(program)) if !program.source.contains("{{") => {}
        Some(WordFile::One(_) | WordFile::Optional(_)) | None => {
            let help = "write `command: [trivy, fs, \"{{ path }}\"]`";
            found.push(line.error(Code::InvalidValue, "a command begins with the name of a program").help(help));
        }
    }
    let parameters = parameters?;
    for text in line.value.iter().flat_map(WordFile::texts) {
        check_template(text, &parameters, found);
    }
    if let Some(folder) =
        file.folder.as_ref().filter(|f| f.value.0.starts_with('/') || f.value.0.split('/').any(|part| part == ".."))
    {
        found.push(
            folder.error(Code::InvalidValue, "the folder leads out of the workspace").help("name one inside the workspace"),
        );
    }
    let texts = |list: &Option<OneOrMany<Words>>| list.iter().flat_map(|l| &l.0).map(|w| w.0.clone()).collect();
    Some(CommandSpec {
        name: name.clone(),
        description: file.description.0.as_ref()?.0.clone(),
        parameters,
        command,
        effect: file.effect.unwrap_or_default(),
        timeout: file.timeout.map_or(std::time::Duration::from_secs(DEFAULT_COMMAND_SECONDS), |span| span.0),
        folder: file.folder.as_ref().map(|folder| folder.value.0.clone()),
        env: texts(&file.env),
        read: texts(&file.read),
        network: file.network.unwrap_or(false),
        untrusted: !file.trusted.unwrap_or(!file.network.unwrap_or(false)),
        success: file
            .success
            .as_ref()
            .map_or_else(|| vec![0], |list| list.0.iter().map(|s| i32::try_from(s.0).unwrap_or(0)).collect()),
        json: file.output == Some(OutputWord::Json),
    })
}

impl WordFile {
    fn texts(&self) -> &[Text] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Optional(texts) => texts,
        }
    }
}

fn word(file: &WordFile) -> CommandWord {
    match file {
        WordFile::One(text) => CommandWord::One(text.source.clone()),
        WordFile::Optional(texts) => CommandWord::Optional(texts.iter().map(|text| text.source.clone()).collect()),
    }
}

/// The schema of the arguments, which refuses what it does not name.
fn parameters(written: &Anything, found: &mut Found) -> Option<Value> {
    let Value::Map(map) = &written.value else {
        let message = format!("expected a map, found {}", describe(&written.value));
        found.push(Diagnostic::error(Code::WrongType, &written.place, message).length(written.length));
        return None;
    };
    let is_schema = map.get("type").and_then(Value::as_str).is_some();
    let schema = if is_schema {
        let mut schema = (**map).clone();
        schema.entry("additionalProperties".to_owned()).or_insert(Value::Bool(false));
        schema.entry("properties".to_owned()).or_insert_with(|| Value::Map(Arc::default()));
        Value::map(schema)
    } else {
        object((**map).clone(), map.keys().map(Value::text).collect())
    };
    let wrong = match schema.get("type").and_then(Value::as_str) {
        Some("object") => jsonschema::validator_for(&schema.to_json()).err().map(|e| e.to_string()),
        _ => Some("its type is not `object`".to_owned()),
    };
    if let Some(why) = wrong {
        let message = format!("`parameters` is no JSON Schema of arguments: {why}");
        let help = "such as `{ type: object, properties: { path: { type: string } }, required: [path] }`";
        found.push(Diagnostic::error(Code::InvalidValue, &written.place, message).length(written.length).help(help));
        return None;
    }
    Some(schema)
}

fn object(properties: Map, required: Vec<Value>) -> Value {
    Value::map([
        ("type", Value::text("object")),
        ("properties", Value::Map(Arc::new(properties))),
        ("required", Value::list(required)),
        ("additionalProperties", Value::Bool(false)),
    ])
}

/// A template must compile, and name arguments that there are.
fn check_template(text: &Text, parameters: &Value, found: &mut Found) {
    let environment = minijinja::Environment::new();
    let template = match environment.template_from_str(&text.source) {
        Ok(template) => template,
        Err(error) => {
            let why = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
            found.push(Diagnostic::error(Code::BadExpression, &text.place, format!("the template does not compile: {why}")));
            return;
        }
    };
    let known: Vec<&str> =
        parameters.get("properties").and_then(Value::as_map).map(|m| m.keys().map(String::as_str).collect()).unwrap_or_default();
    let is_global = |name: &str| environment.globals().any(|(global, _)| global == name);
    let mut names: Vec<String> = template.undeclared_variables(false).into_iter().filter(|name| !is_global(name)).collect();
    names.sort();
    for name in names.iter().filter(|name| !known.contains(&name.as_str())) {
        let help = super::did_you_mean(name, known.iter().copied()).unwrap_or_else(|| "declare it in `parameters`".to_owned());
        found.push(Diagnostic::error(Code::UnknownName, &text.place, format!("the command has no argument `{name}`")).help(help));
    }
}

fn hosts(file: &HttpFile, found: &mut Found) -> HttpSpec {
    let mut list = |written: &Option<OneOrMany<Spot<Words>>>| {
        let written = written.iter().flat_map(|list| &list.0);
        let mut hosts = Vec::new();
        for host in written {
            let name = &host.value.0;
            if name.contains("://")
                || name.contains('/')
                || name.contains(char::is_whitespace)
                || &**name == "*"
                || name.strip_prefix("*.").unwrap_or(name).contains('*')
            {
                let help = "write `api.example.com`, `*.example.com` or `prometheus:9090`";
                found.push(host.error(Code::InvalidValue, format!("{} is no host", quoted(name))).help(help));
            } else {
                hosts.push(name.clone());
            }
        }
        hosts
    };
    HttpSpec { hosts: list(&file.hosts), private_hosts: list(&file.private_hosts) }
}
