//! Which files are below a folder? [`Walk`]: regular files in sorted order, bounded, following no link to a folder.

use super::{Found, Stop};
use crate::value::Failure;

/// How many files one walk returns.
pub(super) const WALK_FILES: usize = 100_000;
/// How deep one walk goes.
const WALK_DEPTH: usize = 32;

/// The files below a folder, and what was left out.
#[derive(Debug, Default)]
pub struct Walk {
    /// The files, each folder's by name.
    pub files: Vec<Found>,
    /// What was skipped and why, for the reader of the result.
    pub notes: Vec<String>,
}

impl Found {
    /// The files below this folder, or this file itself. Names that begin with a dot are left out unless `hidden`.
    ///
    /// # Errors
    /// It does not exist or is out of reach, or the call is to end.
    pub fn walk(&self, hidden: bool, stop: &Stop) -> Result<Walk, Failure> {
        let mut walk = Walk::default();
        if self.is_folder()? {
            walk.enter(self, 0, hidden, stop)?;
        } else {
            walk.files.push(self.clone());
        }
        Ok(walk)
    }
}

impl Walk {
    fn enter(&mut self, folder: &Found, depth: usize, hidden: bool, stop: &Stop) -> Result<(), Failure> {
        stop.check()?;
        if folder.refuse_links_to_protected().is_err() {
            return Ok(());
        }
        if depth > WALK_DEPTH {
            self.notes.push(format!("{}: deeper than {WALK_DEPTH} folders, left out", folder.shown()));
            return Ok(());
        }
        let (dir, inner) = folder.at();
        let entries = match dir.read_dir(inner) {
            Ok(entries) => entries,
            Err(e) if depth > 0 => {
                self.notes.push(folder.failure("list", &e).message.to_string());
                return Ok(());
            }
            Err(e) => return Err(folder.failure("list", &e)),
        };
        let mut names = Vec::new();
        for entry in entries.flatten() {
            match entry.file_name().into_string() {
                Ok(name) if hidden || !name.starts_with('.') => names.push(name),
                Ok(_) => {}
                Err(name) => self.notes.push(format!("{}: a name that is not Unicode, left out", name.display())),
            }
        }
        names.sort_unstable();
        for name in names {
            if self.files.len() >= WALK_FILES {
                self.notes.push(format!("more than {WALK_FILES} files: the rest is left out, name a folder further down"));
                return Ok(());
            }
            self.visit(folder.child(&name), depth, hidden, stop)?;
        }
        Ok(())
    }

    fn visit(&mut self, child: Found, depth: usize, hidden: bool, stop: &Stop) -> Result<(), Failure> {
        let (dir, inner) = child.at();
        let Ok(kind) = dir.symlink_metadata(inner) else { return Ok(()) };
        if kind.is_dir() {
            return self.enter(&child, depth + 1, hidden, stop);
        }
        if kind.is_file() {
            self.files.push(child);
        } else if kind.is_symlink() {
            match child.is_folder() {
                Ok(false) => self.files.push(child),
                Ok(true) => self.notes.push(format!("{}: a link to a folder, left out", child.shown())),
                Err(failure) => self.notes.push(failure.message.to_string()),
            }
        }
        Ok(())
    }
}
