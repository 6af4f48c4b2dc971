//! A file that has no name in the store yet.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use uuid::Uuid;

use super::layout::Layout;
use super::{blocking, fault, is_absent};
use crate::failpoint;
use crate::keys::ObjectKey;
use crate::storage::{Result, StoreError, Write, Written};

/// Tries to give a file its name while others remove the folder that just was made for it.
const NAMING_TRIES: usize = 100;

/// A file that is being written; dropped, it is removed.
pub(super) struct Partial {
    /// Locked: the lock says that the writer is alive.
    file: File,
    path: PathBuf,
}

impl Partial {
    pub(super) fn create(layout: &Layout) -> io::Result<Self> {
        loop {
            let path = layout.partial().join(Uuid::new_v4().simple().to_string());
            let partial = Self { file: File::create_new(&path)?, path };
            partial.file.lock()?;
            // Before it was locked, another process may have taken it for what a crash left.
            if partial.path.exists() {
                return Ok(partial);
            }
        }
    }

    /// Adds bytes at the end.
    pub(super) async fn append(mut self, bytes: Bytes, key: &ObjectKey) -> Result<Self> {
        let key = key.clone();
        blocking(move || match self.file.write_all(&bytes) {
            Ok(()) => {
                failpoint::reach("upload.piece_written");
                Ok(self)
            }
            Err(error) => Err(fault(&error, &key)),
        })
        .await
    }

    /// Adds what another file holds; the kernel copies, or shares the blocks where the file system can.
    pub(super) fn fill_from(mut self, source: &Path) -> io::Result<Self> {
        let mut source = File::open(source)?;
        if !source.metadata()?.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        io::copy(&mut source, &mut self.file)?;
        Ok(self)
    }

    /// Brings the file to the disk and gives it its name.
    pub(super) fn publish(self, layout: &Layout, key: &ObjectKey, write: Write) -> Result<Written> {
        let fault = |error: io::Error| match fault(&error, key) {
            // What is missing is not the object: it is being written.
            StoreError::NotFound(_) => StoreError::Unavailable(format!("{key}: {error}")),
            other => other,
        };
        // To the nanosecond; the kernel's own clock for this ticks every few milliseconds.
        self.file.set_modified(SystemTime::now()).map_err(fault)?;
        self.file.sync_all().map_err(fault)?;
        let target = layout.file(key)?;
        for _ in 0..NAMING_TRIES {
            match self.name(&target, write) {
                Ok(named) => {
                    // The other file's name, too: its writer may not have come to that yet.
                    layout.sync_above(key).map_err(fault)?;
                    return Ok(if named { Written::Stored } else { Written::Exists });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.path.exists() => {}
                Err(error) if is_clash(&error) => {
                    let sentence = format!("{key} lies under another object, or others under it");
                    return Err(StoreError::Refused(sentence));
                }
                Err(error) => return Err(fault(error)),
            }
        }
        Err(StoreError::Unavailable(format!("{key}: its folder is removed again and again")))
    }

    /// Whether it has the name now; false where another file has it and keeps it.
    fn name(&self, target: &Path, write: Write) -> io::Result<bool> {
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        match write {
            Write::Replace => fs::rename(&self.path, target).map(|()| true),
            Write::Once => match fs::hard_link(&self.path, target) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match fs::metadata(target) {
                    Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
                    Ok(_) => Ok(false),
                    // Removed since. It did exist.
                    Err(error) if is_absent(&error) => Ok(false),
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            },
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Gone already when it was renamed.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether a name is taken by a folder, or a folder's name by a file.
fn is_clash(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::NotADirectory | Kind::IsADirectory | Kind::DirectoryNotEmpty | Kind::AlreadyExists
    )
}
