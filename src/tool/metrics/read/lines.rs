//! What do JSON lines hold? Objects as rows of a table whose columns are their fields, nested ones by dotted names; or one
//! object a series, as exporters of time-series databases write it.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::{
    super::{
        error::MetricsError,
        number::{self, Cell},
    },
    File, Layout, MAX_COLUMNS, SNIFFED, Sample, Sink,
    open::Input,
};

/// How deep objects may lie in each other to be looked into.
const MAX_DEPTH: usize = 4;
/// Fields of a log line: a file of them in a folder is left to those who search logs.
const LOG_FIELDS: [&str; 5] = ["message", "msg", "level", "severity", "log"];
/// Labels that name a service, best first.
const SERVICES: [&str; 7] = ["service", "service_name", "app", "application", "component", "deployment", "job"];
/// Labels that name an instance, best first.
const INSTANCES: [&str; 5] = ["pod", "pod_name", "instance", "container", "node"];

/// Reads JSON lines.
pub fn read(mut input: Input, file: &File, sink: &mut Sink<'_>) -> Result<(), MetricsError> {
    let mut line = Vec::new();
    let mut number = 0u64;
    let mut sniffed: Vec<(u64, BTreeMap<String, String>)> = Vec::new();
    let mut table: Option<(BTreeMap<String, usize>, Layout)> = None;
    let mut any_series = false;
    loop {
        let more = input.line(&mut line).map_err(|e| Input::fault(&input.stop(), file, &e))?;
        number += 1;
        if more {
            let text = line.trim_ascii();
            if text.is_empty() {
                continue;
            }
            let object = match serde_json::from_slice::<Json>(text) {
                Ok(Json::Object(object)) => object,
                Ok(_) | Err(_) => {
                    sink.broken(number, &String::from_utf8_lossy(&text[..text.len().min(60)]));
                    continue;
                }
            };
            if take_series(&object, sink) || take_response(&object, sink) {
                any_series = true;
                continue;
            }
            let mut fields = BTreeMap::new();
            flatten(&object, "", 0, &mut fields);
            match &mut table {
                Some((columns, layout)) => take(columns, layout, &fields, number, sink),
                None => sniffed.push((number, fields)),
            }
        }
        if table.is_none() && !sniffed.is_empty() && (!more || sniffed.len() >= SNIFFED) {
            if !file.named && is_log(&sniffed) {
                return Err(MetricsError::file(&file.name, 0, "these are log lines, not metrics"));
            }
            let mut layout = tell(&sniffed, file, sink)?;
            for (at, fields) in sniffed.drain(..) {
                take(&layout.0, &mut layout.1, &fields, at, sink);
            }
            table = Some(layout);
        }
        if !more {
            break;
        }
    }
    if table.is_none() && !any_series {
        return Err(MetricsError::file(
            &file.name,
            0,
            "no line is a JSON object; write one object a line, for example with `jq -c`",
        ));
    }
    Ok(())
}

fn tell(
    rows: &[(u64, BTreeMap<String, String>)],
    file: &File,
    sink: &mut Sink<'_>,
) -> Result<(BTreeMap<String, usize>, Layout), MetricsError> {
    let mut columns: BTreeMap<String, usize> = BTreeMap::new();
    for name in rows.iter().flat_map(|(_, fields)| fields.keys()) {
        if columns.len() < MAX_COLUMNS && !columns.contains_key(name) {
            columns.insert(name.clone(), 0);
        }
    }
    let header: Vec<String> = columns.keys().cloned().collect();
    for (i, at) in columns.values_mut().enumerate() {
        *at = i;
    }
    let table: Vec<Vec<String>> = rows
        .iter()
        .map(|(_, fields)| header.iter().map(|name| fields.get(name).cloned().unwrap_or_default()).collect())
        .collect();
    // The last part of a dotted name is what the field is: `labels.service` names a service.
    let leaves: Vec<String> = header.iter().map(|name| leaf(name).to_owned()).collect();
    let distinct: std::collections::BTreeSet<&String> = leaves.iter().collect();
    let names = if distinct.len() == leaves.len() { &leaves } else { &header };
    let layout = Layout::tell(names, &table, false, sink).map_err(|problem| MetricsError::file(&file.name, 1, problem))?;
    Ok((columns, layout))
}

fn leaf(name: &str) -> &str {
    ["labels.", "tags.", "attributes.", "dimensions.", "fields."]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name)
}

fn take(
    columns: &BTreeMap<String, usize>,
    layout: &mut Layout,
    fields: &BTreeMap<String, String>,
    line: u64,
    sink: &mut Sink<'_>,
) {
    let mut cells = vec![""; columns.len()];
    for (name, text) in fields {
        if let Some(i) = columns.get(name) {
            cells[*i] = text;
        }
    }
    layout.take(|i| cells.get(i).copied().unwrap_or_default(), line, sink);
}

fn is_log(rows: &[(u64, BTreeMap<String, String>)]) -> bool {
    let has = |fields: &BTreeMap<String, String>| {
        fields.keys().any(|name| LOG_FIELDS.contains(&name.to_ascii_lowercase().as_str())) && !fields.contains_key("metric")
    };
    rows.iter().filter(|(_, fields)| has(fields)).count() * 2 > rows.len()
}

fn flatten(object: &serde_json::Map<String, Json>, prefix: &str, depth: usize, fields: &mut BTreeMap<String, String>) {
    for (key, value) in object {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Json::String(text) => {
                fields.insert(name, text.clone());
            }
            Json::Number(number) => {
                fields.insert(name, number.to_string());
            }
            Json::Bool(truth) => {
                fields.insert(name, truth.to_string());
            }
            Json::Object(inner) if depth < MAX_DEPTH => flatten(inner, &name, depth + 1, fields),
            Json::Object(_) | Json::Array(_) | Json::Null => {}
        }
    }
}

/// One object a series: `{"metric": {"__name__": …}, "values": […], "timestamps": […]}`, or pairs in `values`.
fn take_series(object: &serde_json::Map<String, Json>, sink: &mut Sink<'_>) -> bool {
    let (Some(Json::Object(labels)), Some(Json::Array(values))) = (object.get("metric"), object.get("values")) else {
        return false;
    };
    let text = |key: &str| labels.get(key).and_then(Json::as_str);
    let metric = text("__name__").or_else(|| text("name")).unwrap_or("value");
    let service = SERVICES.iter().find_map(|key| text(key)).unwrap_or_default();
    let instance = INSTANCES.iter().find_map(|key| text(key)).unwrap_or_default();
    let rest: Vec<String> = labels
        .iter()
        .filter(|(key, _)| *key != "__name__" && !SERVICES.contains(&key.as_str()) && !INSTANCES.contains(&key.as_str()))
        .filter_map(|(key, value)| value.as_str().map(|value| format!("{key}={value}")))
        .collect();
    let labels = rest.join(",");
    let times = object.get("timestamps").and_then(Json::as_array);
    for (i, value) in values.iter().enumerate() {
        let (time, value) = match (value, times.and_then(|times| times.get(i))) {
            (Json::Array(pair), None) if pair.len() == 2 => (&pair[0], &pair[1]),
            (value, Some(time)) => (time, value),
            (_, None) => continue,
        };
        let (time, value) = (plain(time), plain(value));
        let Some(at) = sink.time(&time, 0) else { continue };
        if let Cell::Number(value) = number::read(&value, false) {
            sink.sample(Sample { service, instance, metric, labels: &labels, counter: None, at, value });
        }
    }
    true
}

/// The answer of a range query as Prometheus gives it, on one line.
fn take_response(object: &serde_json::Map<String, Json>, sink: &mut Sink<'_>) -> bool {
    let Some(series) = object.get("data").and_then(|data| data.get("result")).and_then(Json::as_array) else { return false };
    series.iter().filter_map(Json::as_object).filter(|one| take_series(one, sink)).count() > 0
}

fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
