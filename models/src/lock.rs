//! One writer at a time for each set of weights, across processes.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use crate::error::{Attempt as _, ModelsError};

/// Held while weights are fetched or replaced; let go when dropped, or when the process ends in whatever way.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, calling `waiting` first if somebody else has it. Makes the folder if it is missing.
    pub(crate) fn take(dir: &Path, signature: &str, waiting: impl FnOnce()) -> Result<Self, ModelsError> {
        fs::create_dir_all(dir).attempt("make the folder", dir)?;
        let path = dir.join(format!("{signature}.lock"));
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.attempt("write", &path)?;
        match file.try_lock() {
            Ok(()) => (),
            Err(TryLockError::WouldBlock) => {
                waiting();
                file.lock().attempt("lock", &path)?;
            }
            Err(TryLockError::Error(error)) => Err(error).attempt("lock", &path)?,
        }
        Ok(Self { _file: file })
    }
}
