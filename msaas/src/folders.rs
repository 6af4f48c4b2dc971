//! Folders for results.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Folders that are removed again, if they were made here and are empty, unless they are kept.
#[derive(Debug, Default)]
pub(crate) struct Folders {
    made: Vec<PathBuf>,
}

impl Folders {
    /// Makes the folder and those that it lies in.
    pub(crate) fn make(&mut self, dir: &Path) -> Result<()> {
        let missing = dir.ancestors().take_while(|d| !d.as_os_str().is_empty() && !d.exists());
        let missing: Vec<PathBuf> = missing.map(Path::to_path_buf).collect();
        // Removed from the innermost outwards, also where only some could be made.
        self.made.splice(0..0, missing);
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {}", dir.display()))
    }

    /// Leaves them all.
    pub(crate) fn keep(mut self) {
        self.made.clear();
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        for dir in &self.made {
            // Not empty means that something else has come to lie there: it stays.
            let _ = std::fs::remove_dir(dir);
        }
    }
}
