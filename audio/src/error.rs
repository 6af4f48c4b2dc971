use std::path::PathBuf;

/// What can go wrong between bytes and samples. Each message is one sentence that can be shown to people.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are not audio, or are cut off before the first frame ends.
    #[error(transparent)]
    File(#[from] tags::Error),
    /// The container's own structure is broken.
    #[error("the {container} file cannot be read: {reason}")]
    Demux {
        /// Short name of the container.
        container: &'static str,
        /// The reader's reason.
        reason: String,
    },
    /// The file is in order, but holds something that is not decoded here.
    #[error("the {container} file holds audio that is not supported: {reason}")]
    Unsupported {
        /// Short name of the container.
        container: &'static str,
        /// What it holds.
        reason: String,
    },
    /// The container holds no audio at all.
    #[error("the {container} file has no audio track")]
    NoTrack {
        /// Short name of the container.
        container: &'static str,
    },
    /// The caller asked for a track that is not there.
    #[error("there is no audio track {track}: the file has {tracks}, counted from 0")]
    NoSuchTrack {
        /// The track asked for.
        track: usize,
        /// The number of audio tracks.
        tracks: usize,
    },
    /// Not one packet could be decoded.
    #[error("none of the {skipped} audio packets read from the {container} file can be decoded")]
    NothingDecoded {
        /// Short name of the container.
        container: &'static str,
        /// Packets tried.
        skipped: usize,
    },
    /// More packets are broken than the limits allow.
    #[error("the file is too damaged: {skipped} audio packets cannot be decoded")]
    TooDamaged {
        /// Broken packets so far.
        skipped: usize,
    },
    /// More audio than the limits allow.
    #[error("the file holds more than {max_seconds} s of audio")]
    TooLong {
        /// The limit.
        max_seconds: f64,
    },
    /// The sample rate changes within the file.
    #[error("the sample rate changes from {from_hz} hz to {to_hz} hz after {at_s:.1} s")]
    RateChanged {
        /// Rate so far.
        from_hz: u32,
        /// New rate.
        to_hz: u32,
        /// Where it happens.
        at_s: f64,
    },
    /// A sample rate that cannot be handled.
    #[error("a sample rate of {hz} hz is outside 1000 hz to 768000 hz")]
    Rate {
        /// The rate.
        hz: u32,
    },
    /// A channel count that cannot be handled.
    #[error("{channels} channels are not supported: at least 1 and at most {max}")]
    Channels {
        /// The channel count.
        channels: usize,
        /// The largest count that works.
        max: usize,
    },
    /// A library panicked over the file.
    #[error("the {container} decoder gave up on this file because of a fault of its own")]
    Panicked {
        /// Short name of the container.
        container: &'static str,
    },
    /// The resampler refused its parameters or its input.
    #[error("cannot resample from {from_hz} hz to {to_hz} hz: {reason}")]
    Resample {
        /// Input rate.
        from_hz: u32,
        /// Output rate.
        to_hz: u32,
        /// The resampler's reason.
        reason: String,
    },
    /// Planes do not match what was announced.
    #[error("a block of {got} channels came where {expected} of equal length were announced")]
    Shape {
        /// Channels announced.
        expected: usize,
        /// Channels that came.
        got: usize,
    },
    /// A file format that does not exist at a sample rate.
    #[error("{format} has no sample rate of {hz} hz")]
    FormatRate {
        /// Name of the format.
        format: &'static str,
        /// The rate.
        hz: u32,
    },
    /// An encoder refused its settings or its input.
    #[error("cannot encode {format}: {reason}")]
    Encode {
        /// Name of the format.
        format: &'static str,
        /// The encoder's reason.
        reason: String,
    },
    /// No space is left where audio is kept.
    #[error("the disk is full: {free_mib} MiB are free in {}", dir.display())]
    DiskFull {
        /// The directory that is full.
        dir: PathBuf,
        /// What is left there.
        free_mib: u64,
    },
    /// Any other failure of a file.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was tried, such as `write the stem`.
        action: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Names what was tried when the system refused.
    pub(crate) fn io(action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { action, source }
    }
}
