use std::path::PathBuf;

/// What can go wrong between a song and the files of its stems.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The song cannot be read, or a result cannot be written.
    #[error(transparent)]
    Audio(#[from] audio::Error),
    /// The song has no frame.
    #[error("the file holds no audio")]
    Empty,
    /// The separation failed, or was stopped at a segment.
    #[error("cannot separate the song")]
    Separate(#[source] demucs::Error),
    /// The [`crate::Stop`] was requested between segments.
    #[error("stopped")]
    Stopped,
    /// The results would not fit where they wait for their gain.
    #[error(
        "the results need {needed_mib} MiB until they are encoded, and {free_mib} MiB are free in {}",
        dir.display()
    )]
    Space {
        /// What is needed.
        needed_mib: u64,
        /// What is free.
        free_mib: u64,
        /// Where.
        dir: PathBuf,
    },
    /// A folder is where a file shall be.
    #[error("cannot write {}: there is a folder in its place", path.display())]
    Folder {
        /// The path of both.
        path: PathBuf,
    },
    /// A result's file cannot be started or shown.
    #[error("cannot write {}", path.display())]
    Write {
        /// Where it should be.
        path: PathBuf,
        /// The reason.
        source: audio::Error,
    },
    /// The engine's thread is gone.
    #[error("the engine has ended")]
    Ended,
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(String),
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
