//! Samples that are measured with, and what is said of numbers.

use demucs::seeded::signal;
use demucs::{BoxError, Samples};

/// Samples of a file, again and again until there are so many.
pub(crate) fn repeated(word: &str, frames: usize) -> Result<Samples, BoxError> {
    if word == "signal" {
        return Ok(Samples { channels: signal(frames) });
    }
    let bytes = std::fs::read(word).map_err(|error| format!("{word}: {error}"))?;
    let song = bytes.as_chunks::<8>().0;
    if song.is_empty() {
        return Err(format!("{word}: no samples").into());
    }
    let channel = |first: usize| {
        let sample = |frame: &[u8; 8]| f32::from_le_bytes(std::array::from_fn(|i| frame[4 * first + i]));
        song.iter().cycle().take(frames).map(sample).collect()
    };
    Ok(Samples { channels: [channel(0), channel(1)] })
}

/// Power of the first over that of the difference.
pub(crate) fn decibels<'a>(pairs: impl Iterator<Item = (&'a f32, &'a f32)>) -> f64 {
    let (mut power, mut noise) = (0.0, 0.0);
    for (expected, found) in pairs {
        power += f64::from(*expected).powi(2);
        noise += (f64::from(*expected) - f64::from(*found)).powi(2);
    }
    // Two that are equal are as far apart as numbers can say.
    10.0 * f64::log10(power / f64::max(noise, 1e-30))
}

pub(crate) fn largest(expected: &[f32], found: &[f32]) -> f32 {
    expected.iter().zip(found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
