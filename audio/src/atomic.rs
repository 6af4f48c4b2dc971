use std::fs::{File, Permissions};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::Result;
use crate::spool::full_or;

/// A file that is visible completely or not at all.
///
/// Written under a hidden name beside the target and renamed when it is done. Dropped before that, it vanishes,
/// and what was at the target stays.
#[derive(Debug)]
pub struct AtomicFile {
    file: NamedTempFile,
    target: PathBuf,
}

impl AtomicFile {
    /// Starts a file that will be at `target`; its directory has to exist.
    ///
    /// # Errors
    /// [`crate::Error::Io`], [`crate::Error::DiskFull`].
    pub fn create(target: &Path) -> Result<Self> {
        let dir = directory(target);
        let mut builder = tempfile::Builder::new();
        builder.prefix(".").suffix(".part");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // What a new file gets; the process's mask is applied.
            builder.permissions(Permissions::from_mode(0o666));
        }
        let file =
            builder.tempfile_in(dir).map_err(|source| full_or(source, dir, "create the output file"))?;
        Ok(Self { file, target: target.to_path_buf() })
    }

    /// The file to write to.
    pub fn file_mut(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Where the file will be.
    #[must_use]
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Puts the file in place, over an older one if there is one.
    ///
    /// # Errors
    /// [`crate::Error::Io`], [`crate::Error::DiskFull`]; nothing remains then.
    pub fn commit(self) -> Result<()> {
        let Self { file, target } = self;
        let dir = directory(&target);
        // Otherwise a crash could leave the new name on an empty file.
        file.as_file().sync_data().map_err(|source| full_or(source, dir, "write the output file"))?;
        file.persist(&target).map_err(|error| full_or(error.error, dir, "rename the output file"))?;
        Ok(())
    }
}

fn directory(target: &Path) -> &Path {
    match target.parent() {
        Some(dir) if dir != Path::new("") => dir,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn nothing_remains_of_a_file_that_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("vocals.mp3");
        std::fs::write(&target, "old").unwrap();
        let mut file = AtomicFile::create(&target).unwrap();
        file.file_mut().write_all(b"half").unwrap();
        drop(file);
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_committed_file_replaces_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("vocals.mp3");
        std::fs::write(&target, "old").unwrap();
        let mut file = AtomicFile::create(&target).unwrap();
        file.file_mut().write_all(b"new").unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
        file.commit().unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_directory_is_an_error_in_words() {
        let error = AtomicFile::create(Path::new("/no/such/place/a.wav")).unwrap_err();
        assert!(error.to_string().starts_with("cannot create the output file: "), "{error}");
    }
}
