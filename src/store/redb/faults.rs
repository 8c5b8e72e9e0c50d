//! What if the machine breaks? A [`Machine`] is a disk below a store that stops or fails at any operation, and tells what is left then.
//!
//! It stands below the syncs that `disk` leaves out, and knows of each file what is on the disk and what is not yet: what was written since the
//! last sync may be there or not, sector by sector, and so may a name since the last sync of its folder. Processes see what was written at once.
//! Nothing is really synced, which makes thousands of failures affordable.

use std::{
    collections::BTreeMap,
    fs, io,
    ops::Bound,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use redb::{BackendError, StorageBackend, backends::FileBackend};

/// What a disk writes whole or not at all, in bytes.
const SECTOR: usize = 512;

/// The machines of this process; a store finds its own by the path of its files.
static MACHINES: Mutex<Vec<Weak<Machine>>> = Mutex::new(Vec::new());

/// The disk of the store in one folder.
#[derive(Debug)]
pub(crate) struct Machine {
    folder: PathBuf,
    state: Mutex<State>,
}

/// What goes wrong, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    Never,
    /// The machine stops in the middle of that operation, from 1.
    Stop { at: u64, keep: Keep },
    /// From that operation on `count` operations fail with an error of the operating system: a write is short, a sync may have done a part.
    Fail { at: u64, count: u64, errno: i32 },
}

/// What is on the disk of that which was not synced when a machine stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// All of it: the process was killed, the machine goes on.
    All,
    /// Nothing.
    Nothing,
    /// Some sectors and names, as chance has it.
    Some,
    /// What was written to journals, and nothing of the catalog.
    Journals,
    /// What was written to the catalog, and nothing of journals.
    Catalog,
}

#[derive(Debug)]
struct State {
    fault: Fault,
    operations: u64,
    chance: u64,
    /// By the number that the file has on the disk, which outlasts a new name.
    files: BTreeMap<u64, Contents>,
    /// The names that are on the disk, by folder.
    names: BTreeMap<PathBuf, Names>,
    /// What the disk has since the machine stopped.
    left: Option<Vec<(PathBuf, Vec<u8>)>>,
}

type Names = BTreeMap<PathBuf, u64>;

#[derive(Debug, Default)]
struct Contents {
    synced: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(u64, Vec<u8>),
    Length(u64),
}

impl Machine {
    /// The disk of the store that is or will be in `folder`; what is there now is on it.
    pub(crate) fn new(folder: &Path, fault: Fault, seed: u64) -> Arc<Self> {
        let folder = folder.to_owned();
        let names = [folder.clone(), folder.join("journals")].map(|path| (names_in(&path), path));
        let names = names.into_iter().map(|(names, path)| (path, names)).collect();
        let state = State { fault, operations: 0, chance: seed, files: BTreeMap::new(), names, left: None };
        let machine = Arc::new(Self { folder, state: Mutex::new(state) });
        let mut machines = MACHINES.lock().unwrap();
        machines.retain(|machine| machine.strong_count() > 0);
        machines.push(Arc::downgrade(&machine));
        machine
    }

    /// How many operations there were.
    pub(crate) fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Whether what was to go wrong has.
    pub(crate) fn is_broken(&self) -> bool {
        let state = self.state();
        match state.fault {
            Fault::Never => false,
            Fault::Stop { .. } => state.left.is_some(),
            Fault::Fail { at, .. } => state.operations >= at,
        }
    }

    /// Nothing goes wrong any more, unless the machine has stopped.
    pub(crate) fn heal(&self) {
        self.state().fault = Fault::Never;
    }

    /// Stops the machine now, if it has not yet.
    pub(crate) fn stop(&self, keep: Keep) {
        let mut state = self.state();
        if state.left.is_none() {
            state.left = Some(state.left_in(&self.folder, keep));
        }
    }

    /// Puts what the stopped machine's disk has into a new folder, which another machine finds.
    pub(crate) fn restore(&self, folder: &Path) {
        let state = self.state();
        fs::create_dir_all(folder.join("journals")).unwrap();
        for (path, bytes) in state.left.as_ref().expect("it has stopped") {
            fs::write(folder.join(path), bytes).unwrap();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does the next operation: `real` on what processes see, `change` on what the disk will have. A file's sync has neither.
    fn operate(&self, file: u64, change: Option<Change>, real: impl FnOnce(&Change) -> io::Result<()>) -> io::Result<()> {
        let mut state = self.state();
        let outcome = state.next(&self.folder, |state, stops| match &change {
            Some(change) => state.file(file).pending.extend(change.part()),
            None if stops => {}
            None => state.forget_some(file),
        });
        let partly = change.as_ref().and_then(Change::part);
        match (outcome, change) {
            (Ok(()), Some(change)) => {
                real(&change)?;
                state.file(file).pending.push(change);
                Ok(())
            }
            (Ok(()), None) => {
                state.file(file).sync();
                Ok(())
            }
            (Err((error, stopped)), _) => {
                if let Some(part) = partly.filter(|_| !stopped) {
                    real(&part)?;
                }
                Err(error)
            }
        }
    }
}

impl State {
    /// Counts an operation, and says whether it goes wrong: the error, and whether the machine stands still. `half` does half of
    /// it, and is told whether the machine stops.
    fn next(&mut self, folder: &Path, half: impl FnOnce(&mut Self, bool)) -> Result<(), (io::Error, bool)> {
        let stopped = || (io::Error::other("the machine stands still"), true);
        if self.left.is_some() {
            return Err(stopped());
        }
        self.operations += 1;
        match self.fault {
            Fault::Stop { at, keep } if self.operations >= at => {
                half(self, true);
                self.left = Some(self.left_in(folder, keep));
                Err(stopped())
            }
            Fault::Fail { at, count, errno } if self.operations >= at && self.operations - at < count => {
                half(self, false);
                Err((io::Error::from_raw_os_error(errno), false))
            }
            Fault::Never | Fault::Stop { .. } | Fault::Fail { .. } => Ok(()),
        }
    }

    fn file(&mut self, file: u64) -> &mut Contents {
        self.files.entry(file).or_default()
    }

    /// A sync that failed: some of it is on the disk, and the system takes all of it for written.
    fn forget_some(&mut self, file: u64) {
        let mut chance = self.chance;
        let contents = self.file(file);
        contents.synced = contents.left(Keep::Some, &mut chance);
        contents.pending.clear();
        self.chance = chance;
    }

    fn left_in(&mut self, root: &Path, keep: Keep) -> Vec<(PathBuf, Vec<u8>)> {
        let mut left = Vec::new();
        let mut chance = self.chance;
        for (folder, synced) in &self.names {
            let new_names = match keep {
                Keep::All => true,
                Keep::Nothing => false,
                Keep::Some => draw(&mut chance).is_multiple_of(2),
                Keep::Journals => folder.ends_with("journals"),
                Keep::Catalog => !folder.ends_with("journals"),
            };
            let names = if new_names { names_in(folder) } else { synced.clone() };
            for (path, file) in names {
                let keep = match (keep, folder.ends_with("journals")) {
                    (Keep::Journals, true) | (Keep::Catalog, false) => Keep::All,
                    (Keep::Journals, false) | (Keep::Catalog, true) => Keep::Nothing,
                    (keep, _) => keep,
                };
                // Others than databases are written once and never synced.
                let bytes = match self.files.get(&file) {
                    Some(contents) => Some(contents.left(keep, &mut chance)),
                    None => fs::read(&path).ok(),
                };
                let path = path.strip_prefix(root).expect("it is inside").to_owned();
                left.extend(bytes.map(|bytes| (path, bytes)));
            }
        }
        self.chance = chance;
        left
    }
}

impl Contents {
    fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.synced, &mut |_| true);
        }
    }

    fn left(&self, keep: Keep, chance: &mut u64) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        // A file's lengths are written in order, its sectors in any.
        let lengths = draw(chance) as usize % (self.pending.len() + 1);
        for (place, change) in self.pending.iter().enumerate() {
            match (keep, change) {
                (Keep::All, _) => change.apply(&mut bytes, &mut |_| true),
                (Keep::Some, Change::Write(..)) => {
                    // A file system writes what belongs to a file's length before what stands beyond the old one.
                    let sectors = bytes.len() / SECTOR;
                    change.apply(&mut bytes, &mut |sector| sector < sectors && draw(chance).is_multiple_of(2));
                }
                (Keep::Some, Change::Length(_)) if place < lengths => change.apply(&mut bytes, &mut |_| true),
                (Keep::Some | Keep::Nothing | Keep::Journals | Keep::Catalog, _) => {}
            }
        }
        bytes
    }
}

impl Change {
    /// The part of it that is done when it fails in the middle.
    fn part(&self) -> Option<Self> {
        match self {
            Self::Write(offset, data) => Some(Self::Write(*offset, data[..data.len() / 2 / SECTOR * SECTOR].to_vec())),
            Self::Length(_) => None,
        }
    }

    /// Does it where `keep` says so of a sector.
    fn apply(&self, bytes: &mut Vec<u8>, keep: &mut dyn FnMut(usize) -> bool) {
        match self {
            Self::Length(length) => bytes.resize(*length as usize, 0),
            Self::Write(offset, data) => {
                let mut at = *offset as usize;
                let mut rest = data.as_slice();
                while !rest.is_empty() {
                    let (sector, later) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
                    if keep(at / SECTOR) {
                        bytes.resize(bytes.len().max(at + sector.len()), 0);
                        bytes[at..at + sector.len()].copy_from_slice(sector);
                    }
                    at += sector.len();
                    rest = later;
                }
            }
        }
    }
}

/// A file as a database has it, on a machine if one is set up for its folder.
#[derive(Debug)]
pub struct Faulty {
    file: FileBackend,
    machine: Option<(Arc<Machine>, u64)>,
}

impl Faulty {
    /// The file at `path`, which was opened as `file`.
    pub fn around(path: &Path, file: FileBackend) -> Self {
        let machine = machine_of(path).zip(fs::metadata(path).ok().map(|about| about.ino()));
        if let Some((machine, file)) = &machine {
            let mut state = machine.state();
            // A new file may have the number of one that is gone.
            if !state.files.contains_key(file) || fs::metadata(path).is_ok_and(|about| about.len() == 0) {
                let synced = fs::read(path).unwrap_or_default();
                state.files.insert(*file, Contents { synced, pending: Vec::new() });
            }
        }
        Self { file, machine }
    }

    fn change(&self, change: Change) -> io::Result<()> {
        let real = |change: &Change| match change {
            Change::Write(offset, data) => self.file.write(*offset, data),
            Change::Length(length) => self.file.set_len(*length),
        };
        match &self.machine {
            Some((machine, file)) => machine.operate(*file, Some(change), real),
            None => real(&change),
        }
    }
}

impl StorageBackend for Faulty {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Change::Length(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        match &self.machine {
            Some((machine, file)) => machine.operate(*file, None, |_| Ok(())),
            None => self.file.sync_data(),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(Change::Write(offset, data.to_vec()))
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}

/// The sync of a folder on a machine; `None` where there is none.
pub fn sync_folder(folder: &Path) -> Option<io::Result<()>> {
    let machine = machine_of(folder)?;
    let mut state = machine.state();
    let done = state.next(&machine.folder, |_, _| ());
    if done.is_ok() {
        state.names.insert(folder.to_owned(), names_in(folder));
    }
    Some(done.map_err(|(error, _)| error))
}

fn machine_of(path: &Path) -> Option<Arc<Machine>> {
    let machines = MACHINES.lock().unwrap();
    machines.iter().filter_map(Weak::upgrade).find(|machine| path.starts_with(&machine.folder))
}

/// The files of a folder, as processes see them.
fn names_in(folder: &Path) -> Names {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let about =
        |entry: fs::DirEntry| entry.metadata().ok().filter(fs::Metadata::is_file).map(|about| (entry.path(), about.ino()));
    entries.filter_map(about).collect()
}

/// The next of a row of numbers that are as good as random.
fn draw(chance: &mut u64) -> u64 {
    *chance = chance.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
    *chance >> 33
}
