//! Who stands where? `sides(positions)`, what every `settle` rule begins with.

use rhai::{Array, Dynamic, Map, Module};

use super::{Fallible, function, number_of};
use crate::{rule::convert, value::Value};

/// Positions with the same value.
struct Side {
    /// What makes values the same: texts are, whatever their case.
    key: Value,
    /// As the surest has it.
    value: Dynamic,
    /// Of the surest.
    confidence: f64,
    /// The sum of all.
    weight: f64,
    /// Who holds it, the surest first.
    agents: Array,
}

pub(super) fn register(library: &mut Module) {
    function("sides", library, |positions: &mut Array| sides(positions));
}

fn sides(positions: &Array) -> Fallible<Array> {
    let mut sides: Vec<Side> = Vec::new();
    for position in positions {
        let position = position.as_map_ref().map_err(|found| format!("sides: a position is a map, found {found}"))?;
        let field = |name: &str| position.get(name).ok_or_else(|| format!("sides: a position has no `{name}`"));
        let (value, agent) = (field("value")?.clone(), field("agent")?.clone());
        let confidence = number_of(field("confidence")?)?;
        let key = match convert::to_value(value.clone()).map_err(|error| error.to_string())? {
            Value::Text(text) => Value::from(text.trim().to_lowercase()),
            other => other,
        };
        match sides.iter_mut().find(|side| side.key == key) {
            Some(side) => {
                side.weight += confidence;
                if confidence > side.confidence {
                    (side.value, side.confidence) = (value, confidence);
                    side.agents.insert(0, agent);
                } else {
                    side.agents.push(agent);
                }
            }
            None => sides.push(Side { key, value, confidence, weight: confidence, agents: vec![agent] }),
        }
    }
    sides.sort_by(|a, b| b.confidence.total_cmp(&a.confidence).then(b.agents.len().cmp(&a.agents.len())));
    Ok(sides.into_iter().map(Side::into_dynamic).collect())
}

impl Side {
    fn into_dynamic(self) -> Dynamic {
        let entries: [(&str, Dynamic); 4] = [
            ("agents", self.agents.into()),
            ("confidence", self.confidence.into()),
            ("value", self.value),
            ("weight", self.weight.into()),
        ];
        Dynamic::from_map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect::<Map>())
    }
}
