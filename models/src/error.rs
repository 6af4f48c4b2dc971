//! What can go wrong with stored models.

use std::io;
use std::path::{Path, PathBuf};

use demucs::weights::WeightsError;

/// Why a model could not be fetched, checked or loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelsError {
    /// The weights themselves, or the name of a model or stem.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The operating system refused something.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, such as `write`.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The model has to be fetched first.
    #[error("model `{name}` is not installed: {missing} of its weights are missing in {}", dir.display())]
    NotInstalled {
        /// Name of the model.
        name: String,
        /// How many weights are missing.
        missing: usize,
        /// Folder of the store.
        dir: PathBuf,
    },
    /// The model has to be fetched, and that is switched off.
    #[error("weights {signature} are not installed and cannot be fetched offline")]
    Offline {
        /// Signature of the weights.
        signature: String,
    },
    /// Every source was tried.
    #[error("no source gave the weights {signature}: {}", reasons.join("; "))]
    NoSource {
        /// Signature of the weights.
        signature: String,
        /// One sentence for each source.
        reasons: Vec<String>,
    },
    /// An installed file is not what was installed.
    #[error("{} is damaged: {reason}; fetch or import the model again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// One clause.
        reason: String,
    },
    /// A file holds another network than it is said to.
    #[error("these are not the weights {signature}: {reason}")]
    OtherNetwork {
        /// Signature of the expected weights.
        signature: String,
        /// One clause.
        reason: String,
    },
    /// A file for which a name has to be given.
    #[error("{} is none of the known models, give it a name", path.display())]
    Unrecognised {
        /// The file.
        path: PathBuf,
    },
    /// A name that cannot be a file name everywhere.
    #[error("`{name}` cannot name a model: use 1 to 64 of a-z, 0-9, `-` and `_`")]
    BadName {
        /// The name.
        name: String,
    },
    /// A file that is larger than any network here.
    #[error("{} has {size_bytes} bytes, at most {limit_bytes} are read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size_bytes: u64,
        /// The limit in bytes.
        limit_bytes: u64,
    },
}

/// Names what was tried when the operating system refuses.
pub(crate) trait Attempt<T> {
    fn attempt(self, action: &'static str, path: &Path) -> Result<T, ModelsError>;
}

impl<T> Attempt<T> for io::Result<T> {
    fn attempt(self, action: &'static str, path: &Path) -> Result<T, ModelsError> {
        self.map_err(|source| ModelsError::Io { action, path: path.to_owned(), source })
    }
}

/// Why one source did not give the weights.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The next source may have them.
    Next(String),
    /// No source can help: the disk is full, say.
    Fatal(ModelsError),
}

impl From<ModelsError> for Refusal {
    fn from(error: ModelsError) -> Self {
        Self::Fatal(error)
    }
}
