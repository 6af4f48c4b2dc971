//! What can go wrong between a mixture and its stems.

use std::sync::Arc;

/// Errors of the separation engine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The checkpoint describes a network that this port does not build.
    #[error("unsupported network: {0}")]
    Unsupported(String),
    /// The checkpoint's keyword arguments do not parse.
    #[error("cannot read the network's description: {0}")]
    Config(#[from] serde_json::Error),
    /// A request that the loaded bag cannot serve.
    #[error("{0}")]
    Request(String),
    /// A tensor operation failed, or a weight is missing or of another shape.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// Computing a batch failed, for all songs that had segments in it.
    #[error(transparent)]
    Batch(Arc<Error>),
    /// Reading the mixture failed.
    #[error("cannot read the mixture")]
    Mixture(#[source] BoxError),
    /// Spans that do not make up the song.
    #[error("cannot join the spans: {0}")]
    Span(String),
    /// Handing over finished stems failed.
    #[error("cannot store the stems")]
    Stem(#[source] BoxError),
    /// The caller asked to stop.
    #[error("separation canceled")]
    Canceled,
    /// The network returned something that is no sound.
    #[error("the network returned values that are not finite in segment {segment}")]
    NotFinite {
        /// Index of the segment, from 0.
        segment: usize,
    },
    /// A card has less memory left than was asked for: smaller batches may do.
    #[error("the card has too little memory left for {0}")]
    OutOfMemory(String),
    /// A card or its driver failed, or a kernel that it was to run.
    #[error("the card failed: {0}")]
    Card(String),
    /// The worker threads could not be started.
    #[error("cannot start {threads} threads: {reason}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the operating system said.
        reason: String,
    },
}

impl Error {
    /// Whether a card failed: in this process nothing that uses it will succeed again, as CUDA keeps such an error.
    #[must_use]
    pub fn is_of_the_card(&self) -> bool {
        match self {
            Self::Card(_) => true,
            Self::Batch(error) => error.is_of_the_card(),
            _ => false,
        }
    }
}

/// An error of the caller's own code, kept whole.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Result with [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
