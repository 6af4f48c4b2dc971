//! Room for the results that wait for their gain.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Bytes that the waiting results of one song may keep in memory, all together.
const MEMORY_BYTES: usize = 16 << 20;

/// Bytes of a frame: two channels of 32-bit floats.
const FRAME_BYTES: usize = 8;

/// Bytes that each of so many results may keep in memory.
pub(crate) fn memory_of_each(results: usize) -> usize {
    MEMORY_BYTES / results.max(1)
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
    fn what_does_not_fit_is_refused_with_what_is_needed_and_what_is_free() {
        fits(100 << 20, 100 << 20, "/t".into()).unwrap();
        let error = fits((100 << 20) + 1, 100 << 20, "/t".into()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the results need 101 MiB until they are encoded, and 100 MiB are free in /t"
        );
    }
}
