//! Where may a command leave things that nobody needs? [`Scratch`]: a home of its own, which goes when the call ends.

use std::{
    io,
    path::{Path, PathBuf},
};

use uuid::Uuid;

/// A folder that only its owner may enter, removed when dropped.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// A new one, in the system's folder for such things.
    pub(super) fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("synod-{}", Uuid::now_v7().simple()));
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is the system's to clean up.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
