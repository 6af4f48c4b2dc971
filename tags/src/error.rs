/// What can be wrong with a file before anything in it is decoded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file has no bytes.
    #[error("the file is empty")]
    Empty,
    /// The leading bytes belong to no container that is read here.
    #[error("the file is not audio in a known format (mp3, wav, flac, ogg vorbis, m4a, aac or aiff)")]
    Unknown,
    /// The first MP3 or AAC frame needs more bytes than the file has.
    #[error("the file ends inside its first frame, {missing} bytes before that frame's end")]
    Truncated {
        /// Bytes between the end of the file and the end of the frame.
        missing: u64,
    },
    /// Tags were to be written into a container that takes none from here.
    #[error("tags cannot be written into a {container} file")]
    NotWritable {
        /// Short name of the container.
        container: &'static str,
    },
    /// The file's own structure is broken where tags would go.
    #[error("the {container} file is malformed: {reason}")]
    Malformed {
        /// Short name of the container.
        container: &'static str,
        /// What is wrong, in a few words.
        reason: &'static str,
    },
    /// Reading or writing failed.
    #[error("cannot read or write the file: {0}")]
    Io(#[from] std::io::Error),
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
