//! Samples that are measured with, and what is said of numbers.

use demucs::seeded::signal;
use demucs::{BoxError, Loudness, Samples};

/// Where segments are taken from a song: behind its first bars.
const FROM_S: usize = 20;

/// A song, which begins again where it ends.
pub(crate) struct Song(Samples);

impl Song {
    /// The samples of a file, or a minute of the signal.
    pub(crate) fn open(word: &str, rate: u32) -> Result<Self, BoxError> {
        if word == "signal" {
            return Ok(Self(Samples { channels: signal(60 * rate as usize) }));
        }
        let bytes = std::fs::read(word).map_err(|error| format!("{word}: {error}"))?;
        let frames = bytes.as_chunks::<8>().0;
        if frames.is_empty() {
            return Err(format!("{word}: no samples").into());
        }
        let channel = |first: usize| {
            let sample = |frame: &[u8; 8]| f32::from_le_bytes(std::array::from_fn(|i| frame[4 * first + i]));
            frames.iter().map(sample).collect()
        };
        Ok(Self(Samples { channels: [channel(0), channel(1)] }))
    }

    /// As long as it is.
    pub(crate) fn whole(self) -> Samples {
        self.0
    }

    /// Its samples from some place on, again and again until there are so many.
    pub(crate) fn repeated(&self, from: usize, frames: usize) -> Samples {
        let channel = |samples: &Vec<f32>| {
            samples.iter().cycle().skip(from % samples.len()).take(frames).copied().collect()
        };
        Samples { channels: self.0.channels.each_ref().map(channel) }
    }

    /// Segments that follow each other, none of which is another one, at the song's loudness: `[B, 2, N]`.
    pub(crate) fn segments(&self, rate: u32, batch: usize, n: usize) -> Result<Vec<f32>, BoxError> {
        let loudness = Loudness::of(&mut self.0.clone())?;
        let [left, right] = self.repeated(FROM_S * rate as usize, batch * n).channels.map(|mut channel| {
            loudness.normalize(&mut channel);
            channel
        });
        let segments = left.chunks_exact(n).zip(right.chunks_exact(n));
        Ok(segments.flat_map(|(left, right)| [left, right].concat()).collect())
    }
}

/// Power of the first over that of the difference; not a number where a sample is none.
pub(crate) fn decibels<'a>(pairs: impl Iterator<Item = (&'a f32, &'a f32)>) -> f64 {
    let (mut power, mut noise) = (0.0, 0.0);
    for (expected, found) in pairs {
        power += f64::from(*expected).powi(2);
        noise += (f64::from(*expected) - f64::from(*found)).powi(2);
    }
    // Two that are equal are as far apart as numbers can say. `max` would make such a one of what is no number.
    let noise = if noise < 1e-30 { 1e-30 } else { noise };
    10.0 * f64::log10(power / noise)
}

/// The largest difference; not a number where one is none.
pub(crate) fn largest(expected: &[f32], found: &[f32]) -> f32 {
    let differences = expected.iter().zip(found).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, |most, next| if next <= most || most.is_nan() { most } else { next })
}

pub(crate) fn finite(values: &[f32]) -> bool {
    values.iter().all(|value| value.is_finite())
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [f32; 4] = [0.5, -1.0, 0.25, 1.0];

    fn spoilt(value: f32) -> [f32; 4] {
        let mut values = GOOD;
        values[1] = value;
        values
    }

    #[test]
    fn what_is_no_number_is_no_agreement() {
        let agree = |expected: &[f32], found: &[f32]| decibels(expected.iter().zip(found)) >= 0.0;
        assert!(agree(&GOOD, &GOOD));
        for bad in [f32::NAN, f32::INFINITY] {
            let (found, expected) = (spoilt(bad), spoilt(bad));
            assert!(!agree(&GOOD, &found), "{bad} was found");
            assert!(!agree(&expected, &found), "{bad} was expected and found");
            assert!(!finite(&found));
            assert!(!largest(&GOOD, &found).is_finite());
        }
        assert!(largest(&GOOD, &spoilt(-1.5)) == 0.5);
    }

    #[test]
    fn segments_follow_each_other_and_begin_again() {
        let song = Song(Samples { channels: [vec![0.0, 1.0, 2.0], vec![3.0, 4.0, 5.0]] });
        assert_eq!(song.repeated(4, 4).channels, [[1.0, 2.0, 0.0, 1.0], [4.0, 5.0, 3.0, 4.0]]);
    }
}
