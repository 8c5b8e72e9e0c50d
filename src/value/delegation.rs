//! How is a task divided, and who fits a part of it? [`Division`] reads what a `route` rule or an agent proposes; [`choose`] finds
//! the agent for a part that names skills instead of a role.
//!
//! The choice is BM25 over what profiles say of themselves (Robertson, Zaragoza: "The Probabilistic Relevance Framework: BM25 and
//! Beyond", 2009), in the form for several fields, BM25F: a word counts by the field in which it stands, and only the length of a
//! description is held against it. It is the same every time, and its scores stand in the sub-task.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{AgentFacts, Map, Role, Value, nearest};

/// A part of the work that a coordinator, an agent or a `route` rule hands out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subtask {
    /// Its id among its siblings, `[a-z][a-z0-9_]*`.
    pub id: Arc<str>,
    /// Who does it.
    pub agent: Role,
    /// What is to be done.
    pub task: Arc<str>,
    /// When it is done, in words.
    #[serde(default)]
    pub done_when: Option<Arc<str>>,
    /// Ids of siblings that must end first.
    #[serde(default)]
    pub depends_on: Vec<Arc<str>>,
    /// The skills that it asks for, where it names no agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skills: Vec<Arc<str>>,
    /// The tools that whoever does it must have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Arc<str>>,
    /// How well agents fit these skills, the one who was chosen first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scores: Vec<Score>,
}

/// How well an agent fits what is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Who.
    pub agent: Role,
    /// BM25, more than 0; four digits.
    pub score: f64,
}

/// What a division may hold.
#[derive(Clone, Copy, Debug)]
pub struct Division<'a> {
    /// Who may take a part.
    pub agents: &'a [AgentFacts],
    /// Parts at most.
    pub max: Option<u32>,
    /// Ids of parts that are done: they may be waited for, and not be given again.
    pub done: &'a [Arc<str>],
    /// What it is called where it is read: `verdict`, `delegation`.
    pub noun: &'a str,
    /// How its shape is written there.
    pub shape: &'a str,
}

/// Why something is no division.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It has the wrong shape, whoever there is.
    Shape(String),
    /// It does not go with these agents and bounds.
    Facts(String),
}

impl Unfit {
    /// What is wrong, a lowercase fragment.
    pub fn message(&self) -> &str {
        match self {
            Self::Shape(message) | Self::Facts(message) => message,
        }
    }
}

/// The keys of a sub-task as it is proposed.
const FIELDS: [&str; 7] = ["id", "agent", "skills", "tools", "task", "done_when", "depends_on"];

impl Division<'_> {
    /// The sub-tasks that `said` proposes, in their order.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(&self, said: &Value) -> Result<Vec<Subtask>, Unfit> {
        let items =
            said.as_list().ok_or_else(|| Unfit::Shape(format!("the {} is {}; expected {}", self.noun, a(said), self.shape)))?;
        if let Some(max) = self.max
            && items.len() > max as usize
        {
            return Err(Unfit::Facts(format!("{} sub-tasks; the team allows {max}", items.len())));
        }
        let mut subtasks = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            subtasks.push(self.subtask(item, index)?);
        }
        self.check_ids(&subtasks)?;
        for subtask in &mut subtasks {
            subtask.depends_on.retain(|id| !self.done.contains(id));
        }
        Ok(subtasks)
    }

    fn subtask(&self, item: &Value, index: usize) -> Result<Subtask, Unfit> {
        let shape = self.shape;
        let Some(map) = item.as_map() else {
            return Err(Unfit::Shape(format!("item [{index}] is {}; expected {shape}", a(item))));
        };
        if let Some(key) = map.keys().find(|key| !FIELDS.contains(&key.as_str())) {
            let hint = hint(nearest(key, FIELDS.into_iter()));
            return Err(Unfit::Shape(format!("a {} has no `{key}`{hint}; expected {shape}", self.noun)));
        }
        let fields = Fields { map, at: format!("[{index}]") };
        let id = fields.text("id")?;
        if !is_id(id) {
            let why = "an id starts with a letter a to z, then a to z, 0 to 9 and _";
            return Err(Unfit::Shape(format!("`{}.id` is \"{id}\"; {why}", fields.at)));
        }
        let (skills, tools) = (fields.texts("skills")?, fields.texts("tools")?);
        let (agent, scores) = match fields.optional_text("agent")? {
            Some(agent) => (self.known(agent)?, Vec::new()),
            None if skills.is_empty() => {
                return Err(Unfit::Shape(format!("`{}` names neither `agent` nor `skills`; expected {shape}", fields.at)));
            }
            None => {
                let scores = choose(self.agents, &skills, &tools).map_err(Unfit::Facts)?;
                (scores.first().map_or_else(|| Role::new(""), |best| best.agent.clone()), scores)
            }
        };
        let texts = |list: Vec<&str>| list.into_iter().map(Arc::from).collect();
        Ok(Subtask {
            id: Arc::from(id),
            agent,
            task: Arc::from(fields.text("task")?),
            done_when: fields.optional_text("done_when")?.filter(|text| !text.trim().is_empty()).map(Arc::from),
            depends_on: texts(fields.texts("depends_on")?),
            skills: texts(skills),
            tools: texts(tools),
            scores,
        })
    }

    fn known(&self, said: &str) -> Result<Role, Unfit> {
        let roles: Vec<&str> = self.agents.iter().map(|agent| agent.role.as_str()).collect();
        if roles.contains(&said) {
            return Ok(Role::new(said));
        }
        let hint = hint(nearest(said, roles.iter().copied()));
        let known = if roles.is_empty() { "those who may be asked: there is nobody".to_owned() } else { roles.join(", ") };
        Err(Unfit::Facts(format!("the agent `{said}` is not one of {known}{hint}")))
    }

    /// Ids are unique, and what a sub-task waits for exists and does not wait for it in turn.
    fn check_ids(&self, subtasks: &[Subtask]) -> Result<(), Unfit> {
        let mut waits: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for subtask in subtasks {
            if self.done.contains(&subtask.id) {
                let why = "its result is kept; give another id to what else is to be done";
                return Err(Unfit::Facts(format!("`{}` is done: {why}", subtask.id)));
            }
            let open = subtask.depends_on.iter().filter(|id| !self.done.contains(id)).map(|id| &**id);
            if waits.insert(&subtask.id, open.collect()).is_some() {
                return Err(Unfit::Shape(format!("the id `{}` stands here twice", subtask.id)));
            }
        }
        for subtask in subtasks {
            if let Some(unknown) = waits[&*subtask.id].iter().find(|id| !waits.contains_key(**id)) {
                return Err(Unfit::Shape(format!("`{}` depends on `{unknown}`, which is not there", subtask.id)));
            }
        }
        loop {
            let free: BTreeSet<&str> = waits.iter().filter(|(_, on)| on.is_empty()).map(|(id, _)| *id).collect();
            if free.is_empty() {
                break;
            }
            waits.retain(|id, _| !free.contains(id));
            waits.values_mut().for_each(|on| on.retain(|id| !free.contains(id)));
        }
        let circle: Vec<String> = waits.keys().map(|id| format!("`{id}`")).collect();
        if circle.is_empty() { Ok(()) } else { Err(Unfit::Shape(format!("{} wait for each other", circle.join(", ")))) }
    }
}

/// How soon further occurrences of a word count less.
const SATURATION: f64 = 1.2;
/// How much the length of a description counts.
const LENGTH: f64 = 0.75;

/// The agents who have `tools` and something of `skills`, best first; of those who fit equally well, the first.
///
/// # Errors
/// Nobody has: why, in words that the proposer can act upon.
pub fn choose(agents: &[AgentFacts], skills: &[&str], tools: &[&str]) -> Result<Vec<Score>, String> {
    let has = |agent: &&AgentFacts| tools.iter().all(|tool| agent.tools.iter().any(|own| **own == **tool));
    let able: Vec<&AgentFacts> = agents.iter().filter(has).collect();
    if able.is_empty() && !tools.is_empty() {
        return Err(format!("nobody has the tools {}", tools.join(", ")));
    }
    let wanted: BTreeSet<String> = skills.iter().flat_map(|skill| words(skill)).collect();
    let texts: Vec<Written> = agents.iter().map(Written::of).collect();
    let count = texts.len() as f64;
    let mean = texts.iter().map(|text| text.described).sum::<f64>() / count.max(1.0);
    let rarity = |word: &String| {
        let holders = texts.iter().filter(|text| text.weight(word, 1.0) > 0.0).count() as f64;
        (1.0 + (count - holders + 0.5) / (holders + 0.5)).ln()
    };
    let score = |agent: &AgentFacts| {
        let text = Written::of(agent);
        let long = 1.0 - LENGTH + LENGTH * if mean > 0.0 { text.described / mean } else { 1.0 };
        let one = |word: &String| {
            let weight = text.weight(word, long);
            rarity(word) * weight * (SATURATION + 1.0) / (weight + SATURATION)
        };
        (wanted.iter().map(one).sum::<f64>() * 1e4).round() / 1e4
    };
    let scores = able.into_iter().map(|agent| Score { agent: agent.role.clone(), score: score(agent) });
    let mut scores: Vec<Score> = scores.filter(|score| score.score > 0.0).collect();
    // The sort is stable: of equals the first stays first.
    scores.sort_by(|a, b| b.score.total_cmp(&a.score));
    if scores.is_empty() {
        let with = if tools.is_empty() { String::new() } else { format!(" and the tools {}", tools.join(", ")) };
        return Err(format!("nobody has one of the skills {}{with}", skills.join(", ")));
    }
    Ok(scores)
}

/// What a profile says of an agent, by word.
struct Written {
    /// How much each word weighs outside of the description.
    words: BTreeMap<String, f64>,
    /// How often each stands in the description.
    description: BTreeMap<String, f64>,
    /// Words of the description.
    described: f64,
}

impl Written {
    fn of(agent: &AgentFacts) -> Self {
        let (mut all, mut description) = (BTreeMap::new(), BTreeMap::new());
        let add = |to: &mut BTreeMap<String, f64>, text: &str, weight: f64| {
            words(text).for_each(|word| *to.entry(word).or_default() += weight);
        };
        agent.skills.iter().for_each(|skill| add(&mut all, skill, 3.0));
        agent.specialization.iter().for_each(|text| add(&mut all, text, 3.0));
        add(&mut all, agent.role.as_str(), 2.0);
        add(&mut all, &agent.name, 1.0);
        agent.description.iter().for_each(|text| add(&mut description, text, 1.0));
        let described = description.values().sum();
        Self { words: all, description, described }
    }

    /// What a word weighs in it, where the description is so long.
    fn weight(&self, word: &str, long: f64) -> f64 {
        self.words.get(word).copied().unwrap_or(0.0) + self.description.get(word).copied().unwrap_or(0.0) / long.max(0.25)
    }
}

/// The words of a text in lower case, without the ending of a plural.
fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    let split = text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().nth(1).is_some());
    split.map(|word| {
        let mut word = word.to_lowercase();
        if word.len() > 3 && word.ends_with('s') && !word.ends_with("ss") {
            word.pop();
        }
        word
    })
}

/// The fields of a proposed sub-task.
struct Fields<'a> {
    map: &'a Map,
    at: String,
}

impl<'a> Fields<'a> {
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn text(&self, key: &str) -> Result<&'a str, Unfit> {
        match self.get(key) {
            Some(Value::Text(text)) if !text.trim().is_empty() => Ok(text),
            Some(Value::Text(_)) => Err(self.wrong(key, "is empty", "text")),
            Some(other) => Err(self.wrong(key, &format!("is {}", a(other)), "text")),
            None => Err(self.wrong(key, "is missing", "text")),
        }
    }

    fn optional_text(&self, key: &str) -> Result<Option<&'a str>, Unfit> {
        match self.get(key) {
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(key, &format!("is {}", a(other)), "text")),
            None => Ok(None),
        }
    }

    fn texts(&self, key: &str) -> Result<Vec<&'a str>, Unfit> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let items = value.as_list().ok_or_else(|| self.wrong(key, &format!("is {}", a(value)), "a list of texts"))?;
        items.iter().map(|item| item.as_str().ok_or_else(|| self.wrong(key, &format!("holds {}", a(item)), "texts"))).collect()
    }

    fn wrong(&self, key: &str, is: &str, expected: &str) -> Unfit {
        Unfit::Shape(format!("`{}.{key}` {is}; expected {expected}", self.at))
    }
}

fn hint(near: Option<&str>) -> String {
    near.map(|near| format!(", did you mean `{near}`?")).unwrap_or_default()
}

/// `a list`, `an integer`, `()`, as messages name what was found.
fn a(value: &Value) -> String {
    match value {
        Value::Null => "()".to_owned(),
        Value::Text(text) => format!("the text \"{}\"", text.chars().take(40).collect::<String>()),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => value.a_kind(),
    }
}

fn is_id(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(role: &str, skills: &[&str], description: &str, tools: &[&str]) -> AgentFacts {
        let texts = |list: &[&str]| list.iter().map(|text| Arc::from(*text)).collect();
        AgentFacts {
            role: Role::new(role),
            name: Arc::from(role),
            specialization: None,
            skills: texts(skills),
            description: Some(Arc::from(description)),
            priority: 1,
            tools: texts(tools),
        }
    }

    fn team() -> Vec<AgentFacts> {
        vec![
            agent("pipeline", &["airflow", "data pipelines"], "Finds what is late in a pipeline.", &["Read", "sql_query"]),
            agent("numbers", &["statistics", "outliers"], "Says whether a number is unusual, and how sure that is.", &["Read"]),
            agent("sql", &["sql", "query plans"], "Finds slow queries.", &["sql_query"]),
        ]
    }

    fn who(skills: &[&str], tools: &[&str]) -> Result<Vec<String>, String> {
        choose(&team(), skills, tools).map(|scores| scores.iter().map(|score| score.agent.to_string()).collect())
    }

    #[test]
    fn whoever_fits_best_comes_first_and_who_does_not_fit_at_all_is_left_out() {
        assert_eq!(who(&["pipeline"], &[]), Ok(vec!["pipeline".to_owned()]));
        assert_eq!(who(&["query plans", "late"], &[]), Ok(vec!["sql".to_owned(), "pipeline".to_owned()]));
        assert_eq!(who(&["OUTLIERS"], &[]), Ok(vec!["numbers".to_owned()]), "neither case nor number counts");
    }

    #[test]
    fn a_tool_that_is_needed_leaves_out_who_has_it_not() {
        assert_eq!(who(&["finds"], &[]), Ok(vec!["sql".to_owned(), "pipeline".to_owned()]), "a short description says more");
        assert_eq!(who(&["finds"], &["Read"]), Ok(vec!["pipeline".to_owned()]));
        assert_eq!(who(&["finds"], &["Bash"]), Err("nobody has the tools Bash".to_owned()));
        assert_eq!(who(&["juggling"], &["Read"]), Err("nobody has one of the skills juggling and the tools Read".to_owned()));
    }

    #[test]
    fn of_agents_who_fit_equally_well_the_first_is_chosen() {
        let twins = ["b", "a"].map(|role| agent(role, &["rust"], "Writes it.", &[]));
        let scores = choose(&twins, &["rust"], &[]).unwrap();
        assert_eq!(scores.iter().map(|score| score.agent.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(scores[0].score, scores[1].score);
    }

    #[test]
    fn what_is_done_may_be_waited_for_and_not_be_given_again() {
        let (agents, done) = (team(), [Arc::from("x")]);
        let division = Division { agents: &agents, max: Some(2), done: &done, noun: "verdict", shape: "a list" };
        let one = |id: &str, on: &str| {
            let parts = [("id", id), ("agent", "sql"), ("task", "look")].map(|(key, text)| (key, Value::text(text)));
            Value::list([Value::map(parts.into_iter().chain([("depends_on", Value::list([Value::text(on)]))]))])
        };
        assert_eq!(division.read(&one("y", "x")).map(|tasks| tasks[0].depends_on.len()), Ok(0));
        let again = division.read(&one("x", "x")).unwrap_err();
        assert!(again.message().contains("`x` is done"), "{}", again.message());
        assert!(division.read(&one("y", "z")).is_err());
    }
}
