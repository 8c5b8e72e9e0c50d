//! Which files may hold metrics? [`find`] lists them below a path, by name.

use crate::{
    tool::{Found, Stop, strip_pod_hash},
    value::{Failure, FailureKind},
};
use globset::GlobSet;

use super::super::{error::MetricsError, notes::Notes};

/// The most files that one question reads.
pub const MAX_FILES: usize = 10_000;
/// The most entries of folders that are looked at.
const MAX_ENTRIES: usize = 200_000;
/// How deep folders may lie in each other.
const MAX_DEPTH: usize = 16;

/// How a file is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Rows and columns with a separator.
    Table,
    /// A JSON object a line.
    Lines,
    /// OpenMetrics or Prometheus text.
    OpenMetrics,
}

/// A file that may hold metrics.
#[derive(Clone, Debug)]
pub struct File {
    /// Its path as the caller would write it.
    pub name: String,
    /// The way to it.
    pub found: Found,
    /// Its form, where its name says so.
    pub form: Option<Form>,
    /// Whether the caller named it; if not, it lay in a folder.
    pub named: bool,
}

impl File {
    /// Whether its name says that it shows normal times.
    pub fn is_baseline(&self) -> bool {
        let name = self.name.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
        ["baseline", "normal", "reference"].iter().any(|word| name.contains(word)) && !name.contains("abnormal")
    }
}

/// The files at `path`: the file itself, or everything below the folder whose name says that it may hold metrics, sorted.
///
/// # Errors
/// The path does not exist or leads out of the roots.
pub fn find(
    path: &Found,
    include: Option<&GlobSet>,
    exclude: Option<&GlobSet>,
    stop: &Stop,
    notes: &mut Notes,
) -> Result<Vec<File>, MetricsError> {
    if !path.is_folder()? {
        return Ok(vec![File {
            name: path.shown().to_owned(),
            form: form_of_name(&path.name()),
            found: path.clone(),
            named: true,
        }]);
    }
    let mut walk = Walk { files: Vec::new(), entries: 0, cut: false, include, exclude, stop };
    walk.folder(path, "", 0)?;
    if walk.cut {
        notes.add(format!(
            "{} has more than {MAX_FILES} files of metrics, or too many entries: the rest was left out; name a subfolder",
            path.shown()
        ));
    }
    Ok(walk.files)
}

/// The service that a file is of when its rows name none: its name without extensions, `_metric` and a pod's hash.
pub fn service_of_file(name: &str) -> String {
    let stem = name.rsplit('/').next().unwrap_or(name);
    let stem = stem.split_once('.').map_or(stem, |(stem, _)| stem);
    let bare = ["_metrics", "_metric", "-metrics", "-metric"].iter().find_map(|suffix| stem.strip_suffix(suffix)).unwrap_or(stem);
    strip_pod_hash(if bare.is_empty() { stem } else { bare }).to_owned()
}

struct Walk<'a> {
    files: Vec<File>,
    entries: usize,
    cut: bool,
    include: Option<&'a GlobSet>,
    exclude: Option<&'a GlobSet>,
    stop: &'a Stop,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Found, below: &str, depth: usize) -> Result<(), MetricsError> {
        self.stop.check()?;
        let (dir, inner) = folder.at();
        let listed = dir.read_dir(inner).map_err(|e| folder.failure("list", &e))?;
        let mut names = Vec::new();
        for entry in listed {
            if self.entries >= MAX_ENTRIES {
                self.cut = true;
                break;
            }
            self.entries += 1;
            let Ok(entry) = entry else { continue };
            let Ok(kind) = entry.file_type() else { continue };
            if let Ok(name) = entry.file_name().into_string() {
                names.push((name, kind));
            }
        }
        names.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, kind) in names {
            let inside = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
            if name.starts_with('.') || self.exclude.is_some_and(|set| set.is_match(&inside)) {
                continue;
            }
            let child = folder.child(&name);
            // A link to a folder may lead back up, so only links to files are followed.
            if kind.is_dir() {
                if depth < MAX_DEPTH {
                    self.ignore_denied(|walk| walk.folder(&child, &inside, depth + 1))?;
                }
            } else if let Some(form) = self.form(&name, &inside) {
                if self.files.len() >= MAX_FILES {
                    self.cut = true;
                    return Ok(());
                }
                self.files.push(File { name: child.shown().to_owned(), found: child, form, named: false });
            }
        }
        Ok(())
    }

    /// A folder inside that may not be read does not spoil the rest.
    fn ignore_denied(&mut self, walk: impl FnOnce(&mut Self) -> Result<(), MetricsError>) -> Result<(), MetricsError> {
        match walk(self) {
            Err(MetricsError::Failed(Failure { kind: FailureKind::Denied | FailureKind::Tool, .. })) => Ok(()),
            other => other,
        }
    }

    /// The form of a file to read; `None` when it is not one.
    fn form(&self, name: &str, inside: &str) -> Option<Option<Form>> {
        match self.include {
            Some(set) => set.is_match(inside).then(|| form_of_name(name)),
            None => form_of_name(name).map(Some),
        }
    }
}

fn form_of_name(name: &str) -> Option<Form> {
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    match name.rsplit_once('.')?.1 {
        "csv" | "tsv" | "psv" => Some(Form::Table),
        "jsonl" | "ndjson" => Some(Form::Lines),
        "prom" | "om" | "openmetrics" | "metrics" => Some(Form::OpenMetrics),
        _ => None,
    }
}
