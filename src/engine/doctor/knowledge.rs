//! Are the documents, folders and files here that a team names?

use std::{borrow::Cow, path::Path};

use super::{Area, Diagnosis, Health, agents::Agents};
use crate::{
    engine::{Inner, Places, Prepared, library, prepare::check_root},
    knowledge::{Runbooks, Survey},
    team::{InputKind, InputSpec, LIBRARY},
    tool::Roots,
    value::{KnowledgeSpec, Value},
};

/// Documents of a folder that are told one by one.
const TOLD: usize = 10;

pub(super) fn look(inner: &Inner, team: Option<&Prepared>, agents: Option<&Agents>) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    for (folder, readers) in agents.map(Agents::knowledge).into_iter().flatten() {
        if inner.knowledge.has(&folder) {
            found.push(Diagnosis::new(Area::Knowledge, Health::Ok, folder.to_string(), "this program brings it along"));
        } else {
            found.extend(documents(&inner.places, &folder, &readers));
        }
    }
    found.push(workspace(&inner.places.workspace));
    let inputs = team.map_or(&[][..], Prepared::inputs).iter();
    found.extend(inputs.filter_map(|input| root(&inner.places, input)));
    found
}

fn documents(places: &Places, folder: &str, readers: &[(&str, &KnowledgeSpec)]) -> Vec<Diagnosis> {
    let say = |status, detail: String| Diagnosis::new(Area::Knowledge, status, folder, detail);
    let mut found = Vec::new();
    for (number, (role, spec)) in readers.iter().enumerate() {
        let survey = match survey(places, folder, spec) {
            Ok(survey) => survey,
            Err(why) => {
                return vec![say(Health::Fail, why).help("make it, or look at its path: it is relative to the profile's file")];
            }
        };
        if number == 0 {
            found.extend(about(folder, &survey));
        }
        if survey.passing == 0 && survey.documents > 0 {
            let filters: Vec<String> = spec.filters.iter().map(|(key, values)| format!("{key}: {}", values.join(", "))).collect();
            found.push(
                say(Health::Warn, format!("no document passes the filters of {role} ({})", filters.join("; ")))
                    .help("give documents such a front matter, or change `knowledge_base_filters`"),
            );
        }
    }
    found
}

fn about(folder: &str, survey: &Survey) -> Vec<Diagnosis> {
    let say = |status, detail: String| Diagnosis::new(Area::Knowledge, status, folder, detail);
    let mut found = vec![match survey.documents {
        0 => say(Health::Warn, "there is no document that can be read in it".to_owned()).help("put Markdown files (.md) there"),
        1 => say(Health::Ok, "1 document".to_owned()),
        count => say(Health::Ok, format!("{count} documents")),
    }];
    for (path, why) in survey.odd.iter().take(TOLD) {
        found.push(say(Health::Warn, format!("{path}: {why}")).help("mend the file, or move it away"));
    }
    if survey.odd.len() > TOLD {
        found.push(say(Health::Warn, format!("{} more documents are not as they should be", survey.odd.len() - TOLD)));
    }
    found
}

fn survey(places: &Places, folder: &str, spec: &KnowledgeSpec) -> Result<Survey, String> {
    let Some(shipped) = folder.strip_prefix(LIBRARY) else {
        let path = places.workspace.join(folder);
        return Runbooks::open(path).map(|runbooks| runbooks.survey(&spec.filters)).map_err(|e| e.to_string());
    };
    // A session unpacks it; to be looked at it need not be.
    let files = library::below(shipped).ok_or_else(|| format!("the library has no folder {shipped}"))?;
    let documents = files.into_iter().filter(|(path, _)| path.ends_with(".md"));
    Ok(Survey::of(documents.map(|(path, bytes)| (path, Ok(Cow::Borrowed(bytes)))), &spec.filters))
}

fn workspace(folder: &Path) -> Diagnosis {
    let shown = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()).display().to_string();
    let say = |status, detail: &str| Diagnosis::new(Area::Folders, status, "workspace", detail);
    if let Err(error) = Roots::new(folder) {
        return say(Health::Fail, &error.to_string()).help("begin in a folder that can be read");
    }
    match rustix::fs::access(folder, rustix::fs::Access::WRITE_OK) {
        Ok(()) => say(Health::Ok, &shown),
        Err(why) => say(Health::Warn, &format!("{shown} cannot be written: {why}"))
            .help("tools that write will fail; begin in another folder"),
    }
}

/// A folder or file that the team takes as an input: its default, where it has one.
fn root(places: &Places, input: &InputSpec) -> Option<Diagnosis> {
    let (kind, what) = match input.kind {
        InputKind::Folder => (InputKind::Folder, "FOLDER"),
        InputKind::File => (InputKind::File, "FILE"),
        InputKind::String | InputKind::Integer | InputKind::Number | InputKind::Boolean | InputKind::List | InputKind::Map => {
            return None;
        }
    };
    let say = |status, detail: String| Diagnosis::new(Area::Folders, status, input.name.to_string(), detail);
    let given = format!("--input {}={what}", input.name);
    Some(match input.default.as_ref().and_then(Value::as_str) {
        None => say(Health::Ok, format!("each run is given one with {given}")),
        Some("") => say(Health::Ok, format!("none by default; a run may be given one with {given}")),
        Some(default) => match default.strip_prefix(LIBRARY) {
            Some(shipped) if library::exists(shipped) => say(Health::Ok, format!("{default} comes with the program")),
            Some(_) => say(Health::Fail, format!("the library has no {default}")).help(format!("give another with {given}")),
            None => match check_root(kind, default, &places.workspace.join(default)) {
                Ok(()) => say(Health::Ok, format!("{default} is there")),
                Err(why) => say(Health::Fail, why).help(format!("make it, or give another with {given}")),
            },
        },
    })
}
