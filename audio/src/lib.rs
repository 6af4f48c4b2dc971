//! Bytes to samples and back: decode, resample, keep, encode, measure.
//!
//! ```
//! use audio::{DecodeLimits, Decoder, Format, Resampler, WavDepth, stereo};
//! use std::io::Cursor;
//!
//! # fn main() -> audio::Result<()> {
//! // A tenth of a second of a mono tone as a WAV file in memory.
//! let tone: Vec<f32> = (0..4800).map(|i| (i as f32 * 0.05).sin() * 0.5).collect();
//! let mut file = Cursor::new(Vec::new());
//! let mut encoder = Format::Wav(WavDepth::Float32).encoder(&mut file, 48_000, 1)?;
//! encoder.write(&[tone.clone()])?;
//! assert_eq!(encoder.finish()?.frames, 4800);
//!
//! // Whatever it is called, it decodes to the same samples; then 44.1 kHz stereo, as the model wants it.
//! let mut decoder = Decoder::open(Box::new(file), &DecodeLimits::default(), None)?;
//! let (rate, front) = (decoder.info().sample_rate, decoder.info().front);
//! let mut resampler = Resampler::new(rate, 44_100, 2)?;
//! let mut frames = 0;
//! while let Some(block) = decoder.next_block()? {
//!     frames += resampler.push(&stereo(block, front))?[0].len();
//! }
//! frames += resampler.finish(None)?[0].len();
//! assert_eq!(frames, audio::resampled_len(4800, 48_000, 44_100));
//! # Ok(())
//! # }
//! ```
//!
//! Audio is planar, `[channels][frames]`, 32-bit float with full scale at 1. `frames` are samples per channel.
//! Everything streams: memory does not grow with the length of a song. Input is taken for hostile.
#![warn(missing_docs)]

mod atomic;
mod decode;
mod encode;
mod error;
pub mod measure;
mod resample;
mod spool;
mod stem_file;
mod stereo;

pub use atomic::AtomicFile;
pub use decode::{AudioInfo, DecodeLimits, Decoder, MediaSource, Report};
pub use encode::{Bitrate, Encoded, Encoder, FlacDepth, Format, Preset, WavDepth};
pub use error::{Error, Result};
pub use resample::{Resampler, resampled_len};
pub use spool::{Spool, free_bytes};
pub use stem_file::{SealedFile, StemFile};
pub use stereo::{Front, stereo};
pub use tags::Container;

/// Planar audio: one vector per channel, all of the same length.
pub type Block = Vec<Vec<f32>>;

/// Frames of a block; an error where the planes differ or are not `channels`.
pub(crate) fn frames_of(block: &[Vec<f32>], channels: usize) -> Result<usize> {
    let frames = block.first().map_or(0, Vec::len);
    if block.len() != channels || block.iter().any(|plane| plane.len() != frames) {
        return Err(Error::Shape { expected: channels, got: block.len() });
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    #[test]
    fn everything_can_be_moved_to_a_worker_thread() {
        fn is_send<T: Send>() {}
        is_send::<crate::Decoder>();
        is_send::<crate::Resampler>();
        is_send::<crate::Spool>();
        is_send::<crate::StemFile>();
        is_send::<Box<dyn crate::Encoder>>();
    }
}
