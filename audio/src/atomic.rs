use std::fs::{File, Permissions};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use crate::Result;
use crate::spool::full_or;

/// A file that is visible completely or not at all.
///
/// On Linux it has no name while it is written, so that nothing of it remains even of a process that is killed.
/// Where the file system or the system cannot do that, it is written under a hidden name beside the target. It
/// gets the permissions of any new file. Dropped before it is committed, it vanishes, and what was at the target
/// stays.
#[derive(Debug)]
pub struct AtomicFile {
    content: Content,
    target: PathBuf,
}

/// Where the bytes are until they are shown.
#[derive(Debug)]
enum Content {
    /// In a file without a name, in the target's directory.
    #[cfg(target_os = "linux")]
    Unnamed(File),
    /// In a file with a hidden name there.
    Named(NamedTempFile),
}

impl AtomicFile {
    /// Starts a file that will be at `target`; its directory has to exist.
    ///
    /// # Errors
    /// [`crate::Error::Io`], [`crate::Error::DiskFull`].
    pub fn create(target: &Path) -> Result<Self> {
        #[cfg(target_os = "linux")]
        if let Ok(file) = unnamed(directory(target)) {
            return Ok(Self { content: Content::Unnamed(file), target: target.to_path_buf() });
        }
        // If it was for something else than a lack of unnamed files, it comes up again here.
        Self::create_named(target)
    }

    fn create_named(target: &Path) -> Result<Self> {
        let dir = directory(target);
        let mut builder = hidden();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // What a new file gets; the process's mask is applied.
            builder.permissions(Permissions::from_mode(0o666));
        }
        let file =
            builder.tempfile_in(dir).map_err(|source| full_or(source, dir, "create the output file"))?;
        Ok(Self { content: Content::Named(file), target: target.to_path_buf() })
    }

    /// The file to write to.
    pub fn file_mut(&mut self) -> &mut File {
        match &mut self.content {
            #[cfg(target_os = "linux")]
            Content::Unnamed(file) => file,
            Content::Named(file) => file.as_file_mut(),
        }
    }

    /// Where the file will be.
    #[must_use]
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Brings what was written to the disk.
    ///
    /// # Errors
    /// [`crate::Error::Io`], [`crate::Error::DiskFull`].
    pub fn sync(&mut self) -> Result<()> {
        let synced = self.file_mut().sync_data();
        synced.map_err(|source| full_or(source, directory(&self.target), "write the output file"))
    }

    /// Puts the file in place, over an older one if there is one.
    ///
    /// # Errors
    /// [`crate::Error::Io`], [`crate::Error::DiskFull`]; nothing remains then.
    pub fn commit(mut self) -> Result<()> {
        // Otherwise a crash could leave the new name on an empty file.
        self.sync()?;
        let Self { content, target } = self;
        let dir = directory(&target);
        let renamed = match content {
            #[cfg(target_os = "linux")]
            Content::Unnamed(file) => {
                named(&file, dir).and_then(|link| link.persist(&target).map_err(|error| error.error))
            }
            Content::Named(file) => file.persist(&target).map(drop).map_err(|error| error.error),
        };
        renamed.map_err(|source| full_or(source, dir, "rename the output file"))
    }
}

/// Makes names such as `.x8Qc1T.part`.
fn hidden() -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(".").suffix(".part");
    builder
}

/// Where the kernel lists the open files of this process: by it a file without a name can get one.
#[cfg(target_os = "linux")]
const OPEN_FILES: &str = "/proc/self/fd";

/// A file without a name in `dir`, if there can be one and it can get a name later.
#[cfg(target_os = "linux")]
fn unnamed(dir: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags, open};

    std::fs::metadata(OPEN_FILES)?;
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    Ok(File::from(open(dir, flags, Mode::from_raw_mode(0o666))?))
}

/// Gives a file without a name a hidden one, for renaming is the only way to replace another file at once.
#[cfg(target_os = "linux")]
fn named(file: &File, dir: &Path) -> io::Result<NamedTempFile<()>> {
    use std::os::fd::AsRawFd;

    use rustix::fs::{AtFlags, CWD, linkat};

    let open = format!("{OPEN_FILES}/{}", file.as_raw_fd());
    hidden().make_in(dir, |path| Ok(linkat(CWD, &open, CWD, path, AtFlags::SYMLINK_FOLLOW)?))
}

fn directory(target: &Path) -> &Path {
    match target.parent() {
        Some(dir) if dir != Path::new("") => dir,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    /// Both ways to keep what is written, of which the first is the second where nothing better can be had.
    const WAYS: [fn(&Path) -> Result<AtomicFile>; 2] = [AtomicFile::create, AtomicFile::create_named];

    fn names(dir: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        fs::read_dir(dir).unwrap().map(name).collect()
    }

    #[test]
    fn nothing_remains_of_a_file_that_is_dropped() {
        for create in WAYS {
            let dir = tempfile::tempdir().unwrap();
            let target = dir.path().join("vocals.mp3");
            fs::write(&target, "old").unwrap();
            let mut file = create(&target).unwrap();
            file.file_mut().write_all(b"half").unwrap();
            drop(file);
            assert_eq!(fs::read(&target).unwrap(), b"old");
            assert_eq!(names(dir.path()), ["vocals.mp3"]);
        }
    }

    #[test]
    fn a_committed_file_replaces_the_old_one() {
        for create in WAYS {
            let dir = tempfile::tempdir().unwrap();
            let target = dir.path().join("vocals.mp3");
            fs::write(&target, "old").unwrap();
            let mut file = create(&target).unwrap();
            file.file_mut().write_all(b"new").unwrap();
            assert_eq!(fs::read(&target).unwrap(), b"old");
            file.commit().unwrap();
            assert_eq!(fs::read(&target).unwrap(), b"new");
            assert_eq!(names(dir.path()), ["vocals.mp3"]);
        }
    }

    #[test]
    fn a_committed_file_appears_where_there_was_none() {
        for create in WAYS {
            let dir = tempfile::tempdir().unwrap();
            let target = dir.path().join("vocals.mp3");
            let mut file = create(&target).unwrap();
            file.file_mut().write_all(b"new").unwrap();
            file.commit().unwrap();
            assert_eq!(fs::read(&target).unwrap(), b"new");
        }
    }

    #[test]
    fn nothing_remains_of_a_file_that_cannot_be_put_in_place() {
        for create in WAYS {
            let dir = tempfile::tempdir().unwrap();
            let target = dir.path().join("vocals.mp3");
            let file = create(&target).unwrap();
            fs::create_dir(&target).unwrap();
            let error = file.commit().unwrap_err();
            assert!(error.to_string().starts_with("cannot rename the output file: "), "{error}");
            assert_eq!(names(dir.path()), ["vocals.mp3"]);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn nothing_is_to_be_seen_while_a_file_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("vocals.mp3");
        let mut file = AtomicFile::create(&target).unwrap();
        if let Content::Named(_) = file.content {
            // Only a file system without such files may answer like that.
            unnamed(dir.path()).unwrap_err();
            return;
        }
        file.file_mut().write_all(b"half").unwrap();
        assert_eq!(names(dir.path()), [""; 0]);
    }

    #[cfg(unix)]
    #[test]
    fn permissions_are_those_of_any_new_file() {
        use std::os::unix::fs::PermissionsExt;
        for create in WAYS {
            let dir = tempfile::tempdir().unwrap();
            let [target, other] = ["vocals.mp3", "other"].map(|name| dir.path().join(name));
            create(&target).unwrap().commit().unwrap();
            File::create(&other).unwrap();
            let mode = |path| fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode(&target), mode(&other));
        }
    }

    #[cfg(unix)]
    #[test]
    fn permissions_follow_the_mask_of_the_process() {
        let this = std::env::current_exe().unwrap();
        // The mask belongs to the whole process, so each gets one of its own.
        let test = "atomic::tests::permissions_are_those_of_any_new_file";
        for mask in ["000", "027", "077"] {
            let script = format!("umask {mask}; exec \"$0\" --exact {test}");
            let ran = std::process::Command::new("sh").arg("-c").arg(script).arg(&this).output().unwrap();
            let told = String::from_utf8_lossy(&ran.stdout);
            assert!(ran.status.success() && told.contains("1 passed"), "{mask}: {told}");
        }
    }

    #[test]
    fn a_missing_directory_is_an_error_in_words() {
        let error = AtomicFile::create(Path::new("/no/such/place/a.wav")).unwrap_err();
        assert!(error.to_string().starts_with("cannot create the output file: "), "{error}");
    }
}
