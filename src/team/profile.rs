//! How does a file spell an agent? [`ProfileFile`], and the [`Profile`] that it comes to.

use std::sync::Arc;

use super::{
    Code, Diagnostic, LoadedProfile, ModelCatalog, Text,
    load::Loader,
    read::{Found, Must, Named, OneOrMany, Spot, words, written},
    scalar::{Anything, Fraction, Template, Whole, Words, describe},
    sources::SCRIPTS,
    suggest::did_you_mean,
    tree::quoted,
};
use crate::value::{KnowledgeSpec, Profile, ProfileRole, Style, Value, cassette, is_offline};

/// Turns of one seat in a session, where the profile does not say.
pub const DEFAULT_MAX_TURNS: u32 = 10;
/// The confidence below which a finish is uncertain, where the profile does not say.
pub const DEFAULT_UNCERTAINTY_THRESHOLD: f64 = 0.5;

words! {
    ProfileRole, "a role of a profile": Coordinator = "coordinator", Specialist = "specialist", Worker = "worker";
    Style, "a communication style": Concise = "concise", Detailed = "detailed", Technical = "technical";
}

/// What a `prompt_template` may name.
pub const PROMPT_NAMES: [&str; 10] = ["role", "phase", "node", "task", "input", "inputs", "context", "profile", "tools", "style"];

/// The `prompt_template` of a profile that has none of its own.
pub const DEFAULT_PROMPT: &str = include_str!("prompt.j2");

/// What a template of the team's `messages` may name.
pub const LETTER_NAMES: [&str; 7] = ["id", "type", "from", "to", "content", "metadata", "private"];

/// What the catalog keeps beside a file: no author writes it.
pub(super) const CATALOG_COLUMNS: &[(&str, &str)] = &[
    ("id", "a file's path is its name; ids of rows are the catalog's"),
    ("user_id", "who owns a file is the catalog's to say (`--user`); remove the key"),
    ("organization_id", "who owns a file is the catalog's to say (`--org`); remove the key"),
    ("created_at", "the catalog keeps the times; remove the key"),
    ("updated_at", "the catalog keeps the times; remove the key"),
    ("execution_count", "the catalog counts the runs; remove the key"),
    ("avg_execution_time_ms", "the catalog measures the runs; remove the key"),
    ("success_rate", "the catalog measures the runs; remove the key"),
    ("coordinator_agent_id", "name the coordinator's profile in `coordinator`"),
    ("members", "did you mean `member_agents`?"),
    ("agents", "did you mean `member_agents`?"),
    ("pattern", "did you mean `collaboration_pattern`?"),
    ("tools", "did you mean `allowed_tools`?"),
    ("prompt", "did you mean `system_prompt`?"),
];

written! {
    /// An agent profile: who an agent is.
    #[schemars(title = "Synod agent profile", inline)]
    struct ProfileFile is "a profile", hints CATALOG_COLUMNS;
    /// The display name.
    name: Must<Words>,
    /// What the agent may be in a team; only a `coordinator` may lead one.
    role: Must<Spot<ProfileRole>>,
    /// The domain, such as `security`.
    specialization: Option<Words>,
    /// One sentence for lists.
    description: Option<Words>,
    /// What it can do: searched by `synod agents` and by delegation.
    skills: Option<Vec<Words>>,
    /// An alias of the model catalog, `provider/id`, `script:PATH` for a script that sits where a model would (`synod rules facts turn`
    /// says what it sees and returns), or `replay:PATH` for what was replied in an exported session: by the agent of the same name, or as
    /// `replay:PATH#ROLE` by the agent ROLE.
    model: Must<Spot<Words>>,
    /// Parameters of the model, passed on as they are. `max_tokens` bounds a reply.
    model_config: Option<Named<Anything>>,
    /// Models taken in turn on outage or overload.
    fallback_models: Option<Vec<Spot<Words>>>,
    /// Who the agent is, as its model reads it.
    system_prompt: Option<Arc<str>>,
    /// A minijinja template of the first message; the default serves most agents.
    prompt_template: Option<Template>,
    /// Tools that it may call: names, or patterns such as `Bash(git log:*)`. None but the collaboration tools by default.
    allowed_tools: Option<Vec<Spot<Words>>>,
    /// MCP servers that it may use, by name.
    mcp_servers: Option<Vec<Spot<Words>>>,
    /// What it may look up.
    knowledge: Option<KnowledgeFile>,
    /// Only runbooks that carry one of the values for every key, such as `tags: [security]`.
    knowledge_base_filters: Option<Named<OneOrMany<Words>>>,
    /// How it talks: shapes its prompt and the length of its findings.
    #[schemars(extend("default" = "detailed"))]
    communication_style: Option<Style>,
    /// Turns of one of its seats in a session.
    #[schemars(extend("default" = DEFAULT_MAX_TURNS))]
    max_conversation_turns: Option<Whole<1, 1_000>>,
    /// Whether a finish with a confidence below `uncertainty_threshold` escalates.
    #[schemars(extend("default" = true))]
    auto_escalate_on_uncertainty: Option<bool>,
    /// The confidence below which it is uncertain.
    #[schemars(extend("default" = DEFAULT_UNCERTAINTY_THRESHOLD))]
    uncertainty_threshold: Option<Fraction>,
    /// JSON Schema of what it must return.
    #[schemars(with = "Option<std::collections::BTreeMap<String, Anything>>")]
    output_schema: Option<Anything>,
    /// Labels for searches.
    tags: Option<Vec<Words>>,
    /// Whether a team may use it.
    #[schemars(extend("default" = true))]
    is_active: Option<Spot<bool>>,
    /// Whether the whole organization may use it.
    #[schemars(extend("default" = false))]
    is_public: Option<bool>,
}

written! {
    /// Runbooks that an agent may search.
    struct KnowledgeFile is "`knowledge`", hints &[];
    /// Folders of Markdown files, relative to this file, else in the shipped library.
    folders: Option<OneOrMany<Spot<Words>>>,
    /// How many of the best are put into the prompt.
    #[schemars(extend("default" = 0))]
    top_k: Option<Whole<0, 20>>,
}

/// What a profile file comes to; `None` when a key that must be there is not.
pub(super) fn resolve(file: ProfileFile, name: Arc<str>, loader: &mut Loader<'_>) -> Option<LoadedProfile> {
    let texts = |list: Option<Vec<Words>>| list.unwrap_or_default().into_iter().map(|w| w.0).collect::<Vec<_>>();
    let spots = |list: &Option<Vec<Spot<Words>>>| list.iter().flatten().map(|s| s.value.0.clone()).collect::<Vec<_>>();
    check_config(file.model_config.as_ref(), &mut loader.found);
    if let Some(template) = &file.prompt_template {
        check_template(&template.0, &PROMPT_NAMES, &mut loader.found);
    }
    check_schema(file.output_schema.as_ref(), &mut loader.found);
    check_tools(file.allowed_tools.iter().flatten(), file.mcp_servers.iter().flatten(), loader);
    let model = file.model.0.as_ref().and_then(|model| resolve_model(model, loader));
    let fallbacks: Vec<_> = file.fallback_models.iter().flatten().map(|model| resolve_model(model, loader)).collect();
    // Scripts and recordings never fall back, so that the keys of what stands behind them are nobody's concern.
    if let Some(asked) = file.model.0.as_ref().filter(|model| !is_offline(&model.value.0)) {
        for model in std::iter::once(asked).chain(file.fallback_models.iter().flatten()) {
            check_key(model, loader.known.models, &mut loader.found);
        }
    }
    let mut knowledge = KnowledgeSpec::default();
    if let Some(written) = file.knowledge {
        knowledge.top_k = written.top_k.map_or(0, Whole::count);
        let folders = written.folders.map_or_else(Vec::new, |f| f.0);
        knowledge.folders = folders.iter().map(|folder| resolve_folder(folder, loader)).collect();
    }
    for (key, values) in file.knowledge_base_filters.map_or_else(Vec::new, |f| f.entries) {
        knowledge.filters.insert(key.name.to_string(), values.0.into_iter().map(|w| w.0.to_string()).collect());
    }
    let role = file.role.0?;
    let profile = Profile {
        name: file.name.0?.0,
        role: role.value,
        specialization: file.specialization.map(|w| w.0),
        description: file.description.map(|w| w.0),
        skills: texts(file.skills),
        model: model?,
        model_config: file
            .model_config
            .map_or_else(Vec::new, |c| c.entries)
            .into_iter()
            .map(|(k, v)| (k.name.to_string(), v.value))
            .collect(),
        fallback_models: fallbacks.into_iter().collect::<Option<_>>()?,
        system_prompt: file.system_prompt.unwrap_or_else(|| Arc::from("")),
        prompt_template: file.prompt_template.map(|t| t.0.source),
        allowed_tools: spots(&file.allowed_tools),
        mcp_servers: spots(&file.mcp_servers),
        knowledge,
        style: file.communication_style.unwrap_or_default(),
        max_turns: file.max_conversation_turns.map_or(DEFAULT_MAX_TURNS, Whole::count),
        escalate_on_uncertainty: file.auto_escalate_on_uncertainty.unwrap_or(true),
        uncertainty_threshold: file.uncertainty_threshold.map_or(DEFAULT_UNCERTAINTY_THRESHOLD, |f| f.0),
        output_schema: file.output_schema.map(|a| a.value),
        tags: texts(file.tags),
    };
    Some(LoadedProfile {
        file: name,
        profile: Arc::new(profile),
        is_active: file.is_active.as_ref().is_none_or(|a| a.value),
        is_public: file.is_public.unwrap_or(false),
        role_place: role.place,
        active_place: file.is_active.map(|a| a.place),
    })
}

/// What stands in for a profile with mistakes, so that the rest of its team is still checked: it costs nothing and says nothing.
pub(super) fn stand_in() -> Arc<Profile> {
    Arc::new(Profile {
        name: Arc::from(""),
        role: ProfileRole::Coordinator,
        specialization: None,
        description: None,
        skills: Vec::new(),
        model: Arc::from("script:"),
        model_config: crate::value::Map::new(),
        fallback_models: Vec::new(),
        system_prompt: Arc::from(""),
        prompt_template: None,
        allowed_tools: Vec::new(),
        mcp_servers: Vec::new(),
        knowledge: KnowledgeSpec::default(),
        style: Style::default(),
        max_turns: DEFAULT_MAX_TURNS,
        escalate_on_uncertainty: false,
        uncertainty_threshold: DEFAULT_UNCERTAINTY_THRESHOLD,
        output_schema: None,
        tags: Vec::new(),
    })
}

/// The model as a run names it; the text of a script or of a recorded session is kept.
fn resolve_model(model: &Spot<Words>, loader: &mut Loader<'_>) -> Option<Arc<str>> {
    let name = &model.value.0;
    for (scheme, extensions) in [("script:", SCRIPTS), ("replay:", &[])] {
        let Some(path) = name.strip_prefix(scheme) else { continue };
        let (path, role) = cassette(name).unwrap_or((path, None));
        let what = if scheme == "script:" { "script" } else { "recorded session" };
        let found = loader.text(model, path, extensions, what).map(|(file, _)| file);
        let role = role.map_or_else(String::new, |role| format!("#{role}"));
        return found.map(|file| Arc::from(format!("{scheme}{file}{role}")));
    }
    let catalog: &ModelCatalog = loader.known.models;
    if catalog.model(name).is_none() {
        let names = catalog.models.keys().map(|k| &**k);
        loader.found.push(
            model.warning(Code::UnresolvedModel, format!("the model catalog has no {}", quoted(name))).help(
                did_you_mean(name, names)
                    .unwrap_or_else(|| "add it to a catalog of your own (`--models FILE`), or name `provider/id`".to_owned()),
            ),
        );
    }
    Some(name.clone())
}

/// A model whose provider wants a key that is not there is a warning; a run that uses it fails before it starts.
fn check_key(model: &Spot<Words>, catalog: &ModelCatalog, found: &mut Found) {
    let Some(known) = catalog.model(&model.value.0).filter(|m| catalog.without_key.contains(&m.provider)) else { return };
    let variable = catalog.providers.get(&known.provider).and_then(|p| p.api_key_env.clone()).unwrap_or_default();
    let message = format!("{} wants a key for {}, and this machine has none", known.provider, quoted(&model.value.0));
    found.push(model.warning(Code::UnresolvedKey, message).help(format!("set {variable} in the environment before a run")));
}

/// A folder of runbooks: beside the file, else in the library, else as written with a warning.
fn resolve_folder(folder: &Spot<Words>, loader: &mut Loader<'_>) -> Arc<str> {
    let names = super::sources::candidates(&folder.place.file, &folder.value.0, &[]);
    if let Some(name) = names.iter().find(|name| loader.sources.exists(name)) {
        return Arc::from(name.as_str());
    }
    loader.found.push(
        folder
            .warning(Code::UnresolvedPath, format!("there is no folder {}", quoted(&folder.value.0)))
            .help("a folder is relative to this file, else in the shipped library"),
    );
    names.first().map_or_else(|| folder.value.0.clone(), |name| Arc::from(name.as_str()))
}

/// Parameters that the engine itself reads must be of their type; all others are the provider's to judge.
fn check_config(config: Option<&Named<Anything>>, found: &mut Found) {
    for (key, value) in config.iter().flat_map(|c| &c.entries) {
        let expected = match (&*key.name, &value.value) {
            ("max_tokens", Value::Int(1..)) => continue,
            ("max_tokens", _) => "an integer, 1 or more",
            ("temperature", number) if number.as_f64().is_some_and(|n| (0.0..=2.0).contains(&n)) => continue,
            ("temperature", _) => "a number from 0 to 2",
            _ => continue,
        };
        let message = format!("expected {expected} for `{}`, found {}", key.name, value.value);
        found.push(Diagnostic::error(Code::OutOfRange, &value.place, message).length(value.length));
    }
}

/// A template must compile and name nothing but `names`; its error is placed in the file.
pub(super) fn check_template(text: &Text, names: &[&str], found: &mut Found) {
    let mut environment = minijinja::Environment::empty();
    let compiled = environment.add_template("template", &text.source);
    if compiled.is_ok() {
        check_names(&environment, text, names, found);
    }
    if let Err(error) = compiled {
        let mut place = text.place.clone();
        let down = u32::try_from(error.line().unwrap_or(1).saturating_sub(1)).unwrap_or(0);
        place.line = place.line.saturating_add(down);
        let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
        found.push(Diagnostic::error(Code::BadExpression, &place, format!("the template does not compile: {detail}")));
    }
}

/// A name that nothing stands for would fail every turn of the agent.
fn check_names(environment: &minijinja::Environment<'_>, text: &Text, known: &[&str], found: &mut Found) {
    let Ok(template) = environment.get_template("template") else { return };
    let globals = minijinja::Environment::new();
    let mut names: Vec<String> = template.undeclared_variables(false).into_iter().collect();
    names.retain(|name| !known.contains(&name.as_str()) && !globals.globals().any(|(global, _)| global == name));
    names.sort();
    for name in names {
        let help =
            did_you_mean(&name, known.iter().copied()).unwrap_or_else(|| format!("a template may name {}", known.join(", ")));
        let message = format!("the template names {}, and nothing is called so", quoted(&name));
        found.push(Diagnostic::error(Code::BadExpression, &text.place, message).help(help));
    }
}

/// What an agent must return is described by a JSON Schema that is one.
fn check_schema(schema: Option<&Anything>, found: &mut Found) {
    let Some(schema) = schema else { return };
    let error = match &schema.value {
        Value::Map(_) => jsonschema::validator_for(&schema.value.to_json()).err().map(|e| e.to_string()),
        other => Some(format!("expected a map, found {}", describe(other))),
    };
    if let Some(error) = error {
        let message = format!("`output_schema` is no JSON Schema: {error}");
        found.push(
            Diagnostic::error(Code::InvalidValue, &schema.place, message).help("such as `{ type: object, required: [answer] }`"),
        );
    }
}

/// Tools and servers that this machine lacks are warnings; a run that uses them fails.
fn check_tools<'f>(
    tools: impl Iterator<Item = &'f Spot<Words>>,
    servers: impl Iterator<Item = &'f Spot<Words>>,
    loader: &mut Loader<'_>,
) {
    for tool in tools {
        let name = tool.value.0.split('(').next().unwrap_or("").trim();
        loader.check_tool(tool, name);
    }
    let Some(known) = loader.known.mcp_servers else { return };
    for server in servers.filter(|s| !known.contains(&&*s.value.0)) {
        let name = &server.value.0;
        loader.found.push(
            server.warning(Code::UnresolvedMcpServer, format!("no MCP server is called {}", quoted(name))).help(
                did_you_mean(name, known.iter().copied())
                    .unwrap_or_else(|| "name it in `.mcp.json`, or with `--mcp FILE`".to_owned()),
            ),
        );
    }
}
