//! How does a file become a [`Team`]? The [`Loader`] follows references and collects everything that is wrong on the way.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Code, Diagnostic, ModelCatalog, Overrides, SourceError, Sources, Team,
    file::{TeamFile, Tree},
    finish,
    overrides::{OVERRIDES_NAME, lay_map},
    profile::{self, ProfileFile},
    read::{Found, Read, Spot},
    resolve,
    scalar::Words,
    sources::{FILES, LIBRARY, SCRIPTS, beside, candidates, folder},
    suggest::{did_you_mean, nearest},
    tree::{self, Node, quoted},
};
use crate::value::{Place, Profile, TeamTools, includes};

/// Files that one team may consist of.
pub const MAX_FILES: usize = 256;
/// Teams inside teams.
pub const MAX_TEAM_DEPTH: usize = 8;
/// Teams that one team may consist of, each use counted.
pub const MAX_TEAMS: usize = 64;

/// What this machine has. What it lacks is a warning here, and an error in a run that uses it.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The models.
    pub models: &'a ModelCatalog,
    /// Names of tools; `None`: unknown, nothing is said.
    pub tools: Option<&'a [&'a str]>,
    /// Names of MCP servers; `None`: unknown, nothing is said.
    pub mcp_servers: Option<&'a [&'a str]>,
}

impl<'a> Known<'a> {
    /// Models only.
    pub fn models(models: &'a ModelCatalog) -> Self {
        Self { models, tools: None, mcp_servers: None }
    }
}

/// A profile with what its file says beside it.
#[derive(Clone, Debug)]
pub struct LoadedProfile {
    /// Its file, as it was found.
    pub file: Arc<str>,
    /// Who the agent is.
    pub profile: Arc<Profile>,
    /// Whether a team may use it.
    pub is_active: bool,
    /// Whether the whole organization may use it.
    pub is_public: bool,
    /// Where its role stands.
    pub(super) role_place: Place,
    /// Where `is_active` stands.
    pub(super) active_place: Option<Place>,
}

/// What was loaded, with the warnings; or everything that is wrong, warnings too.
pub type Loaded<T> = Result<(T, Vec<Diagnostic>), Vec<Diagnostic>>;

/// The team of that name: a path, or the name of a shipped team (`incident-response`, `teams/incident-response`).
///
/// # Errors
/// Every mistake in the team's file and in all files that it refers to, sorted by place.
pub fn load_team(name: &str, sources: &dyn Sources, overrides: &Overrides, known: &Known<'_>) -> Loaded<Team> {
    let (team, found) = read_team(name, sources, overrides, known);
    match team {
        Some(team) if !found.iter().any(Diagnostic::is_error) => Ok((team, found)),
        _ => Err(found),
    }
}

/// The same, as far as it can be made out: what has a mistake is left out, or something harmless stands in for it, so that the
/// rest can be checked. `None` where there is no team to speak of.
pub fn read_team(name: &str, sources: &dyn Sources, overrides: &Overrides, known: &Known<'_>) -> (Option<Team>, Vec<Diagnostic>) {
    let mut loader = Loader::new(sources, overrides, known);
    let team = loader.first(name, "teams", "team").and_then(|file| loader.team(&file, ""));
    if team.is_some() {
        loader.report_unused();
    }
    let mut texts = std::mem::take(&mut loader.texts);
    let tools = std::mem::take(&mut loader.tools);
    let team = team.map(|team| Team { sources: texts.clone(), tools, ..team });
    texts.insert(OVERRIDES_NAME.to_owned(), overrides.text().clone());
    finish(&mut loader.found, &texts);
    debug_assert!(team.is_some() || loader.found.iter().any(Diagnostic::is_error), "nothing is missing without an error");
    (team, loader.found)
}

/// The profile of that name: a path, or the name of a shipped profile (`devops/security`, `profiles/devops/security`).
///
/// # Errors
/// Every mistake in its file.
pub fn load_profile(name: &str, sources: &dyn Sources, known: &Known<'_>) -> Loaded<LoadedProfile> {
    let overrides = Overrides::default();
    let mut loader = Loader::new(sources, &overrides, known);
    let loaded = loader.first(name, "profiles", "profile").and_then(|file| loader.profile_file(&file, None, ""));
    if let Some(place) = loaded.as_ref().filter(|l| !l.is_active).and_then(|l| l.active_place.as_ref()) {
        loader.found.push(Diagnostic::warning(Code::Inactive, place, "the profile is not active: no team can use it"));
    }
    let sources = std::mem::take(&mut loader.texts);
    loader.close(loaded, &sources)
}

/// Everything that is wrong with a file, be it a profile or a team.
pub fn check(name: &str, sources: &dyn Sources, known: &Known<'_>) -> Vec<Diagnostic> {
    if is_profile(name, sources) {
        load_profile(name, sources, known).map_or_else(|found| found, |(_, warnings)| warnings)
    } else {
        load_team(name, sources, &Overrides::default(), known).map_or_else(|found| found, |(_, warnings)| warnings)
    }
}

/// Whether a file is meant as a profile: it has more keys that only a profile has than such of a team, else a name that says so.
pub fn is_profile(name: &str, sources: &dyn Sources) -> bool {
    let named = name.contains("profile");
    let Ok(text) = sources.read(name) else { return named };
    let Ok(node) = tree::parse(&Arc::from(name), &text) else { return named };
    let only =
        |keys: &[&str], others: &[&str]| keys.iter().filter(|key| !others.contains(key) && node.get(key).is_some()).count();
    let (profile, team) = (only(ProfileFile::KEYS, TeamFile::KEYS), only(TeamFile::KEYS, ProfileFile::KEYS));
    if profile == team { named } else { profile > team }
}

/// Follows references. One loader serves one team with all that it consists of.
pub(super) struct Loader<'a> {
    pub(super) sources: &'a dyn Sources,
    pub(super) known: &'a Known<'a>,
    pub(super) found: Found,
    overrides: &'a Overrides,
    /// The overrides that met an agent.
    used: BTreeSet<usize>,
    /// The agents there are, by the path that an override names them by.
    pub(super) agents: BTreeSet<String>,
    /// Texts by the name they were found under.
    texts: BTreeMap<String, Arc<str>>,
    /// Files by the name they were found under; `None` after their mistake was reported.
    trees: BTreeMap<String, Option<Arc<Node>>>,
    /// The teams that are being read, the outermost first.
    stack: Vec<Arc<str>>,
    /// Teams so far.
    teams: usize,
    /// The tools that the teams bring along.
    tools: TeamTools,
}

impl<'a> Loader<'a> {
    fn new(sources: &'a dyn Sources, overrides: &'a Overrides, known: &'a Known<'a>) -> Self {
        Self {
            sources,
            known,
            found: Vec::new(),
            overrides,
            used: BTreeSet::new(),
            agents: BTreeSet::new(),
            texts: BTreeMap::new(),
            trees: BTreeMap::new(),
            stack: Vec::new(),
            teams: 0,
            tools: TeamTools::default(),
        }
    }

    /// The outcome: `thing` unless an error was found.
    fn close<T>(mut self, thing: Option<T>, sources: &BTreeMap<String, Arc<str>>) -> Loaded<T> {
        let mut texts = sources.clone();
        texts.insert(OVERRIDES_NAME.to_owned(), self.overrides.text().clone());
        finish(&mut self.found, &texts);
        match thing {
            Some(thing) if !self.found.iter().any(Diagnostic::is_error) => Ok((thing, self.found)),
            _ => {
                debug_assert!(self.found.iter().any(Diagnostic::is_error), "nothing is missing without an error");
                Err(self.found)
            }
        }
    }

    /// The file that a name of the command line means: a path, else a name in the library, else one in its folder `shelf`.
    fn first(&mut self, name: &str, shelf: &str, what: &str) -> Option<Arc<str>> {
        let mut names = vec![name.to_owned()];
        names.extend(candidates("", name, FILES));
        if !name.starts_with(LIBRARY) {
            names.extend(candidates(LIBRARY, &format!("{shelf}/{name}"), FILES));
        }
        let place = Place { file: Arc::from(name), line: 0, column: 0 };
        if let Some(found) = names.iter().find(|name| self.fetch(name, &place).is_some()) {
            return Some(Arc::from(found.as_str()));
        }
        if self.found.is_empty() {
            let help = self.suggest(name, &names).unwrap_or_else(|| format!("give a path, or the name of a shipped {what}"));
            self.found.push(
                Diagnostic::error(Code::MissingReference, &place, format!("there is no {what} {}", quoted(name))).help(help),
            );
        }
        None
    }

    /// The text of exactly that name, if there is one; what keeps it from being read is reported at `place`.
    fn fetch(&mut self, name: &str, place: &Place) -> Option<Arc<str>> {
        if let Some(text) = self.texts.get(name) {
            return Some(text.clone());
        }
        let text = match self.sources.read(name) {
            Ok(text) => text,
            Err(SourceError::NotFound) => return None,
            Err(error @ (SourceError::NotText | SourceError::TooLarge(_) | SourceError::Other(_))) => {
                self.found.push(Diagnostic::error(Code::Unreadable, place, format!("{name} cannot be read: {error}")));
                return None;
            }
        };
        if self.texts.len() >= MAX_FILES {
            self.found.push(Diagnostic::error(
                Code::TooLarge,
                place,
                format!("the team consists of more than {MAX_FILES} files"),
            ));
            return None;
        }
        let limit = tree::max_bytes(name);
        if text.len() > limit {
            let message = format!("{name} has {} bytes, more than the {limit} allowed", text.len());
            self.found.push(Diagnostic::error(Code::TooLarge, place, message).help("keep data in files of its own"));
            return None;
        }
        // A byte order mark would shift the columns of the first line.
        let text = text.strip_prefix('\u{feff}').map_or(text.clone(), Arc::from);
        self.texts.insert(name.to_owned(), text.clone());
        Some(text)
    }

    /// The name and text that a reference comes to; a missing one is reported.
    pub(super) fn text(
        &mut self,
        at: &Spot<Words>,
        reference: &str,
        extensions: &[&str],
        what: &str,
    ) -> Option<(Arc<str>, Arc<str>)> {
        let names = candidates(&at.place.file, reference, extensions);
        let before = self.found.len();
        for name in &names {
            if let Some(text) = self.fetch(name, &at.place) {
                if extensions == SCRIPTS {
                    self.included(name, &text, 0);
                }
                return Some((Arc::from(name.as_str()), text));
            }
        }
        if self.found.len() == before {
            self.missing(at, reference, &names, what);
        }
        None
    }

    /// Reads the files that a script uses, and those that they use.
    fn included(&mut self, file: &str, text: &Arc<str>, depth: usize) {
        for include in includes(file, text) {
            let name = beside(file, &include.path);
            let known = name.as_ref().is_some_and(|name| self.texts.contains_key(name));
            if known {
                continue;
            }
            let read = name.as_ref().filter(|_| depth < MAX_TEAM_DEPTH).and_then(|name| self.fetch(name, &include.place));
            match (name, read) {
                (Some(name), Some(text)) => self.included(&name, &text, depth + 1),
                (_, _) => {
                    let message = format!("the script uses `{}`, which is not there", include.path);
                    let missing = Diagnostic::error(Code::MissingReference, &include.place, message);
                    self.found.push(missing.help("the path is relative to the script"));
                }
            }
        }
    }

    fn missing(&mut self, at: &Spot<Words>, reference: &str, names: &[String], what: &str) {
        let help = self.suggest(reference, names).unwrap_or_else(|| match names {
            [] => "a reference does not lead out of the shipped library".to_owned(),
            names => format!("looked for {}", super::suggest::list(names)),
        });
        self.found.push(
            at.error(Code::MissingReference, format!("there is no {what} {}", quoted(reference))).label("not found").help(help),
        );
    }

    /// The reference that was meant, judged by the files that lie where it leads.
    fn suggest(&self, reference: &str, names: &[String]) -> Option<String> {
        let mut known: Vec<String> = Vec::new();
        for name in names {
            let there = match folder(name) {
                "" if name.starts_with(LIBRARY) => LIBRARY,
                there => there,
            };
            known.extend(self.sources.list(there));
        }
        let stem = |name: &str| FILES.iter().find_map(|e| name.strip_suffix(&format!(".{e}"))).unwrap_or(name).to_owned();
        let last = |name: &str| name.rsplit(['/', ':']).next().unwrap_or(name).to_owned();
        let files: Vec<_> = known.iter().map(|name| last(&stem(name))).collect();
        let near = nearest(&last(&stem(reference)), files.iter().map(String::as_str))?;
        let start = reference.rfind('/').map_or("", |end| &reference[..=end]);
        Some(format!("did you mean `{start}{near}`?"))
    }

    /// The tree of a text; its mistake is reported once.
    fn tree(&mut self, name: &Arc<str>, text: &str) -> Option<Arc<Node>> {
        if let Some(tree) = self.trees.get(&**name) {
            return tree.clone();
        }
        let tree = match tree::parse(name, text) {
            Ok(node) => Some(Arc::new(node)),
            Err(error) => {
                self.found.push(*error);
                None
            }
        };
        self.trees.insert(name.to_string(), tree.clone());
        tree
    }

    /// The profile that `at` refers to, with `set` and the overrides for `agent` laid over it.
    pub(super) fn profile(&mut self, at: &Spot<Words>, set: Option<&Tree>, agent: &str) -> Option<LoadedProfile> {
        self.agents.insert(agent.to_owned());
        let (name, _) = self.text(at, &at.value.0, FILES, "profile")?;
        let loaded = self.profile_file(&name, set, agent)?;
        if !loaded.is_active {
            let error =
                at.error(Code::Inactive, format!("the profile {} is not active", quoted(&at.value.0))).label("not active");
            let error = loaded.active_place.iter().fold(error, |error, place| error.related(place, "switched off here"));
            self.found.push(error.help("use another profile, or set `is_active: true`"));
        }
        Some(loaded)
    }

    fn profile_file(&mut self, name: &Arc<str>, set: Option<&Tree>, agent: &str) -> Option<LoadedProfile> {
        let text = self.texts.get(&**name)?.clone();
        let mut node = (*self.tree(name, &text)?).clone();
        if let Some(Tree(set)) = set {
            super::tree::duplicates_of(set, &mut self.found);
            lay_map(&mut node, set);
        }
        self.overrides.apply(agent, &mut node, &mut self.used, &mut self.found);
        let file = ProfileFile::read(&node, &mut self.found)?;
        profile::resolve(file, name.clone(), self)
    }

    /// The team that `at` refers to, its agents known to overrides below `path`.
    pub(super) fn team_at(&mut self, at: &Spot<Words>, path: &str) -> Option<Team> {
        let (name, _) = self.text(at, &at.value.0, FILES, "team")?;
        if let Some(start) = self.stack.iter().position(|file| *file == name) {
            let circle: Vec<_> = self.stack[start..].iter().chain([&name]).map(|f| f.to_string()).collect();
            self.found.push(
                at.error(Code::RecursiveTeam, format!("a team contains itself: {}", circle.join(" → ")))
                    .help("a loop is a `repeat` or a `for_each` with a bound"),
            );
            return None;
        }
        if self.stack.len() >= MAX_TEAM_DEPTH || self.teams >= MAX_TEAMS {
            let message = format!("teams are nested more than {MAX_TEAM_DEPTH} deep, or are more than {MAX_TEAMS}");
            self.found.push(at.error(Code::TooLarge, message));
            return None;
        }
        self.team(&name, path)
    }

    /// How many errors were found so far.
    pub(super) fn errors(&self) -> usize {
        self.found.iter().filter(|d| d.is_error()).count()
    }

    fn team(&mut self, name: &Arc<str>, path: &str) -> Option<Team> {
        let text = self.texts.get(&**name)?.clone();
        let node = self.tree(name, &text)?;
        let file = TeamFile::read(&node, &mut self.found)?;
        self.teams += 1;
        self.stack.push(name.clone());
        let team = resolve::team(file, &node.place, path, self);
        self.stack.pop();
        Some(team)
    }

    /// Takes the tools that a team brings along for known. All teams of a session share them, so that one name stands for one tool.
    pub(super) fn declare(&mut self, tools: &TeamTools, place: &Place) {
        for command in &tools.commands {
            match self.tools.commands.iter().find(|known| known.name == command.name) {
                Some(known) if known == command => {}
                Some(_) => {
                    let message = format!("two teams declare the tool `{}`, each in its own way", command.name);
                    self.found.push(Diagnostic::error(Code::DuplicateId, place, message).help("give one of them another name"));
                }
                None => self.tools.commands.push(command.clone()),
            }
        }
        for server in &tools.metrics {
            match self.tools.metrics.iter().find(|known| known.name == server.name) {
                Some(known) if known == server => {}
                Some(_) => {
                    let message = format!("two teams declare the server of metrics `{}`, each in its own way", server.name);
                    self.found.push(Diagnostic::error(Code::DuplicateId, place, message).help("give one of them another name"));
                }
                None => self.tools.metrics.push(server.clone()),
            }
        }
        if let Some(http) = &tools.http {
            let all = self.tools.http.get_or_insert_default();
            for (known, hosts) in [(&mut all.hosts, &http.hosts), (&mut all.private_hosts, &http.private_hosts)] {
                for host in hosts {
                    if !known.contains(host) {
                        known.push(host.clone());
                    }
                }
            }
        }
    }

    /// The names of the tools that the teams bring along.
    fn declared(&self) -> impl Iterator<Item = &str> {
        self.tools.commands.iter().map(|command| &*command.name).chain(self.tools.http.iter().map(|_| "http"))
    }

    /// A warning where this machine lacks a tool.
    pub(super) fn check_tool(&mut self, at: &Spot<Words>, name: &str) {
        let Some(known) = self.known.tools else { return };
        if name.contains('*') || name.starts_with("mcp__") || known.contains(&name) || self.declared().any(|own| own == name) {
            return;
        }
        let help = did_you_mean(name, known.iter().copied().chain(self.declared()));
        let help = help.unwrap_or_else(|| "declare it in the `tools` of the team; a run that calls it fails".to_owned());
        self.found.push(at.warning(Code::UnresolvedTool, format!("no tool is called {}", quoted(name))).help(help));
    }

    /// Reports the overrides that met no agent.
    fn report_unused(&mut self) {
        for target in self.overrides.unused(&self.used) {
            let names = self.agents.iter().map(String::as_str);
            let help = did_you_mean(&target.name, names.clone())
                .unwrap_or_else(|| format!("the agents are {}", super::suggest::list(names)));
            self.found
                .push(target.error(Code::BadOverride, format!("the team has no agent {}", quoted(&target.name))).help(help));
        }
    }
}
