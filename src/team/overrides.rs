//! What does the command line change? [`Overrides`] are `--set ROLE.FIELD=VALUE`, laid over profiles as they are written.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Code, Diagnostic, finish,
    read::Found,
    tree::{Key, Kind, Node, parse_value},
};
use crate::value::Place;

/// What stands for a file name in the places of overrides.
pub const OVERRIDES_NAME: &str = "--set";
/// Overrides at most.
pub const MAX_OVERRIDES: usize = 1_000;

/// Values for fields of profiles, in the order given; those for `*` (every agent) yield to those for a role.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    sets: Vec<Set>,
    text: Arc<str>,
}

#[derive(Clone, Debug)]
struct Set {
    /// `*`, a role, or the path of a role in a sub-team (`forensics/analyst`).
    target: Key,
    /// The field, and keys inside it.
    path: Vec<Key>,
    value: Node,
}

impl Overrides {
    /// Overrides as the command line gives them: `ROLE.FIELD=VALUE`, where FIELD may go into a map (`model_config.temperature`) and
    /// VALUE is YAML on one line. A role of a sub-team is `MEMBER/ROLE`.
    ///
    /// # Errors
    /// One diagnostic for each that cannot be read, placed in a file called [`OVERRIDES_NAME`].
    pub fn parse<T: AsRef<str>>(args: &[T]) -> Result<Self, Vec<Diagnostic>> {
        let file: Arc<str> = Arc::from(OVERRIDES_NAME);
        let text: Arc<str> = Arc::from(args.iter().map(|a| a.as_ref().replace(['\n', '\r'], " ")).collect::<Vec<_>>().join("\n"));
        let mut found = Vec::new();
        if args.len() > MAX_OVERRIDES {
            let place = Place { file: file.clone(), line: 0, column: 0 };
            found.push(Diagnostic::error(Code::TooLarge, &place, format!("more than {MAX_OVERRIDES} overrides")));
        }
        let sets: Vec<_> =
            text.lines().take(MAX_OVERRIDES).zip(1..).filter_map(|(line, n)| set(&file, line, n, &mut found)).collect();
        finish(&mut found, &std::collections::BTreeMap::from([(OVERRIDES_NAME.to_owned(), text.clone())]));
        if found.is_empty() { Ok(Self { sets, text }) } else { Err(found) }
    }

    /// The overrides as a text, one a line: what their places refer to.
    pub(super) fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Lays what concerns `agent` over its profile, and notes in `used` which overrides that were.
    pub(super) fn apply(&self, agent: &str, profile: &mut Node, used: &mut BTreeSet<usize>, found: &mut Found) {
        for star in [true, false] {
            for (index, set) in self.sets.iter().enumerate() {
                let name = &*set.target.name;
                if (star && name == "*") || (!star && name == agent) {
                    used.insert(index);
                    lay(profile, &set.path, &set.value, found);
                }
            }
        }
    }

    /// Those that met no agent: the target, for a diagnostic.
    pub(super) fn unused<'a>(&'a self, used: &'a BTreeSet<usize>) -> impl Iterator<Item = &'a Key> {
        self.sets
            .iter()
            .enumerate()
            .filter(|(index, set)| !used.contains(index) && &*set.target.name != "*")
            .map(|(_, set)| &set.target)
    }
}

/// One `ROLE.FIELD=VALUE`.
fn set(file: &Arc<str>, line: &str, number: u32, found: &mut Found) -> Option<Set> {
    let at = |bytes: usize| Place { file: file.clone(), line: number, column: column(line, bytes) };
    let key = |start: usize, name: &str| Key {
        name: Arc::from(name),
        place: at(start),
        length: u32::try_from(name.chars().count()).unwrap_or(u32::MAX),
    };
    let (left, value) = line.split_once('=').unwrap_or((line, ""));
    let (target, field) = left.split_once('.').unwrap_or((left, ""));
    if !line.contains('=') || target.is_empty() || field.split('.').any(str::is_empty) {
        found.push(
            Diagnostic::error(Code::BadOverride, &at(0), "an override is `ROLE.FIELD=VALUE`")
                .help("such as `security.model=claude-haiku`, or `*.model=…` for every agent"),
        );
        return None;
    }
    let mut start = target.len() + 1;
    let mut path = Vec::new();
    for part in field.split('.') {
        path.push(key(start, part));
        start += part.len() + 1;
    }
    match parse_value(file, value) {
        Ok(mut value) => {
            shift(&mut value, number, column(line, left.len() + 1) - 1);
            Some(Set { target: key(0, target), path, value })
        }
        Err(mut error) => {
            (error.line, error.column) = (number, column(line, left.len() + 1) + error.column.saturating_sub(1));
            found.push(error.help("the value is YAML: put it in quotes"));
            None
        }
    }
}

/// The column in characters, from 1, of a byte offset.
fn column(line: &str, bytes: usize) -> u32 {
    u32::try_from(line.get(..bytes).map_or(0, |s| s.chars().count())).unwrap_or(u32::MAX - 1) + 1
}

/// Moves places that count from the start of a value to where the value stands.
fn shift(node: &mut Node, line: u32, by: u32) {
    node.place.line = line;
    node.place.column += by;
    node.content = (line, node.content.1 + by);
    match &mut node.kind {
        Kind::List(items) => items.iter_mut().for_each(|item| shift(item, line, by)),
        Kind::Map(entries) => entries.iter_mut().for_each(|(key, value)| {
            key.place.line = line;
            key.place.column += by;
            shift(value, line, by);
        }),
        Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Huge | Kind::Text(_) => {}
    }
}

/// Puts `value` at `path` below `node`, making maps on the way.
fn lay(node: &mut Node, path: &[Key], value: &Node, found: &mut Found) {
    let Some((first, rest)) = path.split_first() else {
        *node = value.clone();
        return;
    };
    let Kind::Map(entries) = &mut node.kind else {
        found.push(first.error(Code::BadOverride, format!("`{}` is a key of something that is not a map", first.name)));
        return;
    };
    if let Some((key, inner)) = entries.iter_mut().find(|(key, _)| key.name == first.name) {
        if rest.is_empty() {
            *key = first.clone();
        }
        lay(inner, rest, value, found);
    } else {
        let mut made = Node::made(&first.place, Kind::Map(Vec::new()));
        lay(&mut made, rest, value, found);
        entries.push((first.clone(), made));
    }
}

/// Lays a member's `set` over its profile, key by key.
pub(super) fn lay_map(profile: &mut Node, set: &Node) {
    if let (Kind::Map(entries), Kind::Map(sets)) = (&mut profile.kind, &set.kind) {
        entries.retain(|(key, _)| set.get(&key.name).is_none());
        entries.extend(sets.iter().cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(profile: &str, agent: &str, sets: &[&str]) -> String {
        let mut node = parse_value(&Arc::from("p.yaml"), profile).unwrap();
        let mut found = Vec::new();
        Overrides::parse(sets).unwrap().apply(agent, &mut node, &mut BTreeSet::new(), &mut found);
        assert_eq!(found, []);
        node.value(&mut found).unwrap().to_string()
    }

    #[test]
    fn a_role_wins_over_every_agent_whatever_the_order() {
        let sets = ["b.model=two", "*.model=one"];
        assert_eq!(applied("model: zero", "a", &sets), r#"{"model":"one"}"#);
        assert_eq!(applied("model: zero", "b", &sets), r#"{"model":"two"}"#);
    }

    #[test]
    fn a_field_may_lie_inside_a_map_and_a_value_is_yaml() {
        let sets = ["a.model_config.temperature=0.5", "a.allowed_tools=[Read, 'x y']", "a.model=script:scripts/a.rhai"];
        let expected = r#"{"allowed_tools":["Read","x y"],"model":"script:scripts/a.rhai","model_config":{"temperature":0.5}}"#;
        assert_eq!(applied("model: zero", "a", &sets), expected);
    }

    #[test]
    fn what_is_no_override_is_reported_with_its_column() {
        let found = Overrides::parse(&["a.model=x", "model=x", "é.tags=[1"]).unwrap_err();
        let places: Vec<_> = found.iter().map(|d| (d.line, d.column, d.code)).collect();
        assert_eq!(places[0], (2, 1, Code::BadOverride));
        assert_eq!((places[1].0, places[1].2), (3, Code::Syntax));
        assert!(places[1].1 >= 8, "{places:?}");
    }

    #[test]
    fn places_of_values_count_from_the_start_of_the_override() {
        let overrides = Overrides::parse(&["a.tags=[x, 5]"]).unwrap();
        let Kind::List(items) = &overrides.sets[0].value.kind else { panic!("a list") };
        assert_eq!((items[1].place.line, items[1].place.column), (1, 12));
    }
}
