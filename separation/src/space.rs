//! Room for the results that wait for their gain.

use std::path::{Path, PathBuf};

use audio::{FlacDepth, Format, WavDepth, resampled_len};

use crate::output::Encoding;
use crate::{Error, Plan, Result};

/// Bytes that the waiting results of one song may keep in memory, all together.
const MEMORY_BYTES: usize = 16 << 20;

/// Bytes of a frame: two channels of 32-bit floats.
const FRAME_BYTES: usize = 8;

/// Bytes that each of so many results may keep in memory.
pub(crate) fn memory_of_each(results: usize) -> usize {
    MEMORY_BYTES / results.max(1)
}

/// Bytes of a second of an MP3, at most: 320 kbit/s.
const MP3_BYTES_PER_SECOND: u64 = 40_000;

impl Plan {
    /// Bytes that the results of a song of `frames` frames at `song_rate` Hz take in the temporary folder, at most: those
    /// that wait for their gain, and all files. `rate` is that of the networks in Hz.
    #[must_use]
    pub fn scratch_bytes(&self, (frames, song_rate): (usize, u32), rate: u32) -> u64 {
        let file_bytes = |wanted| {
            let encoding = Encoding::of(wanted, self, rate);
            file_bytes(encoding.format, resampled_len(frames, song_rate, encoding.rate), encoding.rate)
        };
        let waiting =
            if self.clip.needs_peaks() { self.results.iter().filter(|one| !one.kept).count() } else { 0 };
        needed_bytes(waiting, resampled_len(frames, song_rate, self.rate))
            + self.results.iter().map(file_bytes).sum::<u64>()
    }
}

/// Bytes of a file of `frames` frames, at most; FLAC hardly ever exceeds what it is of.
fn file_bytes(format: Format, frames: usize, rate: u32) -> u64 {
    let frames = frames as u64;
    match format {
        Format::Mp3 { .. } => frames * MP3_BYTES_PER_SECOND / u64::from(rate),
        Format::Wav(WavDepth::Bits16) | Format::Flac(FlacDepth::Bits16) => 4 * frames,
        Format::Wav(WavDepth::Bits24) | Format::Flac(FlacDepth::Bits24) => 6 * frames,
        Format::Wav(WavDepth::Float32) => 8 * frames,
    }
}

/// Refuses a song whose waiting results do not fit into the temporary folder beside what is there already,
/// the decoded song among it. Short results wait in memory and need nothing.
pub(crate) fn check(results: usize, frames: usize, temp_dir: Option<&Path>) -> Result<()> {
    let dir = temp_dir.map_or_else(std::env::temp_dir, Path::to_path_buf);
    // A system that does not tell is believed: a full disk is an error later on.
    let free_bytes = audio::free_bytes(&dir).unwrap_or(u64::MAX);
    fits(needed_bytes(results, frames), free_bytes, dir)
}

fn needed_bytes(results: usize, frames: usize) -> u64 {
    let each = frames * FRAME_BYTES;
    if each > memory_of_each(results) { (results * each) as u64 } else { 0 }
}

fn fits(needed_bytes: u64, free_bytes: u64, dir: PathBuf) -> Result<()> {
    if needed_bytes <= free_bytes {
        return Ok(());
    }
    Err(Error::Space { needed_mib: needed_bytes.div_ceil(1 << 20), free_mib: free_bytes >> 20, dir })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_of_four_stems_needs_five_gigabytes_and_a_jingle_none() {
        assert_eq!(needed_bytes(4, 3600 * 44_100), 5_080_320_000);
        assert_eq!(needed_bytes(4, 10 * 44_100), 0);
    }

    #[test]
    fn files_of_an_hour_have_the_bytes_of_their_samples_at_most() {
        let of = |format| file_bytes(format, 3600 * 44_100, 44_100);
        assert_eq!(of(Format::default()), 144_000_000);
        assert_eq!(of(Format::Flac(FlacDepth::Bits24)), 952_560_000);
        assert_eq!(of(Format::Wav(WavDepth::Float32)), 1_270_080_000);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_is_needed_and_what_is_free() {
        fits(100 << 20, 100 << 20, "/t".into()).unwrap();
        let error = fits((100 << 20) + 1, 100 << 20, "/t".into()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the results need 101 MiB until they are encoded, and 100 MiB are free in /t"
        );
    }
}
