//! What does a text with `{{ … }}` in it come to? minijinja, strict: a name that is not there is an error, lists and
//! maps are written as JSON, and nothing is escaped.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::LazyLock,
};

use minijinja::{Environment, ErrorKind, Expression, UndefinedBehavior, syntax::SyntaxConfig, value::ValueKind};

use super::{
    expr::FreeName,
    jinja::to_jinja,
    source::{within, within_offset},
};
use crate::value::{Place, RuleError, Value};

/// Steps of a rendering.
const FUEL: u64 = 200_000;
/// Bytes of a template, and of what it renders to.
const MAX_TEXT: usize = 4 << 20;
/// Macros and blocks within each other.
const MAX_DEPTH: usize = 50;

/// The environment of all templates.
static BARE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    // What a text ends with stays, as it does in a text without tags.
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
        environment.set_syntax(syntax);
    }
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(MAX_DEPTH);
    environment.set_debug(true);
    environment.set_formatter(|out, state, value| match value.kind() {
        ValueKind::Map | ValueKind::Seq | ValueKind::Iterable | ValueKind::None | ValueKind::Bool => {
            let json = serde_json::to_string(value)
                .map_err(|error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string()))?;
            Ok(out.write_str(&json)?)
        }
        _ => minijinja::escape_formatter(out, state, value),
    });
    environment
});

/// A compiled template.
#[derive(Debug)]
pub(super) struct Compiled {
    environment: Environment<'static>,
    /// The template's only expression, where it is nothing else: it keeps the type of its value.
    sole: Option<Expression<'static, 'static>>,
}

/// The name of the only template of each environment, so that none can include another.
const NAME: &str = "template";

/// Compiles the template `source`, which stands at `place`.
pub(super) fn compile(source: &str, place: &Place) -> Result<Compiled, RuleError> {
    if source.len() > MAX_TEXT {
        return Err(RuleError { message: format!("a template has at most {MAX_TEXT} bytes"), place: place.clone() });
    }
    let mut environment = BARE.clone();
    environment.add_template_owned(NAME, source.to_owned()).map_err(|error| rule_error(&error, source, place))?;
    let sole = sole_expression(source).and_then(|inner| BARE.compile_expression_owned(inner.to_owned()).ok());
    Ok(Compiled { environment, sole })
}

impl Compiled {
    /// The template as text.
    pub fn render(&self, source: &str, place: &Place, names: &[(&str, Value)]) -> Result<String, RuleError> {
        let mut written = Bounded(Vec::new());
        let rendered = self
            .environment
            .get_template(NAME)
            .and_then(|template| template.render_captured_to(context(names), &mut written).map(drop));
        rendered.map_err(|error| rule_error(&error, source, place))?;
        String::from_utf8(written.0).map_err(|_| RuleError { message: "the result is no text".to_owned(), place: place.clone() })
    }

    /// The template as a value.
    pub fn fill(&self, source: &str, place: &Place, names: &[(&str, Value)]) -> Result<Value, RuleError> {
        let Some(sole) = &self.sole else { return Ok(Value::from(self.render(source, place, names)?)) };
        let result = sole.eval(context(names)).map_err(|error| rule_error(&error, source, place))?;
        let fail = |message: String| RuleError { message, place: place.clone() };
        if result.is_undefined() {
            // Rendering finds the same gap, and says where it is.
            return self.render(source, place, names).and(Err(fail("the result is not defined".to_owned())));
        }
        let json = serde_json::to_value(&result).map_err(|error| fail(error.to_string()))?;
        Value::try_from(json).map_err(|error| fail(error.to_string()))
    }
}

/// The names that the template `source`, which stands at `place`, reads from its surroundings, sorted by name.
///
/// # Errors
/// It is not a template.
pub fn template_names(source: &str, place: &Place) -> Result<Vec<FreeName>, RuleError> {
    let compiled = compile(source, place)?;
    let template = compiled.environment.get_template(NAME).map_err(|error| rule_error(&error, source, place))?;
    let mut found: BTreeMap<String, FreeName> = BTreeMap::new();
    for path in BTreeSet::from_iter(template.undeclared_variables(true)) {
        let mut parts = path.split('.');
        let name = parts.next().unwrap_or_default();
        if BARE.globals().any(|(global, _)| global == name) {
            continue;
        }
        let here = |what: &str| within_offset(place, source, offset_of(what, source));
        let free = found.entry(name.to_owned()).or_insert_with(|| FreeName {
            name: name.into(),
            place: here(name),
            fields: Vec::new(),
            whole: false,
        });
        match parts.next() {
            Some(field) => {
                let start = here(&format!("{name}.{field}"));
                let column = start.column + name.chars().count() as u32 + 1;
                free.fields.push((field.into(), Place { column, ..start }));
            }
            None => free.whole = true,
        }
    }
    Ok(found.into_values().collect())
}

fn context(names: &[(&str, Value)]) -> minijinja::Value {
    minijinja::Value::from_pairs(names.iter().map(|(name, value)| (*name, to_jinja(value))))
}

/// What stands between `{{` and `}}` where nothing else is there.
fn sole_expression(source: &str) -> Option<&str> {
    let inner = source.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner);
    Some(inner.strip_suffix(['-', '+']).unwrap_or(inner))
}

/// Where `name` first stands as a word of its own inside a tag; the first tag when it cannot be found.
fn offset_of(name: &str, source: &str) -> usize {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let first = source.find("{{").into_iter().chain(source.find("{%")).min().unwrap_or(0);
    let mut tag = first;
    while let Some(start) = source[tag..].find(['{']).map(|at| tag + at) {
        let rest = &source[start..];
        let close = if rest.starts_with("{{") {
            "}}"
        } else if rest.starts_with("{%") {
            "%}"
        } else {
            tag = start + 1;
            continue;
        };
        let end = rest.find(close).map_or(source.len(), |at| start + at);
        for (at, _) in source[start..end].match_indices(name) {
            let at = start + at;
            let before = source[..at].chars().next_back();
            let after = source[at + name.len()..].chars().next();
            if !before.is_some_and(|c| word(c) || c == '.' || c == '"' || c == '\'') && !after.is_some_and(word) {
                return at;
            }
        }
        tag = end;
        if tag == source.len() {
            break;
        }
    }
    first
}

/// The error in the author's terms.
fn rule_error(error: &minijinja::Error, source: &str, place: &Place) -> RuleError {
    let range = error.range().filter(|range| source.get(range.clone()).is_some());
    let place = match (&range, error.line()) {
        (Some(range), _) => within_offset(place, source, range.start),
        (None, Some(line)) => within(place, line as u32, 1),
        (None, None) => place.clone(),
    };
    let message = match (error.kind(), range.and_then(|range| source.get(range))) {
        (ErrorKind::UndefinedError, Some(what)) => format!("`{}` is not defined", what.trim()),
        (ErrorKind::OutOfFuel, _) => "the template does not come to an end".to_owned(),
        (ErrorKind::WriteFailure, _) => format!("the text is longer than {} MiB", MAX_TEXT >> 20),
        (kind, _) => match error.detail() {
            Some(detail) => detail.to_owned(),
            None => kind.to_string(),
        },
    };
    RuleError { message, place }
}

/// A text that does not grow beyond [`MAX_TEXT`].
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_TEXT {
            return Err(io::Error::other("too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
